"""A contract's whole history from a node into a file or this process's memory, and every job's record out of that.

This is the one reader of the chain: every role takes an index as a parameter, and those of one process share it.
``RecordIndex.sync`` reads what is new, page by page, and can be stopped or killed at any moment. Blocks within
``finality`` of the tip are read with every header and are provisional: where the chain replaces them, the index goes
back to the fork. A block that was final never changes; a node that says so is refused. What one node says may still be
a lie: ``cross_check`` compares several.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from clicooper.chain._abi import Abi
from clicooper.chain.compile import load_artifact
from clicooper.chain.events import Event, JobCreated, LoggedEvent, event_from_abi
from clicooper.chain.index.block_reader import BlockReader
from clicooper.chain.index.database import IndexDb, TxRow
from clicooper.chain.index.page import ChainMoved, Page
from clicooper.chain.index.paging import Pager
from clicooper.chain.record import JobRecord
from clicooper.chain.rpc.messages import Header, Log, to_address
from clicooper.chain.rpc.node import Node
from clicooper.chain.rpc.patience import Patience
from clicooper.errors import ChainError, UsageError
from clicooper.types import Address, Digest, JobId

__all__ = ["DEFAULT_FINALITY", "IN_MEMORY", "Coverage", "RecordIndex"]

IN_MEMORY: Final = Path(":memory:")
"""In the place of a file: an index that ends with its process."""

DEFAULT_FINALITY = 64
"""Two epochs of Ethereum's proof of stake, after which a block is final unless a third of all stake is at fault."""

MOST_REORGS = 10
_COMPARED = 32
_TOPIC_BYTES = 32


@dataclass(frozen=True)
class Coverage:
    """What an index holds.

    Args:
        first: first block that was read.
        last: last block that was read; ``first - 1`` before the first page.
        final: last block that cannot change any more; events after it are provisional.
    """

    first: int
    last: int
    final: int


class RecordIndex:
    """One contract's events. Use as a context manager, or call ``close``.

    Args:
        path: the SQLite file, made if it is not there; or ``IN_MEMORY``.
        node: the chain.
        contract: whose events.
        first_block: where its history starts: the block of its deployment, or any before; None takes what the file
            says, or 0 for a new one.
        finality: how many blocks below the latest a block is final; 0 for a chain that replaces none.
        every_header: read every header of all blocks, so that a block whose events the node keeps back as a whole is
            found in old blocks, too; costs one call a block.
        patience: how to wait for a node that limits its rate.

    Raises:
        StorageError: the file is damaged, or of another contract, chain or first block.
    """

    def __init__(
        self,
        path: Path,
        node: Node,
        contract: Address,
        first_block: int | None = None,
        *,
        finality: int = DEFAULT_FINALITY,
        every_header: bool = False,
        patience: Patience | None = None,
    ) -> None:
        self._node = node
        self.contract = contract
        self._finality = finality
        self._every_header = every_header
        self._reader = BlockReader(node, contract, patience or Patience())
        self._abi = Abi(load_artifact().abi)
        self._db = IndexDb(path, {"chain_id": str(node.chain_id), "contract": contract}, first_block)
        self._first = self._db.first_block

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Closes the file; the node stays open."""
        self._db.close()

    @property
    def source(self) -> str:
        """The node."""
        return self._node.source

    @property
    def chain_id(self) -> int:
        """The node's chain."""
        return self._node.chain_id

    def block_hash(self, number: int) -> Digest:
        """The hash of a block that is kept: the last one, or one with events; raises ChainError for any other."""
        header = self._db.header(number)
        if header is None:
            raise ChainError(f"the index keeps no block {number}", hint="ask for one that holds events")
        return header.hash

    @property
    def coverage(self) -> Coverage:
        """What is read."""
        last, final = self._db.last_block, self._db.final_block
        nothing = self._first - 1
        return Coverage(self._first, nothing if last is None else last, nothing if final is None else final)

    def sync(self, block: int = 0) -> Coverage:
        """Reads up to the latest block, and takes back what the chain has replaced since.

        Args:
            block: one that somebody has seen, such as that of a transaction just mined: waits for a node behind it.

        Raises:
            ChainError: the node lags behind ``block`` or what was final, contradicts itself or the final blocks, or
                does not answer. Everything that was read before stays.
            StorageError: the file cannot be written.
        """
        for _ in range(MOST_REORGS):
            try:
                latest = self._reader.latest()
                if latest < block:
                    self._node.wait_for_block(block)
                    continue
                self._roll_back(latest)
                self._read_to(latest)
            except ChainMoved:
                continue
            return self.coverage
        hint = "the node's blocks change faster than they can be read: ask another node"
        raise ChainError(f"{self._node.source} replaced blocks {MOST_REORGS} times while they were read", hint=hint)

    def jobs(self) -> tuple[JobId, ...]:
        """The numbers of all jobs in the blocks that are read."""
        return tuple(map(JobId, self._db.jobs()))

    def record(self, job: JobId) -> JobRecord:
        """A job's record out of the blocks that are read.

        Senders and gas of its transactions are asked of the node the first time, together with all entries of their
        blocks: what the node kept back of them then is found now.

        Raises:
            UsageError: there is no such job in these blocks.
            ChainError: the receipts contradict the entries, or an event is not the contract's.
        """
        events = tuple(self.events(job))
        coverage = self.coverage
        blocks = (coverage.first, coverage.last)
        if not events or not isinstance(events[0].event, JobCreated):
            hint = "check the job number, and that the search starts before the job"
            raise UsageError(f"no creation of job {job} in blocks {blocks[0]} to {blocks[1]}", hint=hint)
        return JobRecord(self._node.source, self._node.chain_id, self.contract, job, blocks, events)

    def events(self, job: JobId) -> Iterator[LoggedEvent]:
        """A job's events in chain order, one at a time; asks and raises as ``record``."""
        self._complete(job)
        txs = self._db.txs_of(job)
        return (self._logged(log, header, txs[log.tx_hash]) for log, header in self._db.logs_of(job))

    def bare_events(self, job: JobId) -> Iterator[Event]:
        """A job's events in chain order, one at a time, without places, senders and gas; asks the node nothing.

        Raises:
            ChainError: an event is not the contract's.
        """
        return (self._event(topics, data) for topics, data in self._db.bare_logs_of(job))

    def _read_to(self, latest: int) -> None:
        """Old blocks by wide pages, then the provisional ones with every header."""
        final = max(latest - self._finality, self._first - 1)
        # Blocks that are already read may be newer than what is final now.
        self._read(final, final, every_header=self._every_header)
        self._read(latest, final, every_header=True)

    def _read(self, last: int, final: int, *, every_header: bool) -> None:
        start = self.coverage.last + 1
        before = self._db.header(start - 1)
        parent = None if before is None else before.hash
        for end, page in self._reader.pages(Pager(start, last), parent, every_header=every_header):
            self._check_topics(page)
            self._db.add_page(start, end, page.headers, page.logs, min(final, end))
            start = end + 1

    def _check_topics(self, page: Page) -> None:
        for topic, block in {log.topics[:_TOPIC_BYTES]: log.block for log in page.logs}.items():
            if not self._abi.has_event(topic):
                hint = "compare its code: clicooper contract verify ADDRESS"
                raise ChainError(f"block {block} holds an event that the contract's ABI lacks", hint=hint)

    def _roll_back(self, latest: int) -> None:
        """Goes back to the last block that the node's chain still has."""
        coverage = self.coverage
        if coverage.last < coverage.first:
            return
        fork = self._fork(latest)
        if fork is None or fork < coverage.final:
            hint = f"the node lags or lies, or this is another chain: ask another node, or remove {self._db.path}"
            raise ChainError(f"{self._node.source} does not have block {coverage.final} as it was final", hint=hint)
        if fork < coverage.last:
            self._db.roll_back(fork)

    def _fork(self, latest: int) -> int | None:
        kept = (header for header in self._db.headers_down() if header.number <= latest)
        # Mostly nothing was replaced, so that the newest block is asked for alone.
        size = 1
        while part := list(islice(kept, size)):
            said = self._reader.headers(header.number for header in part)
            for own, other in zip(part, said, strict=True):
                if own.hash == other.hash:
                    return own.number
            if part[-1].number < self.coverage.final:
                return None
            size = _COMPARED
        return None

    def _complete(self, job: JobId) -> None:
        missing: list[Header] = self._db.blocks_without_txs(job)
        for start in range(0, len(missing), _COMPARED):
            part = [(header, self._db.logs_in(header.number)) for header in missing[start : start + _COMPARED]]
            self._db.add_txs(list(self._reader.transactions(part)))

    def _event(self, topics: bytes, data: bytes) -> Event:
        return event_from_abi(*self._abi.decode_event(topics, data))

    def _logged(self, log: Log, header: Header, tx: TxRow) -> LoggedEvent:
        return LoggedEvent(
            event=self._event(log.topics, log.data),
            block_number=log.block,
            block_hash=header.hash,
            block_timestamp=header.timestamp,
            tx_hash=Digest(log.tx_hash),
            log_index=log.log_index,
            tx_from=to_address(tx.sender),
            gas_used=tx.gas_used,
        )
