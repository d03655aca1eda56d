"""Names that other people chose, on their way to a terminal: through errors, tables, lines, progress and JSON."""

from __future__ import annotations

import io
import json
import os
import warnings
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from clicooper.audit.verdict import AuditReport, Check, CheckResult
from clicooper.cli import main as main_module
from clicooper.cli.main import main
from clicooper.cli.output import Output
from clicooper.commitments.manifest import ModelSpec
from clicooper.errors import UntrustedModel, UsageError
from clicooper.learning.models import require_trusted
from clicooper.reports.audit_tables import print_result
from clicooper.reports.tables import print_lines, table
from clicooper.reports.terminal import open_console, show_progress
from clicooper.storage.ipld.cid import cid_text, file_cid
from clicooper.types import Verdict

HOSTILE = {
    "escape": "x\x1b[2J\x1b[31mred\x1b]8;;http://a\x07",
    "one byte": "x\x9b31mred\x9d",
    "own line": "x\nVerdict: pass\r\nVerdict: pass",
    "unicode line": "x\u2028Verdict: pass\x85Verdict: pass\u2029\v\f\x1c\x1d\x1eVerdict: pass",
    "direction": "x\u202egnp.exe\u2066\u200b\ufeff\U000e0041",
    "markup": "[bold]x[/] [red]Verdict: pass[/red] [/nothing] [link=http://a]b[/link] :smile:",
    "surrogate": "x\udcff\ud800",
    "cursor": "x\b\b\b\x7f\x07\x00y",
}
FORBIDDEN = {chr(n) for n in (*range(10), *range(11, 32), *range(0x7F, 0xA0), 0x2028, 0x2029, 0x202E, 0x2066, 0x200B)}

BLOCK_X = cid_text(file_cid(b"x"))

every_hostile = pytest.mark.parametrize("text", HOSTILE.values(), ids=list(HOSTILE))


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """What wraps is not what is asked here."""
    monkeypatch.setenv("COLUMNS", "2000")


def printed(draw: Any) -> str:
    stream = io.StringIO()
    draw(open_console(stream, no_color=True, soft_wrap=False))
    return stream.getvalue()


def assert_plain(shown: str) -> None:
    assert not FORBIDDEN & set(shown)
    assert not any("\ud800" <= char <= "\udfff" for char in shown)
    assert sum(line.strip().startswith("Verdict: pass") for line in shown.split("\n")) == 0


def report(text: str) -> AuditReport:
    row = CheckResult(Check.ARTIFACTS, Verdict.FAIL, text, text, 0, 1, expected=text, actual=text)
    return AuditReport.without_replay(text, [row], 1.0)


@every_hostile
def test_an_audit_shows_names_and_no_verdict_but_its_own(text: str) -> None:
    shown = printed(lambda console: print_result(console, report(text), {"car": {"path": text, "why": text}}))
    assert_plain(shown)
    assert "\nVerdict: fail\n" in shown


@every_hostile
def test_tables_lines_and_strings_are_plain(text: str) -> None:
    def draw(console: Console) -> None:
        rows = table(text, "what", text, rows=[(text, text)])
        rows.add_row(text, None)
        console.print(rows)
        print_lines(console, text)
        console.print(text)
        with show_progress(console) as show:
            show(text, 0, 1)

    assert_plain(printed(draw))


def test_markup_of_other_people_is_shown_as_it_is() -> None:
    text = HOSTILE["markup"]
    for draw in (
        lambda console: console.print(text, soft_wrap=True),
        lambda console: print_lines(console, text),
        lambda console: console.print(table("t", "a", rows=[(text,)]), soft_wrap=True),
    ):
        assert text in printed(draw)


@every_hostile
@pytest.mark.parametrize(
    "arguments",
    [
        ("{}",),
        ("audit", "{}"),
        ("audit", ".", "--grant", "{}", "--identity", "{}"),
        ("evidence", "show", "{}"),
        ("evidence", "check", "{}"),
        ("store", "import", "{}"),
        ("store", "get", "{}"),
        ("store", "pin", "bafy", "--set", "{}"),
        ("verify", ".", "--policy", "{}"),
        ("audit", ".", "--workers", "{}"),
        ("--network", "{}", "job", "list"),
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("flags", [(), ("--json",)], ids=["", "json"])
def test_commands_never_repeat_what_a_terminal_obeys(
    text: str, arguments: tuple[str, ...], flags: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = main([*flags, *(argument.replace("{}", text) for argument in arguments)])
    assert code in (1, 2, 3, 4)
    assert_plain(out.getvalue())
    assert_plain(err.getvalue())
    if flags:
        assert json.loads(out.getvalue())["error"]["message"]


@every_hostile
def test_results_of_commands_are_plain_and_json_keeps_the_value(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = os.fsencode(text.replace("\ud800", "").replace("/", "_").replace("\0", ""))
    monkeypatch.chdir(tmp_path)
    Path(os.fsdecode(name)).write_bytes(b"x")
    shown: list[str] = []
    for flags in ((), ("--json",)):
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            assert main([*flags, "store", "add", os.fsdecode(name)]) == 0
            assert main([*flags, "store", "get", "-o", os.fsdecode(name) + ".2", BLOCK_X]) == 0
        assert_plain(err.getvalue())
        assert_plain(out.getvalue())
        shown.append(out.getvalue())
    decoder = json.JSONDecoder()
    first, end = decoder.raw_decode(shown[1])
    second, _ = decoder.raw_decode(shown[1][end:].lstrip())
    assert (first["cid"], second["path"]) == (BLOCK_X, os.fsdecode(name) + ".2")


def test_a_deleted_character_in_json_is_escaped() -> None:
    stream = io.StringIO()
    Output(json=True, stdout=stream).finish({"a": "\x7f\x1b\x9b\u202e"}, lambda _: None)
    assert stream.getvalue().isascii() and stream.getvalue().replace("\n", "").isprintable()
    assert json.loads(stream.getvalue()) == {"a": "\x7f\x1b\x9b\u202e"}


def test_a_hint_quotes_the_model_that_a_spec_names() -> None:
    spec = ModelSpec.model_construct(kind="a:b; rm -rf ~\n\x1b[0m")
    with pytest.raises(UntrustedModel) as e:
        require_trusted(spec, ())
    assert e.value.hint.endswith("pass --trust-model 'a:b; rm -rf ~ [0m'")


def test_warnings_are_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(main_module, "main", lambda _: 0)
    monkeypatch.setattr(warnings, "formatwarning", warnings.formatwarning)
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(f"sys.{name}", io.TextIOWrapper(io.BytesIO()))
    with pytest.raises(SystemExit):
        main_module.run()
    shown = warnings.formatwarning(UserWarning(HOSTILE["own line"] + "\x1b[31m"), UserWarning, "file\x1b", 1)
    assert shown == "UserWarning: x Verdict: pass  Verdict: pass[31m\n"


def test_an_artifact_is_not_written_to_a_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.chdir(tmp_path)
    with redirect_stdout(Terminal()) as out, redirect_stderr(io.StringIO()) as err:
        assert main(["store", "get", BLOCK_X]) == 2
    assert (out.getvalue(), "-o FILE" in err.getvalue()) == ("", True)


def test_a_path_that_no_disk_can_have_is_no_defect_of_the_program(tmp_path: Path) -> None:
    with redirect_stderr(io.StringIO()) as err, redirect_stdout(io.StringIO()):
        codes = [main([*command, "a" * 5000]) for command in (("audit",), ("evidence", "check"), ("store", "add"))]
    assert 70 not in codes
    assert all(len(line) < 4200 for line in err.getvalue().split("\n"))


def test_an_error_of_any_length_is_one_bounded_line(capsys: pytest.CaptureFixture[str]) -> None:
    Output().fail(UsageError("x" * 100_000, hint="y" * 100_000))
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2 and all(len(line) < 4100 for line in lines)
