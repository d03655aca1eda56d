"""docs/figures/adversaries.md lists the zoo as it is, and each class says of itself what the registry demands of it."""

from __future__ import annotations

import re

import pytest

from clicooper.audit.verdict import Check
from tests.adversaries.registry import ZOO, Adversary
from tests.adversaries.stage import CONTRACT
from tests.adversaries.table import PAGE, PLACE, named, written


@pytest.mark.parametrize("adversary", ZOO, ids=lambda adversary: adversary.name)
def test_docstring_names_check_and_culprit(adversary: Adversary) -> None:
    said = re.search(r"Caught by `(\w+)`; names ([^.]+)\.", " ".join((adversary.party.__doc__ or "").split()))
    assert said is not None
    assert said.groups() == (adversary.check, named(adversary))
    assert adversary.does


def test_every_adversary_is_one_of_a_kind() -> None:
    names = [adversary.name for adversary in ZOO]
    assert len(names) == len(set(names))
    assert len({adversary.party for adversary in ZOO}) >= 25


def test_every_check_that_can_fail_catches_somebody() -> None:
    """Payment follows from the record: no party can make it fail without forging that."""
    caught_by = {adversary.check for adversary in ZOO}
    assert caught_by == {check.value for check in Check if check is not Check.PAYMENT} | {CONTRACT}


def test_page_has_the_tables_of_the_registry() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert PLACE.search(page)
    assert written(page) == page, "write it anew: python -m tests.adversaries.table"
