"""Withheld artifacts: what the accused has to publish, and whether a store can get it.

A missing artifact proves nothing by itself, and publishing it cures the charge. So the evidence only names what is
owed and shows that it is owed; the judge looks for it in a store of their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from multiformats import CID

from clicooper.audit.artifacts import Artifacts
from clicooper.audit.verdict import Check
from clicooper.commitments.canonical import cid_of_digest
from clicooper.commitments.manifest import SegmentManifest
from clicooper.disputes.enclosed import EnclosedArtifacts
from clicooper.disputes.opinion import Fault, Judged, party_name
from clicooper.errors import ArtifactMissing, EvidenceUnusable, SpecError
from clicooper.storage.base import Store
from clicooper.storage.ipld.cid import cid_text
from clicooper.storage.ipld.graph import is_there
from clicooper.types import ACCUSED_OWNER

__all__ = ["find_missing", "judge_withheld", "list_owed"]


def list_owed(artifacts: Artifacts, accused: int, round_: int) -> tuple[CID, ...]:
    """What a seat has to publish for a round, or the owner for all rounds up to it; records first, then files.

    Where a record is missing, what it would link is not known, and so not listed.
    """
    return tuple(
        _owed_by_owner(artifacts, round_) if accused == ACCUSED_OWNER else _owed_by_seat(artifacts, accused, round_)
    )


def _owed_by_owner(artifacts: Artifacts, round_: int) -> Iterator[CID]:
    yield cid_of_digest(artifacts.history.params.spec_digest)
    try:
        spec = artifacts.spec
        yield spec.activation_release
        yield from (sealed.ciphertext for sealed in spec.labels[: round_ + 1])
        yield artifacts.release.activations
    except ArtifactMissing:
        return


def _owed_by_seat(artifacts: Artifacts, seat: int, round_: int) -> Iterator[CID]:
    manifest = cid_of_digest(artifacts.commitment(round_, seat).manifest_digest)
    yield manifest
    try:
        committed = SegmentManifest.from_block(artifacts.store.get_block(manifest))
    except (ArtifactMissing, SpecError):
        return
    yield from dict.fromkeys(sealed.ciphertext for sealed in committed.own_files)


def find_missing(store: Store, cids: Iterable[CID]) -> tuple[CID, ...]:
    """Those of which a block is missing; a record counts by itself, a file with all its blocks.

    Raises:
        StorageError: the store cannot be asked, which says nothing about the parties.
        ArtifactCorrupt: it has other bytes under a name.
    """
    return tuple(cid for cid in cids if not is_there(store.get_block, cid))


def judge_withheld(artifacts: EnclosedArtifacts, store: Store | None) -> Judged:
    """Looks for what the evidence says is withheld.

    Args:
        store: of the judge; without one nothing can be told.

    Raises:
        EvidenceUnusable: it names something that the accused does not owe.
    """
    evidence = artifacts.evidence
    accused = evidence.accused or 0
    owed = set(list_owed(artifacts, accused, evidence.round))
    if not evidence.wanted or not owed.issuperset(evidence.wanted):
        raise EvidenceUnusable(
            f"the evidence wants something that {party_name(accused)} does not have to publish",
            hint="what is owed is what manifests and spec link",
        )
    if store is None:
        return Judged(unjudged="whether it can be had, only a store can say: name one with --store or --run")
    missing = find_missing(store, evidence.wanted)
    if not missing:
        return Judged(confirmed=f"all {len(evidence.wanted)} artifacts can be had")
    detail = f"{len(missing)} of {len(evidence.wanted)} artifacts that {party_name(accused)} owes cannot be had here"
    return Judged((Fault(accused, Check.ARTIFACTS, detail, expected=cid_text(missing[0]), actual="not found"),))
