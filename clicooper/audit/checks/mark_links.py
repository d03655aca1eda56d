"""Which link of the chain a wrong mark broke: what it was made from, where it is not what it had to be.

A seed binds a mark to the head just before its commitment, so a mark that was made from another head, or for another
round, still verifies there. This finds out, to name the link; the verdict does not depend on it.
"""

from __future__ import annotations

from collections.abc import Iterator

from clicooper.audit.artifacts import Artifacts
from clicooper.history.history import Commitment
from clicooper.learning.checkpoint import State
from clicooper.types import Digest, Head
from clicooper.watermark.carriers import MarkParams
from clicooper.watermark.detect import read_mark
from clicooper.watermark.keys import MarkPurpose, mark_seed

__all__ = ["broken_link"]

MAX_LINKS = 64
"""Earlier links that are tried, the latest first."""


def broken_link(artifacts: Artifacts, commitment: Commitment, out: State, params: MarkParams) -> str:
    """What the progress mark in ``out`` was made from, in words; says so where nothing of this job explains it.

    Args:
        commitment: whose progress key was granted, and whose own mark is not in ``out``.
    """
    for number, (words, seed) in enumerate(_links(artifacts, commitment)):
        if number == MAX_LINKS:
            break
        if read_mark(out, seed, params, tests=MAX_LINKS).found:
            return f"{words}, where {_expected(commitment)} is due"
    return f"no mark of this job's heads is in the weights, where {_expected(commitment)} is due"


def _expected(commitment: Commitment) -> str:
    if commitment.seat:
        return f"one made after seat {commitment.seat - 1} committed in round {commitment.round}"
    return f"one made from the head in which round {commitment.round} began"


def _links(artifacts: Artifacts, commitment: Commitment) -> Iterator[tuple[str, bytes]]:
    """Every earlier head of the job under this commitment's key, and this seat's marks of the rounds before."""
    earlier = [c for c in artifacts.history.commitments if (c.round, c.seat) < (commitment.round, commitment.seat)]
    for other in reversed(earlier):
        words = f"the mark was made before seat {other.seat} committed in round {other.round}"
        yield words, _seed(artifacts, commitment, other.head_before)
        words = f"the mark was made right after seat {other.seat} committed in round {other.round}"
        yield words, _seed(artifacts, commitment, other.head)
    yield "the mark was made from the job's genesis", _seed(artifacts, commitment, artifacts.history.genesis)
    for other in reversed(earlier):
        if other.seat == commitment.seat and (other.round, other.seat) in artifacts.keys.progress:
            yield f"the mark is that of round {other.round} again", _seed(artifacts, other, other.head_before)


def _seed(artifacts: Artifacts, commitment: Commitment, head: Head) -> bytes:
    """Seed of a commitment's progress mark, had it been made from ``head``."""
    round_, seat = commitment.round, commitment.seat
    root = Digest(artifacts.manifest(round_, seat).training_transcript_merkle_root)
    key, job = artifacts.keys.progress[round_, seat].key, commitment.logged.event.job
    return mark_seed(key, MarkPurpose.PROGRESS, head, job, round_, seat, commitment.trainer, root)
