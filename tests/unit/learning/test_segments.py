"""One seat's segment: initial weights, gradients, optimizers, and states that continue it."""

import numpy as np
import pytest
import torch

from clicooper.commitments.manifest import ModelSpec
from clicooper.errors import DataError, SpecError
from clicooper.learning.checkpoint import cast_state
from clicooper.learning.models import build_segment
from clicooper.learning.segments import Segment, initial_state
from tests.learning_jobs import MLP, SEEDS, diff_states, own_model, training_spec

WHOLE = MLP.model_copy(update={"cuts": ()})
X = np.random.default_rng(1).normal(size=(5, 6)).astype(np.float32)
LABELS = np.array([0, 1, 2, 3, 0])


def trained(segment: Segment, steps: int) -> Segment:
    for _ in range(steps):
        segment.forward(X)
        segment.loss_backward(LABELS)
        segment.step()
    return segment


def test_initial_weights_are_he_normal_and_biases_zero() -> None:
    wide = ModelSpec(kind="mlp", input_shape=(200,), outputs=2, widths=(300,), cuts=())
    state = initial_state(wide, SEEDS, 0)
    weight = state["block0.linear.weight"]
    assert weight.dtype == np.float32
    assert abs(float(weight.std()) / np.sqrt(2 / 200) - 1) < 0.02
    assert not state["block0.linear.bias"].any()


def test_normalisation_starts_at_its_defaults_and_buffers_as_made() -> None:
    resnet = ModelSpec(kind="resnet18", input_shape=(3, 8, 8), outputs=2, widths=(4, 4, 4, 4), cuts=())
    state = initial_state(resnet, SEEDS, 0)
    assert (state["block0.norm.weight"] == 1).all()
    assert (state["block0.norm.running_var"] == 1).all()
    assert state["block0.norm.num_batches_tracked"].dtype == np.int64
    own = own_model("normalised_blocks")
    assert initial_state(own, SEEDS, 0)["block0.1.factor"] == 3


def test_other_seeds_give_other_weights() -> None:
    other = SEEDS.model_copy(update={"weights": 99})
    assert diff_states(initial_state(MLP, SEEDS, 0), initial_state(MLP, other, 0)) == (
        "block0.linear.weight: 54 of 54 elements differ",
    )


NOISY = {"label_noise": 0.4, "label_smoothing": 0.0}


@pytest.mark.parametrize("loss", [{}, NOISY])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gradient_matches_finite_differences(dtype: type, loss: dict[str, float]) -> None:
    state = cast_state(initial_state(MLP, SEEDS, 2), dtype)
    segment = Segment(MLP, training_spec(**loss), 2, state)
    x = np.random.default_rng(2).normal(size=(5, 7)).astype(dtype)
    segment.forward(x)
    _, grad = segment.loss_backward(LABELS)
    assert grad is not None and grad.dtype == dtype
    exact = Segment(MLP, training_spec(**loss), 2, cast_state(state, np.float64))
    direction = np.random.default_rng(3).normal(size=x.shape)
    losses = []
    for sign in (1, -1):
        exact.forward(x.astype(np.float64) + sign * 1e-5 * direction)
        losses.append(exact.loss_backward(LABELS)[0])
    slope = (losses[0] - losses[1]) / 2e-5
    assert np.isclose(slope, float((grad * direction).sum()), rtol=1e-4 if dtype is np.float32 else 1e-8)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("loss", [{}, NOISY])
def test_resumed_segment_is_bitwise_equal(optimizer: str, momentum: float, dtype: type, loss: dict[str, float]) -> None:
    training = training_spec(optimizer=optimizer, momentum=momentum, **loss)
    start = cast_state(initial_state(WHOLE, SEEDS, 0), dtype)
    through = trained(Segment(WHOLE, training, 0, start), 7)
    half = trained(Segment(WHOLE, training, 0, start), 3)
    resumed = trained(Segment(WHOLE, training, 0, half.state(), half.optimizer_state()), 4)
    assert diff_states(through.state(), resumed.state()) == ()
    assert diff_states(through.optimizer_state(), resumed.optimizer_state()) == ()
    assert diff_states(start, through.state()) != ()


def test_batch_normalisation_resumes_bitwise() -> None:
    model = ModelSpec(kind="resnet18", input_shape=(3, 8, 8), outputs=4, widths=(4, 4, 4, 4), cuts=())
    x = np.random.default_rng(1).normal(size=(5, 3, 8, 8)).astype(np.float32)
    segments = [Segment(model, training_spec(), 0, initial_state(model, SEEDS, 0))]
    for step in range(4):
        if step == 2:
            segments.append(Segment(model, training_spec(), 0, segments[0].state(), segments[0].optimizer_state()))
        for segment in segments:
            segment.forward(x)
            segment.loss_backward(LABELS)
            segment.step()
    assert diff_states(segments[0].state(), segments[1].state()) == ()
    assert segments[0].state()["block0.norm.num_batches_tracked"] == 4


def test_sgd_step_is_the_textbook_one() -> None:
    training = training_spec(momentum=0.0, weight_decay=0.0, label_smoothing=0.0)
    linear = ModelSpec(kind="mlp", input_shape=(6,), outputs=4, widths=(), cuts=())
    state = initial_state(linear, SEEDS, 0)
    segment = Segment(linear, training, 0, state)
    logits = segment.forward(X).astype(np.float64)
    loss, _ = segment.loss_backward(LABELS)
    segment.step()
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert np.isclose(loss, -np.log(p[np.arange(5), LABELS]).mean(), rtol=1e-6)
    gradient = (p - np.eye(4)[LABELS]).T @ X / 5
    expected = state["block0.linear.weight"] - training.learning_rate * gradient
    assert np.allclose(segment.state()["block0.linear.weight"], expected, atol=1e-7)


CONSTANT = ModelSpec(kind="mlp", input_shape=(6,), outputs=4, widths=(), cuts=())


def logits_alone(logits: list[float], **changes: float) -> Segment:
    """A segment whose outputs are these numbers, whatever comes in."""
    state = initial_state(CONSTANT, SEEDS, 0)
    still = {"block0.linear.weight": np.zeros((4, 6)), "block0.linear.bias": np.array(logits)}
    assert still.keys() == state.keys()
    plain = {"momentum": 0.0, "weight_decay": 0.0, "label_smoothing": 0.0}
    return Segment(CONSTANT, training_spec(**(plain | changes)), 0, still)


def test_corrected_loss_is_that_of_the_mixed_posterior_and_bounded() -> None:
    logits, rho = [2.0, -1.0, 0.5, 0.0], 0.4
    p = np.exp(logits) / np.exp(logits).sum()
    segment = logits_alone(logits, label_noise=rho)
    segment.forward(np.zeros((5, 6)))
    loss, _ = segment.loss_backward(LABELS)
    assert np.isclose(loss, -np.log((1 - rho) * p[LABELS] + rho / 4).mean(), rtol=1e-12)
    for extreme in (60.0, 1e4):
        wrong = logits_alone([0.0, extreme, 0.0, 0.0], label_noise=rho)
        wrong.forward(np.zeros((1, 6)))
        assert np.isclose(wrong.loss_backward(np.array([0]))[0], np.log(4 / rho), rtol=1e-9)


@pytest.mark.parametrize(("rho", "found"), [(0.4, "clean"), (0.0, "noisy")])
def test_corrected_loss_is_least_at_the_clean_posterior(rho: float, found: str) -> None:
    """The one input there is has labels in exactly their noisy shares; the plain loss ends at those instead."""
    clean = np.array([0.55, 0.25, 0.15, 0.05])
    noisy = 0.6 * clean + 0.4 / 4
    labels = np.repeat(np.arange(4), np.rint(100 * noisy).astype(int))
    assert np.allclose(np.bincount(labels) / 100, noisy)
    segment = logits_alone([0.0] * 4, label_noise=rho, learning_rate=2.0)
    for _ in range(2000):
        output = segment.forward(np.zeros((100, 6)))
        segment.loss_backward(labels)
        segment.step()
    p = np.exp(output[0]) / np.exp(output[0]).sum()
    assert np.allclose(p, {"clean": clean, "noisy": noisy}[found], atol=1e-6)


def test_no_label_noise_is_the_plain_loss_bit_for_bit() -> None:
    start = initial_state(WHOLE, SEEDS, 0)
    plain, zero = (Segment(WHOLE, training_spec(**changes), 0, start) for changes in ({}, {"label_noise": 0.0}))
    assert diff_states(trained(plain, 3).state(), trained(zero, 3).state()) == ()
    nearly = Segment(WHOLE, training_spec(label_noise=1e-12, label_smoothing=0.0), 0, start)
    reference = Segment(WHOLE, training_spec(label_smoothing=0.0), 0, start)
    for one, other in zip(trained(nearly, 3).state().values(), trained(reference, 3).state().values(), strict=True):
        assert np.allclose(one, other, atol=1e-5)


def test_states_are_copies() -> None:
    segment = Segment(WHOLE, training_spec(), 0, initial_state(WHOLE, SEEDS, 0))
    trained(segment, 1)
    before = segment.state()
    before_moments = segment.optimizer_state()
    copies = {name: array.copy() for name, array in before.items()}
    trained(segment, 1)
    assert diff_states(copies, before) == ()
    assert diff_states(before_moments, segment.optimizer_state()) != ()


def test_seat_zero_sends_no_gradient_and_the_caller_keeps_its_batch() -> None:
    segment = Segment(MLP, training_spec(), 0, initial_state(MLP, SEEDS, 0))
    x = X.copy()
    output = segment.forward(x)
    assert segment.backward(np.ones_like(output)) is None
    assert np.array_equal(x, X)


def test_gradients_of_an_abandoned_pass_do_not_add_up() -> None:
    once = trained(Segment(WHOLE, training_spec(), 0, initial_state(WHOLE, SEEDS, 0)), 1)
    twice = Segment(WHOLE, training_spec(), 0, initial_state(WHOLE, SEEDS, 0))
    twice.forward(X)
    twice.loss_backward(LABELS)
    assert diff_states(once.state(), trained(twice, 1).state()) == ()


def test_states_of_another_model_are_refused() -> None:
    state = initial_state(MLP, SEEDS, 0)
    wrong_shape = {**state, "block0.linear.bias": np.zeros(3, np.float32)}
    mixed = {**state, "block0.linear.bias": np.zeros(9, np.float64)}
    for bad in (initial_state(MLP, SEEDS, 1), {**state, "extra": state["block0.linear.bias"]}, wrong_shape, mixed, {}):
        with pytest.raises(SpecError):
            Segment(MLP, training_spec(), 0, bad)


def test_incomplete_or_foreign_moments_are_refused() -> None:
    training = training_spec(optimizer="adamw")
    segment = trained(Segment(WHOLE, training, 0, initial_state(WHOLE, SEEDS, 0)), 1)
    moments = segment.optimizer_state()
    incomplete = {name: array for name, array in moments.items() if name != "exp_avg_sq/block0.linear.weight"}
    for bad in (incomplete, {"momentum_buffer/block0.linear.bias": np.zeros(9, np.float32)}, {"step/x": np.zeros(())}):
        with pytest.raises(SpecError):
            Segment(WHOLE, training, 0, segment.state(), bad)


def test_batches_gradients_and_labels_that_do_not_fit_are_refused() -> None:
    last = Segment(WHOLE, training_spec(), 0, initial_state(WHOLE, SEEDS, 0))
    with pytest.raises(DataError, match="no forward pass"):
        last.loss_backward(LABELS)
    with pytest.raises(DataError, match="cannot take a batch"):
        last.forward(X[:, :5])
    last.forward(X)
    for labels in (LABELS[:4], LABELS + 1, LABELS - 1):
        with pytest.raises(DataError, match="labels"):
            last.loss_backward(labels)
    with pytest.raises(DataError, match="gradient"):
        last.backward(np.ones((5, 3), np.float32))


def test_divergence_is_reported() -> None:
    segment = Segment(WHOLE, training_spec(learning_rate=1e30), 0, initial_state(WHOLE, SEEDS, 0))
    with pytest.raises(SpecError, match="diverged"):
        trained(segment, 5)


def test_callers_generator_and_dtype_do_not_matter() -> None:
    torch.manual_seed(1)
    first = initial_state(MLP, SEEDS, 1)
    torch.manual_seed(2)
    torch.set_default_dtype(torch.float64)
    try:
        second = initial_state(MLP, SEEDS, 1)
        assert build_segment(MLP, 0)(torch.zeros(1, 6, dtype=torch.float32)).dtype == torch.float32
    finally:
        torch.set_default_dtype(torch.float32)
    assert diff_states(first, second) == ()
