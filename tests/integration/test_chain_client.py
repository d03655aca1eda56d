"""The contract through the typed client, the same on every kind of node."""

import hashlib
import secrets
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from urllib.parse import unquote

import pytest

from clicooper.chain._embedded import EmbeddedChain
from clicooper.chain._transport import RpcError
from clicooper.chain.client import Contract
from clicooper.chain.deploy import deploy, deployment_gas, verify_code
from clicooper.chain.events import (
    Committed,
    JobAborted,
    JobCancelled,
    JobCreated,
    LabelsReleased,
    RoundAccepted,
    RoundAcceptedByTimeout,
    SeatJoined,
    SeatVacated,
    Withdrawn,
)
from clicooper.chain.keys import LocalAccount, account_from_seed, random_account
from clicooper.chain.record import JobRecord, record_from_json, record_to_json
from clicooper.chain.rpc import Call, Node
from clicooper.commitments.head import genesis, label_anchor, label_keys, next_head
from clicooper.errors import ChainError, RevertError, UsageError
from clicooper.types import AbortReason, Address, Digest, Head, JobId, JobParams, Phase, VacancyReason

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
    silence_penalty_wei=10**15,
    join_window_s=1000,
    label_window_s=1000,
    train_window_s=1000,
    turn_window_s=1000,
    review_window_s=1000,
)


@dataclass(frozen=True)
class World:
    """One contract, and its owner's, two trainers' and a stranger's view of it."""

    node: Node
    address: Address
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
        return self.owner.events(job)[-1].event


def funded(node: Node, account: LocalAccount) -> LocalAccount:
    node.fund(Address(account.address), ETHER)
    return account


@pytest.fixture
def world(node: Node) -> World:
    """Fresh accounts, so that a node that serves many tests starts each of them alike."""
    seed = secrets.token_bytes(32)
    accounts = [funded(node, account_from_seed(seed, name)) for name in ("owner", "t0", "t1", "stranger")]
    address, _ = deploy(node, accounts[0])
    owner, first, second, stranger = (Contract(node, address, account) for account in accounts)
    return World(node, address, owner, (first, second), stranger)


def account_of(contract: Contract) -> Address:
    assert contract.account is not None
    return Address(contract.account.address)


# Deployment


def test_deployed_code_is_the_artifacts(world: World) -> None:
    assert verify_code(world.node, world.address)


def test_verify_code_refuses_an_address_without_code(world: World) -> None:
    with pytest.raises(ChainError, match="no contract at"):
        verify_code(world.node, account_of(world.owner))


def test_deployment_gas_covers_the_deployment(node: Node) -> None:
    account = funded(node, random_account())
    estimate = deployment_gas(node, account)
    _, receipt = deploy(node, account)
    assert receipt.gas_used <= estimate < 2 * receipt.gas_used


def test_client_refuses_an_address_without_contract(node: Node) -> None:
    with pytest.raises(ChainError, match="no contract at") as caught:
        Contract(node, Address(random_account().address))
    assert caught.value.hint


# Life cycle


def test_whole_life_of_a_job(world: World) -> None:
    job = world.open_job()
    state = world.owner.job(job)
    assert (state.phase, state.owner, state.seats, state.filled) == (Phase.OPEN, account_of(world.owner), 2, 0)
    assert (state.label_key, state.pay_wei, state.arbiter) == (PARAMS.label_anchor, PARAMS.pay_wei, PARAMS.arbiter)
    assert state.head == world.owner.genesis_of(job)

    world.join(job, 0)
    world.join(job, 1)
    seat = world.owner.seat(job, 1)
    assert seat.trainer == account_of(world.trainers[1])
    assert seat.key_record_digest == hashlib.sha256(b"keys of 1").digest()

    world.owner.release_labels(job, KEYS[0])
    for round_ in range(PARAMS.rounds):
        assert world.owner.job(job).phase is Phase.COMMIT
        world.commit(job, 0)
        world.commit(job, 1)
        head = world.owner.job(job).head
        world.owner.accept(job, head, KEYS[round_ + 1])
        assert world.owner.round_head(job, round_) == head
        assert world.owner.seat(job, 0).owed_wei == (round_ + 1) * PARAMS.pay_wei

    state = world.owner.job(job)
    assert (state.phase, state.round, state.label_key) == (Phase.DONE, 2, KEYS[2])


def test_everybody_withdraws_exactly_what_is_owed(world: World) -> None:
    job = world.committed_job()
    world.owner.accept(job, world.owner.job(job).head, KEYS[1])
    world.commit(job, 0)
    world.commit(job, 1)
    world.owner.accept(job, world.owner.job(job).head, KEYS[2])

    due = {world.owner: PARAMS.owner_bond_wei}
    due |= dict.fromkeys(world.trainers, 2 * PARAMS.pay_wei + PARAMS.stake_wei)
    for contract, amount_wei in due.items():
        account = account_of(contract)
        assert contract.owed_to(job, account) == amount_wei
        before = world.node.balance(account)
        receipt = contract.withdraw(job)
        assert world.last_event(job) == Withdrawn(job, account, amount_wei)
        fees_wei = before + amount_wei - world.node.balance(account)
        assert 0 < fees_wei <= receipt.gas_used * 10**11
    assert world.node.balance(world.address) == 0


def test_job_numbers_count_from_one(world: World) -> None:
    assert [world.open_job(), world.open_job()] == [1, 2]
    assert world.owner.job_count() == 2


def test_cancel_refunds_everything(world: World) -> None:
    job = world.filled_job()
    world.owner.cancel(job)
    assert world.last_event(job) == JobCancelled(job)
    assert world.owner.owed_to(job, account_of(world.owner)) == PARAMS.escrow_wei
    assert world.owner.owed_to(job, account_of(world.trainers[0])) == PARAMS.stake_wei


# Time-outs


def test_unfilled_job_is_cancelled_by_timeout(world: World) -> None:
    job = world.open_job()
    world.node.advance_time(PARAMS.join_window_s + 1)
    world.stranger.resolve_timeout(job)
    assert world.last_event(job) == JobCancelled(job)


def test_owner_silent_in_labels_loses_its_bond_to_the_seats(world: World) -> None:
    job = world.filled_job()
    world.node.advance_time(PARAMS.label_window_s + 1)
    world.stranger.resolve_timeout(job)
    assert world.last_event(job) == JobAborted(job, AbortReason.OWNER_SILENT)
    share = PARAMS.owner_bond_wei // 2
    assert world.owner.owed_to(job, account_of(world.trainers[0])) == PARAMS.stake_wei + share


def test_silent_trainer_is_evicted_and_unfilled_seat_aborts(world: World) -> None:
    job = world.started_job()
    evicted = account_of(world.trainers[0])
    world.node.advance_time(PARAMS.train_window_s + 1)
    world.stranger.resolve_timeout(job)
    assert world.last_event(job) == SeatVacated(job, 0, evicted, VacancyReason.SILENT)
    assert world.owner.owed_to(job, evicted) == PARAMS.stake_wei - PARAMS.silence_penalty_wei
    assert world.owner.job(job).phase is Phase.REFILL

    world.node.advance_time(PARAMS.join_window_s + 1)
    world.stranger.resolve_timeout(job)
    assert world.last_event(job) == JobAborted(job, AbortReason.SEAT_UNFILLED)


def test_owner_silent_in_review_accepts_the_round(world: World) -> None:
    job = world.committed_job()
    world.node.advance_time(PARAMS.review_window_s + 1)
    world.stranger.resolve_timeout(job)
    assert world.last_event(job) == RoundAcceptedByTimeout(job, 0)
    world.owner.release_labels(job, KEYS[1])
    assert world.last_event(job) == LabelsReleased(job, 1, KEYS[1])


def test_owner_aborts_a_job_with_a_vacant_seat(world: World) -> None:
    job = world.started_job()
    world.node.advance_time(PARAMS.train_window_s + 1)
    world.stranger.resolve_timeout(job)
    world.owner.abort(job)
    assert world.last_event(job) == JobAborted(job, AbortReason.OWNER_ABORTED)


# Refusals


def refused(name: str) -> "pytest.RaisesExc[RevertError]":
    return pytest.RaisesExc(RevertError, check=lambda e: e.name == name and bool(e.hint) and name in e.message)


def test_stale_head_is_refused_with_both_heads(world: World) -> None:
    job = world.started_job()
    stale = Head(b"\x09" * 32)
    with refused("StaleHead") as caught:
        world.trainers[0].commit(job, stale, MANIFEST, MARK)
    assert caught.value.values == {"given": stale, "current": world.owner.job(job).head}
    assert "read the job again" in caught.value.hint


def test_commit_out_of_turn_is_refused(world: World) -> None:
    job = world.started_job()
    with refused("NotYourTurn"):
        world.trainers[1].commit(job, world.owner.job(job).head, MANIFEST, MARK)


def test_accept_before_review_is_refused_and_names_the_phase(world: World) -> None:
    job = world.started_job()
    with refused("WrongPhase") as caught:
        world.owner.accept(job, world.owner.job(job).head, KEYS[1])
    assert "COMMIT" in caught.value.message


def test_stranger_acting_as_owner_is_refused(world: World) -> None:
    job = world.committed_job()
    with refused("NotOwner"):
        world.stranger.accept(job, world.owner.job(job).head, KEYS[1])
    with refused("NotOwner"):
        world.stranger.cancel(world.open_job())


def test_label_key_off_the_chain_is_refused(world: World) -> None:
    with refused("WrongLabelKey"):
        world.owner.release_labels(world.filled_job(), KEYS[1])


def test_join_is_refused_for_every_wrong_detail(world: World) -> None:
    job = world.open_job()
    first, second = world.trainers
    head, stake = first.genesis_of(job), PARAMS.stake_wei
    with refused("WrongGenesis"):
        first.join(job, Head(bytes(32)), 0, b"", stake)
    with refused("NoSuchSeat"):
        first.join(job, head, 2, b"", stake)
    with refused("KeyRecordTooLong"):
        first.join(job, head, 0, bytes(513), stake)
    with refused("WrongValue"):
        first.join(job, head, 0, b"", stake - 1)
    with refused("NotAllowed"):
        world.owner.join(job, head, 0, b"", stake)
    world.join(job, 0)
    with refused("SeatTaken"):
        second.join(job, head, 0, b"", stake)


def test_allow_list_keeps_others_out(world: World) -> None:
    first, second = world.trainers
    job = world.open_job(replace(PARAMS, allow_list=(account_of(first), account_of(second))))
    with refused("NotAllowed"):
        world.stranger.join(job, first.genesis_of(job), 0, b"", PARAMS.stake_wei)
    world.join(job, 0)


def test_early_and_late_calls_are_refused(world: World) -> None:
    job = world.started_job()
    with refused("TooEarly"):
        world.stranger.resolve_timeout(job)
    world.node.advance_time(PARAMS.train_window_s + 1)
    with refused("TooLate"):
        world.commit(job, 0)


def test_wrong_parameters_are_refused_by_field(world: World) -> None:
    with refused("InvalidParams") as caught:
        world.open_job(replace(PARAMS, rounds=0))
    assert caught.value.values == {"field": "rounds"}


def test_unknown_job_and_empty_withdrawal_are_refused(world: World) -> None:
    with refused("NoSuchJob"):
        world.owner.job(JobId(7))
    with refused("NothingOwed"):
        world.stranger.withdraw(world.open_job())


def test_refusal_costs_nothing(world: World) -> None:
    job = world.started_job()
    before = world.node.balance(account_of(world.trainers[0]))
    with pytest.raises(RevertError):
        world.trainers[0].commit(job, Head(bytes(32)), MANIFEST, MARK)
    assert world.node.balance(account_of(world.trainers[0])) == before


def test_poor_account_is_told_to_be_funded(world: World) -> None:
    poor = Contract(world.node, world.address, random_account())
    with pytest.raises(ChainError) as caught:
        poor.create_job(PARAMS)
    assert "fund" in caught.value.hint


def test_reading_needs_no_account_and_acting_does(world: World) -> None:
    job = world.open_job()
    reader = Contract(world.node, world.address)
    assert reader.job(job).phase is Phase.OPEN
    with pytest.raises(UsageError, match="cancel needs an account"):
        reader.cancel(job)


# Events and records


def test_events_are_ordered_complete_and_placed(world: World) -> None:
    job, other = world.committed_job(), world.open_job()
    world.owner.accept(job, world.owner.job(job).head, KEYS[1])
    events = world.owner.events(job)
    kinds = [type(logged.event) for logged in events]
    assert kinds == [JobCreated, SeatJoined, SeatJoined, LabelsReleased, Committed, Committed, RoundAccepted]
    assert events[0].event == JobCreated(job, account_of(world.owner), PARAMS)
    assert events[1].event == SeatJoined(job, 0, account_of(world.trainers[0]), b"keys of 0")
    assert events[-1].event == RoundAccepted(job, 0, KEYS[1])
    assert [logged.block_number for logged in events] == sorted({logged.block_number for logged in events})
    assert all(logged.event.job != other for logged in events)
    for logged in events:
        block = world.node.block(logged.block_number)
        assert (logged.block_hash, logged.block_timestamp) == (block.hash, block.timestamp)
        assert logged.gas_used == world.node.receipt(logged.tx_hash).gas_used
    assert events[4].tx_from == account_of(world.trainers[0])


def test_events_from_a_block_on(world: World) -> None:
    job = world.filled_job()
    events = world.owner.events(job)
    assert world.owner.events(job, events[1].block_number) == events[1:]
    assert world.owner.events(job, world.node.block_number() + 1) == ()


def test_record_round_trips(world: World) -> None:
    record = world.owner.record(world.committed_job())
    assert record_from_json(record_to_json(record)) == record
    assert record.blocks[1] == world.node.block_number()
    assert (record.source, record.chain_id) == (world.node.source, 31337)


def test_record_of_an_unknown_job_is_refused(world: World) -> None:
    with pytest.raises(UsageError, match="no creation of job 9"):
        world.owner.record(JobId(9))


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


def test_heads_recomputed_from_the_record_are_the_contracts(world: World) -> None:
    job = world.committed_job()
    recomputed = list(heads(world.owner.record(job)))
    assert recomputed[0] == world.owner.genesis_of(job)
    assert recomputed[-1] == world.owner.job(job).head
    assert len(recomputed) == 1 + PARAMS.seats


def scripted_record(node: Node) -> JobRecord:
    """A job whose accounts all come from one seed."""
    accounts = [funded(node, account_from_seed(b"the same", name)) for name in ("owner", "t0", "t1")]
    address, _ = deploy(node, accounts[0])
    owner, first, second = (Contract(node, address, account) for account in accounts)
    world = World(node, address, owner, (first, second), owner)
    return owner.record(world.committed_job())


def test_same_accounts_give_same_heads_on_every_node(anvil_url: str) -> None:
    with Node.embedded() as near, Node.connect(anvil_url) as far:
        near_record, far_record = scripted_record(near), scripted_record(far)
    assert near_record.contract == far_record.contract
    assert list(heads(near_record)) == list(heads(far_record))
    assert [logged.event for logged in near_record.events] == [logged.event for logged in far_record.events]


def test_embedded_runs_repeat_to_the_byte(capfd: pytest.CaptureFixture[str]) -> None:
    def run() -> bytes:
        with Node.embedded() as node:
            return record_to_json(scripted_record(node))

    assert run() == run()
    assert capfd.readouterr() == ("", "")


# Nodes that misbehave


class _Altered:
    """A chain whose answers pass through ``alter``: a simulator of nodes that limit, lag or lie."""

    source = "embedded"

    def __init__(self) -> None:
        self._chain = EmbeddedChain(31337)

    def request(self, method: str, params: Sequence[object] = ()) -> Any:
        return self.alter(method, params, self._chain.request(method, params))

    def alter(self, method: str, params: Sequence[object], answer: Any) -> Any:
        return answer

    def close(self) -> None:
        self._chain.close()


class _NarrowRange(_Altered):
    """Refuses to search more than three blocks at once."""

    def alter(self, method: str, params: Sequence[Any], answer: Any) -> Any:
        if method == "eth_getLogs" and int(params[0]["toBlock"], 16) - int(params[0]["fromBlock"], 16) > 2:
            raise RpcError(-32005, "query exceeds the maximum block range")
        return answer


class _ReplacedBlocks(_Altered):
    """Reports other block hashes than its logs do, as after a reorganisation."""

    def alter(self, method: str, params: Sequence[Any], answer: Any) -> Any:
        return answer | {"hash": "0x" + "ab" * 32} if method == "eth_getBlockByNumber" else answer


class _ForeignLog(_Altered):
    """Adds an event that the contract does not have."""

    def alter(self, method: str, params: Sequence[Any], answer: Any) -> Any:
        return [log | {"topics": ["0x" + "cd" * 32]} for log in answer] if method == "eth_getLogs" else answer


def one_job(node: Node) -> tuple[Contract, JobId]:
    account = funded(node, random_account())
    address, _ = deploy(node, account)
    contract = Contract(node, address, account)
    return contract, contract.create_job(PARAMS)[0]


def test_events_are_found_through_a_node_with_a_narrow_range() -> None:
    with Node(_NarrowRange()) as node:
        contract, job = one_job(node)
        node.wait_for_block(40)
        contract.cancel(job)
        assert [type(logged.event) for logged in contract.events(job)] == [JobCreated, JobCancelled]


def test_reader_rejects_events_of_replaced_blocks() -> None:
    with Node(_ReplacedBlocks()) as node:
        contract, job = one_job(node)
        with pytest.raises(ChainError, match="was replaced while reading"):
            contract.record(job)


def test_reader_rejects_an_event_that_the_contract_lacks() -> None:
    with Node(_ForeignLog()) as node:
        contract, job = one_job(node)
        with pytest.raises(ChainError, match="its ABI lacks"):
            contract.events(job)


# Nodes


def test_node_waits_for_a_later_block(node: Node) -> None:
    target = node.block_number() + 3
    node.wait_for_block(target)
    assert node.block_number() >= target
    assert len(node.block_hash(target)) == 32


def test_node_refuses_a_block_that_is_not_there(node: Node) -> None:
    with pytest.raises(ChainError, match="has no block"):
        node.block_hash(node.block_number() + 100)


def test_node_refuses_an_unknown_transaction(node: Node) -> None:
    with pytest.raises(ChainError, match="is not mined"):
        node.receipt(bytes(32))


def test_block_times_grow_and_the_clock_moves(node: Node) -> None:
    before = node.block().timestamp
    node.advance_time(500)
    assert node.block().timestamp >= before + 500
    numbers = range(node.block_number() + 1)
    times = [node.block(number).timestamp for number in numbers]
    assert times == sorted(times)


def test_funding_adds_to_the_balance(node: Node) -> None:
    address = Address(random_account().address)
    node.fund(address, 5)
    node.fund(address, 2)
    assert node.balance(address) == 7


RETURN_CHAIN_ID = bytes.fromhex("465f5260205f60205e60015f5d60206020f3")
"""Runtime code that stores CHAINID, copies it with MCOPY, writes transient storage and returns the copy."""


def test_chain_id_and_cancun_opcodes_inside_the_evm(node: Node) -> None:
    account = funded(node, random_account())
    size = len(RETURN_CHAIN_ID)
    creation = bytes.fromhex(f"60{size:02x}600c60003960{size:02x}6000f3") + RETURN_CHAIN_ID
    fields = {"type": 2, "chainId": node.chain_id, "nonce": node.nonce(Address(account.address)), "to": b""}
    fees = {"gas": 200_000, "maxFeePerGas": 10**10, "maxPriorityFeePerGas": 10**9, "value": 0, "data": creation}
    receipt = node.send(bytes(account.sign_transaction(fields | fees).raw_transaction))
    assert receipt.contract_address is not None
    assert node.code(receipt.contract_address) == RETURN_CHAIN_ID
    returned = node.call(Call(receipt.contract_address, b""))
    assert int.from_bytes(returned, "big") == node.chain_id == 31337


def test_transaction_signed_for_another_chain_is_refused(node: Node) -> None:
    account = funded(node, random_account())
    fields = {"type": 2, "chainId": 1, "nonce": 0, "to": bytes(20), "value": 0, "gas": 21_000}
    fees = {"maxFeePerGas": 10**10, "maxPriorityFeePerGas": 10**9}
    with pytest.raises(ChainError):
        node.send(bytes(account.sign_transaction(fields | fees).raw_transaction))


def test_embedded_chain_takes_another_id() -> None:
    with Node.embedded(chain_id=1) as node:
        assert (node.chain_id, node.is_local) == (1, True)
        account = funded(node, random_account())
        address, _ = deploy(node, account)
        contract = Contract(node, address, account)
        job, _ = contract.create_job(PARAMS)
        assert contract.genesis_of(job) == genesis(1, address, job, Address(account.address), PARAMS)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://user:secret@127.0.0.1:1/key", "ftp://x", "http://[", ""])
def test_unreachable_node_is_named_without_credentials(url: str) -> None:
    with pytest.raises(ChainError) as caught:
        Node.connect(url, timeout_s=2)
    assert caught.value.hint
    assert "secret" not in caught.value.diagnostics()
    assert "key" not in caught.value.message


class _Answering(BaseHTTPRequestHandler):
    """A web server that is no node: answers every POST with the path's words."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        status, _, body = unquote(self.path[1:]).partition("/")
        self.send_response(int(status))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, format: str, *args: object) -> None:
        """Stays silent."""


@pytest.fixture
def web_server() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), _Answering) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("answer", ["200/hello", "404/", "200/[]", "200/{}", '200/{"result":"no"}', '200/{"result":7}'])
def test_server_that_is_no_node_is_refused(web_server: str, answer: str) -> None:
    with pytest.raises(ChainError) as caught:
        Node.connect(f"{web_server}/{answer}")
    assert "JSON-RPC" in caught.value.hint


def test_public_chain_gives_no_coin_and_keeps_its_clock(web_server: str) -> None:
    with Node.connect(f'{web_server}/200/{{"result":"0x1"}}') as node:
        assert not node.is_local
        with pytest.raises(ChainError, match="cannot fund an account on chain 1"):
            node.fund(Address(random_account().address), 1)
        with pytest.raises(ChainError, match="cannot move the clock"):
            node.advance_time(1)


def test_missing_block_of_a_public_chain_is_waited_for_only_so_long(web_server: str) -> None:
    with Node.connect(f'{web_server}/200/{{"result":"0x1"}}') as node, pytest.raises(ChainError, match="did not come"):
        node.wait_for_block(5, timeout_s=0)
