"""DP-SGD as it runs: batches, clipping and noise as realised, and a distinguisher that proves no more than claimed."""

import math
import warnings

import numpy as np
import pytest
import torch
from scipy.stats import chi2, kstest, norm
from torch import nn

from clicooper.errors import DataError, PrivacyClaimError
from clicooper.privacy import dpsgd
from clicooper.privacy.composition import SampledGaussian
from clicooper.privacy.dpsgd import Draws, GradientRule, train_privately
from clicooper.privacy.randomness import MasterSecret, bind
from tests.distinguish import lower_bound
from tests.zero_out import zero_out_epsilon

SECRET = MasterSecret.from_seed(3)
ONE_STEP = GradientRule(clip=1.0, learning_rate=1.0, momentum=0.0)


def draws(number=0):
    return Draws(SECRET, bind("test", number))


def network(inputs=3, outputs=2):
    """A linear layer whose weights are 0, so that what a step adds to them is all there is."""
    layer = nn.Linear(inputs, outputs, dtype=torch.float64)
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


def step(inputs, labels, mechanism, number=0, rule=ONE_STEP):
    """The weights after training from zero, flattened: for one step minus the noisy mean gradient."""
    module = network(inputs.shape[1])
    train_privately(module, torch.tensor(inputs), torch.tensor(labels), mechanism, rule, draws(number))
    return np.concatenate([parameter.detach().numpy().ravel() for parameter in module.parameters()])


def records(count, size=100.0):
    """Records far beyond the clip, all of one direction."""
    return np.tile([size, 0.0, 0.0], (count, 1)), np.zeros(count, dtype=np.int64)


def test_a_record_enters_a_batch_with_probability_one_in_k():
    """400 steps of 500 records, k = 4: the total and each record's own count; each bound is missed with p = 1e-9."""
    counts = np.zeros(500)
    for number in range(400):
        counts[draws().batch(number, 500, 4).numpy()] += 1
    deviation = math.sqrt(400 * 500 * 0.25 * 0.75)
    assert abs(counts.sum() - 400 * 500 / 4) < norm.isf(5e-10) * deviation
    spread = ((counts - 100) ** 2).sum() / (400 * 0.25 * 0.75)
    assert chi2.ppf(1e-9, 500) < spread < chi2.isf(1e-9, 500)


def test_batches_of_different_steps_and_sizes_are_independent():
    """Poisson batches have the variance of a binomial, and two steps agree no more often than chance (p = 1e-9)."""
    sizes = np.array([len(draws().batch(number, 1000, 2)) for number in range(300)])
    ratio = 299 * sizes.var(ddof=1) / 250
    assert chi2.ppf(1e-9, 299) < ratio < chi2.isf(1e-9, 299)
    first, second = (set(draws().batch(number, 100_000, 2).tolist()) for number in (0, 1))
    assert abs(len(first & second) - 25_000) < norm.isf(5e-10) * math.sqrt(100_000 * 0.25 * 0.75)


def test_noise_of_a_step_has_the_deviation_that_is_accounted_for():
    """1,000 steps on the same records, less their mean: 8,000 draws; each test is missed at 1e-6 or less."""
    inputs, labels = records(4)
    mechanism = SampledGaussian(2.0, 1, 1)
    found = np.stack([step(inputs, labels, mechanism, number) for number in range(1000)])
    clean = found.mean(axis=0)
    noise = (found - clean) * 4 / math.sqrt(1 - 1 / 1000)
    assert kstest(noise.ravel() / 2.0, "norm").pvalue > 1e-6
    ratio = (noise**2).sum() / 4.0 * (1 - 1 / 1000)
    degrees = noise.size - noise.shape[1]
    assert chi2.ppf(1e-9, degrees) < ratio < chi2.isf(1e-9, degrees)


def test_a_gradient_beyond_the_clip_counts_as_the_clip():
    """Ten records a hundred times too long: the sum of their gradients is ten clips long, before noise."""
    inputs, labels = records(10)
    found = np.stack([step(inputs, labels, SampledGaussian(0.5, 1, 1), number) for number in range(400)])
    # The mean of 400 draws has a deviation of 0.5 / 10 / 20 in each of 8 coordinates.
    assert np.linalg.norm(found.mean(axis=0)) == pytest.approx(1.0, abs=5 * 0.0025 * 8**0.5)
    longer = step(inputs * 50, labels, SampledGaussian(0.5, 1, 1))
    assert np.abs(longer - step(inputs, labels, SampledGaussian(0.5, 1, 1))).max() < 1e-2


def test_noise_lies_on_a_public_grid():
    inputs, labels = records(4)
    grid = 2.0 ** math.floor(math.log2(0.5 / 1024)) / 4
    cells = step(inputs, labels, SampledGaussian(0.5, 1, 1)) / grid
    assert np.array_equal(cells, np.rint(cells))


def test_same_master_and_settings_train_the_same_weights_and_any_other_does_not():
    inputs, labels = np.random.default_rng(0).normal(size=(50, 3)), np.arange(50) % 2
    mechanism = SampledGaussian(2.0, 2, 6)
    first = step(inputs, labels, mechanism, rule=GradientRule())
    assert np.array_equal(first, step(inputs, labels, mechanism, rule=GradientRule()))
    assert not np.array_equal(first, step(inputs, labels, mechanism, number=1, rule=GradientRule()))


def test_a_batch_in_parts_is_the_same_batch(monkeypatch):
    inputs, labels = np.random.default_rng(0).normal(size=(50, 3)), np.arange(50) % 2
    whole = step(inputs, labels, SampledGaussian(2.0, 2, 6), rule=GradientRule())
    monkeypatch.setattr(dpsgd, "_RECORDS_AT_ONCE", 7)
    # Sums in another order differ in their last bits, hence on the grid by a cell or not at all.
    assert step(inputs, labels, SampledGaussian(2.0, 2, 6), rule=GradientRule()) == pytest.approx(whole, abs=1e-2)


def test_an_empty_batch_is_a_step_of_noise_alone():
    """Eight records, one in eight a step: of 64 steps some are empty, and none is skipped or not a number."""
    sizes = [len(draws().batch(number, 8, 8)) for number in range(64)]
    assert 0 in sizes
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = step(*records(8), SampledGaussian(1.0, 8, 64))
    assert np.isfinite(found).all()
    assert np.abs(found).max() > 0


@pytest.mark.parametrize(("count", "mechanism"), [(3, SampledGaussian(2.0, 4, 4)), (40, SampledGaussian(2.0, 4, 6))])
def test_too_few_records_and_broken_passes_are_refused(count, mechanism):
    with pytest.raises(DataError, match="records"):
        step(*records(count), mechanism)


@pytest.mark.parametrize("rule", [{"clip": 0.0}, {"learning_rate": math.nan}, {"momentum": 1.0}])
def test_a_rule_out_of_range_is_refused(rule):
    with pytest.raises(PrivacyClaimError, match="no rule of descent"):
        GradientRule(**rule)


TRIALS, ERROR = 10_000, 1e-6
MECHANISM = SampledGaussian(1.0, 1, 1)


def statistic(optimizer, present):
    """One step of the library's optimizer on a single record, 10,000 times over: the weight that its gradient moves."""
    seen = np.empty(TRIALS)
    for trial in range(TRIALS):
        optimizer._draws = draws(trial + (0 if present else TRIALS))
        optimizer._step = 0
        parameter = optimizer.params[0]
        parameter.summed_grad = None
        # A gradient of 100, or none: a record that was zeroed.
        parameter.grad_sample = torch.full((1, 1), 100.0 if present else 0.0, dtype=torch.float64)
        optimizer.clip_and_accumulate()
        optimizer.add_noise()
        seen[trial] = float(parameter.grad)
        parameter.grad_sample = None
    return seen


def proved(kind=dpsgd._KeyedOptimizer):
    """Epsilon proved against one step, thresholds fixed before; wrong with probability 4e-6 at most."""
    parameter = nn.Parameter(torch.zeros(1, dtype=torch.float64))
    optimizer = kind(
        draws(),
        optimizer=torch.optim.SGD([parameter], lr=1.0),
        noise_multiplier=MECHANISM.noise_multiplier,
        max_grad_norm=1.0,
        expected_batch_size=1,
        loss_reduction="sum",
    )
    present, absent = statistic(optimizer, True), statistic(optimizer, False)
    return max(lower_bound(present, absent, threshold, 1e-5, ERROR).epsilon for threshold in (0.5, 1.0, 1.5, 2.5))


class NoClipping(dpsgd._KeyedOptimizer):
    """The mistake: gradients of any length are added up."""

    def clip_and_accumulate(self):
        clip, self.max_grad_norm = self.max_grad_norm, math.inf
        super().clip_and_accumulate()
        self.max_grad_norm = clip


class NoiseOfTheMean(dpsgd._KeyedOptimizer):
    """The mistake: noise for a mean over a batch of 4 is added to the sum."""

    def add_noise(self):
        honest, self.noise_multiplier = self.noise_multiplier, self.noise_multiplier / 4
        super().add_noise()
        self.noise_multiplier = honest


def test_distinguisher_never_proves_more_than_a_step_claims():
    claimed = zero_out_epsilon([MECHANISM], 1e-5)
    assert 0.2 * claimed < proved() <= claimed


@pytest.mark.parametrize("broken", [NoClipping, NoiseOfTheMean])
def test_distinguisher_convicts_a_broken_step(broken):
    assert proved(broken) > zero_out_epsilon([MECHANISM], 1e-5)
