"""The ``state`` check of one commitment: its states are such as training gives, whatever was trained on.

That the files are there and of the committed digests is checked in ``artifacts``, that they are the right states in
``replay``, and the state that a round 0 starts from in ``links``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial

from clicooper.audit.artifacts import Artifacts
from clicooper.audit.checks.frame import guarded
from clicooper.audit.committed_states import open_end, open_out
from clicooper.audit.replay.unpublished import find_kept_back
from clicooper.audit.verdict import Check, CheckResult
from clicooper.history.history import Commitment
from clicooper.learning.transcript import interval_bounds
from clicooper.types import Verdict, address_bytes

__all__ = ["check_state"]


def check_state(
    artifacts: Artifacts, commitment: Commitment, intervals: Sequence[int] | None = None
) -> Iterator[CheckResult]:
    """One row: the first state that fails, else the first that could not be checked, else a pass.

    Interval states that the spec lets a trainer keep back need not be there.

    Args:
        intervals: of the states between intervals, only those at which these start; None takes all.

    Raises:
        SealError: the author's sealing secret is not at hand.
    """
    round_, seat = commitment.round, commitment.seat
    manifest, spec, last = artifacts.manifest(round_, seat), artifacts.spec, artifacts.intervals - 1
    artifacts.secret_of(address_bytes(commitment.trainer))
    absent = find_kept_back(spec, manifest, artifacts.store)
    subject, rows = str(manifest.cid), []
    for interval in range(last + 1) if intervals is None else sorted({i - 1 for i in intervals if i} | {last}):
        states = manifest.transcript.states
        if interval < min(last, len(states)) and states[interval].weights.ciphertext in absent:
            continue
        step = interval_bounds(interval, spec.training.steps, spec.replay.interval)[1] - 1
        row = _row_of(partial(open_end, artifacts, round_, seat, interval), subject, commitment)
        rows.append(replace(row, step=step, interval=interval))
    rows.append(_row_of(partial(open_out, artifacts, round_, seat), subject, commitment))
    wanted = Verdict.FAIL, Verdict.INCONCLUSIVE
    bad = [row for verdict in wanted for row in rows if row.verdict is verdict]
    passed = f"{len(rows)} states are such as training gives"
    yield bad[0] if bad else CheckResult(Check.STATE, Verdict.PASS, subject, passed, round_, seat)


def _row_of(open_state: Callable[[], object], subject: str, commitment: Commitment) -> CheckResult:
    def run() -> Iterator[CheckResult]:
        open_state()
        yield CheckResult(Check.STATE, Verdict.PASS, subject, "", commitment.round, commitment.seat)

    return guarded(Check.STATE, subject, run, commitment.round, commitment.seat)[0]
