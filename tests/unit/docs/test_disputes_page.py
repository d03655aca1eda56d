"""docs/disputes.md says what the code does: its claims, commands, options and printed fields exist."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from clicooper.cli.main import main
from clicooper.disputes.evidence import Claim
from clicooper.disputes.opinion import Answer, Opinion
from tests.cli_calls import Capture, answered
from tests.evidence_files import CLAIMS, plain_evidence
from tests.scenario import FinishedRun

PAGE = (Path(__file__).parents[3] / "docs" / "disputes.md").read_text(encoding="utf-8")
LINES = [
    line for block in re.findall(r"```sh\n(.*?)```", PAGE, re.S) for line in block.replace("\\\n", " ").splitlines()
]
COMMANDS = ["evidence make", "evidence check", "challenge", "arbiter show", "arbiter rule"]


def test_every_claim_is_explained() -> None:
    rows = re.findall(r"^\| (`.*?) \|", PAGE, re.M)
    explained = {name for row in rows for name in re.findall(r"`([a-z-]+)`", row)}
    assert {*get_args(Claim)} - {"replay"} <= explained
    assert "`--step`, `--interval`" in PAGE


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_and_options_exist(command: str, capsys: Capture) -> None:
    assert main([*command.split(), "--help"]) == 0
    known = capsys.readouterr().out
    assert main(["--help"]) == 0
    known += capsys.readouterr().out
    lines = [line for line in LINES if line.startswith(f"clicooper {command} ")]
    shown = {option for line in lines for option in re.findall(r"--[a-z-]+", line.split("#")[0])}
    assert lines
    assert {option for option in shown if option not in known} == set()


def test_the_printed_fields_are_those_on_the_page(honest_run: FinishedRun, tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "e.car"
    path.write_bytes(plain_evidence(honest_run, CLAIMS["links"]).to_car())
    printed = answered(capsys, "evidence", "check", str(path))
    (fields,) = re.findall(r"`\{(ok, code, finding.*?)\}`", PAGE, re.S)
    assert set(re.split(r",\s+", fields)) == set(printed)


def test_the_exit_codes_are_those_on_the_page() -> None:
    table = dict(re.findall(r"^\| (\d) \| ([a-z ]+)", PAGE, re.M))
    assert {Answer(words.strip()): int(code) for code, words in table.items()} == {
        finding: finding.exit_code for finding in Answer
    }


def test_no_finding_looks_like_success_but_that_of_innocence() -> None:
    for finding in Answer:
        printed = Opinion(finding, None, "").to_json()
        assert (printed["ok"], printed["code"]) == (finding is Answer.NOT_GUILTY, finding.exit_code)
