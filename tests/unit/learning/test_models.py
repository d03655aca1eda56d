"""Blocks, cuts and sizes of models."""

import numpy as np
import pytest
import torch

from clicooper.commitments.manifest import ModelSpec
from clicooper.errors import ModelUnusable, SpecError
from clicooper.learning.models import build_segment, build_segments, carrying_weights, suggest_cuts
from clicooper.learning.segments import initial_state
from tests.learning_jobs import MLP, SEEDS, own_model, segment_sizes

CNN = ModelSpec(kind="cnn", input_shape=(1, 8, 8), outputs=10, widths=(4, 6, 8), cuts=(1, 3))
VIT = ModelSpec(kind="vit", input_shape=(3, 8, 8), outputs=10, widths=(12, 2, 3), cuts=(1, 2))
RESNET = ModelSpec(kind="resnet18", input_shape=(3, 8, 8), outputs=10, widths=(4, 4, 8, 8), cuts=(3, 6))


@pytest.mark.parametrize("spec", [MLP, CNN, RESNET, VIT, own_model("normalised_blocks", 2)])
def test_segments_chain_from_input_to_outputs(spec: ModelSpec) -> None:
    x = torch.zeros(3, *spec.input_shape)
    segments = build_segments(spec)
    for segment in segments:
        x = segment(x)
    assert len(segments) == len(spec.cuts) + 1
    assert x.shape == (3, spec.outputs)


@pytest.mark.parametrize("spec", [MLP, CNN, RESNET, VIT])
def test_names_and_initial_weights_do_not_depend_on_the_cuts(spec: ModelSpec) -> None:
    whole = spec.model_copy(update={"cuts": ()})
    parts: dict[str, object] = {}
    for seat in range(len(spec.cuts) + 1):
        parts |= initial_state(spec, SEEDS, seat)
    expected = initial_state(whole, SEEDS, 0)
    assert parts.keys() == expected.keys()
    assert all(np.array_equal(parts[name], array) for name, array in expected.items())


def test_mlp_has_one_block_a_layer() -> None:
    assert [name for name, _ in build_segment(MLP, 1).named_children()] == ["block1", "block2"]
    assert sorted(initial_state(MLP, SEEDS, 2)) == ["block3.linear.bias", "block3.linear.weight"]


def test_resnet_has_the_published_number_of_parameters() -> None:
    spec = ModelSpec(kind="resnet18", input_shape=(3, 32, 32), outputs=10, widths=(), cuts=())
    assert segment_sizes(spec)[0].parameters == 11_173_962


def test_building_leaves_the_callers_generator_alone() -> None:
    before = torch.get_rng_state()
    build_segments(RESNET)
    build_segment(own_model("normalised_blocks"), 0)
    suggest_cuts(MLP, 2)
    assert torch.equal(before, torch.get_rng_state())


def test_only_tensors_of_two_dimensions_carry_marks() -> None:
    segment = build_segment(MLP, 1)
    assert carrying_weights(segment) == 9 * 8 + 8 * 7
    assert segment_sizes(MLP)[1].parameters == 9 * 8 + 8 + 8 * 7 + 7


@pytest.mark.parametrize("cuts", [(0,), (4,), (2, 2), (3, 1), (9,)])
def test_cuts_that_do_not_fit_are_refused(cuts: tuple[int, ...]) -> None:
    with pytest.raises(SpecError, match="cuts") as caught:
        build_segments(MLP.model_copy(update={"cuts": cuts}))
    assert "from 1 to 3" in caught.value.hint


@pytest.mark.parametrize(
    ("name", "cuts", "message"),
    [
        ("dropout_blocks", (), "draws random numbers"),
        ("tied_blocks", (1,), "used twice"),
        ("lazy_blocks", (), "no shape"),
        ("wrong_outputs", (), "one number per output"),
        ("no_list", (), "not a list"),
        ("raises", (), "no model for"),
        ("absent", (), "cannot be imported"),
        ("normalised_blocks", (1, 2), "has no weights"),
        ("normalised_blocks", (5,), "cuts .5. do not fit"),
    ],
)
def test_code_that_breaks_a_rule_is_unusable_and_accuses_nobody(name: str, cuts: tuple[int, ...], message: str) -> None:
    with pytest.raises(ModelUnusable, match=message) as caught:
        build_segments(own_model(name, *cuts))
    assert caught.value.hint


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "transformer"},
        {"kind": ":model"},
        {"kind": "mlp", "code": bytes(32)},
        {"kind": "tests.learning_jobs:normalised_blocks"},
        {"widths": (4, 0)},
        {"input_shape": ()},
        {"input_shape": (0,)},
        {"kind": "cnn"},
        {"kind": "resnet18", "input_shape": (3, 8, 8), "widths": (4, 4)},
    ],
)
def test_impossible_specs_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(SpecError) as caught:
        build_segments(MLP.model_copy(update={"cuts": (), **changes}))
    assert caught.value.hint


def test_seat_that_does_not_exist_is_refused() -> None:
    with pytest.raises(SpecError, match="seat 3"):
        build_segment(MLP, 3)


def test_suggested_cuts_balance_parameters() -> None:
    spec = ModelSpec(kind="mlp", input_shape=(64,), outputs=20, widths=(64,) * 5, cuts=())
    assert suggest_cuts(spec, 3, room=0) == (2, 4)
    assert suggest_cuts(spec, 1) == ()


def test_suggested_cuts_prefer_room_for_marks_over_balance() -> None:
    spec = ModelSpec(kind="mlp", input_shape=(16,), outputs=8, widths=(384, 384, 384, 16), cuts=())
    cut = spec.model_copy(update={"cuts": suggest_cuts(spec, 2)})
    assert all(size.carrying >= 128_000 for size in segment_sizes(cut))


def test_suggested_cuts_give_every_seat_weights() -> None:
    assert suggest_cuts(own_model("normalised_blocks"), 2) in {(1,), (2,)}
    for seats in (0, 3):
        with pytest.raises(SpecError, match="cannot be cut"):
            suggest_cuts(own_model("normalised_blocks"), seats)
