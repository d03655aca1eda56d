"""The activation release: clip, average, add noise, shuffle, round; and the statement printed with it.

Job: what the owner publishes, once per data set, before round 0, for a head that is fixed independently of the
released records, or whose DP-SGD is composed with it (``composition``). Non-jobs: running the head, publishing,
and remembering what was spent (``ledger``).

    A = mean over a group of b same-pseudo-label records of clip_C(h(x)) + N(0, sigma^2 I)

or, for single records (b = 1), ``C PrivUnit(h(x) / |h(x)|)``, which has pure epsilon and loses the norm of h(x).

Noise is added in float64 and the sum rounded to a public grid, a power of two: rounding is post-processing, and
discards the low bits in which floating-point noise betrays its summand (Mironov, "On significance of the least
significant bits for differential privacy", CCS 2012). The guarantee is computational, and is proved for real
numbers; no bound is claimed for what the finite precision of the draws adds.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from clicooper.errors import DataError, PrivacyClaimError
from clicooper.privacy.accounting import GaussianRelease, gaussian_sigma, refuse_weak_delta, sensitivity
from clicooper.privacy.privunit import PrivUnit
from clicooper.privacy.randomness import MAX_DEVIATION, bind, normal_noise, permutation, uniform_draws
from clicooper.privacy.statement import NO_SPENDING, HeadClaim, Statement, training_in_words
from clicooper.types import Digest

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from clicooper.privacy.labels import LabelMap
    from clicooper.privacy.randomness import MasterSecret

__all__ = ["Mechanism", "Release", "ReleaseParams", "clip_rows", "make_release", "release_content", "release_context"]

CLIP_MARGIN = 1 - 2.0**-20
"""Clipping aims this factor below C, so that rounding in the clip and the mean cannot exceed the sensitivity."""

Mechanism: TypeAlias = Literal["gaussian", "privunit"]

GRID_CELLS = 1024
FLOAT32_INTEGERS = 1 << 24


@dataclass(frozen=True)
class ReleaseParams:
    """Public parameters of a release.

    Args:
        epsilon: > 0.
        delta: in (0, 1/n).
        clip: C, L2 bound of one flattened record of features, 1e-12 <= C <= 1e12.
        group: b >= 1, records averaged into one row; 1 for PrivUnit.
        mechanism: ``gaussian``, or ``privunit``, which needs no delta and releases directions: every record counts as
            one of norm C.

    Raises:
        PrivacyClaimError: numbers out of range, or groups of records answered by PrivUnit.
    """

    epsilon: float
    delta: float
    clip: float
    group: int = 1
    mechanism: Mechanism = "gaussian"

    def __post_init__(self) -> None:
        if not 1e-12 <= self.clip <= 1e12:
            raise PrivacyClaimError(f"clip {self.clip} is outside 1e-12..1e12", hint="rescale the head's output")
        if self.mechanism == "privunit":
            if self.group != 1:
                raise PrivacyClaimError(
                    f"privunit answers single records, not groups of {self.group}: averaging them gains no privacy",
                    hint="set group to 1, or mechanism to gaussian",
                )
            self.privunit(2)
        elif not 1e-30 <= self.sigma <= 1e30:
            raise PrivacyClaimError(f"sigma {self.sigma:g} is outside 1e-30..1e30", hint="choose a sensible epsilon")

    @property
    def gaussian(self) -> GaussianRelease:
        """Noise and sensitivity of the Gaussian mechanism at this epsilon and delta."""
        bound = sensitivity(self.clip, self.group)
        return GaussianRelease(gaussian_sigma(self.epsilon, self.delta, bound), bound)

    @property
    def sigma(self) -> float:
        """Standard deviation of Gaussian noise on each coordinate, in the unit of the features; see ``noise``."""
        return self.gaussian.sigma

    def privunit(self, dims: int) -> PrivUnit:
        """The mechanism for records of ``dims`` features, before it is scaled by C."""
        return PrivUnit(self.epsilon, dims)

    def noise(self, dims: int) -> float:
        """Root mean square of the chosen mechanism's noise on one of ``dims`` coordinates, in the features' unit."""
        return self.clip * self.privunit(dims).sigma if self.mechanism == "privunit" else self.sigma


@dataclass(frozen=True, eq=False)
class Release:
    """One release. ``activations``, ``sigma``, ``grid`` and ``statement`` are public, the rest is secret.

    Args:
        activations: float32 (r, *shape), every entry a multiple of ``grid``, exactly.
        pseudo_labels: int64 (r,), secret until a round's label release.
        record_of_row: int64 (r, b), secret for ever.
        sigma: standard deviation of the noise on a coordinate.
        grid: a power of two.
        statement: what may be claimed.
    """

    activations: NDArray[np.float32]
    pseudo_labels: NDArray[np.int64] = field(repr=False)
    record_of_row: NDArray[np.int64] = field(repr=False)
    sigma: float
    grid: float
    statement: Statement


def release_content(dataset: Digest, head: Digest, label_map: LabelMap, params: ReleaseParams) -> Digest:
    """Names what is to be released: data and labels, head, label map with m and gamma, and all parameters."""
    return bind("clicooper.release.content", bytes(dataset), bytes(head), bytes(label_map.digest), *_numbers(params))


def release_context(content: Digest, number: int) -> Digest:
    """The context of a release's secret draws: its content and the number that the ledger reserved for it."""
    return bind("clicooper.release.context", bytes(content), number)


def clip_rows(features: NDArray[np.float64], clip: float) -> NDArray[np.float64]:
    """Scales every record whose flattened L2 norm exceeds C (1 - 2^-20) down to that norm.

    Args:
        features: float64 (n, *shape), finite.
        clip: C > 0.

    Returns:
        float64 (n, *shape), a new array.

    Raises:
        DataError: not a batch of finite float64 records.
    """
    factors = _find_clip_factors(features, clip)
    return features * factors.reshape(-1, *[1] * (features.ndim - 1))


def make_release(
    features: NDArray[np.float64],
    label_map: LabelMap,
    params: ReleaseParams,
    secret: MasterSecret,
    context: Digest,
    head: HeadClaim = NO_SPENDING,
) -> Release:
    """Makes the release: the same arguments give the same bytes, any other argument unrelated noise.

    Groups and order are secret draws that never look at features; the surplus of ``m mod b`` records in each
    pseudo-label is dropped, without any claim of amplification. The noise key binds ``context``, every parameter,
    the label map *and* the features, so that no mistake with contexts can use one noise twice: the difference of
    two releases under one noise would show every record exactly.

    Args:
        features: float64 (n, *shape), the head's output, record i of the label map in row i.
        label_map: the data set's one map, over the same n records.
        params: public parameters.
        secret: the owner's master.
        context: from ``release_context``.
        head: what the statement says of the head; it changes no byte of the release.

    Raises:
        PrivacyClaimError: delta >= 1/n, or a group larger than m.
        DataError: features that are not finite float64, or do not match the map.
    """
    records = int(label_map.pseudo_of_record.size)
    refuse_weak_delta(head.delta or params.delta, records)
    if params.group > label_map.m:
        raise PrivacyClaimError(
            f"a group of {params.group} exceeds the {label_map.m} records of a pseudo-label",
            hint="lower the group size or gamma",
        )
    factors = _find_clip_factors(features, params.clip)
    if factors.size != records:
        raise DataError(f"{factors.size} feature records, {records} labels", hint="release what the map covers")
    bound = bind("clicooper.release.draw", bytes(context), bytes(label_map.digest), *_numbers(params))
    record_of_row = _group_rows(label_map, params.group, secret, bound)
    sums = np.zeros((len(record_of_row), *features.shape[1:]), dtype=np.float64)
    for members in record_of_row.T:
        sums += features[members] * factors[members].reshape(-1, *[1] * (features.ndim - 1))
    noise_context = bind("noise", bytes(bound), _digest_features(features))
    key = secret.derive("clicooper.release.noise", noise_context)
    dims = math.prod(features.shape[1:])
    if params.mechanism == "privunit":
        noisy = _answer(sums, params, secret.derive("clicooper.release.privunit", noise_context), key)
    else:
        noisy = sums / params.group + normal_noise(key, sums.shape, params.sigma)
    grid = _choose_grid(params, dims)
    return Release(
        activations=(np.rint(noisy / grid) * grid).astype(np.float32),
        pseudo_labels=label_map.pseudo_of_record[record_of_row[:, 0]],
        record_of_row=record_of_row,
        sigma=params.noise(dims),
        grid=grid,
        statement=_state(params, label_map, head, dims, released_rows=len(record_of_row), secure=secret.secure),
    )


def _group_rows(label_map: LabelMap, group: int, secret: MasterSecret, context: Digest) -> NDArray[np.int64]:
    """Disjoint groups of records with one pseudo-label, int64 (r, group), in secret order."""
    pseudo = label_map.pseudo_of_record
    order = permutation(secret.derive("clicooper.release.groups", context), pseudo.size)
    order = order[np.argsort(pseudo[order], kind="stable")]
    by_pseudo = order[np.count_nonzero(pseudo < 0) :].reshape(label_map.pseudo_labels, label_map.m)
    whole = label_map.m // group * group
    rows = by_pseudo[:, :whole].reshape(-1, group)
    return rows[permutation(secret.derive("clicooper.release.order", context), len(rows))]


def _find_clip_factors(features: NDArray[np.float64], clip: float) -> NDArray[np.float64]:
    """Per record min(1, C (1 - 2^-20) / norm), the norm taken after division by the peak so that it cannot overflow."""
    if features.dtype != np.float64 or features.ndim < 2 or features.size == 0:
        raise DataError(
            f"features are {features.dtype} of shape {features.shape}", hint="pass float64 of shape (n, ...)"
        )
    flat = features.reshape(len(features), -1)
    if not np.isfinite(flat).all():
        raise DataError("features hold NaN or infinite numbers", hint="check the head and the scaling of its inputs")
    peak = np.maximum(np.abs(flat).max(axis=1), np.finfo(np.float64).tiny)
    relative = np.linalg.norm(flat / peak[:, None], axis=1)
    with np.errstate(over="ignore"):  # an infinite quotient belongs to a tiny record, whose factor is 1
        allowed = clip * CLIP_MARGIN / peak
        factors: NDArray[np.float64] = np.minimum(1.0, allowed / np.maximum(relative, np.finfo(np.float64).tiny))
    return factors


def _answer(records: NDArray[np.float64], params: ReleaseParams, choice: bytes, key: bytes) -> NDArray[np.float64]:
    """PrivUnit's answers to single records, scaled to mean C h(x)/|h(x)|."""
    flat = records.reshape(len(records), -1)
    uniform, normal = uniform_draws(choice, (len(flat), 2)), normal_noise(key, flat.shape, 1.0)
    answers = params.clip * params.privunit(flat.shape[1]).answer(flat, uniform, normal)
    return np.asarray(answers.reshape(records.shape))


def _choose_grid(params: ReleaseParams, dims: int) -> float:
    """The public grid: the largest power of two <= sigma/1024, or coarser where float32 needs it.

    A row's entries are at most ``reach`` in size: C and ``MAX_DEVIATION`` sigma for Gaussian noise, the norm of an
    answer for PrivUnit. So every multiple of the grid is k * grid with |k| < 2^24 by the second bound, and float32
    holds it exactly.
    """
    sigma = params.noise(dims)
    reach = params.clip + MAX_DEVIATION * sigma
    if params.mechanism == "privunit":
        reach = params.clip / params.privunit(dims).gain
    fine = 2.0 ** math.floor(math.log2(sigma / GRID_CELLS))
    exact = 2.0 ** math.ceil(math.log2(reach / (FLOAT32_INTEGERS - 1)))
    return max(fine, exact)


def _numbers(params: ReleaseParams) -> tuple[float | int | str, ...]:
    """Every parameter, for binding; the mechanism only where it is not the first that there was."""
    named = () if params.mechanism == "gaussian" else (params.mechanism,)
    return float(params.epsilon), float(params.delta), float(params.clip), int(params.group), *named


def _digest_features(features: NDArray[Any]) -> bytes:
    little = np.ascontiguousarray(features, dtype="<f8")
    digest = hashlib.sha256(repr(little.shape).encode() + b"\0")
    digest.update(little.data.cast("B"))
    return digest.digest()


def _state(
    params: ReleaseParams, label_map: LabelMap, head: HeadClaim, dims: int, *, released_rows: int, secure: bool
) -> Statement:
    statement = Statement(
        epsilon=head.epsilon or params.epsilon,
        delta=head.delta or params.delta,
        sigma=params.noise(dims),
        clip=params.clip,
        group=params.group,
        gamma=label_map.gamma,
        m=label_map.m,
        records=int(label_map.pseudo_of_record.size),
        released_rows=released_rows,
        secure=secure,
        mechanism=params.mechanism,
        head=head.kind,
        head_epsilon=head.division.head_epsilon if head.division else None,
        release_epsilon=head.division.epsilon if head.division else None,
        training=training_in_words(head.division) if head.division else "",
        covers=head.covers,
        excludes=head.excludes,
    )
    return statement if label_map.label_epsilon is None else statement.with_labels(label_map.label_epsilon)
