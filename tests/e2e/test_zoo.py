"""The adversary zoo: every cheat is caught by the check that its registry names, and no honest seat is accused.

Owner and auditor replay every interval here, so that nobody escapes by luck; what a sample finds, and how often, is
measured in ``tests/property/test_sampled_cheats.py``.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from clicooper.audit.verdict import Check
from clicooper.types import Verdict
from tests.adversaries.registry import ZOO, Adversary, When
from tests.adversaries.stage import CONTRACT, Accused, Look, in_seats


@pytest.mark.parametrize("adversary", ZOO, ids=lambda adversary: adversary.name)
def test_adversary_is_caught_by_its_check(adversary: Adversary, tmp_path: Path) -> None:
    outcome = adversary.play(tmp_path / "run")
    expected = adversary.check, adversary.names
    # What breaks a rule of the contract is settled there, and leaves an audit nothing to find.
    for look in outcome.looks[:1] if adversary.check == CONTRACT else outcome.looks:
        assert expected in (look.failed if adversary.verdict is Verdict.FAIL else look.unproven)
    for look in (*outcome.looks, *outcome.by_interval):
        assert adversary.verdict is Verdict.FAIL or not look.failed, "what is missing proves nothing against anybody"
        assert not accused_honest(look, adversary.dishonest)
    assert outcome.paid_wei == 0
    if adversary.check == Check.REPLAY.value:
        hits = [expected in look.failed for look in outcome.by_interval]
        assert all(hits) if adversary.when is When.ANY else any(hits) and not all(hits)


def accused_honest(look: Look, dishonest: Accused) -> set[Accused]:
    """Rows that name honest seats alone: a pair is fair if one of the two lied."""
    return {names for _, names in look.failed if names and not names & dishonest}


def test_honest_job_is_refused_by_nobody(tmp_path: Path) -> None:
    outcome = in_seats(tmp_path / "run", {})
    assert [*outcome.looks, *outcome.by_interval] == [Look(frozenset())] * 4
