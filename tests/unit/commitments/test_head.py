"""The running head: the contract's vector, values from another tool, and that nothing in it can be swapped."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from eth_abi.exceptions import EncodingError
from eth_utils import keccak

from clicooper.commitments.head import (
    GENESIS_TAG,
    RESTART_TAG,
    audit_seed,
    genesis,
    label_anchor,
    label_keys,
    mark_commitment,
    next_head,
    opened_commitment,
)
from clicooper.types import Address, Digest, Head, JobId, JobParams

VECTOR = json.loads((Path(__file__).parents[2] / "vectors" / "heads.json").read_text())
ONE, TWO = Address("0x" + "11" * 20), Address("0x" + "22" * 20)
AB, CD, EF = (Digest(bytes([byte]) * 32) for byte in (0xAB, 0xCD, 0xEF))

PARAMS = JobParams(
    pay_wei=1000,
    stake_wei=20000,
    owner_bond_wei=9000,
    seats=3,
    rounds=4,
    arbiter=TWO,
    spec_digest=AB,
    label_anchor=CD,
    challenge_bond_wei=500,
    arbiter_fee_wei=300,
    silence_penalty_wei=100,
    join_window_s=60,
    label_window_s=61,
    train_window_s=62,
    turn_window_s=63,
    review_window_s=64,
    arbitration_window_s=65,
    allow_list=(ONE, TWO),
)


def _bytes(text: str) -> Digest:
    return Digest(bytes.fromhex(text.removeprefix("0x")))


def _vector_params() -> JobParams:
    raw = VECTOR["params"]
    return JobParams(
        token=Address(raw["token"]),
        pay_wei=int(raw["pay"]),
        stake_wei=int(raw["stake"]),
        owner_bond_wei=int(raw["ownerBond"]),
        challenge_bond_wei=int(raw["challengeBond"]),
        arbiter_fee_wei=int(raw["arbiterFee"]),
        silence_penalty_wei=int(raw["silencePenalty"]),
        seats=raw["seats"],
        rounds=raw["rounds"],
        join_window_s=raw["joinWindow"],
        label_window_s=raw["labelWindow"],
        train_window_s=raw["trainWindow"],
        turn_window_s=raw["turnWindow"],
        review_window_s=raw["reviewWindow"],
        arbitration_window_s=raw["arbitrationWindow"],
        arbiter=Address(raw["arbiter"]),
        spec_digest=_bytes(raw["specDigest"]),
        label_anchor=_bytes(raw["labelAnchor"]),
        allow_list=tuple(Address(text) for text in raw["allowList"]),
    )


class TestVectorOfTheContract:
    def test_genesis(self) -> None:
        contract, owner = Address(VECTOR["contract"]), Address(VECTOR["owner"])
        head = genesis(VECTOR["chainId"], contract, JobId(VECTOR["job"]), owner, _vector_params())
        assert head == _bytes(VECTOR["genesis"])

    def test_every_head(self) -> None:
        head = Head(_bytes(VECTOR["genesis"]))
        assert len(VECTOR["commits"]) == VECTOR["params"]["seats"] * VECTOR["params"]["rounds"]
        for commit in VECTOR["commits"]:
            head = next_head(
                head,
                JobId(VECTOR["job"]),
                commit["round"],
                commit["seat"],
                Address(commit["trainer"]),
                _bytes(commit["manifestDigest"]),
                _bytes(commit["markCommitment"]),
            )
            assert head == _bytes(commit["head"])

    def test_label_keys(self) -> None:
        keys = [_bytes(key) for key in VECTOR["labelKeys"]]
        assert list(label_keys(keys[-1], VECTOR["params"]["rounds"])) == keys
        assert label_anchor(keys[0]) == _bytes(VECTOR["params"]["labelAnchor"])


class TestGolden:
    """Values computed with Foundry's ``cast abi-encode`` and ``cast keccak``."""

    def test_tags(self) -> None:
        assert GENESIS_TAG.hex() == "fae27f487c575b9611b3852b6ecd050eb06ee6d06d2082b928c2ef0589507b57"
        assert RESTART_TAG.hex() == "cb2c2185d36f4c06211e20a6a126a8eda92f1f50052480bde33937a6e8181447"

    def test_genesis_with_an_allow_list(self) -> None:
        head = genesis(31337, ONE, JobId(7), TWO, PARAMS)
        assert head.hex() == "c4a628dce90ae8dcff9060086d51021d1e4510f3d9fb8c1b9511b67c79a2193f"

    def test_next_head(self) -> None:
        head = next_head(Head(AB), JobId(7), 3, 2, ONE, CD, EF)
        assert head.hex() == "d4d91275990986997aff41fd861c6767497b27b7beda41188039039e11be4697"

    def test_label_anchor(self) -> None:
        assert label_anchor(AB).hex() == "7d3a608bb850f47c2d77d6be73b8f93c94a80264b7bb3cc5c7d2fb54d07ef6b9"

    def test_mark_commitment(self) -> None:
        commitment = mark_commitment(AB, Digest(keccak(CD)))
        assert commitment.hex() == "45b7c9ede4e7caaaf89d9ca578bc6fc7478d10b725f72e210d08211e64b65aa1"

    def test_audit_seed(self) -> None:
        seed = audit_seed(AB, CD, Head(EF))
        assert seed.hex() == "aff94f6e8130088887e005f4fdb9f4187cb6207f395faba3bd081e95bcb4f489"


CHANGES: dict[str, Any] = {
    "token": ONE,
    "pay_wei": 1001,
    "stake_wei": 1,
    "owner_bond_wei": 1,
    "challenge_bond_wei": 1,
    "arbiter_fee_wei": 1,
    "silence_penalty_wei": 1,
    "seats": 2,
    "rounds": 1,
    "join_window_s": 1,
    "label_window_s": 1,
    "train_window_s": 1,
    "turn_window_s": 1,
    "review_window_s": 1,
    "arbitration_window_s": 1,
    "arbiter": ONE,
    "spec_digest": EF,
    "label_anchor": EF,
    "allow_list": (TWO, ONE),
}


class TestBinding:
    def test_genesis_binds_every_parameter(self) -> None:
        assert CHANGES.keys() == {field.name for field in dataclasses.fields(JobParams)}
        changed = [dataclasses.replace(PARAMS, **{name: value}) for name, value in CHANGES.items()]
        heads = {genesis(1, ONE, JobId(7), TWO, params) for params in [PARAMS, *changed]}
        assert len(heads) == len(CHANGES) + 1

    def test_genesis_does_not_confuse_neighbouring_amounts(self) -> None:
        names = [
            "pay_wei",
            "stake_wei",
            "owner_bond_wei",
            "challenge_bond_wei",
            "arbiter_fee_wei",
            "silence_penalty_wei",
        ]
        heads = {
            genesis(1, ONE, JobId(7), TWO, dataclasses.replace(PARAMS, **(dict.fromkeys(names, 0) | {name: 5})))
            for name in names
        }
        assert len(heads) == len(names)

    def test_genesis_binds_its_place(self) -> None:
        places = [(1, ONE, 7, TWO), (2, ONE, 7, TWO), (1, TWO, 7, TWO), (1, ONE, 8, TWO), (1, ONE, 7, ONE)]
        heads = {genesis(chain, contract, JobId(job), owner, PARAMS) for chain, contract, job, owner in places}
        assert len(heads) == len(places)

    def test_head_binds_every_field_of_a_commitment(self) -> None:
        base: tuple[Any, ...] = (AB, 7, 3, 2, ONE, CD, EF)
        others: tuple[Any, ...] = (EF, 8, 2, 3, TWO, AB, CD)
        heads = {next_head(*base)}
        heads |= {next_head(*base[:i], others[i], *base[i + 1 :]) for i in range(len(base))}
        assert len(heads) == len(base) + 1

    def test_commitments_in_another_order_have_another_head(self) -> None:
        def commit(head: Head, seat: int) -> Head:
            return next_head(head, JobId(1), 0, seat, ONE, CD, EF)

        assert commit(commit(Head(AB), 0), 1) != commit(commit(Head(AB), 1), 0)

    def test_mark_keys_cannot_be_swapped(self) -> None:
        assert mark_commitment(AB, Digest(keccak(CD))) != mark_commitment(CD, Digest(keccak(AB)))

    def test_audit_seed_needs_key_block_and_head(self) -> None:
        seeds = {audit_seed(a, b, Head(c)) for a in (AB, EF) for b in (AB, EF) for c in (AB, EF)}
        assert len(seeds) == 8

    @pytest.mark.parametrize("rounds", [0, 1, 5])
    def test_label_keys_form_a_chain(self, rounds: int) -> None:
        keys = label_keys(AB, rounds)
        assert len(keys) == rounds + 1
        assert keys[-1] == AB
        assert all(label_anchor(keys[r]) == keys[r - 1] for r in range(1, rounds + 1))

    @pytest.mark.parametrize("changes", [{"seats": 256}, {"pay_wei": -1}, {"pay_wei": 1 << 96}, {"rounds": 1 << 32}])
    def test_amounts_that_the_contract_cannot_hold_have_no_genesis(self, changes: dict[str, Any]) -> None:
        with pytest.raises(EncodingError):
            genesis(1, ONE, JobId(7), TWO, dataclasses.replace(PARAMS, **changes))


def test_opening_shows_the_ownership_key_where_the_commitment_held_its_hash() -> None:
    assert opened_commitment(Digest(keccak(AB)), CD) == mark_commitment(AB, Digest(keccak(CD)))
    assert opened_commitment(Digest(keccak(CD)), AB) != mark_commitment(AB, Digest(keccak(CD)))
