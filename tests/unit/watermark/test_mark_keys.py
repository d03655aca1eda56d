"""Mark keys: freshness, repeatability, secrecy, and seeds bound to every part of their context."""

import hashlib
import hmac
import json
import runpy
from pathlib import Path

import pytest
from eth_utils import keccak

from clicooper.errors import SpecError
from clicooper.watermark.keys import MarkKeys, MarkPurpose, keys_from_secret, mark_seed, new_keys

VECTORS = Path(__file__).parents[2] / "vectors"
KEY = bytes(range(32))
CONTEXT = {
    "head": b"\x11" * 32,
    "job": 7,
    "round": 2,
    "seat": 1,
    "trainer": "0x" + "22" * 20,
    "train_root": b"\x33" * 32,
}


def test_new_keys_draw_both_secrets_from_the_given_source():
    drawn = iter([b"\x01" * 32, b"\x02" * 32])
    assert new_keys(lambda _: next(drawn)) == MarkKeys(b"\x01" * 32, b"\x02" * 32)
    assert new_keys() != new_keys()


def test_keys_are_never_shown():
    keys = MarkKeys(b"\xab" * 32, b"\xcd" * 32)
    assert repr(keys) == "MarkKeys()"
    assert str(keys) == "MarkKeys()"


@pytest.mark.parametrize(("progress", "ownership"), [(b"", KEY), (KEY, KEY[:31]), (KEY, KEY), ("00" * 16, KEY)])
def test_keys_of_wrong_length_or_equal_are_refused(progress, ownership):
    with pytest.raises(SpecError):
        MarkKeys(progress, ownership)


def test_keys_from_secret_repeat_and_differ_in_every_argument():
    contexts = [(KEY, 1, 2, 3, 0), (KEY[::-1], 1, 2, 3, 0), (KEY, 9, 2, 3, 0), (KEY, 1, 9, 3, 0), (KEY, 1, 2, 9, 0)]
    contexts.append((KEY, 1, 2, 3, 1))
    keys = [keys_from_secret(*context) for context in contexts]
    assert keys[0] == keys_from_secret(KEY, 1, 2, 3)
    secrets = {key.of(purpose) for key in keys for purpose in MarkPurpose}
    assert len(secrets) == 2 * len(contexts)


def test_keys_from_secret_follow_rfc_5869():
    info = b"clicooper.mark.keys" + b"".join(n.to_bytes(32, "big") for n in (7, 2, 1, 4))
    extracted = hmac.new(bytes(32), KEY, hashlib.sha256).digest()
    first = hmac.new(extracted, info + b"\x01", hashlib.sha256).digest()
    second = hmac.new(extracted, first + info + b"\x02", hashlib.sha256).digest()
    assert keys_from_secret(KEY, 7, 2, 1, attempt=4) == MarkKeys(first, second)


@pytest.mark.parametrize("arguments", [(b"short", 1, 1, 1), (KEY, -1, 1, 1), (KEY, 1, 1 << 256, 1), (KEY, 1, 1, "x")])
def test_keys_from_secret_refuse_bad_arguments(arguments):
    with pytest.raises(SpecError):
        keys_from_secret(*arguments)


def test_seed_is_the_hmac_of_the_abi_encoded_context():
    message = CONTEXT["head"] + b"".join(CONTEXT[name].to_bytes(32, "big") for name in ("job", "round", "seat"))
    message += bytes(12) + b"\x22" * 20 + CONTEXT["train_root"] + keccak(b"clicooper.mark.ownership")
    expected = hmac.new(KEY, message, hashlib.sha256).digest()
    assert mark_seed(KEY, MarkPurpose.OWNERSHIP, **CONTEXT) == expected


def test_seed_changes_with_every_part_of_its_context():
    other = {"head": b"\x12" * 32, "job": 8, "round": 3, "seat": 2, "trainer": "0x" + "23" * 20, "train_root": KEY}
    seeds = {mark_seed(KEY, MarkPurpose.PROGRESS, **{**CONTEXT, name: value}) for name, value in other.items()}
    seeds |= {mark_seed(KEY, purpose, **CONTEXT) for purpose in MarkPurpose}
    seeds.add(mark_seed(KEY[::-1], MarkPurpose.PROGRESS, **CONTEXT))
    assert len(seeds) == len(other) + 3


@pytest.mark.parametrize(
    "change", [{"head": b"\x11" * 31}, {"train_root": "33" * 32}, {"job": -1}, {"seat": 1.5}, {"trainer": "0x22"}]
)
def test_seed_refuses_a_malformed_context(change):
    with pytest.raises(SpecError) as caught:
        mark_seed(KEY, MarkPurpose.PROGRESS, **{**CONTEXT, **change})
    assert caught.value.hint
    assert KEY.hex() not in caught.value.diagnostics()


def test_golden_vectors_hold():
    golden = json.loads((VECTORS / "marks.json").read_text())
    made = json.loads(json.dumps(runpy.run_path(str(VECTORS / "make_marks.py"))["vectors"]()))
    for purpose, mark in golden["marks"].items():
        for reading in ("raw", "marked"):
            assert made["marks"][purpose].pop(reading) == pytest.approx(mark.pop(reading), rel=1e-12)
    assert made == golden
