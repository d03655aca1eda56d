"""Honest work accuses nobody, whatever the threads and the precision: the short version of ``make false-alarms``."""

from __future__ import annotations

import pytest

from scripts.false_alarms import EXACT, PLAIN, SUBJECTS, Count, Subject, count_alarms

SMALL = [subject for subject in SUBJECTS if subject.name in {"mlp", "mlp, adamw", "cnn"}]
ONE, TWO, _ = PLAIN
REPLAYS = {ONE: (ONE, TWO, EXACT[0]), EXACT[0]: EXACT[:1]}
"""More threads are for the full count: beside other work they mostly wait for each other."""


@pytest.fixture(scope="module", params=SMALL, ids=lambda subject: subject.name)
def counts(request: pytest.FixtureRequest) -> list[Count]:
    """A few intervals of one model under every pair of settings."""
    subject: Subject = request.param
    return list(count_alarms(subject, share=0.0, replays=REPLAYS))


def test_honest_work_raises_no_alarm(counts: list[Count]) -> None:
    assert sum(count.intervals for count in counts) >= 68
    assert [count for count in counts if count.alarms] == []


def test_same_class_is_bitwise(counts: list[Count]) -> None:
    same = [count for count in counts if count.same_class]
    assert len(same) == len(REPLAYS)
    assert all(count.bitwise == count.intervals and count.weights == count.moments == 0 for count in same)


def test_another_precision_differs_and_its_rounding_does_not_add_up(counts: list[Count]) -> None:
    """Else the comparison within a tolerance would have compared nothing."""
    exact = [count for count in counts if "float64" in count.replayed and "float32" in count.trained]
    assert all(count.bitwise == 0 and 0 < count.weights < count.tolerance for count in exact)
    assert all(0 < count.sum_ratio < 0.1 for count in exact)
