"""The contrastive readout against closed forms."""

import numpy as np
import pytest
from numpy.typing import NDArray

from clicooper.commitments.manifest import ModelSpec
from clicooper.errors import DataError, SpecError
from clicooper.learning.readout import Readout
from clicooper.learning.segments import initial_state
from tests.learning_jobs import SEEDS

LINEAR = ModelSpec(kind="mlp", input_shape=(3,), outputs=4, widths=(), cuts=())
FOLD = np.array([[1, 0], [0, 1], [1, 0], [0, 1]])
MEANS = FOLD / FOLD.sum(axis=0)
A = np.random.default_rng(4).normal(size=(9, 3))


def linear(weight: NDArray[np.float64], bias: NDArray[np.float64], fold: NDArray[np.float64], scale: float) -> Readout:
    model = LINEAR.model_copy(update={"outputs": len(weight)})
    state = {
        "block0.linear.weight": weight.astype(np.float32),
        "block0.linear.bias": bias.astype(np.float32),
    }
    return Readout(model, [state], fold, scale)


def log_softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    return logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))


def test_naive_scores_are_class_means_of_log_probabilities() -> None:
    rng = np.random.default_rng(1)
    weight, bias = rng.normal(size=(4, 3)), rng.normal(size=4)
    scores = linear(weight, bias, FOLD, 0.5).naive_scores(A)
    expected = log_softmax(A * 0.5 @ weight.T + bias) @ MEANS
    assert scores.dtype == np.float64
    assert np.allclose(scores, expected, atol=1e-5)


def test_contrast_of_a_linear_model_is_its_logit_gap_without_bias() -> None:
    """With the identity as fold, differences of scores are ``(w_c - w_d) a scale``: noise and bias cancel exactly."""
    rng = np.random.default_rng(2)
    weight, bias = rng.normal(size=(4, 3)), 50 * rng.normal(size=4)
    result = linear(weight, bias, np.eye(4), 0.5).contrastive_scores(A, 0.7, seed=1)
    logits = A * 0.5 @ weight.T
    gaps = result.scores - result.scores[:, :1]
    assert np.allclose(gaps, logits - logits[:, :1], atol=1e-3)
    assert np.array_equal(result.predictions, logits.argmax(axis=1))
    assert (result.draws, result.disagreement, result.conclusive) == (64, 0.0, True)


def test_contrast_matches_the_formula_over_the_same_draws() -> None:
    rng = np.random.default_rng(3)
    weight, bias = rng.normal(size=(4, 3)), rng.normal(size=4)
    readout = linear(weight, bias, FOLD, 2.0)
    many = readout.contrastive_scores(A, 1.0, seed=5, draws=4000).scores
    e = np.random.default_rng(9).normal(size=(4000, 1, 3))
    noisy = log_softmax((A + e) * 2 @ weight.T + bias) @ MEANS
    alone = log_softmax(e * 2 @ weight.T + bias) @ MEANS
    # Independent draws: equal within six standard errors of both means.
    error = (noisy - alone).std(axis=0) * np.sqrt(2 / 4000)
    assert (np.abs(many - (noisy - alone).mean(axis=0)) < 6 * error + 1e-4).all()


def test_bias_that_drowns_a_plain_pass_is_removed() -> None:
    weight = np.vstack([np.eye(3), -np.ones((1, 3))])
    bias = np.array([100.0, 0, 0, 0])
    readout = linear(weight, bias, np.eye(4), 1.0)
    inputs = np.eye(3) * 3
    assert readout.naive_scores(inputs).argmax(axis=1).tolist() == [0, 0, 0]
    assert readout.contrastive_scores(inputs, 1.0, seed=0).predictions.tolist() == [0, 1, 2]


def test_draws_double_until_the_halves_agree() -> None:
    model = LINEAR.model_copy(update={"widths": (16, 16)})
    readout = Readout(model, [initial_state(model, SEEDS, 0)], FOLD, 4.0)
    close = np.random.default_rng(6).normal(size=(60, 3)) * 0.1
    strict = readout.contrastive_scores(close, 1.0, seed=0, max_disagreement=0.0)
    loose = readout.contrastive_scores(close, 1.0, seed=0, max_disagreement=1.0)
    fixed = readout.contrastive_scores(close, 1.0, seed=0, draws=64, max_disagreement=0.0)
    assert strict.draws > loose.draws == fixed.draws == 64
    assert strict.draws & (strict.draws - 1) == 0
    assert np.array_equal(loose.scores, fixed.scores)
    assert fixed.conclusive == (fixed.disagreement == 0.0)
    assert not fixed.conclusive


def test_result_does_not_depend_on_the_other_records() -> None:
    readout = linear(np.random.default_rng(1).normal(size=(4, 3)), np.zeros(4), FOLD, 1.0)
    together = readout.contrastive_scores(A, 0.5, seed=3, draws=64)
    alone = readout.contrastive_scores(A[4:5], 0.5, seed=3, draws=64)
    assert np.allclose(alone.scores[0], together.scores[4], atol=1e-5)


def test_segments_are_read_in_evaluation_mode_and_in_order() -> None:
    model = ModelSpec(kind="resnet18", input_shape=(3, 8, 8), outputs=4, widths=(4, 4, 4, 4), cuts=(2, 5))
    readout = Readout(model, [initial_state(model, SEEDS, seat) for seat in range(3)], FOLD, 1.0)
    images = np.random.default_rng(0).normal(size=(5, 3, 8, 8))
    assert np.allclose(readout.naive_scores(images)[2:3], readout.naive_scores(images[2:3]), atol=1e-5)


def test_improbable_classes_stay_finite() -> None:
    readout = linear(np.zeros((4, 3)), np.array([5000.0, 0, 5000, 0]), FOLD, 1.0)
    assert np.isfinite(readout.naive_scores(A)).all()


def test_folds_activations_states_and_draws_that_do_not_fit_are_refused() -> None:
    good = initial_state(LINEAR, SEEDS, 0)
    for fold in (np.eye(3), np.zeros((4, 2)), -FOLD, np.full((4, 2), np.nan), np.ones(4)):
        with pytest.raises(DataError):
            Readout(LINEAR, [good], fold, 1.0)
    with pytest.raises(SpecError, match="2 states"):
        Readout(LINEAR, [good, good], FOLD, 1.0)
    with pytest.raises(SpecError, match="seat 0"):
        Readout(LINEAR, [{"block0.linear.weight": np.zeros((4, 3), np.float32)}], FOLD, 1.0)
    readout = Readout(LINEAR, [good], FOLD, 1.0)
    for bad in (A[:, :2], A[:0], np.full((1, 3), np.nan)):
        with pytest.raises(DataError):
            readout.naive_scores(bad)
    for sigma, draws in ((-1.0, 64), (1.0, 3), (1.0, 0)):
        with pytest.raises(SpecError):
            readout.contrastive_scores(A, sigma, 0, draws=draws)
