"""The evaluation of marks: taken up where it stopped, summed up without flattery, printed and written as a page."""

import contextlib
import io
import json
from dataclasses import replace

import pytest

from clicooper.attacks.marks.mark_evaluation import attack_job
from clicooper.attacks.marks.mark_summary import summarise
from clicooper.attacks.marks.marked_job import load_marked_job
from clicooper.attacks.marks.outcomes import Finished, Forgery, MarkCost, OutcomeLog, RemovalOutcome
from clicooper.attacks.marks.survival import Survival
from clicooper.cli.main import main
from clicooper.errors import StorageError, UsageError
from clicooper.reports.marks_page import render_marks_report
from clicooper.reports.marks_result import marks_result
from tests.scenario import quiet, tiny_config

ALL = Survival(1.0, 1.0, 1.0, 1.0, 1.0, 300.0, 500.0)
NONE = Survival(0.0, 0.0, 0.0, 0.0, 0.0, 0.5, 0.7)
HARMLESS = RemovalOutcome(1, "prune", "30%", "the file", 0.95, 0.96, ALL, 1.0, 0.0, 0.02, 0.01)
DEADLY = replace(HARMLESS, name="distil", setting="x1", found=NONE, accuracy=0.95)
RUINOUS = replace(DEADLY, name="noise", setting="1 rms", accuracy=0.2)


@pytest.fixture
def log(tmp_path):
    return OutcomeLog(tmp_path / "home" / "marks.jsonl")


def filled(log, *outcomes):
    for seed, (marked, unmarked) in enumerate([(0.96, 0.965), (0.95, 0.953), (0.97, 0.968)], start=1):
        log.add(MarkCost(seed, marked, unmarked, 1.0, 18))
        for outcome in outcomes:
            log.add(replace(outcome, seed=seed, accuracy=outcome.accuracy + 0.001 * seed))
        log.add(Forgery("grinding", "200 keys", False, "a", "best of 200", seed))
        log.add(Finished(seed))
    return log


def test_log_reads_back_what_was_added_and_survives_a_torn_line(log):
    filled(log, HARMLESS)
    path = log._path
    assert OutcomeLog(path).entries == log.entries
    path.write_text(path.read_text()[:-30])
    torn = OutcomeLog(path)
    assert torn.entries == log.entries[:-1]
    torn.add(Finished(3))
    assert OutcomeLog(path).entries == log.entries


def test_log_that_cannot_be_read_or_written_is_an_error_with_its_path(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="marks"):
        OutcomeLog(tmp_path / "file" / "marks.jsonl").add(Finished(1))


def test_summary_tells_survivors_from_open_weaknesses_and_from_ruined_models(log):
    summary = summarise(filled(log, HARMLESS, DEADLY, RUINOUS), 3)
    assert [row.name for row in summary.open_weaknesses] == ["distil"]
    assert [row.keeps_accuracy for row in summary.removals] == [True, True, False]
    assert summary.cost == pytest.approx((0.005 + 0.003 - 0.002) / 3)
    # Student's t with 2 degrees of freedom: 4.303 deviations of the mean.
    assert summary.cost_half_width == pytest.approx(4.303 * 0.003606 / 3**0.5, rel=1e-3)
    assert summary.removals[0].accuracy == pytest.approx(0.952)


def test_summary_leaves_out_seeds_that_were_not_asked_for(log):
    filled(log, HARMLESS)
    assert summarise(log, 2).seeds == 2
    with pytest.raises(UsageError, match="nothing"):
        summarise(log, 0)


def test_result_fails_when_a_forgery_stands_a_floor_is_above_zero_or_marks_are_missing(log):
    filled(log, HARMLESS)
    assert marks_result(summarise(log, 3))["code"] == 0
    for bad in (
        Forgery("grinding", "200 keys", True, "", "found", 1),
        replace(HARMLESS, name="quantise", floor=0.1),
        MarkCost(4, 0.9, 0.9, 0.5, 18),
    ):
        worse = OutcomeLog(log._path)
        worse.entries.append(bad)
        result = marks_result(summarise(worse, 4))
        assert (result["ok"], result["code"]) == (False, 1)


def test_report_shows_every_attack_and_names_the_open_weakness(log):
    page = render_marks_report(marks_result(summarise(filled(log, HARMLESS, DEADLY), 3)))
    assert "grinding" in page
    assert page.count("distil<br>") == 2  # among the open weaknesses, and in the table of all attacks
    assert page.count("<script") == 1  # the one that copies digests


def test_evaluation_goes_on_where_it_stopped(log, honest_run):
    job = load_marked_job(honest_run.root, tiny_config())
    attack_job(job, 1, log, quiet, only={"quantise"})
    assert {outcome.setting for outcome in log.of_kind(RemovalOutcome)} == {"fp16", "int8", "int4"}
    assert not log.is_finished(1)
    before = list(log.entries)
    attack_job(job, 1, OutcomeLog(log._path), quiet, only={"quantise"})
    assert OutcomeLog(log._path).entries == before
    log.entries = [entry for entry in before if getattr(entry, "setting", "") != "int8"]
    attack_job(job, 1, log, quiet, only={"quantise"})
    again = next(entry for entry in log.of_kind(RemovalOutcome) if entry.setting == "int8")
    first = next(entry for entry in before if getattr(entry, "setting", "") == "int8")
    assert replace(again, seconds=0, share=0) == replace(first, seconds=0, share=0)


def evaluate(tmp_path, *options):
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
        code = main(["--home", str(tmp_path), "--json", "--quiet", "evaluate", "marks", *options])
    return code, json.loads(out.getvalue())


def test_command_attacks_a_run_prints_its_rows_and_writes_a_page(tmp_path, honest_run, monkeypatch):
    monkeypatch.setenv("CLICOOPER_HEAD_RECORDS", str(tiny_config().head_records))
    page = tmp_path / "marks.html"
    options = ("--run", str(honest_run.root), "--seeds", "1", "--only", "weight shift", "--report", str(page))
    code, printed = evaluate(tmp_path, *options)
    assert (code, printed["ok"], printed["code"], printed["seeds"]) == (0, True, 0, 1)
    row = next(row for row in printed["rows"] if row["name"] == "weight shift")
    assert (row["value"], row["floor"], row["control"], row["seeds"]) == (1, 0, 1, 1)
    assert {"claim", "published", "here", "honest_reading"} == set(printed["claims"][0])
    assert "weight shift" in page.read_text()
    assert len(list((tmp_path / "evaluations").iterdir())) == 1


def test_command_refuses_unknown_attacks_and_no_seeds(tmp_path, honest_run, monkeypatch):
    monkeypatch.setenv("CLICOOPER_HEAD_RECORDS", str(tiny_config().head_records))
    code, printed = evaluate(tmp_path, "--run", str(honest_run.root), "--only", "prayer")
    assert (code, "distil" in printed["error"]["hint"]) == (2, True)
    code, printed = evaluate(tmp_path, "--seeds", "0")
    assert (code, printed["error"]["type"]) == (2, "UsageError")
