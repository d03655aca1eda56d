"""The README is a promise: its commands exist, its claims about them hold, its figures come from a run."""

import re
from pathlib import Path

import pytest

from clicooper.audit.verdict import Check
from clicooper.cli.main import main

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def shell_lines() -> list[str]:
    """Every command line in a shell block, without its comment."""
    blocks = re.findall(r"```sh[^\n]*\n(.*?)```", README, flags=re.DOTALL)
    return [line.split("#")[0].strip() for block in blocks for line in block.splitlines() if line.strip()]


def test_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    named = {line.split()[1] for line in shell_lines() if line.startswith("make ")}
    assert named == {"demo", "test"}
    assert named <= targets


def test_first_two_commands_are_demo_and_test() -> None:
    assert [line.split()[:2] for line in shell_lines()[:2]] == [["make", "demo"], ["make", "test"]]


DISPUTE = ["evidence make", "evidence check", "challenge", "arbiter rule"]
COMMANDS = ["demo", "audit", "verify", "account new", "deploy", "contract info", "store export", "job grant", *DISPUTE]


@pytest.mark.parametrize("command", COMMANDS)
def test_options_shown_exist(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command.split(), "--help"]) == 0
    known = capsys.readouterr().out
    assert main(["--help"]) == 0
    known += capsys.readouterr().out
    lines = [line for line in shell_lines() if f"clicooper {command}" in line]
    shown = {option for line in lines for option in re.findall(r"--[a-z-]+", line)}
    assert lines
    assert {option for option in shown if option not in known} == set()


def test_every_check_is_explained() -> None:
    rows = "\n".join(line for line in README.splitlines() if line.startswith("| `"))
    assert {check.value for check in Check if f"`{check.value}`" not in rows} == set()


def test_links_lead_to_files() -> None:
    targets = [target for target in re.findall(r"\]\(([^)#]+)\)", README) if "://" not in target]
    assert targets
    assert [target for target in targets if not (ROOT / target).exists()] == []


def test_audit_of_a_run_as_shown(run_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", str(run_dir), "--quiet"]) == 0
    assert "Verdict: pass" in capsys.readouterr().out
