"""docs/privacy.md is a promise: its figures come from the script, its attacks exist, its commands too."""

import re
import sys
from pathlib import Path

import pytest

from clicooper.attacks.privacy.catalogue import CATALOGUE
from clicooper.cli.main import main
from clicooper.reports.privacy_tables import LEAKS, WORTH

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "privacy.md").read_text(encoding="utf-8")
FIGURES = (ROOT / "docs" / "figures" / "privacy.md").read_text(encoding="utf-8")


def section(name):
    return re.search(rf"<!-- {name} -->\n(.*?)\n<!-- /{name} -->", FIGURES, flags=re.DOTALL)[1]


def rows(text):
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]


def test_every_attack_that_is_named_exists():
    named = set(re.findall(r"`((?:grouping|gradients|inversion|membership|extraction)\.[a-z_.]+)`", PAGE))
    assert len(named) >= 7
    assert named <= set(CATALOGUE)


@pytest.mark.parametrize(
    ("name", "columns"),
    [("paper-figures", WORTH + LEAKS), ("frontier", WORTH), ("frontier", LEAKS), ("few-records", WORTH + LEAKS)],
)
def test_tables_are_those_of_the_script(name, columns):
    found = rows(section(name))
    heading = ["ε", "γ", "b", *(words for _, words in columns)]
    assert heading in found
    at = found.index(heading) + 2
    for cells in found[at : at + 2]:
        assert len(cells) == len(heading)
        assert all(re.fullmatch(r"-?\d+(\.\d+)?(±\d\.\d{3})?", cell) for cell in cells)


def test_claims_and_advice_are_written():
    claims = rows(section("paper"))
    assert claims[0] == ["claim", "published", "here", "honest reading"]
    assert {cells[1] for cells in claims[2:]} == {
        "preserved",
        "success 0 %",
        "SSIM 0.50 -> 0.03 at epsilon 2",
        "about 1 %",
    }
    assert any("(pairs, eps 2" in cells[0] for cells in claims)
    assert section("advice").startswith("- digits: ")


def test_the_script_writes_a_section_and_nothing_else(tmp_path, monkeypatch):
    sys.path.insert(0, str(ROOT / "scripts"))
    import paper

    page = tmp_path / "page.md"
    monkeypatch.setattr(paper, "DOCUMENT", page)
    for old in ("old\n", "old\nolder\n", ""):
        page.write_text(f"before\n<!-- x -->\n{old}<!-- /x -->\nafter\n")
        paper.write_section("x", "new \\1")
        assert page.read_text() == "before\n<!-- x -->\nnew \\1\n<!-- /x -->\nafter\n"
    with pytest.raises(SystemExit, match="no section y"):
        paper.write_section("y", "")


def test_options_that_are_shown_exist(capsys):
    assert main(["evaluate", "privacy", "--help"]) == 0
    known = capsys.readouterr().out
    shown = {
        word for line in PAGE.splitlines() if line.startswith("clicooper ") for word in re.findall(r"--[a-z]+", line)
    }
    assert len(shown) >= 3
    assert {option for option in shown if option not in known} == set()


def test_links_lead_to_files():
    targets = [target for target in re.findall(r"\]\(([^)#]+)\)", PAGE) if "://" not in target]
    assert targets
    assert [target for target in targets if not (ROOT / "docs" / target).exists()] == []
