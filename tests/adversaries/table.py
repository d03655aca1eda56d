"""The tables of docs/figures/adversaries.md, out of the registry: ``python -m tests.adversaries.table`` writes them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from clicooper.audit.verdict import Check
from clicooper.types import Verdict
from tests.adversaries.registry import ZOO, Adversary
from tests.adversaries.stage import OWNER

PAGE = Path(__file__).parents[2] / "docs" / "figures" / "adversaries.md"
PLACE = re.compile(r"(<!-- zoo -->\n).*?(<!-- /zoo -->)", re.S)

FAMILIES = {
    "work": "Other work than the job's",
    "spoofs": "Invented paths",
    "batches": "Seat 0 and the data",
    "boundary": "Where two seats meet",
    "claims": "Lies about honest work",
    "states": "States that are none",
    "manifests": "Manifests",
    "marks": "Marks",
    "availability": "Nothing behind a commitment",
    "coalitions": "Coalitions",
    "rule_breakers": "Against the contract",
    "owners": "Owners",
    "forgers": "Forged records",
}


def named(adversary: Adversary) -> str:
    """Whom the check names, in the words of the docstrings."""
    if adversary.names == {OWNER}:
        return "the owner"
    if len(adversary.names) == 1:
        return "its seat" if adversary.dishonest == adversary.names else "one of them"
    return "the pair" if adversary.names else "nobody"


def table() -> str:
    """One table a family."""
    return "".join(_family(family, list(adversaries)) for family, adversaries in groupby(ZOO, key=lambda e: e.family))


def _family(family: str, adversaries: list[Adversary]) -> str:
    head = f"\n## {FAMILIES[family]}\n\n| Adversary | What it does | Check | Verdict | Names | Seen |\n"
    return head + "|---|---|---|---|---|---|\n" + "".join(_rows(adversaries))


def _rows(adversaries: list[Adversary]) -> Iterator[str]:
    for party, same in groupby(adversaries, key=lambda adversary: adversary.party):
        first, *rest = same
        when = dict.fromkeys(adversary.when.value for adversary in (first, *rest))
        cells = (f"`{party.__name__}`", first.does, f"`{first.check}`", _verdict(first), named(first), "; ".join(when))
        yield f"| {' | '.join(cells)} |\n"


def _verdict(adversary: Adversary) -> str:
    if adversary.check not in {check.value for check in Check}:
        return "refused or punished"
    return {Verdict.FAIL: "fails", Verdict.INCONCLUSIVE: "inconclusive"}[adversary.verdict]


def written(page: str) -> str:
    """The page with the tables of today."""
    return PLACE.sub(lambda place: f"{place[1]}{table()}\n{place[2]}", page)


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
