"""The ``clicooper`` command: options, and the one place that turns every error into an exit code."""

from __future__ import annotations

import os
import sys
import threading
import warnings
from collections.abc import Sequence
from contextlib import redirect_stdout
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_group

from clicooper import __version__
from clicooper.cli.output import Output
from clicooper.errors import CliCooperError, StorageError, UsageError
from clicooper.plain_text import plain

__all__ = ["COMMANDS", "app", "main", "run"]

EXIT_USAGE = 2
EXIT_UNEXPECTED = 70
EXIT_INTERRUPTED = 130
LEAVING_S = 10.0
"""Seconds that an interrupted program may take to end in good order."""
EXIT_BROKEN_PIPE = 141
STDOUT_FILE = 1

FLAGS = ("--json", "--quiet", "--no-color")
OPTIONS = ("--home", "--network", "--store", "--account", "--password-file")
HELP = ("-h", "--help")

COMMANDS = {
    "demo": ("demo:demo", "Run a whole job in one process."),
    "audit": ("audit:audit", "Replay a job and judge every claim."),
    "verify": ("verify:verify", "Verify a committed round, then pay it or accuse a seat."),
    "deploy": ("deploy:deploy", "Put the contract on a chain."),
    "challenge": ("challenge:challenge", "Accuse a seat or the owner."),
    "networks": ("configuration:networks", "List the named networks."),
    "account": ("account:app", "Make, import and list encrypted accounts."),
    "contract": ("contract:app", "Look at a deployed contract, compare it, export its sources."),
    "evidence": ("evidence:app", "Evidence on one step or claim: make, show, check."),
    "arbiter": ("arbiter:app", "See and decide challenges."),
    "head": ("head:app", "Make a public head."),
    "job": ("job:app", "Look at jobs, and take their exits."),
    "ownership": ("ownership:app", "Prove, judge and publish claims upon a suspect model."),
    "store": ("store:app", "Artifacts by content: keep, fetch, list, pack and clean up."),
    "evaluate": ("evaluate:app", "Attack what a job publishes."),
    "config": ("configuration:app", "Look at the configuration."),
}
"""Every command and group: its module and attribute under ``clicooper.cli``, and what ``--help`` says of it."""


class LazyGroup(TyperGroup):
    """The commands, each imported when it is called: their list imports none of them."""

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Finds the command in the table, then imports it."""
        name, _, rest = super().resolve_command(ctx, args)
        return name, _load(name or ""), rest


def _load(name: str) -> Any:
    module, _, attribute = COMMANDS[name][0].partition(":")
    found = getattr(import_module(f"clicooper.cli.{module}"), attribute)
    holder = typer.Typer(add_completion=False, rich_markup_mode=None)
    if isinstance(found, typer.Typer):
        holder.add_typer(found, name=name)
    else:
        holder.command(name)(found)
    return get_group(holder).commands[name]


app = typer.Typer(
    name="clicooper",
    cls=LazyGroup,
    help="Verifiable client-cooperative split learning: hire trainers, verify their work, pay, audit.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": list(HELP)},
)
for _name, (_, _words) in COMMANDS.items():
    app.command(_name, short_help=_words)(lambda: None)


def _show_version(context: typer.Context, wanted: bool) -> None:
    if wanted:
        output: Output = context.obj["output"]
        line = f"clicooper {__version__}"
        output.finish({"ok": True, "code": 0, "version": __version__}, lambda _: typer.echo(line))
        raise typer.Exit


@app.callback()
def _globals(
    context: typer.Context,
    json: Annotated[bool, typer.Option("--json", help="Print exactly one JSON object on stdout.")] = False,  # noqa: ARG001 - main has read the flags
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress on stderr.")] = False,  # noqa: ARG001
    no_color: Annotated[bool, typer.Option("--no-color", help="No colours; NO_COLOR does the same.")] = False,  # noqa: ARG001
    home: Annotated[
        Path | None,
        typer.Option("--home", help="Where runs, keystores and deployment records go.  [default: .clicooper]"),
    ] = None,
    network: Annotated[
        str | None,
        typer.Option("--network", help="A name that `networks` lists, or a node's URL.  [default: embedded]"),
    ] = None,
    store: Annotated[
        str | None,
        typer.Option("--store", help="local, ipfs, or ipfs:URL of an IPFS node's RPC.  [default: local]"),
    ] = None,
    account: Annotated[str | None, typer.Option("--account", help="Name of the keystore that acts.")] = None,
    password_file: Annotated[
        Path | None, typer.Option("--password-file", help="File with its password.  [default: a prompt]")
    ] = None,
    version: Annotated[  # noqa: ARG001 - typer calls _show_version
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    context.obj["settings"] = {
        "home": home,
        "network": network,
        "store": store,
        "account": account,
        "password_file": password_file,
    }


def main(arguments: Sequence[str]) -> int:
    """Runs one command line and returns its exit code; nothing escapes but the code."""
    front, rest = _globals_first(arguments)
    output = Output("--json" in front, "--quiet" in front, "--no-color" not in front)
    try:
        with output.guarded(asks_for_help=_asks_for_help(rest)):
            return _run(output, front, rest)
    except CliCooperError as e:
        error = e
    except KeyboardInterrupt:
        error = _interrupted()
    except (SystemExit, BrokenPipeError):
        # All that the parser still exits for itself is a reader of stdout that went away.
        return EXIT_BROKEN_PIPE
    except Exception as e:  # noqa: BLE001 - the last line of defence: a message, never a traceback
        error = _from_parser(e)
    output.fail(error)
    return error.exit_code


def _run(output: Output, front: Sequence[str], rest: Sequence[str]) -> int:
    if front and front[-1] in OPTIONS:
        raise UsageError(f"Option {front[-1]!r} requires an argument", hint="see clicooper --help")
    if not front and not rest:
        with redirect_stdout(sys.stderr):
            app(args=["--help"], prog_name="clicooper", standalone_mode=False)
        return EXIT_USAGE
    code = app(args=[*front, *rest], prog_name="clicooper", standalone_mode=False, obj={"output": output})
    if code == EXIT_INTERRUPTED:
        # The parser has caught the interrupt without a word; no command returns this code itself.
        raise KeyboardInterrupt
    return code if isinstance(code, int) else 0


def _globals_first(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """The global options, which may stand anywhere before ``--``, and the rest.

    A global option that lacks its value comes last in the first list.
    """
    front: list[str] = []
    rest: list[str] = []
    items = list(arguments)
    while items and items[0] != "--":
        item = items.pop(0)
        if item in FLAGS or item.split("=", 1)[0] in OPTIONS:
            front.append(item)
            if item in OPTIONS:
                if not items or items[0].startswith("--"):
                    return [flag for flag in arguments if flag in FLAGS] + front, [*rest, *items]
                front.append(items.pop(0))
        else:
            rest.append(item)
    return front, rest + items


def _asks_for_help(rest: Sequence[str]) -> bool:
    before = rest[: rest.index("--")] if "--" in rest else rest
    return any(item in HELP for item in before)


def _interrupted() -> CliCooperError:
    error = CliCooperError("interrupted", hint="a run folder that was begun says INCOMPLETE; run the command again")
    error.exit_code = EXIT_INTERRUPTED
    return error


def _from_parser(e: Exception) -> CliCooperError:
    """A usage error of the option parser, or a defect of this program, as one of our errors."""
    if hasattr(e, "format_message"):
        command = getattr(getattr(e, "ctx", None), "command_path", "clicooper")
        return UsageError(str(e.format_message()).rstrip("."), hint=f"see {command} --help")
    if isinstance(e, typer.Abort):
        return _interrupted()
    if isinstance(e, OSError) and e.filename is not None:
        hint = "check the path and its permissions"
        return StorageError(f"cannot use {plain(e.filename, 300)}: {e.strerror}", hint=hint)
    where = e.__traceback__
    while where is not None and where.tb_next is not None:
        where = where.tb_next
    place = f" ({Path(where.tb_frame.f_code.co_filename).name}:{where.tb_lineno})" if where else ""
    error = CliCooperError(
        f"unexpected {type(e).__name__}: {e}{place}", hint="this is a defect of clicooper; please report this line"
    )
    error.exit_code = EXIT_UNEXPECTED
    return error


def run() -> None:
    """Entry point of the console script."""
    for stream in (sys.stdout, sys.stderr):
        # A file name or a table's line may hold what the terminal's encoding lacks.
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    warnings.formatwarning = lambda message, category, *_, **__: plain(f"{category.__name__}: {message}") + "\n"
    try:
        code = main(sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:
        code = EXIT_BROKEN_PIPE
    if code == EXIT_BROKEN_PIPE:
        # Without this the interpreter complains about the lost reader on its way out.
        os.dup2(os.open(os.devnull, os.O_WRONLY), STDOUT_FILE)
    if code == EXIT_INTERRUPTED:
        _leave_within(LEAVING_S)
    sys.exit(code)


def _leave_within(seconds: float) -> None:
    """Ends the process even if a thread will not: on its way out the interpreter joins every thread of a pool, and one
    may wait for a lock for ever whose release the interrupt prevented."""
    timer = threading.Timer(seconds, os._exit, [EXIT_INTERRUPTED])
    timer.daemon = True
    timer.start()
