"""What the attacks on marks showed, as rows: means and deviations over seeds, prices, and open weaknesses.

A removal attack that leaves accuracy within two points and fewer than nine in ten marks detectable is an open weakness,
and is named as one with its price. Pure; running attacks is the job of ``mark_evaluation``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median, stdev
from typing import TypeVar

from scipy.stats import t

from clicooper.attacks.marks.outcomes import Forgery, MarkCost, OutcomeLog, RemovalOutcome
from clicooper.errors import UsageError

__all__ = ["ForgeryRow", "MarkSummary", "RemovalRow", "summarise"]

TOLERATED = 0.02
"""A removal attack counts where it costs at most this accuracy."""

ENOUGH = 0.9
"""Share of detectable ownership marks at which an attack counts as survived."""

T = TypeVar("T", RemovalOutcome, Forgery)


@dataclass(frozen=True)
class RemovalRow:
    """One removal attack in one setting over all seeds; means unless said otherwise.

    Attributes:
        accuracy, accuracy_std: after the attack, in [0, 1].
        change: accuracy after minus before; ``half_width`` is that of its 95 % interval.
        detectable, detectable_std: share of ownership marks that their trainers can show.
        blind, informed, trainer, joint: shares that each way alone shows.
        weakest_z: the smallest statistic of any trainer's claim with any seed.
        floor, control: share detectable under keys of nobody, and before the attack.
        seconds, share: median cost, and as a share of the job's training time.
    """

    name: str
    setting: str
    knows: str
    seeds: int
    accuracy: float
    accuracy_std: float
    change: float
    half_width: float
    detectable: float
    detectable_std: float
    blind: float
    informed: float
    trainer: float
    joint: float
    weakest_z: float
    floor: float
    control: float
    seconds: float
    share: float

    @property
    def keeps_accuracy(self) -> bool:
        """Whether the attack leaves a model worth stealing."""
        return self.change >= -TOLERATED

    @property
    def is_open_weakness(self) -> bool:
        """Whether it takes marks at a price that a thief pays."""
        return self.keeps_accuracy and self.detectable < ENOUGH


@dataclass(frozen=True)
class ForgeryRow:
    """One forgery over all seeds: how often its mark read and how often the claim stood, and what refused it."""

    name: str
    setting: str
    seeds: int
    reads: float
    stands: float
    refused_by: str
    measured: str


@dataclass(frozen=True)
class MarkSummary:
    """Everything that an evaluation showed.

    Attributes:
        seeds: jobs, or attackers' seeds.
        found: share of all marks found blind in the final models, before any attack.
        cost: mean accuracy lost to marks, in [-1, 1]; ``cost_half_width`` is that of its 95 % interval.
    """

    seeds: int
    found: float
    unmarked: float
    cost: float
    cost_half_width: float
    cost_std: float
    removals: tuple[RemovalRow, ...]
    forgeries: tuple[ForgeryRow, ...]

    @property
    def open_weaknesses(self) -> tuple[RemovalRow, ...]:
        """The removal attacks that marks do not survive at a low price."""
        return tuple(row for row in self.removals if row.is_open_weakness)


def summarise(log: OutcomeLog, seeds: int) -> MarkSummary:
    """The log as rows, in the order of the attacks.

    Args:
        seeds: entries of seeds 1 to this count; an earlier evaluation may have had more.

    Raises:
        UsageError: the log has none of them.
    """
    costs = [cost for cost in log.of_kind(MarkCost) if cost.seed <= seeds]
    removals, forgeries = log.of_kind(RemovalOutcome), log.of_kind(Forgery)
    if not costs:
        raise UsageError("there is nothing to sum up", hint="run the evaluation first")
    lost = [cost.unmarked - cost.marked for cost in costs]
    return MarkSummary(
        seeds=len(costs),
        found=fmean(cost.found for cost in costs),
        unmarked=fmean(cost.unmarked for cost in costs),
        cost=fmean(lost),
        cost_half_width=_half_width(lost),
        cost_std=_std(lost),
        removals=tuple(_removal_row(group) for group in _group(removals, seeds)),
        forgeries=tuple(_forgery_row(group) for group in _group(forgeries, seeds)),
    )


def _group(entries: Sequence[T], seeds: int) -> list[list[T]]:
    groups: dict[tuple[str, str], list[T]] = {}
    for entry in (entry for entry in entries if entry.seed <= seeds):
        groups.setdefault((entry.name, entry.setting), []).append(entry)
    return list(groups.values())


def _removal_row(group: Sequence[RemovalOutcome]) -> RemovalRow:
    accuracies, detectable = [o.accuracy for o in group], [o.found.detectable for o in group]
    changes = [o.accuracy - o.before for o in group]
    return RemovalRow(
        name=group[0].name,
        setting=group[0].setting,
        knows=group[0].knows,
        seeds=len(group),
        accuracy=fmean(accuracies),
        accuracy_std=_std(accuracies),
        change=fmean(changes),
        half_width=_half_width(changes),
        detectable=fmean(detectable),
        detectable_std=_std(detectable),
        **{way: fmean(getattr(o.found, way) for o in group) for way in ("blind", "informed", "trainer", "joint")},
        weakest_z=min(o.found.weakest_z for o in group),
        floor=fmean(o.floor for o in group),
        control=fmean(o.control for o in group),
        seconds=median(o.seconds for o in group),
        share=median(o.share for o in group),
    )


def _forgery_row(group: Sequence[Forgery]) -> ForgeryRow:
    parts = sorted({forged.refused_by for forged in group})
    return ForgeryRow(
        name=group[0].name,
        setting=group[0].setting,
        seeds=len(group),
        reads=fmean(forged.reads for forged in group),
        stands=fmean(forged.stands for forged in group),
        refused_by=", ".join(part or "nothing" for part in parts),
        measured=group[0].measured,
    )


def _std(values: Sequence[float]) -> float:
    return stdev(values) if len(values) > 1 else 0.0


def _half_width(values: Sequence[float]) -> float:
    """Half of the 95 % interval of a mean (Student's t); 0 for a single value, which has none."""
    n = len(values)
    return float(t.ppf(0.975, n - 1)) * _std(values) / math.sqrt(n) if n > 1 else 0.0
