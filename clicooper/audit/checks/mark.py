"""The ``mark`` check: the progress mark of this head, round, seat, trainer and training is in the committed weights.

A seed binds a mark to the head just before its commitment, so a mark that was made from another head, or for another
round, still verifies there. Where the mark is not in the weights, the row says which link of the chain broke; the
verdict does not depend on that.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from clicooper.audit.artifacts import Artifacts
from clicooper.audit.verdict import Check, CheckResult
from clicooper.commitments.head import mark_commitment
from clicooper.errors import SealError
from clicooper.history.history import Commitment
from clicooper.learning.checkpoint import State
from clicooper.storage.ipld.cid import cid_text
from clicooper.types import Digest, Head, Verdict
from clicooper.watermark.carriers import MarkParams
from clicooper.watermark.detect import ACCEPT_LOG2_P, read_mark
from clicooper.watermark.keys import MarkPurpose, mark_seed

__all__ = ["check_mark", "mark_params", "progress_seed"]

MAX_LINKS = 64
"""Earlier links that are tried, the latest first."""


def check_mark(artifacts: Artifacts, commitment: Commitment) -> Iterator[CheckResult]:
    """A row about the granted key, then one about the weights."""
    round_, seat = commitment.round, commitment.seat
    seed, manifest = progress_seed(artifacts, commitment), artifacts.manifest(round_, seat)
    subject, detail = cid_text(manifest.out.ciphertext), "granted key is the committed one"
    yield CheckResult(Check.MARK, Verdict.PASS, subject, detail, round_, seat)
    tests = artifacts.history.params.seats * artifacts.history.params.rounds
    out = artifacts.state_file(manifest.out)
    reading = read_mark(out, seed, mark_params(artifacts), tests=tests)
    verdict = Verdict.PASS if reading.found else Verdict.FAIL
    detail = "progress mark" if reading.found else _broken_link(artifacts, commitment, out)
    found = f"{reading.matched} of {reading.bits} bits, log2 p {reading.log2_p:.1f}"
    yield CheckResult(Check.MARK, verdict, subject, detail, round_, seat, f"log2 p <= {ACCEPT_LOG2_P}", found)


def progress_seed(artifacts: Artifacts, commitment: Commitment) -> bytes:
    """The seed of a commitment's progress mark.

    Raises:
        SealError: the progress key was not granted, or what was granted is another key: nothing is known then, and
            nobody committed to what was granted.
    """
    granted = artifacts.keys.progress.get((commitment.round, commitment.seat))
    if granted is None:
        raise SealError("the progress key was not granted", hint="pass --identity FILE of an auditor with a grant")
    if mark_commitment(granted.key, Digest(granted.ownership_key_hash)) != commitment.mark_commitment:
        hint = "ask for another grant; this proves nothing against the trainer"
        raise SealError("what was granted as the progress key is not the one that was committed", hint=hint)
    return _seed(artifacts, commitment, commitment.head_before)


def mark_params(artifacts: Artifacts) -> MarkParams:
    """Size and strength of the job's marks."""
    return MarkParams(artifacts.spec.marks.bits, artifacts.spec.marks.strength)


def _broken_link(artifacts: Artifacts, commitment: Commitment, out: State) -> str:
    """What the progress mark in ``out`` was made from; says so where nothing of this job explains it."""
    params, found = mark_params(artifacts), "no mark of this job's heads is in the weights"
    for words, seed in islice(_links(artifacts, commitment), MAX_LINKS):
        if read_mark(out, seed, params, tests=MAX_LINKS).found:
            found = words
            break
    if commitment.seat:
        return f"{found}, where one made after seat {commitment.seat - 1} committed in round {commitment.round} is due"
    return f"{found}, where one made from the head in which round {commitment.round} began is due"


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
    key, job = artifacts.keys.progress[round_, seat].key, artifacts.history.job
    return mark_seed(key, MarkPurpose.PROGRESS, head, job, round_, seat, commitment.trainer, root)
