"""A model of one's own is named by the digest of its code, and whatever its code does accuses nobody."""

from __future__ import annotations

import hashlib
import py_compile
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from clicooper.commitments.manifest import ModelSpec
from clicooper.errors import Cause, ModelUnusable, SpecError
from clicooper.learning.model_code import MAX_BYTES, MAX_FILES, code_digest
from clicooper.learning.models import build_segment, build_segments, suggest_cuts
from clicooper.learning.segments import Segment, initial_state
from tests.learning_jobs import SEEDS, training_spec

LINEAR = """
from torch import nn

def blocks(input_shape, outputs):
    return [nn.Linear(input_shape[0], 5), nn.Linear(5, outputs)]
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on the path; what was imported from it is forgotten at the end."""
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.partition(".")[0] in ("own", "lone"):
            del sys.modules[name]


def package(folder: Path, source: str = LINEAR, **files: str) -> ModelSpec:
    """The package ``own`` with its model in ``own.model``."""
    for name, content in {"__init__": "", "model": source, **files}.items():
        path = folder / "own" / f"{name.replace('__in__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    return named("own.model:blocks")


def named(kind: str, code: bytes | None = None) -> ModelSpec:
    code = code_digest(kind) if code is None else code
    return ModelSpec(kind=kind, input_shape=(6,), outputs=4, widths=(), cuts=(1,), code=code)


def prefixed(*parts: bytes) -> bytes:
    return b"".join(len(part).to_bytes(8, "big") + part for part in parts)


def test_digest_covers_every_source_of_the_package_in_order(folder: Path) -> None:
    spec = package(folder, sub__in__deep="x = 1\n", zeta="")
    files = ("__init__.py", "model.py", "sub/deep.py", "zeta.py")
    content = [part for name in files for part in (name.encode(), (folder / "own" / name).read_bytes())]
    assert spec.code == hashlib.sha256(prefixed(*content)).digest()
    (folder / "own" / "notes.txt").write_text("no code", encoding="utf-8")
    assert code_digest(spec.kind) == spec.code
    (folder / "own" / "sub" / "deep.py").write_text("x = 2\n", encoding="utf-8")
    assert code_digest(spec.kind) != spec.code


def test_digest_of_one_file_covers_that_file(folder: Path) -> None:
    (folder / "lone.py").write_text(LINEAR, encoding="utf-8")
    assert code_digest("lone:blocks") == hashlib.sha256(prefixed(b"lone.py", LINEAR.encode())).digest()
    assert len(build_segments(named("lone:blocks"))) == 2


def test_digest_is_taken_without_running_the_code(folder: Path) -> None:
    package(folder, "raise SystemExit", __init__="raise SystemExit")
    assert "own" not in sys.modules


def test_other_code_is_refused_before_it_runs(folder: Path) -> None:
    spec = package(folder)
    ran = folder / "ran"
    package(folder, LINEAR + f"open({str(ran)!r}, 'w')\n")
    for use in (build_segments, lambda one: initial_state(one, SEEDS, 0), lambda one: suggest_cuts(one, 2)):
        with pytest.raises(ModelUnusable, match="demands") as caught:
            use(spec)
        assert spec.code is not None
        assert spec.code.hex() in caught.value.message and code_digest(spec.kind).hex() in caught.value.message
    assert not ran.exists() and "own" not in sys.modules


def test_code_that_changed_since_it_was_imported_is_refused(folder: Path) -> None:
    before = package(folder)
    build_segments(before)
    after = package(folder, LINEAR + "# another\n")
    for spec in (before, after):
        with pytest.raises(ModelUnusable, match="digest"):
            build_segments(spec)


def test_spec_without_a_digest_runs_nothing(folder: Path) -> None:
    spec = package(folder, "raise SystemExit").model_copy(update={"code": None})
    with pytest.raises(SpecError, match="code is absent"):
        build_segment(spec, 0)


def test_module_without_all_its_sources_is_refused(folder: Path) -> None:
    (folder / "own").mkdir()
    refused = {"own:blocks": "no source file", "own.absent:x": "no source file", "sys:exit": "no source file"}
    refused |= {"os:getcwd": "no source file", "absent.package:model": "not on this machine"}
    for kind, why in refused.items():
        with pytest.raises(ModelUnusable, match=why) as caught:
            code_digest(kind)
        assert caught.value.hint
    (folder / "lone.py").write_text(LINEAR, encoding="utf-8")
    py_compile.compile(str(folder / "lone.py"), cfile=str(folder / "lone.pyc"))
    (folder / "lone.py").unlink()
    with pytest.raises(ModelUnusable, match="no source file"):
        code_digest("lone:blocks")


def test_package_with_compiled_parts_or_links_is_refused(folder: Path) -> None:
    spec = package(folder)
    inside = folder / "own" / "fast.so"
    inside.write_bytes(b"\x7fELF")
    with pytest.raises(ModelUnusable, match="compiled"):
        code_digest(spec.kind)
    inside.unlink()
    (folder / "elsewhere").mkdir()
    (folder / "own" / "linked").symlink_to(folder / "elsewhere")
    with pytest.raises(ModelUnusable, match="link"):
        code_digest(spec.kind)


def test_package_beyond_the_bounds_is_refused(folder: Path) -> None:
    spec = package(folder)
    with (folder / "own" / "large.py").open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(ModelUnusable, match="more than"):
        code_digest(spec.kind)
    (folder / "own" / "large.py").unlink()
    for number in range(MAX_FILES):
        (folder / "own" / f"part{number}.py").touch()
    with pytest.raises(ModelUnusable, match="more than"):
        code_digest(spec.kind)


RAISED = (
    "NameError('x')", "OSError('x')", "SystemExit(0)", "MemoryError()", "RecursionError()", "ImportError('x')",
    "GeneratorExit()", "AssertionError()", "KeyError('x')", "ZeroDivisionError()", "__import__('clicooper.errors')"
    ".errors.SpecError('seat 0 cheats')",
)  # fmt: skip
PLACES = {
    "import": "raise {error}",
    "build": "def blocks(input_shape, outputs):\n    raise {error}",
    "step": (
        "from torch import nn\n"
        "class Bad(nn.Linear):\n"
        "    def forward(self, x):\n"
        "        raise {error}\n"
        "def blocks(input_shape, outputs):\n"
        "    return [nn.Linear(6, 4), Bad(4, outputs)]"
    ),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("error", RAISED)
def test_whatever_code_raises_accuses_nobody(error: str, place: str, folder: Path) -> None:
    spec = package(folder, PLACES[place].format(error=error))
    with pytest.raises(ModelUnusable, match=r"own\.model:blocks") as caught:
        build_segments(spec)
    assert caught.value.cause is Cause.MACHINE and caught.value.hint


@pytest.mark.parametrize("place", PLACES)
def test_interrupt_of_the_user_is_passed_through(place: str, folder: Path) -> None:
    spec = package(folder, PLACES[place].format(error="KeyboardInterrupt()"))
    with pytest.raises(KeyboardInterrupt):
        build_segments(spec)


def test_error_that_cannot_be_printed_is_unusable_code_too(folder: Path) -> None:
    source = "class Bad(Exception):\n    def __str__(self):\n        raise ValueError\nraise Bad"
    with pytest.raises(ModelUnusable, match="Bad: no message"):
        build_segments(package(folder, source))


def test_code_that_is_no_python_is_unusable(folder: Path) -> None:
    for source in ("def (", "blocks = 3", "", "x = '\\ud800'\nraise ValueError(x)"):
        spec = package(folder, source)
        with pytest.raises(ModelUnusable):
            build_segments(spec)
        for name in [name for name in sys.modules if name.partition(".")[0] == "own"]:
            del sys.modules[name]


def test_code_of_a_model_beyond_the_limit_is_unusable(folder: Path) -> None:
    source = LINEAR.replace(
        "nn.Linear(5, outputs)]", "nn.Linear(5, outputs), *(nn.Linear(1 << 13, 1 << 13, **on) for on in 2 * [META])]"
    )
    spec = package(folder, source + "\nMETA = {'device': 'meta'}\n")
    with pytest.raises(ModelUnusable, match="parameters"):
        build_segments(spec)


FAILING_LATER = """
import torch
from torch import nn

class Fails(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, grad):
        raise OSError("no backward pass")

class Late(nn.Linear):
    def forward(self, x):
        if len(x) == 3:
            raise RuntimeError("no batch of three")
        if len(x) == 4:
            return "four"
        return Fails.apply(super().forward(x))

def blocks(input_shape, outputs):
    return [Late(6, 5), Late(5, outputs)]
"""


def test_code_that_fails_in_a_step_is_unusable_and_blames_no_batch(folder: Path) -> None:
    spec = package(folder, FAILING_LATER)
    build_segments(spec)
    first, last = (Segment(spec, training_spec(), seat, initial_state(spec, SEEDS, seat)) for seat in (0, 1))
    for batch in (3, 4):
        with pytest.raises(ModelUnusable, match="cannot take a batch"):
            first.forward(np.zeros((batch, 6), np.float32))
    first.forward(np.zeros((2, 6), np.float32))
    with pytest.raises(ModelUnusable, match="cannot go back"):
        first.backward(np.ones((2, 5), np.float32))
    last.forward(np.zeros((2, 5), np.float32))
    with pytest.raises(ModelUnusable, match="cannot go back"):
        last.loss_backward(np.zeros(2, np.int64))
