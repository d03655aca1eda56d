"""What the pages name exists: modules, files, rooms, checks, make targets."""

from __future__ import annotations

import importlib.util
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from clicooper.audit.verdict import Check
from tests.pages import DOCS, PAGES, ROOT, section, table_rows, text_of

FOLDERS = "clicooper|contracts|docs|examples|scripts|tests|benchmarks"
TAGS = {
    "clicooper.toml",
    "clicooper.sealing",
    "clicooper.sealing.digest",
    "clicooper.mark.progress",
    "clicooper.mark.ownership",
}
"""What looks like a module and is a file of the user's or a string that is hashed."""

IDS = [str(page.relative_to(ROOT)) for page in PAGES]


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_modules_exist(page: Path) -> None:
    named = set(re.findall(r"\bclicooper(?:\.\w+)+", text_of(page))) - TAGS
    assert {name for name in named if not exists(name)} == set()


def exists(name: str) -> bool:
    """Whether this is a module, or a name in one."""
    module, _, last = name.rpartition(".")
    try:
        if importlib.util.find_spec(name) is not None:
            return True
    except ModuleNotFoundError:
        pass
    if not module or importlib.util.find_spec(module) is None:
        return False
    return hasattr(importlib.import_module(module), last)


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_files_exist(page: Path) -> None:
    named = set(re.findall(rf"(?<![\w/.-])((?:{FOLDERS})/[\w./-]*\w)", without_commands(page)))
    assert {name for name in named if not any(found(name))} == set()


def without_commands(page: Path) -> str:
    return re.sub(r"^```[^`]*?^```", "", text_of(page), flags=re.M | re.S).replace(".clicooper/", "")


def found(name: str) -> Iterator[Path]:
    """The file, or files that begin so."""
    path = ROOT / name
    yield from [path] if path.exists() else path.parent.glob(path.name + "*") if "." not in path.name else []


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_make_targets_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.M))
    named = set(re.findall(r"(?:`|^)make ([a-z-]+)", text_of(page), flags=re.M))
    assert named <= targets


def rooms() -> set[str]:
    """What the table of rooms names."""
    page = DOCS / "architecture.md"
    rows = table_rows(section(page, "Rooms"))
    return {name for row in rows for name in re.findall(r"`([\w/.]+)`", row[1])} | {"__main__.py", "__init__.py"}


def test_every_room_is_in_the_architecture() -> None:
    package = ROOT / "clicooper"
    folders = {f"{path.parent.relative_to(package)}/" for path in package.rglob("__init__.py")} - {"./"}
    assert rooms() == folders | {path.name for path in package.glob("*.py")}


def test_top_level_folders_are_in_the_architecture() -> None:
    named = {
        name
        for row in table_rows(section(DOCS / "architecture.md", "Top level"))
        for name in re.findall(r"`(\w+)/`", row[0])
    }
    ignored = {"node_modules", "build"}
    assert named == {path.name for path in ROOT.iterdir() if path.is_dir() and path.name[0] != "."} - ignored


def test_protocol_explains_every_check() -> None:
    rows = table_rows(section(DOCS / "protocol.md", "7 Verdicts"))
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row[0])} == {check.value for check in Check}


def test_extras_are_those_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = {row[0].strip("`") for row in table_rows(section(ROOT / "README.md", "Install"))}
    assert named == set(project["optional-dependencies"]) - {"dev"}
