"""The ``clicooper`` command: options, and the one place that turns every error into an exit code."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from clicooper import __version__
from clicooper.cli.output import Output
from clicooper.errors import CliCooperError, UsageError

__all__ = ["app", "main", "run"]

EXIT_INTERRUPTED = 130

FLAGS = ("--json", "--quiet", "--no-color")
OPTIONS = ("--home", "--network")

app = typer.Typer(
    name="clicooper",
    help="Verifiable client-cooperative split learning: hire trainers, verify their work, pay, audit.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"clicooper {__version__}")
        raise typer.Exit


@app.callback()
def _globals(
    context: typer.Context,
    json: Annotated[bool, typer.Option("--json", help="Print exactly one JSON object on stdout.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress on stderr.")] = False,
    no_color: Annotated[bool, typer.Option("--no-color", help="No colours; NO_COLOR does the same.")] = False,
    home: Annotated[Path | None, typer.Option("--home", help="Where run folders go.  [default: .clicooper]")] = None,
    network: Annotated[
        str | None, typer.Option("--network", help="'embedded' or the URL of an EVM node.  [default: embedded]")
    ] = None,
    version: Annotated[  # noqa: ARG001 - typer calls _show_version
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    context.obj = {"output": Output(json, quiet, not no_color), "home": home, "network": network}


def _register() -> None:
    """Adds the command groups; each imports what is heavy inside its functions."""
    from clicooper.cli import audit, demo  # noqa: PLC0415 - they import this module's neighbours only

    app.command("demo")(demo.demo)
    app.command("audit")(audit.audit)


_register()


def _globals_first(arguments: Sequence[str]) -> list[str]:
    """Moves the global options in front of the command, so that they may stand anywhere before ``--``."""
    front: list[str] = []
    rest: list[str] = []
    items = list(arguments)
    while items:
        item = items.pop(0)
        if item == "--":
            rest += [item, *items]
            break
        if item in FLAGS or item.split("=", 1)[0] in OPTIONS:
            front.append(item)
            if item in OPTIONS and items:
                front.append(items.pop(0))
        else:
            rest.append(item)
    return front + rest


def main(arguments: Sequence[str]) -> int:
    """Runs one command line and returns its exit code; nothing escapes but the code."""
    arguments = _globals_first(arguments)
    plain = Output("--json" in arguments, "--quiet" in arguments, "--no-color" not in arguments)
    try:
        code = app(args=list(arguments), standalone_mode=False)
    except CliCooperError as e:
        plain.fail(e)
        return e.exit_code
    except KeyboardInterrupt:
        plain.fail(_interrupted())
        return EXIT_INTERRUPTED
    except Exception as e:  # noqa: BLE001 - the last line of defence: a message, never a traceback
        error = _from_parser(e)
        plain.fail(error)
        return error.exit_code
    return code if isinstance(code, int) else 0


def _interrupted() -> CliCooperError:
    error = CliCooperError("interrupted", hint="a run folder that was begun says INCOMPLETE; run the command again")
    error.exit_code = EXIT_INTERRUPTED
    return error


def _from_parser(e: Exception) -> CliCooperError:
    """A usage error of the option parser, or a defect of this program, as one of our errors."""
    if hasattr(e, "format_message"):
        return UsageError(str(e.format_message()).rstrip("."), hint="see clicooper --help")
    if isinstance(e, typer.Abort):
        return _interrupted()
    where = e.__traceback__
    while where is not None and where.tb_next is not None:
        where = where.tb_next
    place = f" ({Path(where.tb_frame.f_code.co_filename).name}:{where.tb_lineno})" if where else ""
    error = CliCooperError(
        f"unexpected {type(e).__name__}: {e}{place}", hint="this is a defect of clicooper; please report this line"
    )
    error.exit_code = EXIT_UNEXPECTED
    return error


EXIT_UNEXPECTED = 70


def run() -> None:
    """Entry point of the console script."""
    sys.exit(main(sys.argv[1:]))
