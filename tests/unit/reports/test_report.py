"""The HTML reports: self-contained, well-formed, complete, deterministic, and safe with hostile records."""

from __future__ import annotations

import hashlib
import math
import re
import subprocess
import sys
from base64 import b64encode
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clicooper.audit.verdict import AuditReport, Check, CheckResult, Replayed
from clicooper.errors import RunFolderError
from clicooper.reports.audit_page import render_report
from clicooper.reports.demo_page import render_demo_report
from clicooper.reports.page import PALETTE, render_page, write_page
from clicooper.reports.plots import draw_svg
from clicooper.types import Verdict
from tests.unit.reports.report_samples import (
    REPORTS,
    Page,
    audit_of,
    demo_object,
    honest_rows,
    tampered_rows,
    told_audit,
    training_losses,
)

LOADING = frozenset({"src", "srcset", "href", "xlink:href", "action", "data", "poster", "background"})
HOSTILE = "</code><script>alert(1)</script><img src=x onerror=alert(2)>\" ' & {{ 7 * 7 }}"


@pytest.fixture(scope="module", params=REPORTS)
def report(request: pytest.FixtureRequest) -> str:
    return REPORTS[request.param]()


def test_page_loads_nothing_and_runs_one_script_of_its_own(report: str) -> None:
    page = Page.of(report)
    assert not {"iframe", "object", "embed", "img", "base", "form"} & set(page.tags)
    (script,) = page.scripts
    assert not [word for word in ("fetch", "XMLHttp", "import", "eval", "src", "innerHTML") if word in script]
    (policy,) = page.values("content")[:1]
    digest = b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}';" in policy
    linked = [value for _, name, value in page.attributes if name in LOADING]
    assert all(value.startswith("#") or value == "data:," for value in linked)
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]
    assert "http:" not in report
    assert "https:" not in report
    assert "@import" not in report
    assert "default-src 'none'" in page.values("content")[0]


def test_links_and_identifiers_of_a_page_fit_together(report: str) -> None:
    page = Page.of(report)
    names = page.values("id")
    assert len(names) == len(set(names))
    used = [value for value in page.values("href", "xlink:href") if value.startswith("#")]
    used += ["#" + value.split("#")[1].rstrip(")") for value in page.values("clip-path")]
    assert {value[1:] for value in used} <= set(names)


def test_tables_have_captions_and_scopes(report: str) -> None:
    page = Page.of(report)
    assert page.tables
    assert all(table[0] == "caption" for table in page.tables)
    headings = Counter(tag for tag, name, _ in page.attributes if tag == "th" and name == "scope")
    assert headings["th"] == page.tags["th"]


def test_page_serves_phones_and_dark_rooms(report: str) -> None:
    page = Page.of(report)
    assert "width=device-width, initial-scale=1" in page.values("content")
    assert "prefers-color-scheme: dark" in report
    assert page.values("lang") == ["en"]


def test_plots_are_labelled_and_follow_the_scheme() -> None:
    html = REPORTS["demo"]()
    page = Page.of(html)
    assert page.tags["svg"] == 5
    assert len([1 for tag, name, value in page.attributes if tag == "svg" and name == "aria-label" and value]) == 5
    plots = html[html.index("<svg") :]
    assert not [light for light, _ in PALETTE.values() if light in plots]
    assert "var(--series-0)" in plots
    assert {"#000000", "#ffffff"}.isdisjoint(plots.split('"'))


def test_palette_names_each_colour_once() -> None:
    lights = [light for light, _ in PALETTE.values()]
    assert len(set(lights)) == len(lights)


@pytest.mark.parametrize("name", REPORTS)
def test_same_input_gives_same_bytes(name: str) -> None:
    assert REPORTS[name]() == REPORTS[name]()


def test_demo_report_is_the_same_in_another_process() -> None:
    program = (
        "import hashlib, sys; sys.path.insert(0, sys.argv[1]); import report_samples as t;"
        "print(hashlib.sha256(t.REPORTS['demo']().encode()).hexdigest())"
    )
    folder = str(Path(__file__).parent)
    found = subprocess.run([sys.executable, "-c", program, folder], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == hashlib.sha256(REPORTS["demo"]().encode()).hexdigest()


def test_plots_ignore_and_keep_the_style_of_the_process() -> None:
    import matplotlib as mpl

    before = REPORTS["demo"]()
    with mpl.rc_context({"font.size": 31, "axes.grid": False, "svg.fonttype": "path"}):
        assert REPORTS["demo"]() == before
        assert mpl.rcParams["font.size"] == 31


def test_reports_do_not_touch_pyplot() -> None:
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]); import report_samples as t;"
        "assert 'matplotlib' not in sys.modules; t.REPORTS['demo']();"
        "assert 'matplotlib' in sys.modules and 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program, str(Path(__file__).parent)], check=True)


def test_demo_report_holds_every_digest_and_figure() -> None:
    result = demo_object()
    page = Page.of(render_demo_report(result, training_losses()))
    text = page.text
    for settled in result["rounds"]:
        assert settled["head"] in text
        assert f"{settled['gas_accept']:,}" in text
        assert f"{settled['paid_wei']:,}" in text
        for commitment in settled["commitments"]:
            assert {commitment[name] for name in ("trainer", "manifest", "head")} <= set(page.codes)
            assert f"{commitment['gas']:,}" in text
    assert result["contract"] in text
    assert result["accuracy"]["in_words"] in text
    assert all(line in text for line in result["privacy"]["text"].splitlines())
    assert result["privacy"]["label_map"]["in_words"] in text
    for name in ("protected", "protected_naive_readout", "unprotected", "head_only", "release_only", "chance"):
        assert f"{result['accuracy'][name]:.3f}" in text
    assert "117 claims passed, 0 failed" in text


def test_replay_command_is_quoted_for_the_shell() -> None:
    assert "clicooper audit '.clicooper/runs/run 001'" in Page.of(REPORTS["demo"]()).text


def test_marks_are_counted_against_the_threshold() -> None:
    result = demo_object(rounds=4)
    found = sum(mark["log2_p"] <= -64 for mark in result["marks_in_final_model"])
    assert 0 < found < len(result["marks_in_final_model"])
    text = Page.of(render_demo_report(result, training_losses(4))).text
    assert f"In the final model {found} of {len(result['marks_in_final_model'])} marks" in text


def test_insecure_runs_and_inconclusive_readouts_stand_out() -> None:
    result = demo_object()
    result["accuracy"]["doubt"] = "The readout is inconclusive."
    html = render_demo_report(result, training_losses())
    assert '<p class="text warning">INSECURE' in html
    assert "The readout is inconclusive" in html
    result["privacy"]["secure"] = True
    assert "text warning" not in render_demo_report(result, training_losses())


def test_audit_report_holds_every_row_in_full() -> None:
    rows = tampered_rows()
    text = Page.of(render_report(audit_of(*rows))).text
    for row in rows:
        assert all(part in text for part in (row.subject, row.detail, row.expected, row.actual))


def test_story_holds_every_digest_as_code_to_copy() -> None:
    report = told_audit()
    page = Page.of(render_report(report))
    assert report.timeline is not None
    assert report.sampled is not None
    named = {digest for entry in report.timeline.entries for _, digest in entry.digests}
    named |= {entry.sender for entry in report.timeline.entries} | {report.timeline.contract}
    named |= {"0x" + seed.hex() for _, draw in report.sampled.draws for seed in draw.seeds.values()}
    assert named <= set(page.codes)
    assert page.tags["svg"] == 3
    assert "2023-11-14 22:13:20 UTC" in page.text
    assert "5 % of a round’s intervals escapes with probability 0.86" in page.text


def test_script_recognises_every_digest_and_nothing_else() -> None:
    (script,) = Page.of(REPORTS["audit, with its story"]()).scripts
    pattern = re.compile(re.search(r"const digest = /(.+)/;", script)[1])  # type: ignore[index]
    codes = Page.of(REPORTS["audit, with its story"]()).codes
    assert [code for code in codes if pattern.match(code)] == [code for code in codes if code.startswith(("0x", "baf"))]


def test_hostile_times_of_blocks_are_shown_not_computed() -> None:
    report = told_audit(1)
    assert report.timeline is not None
    late = replace(report.timeline.entries[1], time_s=2**63 - 1)
    timeline = replace(report.timeline, entries=(report.timeline.entries[0], late))
    assert "9223372036854775807 s UTC" in Page.of(render_report(replace(report, timeline=timeline))).text


def test_contradictions_come_first_then_what_could_not_be_checked() -> None:
    text = Page.of(render_report(audit_of(*tampered_rows()))).text
    positions = [text.index(words) for words in ("step 39", "the progress key was not granted", "All claims")]
    assert positions == sorted(positions)
    assert f"1 of {len(tampered_rows())} claims is contradicted" in text.replace("\n", " ")


@pytest.mark.parametrize(
    ("rows", "verdict", "words"),
    [
        (honest_rows(), "pass", f"All {len(honest_rows())} claims that were checked hold."),
        (tampered_rows()[:2], "inconclusive", "No contradiction was found, but 1 of 2 claims is not checked."),
        (
            tampered_rows(),
            "fail",
            f"1 of {len(tampered_rows())} claims is contradicted by the record or its artifacts.",
        ),
        ([], "inconclusive", "Nothing could be checked, so nothing is confirmed."),
    ],
)
def test_banner_says_the_verdict(rows: list[CheckResult], verdict: str, words: str) -> None:
    html = render_report(audit_of(*rows))
    assert f'<div class="banner {verdict}" id="verdict">' in html
    assert words in Page.of(html).text


def test_every_check_is_explained() -> None:
    text = Page.of(render_report(audit_of())).text
    assert all(check.value in text for check in Check)


def test_rows_are_grouped_by_round_in_numeric_order() -> None:
    rows = [CheckResult(Check.LABELS, Verdict.PASS, "labels", round=round_) for round_ in (10, 2, 0)]
    text = Page.of(render_report(audit_of(*rows))).text
    assert text.index("Round 0") < text.index("Round 2") < text.index("Round 10")


def test_audit_report_escapes_a_script_in_any_field() -> None:
    row = CheckResult(Check.LINKS, Verdict.FAIL, HOSTILE, HOSTILE, 0, 1, HOSTILE, HOSTILE)
    html = render_report(AuditReport(HOSTILE, (1, 2), 1, (row,), Replayed(0, 0, 0.0), 0.1))
    page = Page.of(html)
    assert (page.tags["script"], page.tags["img"]) == (1, 0)
    assert page.text.count(HOSTILE) == 9


def test_demo_report_escapes_a_script_in_any_text() -> None:
    result = demo_object()
    result["run_dir"] = result["contract"] = result["accuracy"]["in_words"] = result["privacy"]["text"] = HOSTILE
    result["marks_in_final_model"][0]["purpose"] = HOSTILE
    for name in ("trainer", "manifest", "head"):
        result["rounds"][0]["commitments"][0][name] = HOSTILE
    page = Page.of(render_demo_report(result, training_losses()))
    assert (page.tags["script"], page.tags["img"]) == (1, 0)
    assert page.text.count(HOSTILE) >= 8


def test_subject_with_hidden_characters_is_shown_as_it_is() -> None:
    row = CheckResult(Check.RECORD, Verdict.PASS, "safe\u202egnp.exe\x00\u200b\ud800")
    text = Page.of(render_report(audit_of(row))).text
    assert "safe\\u202egnp.exe\\x00\\u200b\\ud800" in text


@settings(max_examples=40, deadline=None)
@given(st.text(max_size=60), st.text(max_size=60), st.sampled_from(Verdict))
def test_any_text_leaves_the_page_well_formed(subject: str, detail: str, verdict: Verdict) -> None:
    plain = Page.of(render_report(audit_of(CheckResult(Check.REPLAY, verdict, "subject", "detail", 0, 0))))
    html = render_report(audit_of(CheckResult(Check.REPLAY, verdict, subject, detail or "detail", 0, 0)))
    html.encode()
    page = Page.of(html)
    assert page.tags == plain.tags
    assert page.attributes == plain.attributes


def test_missing_values_are_errors_of_the_program() -> None:
    from jinja2 import UndefinedError

    with pytest.raises(UndefinedError):
        render_page("audit.html.j2")


def test_description_of_a_plot_is_escaped() -> None:
    svg = draw_svg("sample", HOSTILE, lambda axes: axes.set_xlim(0, 1))
    assert Page.of(str(svg)).values("aria-label") == [HOSTILE]


def test_losses_may_be_absent_or_not_finite() -> None:
    for losses in ([], [[], []], [[1.0, math.nan, math.inf]]):
        assert Page.of(render_demo_report(demo_object(), losses)).tags["svg"] == 5


def test_report_is_written_whole_into_a_new_folder(tmp_path: Path) -> None:
    path = tmp_path / "new" / "audit.html"
    write_page(path, render_report(audit_of(*tampered_rows())))
    assert path.read_text(encoding="utf-8") == render_report(audit_of(*tampered_rows()))
    write_page(path, render_demo_report(demo_object(), training_losses()))
    assert path.read_bytes() == REPORTS["demo"]().encode()
    assert [entry.name for entry in path.parent.iterdir()] == ["audit.html"]


@pytest.mark.parametrize("name", ["file/report.html", "folder", "folder/..", "", "x" * 300])
def test_unwritable_path_is_a_run_folder_error(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("a file is no folder", encoding="utf-8")
    Path("folder").mkdir()
    with pytest.raises(RunFolderError) as caught:
        write_page(Path(name), render_report(audit_of()))
    assert caught.value.hint
    with pytest.raises(RunFolderError):
        write_page(Path(name), render_demo_report(demo_object(1, 2), training_losses(1)))
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["file", "folder"]
