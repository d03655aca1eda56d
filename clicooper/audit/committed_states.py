"""Committed states, opened only as far as they can be states of their seat.

A file larger than such a state is refused before it is in memory, and a state outside of its domain before anything
computes with it. Both convict who committed it, by ``Contradiction``. Whether a state is the right one, checks say.
"""

from __future__ import annotations

from clicooper.audit.artifacts import MALFORMED, Artifacts, committed_by
from clicooper.commitments.manifest import JobSpec, SealedFile, StateLinks
from clicooper.errors import Contradiction
from clicooper.learning.checkpoint import State, decode_state
from clicooper.learning.state_domain import (
    StateDomain,
    StateViolation,
    find_violation,
    find_weights_violation,
    state_domain,
    state_size_limit,
)
from clicooper.learning.transcript import interval_bounds

__all__ = ["open_end", "open_out", "open_start", "steps_before"]

States = tuple[State, State | None]


def steps_before(spec: JobSpec, round_: int, interval: int) -> int:
    """Steps of the job that come before an interval: the optimizer goes on from round to round."""
    steps = spec.training.steps
    return round_ * steps + interval_bounds(interval, steps, spec.replay.interval)[0]


def open_start(artifacts: Artifacts, round_: int, seat: int, interval: int) -> States:
    """Weights and optimizer state at the start of an interval.

    Raises:
        Contradiction: of the seat: it is no state of its segment. One that was taken over is of the round before.
    """
    if interval:
        return open_end(artifacts, round_, seat, interval - 1)
    taken_over = round_ > 0 and not artifacts.manifest(round_, seat).own_start
    links, steps = artifacts.start_state(round_, seat, 0), steps_before(artifacts.spec, round_, 0)
    return _open(artifacts, round_ - taken_over, seat, links, steps, f"at the start of round {round_}")


def open_end(artifacts: Artifacts, round_: int, seat: int, interval: int) -> States:
    """Weights and optimizer state at the end of an interval; raises as ``open_start``."""
    training, manifest = artifacts.spec.training, artifacts.manifest(round_, seat)
    last = interval_bounds(interval, training.steps, artifacts.spec.replay.interval)[1]
    is_trained = interval == artifacts.intervals - 1
    trained = StateLinks(weights=manifest.trained, optimizer=manifest.optimizer)
    links = trained if is_trained else artifacts.start_state(round_, seat, interval + 1)
    return _open(artifacts, round_, seat, links, round_ * training.steps + last, f"after step {last - 1}")


def open_out(artifacts: Artifacts, round_: int, seat: int) -> State:
    """The marked weights; raises as ``open_start``."""
    domain = _domain(artifacts, seat)
    what, steps = f"the released weights of seat {seat}", (round_ + 1) * artifacts.spec.training.steps
    sealed = artifacts.manifest(round_, seat).out
    weights = _open_file(artifacts, round_, seat, sealed, state_size_limit(domain.weights), what)
    _refuse(find_weights_violation(domain, steps, weights), round_, seat, what)
    return weights


def _domain(artifacts: Artifacts, seat: int) -> StateDomain:
    return state_domain(artifacts.spec.model, artifacts.spec.training, seat)


def _open(artifacts: Artifacts, round_: int, seat: int, links: StateLinks, steps: int, when: str) -> States:
    domain = _domain(artifacts, seat)
    what = f"the state of seat {seat} {when}"
    weights = _open_file(artifacts, round_, seat, links.weights, state_size_limit(domain.weights), what)
    optimizer: State | None = None
    if links.optimizer is not None:
        optimizer = _open_file(artifacts, round_, seat, links.optimizer, state_size_limit(domain.moments), what)
    _refuse(find_violation(domain, steps, weights, optimizer), round_, seat, what)
    return weights, optimizer


def _open_file(artifacts: Artifacts, round_: int, seat: int, sealed: SealedFile, most: int, what: str) -> State:
    """A file as whoever committed it in that round has to answer for it, whoever else committed the same."""
    with committed_by(seat, what, round_, MALFORMED):
        # Not by ``open_file``: it holds a file against its author, whose own state may be larger than this one.
        data = artifacts.read_sealed(sealed, most)
    with committed_by(seat, what, round_):
        return decode_state(data)


def _refuse(violation: StateViolation | None, round_: int, seat: int, what: str) -> None:
    if violation is not None:
        raise Contradiction(
            f"{what} is none that training gives: {violation}",
            party=seat,
            round_=round_,
            expected=violation.expected,
            actual=violation.actual,
            hint="refuse the round, and show it to the arbiter with: clicooper evidence make",
        )
