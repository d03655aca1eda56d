"""Which intervals of a round are replayed: all of them, or a sample that no party could choose.

There are two draws. The protocol's takes the next label key and the hash of a block after the round's last commit. The
owner cannot choose it, the trainers cannot foresee it, and everybody can repeat it once the key is out. An auditor's
own takes a secret that it draws when it audits. No party can foresee it; once printed, everybody can repeat it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from eth_abi import encode as abi_encode
from eth_utils import keccak

from clicooper.commitments.head import audit_seed
from clicooper.history.history import History
from clicooper.types import Digest

__all__ = ["CONFIRMATIONS", "Draw", "Sample", "escape_probability", "sample_block", "sample_intervals"]

CONFIRMATIONS = 2
"""The audit seed takes the hash of the block this many after the round's last commit."""

_SECRET_TAG = keccak(b"clicooper.audit.secret-draw")


def sample_intervals(seed: Digest, seat: int, intervals: int, samples: int) -> tuple[int, ...]:
    """Draws distinct intervals of one seat, ascending.

    Draw j is ``uint256(keccak256(abi.encode(seed, seat, j))) % intervals``; repeats are skipped.

    Args:
        seed: ``commitments.head.audit_seed`` of the round.
        intervals: how many the round has, at least 1.
        samples: how many to draw; all intervals where it is not smaller.
    """
    if samples >= intervals:
        return tuple(range(intervals))
    chosen: set[int] = set()
    draw = 0
    while len(chosen) < samples:
        word = keccak(abi_encode(["bytes32", "uint256", "uint256"], [seed, seat, draw]))
        chosen.add(int.from_bytes(word, "big") % intervals)
        draw += 1
    return tuple(sorted(chosen))


def escape_probability(cheated_share: float, samples: int) -> float:
    """Chance that a seat which cheated in this share of its intervals is in none of the samples, (1-f)^q."""
    return float((1.0 - cheated_share) ** samples)


def sample_block(history: History, round_: int) -> int | None:
    """The block whose hash the protocol's draw of a round takes; None while seats have not committed."""
    commitments = history.rounds[round_].commitments
    if len(commitments) < history.params.seats:
        return None
    return commitments[-1].logged.block_number + CONFIRMATIONS


@dataclass(frozen=True)
class Draw:
    """The intervals of a round that are replayed.

    Attributes:
        intervals: ascending.
        seeds: what they were drawn from, by the name of the draw: ``chain`` and ``secret``.
        missing: why there is no draw from the chain; empty where there is.
    """

    intervals: tuple[int, ...]
    seeds: Mapping[str, Digest]
    missing: str = ""


@dataclass(frozen=True)
class Sample:
    """How an audit draws.

    Every interval that is drawn for any seat is replayed jointly, and so judged for all of them.

    Attributes:
        per_seat: intervals that are drawn per seat and round, in each of the draws.
        blocks: hashes of blocks by number, as a node or the record gave them; see ``sample_block``.
        secret: of the auditor's own draw; None without one.
    """

    per_seat: int
    blocks: Mapping[int, Digest] = field(default_factory=lambda: MappingProxyType({}))
    secret: Digest | None = None

    def draw(self, history: History, round_: int, intervals: int) -> Draw:
        """The intervals of a round; none where neither draw can be made."""
        seed, missing = self._chain_seed(history, round_)
        seeds = {} if seed is None else {"chain": seed}
        if self.secret is not None:
            words = [_SECRET_TAG, self.secret, history.genesis, round_]
            seeds["secret"] = Digest(keccak(abi_encode(["bytes32", "bytes32", "bytes32", "uint256"], words)))
        drawn = {
            interval
            for seed in seeds.values()
            for seat in range(history.params.seats)
            for interval in sample_intervals(seed, seat, intervals, self.per_seat)
        }
        return Draw(tuple(sorted(drawn)), seeds, missing)

    def _chain_seed(self, history: History, round_: int) -> tuple[Digest | None, str]:
        number, key = sample_block(history, round_), _next_key(history, round_)
        if number is None:
            return None, "nothing was drawn: seats have not committed"
        if key is None:
            return None, "nothing was drawn: the owner has not revealed the label key that the draw takes"
        block = self.blocks.get(number, _recorded(history, round_).get(number))
        if block is None:
            hint = "name the chain's node with --network, or draw from a secret with --secret-draw"
            return None, f"nothing was drawn: the hash of block {number} is not known here; {hint}"
        return audit_seed(key, block, history.rounds[round_].commitments[-1].head), ""


def _next_key(history: History, round_: int) -> Digest | None:
    """The label key after a round's: revealed with its acceptance, or later, after an acceptance by time-out."""
    own = history.rounds[round_].next_label_key
    if own is not None:
        return own
    return history.rounds[round_ + 1].label_key if round_ + 1 < len(history.rounds) else None


def _recorded(history: History, round_: int) -> dict[int, Digest]:
    """The hashes of blocks after a round's commits that the record holds for events of their own."""
    logged = [one.settled for one in history.rounds[round_ : round_ + 1] if one.settled is not None]
    logged += [one.logged for later in history.rounds[round_ + 1 : round_ + 2] for one in later.commitments]
    return {one.block_number: one.block_hash for one in logged}
