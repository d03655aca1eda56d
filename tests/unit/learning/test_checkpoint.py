"""States as files and digests."""

import hashlib
import io
import json
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from clicooper.commitments.canonical import sha256, tensor_digest
from clicooper.errors import SpecError
from clicooper.learning.checkpoint import (
    cast_state,
    decode_state,
    load_state,
    save_state,
    state_bytes,
    state_digest,
    weight_norm,
)
from tests.learning_jobs import diff_states

STATE = {
    "b": np.arange(6, dtype=np.float32).reshape(2, 3),
    "a": np.array(3, dtype=np.int64),
    "é": np.zeros((0, 4)),
}


def test_round_trip_through_file_and_path(tmp_path: Path) -> None:
    file = io.BytesIO()
    save_state(STATE, file)
    save_state(STATE, tmp_path / "state.safetensors")
    file.seek(0)
    assert diff_states(STATE, load_state(file)) == ()
    assert diff_states(STATE, load_state(tmp_path / "state.safetensors")) == ()
    assert diff_states({}, decode_state(state_bytes({}))) == ()


def test_bytes_do_not_depend_on_order_or_memory_layout() -> None:
    turned = {name: np.array(STATE[name], order="F") for name in reversed(STATE)}
    assert state_bytes(turned) == state_bytes(STATE)
    assert state_digest(turned) == state_digest(STATE)


def test_digest_is_the_documented_concatenation() -> None:
    text = b"".join(
        len(name.encode()).to_bytes(4, "big") + name.encode() + tensor_digest(STATE[name]) for name in ("a", "b", "é")
    )
    assert state_digest(STATE) == hashlib.sha256(text).digest()
    assert state_digest(STATE, {}) == sha256(state_digest(STATE) + state_digest({}))


def test_digest_changes_with_every_property() -> None:
    changed = [
        {**STATE, "b": STATE["b"] + 1},
        {**STATE, "b": STATE["b"].reshape(3, 2)},
        {**STATE, "b": STATE["b"].astype(np.float64)},
        {**STATE, "c": np.zeros(1)},
        {"a": STATE["a"], "é": STATE["é"]},
    ]
    digests = {state_digest(state) for state in [STATE, *changed]}
    assert len(digests) == len(changed) + 1


def test_negative_zero_is_another_state() -> None:
    zero, minus = {"w": np.zeros(1, np.float32)}, {"w": -np.zeros(1, np.float32)}
    assert state_digest(zero) != state_digest(minus)
    assert diff_states(zero, minus) == ("w: 0 of 1 elements differ",)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_not_finite_are_refused(value: float) -> None:
    bad = {"w": np.array([1.0, value])}
    with pytest.raises(SpecError, match="NaN or infinite"):
        state_bytes(bad)
    with pytest.raises(SpecError, match="NaN or infinite"):
        decode_state(safetensors.numpy.save(bad))


def test_dtypes_outside_the_format_are_refused() -> None:
    with pytest.raises(SpecError, match="dtype"):
        state_bytes({"w": np.array(["x"])})


def test_hidden_metadata_is_refused() -> None:
    with pytest.raises(SpecError, match="canonical"):
        decode_state(safetensors.numpy.save(STATE, metadata={"note": "hidden"}))


def test_padded_header_is_refused() -> None:
    data = state_bytes(STATE)
    size = int.from_bytes(data[:8], "little")
    padded = (size + 8).to_bytes(8, "little") + data[8 : 8 + size] + b" " * 8 + data[8 + size :]
    with pytest.raises(SpecError):
        decode_state(padded)


def test_swapped_tensor_order_is_refused() -> None:
    header = {
        "b": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},
        "a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]},
    }
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with pytest.raises(SpecError, match="canonical"):
        decode_state(len(text).to_bytes(8, "little") + text + np.ones(2, np.float32).tobytes())


@pytest.mark.parametrize(
    "data", [b"", b"\x80\x04K\x01.", b"\xff" * 64, state_bytes(STATE)[:-1], state_bytes(STATE) + b"0"]
)
def test_what_is_not_a_state_file_is_refused(data: bytes) -> None:
    with pytest.raises(SpecError) as caught:
        decode_state(data)
    assert caught.value.hint


def test_too_large_files_are_refused_before_they_are_read() -> None:
    data = state_bytes(STATE)
    assert load_state(io.BytesIO(data), max_bytes=len(data))
    with pytest.raises(SpecError, match="exceeds"):
        load_state(io.BytesIO(data), max_bytes=len(data) - 1)


def test_differences_are_named() -> None:
    other = {"b": STATE["b"] + np.array([[0, 0, 0], [1, 0, 0]], np.float32), "a": np.array(3.0), "x": np.zeros(1)}
    assert diff_states(STATE, other) == (
        "a: float64[] instead of int64[]",
        "b: 1 of 6 elements differ",
        "x: not expected",
        "é: missing",
    )


def test_weight_norm_is_over_all_floating_tensors_in_float64() -> None:
    state = {"a": np.full(3, 2.0, np.float32), "b": np.array([[2.0]]), "count": np.array(7)}
    assert weight_norm(state) == 4.0
    assert weight_norm({"a": np.full(4, 1e30, np.float32)}) == pytest.approx(2e30)
    assert weight_norm({}) == 0.0


def test_casting_leaves_counters_alone() -> None:
    cast = cast_state(STATE, np.float64)
    assert (cast["a"].dtype, cast["b"].dtype) == (np.int64, np.float64)
