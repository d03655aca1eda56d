"""Events out of decoded arguments, and parameters there and back."""

import pytest
from eth_utils import to_checksum_address
from hypothesis import given
from hypothesis import strategies as st

from clicooper.chain.compile import load_artifact
from clicooper.chain.events import (
    EVENT_TYPES,
    Challenged,
    ChallengeLapsed,
    Committed,
    EquivocationProven,
    Event,
    JobAborted,
    JobCancelled,
    JobCreated,
    LabelsReleased,
    MarkOpened,
    ReplacementNamed,
    RoundAccepted,
    RoundAcceptedByTimeout,
    Ruled,
    SeatJoined,
    SeatVacated,
    Withdrawn,
    event_from_abi,
    params_from_abi,
)
from clicooper.commitments.head import params_to_abi
from clicooper.errors import ChainError
from clicooper.types import AbortReason, Address, Digest, Ground, JobId, JobParams, VacancyReason

RAW_ADDRESS = "0x" + "ab" * 20
ADDRESS = Address(to_checksum_address(RAW_ADDRESS))
DIGEST = Digest(b"\x05" * 32)
JOB = JobId(3)

addresses = st.binary(min_size=20, max_size=20).map(lambda raw: Address(to_checksum_address(raw)))
digests = st.binary(min_size=32, max_size=32).map(Digest)
uint32 = st.integers(0, 2**32 - 1)
uint96 = st.integers(0, 2**96 - 1)
job_params = st.builds(
    JobParams,
    **dict.fromkeys(("pay_wei", "stake_wei", "owner_bond_wei", "challenge_bond_wei"), uint96),
    **dict.fromkeys(("arbiter_fee_wei", "silence_penalty_wei"), uint96),
    seats=st.integers(0, 255),
    rounds=uint32,
    **dict.fromkeys(("join_window_s", "label_window_s", "train_window_s"), uint32),
    **dict.fromkeys(("turn_window_s", "review_window_s", "arbitration_window_s"), uint32),
    token=addresses,
    arbiter=addresses,
    spec_digest=digests,
    label_anchor=digests,
    allow_list=st.lists(addresses, max_size=4).map(tuple),
)


@given(job_params)
def test_params_survive_the_abi(params: JobParams) -> None:
    assert params_from_abi(params_to_abi(params)) == params


@pytest.mark.parametrize(
    ("name", "values", "event"),
    [
        ("SeatJoined", (3, 1, RAW_ADDRESS, b"keys"), SeatJoined(JOB, 1, ADDRESS, b"keys")),
        ("LabelsReleased", (3, 0, DIGEST), LabelsReleased(JOB, 0, DIGEST)),
        ("Committed", (3, 0, 1, DIGEST, DIGEST), Committed(JOB, 0, 1, DIGEST, DIGEST)),
        ("RoundAccepted", (3, 0, DIGEST), RoundAccepted(JOB, 0, DIGEST)),
        ("RoundAcceptedByTimeout", (3, 0), RoundAcceptedByTimeout(JOB, 0)),
        ("SeatVacated", (3, 1, RAW_ADDRESS, 2), SeatVacated(JOB, 1, ADDRESS, VacancyReason.EQUIVOCATION)),
        ("JobCancelled", (3,), JobCancelled(JOB)),
        ("JobAborted", (3, 3), JobAborted(JOB, AbortReason.SEAT_UNFILLED)),
        ("Withdrawn", (3, RAW_ADDRESS, 9), Withdrawn(JOB, ADDRESS, 9)),
        ("ReplacementNamed", (3, 1, RAW_ADDRESS), ReplacementNamed(JOB, 1, ADDRESS)),
        (
            "Challenged",
            (3, DIGEST, RAW_ADDRESS, 255, 1, 9, DIGEST),
            Challenged(JOB, DIGEST, ADDRESS, 255, Ground.WITHHELD, 9, DIGEST),
        ),
        ("Ruled", (3, DIGEST, True), Ruled(JOB, DIGEST, True)),
        ("ChallengeLapsed", (3, DIGEST), ChallengeLapsed(JOB, DIGEST)),
        ("EquivocationProven", (3, 1, RAW_ADDRESS), EquivocationProven(JOB, 1, ADDRESS)),
        (
            "MarkOpened",
            (3, 0, 1, RAW_ADDRESS, DIGEST, DIGEST, DIGEST),
            MarkOpened(JOB, 0, 1, ADDRESS, DIGEST, DIGEST, DIGEST),
        ),
    ],
)
def test_event_from_abi(name: str, values: tuple[object, ...], event: Event) -> None:
    assert event_from_abi(name, values) == event


@given(job_params)
def test_job_created_from_abi(params: JobParams) -> None:
    assert event_from_abi("JobCreated", (3, RAW_ADDRESS, params_to_abi(params))) == JobCreated(JOB, ADDRESS, params)


@pytest.mark.parametrize(("name", "values"), [("MarkOpened", (3,)), ("JobCancelled", (3, 4)), ("JobCancelled", ())])
def test_event_of_another_version_is_refused(name: str, values: tuple[object, ...]) -> None:
    with pytest.raises(ChainError, match=name):
        event_from_abi(name, values)


def test_event_types_are_named_as_in_the_contract() -> None:
    assert set(EVENT_TYPES) == {cls.__name__ for cls in Event.__args__}
    assert set(EVENT_TYPES) == {entry["name"] for entry in load_artifact().abi if entry["type"] == "event"}
    assert len(EVENT_TYPES) == 16
