"""Roots are rounded as IEEE 754 says, in long arrays too."""

import numpy as np
import pytest
import torch

from clicooper.learning.portable.kernels import PORTABLE
from clicooper.learning.portable.roots import square_root64
from clicooper.learning.portable.watch import Watch
from tests import exact_reference
from tests.portable_inputs import same_bits


@pytest.mark.parametrize("size", [3, 100_001])
def test_roots_are_correctly_rounded(size: int) -> None:
    bits = np.random.default_rng(1).integers(0, 0x7F800000, size, dtype=np.int32)
    found = PORTABLE["sqrt"](Watch(), torch.from_numpy(bits).view(torch.float32))
    assert same_bits(found, np.sqrt(bits.view(np.float32)))
    some = slice(0, 200)
    assert same_bits(found[some], exact_reference.each(exact_reference.square_root, bits.view(np.float32)[some]))


def test_roots_next_to_the_middle_of_two_numbers() -> None:
    """Squares of odd numbers of 25 bits, rounded: no root of 24 bits lies nearer to a middle."""
    middles = np.arange(2**24 + 1, 2**25, 9_973 * 2, dtype=np.float64)
    x = (middles * middles).astype(np.float32)
    found = PORTABLE["sqrt"](Watch(), torch.from_numpy(x))
    assert same_bits(found, exact_reference.each(exact_reference.square_root, x))


def test_float64_roots_are_within_one_unit_and_do_not_depend_on_the_length() -> None:
    generator = np.random.default_rng(2)
    x = generator.random(50_000) * 10.0 ** generator.integers(-290, 290, 50_000)
    found = square_root64(torch.from_numpy(x))
    exact = np.sqrt(x)
    assert np.all(np.abs(found.numpy() - exact) <= np.spacing(exact))
    assert torch.equal(torch.cat([square_root64(part) for part in torch.from_numpy(x[:999]).split(7)]), found[:999])
    assert square_root64(torch.zeros(1, dtype=torch.float64)) == 0
