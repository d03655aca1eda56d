"""Heads from the command line: a public one written and used, evaluations of several, and what is refused."""

import json

import numpy as np
import pytest

from clicooper.learning.data import load_dataset
from tests.cli_calls import answered, printed, refused
from tests.scenario import audit_command

SMALL = ("--seeds", "1", "--epsilons", "8", "--gammas", "2", "--groups", "4", "--no-hiding")


RUN = ("--out", "run")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CLICOOPER_STEPS", "10")
    return tmp_path


def public_records(folder):
    """Records that stand in for public ones: some digits, upside down."""
    digits = load_dataset("digits")
    np.savez(folder / "public.npz", inputs=digits.inputs[:300, :, ::-1], labels=digits.labels[:300])
    return folder / "public.npz"


def test_a_public_head_is_written_once_and_used_by_a_job(folder, capsys, monkeypatch):
    data = public_records(folder)
    result = answered(capsys, "head", "export", "public.safetensors", "--data", str(data))
    assert (result["records"], result["record_shape"], result["features"]) == (300, [1, 8, 8], 16)
    assert "its owner vouches for it" in result["warning"]
    written = (folder / "public.safetensors").read_bytes()
    words = printed(capsys, "head", "export", "public.safetensors", "--data", str(data))
    assert (folder / "public.safetensors").read_bytes() == written
    assert "records of 1 x 8 x 8 to 16 features" in words and result["digest"] in words
    for name, value in (("HEAD_RECORDS", "0"), ("TRAINERS", "2"), ("ROUNDS", "1"), ("EPSILON", "20")):
        monkeypatch.setenv(f"CLICOOPER_{name}", value)
    job = answered(capsys, "demo", "--head", "public.safetensors", "--out", "run")
    assert job["privacy"]["head"] == "file"
    assert "its owner vouches" in job["privacy"]["text"]
    (folder / "public.safetensors").unlink()
    assert audit_command(folder / "run")[0] == 0


def test_a_demo_with_a_private_head_says_what_it_spends(folder, capsys, monkeypatch):
    for name, value in (("HEAD_RECORDS", "0"), ("TRAINERS", "2"), ("ROUNDS", "1"), ("HEAD_EPSILON", "3")):
        monkeypatch.setenv(f"CLICOOPER_{name}", value)
    job = answered(capsys, "demo", "--head", "dp-sgd", "--epsilon", "20", "--out", "run")
    assert (job["privacy"]["epsilon"], job["privacy"]["head_epsilon"]) == (20.0, 3.0)
    assert 10 < job["privacy"]["release_epsilon"] < 20
    assert job["privacy"]["training"] in job["privacy"]["text"]
    kept = json.loads((folder / "run" / "owner" / "config.json").read_text())
    assert (kept["head"], kept["head_epsilon"], kept["head_records"]) == ("dp-sgd", 3.0, 0)


@pytest.mark.parametrize(
    ("file", "data", "words", "kind"),
    [
        ("head.npz", "digits", "no .safetensors file", "UsageError"),
        ("absent/head.safetensors", "digits", "cannot write", "UsageError"),
        ("head.safetensors", "absent.npz", "no such data set", "DataError"),
    ],
)
def test_a_public_head_that_cannot_be_written_is_refused(capsys, file, data, words, kind):
    assert words in refused(capsys, "head", "export", file, "--data", data, kind=kind)


def test_a_job_whose_head_cannot_be_made_leaves_nothing_behind(folder, capsys, monkeypatch):
    assert "cannot read the head" in refused(capsys, "demo", "--head", "absent.safetensors", *RUN, kind="SpecError")
    np.savez(folder / "wide.npz", inputs=np.random.default_rng(0).random((40, 3, 4)), labels=np.arange(40) % 2)
    answered(capsys, "head", "export", "wide.safetensors", "--data", "wide.npz")
    assert "12 numbers to 16 features" in refused(capsys, "demo", "--head", "wide.safetensors", *RUN, kind="SpecError")
    monkeypatch.setenv("CLICOOPER_HEAD_EPSILON", "1")
    assert "spends nothing" in refused(capsys, "demo", "--head", "random", *RUN, kind="PrivacyClaimError")
    monkeypatch.setenv("CLICOOPER_HEAD_RECORDS", "0")
    monkeypatch.delenv("CLICOOPER_HEAD_EPSILON")
    assert "needs records of its own" in refused(capsys, "demo", *RUN, kind="DataError")
    assert not (folder / "run").exists()


def test_evaluation_of_several_heads_keeps_them_apart(capsys):
    result = answered(
        *(capsys, "evaluate", "privacy", *SMALL, "--mechanisms", "gaussian"),
        *("--head", "disjoint", "--head", "random", "--head", "dp-sgd"),
    )
    heads = [row["setting"].get("head", "disjoint") for row in result["rows"] if row["name"] == "accuracy.head_only"]
    assert heads == ["disjoint", "random", "dp-sgd"]
    alone = [row["value"] for row in result["rows"] if row["name"] == "accuracy.head_only"]
    assert alone[0] > alone[1] and alone[0] > alone[2]
    titles = [found["title"] for found in result["recommendations"]]
    assert titles == ["digits", "digits, random head", "digits, dp-sgd head"]
    again = answered(capsys, "evaluate", "privacy", *SMALL, "--mechanisms", "gaussian", "--head", "random")
    assert [row for row in result["rows"] if row["setting"].get("head") == "random"] == again["rows"]
    assert "What follows for digits, random head" in printed(capsys, "evaluate", "privacy", *SMALL, "--head", "random")


def test_evaluation_without_records_for_a_head_needs_none(capsys, monkeypatch):
    monkeypatch.setenv("CLICOOPER_HEAD_RECORDS", "0")
    result = answered(capsys, "evaluate", "privacy", *SMALL, "--head", "random")
    rows = {row["name"]: row for row in result["rows"]}
    assert 0.5 < rows["accuracy.head_only"]["value"] < 1
    disjoint = refused(capsys, "evaluate", "privacy", *SMALL, "--head", "disjoint", kind="DataError")
    assert "needs records of its own" in disjoint
    assert "neither a kind of head" in refused(capsys, "evaluate", "privacy", *SMALL, "--head", "dpsgd")
