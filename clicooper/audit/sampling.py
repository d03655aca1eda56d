"""Which intervals of a round are replayed: all of them, or a sample that nobody could choose."""

from __future__ import annotations

from eth_abi import encode as abi_encode
from eth_utils import keccak

from clicooper.types import Digest

__all__ = ["escape_probability", "sample_intervals"]


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
