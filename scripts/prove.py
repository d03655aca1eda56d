#!/usr/bin/env python3
"""Runs halmos with its sha256 mended: version 0.3.3 counts the input's bytes where its solver wants bits, and stops.

Takes the arguments of halmos. Runs in `.venv-analysis`, under the foundry profile `prove`.
"""

import sys
from typing import Any

import z3
from halmos import sevm
from halmos.__main__ import main

_declare = sevm.Function


def _function(name: str, *sorts: Any) -> Any:
    """As z3's, but sha256 takes as many bits as its name says bytes."""
    if name.startswith("f_sha256_"):
        sorts = (z3.BitVecSort(8 * int(name.removeprefix("f_sha256_"))), *sorts[1:])
    return _declare(name, *sorts)


if __name__ == "__main__":
    sevm.Function = _function
    sys.exit(main())
