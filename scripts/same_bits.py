"""Trains the same programmes on machines that differ as far as one machine can, and compares every bit.

Each machine is a process of its own with another environment: the processor's vector instructions, the number of
threads, and the matrix library and its mode. What is compared is a digest of all outputs, gradients, weights and
moments of some steps of a perceptron, a convolutional network, a ResNet-18 and a vision transformer, whole and in
micro-batches. Sizes are no powers of two: those hide a division by a reciprocal.

    python -m scripts.same_bits --write    # every environment, and docs/figures/same-bits.md
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from types import MappingProxyType

import numpy as np

__all__ = ["ENVIRONMENTS", "digests", "digests_elsewhere"]

ROOT = Path(__file__).resolve().parents[1]

STEPS = 2

_FLAGS = {"default": "", "avx2": "avx2", "avx512": "avx512f"}
"""What torch calls a processor's vector instructions, and what the processor does."""
_LIBRARIES: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "MKL": {},
        "MKL in compatible mode": {"MKL_CBWR": "COMPATIBLE", "MKL_ENABLE_INSTRUCTIONS": "SSE4_2"},
        "oneDNN for SSE4.1": {"ONEDNN_MAX_CPU_ISA": "SSE41", "DNNL_MAX_CPU_ISA": "SSE41"},
        "OpenBLAS for Haswell": {"OPENBLAS_CORETYPE": "Haswell"},
    }
)

ENVIRONMENTS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        f"{capability}, {threads} thread{'s'[: threads > 1]}, {library}": {
            "ATEN_CPU_CAPABILITY": capability,
            "OMP_NUM_THREADS": str(threads),
            "MKL_NUM_THREADS": str(threads),
            **settings,
        }
        for capability in _FLAGS
        for threads in (1, 2)
        for library, settings in _LIBRARIES.items()
    }
)
"""By name, what another machine would have otherwise; torch as it is installed uses the libraries that it has."""


def digests(arithmetic: str) -> dict[str, str]:
    """Of every model, sha2-256 over all that its steps give, in hex."""
    from clicooper.commitments.manifest import ModelSpec  # noqa: PLC0415 - torch is slow to import

    models = {
        "mlp": ModelSpec(kind="mlp", input_shape=(50,), outputs=10, widths=(100, 100, 100), cuts=(2,)),
        "cnn": ModelSpec(kind="cnn", input_shape=(3, 7, 7), outputs=10, widths=(12, 20), cuts=(1,)),
        "resnet18": ModelSpec(kind="resnet18", input_shape=(3, 32, 32), outputs=10, widths=(6, 10, 12, 20), cuts=(4,)),
        "vit": ModelSpec(kind="vit", input_shape=(3, 28, 28), outputs=10, widths=(18, 2, 3), cuts=(1,)),
    }
    batches = {"mlp": 100, "cnn": 100, "resnet18": 20, "vit": 20}
    found = {}
    for kind, model in models.items():
        for micro_batches in (1, 5):
            running = hashlib.sha256()
            for array in _trained(model, batches[kind], micro_batches, arithmetic):
                running.update(np.ascontiguousarray(array).tobytes())
            found[f"{kind} in {micro_batches}"] = running.hexdigest()
    return found


def _trained(model: object, batch: int, micro_batches: int, arithmetic: str) -> Iterator[np.ndarray]:
    """Everything that some steps give, in its order."""
    from clicooper.commitments.manifest import SeedSpec, TrainingSpec  # noqa: PLC0415
    from clicooper.learning.programme.making import make_programmes  # noqa: PLC0415
    from clicooper.learning.programme.segment import ProgrammedSegment, first_weights  # noqa: PLC0415

    training = TrainingSpec(
        optimizer="sgd" if micro_batches == 1 else "adamw",
        learning_rate=0.03,
        momentum=0.9,
        weight_decay=5e-4,
        steps=STEPS,
        batch=batch,
        input_scale=1.0,
        input_noise=0.0,
        label_smoothing=0.1,
    )
    programmes = make_programmes(model, training, micro_batches, 1.0)  # type: ignore[arg-type]
    seeds = SeedSpec(weights=1, batches=2, noise=3)
    segments = [ProgrammedSegment(one, arithmetic, first_weights(one, seeds)) for one in programmes]  # type: ignore[arg-type]
    words = np.random.PCG64(7)
    for _ in range(STEPS):
        # Multiples of 2**-20 between -1 and 1: the same numbers everywhere.
        drawn = words.random_raw(batch * int(np.prod(model.input_shape)))  # type: ignore[attr-defined]
        x = ((drawn >> np.uint64(43)).astype(np.float32) / np.float32(1 << 20) - 1).reshape(batch, *model.input_shape)  # type: ignore[attr-defined]
        labels = (words.random_raw(batch) % np.uint64(10)).astype(np.int64)
        for segment in segments:
            yield (x := segment.forward(x))
        _, gradient = segments[-1].loss_backward(labels)
        for segment in reversed(segments[:-1]):
            if gradient is not None:
                yield gradient
                gradient = segment.backward(gradient)
        for segment in segments:
            segment.step()
    for segment in segments:
        for state in (segment.state(), segment.optimizer_state()):
            yield from (state[name] for name in sorted(state))


def digests_elsewhere(settings: Mapping[str, str], arithmetic: str = "portable/1") -> dict[str, str]:
    """``digests`` in a process of another environment.

    Raises:
        RuntimeError: the process failed.
    """
    environment = {**os.environ, **settings, "PYTHONPATH": str(ROOT)}
    if "ATEN_CPU_CAPABILITY" in settings:
        environment["ATEN_CPU_CAPABILITY"] = _usable(settings["ATEN_CPU_CAPABILITY"])
    command = [sys.executable, "-m", "scripts.same_bits", "--print", arithmetic]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stdout + done.stderr)
    found: dict[str, str] = json.loads(done.stdout)
    return found


def _usable(capability: str) -> str:
    """The vector instructions, or what comes next where this processor does not have them."""
    known = Path("/proc/cpuinfo").read_text(encoding="utf-8").split() if sys.platform == "linux" else []
    names = list(_FLAGS)
    has = [name for name in names[: names.index(capability) + 1] if not _FLAGS[name] or _FLAGS[name] in known]
    return has[-1]


PAGE = ROOT / "docs" / "figures" / "same-bits.md"

HEAD = """# The same bits

Made by `make same-bits ARGS=--write` on {date}, with {torch}.

{steps} steps of a perceptron, a convolutional network, a ResNet-18 of 32 x 32 images and a vision transformer, whole
(SGD) and in five micro-batches (AdamW), in processes with other vector instructions, threads, and settings of the
matrix libraries. Compared is a digest of all outputs, gradients, weights and moments. A library that torch was not
built with takes no part: its setting changes nothing.

| Machine | portable/1: equal to the first | native: equal to the first |
|---|---|---|
"""


def main(arguments: Sequence[str]) -> int:
    """Prints the digests of this process, or compares those of all environments."""
    if arguments[:1] == ["--print"]:
        print(json.dumps(digests(arguments[1])))
        return 0
    first: dict[str, dict[str, str]] = {}
    rows, differ = [], 0
    for name, settings in ENVIRONMENTS.items():
        cells = []
        for arithmetic in ("portable/1", "native"):
            found = digests_elsewhere(settings, arithmetic)
            expected = first.setdefault(arithmetic, found)
            equal = sum(found[kind] == expected[kind] for kind in expected)
            cells.append(f"{equal} of {len(expected)}")
            differ += arithmetic == "portable/1" and found != expected
        rows.append(f"| {name} | {' | '.join(cells)} |\n")
        print(rows[-1], end="", flush=True)
    print(f"{len(ENVIRONMENTS)} environments, {differ} differ in portable/1")
    if "--write" in arguments:
        import torch  # noqa: PLC0415

        head = HEAD.format(date=date.today().isoformat(), torch=f"torch {torch.__version__}", steps=STEPS)
        PAGE.write_text(head + "".join(rows), encoding="utf-8")
    return int(differ > 0)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
