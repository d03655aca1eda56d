"""One job's parties and contract, as the tests of the chain layer set them up."""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass

from clicooper.chain._abi import Abi
from clicooper.chain.client import Contract, Receipt
from clicooper.chain.compile import load_artifact
from clicooper.chain.deploy import deploy
from clicooper.chain.events import (
    Committed,
    JobCreated,
    LoggedEvent,
    SeatJoined,
    event_from_abi,
)
from clicooper.chain.index.record_index import IN_MEMORY, RecordIndex
from clicooper.chain.keys import LocalAccount, account_from_seed, random_account
from clicooper.chain.record import JobRecord
from clicooper.chain.rpc.messages import Log
from clicooper.chain.rpc.node import Node
from clicooper.commitments.head import genesis, label_anchor, label_keys, next_head
from clicooper.types import Address, Digest, Head, JobId, JobParams

ETHER = 10**18
SPEC, MANIFEST, MARK = (Digest(bytes([i]) * 32) for i in (1, 2, 3))
KEYS = label_keys(Digest(b"\x07" * 32), rounds=2)
PARAMS = JobParams(
    pay_wei=10**15,
    stake_wei=5 * 10**15,
    owner_bond_wei=2 * 10**15,
    seats=2,
    rounds=2,
    arbiter=Address(account_from_seed(b"arbiter", "arbiter").address),
    spec_digest=SPEC,
    label_anchor=label_anchor(KEYS[0]),
    challenge_bond_wei=10**14,
    silence_penalty_wei=10**15,
    join_window_s=1000,
    label_window_s=1000,
    train_window_s=1000,
    turn_window_s=1000,
    review_window_s=1000,
)


@dataclass(frozen=True)
class World:
    """One contract, and its owner's, two trainers' and a stranger's view of it; all read its events by one index."""

    node: Node
    address: Address
    index: RecordIndex
    owner: Contract
    trainers: tuple[Contract, Contract]
    stranger: Contract

    def open_job(self, params: JobParams = PARAMS) -> JobId:
        return self.owner.create_job(params)[0]

    def join(self, job: JobId, seat: int) -> None:
        contract = self.trainers[seat]
        contract.join(job, contract.genesis_of(job), seat, b"keys of %d" % seat, PARAMS.stake_wei)

    def filled_job(self) -> JobId:
        job = self.open_job()
        self.join(job, 0)
        self.join(job, 1)
        return job

    def started_job(self) -> JobId:
        job = self.filled_job()
        self.owner.release_labels(job, KEYS[0])
        return job

    def commit(self, job: JobId, seat: int) -> None:
        self.trainers[seat].commit(job, self.owner.job(job).head, MANIFEST, MARK)

    def committed_job(self) -> JobId:
        job = self.started_job()
        self.commit(job, 0)
        self.commit(job, 1)
        return job

    def last_event(self, job: JobId) -> object:
        return self.events(job)[-1].event

    def events(self, job: JobId) -> tuple[LoggedEvent, ...]:
        self.index.sync()
        return tuple(self.index.events(job))

    def record(self, job: JobId) -> JobRecord:
        self.index.sync()
        return self.index.record(job)


def new_world(node: Node) -> World:
    """Fresh accounts, so that a node that serves many tests starts each of them alike."""
    seed = secrets.token_bytes(32)
    accounts = [funded(node, account_from_seed(seed, name)) for name in ("owner", "t0", "t1", "stranger")]
    address, deployed = deploy(node, accounts[0])
    index = RecordIndex(IN_MEMORY, node, address, deployed.block_number)
    owner, first, second, stranger = (Contract(node, address, account) for account in accounts)
    return World(node, address, index, owner, (first, second), stranger)


def funded(node: Node, account: LocalAccount) -> LocalAccount:
    node.fund(Address(account.address), ETHER)
    return account


def read_plainly(world: World, job: JobId) -> JobRecord:
    """The record by the plainest calls, without pages, checks and database: what an index must agree with."""
    node, last = world.node, world.node.block_number()
    query = {"address": world.address, "topics": [], "fromBlock": "0x0", "toBlock": hex(last)}
    logs = sorted(map(Log.from_json, node.ask("eth_getLogs", query)))
    events = tuple(_placed(node, log) for log in logs if log.job == job)
    return JobRecord(node.source, node.chain_id, world.address, job, (0, last), events)


def _placed(node: Node, log: Log) -> LoggedEvent:
    event = event_from_abi(*Abi(load_artifact().abi).decode_event(log.topics, log.data))
    block, receipt = node.block(log.block), node.receipt(log.tx_hash)
    place = (block.number, block.hash, block.timestamp, receipt.tx_hash, log.log_index)
    return LoggedEvent(event, *place, receipt.sender, receipt.gas_used)


def account_of(contract: Contract) -> Address:
    assert contract.account is not None
    return Address(contract.account.address)


RETURN_CHAIN_ID = bytes.fromhex("465f5260205f60205e60015f5d60206020f3")
"""Runtime code that stores CHAINID, copies it with MCOPY, writes transient storage and returns the copy."""


def create_raw(node: Node, runtime: bytes) -> Receipt:
    """Creates a contract of at most 255 bytes without the client."""
    account = funded(node, random_account())
    creation = bytes.fromhex(f"60{len(runtime):02x}600c60003960{len(runtime):02x}6000f3") + runtime
    fields = {"type": 2, "chainId": node.chain_id, "nonce": 0, "to": b"", "value": 0, "data": creation}
    fees = {"gas": 200_000, "maxFeePerGas": 10**10, "maxPriorityFeePerGas": 10**9}
    return node.send(bytes(account.sign_transaction(fields | fees).raw_transaction))


def heads(record: JobRecord) -> Iterator[Head]:
    """Every head of the job, recomputed from its events alone."""
    first = record.events[0].event
    assert isinstance(first, JobCreated)
    head = genesis(record.chain_id, record.contract, record.job, first.owner, first.params)
    yield head
    trainers: dict[int, Address] = {}
    for event in (logged.event for logged in record.events):
        if isinstance(event, SeatJoined):
            trainers[event.seat] = event.trainer
        if isinstance(event, Committed):
            trainer = trainers[event.seat]
            head = next_head(
                head, record.job, event.round, event.seat, trainer, event.manifest_digest, event.mark_commitment
            )
            yield head
