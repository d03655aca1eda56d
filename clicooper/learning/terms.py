"""The terms of a job, judged once and before anybody: what no party has to stake on, train or replay.

Everything here is arithmetic on the specification. It takes no memory that grows with a number in it, draws nothing and
runs no code of anybody's. Numbers have the ranges of ``limits``; here is what they must be to each other. Whether a
privacy claim is kept, and whether terms are worth their pay, is not judged here.
"""

from __future__ import annotations

import re
from itertools import pairwise

from clicooper.commitments.manifest import JobSpec, MarkSpec, ModelSpec
from clicooper.errors import MarkCapacityError, SpecError
from clicooper.learning.limits import CHOOSE, MODEL_LIMITS, SIZE_LIMIT, SPEC_LIMITS, memory_needed
from clicooper.learning.model_sizes import is_code, size_blocks
from clicooper.types import JobParams
from clicooper.watermark.carriers import MIN_TENSOR_WEIGHTS, MarkParams, required_weights

__all__ = ["check_model", "check_room", "check_spec", "check_terms", "memory_needed"]

_MODEL_KIND = re.compile(r"[a-z0-9]{1,32}|[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", re.ASCII)
_RUNTIME_CLASS = re.compile(
    r"torch-[!-~]+ [!-~]+ [ -~]+ float32 threads=[1-9][0-9]{0,3} numpy-[!-~]+ bits=[0-9a-f]{16}", re.ASCII
)
_PRINTABLE = re.compile(r"[ -~]+", re.ASCII)


def check_terms(spec: JobSpec, params: JobParams) -> None:
    """Refuses terms that no honest party can keep, before anything is staked, built or taken into memory.

    Args:
        params: the job's terms on chain.

    Raises:
        SpecError: names the field, its value and what it may be; MarkCapacityError where marks find no room.
    """
    if (len(spec.model.cuts) + 1, len(spec.labels)) != (params.seats, params.rounds):
        raise SpecError(
            f"the spec is for {len(spec.model.cuts) + 1} seats (model.cuts) and {len(spec.labels)} rounds (labels), "
            f"the job on chain has {params.seats} and {params.rounds}",
            hint="do not take part in this job: its owner published a spec that does not fit its terms",
        )
    check_spec(spec)


def check_spec(spec: JobSpec) -> None:
    """As ``check_terms``, for a reader who knows the specification alone."""
    check_model(spec.model)
    for limit in SPEC_LIMITS:
        limit.check(spec)
    _check_training(spec)
    _check_release(spec)
    if not _RUNTIME_CLASS.fullmatch(spec.runtime_class):
        raise SpecError(
            f"runtime_class is {spec.runtime_class!a}, which names no runtime class",
            hint="the job's owner has to name the class of the machines that train, as clicooper writes it",
        )
    check_room(spec.model, spec.marks, len(spec.labels))


def check_model(model: ModelSpec) -> None:
    """Refuses a model that cannot be cut or held in memory; of code, only what can be told without running it.

    Raises:
        SpecError: names the field, its value and what it may be.
    """
    for limit in MODEL_LIMITS:
        limit.check(model)
    if not _MODEL_KIND.fullmatch(model.kind):
        raise SpecError(
            f"model.kind is {model.kind!a}, which names no model",
            hint="use mlp, cnn, resnet18, vit or package.module:function",
        )
    if is_code(model.kind) != (model.code is not None):
        raise SpecError(
            f"model.code is {'absent' if model.code is None else 'there'}, and model.kind is {model.kind}",
            hint="a model of one's own names the digest of its code, a built-in kind names none",
        )
    blocks = None if is_code(model.kind) else len(size_blocks(model))
    if any(a >= b for a, b in pairwise((0, *model.cuts, *(() if blocks is None else (blocks,))))):
        most = "the number of its blocks" if blocks is None else blocks - 1
        raise SpecError(
            f"model.cuts is {list(model.cuts)}: these cuts do not fit a model of {blocks or 'any number of'} blocks",
            hint=f"cuts are increasing block numbers from 1 to {most}",
        )
    if blocks is not None:
        SIZE_LIMIT.check(model)


def _check_training(spec: JobSpec) -> None:
    training, replay = spec.training, spec.replay
    if training.label_noise and training.label_smoothing:
        raise SpecError(
            f"training.label_smoothing is {training.label_smoothing:g} and training.label_noise "
            f"{training.label_noise:g}: label_smoothing would add the noise that label_noise takes out of the labels",
            hint="the job's owner has to choose one of them",
        )
    if replay.interval > training.steps:
        raise SpecError(f"replay.interval is {replay.interval}, a round has {training.steps} steps", hint=CHOOSE)
    if not is_code(spec.model.kind):
        spreads = [block.spread for block in size_blocks(spec.model) if block.spread is not None]
        if spreads and training.batch * min(spreads) < 2:
            raise SpecError(
                f"training.batch is {training.batch}, and {spec.model.kind} normalises over more than one number",
                hint="the job's owner has to choose a batch of 2 or more, or larger images",
            )


def _check_release(spec: JobSpec) -> None:
    claim, outputs, rows = spec.release, spec.model.outputs, spec.rows_until(len(spec.labels) - 1)
    if not _PRINTABLE.fullmatch(claim.adjacency):
        raise SpecError(f"release.adjacency is {claim.adjacency!a}, which cannot be printed", hint=CHOOSE)
    if sum(claim.gamma) != outputs:
        raise SpecError(f"release.gamma adds up to {sum(claim.gamma)}, model.outputs is {outputs}", hint=CHOOSE)
    if not rows * claim.group <= outputs * claim.m <= claim.records:
        raise SpecError(
            f"release.records is {claim.records}: {rows} rows of {claim.group} records (release.group) do not come "
            f"from {outputs} pseudo-labels of {claim.m} (release.m)",
            hint="a record is in one row at most, and has one pseudo-label at most; " + CHOOSE,
        )


def check_room(model: ModelSpec, marks: MarkSpec, rounds: int) -> None:
    """Refuses a built-in model with a seat that has no weights, or no room for its marks; of code it knows nothing.

    Raises:
        MarkCapacityError: names the seat, its size and its need.
    """
    if is_code(model.kind):
        return
    blocks, bounds = size_blocks(model), (0, *model.cuts, None)
    need = required_weights(MarkParams(marks.bits, marks.strength), rounds)
    for seat, (first, end) in enumerate(pairwise(bounds)):
        room = sum(size for block in blocks[first:end] for size in block.matrices if size >= MIN_TENSOR_WEIGHTS)
        if room < need:
            raise MarkCapacityError(
                f"seat {seat}: segment has {room} carrying weights, its marks need {need}",
                hint=f"{rounds} rounds of marks.bits {marks.bits} at marks.strength {marks.strength:g}: the job's "
                "owner has to use larger widths or fewer trainers; fewer mark_bits need less",
            )
