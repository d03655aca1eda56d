"""The record's file: there and back, and every kind of damage found."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from eth_utils import to_checksum_address
from hypothesis import given
from hypothesis import strategies as st

from clicooper.chain.events import EVENT_TYPES, LoggedEvent
from clicooper.chain.record import JobRecord, read_record, record_from_json, record_to_json, write_record
from clicooper.errors import RecordError
from clicooper.types import AbortReason, Address, Digest, Ground, JobId, JobParams, VacancyReason

addresses = st.binary(min_size=20, max_size=20).map(lambda raw: Address(to_checksum_address(raw)))
digests = st.binary(min_size=32, max_size=32).map(Digest)
numbers = st.integers(0, 2**256 - 1)
VALUES: dict[object, st.SearchStrategy[Any]] = {
    int: numbers,
    bool: st.booleans(),
    bytes: st.binary(max_size=512),
    Digest: digests,
    Address: addresses,
    JobParams: st.builds(
        JobParams,
        **{f.name: numbers for f in fields(JobParams) if f.type is int},
        **dict.fromkeys(("token", "arbiter"), addresses),
        **dict.fromkeys(("spec_digest", "label_anchor"), digests),
        allow_list=st.lists(addresses, max_size=2).map(tuple),
    ),
    VacancyReason: st.sampled_from(VacancyReason),
    AbortReason: st.sampled_from(AbortReason),
    Ground: st.sampled_from(Ground),
}
JOB = JobId(2)


def any_event(cls: type[Any]) -> st.SearchStrategy[Any]:
    hints = get_type_hints(cls)
    return st.builds(cls, **{name: st.just(JOB) if name == "job" else VALUES[hints[name]] for name in hints})


@st.composite
def records(draw: st.DrawFn) -> JobRecord:
    events = draw(st.lists(st.one_of(*map(any_event, EVENT_TYPES.values())), max_size=6))
    first = draw(st.integers(0, 10**9))
    places = draw(st.sets(st.tuples(st.integers(first, first + 99), st.integers(0, 99)), min_size=len(events)))
    logged = [
        LoggedEvent(event, block, draw(digests), draw(numbers), draw(digests), index, draw(addresses), draw(numbers))
        for event, (block, index) in zip(events, sorted(places), strict=False)
    ]
    source = draw(st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=30))
    return JobRecord(source, draw(numbers), draw(addresses), JOB, (first, first + 99), tuple(logged))


def example() -> JobRecord:
    """One event of every kind, at fixed places."""
    address, digest = Address(to_checksum_address("0x" + "ab" * 20)), Digest(b"\xc5" * 32)
    params = JobParams(10**18, 2, 3, 2, 1, address, digest, digest, allow_list=(address, address))
    filled: dict[object, object] = {int: 1, JobId: JOB, bytes: b"\x00\xff", Digest: digest, Address: address}
    filled |= {JobParams: params, VacancyReason: VacancyReason.SILENT, AbortReason: AbortReason.OWNER_SILENT}
    filled |= {bool: True, Ground: Ground.WITHHELD}
    logged = [
        LoggedEvent(
            cls(*(filled[hint] for hint in get_type_hints(cls).values())), 5 + i, digest, 9, digest, 0, address, 7
        )
        for i, cls in enumerate(EVENT_TYPES.values())
    ]
    return JobRecord("http://127.0.0.1:8545", 31337, address, JOB, (0, 20), tuple(logged))


EXAMPLE = record_to_json(example())


def resealed(content: dict[str, Any]) -> bytes:
    """The file that a forger writes: changed content under a fitting digest."""
    content = {key: value for key, value in content.items() if key != "sha256"}
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":")).encode()
    content["sha256"] = hashlib.sha256(canonical).hexdigest()
    return (json.dumps(content, indent=2) + "\n").encode()


@given(records())
def test_record_round_trips(record: JobRecord) -> None:
    assert record_from_json(record_to_json(record)) == record


def test_digest_is_the_last_key_and_over_the_canonical_content() -> None:
    content = json.loads(EXAMPLE)
    assert list(content)[-1] == "sha256"
    assert resealed(content) == EXAMPLE


def test_file_is_readable_by_people() -> None:
    content = json.loads(EXAMPLE)
    created = content["events"][0]
    assert created["event"]["type"] == "JobCreated"
    assert created["event"]["params"]["pay_wei"] == "1000000000000000000"
    assert created["block_hash"] == "0x" + "c5" * 32
    assert content["events"][6]["event"]["reason"] == "SILENT"


@given(st.integers(0, len(EXAMPLE) - 1), st.integers(1, 255))
def test_reader_rejects_any_changed_byte(place: int, mask: int) -> None:
    damaged = bytearray(EXAMPLE)
    damaged[place] ^= mask
    with pytest.raises(RecordError) as caught:
        record_from_json(bytes(damaged))
    assert caught.value.hint
    assert "\n" not in caught.value.message


def test_reader_rejects_every_single_changed_bit() -> None:
    for place in range(len(EXAMPLE)):
        damaged = bytearray(EXAMPLE)
        damaged[place] ^= 1 << (place % 8)
        with pytest.raises(RecordError):
            record_from_json(bytes(damaged))


@given(st.integers(0, len(EXAMPLE) - 1))
def test_reader_rejects_a_truncated_file(size: int) -> None:
    with pytest.raises(RecordError):
        record_from_json(EXAMPLE[:size])


@pytest.mark.parametrize("extra", [b"\n", b" ", b"{}", b"\x00"])
def test_reader_rejects_bytes_before_and_after(extra: bytes) -> None:
    for damaged in (EXAMPLE + extra, extra + EXAMPLE):
        with pytest.raises(RecordError):
            record_from_json(damaged)


@pytest.mark.parametrize("data", [b"", b"[]", b"7", b"null", b"NaN", b"\xff", b"[" * 100_000, b"1" * 10_000])
def test_reader_rejects_what_is_no_record(data: bytes) -> None:
    with pytest.raises(RecordError):
        record_from_json(data)


def test_reader_rejects_a_repeated_key() -> None:
    with pytest.raises(RecordError, match="twice"):
        record_from_json(EXAMPLE.replace(b'  "job": 2,', b'  "job": 2,\n  "job": 2,', 1))


FORGERIES: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "another version": (lambda c: c.update(version=2), "version is 2"),
    "a boolean version": (lambda c: c.update(version=True), "version is True"),
    "no version": (lambda c: c.pop("version"), "version is None"),
    "a missing field": (lambda c: c.pop("chain_id"), "record lacks chain_id"),
    "an unknown field": (lambda c: c.update(more=1), "unknown field"),
    "a missing event field": (lambda c: c["events"][1].pop("gas_used"), r"events\[1\] lacks gas_used"),
    "a missing argument": (lambda c: c["events"][3]["event"].pop("seat"), r"events\[3\].event lacks seat"),
    "an unknown argument": (lambda c: c["events"][3]["event"].update(x=1), "unknown field"),
    "an unknown event": (lambda c: c["events"][7]["event"].update(type="JobEaten"), "unknown type 'JobEaten'"),
    "a type that is no text": (lambda c: c["events"][7]["event"].update(type=[]), "unknown type"),
    "text for a number": (lambda c: c.update(chain_id="1"), "chain_id is no unsigned integer"),
    "a boolean for a number": (lambda c: c.update(chain_id=True), "chain_id is no unsigned integer"),
    "a fraction": (lambda c: c.update(chain_id=1.0), "chain_id is no unsigned integer"),
    "a negative number": (lambda c: c.update(chain_id=-1), "chain_id is no unsigned integer"),
    "a number beyond 256 bits": (lambda c: c.update(chain_id=2**256), "chain_id is no unsigned integer"),
    "a number for an amount": (lambda c: c["events"][9]["event"].update(amount_wei=1), "amount_wei is no decimal"),
    "a leading zero": (lambda c: c["events"][9]["event"].update(amount_wei="01"), "amount_wei is no decimal"),
    "other digits": (lambda c: c["events"][9]["event"].update(amount_wei="\u0661"), "amount_wei is no decimal"),
    "a short digest": (lambda c: c["events"][0].update(tx_hash="0xab"), "tx_hash is no digest"),
    "upper-case hex": (lambda c: c["events"][0].update(tx_hash="0x" + "AB" * 32), "tx_hash is no 0x-hex"),
    "odd hex": (lambda c: c["events"][1]["event"].update(key_record="0xabc"), "key_record is no 0x-hex"),
    "an address in lower case": (lambda c: c.update(contract="0x" + "ab" * 20), "contract is no EIP-55 address"),
    "a number for an address": (lambda c: c.update(contract=5), "contract is no EIP-55 address"),
    "an unknown reason": (lambda c: c["events"][6]["event"].update(reason="BORED"), "reason is no VacancyReason"),
    "a list for a reason": (lambda c: c["events"][6]["event"].update(reason=[]), "reason is no VacancyReason"),
    "a number for a truth": (lambda c: c["events"][12]["event"].update(guilty=1), "guilty is neither true nor false"),
    "three blocks": (lambda c: c.update(blocks=[0, 1, 20]), "blocks has 3 elements"),
    "an object for events": (lambda c: c.update(events={}), "events is no list"),
    "a number for an event": (lambda c: c["events"].append(1), r"events\[16\] is no object"),
    "control characters": (lambda c: c.update(source="a\nb"), "source is no printable"),
    "an empty source": (lambda c: c.update(source=""), "source is no printable"),
}
"""Files that this program did not write: damage, that accuses nobody."""

DISORDER: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "reordered events": (lambda c: c["events"].reverse(), "not in chain order"),
    "a doubled event": (lambda c: c["events"].insert(0, c["events"][0]), "not in chain order"),
    "an event beyond the range": (lambda c: c.update(blocks=[0, 6]), "outside of the searched blocks"),
    "an event of another job": (lambda c: c.update(job=3), "another job"),
}


@pytest.mark.parametrize("name", [*FORGERIES, *DISORDER])
def test_reader_rejects_a_resealed_forgery(name: str) -> None:
    forge, message = (FORGERIES | DISORDER)[name]
    content = json.loads(EXAMPLE)
    forge(content)
    with pytest.raises(RecordError, match=message) as caught:
        record_from_json(resealed(content))
    assert caught.value.exit_code == (4 if name in FORGERIES else 1)


def test_writer_refuses_what_no_reader_accepts() -> None:
    with pytest.raises(RecordError, match="source"):
        record_to_json(replace(example(), source="\u00e9"))


def test_file_round_trips_and_replaces(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    write_record(path, replace(example(), events=()))
    write_record(path, example())
    assert read_record(path) == example()
    assert [entry.name for entry in tmp_path.iterdir()] == ["record.json"]


def test_unwritable_and_absent_paths_are_named(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="cannot write"):
        write_record(tmp_path / "no" / "record.json", example())
    with pytest.raises(RecordError, match="cannot read"):
        read_record(tmp_path / "record.json")


def test_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "record.json").mkdir()
    with pytest.raises(RecordError):
        write_record(tmp_path / "record.json", example())
    assert [entry.name for entry in tmp_path.iterdir()] == ["record.json"]
