"""Pooling and its gradients against fractions; borders take no part, first of equals gets the gradient."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from clicooper.learning.portable import windows
from clicooper.learning.portable.kernels import PORTABLE
from clicooper.learning.portable.watch import Watch
from tests import exact_convolution
from tests.exact_convolution import Geometry
from tests.portable_inputs import arrays, same_bits

PAIRS = st.tuples(st.integers(1, 3), st.integers(1, 2))


@st.composite
def _cases(draw: st.DrawFn, dilated: bool) -> tuple[NDArray[np.float32], NDArray[np.float32], Geometry]:
    kernel = draw(PAIRS)
    # No window lies in the border alone: it is no wider than half a kernel.
    padding = (draw(st.integers(0, kernel[0] // 2)), draw(st.integers(0, kernel[1] // 2)))
    dilation = draw(PAIRS) if dilated and padding == (0, 0) else (1, 1)
    at = Geometry(draw(st.tuples(st.integers(2, 5), st.integers(2, 5))), kernel, draw(PAIRS), padding, dilation)
    assume(all(at.count()))
    shape = (draw(st.integers(1, 2)), draw(st.integers(1, 2)))
    # The gradient's numbers stay where their sums are finite.
    return draw(arrays((*shape, *at.size), wide=dilated)), draw(arrays((*shape, *at.count()), wide=False)), at


def _tensor(x: NDArray[np.float32]) -> torch.Tensor:
    return torch.from_numpy(x.copy())


def _run(name: str, watch: Watch, *inputs: torch.Tensor, **attributes: Any) -> torch.Tensor:
    found = PORTABLE[name](watch, *inputs, **attributes)
    assert isinstance(found, torch.Tensor)
    assert found.dtype == torch.float32
    return found


@settings(max_examples=100, deadline=None)
@given(_cases(dilated=True))
def test_max_pool2d(case: tuple[NDArray[np.float32], NDArray[np.float32], Geometry]) -> None:
    x, g, at = case
    how = {"kernel": at.kernel, "stride": at.stride, "padding": at.padding, "dilation": at.dilation}
    assert same_bits(_run("max_pool2d", Watch(), _tensor(x), **how), exact_convolution.max_pool2d(x, at))
    found = _run("max_pool2d_grad", Watch(), _tensor(g), _tensor(x), **how)
    assert same_bits(found, exact_convolution.max_pool2d_grad(g, x, at))


@settings(max_examples=100, deadline=None)
@given(_cases(dilated=False))
def test_avg_pool2d(case: tuple[NDArray[np.float32], NDArray[np.float32], Geometry]) -> None:
    x, g, at = case
    how = {"kernel": at.kernel, "stride": at.stride, "padding": at.padding}
    assert same_bits(_run("avg_pool2d", Watch(), _tensor(x), **how), exact_convolution.avg_pool2d(x, at))
    found = _run("avg_pool2d_grad", Watch(), _tensor(g), shape=x.shape, **how)
    assert same_bits(found, exact_convolution.avg_pool2d_grad(g, x.shape, at))


def test_the_first_of_equals_gets_the_gradient() -> None:
    how = {"kernel": (2, 2), "stride": (1, 1), "padding": (0, 0), "dilation": (1, 1)}
    found = _run("max_pool2d_grad", Watch(), torch.ones(1, 1, 2, 2), torch.zeros(1, 1, 3, 3), **how)
    assert same_bits(found, torch.tensor([[[[1.0, 1, 0], [1, 1, 0], [0, 0, 0]]]]))


def test_a_border_of_the_least_numbers_is_not_seen() -> None:
    x = torch.full((1, 1, 3, 3), -3e38)
    watch = Watch()
    how = {"kernel": (3, 3), "stride": (2, 2), "padding": (1, 1), "dilation": (1, 1)}
    assert same_bits(_run("max_pool2d", watch, x, **how), x[:, :, :2, :2])
    assert watch.is_finite()


def test_a_window_in_the_border_alone_stops_the_step() -> None:
    watch = Watch()
    how = {"kernel": (2, 2), "stride": (1, 1), "padding": (1, 1), "dilation": (2, 2)}
    _run("max_pool2d", watch, torch.ones(1, 1, 1, 1), **how)
    assert not watch.is_finite()


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite_are_seen(wrong: float) -> None:
    x = torch.ones(2, 2, 4, 4)
    x[1, 0, 2, 2] = wrong
    how = {"kernel": (2, 2), "stride": (2, 2), "padding": (0, 0)}
    for name, inputs, more in (
        ("max_pool2d", (x,), {"dilation": (1, 1)}),
        ("max_pool2d_grad", (x[:, :, 1:3, 1:3], torch.ones(2, 2, 4, 4)), {"dilation": (1, 1)}),
        ("max_pool2d_grad", (torch.ones(2, 2, 2, 2), x), {"dilation": (1, 1)}),
        ("avg_pool2d", (x,), {}),
        ("avg_pool2d_grad", (x,), {"shape": (2, 2, 8, 8)}),
    ):
        watch = Watch()
        _run(name, watch, *inputs, **how, **more)
        assert not watch.is_finite(), name


def test_blocks_and_threads_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.from_numpy(np.random.default_rng(5).normal(size=(100, 3, 7, 7)).astype(np.float32))
    g = x[:, :, :4, :4].contiguous()
    how = {"kernel": (3, 3), "stride": (2, 2), "padding": (1, 1)}
    expected = [
        _run("max_pool2d_grad", Watch(), g, x, dilation=(1, 1), **how),
        _run("avg_pool2d", Watch(), x, **how),
        _run("avg_pool2d_grad", Watch(), g, shape=tuple(x.shape), **how),
    ]
    monkeypatch.setattr(windows, "_CPU_ENTRIES", 300)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        found = [
            _run("max_pool2d_grad", Watch(), g, x, dilation=(1, 1), **how),
            _run("avg_pool2d", Watch(), x, **how),
            _run("avg_pool2d_grad", Watch(), g, shape=tuple(x.shape), **how),
        ]
    finally:
        torch.set_num_threads(before)
    for ours, theirs in zip(found, expected, strict=True):
        assert same_bits(ours, theirs)
