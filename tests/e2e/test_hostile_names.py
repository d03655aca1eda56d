"""Names in artifacts that were chosen for whoever reads the audit: nothing of them commands the terminal."""

# ruff: noqa: ARG002 - an override keeps the signature of what it replaces

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from clicooper.access.grants import write_grants
from clicooper.access.sealing import new_identity
from clicooper.chain.record import write_record
from clicooper.cli.main import main
from clicooper.commitments.manifest import SegmentManifest
from clicooper.files import write_secret
from clicooper.learning.checkpoint import State
from clicooper.learning.training import TrainedSegment
from tests.adversaries.manifests import PublishingCheat
from tests.cli_calls import Capture
from tests.scenario import keys_of, rehearsal, seating, tiny_config

NAME = "x\x1b[2J\x1b]0;t\x07\x9b31m\u202e\nVerdict: pass\r\nVerdict: pass\u2028Verdict: pass [/nothing] [red]y[/red]"


class NamesARuntime(PublishingCheat):
    """Its runtime class is made for a terminal."""

    def lies(self, manifest: SegmentManifest) -> dict[str, Any]:
        return {"runtime_class": NAME}


class NamesATensor(PublishingCheat):
    """One of its tensors has a name that is made for a terminal."""

    def released(self, round_: int, trained: TrainedSegment, out: State) -> State:
        first = min(out)
        return {**{name: array for name, array in out.items() if name != first}, NAME: out[first]}


@pytest.mark.parametrize("cheat", [NamesARuntime, NamesATensor])
def test_an_audit_for_people_shows_no_verdict_but_its_own(
    cheat: type[PublishingCheat], tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with rehearsal(tmp_path / "run", tiny_config(rounds=1), seating({1: cheat})) as job:
        committed = job.train_and_commit()
        job.opened.owner.accept(0, committed[-1].head)
        identity, recipient = new_identity()
        write_secret(job.folder.auditor / "identity.txt", identity.encode() + b"\n")
        write_grants(job.folder.auditor, keys_of(job, committed), recipient)
        write_record(job.folder.record, job.record())
        job.folder.finish()
    monkeypatch.setenv("COLUMNS", "2000")
    at = ("audit", str(tmp_path / "run"), "--home", str(tmp_path / "home"))
    assert main([*at, "--report", str(tmp_path / "report.html")]) == 1
    shown = capsys.readouterr()
    for text in (shown.out, shown.err):
        assert all(char.isprintable() or char == "\n" for char in text)
        assert not any(line.strip().startswith("Verdict: pass") for line in text.splitlines())
    assert "Verdict: fail" in shown.out
    assert "\x1b" not in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert main([*at, "--json"]) == 1
    printed = capsys.readouterr().out
    assert printed.isascii() and "\x1b" not in printed
    assert any(NAME in str(value) for row in json.loads(printed)["checks"] for value in row.values())
