"""Sealed files in a store: the same names for the same content, bounded memory, and whose fault what is."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clicooper.access.sealed_files import open_bytes, open_file, seal_bytes, seal_file
from clicooper.access.sealing import content_key, encrypt, sealing_secret, secret_digest
from clicooper.commitments.manifest import SealedFile
from clicooper.errors import ArtifactCorrupt, ArtifactMissing, SealBroken, SealError, StorageError
from clicooper.storage.base import get_bytes
from clicooper.storage.local import LocalStore
from clicooper.types import Head

SECRET = bytes(range(32))
AUTHOR = b"\x11" * 20
SIZES = [0, 1, 15, 16, 17, 262_143, 262_144, 262_145, 1_000_000]


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "store")


@pytest.mark.parametrize("size", SIZES)
def test_round_trip_through_a_store(size: int, store: LocalStore) -> None:
    data = os.urandom(size)
    sealed = seal_bytes(store, SECRET, AUTHOR, data)
    digest = hashlib.sha256(data).digest()
    assert sealed.plaintext_digest == digest
    assert get_bytes(store, sealed.ciphertext) == encrypt(content_key(SECRET, digest), data)  # type: ignore[arg-type]
    assert open_bytes(store, sealed, SECRET) == data


def test_sealing_again_adds_nothing(store: LocalStore, tmp_path: Path) -> None:
    data = os.urandom(700_000)
    (tmp_path / "file").write_bytes(data)
    first = seal_bytes(store, SECRET, AUTHOR, data)
    before = sorted(map(str, store.cids()))
    assert seal_file(store, SECRET, AUTHOR, tmp_path / "file") == first
    assert sorted(map(str, store.cids())) == before


def test_another_secret_or_plaintext_gives_another_ciphertext(store: LocalStore) -> None:
    cids = {
        str(seal_bytes(store, secret, AUTHOR, data).ciphertext)
        for secret in (SECRET, bytes(32))
        for data in (b"weights", b"weightz")
    }
    assert len(cids) == 4


def test_stream_is_sealed_from_where_it_stands(store: LocalStore) -> None:
    stream = io.BytesIO(b"headerbody")
    stream.seek(6)
    assert open_bytes(store, seal_file(store, SECRET, AUTHOR, stream), SECRET) == b"body"


@settings(max_examples=60, deadline=None)
@given(data=st.binary(max_size=4096), position=st.integers(0, 4095), mask=st.integers(1, 255))
def test_any_other_ciphertext_breaks_the_seal(
    data: bytes, position: int, mask: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The author put other bytes under the digest: the block is genuine, so nobody but the author can have done it."""
    store = LocalStore(tmp_path_factory.mktemp("sealed") / "store")
    sealed = seal_bytes(store, SECRET, AUTHOR, data or b"x")
    ciphertext = bytearray(get_bytes(store, sealed.ciphertext))
    ciphertext[position % len(ciphertext)] ^= mask
    forged = sealed.model_copy(update={"ciphertext": store.put_file(io.BytesIO(ciphertext))})
    with pytest.raises(SealBroken) as e:
        open_bytes(store, forged, SECRET)
    assert (e.value.exit_code, e.value.cid) == (1, str(forged.ciphertext))


def test_wrong_secret_opens_nothing_and_is_not_printed(store: LocalStore) -> None:
    sealed = seal_bytes(store, SECRET, AUTHOR, b"weights")
    with pytest.raises(SealBroken) as e:
        open_bytes(store, sealed, b"\x07" * 32)
    assert "07" * 32 not in e.value.diagnostics()


def test_missing_ciphertext_is_named(store: LocalStore) -> None:
    elsewhere = seal_bytes(LocalStore(store.root.with_name("other")), SECRET, AUTHOR, b"weights")
    with pytest.raises(ArtifactMissing) as e:
        open_bytes(store, elsewhere, SECRET)
    assert e.value.cid == str(elsewhere.ciphertext)


def test_damaged_block_is_the_stores_fault_and_not_the_authors(store: LocalStore) -> None:
    sealed = seal_bytes(store, SECRET, AUTHOR, b"weights")
    (path,) = store.root.rglob(str(sealed.ciphertext))
    path.write_bytes(b"weightz")
    with pytest.raises(ArtifactCorrupt):
        open_bytes(store, sealed, SECRET)


def test_oversized_file_is_refused_before_it_fills_the_memory(store: LocalStore) -> None:
    sealed = seal_bytes(store, SECRET, AUTHOR, bytes(1_000_000))
    target = io.BytesIO()
    with pytest.raises(ArtifactCorrupt, match="larger than it may be"):
        open_file(store, sealed, SECRET, target, max_bytes=999_999)
    assert len(target.getvalue()) < 999_999
    open_file(store, sealed, SECRET, io.BytesIO(), max_bytes=1_000_000)


class _Changing(io.BytesIO):
    """A file that somebody writes to between the two passes."""

    def seek(self, *where: Any) -> int:
        super().seek(0)
        self.write(b"other")
        return super().seek(*where)


def test_file_that_changes_while_it_is_sealed_is_refused(store: LocalStore) -> None:
    with pytest.raises(SealError, match="changed while it was sealed"):
        seal_file(store, SECRET, AUTHOR, _Changing(b"first"))


def test_absent_file_is_a_storage_error(store: LocalStore, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="nowhere"):
        seal_file(store, SECRET, AUTHOR, tmp_path / "nowhere")


def test_sealing_secrets_differ_by_job_and_by_trainer() -> None:
    secrets = {sealing_secret(own, Head(job)) for own in (b"a" * 32, b"b" * 32) for job in (bytes(32), b"j" * 32)}
    assert {len(secret) for secret in secrets} == {32}
    assert len(secrets | {secret_digest(secret) for secret in secrets}) == 8
    with pytest.raises(SealError, match="shorter than 16 bytes"):
        sealing_secret(b"short", Head(bytes(32)))


def test_vectors_of_the_derivations() -> None:
    """Fixed for ever: another value would lose every file sealed so far."""
    assert sealing_secret(SECRET, Head(b"\x01" * 32)).hex() == VECTOR_SECRET
    assert secret_digest(SECRET).hex() == hashlib.sha256(b"clicooper.sealing.digest" + SECRET).hexdigest()


VECTOR_SECRET = "9d43715cd99bda4ed14fc54f9a541e388c92df1febc63159b8dcd278fb7f4353"
"""By RFC 5869 from HMAC alone: extract with 32 zero bytes, then one block of expansion."""

BOUNDED = """
import resource, sys
from pathlib import Path
from clicooper.storage.local import LocalStore
from clicooper.access.sealed_files import open_file, seal_file
source, root = Path(sys.argv[1]), Path(sys.argv[2])
store = LocalStore(root)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
sealed = seal_file(store, bytes(32), bytes(20), source)
with open(root.parent / "opened", "wb") as target:
    open_file(store, sealed, bytes(32), target)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def test_sealing_and_opening_a_large_file_take_little_memory(tmp_path: Path) -> None:
    with (tmp_path / "large").open("wb") as file:
        file.truncate(200 << 20)
    arguments = [sys.executable, "-c", BOUNDED, str(tmp_path / "large"), str(tmp_path / "store")]
    grown_mib = int(subprocess.run(arguments, check=True, capture_output=True, text=True).stdout)
    assert grown_mib < 40
    assert (tmp_path / "opened").stat().st_size == 200 << 20
    (tmp_path / "opened").unlink()


def test_sealed_file_is_a_strict_part() -> None:
    with pytest.raises(ValueError, match="plaintext_digest"):
        SealedFile.model_validate({"author": AUTHOR, "ciphertext": None, "plaintext_digest": b"short"})
