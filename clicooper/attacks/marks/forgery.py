"""Attempts to claim a model that somebody else trained, and which part of a claim refuses each.

A claim has four parts (``protocol.claims``): (a) the opened key is the committed one, on record, (b) its mark is in the
committed checkpoint and in the suspect, (c) the work replays to that checkpoint, (d) the suspect descends from it. Most
forgeries read perfectly: a reading says nothing against whoever could touch the suspect or choose weights after the
key. Each function makes one forgery with everything that its forger needs, and reports what was read and which part
refuses it, by the statistic that decides there. Making and judging the files of whole claims is not done here.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from eth_utils import keccak

from clicooper.attacks.marks.marked_job import JobMark, MarkedJob
from clicooper.attacks.marks.outcomes import Forgery
from clicooper.attacks.marks.rehearsal import train_again
from clicooper.commitments.head import mark_commitment
from clicooper.commitments.manifest import JobSpec
from clicooper.learning.checkpoint import State, state_digest
from clicooper.learning.segments import initial_state
from clicooper.types import Address, Digest, Head, Verdict
from clicooper.watermark.carriers import carrier_of, layout_of, weights_of, with_weights
from clicooper.watermark.detect import ACCEPT_LOG2_P, MarkReading, read_carrier, read_mark
from clicooper.watermark.embed import embed
from clicooper.watermark.informed import read_informed
from clicooper.watermark.keys import MarkPurpose, new_keys
from clicooper.watermark.similarity import Similarity, compare_suspect

__all__ = ["FORGERIES", "make_forgeries"]


FORGERIES = 8
"""How many are made."""

NULL_MODELS = 3
"""Models with other starting weights, beside which part d is judged."""


def make_forgeries(job: MarkedJob, rng: np.random.Generator, tries: int = 200) -> tuple[Forgery, ...]:
    """Every forgery against the last round's mark of the middle seat.

    Args:
        tries: keys that are ground.
    """
    tested = _last_mark(job)
    return (
        claim_key_after_the_fact(job, tested, rng),
        grind_keys(job, tested, rng, tries),
        copy_commitment(job, tested),
        back_date_key(job, tested),
        transfer_mark(job, tested, rng),
        run_junk_job(job, tested, rng, own_start=True),
        run_junk_job(job, tested, rng, own_start=False),
        steer_checkpoint(job, tested, rng),
    )


def claim_key_after_the_fact(job: MarkedJob, tested: JobMark, rng: np.random.Generator) -> Forgery:
    """A thief draws keys after the job, embeds its mark in its copy and claims that it had been there all along."""
    keys = new_keys(rng.bytes)
    stolen = embed(job.states[tested.seat], keys.ownership, job.params)
    reading = read_mark(stolen, keys.ownership, job.params)
    committed = mark_commitment(keys.progress, Digest(keccak(keys.ownership))) in job.commitments
    refused = "" if committed and reading.found else "a"
    return Forgery("key after the fact", "embedded in the stolen model", reading.found, refused, _read(reading))


def grind_keys(job: MarkedJob, tested: JobMark, rng: np.random.Generator, tries: int) -> Forgery:
    """A forger that touches nothing draws keys until one of them happens to read in the release under test's model."""
    state = job.states[tested.seat]
    layout = layout_of(state)
    vector = weights_of(state, layout)
    drawn = (carrier_of(rng.bytes(32), layout.weights, job.params.bits) for _ in range(tries))
    best = min(read_carrier(vector, carrier).log2_p for carrier in drawn)
    measured = (
        f"best of {tries} keys: log2 p {best:.1f}, about {-math.log2(tries):.1f} expected, {ACCEPT_LOG2_P:g} needed"
    )
    found = best + math.log2(tries) <= ACCEPT_LOG2_P
    return Forgery("grinding", f"{tries} keys", found, "" if found else "b", measured)


def copy_commitment(job: MarkedJob, tested: JobMark) -> Forgery:
    """A seat commits its neighbour's mark commitment as its own, and takes its key when the neighbour opens it.

    The key is bound to the head, the seat and the account, so in the copier's own context it expands to other carriers.
    """
    address = Address("0x" + "c0" * 20)
    copied = replace(tested, trainer=address, seat=(tested.seat + 1) % len(job.states))
    reading = read_mark(job.states[tested.seat], copied.seed, job.params)
    refused = "" if reading.found else "b"
    return Forgery("copied commitment", "opened in the copier's own seat", reading.found, refused, _read(reading))


def back_date_key(job: MarkedJob, tested: JobMark) -> Forgery:
    """A trainer claims its key for an earlier round than the one that it committed it in."""
    earlier = replace(tested, round=0, head=Head(bytes(32)))
    reading = read_mark(job.states[tested.seat], earlier.seed, job.params)
    refused = "" if reading.found else "b"
    return Forgery("back-dating", "the same key under an earlier head", reading.found, refused, _read(reading))


def transfer_mark(job: MarkedJob, tested: JobMark, rng: np.random.Generator) -> Forgery:
    """Whoever knows raw and marked weights of a seat adds their difference to a model of its own, to incriminate it."""
    other = _independent(job, _other_spec(job, rng, own_start=True), rng)[tested.seat]
    layout = layout_of(other)
    added = weights_of(tested.out, layout) - weights_of(tested.raw, layout)
    framed = dict(with_weights(other, layout, weights_of(other, layout) + added))
    reading = read_mark(framed, tested.seed, job.params)
    descent = _descent(framed, tested.raw, _start(job, tested.seat), job)
    measured = f"{_read(reading)}; {_descent_words(descent)}"
    refused = "" if descent.verdict is Verdict.PASS else "d"
    return Forgery("transfer to another model", "mark added to an independent model", reading.found, refused, measured)


def run_junk_job(job: MarkedJob, tested: JobMark, rng: np.random.Generator, *, own_start: bool) -> Forgery:
    """A forger trains a junk job first, commits its key honestly there, and embeds its mark in the stolen model later.

    Args:
        own_start: whether the junk job starts from initial weights of its own, or from the stolen job's public ones.
    """
    seed = rng.bytes(32)
    junk = _other_spec(job, rng, own_start=own_start)
    raw = _independent(job, junk, rng)[tested.seat]
    stolen = dict(embed(job.states[tested.seat], seed, job.params))
    blind, informed = read_mark(stolen, seed, job.params), read_informed(stolen, seed, job.params, [raw])
    start = initial_state(job.spec.model, junk.seeds, tested.seat)
    own = _descent(stolen, raw, start, job)
    theirs = _descent(stolen, tested.raw, _start(job, tested.seat), job)
    measured = (
        f"{_read(blind)}, informed z {informed.z:.1f}; of its own checkpoint {_descent_words(own)}, of the trainer's "
        f"{_descent_words(theirs)}"
    )
    setting = "initial weights of its own" if own_start else "the stolen job's public initial weights"
    return Forgery("junk job", setting, blind.found, "" if own.verdict is Verdict.PASS else "d", measured)


def steer_checkpoint(job: MarkedJob, tested: JobMark, rng: np.random.Generator) -> Forgery:
    """A trainer commits, as its raw weights, a model of others less its own carriers, so that an informed reading of
    that model sees nothing but carriers. The transcript ends in other weights."""
    seed = rng.bytes(32)
    suspect = job.states[tested.seat]
    marked = embed(suspect, seed, job.params)
    layout = layout_of(suspect)
    vector = weights_of(suspect, layout)
    steered = dict(with_weights(suspect, layout, 2 * vector - weights_of(marked, layout)))
    reading = read_informed(suspect, seed, job.params, [steered])
    replayed = state_digest(tested.raw) == state_digest(steered)
    measured = f"informed z {reading.z:.1f} in a model that the forger never touched"
    return Forgery(
        "steered checkpoint", "raw weights made from the suspect", reading.found, "" if replayed else "c", measured
    )


def _last_mark(job: MarkedJob) -> JobMark:
    """The last ownership mark of the middle seat."""
    seat = len(job.states) // 2
    return [mark for mark in job.marks_for(MarkPurpose.OWNERSHIP) if mark.seat == seat][-1]


def _start(job: MarkedJob, seat: int) -> State:
    return initial_state(job.spec.model, job.spec.seeds, seat)


def _other_spec(job: MarkedJob, rng: np.random.Generator, *, own_start: bool) -> JobSpec:
    """The job's specification with other batches, and other initial weights too if asked."""
    seeds, number = job.spec.seeds, int(rng.integers(1, 2**31))
    other = seeds.model_copy(update={"batches": number, "weights": number if own_start else seeds.weights})
    return job.spec.model_copy(update={"seeds": other})


def _independent(job: MarkedJob, spec: JobSpec, rng: np.random.Generator) -> tuple[State, ...]:
    """A model trained on other labels and other batches: nothing of its training comes from the job's own."""
    return train_again(replace(job, pseudo_labels=rng.permutation(job.pseudo_labels)), spec=spec).states


def _descent(suspect: State, trained: State, start: State, job: MarkedJob) -> Similarity:
    """Part d, against a null of models with other starting weights."""
    seat = next(seat for seat, state in enumerate(job.states) if state.keys() == suspect.keys())
    seeds = (job.spec.seeds.model_copy(update={"weights": number}) for number in range(NULL_MODELS))
    null = [initial_state(job.spec.model, other, seat) for other in seeds]
    return compare_suspect(suspect, trained, start, null)


def _descent_words(descent: Similarity) -> str:
    return f"cosine {descent.cosine:.2f}, share of its training {descent.share:.2f}"


def _read(reading: MarkReading) -> str:
    return f"{reading.matched} of {reading.bits} bits, log2 p {reading.log2_p:.1f}"
