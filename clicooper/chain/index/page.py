"""What a node says about a page of blocks, and whether it can be true: pure checks of raw answers.

A node may drop, repeat, alter or invent entries. Checked here: every header continues the one before, every entry
stands in a block that the node itself names, no entry says two things, every block's bloom filter admits its entries,
and, where all entries of a block are at hand, that they are numbered without a gap and hold all of the contract's.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from eth_utils import keccak

from clicooper.chain.index.database import TxRow
from clicooper.chain.rpc.messages import INT64_BITS, Block, Header, Log, from_hex, quantity
from clicooper.errors import ChainError
from clicooper.types import Address

__all__ = ["ChainMoved", "Page", "block_txs", "bloom_mask", "checked_page", "log_rows", "suspects"]

_INT64_MAX = 2**63 - 1
_TWO_TOPICS = 64


class ChainMoved(ChainError):
    """The node's answers belong to two chains: blocks were replaced in between."""


@dataclass(frozen=True)
class Page:
    """A checked page: the headers that are kept, and the contract's entries in chain order."""

    headers: tuple[Block, ...]
    logs: tuple[Log, ...]


def checked_page(
    address: Address, headers: Sequence[Block], logs: Iterable[Mapping[str, Any]], parent: bytes | None
) -> Page:
    """The page, if its parts agree.

    Args:
        headers: in order of their numbers: the page's first and last, and every block with an entry.
        parent: hash of the block before the page; None where nothing is known of it.

    Raises:
        ChainMoved: a block was replaced while the page was read.
        ChainError: the node contradicts itself, or gives what was not asked for.
    """
    if parent is not None and headers[0].parent_hash != parent:
        raise _moved(headers[0].number)
    for before, after in pairwise(headers):
        if after.number == before.number + 1 and after.parent_hash != before.hash:
            raise _moved(after.number)
    rows = log_rows(address, {header.number: header.hash for header in headers}, logs)
    _check_blooms(bloom_mask(address), headers, rows)
    return Page(tuple(headers), rows)


def log_rows(address: Address, hashes: Mapping[int, bytes], logs: Iterable[Mapping[str, Any]]) -> tuple[Log, ...]:
    """Raw entries as rows in chain order, repeated ones once.

    Args:
        hashes: of the blocks that the entries may stand in, by number.

    Raises:
        ChainMoved: an entry stands in another block of that number, or was removed with its block.
        ChainError: it is another contract's, or two entries of one place differ.
    """
    places = {hex(number): "0x" + block_hash.hex() for number, block_hash in hashes.items()}
    wanted = address.lower()
    rows: dict[tuple[int, int], Log] = {}
    for log in logs:
        if log["blockHash"].lower() != places.get(log["blockNumber"]) or log.get("removed"):
            raise _moved(int(log["blockNumber"], 16))
        row = Log.from_json(log)
        if log["address"].lower() != wanted:
            raise ChainError(f"block {row.block} holds an event of another contract", hint="ask another node")
        if len(row.topics) < _TWO_TOPICS or row.job > _INT64_MAX:
            raise ValueError("no event of this contract")
        if rows.setdefault((row.block, row.log_index), row) != row:
            what = f"the node says two things of log {row.log_index} in block {row.block}"
            raise ChainError(what, hint="ask another node: this one cannot be believed")
    return tuple(rows[place] for place in sorted(rows))


def _check_blooms(mask: int, headers: Sequence[Block], rows: Sequence[Log]) -> None:
    with_logs = {row.block for row in rows}
    for header in headers:
        number, bloom = header.number, header.bloom
        if bloom is not None and number in with_logs and bloom & mask != mask:
            hint = "ask another node: this one cannot be believed"
            raise ChainError(f"the node invents events: block {number} has none of this contract", hint=hint)


def suspects(address: Address, page: Page) -> tuple[Block, ...]:
    """Blocks without an entry whose bloom filter admits one: by chance, or because the node kept it back."""
    mask = bloom_mask(address)
    with_logs = {row.block for row in page.logs}
    return tuple(
        header
        for header in page.headers
        if header.number not in with_logs and header.bloom is not None and header.bloom & mask == mask
    )


def bloom_mask(address: Address) -> int:
    """The three bits of a 2048-bit block filter that a contract's address sets (Ethereum Yellow Paper, 4.3.1)."""
    digest = keccak(hexstr=address)
    bits = (int.from_bytes(digest[i : i + 2], "big") % 2048 for i in (0, 2, 4))
    mask = 0
    for bit in bits:
        mask |= 1 << bit
    return mask


def block_txs(
    address: Address, header: Header, receipts: Sequence[Mapping[str, Any]], known: Sequence[Log], *, complete: bool
) -> list[TxRow]:
    """The senders and gas of a block's transactions, if its receipts hold exactly the entries that are known.

    Args:
        complete: whether these are all receipts of the block, so that its entries must be numbered without a gap.

    Raises:
        ChainMoved: a receipt is of another block.
        ChainError: entries are missing or differ.
    """
    wanted = address.lower()
    logs = [log for receipt in receipts for log in receipt["logs"]]
    own = log_rows(address, {header.number: header.hash}, (log for log in logs if log["address"].lower() == wanted))
    numbers = [int(log["logIndex"], 16) for log in logs]
    gap = complete and numbers != list(range(len(numbers)))
    if gap or sorted(own) != sorted(known):
        missing = f"{len(known)} of its events were listed, its receipts hold {len(own)}"
        hint = "the node keeps events back or invents them: remove the index and ask another one"
        raise ChainError(f"block {header.number} is not read in full: {missing}", hint=hint)
    used = {row.tx_hash for row in known}
    rows = ((from_hex(r["transactionHash"]), r) for r in receipts)
    return [
        TxRow(tx_hash, from_hex(r["from"]), quantity(r["gasUsed"], INT64_BITS))
        for tx_hash, r in rows
        if tx_hash in used
    ]


def _moved(number: int) -> ChainMoved:
    return ChainMoved(f"block {number} was replaced while it was read", hint="read again")
