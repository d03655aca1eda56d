"""docs/threats.md lists the zoo as it is, and each class says of itself what the registry demands of it."""

from __future__ import annotations

import re

import pytest

from clicooper.audit.verdict import Check
from tests.adversaries.registry import ZOO, Exhibit
from tests.adversaries.stage import CONTRACT
from tests.adversaries.table import PAGE, PLACE, named, written


@pytest.mark.parametrize("exhibit", ZOO, ids=lambda exhibit: exhibit.name)
def test_docstring_names_check_and_culprit(exhibit: Exhibit) -> None:
    said = re.search(r"Caught by `(\w+)`; names ([^.]+)\.", " ".join((exhibit.party.__doc__ or "").split()))
    assert said is not None
    assert said.groups() == (exhibit.check, named(exhibit))
    assert exhibit.does


def test_every_exhibit_is_one_of_a_kind() -> None:
    names = [exhibit.name for exhibit in ZOO]
    assert len(names) == len(set(names))
    assert len({exhibit.party for exhibit in ZOO}) >= 25


def test_every_check_that_can_fail_catches_somebody() -> None:
    """Payment follows from the record: no party can make it fail without forging that."""
    caught_by = {exhibit.check for exhibit in ZOO}
    assert caught_by == {check.value for check in Check if check is not Check.PAYMENT} | {CONTRACT}


def test_page_has_the_tables_of_the_registry() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert PLACE.search(page)
    assert written(page) == page, "write it anew: python -m tests.adversaries.table"
