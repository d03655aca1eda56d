"""A trainer's receipts: kept until the round is settled, and never signed of two values."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from clicooper.audit.checks.receipts import BoundaryRefused
from clicooper.chain.keys import account_from_seed
from clicooper.commitments.boundary import Crossing
from clicooper.commitments.canonical import sha256
from clicooper.protocol.boundary import sign_crossing
from clicooper.protocol.receipt_book import ReceiptBook
from clicooper.types import Head, JobId

ACCOUNT = account_from_seed(b"receipt book", "seat 1")
WHOLE = Crossing(JobId(1), 0, Head(sha256(b"head")), 0, "backward", 4, sha256(b"sent"))


@pytest.fixture(params=["in a folder", "in memory"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path | None:
    return tmp_path if request.param == "in a folder" else None


def test_newest_of_each_direction_is_kept_until_the_round_is_settled(folder: Path | None) -> None:
    book = ReceiptBook(folder)
    first, newest = (sign_crossing(ACCOUNT, replace(WHOLE, steps=steps)) for steps in (2, 4))
    forward = sign_crossing(ACCOUNT, replace(WHOLE, boundary=1, direction="forward"))
    for receipt in (first, newest, forward):
        book.keep(receipt)
    assert book.received(0) == (newest, forward)
    assert book.received(1) == ()
    if folder is None:
        book.settle(0)
        assert book.received(0) == ()
    else:
        assert ReceiptBook(folder).received(0) == (newest, forward), "a later process has them, too"


def test_neighbour_cannot_get_two_values_signed_by_having_a_round_done_again(folder: Path | None) -> None:
    book = ReceiptBook(folder)
    book.stand_by(sign_crossing(ACCOUNT, WHOLE))
    book.stand_by(sign_crossing(ACCOUNT, WHOLE))
    other = replace(WHOLE, running=sha256(b"other"))
    later = ReceiptBook(folder) if folder else book
    with pytest.raises(BoundaryRefused, match="seat 1 has vouched for another value to seat 0, backward, in round 0"):
        later.stand_by(sign_crossing(ACCOUNT, other))
    for elsewhere in ({"head": Head(sha256(b"restart"))}, {"round": 1}, {"boundary": 1}, {"direction": "forward"}):
        later.stand_by(sign_crossing(ACCOUNT, replace(other, **elsewhere)))
    assert book.received(0) == (), "what it signed is nothing that it received"
