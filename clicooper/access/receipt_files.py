"""Receipts as files: a block each, named after what crossed, in a folder for each round.

Trainers keep what their neighbours signed, owners what trainers have shown; an arbiter is given such files. The bytes
are those of ``BoundaryReceipt.to_block``. What a receipt is worth is judged in ``receipts``.
"""

from __future__ import annotations

from pathlib import Path

from clicooper.commitments.boundary import BoundaryReceipt
from clicooper.errors import EvidenceUnusable, SpecError
from clicooper.files import read_bounded, write_secret

__all__ = ["keep_receipt", "read_receipt", "read_receipts"]

MAX_RECEIPT_BYTES = 1024
"""A receipt takes some 250 bytes."""

PATTERN = "receipt-*"


def keep_receipt(folder: Path, receipt: BoundaryReceipt) -> None:
    """Writes a receipt, readable by the user alone; the newest of a boundary and direction replaces the others.

    Raises:
        StorageError: it cannot be written.
    """
    write_secret(folder / f"receipt-{receipt.boundary}-{receipt.direction}", receipt.to_block())


def read_receipt(path: Path, *, follow: bool = True) -> BoundaryReceipt:
    """The receipt in a file, which a symbolic link may lead to if ``follow`` is set.

    Raises:
        StorageError: it cannot be read.
        EvidenceUnusable: it holds something else.
    """
    hint = "name a file that a trainer or an owner kept, such as receipt-0-forward"
    data = read_bounded(path, MAX_RECEIPT_BYTES + 1, what="receipt", follow=follow, whole=False, hint=hint)
    if len(data) > MAX_RECEIPT_BYTES:
        raise EvidenceUnusable(f"{path} is no receipt: it has more than {MAX_RECEIPT_BYTES} bytes", hint=hint)
    try:
        return BoundaryReceipt.from_block(data)
    except SpecError as e:
        raise EvidenceUnusable(f"{path} is no receipt: {e.message}", hint=hint) from e


def read_receipts(folder: Path) -> tuple[BoundaryReceipt, ...]:
    """Every receipt of a folder, by name; none where there is no such folder.

    Raises:
        StorageError, EvidenceUnusable: as for ``read_receipt``.
    """
    return tuple(read_receipt(path, follow=False) for path in sorted(folder.glob(PATTERN)))
