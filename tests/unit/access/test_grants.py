"""Grants: what goes in comes out, for the right person and job, and nothing of it shows outside."""

from __future__ import annotations

from pathlib import Path

import pytest
from eth_utils import to_checksum_address
from hypothesis import given, settings
from hypothesis import strategies as st

from clicooper.access.grants import (
    AuditKeys,
    Grant,
    ProgressKey,
    open_grant,
    read_grants,
    read_identity,
    seal_grant,
    write_grants,
)
from clicooper.access.sealing import new_identity, unwrap, wrap
from clicooper.errors import SealError, SpecError, StorageError
from clicooper.files import write_secret
from clicooper.types import Address, Head

GENESIS, OTHER_GENESIS = Head(b"\x01" * 32), Head(b"\x02" * 32)
ALICE, BOB = Address(to_checksum_address("0x" + "aa" * 20)), Address(to_checksum_address("0x" + "bb" * 20))
IDENTITY, RECIPIENT = new_identity()
STRANGER, _ = new_identity()
KEYS = AuditKeys(
    label_secret=b"L" * 32,
    progress={(0, 0): ProgressKey(b"P" * 32, b"H" * 32), (1, 1): ProgressKey(b"Q" * 32, b"I" * 32)},
    sealing={ALICE: b"S" * 32, BOB: b"T" * 32},
    genesis=GENESIS,
)

secrets = st.binary(min_size=32, max_size=32)
numbers = st.integers(0, 2**53)
keys = st.builds(
    AuditKeys,
    label_secret=st.none() | secrets,
    progress=st.dictionaries(st.tuples(numbers, numbers), st.builds(ProgressKey, secrets, secrets), max_size=4),
    sealing=st.dictionaries(
        st.binary(min_size=20, max_size=20).map(lambda raw: Address(to_checksum_address(raw))), secrets, max_size=4
    ),
    genesis=secrets.map(Head),
)


@settings(max_examples=40, deadline=None)
@given(keys)
def test_whatever_is_granted_is_opened(granted: AuditKeys) -> None:
    grant = Grant.from_block(seal_grant(granted, ALICE, [RECIPIENT]).to_block())
    assert open_grant(grant, IDENTITY) == granted


def test_secret_follows_its_author_in_the_bytes() -> None:
    """What docs/artifacts.md looks for: 20 bytes of address, the word `secret`, 32 bytes."""
    opened = unwrap(seal_grant(KEYS, ALICE, [RECIPIENT]).ciphertext, IDENTITY)
    assert b"\x54" + b"\xbb" * 20 + b"\x66secret\x58\x20" + b"T" * 32 in opened
    assert b"\x6clabel_secret\x58\x20" + b"L" * 32 in opened


def test_each_recipient_opens_it_and_nobody_else() -> None:
    second, recipient = new_identity()
    grant = seal_grant(KEYS, ALICE, [RECIPIENT, recipient])
    assert open_grant(grant, IDENTITY) == open_grant(grant, second) == KEYS
    with pytest.raises(SealError):
        open_grant(grant, STRANGER)


def test_grant_of_another_job_is_found_out() -> None:
    grant = seal_grant(KEYS, ALICE, [RECIPIENT]).model_copy(update={"genesis": OTHER_GENESIS})
    with pytest.raises(SealError, match="another job"):
        open_grant(grant, IDENTITY)


def test_wrapped_nonsense_accuses_nobody() -> None:
    grant = Grant(genesis=GENESIS, author=bytes(20), ciphertext=wrap(b"nonsense", [RECIPIENT]))
    with pytest.raises(SealError) as e:
        open_grant(grant, IDENTITY)
    assert e.value.exit_code == 4


def test_grants_that_name_no_job_are_not_made() -> None:
    with pytest.raises(SealError, match="which job"):
        seal_grant(AuditKeys(label_secret=b"L" * 32), ALICE, [RECIPIENT])
    with pytest.raises(SealError, match="cannot wrap"):
        seal_grant(KEYS, ALICE, [])


def test_foreign_block_is_no_grant() -> None:
    with pytest.raises(SpecError, match="not a Grant"):
        Grant.from_block(b"\xa1\x61\x61\x01")


def test_keys_of_another_job_count_as_none() -> None:
    assert KEYS.for_job(GENESIS) is KEYS
    assert KEYS.for_job(OTHER_GENESIS) == AuditKeys(genesis=OTHER_GENESIS)
    unbound = AuditKeys(label_secret=b"L" * 32)
    assert unbound.for_job(GENESIS) is unbound


def test_limits_keep_what_concerns_the_chosen() -> None:
    part = KEYS.limited({1}, {BOB}, labels=False)
    assert (part.label_secret, set(part.progress), dict(part.sealing)) == (None, {(1, 1)}, {BOB: b"T" * 32})
    assert part.genesis == GENESIS
    assert KEYS.limited((), (), labels=True) == AuditKeys(label_secret=b"L" * 32, genesis=GENESIS)
    assert KEYS.limited({0, 1}, {ALICE, BOB}, labels=True) == KEYS


def test_later_grants_add_and_take_nothing_away() -> None:
    first, second = KEYS.limited({0}, {ALICE}, labels=True), KEYS.limited({1}, {BOB}, labels=False)
    assert first.with_more(second) == second.with_more(first) == KEYS


def test_secrets_are_not_shown() -> None:
    shown = repr(KEYS) + repr(ProgressKey(b"P" * 32))
    assert not any(letter * 8 in shown for letter in "LPQST")


def test_file_goes_where_the_identity_is(tmp_path: Path) -> None:
    write_grants(tmp_path, KEYS, RECIPIENT)
    write_secret(tmp_path / "identity.txt", f"# recipient: {RECIPIENT}\n{IDENTITY}\n".encode())
    assert read_grants(tmp_path / "identity.txt") == KEYS
    assert read_grants(tmp_path / "identity.txt", tmp_path / "grants.age") == KEYS
    assert read_identity(tmp_path / "identity.txt") == IDENTITY


def test_absent_and_oversized_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"identity\.txt"):
        read_grants(tmp_path / "identity.txt")
    write_secret(tmp_path / "identity.txt", IDENTITY.encode())
    with pytest.raises(StorageError, match=r"grants\.age"):
        read_grants(tmp_path / "identity.txt")
    (tmp_path / "grants.age").write_bytes(bytes(3 << 20))
    with pytest.raises(SealError, match="too large"):
        read_grants(tmp_path / "identity.txt")
