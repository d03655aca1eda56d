#!/usr/bin/env python3
"""Writes ``specs.json``: JobSpecs of version 1, plain, with noisy labels, a private head and a model of code, and one
of version 2, whose interval states are published on demand.

Written with a DAG-CBOR library alone, from plain values.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import dag_cbor
from multiformats import CID

OUTPUT = Path(__file__).with_name("specs.json")


def _link(name: bytes) -> CID:
    return CID("base32", 1, "dag-cbor", ("sha2-256", hashlib.sha256(name).digest()))


def _spec(version: int, **replay: Any) -> dict[str, Any]:
    """Every field that a JobSpec has."""
    release = {
        "epsilon": 4.0,
        "delta": 1e-5,
        "adjacency": "replace-one",
        "sigma": 0.25,
        "clip": 1.0,
        "group": 4,
        "grid": 2.0**-20,
        "gamma": [4, 4],
        "m": 8,
        "records": 64,
        "secure": True,
    }
    training = {
        "optimizer": "sgd",
        "learning_rate": 0.01,
        "momentum": 0.9,
        "weight_decay": 0.0,
        "steps": 40,
        "batch": 64,
        "input_scale": 4.0,
        "input_noise": 0.0,
        "label_smoothing": 0.0,
    }
    return {
        "version": version,
        "model": {"kind": "mlp", "input_shape": [16], "outputs": 8, "widths": [384, 384], "cuts": [2]},
        "training": training,
        "seeds": {"weights": 1, "batches": 2, "noise": 3},
        "release": release,
        "marks": {"bits": 128, "strength": 2.0},
        "replay": {"interval": 10, "tolerance": 1e-5, **replay},
        "runtime_class": "a machine",
        "owner_key": "age13aqvttdk3ujkyjh9kg2w5an6dmy5mq5a84a4uxk3hfhnugfc9p0sy5p2wh",
        "arbiter_keys": [],
        "activation_release": _link(b"release"),
        "labels": [{"rows": 16, "plaintext_digest": bytes(range(32)), "ciphertext": _link(b"labels")}],
    }


def _with_noisy_labels(spec: dict[str, Any]) -> dict[str, Any]:
    release = spec["release"] | {"label_epsilon": 2.0, "group": 1}
    return spec | {"training": spec["training"] | {"label_noise": 0.25}, "release": release}


def _with_private_head(spec: dict[str, Any]) -> dict[str, Any]:
    return spec | {"release": spec["release"] | {"head_epsilon": 1.0}}


def _with_own_model(spec: dict[str, Any]) -> dict[str, Any]:
    code = hashlib.sha256(b"code").digest()
    return spec | {"model": spec["model"] | {"kind": "own.model:blocks", "widths": [], "code": code}}


def main() -> None:
    """Writes the file."""
    specs = {
        "all": _spec(1),
        "sampled": _spec(2, publication="sampled"),
        "noisy_labels": _with_noisy_labels(_spec(1)),
        "private_head": _with_private_head(_spec(1)),
        "own_model": _with_own_model(_spec(1)),
    }
    blocks = {name: bytes(dag_cbor.encode(spec)) for name, spec in specs.items()}
    vectors = {
        name: {"block": block.hex(), "sha256": hashlib.sha256(block).hexdigest()} for name, block in blocks.items()
    }
    OUTPUT.write_text(json.dumps(vectors, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
