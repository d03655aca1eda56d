"""The numeric environment: its name, and the settings under which a computation repeats bit for bit.

Two machines of the same runtime class give bitwise equal training; across classes only a tolerance holds.
This module decides nothing about either, see ``replay``.
"""

import platform
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from clicooper.errors import SpecError

__all__ = ["runtime_class", "use_threads"]


def runtime_class(threads: int = 1) -> str:
    """Names everything known to change the last bit of a result.

    Args:
        threads: threads that the computation uses, see ``use_threads``.

    Returns:
        Such as ``torch-2.13.0 x86_64 AVX512 float32 threads=1 numpy-2.4.6``. The build's local suffix
        (``+cpu``) is left out: it names how torch was packaged.
    """
    version = torch.__version__.split("+")[0]
    capability = torch.backends.cpu.get_cpu_capability()
    return f"torch-{version} {platform.machine()} {capability} float32 threads={threads} numpy-{np.__version__}"


@contextmanager
def use_threads(threads: int = 1) -> Iterator[None]:
    """Runs a block with ``threads`` torch threads and deterministic algorithms, then restores the settings.

    The settings belong to the process: blocks must not overlap in concurrent Python threads.

    Raises:
        SpecError: fewer than one thread.
    """
    if threads < 1:
        raise SpecError(f"cannot compute with {threads} threads", hint="use 1 thread or more")
    threads_before = torch.get_num_threads()
    strict_before = torch.are_deterministic_algorithms_enabled()
    warn_before = torch.is_deterministic_algorithms_warn_only_enabled()
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.set_num_threads(threads_before)
        torch.use_deterministic_algorithms(strict_before, warn_only=warn_before)
