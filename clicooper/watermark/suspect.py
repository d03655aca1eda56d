"""Looks for marks in a model of unknown origin: renamed, reordered, rescaled, pruned, quantised, part of a larger one.

A suspect is brought into the form of the committed *raw* weights of the same round, which no key has touched, in
three ways: its tensors as they are, on the reference's scales, and in the reference's order too. Each mark is read in
each of them, the best reading counts, and all readings count as tests. Nothing in the choice depends on a key, so for a
suspect that the claimant never touched after fixing it, ``log2_p`` bounds chance with everything accounted for.

A tensor that the suspect lacks reads as zeros, which say nothing either way. Reading files is done in ``learning``,
judging a claim in ``protocol``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clicooper.errors import SpecError
from clicooper.watermark.align import Order, align_tensor, cosine, rescale_tensor
from clicooper.watermark.carriers import MarkParams, State, carrier_of, check_capacity, layout_of, root_mean_square
from clicooper.watermark.detect import ACCEPT_LOG2_P, MarkReading, read_carrier
from clicooper.watermark.keys import MarkPurpose
from clicooper.watermark.match import match_tensors

__all__ = ["ALIGNMENTS", "AlignedSuspect", "ClaimedMark", "SuspectMark", "SuspectReport", "align_suspect", "find_marks"]

ALIGNMENTS = ("as stored", "rescaled", "reordered")
"""The forms of a suspect in which every mark is read."""

FITTED_GAIN = 0.05


@dataclass(frozen=True)
class ClaimedMark:
    """A mark to look for.

    Args:
        round, seat: whose raw weights the suspect is aligned with.
        purpose: which of the two marks.
        seed: 32 bytes from ``mark_seed``.
    """

    round: int
    seat: int
    purpose: MarkPurpose
    seed: bytes = field(repr=False)


@dataclass(frozen=True, eq=False)
class AlignedSuspect:
    """A suspect in the form of a reference.

    Attributes:
        vectors: by the name of the alignment, (W,) float64 in the order of the reference's layout.
        best: the one that is most like the reference, the less fitted one of two that are about equally so.
        similarity: its cosine to the reference's vector, in [-1, 1].
        tensors: how many of the layout's tensors the suspect has.
        wanted: how many there are.
    """

    vectors: Mapping[str, NDArray[np.float64]]
    best: NDArray[np.float64]
    similarity: float
    tensors: int
    wanted: int


@dataclass(frozen=True)
class SuspectMark:
    """What was read of one claimed mark.

    Attributes:
        reading: the best one, its ``log2_p`` corrected for every test of the report; None where nothing was read.
        alignment: the form of the suspect that gave it.
        similarity, tensors, wanted: as for ``AlignedSuspect``.
    """

    round: int
    seat: int
    purpose: MarkPurpose
    reading: MarkReading | None
    alignment: str
    similarity: float
    tensors: int
    wanted: int

    @property
    def log2_p(self) -> float:
        """Bound on the logarithm of the probability by chance, all tests counted; 0 where nothing was read."""
        return 0.0 if self.reading is None else self.reading.log2_p

    @property
    def found(self) -> bool:
        """Whether the mark is there beyond chance."""
        return self.log2_p <= ACCEPT_LOG2_P


@dataclass(frozen=True)
class SuspectReport:
    """All claimed marks in one suspect, in the order of the claims, and how many readings that took."""

    marks: tuple[SuspectMark, ...]
    tests: int

    @property
    def found(self) -> tuple[SuspectMark, ...]:
        """The marks that are there beyond chance."""
        return tuple(mark for mark in self.marks if mark.found)


def find_marks(
    suspect: State,
    marks: Sequence[ClaimedMark],
    references: Mapping[tuple[int, int], State],
    params: MarkParams,
    tests: int = 1,
) -> SuspectReport:
    """Looks for marks in a suspect.

    Args:
        suspect: floating or integer tensors under any names; one that is quantised may be passed as it is.
        marks: whose presence is claimed.
        references: by (round, seat), the *raw* committed weights, before any embedding.
        params: the job's mark parameters.
        tests: how many suspects, or other choices of the caller, these readings were picked from.

    Raises:
        SpecError: no test; a mark whose reference is not there; a malformed seed.
        MarkCapacityError: a reference too small for a mark.
    """
    if not isinstance(tests, int) or tests < 1:
        raise SpecError(f"{tests!r} is not a number of tests", hint="count every suspect tried, at least this one")
    if missing := {(mark.round, mark.seat) for mark in marks} - set(references):
        round_, seat = min(missing)
        raise SpecError(f"no raw weights of round {round_}, seat {seat}", hint="they lie in the trainer's own store")
    places = dict.fromkeys((mark.round, mark.seat) for mark in marks)
    for place in places:
        check_capacity(references[place], params)
    aligned = {place: align_suspect(suspect, references[place]) for place in places}
    total = tests * max(1, len(marks)) * len(ALIGNMENTS)
    return SuspectReport(tuple(_best(mark, aligned[mark.round, mark.seat], params, total) for mark in marks), total)


def align_suspect(
    suspect: State, reference: State, matched: Mapping[str, NDArray[Any]] | None = None
) -> AlignedSuspect:
    """A suspect in every form that resembles the reference.

    Args:
        suspect: tensors under any names.
        reference: raw weights, whose carrying tensors give the vectors their order.
        matched: which of its tensors is which, where that is known.
    """
    layout = layout_of(reference)
    found = match_tensors(suspect, reference, layout) if matched is None else matched
    parts: dict[str, list[NDArray[np.float64]]] = {name: [] for name in ALIGNMENTS}
    hints: list[Order] = []
    for name in layout.names:
        model = np.asarray(reference[name], np.float64)
        stored = np.asarray(found[name], np.float64) if name in found else np.zeros_like(model)
        aligned, order = align_tensor(stored, model, hints)
        forms = (stored, rescale_tensor(stored, model), aligned)
        hints.append(order)
        for alignment, form in zip(ALIGNMENTS, forms, strict=True):
            parts[alignment].append(form.ravel())
    vectors = {alignment: np.concatenate([np.zeros(0), *pieces]) for alignment, pieces in parts.items()}
    model = np.concatenate([np.zeros(0), *(np.asarray(reference[name], np.float64).ravel() for name in layout.names)])
    likeness = {alignment: cosine(vector, model) for alignment, vector in vectors.items()}
    # Fitted scales and orders take over something of the reference: preferred only where they change much.
    best = next(name for name in ALIGNMENTS if likeness[name] >= max(likeness.values()) - FITTED_GAIN)
    return AlignedSuspect(vectors, vectors[best], likeness[best], len(found), len(layout.names))


def _best(mark: ClaimedMark, suspect: AlignedSuspect, params: MarkParams, tests: int) -> SuspectMark:
    readings = dict(_readings(mark.seed, suspect, params, tests))
    alignment = min(readings, key=lambda name: (readings[name].log2_p, -readings[name].z), default=ALIGNMENTS[0])
    return SuspectMark(
        round=mark.round,
        seat=mark.seat,
        purpose=mark.purpose,
        reading=readings.get(alignment),
        alignment=alignment,
        similarity=suspect.similarity,
        tensors=suspect.tensors,
        wanted=suspect.wanted,
    )


def _readings(
    seed: bytes, suspect: AlignedSuspect, params: MarkParams, tests: int
) -> Iterator[tuple[str, MarkReading]]:
    size = next(iter(suspect.vectors.values())).size
    carrier = carrier_of(seed, size, params.bits)
    for alignment, vector in suspect.vectors.items():
        try:
            root_mean_square(vector)
            yield alignment, read_carrier(vector, carrier, tests)
        except SpecError:
            # Nothing of the segment is there, or numbers that no model has: that is no reading, not a failure.
            continue
