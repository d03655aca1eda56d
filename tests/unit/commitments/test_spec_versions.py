"""Specs of both versions: old bytes stay what they are, and no reader can overlook what is new."""

import json
from pathlib import Path

import pytest

from clicooper.commitments.canonical import decode, encode
from clicooper.commitments.manifest import JobSpec
from clicooper.errors import SpecError

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "specs.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize(("publication", "version"), [("all", 1), ("sampled", 2)])
def test_golden_specs_are_read_and_written_the_same(publication: str, version: int) -> None:
    block = bytes.fromhex(VECTORS[publication]["block"])
    spec = JobSpec.from_block(block)
    assert (spec.replay.publication, spec.version) == (publication, version)
    assert spec.to_block() == block
    assert spec.digest.hex() == VECTORS[publication]["sha256"]


def test_golden_spec_of_noisy_labels_is_read_and_written_the_same() -> None:
    block = bytes.fromhex(VECTORS["noisy_labels"]["block"])
    spec = JobSpec.from_block(block)
    assert (spec.version, spec.training.label_noise, spec.release.label_epsilon) == (1, 0.25, 2.0)
    assert spec.to_block() == block
    assert spec.digest.hex() == VECTORS["noisy_labels"]["sha256"]


def test_golden_spec_of_a_private_head_is_read_and_written_the_same() -> None:
    block = bytes.fromhex(VECTORS["private_head"]["block"])
    spec = JobSpec.from_block(block)
    assert (spec.version, spec.release.head_epsilon, spec.release.label_epsilon) == (1, 1.0, None)
    assert spec.to_block() == block
    assert spec.digest.hex() == VECTORS["private_head"]["sha256"]


@pytest.mark.parametrize("value", [None, 0.0, -1.0, float("inf"), 1])
def test_epsilon_of_a_head_out_of_range_or_written_where_there_is_none_is_refused(value: object) -> None:
    content = decode(bytes.fromhex(VECTORS["private_head"]["block"]))
    forged = content | {"release": content["release"] | {"head_epsilon": value}}
    with pytest.raises(SpecError):
        JobSpec.from_block(encode(forged))


@pytest.mark.parametrize(
    ("part", "field", "value"),
    [
        ("training", "label_noise", 0.0),
        ("training", "label_noise", 1.0),
        ("training", "label_noise", -0.1),
        ("release", "label_epsilon", None),
        ("release", "label_epsilon", 0.0),
        ("release", "label_epsilon", 65.0),
    ],
)
def test_label_noise_out_of_range_or_written_where_there_is_none_is_refused(
    part: str, field: str, value: float | None
) -> None:
    content = decode(bytes.fromhex(VECTORS["noisy_labels"]["block"]))
    with pytest.raises(SpecError):
        JobSpec.from_block(encode(content | {part: content[part] | {field: value}}))


@pytest.mark.parametrize(
    ("publication", "version"), [("sampled", 1), ("all", 1), (None, 2), ("none", 2), ("sampled", 3), ("sampled", 0)]
)
def test_spec_whose_version_does_not_say_what_it_holds_is_refused(publication: str | None, version: int) -> None:
    content = decode(bytes.fromhex(VECTORS["all"]["block"])) | {"version": version}
    if publication is not None:
        content["replay"] = content["replay"] | {"publication": publication}
    with pytest.raises(SpecError):
        JobSpec.from_block(encode(content))


def test_golden_spec_of_a_model_of_code_is_read_and_written_the_same() -> None:
    block = bytes.fromhex(VECTORS["own_model"]["block"])
    spec = JobSpec.from_block(block)
    assert spec.model.code is not None and len(spec.model.code) == 32
    assert (spec.to_block(), spec.digest.hex()) == (block, VECTORS["own_model"]["sha256"])
    without = spec.model_copy(update={"model": spec.model.model_copy(update={"code": None})})
    assert b"dcode" not in without.to_block()


def test_code_that_is_written_as_absent_is_refused() -> None:
    content = decode(bytes.fromhex(VECTORS["all"]["block"]))
    with pytest.raises(SpecError, match="canonical"):
        JobSpec.from_block(encode(content | {"model": content["model"] | {"code": None}}))
