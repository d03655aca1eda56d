"""The only encoder: records to DAG-CBOR blocks, tensors to digests, contents to CIDs.

A record is encoded exactly one way, so that equal records have equal digests on every machine, and
``decode`` refuses every other byte string: ``encode(decode(b)) == b`` for all accepted ``b`` and
``decode(encode(v)) == v`` for all encodable ``v``.

Storing and fetching blocks is the job of ``clicooper.storage``.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import dag_cbor
import numpy as np
from multiformats import CID

from clicooper.errors import SpecError
from clicooper.types import Digest

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "cid_of_block",
    "cid_of_digest",
    "decode",
    "digest_of_cid",
    "encode",
    "encode_tensor",
    "parse",
    "sha256",
    "tensor_digest",
]

MAX_BLOCK_BYTES = 1 << 20
"""Blocks above 1 MiB are not exchanged by IPFS nodes; a manifest has no business being larger."""

MAX_DEPTH = 32

MAX_ITEMS = 1 << 17
"""Items of a record, keys, links and their bytes counted too: several times what links of 1 MiB need."""

_DAMAGED = "the block was not written by this protocol, or is damaged"

_DECODER_ERRORS = (
    dag_cbor.decoding.CBORDecodingError,
    TypeError,
    ValueError,
    LookupError,
    OverflowError,
    RecursionError,
    MemoryError,
)
"""What the decoder lets out for hostile bytes: declared lengths of 2^63 overflow, an empty link has no first byte."""

_TENSOR_DTYPES = frozenset(
    ["bool", "float16", "float32", "float64", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))]
)


def sha256(data: bytes) -> Digest:
    """sha2-256 of ``data``, 32 bytes."""
    return Digest(hashlib.sha256(data).digest())


def encode(value: Mapping[str, Any]) -> bytes:
    """Encodes a map of strings, bytes, ints, floats, bools, None, CIDs, lists and maps.

    Raises:
        SpecError: a value of another type, a NaN or infinite float, or a block above 1 MiB.
    """
    try:
        block = bytes(dag_cbor.encode(_plain(value, depth=0)))
    except (dag_cbor.encoding.CBOREncodingError, TypeError, ValueError) as e:
        raise SpecError(f"record cannot be encoded as DAG-CBOR: {e}", hint="use plain values and CIDs only") from e
    if len(block) > MAX_BLOCK_BYTES:
        raise SpecError(f"record of {len(block)} bytes exceeds {MAX_BLOCK_BYTES}", hint="link large content by CID")
    return block


def decode(block: bytes) -> dict[str, Any]:
    """Decodes one canonical DAG-CBOR map.

    Raises:
        SpecError: not DAG-CBOR, not canonical, not a map, nested too deep, or followed by more bytes.
    """
    value = parse(block)
    if encode(value) != block:
        raise SpecError("DAG-CBOR block is not in canonical form", hint=_DAMAGED)
    return value


def parse(block: bytes) -> dict[str, Any]:
    """As ``decode``, for whoever encodes the value again anyway and compares it with ``block`` itself.

    Raises:
        SpecError: not DAG-CBOR, not a map, or followed by more bytes.
    """
    hint = _DAMAGED
    if len(block) > MAX_BLOCK_BYTES:
        raise SpecError(f"block of {len(block)} bytes exceeds {MAX_BLOCK_BYTES}", hint=hint)
    _refuse_bulk(block)
    try:
        value = _with_base32_links(dag_cbor.decode(block))
    except _DECODER_ERRORS as e:
        raise SpecError(f"not a DAG-CBOR block: {' '.join(str(e).split())[:120]}", hint=hint) from e
    if not isinstance(value, dict):
        raise SpecError("DAG-CBOR block is not a map", hint=hint)
    return value


def _refuse_bulk(block: bytes) -> None:
    """Refuses what would cost the decoder much more than its bytes: deep nesting, and very many items.

    Looks at the heads of items alone; whether they are well-formed is for the decoder to say, which meets the same.
    """
    at, items, open_lists = 0, 0, [1]
    while at < len(block) and open_lists:
        major, short = block[at] >> 5, block[at] & 31
        width = 0 if short < 24 else 1 << (short - 24) if short < 28 else len(block)
        value = short if short < 24 else int.from_bytes(block[at + 1 : at + 1 + width][:8], "big")
        at, items = at + 1 + width, items + 1
        open_lists[-1] -= 1
        if major in (4, 5):
            open_lists.append(value * (major - 3))
        elif major == 6:
            open_lists.append(1)
        elif major in (2, 3):
            at += value
        while open_lists and open_lists[-1] <= 0:
            open_lists.pop()
        if len(open_lists) > MAX_DEPTH + 2 or items > MAX_ITEMS:
            raise SpecError(f"record nested deeper than {MAX_DEPTH}, or of more than {MAX_ITEMS} items", hint=_DAMAGED)


def _with_base32_links(value: Any) -> Any:
    """Links compare equal only in one text base, and the decoder leaves them in another."""
    if isinstance(value, CID):
        return value.set(base="base32")
    if isinstance(value, dict):
        return {key: _with_base32_links(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_base32_links(item) for item in value]
    return value


def _plain(value: Any, depth: int) -> Any:
    """The value in IPLD's data model, tuples as lists; refuses what has no exact encoding."""
    if depth > MAX_DEPTH:
        raise SpecError(f"record nested deeper than {MAX_DEPTH}", hint="flatten the record")
    if isinstance(value, float) and not math.isfinite(value):
        raise SpecError("record holds a NaN or infinite number", hint="floats in records must be finite")
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise SpecError("record has a key that is not a string", hint="DAG-CBOR maps have string keys")
        return {key: _plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item, depth + 1) for item in value]
    return value


def cid_of_digest(digest: Digest, codec: str = "dag-cbor") -> CID:
    """The CIDv1 (base32) whose sha2-256 multihash carries ``digest``."""
    return CID("base32", 1, codec, ("sha2-256", bytes(digest)))


def cid_of_block(block: bytes) -> CID:
    """The CIDv1 of a DAG-CBOR block."""
    return cid_of_digest(sha256(block))


def digest_of_cid(cid: CID) -> Digest:
    """The 32-byte sha2-256 digest inside a CID.

    Raises:
        SpecError: the CID uses another hash function.
    """
    if cid.hashfun.name != "sha2-256" or len(cid.raw_digest) != 32:
        raise SpecError(f"{cid} is not a sha2-256 CID", hint="only sha2-256 content is anchored on chain")
    return Digest(bytes(cid.raw_digest))


@lru_cache(maxsize=1024)
def _tensor_header(dtype: str, shape: tuple[int, ...]) -> bytes:
    """Encoded once: the tensors of a round have few shapes, and a small one is hashed faster than this is encoded."""
    return encode({"dtype": dtype, "shape": list(shape)})


def encode_tensor(array: NDArray[Any]) -> bytes:
    """Bytes of a tensor: a DAG-CBOR header ``{dtype, shape}``, then its elements.

    Elements are row-major and little-endian. The header makes the encoding injective over dtypes and shapes.

    Args:
        array: any shape, of a boolean, integer or floating dtype.
    """
    if array.dtype.name not in _TENSOR_DTYPES:
        raise SpecError(f"tensor of dtype {array.dtype} has no canonical form", hint="use a numeric dtype")
    little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    return _tensor_header(little.dtype.name, array.shape) + little.tobytes()


def tensor_digest(array: NDArray[Any]) -> Digest:
    """sha2-256 of ``encode_tensor(array)``, without a second copy of the elements."""
    if array.dtype.name not in _TENSOR_DTYPES:
        raise SpecError(f"tensor of dtype {array.dtype} has no canonical form", hint="use a numeric dtype")
    little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    digest = hashlib.sha256(_tensor_header(little.dtype.name, array.shape))
    digest.update(little.data.cast("B") if little.size else b"")
    return Digest(digest.digest())
