"""Receipts at boundaries: what is signed, what is refused, and whom a mismatch convicts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from eth_abi import encode
from eth_utils import keccak
from hypothesis import given, settings
from hypothesis import strategies as st

from clicooper.audit.checks.receipts import BoundaryRefused, check_receipt, find_culprits
from clicooper.chain.keys import account_from_seed
from clicooper.commitments.boundary import BoundaryReceipt, Crossing
from clicooper.commitments.canonical import sha256
from clicooper.commitments.manifest import BoundaryDigests
from clicooper.learning.transcript import RunningBoundary, StepDigests
from clicooper.protocol.boundary import sign_crossing
from clicooper.types import ZERO_DIGEST, Digest, Head, JobId
from tests.adversaries._invented import running_digest

ACCOUNTS = [account_from_seed(b"boundary", f"seat {seat}") for seat in range(3)]
TRANSPORTS = {seat: account._key_obj.public_key.to_compressed_bytes() for seat, account in enumerate(ACCOUNTS)}
CROSSING = Crossing(JobId(7), 2, Head(sha256(b"head")), 1, "backward", 40, sha256(b"sent"))


def test_what_is_signed_binds_every_field() -> None:
    types = ["bytes32", "uint256", "uint32", "bytes32", "uint8", "bool", "uint256", "bytes32"]
    values = [keccak(b"CliCooper/1/boundary"), 7, 2, CROSSING.head, 1, True, 40, CROSSING.running]
    assert CROSSING.digest == keccak(encode(types, values))
    assert (CROSSING.sender, CROSSING.receiver) == (2, 1)


CHANGES = [
    {"job": JobId(8)},
    {"round": 3},
    {"head": Head(bytes(32))},
    {"boundary": 0},
    {"direction": "forward"},
    {"steps": 41},
    {"running": sha256(b"other")},
]


def test_receipt_holds_for_its_crossing_alone() -> None:
    receipt = sign_crossing(ACCOUNTS[2], CROSSING)
    assert BoundaryReceipt.from_block(receipt.to_block()) == receipt
    check_receipt(receipt, TRANSPORTS[2], CROSSING)
    for change in CHANGES:
        with pytest.raises(BoundaryRefused, match=f"another {next(iter(change))}"):
            check_receipt(receipt, TRANSPORTS[2], replace(CROSSING, **change))
        relabelled = receipt.model_copy(update=change)
        with pytest.raises(BoundaryRefused, match="not signed by its sender"):
            check_receipt(relabelled, TRANSPORTS[2], replace(CROSSING, **change))
    with pytest.raises(BoundaryRefused, match="not signed by its sender"):
        check_receipt(receipt, TRANSPORTS[1], CROSSING)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 64 * 8 - 1))
def test_any_flipped_bit_of_a_signature_is_refused(bit: int) -> None:
    receipt = sign_crossing(ACCOUNTS[2], CROSSING)
    flipped = bytearray(receipt.signature)
    flipped[bit // 8] ^= 1 << bit % 8
    with pytest.raises(BoundaryRefused):
        check_receipt(receipt.model_copy(update={"signature": bytes(flipped)}), TRANSPORTS[2], CROSSING)


DIGESTS = st.sampled_from([ZERO_DIGEST, sha256(b"a"), sha256(b"b")])


@given(st.lists(st.builds(StepDigests, DIGESTS, DIGESTS, DIGESTS, DIGESTS, DIGESTS), max_size=5))
def test_running_digests_are_those_of_the_whole(rows: list[StepDigests]) -> None:
    running = RunningBoundary()
    for row in rows:
        running.add(row)
    assert running.digests() == BoundaryDigests(
        input=running_digest(row.input for row in rows),
        output=running_digest(row.output for row in rows),
        grad_received=running_digest(row.grad_received for row in rows),
        grad_sent=running_digest(row.grad_sent for row in rows),
    )


def committed(*crossed: bytes) -> dict[int, BoundaryDigests]:
    """Three seats; ``crossed``: output 0, input 1, sent 1, received 0, output 1, input 2, sent 2, received 1."""
    out0, in1, sent1, got0, out1, in2, sent2, got1 = map(sha256, crossed)
    zero = ZERO_DIGEST
    return {
        0: BoundaryDigests(input=sha256(b"batch"), output=out0, grad_received=got0, grad_sent=zero),
        1: BoundaryDigests(input=in1, output=out1, grad_received=got1, grad_sent=sent1),
        2: BoundaryDigests(input=in2, output=sha256(b"logits"), grad_received=zero, grad_sent=sent2),
    }


def receipt_for(boundary: int, direction: str, running: bytes, signer: int) -> BoundaryReceipt:
    crossing = replace(CROSSING, boundary=boundary, direction=direction, running=Digest(sha256(running)))
    return sign_crossing(ACCOUNTS[signer], crossing)


def convicted(
    crossed: dict[int, BoundaryDigests], *receipts: BoundaryReceipt, keys: Mapping[int, bytes] = TRANSPORTS
) -> list[tuple[int, str, int | None]]:
    found = find_culprits(crossed, receipts, keys, CROSSING)
    return [(one.crossing.boundary, one.crossing.direction, one.culprit) for one in found]


def test_agreement_convicts_nobody() -> None:
    assert convicted(committed(*(b"x" for _ in range(8)))) == []


def test_sender_that_signed_another_value_than_it_committed_is_convicted() -> None:
    crossed = committed(b"claimed", b"x", b"x", b"x", b"x", b"x", b"claimed", b"y")
    shown = receipt_for(0, "forward", b"x", 0), receipt_for(1, "backward", b"y", 2)
    assert convicted(crossed, *shown) == [(0, "forward", 0), (1, "backward", 2)]


def test_receiver_without_a_signature_over_its_own_value_is_convicted() -> None:
    crossed = committed(b"x", b"claimed", b"x", b"x", b"x", b"x", b"x", b"claimed")
    assert convicted(crossed) == [(0, "forward", 1), (1, "backward", 1)]
    of_the_senders_value = receipt_for(0, "forward", b"x", 0)
    by_itself = receipt_for(0, "forward", b"claimed", 1)
    of_another_step = receipt_for(0, "forward", b"claimed", 0).model_copy(update={"steps": 39})
    assert convicted(crossed, of_the_senders_value, by_itself, of_another_step)[0] == (0, "forward", 1)


def test_boundary_of_a_seat_whose_manifest_is_missing_is_not_judged() -> None:
    crossed = committed(b"claimed", b"x", b"x", b"x", b"x", b"claimed", b"x", b"x")
    del crossed[1]
    assert convicted(crossed) == []


def test_key_that_is_not_known_convicts_nobody_by_a_receipt_that_is_missing_or_shown() -> None:
    crossed = committed(b"claimed", b"x", b"x", b"x", b"x", b"x", b"x", b"x")
    known = {seat: key for seat, key in TRANSPORTS.items() if seat != 0}
    assert convicted(crossed, keys=known) == [(0, "forward", None)]
    assert convicted(crossed, receipt_for(0, "forward", b"x", 0), keys=known) == [(0, "forward", None)]
    assert convicted(crossed) == [(0, "forward", 1)], "with the key, a missing receipt convicts"


def test_receipt_that_holds_is_not_displaced_by_a_forged_one_beside_it() -> None:
    crossed = committed(b"claimed", b"x", b"x", b"x", b"x", b"x", b"x", b"x")
    true, forged = receipt_for(0, "forward", b"x", 0), receipt_for(0, "forward", b"x", 2)
    assert forged.crossing == true.crossing
    for shown in ((true, forged), (forged, true)):
        assert convicted(crossed, *shown) == [(0, "forward", 0)]
