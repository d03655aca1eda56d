"""The only encoder: golden bytes, and what it refuses."""

import hashlib
import math
from types import MappingProxyType
from typing import Any

import dag_cbor
import numpy as np
import pytest
from multiformats import CID

from clicooper.commitments.canonical import (
    MAX_BLOCK_BYTES,
    MAX_DEPTH,
    cid_of_block,
    cid_of_digest,
    decode,
    digest_of_cid,
    encode,
    encode_tensor,
    parse,
    sha256,
    tensor_digest,
)
from clicooper.errors import SpecError
from clicooper.types import Digest

EMPTY_MAP_CID = "bafyreigbtj4x7ip5legnfznufuopl4sg4knzc2cof6duas4b3q2fy6swua"
LINK = cid_of_digest(Digest(bytes(32)))

GOLDEN: list[tuple[dict[str, Any], str]] = [
    ({}, "a0"),
    ({"a": 1}, "a1616101"),
    ({"b": 1, "a": 2}, "a2616102616201"),
    ({"bb": 1, "c": 2}, "a261630262626201"),
    ({"v": [0, 23, 24, 255, 256, 65536, 2**32, 2**64 - 1]}, "a16176880017181818ff1901001a000100001b0000000100000000"
     "1bffffffffffffffff"),
    ({"v": [-1, -24, -25, -(2**64)]}, "a1617684203738183bffffffffffffffff"),
    ({"v": [None, True, False]}, "a1617683f6f5f4"),
    ({"v": [1.0, -0.0, 1e300]}, "a1617683fb3ff0000000000000fb8000000000000000fb7e37e43c8800759c"),
    ({"v": ["", "é", b"", b"\x00\xff"]}, "a16176846062c3a9404200ff"),
    ({"v": {"y": [], "x": {}}}, "a16176a26178a0617980"),
    ({"v": LINK}, "a16176d82a58250001711220" + "00" * 32),
]  # fmt: skip


class TestRecords:
    @pytest.mark.parametrize(("record", "block"), GOLDEN)
    def test_golden_bytes(self, record: dict[str, Any], block: str) -> None:
        assert encode(record).hex() == block
        assert decode(bytes.fromhex(block)) == record

    def test_golden_cid_of_the_empty_map(self) -> None:
        assert str(cid_of_block(encode({}))) == EMPTY_MAP_CID

    def test_longest_key_comes_last(self) -> None:
        block = encode({"z" * 30: bytes(32), "a": 1, "b" * 29: 2})
        assert block.endswith(bytes(32))

    def test_tuples_and_read_only_maps_are_lists_and_maps(self) -> None:
        assert encode({"v": (1, (2,))}) == encode({"v": [1, [2]]})
        assert encode(MappingProxyType({"v": MappingProxyType({"a": 1})})) == encode({"v": {"a": 1}})

    @pytest.mark.parametrize(
        "value",
        [math.nan, math.inf, -math.inf, 2**64, -(2**64) - 1, 1j, {1}, object(), {1: 2}, {"a": {None: 1}}, "\ud800"],
    )
    def test_what_has_no_exact_encoding_is_refused(self, value: object) -> None:
        with pytest.raises(SpecError):
            encode({"v": value})
        with pytest.raises(SpecError):
            encode({"v": [value]})

    @pytest.mark.parametrize("array", [np.int64(1), np.float32(1), np.zeros(2), np.bool_(True)])
    def test_numpy_values_are_refused_rather_than_guessed(self, array: object) -> None:
        with pytest.raises(SpecError):
            encode({"v": array})

    def test_depth_and_size_are_limited(self) -> None:
        value: dict[str, Any] = {}
        for _ in range(MAX_DEPTH):
            value = {"v": value}
        assert decode(encode(value)) == value
        with pytest.raises(SpecError, match="nested"):
            encode({"v": value})
        with pytest.raises(SpecError, match="exceeds"):
            encode({"v": bytes(MAX_BLOCK_BYTES)})

    def test_record_that_contains_itself_is_refused(self) -> None:
        value: dict[str, Any] = {}
        value["v"] = value
        with pytest.raises(SpecError, match="nested"):
            encode(value)


BULK = {
    "deep lists": b"\xa1\x61a" + b"\x81" * 100_000 + b"\x80",
    "deep maps": b"\xa1\x61a" * 100_000 + b"\x80",
    "deep links": b"\xa1\x61a" + b"\xd8\x2a" * 100_000,
    "many items": b"\xa1\x61a\x9a\x00\x0f\x00\x00" + b"\x80" * 0xF0000,
    "more items announced than there are": b"\xa1\x61a\x9b" + b"\xff" * 8 + b"\x80" * 0xF0000,
}


@pytest.mark.parametrize("what", BULK)
def test_what_costs_more_than_its_bytes_is_refused_before_it_is_decoded(
    what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dag_cbor, "decode", lambda _: pytest.fail("decoded"))
    with pytest.raises(SpecError, match="nested deeper than 32, or of more than"):
        parse(BULK[what])


def test_as_many_links_as_a_block_holds_are_counted_as_few() -> None:
    link = cid_of_block(b"x")
    block = encode({"v": [link] * 2000, "w": bytes(900_000)})
    assert decode(block)["v"] == [link] * 2000


HOSTILE = {
    "nothing": "",
    "not a map": "01",
    "list": "80",
    "bytes after the record": "a000",
    "cut off": "a16161",
    "keys out of order": "a2616201616102",
    "key twice": "a2616101616102",
    "number key": "a10101",
    "long integer": "a161611801",
    "long length": "b801616101",
    "float16": "a16161f93c00",
    "float32": "a16161fa3f800000",
    "NaN": "a16161fb7ff8000000000000",
    "infinity": "a16161fb7ff0000000000000",
    "undefined": "a16161f7",
    "simple value": "a16161e0",
    "open-ended map": "bf616101ff",
    "open-ended bytes": "a161615f4100ff",
    "foreign tag": "a16161c001",
    "bignum": "a16161c24101",
    "broken utf-8": "a1616161ff",
    "text of 2^64 - 1 bytes": "a161617bffffffffffffffff",
    "text of 2^63 bytes": "a161617b8000000000000000",
    "bytes of 2^64 - 1 bytes": "a161615bffffffffffffffff",
    "list of 2^64 - 1 items": "a161619bffffffffffffffff",
    "map of 2^64 - 1 items": "bbffffffffffffffff",
    "link without bytes": "a16161d82a6161",
    "link to nothing": "a16161d82a40",
    "link of one zero": "a16161d82a4100",
    "link without its zero": "a16161d82a582401711220" + "00" * 32,
    "link with a short digest": "a16161d82a58240001711220" + "00" * 31,
    "link to a link": "a16161d82ad82a4100",
}


class TestHostileBlocks:
    @pytest.mark.parametrize("block", HOSTILE.values(), ids=HOSTILE)
    def test_decoder_rejects(self, block: str) -> None:
        with pytest.raises(SpecError) as e:
            decode(bytes.fromhex(block))
        assert e.value.hint
        assert len(e.value.message) < 200

    @pytest.mark.parametrize("unit", [b"\x81", b"\xa1\x61a", b"\xd8\x2a", b"\xc0"])
    def test_decoder_rejects_bottomless_nesting(self, unit: bytes) -> None:
        with pytest.raises(SpecError):
            decode(unit * 100_000)
        with pytest.raises(SpecError):
            decode(b"\xa1\x61a" + unit * (MAX_DEPTH + 1) + b"\x00")

    def test_decoder_rejects_block_above_the_limit_unread(self) -> None:
        with pytest.raises(SpecError, match="exceeds"):
            decode(b"\xff" * (MAX_BLOCK_BYTES + 1))


class TestNames:
    def test_digest_and_cid_are_two_forms_of_one_name(self) -> None:
        digest = sha256(b"block")
        assert digest == hashlib.sha256(b"block").digest()
        assert digest_of_cid(cid_of_block(b"block")) == digest
        assert cid_of_digest(digest, "raw").codec.name == "raw"

    @pytest.mark.parametrize("form", ["made", "text", "bytes", "linked"])
    def test_digest_is_bytes_wherever_the_cid_came_from(self, form: str) -> None:
        made = cid_of_block(b"block")
        cid = {
            "made": made,
            "text": CID.decode(str(made)),
            "bytes": CID.decode(bytes(made)),
            "linked": decode(encode({"v": made}))["v"],
        }[form]
        digest = digest_of_cid(cid)
        assert isinstance(digest, bytes), "it is hashed, concatenated and used as a key"
        assert b"" + digest == sha256(b"block")

    def test_decoded_links_are_in_base32(self) -> None:
        link = decode(encode({"v": [{"w": LINK.set(base="base58btc")}]}))["v"][0]["w"]
        assert link.base.name == "base32"
        assert str(link) == str(LINK)

    @pytest.mark.parametrize(("hash_", "size"), [("sha1", 20), ("sha2-512", 64), ("identity", 32)])
    def test_other_hashes_are_refused(self, hash_: str, size: int) -> None:
        with pytest.raises(SpecError):
            digest_of_cid(CID("base32", 1, "dag-cbor", (hash_, bytes(size))))


class TestTensors:
    def test_golden_bytes(self) -> None:
        array = np.array([[1.0, 2.0]], dtype=np.float32)
        header = "a265647479706567666c6f6174333265736861706582" + "0102"
        assert encode_tensor(array).hex() == header + "0000803f" + "00000040"

    def test_layout_and_byte_order_do_not_matter(self) -> None:
        array = np.arange(12, dtype=np.float64).reshape(3, 4)
        wide = np.zeros((6, 8))
        wide[::2, ::2] = array
        for same in (np.asfortranarray(array), array.astype(">f8"), wide[::2, ::2], array.T.copy().T):
            assert encode_tensor(same) == encode_tensor(array)
            assert tensor_digest(same) == tensor_digest(array)

    def test_dtype_shape_and_content_all_matter(self) -> None:
        arrays = [
            np.zeros(4, np.float32),
            np.zeros(4, np.int32),
            np.zeros(2, np.float64),
            np.zeros((2, 2), np.float32),
            np.zeros((4, 1), np.float32),
            np.zeros((1, 4), np.float32),
            np.array([0, 0, 0, -0.0], np.float32),
            np.zeros(0, np.float32),
            np.zeros((0, 4), np.float32),
            np.zeros((), np.float32),
            np.zeros((1,), np.float32),
            np.zeros(16, np.uint8),
            np.zeros(16, np.bool_),
        ]
        assert len({tensor_digest(array) for array in arrays}) == len(arrays)
        assert all(tensor_digest(array) == sha256(encode_tensor(array)) for array in arrays)

    @pytest.mark.parametrize("dtype", ["complex64", "object", "U3", "S3", "M8[s]", "longdouble"])
    def test_dtypes_without_one_form_on_every_machine_are_refused(self, dtype: str) -> None:
        for function in (encode_tensor, tensor_digest):
            with pytest.raises(SpecError, match="canonical form"):
                function(np.zeros(2, dtype))
