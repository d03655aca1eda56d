"""One interval of evidence again: proven transcript steps against the work repeated from committed states.

What convicts, in this order: a manifest or labels that are not the job's; committed files that are no states, or
contradict their own transcript; a batch that is not the schedule's; neighbours that committed to different tensors;
and, in the spec's runtime class, the first digest in causal order that the replay does not confirm. All but the last
are the same on every machine. In another class the states at the interval's end are compared in float64, which can
clear everybody, or show that somebody deviated without saying who.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from clicooper.audit.artifacts import committed_by
from clicooper.audit.checks.manifest import check_manifest
from clicooper.audit.checks.progress import check_progress
from clicooper.audit.committed_states import open_end, open_start
from clicooper.audit.replay.intervals import MAX_CROSS_CLASS_STEPS
from clicooper.audit.verdict import Check
from clicooper.disputes.enclosed import EnclosedArtifacts
from clicooper.disputes.faults import (
    FaultProven,
    describe_mismatch,
    find_faults,
    find_label_faults,
    hold_against,
    read_committed_manifest,
)
from clicooper.disputes.opinion import Fault, Judged
from clicooper.errors import ArtifactMissing, Contradiction, EvidenceUnusable, SpecError
from clicooper.learning.checkpoint import State, state_digest
from clicooper.learning.replay import Difference, IntervalReplay, compare_states, difference_in_rows, replay_interval
from clicooper.learning.schedule import batch_rows
from clicooper.learning.segments import try_model
from clicooper.learning.transcript import StepDigests, Transcript, interval_bounds

__all__ = ["judge_replay"]

SeatState = tuple[State, State | None]


@dataclass(frozen=True)
class _Claimed:
    """What one seat committed to about the interval; ``end`` is None where the evidence leaves it out."""

    steps: tuple[StepDigests, ...]
    start: SeatState
    end: SeatState | None


def judge_replay(artifacts: EnclosedArtifacts) -> Judged:
    """Replays the evidence's interval, unless something that was committed convicts somebody before.

    Raises:
        EvidenceUnusable, ArtifactMissing, ArtifactCorrupt: the evidence does not hold what a replay needs.
        Contradiction: of the owner: the spec or the release cannot be used.
    """
    seats, same_class = range(artifacts.history.params.seats), artifacts.same_class
    spec = artifacts.spec
    try_model(spec.model, spec.marks, len(spec.labels))  # Before anybody is judged: what goes wrong here is nobody's.
    if wrong := tuple(_manifest_faults(artifacts, seats)) or find_label_faults(artifacts):
        return Judged(wrong)
    claimed, unusable = _read_all_claimed(artifacts, seats)
    if unusable:
        return Judged(unusable)
    replayed = _replay(artifacts, claimed)
    expected = replayed if same_class else _as_sent(claimed, replayed)
    difference = difference_in_rows([seat.steps for seat in claimed], expected)
    first = () if difference is None else (_fault(difference, replay_decides=same_class),)
    faults = (*first, *_contradictions(claimed, replayed))
    judged = Judged(faults, distances=_distances(claimed, replayed), steps=replayed.steps_count)
    if same_class:
        confirmed = f"{judged.steps} steps replayed, every digest of every seat is equal"
        return _with_metrics(artifacts, replace(judged, confirmed=confirmed), replayed.losses)
    # A loss is not the same number in another class, to as many digits as metrics are held to.
    return _within_tolerance(artifacts, _with_metrics(artifacts, judged, None), len(claimed))


def _with_metrics(artifacts: EnclosedArtifacts, judged: Judged, losses: tuple[float, ...] | None) -> Judged:
    """What the last interval also shows: the norms, and the loss at the end, that the manifests report."""
    interval = artifacts.evidence.interval or 0
    complete = len(judged.distances) == artifacts.history.params.seats
    if judged.faults or not complete or interval != artifacts.intervals - 1:
        return judged
    shown = {} if losses is None else {interval: losses}
    return replace(judged, faults=tuple(find_faults(check_progress(artifacts, artifacts.evidence.round, shown))))


def _manifest_faults(artifacts: EnclosedArtifacts, seats: range) -> Iterator[Fault]:
    for seat in seats:
        try:
            read_committed_manifest(artifacts, seat)
        except FaultProven as e:
            yield e.fault
        else:
            yield from find_faults(check_manifest(artifacts, artifacts.commitment(artifacts.evidence.round, seat)))


def _read_all_claimed(artifacts: EnclosedArtifacts, seats: range) -> tuple[list[_Claimed], tuple[Fault, ...]]:
    """What the seats committed to, and the faults of those whose content cannot be used."""
    claimed, faults = [], []
    for seat in seats:
        try:
            claimed.append(_read_claimed(artifacts, seat))
        except FaultProven as e:
            faults.append(e.fault)
    return claimed, tuple(faults)


def _read_claimed(artifacts: EnclosedArtifacts, seat: int) -> _Claimed:
    """What a seat committed to.

    Raises:
        FaultProven: it cannot be used, and the seat is answerable for it.
        EvidenceUnusable: the state that it started from is that of the round before.
    """
    evidence, interval = artifacts.evidence, artifacts.evidence.interval or 0
    steps = tuple(proven.digests for proven in artifacts.proven_steps(seat))
    with (
        hold_against(seat, Check.BOUNDARY),
        committed_by(seat, f"the committed steps of seat {seat} are no transcript", evidence.round),
    ):
        Transcript(steps, artifacts.spec.replay.interval)
    with hold_against(seat, Check.STATE):
        start = _read_start(artifacts, seat, interval)
        try:
            return _Claimed(steps, start, open_end(artifacts, evidence.round, seat, interval))
        except ArtifactMissing:
            return _Claimed(steps, start, None)


def _read_start(artifacts: EnclosedArtifacts, seat: int, interval: int) -> SeatState:
    """The state that a seat started the interval from; one that it took over is no fault of its own."""
    round_ = artifacts.evidence.round
    try:
        return open_start(artifacts, round_, seat, interval)
    except Contradiction as e:
        if e.round == round_:
            raise
        hint = f"show the round before: that is where seat {seat} took it over from"
        why = f"the state that seat {seat} took over cannot be used: {e.message}"
        raise EvidenceUnusable(why, hint=hint) from e


def _replay(artifacts: EnclosedArtifacts, claimed: Sequence[_Claimed]) -> IntervalReplay:
    spec, evidence = artifacts.spec, artifacts.evidence
    interval = evidence.interval or 0
    first, last = interval_bounds(interval, spec.training.steps, spec.replay.interval)
    rows = batch_rows(spec.seeds, evidence.round, spec.rows_until(evidence.round), spec.training)
    return replay_interval(
        spec,
        evidence.round,
        interval,
        [seat.start for seat in claimed],
        artifacts.release_rows(rows[first:last]).as_array(),
        artifacts.pseudo_labels_until(evidence.round),
        dtype=None if artifacts.same_class else np.float64,
    )


def _as_sent(claimed: Sequence[_Claimed], replayed: IntervalReplay) -> IntervalReplay:
    """What transcripts have to say whatever the arithmetic: the schedule's batches, and what neighbours sent."""
    rows = [seat.steps for seat in claimed]
    last = len(rows) - 1
    expected = tuple(
        tuple(
            replace(
                own,
                input=rows[seat - 1][at].output if seat else replayed.steps[0][at].input,
                grad_received=rows[seat + 1][at].grad_sent if seat < last else own.grad_received,
            )
            for at, own in enumerate(steps)
        )
        for seat, steps in enumerate(rows)
    )
    return replace(replayed, steps=expected)


def _fault(difference: Difference, *, replay_decides: bool) -> Fault:
    """A difference as the fault of a seat.

    At a boundary where the replay confirms what the sender committed to, the receiver has to answer for its other
    value, unless it shows the sender's signature over it. Without a replay either may have lied.
    """
    seat, step, field, pair = difference.seat, difference.step, difference.field, None
    culprit: int | None = seat
    check = Check(difference.check)
    if check is Check.COVERAGE:
        detail = f"seat {seat} committed to another batch in step {step} than the schedule's"
    elif check is Check.BOUNDARY:
        pair = difference.seats[0], difference.seats[1]
        detail = describe_mismatch(pair, field, step)
        if replay_decides:
            detail += ", and the replay confirms what was sent"
        else:
            culprit = None
    else:
        detail = f"the {field} that seat {seat} committed for step {step} is not what state, data and labels give"
    sides = "0x" + difference.expected.hex(), "0x" + difference.actual.hex()
    return Fault(culprit, check, detail, pair, step, field, *sides)


def _contradictions(claimed: Sequence[_Claimed], replayed: IntervalReplay) -> Iterator[Fault]:
    """Seats whose committed state at the interval's end is not the one in their own transcript."""
    step = replayed.first_step + replayed.steps_count - 1
    for seat, own in enumerate(claimed):
        if own.end is None:
            continue
        found, said = state_digest(*own.end), own.steps[-1].state
        if found != said:
            detail = f"the state that seat {seat} published after step {step} is not the one in its transcript"
            yield Fault(seat, Check.ARTIFACTS, detail, None, step, "state", "0x" + said.hex(), "0x" + found.hex())


def _distances(claimed: Sequence[_Claimed], replayed: IntervalReplay) -> dict[int, float]:
    """Relative L2 between committed and replayed weights at the interval's end, of the seats that fit together."""
    distances: dict[int, float] = {}
    for seat, own in enumerate(claimed):
        if own.end is not None:
            try:
                distances[seat] = compare_states(replayed.end_states[seat][0], own.end[0])
            except SpecError:
                # Of another model than it should be: what convicts is the digest, not a number.
                continue
    return distances


def _within_tolerance(artifacts: EnclosedArtifacts, judged: Judged, seats: int) -> Judged:
    spec = artifacts.spec
    tolerance, limit = spec.replay.tolerance, MAX_CROSS_CLASS_STEPS
    judged = replace(judged, tolerance=tolerance)
    if judged.steps > limit:
        why = f"{judged.steps} steps cannot be compared between runtime classes, at most {limit} can"
    elif len(judged.distances) < seats:
        why = "the evidence holds no states at the interval's end, which another runtime class needs"
    elif (worst := max(judged.distances.values())) > tolerance:
        why = f"a committed state is {worst:.1e} from the replayed one, above {tolerance:.0e}: somebody deviated"
    else:
        confirmed = f"{judged.steps} steps replayed in float64, states at most {worst:.1e} apart, of {tolerance:.0e}"
        return replace(judged, confirmed=confirmed)
    return replace(judged, unjudged=f"{why}; a reader of class {spec.runtime_class} can name the seat")
