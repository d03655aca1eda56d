"""The owner under attack: everything it has, and the part of it that others see.

Job: make the release of ``protocol.job_inputs`` for one trial, in memory, so that attacks can run on it before anything
is published. Non-jobs: attacking, training, and publishing: nothing made here may leave the machine, since its noise
comes from a seed.

An attack takes an ``Observation``, which is exactly what is public or known to the last seat, and names whatever else
it needs as an argument of its own. So no attack can use what its attacker does not know.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clicooper.attacks.evaluation_inputs import make_master
from clicooper.config import DISJOINT, JobConfig
from clicooper.errors import DataError
from clicooper.learning.bottom_model_kinds import name_head_kind
from clicooper.learning.data import Dataset, Splits
from clicooper.privacy.labels import LabelMap
from clicooper.privacy.privunit import PrivUnit
from clicooper.privacy.randomness import bind
from clicooper.privacy.release import Mechanism, Release, make_release
from clicooper.protocol.preparation.job_inputs import JobInputs, ReleasePlan, plan_release

__all__ = ["Observation", "ReleaseUnderTest", "describe_terms", "list_terms", "make_release_under_test"]

_BARE_NOISE = 0.01
"""What is called next to no noise, in units of the clip."""


def list_terms(config: JobConfig) -> dict[str, Any]:
    """What a release depends on, by name: trials that differ in nothing else have different numbers.

    A Gaussian release under a disjoint bottom model is what terms mean that name neither; a file is told from others by
    what it holds.
    """
    names = ("epsilon", "gamma", "group", "seed", "delta", "clip", "label_epsilon", "mechanism", "head", "head_epsilon")
    terms = {name: getattr(config, name) for name in names} | {"head": name_head_kind(config.head)}
    unsaid = (None, DISJOINT, "gaussian")
    return {name: value for name, value in terms.items() if value not in unsaid}


def describe_terms(epsilon: float, gamma: int, group: int, label_epsilon: float | None, mechanism: Mechanism) -> str:
    """Such as ``eps 2, gamma 4, b 1``; PrivUnit has its name instead of b, and a label epsilon is said where it is."""
    shape = f"b {group}" if mechanism == "gaussian" else "PrivUnit"
    labels = "" if label_epsilon is None else f", label eps {label_epsilon:g}"
    return f"eps {epsilon:g}, gamma {gamma}, {shape}{labels}"


@dataclass(frozen=True, eq=False)
class Observation:
    """What the last seat knows of a release; the others know all but the pseudo-labels.

    Attributes:
        rows: float64 (r, d), released activations, flattened.
        pseudo_labels: int64 (r,).
        gamma: pseudo-labels of each class, public.
        sigma: noise of a coordinate, public.
        group: records in a row, public.
        clip: L2 bound of a record, public.
        privunit: the mechanism that answered unit vectors, public; None where the noise is Gaussian.
    """

    rows: NDArray[np.float64] = field(repr=False)
    pseudo_labels: NDArray[np.int64] = field(repr=False)
    gamma: tuple[int, ...]
    sigma: float
    group: int
    clip: float
    privunit: PrivUnit | None = None

    @property
    def classes(self) -> int:
        """K."""
        return len(self.gamma)

    @property
    def count(self) -> int:
        """P, the number of pseudo-labels."""
        return sum(self.gamma)

    @cached_property
    def rows_per_label(self) -> NDArray[np.int64]:
        """int64 (P,): rows of each pseudo-label; all equal in an honest release."""
        return np.asarray(np.bincount(self.pseudo_labels, minlength=self.count), dtype=np.int64)

    @cached_property
    def means(self) -> NDArray[np.float64]:
        """float64 (P, d): the mean row of each pseudo-label, whose noise has deviation ``mean_noise``."""
        sums = np.zeros((self.count, self.rows.shape[1]))
        np.add.at(sums, self.pseudo_labels, self.rows)
        return np.asarray(sums / np.maximum(self.rows_per_label, 1)[:, None])

    @property
    def mean_noise(self) -> float:
        """Noise of a coordinate of ``means``."""
        return self.sigma / float(np.sqrt(self.rows_per_label.mean()))

    @property
    def answers(self) -> PrivUnit:
        """The mechanism that answered.

        Raises:
            DataError: a Gaussian release.
        """
        if self.privunit is None:
            raise DataError("this release is Gaussian", hint="ask for the likelihood of Gaussian rows")
        return self.privunit

    def with_rows(self, rows: NDArray[np.float64]) -> Observation:
        """The same release with other activations under the same mechanism."""
        return replace(self, rows=rows)

    def with_little_noise(self, rows: NDArray[np.float64], sigma: float) -> Observation:
        """The same release with other activations under Gaussian noise that the attacker knows."""
        return replace(self, rows=rows, sigma=sigma, privunit=None)

    def simulate(self, features: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
        """Rows as this mechanism would release them from mean features, float64 (n, d): everybody knows how."""
        if self.privunit is None:
            return np.asarray(features + rng.normal(0, self.sigma, features.shape))
        uniform, normal = rng.random((len(features), 2)), rng.normal(size=features.shape)
        return self.clip * self.privunit.answer(features, uniform, normal)


@dataclass(frozen=True, eq=False)
class ReleaseUnderTest:
    """Everything the owner has.

    Attributes:
        config: the terms; ``seed`` draws everything secret.
        inputs: with clipped features.
    """

    config: JobConfig
    inputs: JobInputs
    plan: ReleasePlan
    release: Release

    @property
    def dataset(self) -> Dataset:
        """The records."""
        return self.inputs.dataset

    @property
    def splits(self) -> Splits:
        """Their division."""
        return self.inputs.splits

    @property
    def seed(self) -> int:
        """Of the owner's secrets."""
        return self.config.seed or 0

    @property
    def label_map(self) -> LabelMap:
        """Over the released records, in the order of ``splits.release``."""
        return self.plan.label_map

    @property
    def named(self) -> NDArray[np.int64]:
        """int64 (n',), the labels that the map was made from: the true ones, unless those were randomised."""
        return self.inputs.labels.labels

    @property
    def features(self) -> NDArray[np.float64]:
        """float64 (n, d), clean, clipped and flattened, of every record of the data set."""
        return self.inputs.features.reshape(len(self.dataset), -1)

    @property
    def truth(self) -> NDArray[np.int64]:
        """int64 (P,): the class that each pseudo-label is made of, the noisy one where labels were randomised."""
        return self.label_map.class_of_pseudo

    @property
    def released_features(self) -> NDArray[np.float64]:
        """float64 (n', d): clean features of the records that the map covers."""
        return self.features[self.splits.release]

    @property
    def released_labels(self) -> NDArray[np.int64]:
        """int64 (n',): their true classes."""
        return self.dataset.labels[self.splits.release]

    @property
    def clean_rows(self) -> NDArray[np.float64]:
        """float64 (r, d): the release without its noise."""
        return np.asarray(self.released_features[self.release.record_of_row].mean(axis=1))

    def observation(self) -> Observation:
        """What is seen of it."""
        rows = np.asarray(self.release.activations, dtype=np.float64).reshape(len(self.release.activations), -1)
        return Observation(
            rows=rows,
            pseudo_labels=self.release.pseudo_labels,
            gamma=self.label_map.gamma,
            sigma=self.release.sigma,
            group=self.config.group,
            clip=self.config.clip,
            privunit=self.plan.params.privunit(rows.shape[1]) if self.config.mechanism == "privunit" else None,
        )

    def blank(self) -> Observation:
        """The floor: the same release with rows of noise alone, as if no record had any feature."""
        seen = self.observation()
        rng = np.random.default_rng([self.seed, 1])
        noise = rng.normal(0, seen.sigma, seen.rows.shape)
        if seen.privunit is None:
            return seen.with_rows(noise)
        length = seen.clip / seen.privunit.gain
        return seen.with_rows(length * noise / np.linalg.norm(noise, axis=1, keepdims=True))

    def bare(self) -> Observation:
        """The control of hiding: the same release with next to no noise, on which an attack that works must succeed."""
        return self.observation().with_little_noise(self.clean_rows, _BARE_NOISE * self.config.clip)


def make_release_under_test(inputs: JobInputs, config: JobConfig) -> ReleaseUnderTest:
    """The release that an owner with these inputs and terms would make.

    Args:
        inputs: with labels and bottom model of these terms and this seed.

    Raises:
        DataError: too few records for gamma and group.
        PrivacyClaimError: parameters for which there is no correct statement.
    """
    secret = make_master(config)
    plan = plan_release(config, inputs.labels, secret)
    if config.group > plan.label_map.m:
        raise DataError(
            f"gamma {config.gamma} leaves {plan.label_map.m} records a pseudo-label, fewer than a group of "
            f"{config.group}",
            hint="lower gamma or the group size, or release more records",
        )
    context = bind("clicooper.evaluation", bytes(inputs.labels.digest), *list_terms(config).values())
    released = inputs.features[inputs.splits.release]
    release = make_release(released, plan.label_map, plan.params, secret, context, plan.claim)
    return ReleaseUnderTest(config, inputs.clip(config.clip), plan, release)
