"""Sending through nodes that lose answers, limit their rate or say nothing: nothing is paid twice or forgotten."""

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from chain_world import funded

from clicooper.chain._sending import TransactionLost
from clicooper.chain._transact import transact
from clicooper.chain.deployment_plan import DeploymentPlan, deploy_plan
from clicooper.chain.deployments import read_deployments
from clicooper.chain.fees import SendPolicy
from clicooper.chain.keys import LocalAccount, account_from_seed
from clicooper.chain.rpc.embedded import EmbeddedChain
from clicooper.chain.rpc.messages import Call, Receipt
from clicooper.chain.rpc.node import Node
from clicooper.chain.rpc.transport import RateLimited, RequestTimeout, RpcError, TooLarge, Unanswered
from clicooper.chain.sent import SentTransactions
from clicooper.errors import ChainError, UsageError
from clicooper.types import Address

Habit = Callable[[str, int, Callable[[], Any]], Any]
"""Answers a call: method, how often it was asked, the chain's own answer."""

TO = Address("0x" + "11" * 20)
SEND, RECEIPT = "eth_sendRawTransaction", "eth_getTransactionReceipt"


class Moody:
    """A chain whose answers pass through ``habit``.

    Attributes:
        sent: the raw transactions that were handed over.
    """

    source = "embedded"

    def __init__(self, chain_id: int = 31337) -> None:
        self._chain = EmbeddedChain(chain_id)
        self._lock = threading.RLock()
        self._asked: dict[str, int] = {}
        self.habit: Habit = lambda _method, _n, real: real()
        self.sent: list[str] = []

    def request(self, method: str, params: Sequence[object] = ()) -> Any:
        with self._lock:
            n = self._asked[method] = self._asked.get(method, 0) + 1
            if method == SEND:
                self.sent.append(str(params[0]))
        return self.habit(method, n, lambda: self._real(method, params))

    def _real(self, method: str, params: Sequence[object]) -> Any:
        with self._lock:
            return self._chain.request(method, params)

    def request_many(self, calls: Sequence[tuple[str, Sequence[object]]]) -> list[Any]:
        return [self.request(method, params) for method, params in calls]

    def close(self) -> None:
        self._chain.close()


class Sender:
    """An account on such a chain, with a home, whose pauses take no time."""

    def __init__(self, home: Path) -> None:
        self.chain = Moody()
        self.pauses: list[float] = []
        self.node = Node(self.chain, self.pauses.append)
        self.account: LocalAccount = funded(self.node, account_from_seed(b"sending", "sender"))
        self.address = Address(self.account.address)
        self.home = home
        self.sent = SentTransactions(home)

    def send(self, value_wei: int = 7, timeout_s: float = 60) -> Receipt:
        policy = SendPolicy(timeout_s=timeout_s, sent=self.sent)
        return transact(self.node, self.account, Call(TO, b"", self.address, value_wei), policy)

    @property
    def notes(self) -> list[Path]:
        return sorted(self.home.glob("sent/*/0x*.json"))

    def arrived_wei(self) -> int:
        return self.node.balance(TO)


@pytest.fixture
def sender(tmp_path: Path) -> Sender:
    return Sender(tmp_path)


def failing(method: str, times: int, act: Callable[[Callable[[], Any]], Any]) -> Habit:
    """Does ``act`` in the place of the first answers to a method."""
    seen = {"n": 0}

    def habit(asked: str, n: int, real: Callable[[], Any]) -> Any:
        if asked != method or seen["n"] >= times:
            return real()
        seen["n"] += 1
        return act(real)

    return habit


def raises(error: Exception) -> Callable[[Callable[[], Any]], Any]:
    def act(real: Callable[[], Any]) -> Any:
        raise error

    return act


def does_and_raises(error: Exception) -> Callable[[Callable[[], Any]], Any]:
    def act(real: Callable[[], Any]) -> Any:
        real()
        raise error

    return act


def changed(**fields: object) -> Callable[[Callable[[], Any]], Any]:
    return lambda real: {**real(), **fields}


PASSING = [
    RateLimited("429", retry_after_s=3),
    RequestTimeout("late"),
    Unanswered("status 502"),
    ChainError("no JSON"),
    RpcError(-32000, "transaction indexing is in progress"),
    RpcError(-32005, "limit exceeded"),
    RpcError(-32603, "Internal error"),
]


@pytest.mark.parametrize(
    "act",
    [
        *map(raises, PASSING),
        changed(blockNumber=None, blockHash=None),
        changed(blockNumber=None),
        changed(blockHash=None),
        changed(blockNumber="soon"),
        changed(transactionHash="0x" + "77" * 32),
        changed(logs=7),
        lambda _: None,
        lambda _: {},
        lambda _: "pending",
    ],
)
def test_look_for_a_receipt_that_fails_ends_no_wait(sender: Sender, act: Callable[[Callable[[], Any]], Any]) -> None:
    sender.chain.habit = failing(RECEIPT, 3, act)
    assert sender.send().succeeded
    assert (len(sender.chain.sent), sender.arrived_wei(), sender.notes) == (1, 7, [])


@pytest.mark.parametrize("act", [raises, does_and_raises], ids=["before it arrives", "after it arrived"])
@pytest.mark.parametrize("error", PASSING)
def test_lost_answer_to_a_transaction_is_not_paid_twice(
    sender: Sender, error: Exception, act: Callable[[Exception], Callable[[Callable[[], Any]], Any]]
) -> None:
    sender.chain.habit = failing(SEND, 2, act(error))
    assert sender.send().succeeded
    assert (len(set(sender.chain.sent)), sender.arrived_wei(), sender.notes) == (1, 7, [])


@pytest.mark.parametrize(
    "words",
    [
        "already known",
        "AlreadyKnown",
        "known transaction: 0xab",
        "Known transaction",
        "TRANSACTION_ALREADY_KNOWN",
        "ALREADY_EXISTS: already known",
        "transaction already imported",
        "Transaction with the same hash was already imported.",
        "tx already in mempool",
        "transaction is already in the system",
        "already present in transaction pool",
        "nonce too low",
        "nonce too low: next nonce 1, tx nonce 0",
        "Nonce too low. Expected nonce to be 1 but got 0.",
        "OldNonce, current nonce 1",
        "the tx doesn't have the correct nonce. account has nonce of: 1 tx has nonce of: 0",
    ],
)
def test_transaction_that_the_node_has_already_counts_as_sent(sender: Sender, words: str) -> None:
    first, late = failing(SEND, 1, does_and_raises(RpcError(-32000, words))), failing(RECEIPT, 3, lambda _: None)
    sender.chain.habit = lambda method, n, real: (first if method == SEND else late)(method, n, real)
    assert sender.send().succeeded
    assert (len(sender.chain.sent), sender.arrived_wei(), sender.notes) == (1, 7, [])


@pytest.mark.parametrize(
    "error",
    [
        RpcError(-32000, "insufficient funds for gas * price + value"),
        RpcError(-32000, "unknown transaction type"),
        RpcError(-32000, "transaction underpriced"),
        RpcError(-32000, "nonce too high"),
        TooLarge("413"),
    ],
)
def test_refused_transaction_leaves_no_note(sender: Sender, error: ChainError) -> None:
    sender.chain.habit = failing(SEND, 1, raises(error))
    with pytest.raises(type(error), match=error.message.split("(")[0].split("*")[0]):
        sender.send()
    assert (sender.notes, sender.arrived_wei()) == ([], 0)
    assert sender.send().succeeded


def test_given_up_transaction_is_named_and_waited_for_by_the_next_run(sender: Sender) -> None:
    sender.chain.habit = failing(RECEIPT, 1, lambda _: None)
    with pytest.raises(ChainError, match="was not mined in time") as caught:
        sender.send(timeout_s=0)
    (note,) = sender.notes
    assert note.stem in caught.value.message
    assert caught.value.hint == f"run the same command again: it waits for {note.stem} and sends nothing else"
    assert "0x" + sender.send().tx_hash.hex() == note.stem
    assert (len(set(sender.chain.sent)), sender.arrived_wei(), sender.notes) == (1, 7, [])
    assert sender.send().succeeded
    assert (len(set(sender.chain.sent)), sender.arrived_wei()) == (2, 14)


def test_transaction_that_never_left_is_sent_by_the_next_run_as_it_was(sender: Sender) -> None:
    sender.chain.habit = failing(SEND, 1, raises(Unanswered("dropped")))
    with pytest.raises(ChainError, match="no node took transaction 0x"):
        sender.send(timeout_s=0)
    (note,) = sender.notes
    assert "0x" + sender.send().tx_hash.hex() == note.stem
    assert (len(sender.chain.sent), len(set(sender.chain.sent)), sender.arrived_wei()) == (2, 1, 7)


def test_other_call_is_not_taken_for_the_unsettled_one(sender: Sender) -> None:
    sender.chain.habit = failing(RECEIPT, 1, lambda _: None)
    with pytest.raises(ChainError):
        sender.send(7, timeout_s=0)
    assert sender.send(8).succeeded
    assert (sender.arrived_wei(), len(sender.notes)) == (15, 1)


def test_transaction_whose_nonce_another_one_took_is_said_to_be_replaced(sender: Sender) -> None:
    sender.chain.habit = failing(SEND, 1, raises(Unanswered("dropped")))
    with pytest.raises(ChainError):
        sender.send(7, timeout_s=0)
    transact(sender.node, sender.account, Call(TO, b"", sender.address, 100))
    with pytest.raises(TransactionLost, match=r"was replaced: another transaction of 0x\w+ took its nonce 0"):
        sender.send(7)
    assert sender.notes == []
    assert sender.send(7).succeeded
    assert sender.arrived_wei() == 107


def test_next_nonce_is_free_though_an_earlier_transaction_is_lost(sender: Sender) -> None:
    sender.chain.habit = failing(SEND, 1, raises(Unanswered("dropped")))
    with pytest.raises(ChainError):
        sender.send(7, timeout_s=0)
    assert sender.send(8).succeeded
    assert sender.arrived_wei() == 8


def test_note_is_written_before_the_transaction_leaves_and_holds_no_secret(sender: Sender) -> None:
    seen: list[str] = []

    def habit(method: str, n: int, real: Callable[[], Any]) -> Any:
        if method == SEND:
            (note,) = sender.notes
            assert note.stat().st_mode & 0o777 == 0o600
            seen.append(note.read_text())
        return real()

    sender.chain.habit = habit
    call = Call(TO, bytes.fromhex("c0ffee") * 11, sender.address, 7)
    transact(sender.node, sender.account, call, SendPolicy(sent=sender.sent))
    assert len(seen) == 1
    assert "c0ffee" not in seen[0]
    assert sender.account.key.hex().removeprefix("0x") not in seen[0]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"sent": {}}', b"\xff"])
def test_damaged_note_stops_before_anything_is_sent(sender: Sender, content: bytes) -> None:
    sender.chain.habit = failing(RECEIPT, 1, lambda _: None)
    with pytest.raises(ChainError):
        sender.send(timeout_s=0)
    sender.notes[0].write_bytes(content)
    with pytest.raises(UsageError, match="is no note of a sent transaction"):
        sender.send()
    assert len(sender.chain.sent) == 1


def test_fresh_development_chain_is_not_bound_by_notes_of_the_last(sender: Sender, tmp_path: Path) -> None:
    sender.chain.habit = failing(RECEIPT, 1, lambda _: None)
    with pytest.raises(ChainError):
        sender.send(timeout_s=0)
    again = Sender(tmp_path)
    other_genesis = {"hash": "0x" + "99" * 32}
    again.chain.habit = failing("eth_getBlockByNumber", 1, lambda real: {**real(), **other_genesis})
    assert again.node.genesis == bytes.fromhex("99" * 32)
    assert again.send().succeeded
    assert len(sender.notes) == 1


def test_two_senders_at_once_send_one_transaction(sender: Sender) -> None:
    other: list[Receipt] = []
    both = threading.Event()
    second = threading.Thread(target=lambda: other.append(sender.send()))

    def habit(method: str, n: int, real: Callable[[], Any]) -> Any:
        if method == SEND:
            second.start() if len(sender.chain.sent) == 1 else both.set()
        if method == RECEIPT:
            # Nothing is seen of it before the second one has handed something over, too.
            assert both.wait(60)
        return real()

    sender.chain.habit = habit
    first = sender.send()
    second.join()
    assert [receipt.tx_hash for receipt in other] == [first.tx_hash]
    assert (len(set(sender.chain.sent)), sender.arrived_wei(), sender.notes) == (1, 7, [])


def test_deployment_that_broke_off_sends_only_what_is_left(sender: Sender) -> None:
    policy = SendPolicy(timeout_s=0, sent=sender.sent)
    plan = DeploymentPlan(lens=True)

    def habit(method: str, n: int, real: Callable[[], Any]) -> Any:
        if method == SEND and len(sender.chain.sent) == 2:
            real()
            raise Unanswered("dropped")
        return real()

    def run() -> None:
        deploy_plan(sender.node, sender.account, plan, policy, sender.home, lambda *_: None)

    sender.chain.habit = habit
    with pytest.raises(ChainError, match="0x"):
        run()
    assert len(sender.notes) == 2
    sender.chain.habit = lambda _method, _n, real: real()
    policy = SendPolicy(sent=sender.sent)
    run()
    assert (len(set(sender.chain.sent)), sender.notes) == (2, [])
    recorded = read_deployments(sender.home, sender.node.chain_id)
    assert [one.contract for one in recorded] == ["CliCooper", "CliCooperLens"]


def test_wish_of_a_limited_node_is_kept_but_bounded(sender: Sender) -> None:
    wishes = iter([3.0, 1e6])

    def limited(_: object) -> None:
        raise RateLimited("429", retry_after_s=next(wishes))

    sender.chain.habit = failing(RECEIPT, 2, limited)
    sender.send(timeout_s=100)
    assert 3 in sender.pauses
    assert max(sender.pauses) <= 60


@pytest.mark.parametrize("method", ["eth_blockNumber", "eth_getBlockByNumber", "evm_mine"])
def test_look_for_confirmations_that_fails_ends_no_wait(sender: Sender, method: str) -> None:
    assert len(sender.node.genesis) == 32
    mood = failing(method, 2, raises(Unanswered("dropped")))

    def habit(asked: str, n: int, real: Callable[[], Any]) -> Any:
        return mood(asked, n, real) if sender.chain.sent else real()

    sender.chain.habit = habit
    policy = SendPolicy(confirmations=3, sent=sender.sent)
    assert transact(sender.node, sender.account, Call(TO, b"", sender.address, 7), policy).succeeded
    assert (len(sender.chain.sent), sender.arrived_wei(), sender.notes) == (1, 7, [])


def test_confirmation_that_cannot_be_looked_up_names_the_transaction(sender: Sender) -> None:
    sender.chain.habit = failing("evm_mine", 1, raises(RpcError(-32601, "no such method")))
    policy = SendPolicy(confirmations=3, sent=sender.sent)
    call = Call(TO, b"", sender.address, 7)
    with pytest.raises(ChainError, match="which is not confirmed yet") as caught:
        transact(sender.node, sender.account, call, policy)
    assert sender.notes[0].stem in caught.value.message
    assert transact(sender.node, sender.account, call, policy).succeeded
    assert (len(set(sender.chain.sent)), sender.arrived_wei(), sender.notes) == (1, 7, [])
