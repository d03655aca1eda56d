"""Receipts as files: what is kept is read again, and everything else is refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from clicooper.access.receipt_files import keep_receipt, read_receipt, read_receipts
from clicooper.chain.keys import account_from_seed
from clicooper.commitments.boundary import BoundaryReceipt, Crossing, Direction
from clicooper.commitments.canonical import sha256
from clicooper.errors import EvidenceUnusable, StorageError
from clicooper.protocol.boundary import sign_crossing
from clicooper.types import Head, JobId

ACCOUNT = account_from_seed(b"receipt files", "seat 0")


def receipt(steps: int = 4, direction: Direction = "forward") -> BoundaryReceipt:
    return sign_crossing(ACCOUNT, Crossing(JobId(1), 0, Head(sha256(b"head")), 0, direction, steps, sha256(b"sent")))


def test_newest_of_each_direction_is_kept_and_read(tmp_path: Path) -> None:
    folder, newest = tmp_path / "round-0", (receipt(4, "backward"), receipt(4))
    for one in (receipt(2), *newest):
        keep_receipt(folder, one)
    (folder / "states").write_bytes(b"something else of the round")
    assert read_receipts(folder) == newest
    assert read_receipt(folder / "receipt-0-forward") == newest[1]
    assert {path.stat().st_mode & 0o777 for path in folder.glob("receipt-*")} == {0o600}
    assert folder.stat().st_mode & 0o777 == 0o700


def test_folder_that_is_absent_holds_none(tmp_path: Path) -> None:
    assert read_receipts(tmp_path / "absent") == ()


@pytest.mark.parametrize(
    "data",
    [b"", b"text", receipt().to_block()[:-1], receipt().to_block() + b"\0", bytes(4096)],
    ids=["empty", "text", "cut off", "one byte more", "large"],
)
def test_what_is_no_receipt_is_refused_by_name(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "receipt-0-forward"
    path.write_bytes(data)
    for read in (lambda: read_receipt(path), lambda: read_receipts(tmp_path)):
        with pytest.raises(EvidenceUnusable, match="receipt-0-forward is no receipt"):
            read()


def test_file_that_is_absent_is_no_evidence_of_silence(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot read"):
        read_receipt(tmp_path / "receipt-0-forward")
