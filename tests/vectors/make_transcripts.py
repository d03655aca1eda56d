#!/usr/bin/env python3
"""Writes ``transcripts.json``: transcripts of 1 to 9 steps, their Merkle roots, and a proof for every step.

Leaves are hashed twice, pairs in sorted order, an odd node is promoted; computed with eth_abi and keccak alone.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from eth_abi import encode
from eth_utils import keccak

OUTPUT = Path(__file__).with_name("transcripts.json")

SIZES = (1, 2, 3, 5, 9)
FIELDS = ("input", "output", "gradReceived", "gradSent", "state")
PREFIX = b"a manifest's block, all but its last 32 bytes"


def _step(step: int, interval: int = 2) -> dict[str, Any]:
    digests = {field: keccak(text=f"{field} {step}") for field in FIELDS}
    if (step + 1) % interval:
        digests["state"] = bytes(32)
    return {"step": step, **digests}


def _leaf(step: dict[str, Any]) -> bytes:
    return keccak(keccak(encode(["uint256", *["bytes32"] * len(FIELDS)], list(step.values()))))


def _levels(leaves: list[bytes]) -> list[list[bytes]]:
    levels = [leaves]
    while len(levels[-1]) > 1:
        nodes = levels[-1]
        pairs = [sorted(nodes[i : i + 2]) for i in range(0, len(nodes), 2)]
        levels.append([keccak(b"".join(pair)) if len(pair) == 2 else pair[0] for pair in pairs])
    return levels


def _proof(levels: list[list[bytes]], index: int) -> list[bytes]:
    proof = []
    for nodes in levels[:-1]:
        if index ^ 1 < len(nodes):
            proof.append(nodes[index ^ 1])
        index //= 2
    return proof


def _transcript(size: int) -> dict[str, Any]:
    steps = [_step(step) for step in range(size)]
    levels = _levels([_leaf(step) for step in steps])
    root = levels[-1][0]
    return {
        "size": size,
        "root": root,
        "prefix": PREFIX,
        "manifestDigest": hashlib.sha256(PREFIX + root).digest(),
        "steps": [
            {**step, "leaf": leaf, "proof": _proof(levels, i)}
            for i, (step, leaf) in enumerate(zip(steps, levels[0], strict=True))
        ],
    }


def _jsonable(value: Any) -> Any:
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, dict):
        return {key: _jsonable(item) for key, item in value.items()}
    return [_jsonable(item) for item in value] if isinstance(value, list) else value


def build() -> dict[str, Any]:
    """The whole vector, ready for JSON."""
    record: dict[str, Any] = _jsonable({"transcripts": [_transcript(size) for size in SIZES]})
    return record


if __name__ == "__main__":
    OUTPUT.write_text(json.dumps(build(), indent=1) + "\n", encoding="utf-8")
