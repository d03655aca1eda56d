"""Text of other people: what a terminal would obey, or nobody would see, is taken away in one place."""

from __future__ import annotations

import shlex
import sys
import unicodedata

import pytest

from clicooper.plain_text import plain, shell_word

HIDING = {
    "escape sequence": ("a\x1b[2Jb", "a[2Jb"),
    "one-byte sequence": ("a\x9b2Jb", "a2Jb"),
    "title": ("\x1b]0;x\x07b", "]0;xb"),
    "delete": ("a\x7f\bb", "ab"),
    "line breaks": ("a\nb\rc\x85d\u2028e\u2029f\vg", "a b c d e f g"),
    "direction": ("a\u202eb\u2066c\u200fd\u061ce", "abcde"),
    "zero width": ("a\u200bb\u2060c\ufeffd\u00ade", "abcde"),
    "tags": ("a\U000e0041\U000e007fb", "ab"),
    "variation": ("a\ufe0fb\U000e0100c", "abc"),
    "fillers": ("a\u3164b\u115fc\uffa0d", "abcd"),
    "lone surrogate": ("a\udcffb\ud800c", "abc"),
    "spaces": ("a\u00a0b\u3000c\td", "a b c d"),
    "words": ("Grüße, 世界 – 100 %", "Grüße, 世界 – 100 %"),
    "markup": ("[bold]x[/] :smile:", "[bold]x[/] :smile:"),
}


@pytest.mark.parametrize(("text", "shown"), HIDING.values(), ids=list(HIDING))
def test_what_hides_or_commands_is_taken_away(text: str, shown: str) -> None:
    assert plain(text) == shown


def test_no_character_leads_out_of_its_line() -> None:
    every = "".join(map(chr, range(sys.maxunicode + 1)))
    shown = plain(every, len(every))
    assert len(shown.splitlines()) == 1
    assert {unicodedata.category(char) for char in shown} & {"Cc", "Cf", "Cs", "Cn", "Zl", "Zp"} == set()


@pytest.mark.parametrize(("limit", "shown"), [(5, "ab..."), (6, "abcdef"), (2, "..."), (100, "abcdef")])
def test_a_long_text_says_that_it_is_cut(limit: int, shown: str) -> None:
    assert plain("abcdef", limit) == shown
    assert len(plain("x" * 10**6)) == 4000


@pytest.mark.parametrize("text", ["a:b; rm -rf ~", "$(reboot)", "`x`", "a'b", "a\n; x", "--x", "", "\x1b[0m;", "a b"])
def test_a_shell_reads_one_word(text: str) -> None:
    assert shlex.split(shell_word(text)) == [plain(text)]
    assert "\n" not in shell_word(text)
