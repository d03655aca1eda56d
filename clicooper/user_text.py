"""What users write: text in any encoding that its first bytes name, and TOML.

Editors and shells of Windows write UTF-16, or UTF-8 behind a byte order mark; both are read. Unmarked text is UTF-8.
Errors say what is the matter and repeat nothing, since the text may be a secret.
"""

from __future__ import annotations

import codecs
import tomllib
from typing import Any

__all__ = ["decode_text", "parse_toml"]

_MARKS = (  # UTF-32 first: its little-endian mark begins like that of UTF-16.
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def decode_text(data: bytes) -> str:
    """The text in a file, without the byte order mark that says how it is encoded.

    Raises:
        ValueError: it is not in the encoding of its mark, or without one not in UTF-8, or a mark is all there is; none
            of it is repeated.
    """
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), "utf-8")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        wanted = encoding.removesuffix("-sig").upper()
        raise ValueError(f"its bytes are not {wanted} text: save it as UTF-8") from None
    if data and not text:
        raise ValueError("it holds a byte order mark and no text")
    if "\0" in text or text.startswith("\ufeff"):
        raise ValueError("it holds zero bytes or two byte order marks, so its encoding is not clear: save it as UTF-8")
    return text


def parse_toml(data: bytes) -> dict[str, Any]:
    """The table that a TOML file says.

    Raises:
        ValueError: the bytes are no text, or no TOML.
    """
    try:
        return tomllib.loads(decode_text(data))
    except RecursionError:
        raise ValueError("nested too deep") from None
