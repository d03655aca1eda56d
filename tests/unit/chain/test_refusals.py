"""What a node's refusal means, in the words and codes of many providers: one judgement for the whole package."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from clicooper.chain.rpc.embedded import EmbeddedChain
from clicooper.chain.rpc.node import Node
from clicooper.chain.rpc.patience import lacks_method, limits_rate, may_pass, refuses_size
from clicooper.chain.rpc.transport import RateLimited, RequestTimeout, RpcError, TooLarge, Unanswered
from clicooper.errors import ChainError

RECEIPTS = "eth_getBlockReceipts"
RATE = [
    (-32005, "project ID request rate exceeded"),
    (-32005, "daily request count exceeded, request rate limited"),
    (-32005, "limit exceeded"),
    (429, "Your app has exceeded its compute units per second capacity"),
    (-32000, "Too Many Requests, more than 25 requests per second"),
    (-32603, "request rate limit reached, narrow your block range or upgrade"),
    (-32097, "eth_getBlockReceipts: rate limit exceeded"),
    (-32001, "monthly quota used up"),
]
RANGE = [
    (-32005, "query returned more than 10000 results"),
    (-32005, "query exceeds the maximum block range"),
    (-32602, "Log response size exceeded. You can make eth_getLogs requests with up to a 2K block range"),
    (-32000, "exceed maximum block range: 5000"),
    (-32614, "eth_getLogs is limited to a 10,000 range"),
    (-32000, "query timeout exceeded"),
]
ABSENT = [
    (-32601, "Method not found"),
    (-32601, ""),
    (-32004, "no such thing"),
    (-32000, "Method eth_getBlockReceipts not supported."),
    (-32000, "Unsupported method: eth_getBlockReceipts on this plan"),
    (0, "the method eth_getBlockReceipts does not exist/is not available"),
]
OTHER = [(3, "execution reverted: rate too high"), (-32000, "nonce too low"), (-32000, "execution reverted: rate")]


@pytest.mark.parametrize(("code", "words"), [*RATE, *RANGE, *ABSENT, *OTHER])
def test_refusal_of_one_kind_is_not_taken_for_another(code: int, words: str) -> None:
    said, error = (code, words), RpcError(code, words)
    assert limits_rate(error) == (said in RATE)
    assert refuses_size(error) == (said in RANGE)
    assert lacks_method(error, RECEIPTS) == (said in ABSENT)


@pytest.mark.parametrize(
    "error", [RpcError(-32000, "header not found"), Unanswered("502"), RateLimited("", retry_after_s=1)]
)
def test_method_that_fails_is_not_an_absent_one(error: ChainError) -> None:
    assert not lacks_method(error, RECEIPTS)


def test_what_is_no_rpc_error_is_judged_by_its_class() -> None:
    limited, late, large = RateLimited("range", retry_after_s=None), RequestTimeout("rate"), TooLarge("rate")
    assert [limits_rate(e) for e in (limited, late, large)] == [True, False, False]
    assert [refuses_size(e) for e in (limited, late, large)] == [False, True, True]
    assert [may_pass(e) for e in (limited, late, large, ChainError("timeout"))] == [True, True, False, False]


@pytest.mark.parametrize(
    ("data", "wish"),
    [
        ({"rate": {"backoff_seconds": 7}}, 7),
        ({"backoff_seconds": 2.5}, 2.5),
        ({"retry_after": 3}, 3),
        ({"retry_after": "soon", "rate": []}, None),
        ({"backoff_seconds": -1}, None),
        ({"backoff_seconds": True}, None),
        ({"backoff_seconds": float("nan")}, None),
        ("0x", None),
        (None, None),
    ],
)
def test_pause_that_an_error_asks_for(data: object, wish: float | None) -> None:
    assert RpcError(-32005, "rate", data).retry_after_s == wish


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ("the method eth_maxPriorityFeePerGas does not exist", ""),
        ("eth_feeHistory failed", ""),
        ("max fee per gas less than block base fee", "the network's fees rose: try again"),
        ("transaction underpriced", "the network's fees rose: try again"),
    ],
)
def test_hint_is_not_read_from_the_name_of_a_method(words: str, hint: str) -> None:
    assert RpcError(-32000, words).hint == hint


class Altered:
    """The embedded chain with other answers to some methods."""

    source = "embedded"

    def __init__(self, **answers: Callable[[], Any]) -> None:
        self._chain, self._answers = EmbeddedChain(31337), answers
        self.asked: list[tuple[str, Sequence[object]]] = []

    def request(self, method: str, params: Sequence[object] = ()) -> Any:
        self.asked.append((method, params))
        return self._answers[method]() if method in self._answers else self._chain.request(method, params)

    def request_many(self, calls: Sequence[tuple[str, Sequence[object]]]) -> list[Any]:
        return [self.request(method, params) for method, params in calls]

    def close(self) -> None:
        self._chain.close()


def refuses(error: Exception) -> Callable[[], Any]:
    def answer() -> Any:
        raise error

    return answer


LACKING = [
    refuses(RpcError(-32601, "the method eth_maxPriorityFeePerGas does not exist/is not available")),
    refuses(RpcError(-32000, "Method eth_maxPriorityFeePerGas not supported.")),
    refuses(RpcError(-32602, "unknown")),
    refuses(ChainError("does not answer as an EVM node")),
    lambda: None,
    lambda: "cheap",
    lambda: "0x" + "f" * 80,
]
HISTORY = {"oldestBlock": "0x0", "reward": [["0x0"], ["0x5"], ["0x9"], ["0x7"]]}


@pytest.mark.parametrize("lacking", LACKING)
def test_node_that_suggests_no_tip_is_asked_what_others_paid(lacking: Callable[[], Any]) -> None:
    with Node(Altered(eth_maxPriorityFeePerGas=lacking, eth_feeHistory=lambda: HISTORY)) as node:
        assert node.tip_wei() == 7


@pytest.mark.parametrize("history", [*LACKING, lambda: {}, lambda: {"reward": None}, lambda: {"reward": [["0x0"]]}])
def test_node_without_a_history_of_fees_is_asked_for_its_price(history: Callable[[], Any]) -> None:
    transport = Altered(eth_maxPriorityFeePerGas=LACKING[0], eth_feeHistory=history, eth_gasPrice=lambda: hex(10**10))
    with Node(transport) as node:
        assert node.tip_wei() == 10**10 - node.block().base_fee_wei


def test_node_that_tells_no_price_at_all_is_said_to_lack_it() -> None:
    with (
        Node(Altered(eth_maxPriorityFeePerGas=LACKING[0])) as node,
        pytest.raises(ChainError, match=r"names no tip for a transaction: .*has no method eth_gasPrice") as caught,
    ):
        node.tip_wei()
    assert caught.value.hint == "name another node of the same chain"


def test_tip_of_a_limited_node_is_waited_for_and_not_replaced() -> None:
    pauses: list[float] = []
    transport = Altered(eth_maxPriorityFeePerGas=refuses(RpcError(-32005, "rate limited", {"backoff_seconds": 4})))
    with Node(transport, pauses.append) as node, pytest.raises(RpcError, match="rate limited"):
        node.tip_wei()
    assert pauses == [4, 4, 4]


@pytest.mark.parametrize(("code", "words"), RATE)
def test_limited_rate_does_not_narrow_the_range_of_a_search(code: int, words: str) -> None:
    refusals, pauses = [RpcError(code, words, {"rate": {"backoff_seconds": 9}}), RpcError(code, words)], []

    def answer() -> Any:
        if refusals:
            raise refusals.pop(0)
        return []

    transport = Altered(eth_getLogs=answer)
    with Node(transport, pauses.append) as node:
        assert node.logs("0x" + "11" * 20, [], 0, 64) == []
    asked = [params[0] for method, params in transport.asked if method == "eth_getLogs"]
    assert [(query["fromBlock"], query["toBlock"]) for query in asked] == [("0x0", "0x40")] * 3
    assert pauses[0] == 9
