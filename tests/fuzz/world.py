"""One honest job, taken apart once and put together again around anything that one party made otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from random import Random
from typing import Any, TypeVar

from multiformats import CID
from pydantic import ValidationError

from clicooper.access.grants import AuditKeys
from clicooper.access.sealed_files import seal_bytes
from clicooper.audit.artifacts import Artifacts
from clicooper.audit.checks.frame import guarded
from clicooper.audit.checks.release import check_release
from clicooper.audit.checks.terms import check_terms_of_job
from clicooper.audit.rounds import check_commitments, examine_round
from clicooper.audit.verdict import Check, CheckResult
from clicooper.commitments.canonical import cid_of_digest, sha256
from clicooper.commitments.manifest import JobSpec, SealedFile, SegmentManifest
from clicooper.commitments.records import Record
from clicooper.errors import SpecError
from clicooper.history.follow import follow_record
from clicooper.history.history import Commitment, History
from clicooper.types import Digest, address_bytes
from tests.fuzz.edges import change_one
from tests.scenario import FinishedRun
from tests.simulators import MemoryStore

__all__ = ["Job", "changed"]

R = TypeVar("R", bound=Record)
ATTEMPTS = 200


def changed(record: R, random: Random) -> R:
    """The record with one or two places changed, as its schema allows: its block reads back as itself."""
    for _ in range(ATTEMPTS):
        fields: Any = record.model_dump(mode="python")
        for _ in range(random.choice((1, 1, 1, 2))):
            fields = change_one(fields, random)
        try:
            made = type(record).model_validate(fields)
            if type(record).from_block(made.to_block()) == made != record:
                return made
        except (ValidationError, SpecError, TypeError, ValueError):
            continue
    raise AssertionError(f"no other {record.kind} was found")


@dataclass(frozen=True)
class Job:
    """An honest job in memory.

    Attributes:
        manifests: by round and seat.
    """

    history: History
    store: MemoryStore
    keys: AuditKeys
    spec: JobSpec
    manifests: Mapping[tuple[int, int], SegmentManifest]

    @classmethod
    def of(cls, run: FinishedRun) -> Job:
        """The job of a run folder, copied into memory."""
        store = MemoryStore()
        for cid in run.rehearsal.store.cids():
            store.put_block(run.rehearsal.store.get_block(cid), cid.codec.name)
        history = follow_record(run.record)
        artifacts = Artifacts(history, store, run.keys)
        manifests = {(c.round, c.seat): artifacts.manifest(c.round, c.seat) for c in history.commitments}
        return cls(history, store, run.keys, artifacts.spec, manifests)

    def copy(self) -> Job:
        """The same, of which every part may be changed."""
        store = MemoryStore()
        store.blocks.update(self.store.blocks)
        return replace(self, store=store, manifests=dict(self.manifests))

    def with_spec(self, spec: JobSpec) -> Job:
        """As an owner would have opened it with another specification, which every seat then names."""
        cid = self.store.put_block(spec.to_block())
        params = replace(self.history.params, spec_digest=sha256(spec.to_block()))
        manifests = {place: one.model_copy(update={"spec": cid}) for place, one in self.manifests.items()}
        job = replace(self, spec=spec, history=replace(self.history, params=params), manifests=manifests)
        return job.committed()

    def with_manifest(self, place: tuple[int, int], manifest: SegmentManifest) -> Job:
        """As if that seat had committed this one; everybody after it names what was committed."""
        return replace(self, manifests={**self.manifests, place: manifest}).committed(place)

    def seal(self, seat: int, data: bytes) -> SealedFile:
        """A file as that seat seals it."""
        trainer = next(one.trainer for one in self.history.seats if one.seat == seat)
        return seal_bytes(self.store, self.keys.sealing[trainer], address_bytes(trainer), data)

    def committed(self, kept: tuple[int, int] | None = None) -> Job:
        """Puts every manifest into the store, each linking what is committed before it, and commits them.

        Args:
            kept: the place of one whose own links stay as they are.
        """
        cids: dict[tuple[int, int], CID] = {}
        manifests = dict(self.manifests)
        for place in sorted(manifests):
            (round_, seat), manifest = place, manifests[place]
            if place != kept:
                links = {"previous": cids.get((round_ - 1, seat)), "predecessor": cids.get((round_, seat - 1))}
                manifest = manifest.model_copy(update=links)
            cids[place], manifests[place] = self.store.put_block(manifest.to_block()), manifest
        rounds = tuple(
            replace(one, commitments=tuple(_recommitted(c, manifests[c.round, c.seat]) for c in one.commitments))
            for one in self.history.rounds
        )
        return replace(self, history=replace(self.history, rounds=rounds), manifests=manifests)

    def check(self, *, replayed: bool, keys: AuditKeys | None = None, round_: int = 0) -> tuple[CheckResult, ...]:
        """The rows of the terms, of the release and of one round."""
        artifacts = Artifacts(self.history, self.store, keys or self.keys)
        rows = [*guarded(Check.TERMS, "spec", partial(check_terms_of_job, artifacts))]
        rows += guarded(Check.RELEASE, "release", partial(check_release, artifacts))
        rows += check_commitments(artifacts, round_)
        return (*rows, *examine_round(artifacts, round_, None if replayed else ())[0])


def _recommitted(commitment: Commitment, manifest: SegmentManifest) -> Commitment:
    digest = Digest(manifest.digest)
    assert cid_of_digest(digest) == manifest.cid
    return replace(commitment, manifest_digest=digest, mark_commitment=Digest(manifest.mark_commitment))
