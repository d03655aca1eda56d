"""The contract's events as frozen records, with their place on the chain.

Pure: no node, no web3. A job's events in chain order are all that an auditor needs to rebuild its history; reading
them from a node is the client's business, and keeping them in a file the record's.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import cache
from types import MappingProxyType
from typing import Any, TypeVar, get_type_hints

from clicooper.chain.rpc.messages import to_address
from clicooper.errors import ChainError
from clicooper.types import AbortReason, Address, Digest, Ground, JobId, JobParams, Phase, VacancyReason

__all__ = [
    "EVENT_TYPES",
    "ChallengeLapsed",
    "Challenged",
    "Committed",
    "EquivocationProven",
    "Event",
    "JobAborted",
    "JobCancelled",
    "JobCreated",
    "LabelsReleased",
    "LoggedEvent",
    "MarkOpened",
    "ReplacementNamed",
    "RoundAccepted",
    "RoundAcceptedByTimeout",
    "Ruled",
    "SeatJoined",
    "SeatVacated",
    "Withdrawn",
    "event_from_abi",
    "params_from_abi",
    "read_fields",
]

_T = TypeVar("_T")


@dataclass(frozen=True)
class JobCreated:
    """An owner opened a job and locked its escrow."""

    job: JobId
    owner: Address
    params: JobParams


@dataclass(frozen=True)
class SeatJoined:
    """A trainer took a seat and locked its stake; ``key_record`` is at most 512 bytes."""

    job: JobId
    seat: int
    trainer: Address
    key_record: bytes


@dataclass(frozen=True)
class LabelsReleased:
    """The owner revealed the label key of ``round``."""

    job: JobId
    round: int
    label_key: Digest


@dataclass(frozen=True)
class Committed:
    """The seat's trainer committed its segment; trainer and head follow from the events before."""

    job: JobId
    round: int
    seat: int
    manifest_digest: Digest
    mark_commitment: Digest


@dataclass(frozen=True)
class RoundAccepted:
    """The owner accepted ``round`` and revealed the label key of the next one."""

    job: JobId
    round: int
    label_key: Digest


@dataclass(frozen=True)
class RoundAcceptedByTimeout:
    """The owner kept silent in review, so ``round`` counts as accepted."""

    job: JobId
    round: int


@dataclass(frozen=True)
class SeatVacated:
    """A trainer lost its seat: the head moves on, and the round starts again once every seat is filled."""

    job: JobId
    seat: int
    trainer: Address
    reason: VacancyReason


@dataclass(frozen=True)
class JobCancelled:
    """Everybody was refunded before the first label key."""

    job: JobId


@dataclass(frozen=True)
class JobAborted:
    """The job ended early."""

    job: JobId
    reason: AbortReason


@dataclass(frozen=True)
class Withdrawn:
    """An account was paid what the job owed it."""

    job: JobId
    account: Address
    amount_wei: int


@dataclass(frozen=True)
class ReplacementNamed:
    """From now on only ``trainer`` may take the vacant seat."""

    job: JobId
    seat: int
    trainer: Address


@dataclass(frozen=True)
class Challenged:
    """Somebody accused a seat, or the owner (``ACCUSED_OWNER``), and locked a bond; round and head are the moment's."""

    job: JobId
    challenge_id: Digest
    challenger: Address
    accused: int
    ground: Ground
    bond_wei: int
    evidence_digest: Digest


@dataclass(frozen=True)
class Ruled:
    """The arbiter decided the open challenge."""

    job: JobId
    challenge_id: Digest
    guilty: bool


@dataclass(frozen=True)
class ChallengeLapsed:
    """A challenge ended without a ruling and its bond went back."""

    job: JobId
    challenge_id: Digest


@dataclass(frozen=True)
class EquivocationProven:
    """Two signatures of the seat's trainer over different contents for one position were shown.

    ``rewarded`` is who showed them or, if a challenge of the seat was open, its challenger.
    """

    job: JobId
    seat: int
    rewarded: Address


@dataclass(frozen=True)
class MarkOpened:
    """The keys open the mark commitment of this seat in this accepted round; nothing is said about the suspect."""

    job: JobId
    round: int
    seat: int
    trainer: Address
    progress_key_hash: Digest
    ownership_key: Digest
    suspect_digest: Digest


Event = (
    JobCreated
    | SeatJoined
    | LabelsReleased
    | Committed
    | RoundAccepted
    | RoundAcceptedByTimeout
    | SeatVacated
    | JobCancelled
    | JobAborted
    | Withdrawn
    | ReplacementNamed
    | Challenged
    | Ruled
    | ChallengeLapsed
    | EquivocationProven
    | MarkOpened
)

EVENT_TYPES: Mapping[str, type[Event]] = MappingProxyType({cls.__name__: cls for cls in Event.__args__})
"""Every event class by the name that the contract gives it."""


@dataclass(frozen=True)
class LoggedEvent:
    """An event and where it stands.

    Args:
        event: what happened.
        block_number: of the block that holds it.
        block_hash: of that block.
        block_timestamp: of that block, in seconds since the epoch.
        tx_hash: of the transaction that caused it.
        log_index: its place among all log entries of the block.
        tx_from: who sent that transaction.
        gas_used: by that whole transaction.
    """

    event: Event
    block_number: int
    block_hash: Digest
    block_timestamp: int
    tx_hash: Digest
    log_index: int
    tx_from: Address
    gas_used: int


_AMOUNTS_AND_WINDOWS = (
    "pay_wei",
    "stake_wei",
    "owner_bond_wei",
    "challenge_bond_wei",
    "arbiter_fee_wei",
    "silence_penalty_wei",
    "seats",
    "rounds",
    "join_window_s",
    "label_window_s",
    "train_window_s",
    "turn_window_s",
    "review_window_s",
    "arbitration_window_s",
)


def params_from_abi(values: tuple[Any, ...]) -> JobParams:
    """The inverse of ``clicooper.commitments.head.params_to_abi``, for values as eth-abi decodes them."""
    token, *amounts_and_windows, arbiter, spec_digest, label_anchor, allow_list = values
    return JobParams(
        **dict(zip(_AMOUNTS_AND_WINDOWS, amounts_and_windows, strict=True)),
        token=to_address(token),
        arbiter=to_address(arbiter),
        spec_digest=Digest(spec_digest),
        label_anchor=Digest(label_anchor),
        allow_list=tuple(map(to_address, allow_list)),
    )


def event_from_abi(name: str, values: tuple[Any, ...]) -> Event:
    """An event out of its decoded arguments, in the order in which the contract declares them.

    Raises:
        ChainError: the contract's event is not one of this version's, has other arguments, or one out of its range.
    """
    cls = EVENT_TYPES.get(name)
    if cls is None or len(fields(cls)) != len(values):
        raise ChainError(
            f"the contract emits an unknown event {name}", hint="update clicooper to the contract's version"
        )
    try:
        return read_fields(cls, values)
    except ValueError as e:
        raise ChainError(f"unusable log of {name}: {e}", hint="ask another node") from e


def read_fields(cls: type[_T], values: tuple[Any, ...]) -> _T:
    """A record out of decoded values, in the order of its fields; raises ValueError for one out of its range."""
    record: Any = cls
    makers = zip(_makers(record), values, strict=True)
    return cls(*[value if make is None else make(value) for make, value in makers])


@cache
def _makers(cls: Any) -> tuple[Callable[[Any], object] | None, ...]:
    """By field, what makes its value of the decoded one; None where they are the same."""
    return tuple(_FROM_ABI.get(hint) for hint in get_type_hints(cls).values())


_FROM_ABI: Mapping[object, Callable[[Any], object]] = {
    Address: to_address,
    JobParams: params_from_abi,
    VacancyReason: VacancyReason,
    AbortReason: AbortReason,
    Ground: Ground,
    Phase: Phase,
}
