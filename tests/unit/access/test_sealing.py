"""Sealing: published vectors, wrong keys, and secrets on disk."""

import hashlib
import hmac
import os
import stat
from pathlib import Path

import pytest

from clicooper.access.sealing import (
    content_key,
    decrypt,
    encrypt,
    labels_file_key,
    new_identity,
    open_labels,
    open_sealed,
    unwrap,
    wrap,
)
from clicooper.errors import SealError, StorageError
from clicooper.files import write_secret
from clicooper.types import Digest

KEY = bytes(range(32))


def _digest(data: bytes) -> Digest:
    return Digest(hashlib.sha256(data).digest())


class TestCipher:
    def test_keystream_is_aes_256_of_the_counter(self) -> None:
        """NIST's AESAVS, variable-key and zero-key known answers: counters 0 and 1 encrypted as blocks."""
        assert encrypt(bytes(32), bytes(16)).hex() == "dc95c078a2408989ad48a21492842087"
        assert encrypt(bytes(32), bytes(32)).hex()[32:] == "530f8afbc74536b9a963b4f1c4cb738b"

    @pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 1 << 20])
    def test_round_trip_keeps_the_size(self, size: int) -> None:
        plaintext = os.urandom(size)
        ciphertext = encrypt(KEY, plaintext)
        assert len(ciphertext) == size
        assert decrypt(KEY, ciphertext) == plaintext

    def test_the_same_content_is_sealed_the_same_way(self) -> None:
        assert encrypt(KEY, b"weights") == encrypt(KEY, b"weights") != b"weights"

    @pytest.mark.parametrize("size", [0, 16, 24, 31, 33, 64])
    def test_shorter_and_longer_keys_are_refused(self, size: int) -> None:
        with pytest.raises(SealError, match=f"not {size}"):
            encrypt(bytes(size), b"x")

    def test_content_keys_differ_by_secret_and_by_plaintext(self) -> None:
        keys = {content_key(secret, _digest(text)) for secret in (b"a" * 32, b"b" * 32) for text in (b"x", b"y")}
        assert len(keys) == 4
        assert all(len(key) == 32 for key in keys)


class TestKeys:
    def test_hmac_vector_of_rfc_4231(self) -> None:
        """Test case 2: both derivations are HMAC-SHA256 and nothing more."""
        message = b"what do ya want for nothing?"
        expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        assert content_key(b"Jefe", Digest(message)).hex() == expected
        assert labels_file_key(b"Jefe", Digest(message)).hex() == expected

    def test_label_key_needs_secret_and_round_key(self) -> None:
        secret, key = b"s" * 32, _digest(b"key_1")
        assert labels_file_key(secret, key) == hmac.new(secret, key, hashlib.sha256).digest()
        assert labels_file_key(secret, key) != labels_file_key(secret, _digest(b"key_2"))
        assert labels_file_key(secret, key) != labels_file_key(key, Digest(secret))


class TestOpening:
    LABELS = b"salt" * 8 + b"pseudo-labels of round 1"

    @pytest.mark.parametrize("open_", [open_labels, open_sealed])
    def test_opens_what_was_promised(self, open_) -> None:  # type: ignore[no-untyped-def]
        assert open_(encrypt(KEY, self.LABELS), KEY, _digest(self.LABELS)) == self.LABELS

    def test_trainer_rejects_labels_of_another_round(self) -> None:
        early, late = labels_file_key(KEY, _digest(b"0")), labels_file_key(KEY, _digest(b"1"))
        with pytest.raises(SealError) as e:
            open_labels(encrypt(late, self.LABELS), early, _digest(self.LABELS))
        assert e.value.exit_code == 4 and e.value.hint

    def test_any_flipped_bit_of_a_ciphertext_is_found(self) -> None:
        ciphertext = encrypt(KEY, self.LABELS)
        for bit in range(8 * len(ciphertext)):
            damaged = bytearray(ciphertext)
            damaged[bit // 8] ^= 1 << bit % 8
            with pytest.raises(SealError):
                open_sealed(bytes(damaged), KEY, _digest(self.LABELS))

    def test_any_flipped_bit_of_a_key_is_found(self) -> None:
        ciphertext = encrypt(KEY, self.LABELS)
        for bit in range(8 * len(KEY)):
            wrong = bytearray(KEY)
            wrong[bit // 8] ^= 1 << bit % 8
            with pytest.raises(SealError):
                open_labels(ciphertext, bytes(wrong), _digest(self.LABELS))

    def test_errors_do_not_print_plaintext_or_key(self) -> None:
        with pytest.raises(SealError) as e:
            open_labels(encrypt(KEY, self.LABELS), KEY, _digest(b"other"))
        text = e.value.diagnostics()
        assert KEY.hex() not in text and "salt" not in text


class TestGrants:
    def test_each_recipient_opens_it_alone(self) -> None:
        identities, recipients = zip(*(new_identity() for _ in range(3)), strict=True)
        sealed = wrap(b"secret", recipients)
        assert [unwrap(sealed, identity) for identity in identities] == [b"secret"] * 3

    def test_identities_are_fresh_and_in_age_form(self) -> None:
        (first, recipient), (second, _) = new_identity(), new_identity()
        assert first != second
        assert first.startswith("AGE-SECRET-KEY-1") and recipient.startswith("age1")

    def test_stranger_cannot_open_a_grant(self) -> None:
        _, recipient = new_identity()
        stranger, address = new_identity()
        with pytest.raises(SealError) as e:
            unwrap(wrap(b"secret", [recipient]), stranger)
        assert e.value.exit_code == 4
        assert address in e.value.hint
        assert stranger not in e.value.diagnostics()

    def test_any_flipped_byte_of_a_grant_is_found(self) -> None:
        identity, recipient = new_identity()
        sealed = wrap(b"secret", [recipient])
        for position in range(len(sealed)):
            damaged = bytearray(sealed)
            damaged[position] ^= 0x40
            with pytest.raises(SealError):
                unwrap(bytes(damaged), identity)

    @pytest.mark.parametrize("data", [b"", b"junk", b"age-encryption.org/v1\n", b"\0" * 1000])
    def test_what_is_not_a_grant_is_refused(self, data: bytes) -> None:
        with pytest.raises(SealError):
            unwrap(data, new_identity()[0])

    @pytest.mark.parametrize("recipients", [[], ["age1qq"], ["ssh-ed25519 AAAA"], [""]])
    def test_bad_recipients_are_refused(self, recipients: list[str]) -> None:
        with pytest.raises(SealError, match="cannot wrap"):
            wrap(b"secret", recipients)

    def test_bad_identity_is_refused_and_not_printed(self) -> None:
        _, recipient = new_identity()
        with pytest.raises(SealError) as e:
            unwrap(wrap(b"secret", [recipient]), "AGE-SECRET-KEY-1TYPO")
        assert "TYPO" not in e.value.diagnostics()


class TestWriteSecret:
    def test_file_is_private_and_so_is_every_new_folder_above_it(self, tmp_path: Path) -> None:
        path = tmp_path / "owner" / "receipts" / "master"
        umask = os.umask(0)
        try:
            write_secret(path, b"secret")
        finally:
            os.umask(umask)
        assert path.read_bytes() == b"secret"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert {stat.S_IMODE(folder.stat().st_mode) for folder in (path.parent, path.parent.parent)} == {0o700}

    def test_replaces_a_readable_file_by_a_private_one(self, tmp_path: Path) -> None:
        path = tmp_path / "master"
        path.write_bytes(b"old and longer")
        path.chmod(0o644)
        write_secret(path, b"new")
        assert path.read_bytes() == b"new"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert list(tmp_path.iterdir()) == [path]

    def test_secret_does_not_follow_a_planted_link(self, tmp_path: Path) -> None:
        (tmp_path / "shared").write_bytes(b"public")
        (tmp_path / "master").symlink_to(tmp_path / "shared")
        write_secret(tmp_path / "master", b"secret")
        assert (tmp_path / "shared").read_bytes() == b"public"
        assert (tmp_path / "master").read_bytes() == b"secret"

    def test_unwritable_place_is_a_storage_error(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_bytes(b"")
        with pytest.raises(StorageError, match="file"):
            write_secret(tmp_path / "file" / "master", b"secret")
        (tmp_path / "folder" / "child").mkdir(parents=True)
        with pytest.raises(StorageError, match="folder"):
            write_secret(tmp_path / "folder", b"secret")
        assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]
