"""The marks that their trainers can still show in a model that was attacked.

Four ways to show a mark, all at 2^-64 with every reading counted: *alone and blind* in the suspect's weights, *alone
and informed* beside the committed raw weights, *by its trainer*, who pools the informed readings of all its rounds into
one claim, and *jointly*, where all seats pool theirs. A mark is *detectable* if its trainer can show it without the
other seats. As a floor the same readings are made under keys that nobody embedded.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from operator import attrgetter

import numpy as np
from numpy.typing import NDArray

from clicooper.attacks.marks.marked_job import JobMark, MarkedJob
from clicooper.learning.checkpoint import State
from clicooper.learning.segments import initial_state
from clicooper.watermark.align import CLEAR, cosine
from clicooper.watermark.carriers import Carrier, carrier_of, layout_of, weights_of
from clicooper.watermark.detect import MarkReading
from clicooper.watermark.informed import PooledReading, pool_readings, read_rest, unexplained
from clicooper.watermark.keys import MarkPurpose
from clicooper.watermark.suspect import align_suspect

__all__ = ["MarkReader", "Survival"]


@dataclass(frozen=True)
class Survival:
    """Shares in [0, 1] of the ownership marks that are shown at 2^-64.

    Attributes:
        blind: found alone in the suspect's weights.
        informed: found alone beside the committed raw weights.
        trainer: whose trainer's claim over all its rounds is found.
        joint: 1 if the claim of all seats together is found, else 0.
        detectable: whose trainer can show them in any of the first three ways.
        weakest_z: of the trainers' claims, the smallest statistic; found from about 9.9.
        joint_z: the statistic of the joint claim.
    """

    blind: float
    informed: float
    trainer: float
    joint: float
    detectable: float
    weakest_z: float
    joint_z: float


@dataclass(frozen=True, eq=False)
class _Reading:
    """One mark in one suspect, both ways."""

    mark: JobMark
    blind: MarkReading
    informed: MarkReading


class MarkReader:
    """Reads all marks of a job that have one purpose.

    Args:
        job: with its keys.
        purpose: which marks.
        seed_of: gives the seed under which each is sought; by default its own, others for a floor.
    """

    def __init__(
        self,
        job: MarkedJob,
        purpose: MarkPurpose = MarkPurpose.OWNERSHIP,
        seed_of: Callable[[JobMark], bytes] = attrgetter("seed"),
    ) -> None:
        self._marks = job.marks_for(purpose)
        self._layouts = [layout_of(state) for state in job.states]
        spec = job.spec
        self._initial = [initial_state(spec.model, spec.seeds, seat) for seat in range(len(job.states))]
        self._carriers = [self._carrier(mark, seed_of(mark), job.params.bits) for mark in self._marks]

    @property
    def tests(self) -> int:
        """Readings that every claim is corrected for: two of each mark, one of each trainer's, one of all."""
        return 2 * len(self._marks) + len(self._layouts) + 1

    def read(self, states: Sequence[State], seats: Collection[int] | None = None) -> Survival:
        """Reads the marks of ``seats``, by default all, in a model of the job's layers."""
        readings = [
            self._both(mark, states[mark.seat], carrier)
            for mark, carrier in zip(self._marks, self._carriers, strict=True)
            if seats is None or mark.seat in seats
        ]
        claims = {seat: self._claim(readings, seat) for seat in {reading.mark.seat for reading in readings}}
        joint = pool_readings([reading.informed for reading in readings], self.tests)
        shown = [(r.blind.found, r.informed.found, claims[r.mark.seat].found) for r in readings]
        blind, informed, trainer = np.mean(shown, axis=0).tolist()
        return Survival(
            blind=blind,
            informed=informed,
            trainer=trainer,
            joint=float(joint.found),
            detectable=float(np.mean([any(ways) for ways in shown])),
            weakest_z=min(claim.z for claim in claims.values()),
            joint_z=joint.z,
        )

    def _claim(self, readings: Sequence[_Reading], seat: int) -> PooledReading:
        return pool_readings([reading.informed for reading in readings if reading.mark.seat == seat], self.tests)

    def _both(self, mark: JobMark, state: State, carrier: Carrier) -> _Reading:
        layout = self._layouts[mark.seat]
        raw, initial = (weights_of(known, layout) for known in (mark.raw, self._initial[mark.seat]))
        suspect = self._in_place(state, mark, raw)
        rest = unexplained(suspect, [raw, initial], layout)
        return _Reading(mark, read_rest(suspect, carrier, self.tests), read_rest(rest, carrier, self.tests))

    def _in_place(self, state: State, mark: JobMark, raw: NDArray[np.float64]) -> NDArray[np.float64]:
        """The segment as it is, or where it resembles nothing in the alignment that is most like the raw weights.

        No key takes part in the choice, so it counts as no test.
        """
        stored = weights_of(state, self._layouts[mark.seat])
        if cosine(stored, raw) >= CLEAR:
            return stored
        return max(align_suspect(state, mark.raw).vectors.values(), key=lambda vector: cosine(vector, raw))

    def _carrier(self, mark: JobMark, seed: bytes, bits: int) -> Carrier:
        return carrier_of(seed, self._layouts[mark.seat].weights, bits)
