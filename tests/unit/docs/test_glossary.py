"""docs/glossary.md is the list of names: what it forbids is no name in the code, and no name stands for two things."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pages import DOCS, ROOT, section, table_rows

CODE = sorted((ROOT / "clicooper").rglob("*.py"))
TABLES = section(DOCS / "glossary.md", "Not this, but that")
WORDS, FUNCTIONS = TABLES.split("Functions are verbs.")


def forbidden(text: str) -> list[str]:
    return [word for row in table_rows(text) for word in re.findall(r"`(\w+)`", row[0])]


def words_of(name: str) -> tuple[str, ...]:
    """``EvidenceFile`` and ``_evidence_file`` are both of the words evidence and file."""
    parts = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name)
    return tuple(part.lower() for part in parts)


def names_in(path: Path) -> Iterator[tuple[str, int]]:
    """Every name of a module, its own among them, with its line."""
    yield path.stem, 0
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        for attribute in ("id", "attr", "name", "arg", "asname"):
            name = getattr(node, attribute, None)
            if isinstance(name, str):
                yield name, getattr(node, "lineno", 0)


@pytest.fixture(scope="module")
def uses() -> dict[tuple[str, ...], set[str]]:
    """Where the words of each name occur."""
    found: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for path in CODE:
        for name, line in names_in(path):
            found[words_of(name)].add(f"{path.relative_to(ROOT)}:{line} {name}")
    return found


@pytest.mark.parametrize("word", forbidden(WORDS))
def test_forbidden_word_is_no_part_of_a_name(word: str, uses: dict[tuple[str, ...], set[str]]) -> None:
    wanted = words_of(word)
    places = set().union(*(at for words, at in uses.items() if follows(wanted, words)))
    assert not places, "\n".join(sorted(places))


def follows(wanted: tuple[str, ...], words: tuple[str, ...]) -> bool:
    return any(words[at : at + len(wanted)] == wanted for at in range(len(words)))


def test_functions_are_verbs() -> None:
    nouns = set(forbidden(FUNCTIONS))
    assert nouns
    named = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
        for path in CODE
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef) and node.name.lstrip("_") in nouns
    ]
    assert named == []


def test_no_public_class_has_the_name_of_another() -> None:
    places: dict[str, list[str]] = defaultdict(list)
    for path in CODE:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert {name: at for name, at in places.items() if len(at) > 1} == {}


def test_every_word_that_is_forbidden_has_another_in_its_place() -> None:
    assert len(forbidden(WORDS)) >= 15
    assert all(len(row) == 2 and row[1] for row in table_rows(TABLES))
