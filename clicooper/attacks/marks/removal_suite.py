"""Which removal attacks are run, in which settings, and by whom.

The order is from the thief who has nothing but the file to the owner who knows all but the ownership keys. How an
attack works is told in ``removal`` and ``tuning``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial

from clicooper.attacks.marks import removal
from clicooper.attacks.marks.marked_job import MarkedJob
from clicooper.attacks.marks.removal import Attack
from clicooper.attacks.marks.tuning import (
    ThiefData,
    Tuning,
    average_path,
    distil,
    fine_tune,
    take_owner_records,
    take_released_rows,
)
from clicooper.learning.checkpoint import State
from clicooper.watermark.keys import MarkPurpose

__all__ = ["Removal", "make_removal_suite"]

FILE = "the model file"
SPEC = "the file and the job's public specification"
RELEASE = "the release with its pseudo-labels"
RECORDS = "the owner's own labelled records and its label map"
PROGRESS = "all progress keys"

WIDTHS = {"fp16": 16, "int8": 8, "int4": 4}


@dataclass(frozen=True)
class Removal:
    """One attack in one setting.

    Attributes:
        knows: what its attacker has, in words.
        data: what it trains on, or gets its settings from.
        tested: the seat whose marks are asked for; None for all.
    """

    name: str
    setting: str
    knows: str
    attack: Attack = field(repr=False)
    data: ThiefData = field(repr=False)
    tested: int | None = None


def make_removal_suite(job: MarkedJob) -> tuple[Removal, ...]:
    """Every attack that fits the job's model."""
    release, records = take_released_rows(job), take_owner_records(job)
    return (
        *_without_data(job, release),
        *_with_training(release, records),
        *_with_the_spec(release),
        *_with_keys(job, release),
        *_combinations(job, release, records),
    )


def _without_data(job: MarkedJob, data: ThiefData) -> Iterator[Removal]:
    settings: list[tuple[str, str, Attack]] = [
        *(("prune", f"{share:.0%}", partial(removal.prune, share=share)) for share in (0.3, 0.5, 0.7, 0.9)),
        *(("quantise", name, partial(removal.quantise, bits=bits)) for name, bits in WIDTHS.items()),
        *(("noise", f"{level:g} rms", partial(removal.add_noise, level=level)) for level in (0.1, 0.3, 0.5, 1.0)),
        *(("weight shift", f"{share:g} mean", partial(removal.shift_weights, share=share)) for share in (0.5, 1.0)),
        *(
            ("overwrite", f"x{times}", partial(removal.overwrite, params=job.params, times=times))
            for times in (1, 5, 10, 20, 50)
        ),
        *(("low rank", f"rank {rank}", partial(removal.truncate_weights, rank=rank)) for rank in (32, 128)),
    ]
    if job.spec.model.kind == "mlp":
        settings.append(("permute and rescale", "all hidden neurons, x1/4 to x4", removal.permute_and_rescale))
    return (Removal(name, setting, FILE, attack, data) for name, setting, attack in settings)


def _with_training(release: ThiefData, records: ThiefData) -> Iterator[Removal]:
    for rate in (1e-3, 3e-3, 1e-2, 3e-2):
        for where, knows, data in (("release", RELEASE, release), ("owner's records", RECORDS, records)):
            yield _tuned("fine-tune", where, knows, data, Tuning(rate))
        yield _tuned("fine-tune, Adam", "owner's records", RECORDS, records, Tuning(rate, optimizer="adam"))
    yield _tuned("fine-tune last layer", "owner's records", RECORDS, records, Tuning(1e-2, layers="last"))
    redrawn = {"retrain last layer": Tuning(1e-2, layers="last"), "retrain last, tune all": Tuning(1e-2)}
    for name, tuning in redrawn.items():
        yield Removal(name, "rate 0.01", RECORDS, partial(removal.retrain_last, tuning=tuning), records)
    for share in (0.3, 0.5, 0.7):
        attack = partial(removal.fine_prune, share=share, tuning=Tuning(1e-2))
        yield Removal("fine-prune", f"{share:.0%}, rate 0.01", RECORDS, attack, records)
    smooth = partial(average_path, tuning=Tuning(3e-2))
    yield Removal("smoothing", "mean over fine-tuning at 0.03", RECORDS, smooth, records)
    for cost in (0.1, 0.25, 0.5, 1.0):
        student = partial(distil, tuning=Tuning(1e-2, cost))
        yield Removal("distil", f"{cost:g} x the job's steps", "the file and the public release", student, release)


def _tuned(name: str, where: str, knows: str, data: ThiefData, tuning: Tuning) -> Removal:
    return Removal(name, f"rate {tuning.rate:g}, {where}", knows, partial(fine_tune, tuning=tuning), data)


def _with_the_spec(data: ThiefData) -> Iterator[Removal]:
    for rank in (5, 10, 20, 40):
        yield Removal("clean the update", f"rank {rank}", SPEC, partial(removal.clean_update, rank=rank), data)


def _with_keys(job: MarkedJob, data: ThiefData) -> Iterator[Removal]:
    progress = _seeds(job)
    rounds = _rounds(job)
    tested = len(job.states) // 2
    others = {seat: held for seat, held in rounds.items() if seat != tested}
    erase = partial(removal.erase_known, seeds=progress, bits=job.params.bits)
    strip_others = partial(removal.strip_differences, rounds=others)
    yield Removal("erase progress marks", "all seats and rounds", PROGRESS, erase, data)
    yield Removal(
        "collusion",
        "all seats but one, with all progress keys",
        f"{PROGRESS}; raw and marked weights of every seat but one",
        partial(removal.run_in_turn, parts=(erase, strip_others)),
        data,
        tested,
    )
    strip = partial(removal.strip_differences, rounds=rounds)
    everything = "raw and marked weights of every seat and round"
    yield Removal("owner as remover", "subtract out - raw", everything, strip, data)


def _combinations(job: MarkedJob, release: ThiefData, records: ThiefData) -> Iterator[Removal]:
    """The attacks that cost marks most for the accuracy they leave, one after the other."""
    clean = partial(removal.clean_update, rank=10)
    tune = partial(fine_tune, tuning=Tuning(3e-3, optimizer="adam"))
    both = f"{SPEC}; {RECORDS}"
    for level in (0.1, 0.2):
        noisy = partial(removal.run_in_turn, parts=(clean, partial(removal.add_noise, level=level)))
        yield Removal("clean, noise", f"rank 10, {level:g} rms", SPEC, noisy, release)
    for name, setting, parts in (
        ("fine-tune, clean", "Adam 0.003, rank 10", (tune, clean)),
        ("clean, fine-tune, clean", "rank 10, Adam 0.003, rank 10", (clean, tune, clean)),
        ("prune, fine-tune, clean", "50%, Adam 0.003, rank 10", (partial(removal.prune, share=0.5), tune, clean)),
        (
            "overwrite, fine-tune, clean",
            "x5, Adam 0.003, rank 10",
            (partial(removal.overwrite, params=job.params, times=5), tune, clean),
        ),
        (
            "clean, noise, fine-tune",
            "rank 10, 0.2 rms, rate 0.01",
            (clean, partial(removal.add_noise, level=0.2), partial(fine_tune, tuning=Tuning(1e-2))),
        ),
    ):
        yield Removal(name, setting, both, partial(removal.run_in_turn, parts=parts), records)


def _seeds(job: MarkedJob) -> Mapping[int, list[bytes]]:
    """The seeds of the progress marks, by seat."""
    return {
        seat: [mark.seed for mark in job.marks_for(MarkPurpose.PROGRESS) if mark.seat == seat]
        for seat in range(len(job.states))
    }


def _rounds(job: MarkedJob) -> Mapping[int, list[tuple[State, State]]]:
    """Raw and marked weights of every round, by seat."""
    return {
        seat: [(mark.raw, mark.out) for mark in job.marks_for(MarkPurpose.OWNERSHIP) if mark.seat == seat]
        for seat in range(len(job.states))
    }
