"""Functions of float64 numbers from free operations: how far they are from the exact ones, and what is special."""

from collections.abc import Callable

import mpmath
import numpy as np
import pytest
import torch

from clicooper.learning.portable import elementary
from clicooper.learning.portable.functions import FUNCTIONS
from clicooper.learning.portable.watch import Watch

mpmath.mp.dps = 50

Function = Callable[[torch.Tensor], torch.Tensor]


def spread(seed: int, reach: float) -> np.ndarray:
    """Numbers of all sizes up to a reach, of both signs."""
    rng = np.random.default_rng(seed)
    small = rng.standard_normal(150) * 10.0 ** rng.integers(-12, 0, 150)
    return np.concatenate([rng.uniform(-reach, reach, 250), rng.standard_normal(150), small])


def units_off(function: Function, exact: Callable[[mpmath.mpf], mpmath.mpf], at: np.ndarray) -> float:
    """The largest error, in units of the last place of the exact result."""
    found = function(torch.from_numpy(at)).numpy()
    worst = 0.0
    for x, y in zip(at.tolist(), found.tolist(), strict=True):
        right = exact(mpmath.mpf(x))
        if right:
            worst = max(worst, float(abs(mpmath.mpf(y) - right) / mpmath.mpf(float(np.spacing(abs(float(right)))))))
    return worst


CASES = {
    "exp": (elementary.exp, mpmath.exp, spread(1, 700.0), 2),
    "exp near -40": (elementary.exp, mpmath.exp, np.linspace(-41, -39, 401), 2),
    "log": (elementary.log, mpmath.log, np.exp(spread(2, 500.0)), 2),
    "log near 1": (elementary.log, mpmath.log, 1 + spread(3, 1e-3) * 1e-2, 2),
    "sigmoid": (elementary.sigmoid, lambda x: 1 / (1 + mpmath.exp(-x)), spread(4, 500.0), 4),
    "tanh": (elementary.tanh, mpmath.tanh, spread(5, 30.0), 4),
    "tanh near 1/4": (elementary.tanh, mpmath.tanh, np.linspace(0.24, 0.26, 401), 4),
    "erf": (elementary.erf, mpmath.erf, spread(6, 6.0), 4),
    "erf near 1/2": (elementary.erf, mpmath.erf, np.linspace(0.49, 0.51, 401), 4),
    "erfc": (elementary.erfc, mpmath.erfc, np.abs(spread(7, 26.0)), 64),
}


@pytest.mark.parametrize("name", CASES)
def test_a_function_is_as_close_as_it_says(name: str) -> None:
    function, exact, at, most = CASES[name]
    assert units_off(function, exact, at) <= most


@pytest.mark.parametrize("name", ["sin", "cos"])
@pytest.mark.parametrize("reach", [10.0, float(1 << 20)])
def test_a_circular_function_is_within_2e_16(name: str, reach: float) -> None:
    at = spread(8, reach)
    found = getattr(elementary, name)(torch.from_numpy(at)).numpy()
    exact = [float(getattr(mpmath, name)(mpmath.mpf(x))) for x in at.tolist()]
    assert float(np.abs(found - exact).max()) <= 2.5e-16


def values(function: Function, *numbers: float) -> list[float]:
    found: list[float] = function(torch.tensor(numbers, dtype=torch.float64)).tolist()
    return found


def test_special_numbers_have_the_results_that_are_stated() -> None:
    inf, nan = np.inf, np.nan
    assert values(elementary.exp, -inf, -746.0, 0.0, 710.0, inf) == [0.0, 0.0, 1.0, inf, inf]
    assert values(elementary.log, 0.0, 1.0, inf) == [-inf, 0.0, inf]
    assert values(elementary.sigmoid, -inf, 0.0, inf) == [0.0, 0.5, 1.0]
    assert values(elementary.tanh, -inf, 0.0, inf) == [-1.0, 0.0, 1.0]
    assert values(elementary.erf, -9.0, 0.0, 9.0) == [-1.0, 0.0, 1.0]
    for function in (elementary.exp, elementary.log, elementary.sigmoid, elementary.tanh, elementary.erf):
        assert np.isnan(values(function, nan))
    assert np.isnan(values(elementary.log, -1.0))
    assert np.isnan(values(elementary.sin, 2.0**20 + 1))
    assert np.isnan(values(elementary.cos, -inf))


EXACT = {
    "exp": mpmath.exp,
    "tanh": mpmath.tanh,
    "erf": mpmath.erf,
    "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)),
    "sin": mpmath.sin,
    "cos": mpmath.cos,
    "silu": lambda x: x / (1 + mpmath.exp(-x)),
    "erf_slope": lambda x: 2 / mpmath.sqrt(mpmath.pi) * mpmath.exp(-x * x),
    "silu_slope": lambda x: mpmath.diff(lambda t: t / (1 + mpmath.exp(-t)), x),
    "gelu": lambda x: x * mpmath.ncdf(x),
    "gelu_slope": lambda x: mpmath.ncdf(x) + x * mpmath.npdf(x),
}


@pytest.mark.parametrize("name", EXACT)
def test_a_kernel_is_the_nearest_float32_or_its_neighbour(name: str) -> None:
    at = spread(9, 12.0).astype(np.float32)
    attributes = {"approximate": 0} if name.startswith("gelu") else {}
    result = FUNCTIONS[name](Watch(), torch.from_numpy(at), **attributes)
    assert isinstance(result, torch.Tensor)
    for x, y in zip(at.tolist(), result.tolist(), strict=True):
        right = float(EXACT[name](mpmath.mpf(x)))
        assert abs(y - right) <= 0.5001 * float(np.spacing(np.float32(abs(right)))) + 1e-12 * abs(x)


def test_the_approximate_gelu_is_that_of_its_formula() -> None:
    at = spread(10, 8.0).astype(np.float32)
    found = FUNCTIONS["gelu"](Watch(), torch.from_numpy(at), approximate=1)
    expected = torch.nn.functional.gelu(torch.from_numpy(at.astype(np.float64)), approximate="tanh")
    assert isinstance(found, torch.Tensor)
    assert torch.allclose(found.double(), expected, rtol=1e-6, atol=1e-9)
    slope = FUNCTIONS["gelu_slope"](Watch(), torch.from_numpy(at), approximate=1)
    x = torch.from_numpy(at.astype(np.float64)).requires_grad_()
    (theirs,) = torch.autograd.grad(torch.nn.functional.gelu(x, approximate="tanh").sum(), x)
    assert isinstance(slope, torch.Tensor)
    assert torch.allclose(slope.double(), theirs, rtol=1e-6, atol=1e-8)


def test_the_bias_correction_is_one_minus_a_power() -> None:
    steps = torch.arange(1, 200, dtype=torch.float32)
    rate = float(mpmath.log(mpmath.mpf("0.9")))
    found = FUNCTIONS["saturation"](Watch(), steps, rate=rate)
    assert isinstance(found, torch.Tensor)
    for step, y in zip(steps.tolist(), found.tolist(), strict=True):
        assert y == pytest.approx(1 - 0.9**step, rel=1e-7)


@pytest.mark.parametrize("name", ["log", "exp"])
def test_what_has_no_finite_result_stops_the_step(name: str) -> None:
    watch = Watch()
    result = FUNCTIONS[name](watch, torch.tensor([0.0, 1.0] if name == "log" else [1.0, 200.0]))
    assert isinstance(result, torch.Tensor)
    # An infinite exponential is seen by the sum that it enters; a logarithm of 0 at once.
    assert watch.is_finite() == (name == "exp")
    assert not torch.isfinite(result).all()
