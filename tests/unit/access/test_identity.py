"""Identities: the same from the same seed, as other implementations read them, and never repeated in an error."""

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from clicooper.access.identity import (
    identity_from_seed,
    lock_identity,
    parse_identity,
    parse_recipient,
    recipient_of,
    unlock_identity,
)
from clicooper.access.sealing import new_identity, unwrap, wrap
from clicooper.errors import SealError, UsageError

SEED = bytes(range(32))
LETTERS = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"


def bech32_bytes(text: str) -> bytes:
    """The bytes behind a Bech32 text, its checksum left out."""
    bits = "".join(f"{LETTERS.index(letter):05b}" for letter in text.lower().rpartition("1")[2][:-6])
    return bytes(int(bits[at : at + 8], 2) for at in range(0, len(bits) - 7, 8))


@settings(max_examples=50, deadline=None)
@given(st.binary(min_size=32, max_size=32))
def test_identity_is_the_scalar_and_its_recipient_the_curves_public_key(seed: bytes) -> None:
    identity = identity_from_seed(seed)
    public = X25519PrivateKey.from_private_bytes(seed).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    assert bech32_bytes(identity) == seed
    assert bech32_bytes(recipient_of(identity)) == public
    assert identity.startswith("AGE-SECRET-KEY-1") and recipient_of(identity).startswith("age1")


def test_seeded_identity_opens_what_is_wrapped_for_it() -> None:
    identity = identity_from_seed(SEED)
    assert recipient_of(identity) == "age13aqvttdk3ujkyjh9kg2w5an6dmy5mq5a84a4uxk3hfhnugfc9p0sy5p2wh"
    assert unwrap(wrap(b"secret", [recipient_of(identity)]), identity) == b"secret"


@pytest.mark.parametrize("size", [0, 31, 33])
def test_seed_of_another_length_is_refused(size: int) -> None:
    with pytest.raises(SealError, match=f"not {size}" if size else "not 0"):
        identity_from_seed(bytes(size))


def test_identity_file_of_age_keygen_is_read() -> None:
    identity, recipient = new_identity()
    file = f"# created: 2026-01-01T00:00:00Z\n# public key: {recipient}\n\n{identity}\n"
    assert parse_identity(file.encode(), "file") == identity
    assert parse_identity(file.replace("\n", "\r\n").encode(), "file") == identity


@pytest.mark.parametrize("lines", [[], ["# only a comment"], ["{0}", "{1}"]])
def test_file_without_one_identity_is_refused(lines: list[str]) -> None:
    identities = [new_identity()[0] for _ in range(2)]
    with pytest.raises(SealError, match=r"keys\.txt holds") as e:
        parse_identity("\n".join(lines).format(*identities).encode(), "keys.txt")
    assert all(identity not in e.value.diagnostics() for identity in identities)


@pytest.mark.parametrize("data", [b"AGE-SECRET-KEY-1TYPO", b"\xff\xfe", b"-----BEGIN OPENSSH PRIVATE KEY-----"])
def test_what_is_no_identity_is_not_repeated(data: bytes) -> None:
    with pytest.raises(SealError) as e:
        parse_identity(data, "file")
    assert "TYPO" not in e.value.diagnostics()


def test_recipient_with_a_wrong_letter_is_refused() -> None:
    _, recipient = new_identity()
    assert parse_recipient(recipient) == recipient
    for position in (5, 30, -1):
        wrong = list(recipient)
        wrong[position] = "q" if wrong[position] != "q" else "p"
        with pytest.raises(UsageError, match="no age recipient"):
            parse_recipient("".join(wrong))


def test_locked_identity_needs_its_password() -> None:
    identity, _ = new_identity()
    locked = lock_identity(identity, "correct horse")
    assert identity.encode() not in locked
    assert unlock_identity(locked, "correct horse") == identity
    with pytest.raises(UsageError, match="wrong password, or damaged"):
        unlock_identity(locked, "battery staple")
    with pytest.raises(UsageError, match="wrong password, or damaged"):
        unlock_identity(locked[:-1], "correct horse")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("comment", [True, False])
def test_identity_that_windows_wrote_is_read(encoding: str, comment: bool) -> None:
    identity, recipient = new_identity()
    text = (f"# public key: {recipient}\r\n" if comment else "") + f"{identity}\r\n"
    assert parse_identity(text.encode(encoding), "file") == identity


def test_identity_in_an_unmarked_encoding_is_told_so() -> None:
    identity, _ = new_identity()
    with pytest.raises(SealError, match="UTF-8") as caught:
        parse_identity(identity.encode("utf-16-le"), "keys.txt")
    assert identity not in caught.value.diagnostics()


@pytest.mark.parametrize("comment", ["# public key: {}", "# recipient: {}", "#{}"])
def test_identity_of_another_recipient_than_its_comment_names_is_refused(comment: str) -> None:
    (identity, own), (_, other) = new_identity(), new_identity()
    assert parse_identity(f"{comment.format(own)}\n{identity}\n".encode(), "keys.txt") == identity
    with pytest.raises(SealError, match=r"keys\.txt names another recipient") as caught:
        parse_identity(f"{comment.format(other)}\n{identity}\n".encode(), "keys.txt")
    assert own in caught.value.hint
    assert identity not in caught.value.diagnostics()


def test_shortened_recipient_in_a_comment_claims_nothing() -> None:
    identity, own = new_identity()
    assert parse_identity(f"# public key: age1...\n# {own[:20]}\n{identity}\n".encode(), "file") == identity


def test_endless_identity_is_refused() -> None:
    with pytest.raises(SealError, match="too large"):
        parse_identity(b"#" * 70_000 + b"\n" + new_identity()[0].encode(), "file")
