"""What a challenge names as its evidence: a file that somebody made, or a note of the check that failed.

A note shows nothing by itself. It says who accuses whom of what, so that nobody else can use its digest, and what the
arbiter has to look at.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field

from clicooper.audit.verdict import CheckResult
from clicooper.commitments.canonical import digest_of_cid, sha256
from clicooper.commitments.manifest import Bytes20, Bytes32, Count, Record
from clicooper.errors import CarError, StorageError, UsageError
from clicooper.history.follow import History
from clicooper.protocol.decision import Challenge
from clicooper.storage.base import reading
from clicooper.storage.car_store import CarStore
from clicooper.types import Address, Digest, Head

__all__ = ["AccusationNote", "evidence_digest", "note_of"]

MAX_EVIDENCE_BYTES = 1 << 32


class AccusationNote(Record):
    """A failed check as its finder saw it."""

    kind: ClassVar[str] = "AccusationNote"
    genesis: Bytes32
    head: Bytes32
    challenger: Bytes20
    round: Count
    accused: Count
    ground: Annotated[str, Field(pattern="^(fault|withheld)$")]
    check: str
    subject: str
    expected: str
    actual: str
    detail: str


def note_of(history: History, round_: int, head: Head, challenger: Address, charge: Challenge) -> AccusationNote:
    """The note of a charge."""
    row: CheckResult = charge.row
    return AccusationNote(
        genesis=history.genesis,
        head=head,
        challenger=bytes.fromhex(challenger[2:]),
        round=round_,
        accused=charge.seat,
        ground=charge.ground.name.lower(),
        check=row.check.value,
        subject=row.subject,
        expected=row.expected,
        actual=row.actual,
        detail=row.detail,
    )


def evidence_digest(path: Path) -> Digest:
    """What a challenge names of an evidence file: a CAR file's one root, or sha2-256 of any other file's bytes.

    Raises:
        StorageError: it cannot be read.
        UsageError: it is empty, or larger than 4 GiB.
    """
    with reading(path), path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if not 0 < size <= MAX_EVIDENCE_BYTES:
            raise UsageError(f"{path} of {size} bytes is no evidence", hint="make it with: clicooper evidence make")
    try:
        with CarStore(path) as car:
            if len(car.roots) == 1:
                return digest_of_cid(car.roots[0])
    except (CarError, StorageError):
        pass
    with reading(path):
        return sha256(path.read_bytes())
