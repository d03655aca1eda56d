#!/usr/bin/env python3
"""Mutation testing: makes each small change that slither-mutate knows to the contracts; a test should notice.

Works on a copy under `build/mutants`, never on the sources. Remembers what was killed until that source changes,
so a run can be interrupted, and after a new test only the survivors are tried again; `--fresh` forgets. Runs in
`.venv-analysis`. `tests/contract/survivors.toml` explains survivors; those that it calls equivalent are left out.
Fails if fewer than 95 % of the others are killed, if a survivor is not explained, or if a mutant was not tried.
"""

import argparse
import os
import random
import sys
from collections import Counter
from pathlib import Path

from mutation.bench import Bench
from mutation.memory import Explanation, Memory, Outcome, explain, read_explanations
from mutation.operators import Mutant, generate

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / "build" / "mutants"
SURVIVORS = ROOT / "tests" / "contract" / "survivors.toml"
LEAST = 0.95
# Gas is not behaviour, and the invariants take a hundred times as long as all the rest: `--deep` adds them.
QUICK = ["--no-match-contract", "Gas|Invariants"]
DEEP = ["--match-contract", "Invariants"]


class Campaign:
    """One run over all mutants."""

    def __init__(self, bench: Bench, mutants: list[Mutant], memory: Memory, explanations: list[Explanation]) -> None:
        self._bench = bench
        # Always in the same order; the part that is done at an interruption speaks for the whole.
        self._mutants = list(mutants)
        random.Random(0).shuffle(self._mutants)  # noqa: S311
        self._memory = memory
        self._explanations = explanations

    def run(self, tests: list[str]) -> None:
        """Tries every mutant that was not tried before or survived."""
        if not self._bench.passes(tests):
            raise SystemExit("the tests fail without any change: nothing to measure")
        seen: set[tuple[tuple[str, str], ...]] = set()
        for count, mutant in enumerate(self._mutants, 1):
            if self._memory.of(mutant) not in (Outcome.UNTRIED, Outcome.SURVIVED):
                continue
            outcome = self._try(mutant, tests, seen)
            self._memory.note(mutant, outcome)
            if outcome == Outcome.SURVIVED:
                print(f"{count}/{len(self._mutants)} survived: {self._described(mutant)}", flush=True)

    def _try(self, mutant: Mutant, tests: list[str], seen: set[tuple[tuple[str, str], ...]]) -> Outcome:
        why = self._why(mutant)
        if why and why.equivalent:
            return Outcome.EQUIVALENT
        codes = self._bench.changed(mutant)
        if codes is None:
            return Outcome.INVALID
        if not codes:
            return Outcome.SAME_CODE
        code = tuple(sorted(codes.items()))
        if code in seen:
            return Outcome.TWIN
        seen.add(code)
        return Outcome.SURVIVED if self._bench.survives(codes, tests) else Outcome.KILLED

    def report(self) -> int:
        """Prints a table by operator and what is not explained; 0 if all is well, else 1."""
        _print_table(Counter((m.operator, self._memory.of(m)) for m in self._mutants))
        totals = Counter(self._memory.of(m) for m in self._mutants)
        alive = [m for m in self._mutants if self._memory.of(m) == Outcome.SURVIVED]
        unexplained = [m for m in alive if self._why(m) is None]
        for mutant in unexplained:
            print(f"not explained: {self._described(mutant)}")
        score = totals[Outcome.KILLED] / max(1, totals[Outcome.KILLED] + len(alive))
        untried = totals[Outcome.UNTRIED]
        print(f"killed: {score:.2%}; survivors not explained: {len(unexplained)}; untried: {untried}")
        return int(score < LEAST or bool(unexplained) or untried > 0)

    def _why(self, mutant: Mutant) -> Explanation | None:
        return explain(mutant, self._bench.source(mutant.path), self._explanations)

    def _described(self, mutant: Mutant) -> str:
        before, after = mutant.lines(self._bench.source(mutant.path))
        return f"{mutant.operator} {mutant.path}:{mutant.line}\n  - {before}\n  + {after}"


def _print_table(table: Counter[tuple[str, Outcome]]) -> None:
    print(f"{'':10}" + "".join(f"{c:>11}" for c in Outcome))
    for operator in sorted({operator for operator, _ in table}):
        print(f"{operator:10}" + "".join(f"{table[operator, c]:11}" for c in Outcome))
    print(f"{'all':10}" + "".join(f"{sum(n for (_, o), n in table.items() if o == c):11}" for c in Outcome))


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
    bench = Bench(ROOT, WORK)
    memory = Memory(WORK / "outcomes.jsonl", bench.folder, options.fresh)
    try:
        campaign = Campaign(bench, mutants, memory, read_explanations(SURVIVORS))
        if not options.report:
            campaign.run(QUICK)
        if options.deep:
            campaign.run(DEEP)
        return campaign.report()
    finally:
        bench.close()


if __name__ == "__main__":
    sys.exit(main())
