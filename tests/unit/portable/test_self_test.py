"""A machine is held to known answers before it works; one that fails says what, and accuses nobody."""

from collections.abc import Iterator

import mpmath
import numpy as np
import pytest
import torch

from clicooper.errors import ArithmeticFault, Cause
from clicooper.learning.portable import self_test
from clicooper.learning.portable.self_test import FUNCTION_ANSWERS, function_digest, prove_machine
from clicooper.learning.portable.watch import Watch

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    threads = torch.get_num_threads()
    prove_machine.cache_clear()
    yield
    prove_machine.cache_clear()
    torch.set_flush_denormal(False)
    torch.set_num_threads(threads)


@pytest.mark.parametrize("threads", [1, 2])
def test_this_machine_passes(threads: int) -> None:
    torch.set_num_threads(threads)
    prove_machine(CPU, threads)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_thread_that_flushes_subnormal_numbers_is_found(threads: int) -> None:
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    with pytest.raises(ArithmeticFault, match="computes subnormal numbers otherwise") as caught:
        prove_machine(CPU, threads)
    assert caught.value.cause is Cause.MACHINE


def test_the_threads_that_are_tested_are_those_that_compute() -> None:
    torch.set_num_threads(1)
    with pytest.raises(ArithmeticFault, match="1 threads, not 2"):
        prove_machine(CPU, 2)


@pytest.mark.parametrize("name", ["matmul", "sum", "conv2d_weight_grad", "exp", "add_rows"])
def test_a_kernel_that_is_one_unit_off_is_found_by_name(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = self_test.PORTABLE[name]

    def wrong(watch: Watch, *tensors: torch.Tensor, **attributes: object) -> torch.Tensor:
        found = kernel(watch, *tensors, **attributes)
        assert isinstance(found, torch.Tensor)
        return found.nextafter(torch.full_like(found, torch.inf))

    monkeypatch.setattr(self_test, "PORTABLE", {**self_test.PORTABLE, name: wrong})
    with pytest.raises(ArithmeticFault, match=f"computes {name}"):
        prove_machine(CPU, torch.get_num_threads())


def test_a_division_by_a_reciprocal_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "div", lambda x, y: x * (1 / y))
    with pytest.raises(ArithmeticFault, match="computes a division"):
        prove_machine(CPU, torch.get_num_threads())


def test_the_answers_for_functions_are_those_of_mpmath() -> None:
    """Not every entry is the nearest float32; those that are not are one of the two that are next to the exact one."""
    mpmath.mp.dps = 40
    assert {name: function_digest(name, CPU) for name in FUNCTION_ANSWERS} == FUNCTION_ANSWERS
    x = torch.from_numpy(np.linspace(0.01, 5, 500, dtype=np.float32))
    for name, exact in (("exp", mpmath.exp), ("log", mpmath.log), ("tanh", mpmath.tanh), ("erf", mpmath.erf)):
        found = self_test.PORTABLE[name](Watch(), x)
        assert isinstance(found, torch.Tensor)
        nearest = np.array([float(exact(mpmath.mpf(v))) for v in x.tolist()]).astype(np.float32)
        assert (found.numpy() == nearest).all()
