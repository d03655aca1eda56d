"""``clicooper job`` against real nodes: Anvil and Ganache."""

import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from chain_world import PARAMS, World, account_of, new_world

from clicooper.chain.rpc.node import Node
from tests.cli_calls import answered, printed, refused

Capture = pytest.CaptureFixture[str]
PASSWORD = "correct horse"


@pytest.fixture(params=["anvil", "ganache"])
def options(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    """A home with the accounts of the owner and the first trainer, and the options that name node and home."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    (tmp_path / "password").write_text(f"{PASSWORD}\n")
    url = request.getfixturevalue(f"{request.param}_url")
    return ("--network", url, "--home", str(tmp_path), "--password-file", str(tmp_path / "password"))


@pytest.fixture
def parties(options: tuple[str, ...], tmp_path: Path) -> Iterator[World]:
    with Node.connect(options[1]) as node:
        made = new_world(node)
        (tmp_path / "keystore").mkdir()
        for name, contract in (("owner", made.owner), ("trainer", made.trainers[0])):
            assert contract.account is not None
            # One round of the key derivation: hardening it is the business of the tests of accounts.
            keystore = contract.account.encrypt(PASSWORD, kdf="pbkdf2", iterations=1)
            (tmp_path / "keystore" / f"{name}.json").write_text(json.dumps(keystore))
        yield made


def test_list_and_show_without_and_with_a_lens(parties: World, options: tuple[str, ...], capsys: Capture) -> None:
    jobs = [parties.open_job(), parties.filled_job(), parties.started_job()]
    at = ("--contract", parties.address, *options)
    plain = answered(capsys, "job", "list", *at)
    assert [(row["job"], row["phase"]) for row in plain["jobs"]] == [(1, "Open"), (2, "Labels"), (3, "Commit")]
    assert plain["jobs"][2]["waiting_for"] == "seat 0 to commit"
    shown = answered(capsys, "job", "show", str(jobs[2]), *at)
    assert shown["head"] == shown["genesis"]
    assert [seat["trainer"] for seat in shown["held"]] == [account_of(one) for one in parties.trainers]

    answered(capsys, "deploy", "--lens", "--account", "owner", *options)
    assert answered(capsys, "job", "list", *at) == plain
    assert answered(capsys, "job", "show", str(jobs[2]), *at) == shown
    assert [row["job"] for row in answered(capsys, "job", "list", "--first", "2", "--count", "1", *at)["jobs"]] == [2]
    assert answered(capsys, "job", "list", "--first", "9", *at)["jobs"] == []
    text = printed(capsys, "job", "show", str(jobs[0]), *at)
    assert "trainers to take the vacant seats" in text and "vacant" in text


def test_cancel_then_everybody_withdraws_what_show_says(
    parties: World, options: tuple[str, ...], capsys: Capture
) -> None:
    job = str(parties.filled_job())
    at = ("--contract", parties.address, *options)
    cancelled = answered(capsys, "job", "cancel", job, "--account", "owner", *at)
    assert cancelled["phase"] == "Cancelled"
    shown = answered(capsys, "job", "show", job, *at)
    assert (shown["waiting_for"], shown["deadline_passed"]) == ("nothing: it has ended", False)
    owed = {"owner": shown["owed_wei"]["owner"], "trainer": PARAMS.stake_wei}
    assert owed["owner"] == PARAMS.escrow_wei
    for name, amount in owed.items():
        assert answered(capsys, "job", "withdraw", job, "--account", name, *at)["paid_wei"] == amount
    assert "NothingOwed" in refused(capsys, "job", "withdraw", job, "--account", "owner", *at, kind="RevertError")


def test_what_cannot_be_done_says_why(parties: World, options: tuple[str, ...], capsys: Capture) -> None:
    job = str(parties.filled_job())
    at = ("--contract", parties.address, *options)
    early = refused(capsys, "job", "resolve", job, "--account", "trainer", *at, kind="RevertError")
    assert "TooEarly" in early
    stranger = refused(capsys, "job", "cancel", job, "--account", "trainer", *at, kind="RevertError")
    assert "NotOwner" in stranger
    assert "NoSuchJob" in refused(capsys, "job", "show", "99", *at, kind="RevertError")
    assert "embedded" in refused(capsys, "job", "withdraw", job, "--account", "owner", "--network", "embedded")
