"""Jobs and seats as the contract's views show them, in frozen records; their fields have the order of its structs."""

from dataclasses import dataclass

from clicooper.types import Address, Digest, Ground, Head, Phase

__all__ = ["ChallengeState", "JobState", "SeatState"]


@dataclass(frozen=True)
class JobState:
    """Where a job stands.

    Args:
        phase: the phase in progress.
        owner: who created the job.
        round: in progress, counted from 0; equals ``rounds`` once all are accepted.
        turn: in COMMIT the seat whose commit is due, in REFILL the seat that was vacated last.
        seats: how many there are.
        filled: how many are taken.
        rounds: how many the job has.
        deadline: last second, since the epoch, at which the phase's action is allowed.
        head: over everything committed so far.
        label_key: the last one revealed, or the anchor before the first.
        token: ERC-20 that the job pays in; the zero address for the native coin.
        pay_wei: what a seat earns by one accepted round.
        arbiter: who alone can rule on a challenge.
    """

    phase: Phase
    owner: Address
    round: int
    turn: int
    seats: int
    filled: int
    rounds: int
    deadline: int
    head: Head
    label_key: Digest
    token: Address
    pay_wei: int
    arbiter: Address


@dataclass(frozen=True)
class SeatState:
    """Who holds a seat.

    Args:
        trainer: the holder, or the zero address.
        from_round: first round whose pay belongs to this holder.
        owed_wei: earned and not yet withdrawn.
        key_record_digest: sha2-256 of the record given at ``join``.
    """

    trainer: Address
    from_round: int
    owed_wei: int
    key_record_digest: Digest


@dataclass(frozen=True)
class ChallengeState:
    """The challenge that is open in ARBITRATION.

    Args:
        id: its name, see ``clicooper.commitments.head.challenge_id``.
        challenger: who accuses.
        bond_wei: what the challenger locked.
        accused: a seat, or ``ACCUSED_OWNER``.
        ground: the charge.
        interrupted: the phase that a ruling of not guilty goes back to.
        remaining_s: seconds that were left of it; at least half its window is given.
    """

    id: Digest
    challenger: Address
    bond_wei: int
    accused: int
    ground: Ground
    interrupted: Phase
    remaining_s: int
