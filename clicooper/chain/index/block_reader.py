"""Blocks, entries and receipts of one contract, by as few requests as the node allows.

Knows JSON-RPC and its limits; what the answers mean is ``page``'s business, and keeping them ``database``'s.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any, TypeVar

from clicooper.chain.index.database import TxRow
from clicooper.chain.index.page import ChainMoved, Page, block_txs, checked_page, suspects
from clicooper.chain.index.paging import Pager
from clicooper.chain.rpc.messages import INT64_BITS, Block, Header, Log, quantity
from clicooper.chain.rpc.node import Node
from clicooper.chain.rpc.patience import Patience, lacks_method, refuses_size
from clicooper.chain.rpc.transport import RequestTimeout, RpcError, TooLarge
from clicooper.errors import ChainError
from clicooper.types import Address

__all__ = ["BlockReader"]

MOST_CALLS = 100
"""Calls of one batch; public endpoints commonly allow that many."""

_Call = tuple[str, Sequence[object]]
_T = TypeVar("_T")


class BlockReader:
    """Reads for one contract from one node.

    Args:
        node: whom to ask.
        contract: whose entries.
        patience: how to wait for a node that limits its rate.
    """

    def __init__(self, node: Node, contract: Address, patience: Patience) -> None:
        self._node = node
        self._contract = contract
        self._patience = patience
        self._batch = MOST_CALLS
        self._block_receipts = True

    def latest(self) -> int:
        """The number of the latest block."""
        answer = self._patience.ask(lambda: self._node.ask("eth_blockNumber"))
        return self._read(lambda: quantity(answer, INT64_BITS))

    def pages(self, pager: Pager, parent: bytes | None, *, every_header: bool = False) -> Iterator[tuple[int, Page]]:
        """The pages of a walk, each with its last block, in order; pages that the node refuses are asked by halves.

        Args:
            parent: hash of the block before the first page; None where nothing is known of it.
            every_header: read every block's header, not only those that are needed, and look behind each bloom filter
                that admits entries where the node gave none.

        Raises:
            ChainMoved: the blocks were replaced while they were read.
            ChainError: the node does not answer, or contradicts itself.
        """
        for (first, last), logs in self._log_pages(pager):
            page = self._page(first, last, logs, parent, every_header)
            parent = page.headers[-1].hash
            yield last, page

    def _log_pages(self, pager: Pager) -> Iterator[tuple[tuple[int, int], Any]]:
        """The raw entries of each page; while one is worked on, the node already prepares the next."""
        with ThreadPoolExecutor(max_workers=1) as ahead:
            asked = self._asked_ahead(ahead, pager)
            while asked is not None and (span := pager.page) is not None:
                try:
                    logs = asked.result()
                except (TooLarge, RequestTimeout, RpcError) as e:
                    if not refuses_size(e):
                        raise
                    pager.refused()
                    asked = self._asked_ahead(ahead, pager)
                    continue
                pager.succeeded(self._read(lambda logs=logs: len(logs)))  # type: ignore[misc]
                asked = self._asked_ahead(ahead, pager)
                yield span, logs

    def _asked_ahead(self, ahead: Executor, pager: Pager) -> Future[Any] | None:
        return None if pager.page is None else ahead.submit(self._logs, pager.page)

    def _logs(self, span: tuple[int, int]) -> Any:
        return self._node.logs(self._contract, (), *span, patience=self._patience)

    def headers(self, numbers: Iterable[int]) -> list[Block]:
        """Blocks by number, in that order; raises ChainMoved if the node has none of that number."""
        wanted = list(numbers)
        answers = self._many([("eth_getBlockByNumber", (hex(number), False)) for number in wanted])
        if None in answers:
            number = wanted[answers.index(None)]
            raise ChainMoved(f"the node has no block {number} any more", hint="read again")
        headers = self._read(lambda: [Block.from_json(answer) for answer in answers])
        if [header.number for header in headers] != wanted:
            raise self._unusable("eth_getBlockByNumber")
        return headers

    def transactions(self, blocks: Sequence[tuple[Header, Sequence[Log]]]) -> Iterator[TxRow]:
        """The transactions behind all entries of these blocks, checked against the blocks' receipts.

        Raises:
            ChainMoved: a block was replaced.
            ChainError: the receipts hold other entries than those given.
        """
        for start in range(0, len(blocks), self._batch):
            part = blocks[start : start + self._batch]
            for (header, known), (receipts, complete) in zip(part, self._receipts(part), strict=True):
                yield from self._block_txs(header, receipts, known, complete)

    def _block_txs(self, header: Header, receipts: Any, known: Sequence[Log], complete: bool) -> list[TxRow]:
        if not isinstance(receipts, list) or None in receipts:
            raise ChainMoved(f"the node has no receipts of block {header.number} any more", hint="read again")
        return self._read(lambda: block_txs(self._contract, header, receipts, known, complete=complete))

    def _page(self, first: int, last: int, logs: Any, parent: bytes | None, every_header: bool) -> Page:
        found = self._read(lambda: {int(number, 16) for number in {log["blockNumber"] for log in logs}})
        if not all(first <= number <= last for number in found):
            raise ChainError(
                f"{self._node.source} gives events outside of blocks {first} to {last}", hint="ask another"
            )
        numbers = range(first, last + 1) if every_header else sorted({first, last} | found)
        headers = self.headers(numbers)
        page = self._read(lambda: checked_page(self._contract, headers, logs, parent))
        # A block whose filter admits entries that the node does not list: its receipts must bear that out.
        for _ in self.transactions([(header, ()) for header in suspects(self._contract, page)]):
            pass
        return page

    def _receipts(self, blocks: Sequence[tuple[Header, Sequence[Log]]]) -> list[tuple[Any, bool]]:
        """The receipts of each block, and whether those are all of it."""
        if self._block_receipts:
            try:
                answers = self._many([("eth_getBlockReceipts", (hex(header.number),)) for header, _ in blocks])
            except RpcError as e:
                if not lacks_method(e, "eth_getBlockReceipts"):
                    raise
                self._block_receipts = False
            else:
                return [(answer, True) for answer in answers]
        hashes = [list(dict.fromkeys(row.tx_hash for row in known)) for _, known in blocks]
        calls = [("eth_getTransactionReceipt", ("0x" + tx_hash.hex(),)) for block in hashes for tx_hash in block]
        singly = iter(self._many(calls))
        return [([next(singly) for _ in block], False) for block in hashes]

    def _many(self, calls: Sequence[_Call]) -> list[Any]:
        """All results in order, in batches that get smaller where the node refuses their size."""
        results: list[Any] = []
        while len(results) < len(calls):
            part = calls[len(results) : len(results) + self._batch]
            try:
                results += self._patience.ask(lambda part=part: self._asked(part))  # type: ignore[misc]
            except (TooLarge, RequestTimeout, RpcError) as e:
                if len(part) == 1 or not (refuses_size(e) or "batch" in e.message.lower()):
                    raise
                self._batch = (len(part) + 1) // 2
        return results

    def _asked(self, part: Sequence[_Call]) -> list[Any]:
        # One call goes alone: some nodes take no batches.
        return [self._node.ask(part[0][0], *part[0][1])] if len(part) == 1 else self._node.ask_many(part)

    def _read(self, read: Callable[[], _T]) -> _T:
        try:
            return read()
        except (AttributeError, LookupError, OverflowError, TypeError, ValueError) as e:
            raise self._unusable("what was asked of it") from e
        except ChainMoved:
            raise
        except ChainError as e:
            raise ChainError(f"{self._node.source}: {e.message}", hint=e.hint) from e

    def _unusable(self, method: str) -> ChainError:
        hint = "give the address of an EVM node's JSON-RPC port"
        return ChainError(f"{self._node.source} gives an unusable answer to {method}", hint=hint)
