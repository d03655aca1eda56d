"""The same programmes give the same bits in processes that differ as machines do; natively they do not."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from scripts.same_bits import ENVIRONMENTS, digests_elsewhere

PAIRS = (
    "default, 1 thread, MKL",
    "default, 2 threads, oneDNN for SSE4.1",
    "avx2, 2 threads, MKL in compatible mode",
    "avx2, 1 thread, OpenBLAS for Haswell",
    "avx512, 2 threads, MKL",
    "avx512, 1 thread, MKL in compatible mode",
)
"""Every value of every setting, and every two of instructions and threads, together at least once."""

OTHER_LIBRARY = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <math.h>

static double off(const char *name, double x) {
    double (*right)(double) = (double (*)(double))dlsym(RTLD_NEXT, name);
    return nextafter(right(x), INFINITY);
}

double log1p(double x) { return off("log1p", x); }
double log(double x) { return off("log", x); }
double exp(double x) { return off("exp", x); }
double tanh(double x) { return off("tanh", x); }
double erf(double x) { return off("erf", x); }
double cos(double x) { return off("cos", x); }
double sin(double x) { return off("sin", x); }
"""
"""A library of mathematics whose results are one unit in the last place too large."""


@pytest.fixture(scope="module")
def plain() -> dict[str, str]:
    return digests_elsewhere({"OMP_NUM_THREADS": "1"})


@pytest.mark.parametrize("environment", PAIRS)
def test_every_bit_is_the_same(environment: str, plain: dict[str, str]) -> None:
    assert len(plain) == 8
    assert digests_elsewhere(ENVIRONMENTS[environment]) == plain


def test_another_library_of_mathematics_changes_nothing(plain: dict[str, str], tmp_path: Path) -> None:
    source, shim = tmp_path / "off.c", tmp_path / "off.so"
    source.write_text(OTHER_LIBRARY)
    compiler = shutil.which("gcc")
    assert compiler is not None, "gcc makes the library; install it"
    # Without the compiler's own log and exp: it would compute constants itself.
    command = [compiler, "-shared", "-fPIC", "-fno-builtin", "-O0", "-o", str(shim), str(source), "-ldl", "-lm"]
    subprocess.run(command, check=True)
    settings = {"LD_PRELOAD": str(shim), "OMP_NUM_THREADS": "1"}
    check = "import math; assert math.log1p(0.3) != 0.26236426446749106, math.log1p(0.3)"
    environment = {"PATH": "/usr/bin:/bin", **settings}
    python = shutil.which("python3", path="/usr/bin:/bin") or shutil.which("python3")
    assert python is not None
    assert subprocess.run([python, "-c", check], env=environment, check=False).returncode == 0, (
        "the library is not used"
    )
    assert digests_elsewhere(settings) == plain


def test_natively_machines_differ() -> None:
    """Otherwise the comparison above would show nothing."""
    one, other = (
        digests_elsewhere({"ATEN_CPU_CAPABILITY": name, "OMP_NUM_THREADS": "1"}, "native")
        for name in ("default", "avx2")
    )
    assert all(one[kind] != other[kind] for kind in one)
