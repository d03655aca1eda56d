"""Laws of the encoder, of files as graphs, and of Merkle proofs, over generated values."""

import io
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from clicooper.access.sealing import decrypt, encrypt
from clicooper.commitments.canonical import cid_of_digest, decode, encode, encode_tensor, sha256, tensor_digest
from clicooper.commitments.merkle import merkle_proof, merkle_root, merkle_verify
from clicooper.errors import ArtifactCorrupt, ArtifactMissing, CliCooperError, SpecError
from clicooper.storage.base import get_bytes, put_bytes
from clicooper.storage.ipld.cid import (
    IPFS_LAYOUT,
    FileLayout,
    block_cid,
    build_file,
    parse_cid,
    read_file,
    verify_block,
)
from clicooper.types import Digest
from tests.simulators import MemoryStore

CHUNK = IPFS_LAYOUT.chunk_bytes

digests = st.binary(min_size=32, max_size=32).map(Digest)
links = st.builds(cid_of_digest, digests, st.sampled_from(["dag-cbor", "dag-pb", "raw"]))
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**64), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.binary(max_size=40)
    | links
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
)
records = st.dictionaries(st.text(max_size=12), values, max_size=6)


def _types(value: Any) -> Any:
    """The value with every scalar's type and exact form: ``1 == True == 1.0`` and ``0.0 == -0.0`` otherwise."""
    if isinstance(value, dict):
        return {key: _types(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_types(item) for item in value]
    return type(value), repr(value)


@settings(deadline=None)
@given(records)
def test_decode_inverts_encode(record: dict[str, Any]) -> None:
    assert _types(decode(encode(record))) == _types(record)


@settings(deadline=None)
@given(records)
def test_equal_records_have_equal_bytes_in_any_order(record: dict[str, Any]) -> None:
    assert encode(dict(reversed(record.items()))) == encode(record)


@settings(deadline=None)
@given(records, records)
def test_different_records_have_different_bytes(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert (encode(one) == encode(other)) == (_types(one) == _types(other))


def _decodes_or_refuses(block: bytes) -> None:
    try:
        record = decode(block)
    except SpecError:
        return
    assert encode(record) == block


@settings(deadline=None)
@given(st.binary(max_size=60))
def test_decoder_accepts_only_what_the_encoder_writes(block: bytes) -> None:
    _decodes_or_refuses(block)
    _decodes_or_refuses(b"\xa1\x61a" + block)


@settings(max_examples=200, deadline=None)
@given(records, st.data())
def test_decoder_accepts_no_damaged_block_as_another_form(record: dict[str, Any], data: st.DataObject) -> None:
    block = bytearray(encode(record))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(block) - 1))
        block[at] = data.draw(st.integers(0, 255))
    _decodes_or_refuses(bytes(block))


dtypes = st.sampled_from(["?", "i1", "u1", "<i2", ">i4", "<i8", "<u8", "<f2", ">f4", "<f8"])
arrays = npst.arrays(dtype=dtypes, shape=npst.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=5))


@settings(deadline=None)
@given(arrays)
def test_tensor_digest_is_that_of_its_encoding(array: np.ndarray[Any, Any]) -> None:
    assert tensor_digest(array) == sha256(encode_tensor(array))
    assert tensor_digest(np.asfortranarray(array).reshape(array.shape)) == tensor_digest(array)


@settings(deadline=None)
@given(arrays, arrays)
def test_tensor_encoding_is_injective(one: np.ndarray[Any, Any], other: np.ndarray[Any, Any]) -> None:
    same = (
        one.dtype.newbyteorder("=") == other.dtype.newbyteorder("=")
        and one.shape == other.shape
        and one.astype(one.dtype.newbyteorder("<")).tobytes() == other.astype(other.dtype.newbyteorder("<")).tobytes()
    )
    assert (encode_tensor(one) == encode_tensor(other)) == same


@settings(deadline=None)
@given(st.lists(digests, min_size=1, max_size=40, unique=True), st.data())
def test_proof_verifies_its_own_leaf_alone(leaves: list[Digest], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(leaves) - 1))
    root, proof = merkle_root(leaves), merkle_proof(leaves, index)
    assert [leaf for leaf in leaves if merkle_verify(root, leaf, proof)] == [leaves[index]]
    assert len(proof) <= (len(leaves) - 1).bit_length()


@settings(deadline=None)
@given(st.lists(digests, min_size=1, max_size=20), st.lists(digests, max_size=5), digests)
def test_verifier_rejects_foreign_leaf_under_any_proof(leaves: list[Digest], proof: list[Digest], leaf: Digest) -> None:
    root = merkle_root(leaves)
    if leaf not in leaves:
        assert not merkle_verify(root, leaf, proof)


@settings(deadline=None)
@given(st.binary(max_size=2000), st.integers(1, 64), st.integers(2, 6))
@example(b"", 16, 2)
def test_reading_inverts_building_in_every_layout(data: bytes, chunk_bytes: int, max_links: int) -> None:
    layout = FileLayout(chunk_bytes, max_links)
    blocks = list(build_file(io.BytesIO(data), layout))
    kept = dict(blocks)
    leaves = list(read_file(blocks[-1][0], lambda cid: verify_block(cid, kept[cid]), layout=layout))
    assert b"".join(leaves) == data
    assert all(len(leaf) == chunk_bytes for leaf in leaves[:-1])


around_chunks = st.builds(lambda count, off: max(0, count * CHUNK + off), st.integers(0, 4), st.integers(-2, 2))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(around_chunks, st.binary(min_size=1, max_size=7))
def test_files_around_chunk_boundaries_round_trip(size: int, pattern: bytes) -> None:
    store = MemoryStore()
    data = (pattern * (size // len(pattern) + 1))[:size]
    root = put_bytes(store, data)
    assert get_bytes(store, root, max_bytes=size) == data
    assert root.codec.name == ("raw" if size <= CHUNK else "dag-pb")
    if size:
        with pytest.raises(ArtifactCorrupt):
            get_bytes(store, root, max_bytes=size - 1)


@settings(max_examples=300, deadline=None)
@given(st.binary(min_size=17, max_size=400), st.data())
def test_reader_rejects_any_damaged_node(content: bytes, data: st.DataObject) -> None:
    """The forger re-hashes the damaged node, so that only its structure can give it away."""
    layout = FileLayout(16, 3)
    blocks = dict(build_file(io.BytesIO(content), layout))
    node = bytearray(list(blocks.values())[-1])
    node[data.draw(st.integers(0, len(node) - 1))] ^= data.draw(st.integers(1, 255))
    root = block_cid(bytes(node), "dag-pb")
    blocks[root] = bytes(node)
    store = MemoryStore()
    store.blocks = blocks
    with pytest.raises((ArtifactCorrupt, ArtifactMissing)):
        list(read_file(root, store.get_block, layout=layout))


@settings(deadline=None)
@given(st.text(max_size=80) | st.from_regex(r"b[a-z2-7]{56,60}", fullmatch=True))
def test_cid_parser_accepts_or_refuses(text: str) -> None:
    try:
        cid = parse_cid(text)
    except CliCooperError:
        return
    assert parse_cid(str(cid)) == cid
    assert (cid.version, cid.base.name) == (1, "base32")


@settings(deadline=None)
@given(st.binary(min_size=32, max_size=32), st.binary(max_size=200))
def test_decrypt_inverts_encrypt(key: bytes, plaintext: bytes) -> None:
    assert decrypt(key, encrypt(key, plaintext)) == plaintext
