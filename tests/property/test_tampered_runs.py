"""Drawn damage to a finished run: 260 cases through the command line, each replaying the whole training.

The run is the smallest there is, so that no case needs a cheaper path than the one that users take.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from eth_utils import to_checksum_address
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clicooper.audit.auditor import STORE_MARKER
from tests.scenario import FinishedRun, audit_command, resealed, rows, unlinked

PER_CASE = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
UNWITNESSED = {
    "source",
    "blocks",
    "block_number",
    "block_hash",
    "block_timestamp",
    "tx_hash",
    "log_index",
    "tx_from",
    "gas_used",
    "key_record",
}
"""Fields that nothing but a node can contradict, as long as they stay in order and in range."""


@pytest.fixture(scope="module")
def root(smallest_run: FinishedRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy to damage; every case puts it right again."""
    return Path(shutil.copytree(smallest_run.root, tmp_path_factory.mktemp("tampered") / "run"))


def files(root: Path) -> list[Path]:
    return sorted(path for path in (root / "store").rglob("*") if path.is_file())


@contextmanager
def restored(path: Path) -> Iterator[bytes]:
    """The file's bytes, which it has again afterwards."""
    kept = path.read_bytes()
    try:
        yield kept
    finally:
        path.write_bytes(kept)


@settings(PER_CASE, max_examples=80)
@given(st.data())
def test_any_flipped_byte_of_the_store_is_damage_of_this_copy(root: Path, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(files(root)), label="file")
    with restored(path) as kept:
        offset = data.draw(st.integers(0, len(kept) - 1), label="offset")
        mask = data.draw(st.integers(1, 255), label="mask")
        path.write_bytes(kept[:offset] + bytes([kept[offset] ^ mask]) + kept[offset + 1 :])
        code, printed = audit_command(root)
    assert (code, printed["verdict"]) == (4, "inconclusive")
    assert rows(printed, "fail") == []
    damaged = [row["subject"] for row in rows(printed, "inconclusive") if row["check"] == "artifacts"]
    assert path.name in damaged


@settings(PER_CASE, max_examples=30)
@given(st.data())
def test_any_deleted_file_of_the_store_is_named(smallest_run: FinishedRun, root: Path, data: st.DataObject) -> None:
    linked = [path for path in files(root) if path.name not in unlinked(smallest_run)]
    path = data.draw(st.sampled_from(linked), label="file")
    with restored(path):
        path.unlink()
        code, printed = audit_command(root)
    assert (code, printed["verdict"]) == (4, "inconclusive")
    assert any(path.name in row["subject"] + row["detail"] for row in rows(printed, "inconclusive"))


@settings(PER_CASE, max_examples=50)
@given(st.data())
def test_any_flipped_byte_of_the_record_is_damage_of_this_copy(root: Path, data: st.DataObject) -> None:
    record = root / "record.json"
    with restored(record) as kept:
        offset = data.draw(st.integers(0, len(kept) - 1), label="offset")
        mask = data.draw(st.integers(1, 255), label="mask")
        record.write_bytes(kept[:offset] + bytes([kept[offset] ^ mask]) + kept[offset + 1 :])
        code, printed = audit_command(root)
    assert (code, [row["check"] for row in rows(printed, "inconclusive")]) == (4, ["record"])
    assert rows(printed, "fail") == []


Place = tuple[str | int, ...]


def leaves(value: Any, at: Place = ()) -> Iterator[Place]:
    """Where every single value of a JSON document stands."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if items is None:
        yield at
        return
    for key, item in items:
        yield from leaves(item, (*at, key))


def at(content: Any, path: Place) -> Any:
    for key in path:
        content = content[key]
    return content


def other_value(old: Any) -> st.SearchStrategy[Any]:
    """Another value of the same kind, near ones and extreme ones."""
    if isinstance(old, int):
        return st.sampled_from([0, 1, old + 1, max(old - 1, 0), 2 * old, 2**32, 2**64, 2**256 - 1])
    if old.isdecimal():
        return st.sampled_from(["0", "1", str(int(old) + 1), str(2**96 - 1), str(2**96), str(2**256 - 1)])
    if len(old) == 42 and old.startswith("0x"):
        return st.binary(min_size=20, max_size=20).map(to_checksum_address)
    if old.startswith("0x"):
        return st.binary(min_size=len(old) // 2 - 1, max_size=len(old) // 2 - 1).map(lambda b: "0x" + b.hex())
    return st.sampled_from(["Committed", "Withdrawn", "JobCancelled", "SILENT", "x"])


@settings(PER_CASE, max_examples=40)
@given(st.data())
def test_any_altered_field_of_the_record_is_damage_of_this_copy(root: Path, data: st.DataObject) -> None:
    record = root / "record.json"
    with restored(record) as kept:
        content = json.loads(kept)
        path = data.draw(st.sampled_from(list(leaves(content))), label="field")
        old = at(content, path)
        at(content, path[:-1])[path[-1]] = data.draw(other_value(old).filter(lambda new: new != old), label="value")
        record.write_text(json.dumps(content, indent=2) + "\n", encoding="ascii")
        code, printed = audit_command(root)
    assert (code, [row["check"] for row in rows(printed, "inconclusive")]) == (4, ["record"])
    assert rows(printed, "fail") == []


@settings(PER_CASE, max_examples=60)
@given(st.data())
def test_any_field_forged_under_a_fitting_digest_is_judged(root: Path, data: st.DataObject) -> None:
    """Never a crash, never a pass: but for the fields that an offline audit cannot witness."""
    record = root / "record.json"
    with restored(record) as kept:
        content = json.loads(kept)
        fields = [path for path in leaves(content) if path[-1] != "sha256"]
        path = data.draw(st.sampled_from(fields), label="field")
        old = at(content, path)
        at(content, path[:-1])[path[-1]] = data.draw(other_value(old).filter(lambda new: new != old), label="value")
        record.write_bytes(resealed(content))
        code, printed = audit_command(root)
    assert code in {0, 1, 4}, printed
    if code == 0:
        assert UNWITNESSED & {str(key) for key in path}
    elif code == 1:
        assert rows(printed, "fail")


def test_the_marker_is_among_the_files(root: Path) -> None:
    assert STORE_MARKER in {path.name for path in files(root)}
    assert audit_command(root)[0] == 0
