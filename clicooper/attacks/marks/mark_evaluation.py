"""Runs every attack on the marks of a finished job, once a seed; what is in the log already is not run again.

Which attacks there are is told by ``removal_suite`` and ``forgery``; summing up is the job of ``mark_summary``.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Collection
from dataclasses import replace
from statistics import fmean

import numpy as np

from clicooper.attacks.marks.forgery import FORGERIES, make_forgeries
from clicooper.attacks.marks.marked_job import JobMark, MarkedJob
from clicooper.attacks.marks.outcomes import Finished, Forgery, MarkCost, OutcomeLog, RemovalOutcome
from clicooper.attacks.marks.rehearsal import train_again
from clicooper.attacks.marks.removal_suite import Removal, make_removal_suite
from clicooper.attacks.marks.survival import MarkReader
from clicooper.errors import UsageError
from clicooper.protocol.round import Progress
from clicooper.watermark.keys import MarkPurpose

__all__ = ["FORGERY", "attack_job"]

FORGERY = "forgery"
"""Stands for every forgery where attacks are chosen by name."""


def attack_job(
    job: MarkedJob,
    seed: int,
    log: OutcomeLog,
    progress: Progress,
    only: Collection[str] = (),
    clock: Callable[[], float] = time.process_time,
) -> None:
    """Runs what the log lacks for this seed, and adds it.

    Args:
        seed: names the job or the attacker's randomness in the log; every attack draws from a stream of its own.
        only: names of removal attacks, and ``FORGERY`` for all forgeries; empty for everything.
        clock: in seconds; by default this process's own time, which other work on the machine does not stretch.

    Raises:
        UsageError: a name that no attack has.
    """
    suite = make_removal_suite(job)
    _require_known(only, {removal.name for removal in suite} | {FORGERY})
    chosen = [removal for removal in suite if not only or removal.name in only]
    done = {(outcome.name, outcome.setting) for outcome in log.of_kind(RemovalOutcome) if outcome.seed == seed}
    left = [removal for removal in chosen if (removal.name, removal.setting) not in done]
    costed = any(cost.seed == seed for cost in log.of_kind(MarkCost))
    if left or not costed:
        progress(f"seed {seed}: training without marks", 0, 0)
        bench = _Bench(job, seed, clock)
        if not costed:
            log.add(bench.cost())
        for number, removal in enumerate(left, start=len(chosen) - len(left)):
            progress(f"seed {seed}: removal attacks", number, len(chosen))
            log.add(bench.run(removal))
    if not only or FORGERY in only:
        _forge(job, seed, log, progress)
    if not only and not log.is_finished(seed):
        log.add(Finished(seed))


def _require_known(only: Collection[str], names: Collection[str]) -> None:
    if unknown := sorted({*only} - {*names}):
        raise UsageError(f"there is no attack {unknown[0]!r}", hint=f"choose from: {', '.join(sorted(names))}")


def _forge(job: MarkedJob, seed: int, log: OutcomeLog, progress: Progress) -> None:
    """All forgeries share one stream, so they are made together; those in the log are not added twice."""
    done = {(forged.name, forged.setting) for forged in log.of_kind(Forgery) if forged.seed == seed}
    if len(done) == FORGERIES:
        return
    progress(f"seed {seed}: forgeries", 0, 0)
    for forged in make_forgeries(job, _stream(seed, FORGERY)):
        if (forged.name, forged.setting) not in done:
            log.add(replace(forged, seed=seed))


class _Bench:
    """One job under attack."""

    def __init__(self, job: MarkedJob, seed: int, clock: Callable[[], float]) -> None:
        self._job, self._seed, self._clock = job, seed, clock
        self._reader = MarkReader(job)
        self._wrong = MarkReader(job, seed_of=_wrong_seed)
        self._unmarked = train_again(job, clock=clock)
        self._before = job.accuracy(job.states)
        self._control = self._reader.read(job.states).detectable

    def cost(self) -> MarkCost:
        job = self._job
        marked, unmarked = job.contrastive_accuracy(job.states), job.contrastive_accuracy(self._unmarked.states)
        found = fmean(MarkReader(job, purpose).read(job.states).blind for purpose in MarkPurpose)
        return MarkCost(self._seed, marked, unmarked, found, len(job.marks))

    def run(self, removal: Removal) -> RemovalOutcome:
        started = self._clock()
        states = removal.attack(self._job.states, removal.data, _stream(self._seed, removal.name + removal.setting))
        seconds = self._clock() - started
        seats = None if removal.tested is None else {removal.tested}
        return RemovalOutcome(
            seed=self._seed,
            name=removal.name,
            setting=removal.setting,
            knows=removal.knows,
            accuracy=self._job.accuracy(states),
            before=self._before,
            found=self._reader.read(states, seats),
            control=self._control,
            floor=self._wrong.read(states, seats).detectable,
            seconds=seconds,
            share=seconds / self._unmarked.seconds,
        )


def _wrong_seed(mark: JobMark) -> bytes:
    return hashlib.sha256(b"no mark" + mark.seed).digest()


def _stream(seed: int, name: str) -> np.random.Generator:
    words = np.frombuffer(hashlib.sha256(name.encode()).digest(), dtype="<u4")
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, *words.tolist()])))
