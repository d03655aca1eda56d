"""A programme is judged before it runs: whatever is wrong with one is a fault of the job's terms."""

from typing import Any

import pytest

from clicooper.commitments.programme import Constant, Instruction, Programme
from clicooper.errors import Cause, SpecError
from clicooper.learning.programme.check import check_programme, constant_array, read_programme
from clicooper.learning.programme.making import make_programmes
from tests.programme_models import MODELS, training_of

FIRST, LAST = (checked.programme for checked in make_programmes(MODELS["mlp"], training_of(batch=4)))


def instruction(operation: str, *inputs: int, **attributes: Any) -> Instruction:
    return Instruction(operation=operation, inputs=inputs, attributes=attributes)


def changed(programme: Programme, **changes: Any) -> Programme:
    return programme.model_copy(update=changes)


def appended(programme: Programme, *instructions: Instruction) -> Programme:
    return changed(programme, training=(*programme.training, *instructions))


def replaced(programme: Programme, place: int, instruction: Instruction) -> Programme:
    training = list(programme.training)
    training[place] = instruction
    return changed(programme, training=tuple(training))


WIDE = 1 << 20
LABELS = 1 + len(LAST.weights) + len(LAST.moments)
GRADIENT = 1 + len(FIRST.weights) + len(FIRST.moments)
RESULTS = GRADIENT + 1 + len(FIRST.training)
"""Number of the first result behind the honest ones, each of which has one."""

TABLE = Constant(dtype="int64", shape=(2,), data=(5).to_bytes(8, "little") + (2**40).to_bytes(8, "little"))

HOSTILE: dict[str, tuple[Programme, str]] = {
    "an unknown operation": (appended(FIRST, instruction("system", 0)), "'system' is no operation"),
    "a name to print": (appended(FIRST, instruction("a\x1b[2J", 0)), r"a\\x1b\[2J"),
    "shapes that do not fit": (appended(FIRST, instruction("matmul", 0, 0)), "no product"),
    "2^40 elements": (
        appended(FIRST, instruction("full", shape=(WIDE, WIDE), value=1.0)),
        "1,099,511,627,776 elements",
    ),
    "a value before there is one": (replaced(FIRST, 0, instruction("neg", 9999)), "before there is one"),
    "its own result": (replaced(FIRST, 0, instruction("neg", GRADIENT + 1)), "before there is one"),
    "the gradient in the forward part": (replaced(FIRST, 0, instruction("neg", GRADIENT)), "not there yet"),
    "too many instructions": (changed(FIRST, training=(instruction("neg", 0),) * 20_000), "more than 16,384"),
    "too much work": (
        appended(
            FIRST,
            instruction("full", shape=(1 << 14, 1 << 14), value=1.0),
            *[instruction("matmul", RESULTS, RESULTS)] * 3,
        ),
        "multiplications",
    ),
    "too much at once": (
        appended(
            FIRST,
            *[instruction("full", shape=(1 << 28,), value=1.0)] * 20,
            *[instruction("slice", RESULTS + i, dim=0, start=0, stop=1, step=1) for i in range(20)],
        ),
        "bytes at once",
    ),
    "a mean of nothing": (
        appended(
            FIRST,
            instruction("full", shape=(0, 3), value=1.0),
            instruction("mean", RESULTS, dims=(0,), keepdims=0),
        ),
        "a mean of nothing",
    ),
    "a softmax of nothing": (
        appended(FIRST, instruction("full", shape=(3, 0), value=1.0), instruction("softmax", RESULTS, dim=1)),
        "the axis is empty",
    ),
    "an unknown attribute": (appended(FIRST, instruction("neg", 0, secret=1)), "its attributes are"),
    "a fraction for an axis": (appended(FIRST, instruction("softmax", 0, dim=0.5)), "dim is no int"),
    "an axis that is not there": (appended(FIRST, instruction("softmax", 0, dim=7)), "no such axes"),
    "a slice beyond": (appended(FIRST, instruction("slice", 0, dim=0, start=0, stop=9, step=1)), "no such slice"),
    "floats for labels": (appended(LAST, instruction("pick", 0, 0)), "not int64"),
    "an index beyond its table": (
        appended(changed(LAST, constants=(TABLE,)), instruction("take_rows", 1, LABELS)),
        "take_rows has an index|cannot take|not there|form|float32|int64",
    ),
    "labels beyond the outputs": (changed(LAST, outputs=3), "outputs|another form|index"),
    "no weights": (changed(FIRST, weights=()), "no weights|before there is one|form"),
    "weights out of order": (changed(FIRST, weights=FIRST.weights[::-1]), "order of their names"),
    "a moment of no weight": (
        changed(FIRST, moments=(FIRST.moments[0].model_copy(update={"name": "exp_avg/other"}), *FIRST.moments[1:])),
        "no moment of its weights|order",
    ),
    "an output from behind": (changed(FIRST, output=10_000), "no value of its forward part"),
    "a new weight of another form": (
        changed(FIRST, weights_after=(FIRST.weights_after[1], *FIRST.weights_after[1:])),
        "another form",
    ),
    "a lost weight": (changed(FIRST, weights_after=FIRST.weights_after[1:]), "new value for each tensor"),
    "a loss without labels": (changed(FIRST, loss=FIRST.output), "a loss goes with labels"),
    "a gradient from seat 0": (changed(FIRST, input_gradient=0), "seat 0 alone"),
    "parts that overlap": (changed(FIRST, forward_end=5, backward_end=3), "follow each other|not there|value"),
    "evaluation by moments": (
        changed(FIRST, evaluation=(instruction("neg", 1 + len(FIRST.weights)),), evaluated=0),
        "not there yet",
    ),
    "evaluation to another shape": (changed(FIRST, evaluated=0), "another output"),
    "no batch": (changed(FIRST, batch=(4,)), "no batch of records|cannot take"),
    "an empty batch": (changed(FIRST, batch=(0, 6)), "no batch of records"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_programme_is_refused_before_it_runs(name: str) -> None:
    programme, match = HOSTILE[name]
    with pytest.raises(SpecError, match=match) as caught:
        check_programme(programme)
    assert caught.value.cause is Cause.TERMS
    assert caught.value.message.isprintable()


def test_a_block_that_declares_more_than_a_block_has_is_refused_unread() -> None:
    block = FIRST.to_block()
    with pytest.raises(SpecError):
        read_programme(block + bytes(1 << 20))
    with pytest.raises(SpecError):
        read_programme(block[:-1])


def test_a_constant_is_as_long_as_its_shape_and_finite() -> None:
    long = Constant(dtype="float32", shape=(WIDE, WIDE), data=bytes(8))
    infinite = Constant(dtype="float32", shape=(1,), data=b"\x00\x00\x80\x7f")
    negative = Constant(dtype="int64", shape=(1,), data=b"\xff" * 8)
    for constant, match in ((long, "has 8 bytes"), (infinite, "not finite")):
        with pytest.raises(SpecError, match=match):
            constant_array(constant)
    unused = changed(LAST, constants=(negative,), training=(), forward_end=0, backward_end=0, output=0, loss=0)
    with pytest.raises(SpecError, match="index below 0"):
        check_programme(unused)


@pytest.mark.parametrize("kind", MODELS)
def test_an_honest_programme_passes_and_is_what_its_block_says(kind: str) -> None:
    for checked in make_programmes(MODELS[kind], training_of(), 2):
        again = read_programme(checked.programme.to_block())
        assert again.programme == checked.programme
        assert (again.training_frees, again.peak_bytes, again.work) == (
            checked.training_frees,
            checked.peak_bytes,
            checked.work,
        )


def test_every_value_is_freed_once_after_its_last_use() -> None:
    for checked in make_programmes(MODELS["resnet18"], training_of()):
        seen: set[int] = set()
        for place, one in enumerate(checked.programme.training):
            assert not seen.intersection(one.inputs)
            freed = checked.training_frees[place]
            assert not seen.intersection(freed)
            seen.update(freed)
        kept = {checked.programme.output, *checked.programme.weights_after, *checked.programme.moments_after}
        assert not seen.intersection(kept)
