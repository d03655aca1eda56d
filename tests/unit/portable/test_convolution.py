"""Convolutions and their gradients against fractions, in any order and in any blocks."""

from typing import Any, TypeAlias

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from clicooper.learning.portable import grid, windows
from clicooper.learning.portable.kernels import PORTABLE
from clicooper.learning.portable.recheck import recheck
from clicooper.learning.portable.watch import Watch
from tests import exact_convolution
from tests.exact_convolution import Geometry
from tests.portable_inputs import arrays, same_bits

Numbers: TypeAlias = NDArray[np.float32]
Case: TypeAlias = tuple[Numbers, Numbers, Numbers, Geometry, int]
PAIRS = st.tuples(st.integers(1, 2), st.integers(1, 2))


def _results(x: Numbers, w: Numbers, g: Numbers, at: Geometry, groups: int) -> list[torch.Tensor]:
    """The convolution and the gradients of its input and its weights."""
    tensors = [torch.from_numpy(t.copy()) for t in (x, w, g)]
    calls = [("conv2d", (0, 1), None), ("conv2d_input_grad", (2, 1), x.shape), ("conv2d_weight_grad", (2, 0), w.shape)]
    return [_run(name, [tensors[i] for i in chosen], at, groups, shape) for name, chosen, shape in calls]


def _attributes(at: Geometry, groups: int, shape: tuple[int, ...] | None) -> dict[str, Any]:
    found = {"stride": at.stride, "padding": at.padding, "dilation": at.dilation, "groups": groups}
    return found if shape is None else {**found, "shape": shape}


def _run(
    name: str, inputs: list[torch.Tensor], at: Geometry, groups: int, shape: tuple[int, ...] | None
) -> torch.Tensor:
    """The result of a kernel, of which single entries are computed again."""
    attributes = _attributes(at, groups, shape)
    found = PORTABLE[name](Watch(), *inputs, **attributes)
    assert isinstance(found, torch.Tensor)
    assert found.dtype == torch.float32
    assert recheck(name, inputs, attributes, found, entries=2)
    return found


def _expected(x: Numbers, w: Numbers, g: Numbers, at: Geometry, groups: int) -> list[Numbers]:
    return [
        exact_convolution.conv2d(x, w, at, groups),
        exact_convolution.conv2d_input_grad(g, w, x.shape, at, groups),
        exact_convolution.conv2d_weight_grad(g, x, w.shape, at, groups),
    ]


def _normal(seed: int, *shape: int) -> Numbers:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def _case(size: tuple[int, int, int], channels: tuple[int, int], at: Geometry, groups: int = 1) -> Case:
    records, (inner, outer) = size[0], channels
    x, w = _normal(1, records, inner, *at.size), _normal(2, outer, inner // groups, *at.kernel)
    return x, w, _normal(3, records, outer, *at.count()), at, groups


@st.composite
def _cases(draw: st.DrawFn) -> Case:
    kernel, stride, dilation = draw(PAIRS), draw(PAIRS), draw(PAIRS)
    padding = draw(st.tuples(st.integers(0, 2), st.integers(0, 1)))
    at = Geometry(draw(st.tuples(st.integers(2, 4), st.integers(2, 4))), kernel, stride, padding, dilation)
    assume(all(at.count()))
    groups, inner, outer, records = (draw(st.integers(1, 2)) for _ in range(4))
    x = draw(arrays((records, inner * groups, *at.size)))
    w = draw(arrays((outer * groups, inner, *kernel)))
    return x, w, draw(arrays((records, outer * groups, *at.count()))), at, groups


@settings(max_examples=40, deadline=None)
@given(_cases())
def test_all_three_forms(case: Case) -> None:
    for found, expected in zip(_results(*case), _expected(*case), strict=True):
        assert same_bits(found, expected)


@pytest.mark.parametrize(
    "case",
    [
        _case((2, 7, 7), (2, 3), Geometry((7, 7), (3, 3), (1, 1), (1, 1))),
        _case((1, 6, 5), (3, 3), Geometry((6, 5), (5, 2), (2, 3), (2, 1)), 3),
        _case((2, 7, 4), (2, 2), Geometry((7, 4), (3, 1), (1, 2), (0, 1), (2, 3))),
    ],
)
def test_odd_sizes(case: Case) -> None:
    for found, expected in zip(_results(*case), _expected(*case), strict=True):
        assert same_bits(found, expected)


def test_records_and_channels_of_other_scales() -> None:
    """1e-30 beside 1e30: each record and each channel has a grid of its own."""
    x, w, g, at, groups = _case((2, 4, 4), (2, 2), Geometry((4, 4), (3, 3), (1, 1), (1, 1)))
    x *= np.array([1e-30, 1e30], dtype=np.float32)[:, None, None, None]
    w *= np.array([1e-6, 1e6], dtype=np.float32)[:, None, None, None]
    g *= np.array([1e6, 1e-6], dtype=np.float32)[:, None, None, None]
    for found, expected in zip(_results(x, w, g, at, groups), _expected(x, w, g, at, groups), strict=True):
        assert same_bits(found, expected)


def _hundred() -> Case:
    return _case((100, 7, 7), (4, 6), Geometry((7, 7), (3, 3), (2, 1), (1, 1)), 2)


def test_the_order_of_records_changes_nothing() -> None:
    x, w, g, at, groups = _hundred()
    order = np.random.default_rng(4).permutation(100)
    forward, inner, weights = _results(x, w, g, at, groups)
    moved = _results(x[order], w, g[order], at, groups)
    for found, expected in zip(moved, (forward[order], inner[order], weights), strict=True):
        assert same_bits(found, expected)


@pytest.mark.parametrize("entries", [1, 100, 5000])
def test_the_size_of_blocks_changes_nothing(entries: int, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = _results(*_hundred())
    monkeypatch.setattr(windows, "_CPU_ENTRIES", entries)
    for found, before in zip(_results(*_hundred()), expected, strict=True):
        assert same_bits(found, before)


def test_the_number_of_threads_changes_nothing() -> None:
    before = torch.get_num_threads()
    found = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            found.append(_results(*_hundred()))
    finally:
        torch.set_num_threads(before)
    assert all(same_bits(one, two) for one, two in zip(*found, strict=True))


def test_close_to_real_numbers() -> None:
    """Within K 2**(e+f-b) (1 + 2**(-b-2)) and the last rounding of the sum of what came in."""
    x, w, _, at, groups = _hundred()
    found = torch.from_numpy(x).double(), torch.from_numpy(w).double()
    exact = torch.nn.functional.conv2d(*found, stride=at.stride, padding=at.padding, groups=groups)
    terms = w[0].size
    bits = grid.factor_bits(terms)
    top_x, top_w = (2.0 ** np.frexp(np.abs(t).max((1, 2, 3)))[1].astype(np.float64) for t in (x, w))
    bound = terms * top_x[:, None] * top_w[None] * 2.0**-bits * (1 + 2.0 ** (-bits - 2))
    distance = (_results(*_hundred())[0].double() - exact).abs().numpy()
    assert np.all(distance <= bound[:, :, None, None] + np.abs(exact.numpy()) * 2.0**-23)


def test_long_weight_gradients_are_cut_into_whole_records(monkeypatch: pytest.MonkeyPatch) -> None:
    x, w, g, at, groups = _case((5, 3, 3), (1, 2), Geometry((3, 3), (2, 2)))
    monkeypatch.setattr(grid, "MAX_TERMS", 9)
    expected = exact_convolution.conv2d_weight_grad(g, x, w.shape, at, groups, block=9)
    assert same_bits(_results(x, w, g, at, groups)[2], expected)


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("form", ["conv2d", "conv2d_input_grad", "conv2d_weight_grad"])
def test_numbers_that_are_not_finite_are_seen(form: str, place: int, wrong: float) -> None:
    x, w, g, at, groups = _case((2, 4, 4), (2, 2), Geometry((4, 4), (3, 3)))
    pick = {"conv2d": (x, w, None), "conv2d_input_grad": (g, w, x.shape), "conv2d_weight_grad": (g, x, w.shape)}[form]
    inputs = [torch.from_numpy(pick[0].copy()), torch.from_numpy(pick[1].copy())]
    watch = Watch()
    PORTABLE[form](watch, *inputs, **_attributes(at, groups, pick[2]))
    assert watch.is_finite()
    inputs[place].view(-1)[5] = wrong
    PORTABLE[form](watch, *inputs, **_attributes(at, groups, pick[2]))
    assert not watch.is_finite()


def test_a_wrong_entry_is_noticed() -> None:
    x, w, g, at, groups = _case((2, 4, 4), (2, 2), Geometry((4, 4), (3, 3), (1, 1), (1, 1)))
    calls = [("conv2d", (x, w), None), ("conv2d_input_grad", (g, w), x.shape), ("conv2d_weight_grad", (g, x), w.shape)]
    for (name, factors, shape), found in zip(calls, _results(x, w, g, at, groups), strict=True):
        inputs = [torch.from_numpy(t) for t in factors]
        other = torch.nextafter(found, torch.full((), 1e9))
        assert not recheck(name, inputs, _attributes(at, groups, shape), other, entries=1)
