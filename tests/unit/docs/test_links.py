"""Every link leads somewhere, every page is linked, and a newcomer gets where it wants in two hops."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.pages import DOCS, PAGES, ROOT, anchors, links, text_of

ENTRANCE = DOCS / "README.md"
WANTED = {"Auditing a job", "Add a check", "Add a store", "Change the contract"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files_and_headings(page: Path) -> None:
    dead = [str(link) for link in links(page) if not leads(link.target, link.anchor)]
    assert not dead, "\n".join(dead)


def leads(target: Path, anchor: str) -> bool:
    return target.exists() and (not anchor or anchor in anchors(target))


def test_every_page_can_be_reached_from_the_entrance() -> None:
    reached, ahead = {ENTRANCE}, [ENTRANCE]
    while ahead:
        new = {link.target for link in links(ahead.pop()) if link.target.suffix == ".md"} - reached
        reached |= new
        ahead.extend(new)
    assert {page.relative_to(ROOT) for page in PAGES if page not in reached} == set()


@pytest.mark.parametrize("heading", sorted(WANTED))
def test_newcomer_needs_two_hops_at_most(heading: str) -> None:
    first = {link.target for link in links(ENTRANCE)}
    arrived = {
        (link.target, link.anchor) for page in {ENTRANCE, *first} if page.suffix == ".md" for link in links(page)
    }
    (page,) = [page for page in PAGES if re.search(rf"^#+ {re.escape(heading)}$", text_of(page), re.M)]
    slug = heading.lower().replace(" ", "-")
    assert slug in anchors(page)
    assert (page, slug) in arrived


def test_index_of_decisions_has_them_all() -> None:
    listed = {link.target for link in links(DOCS / "adr" / "README.md")}
    assert {page.name for page in (DOCS / "adr").glob("0*.md")} == {
        page.name for page in listed if page.name[:1] == "0"
    }
