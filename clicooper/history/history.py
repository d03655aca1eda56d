"""What a record proves about a job, as frozen records: seats, rounds, commitments, challenges and their outcome.

Only data: ``state`` makes it, the checks read it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from clicooper.chain.events import LoggedEvent, MarkOpened, Withdrawn
from clicooper.history.settlement import Settlement
from clicooper.types import Address, Digest, Ground, Head, JobId, JobParams, Phase

__all__ = ["Challenge", "Commitment", "History", "Outcome", "Round", "Seat"]

_FINAL = frozenset({Phase.DONE, Phase.CANCELLED, Phase.ABORTED})


@dataclass(frozen=True)
class Seat:
    """One holder of one seat; ``from_round`` is the first round whose pay is the holder's."""

    seat: int
    trainer: Address
    key_record: bytes
    from_round: int


@dataclass(frozen=True)
class Commitment:
    """One ``commit``, with the head that it was built on and the head that it made."""

    round: int
    seat: int
    trainer: Address
    manifest_digest: Digest
    mark_commitment: Digest
    head_before: Head
    head: Head
    logged: LoggedEvent


class Outcome(Enum):
    """How a challenge ended."""

    OPEN = "open"
    GUILTY = "guilty"
    NOT_GUILTY = "not guilty"
    LAPSED = "lapsed"


@dataclass(frozen=True)
class Challenge:
    """One accusation of a seat, or of the owner (``ACCUSED_OWNER``), and how it ended."""

    id: Digest
    round: int
    head: Head
    accused: int
    challenger: Address
    ground: Ground
    bond_wei: int
    evidence_digest: Digest
    logged: LoggedEvent
    outcome: Outcome = Outcome.OPEN
    closed: LoggedEvent | None = None


@dataclass(frozen=True)
class Round:
    """One round as far as the record goes; ``next_label_key`` is set once it is accepted by its owner.

    Attributes:
        commitments: of the last attempt, the one that counts. A round that waits for a seat, or in which the job
            ended, still shows what was committed before the seat became vacant.
        abandoned: of the attempts before it, in order; the head covers them too.
        restarts: how often it has started again: once for every seat that was vacated.
    """

    round: int
    label_key: Digest
    commitments: tuple[Commitment, ...] = ()
    accepted: bool = False
    by_timeout: bool = False
    head: Head | None = None
    next_label_key: Digest | None = None
    settled: LoggedEvent | None = None
    abandoned: tuple[Commitment, ...] = ()
    restarts: int = 0


@dataclass(frozen=True)
class History:
    """What a record proves about a job.

    Attributes:
        joined: counts every stake that was ever posted.
        evicted: former holders of seats, in the order in which they lost them.
        challenges: in order; at most the last one is open.
        mark_openings: in order.
        events: how many the record holds.
    """

    chain_id: int
    contract: Address
    job: JobId
    owner: Address
    params: JobParams
    genesis: Head
    phase: Phase
    head: Head
    seats: tuple[Seat, ...]
    rounds: tuple[Round, ...]
    withdrawals: tuple[Withdrawn, ...]
    settlement: Settlement
    joined: int
    evicted: tuple[Seat, ...] = ()
    challenges: tuple[Challenge, ...] = ()
    mark_openings: tuple[MarkOpened, ...] = ()
    events: int = 0

    @property
    def is_over(self) -> bool:
        """Whether the job is in a phase that nothing leads out of. A record that ends before may have been cut."""
        return self.phase in _FINAL

    @property
    def commitments(self) -> tuple[Commitment, ...]:
        """All commitments that count, in order."""
        return tuple(c for round_ in self.rounds for c in round_.commitments)

    @property
    def holders(self) -> tuple[Seat, ...]:
        """Everybody who ever held a seat, evicted ones last; no address occurs twice."""
        return (*self.seats, *self.evicted)

    @property
    def accepted_rounds(self) -> int:
        """Number of accepted rounds."""
        return sum(round_.accepted for round_ in self.rounds)

    @property
    def bonds_wei(self) -> int:
        """Every challenge bond that was ever locked."""
        return sum(challenge.bond_wei for challenge in self.challenges)
