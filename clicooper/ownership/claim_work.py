"""Part c of an ownership claim: the committed work was done, as far as one seat can show it alone.

The drawn intervals are replayed from their committed starts and from what crossed the seat's boundaries. In the same
runtime class every digest must be the transcript's; in another one the states at the intervals' ends must agree within
the spec's tolerance. Whether what crossed was any good, other seats' files alone could show: a whole audit does.
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np

from clicooper.audit.replay.sampling import sample_intervals
from clicooper.commitments.canonical import sha256
from clicooper.commitments.manifest import SegmentManifest, StateLinks
from clicooper.commitments.ownership import claim_seed
from clicooper.errors import VerificationFailed
from clicooper.learning.checkpoint import State, state_bytes, state_digest
from clicooper.learning.replay import compare_states
from clicooper.learning.runtime import runtime_class
from clicooper.learning.segments import TrainingDiverged
from clicooper.learning.state_domain import find_violation, state_domain
from clicooper.learning.transcript import StepDigests, interval_bounds
from clicooper.learning.witness import ReplayedSeat, replay_seat
from clicooper.ownership.claim_files import FORGED, ClaimFiles
from clicooper.watermark.bound import NORM_SLACK
from clicooper.watermark.carriers import layout_of, root_mean_square, weights_of

__all__ = ["check_work"]

NOT_DONE = "do not accept the claim: its work was not done"


def check_work(files: ClaimFiles, samples: int, runtime: str = "") -> str:
    """Judges the work behind a claim, and says in words what was confirmed.

    Args:
        samples: how many drawn intervals have to be shown.
        runtime: class of the machine that replays, by default this one's.

    Raises:
        VerificationFailed, SpecError: the work is not what was committed, or not what the protocol demands.
        ArtifactMissing: a drawn interval is not shown.
    """
    _check_start(files)
    _check_end(files)
    _check_marks_alone(files)
    bundle = files.bundle
    drawn = sample_intervals(claim_seed(bundle.settled_hash, bundle.round_head), bundle.seat, files.intervals, samples)
    same_class = files.spec.runtime_class == (runtime or runtime_class())
    for index in drawn:
        _check_interval(files, index, same_class)
    how = "bit by bit" if same_class else f"within relative L2 {files.spec.replay.tolerance:g}"
    return f"{len(drawn)} drawn intervals of {files.intervals} repeated {how}, nothing but marks embedded"


def _check_start(files: ClaimFiles) -> None:
    """The seat's manifests continue each other from the public weights on."""
    chain = (files.manifest, *files.previous)
    if len(chain) != files.bundle.round + 1 or chain[-1].previous is not None:
        raise VerificationFailed("the seat's manifests do not reach back to round 0", hint=FORGED)
    for later, before in pairwise(chain):
        _check_link(later, before)
    first = chain[-1].state_in
    if first.weights.plaintext_digest != sha256(state_bytes(files.start)) or first.optimizer is not None:
        raise VerificationFailed("round 0 did not begin with the job's public weights", hint=FORGED)


def _check_link(later: SegmentManifest, before: SegmentManifest) -> None:
    handed_over = StateLinks(weights=before.out, optimizer=before.optimizer)
    place = before.job, before.seat, before.round
    if (
        later.previous != before.cid
        or later.state_in != handed_over
        or place != (later.job, later.seat, later.round - 1)
    ):
        raise VerificationFailed(
            f"round {later.round} does not continue round {later.round - 1}",
            hint=NOT_DONE,
        )


def _check_end(files: ClaimFiles) -> None:
    """The trained weights are those in which the transcript ends."""
    manifest = files.manifest
    ended = files.transcript.state_after(files.intervals - 1)
    if state_digest(files.state(manifest.trained), files.state(manifest.optimizer)) != ended:
        raise VerificationFailed("the trained weights are not those of the transcript", hint=FORGED)


def _check_marks_alone(files: ClaimFiles) -> None:
    """From trained to released weights no more happened than two marks can do; the progress key stays closed."""
    trained, out, params = files.state(files.manifest.trained), files.state(files.manifest.out), files.mark_params
    layout = layout_of(trained)
    same = {name for name, array in trained.items() if name in out and out[name].tobytes() == array.tobytes()}
    if out.keys() != trained.keys() or (trained.keys() - same) - set(layout.names):
        raise VerificationFailed("embedding changed tensors that carry no marks", hint=FORGED)
    raw, released = weights_of(trained, layout), weights_of(out, layout)
    allowed = 2.1 * (math.sqrt(params.bits * (params.strength**2 + 1)) + NORM_SLACK) * root_mean_square(raw)
    if float(np.linalg.norm(released - raw)) > allowed:
        raise VerificationFailed("embedding changed more than two marks can", hint=FORGED)


def _check_interval(files: ClaimFiles, index: int, same_class: bool) -> None:
    witness = files.witness(index)
    states = files.manifest.transcript.states
    start = files.states(states[index - 1] if index else files.manifest.state_in)
    _require_state(files, index, start)
    try:
        replayed = replay_seat(files.spec, index, files.bundle.seat, start, witness)
    except TrainingDiverged as e:
        raise VerificationFailed(f"interval {index}: {e.message}", hint=NOT_DONE) from e
    if same_class:
        _check_digests(files, index, replayed)
        return
    committed = files.manifest.state_after(index).weights
    _check_inputs(files, index, replayed)
    distance, tolerance = compare_states(replayed.end[0], files.state(committed)), files.spec.replay.tolerance
    if distance > tolerance:
        raise VerificationFailed(
            f"interval {index} ends {distance:.1e} from the committed state, more than {tolerance:g}",
            hint="repeat it on a machine of the job's runtime class",
        )


def _require_state(files: ClaimFiles, index: int, start: tuple[State, State | None]) -> None:
    """Nothing computes with a state that no training gives."""
    spec, bundle = files.spec, files.bundle
    first = interval_bounds(index, spec.training.steps, spec.replay.interval)[0]
    domain = state_domain(spec.model, spec.training, bundle.seat)
    if violation := find_violation(domain, bundle.round * spec.training.steps + first, *start):
        raise VerificationFailed(f"interval {index} starts from no state of its segment: {violation}", hint=NOT_DONE)


def _check_digests(files: ClaimFiles, index: int, replayed: ReplayedSeat) -> None:
    for offset, (expected, found) in enumerate(zip(_claimed(files, replayed), replayed.steps, strict=True)):
        for name in ("input", "grad_received", "output", "grad_sent", "state"):
            if getattr(expected, name) != getattr(found, name):
                step = replayed.first_step + offset
                raise VerificationFailed(
                    f"interval {index}: the {name} of step {step} is not the committed one",
                    hint=NOT_DONE,
                )


def _check_inputs(files: ClaimFiles, index: int, replayed: ReplayedSeat) -> None:
    """What crossed is as committed in any class; only what was computed from it may differ by rounding."""
    for expected, found in zip(_claimed(files, replayed), replayed.steps, strict=True):
        if (expected.input, expected.grad_received) != (found.input, found.grad_received):
            raise VerificationFailed(
                f"interval {index}: another witness than was committed",
                hint=NOT_DONE,
            )


def _claimed(files: ClaimFiles, replayed: ReplayedSeat) -> tuple[StepDigests, ...]:
    first = replayed.first_step
    return files.transcript.steps[first : first + len(replayed.steps)]
