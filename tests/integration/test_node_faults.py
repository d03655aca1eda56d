"""Nodes that limit, lag or lie: the client finds out or copes."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from chain_world import PARAMS, funded

from clicooper.chain.client import Contract
from clicooper.chain.deploy import deploy
from clicooper.chain.events import (
    Event,
    JobCancelled,
    JobCreated,
)
from clicooper.chain.index.record_index import IN_MEMORY, RecordIndex
from clicooper.chain.keys import account_from_seed, random_account
from clicooper.chain.rpc.embedded import EmbeddedChain
from clicooper.chain.rpc.node import Node
from clicooper.chain.rpc.transport import RpcError
from clicooper.errors import ChainError, RevertError
from clicooper.types import Address, JobId


class _Altered:
    """A chain whose answers pass through ``alter``: a simulator of nodes that limit or lie."""

    source = "embedded"

    def __init__(self, alter: Callable[[str, Sequence[Any], Any], Any]) -> None:
        self._chain = EmbeddedChain(31337)
        self._alter = alter

    def request(self, method: str, params: Sequence[object] = ()) -> Any:
        return self._alter(method, params, self._chain.request(method, params))

    def request_many(self, calls: Sequence[tuple[str, Sequence[object]]]) -> list[Any]:
        return [self.request(method, params) for method, params in calls]

    def close(self) -> None:
        self._chain.close()


def narrow_range(method: str, params: Sequence[Any], answer: Any) -> Any:
    """Refuses to search more than three blocks at once."""
    if method == "eth_getLogs" and int(params[0]["toBlock"], 16) - int(params[0]["fromBlock"], 16) > 2:
        raise RpcError(-32005, "query exceeds the maximum block range")
    return answer


def replaced_blocks(method: str, params: Sequence[Any], answer: Any) -> Any:
    """Reports other block hashes than its logs do, as after a reorganisation."""
    return answer | {"hash": "0x" + "ab" * 32} if method == "eth_getBlockByNumber" else answer


def foreign_logs(method: str, params: Sequence[Any], answer: Any) -> Any:
    """Gives events a topic that the contract does not have."""
    return (
        [log | {"topics": ["0x" + "cd" * 32, *log["topics"][1:]]} for log in answer]
        if method == "eth_getLogs"
        else answer
    )


def cut_logs(method: str, params: Sequence[Any], answer: Any) -> Any:
    """Gives events without their data."""
    return [log | {"data": "0x"} for log in answer] if method == "eth_getLogs" else answer


def one_job(node: Node) -> tuple[Contract, JobId]:
    account = funded(node, random_account())
    address, _ = deploy(node, account)
    contract = Contract(node, address, account)
    return contract, contract.create_job(PARAMS)[0]


def read_events(contract: Contract, job: JobId) -> tuple[Event, ...]:
    with RecordIndex(IN_MEMORY, contract.node, contract.address, finality=0) as index:
        index.sync()
        return tuple(index.bare_events(job))


def test_events_are_found_through_a_node_with_a_narrow_range() -> None:
    with Node(_Altered(narrow_range)) as node:
        contract, job = one_job(node)
        node.wait_for_block(40)
        contract.cancel(job)
        assert [type(event) for event in read_events(contract, job)] == [JobCreated, JobCancelled]


def test_reader_rejects_events_of_replaced_blocks() -> None:
    with Node(_Altered(replaced_blocks)) as node:
        contract, job = one_job(node)
        with pytest.raises(ChainError, match="replaced blocks 10 times while they were read"):
            read_events(contract, job)


def test_reader_rejects_an_event_that_the_contract_lacks() -> None:
    with Node(_Altered(foreign_logs)) as node:
        contract, job = one_job(node)
        with pytest.raises(ChainError, match="an event that the contract's ABI lacks"):
            read_events(contract, job)


def test_reader_rejects_an_event_without_its_data() -> None:
    with Node(_Altered(cut_logs)) as node:
        contract, job = one_job(node)
        with pytest.raises(ChainError, match="unusable log of JobCreated"):
            read_events(contract, job)


def low_estimate(method: str, params: Sequence[Any], answer: Any) -> Any:
    """Estimates too little gas for anything but a payment."""
    return hex(25_000) if method == "eth_estimateGas" and "to" in params[0] else answer


def test_transaction_that_fails_after_its_simulation_is_an_error() -> None:
    with Node(_Altered(low_estimate)) as node:
        account = funded(node, random_account())
        address, _ = deploy(node, account)
        contract = Contract(node, address, account)
        with pytest.raises(RevertError, match="reverted") as caught:
            contract.create_job(PARAMS)
        assert caught.value.name == "Revert"
        assert contract.job_count() == 0


def test_transaction_that_is_never_mined_is_given_up() -> None:
    account = account_from_seed(b"known", "sender")

    def deaf_to_account(method: str, params: Sequence[Any], answer: Any) -> Any:
        own = method == "eth_getTransactionReceipt" and answer and answer["from"] == account.address
        return None if own else answer

    with Node(_Altered(deaf_to_account)) as node:
        funded(node, account)
        fields = {"type": 2, "chainId": node.chain_id, "nonce": 0, "to": bytes(20), "value": 0, "gas": 21_000}
        fees = {"maxFeePerGas": 10**10, "maxPriorityFeePerGas": 10**9}
        with pytest.raises(ChainError, match="was not mined in 0 s"):
            node.send(bytes(account.sign_transaction(fields | fees).raw_transaction), timeout_s=0)


def test_development_node_without_accounts_cannot_fund() -> None:
    def no_accounts(method: str, params: Sequence[Any], answer: Any) -> Any:
        return [] if method == "eth_accounts" else answer

    with Node(_Altered(no_accounts)) as node, pytest.raises(ChainError, match="no unlocked account"):
        node.fund(Address(random_account().address), 1)
