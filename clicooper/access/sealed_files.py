"""Confidential files in a store: sealed on the way in, opened and checked on the way out, a piece at a time.

The same plaintext of the same author is the same ``SealedFile`` for ever, so keeping it again sends nothing.
Which secret opens whose files is the business of the callers.
"""

from __future__ import annotations

import hashlib
import hmac
import io
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from clicooper.access.sealing import content_key, encrypt, stream_cipher
from clicooper.commitments.manifest import SealedFile
from clicooper.errors import ArtifactMalformed, SealBroken, SealError
from clicooper.files import open_regular
from clicooper.storage.base import MAX_BYTES_IN_MEMORY, Store, reading, write_chunks
from clicooper.storage.ipld.cid import cid_text, file_cid
from clicooper.types import Digest

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

__all__ = ["name_sealed", "open_bytes", "open_file", "seal_bytes", "seal_file"]

PIECE_BYTES = 1 << 18


def seal_file(store: Store, secret: bytes, author: bytes, source: Path | BinaryIO) -> SealedFile:
    """Keeps a file's ciphertext: one pass hashes the plaintext, a second one encrypts it into the store.

    Args:
        secret: the author's sealing secret of the job, 32 bytes.
        author: its address, 20 bytes.
        source: a path, or a seekable stream, sealed from where it stands to its end.

    Raises:
        SealError: the source changed between the passes. What went into the store by then is of no use, but it is
            encrypted under the key of another plaintext: whoever has both ciphertexts learns their difference.
        StorageError: the source cannot be read, or the store cannot be written.
    """
    if isinstance(source, Path):
        with reading(source), open_regular(source) as stream:
            return seal_file(store, secret, author, stream)
    start = source.tell()
    digest = _digest_of(source)
    source.seek(start)
    reader = _Sealing(source, content_key(secret, digest))
    ciphertext = store.put_file(cast(BinaryIO, io.BufferedReader(reader, PIECE_BYTES)))
    if not hmac.compare_digest(reader.digest, digest):
        raise SealError("a file changed while it was sealed", hint="seal a copy that nobody writes to")
    return SealedFile(author=author, ciphertext=ciphertext, plaintext_digest=digest)


def seal_bytes(store: Store, secret: bytes, author: bytes, data: bytes) -> SealedFile:
    """``seal_file`` of ``data``."""
    return seal_file(store, secret, author, io.BytesIO(data))


def name_sealed(secret: bytes, author: bytes, data: bytes) -> SealedFile:
    """What ``seal_bytes`` would return, without keeping anything: a name can be committed before its file is out."""
    digest = Digest(hashlib.sha256(data).digest())
    return SealedFile(
        author=author, ciphertext=file_cid(encrypt(content_key(secret, digest), data)), plaintext_digest=digest
    )


def open_file(store: Store, sealed: SealedFile, secret: bytes, target: BinaryIO, max_bytes: int | None = None) -> None:
    """Writes a sealed file's plaintext to ``target``; on an error, what was written is of no use.

    Args:
        secret: the sealing secret that the file's author registered: the caller has compared ``secret_digest``.
        max_bytes: more than this counts as malformed.

    Raises:
        ArtifactMissing, ArtifactCorrupt: as ``Store.get_file``.
        SealBroken: the ciphertext is genuine and does not open to the digest in its manifest.
    """
    writer = _Opening(sealed, target, secret, max_bytes)
    store.get_file(sealed.ciphertext, cast(BinaryIO, writer))
    if not hmac.compare_digest(writer.digest, sealed.plaintext_digest):
        text = cid_text(sealed.ciphertext)
        raise SealBroken(
            f"file {text} does not open to the digest in its manifest",
            cid=text,
            hint="do not use the file; make evidence on its author with: clicooper evidence make --claim seal",
        )


def open_bytes(store: Store, sealed: SealedFile, secret: bytes, max_bytes: int = MAX_BYTES_IN_MEMORY) -> bytes:
    """A sealed file's plaintext in memory; raises as ``open_file``."""
    target = io.BytesIO()
    open_file(store, sealed, secret, target, max_bytes)
    return target.getvalue()


def _digest_of(stream: BinaryIO) -> Digest:
    digest = hashlib.sha256()
    for piece in _pieces(stream):
        digest.update(piece)
    return Digest(digest.digest())


def _pieces(stream: BinaryIO) -> Iterator[bytes]:
    while piece := stream.read(PIECE_BYTES):
        yield piece


class _Sealing(io.RawIOBase):
    """Reads as the ciphertext of a plaintext stream, whose digest it takes on the way."""

    def __init__(self, source: BinaryIO, key: bytes) -> None:
        super().__init__()
        self._source, self._cipher, self._running = source, stream_cipher(key), hashlib.sha256()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        view = memoryview(buffer).cast("B")
        plaintext = self._source.read(len(view))
        self._running.update(plaintext)
        view[: len(plaintext)] = self._cipher.update(plaintext)
        return len(plaintext)

    @property
    def digest(self) -> bytes:
        return self._running.digest()


class _Opening(io.RawIOBase):
    """Takes ciphertext, writes plaintext to a target, and takes its digest on the way."""

    def __init__(self, sealed: SealedFile, target: BinaryIO, secret: bytes, max_bytes: int | None) -> None:
        super().__init__()
        self._cipher = stream_cipher(content_key(secret, Digest(sealed.plaintext_digest)))
        self._cid, self._target = cid_text(sealed.ciphertext), target
        self._running, self._rest = hashlib.sha256(), max_bytes

    def writable(self) -> bool:
        return True

    def write(self, data: ReadableBuffer, /) -> int:
        plaintext = self._cipher.update(bytes(data))
        if self._rest is not None and (rest := self._rest - len(plaintext)) < 0:
            hint = "it is not what the record says; refuse it, or read it into a file"
            raise ArtifactMalformed(f"file {self._cid} is larger than it may be", cid=self._cid, hint=hint)
        self._rest = None if self._rest is None else rest
        self._running.update(plaintext)
        write_chunks(self._target, [plaintext])
        return len(plaintext)

    @property
    def digest(self) -> bytes:
        return self._running.digest()
