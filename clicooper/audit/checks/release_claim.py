"""What a specification's privacy claim says of the released activations, as far as a reader can tell.

Job: the claims, each with what it demands and what there is. Non-jobs: the row that judges them (``checks``), and
whether noise was drawn at random, which its owner alone knows.
"""

from __future__ import annotations

import math

import numpy as np

from clicooper.commitments.manifest import ActivationRelease, JobSpec, ReleaseSpec
from clicooper.privacy.accounting import gaussian_sigma, sensitivity
from clicooper.privacy.privunit import PrivUnit
from clicooper.privacy.randomised_response import RandomisedResponse, noise_of_rows
from clicooper.privacy.statement import INPUT_OR_LABEL

__all__ = ["release_claims", "shape_claims"]


def release_claims(spec: JobSpec, release: ActivationRelease, values: np.ndarray) -> list[tuple[str, object, object]]:
    """Name, what is demanded and what there is, for each claim.

    Args:
        values: the released activations, float32 (r, *shape).

    Raises:
        PrivacyClaimError: a claim that no mechanism can keep.
    """
    claim = spec.release
    least, lengths = _needed_noise(claim, values)
    return [
        ("claim of spec and release", claim, release.release),
        ("sigma at least the mechanism's", True, claim.sigma >= least * (1 - 1e-9)),
        ("length of every row, where the mechanism fixes it", True, lengths),
        ("delta below one in the number of records", True, claim.delta < 1 / claim.records),
        ("the head's part is less than all of epsilon", True, (claim.head_epsilon or 0.0) < claim.epsilon),
        ("labels are in the claim", claim.label_epsilon is not None, claim.adjacency == INPUT_OR_LABEL),
        ("label noise that the loss corrects", True, spec.training.label_noise in (0.0, _label_noise(claim))),
        *shape_claims(spec, release, values),
        ("on the public grid", True, _on_grid(values, claim.grid)),
    ]


def shape_claims(spec: JobSpec, release: ActivationRelease, values: np.ndarray) -> list[tuple[str, object, object]]:
    """The claims without which nobody can train on the release; arguments and result as ``release_claims``."""
    return [
        ("shape", release.shape, tuple(values.shape)),
        ("record shape", spec.model.input_shape, tuple(values.shape[1:])),
        ("rows", spec.rows_until(len(spec.labels) - 1), len(values)),
        ("finite", True, bool(np.isfinite(values).all())),
    ]


def _needed_noise(claim: ReleaseSpec, values: np.ndarray) -> tuple[float, bool]:
    """The least sigma that the claim allows, and whether all rows have the length that its mechanism gives them."""
    if claim.mechanism == "gaussian":
        return gaussian_sigma(claim.epsilon, claim.delta, sensitivity(claim.clip, claim.group)), True
    rows = values.reshape(len(values), -1).astype(np.float64)
    # Its epsilon is added to that of a head from the same records.
    answers = PrivUnit(claim.epsilon - (claim.head_epsilon or 0.0), rows.shape[1])
    # Rounding to the grid moves every coordinate by half a cell at most.
    off = np.abs(np.linalg.norm(rows, axis=1) - claim.clip / answers.gain)
    return claim.clip * answers.sigma, claim.group == 1 and bool((off <= claim.grid * math.sqrt(rows.shape[1])).all())


def _label_noise(claim: ReleaseSpec) -> float:
    """What the response that is claimed leaves to the loss."""
    if claim.label_epsilon is None:
        return 0.0
    return noise_of_rows(RandomisedResponse(claim.label_epsilon, len(claim.gamma)).mixing, claim.group)


def _on_grid(values: np.ndarray, grid: float) -> bool:
    multiples = values.astype(np.float64) / grid
    return bool((multiples == np.rint(multiples)).all())
