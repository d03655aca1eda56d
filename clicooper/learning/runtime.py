"""The numeric environment: its name, and the settings under which a computation repeats bit for bit.

Two machines of the same runtime class give bitwise equal training; across classes only a tolerance holds.
This module decides nothing about either, see ``replay``.
"""

import hashlib
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import numpy as np
import torch
from torch import Tensor, nn

from clicooper.errors import RuntimeMismatch, SpecError

__all__ = ["numpy_of", "require_class", "runtime_class", "use_threads"]


def runtime_class(threads: int = 1) -> str:
    """Names everything known to change the last bit of a result.

    Args:
        threads: threads that the computation uses, see ``use_threads``.

    Returns:
        Such as ``torch-2.13.0 x86_64 AVX512 float32 threads=1 numpy-2.4.6 bits=0123456789abcdef``. The build's local
        suffix (``+cpu``) is left out: it names how torch was packaged. ``bits`` is a digest of sample results:
        matrix libraries choose their code by the processor's maker and caches too, and an honest trainer must not be
        accused by a machine that only looks the same.
    """
    version = torch.__version__.split("+")[0]
    capability = torch.backends.cpu.get_cpu_capability()
    name = f"torch-{version} {platform.machine()} {capability} float32 threads={threads} numpy-{np.__version__}"
    return f"{name} bits={_sample_bits(threads)}"


def numpy_of(name: str) -> str:
    """The part of a class's name that says which NumPy draws its random numbers; empty where it says none."""
    return next((part for part in name.split() if part.startswith("numpy-")), "")


def require_class(demanded: str) -> str:
    """The class of this machine, measured now, where it is the one that a job's work is to be done in.

    Raises:
        RuntimeMismatch: it is another one: honest work from here could not be told from a cheat's.
    """
    here = runtime_class()
    if here != demanded:
        raise RuntimeMismatch(
            f"the job is to be trained in runtime class {demanded!a}, this machine is of class {here}",
            hint="train on a machine with the named versions and processor, or do not join this job",
        )
    return here


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
    mode_before = torch.get_deterministic_debug_mode()
    torch.set_num_threads(threads)
    # Same effect as use_deterministic_algorithms, which would also import torch's compiler for 1.5 s.
    torch.set_deterministic_debug_mode("error")
    try:
        yield
    finally:
        torch.set_num_threads(threads_before)
        torch.set_deterministic_debug_mode(mode_before)


@cache
def _sample_bits(threads: int) -> str:
    """First 64 bits, in hex, of sha2-256 over forward and backward passes of the sizes and layers that jobs use."""
    rng = np.random.Generator(np.random.PCG64(0))

    def draw(*shape: int) -> Tensor:
        return torch.tensor(rng.standard_normal(shape, dtype=np.float32), requires_grad=True)

    running = hashlib.sha256()
    with use_threads(threads), torch.enable_grad():
        for batch, width in ((1, 64), (64, 64), (64, 384), (128, 384), (50, 1000)):
            tensors = [draw(batch, width), draw(width, width), draw(width)]
            loss = torch.log_softmax(nn.functional.linear(*tensors).relu(), dim=1).square().mean()
            for gradient in torch.autograd.grad(loss, tensors):
                running.update(gradient.numpy().tobytes())
        images, kernels = draw(8, 16, 12, 12), draw(32, 16, 3, 3)
        maps = nn.functional.batch_norm(nn.functional.conv2d(images, kernels, padding=1), None, None, training=True)
        for gradient in torch.autograd.grad(maps.relu().square().sum(), (images, kernels)):
            running.update(gradient.numpy().tobytes())
    return running.hexdigest()[:16]
