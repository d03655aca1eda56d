"""Whether a suspect descends from a committed checkpoint, without looking at any mark.

A key that was committed long ago verifies in whatever it is embedded into later, a stolen model too. What it cannot do
is make that model resemble its own checkpoint. Two things are asked, both against the *raw* weights, which carry no
mark of this round, and with the opened mark taken out of the suspect:

- **Likeness.** The cosine of suspect and checkpoint after alignment is at least 1/sqrt(2): the checkpoint accounts for
  more than half of the suspect. Two checkpoints that have nothing in common cannot both. The null is the best cosine
  to models with other starting weights under the same search.
- **Training.** Starting weights follow from a public seed, so that anybody can begin from the same ones, and a round
  may move them by a few per cent only. In ``suspect ~ alpha start + beta (checkpoint - start)``, by least squares over
  the weights that the suspect has not set to zero, beta/alpha is about 1 in a descendant and far below in a model that
  only shares the start. At least 3/4 is asked, 8 standard errors from zero; the error is that of a training in a
  random direction.

What this does not show: that the suspect holds nothing else. A model made by *adding* two trainers' updates to one
start descends from both.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clicooper.types import Verdict
from clicooper.watermark.carriers import Carrier, State, layout_of, project, weights_of
from clicooper.watermark.match import match_tensors
from clicooper.watermark.suspect import align_suspect

__all__ = ["MIN_COSINE", "MIN_SHARE", "MIN_SIGMAS", "Similarity", "compare_suspect"]

MIN_COSINE = math.sqrt(0.5)
NULL_MARGIN = 0.1
"""Distance to the largest cosine of the null below which nothing but chance is seen."""

MIN_SHARE = 0.75
"""Adding three quarters of another training to a model costs much accuracy; docs/watermark.md has the price."""

MIN_SIGMAS = 8.0
MIN_SUPPORT = 1024
MAX_SIGMAS = 1e6


@dataclass(frozen=True)
class Similarity:
    """How a suspect compares with a checkpoint.

    Attributes:
        cosine: of the aligned suspect to the raw weights, in [-1, 1].
        null: that of the same suspect to each independent model, aligned the same way.
        share: beta/alpha, how much of the checkpoint's training the suspect contains; about 1 in a descendant.
        sigmas: beta over its standard error.
    """

    cosine: float
    null: tuple[float, ...]
    share: float
    sigmas: float

    @property
    def verdict(self) -> Verdict:
        """Pass: a descendant. Fail: not one. Inconclusive: somewhere between, as after heavy damage."""
        if self.cosine <= max(self.null, default=0.0) + NULL_MARGIN:
            return Verdict.FAIL
        error = abs(self.share) / self.sigmas if self.sigmas else math.inf
        if self.share + MIN_SIGMAS * error < MIN_SHARE:
            return Verdict.FAIL
        enough = self.cosine >= MIN_COSINE and self.share >= MIN_SHARE and self.sigmas >= MIN_SIGMAS
        return Verdict.PASS if enough else Verdict.INCONCLUSIVE

    def in_words(self) -> str:
        """The figures and what they are held against."""
        return (
            f"cosine {self.cosine:.3f} (needs {MIN_COSINE:.3f}; independent models reach "
            f"{max(self.null, default=0.0):.3f}), share of this training {self.share:.2f} at "
            f"{self.sigmas:.1f} standard errors (needs {MIN_SHARE} at {MIN_SIGMAS:g})"
        )


def compare_suspect(
    suspect: State, trained: State, start: State, independent: Sequence[State], mark: Carrier | None = None
) -> Similarity:
    """Compares a suspect with a committed checkpoint.

    Args:
        suspect: tensors under any names.
        trained: the raw weights that were committed.
        start: the public starting weights of the job's round 0.
        independent: models of the same shapes that have nothing to do with the checkpoint: the null.
        mark: the opened mark, taken out of the suspect first.
    """
    layout = layout_of(trained)
    matched = match_tensors(suspect, trained, layout)
    aligned = align_suspect(suspect, trained, matched)
    model = weights_of(trained, layout)
    null = tuple(align_suspect(suspect, other, matched).similarity for other in independent)
    share, sigmas = _training_share(_without(aligned.best, mark), model, weights_of(start, layout))
    return Similarity(aligned.similarity, null, share, sigmas)


def _without(vector: NDArray[np.float64], mark: Carrier | None) -> NDArray[np.float64]:
    """The suspect without its components along the mark's carriers."""
    if mark is None:
        return vector
    cleared = vector.copy()
    step = project(vector, mark) / math.sqrt(mark.blocks.shape[1])
    cleared[mark.blocks] -= mark.signs * step[:, None]
    # What the suspect had set to zero stays zero: those weights say nothing.
    cleared[vector == 0] = 0.0
    return cleared


def _training_share(
    vector: NDArray[np.float64], trained: NDArray[np.float64], start: NDArray[np.float64]
) -> tuple[float, float]:
    """The share of the module's text and how many standard errors it is from zero; both 0 where nothing can be said."""
    support = vector != 0
    y, begin, update = vector[support], start[support], (trained - start)[support]
    if y.size < MIN_SUPPORT or not begin.any():
        return 0.0, 0.0
    length = math.sqrt(float(np.square(begin).sum()))
    along = float((update * begin).sum()) / length**2
    update = update - along * begin
    rest = y - float((y * begin).sum()) / length**2 * begin
    power = float(np.square(update).sum())
    if power == 0.0:
        return 0.0, 0.0
    beta = float((rest * update).sum()) / power
    # The update's part along the start belongs to it, not to the start.
    alpha = float((y * begin).sum()) / length**2 - beta * along
    noise = float(np.square(rest - beta * update).sum()) / y.size
    error = math.sqrt(max(noise, np.finfo(np.float64).tiny) / power)
    return (beta / alpha if alpha > 0 else 0.0), min(beta / error, MAX_SIGMAS)
