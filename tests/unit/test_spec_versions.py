"""Specs of both versions: old bytes stay what they are, and no reader can overlook what is new."""

import json
from pathlib import Path

import pytest

from clicooper.commitments.canonical import decode, encode
from clicooper.commitments.manifest import JobSpec
from clicooper.errors import SpecError

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "specs.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize(("publication", "version"), [("all", 1), ("sampled", 2)])
def test_golden_specs_are_read_and_written_the_same(publication: str, version: int) -> None:
    block = bytes.fromhex(VECTORS[publication]["block"])
    spec = JobSpec.from_block(block)
    assert (spec.replay.publication, spec.version) == (publication, version)
    assert spec.to_block() == block
    assert spec.digest.hex() == VECTORS[publication]["sha256"]


@pytest.mark.parametrize(
    ("publication", "version"), [("sampled", 1), ("all", 1), (None, 2), ("none", 2), ("sampled", 3), ("sampled", 0)]
)
def test_spec_whose_version_does_not_say_what_it_holds_is_refused(publication: str | None, version: int) -> None:
    content = decode(bytes.fromhex(VECTORS["all"]["block"])) | {"version": version}
    if publication is not None:
        content["replay"] = content["replay"] | {"publication": publication}
    with pytest.raises(SpecError):
        JobSpec.from_block(encode(content))
