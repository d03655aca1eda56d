"""What the chain says about grants: who joined with which, whose secret is whose, and whether a seat's grant holds.

A job whose files its owner cannot open is worthless to it, so that every seat's grant is opened before the first
label key is revealed. What a grant lets its holder do is the business of ``audit.grants``.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence

from multiformats import CID

from clicooper.access.grants import AuditKeys, Grant, open_grant
from clicooper.access.sealing import secret_digest
from clicooper.chain.events import LoggedEvent, SeatJoined
from clicooper.commitments.manifest import KeyRecord
from clicooper.errors import ArtifactCorrupt, ArtifactMissing, GrantRefused, SealError, SpecError
from clicooper.storage.base import Store
from clicooper.types import Head

__all__ = ["grant_of_seat", "holders_of", "open_seat_grant", "recipient_of_seat"]


def holders_of(events: Sequence[LoggedEvent]) -> tuple[SeatJoined, ...]:
    """Everybody who ever joined, in order; the last one of a seat holds it, unless it is vacant."""
    return tuple(logged.event for logged in events if isinstance(logged.event, SeatJoined))


def recipient_of_seat(joined: SeatJoined) -> str:
    """The age recipient that a trainer registered.

    Raises:
        SpecError: its key record is malformed.
    """
    return KeyRecord.from_block(joined.key_record).sealing


def grant_of_seat(joined: SeatJoined) -> CID:
    """The Grant block that a trainer registered.

    Raises:
        SpecError: its key record is malformed.
    """
    return KeyRecord.from_block(joined.key_record).grant


def open_seat_grant(store: Store, joined: SeatJoined, genesis: Head, identity: str) -> bytes:
    """The sealing secret that a trainer granted at ``join``, 32 bytes.

    Args:
        identity: of the owner, or of one of the arbiter's members.

    Raises:
        GrantRefused: the grant is absent, is for somebody else, is copied from another trainer or job, or gives
            another secret than the one registered.
        StorageError: the store cannot be read, which is nobody's fault.
    """
    try:
        record = KeyRecord.from_block(joined.key_record)
        grant = Grant.from_block(store.get_block(record.grant))
        keys = open_grant(grant, identity)
    except (SpecError, SealError, ArtifactMissing, ArtifactCorrupt) as e:
        raise _refused(joined, e.message) from e
    # Whoever could register a copy of somebody else's grant would be granted what that secret opens as its own.
    if keys.genesis != genesis or bytes(grant.author) != bytes.fromhex(joined.trainer[2:]):
        raise _refused(joined, "it belongs to another job or trainer")
    secret = keys.sealing.get(joined.trainer, b"")
    if keys != AuditKeys(sealing={joined.trainer: secret}, genesis=genesis):
        raise _refused(joined, "it does not wrap this trainer's sealing secret and nothing else")
    if not hmac.compare_digest(secret_digest(secret), record.secret_digest):
        raise _refused(joined, "it wraps another secret than the one registered")
    return secret


def _refused(joined: SeatJoined, why: str) -> GrantRefused:
    return GrantRefused(
        f"seat {joined.seat}: the grant of {joined.trainer} is refused: {why}",
        hint="as long as no label key is revealed, cancelling the job refunds everybody",
    )
