"""No source of the portable arithmetic calls what gives other bits on another machine."""

from collections.abc import Collection, Mapping
from pathlib import Path

import pytest

import clicooper.learning.portable
from tests.source_rules import broken_rules

SOURCES = sorted(Path(next(iter(clicooper.learning.portable.__path__))).glob("*.py"))

ALLOWED: Mapping[str, Mapping[str, Collection[str]]] = {
    "convolution.py": {"_multiply": ["bmm"]},
    "products.py": {"_multiply": ["matmul"]},
    "recheck.py": {"_total": ["sum"], "_dot": ["sum"], "_total_of_some": ["sum"], "_sum_of_products": ["sum"]},
    "roots.py": {"square_root": ["sqrt"]},
    "scatter.py": {"_block": ["index_add"]},
    "softmax.py": {"_add_up": ["sum"]},
    "sums.py": {"_add_up": ["sum"]},
}
"""Module to function to calls: where numbers lie on grids, are whole, or are rounded so that it does not matter."""

PLANTED = [
    ("y = x / 3", "divides by a Python number"),
    ("y = x / -0.5", "divides by a Python number"),
    ("x /= 2.0", "divides by a Python number"),
    ("y = x / COUNT", "divides by a Python number"),
    ("y = x / len(x)", "divides by a Python number"),
    ("y = x / x.shape[0]", "divides by a Python number"),
    ("y = x / x.numel()", "divides by a Python number"),
    ("y = x / math.prod(shape)", "divides by a Python number"),
    ("def f(x: Tensor, n: int):\n    return x / n", "divides by a Python number"),
    ("def f(x: Tensor, n: int):\n    return torch.div(x, n)", "divides by a Python number"),
    ("x.div_(7)", "divides by a Python number"),
    ("y = torch.add(x, z, alpha=2)", "passes alpha="),
    ("y = x.sub_(z, alpha=rate)", "passes alpha="),
    ("y = x**2", "raises to a power"),
    ("y = 2.0**x", "raises to a power"),
    ("y = x.pow(2)", "calls pow"),
    ("y = torch.addcmul(x, a, b)", "calls addcmul"),
    ("x.addcdiv_(a, b)", "calls addcdiv_"),
    ("y = torch.lerp(a, b, w)", "calls lerp"),
    ("y = x.rsqrt()", "calls rsqrt"),
    ("y = torch.addmm(c, a, b)", "calls addmm"),
    ("y = torch.baddbmm(c, a, b)", "calls baddbmm"),
    ("y = torch.einsum('ij,jk', a, b)", "calls einsum"),
    ("y = torch.frexp(x)", "calls frexp"),
    ("y = torch.ldexp(x, e)", "calls ldexp"),
    ("torch._foreach_add_(xs, ys)", "calls _foreach_add_"),
    ("f = torch.compile(g)", "calls compile"),
    ("y = a @ b", "multiplies matrices outside their grids"),
    ("y = torch.mm(a, b)", "adds by mm outside its grids"),
    ("y = x.sum(0)", "adds by sum outside its grids"),
    ("y = torch.mean(x)", "adds by mean outside its grids"),
    ("y = x.var(0)", "adds by var outside its grids"),
    ("y = torch.std(x)", "adds by std outside its grids"),
    ("y = torch.linalg.vector_norm(x)", "adds by vector_norm outside its grids"),
    ("y = x.norm()", "adds by norm outside its grids"),
    ("y = functional.softmax(x, 1)", "adds by softmax outside its grids"),
    ("y = x.cumsum(0)", "adds by cumsum outside its grids"),
    ("y = z.index_add_(0, i, x)", "adds by index_add_ outside its grids"),
    ("y = functional.conv2d(x, w)", "adds by conv2d outside its grids"),
    ("y = torch.exp(x)", "takes a library's exp"),
    ("y = x.log()", "takes a library's log"),
    ("y = torch.sqrt(x)", "takes a library's sqrt"),
    ("kernels = {'exp': torch.exp}", "takes a library's exp"),
    ("y = math.exp(1.0)", "takes math.exp"),
    ("y = math.cos(step)", "takes math.cos"),
    ("from math import exp", "imports exp"),
    ("from torch import matmul", "imports matmul"),
]

FINE = [
    "y = x / z",
    "y = torch.div(x, torch.full((), 3.0))",
    "y = x * 0.5",
    "step = 7 // 2",
    "half = 1 / 2",
    "limit = 2**21",
    "y = elementary.exp(x)",
    "y = exp(x)",
    "y = math.prod(x.shape)",
    "y = x.amax(0)",
]


def test_the_sources_are_found() -> None:
    names = {path.name for path in SOURCES}
    assert {"grid.py", "products.py", "sums.py", "scatter.py", "free.py", "kernels.py", "watch.py"} <= names
    assert set(ALLOWED) <= names


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_no_source_breaks_a_rule(path: Path) -> None:
    assert broken_rules(path.read_text(encoding="utf-8"), ALLOWED.get(path.name)) == []


@pytest.mark.parametrize(("source", "what"), PLANTED)
def test_what_is_planted_is_caught(source: str, what: str) -> None:
    assert [text.partition(": ")[2] for text in broken_rules(source)] == [what]


@pytest.mark.parametrize("source", FINE)
def test_what_is_fine_passes(source: str) -> None:
    assert broken_rules(source) == []


def test_a_call_is_allowed_in_its_function_alone() -> None:
    source = "def add_up(x):\n    return x.sum(0)\n\ndef other(x):\n    return x.sum(0)"
    assert broken_rules(source, {"add_up": ["sum"]}) == ["5: adds by sum outside its grids"]
