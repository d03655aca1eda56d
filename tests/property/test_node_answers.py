"""Whatever a node answers, a reader gets a value or an error of ours in plain words."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from eth_utils import keccak
from hypothesis import given
from hypothesis import strategies as st

from clicooper.chain._abi import Abi
from clicooper.chain._reverts import explain
from clicooper.chain.compile import load_artifact
from clicooper.chain.fees import quote
from clicooper.chain.index.record_index import IN_MEMORY, RecordIndex
from clicooper.chain.rpc.messages import Call
from clicooper.chain.rpc.node import Node
from clicooper.chain.rpc.patience import Patience
from clicooper.chain.rpc.transport import MOST_WORDS, RpcError
from clicooper.errors import ChainError, CliCooperError
from clicooper.types import Address

TO = Address("0x" + "11" * 20)
ABI = Abi(load_artifact().abi)
NUMBERS = st.one_of(st.integers(), st.floats(), st.sampled_from(["0x", "0x-1", "0x1_0", "0x" + "f" * 300, "0xzz", "1"]))
BLOCK = {
    "number": "0x1",
    "hash": "0x" + "11" * 32,
    "parentHash": "0x" + "22" * 32,
    "timestamp": "0x5",
    "logsBloom": "0x" + "00" * 256,
    "baseFeePerGas": "0x7",
}
RECEIPT = {
    "transactionHash": "0x" + "33" * 32,
    "blockNumber": "0x1",
    "blockHash": "0x" + "11" * 32,
    "status": "0x1",
    "from": TO,
    "contractAddress": None,
    "gasUsed": "0x5208",
    "logs": [],
}
LOG = {
    "address": TO,
    "topics": ["0x" + "44" * 32, "0x" + "00" * 32],
    "data": "0x",
    "blockNumber": "0x1",
    "blockHash": BLOCK["hash"],
    "transactionHash": "0x" + "33" * 32,
    "logIndex": "0x0",
}
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, st.text(max_size=8)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)),
    max_leaves=8,
)


def altered(record: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """The record with one field of another type, or without it."""
    names = st.sampled_from(sorted(record))
    other = st.builds(lambda name, value: {**record, name: value}, names, JSON)
    return st.one_of(other, st.builds(lambda name: {k: v for k, v in record.items() if k != name}, names))


ANSWERS = st.one_of(JSON, altered(BLOCK), altered(RECEIPT), st.lists(altered(LOG), max_size=2), altered(LOG))


class Fixed:
    """A chain that gives one answer to everything but its id."""

    source = "a node"

    def __init__(self, answer: object) -> None:
        self._answer = answer

    def request(self, method: str, params: Sequence[object] = ()) -> Any:  # noqa: ARG002
        if method == "eth_chainId":
            return "0x1"
        if method == "eth_blockNumber":
            return "0x2"
        if isinstance(self._answer, RpcError):
            raise self._answer
        return self._answer

    def request_many(self, calls: Sequence[tuple[str, Sequence[object]]]) -> list[Any]:
        return [self.request(method, params) for method, params in calls]

    def close(self) -> None:
        """Nothing to release."""


def read_index(node: Node) -> None:
    with RecordIndex(IN_MEMORY, node, TO, finality=1, patience=Patience(lambda _: None)) as index:
        index.sync()


QUESTIONS: list[Callable[[Node], object]] = [
    lambda node: node.block(),
    lambda node: node.block(7),
    lambda node: node.genesis,
    lambda node: node.balance(TO),
    lambda node: node.code(TO),
    lambda node: node.nonce(TO),
    lambda node: node.tip_wei(),
    lambda node: node.call(Call(TO, b"")),
    lambda node: node.estimate_gas(Call(TO, b"")),
    lambda node: node.receipt(bytes.fromhex("33" * 32)),
    lambda node: node.knows(bytes(32)),
    lambda node: node.client_version(),
    quote,
    read_index,
]


def judge(answer: object) -> None:
    node = Node(Fixed(answer), lambda _: None)
    for question in QUESTIONS:
        try:
            question(node)
        except CliCooperError as e:
            assert e.message.isprintable()


@given(ANSWERS)
def test_answer_of_any_type_is_a_value_or_an_error_of_ours(answer: object) -> None:
    judge(answer)


@given(st.one_of(JSON, st.fixed_dictionaries({}, optional={"code": JSON, "message": JSON, "data": JSON})))
def test_error_object_of_any_type_keeps_the_nodes_words(error: object) -> None:
    refusal = RpcError.from_json(error)
    assert refusal.message.isprintable()
    assert len(refusal.message) < MOST_WORDS + 100
    explained = explain(refusal, ABI, "commit")
    assert explained.message.isprintable()
    judge(refusal)


@given(st.binary(max_size=8), st.integers(0, 2**256 - 1), st.binary(max_size=64))
@pytest.mark.parametrize(
    "signature", ["Error(string)", "TooLate(uint256,uint256)", "WrongPhase(uint8)", "Panic(uint256)"]
)
def test_revert_data_of_any_content_is_explained(signature: str, head: bytes, number: int, tail: bytes) -> None:
    for data in (number.to_bytes(32, "big") + tail, number.to_bytes(32, "big") * 2, head + tail):
        error = RpcError(3, "execution reverted", "0x" + (keccak(text=signature)[:4] + data).hex())
        assert explain(error, ABI, "commit").message.isprintable()


@given(st.binary(max_size=200))
def test_result_of_any_content_is_a_value_or_an_error_of_ours(data: bytes) -> None:
    for name in ("jobOf", "genesisOf", "jobCount"):
        try:
            ABI.decode_result(name, data)
        except ChainError as e:
            assert e.message.startswith("unusable result of")
