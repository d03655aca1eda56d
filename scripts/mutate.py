#!/usr/bin/env python3
"""Mutation testing: makes each small change that slither-mutate knows to the contracts; a test should notice.

Works on a copy under `build/mutants`, never on the sources. What became of each mutant is kept in
`tests/contract/mutants.json` until something changes that it depends on, so a run can be interrupted, be continued
elsewhere, and after a new test tries only the survivors again; `--fresh` forgets. Runs in `.venv-analysis`.
`tests/contract/survivors.toml` explains survivors; those that it calls equivalent are left out of the share.
Fails if fewer than 95 % of the others are killed, if a survivor is not explained, if an explanation fits a mutant that
a test killed or fits none, or if a mutant was not tried.
"""

import argparse
import hashlib
import os
import random
import sys
from collections import Counter
from itertools import takewhile
from pathlib import Path

from mutation.bench import Bench
from mutation.explanations import Explanation, explain, read_explanations
from mutation.memory import Basis, Entry, Memory, Outcome
from mutation.mutant import Mutant
from mutation.operators import generate
from mutation.score import interval, share_killed, table

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / "build" / "mutants"
TESTS = ROOT / "tests" / "contract"
LEAST = 0.95
# Gas is not behaviour, and the invariants take a hundred times as long as all the rest: `--deep` adds them.
QUICK = ["--no-match-contract", "Gas|Invariants"]
DEEP = ["--match-contract", "Invariants"]


class Campaign:
    """All mutants, what is known of them, and what is written about the survivors."""

    def __init__(self, root: Path, mutants: list[Mutant], memory: Memory, explanations: list[Explanation]) -> None:
        self._root = root
        # Always in the same order; the part that is done at an interruption speaks for the whole.
        self._mutants = list(mutants)
        random.Random(0).shuffle(self._mutants)  # noqa: S311
        self._memory = memory
        self._explanations = explanations

    def run(self, bench: Bench, tests: list[str], again: Outcome) -> None:
        """Tries every mutant that was not tried before, or whose outcome is `again`."""
        _expect_no_failure(bench, tests)
        seen = self._memory.codes()
        for count, mutant in enumerate(self._mutants, 1):
            before = self._memory.of(mutant)
            if before.outcome not in (Outcome.UNTRIED, again):
                continue
            entry = _tried(bench, mutant, tests, seen - {before.code})
            seen.add(entry.code)
            self._memory.note(mutant, entry)
            if entry.outcome == Outcome.SURVIVED:
                print(f"{count}/{len(self._mutants)} survived: {self._described(mutant)}", flush=True)
        # Or whatever else makes tests fail would have killed the mutants since.
        _expect_no_failure(bench, tests)

    def report(self) -> int:
        """Prints a table by operator, the share and what is not explained; 0 if all is well, else 1."""
        outcomes = {mutant: self._outcome(mutant) for mutant in self._mutants}
        print("\n".join(table((mutant.operator, outcome) for mutant, outcome in outcomes.items())))
        # What is forgotten is not so by chance, so only what comes before it is a sample.
        counts = Counter(takewhile(lambda outcome: outcome != Outcome.UNTRIED, outcomes.values()))
        complaints = [*self._complaints(outcomes), *self._idle_explanations(outcomes)]
        print("".join(f"{complaint}\n" for complaint in complaints), end="")
        print(_summary(counts, len(outcomes)))
        return int(share_killed(counts) < LEAST or bool(complaints) or counts.total() < len(outcomes))

    def _complaints(self, outcomes: dict[Mutant, Outcome]) -> list[str]:
        lines = []
        for mutant, outcome in outcomes.items():
            why = self._why(mutant)
            if outcome == Outcome.SURVIVED and why is None:
                lines.append(f"survived without an explanation: {self._described(mutant)}")
            if outcome == Outcome.KILLED and why is not None and why.equivalent:
                lines.append(f'killed, though "{why.why}": {self._described(mutant)}')
        return lines

    def _idle_explanations(self, outcomes: dict[Mutant, Outcome]) -> list[str]:
        if Outcome.UNTRIED in outcomes.values():
            return []
        alive = [m for m, outcome in outcomes.items() if outcome in (Outcome.SURVIVED, Outcome.EQUIVALENT)]
        used = {id(self._why(mutant)) for mutant in alive}
        return [f"explains no survivor: {e.change.pattern}" for e in self._explanations if id(e) not in used]

    def _outcome(self, mutant: Mutant) -> Outcome:
        outcome = self._memory.of(mutant).outcome
        why = self._why(mutant) if outcome == Outcome.SURVIVED else None
        return Outcome.EQUIVALENT if why is not None and why.equivalent else outcome

    def _why(self, mutant: Mutant) -> Explanation | None:
        return explain(mutant, self._source(mutant), self._explanations)

    def _source(self, mutant: Mutant) -> bytes:
        return (self._root / mutant.path).read_bytes()

    def _described(self, mutant: Mutant) -> str:
        before, after = mutant.lines(self._source(mutant))
        return f"{mutant.operator} {mutant.path}:{mutant.line}\n  - {before}\n  + {after}"


def _expect_no_failure(bench: Bench, tests: list[str]) -> None:
    failing = bench.failing(tests)
    if failing is not None:
        raise SystemExit(f"{failing} fails without any change: what was killed in this run means nothing")


def _tried(bench: Bench, mutant: Mutant, tests: list[str], seen: set[str]) -> Entry:
    codes = bench.changed(mutant)
    if codes is None:
        return Entry(Outcome.INVALID)
    if not codes:
        return Entry(Outcome.SAME_CODE)
    code = hashlib.sha256(repr(sorted(codes.items())).encode()).hexdigest()[:12]
    if code in seen:
        return Entry(Outcome.TWIN)
    killer = bench.killer(codes, tests)
    return Entry(Outcome.KILLED, code, killer) if killer else Entry(Outcome.SURVIVED, code)


def _summary(counts: Counter[Outcome], mutants: int) -> str:
    """The share that was killed; of a sample, drawn in random order, also where the share of all will be."""
    killed, judged = counts[Outcome.KILLED], counts[Outcome.KILLED] + counts[Outcome.SURVIVED]
    text = f"killed: {killed} of {judged}, {share_killed(counts):.2%}"
    if counts.total() == mutants:
        return f"{text}; all {mutants} mutants were tried"
    if not judged:
        return f"{text}; nothing is known of {mutants} mutants"
    low, high = interval(killed, judged)
    return f"{text} (95 % interval {low:.1%} to {high:.1%}): the first {counts.total()} of {mutants} in random order"


def main() -> int:
    """Runs the command; returns 1 where too many or unexplained mutants survive, or some were not tried."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--fresh", action="store_true", help="test every mutant again")
    parser.add_argument("--deep", action="store_true", help="then walk the invariants on the survivors")
    parser.add_argument("--report", action="store_true", help="test nothing, say what is known")
    options = parser.parse_args()
    WORK.mkdir(parents=True, exist_ok=True)
    os.environ["FOUNDRY_PROFILE"] = "mutate"
    os.environ["PATH"] = f"{ROOT / 'scripts'}{os.pathsep}{os.environ['PATH']}"
    mutants = generate(ROOT)
    memory = Memory(TESTS / "mutants.json", Basis.of(ROOT), options.fresh)
    campaign = Campaign(ROOT, mutants, memory, read_explanations(TESTS / "survivors.toml"))
    if not options.report:
        bench = Bench(ROOT, WORK)
        try:
            campaign.run(bench, QUICK, again=Outcome.UNTRIED)
            if options.deep:
                campaign.run(bench, DEEP, again=Outcome.SURVIVED)
        finally:
            bench.close()
    return campaign.report()


if __name__ == "__main__":
    sys.exit(main())
