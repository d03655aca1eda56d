"""docs/artifacts.md says what the code does: its examples have the schemas' fields, its commands exist."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from clicooper.access.grants import Grant
from clicooper.cli.store import app
from clicooper.commitments.bundle import JobBundle
from clicooper.commitments.manifest import ActivationRelease, JobSpec, KeyRecord, SegmentManifest
from clicooper.commitments.records import Record
from clicooper.storage.ipld.cid import parse_cid
from clicooper.storage.ipld.graph import MAX_GRAPH_BLOCKS

DOCS = Path(__file__).parents[3] / "docs"
PAGE = (DOCS / "artifacts.md").read_text(encoding="utf-8")
FIGURES = (DOCS / "figures" / "records.md").read_text(encoding="utf-8")
EXAMPLES = {
    kind: (cid, json.loads(content))
    for kind, cid, content in re.findall(r"^## (\w+)\n\n`(\w+)`, \d+ bytes\n\n```json\n(.*?)```", FIGURES, re.M | re.S)
}
RECORDS: tuple[type[Record], ...] = (JobSpec, ActivationRelease, KeyRecord, Grant, SegmentManifest, JobBundle)


@pytest.mark.parametrize("record", RECORDS)
def test_the_example_has_the_fields_of_its_schema(record: type[Record]) -> None:
    cid, example = EXAMPLES[record.kind]
    assert parse_cid(cid).codec.name == "dag-cbor"
    assert set(example) == set(record.model_fields)


def test_every_example_is_of_a_schema() -> None:
    assert set(EXAMPLES) == {record.kind for record in RECORDS}


def links(value: Any) -> list[str]:
    if isinstance(value, dict) and isinstance(value.get("/"), str):
        return [value["/"]]
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [link for item in items for link in links(item)]


def test_the_examples_belong_to_one_job() -> None:
    spec = EXAMPLES["JobSpec"][0]
    assert EXAMPLES["ActivationRelease"][0] in links(EXAMPLES["JobSpec"][1])
    assert spec in links(EXAMPLES["SegmentManifest"][1])
    assert spec in links(EXAMPLES["JobBundle"][1])


def test_every_command_on_the_page_exists() -> None:
    known = {command.name for command in app.registered_commands}
    named = set(re.findall(r"clicooper store (\w+)", PAGE))
    assert named and named <= known


def test_the_limits_on_the_page_are_those_of_the_code() -> None:
    assert f"{MAX_GRAPH_BLOCKS:,} blocks" in PAGE
