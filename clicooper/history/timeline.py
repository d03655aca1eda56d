"""What happened in a job, told from its record: every entry with its block, time, sender, gas and digests; and the
training loss that replay confirmed. For people; nothing here is judged.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import Any

from clicooper.chain.events import (
    Challenged,
    ChallengeLapsed,
    Committed,
    EquivocationProven,
    Event,
    JobAborted,
    JobCancelled,
    JobCreated,
    LabelsReleased,
    LoggedEvent,
    MarkOpened,
    ReplacementNamed,
    RoundAccepted,
    RoundAcceptedByTimeout,
    Ruled,
    SeatJoined,
    SeatVacated,
    Withdrawn,
)
from clicooper.chain.record import JobRecord
from clicooper.commitments.canonical import cid_of_digest
from clicooper.storage.ipld.cid import cid_text
from clicooper.types import ACCUSED_OWNER

__all__ = ["Timeline", "TimelineEntry", "make_timeline"]

Losses = Mapping[int, tuple[tuple[int, float], ...]]


@dataclass(frozen=True)
class TimelineEntry:
    """One event in words.

    Attributes:
        kind: ``owner``, ``seats``, ``disputes`` or ``money``: whose business it is.
        round: the round that it belongs to; None before the first and after the last.
        time_s: its block's timestamp, seconds since the epoch.
        digests: what a reader may want to copy, by name.
    """

    what: str
    kind: str
    round: int | None
    block: int
    time_s: int
    sender: str
    gas: int
    digests: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Timeline:
    """A job's entries in order, and by round the loss (nats) of every step that replay confirmed."""

    chain_id: int
    contract: str
    job: int
    entries: tuple[TimelineEntry, ...]
    losses: Losses = field(default_factory=lambda: MappingProxyType({}))


def make_timeline(record: JobRecord, heads: Mapping[int, str], losses: Losses) -> Timeline:
    """The story of a record.

    Args:
        heads: heads that commitments made, as hex, by the place of their event in the record.
    """
    entries, round_ = [], None
    for place, logged in enumerate(record.events):
        event = logged.event
        if isinstance(event, LabelsReleased):
            round_ = event.round
        entries.append(_entry(logged, round_, heads.get(place)))
        if isinstance(event, (RoundAccepted, RoundAcceptedByTimeout)):
            # An owner's acceptance releases the next labels too.
            last = event.round + 1 == _rounds(record)
            round_ = None if last else event.round + 1
    return Timeline(record.chain_id, record.contract, record.job, tuple(entries), losses)


def _rounds(record: JobRecord) -> int:
    first = record.events[0].event
    return first.params.rounds if isinstance(first, JobCreated) else 0


def _entry(logged: LoggedEvent, round_: int | None, head: str | None) -> TimelineEntry:
    event = logged.event
    digests = [*_digests(event), *([("head", head)] if head else [])]
    digests += [("transaction", _hex(logged.tx_hash)), ("block hash", _hex(logged.block_hash))]
    place = logged.block_number, logged.block_timestamp, logged.tx_from, logged.gas_used
    return TimelineEntry(_words(event), _KINDS[type(event)], round_, *place, tuple(digests))


def _hex(digest: bytes) -> str:
    return "0x" + digest.hex()


def _digests(event: Event) -> list[tuple[str, str]]:
    match event:
        case JobCreated():
            spec = cid_text(cid_of_digest(event.params.spec_digest))
            return [("spec", spec), ("label anchor", _hex(event.params.label_anchor))]
        case LabelsReleased() | RoundAccepted():
            return [("label key", _hex(event.label_key))]
        case Committed():
            manifest = cid_text(cid_of_digest(event.manifest_digest))
            return [("manifest", manifest), ("mark commitment", _hex(event.mark_commitment))]
        case Challenged():
            return [("challenge", _hex(event.challenge_id)), ("evidence", _hex(event.evidence_digest))]
        case Ruled() | ChallengeLapsed():
            return [("challenge", _hex(event.challenge_id))]
        case _:
            return []


def _words(event: Event) -> str:
    """One event as a sentence without its subject's address, which stands beside it."""
    return _SENTENCES[type(event)](event)


def _named(value: Enum) -> str:
    return value.name.lower().replace("_", " ")


def _accused(seat: int) -> str:
    return "the owner" if seat == ACCUSED_OWNER else f"seat {seat}"


_SENTENCES: Mapping[type[Any], Callable[[Any], str]] = {
    JobCreated: lambda _: "the owner opened the job and locked its escrow",
    SeatJoined: lambda e: f"a trainer took seat {e.seat} and locked its stake",
    LabelsReleased: lambda e: f"the owner released the labels of round {e.round}",
    Committed: lambda e: f"seat {e.seat} committed its segment of round {e.round}",
    RoundAccepted: lambda e: f"the owner accepted and paid round {e.round}",
    RoundAcceptedByTimeout: lambda e: f"round {e.round} was accepted, since its owner was silent",
    SeatVacated: lambda e: f"seat {e.seat} became vacant: {_named(e.reason)}",
    ReplacementNamed: lambda e: f"the owner named a replacement for seat {e.seat}",
    Challenged: lambda e: f"{_accused(e.accused)} was challenged: {_named(e.ground)}",
    Ruled: lambda e: f"the arbiter ruled: {'guilty' if e.guilty else 'not guilty'}",
    ChallengeLapsed: lambda _: "the arbiter was silent and the challenge lapsed",
    EquivocationProven: lambda e: f"seat {e.seat} was shown to have signed two things",
    MarkOpened: lambda e: f"the mark of seat {e.seat} in round {e.round} was opened",
    JobCancelled: lambda _: "the owner cancelled the job",
    JobAborted: lambda e: f"the job was aborted: {_named(e.reason)}",
    Withdrawn: lambda e: f"{e.amount_wei:,} wei were withdrawn",
}

_KINDS: Mapping[type[Any], str] = {
    **dict.fromkeys((JobCreated, LabelsReleased, RoundAccepted, RoundAcceptedByTimeout, ReplacementNamed), "owner"),
    **dict.fromkeys((SeatJoined, Committed, MarkOpened), "seats"),
    **dict.fromkeys((Challenged, Ruled, ChallengeLapsed, EquivocationProven, SeatVacated), "disputes"),
    **dict.fromkeys((Withdrawn, JobCancelled, JobAborted), "money"),
}
