"""A node: the few questions and acts that the rest of the program needs of an EVM chain.

The same class serves a chain inside this process and any node behind HTTP. It knows blocks, balances, calls and
transactions, but nothing of the contract (``client``) and holds no keys (``keys``).
"""

import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

from clicooper.chain.rpc.messages import Block, Call, Receipt, from_hex, to_hex
from clicooper.chain.rpc.transport import Transport
from clicooper.errors import ChainError
from clicooper.extras import extra
from clicooper.types import Address, Digest

__all__ = ["Block", "Call", "Node", "Receipt"]

LOCAL_CHAIN_IDS = frozenset({1337, 31337})
"""Chain ids of development nodes, whose own accounts, clock and mining are free to use."""

POLL_FIRST_S = 0.02
POLL_MOST_S = 2.0

_T = TypeVar("_T")


class Node:
    """One chain, near or far. Use as a context manager, or call ``close``.

    Args:
        transport: what carries the calls; ``embedded`` and ``connect`` make one.

    Raises:
        ChainError: nothing there answers as an EVM node.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self.source = transport.source
        self.chain_id = self._ask(_quantity, "eth_chainId")
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
        return self._ask(_quantity, "eth_blockNumber")

    def block(self, number: int | None = None) -> Block:
        """A block, the latest by default.

        Raises:
            ChainError: there is no such block yet.
        """
        tag = "latest" if number is None else hex(number)
        found = self._ask(_if_any(Block.from_json), "eth_getBlockByNumber", tag, False)
        if found is None:
            raise ChainError(f"{self.source} has no block {number}", hint="wait until it is mined")
        return found

    def block_hash(self, number: int) -> Digest:
        """The hash of a block; raises ChainError if there is no such block yet."""
        return self.block(number).hash

    def wait_for_block(self, number: int, timeout_s: float = 600) -> None:
        """Returns once block ``number`` exists. A development chain mines it at once.

        Raises:
            ChainError: it did not come within ``timeout_s`` seconds.
        """
        poll = _Poll(timeout_s)
        while (latest := self.block_number()) < number:
            if self.is_local:
                for _ in range(number - latest):
                    self._transport.request("evm_mine")
            elif not poll.wait():
                hint = "read the node's own log: the chain has stopped or the node is behind; or name another node"
                raise ChainError(f"block {number} did not come in {timeout_s} s, latest is {latest}", hint=hint)

    def balance(self, address: Address) -> int:
        """The account's coin, in wei."""
        return self._ask(_quantity, "eth_getBalance", address, "latest")

    def code(self, address: Address) -> bytes:
        """The runtime code at an address; empty if there is none."""
        return self._ask(from_hex, "eth_getCode", address, "latest")

    def nonce(self, address: Address) -> int:
        """The nonce that the account's next transaction needs, pending ones counted."""
        return self._ask(_quantity, "eth_getTransactionCount", address, "pending")

    def tip_wei(self) -> int:
        """The priority fee per gas that the node suggests."""
        return self._ask(_quantity, "eth_maxPriorityFeePerGas")

    def call(self, call: Call) -> bytes:
        """What the call returns on the latest state, changing nothing; raises RpcError if it reverts."""
        return self._ask(from_hex, "eth_call", call.to_json(), "latest")

    def estimate_gas(self, call: Call) -> int:
        """Gas that suffices for the call now, without a margin; raises RpcError if it reverts."""
        return self._ask(_quantity, "eth_estimateGas", call.to_json())

    def send(self, raw: bytes, timeout_s: float = 180) -> Receipt:
        """Sends a signed transaction and waits until it is mined.

        Raises:
            RpcError: the node refused it.
            ChainError: it was not mined within ``timeout_s`` seconds; it may still be later.
        """
        return self._wait_for_receipt(self._ask(from_hex, "eth_sendRawTransaction", to_hex(raw)), timeout_s)

    def receipt(self, tx_hash: bytes) -> Receipt:
        """The receipt of a mined transaction; raises ChainError if it is not mined."""
        found = self._receipt(tx_hash)
        if found is None:
            raise ChainError(f"transaction {to_hex(tx_hash)} is not mined", hint="wait, or send it again")
        return found

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
        answer = self._transport.request(method, params)
        try:
            return read(answer)
        except (AttributeError, KeyError, TypeError, ValueError) as e:
            hint = "give the address of an EVM node's JSON-RPC port"
            raise ChainError(f"{self.source} gives an unusable answer to {method}", hint=hint) from e

    def _require_local(self, act: str) -> None:
        if not self.is_local:
            hint = "only development chains (chain id 31337 or 1337) allow it"
            raise ChainError(f"cannot {act} on chain {self.chain_id}", hint=hint)

    def _receipt(self, tx_hash: bytes) -> Receipt | None:
        return self._ask(_if_any(Receipt.from_json), "eth_getTransactionReceipt", to_hex(tx_hash))

    def _wait_for_receipt(self, tx_hash: bytes, timeout_s: float) -> Receipt:
        poll = _Poll(timeout_s)
        while (found := self._receipt(tx_hash)) is None:
            if not poll.wait():
                hint = "look it up before sending again: it may still be mined"
                raise ChainError(f"transaction {to_hex(tx_hash)} was not mined in {timeout_s} s", hint=hint)
        return found


class _Poll:
    """Growing pauses up to a deadline."""

    def __init__(self, timeout_s: float) -> None:
        self._deadline = time.monotonic() + timeout_s
        self._pause_s = POLL_FIRST_S

    def wait(self) -> bool:
        """Pauses; false once the deadline has passed."""
        if time.monotonic() > self._deadline:
            return False
        time.sleep(self._pause_s)
        self._pause_s = min(2 * self._pause_s, POLL_MOST_S)
        return True


def _quantity(answer: str) -> int:
    return int(answer, 16)


def _text(answer: object) -> str:
    if not isinstance(answer, str):
        raise TypeError("not text")
    return answer


def _if_any(read: Callable[[Any], _T]) -> Callable[[Any], _T | None]:
    return lambda answer: None if answer is None else read(answer)
