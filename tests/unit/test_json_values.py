"""JSON that nobody vouches for: bounded in depth and size, in time linear in it, and with one meaning."""

from __future__ import annotations

import json
from typing import Any

import pytest

from clicooper import json_values
from clicooper.json_values import MAX_DEPTH, parse_json

REFUSED: dict[str, tuple[str | bytes, str]] = {
    "deep lists": ("[" * 100_000, "nested"),
    "deep objects": ('{"a":' * 100_000, "nested"),
    "just too deep": ("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1), "nested"),
    "key twice": ('{"a": 1, "a": 1}', "twice"),
    "key twice inside": ('[{"b": {"a": 1, "\\u0061": 2}}]', "twice"),
    "NaN": ("[NaN]", "NaN"),
    "infinity": ('{"a": -Infinity}', "Infinity"),
    "too large for a float": ("1e999", "too large"),
    "digits": ("1" * 5000, "digits"),
    "no text": (b"\xff", "UTF-8"),
    "nothing": ("", "Expecting"),
    "two values": ("1 2", "Extra"),
}


@pytest.mark.parametrize(("text", "why"), REFUSED.values(), ids=list(REFUSED))
def test_what_has_no_one_bounded_meaning_is_refused(text: str | bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse_json(text)


def test_a_larger_text_is_refused_before_it_is_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_values, "MAX_JSON_BYTES", 10)
    assert parse_json(b'"12345678"') == "12345678"
    with pytest.raises(ValueError, match="larger than 10 bytes"):
        parse_json(b'"123456789"')


@pytest.mark.parametrize(
    "value", [None, True, 1, -1.5, 2**256, "a\u202e\x1b[0m", "]" * 2000, [{"a": [1, {"b": []}]}], {"": {}}]
)
def test_json_of_one_meaning_is_read(value: Any) -> None:
    assert parse_json(json.dumps(value)) == parse_json(json.dumps(value).encode()) == value


def test_the_deepest_value_is_read() -> None:
    assert parse_json("[" * MAX_DEPTH + "]" * MAX_DEPTH)


def test_own_logs_may_hold_what_is_not_finite() -> None:
    assert parse_json("[Infinity]", finite=False) == [float("inf")]
