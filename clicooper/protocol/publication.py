"""Whether the seats have published what the owner has to read, and by when they must have.

Committed data that cannot be had prove nothing against anybody, so a row here is never a failure. Where the store is a
node of a network, they are "withheld", a ground of its own for a challenge, which publishing cures. A folder or a file
holds what its user put there: what it lacks may as well have been lost here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from multiformats import CID

from clicooper.audit.artifacts import Artifacts
from clicooper.audit.verdict import Check, CheckResult
from clicooper.commitments.canonical import cid_of_digest
from clicooper.errors import ArtifactCorrupt, Cause, CliCooperError
from clicooper.protocol.decision import WITHHELD
from clicooper.storage.base import ListableStore, Store
from clicooper.storage.ipld.cid import cid_bytes, cid_text
from clicooper.storage.ipld.graph import is_there
from clicooper.types import Verdict

__all__ = ["Timer", "await_publication", "states_to_publish"]

FIRST_PAUSE_S, MOST_PAUSE_S = 0.25, 15.0


@dataclass(frozen=True)
class Timer:
    """How time passes: seconds that never go back, and what waits for some of them."""

    clock: Callable[[], float] = time.monotonic
    pause: Callable[[float], None] = time.sleep


@dataclass(frozen=True)
class _Wanted:
    """A file or block that a seat has to publish."""

    seat: int
    what: str
    cid: CID


def await_publication(
    artifacts: Artifacts, round_: int, intervals: Sequence[int], deadline_s: float, timer: Timer
) -> tuple[CheckResult, ...]:
    """Waits until everything is there that a verification of these intervals reads; one row for each thing that is not.

    What is there is not judged here, damaged files neither.

    Args:
        deadline_s: seconds from now.

    Raises:
        StorageError: the store cannot be reached, for which no seat is answerable.
    """
    due, pause_s = timer.clock() + deadline_s, FIRST_PAUSE_S
    found: set[bytes] = set()
    while True:
        absent = tuple(_absent(artifacts, round_, intervals, found))
        left_s = due - timer.clock()
        if not absent or left_s <= 0:
            make_row = _lost_or_withheld if isinstance(artifacts.store, ListableStore) else _withheld
            return tuple(make_row(one, round_, deadline_s) for one in absent)
        timer.pause(min(pause_s, left_s))
        pause_s = min(2 * pause_s, MOST_PAUSE_S)


def states_to_publish(artifacts: Artifacts, intervals: Iterable[int]) -> tuple[int, ...]:
    """At the start of which intervals a state is read to replay these; that of interval 0 the round began with.

    An interval ends where the next one starts. Within a runtime class the digest in the transcript stands for that
    state; in another class the state itself is compared.
    """
    drawn = set(intervals)
    ends = set() if artifacts.same_class else {interval + 1 for interval in drawn if interval + 1 < artifacts.intervals}
    return tuple(sorted((drawn | ends) - {0}))


def _absent(artifacts: Artifacts, round_: int, intervals: Sequence[int], found: set[bytes]) -> Iterator[_Wanted]:
    """What is not there; what is goes into ``found`` and is not looked for again."""
    for commitment in artifacts.history.rounds[round_].commitments:
        seat = commitment.seat
        block = _Wanted(seat, "the manifest", cid_of_digest(commitment.manifest_digest))
        for wanted in (block, *_files(artifacts, round_, seat, intervals)):
            name = cid_bytes(wanted.cid)
            if name not in found and _is_there(artifacts.store, wanted.cid):
                found.add(name)
            if name not in found:
                yield wanted


def _files(artifacts: Artifacts, round_: int, seat: int, intervals: Sequence[int]) -> Iterator[_Wanted]:
    """The files of a manifest that are read; none where it is not there, or is not one."""
    try:
        manifest = artifacts.manifest(round_, seat)
        starts = states_to_publish(artifacts, intervals)
        states = [(interval, artifacts.start_state(round_, seat, interval)) for interval in starts]
    except CliCooperError:
        return
    whole = {"trained": manifest.trained, "out": manifest.out, "optimizer": manifest.optimizer}
    for what, sealed in (whole | {"transcript": manifest.transcript.leaves}).items():
        yield _Wanted(seat, f"the {what} file", sealed.ciphertext)
    for interval, state in states:
        for sealed in state.files:
            yield _Wanted(seat, f"the state at the start of interval {interval}", sealed.ciphertext)


def _is_there(store: Store, cid: CID) -> bool:
    """Whether a block or file is in the store, right or wrong."""
    try:
        return is_there(store.get_block, cid)
    except ArtifactCorrupt:
        return True


def _withheld(wanted: _Wanted, round_: int, deadline_s: float) -> CheckResult:
    detail = f"{wanted.what} was not published within {deadline_s:g} s"
    subject = cid_text(wanted.cid)
    return CheckResult(
        Check.ARTIFACTS, Verdict.INCONCLUSIVE, subject, detail, round_, wanted.seat, "published", WITHHELD
    )


def _lost_or_withheld(wanted: _Wanted, round_: int, deadline_s: float) -> CheckResult:
    detail = f"{wanted.what} is not in this store after {deadline_s:g} s, which may have lost it"
    remedy = "fetch it again, or verify with the node to which the seats publish: --store ipfs:URL"
    subject = cid_text(wanted.cid)
    row = CheckResult(Check.ARTIFACTS, Verdict.INCONCLUSIVE, subject, detail, round_, wanted.seat)
    return replace(row, cause=Cause.STORE, remedy=remedy)
