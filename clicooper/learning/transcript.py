"""The transcript: for every step, digests of what crossed a segment's boundaries and of its state.

A row is 160 bytes: input, output, gradient received, gradient sent, state; 32 zero bytes where nothing crossed and
where no state is taken. ``Transcript.from_bytes(t.to_bytes(), t.interval) == t``.

Taking the digests is the job of ``recorder``. Signing a boundary and judging a difference are not its job.
"""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Self, TypeAlias

from clicooper.commitments.manifest import BoundaryDigests
from clicooper.commitments.merkle import merkle_root, transcript_leaf
from clicooper.errors import SpecError
from clicooper.types import ZERO_DIGEST, Digest

__all__ = [
    "ROW_BYTES",
    "Crossing",
    "RunningBoundary",
    "StepDigests",
    "Transcript",
    "ends_interval",
    "interval_bounds",
    "interval_count",
    "row_bytes",
    "rows_from_bytes",
]

ROW_BYTES = 160

Crossing: TypeAlias = Literal["input", "output", "grad_received", "grad_sent"]
"""What crosses a segment's boundaries in a step."""


@dataclass(frozen=True)
class StepDigests:
    """Digests of one step of one seat, 32 bytes each."""

    input: Digest
    output: Digest
    grad_received: Digest
    grad_sent: Digest
    state: Digest


def _digests(step: StepDigests) -> tuple[Digest, ...]:
    """In their order in a row; a round has many steps, and ``dataclasses.astuple`` copies each."""
    return step.input, step.output, step.grad_received, step.grad_sent, step.state


def row_bytes(digests: StepDigests) -> bytes:
    """One step as ``ROW_BYTES`` bytes."""
    return b"".join(_digests(digests))


def rows_from_bytes(data: bytes) -> tuple[StepDigests, ...]:
    """The steps behind joined ``row_bytes``.

    Raises:
        SpecError: no whole rows.
    """
    if len(data) % ROW_BYTES:
        raise SpecError(f"transcript of {len(data)} bytes has no whole rows", hint="the file is damaged")
    digests = [Digest(data[at : at + 32]) for at in range(0, len(data), 32)]
    return tuple(map(StepDigests, digests[0::5], digests[1::5], digests[2::5], digests[3::5], digests[4::5]))


def interval_count(steps: int, interval: int) -> int:
    """Intervals of a round; the last one may be shorter."""
    return -(-steps // interval)


def interval_bounds(index: int, steps: int, interval: int) -> tuple[int, int]:
    """First step of an interval, and the step after its last.

    Raises:
        SpecError: no such interval.
    """
    if not 0 <= index < interval_count(steps, interval):
        raise SpecError(f"interval {index} does not exist", hint=f"the round has {interval_count(steps, interval)}")
    return index * interval, min((index + 1) * interval, steps)


def ends_interval(step: int, steps: int, interval: int) -> bool:
    """Whether a state is taken after ``step``."""
    return (step + 1) % interval == 0 or step + 1 == steps


@dataclass(frozen=True)
class Transcript:
    """All steps of one seat's round, with a state digest after every ``interval`` steps and after the last."""

    steps: tuple[StepDigests, ...]
    interval: int

    def __post_init__(self) -> None:
        """Raises SpecError for no steps, digests of another length, and states absent or present at the wrong step."""
        hint = "the transcript was not written by this protocol, or is damaged"
        if not self.steps or self.interval < 1:
            raise SpecError("a transcript needs at least one step and an interval of at least 1", hint=hint)
        for step, digests in enumerate(self.steps):
            if any(len(digest) != 32 for digest in _digests(digests)):
                raise SpecError(f"step {step} of a transcript has a digest that is not 32 bytes", hint=hint)
            if (digests.state != ZERO_DIGEST) != ends_interval(step, len(self.steps), self.interval):
                raise SpecError(f"step {step} of a transcript has no state digest, or one too many", hint=hint)

    @cached_property
    def leaves(self) -> tuple[Digest, ...]:
        """The Merkle leaf of each step, in step order."""
        return tuple(
            transcript_leaf(step, d.input, d.output, d.grad_received, d.grad_sent, d.state)
            for step, d in enumerate(self.steps)
        )

    @cached_property
    def root(self) -> Digest:
        """The Merkle root that the manifest commits."""
        return merkle_root(self.leaves)

    def boundary(self) -> BoundaryDigests:
        """Running digests of each direction over the whole round."""
        running = RunningBoundary()
        for row in self.steps:
            running.add(row)
        return running.digests()

    def state_after(self, index: int) -> Digest:
        """Digest of weights and optimizer state at the end of interval ``index``, see ``checkpoint.state_digest``."""
        return self.steps[interval_bounds(index, len(self.steps), self.interval)[1] - 1].state

    def to_bytes(self) -> bytes:
        """One row of ``ROW_BYTES`` per step."""
        return b"".join(map(row_bytes, self.steps))

    @classmethod
    def from_bytes(cls, data: bytes, interval: int) -> Self:
        """Reads rows.

        Raises:
            SpecError: no whole rows, or states at other steps than ``interval`` says.
        """
        return cls(rows_from_bytes(data), interval)


class RunningBoundary:
    """Running digests that grow step by step, one a direction.

    Each is sha2-256 over the digests of the steps added so far, in their order; zero if nothing crossed in any of them.
    """

    def __init__(self) -> None:
        self._running = {name: hashlib.sha256() for name in BoundaryDigests.model_fields}
        self._crossed: set[str] = set()

    def add(self, row: StepDigests) -> None:
        """The next step."""
        for name, running in self._running.items():
            digest: Digest = getattr(row, name)
            running.update(digest)
            if digest != ZERO_DIGEST:
                self._crossed.add(name)

    def digests(self) -> BoundaryDigests:
        """As they are now."""
        running = self._running.items()
        return BoundaryDigests(**{n: r.digest() if n in self._crossed else ZERO_DIGEST for n, r in running})
