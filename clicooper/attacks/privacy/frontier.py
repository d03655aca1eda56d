"""The frontier: every trial of a grid, kept as it finishes, averaged over seeds, and judged in words.

Job: which trials, in which order; what is known already; means and standard errors; the recommendation. Non-jobs: one
trial (``trial``), the table against the paper (``paper``), files and pages (the command line).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import TypeAlias

import numpy as np

from clicooper.attacks.evaluation_inputs import fix_seed, load_inputs
from clicooper.attacks.privacy.inversion import take_own_records
from clicooper.attacks.privacy.results_cache import ResultsCache
from clicooper.attacks.privacy.scores import average_over_seeds
from clicooper.attacks.privacy.trial import Figure, measure_trial
from clicooper.attacks.release_under_test import describe_terms, list_terms, make_release_under_test
from clicooper.commitments.canonical import encode, sha256
from clicooper.config import DISJOINT, JobConfig
from clicooper.errors import DataError
from clicooper.learning.checkpoint import state_digest
from clicooper.learning.data import digest_dataset
from clicooper.privacy.hiding import gamma_that_hides, prototype_distance, shape_that_hides
from clicooper.privacy.release import Mechanism, ReleaseParams
from clicooper.protocol.preparation.job_inputs import JobInputs, claim_head

__all__ = [
    "Grid",
    "Point",
    "Row",
    "Trials",
    "beats_controls",
    "choose_hiding_shape",
    "choose_nearest",
    "evaluate_grid",
    "recommend",
]

TRIALS_VERSION = 3
"""Part of a trial's name: raised whenever an attack or a figure changes its meaning."""

HIDDEN_ARI = 0.03
KEPT_ACCURACY = 0.02
INVERSION_EXCESS = 0.01
EXTRACTION_EXCESS = 0.01
"""What is asked of a setting (protocol, section 5), as shares."""

_UNMEASURED = {"data", "head", "seed", "split_seed", "interval", "tolerance", "publication", "samples", "pay_wei"}
"""Terms that no figure depends on, or that records, bottom model and ``list_terms`` say better."""

_Test: TypeAlias = Callable[["Point"], bool]


@dataclass(frozen=True)
class Grid:
    """What is measured.

    Args:
        config: the job's terms; what follows replaces a part of them. ``data`` may also be ``pairs`` or ``halves``. A
            ``dp-sgd`` head is made anew for each epsilon.
        epsilons: of the release.
        shapes: gamma and group size; each is measured at every epsilon, where the records allow it; PrivUnit takes
            every gamma with single records.
        seeds: 0 to ``seeds - 1``; each divides the records, trains a head and draws all secrets anew.
        hiding: also the shape that hides the map at each epsilon, by the rule of ``privacy.hiding``, from the first
            seed's head and the records that trained it.
    """

    config: JobConfig
    epsilons: tuple[float, ...]
    shapes: tuple[tuple[int, int], ...]
    seeds: int
    hiding: bool = False

    def list_trials(self, heads: Heads) -> list[JobConfig]:
        """The terms of all different trials under the seed of these inputs."""
        gaussian = self.config.mechanism == "gaussian"
        shapes = [(gamma, group if gaussian else 1) for gamma, group in self.shapes]
        named = [(epsilon, *shape) for shape in shapes for epsilon in self.epsilons]
        ruled = [(eps, *choose_hiding_shape(heads.at(eps), eps, self.config)) for eps in self.epsilons if self.hiding]
        return [
            heads.config.model_copy(update={"epsilon": epsilon, "gamma": gamma, "group": group})
            for epsilon, gamma, group in dict.fromkeys([*named, *ruled])
        ]


@dataclass(frozen=True)
class Heads:
    """One seed's inputs at every epsilon: the same ones, unless their head spends a part of epsilon."""

    config: JobConfig
    _made: dict[float, JobInputs] = field(default_factory=dict, repr=False)

    def at(self, epsilon: float) -> JobInputs:
        """The inputs of trials with this epsilon; raises what ``load_inputs`` raises."""
        config = self.config.model_copy(update={"epsilon": epsilon})
        key = epsilon if claim_head(config).division else 0.0
        if key not in self._made:
            self._made[key] = load_inputs(config)
        return self._made[key]


@dataclass(frozen=True)
class Row:
    """One figure over all seeds; ``std`` is the standard deviation of ``value``, 0 with one seed."""

    name: str
    value: float
    std: float
    floor: float
    control: float | None
    seeds: int

    @property
    def error(self) -> float:
        """Standard error of the mean over seeds."""
        return float(self.std / math.sqrt(self.seeds))


@dataclass(frozen=True)
class Point:
    """One setting over all seeds."""

    source: str
    epsilon: float
    gamma: int
    group: int
    rows: tuple[Row, ...]
    label_epsilon: float | None = None
    mechanism: Mechanism = "gaussian"
    head: str = DISJOINT

    @property
    def title(self) -> str:
        """The data set, and the head where it is not a disjoint one: ``digits, random head``."""
        return self.source if self.head == DISJOINT else f"{self.source}, {Path(self.head).name} head"

    @property
    def setting(self) -> str:
        """Such as ``eps 2, gamma 4, b 1``."""
        return describe_terms(self.epsilon, self.gamma, self.group, self.label_epsilon, self.mechanism)

    @property
    def words(self) -> str:
        """Such as ``digits, eps 2, gamma 4, b 1``."""
        return f"{self.title}, {self.setting}"

    @property
    def shape(self) -> tuple[str, str]:
        """Gamma and group size as a table shows them; PrivUnit, which takes single records, by its name."""
        return str(self.gamma), str(self.group) if self.mechanism == "gaussian" else "PrivUnit"

    def row(self, name: str) -> Row:
        """A figure by name; KeyError where these records do not have it."""
        return {row.name: row for row in self.rows}[name]

    def has(self, name: str) -> bool:
        """Whether these records have the figure."""
        return any(row.name == name for row in self.rows)


@dataclass(frozen=True)
class Trials:
    """Result of a grid.

    Attributes:
        points: settings in the grid's order.
        impossible: settings that the records do not allow, with the reason.
    """

    points: tuple[Point, ...]
    impossible: tuple[str, ...]


def evaluate_grid(grid: Grid, cache: ResultsCache, progress: Callable[[str, int, int], None]) -> Trials:
    """Measures every trial that is not in the results cache yet.

    Args:
        cache: finished trials; one that is interrupted is lost, the others are not.
        progress: called with what is being done, trials done, and trials in all.

    Raises:
        DataError: no trial of the grid is possible, or the records cannot be read.
    """
    found: dict[tuple[float, int, int], list[Sequence[Figure]]] = {}
    impossible: dict[str, str] = {}
    trials: list[JobConfig] = []
    source, kind = grid.config.data, grid.config.head
    for seed in range(grid.seeds):
        done, total = seed * len(trials), grid.seeds * len(trials)
        progress(f"{source}: a {kind} head for seed {seed}", done, total)
        heads = Heads(fix_seed(grid.config, seed))
        trials = [fix_seed(trial, seed) for trial in trials or grid.list_trials(heads)]
        for number, trial in enumerate(trials, seed * len(trials)):
            words = _describe(trial)
            progress(f"{source}: {words}, seed {seed}", number, grid.seeds * len(trials))
            try:
                figures = _measure(heads.at(trial.epsilon), trial, cache)
            except DataError as e:
                impossible[words] = e.message
                continue
            found.setdefault((trial.epsilon, trial.gamma, trial.group), []).append(figures)
    if not found:
        reason = next(iter(impossible.values()), "nothing was asked for")
        raise DataError(f"no setting of this grid is possible: {reason}", hint="lower gamma or the group size")
    described = grid.config.label_epsilon, grid.config.mechanism, kind
    points = tuple(Point(source, *key, _average(figures), *described) for key, figures in found.items())
    return Trials(points, tuple(f"{words}: {reason}" for words, reason in impossible.items()))


def choose_hiding_shape(inputs: JobInputs, epsilon: float, config: JobConfig) -> tuple[int, int]:
    """Gamma and group size that hide the map at this epsilon, from records that are never released."""
    own = take_own_records(inputs.clip(config.clip))
    params = ReleaseParams(epsilon, config.delta, config.clip, mechanism=config.mechanism)
    sigma, labels = params.noise(own.features.shape[1]), inputs.labels
    rarest = int(np.bincount(labels.labels).min())
    # Noisy classes lie closer together: each mean moves by the share rho towards the mean of all.
    distance = prototype_distance(own.features, own.labels) * (1.0 - labels.mixing)
    if config.mechanism == "privunit":
        return gamma_that_hides(distance, labels.classes, sigma, rarest).gamma, 1
    shape = shape_that_hides(distance, labels.classes, sigma, rarest)
    return shape.gamma, shape.group


def _describe(trial: JobConfig) -> str:
    return describe_terms(trial.epsilon, trial.gamma, trial.group, trial.label_epsilon, trial.mechanism)


def _measure(inputs: JobInputs, trial: JobConfig, cache: ResultsCache) -> Sequence[Figure]:
    name = _name(inputs, trial)
    kept = cache.get(name)
    if kept is not None:
        return kept
    figures = measure_trial(make_release_under_test(inputs, trial))
    cache.put(name, figures)
    return figures


def _name(inputs: JobInputs, trial: JobConfig) -> str:
    """The digest of everything that the trial depends on."""
    record = {
        "version": TRIALS_VERSION,
        "data": bytes(digest_dataset(inputs.dataset)),
        "splits": [sha256(getattr(inputs.splits, part).tobytes()) for part in ("head", "release", "holdout", "test")],
        "state": bytes(state_digest(inputs.head.state())),
        "terms": list_terms(trial),
        "job": trial.model_dump(mode="json", exclude=_UNMEASURED),
    }
    return sha256(encode(record)).hex()


def _average(trials: Sequence[Sequence[Figure]]) -> tuple[Row, ...]:
    by_name: dict[str, list[Figure]] = {}
    for figure in (figure for figures in trials for figure in figures):
        by_name.setdefault(figure.name, []).append(figure)
    return tuple(_row(name, figures) for name, figures in by_name.items())


def _row(name: str, figures: Sequence[Figure]) -> Row:
    value, std = average_over_seeds([figure.value for figure in figures])
    controls = [figure.control for figure in figures if figure.control is not None]
    control = fmean(controls) if len(controls) == len(figures) else None
    return Row(name, value, std, fmean(figure.floor for figure in figures), control, len(figures))


def recommend(points: Iterable[Point]) -> list[str]:
    """What an owner may conclude, in sentences, for one data set.

    What noise costs is told by the smallest epsilon at which it still works, what noise hides by the largest. A figure
    within two standard errors of its limit does not count as reached.
    """
    ordered = sorted(points, key=lambda point: (point.epsilon, point.gamma, point.group))
    useful: dict[str, _Test] = {
        f"the trained model stays within {100 * KEPT_ACCURACY:g} points of the same model unprotected": _keeps_accuracy,
        "training beats every control that needs no trainers": beats_controls,
    }
    hidden: dict[str, _Test] = {
        f"an oracle that knows the class means groups with a Rand index of at most {HIDDEN_ARI:g}": _hides_map,
        f"colluding seats with ten examples a class gain at most {100 * EXTRACTION_EXCESS:g} point": _hides_model,
    }
    if any(_decoders(point) for point in ordered):
        hidden[f"no decoder gains more than {INVERSION_EXCESS:g} in SSIM over its floor"] = _hides_inputs
    lines = [_found("smallest", ordered, words, holds) for words, holds in useful.items()]
    lines += [_found("largest", ordered[::-1], words, holds) for words, holds in hidden.items()]
    return [*lines, _advice(ordered, [*useful.values(), *hidden.values()])]


def _advice(ordered: Sequence[Point], tests: Sequence[_Test]) -> str:
    for point in ordered:
        if all(holds(point) for holds in tests):
            return f"Recommended: {point.words}, where all of this holds."
    best = choose_nearest(ordered)
    otherwise = f" Whoever hires trainers all the same is best off with {best.words}." if best else ""
    if not any(beats_controls(point) for point in ordered):
        return (
            "No setting is recommended: on these records the owner does at least as well with its head alone, which "
            f"reveals nothing, or with the release alone, which needs no trainers.{otherwise}"
        )
    return f"No setting here has all of this at once: choose what to give up, from the table.{otherwise}"


def choose_nearest(points: Iterable[Point]) -> Point | None:
    """Of the settings with the smallest epsilon that keep the accuracy, the one whose map is hidden best, if any."""
    kept = [point for point in points if _keeps_accuracy(point)]
    least = min((point.epsilon for point in kept), default=None)
    return min(
        (point for point in kept if point.epsilon == least),
        key=lambda point: point.row("grouping.oracle").value,
        default=None,
    )


def _found(which: str, points: Sequence[Point], words: str, holds: _Test) -> str:
    for point in points:
        if holds(point):
            return f"The {which} epsilon at which {words}: {point.epsilon:g} ({point.setting.partition(', ')[2]})."
    return f"Nowhere in this grid: {words}."


def _keeps_accuracy(point: Point) -> bool:
    protected, plain = point.row("accuracy.protected"), point.row("accuracy.unprotected")
    return protected.value - 2 * protected.error >= plain.value - KEPT_ACCURACY


def beats_controls(point: Point) -> bool:
    """Whether the trained model is above the best control by two standard errors."""
    protected = point.row("accuracy.protected")
    return protected.control is not None and protected.value - 2 * protected.error > protected.control


def _hides_model(point: Point) -> bool:
    rows = [point.row("extraction.ten_shot"), point.row("extraction.ten_shot_means")]
    return all(row.value + 2 * row.error <= (row.control or 0.0) + EXTRACTION_EXCESS for row in rows)


def _hides_map(point: Point) -> bool:
    oracle = point.row("grouping.oracle")
    # With one pseudo-label a class there is nothing to group, and naming is all that is left.
    return point.gamma > 1 and oracle.value + 2 * oracle.error <= HIDDEN_ARI


def _hides_inputs(point: Point) -> bool:
    return all(row.value + 2 * row.error <= INVERSION_EXCESS for row in _decoders(point))


def _decoders(point: Point) -> list[Row]:
    """The inversions that records have which are images; others have none, and nothing is claimed of them."""
    return [row for row in point.rows if row.name in ("inversion.linear", "inversion.network", "inversion.optimised")]
