"""The ``release`` check: the released activations are what the spec's privacy claim says, as far as a reader can tell.

Whether noise was drawn at random, its owner alone knows.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from clicooper.audit.artifacts import Artifacts
from clicooper.audit.checks.frame import Comparison, compare_all
from clicooper.audit.verdict import Check, CheckResult
from clicooper.commitments.manifest import ActivationRelease, JobSpec, ReleaseSpec
from clicooper.errors import Contradiction, PrivacyClaimError
from clicooper.privacy.accounting import gaussian_sigma, sensitivity
from clicooper.privacy.privunit import PrivUnit
from clicooper.privacy.randomised_response import RandomisedResponse, noise_of_rows
from clicooper.privacy.statement import INPUT_OR_LABEL
from clicooper.types import ACCUSED_OWNER

__all__ = ["check_release", "compare_shape"]


def check_release(artifacts: Artifacts) -> Iterator[CheckResult]:
    """One row; a failure is the owner's.

    Raises:
        Contradiction: of the owner: a claim that no mechanism can keep.
    """
    spec, release, values = artifacts.spec, artifacts.release, artifacts.activations
    claim = spec.release
    try:
        least, lengths = _needed_noise(claim, values)
        label_noise = _label_noise(claim)
    except PrivacyClaimError as e:
        why = f"no mechanism can keep the claim of the release: {e.message}"
        raise Contradiction(why, party=ACCUSED_OWNER, expected="a claim that can be kept", actual=e.message) from e
    comparisons = (
        Comparison("claim of spec and release", claim, release.release),
        Comparison("sigma at least the mechanism's", True, claim.sigma >= least * (1 - 1e-9)),
        Comparison("length of every row, where the mechanism fixes it", True, lengths),
        Comparison("delta below one in the number of records", True, claim.delta < 1 / claim.records),
        Comparison("the head's part is less than all of epsilon", True, (claim.head_epsilon or 0.0) < claim.epsilon),
        Comparison("labels are in the claim", claim.label_epsilon is not None, claim.adjacency == INPUT_OR_LABEL),
        Comparison("label noise that the loss corrects", True, spec.training.label_noise in (0.0, label_noise)),
        *compare_shape(spec, release, values),
        Comparison("on the public grid", True, _on_grid(values, claim.grid)),
    )
    yield compare_all(Check.RELEASE, str(spec.activation_release), comparisons)


def compare_shape(spec: JobSpec, release: ActivationRelease, values: np.ndarray) -> tuple[Comparison, ...]:
    """What a release needs to be trained on at all.

    Args:
        values: the released activations, float32 (rows, *shape).
    """
    return (
        Comparison("shape", release.shape, tuple(values.shape)),
        Comparison("record shape", spec.model.input_shape, tuple(values.shape[1:])),
        Comparison("rows", spec.rows_until(len(spec.labels) - 1), len(values)),
        Comparison("finite", True, bool(np.isfinite(values).all())),
    )


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
