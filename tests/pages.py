"""The pages of documentation, as tests read them: headings, links, tables, command blocks."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

__all__ = ["DOCS", "PAGES", "ROOT", "Block", "Link", "anchors", "blocks", "links", "section", "table_rows", "text_of"]

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = tuple(sorted(DOCS.rglob("*.md")) + [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")])

_FENCE = re.compile(r"^```([^\n`]*)\n(.*?)^```$", re.M | re.S)
_HEADING = re.compile(r"^(#{1,6}) +(.+?)\s*$", re.M)
_LINK = re.compile(r"\[([^\]]*)\]\(([^)\s]+)\)")


@dataclass(frozen=True)
class Link:
    """A relative link: the page that it stands on, its words, the file it leads to, and a heading there or ``""``."""

    page: Path
    words: str
    target: Path
    anchor: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}: [{self.words}]({self.target}#{self.anchor})"


@dataclass(frozen=True)
class Block:
    """A fenced block: its page, the heading above it, its language, the words behind the language, and its text."""

    page: Path
    heading: str
    language: str
    reason: str
    text: str

    @property
    def name(self) -> str:
        """Such as ``docs/audit.md: All of it, or a sample``."""
        return f"{self.page.relative_to(ROOT)}: {self.heading}"

    @property
    def commands(self) -> tuple[str, ...]:
        """Command lines without comments; continued lines are joined."""
        lines = (re.sub(r"(^|\s)#.*", "", line).strip() for line in self.text.replace("\\\n", " ").splitlines())
        return tuple(line for line in lines if line)


@cache
def text_of(page: Path) -> str:
    """The page."""
    return page.read_text(encoding="utf-8")


def section(page: Path, heading: str) -> str:
    """What stands under a heading, up to the next one of its level or above."""
    text = text_of(page)
    start = next(found for found in _HEADING.finditer(text) if found[2] == heading)
    ends = (later.start() for later in _HEADING.finditer(text, start.end()) if len(later[1]) <= len(start[1]))
    return text[start.end() : next(ends, len(text))]


def table_rows(text: str) -> list[list[str]]:
    """The rows of all tables, without headings."""
    rows = [
        [cell.strip() for cell in line.strip("| ").split("|")] for line in text.splitlines() if line.startswith("|")
    ]
    rules = [at for at, row in enumerate(rows) if set("".join(row)) <= set("-: ")]
    return [row for at, row in enumerate(rows) if at not in rules and at + 1 not in rules]


def _prose(page: Path) -> str:
    """The page without fenced blocks, and without code between backticks that links cannot stand in."""
    return re.sub(r"`[^`\n]*`(?!\])", "", _FENCE.sub("", text_of(page)))


@cache
def anchors(page: Path) -> frozenset[str]:
    """The names of the page's headings, as GitHub makes them."""
    seen: Counter[str] = Counter()
    names = []
    for found in _HEADING.finditer(_FENCE.sub("", text_of(page))):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", found[2]).lower()
        slug = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        names.append(f"{slug}-{seen[slug]}" if seen[slug] else slug)
        seen[slug] += 1
    return frozenset(names)


def links(page: Path) -> Iterator[Link]:
    """The page's links to files of this repository."""
    for words, target in _LINK.findall(_prose(page)):
        if "://" not in target and not target.startswith("mailto:"):
            path, _, anchor = target.partition("#")
            yield Link(page, words, (page.parent / path).resolve() if path else page, anchor)


def blocks(page: Path) -> Iterator[Block]:
    """The page's fenced blocks."""
    text = text_of(page)
    for found in _FENCE.finditer(text):
        above = [heading[2] for heading in _HEADING.finditer(_FENCE.sub(_blank, text[: found.start()]))]
        language, _, reason = found[1].strip().partition(" ")
        yield Block(page, above[-1] if above else "", language, reason, found[2])


def _blank(found: re.Match[str]) -> str:
    return "\n" * found[0].count("\n")
