"""The contract as typed calls: acts that send transactions, views, and a job's events.

Every act is simulated first, so that a refusal costs nothing and arrives as a ``RevertError`` with the contract's own
error name. Keys stay in this process. What a party *should* do is the protocol's business.
"""

from typing import Any

from clicooper.chain._abi import Abi
from clicooper.chain._messages import Call, Log, Receipt
from clicooper.chain._reverts import explain
from clicooper.chain._transact import sender_of, transact
from clicooper.chain._transport import RpcError
from clicooper.chain.compile import load_artifact
from clicooper.chain.events import JobCreated, LoggedEvent, event_from_abi
from clicooper.chain.keys import LocalAccount
from clicooper.chain.record import JobRecord
from clicooper.chain.rpc import Node
from clicooper.chain.views import JobState, SeatState
from clicooper.commitments.head import params_to_abi
from clicooper.errors import ChainError, UsageError
from clicooper.types import ZERO_ADDRESS, Address, Digest, Head, JobId, JobParams

__all__ = ["Contract", "JobState", "Receipt", "SeatState"]


class Contract:
    """One deployed contract, seen from one account.

    Args:
        node: the chain.
        address: where the contract is.
        account: who acts; None for reading only.
        first_block: where the search for events starts by default; the block of the deployment saves a long scan.

    Raises:
        ChainError: there is no contract at that address. Without this check a call would send coin into the void.
    """

    def __init__(self, node: Node, address: Address, account: LocalAccount | None = None, first_block: int = 0) -> None:
        if not node.code(address):
            hint = "check the address and the network; deploy with: clicooper deploy"
            raise ChainError(f"no contract at {address} on chain {node.chain_id}", hint=hint)
        self.node = node
        self.address = address
        self.account = account
        self.first_block = first_block
        self._abi = Abi(load_artifact().abi)

    def create_job(self, params: JobParams) -> tuple[JobId, Receipt]:
        """Opens a job. In the native coin the call carries the escrow; a token must have been approved before."""
        value_wei = params.escrow_wei if params.token == ZERO_ADDRESS else 0
        receipt = self._transact("createJob", params_to_abi(params), value_wei=value_wei)
        for log in receipt.logs:
            if log.address == self.address:
                event = event_from_abi(*self._abi.decode_event(log.topics, log.data))
                if isinstance(event, JobCreated):
                    return event.job, receipt
        raise ChainError("the new job's event is missing from its receipt", hint="ask another node")

    def cancel(self, job: JobId) -> Receipt:
        """Takes the job back before its first label key."""
        return self._transact("cancel", job)

    def join(self, job: JobId, genesis: Head, seat: int, key_record: bytes, stake_wei: int) -> Receipt:
        """Takes a free seat.

        Args:
            job: which one.
            genesis: its first head, as the trainer computed it from the parameters that it agreed to.
            seat: counted from 0.
            key_record: at most 512 bytes.
            stake_wei: coin to send along: the job's stake, or 0 where the job pays in a token.
        """
        return self._transact("join", job, genesis, seat, key_record, value_wei=stake_wei)

    def release_labels(self, job: JobId, key: Digest) -> Receipt:
        """Reveals the label key that is due."""
        return self._transact("releaseLabels", job, key)

    def commit(self, job: JobId, head: Head, manifest_digest: Digest, mark_commitment: Digest) -> Receipt:
        """Commits this account's segment on top of ``head``."""
        return self._transact("commit", job, head, manifest_digest, mark_commitment)

    def accept(self, job: JobId, head: Head, label_key: Digest) -> Receipt:
        """Accepts the round that ends in ``head`` and reveals the next label key."""
        return self._transact("accept", job, head, label_key)

    def abort(self, job: JobId) -> Receipt:
        """Gives up on a vacant seat."""
        return self._transact("abort", job)

    def resolve_timeout(self, job: JobId) -> Receipt:
        """Takes the exit of the current phase, once its deadline has passed."""
        return self._transact("resolveTimeout", job)

    def withdraw(self, job: JobId) -> Receipt:
        """Pays this account all that the job owes it."""
        return self._transact("withdraw", job)

    def genesis_of(self, job: JobId) -> Head:
        """The job's first head."""
        return Head(self._view("genesisOf", job))

    def job(self, job: JobId) -> JobState:
        """Where the job stands; raises RevertError ``NoSuchJob`` if there is none."""
        return JobState.from_abi(self._view("jobOf", job))

    def job_count(self) -> int:
        """How many jobs there are; they are numbered from 1."""
        return int(self._view("jobCount"))

    def seat(self, job: JobId, seat: int) -> SeatState:
        """Who holds a seat."""
        return SeatState.from_abi(self._view("seatOf", job, seat))

    def round_head(self, job: JobId, round_: int) -> Head:
        """The head in which an accepted round ended; zero for one that is not accepted."""
        return Head(self._view("roundHead", job, round_))

    def owed_to(self, job: JobId, account: Address) -> int:
        """What ``withdraw`` would pay the account now, in wei or the token's smallest unit."""
        return int(self._view("owedTo", job, account))

    def events(self, job: JobId, from_block: int | None = None) -> tuple[LoggedEvent, ...]:
        """The job's events in chain order, from ``from_block`` (the contract's ``first_block`` by default) on.

        Raises:
            ChainError: the chain reorganised in between, or an event is not the contract's.
        """
        first = self.first_block if from_block is None else from_block
        return self._read_events(job, first, self.node.block_number())

    def record(self, job: JobId) -> JobRecord:
        """All that has happened in a job, to keep and to audit.

        Raises:
            UsageError: there is no such job in the blocks searched.
            ChainError: as for ``events``.
        """
        last = self.node.block_number()
        events = self._read_events(job, self.first_block, last)
        if not events or not isinstance(events[0].event, JobCreated):
            hint = "check the job number, and that the search starts before the job"
            raise UsageError(f"no creation of job {job} in blocks {self.first_block} to {last}", hint=hint)
        blocks = (self.first_block, last)
        return JobRecord(self.node.source, self.node.chain_id, self.address, job, blocks, events)

    def _read_events(self, job: JobId, first: int, last: int) -> tuple[LoggedEvent, ...]:
        topics = [None, job.to_bytes(32, "big")]
        logs = self.node.logs(self.address, topics, first, last) if first <= last else ()
        times = {number: self._confirmed_time(log) for number, log in {log.block_number: log for log in logs}.items()}
        receipts = {tx_hash: self.node.receipt(tx_hash) for tx_hash in dict.fromkeys(log.tx_hash for log in logs)}
        return tuple(self._logged(log, times[log.block_number], receipts[log.tx_hash]) for log in logs)

    def _confirmed_time(self, log: Log) -> int:
        block = self.node.block(log.block_number)
        if block.hash != log.block_hash:
            raise ChainError(f"block {log.block_number} was replaced while reading", hint="read again")
        return block.timestamp

    def _logged(self, log: Log, timestamp: int, receipt: Receipt) -> LoggedEvent:
        return LoggedEvent(
            event=event_from_abi(*self._abi.decode_event(log.topics, log.data)),
            block_number=log.block_number,
            block_hash=log.block_hash,
            block_timestamp=timestamp,
            tx_hash=log.tx_hash,
            log_index=log.log_index,
            tx_from=receipt.sender,
            gas_used=receipt.gas_used,
        )

    def _transact(self, name: str, *args: object, value_wei: int = 0) -> Receipt:
        if self.account is None:
            raise UsageError(f"{name} needs an account", hint="choose one with --account")
        call = Call(self.address, self._abi.encode_call(name, args), sender_of(self.account), value_wei)
        try:
            return transact(self.node, self.account, call)
        except RpcError as e:
            raise explain(e, self._abi, name) from e

    def _view(self, name: str, *args: object) -> Any:
        try:
            data = self.node.call(Call(self.address, self._abi.encode_call(name, args)))
        except RpcError as e:
            raise explain(e, self._abi, name) from e
        return self._abi.decode_result(name, data)
