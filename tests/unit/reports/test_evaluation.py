"""``evaluate all``: nothing of either part is lost, in the object or on the page."""

import re

import pytest

from clicooper.attacks.marks.mark_summary import summarise
from clicooper.attacks.marks.outcomes import OutcomeLog
from clicooper.cli.evaluate import EPSILONS, SHAPES
from clicooper.cli.evaluate import privacy as command
from clicooper.reports.evaluation import join, render_evaluation
from clicooper.reports.marks_page import render_marks_report
from clicooper.reports.marks_result import marks_result
from clicooper.reports.privacy_page import render_privacy_report
from tests.unit.attacks.test_marks_evaluation import DEADLY, HARMLESS, filled
from tests.unit.reports.test_evaluate_report import POINTS, result


@pytest.fixture
def marks(tmp_path):
    return marks_result(summarise(filled(OutcomeLog(tmp_path / "marks.jsonl"), HARMLESS, DEADLY), 3))


def privacy():
    return {**result(POINTS), "ok": True, "code": 0, "rows": [{"name": "accuracy.protected", "value": 0.9}]}


def test_object_holds_every_row_and_claim_of_both(marks):
    joined = join(privacy(), marks)
    assert [row["part"] for row in joined["rows"]] == ["privacy"] + ["marks"] * len(marks["rows"])
    assert [claim["part"] for claim in joined["claims"]] == ["privacy"] + ["marks"] * len(marks["claims"])
    assert joined["open_weaknesses"] == ["distil: x1"]
    assert (joined["ok"], joined["code"]) == (True, 0)


def test_a_failure_of_marks_is_a_failure_of_the_whole(marks):
    joined = join(privacy(), marks | {"ok": False, "code": 1})
    assert (joined["ok"], joined["code"]) == (False, 1)


def test_page_holds_the_headings_and_plots_of_both_and_no_anchor_twice(marks):
    page = render_evaluation(result(POINTS), POINTS, marks)
    parts = render_privacy_report(result(POINTS), POINTS), render_marks_report(marks)
    assert page.count("<svg") == sum(part.count("<svg") for part in parts)
    assert set(re.findall("<h2[^>]*>(.*?)</h2>", page)) >= {
        h for p in parts for h in re.findall("<h2[^>]*>(.*?)</h2>", p)
    }
    anchors = re.findall(r'<(?:h2|section) id="([^"]+)"', page)
    assert len(anchors) == len(set(anchors)) > 6
    assert not re.search(r'(src|href)="(?!#|data:)', page)


def test_grid_is_the_one_of_evaluate_privacy():
    given = command.__defaults__
    assert ",".join(f"{epsilon:g}" for epsilon in EPSILONS) in given
    assert {gamma for gamma, _ in SHAPES} == {4, 16, 64} and "4,16,64" in given
    assert {group for _, group in SHAPES} == {1, 4} and "1,4" in given
