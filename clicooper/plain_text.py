"""Text of other people, as a terminal or a log may show it: one bounded line that commands and hides nothing.

A name in a manifest, a file's name or a node's words can hold escape sequences that move the cursor, characters that
turn the reading direction or do not show at all, and line breaks that begin a line of their own. Every console takes
them away here, and so does every message on its way out. JSON keeps the exact value, escaped.
"""

import shlex

__all__ = ["MAX_SHOWN", "plain", "shell_word"]

MAX_SHOWN = 4000
"""Characters of one line; as long as a path may be."""

_CUT = "..."

_UNSEEN = (
    "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0",
    "".join(map(chr, range(0xFE00, 0xFE10))),
    "".join(map(chr, range(0xE0100, 0xE01F0))),
)
"""What Unicode counts as printable, and yet nobody sees: fillers, joiners and variation selectors."""

_AS_SPACE = "\t\n\v\f\r\x1c\x1d\x1e\x1f\x85\u2028\u2029"
_HIDDEN = frozenset("".join(_UNSEEN))


def plain(text: object, limit: int = MAX_SHOWN) -> str:
    """The text without whatever does not show: controls, direction marks, zero-width characters, lone surrogates.

    Line breaks and unusual spaces become spaces.

    Args:
        limit: characters at most; the end of a longer text is left out, and three dots say so.
    """
    whole = str(text)
    shown = "".join(map(_shown, whole[:limit]))
    return shown if len(whole) <= limit else shown[: max(0, limit - len(_CUT))] + _CUT


def shell_word(text: object, limit: int = MAX_SHOWN) -> str:
    """The text as one word of a shell's command line, whatever it holds."""
    return shlex.quote(plain(text, limit))


def _shown(char: str) -> str:
    if char in _HIDDEN:
        return ""
    if char.isprintable():
        return char
    return " " if char in _AS_SPACE or char.isspace() else ""
