"""Pages of an index: whatever a node refuses, they cover all blocks; whatever an event says, eth-abi agrees."""

from __future__ import annotations

from dataclasses import fields
from enum import IntEnum
from typing import Any, get_type_hints

import pytest
from eth_abi import decode, encode
from eth_utils import keccak, to_checksum_address
from hypothesis import given
from hypothesis import strategies as st

from clicooper.chain._abi import Abi
from clicooper.chain.compile import load_artifact
from clicooper.chain.events import EVENT_TYPES, Event, event_from_abi
from clicooper.chain.index.paging import MOST_SPAN, Pager
from clicooper.errors import ChainError


@given(
    first=st.integers(0, 10**7),
    length=st.integers(0, 3_000),
    answers=st.lists(st.integers(0, 6), max_size=200),
    logs=st.lists(st.integers(0, 20_000), min_size=1, max_size=20),
    span=st.integers(1, 5_000),
)
def test_pages_cover_every_block_once_in_order(
    first: int, length: int, answers: list[int], logs: list[int], span: int
) -> None:
    pager = Pager(first, first + length - 1, span=span)
    expected, turn = first, 0
    while (page := pager.page) is not None:
        low, high = page
        assert low == expected
        assert low <= high < first + length
        assert 1 <= high - low + 1 <= MOST_SPAN
        turn += 1
        if turn <= len(answers) and answers[turn - 1] > 2 and low < high:
            pager.refused()
            continue
        pager.succeeded(logs[turn % len(logs)])
        expected = high + 1
    assert expected == first + length


@given(length=st.integers(1, 10**6), limit=st.integers(1, 10**5))
def test_pages_settle_below_the_nodes_limit(length: int, limit: int) -> None:
    pager, refusals, pages = Pager(0, length - 1), 0, 0
    while (page := pager.page) is not None and pages < 300:
        if page[1] - page[0] + 1 > limit:
            pager.refused()
            refusals += 1
        else:
            pager.succeeded(0)
            pages += 1
    assert refusals <= pages + 21


def test_single_block_that_is_refused_ends_the_walk() -> None:
    with pytest.raises(ChainError, match="block 7 cannot be read"):
        Pager(7, 7).refused()


WORDS: dict[str, st.SearchStrategy[Any]] = {
    "address": st.binary(min_size=20, max_size=20).map(to_checksum_address),
    "bool": st.booleans(),
    "bytes32": st.binary(min_size=32, max_size=32),
}
EVENTS = [
    entry
    for entry in load_artifact().abi
    if entry["type"] == "event" and all(item["type"] not in ("bytes", "tuple") for item in entry["inputs"])
]


def event_topic(entry: dict[str, Any]) -> bytes:
    return keccak(text=f"{entry['name']}({','.join(item['type'] for item in entry['inputs'])})")


@st.composite
def logged(draw: st.DrawFn) -> tuple[list[bytes], bytes]:
    """Topics and data of any event of fixed size."""
    entry = draw(st.sampled_from(EVENTS))
    cls = EVENT_TYPES[entry["name"]]
    topics, plain = [event_topic(entry)], []
    for item, field in zip(entry["inputs"], fields(cls), strict=True):
        hint = get_type_hints(cls)[field.name]
        kind = item["type"]
        if isinstance(hint, type) and issubclass(hint, IntEnum):
            value: Any = draw(st.sampled_from([member.value for member in hint]))
        else:
            value = draw(WORDS[kind] if kind in WORDS else st.integers(0, 2 ** int(kind.removeprefix("uint")) - 1))
        word = encode([kind], [value])
        (topics if item["indexed"] else plain).append(word)
    return topics, b"".join(plain)


ABI = Abi(load_artifact().abi)


def decoded(topics: list[bytes], body: bytes) -> Event:
    return event_from_abi(*ABI.decode_event(b"".join(topics), body))


@given(logged())
def test_fast_decoder_agrees_with_the_general_one(log: tuple[list[bytes], bytes]) -> None:
    topics, body = log
    entry = next(entry for entry in EVENTS if event_topic(entry) == topics[0])
    indexed = iter(topics[1:])
    plain = iter(decode([item["type"] for item in entry["inputs"] if not item["indexed"]], body))
    values = tuple(
        decode([item["type"]], next(indexed))[0] if item["indexed"] else next(plain) for item in entry["inputs"]
    )
    assert decoded(topics, body) == event_from_abi(entry["name"], values)


@given(logged())
def test_fast_decoder_rejects_other_lengths(log: tuple[list[bytes], bytes]) -> None:
    topics, body = log
    for cut in ((topics[:-1], body), (topics, body + bytes(32)), (topics, body + b"\x00")):
        with pytest.raises(ChainError):
            decoded(*cut)


def test_fast_decoder_rejects_dirty_padding() -> None:
    committed = next(event_topic(entry) for entry in EVENTS if entry["name"] == "Committed")
    topics, body = [committed, bytes(31) + b"\x01"], bytes(128)
    assert decoded(topics, body)
    with pytest.raises(ChainError, match="unusable log of Committed"):
        decoded(topics, b"\x01" + body[1:])
