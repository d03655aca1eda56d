"""A record from a file beside the chain: whether every event stands there as the file says, and none is left out."""

from dataclasses import asdict, dataclass
from itertools import zip_longest
from typing import Any

from clicooper.chain.events import LoggedEvent
from clicooper.chain.index.record_index import RecordIndex
from clicooper.chain.record import JobRecord
from clicooper.errors import ChainError, RecordError
from clicooper.types import Digest

__all__ = ["Confirmation", "confirm_record"]

_HINT = "read the record from a node instead; if another node confirms this one, the first node lies"


@dataclass(frozen=True)
class Confirmation:
    """Against what a record was compared.

    Args:
        source: the node.
        block: the last block that was read of it.
        block_hash: of that block.
        later_events: how many events of the job stand on the chain after the record's last block.
        provisional_events: how many of the record's events stand in blocks that may still be replaced.
    """

    source: str
    block: int
    block_hash: Digest
    later_events: int
    provisional_events: int

    def to_json(self) -> dict[str, Any]:
        """The object that ``audit --json`` prints."""
        return asdict(self) | {"block_hash": "0x" + self.block_hash.hex()}


def confirm_record(record: JobRecord, index: RecordIndex) -> Confirmation:
    """Compares every field of every event with what the index, brought up to date, holds.

    Raises:
        RecordError: an event is not on the chain, differs, or is left out of the record.
        ChainError: the node has not yet reached the record's last block, is of another chain, or cannot be read: the
            record is neither confirmed nor refuted.
    """
    if (index.chain_id, index.contract) != (record.chain_id, record.contract):
        what = f"the record is of contract {record.contract} on chain {record.chain_id}"
        raise ChainError(
            f"{what}, not {index.contract} on chain {index.chain_id}", hint="name the record's own network"
        )
    coverage = index.sync()
    if coverage.last < record.blocks[1]:
        what = f"{index.source} is at block {coverage.last}, the record reaches block {record.blocks[1]}"
        raise ChainError(what, hint="wait until it has caught up, or ask another node")
    events = tuple(index.events(record.job))
    later = sum(logged.block_number > record.blocks[1] for logged in events)
    _compare(record.events, events[: len(events) - later])
    provisional = sum(logged.block_number > coverage.final for logged in record.events)
    return Confirmation(index.source, coverage.last, index.block_hash(coverage.last), later, provisional)


def _compare(said: tuple[LoggedEvent, ...], found: tuple[LoggedEvent, ...]) -> None:
    for own, other in zip_longest(said, found):
        if own == other:
            continue
        if own is None or (other is not None and _place(other) < _place(own)):
            raise RecordError(f"the record leaves out {_named(other)}", hint=_HINT)
        if other is None or _place(own) < _place(other):
            raise RecordError(f"the chain does not have {_named(own)}", hint=_HINT)
        differing = [name for name, value in vars(own).items() if value != getattr(other, name)]
        raise RecordError(f"{_named(own)} has another {', '.join(differing)} on the chain", hint=_HINT)


def _place(logged: LoggedEvent) -> tuple[int, int]:
    return logged.block_number, logged.log_index


def _named(logged: LoggedEvent) -> str:
    return f"{type(logged.event).__name__} in block {logged.block_number}, log {logged.log_index}"
