"""Writes ``marks.json``: seeds, first carriers and readings of the watermark on weights that need no generator.

Run ``python tests/vectors/make_marks.py`` after a change of the mark format, which must also bump its version.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from clicooper.types import Address, Digest, Head, JobId
from clicooper.watermark.carriers import MarkParams, carrier_of
from clicooper.watermark.detect import read_mark
from clicooper.watermark.embed import embed_both
from clicooper.watermark.keys import MarkPurpose, keys_from_secret, mark_seed

SECRET = bytes(range(32))
CONTEXT: dict[str, Any] = {
    "head": "11" * 32,
    "job": 7,
    "round": 2,
    "seat": 1,
    "trainer": "0x" + "22" * 20,
    "train_root": "33" * 32,
}
SHAPE = (1000, 130)
SHOWN = 8


def weights() -> np.ndarray[Any, np.dtype[np.float32]]:
    """Element i is ``(2654435761 i mod 2^32) / 2^32 - 1/2``, in float32."""
    index = np.arange(SHAPE[0] * SHAPE[1], dtype=np.uint64)
    mixed = (index * np.uint64(2654435761)) % np.uint64(1 << 32)
    return (mixed.astype(np.float64) / 2**32 - 0.5).astype(np.float32).reshape(SHAPE)


def seed_of(key: bytes, purpose: MarkPurpose) -> bytes:
    """The seed of ``purpose`` in the vectors' context."""
    return mark_seed(
        key,
        purpose,
        Head(bytes.fromhex(CONTEXT["head"])),
        JobId(CONTEXT["job"]),
        CONTEXT["round"],
        CONTEXT["seat"],
        Address(CONTEXT["trainer"]),
        Digest(bytes.fromhex(CONTEXT["train_root"])),
    )


def vectors() -> dict[str, Any]:
    """Everything that ``marks.json`` holds."""
    keys = keys_from_secret(SECRET, JobId(CONTEXT["job"]), CONTEXT["round"], CONTEXT["seat"])
    params, raw = MarkParams(), {"0.weight": weights()}
    seeds = {purpose: seed_of(keys.of(purpose), purpose) for purpose in MarkPurpose}
    marked = embed_both(raw, seeds[MarkPurpose.PROGRESS], seeds[MarkPurpose.OWNERSHIP], params)
    marks = {}
    for purpose, seed in seeds.items():
        carrier = carrier_of(seed, raw["0.weight"].size, params.bits)
        before, after = read_mark(raw, seed, params), read_mark(marked, seed, params)
        marks[purpose.name.lower()] = {
            "key": keys.of(purpose).hex(),
            "tag": purpose.tag.hex(),
            "seed": seed.hex(),
            "bits": carrier.bits.tolist(),
            "block_0": carrier.blocks[0, :SHOWN].tolist(),
            "signs_0": carrier.signs[0, :SHOWN].tolist(),
            "last_position": int(carrier.blocks[-1, -1]),
            "last_sign": int(carrier.signs[-1, -1]),
            "raw": {"matched": before.matched, "z": before.z, "log2_p": before.log2_p},
            "marked": {"matched": after.matched, "z": after.z, "log2_p": after.log2_p},
        }
    return {"version": 1, "secret": SECRET.hex(), "context": CONTEXT, "shape": list(SHAPE), "marks": marks}


if __name__ == "__main__":
    target = Path(__file__).with_name("marks.json")
    target.write_text(json.dumps(vectors(), indent=1) + "\n")
