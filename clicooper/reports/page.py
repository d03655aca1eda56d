"""The frame of an HTML report: one file that loads nothing, runs one script of its own, and trusts nothing it shows.

Job: render a template into a page with its style inline, and write the page whole. Non-jobs: what a report says
(``audit_page``, ``demo_page``, ``marks_page``, ``privacy_page``), and how a plot is drawn (``plots``).

What a record says is hostile until proven otherwise. Templates escape everything, characters that would not
show are written out (a right-to-left override could make one name look like another), and the page's own
security policy forbids every request and every script but the one whose hash it names, should an escape ever be
missed. Equal input gives equal bytes.
"""

from __future__ import annotations

import hashlib
import unicodedata
from base64 import b64encode
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from clicooper import __version__
from clicooper.errors import RunFolderError, StorageError
from clicooper.files import write_whole

__all__ = ["PALETTE", "render_main", "render_page", "write_page"]

PALETTE = {
    "ground": ("#ffffff", "#14171a"),
    "surface": ("#f4f6f8", "#1d2125"),
    "line": ("#d3d9df", "#3a4149"),
    "ink": ("#1a1f24", "#e8eaed"),
    "muted": ("#56606a", "#a3adb7"),
    "control": ("#9aa4ae", "#6f7a85"),
    "link": ("#0a58b5", "#7db8f5"),
    "pass": ("#19732f", "#5cc97b"),
    "fail": ("#c0241f", "#ff8078"),
    "inconclusive": ("#855700", "#e5b84a"),
    "series-0": ("#0b62a5", "#5aa9e7"),
    "series-1": ("#c4540d", "#f39b57"),
    "series-2": ("#007a5a", "#3dbe93"),
    "series-3": ("#8b489c", "#c88fdc"),
    "series-4": ("#7a6200", "#d8ba42"),
    "series-5": ("#b5317e", "#f187be"),
    "series-6": ("#4a5564", "#a5b0be"),
    "series-7": ("#0e7a87", "#4bc4d1"),
}
"""Colours by name, for light and dark pages; each hexadecimal value occurs once, so a plot can name its colours."""

_SHOWN_CONTROLS = frozenset("\n\t")
_HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def render_page(template: str, **context: object) -> str:
    """Renders ``template`` of this package; every value but embedded plots is escaped.

    Args:
        template: file name below ``templates/``.
        context: what the template names; a name that is missing is an error of the program.
    """
    return _environment().get_template(template).render(**_frame(), **context)


def render_main(template: str, **context: object) -> Markup:
    """The main part of a page alone, escaped, to stand in another page."""
    page = _environment().get_template(template)
    names = page.new_context({**_frame(), **context})
    # A block alone does not know what its template imports and defines; rendering the whole once tells it.
    "".join(page.root_render_func(names))
    main = "".join(page.blocks["main"](names))
    return Markup(main)  # noqa: S704 - rendered above, where every value was escaped


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("clicooper.reports", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_visible,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"thousands": "{:,}".format, "general": "{:g}".format, "fixed": _fixed, "utc": _utc}
    return environment


def _frame() -> dict[str, object]:
    """What every page needs, whatever it says."""
    script = files("clicooper.reports").joinpath("templates", "copy.js").read_text("utf-8")
    return {
        "palette": PALETTE,
        "version": __version__,
        "script": Markup(script),  # noqa: S704 - a file of this package
        "script_hash": b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    }


def write_page(path: Path, html: str) -> None:
    """Writes a page as a whole, creating its folder.

    Raises:
        RunFolderError: the path cannot be written.
    """
    hint = "name a file in a writable folder, such as report.html"
    if not path.name:
        raise RunFolderError(f"cannot write the report to {path}: it is a folder", hint=hint)
    try:
        write_whole(path, html.encode())
    except StorageError as e:
        raise RunFolderError(f"cannot write the report: {e.message}", hint=hint) from e


def _visible(value: object) -> object:
    """What a template writes for ``value``: text with its invisible characters written out as escapes."""
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    return "".join(_escaped(character) if _is_hidden(character) else character for character in value)


def _is_hidden(character: str) -> bool:
    return unicodedata.category(character) in _HIDDEN_CATEGORIES and character not in _SHOWN_CONTROLS


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()


def _utc(seconds: int) -> str:
    """A time of a block; a record may claim any."""
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (OverflowError, ValueError, OSError):
        return f"{seconds} s"


def _fixed(value: float, digits: int) -> str:
    """A number with ``digits`` decimals; a minus sign only where something is left of it."""
    return f"{value:z.{digits}f}"
