"""A node: the few questions and acts that the rest of the program needs of an EVM chain.

The same class serves a chain inside this process and any node behind HTTP. It knows blocks, balances, calls and
transactions, but nothing of the contract (``client``) and holds no keys (``keys``).
"""

import time
from collections.abc import Callable, Sequence
from functools import cached_property
from statistics import median_low
from types import TracebackType
from typing import Any, Self, TypeVar

from eth_utils import keccak

from clicooper.chain.rpc.messages import Block, Call, Receipt, from_hex, quantity, to_hex
from clicooper.chain.rpc.patience import Looks, Patience, lacks_method, limits_rate, may_pass
from clicooper.chain.rpc.transport import RateLimited, RpcError, Transport, Unanswered, plain_words
from clicooper.errors import ChainError
from clicooper.extras import extra
from clicooper.types import Address, Digest

__all__ = ["Block", "Call", "Node", "Receipt"]

LOCAL_CHAIN_IDS = frozenset({1337, 31337})
"""Chain ids of development nodes, whose own accounts, clock and mining are free to use."""

TRIES = 4
"""How often a plain question is asked of a node that limits its rate."""

TIP_BLOCKS, TIP_PERCENTILE = 20, 60
"""What Geth takes a tip from where a node suggests none."""

_T = TypeVar("_T")


class Node:
    """One chain, near or far. Use as a context manager, or call ``close``.

    Args:
        transport: what carries the calls; ``embedded`` and ``connect`` make one.
        pause: waits for a number of seconds.

    Raises:
        ChainError: nothing there answers as an EVM node.
    """

    def __init__(self, transport: Transport, pause: Callable[[float], None] = time.sleep) -> None:
        self._transport = transport
        self._pause = pause
        self._patience = Patience(pause, TRIES)
        self.source = transport.source
        self.chain_id = self._ask(quantity, "eth_chainId")
        self.is_local = self.source == "embedded" or self.chain_id in LOCAL_CHAIN_IDS

    @classmethod
    def embedded(cls, chain_id: int = 31337) -> "Node":
        """A fresh chain in this process (Prague rules); the same transactions give the same blocks in every run."""
        with extra("embedded"):
            from clicooper.chain.rpc.embedded import EmbeddedChain  # noqa: PLC0415 - an extra

        return cls(EmbeddedChain(chain_id))

    @classmethod
    def connect(cls, url: str, timeout_s: float = 10) -> "Node":
        """The node behind an HTTP address.

        Args:
            url: such as ``http://127.0.0.1:8545``.
            timeout_s: bound of every single request, in seconds.

        Raises:
            ChainError: no answer, or none of an EVM node.
        """
        from clicooper.chain.rpc.http import HttpTransport  # noqa: PLC0415 - web3 is slow to import

        transport = HttpTransport(url, timeout_s)
        try:
            return cls(transport)
        except ChainError:
            transport.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Releases the connection."""
        self._transport.close()

    def client_version(self) -> str:
        """The node's program and its version, in its own words."""
        return self._ask(_text, "web3_clientVersion")

    def block_number(self) -> int:
        """The number of the latest block."""
        return self._ask(quantity, "eth_blockNumber")

    @cached_property
    def genesis(self) -> Digest:
        """The hash of block 0, which tells chains of one id apart; zero where the node keeps no such block."""
        found = self._ask(_if_any(Block.from_json), "eth_getBlockByNumber", "0x0", False)
        return Digest(bytes(32)) if found is None else found.hash

    def block(self, number: int | None = None) -> Block:
        """A block, the latest by default.

        Raises:
            ChainError: there is no such block yet.
        """
        tag = "latest" if number is None else hex(number)
        found = self._ask(_if_any(Block.from_json), "eth_getBlockByNumber", tag, False)
        if found is None:
            which = "no latest block" if number is None else f"no block {number}"
            raise ChainError(f"{self.source} has {which}", hint="wait until it is mined, or ask another node")
        return found

    def block_hash(self, number: int) -> Digest:
        """The hash of a block; raises ChainError if there is no such block yet."""
        return self.block(number).hash

    def wait_for_block(self, number: int, timeout_s: float = 600) -> None:
        """Returns once block ``number`` exists, whatever look fails. A development chain mines it at once.

        Raises:
            ChainError: it did not come within ``timeout_s`` seconds.
        """
        looks = self.looks(timeout_s)
        while (latest := looks.ask(self.block_number)) is None or latest < number:
            if self.is_local and latest is not None and self._mine(number - latest, looks):
                continue
            if not looks.wait():
                hint = "read the node's own log: the chain has stopped or the node is behind; or name another node"
                what = f"block {number} did not come in {timeout_s:g} s, latest is {latest}"
                raise ChainError(f"{what}{looks.failure}", hint=hint)

    def balance(self, address: Address) -> int:
        """The account's coin, in wei."""
        return self._ask(quantity, "eth_getBalance", address, "latest")

    def code(self, address: Address) -> bytes:
        """The runtime code at an address; empty if there is none."""
        return self._ask(from_hex, "eth_getCode", address, "latest")

    def nonce(self, address: Address, *, mined: bool = False) -> int:
        """The nonce that the account's next transaction needs, pending ones counted unless only ``mined`` are."""
        return self._ask(quantity, "eth_getTransactionCount", address, "latest" if mined else "pending")

    def tip_wei(self) -> int:
        """The priority fee per gas that the node suggests; where it suggests none, what the last blocks paid.

        Raises:
            ChainError: the node has no method that tells it.
        """
        for question in (self._suggested_tip_wei, self._paid_tip_wei, self._tip_wei_in_price):
            try:
                return question()
            except (RateLimited, Unanswered):
                raise
            except ChainError as e:
                if limits_rate(e):
                    raise
                refusal = e
        what = f"{self.source} names no tip for a transaction: {refusal.message}"
        raise ChainError(what, hint="name another node of the same chain") from refusal

    def _suggested_tip_wei(self) -> int:
        return self._ask(quantity, "eth_maxPriorityFeePerGas")

    def _paid_tip_wei(self) -> int:
        return self._ask(_usual_tip_wei, "eth_feeHistory", hex(TIP_BLOCKS), "latest", [TIP_PERCENTILE])

    def _tip_wei_in_price(self) -> int:
        return max(0, self._ask(quantity, "eth_gasPrice") - self.block().base_fee_wei)

    def call(self, call: Call) -> bytes:
        """What the call returns on the latest state, changing nothing; raises RpcError if it reverts."""
        return self._ask(from_hex, "eth_call", call.to_json(), "latest")

    def estimate_gas(self, call: Call) -> int:
        """Gas that suffices for the call now, without a margin; raises RpcError if it reverts."""
        return self._ask(quantity, "eth_estimateGas", call.to_json())

    def broadcast(self, raw: bytes) -> None:
        """Hands a signed transaction to the node, once; its hash is known from its bytes, whatever the node answers.

        Raises:
            RpcError: the node refused it.
            ChainError: the answer did not come: the node may have it.
        """
        self._transport.request("eth_sendRawTransaction", [to_hex(raw)])

    def send(self, raw: bytes, timeout_s: float = 180) -> Receipt:
        """Sends a signed transaction and waits until it is mined.

        Raises:
            RpcError: the node refused it.
            ChainError: it was not mined within ``timeout_s`` seconds; it may still be later.
        """
        self.broadcast(raw)
        return self._wait_for_receipt(keccak(raw), timeout_s)

    def receipt(self, tx_hash: bytes) -> Receipt:
        """The receipt of a mined transaction; raises ChainError if it is not mined."""
        found = self.find_receipt(tx_hash)
        if found is None:
            raise ChainError(f"transaction {to_hex(tx_hash)} is not mined", hint="wait, or send it again")
        return found

    def find_receipt(self, tx_hash: bytes) -> Receipt | None:
        """The receipt of a mined transaction; None while it is in no block.

        Raises:
            ChainError: this look failed; the next one may not.
        """

        def read(answer: Any) -> Receipt | None:
            if answer is None or answer["blockNumber"] is None or answer["blockHash"] is None:
                return None
            receipt = Receipt.from_json(answer)
            if receipt.tx_hash != tx_hash:
                raise ValueError("another transaction's")
            return receipt

        return self._look(read, "eth_getTransactionReceipt", to_hex(tx_hash))

    def knows(self, tx_hash: bytes) -> bool:
        """Whether the node holds the transaction, mined or not; a node without that method shows none."""
        method = "eth_getTransactionByHash"
        try:
            return self._look(lambda answer: answer is not None, method, to_hex(tx_hash))
        except RpcError as e:
            if lacks_method(e, method):
                return False
            raise

    def looks(self, timeout_s: float) -> Looks:
        """Repeated looks at this node, within a deadline."""
        return Looks(timeout_s, self._pause)

    def logs(
        self, address: Address, topics: Sequence[object], first: int, last: int, patience: Patience | None = None
    ) -> Any:
        """The raw log entries of a contract in these blocks, as the node gives them.

        Args:
            topics: filter, as JSON-RPC has it; empty for all.
            patience: how to wait for a node that limits its rate.

        Raises:
            RpcError, TooLarge, RequestTimeout: the range is refused; ``refuses_size`` tells whether a smaller may do.
        """
        query = {"address": address, "topics": list(topics), "fromBlock": hex(first), "toBlock": hex(last)}
        return (patience or self._patience).ask(lambda: self.ask("eth_getLogs", query))

    def ask(self, method: str, *params: object) -> Any:
        """The raw result of any call, for readers that decode much at once; raises what the transport raises."""
        return self._transport.request(method, params)

    def ask_many(self, calls: Sequence[tuple[str, Sequence[object]]]) -> list[Any]:
        """The raw results of many calls, in their order, by one request; raises what the transport raises."""
        return self._transport.request_many(calls)

    def fund(self, address: Address, amount_wei: int) -> None:
        """Gives an account coin out of a development node's own.

        Raises:
            ChainError: this is no development chain, or its node has no unlocked account.
        """
        self._require_local("fund an account")
        faucets = self._ask(list, "eth_accounts")
        if not faucets:
            raise ChainError(f"{self.source} has no unlocked account to fund from", hint="start it with accounts")
        transfer = {"from": str(faucets[0]), "to": address, "value": hex(amount_wei)}
        self._wait_for_receipt(self._ask(from_hex, "eth_sendTransaction", transfer), timeout_s=30)

    def advance_time(self, seconds: int) -> None:
        """Moves a development chain's clock forward and mines a block there.

        Raises:
            ChainError: this is no development chain.
        """
        self._require_local("move the clock")
        self._transport.request("evm_increaseTime", [seconds])
        self._transport.request("evm_mine")

    def _ask(self, read: Callable[[Any], _T], method: str, *params: object) -> _T:
        """The answer to a question, which waits a little for a node that limits its rate."""
        return self._patience.ask(lambda: self._look(read, method, *params))

    def _look(self, read: Callable[[Any], _T], method: str, *params: object) -> _T:
        answer = self._transport.request(method, params)
        try:
            return read(answer)
        except (AttributeError, LookupError, OverflowError, TypeError, ValueError) as e:
            hint = "give the address of an EVM node's JSON-RPC port"
            raise ChainError(f"{self.source} gives an unusable answer to {method}", hint=hint) from e

    def _mine(self, blocks: int, looks: Looks) -> bool:
        """Mines on a development chain; false if it failed this time."""
        try:
            for _ in range(blocks):
                self._transport.request("evm_mine")
        except ChainError as e:
            if not may_pass(e):
                raise
            looks.failed(e)
            return False
        return True

    def _require_local(self, act: str) -> None:
        if not self.is_local:
            hint = "only development chains (chain id 31337 or 1337) allow it"
            raise ChainError(f"cannot {act} on chain {self.chain_id}", hint=hint)

    def _wait_for_receipt(self, tx_hash: bytes, timeout_s: float) -> Receipt:
        looks = self.looks(timeout_s)
        while (found := looks.ask(lambda: self.find_receipt(tx_hash))) is None:
            if not looks.wait():
                hint = "look it up before sending again: it may still be mined"
                what = f"transaction {to_hex(tx_hash)} was not mined in {timeout_s:g} s{looks.failure}"
                raise ChainError(what, hint=hint)
        return found


def _text(answer: object) -> str:
    if not isinstance(answer, str):
        raise TypeError("not text")
    return plain_words(answer)


def _usual_tip_wei(history: Any) -> int:
    """What most paid in the last blocks that were not empty; ValueError where none was."""
    paid = [tip for rewards in history["reward"] if (tip := quantity(rewards[0]))]
    if not paid:
        raise ValueError("nobody paid a tip")
    return median_low(paid)


def _if_any(read: Callable[[Any], _T]) -> Callable[[Any], _T | None]:
    return lambda answer: None if answer is None else read(answer)
