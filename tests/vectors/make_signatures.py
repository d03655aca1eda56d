#!/usr/bin/env python3
"""Writes ``signatures.json``: EIP-712 digests and signatures of a round's commitments and of a committee's ruling,
the id of a challenge, and the head after a guilty seat is vacated.

Digests come from eth_account's typed-data encoder, heads and ids from eth_abi and keccak; neither the contract nor the
package is imported. Private keys are the keccak of a name: they guard nothing.
"""

import json
from pathlib import Path
from typing import Any

from eth_abi import encode
from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_utils import keccak, to_checksum_address

OUTPUT = Path(__file__).with_name("signatures.json")

CHAIN_ID = 31337
JOB = 1
SEATS = 3
ACCUSED = 1
COMMIT = {
    "Commit": [
        {"name": "job", "type": "uint256"},
        {"name": "round", "type": "uint32"},
        {"name": "seat", "type": "uint8"},
        {"name": "head", "type": "bytes32"},
        {"name": "manifestDigest", "type": "bytes32"},
        {"name": "markCommitment", "type": "bytes32"},
    ]
}
RULING = {
    "Ruling": [
        {"name": "job", "type": "uint256"},
        {"name": "challengeId", "type": "bytes32"},
        {"name": "guilty", "type": "bool"},
    ]
}
HEAD_TYPES = ["bytes32", "uint256", "uint32", "uint8", "address", "bytes32", "bytes32"]


def _address(name: str) -> str:
    return to_checksum_address(keccak(text=name)[-20:])


def _secret(name: str) -> bytes:
    return keccak(text=f"secret of {name}")


def _signed(name: str, contract: str, types: dict[str, Any], message: dict[str, Any], secret: bytes) -> dict[str, Any]:
    domain = {"name": name, "version": "1", "chainId": CHAIN_ID, "verifyingContract": contract}
    signable = encode_typed_data(domain, types, message)
    signature = Account.sign_message(signable, secret)
    return {
        "signer": Account.from_key(secret).address,
        "digest": bytes(signature.message_hash),
        "signature": bytes(signature.signature),
    }


def _commits(contract: str, head: bytes) -> list[dict[str, Any]]:
    commits = []
    for seat in range(SEATS):
        content = {"manifestDigest": keccak(text=f"manifest {seat}"), "markCommitment": keccak(text=f"mark {seat}")}
        message = {"job": JOB, "round": 0, "seat": seat, "head": head, **content}
        signed = _signed("CliCooper", contract, COMMIT, message, _secret(f"trainer {seat}"))
        head = keccak(encode(HEAD_TYPES, [head, JOB, 0, seat, signed["signer"], *content.values()]))
        commits.append({**content, **signed, "headAfter": head})
    return commits


def _challenge(contract: str, head: bytes) -> dict[str, Any]:
    challenger, evidence = _address("challenger"), keccak(text="evidence")
    ids = {}
    for ground, name in enumerate(["idFault", "idWithheld"]):
        types = ["uint256", "address", "uint256", "uint32", "bytes32", "uint8", "address", "bytes32", "uint8"]
        values = [CHAIN_ID, contract, JOB, 0, head, ACCUSED, challenger, evidence, ground]
        ids[name] = keccak(encode(types, values))
    return {"challenger": challenger, "accused": ACCUSED, "evidenceDigest": evidence, **ids}


def _restarted(head: bytes, evicted: str) -> bytes:
    types = ["bytes32", "bytes32", "uint256", "uint32", "uint8", "address"]
    return keccak(encode(types, [head, keccak(text="CliCooper/1/restart"), JOB, 0, ACCUSED, evicted]))


def _jsonable(value: Any) -> Any:
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, dict):
        return {key: _jsonable(item) for key, item in value.items()}
    return [_jsonable(item) for item in value] if isinstance(value, list) else value


def build() -> dict[str, Any]:
    """The whole vector, ready for JSON; the first head is taken as given, its formula is in ``heads.json``."""
    contract, committee = _address("contract"), _address("committee")
    start = keccak(text="the head before the round")
    commits = _commits(contract, start)
    challenge = _challenge(contract, commits[-1]["headAfter"])
    ruling = {"job": JOB, "challengeId": challenge["idFault"], "guilty": True}
    votes = [
        _signed("CliCooperCommittee", committee, RULING, ruling, _secret(f"member {member}")) for member in range(2)
    ]
    record: dict[str, Any] = _jsonable(
        {
            "chainId": CHAIN_ID,
            "contract": contract,
            "committee": committee,
            "job": JOB,
            "head": start,
            "commits": commits,
            "challenge": challenge,
            "votes": votes,
            "headAfterVacancy": _restarted(commits[-1]["headAfter"], commits[ACCUSED]["signer"]),
        }
    )
    return record


if __name__ == "__main__":
    OUTPUT.write_text(json.dumps(build(), indent=1) + "\n", encoding="utf-8")
