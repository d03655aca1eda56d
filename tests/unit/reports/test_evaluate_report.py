"""The report of an evaluation: every setting in it, hostile names harmless, and shapes of the rule on one line."""

from markupsafe import escape

from clicooper.attacks.privacy.catalogue import CATALOGUE
from clicooper.attacks.privacy.frontier import Point, Row
from clicooper.reports.privacy_page import render_privacy_report
from clicooper.reports.privacy_plots import draw_frontier


def point(epsilon, gamma, group, source="digits", leave_out=()):
    rows = tuple(Row(name, 0.5, 0.1, 0.0, 0.9, 3) for name in CATALOGUE if name not in leave_out)
    return Point(source, epsilon, gamma, group, rows)


POINTS = (point(1.0, 4, 4), point(2.0, 4, 4), point(1.0, 20, 4), point(2.0, 40, 2))


def result(points):
    sources = dict.fromkeys(found.source for found in points)
    claim = {"claim": "c", "published": "p", "here": "h", "honest_reading": "r"}
    return {
        "seeds": 3,
        "claims": [claim],
        "recommendations": [{"data": source, "lines": ["a line"]} for source in sources],
        "impossible": ["eps 1, gamma 9: too few"],
        "warning": "a warning",
    }


def test_shapes_of_the_rule_share_one_line():
    svg = str(draw_frontier("grouping.oracle", "caption", (), POINTS))
    assert "map hidden, by rule" in svg and "gamma 4, b 4" in svg
    assert "gamma 20" not in svg and "gamma 40" not in svg
    alone = str(draw_frontier("grouping.oracle", "caption", (), POINTS[2:3]))
    assert "gamma 20, b 4" in alone


def test_every_setting_and_figure_is_in_the_report():
    page = render_privacy_report(result(POINTS), POINTS)
    assert page == render_privacy_report(result(POINTS), POINTS)
    assert page.count("<summary") == len(POINTS)
    assert all(page.count(escape(note.words)) >= len(POINTS) for note in CATALOGUE.values())
    assert "eps 1, gamma 9: too few" in page and "a warning" in page
    assert page.count("<svg") == 5


def test_a_figure_that_records_do_not_have_is_left_out():
    flat = tuple(point(float(epsilon), 4, 4, leave_out=("inversion.network",)) for epsilon in (1, 2))
    assert render_privacy_report(result(flat), flat).count("<svg") == 4


def test_a_hostile_name_of_a_data_set_stays_text():
    hostile = tuple(point(float(epsilon), 4, 4, source='<script>alert("1")</script>.npz') for epsilon in (1, 2))
    page = render_privacy_report(result(hostile), hostile)
    assert "<script>alert" not in page
    assert "&lt;script&gt;" in page
