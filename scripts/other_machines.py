"""Honest jobs audited by other machines, as far as one machine can be another: processes under other environments.

A job with a model of its owner's own is trained in a process of one environment, and audited in processes of all the
others. What differs is what differs between machines: the processor's vector instructions, the number of threads, the
matrix library's mode, and where the model's module lies. None of them may accuse anybody.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

__all__ = ["ENVIRONMENTS", "MODEL", "Look", "audit_elsewhere", "make_elsewhere"]

ROOT = Path(__file__).resolve().parents[1]
MODEL = "model_of_our_own:blocks"
SOURCE = """
import math

from torch import nn


def blocks(input_shape, outputs):
    first = nn.Sequential(nn.Flatten(), nn.Linear(math.prod(input_shape), 256), nn.Tanh())
    hidden = [nn.Sequential(nn.Linear(256, 256), nn.Tanh()) for _ in range(3)]
    return [first, *hidden, nn.Linear(256, outputs)]
"""

ENVIRONMENTS: Mapping[str, Mapping[str, str]] = {
    "one thread": {"OMP_NUM_THREADS": "1"},
    "four threads": {"OMP_NUM_THREADS": "4", "MKL_NUM_THREADS": "4"},
    "no vector instructions": {"ATEN_CPU_CAPABILITY": "default"},
    "AVX2": {"ATEN_CPU_CAPABILITY": "avx2"},
    "matrix library in compatible mode": {"MKL_CBWR": "COMPATIBLE", "MKL_ENABLE_INSTRUCTIONS": "SSE4_2"},
}
"""By name, what another machine would have otherwise; each has the module in a folder of its own."""


@dataclass(frozen=True)
class Look:
    """One audit of one job.

    Attributes:
        made, audited: the environments.
        accused: rows that failed or name a culprit.
    """

    made: str
    audited: str
    code: int
    intervals: int
    accused: tuple[dict[str, Any], ...]


def make_elsewhere(folder: Path, environment: str, settings: Mapping[str, str]) -> Path:
    """The run folder of an honest job that was trained in a process of an environment.

    Args:
        settings: of the job, by name.

    Raises:
        RuntimeError: the job was not finished.
    """
    done = _run(folder, environment, ["demo"], {"MODEL": MODEL, **settings})
    if done.returncode:
        raise RuntimeError(done.stdout + done.stderr)
    return folder / "home" / "runs" / "run-001"


def audit_elsewhere(run: Path, made: str, environment: str) -> Look:
    """What an auditor in a process of another environment finds."""
    done = _run(run.parents[2], environment, ["audit", str(run), "--trust-model", MODEL])
    printed = json.loads(done.stdout)
    accused = [row for row in printed["checks"] if row["verdict"] == "fail" or row["culprit"] is not None]
    return Look(made, environment, done.returncode, printed["replayed"]["intervals"], tuple(accused))


def _run(
    folder: Path, environment: str, words: Sequence[str], settings: Mapping[str, str] = MappingProxyType({})
) -> subprocess.CompletedProcess[str]:
    modules = folder / environment.replace(" ", "-")
    modules.mkdir(exist_ok=True)
    (modules / "model_of_our_own.py").write_text(SOURCE, encoding="utf-8")
    path = os.pathsep.join((str(modules), str(ROOT)))
    variables = {**os.environ, "PYTHONPATH": path, "HOME": str(folder), **ENVIRONMENTS[environment]}
    variables |= {f"CLICOOPER_{name}": value for name, value in settings.items()}
    command = [sys.executable, "-m", "clicooper", "--json", "--quiet", "--home", str(folder / "home"), *words]
    return subprocess.run(command, env=variables, cwd=folder, capture_output=True, text=True, check=False)
