"""Evidence for tests: made of whole jobs, opened, taken apart and put together again by somebody who means no good."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from multiformats import CID

from clicooper.access.grants import AuditKeys
from clicooper.audit.artifacts import Artifacts
from clicooper.disputes.collect import make_evidence
from clicooper.disputes.evidence import Evidence
from clicooper.disputes.evidence_file import OpenedEvidence, SealedEvidence, enclose, evidence_bytes, open_evidence
from clicooper.disputes.head_proof import history_of
from clicooper.disputes.subject import Subject
from clicooper.history.follow import follow_record
from clicooper.types import Address
from tests.scenario import FinishedRun, Rehearsal

CHALLENGER = Address("0x00000000000000000000000000000000000000AA")

CLAIMS: Mapping[str, Subject] = {
    "first interval": Subject("replay", 0, 0),
    "last interval": Subject("replay", 1, 1),
    "without end states": Subject("replay", 1, 0, None, end_states=False),
    "boundary": Subject("boundary", 1, None, 1),
    "lowest boundary": Subject("boundary", 0, None, 0),
    "manifest": Subject("manifest", 0, None, 1),
    "first links": Subject("links", 0, None, 0),
    "links": Subject("links", 1, None, 1),
    "mark": Subject("mark", 1, None, 0),
    "labels": Subject("labels", 1),
    "release": Subject("release", 0),
}
"""One subject of each kind on a job of two seats and two rounds."""


def artifacts_of(job: Rehearsal, keys: AuditKeys | None = None) -> Artifacts:
    """What the owner can read of a job as the chain has it now."""
    granted = job.opened.owner.keys() if keys is None else keys
    return Artifacts(follow_record(job.record()), job.store, granted)


def opened_evidence(run: FinishedRun, subject: Subject, challenger: Address = CHALLENGER) -> OpenedEvidence:
    """Evidence on a finished run, as whoever can read it has it."""
    return open_evidence(plain_evidence(run, subject, challenger))


def plain_evidence(run: FinishedRun, subject: Subject, challenger: Address = CHALLENGER) -> SealedEvidence:
    """The same in an envelope that everybody can open."""
    artifacts = Artifacts(follow_record(run.record), run.rehearsal.store, run.keys)
    packed = make_evidence(run.record, artifacts, subject, challenger)
    return enclose(artifacts.history.genesis, packed.evidence, packed.plaintext, None)


def blocks_of(opened: OpenedEvidence) -> dict[CID, bytes]:
    """The blocks of evidence beside its root."""
    return {cid: opened.blocks.get_block(cid) for cid in opened.blocks.cids()}


def rebuilt(
    opened: OpenedEvidence, changes: Mapping[str, Any] | None = None, blocks: Mapping[CID, bytes] | None = None
) -> OpenedEvidence:
    """Well-formed evidence with another root or other blocks: what a forger sends, who can hash as well as anybody."""
    evidence = Evidence.from_block(opened.evidence.model_copy(update=changes or {}).to_block())
    plaintext = evidence_bytes(evidence, blocks_of(opened) if blocks is None else blocks)
    return open_evidence(enclose(history_of(opened.evidence).genesis, evidence, plaintext, None))
