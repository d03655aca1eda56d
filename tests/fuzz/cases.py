"""The kinds of cases: what one party made otherwise, and who may be named for it."""

from __future__ import annotations

import json
import resource
import signal
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from random import Random
from typing import Any

import numpy as np
import safetensors.numpy

from clicooper.access.grants import AuditKeys, Grant, ProgressKey
from clicooper.audit.artifacts import Artifacts
from clicooper.audit.auditor import audit_record
from clicooper.audit.checks.frame import guarded
from clicooper.audit.checks.receipts import check_receipts
from clicooper.audit.checks.record import check_grant
from clicooper.audit.verdict import Check, CheckResult
from clicooper.chain.index.record_index import IN_MEMORY, RecordIndex
from clicooper.chain.record import JobRecord, record_from_json, record_to_json
from clicooper.chain.rpc.node import Node
from clicooper.chain.rpc.transport import Transport
from clicooper.commitments.boundary import BoundaryReceipt
from clicooper.commitments.manifest import KeyRecord, SegmentManifest
from clicooper.disputes.evidence_file import OpenedEvidence
from clicooper.disputes.judge import judge_evidence
from clicooper.disputes.opinion import Answer
from clicooper.errors import CliCooperError
from clicooper.learning.checkpoint import decode_state
from clicooper.learning.transcript import ROW_BYTES, Transcript
from clicooper.types import ACCUSED_OWNER, Address, Verdict
from tests.fuzz.edges import change_one, edge_of
from tests.fuzz.world import Job, changed
from tests.scenario import resealed

__all__ = ["KINDS", "SHARES", "Material", "TooLong", "limited", "run_case"]

OTHER_TYPES = ("float64", "float16", "int32", "int64", "uint8", "bool")

CPU_LIMIT_S = 30
"""Of a case, counted by the kernel for its process; honest ones take less than one."""

MEMORY_LIMIT_BYTES = 1 << 30
"""Above what the process held before its first case."""


class TooLong(BaseException):
    """A case that used up its time; no check may swallow it."""


@dataclass(frozen=True)
class Material:
    """What cases start from.

    Attributes:
        evidence: opened evidence on honest work, of every claim.
        node: a transport that holds the job's contract, and the contract's address.
    """

    job: Job
    record: JobRecord
    evidence: Sequence[OpenedEvidence]
    node: Transport
    contract: Address


@contextmanager
def limited() -> Iterator[None]:
    """The time limit of a case."""

    def stop(_signal: int, _frame: object) -> None:
        raise TooLong(f"more than {CPU_LIMIT_S} s of CPU time")

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, CPU_LIMIT_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def peak_bytes() -> int:
    """The most memory that this process ever held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def run_case(material: Material, kind: str, seed: int) -> None:
    """Runs one case; an AssertionError says what it did that it must not."""
    random = Random(f"{kind} {seed}")  # noqa: S311 - repeatable, and no secret
    with limited():
        named, allowed = KINDS[kind](material, random)
    assert set(named) <= set(allowed), f"{kind} {seed}: {named} named, where only {allowed} may be"


def named_in(rows: Collection[CheckResult]) -> set[int]:
    return {row.culprit for row in rows if row.culprit is not None}


Found = tuple[Collection[int], Collection[int]]


def _spec(material: Material, random: Random) -> Found:
    """A specification of the owner's: where a limit is broken, nobody but the owner is named."""
    job = material.job.copy()
    job = job.with_spec(changed(job.spec, random))
    rows = job.check(replayed=random.random() < 0.1)
    named = named_in(rows)
    if any(row.check is Check.TERMS and row.verdict is Verdict.FAIL for row in rows):
        return named, {ACCUSED_OWNER}
    # Within the limits it is another job, whose work these seats did not do.
    return named, {ACCUSED_OWNER, *range(len(job.manifests))}


def _manifest(material: Material, random: Random) -> Found:
    job = material.job.copy()
    place = random.choice(sorted(job.manifests))
    job = job.with_manifest(place, changed(job.manifests[place], random))
    return named_in(job.check(replayed=random.random() < 0.1)), {place[1]}


def _state(material: Material, random: Random) -> Found:
    """A state of one seat's, of other numbers, shapes, names or types, or no state at all."""
    job = material.job.copy()
    place = random.choice(sorted(job.manifests))
    manifest = job.manifests[place]
    fields: Any = manifest.model_dump(mode="python")
    slots = [(("trained",), manifest.trained), (("out",), manifest.out), (("optimizer",), manifest.optimizer)]
    for number, state in enumerate(manifest.transcript.states):
        slots.append((("transcript", "states", number, "weights"), state.weights))
        if state.optimizer is not None:
            slots.append((("transcript", "states", number, "optimizer"), state.optimizer))
    path, sealed = random.choice(slots)
    artifacts = Artifacts(job.history, job.store, job.keys)
    data = _other_state(artifacts.open_file(sealed), random)
    _set(fields, path, job.seal(place[1], data).model_dump(mode="python"))
    job = job.with_manifest(place, SegmentManifest.model_validate(fields))
    return named_in(job.check(replayed=True)), {place[1]}


def _set(fields: Any, path: Sequence[str | int], value: Any) -> None:
    """In a dump whose tuples are made lists on the way."""
    for key in path[:-1]:
        if isinstance(fields[key], tuple):
            fields[key] = list(fields[key])
        fields = fields[key]
    fields[path[-1]] = value


def _other_state(data: bytes, random: Random) -> bytes:
    if random.random() < 0.15:
        return random.choice((b"", data[:-1], data + b"\0", data[: len(data) // 2], random.randbytes(64)))
    state = decode_state(data)
    name = random.choice(sorted(state)) if state else "w"
    array = state.get(name, np.zeros(2, np.float32))
    with np.errstate(all="ignore"):
        changes: Sequence[Callable[[], Mapping[str, Any]]] = (
            lambda: state | {name: array * np.asarray(edge_of(1.0, random), array.dtype)},
            lambda: state | {name: -array},
            lambda: (
                state | {name: array.astype(random.choice(("float64", "float16", "int32", "int64", "uint8", "bool")))}
            ),
            lambda: state | {name: array.reshape(-1)},
            lambda: state | {name: np.zeros((0, *array.shape[1:]), array.dtype)},
            lambda: state | {name: np.full_like(array, random.choice((np.nan, np.inf, -1)))},
            lambda: {one: value for one, value in state.items() if one != name},
            lambda: state | {f"{name}\x1b[2J": array},
            lambda: state | {"extra": np.zeros(3, np.float32)},
            lambda: {
                one: value * np.float32(1e25) if value.dtype.kind == "f" else value for one, value in state.items()
            },
            lambda: {},
        )
        made = random.choice(changes)()
    return safetensors.numpy.save({key: np.ascontiguousarray(value) for key, value in made.items()})


def _transcript(material: Material, random: Random) -> Found:
    """Rows of one seat's transcript, with a root and boundary digests that fit them, or with the old ones."""
    job = material.job.copy()
    place = random.choice(sorted(job.manifests))
    manifest = job.manifests[place]
    artifacts = Artifacts(job.history, job.store, job.keys)
    data = bytearray(artifacts.open_file(manifest.transcript.leaves))
    for _ in range(random.choice((1, 1, 3))):
        at = random.randrange(len(data) // 32) * 32
        data[at : at + 32] = random.choice((bytes(32), b"\xff" * 32, random.randbytes(32), bytes(data[:32])))
    made = bytes(data) if random.random() < 0.8 else random.choice((bytes(data[:-1]), bytes(data[:-ROW_BYTES]), b""))
    leaves = job.seal(place[1], made)
    update: dict[str, Any] = {"transcript": manifest.transcript.model_copy(update={"leaves": leaves})}
    with suppress(CliCooperError):
        transcript = Transcript.from_bytes(made, manifest.transcript.interval)
        if random.random() < 0.7:
            update["training_transcript_merkle_root"] = transcript.root
            update["boundary"] = transcript.boundary()
    job = job.with_manifest(place, manifest.model_copy(update=update))
    return named_in(job.check(replayed=random.random() < 0.5)), {place[1]}


def _keys(material: Material, random: Random) -> Found:
    """Secrets that were granted wrongly: nobody committed to a grant."""
    job, keys = material.job, material.job.keys
    sealing = {a: random.choice((random.randbytes(32), secret)) for a, secret in keys.sealing.items()}
    progress = {
        place: random.choice((key, ProgressKey(random.randbytes(32), key.ownership_key_hash)))
        for place, key in keys.progress.items()
    }
    label = random.choice((None, random.randbytes(32), keys.label_secret))
    changed_keys: AuditKeys = replace(keys, sealing=sealing, progress=progress, label_secret=label)
    return named_in(job.check(replayed=False, keys=changed_keys)), ()


def _grant(material: Material, random: Random) -> Found:
    """What a seat registered as its grant."""
    job = material.job.copy()
    seat = random.choice(job.history.seats)
    grant = Grant.from_block(job.store.get_block(KeyRecord.from_block(seat.key_record).grant))
    cid = job.store.put_block(changed(grant, random).to_block())
    record = KeyRecord.from_block(seat.key_record).model_copy(update={"grant": cid})
    if random.random() < 0.3:
        record = changed(record, random)
    artifacts = Artifacts(job.history, job.store, job.keys)
    registered = replace(seat, key_record=record.to_block())
    rows = guarded(Check.RECORD, "grant", partial(check_grant, artifacts, registered), seat=seat.seat)
    return named_in(rows), {seat.seat}


def _receipt(material: Material, random: Random) -> Found:
    """Receipts that anybody may show: where nobody differs, they convict nobody."""
    job = material.job
    start = job.history.rounds[0].commitments[0].head_before
    base = BoundaryReceipt(
        job=job.history.job,
        round=0,
        head=start,
        boundary=0,
        direction="forward",
        steps=job.spec.training.steps,
        running=job.manifests[0, 0].boundary.output,
        signature=random.randbytes(64),
    )
    receipts = [changed(base, random) for _ in range(3)]
    artifacts = Artifacts(job.history, job.store, job.keys)
    return named_in(list(check_receipts(artifacts, 0, receipts))), ()


def _evidence(material: Material, random: Random) -> Found:
    """Evidence on honest work, of which the root says something else: it convicts nobody."""
    opened = random.choice(material.evidence)
    root = changed(opened.evidence, random)
    opinion = judge_evidence(replace(opened, evidence=root), store=material.job.store)
    guilty = opinion.answer is Answer.GUILTY and opinion.fault is not None
    return ([opinion.fault.seat] if guilty and opinion.fault is not None and opinion.fault.seat is not None else []), ()


def _record(material: Material, random: Random) -> Found:
    """A record under a fitting digest: a file that nobody vouches for convicts nobody."""
    content = json.loads(record_to_json(material.record))
    content.pop("sha256")
    try:
        record = record_from_json(resealed(change_one(content, random)))
    except CliCooperError:
        return (), ()
    report = audit_record(record, material.job.store, AuditKeys())
    return named_in(report.results), ()


class _Lying:
    """A node behind which somebody changes every third answer."""

    def __init__(self, inner: Transport, random: Random) -> None:
        self.source, self._inner, self._random = inner.source, inner, random

    def request(self, method: str, params: Sequence[object] = ()) -> Any:
        answer = self._inner.request(method, params)
        if self._random.random() < 0.3:
            return (
                change_one([answer], self._random)[0] if self._random.random() < 0.7 else edge_of(answer, self._random)
            )
        return answer

    def request_many(self, calls: Sequence[tuple[str, Sequence[object]]]) -> list[Any]:
        return [self.request(*call) for call in calls]

    def close(self) -> None:
        """Nothing: the node behind it is used again."""


def _answer(material: Material, random: Random) -> Found:
    """Answers of a node that lies or is broken: an error that says so, or a record that is judged as any other."""
    with suppress(CliCooperError):
        node = Node(_Lying(material.node, random))
        index = RecordIndex(IN_MEMORY, node, material.contract, 0)
        index.sync()
        audit_record(index.record(material.record.job), material.job.store, AuditKeys())
    return (), ()


SHARES = {"answer": 16, "record": 16, "receipt": 12, "grant": 12, "evidence": 10, "spec": 4, "manifest": 4, "keys": 4}
"""Of all cases, in eightieths; the kinds that are not named, whose cases train, get one each."""

KINDS: Mapping[str, Callable[[Material, Random], Found]] = {
    "spec": _spec,
    "manifest": _manifest,
    "state": _state,
    "transcript": _transcript,
    "keys": _keys,
    "grant": _grant,
    "receipt": _receipt,
    "evidence": _evidence,
    "record": _record,
    "answer": _answer,
}
