"""The frontier: every cell of a grid, kept as it finishes, averaged over seeds, and judged in words.

Job: which cells, in which order; what is known already; means and standard errors; the recommendation. Non-jobs: one
cell (``trials``), the table against the paper (``paper``), files and pages (the command line).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import fmean
from typing import Protocol, TypeAlias

import numpy as np

from clicooper.attacks.evaluation_inputs import EvaluationInputs, Kept, load_inputs
from clicooper.attacks.privacy.scores import mean_and_deviation
from clicooper.attacks.privacy.trial import Figure, measure_trial
from clicooper.attacks.release_under_test import Setting, make_release_under_test, setting_words
from clicooper.attacks.trained import TrainingPlan
from clicooper.commitments.canonical import encode, sha256
from clicooper.config import DISJOINT
from clicooper.errors import DataError
from clicooper.learning.bottom_model_kinds import head_claim
from clicooper.learning.checkpoint import state_digest
from clicooper.learning.data import dataset_digest
from clicooper.learning.released import label_records
from clicooper.privacy.hiding import gamma_that_hides, prototype_distance, shape_that_hides
from clicooper.privacy.randomness import MasterSecret
from clicooper.privacy.release import Mechanism, ReleaseParams

__all__ = [
    "Grid",
    "Point",
    "ResultsCache",
    "Row",
    "Trials",
    "beats_controls",
    "evaluate",
    "hiding_shape",
    "nearest",
    "recommend",
]

CELLS_VERSION = 2
"""Part of a cell's name: raised whenever an attack or a figure changes its meaning."""

HIDDEN_ARI = 0.03
KEPT_ACCURACY = 0.02
INVERSION_EXCESS = 0.01
EXTRACTION_EXCESS = 0.01
"""What is asked of a setting (protocol, section 5), as shares."""

_Test: TypeAlias = Callable[["Point"], bool]


@dataclass(frozen=True)
class Grid:
    """What is measured.

    Args:
        source: ``digits``, ``pairs``, or what ``load_dataset`` takes.
        epsilons: of the release.
        shapes: gamma and group size; each is measured at every epsilon, where the records allow it.
        hiding: also the shape that hides the map at each epsilon, by the rule of ``privacy.hiding``, from the first
            seed's head and the records that trained it.
        head: ``disjoint``, ``random``, a file, or ``dp-sgd``: a head for each epsilon, which spends half of it.
        seeds: 0 to ``seeds - 1``; each divides the records, trains a head and draws all secrets anew.
        label_epsilon: of the randomised response of the labels, everywhere; None releases them as they are.
        mechanism: of the release, everywhere; PrivUnit takes every gamma with single records.
    """

    source: str
    epsilons: tuple[float, ...]
    shapes: tuple[tuple[int, int], ...]
    seeds: int
    delta: float = 1e-5
    clip: float = 1.0
    dims: int = 16
    head: str = DISJOINT
    label_epsilon: float | None = None
    mechanism: Mechanism = "gaussian"
    hiding: bool = False
    kept: Kept = field(default_factory=Kept)
    plan: TrainingPlan = field(default_factory=TrainingPlan)

    def settings(self, heads: Heads) -> list[Setting]:
        """All different settings, with the seed of their material."""
        shapes = [(gamma, group if self.mechanism == "gaussian" else 1) for gamma, group in self.shapes]
        named = [(epsilon, *shape) for shape in shapes for epsilon in self.epsilons]
        ruled = [(epsilon, *hiding_shape(heads.at(epsilon), epsilon, self)) for epsilon in self.epsilons if self.hiding]
        different = dict.fromkeys([*named, *ruled])
        return [self._setting(heads.seed, *chosen) for chosen in different]

    def _setting(self, seed: int, epsilon: float, gamma: int, group: int) -> Setting:
        return Setting(
            epsilon,
            gamma,
            group,
            seed,
            self.delta,
            self.clip,
            label_epsilon=self.label_epsilon,
            mechanism=self.mechanism,
            head=self.head,
        )


@dataclass(frozen=True)
class Heads:
    """One seed's material at every epsilon: the same one, unless its head spends a part of epsilon."""

    grid: Grid
    seed: int
    _made: dict[float, EvaluationInputs] = field(default_factory=dict, repr=False)

    def at(self, epsilon: float) -> EvaluationInputs:
        """The material of settings with this epsilon; raises what ``load_inputs`` raises."""
        grid = self.grid
        claim = head_claim(grid.head, epsilon, grid.delta, mechanism=grid.mechanism)
        key = epsilon if claim.division else 0.0
        if key not in self._made:
            self._made[key] = load_inputs(
                grid.source,
                self.seed,
                grid.kept,
                dims=grid.dims,
                clip=grid.clip,
                head=grid.head,
                claim=claim,
                label_epsilon=grid.label_epsilon,
            )
        return self._made[key]


class ResultsCache(Protocol):
    """Where finished cells are kept, by name."""

    def get(self, name: str) -> tuple[Figure, ...] | None:
        """The figures of a finished cell."""
        ...

    def put(self, name: str, figures: Sequence[Figure]) -> None:
        """Keeps a cell."""
        ...


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
        return setting_words(self.epsilon, self.gamma, self.group, self.label_epsilon, self.mechanism)

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


def evaluate(grid: Grid, cache: ResultsCache, progress: Callable[[str, int, int], None]) -> Trials:
    """Measures every cell that is not on the results cache yet.

    Args:
        results cache: finished cells; one that is interrupted is lost, the others are not.
        progress: called with what is being done, cells done, and cells in all.

    Raises:
        DataError: no cell of the grid is possible, or the records cannot be read.
    """
    found: dict[tuple[float, int, int], list[Sequence[Figure]]] = {}
    impossible: dict[str, str] = {}
    settings: list[Setting] = []
    for seed in range(grid.seeds):
        done, total = seed * len(settings), grid.seeds * len(settings)
        progress(f"{grid.source}: a {grid.head} head for seed {seed}", done, total)
        heads = Heads(grid, seed)
        settings = [replace(setting, seed=seed) for setting in settings or grid.settings(heads)]
        for number, setting in enumerate(settings, seed * len(settings)):
            progress(f"{grid.source}: {setting.words()}, seed {seed}", number, grid.seeds * len(settings))
            try:
                figures = _cell(heads.at(setting.epsilon), setting, grid, cache)
            except DataError as e:
                impossible[setting.words()] = e.message
                continue
            found.setdefault((setting.epsilon, setting.gamma, setting.group), []).append(figures)
    if not found:
        reason = next(iter(impossible.values()), "nothing was asked for")
        raise DataError(f"no setting of this grid is possible: {reason}", hint="lower gamma or the group size")
    described = grid.label_epsilon, grid.mechanism, grid.head
    points = tuple(Point(grid.source, *key, _averaged(trials), *described) for key, trials in found.items())
    return Trials(points, tuple(f"{words}: {reason}" for words, reason in impossible.items()))


def hiding_shape(inputs: EvaluationInputs, epsilon: float, grid: Grid) -> tuple[int, int]:
    """Gamma and group size that hide the map at this epsilon, from records that are never released."""
    own = inputs.own(grid.clip)
    sigma = ReleaseParams(epsilon, grid.delta, grid.clip, mechanism=grid.mechanism).noise(own.features.shape[1])
    secret = MasterSecret.from_seed(inputs.seed)
    released = label_records(inputs.dataset, inputs.splits.release, secret, grid.label_epsilon)
    rarest = int(np.bincount(released.labels).min())
    # Noisy classes lie closer together: each mean moves by the share rho towards the mean of all.
    distance = prototype_distance(own.features, own.labels) * (1.0 - released.mixing)
    if grid.mechanism == "privunit":
        return gamma_that_hides(distance, inputs.dataset.classes, sigma, rarest).gamma, 1
    shape = shape_that_hides(distance, inputs.dataset.classes, sigma, rarest)
    return shape.gamma, shape.group


def _cell(inputs: EvaluationInputs, setting: Setting, grid: Grid, cache: ResultsCache) -> Sequence[Figure]:
    name = _name(inputs, setting, grid)
    kept = cache.get(name)
    if kept is not None:
        return kept
    # Whether the setting is possible is known before anything is trained.
    make_release_under_test(inputs.dataset, inputs.splits, inputs.head, setting)
    figures = measure_trial(inputs, setting, grid.plan)
    cache.put(name, figures)
    return figures


def _name(inputs: EvaluationInputs, setting: Setting, grid: Grid) -> str:
    """The digest of everything that the cell depends on."""
    record: dict[str, object] = {
        "version": CELLS_VERSION,
        "data": bytes(dataset_digest(inputs.dataset)),
        "splits": [sha256(getattr(inputs.splits, part).tobytes()) for part in ("head", "release", "holdout", "test")],
        "setting": {name: _plain(value) for name, value in setting.numbers().items()},
        "plan": {name: _plain(value) for name, value in asdict(grid.plan).items() if value != "plain"},
        "dims": grid.dims,
    }
    if grid.head != DISJOINT:
        record["state"] = bytes(state_digest(inputs.head.state()))
    return sha256(encode(record)).hex()


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


def _averaged(trials: Sequence[Sequence[Figure]]) -> tuple[Row, ...]:
    by_name: dict[str, list[Figure]] = {}
    for figure in (figure for figures in trials for figure in figures):
        by_name.setdefault(figure.name, []).append(figure)
    return tuple(_row(name, figures) for name, figures in by_name.items())


def _row(name: str, figures: Sequence[Figure]) -> Row:
    value, std = mean_and_deviation([figure.value for figure in figures])
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
    best = nearest(ordered)
    otherwise = f" Whoever hires trainers all the same is best off with {best.words}." if best else ""
    if not any(beats_controls(point) for point in ordered):
        return (
            "No setting is recommended: on these records the owner does at least as well with its head alone, which "
            f"reveals nothing, or with the release alone, which needs no trainers.{otherwise}"
        )
    return f"No setting here has all of this at once: choose what to give up, from the table.{otherwise}"


def nearest(points: Iterable[Point]) -> Point | None:
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
