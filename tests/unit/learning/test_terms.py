"""Terms that nobody could keep are refused by arithmetic alone, and terms of honest jobs are not."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from clicooper.commitments.canonical import cid_of_digest, sha256
from clicooper.commitments.manifest import JobSpec, ModelSpec, SealedLabels
from clicooper.errors import Cause, MarkCapacityError, SpecError
from clicooper.learning.limits import LIMITS, MAX_MEMORY
from clicooper.learning.model_sizes import size_blocks
from clicooper.learning.models import build_segments
from clicooper.learning.runtime import runtime_class
from clicooper.learning.segments import state_of
from clicooper.learning.terms import check_spec, check_terms, memory_needed
from clicooper.types import Address, Digest, JobParams
from clicooper.watermark.carriers import layout_of
from tests.learning_jobs import job_spec, own_model

PAGE = (Path(__file__).parents[3] / "docs" / "artifacts.md").read_text(encoding="utf-8")
LINK = cid_of_digest(sha256(b"nothing"))
MODEL = ModelSpec(kind="mlp", input_shape=(16,), outputs=8, widths=(384, 384, 384), cuts=(2,))


def honest(model: ModelSpec = MODEL, rounds: int = 2, rows: int = 40, **training: Any) -> JobSpec:
    """A job of two seats that every check of its terms accepts."""
    base = job_spec(model, **training)
    release = base.release.model_copy(update={"gamma": (4, 4), "m": 40, "records": 320, "group": 4})
    labels = tuple(SealedLabels(rows=rows, plaintext_digest=bytes(32), ciphertext=LINK) for _ in range(rounds))
    return base.model_copy(update={"release": release, "labels": labels, "runtime_class": runtime_class()})


def params_of(spec: JobSpec, **changes: int) -> JobParams:
    sizes = {"seats": len(spec.model.cuts) + 1, "rounds": len(spec.labels)} | changes
    return JobParams(1, 1, 1, sizes["seats"], sizes["rounds"], Address("0x0"), Digest(bytes(32)), Digest(bytes(32)))


def changed(record: Any, place: str, value: Any) -> Any:
    """A record with another value in a field, which a block could hold too."""
    name, _, rest = place.partition(".")
    return record.model_copy(update={name: changed(getattr(record, name), rest, value) if rest else value})


def labels_of(rows: int) -> tuple[SealedLabels, ...]:
    return (SealedLabels(rows=rows, plaintext_digest=bytes(32), ciphertext=LINK),) * 2


ABSURD: tuple[tuple[str, Any], ...] = (
    ("model.outputs", 2**40),
    ("model.outputs", 0),
    ("model.input_shape", (2**53,)),
    ("model.input_shape", (2**19, 2**19)),
    ("model.input_shape", (1,) * 9),
    ("model.input_shape", ()),
    ("model.input_shape", (0, 16)),
    ("model.widths", (30_000,) * 5),
    ("model.widths", (384, 0, 384)),
    ("model.widths", (2**53,)),
    ("model.widths", (1,) * 1_000_000),
    ("model.cuts", (0,)),
    ("model.cuts", (4,)),
    ("model.cuts", (9,)),
    ("model.cuts", (2, 2)),
    ("model.cuts", (3, 1)),
    ("model.cuts", (1,) * 1_000_000),
    ("model.kind", "transformer"),
    ("model.kind", "cnn"),
    ("model.kind", "m" * 10**6),
    ("model.kind", "a b:c"),
    ("model.code", bytes(32)),
    ("training.learning_rate", 1e300),
    ("training.learning_rate", 0.0),
    ("training.learning_rate", float("nan")),
    ("training.momentum", -5.0),
    ("training.momentum", 1.0),
    ("training.weight_decay", -1.0),
    ("training.weight_decay", 1e300),
    ("training.steps", 2**50),
    ("training.steps", 0),
    ("training.batch", 2**50),
    ("training.input_scale", 1e300),
    ("training.input_scale", 1e-300),
    ("training.input_noise", -1.0),
    ("training.input_noise", 1e300),
    ("training.label_smoothing", 1.0),
    ("training.label_smoothing", -0.1),
    ("training.label_noise", 1.0),
    ("seeds.weights", 2**60),
    ("seeds.batches", -1),
    ("release.epsilon", 1e300),
    ("release.delta", 1.0),
    ("release.adjacency", "x" * 10**6),
    ("release.adjacency", "\x1b[2Jneighbours"),
    ("release.sigma", 1e-300),
    ("release.clip", 1e300),
    ("release.group", 2**50),
    ("release.group", 50),
    ("release.grid", 1e-300),
    ("release.gamma", (2**53, 8)),
    ("release.gamma", (4, 4, 4)),
    ("release.gamma", ()),
    ("release.m", 2**53),
    ("release.records", 319),
    ("release.label_epsilon", 65.0),
    ("release.head_epsilon", 1e300),
    ("marks.bits", 63),
    ("marks.bits", 2**40),
    ("marks.strength", 9.0),
    ("marks.strength", 1e-9),
    ("replay.interval", 2**50),
    ("replay.interval", 8),
    ("replay.tolerance", 1e9),
    ("replay.tolerance", 0.0),
    ("runtime_class", "a machine"),
    ("runtime_class", "x" * 10**6),
    ("runtime_class", "torch-2 x86_64 AVX2 float32 threads=1 numpy-2 bits=\x1b[31m0123456789abcd"),
    ("arbiter_keys", ("age1" + "q" * 58,) * 1000),
    ("labels", labels_of(2**53)),
    ("labels", labels_of(2**19)),
    ("labels", labels_of(41)),
    ("labels", ()),
)


@pytest.mark.parametrize(
    ("place", "value"), ABSURD, ids=[f"{place}-{number}" for number, (place, _) in enumerate(ABSURD)]
)
def test_absurd_term_is_refused_in_bounded_memory(place: str, value: Any) -> None:
    spec = changed(honest(), place, value)
    tracemalloc.start()
    with pytest.raises(SpecError) as caught:
        check_spec(spec)
    assert tracemalloc.get_traced_memory()[1] < 32 << 20
    tracemalloc.stop()
    assert place.rpartition(".")[2] in caught.value.message or "model" in place or "release" in place
    assert len(caught.value.message) < 1000 and caught.value.message.isprintable()
    assert caught.value.hint and caught.value.cause is Cause.TERMS


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"training.steps": 2**19, "training.batch": 2**16}, "training.steps x training.batch"),
        ({"training.steps": 2**20, "training.batch": 2, "replay.interval": 2**20}, "passes of a round"),
        ({"training.steps": 4096, "replay.interval": 1}, "intervals of a round"),
        ({"training.label_noise": 0.1, "training.label_smoothing": 0.1}, "label_smoothing would add"),
        ({"model.input_shape": (2**12, 2**12), "model.widths": (8, 8)}, "parameters of a model"),
        ({"model.widths": (4096,) * 4, "training.steps": 2000, "replay.interval": 1}, "bytes of memory"),
        ({"training.batch": 2**16, "model.widths": (4096,) * 4}, "bytes of memory"),
    ],
)
def test_terms_that_are_absurd_together_are_refused(changes: dict[str, Any], what: str) -> None:
    spec = honest()
    for place, value in changes.items():
        spec = changed(spec, place, value)
    with pytest.raises(SpecError, match=re.escape(what)):
        check_spec(spec)


def test_seats_and_rounds_are_those_on_chain() -> None:
    spec = honest()
    check_terms(spec, params_of(spec))
    for other in ({"seats": 3}, {"rounds": 1}):
        with pytest.raises(SpecError, match=re.escape("2 seats (model.cuts) and 2 rounds")):
            check_terms(spec, params_of(spec, **other))


def test_seat_without_weights_or_room_for_marks_is_refused() -> None:
    for widths in ((384, 384, 16), (31, 31, 31)):
        with pytest.raises(MarkCapacityError, match=r"seat \d: segment has \d+ carrying weights"):
            check_spec(honest(MODEL.model_copy(update={"widths": widths})))
    check_spec(honest(rounds=25, rows=3))
    with pytest.raises(MarkCapacityError, match="need 358400"):
        check_spec(honest(rounds=70, rows=1))


def test_batch_normalisation_over_one_number_is_refused() -> None:
    image = ModelSpec(kind="resnet18", input_shape=(3, 8, 8), outputs=8, widths=(), cuts=(5,))
    check_spec(honest(image, batch=2))
    with pytest.raises(SpecError, match=re.escape("training.batch is 1")):
        check_spec(honest(image, batch=1))


@pytest.mark.parametrize(
    "model",
    [
        MODEL,
        ModelSpec(kind="mlp", input_shape=(3, 32, 32), outputs=4000, widths=(2048, 2048), cuts=(1,)),
        ModelSpec(kind="cnn", input_shape=(3, 32, 32), outputs=8, widths=(256, 256, 256), cuts=(2,)),
        ModelSpec(kind="resnet18", input_shape=(3, 32, 32), outputs=8, widths=(), cuts=(6,)),
    ],
)
def test_honest_terms_are_accepted(model: ModelSpec) -> None:
    spec = honest(model)
    release = spec.release.model_copy(update={"gamma": (model.outputs,), "records": 40 * model.outputs})
    check_spec(spec.model_copy(update={"release": release}))
    assert memory_needed(spec) < MAX_MEMORY


def test_code_is_judged_as_far_as_it_need_not_run() -> None:
    own = own_model("normalised_blocks", 2).model_copy(update={"outputs": 8})
    check_spec(honest(own))
    for field, value in (
        ("code", None),
        ("cuts", (2, 2)),
        ("cuts", (2**40,)),
        ("outputs", 2**40),
        ("kind", "os path:x"),
    ):
        with pytest.raises(SpecError, match=f"model.{field}"):
            check_spec(honest(own.model_copy(update={field: value})))


SHAPES: list[tuple[str, tuple[int, ...], tuple[int, ...]]] = [
    ("mlp", (5, 3), (9, 40)),
    ("mlp", (7,), ()),
    ("cnn", (2, 9, 6), (4, 5, 6)),
    ("cnn", (1, 3, 3), ()),
    ("resnet18", (3, 7, 9), (4, 4, 8, 8)),
    ("resnet18", (1, 5, 5), (40, 64, 64, 48)),
    ("vit", (3, 8, 12), (36, 2, 3)),
    ("vit", (1, 4, 4), ()),
]


@pytest.mark.parametrize(("kind", "shape", "widths"), SHAPES)
def test_sizes_are_those_of_the_model_that_is_built(kind: str, shape: tuple[int, ...], widths: tuple[int, ...]) -> None:
    spec = ModelSpec(kind=kind, input_shape=shape, outputs=30, widths=widths, cuts=())
    sizes = size_blocks(spec)
    built = list(build_segments(spec)[0].children())
    assert len(built) == len(sizes)
    for block, size in zip(built, sizes, strict=True):
        state = state_of(block)
        assert sum(array.size for array in state.values()) == size.parameters
        carrying = layout_of({f"{name}": array for name, array in state.items()})
        assert sorted(carrying.sizes) == sorted(one for one in size.matrices if one >= 1024)


def fields_of(model: type[BaseModel]) -> set[str]:
    """Every field of a record and of its parts, by its place."""
    places = set()
    for name, field in model.model_fields.items():
        part = field.annotation
        inner = isinstance(part, type) and issubclass(part, BaseModel)
        places |= {f"{name}.{below}" for below in fields_of(part)} if inner else {name}  # type: ignore[arg-type]
    return places


def test_every_field_has_a_limit_or_a_rule() -> None:
    ruled = {
        "version", "model.kind", "model.code", "training.optimizer", "release.adjacency", "release.secure",
        "release.mechanism", "replay.publication", "runtime_class", "owner_key", "arbiter_keys", "activation_release",
        "labels",
    }  # fmt: skip
    limited = {limit.field for limit in LIMITS}
    assert {place for place in fields_of(JobSpec) if place not in limited} == ruled
    named = set(re.findall(r"^\| `([\w.]+)` \|", section("Rules of a job"), re.M))
    assert ruled <= named


def section(title: str) -> str:
    return PAGE.partition(f"### {title}\n")[2].partition("\n### ")[0].partition("\n## ")[0]


def test_the_page_states_every_limit() -> None:
    rows = re.findall(r"^\| `?([^|`]+?)`? \| ([^|]+?) \| ([^|]+?) \|$", section("Limits of a job"), re.M)[1:]
    stated = [(field, *limit_range) for field, *limit_range in rows if not field.startswith("-")]
    assert stated == [(limit.field, *limit.range.split(" to ")) for limit in LIMITS]


def test_the_page_states_the_memory() -> None:
    assert f"{MAX_MEMORY >> 30} GiB" in section("Limits of a job")


def test_limits_hold_for_their_own_ends() -> None:
    for rate in (5e-324, 1000.0):
        check_spec(changed(honest(), "training.learning_rate", rate))


STEPS_OF_A_JOB = """
import re
import sys
from pathlib import Path

import numpy as np

from clicooper.learning.runtime import use_threads
from clicooper.learning.segments import Segment, initial_state
from clicooper.learning.terms import memory_needed
from clicooper.watermark.carriers import MarkParams
from clicooper.watermark.embed import embed_both
from tests.unit.learning.test_terms import LARGE, honest


def peak_bytes():
    return 1024 * int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])


model = LARGE[sys.argv[1]]
spec = honest(model, batch=int(sys.argv[2]), optimizer="adamw")
x = np.ones((spec.training.batch, *model.input_shape), np.float32)
before = peak_bytes()
with use_threads(1):
    segment = Segment(model, spec.training, 0, initial_state(model, spec.seeds, 0))
    for _ in range(2):
        segment.forward(x)
        segment.loss_backward(np.zeros(len(x), np.int64))
        segment.step()
state, optimizer = segment.state(), segment.optimizer_state()
embed_both(state, bytes(32), b"1" * 32, MarkParams())
print(peak_bytes() - before, memory_needed(spec))
"""

LARGE = {
    "wide": ModelSpec(kind="mlp", input_shape=(64,), outputs=8, widths=(1500, 1500, 1500), cuts=()),
    "many pixels": ModelSpec(kind="cnn", input_shape=(3, 32, 32), outputs=8, widths=(128, 128, 64), cuts=()),
}


@pytest.mark.parametrize(("name", "batch"), [("wide", 8), ("many pixels", 32)])
def test_memory_estimate_is_above_what_work_takes(name: str, batch: int) -> None:
    root = Path(__file__).parents[3]
    run = subprocess.run(
        [sys.executable, "-c", STEPS_OF_A_JOB, name, str(batch)],
        capture_output=True, text=True, check=True, cwd=root, env={**os.environ, "PYTHONPATH": str(root)},
    )  # fmt: skip
    used, estimate = map(int, run.stdout.split())
    assert 1 << 20 < used < estimate
