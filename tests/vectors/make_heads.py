#!/usr/bin/env python3
"""Writes ``heads.json``: genesis, heads and label keys of one small job, computed with eth_abi and keccak alone.

Neither the contract nor the package is imported, so that both can be held against the result. Amounts are
decimal strings (they exceed what JSON numbers carry safely), digests and addresses 0x-hex.
"""

import json
from pathlib import Path
from typing import Any

from eth_abi import encode
from eth_utils import keccak, to_checksum_address

OUTPUT = Path(__file__).with_name("heads.json")

CHAIN_ID = 31337
JOB = 3
SEATS = 2
ROUNDS = 2

PARAMS_TYPE = (
    "(address,uint96,uint96,uint96,uint96,uint96,uint96,uint8,uint32,"
    "uint32,uint32,uint32,uint32,uint32,uint32,address,bytes32,bytes32,address[])"
)
HEAD_TYPES = ["bytes32", "uint256", "uint32", "uint8", "address", "bytes32", "bytes32"]


def _address(name: str) -> str:
    return to_checksum_address(keccak(text=name)[-20:])


def _label_keys() -> list[bytes]:
    keys = [keccak(text="last label key")]
    while len(keys) <= ROUNDS:
        keys.append(keccak(encode(["bytes32"], [keys[-1]])))
    return keys[::-1]


def _params(label_anchor: bytes) -> dict[str, Any]:
    return {
        "token": "0x" + "00" * 20,
        "pay": 10**15 + 1,
        "stake": 5 * 10**17 + 2,
        "ownerBond": 10**18 + 3,
        "challengeBond": 10**17 + 4,
        "arbiterFee": 10**16 + 5,
        "silencePenalty": 10**14 + 6,
        "seats": SEATS,
        "rounds": ROUNDS,
        "joinWindow": 1,
        "labelWindow": 7_776_000,
        "trainWindow": 86_400,
        "turnWindow": 3_600,
        "reviewWindow": 43_200,
        "arbitrationWindow": 604_800,
        "arbiter": _address("arbiter"),
        "specDigest": keccak(text="spec"),
        "labelAnchor": label_anchor,
        "allowList": [_address(f"trainer {seat}") for seat in range(SEATS)],
    }


def _genesis(contract: str, owner: str, params: dict[str, Any]) -> bytes:
    params_hash = keccak(encode([PARAMS_TYPE], [tuple(params.values())]))
    types = ["bytes32", "uint256", "address", "uint256", "address", "bytes32"]
    return keccak(encode(types, [keccak(text="CliCooper/1"), CHAIN_ID, contract, JOB, owner, params_hash]))


def _commits(head: bytes, trainers: list[str]) -> list[dict[str, Any]]:
    commits = []
    for round_ in range(ROUNDS):
        for seat, trainer in enumerate(trainers):
            manifest = keccak(text=f"manifest {round_} {seat}")
            mark = keccak(text=f"mark {round_} {seat}")
            head = keccak(encode(HEAD_TYPES, [head, JOB, round_, seat, trainer, manifest, mark]))
            commits.append(
                {
                    "round": round_,
                    "seat": seat,
                    "trainer": trainer,
                    "manifestDigest": manifest,
                    "markCommitment": mark,
                    "head": head,
                }
            )
    return commits


def _jsonable(value: Any) -> Any:
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, int) and value > 2**32:
        return str(value)
    if isinstance(value, dict):
        return {key: _jsonable(item) for key, item in value.items()}
    return [_jsonable(item) for item in value] if isinstance(value, list) else value


def build() -> dict[str, Any]:
    """The whole vector, ready for JSON."""
    keys = _label_keys()
    params = _params(keccak(encode(["bytes32"], [keys[0]])))
    contract, owner = _address("contract"), _address("owner")
    genesis = _genesis(contract, owner, params)
    vector = {
        "chainId": CHAIN_ID,
        "contract": contract,
        "job": JOB,
        "owner": owner,
        "params": params,
        "genesis": genesis,
        "labelKeys": keys,
        "commits": _commits(genesis, params["allowList"]),
    }
    record: dict[str, Any] = _jsonable(vector)
    return record


if __name__ == "__main__":
    OUTPUT.write_text(json.dumps(build(), indent=1) + "\n", encoding="utf-8")
