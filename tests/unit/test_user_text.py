"""Text from any editor: marked encodings are read, and others are said plainly (FiloSottile/age#290)."""

import json

import pytest

from clicooper.json_values import parse_json
from clicooper.user_text import decode_text, parse_toml

TEXT = "näme = 'ü'\r\nsecond = 1\r\n"
MARKED = ["utf-8", "utf-8-sig", "utf-16", "utf-32"]


@pytest.mark.parametrize("encoding", MARKED)
def test_marked_text_is_read_without_its_mark(encoding: str) -> None:
    assert decode_text(TEXT.encode(encoding)) == TEXT


@pytest.mark.parametrize(("mark", "encoding"), [(b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be")])
def test_both_orders_of_bytes_are_read(mark: bytes, encoding: str) -> None:
    assert decode_text(mark + TEXT.encode(encoding)) == TEXT


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("secret".encode("utf-16-le"), "zero bytes"),
        ("sécret".encode("latin-1"), "not UTF-8 text"),
        (b"\xff\xfes", "not UTF-16 text"),
        (b"\xff\xfe", "no text"),
        (b"\xef\xbb\xbf" * 2 + b"secret", "two byte order marks"),
    ],
)
def test_unmarked_or_damaged_text_is_refused_and_not_repeated(data: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        decode_text(data)
    assert "UTF" in str(caught.value) or "mark" in str(caught.value)
    assert "cret" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("encoding", MARKED)
def test_json_in_every_marked_encoding_is_read(encoding: str) -> None:
    assert parse_json(json.dumps({"ä": [1]}, ensure_ascii=False).encode(encoding)) == {"ä": [1]}


@pytest.mark.parametrize("encoding", MARKED)
def test_toml_in_every_marked_encoding_is_read(encoding: str) -> None:
    assert parse_toml("[a]\r\nb = 'ü'\r\n".encode(encoding)) == {"a": {"b": "ü"}}


def test_toml_nested_without_end_is_refused() -> None:
    with pytest.raises(ValueError, match="nested too deep"):
        parse_toml(b"a = " + b"[" * 20_000)
