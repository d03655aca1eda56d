"""Refusals in words: every node's way to answer one, and every error that the contract knows."""

import subprocess
import sys
from typing import Any

import pytest
from eth_abi import encode
from eth_utils import keccak

from clicooper.chain._abi import Abi
from clicooper.chain._reverts import HINTS, explain
from clicooper.chain.compile import load_artifact
from clicooper.chain.rpc.transport import RpcError
from clicooper.errors import ChainError, RevertError
from clicooper.json_values import MAX_DEPTH, parse_json

ABI = Abi(load_artifact().abi)
STALE = keccak(text="StaleHead(bytes32,bytes32)")[:4] + b"\x01" * 32 + b"\x02" * 32
STALE_HEX = "0x" + STALE.hex()


@pytest.mark.parametrize(
    "data",
    [
        STALE_HEX,
        f"Reverted {STALE_HEX}",
        {"hash": "0xaa", "programCounter": 1, "result": STALE_HEX, "reason": None},
        {"0xaa": {"error": "revert", "return": "0x", "result": STALE_HEX}, "name": "CError"},
    ],
    ids=["geth and anvil", "parity", "ganache", "ganache 2"],
)
def test_revert_is_found_in_every_nodes_answer(data: object) -> None:
    error = explain(RpcError(3, "execution reverted", data), ABI, "commit")
    assert isinstance(error, RevertError)
    assert (error.name, error.values) == ("StaleHead", {"given": b"\x01" * 32, "current": b"\x02" * 32})
    assert error.hint == "read the job again, someone committed first"


@pytest.mark.parametrize("data", [None, 7, "no hex", {}, {"result": None}, [STALE_HEX]])
def test_answer_without_revert_data_stays_the_nodes_error(data: object) -> None:
    refusal = RpcError(-32000, "nonce too low", data)
    assert explain(refusal, ABI, "commit") is refusal
    assert isinstance(refusal, ChainError)
    assert refusal.hint == "another transaction of this account came first: try again"


def test_no_bytes_are_a_revert_only_where_the_node_says_so() -> None:
    assert RpcError(3, "execution reverted", "0x").revert_data() == b""
    assert RpcError(-32015, "VM execution error.", "Reverted 0x").revert_data() == b""
    poor = RpcError(-32000, "VM Exception while processing transaction: insufficient balance", "0x")
    assert poor.revert_data() is None
    assert "fund" in poor.hint


def test_every_error_of_contract_and_committee_has_a_hint() -> None:
    committee = Abi(load_artifact("Committee").abi).error_names
    assert ABI.error_names | committee | {"Revert"} == set(HINTS)


@pytest.mark.parametrize(
    ("signature", "types", "values", "name", "words"),
    [
        ("WrongPhase(uint8)", ["uint8"], [3], "WrongPhase", "current COMMIT"),
        ("WrongRound(uint32,uint32)", ["uint32"] * 2, [3, 4], "WrongRound", "given 3, current 4"),
        ("TooLate(uint256,uint256)", ["uint256"] * 2, [1, 2**64 - 1], "TooLate", "1970-01-01T00:00:01+00:00"),
        ("Error(string)", ["string"], ["no token"], "Error", "message no token"),
        ("Panic(uint256)", ["uint256"], [0x11], "Panic", "code 17"),
    ],
)
def test_arguments_are_readable(signature: str, types: list[str], values: list[Any], name: str, words: str) -> None:
    data = "0x" + (keccak(text=signature)[:4] + encode(types, values)).hex()
    error = explain(RpcError(3, "execution reverted", data), ABI, "accept")
    assert isinstance(error, RevertError)
    assert error.name == name
    assert words in error.message


@pytest.mark.parametrize(
    ("data", "name"), [("0x", "Revert"), ("0xdeadbeef01", "0xdeadbeef"), (STALE_HEX[:20], STALE_HEX[:10])]
)
def test_unknown_and_cut_reverts_are_named_by_selector(data: str, name: str) -> None:
    error = explain(RpcError(3, "execution reverted", data), ABI, "accept")
    assert isinstance(error, RevertError)
    assert error.name == name
    assert error.hint


def test_result_of_another_contract_is_refused() -> None:
    with pytest.raises(ChainError, match="unusable result of jobOf"):
        ABI.decode_result("jobOf", b"")


def test_event_without_topics_is_refused() -> None:
    with pytest.raises(ChainError, match="its ABI lacks"):
        ABI.decode_event(b"", b"")


def test_deep_json_raises_instead_of_ending_the_process() -> None:
    with pytest.raises(ValueError, match="too deep"):
        parse_json("[" * (MAX_DEPTH + 1))
    assert parse_json("[" * 300 + "]" * 300)


def test_imports_leave_the_recursion_limit_alone() -> None:
    modules = ("client", "deploy", "keys", "rpc.http", "rpc.embedded")
    code = "import sys; limit = sys.getrecursionlimit()\n"
    code += "".join(f"import clicooper.chain.{name}\n" for name in modules)
    code += "raise SystemExit(sys.getrecursionlimit() != limit)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_events_and_record_import_no_chain_library() -> None:
    code = "import sys, clicooper.chain.events, clicooper.chain.record\n"
    code += "raise SystemExit(bool({'web3', 'eth', 'eth_account', 'eth_tester'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
