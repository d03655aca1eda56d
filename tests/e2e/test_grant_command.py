"""``clicooper job grant``: an auditor is let in with one small block, sees what it was granted, and no more."""

from __future__ import annotations

import shutil
import stat
from pathlib import Path
from typing import Any

import pytest

from clicooper.access.grants import Grant, open_grant
from clicooper.access.sealing import new_identity
from clicooper.files import write_secret
from clicooper.storage.ipld.cid import parse_cid
from clicooper.storage.local import LocalStore
from tests.cli_calls import answered, printed, refused
from tests.scenario import FinishedRun, audit_command, checks

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def run(run_dir: Path) -> Path:
    """A run folder whose throw-away auditor is gone."""
    shutil.rmtree(run_dir / "auditor")
    return run_dir


@pytest.fixture
def auditor(tmp_path: Path) -> tuple[Path, str]:
    """Identity file and recipient of somebody who was let in nowhere yet."""
    identity, recipient = new_identity()
    write_secret(tmp_path / "me" / "identity.txt", identity.encode())
    return tmp_path / "me" / "identity.txt", recipient


def blocks(run: Path) -> set[str]:
    return {path.name for path in (run / "store").rglob("b*") if path.is_file()}


def granted(capsys: Capture, run: Path, recipient: str, *options: str) -> dict[str, Any]:
    return answered(capsys, "job", "grant", str(run), "--to", recipient, *options)


def test_auditor_with_everything_passes_the_whole_audit(
    run: Path, auditor: tuple[Path, str], tmp_path: Path, capsys: Capture
) -> None:
    identity, recipient = auditor
    before, file = blocks(run), identity.parent / "grants.age"
    made = granted(capsys, run, recipient, "--labels", "-o", str(file))
    assert (made["recipient"], made["labels"], made["seats"], made["file"]) == (recipient, True, [0, 1], str(file))
    assert blocks(run) - before == {made["grant"]}, "nothing is uploaded but the grant"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    for options in (["--grant", made["grant"]], ["--grant", str(file)], []):
        assert audit_command(run, "--identity", str(identity), *options)[0] == 0


def test_without_labels_what_needs_them_stays_inconclusive(
    run: Path, auditor: tuple[Path, str], capsys: Capture
) -> None:
    identity, recipient = auditor
    made = granted(capsys, run, recipient)
    code, report = audit_command(run, "--identity", str(identity), "--grant", made["grant"])
    assert (made["labels"], code) == (False, 4)
    assert checks(report, "fail") == set()
    assert checks(report, "inconclusive") == {"labels", "replay"}
    assert {"artifacts", "boundary", "coverage", "mark", "embed"} <= checks(report, "pass")


def test_one_seat_shows_that_seat_alone(
    run: Path, honest_run: FinishedRun, auditor: tuple[Path, str], capsys: Capture
) -> None:
    identity, recipient = auditor
    made = granted(capsys, run, recipient, "--seat", "1")
    (trainer,) = {c.trainer for settled in honest_run.rounds for c in settled.commitments if c.seat == 1}
    assert (made["authors"], made["seats"]) == ([trainer], [1])
    grant = Grant.from_block(LocalStore(run / "store").get_block(parse_cid(made["grant"])))
    keys = open_grant(grant, identity.read_text())
    assert (set(keys.sealing), set(keys.progress), keys.label_secret) == ({trainer}, {(0, 1), (1, 1)}, None)
    code, report = audit_command(run, "--identity", str(identity), "--grant", made["grant"])
    assert code == 4
    unseen = {row["seat"] for row in report["checks"] if "was not granted" in row["detail"] and row["check"] == "embed"}
    assert unseen == {0}


def test_grant_is_of_no_use_to_anybody_else(
    run: Path, auditor: tuple[Path, str], tmp_path: Path, capsys: Capture
) -> None:
    made = granted(capsys, run, auditor[1], "--labels")
    stranger = tmp_path / "stranger.txt"
    write_secret(stranger, new_identity()[0].encode())
    arguments = ("audit", str(run), "--identity", str(stranger), "--grant", made["grant"])
    assert "does not open with this identity" in refused(capsys, *arguments, code=4, kind="SealError")


def test_what_was_granted_is_printed_and_no_secret(
    run: Path, honest_run: FinishedRun, auditor: tuple[Path, str], capsys: Capture
) -> None:
    words = printed(capsys, "job", "grant", str(run), "--to", auditor[1], "--labels")
    assert "files and progress keys of seats 0, 1, with labels" in words and auditor[1] in words
    for secret in honest_run.keys.sealing.values():
        assert secret.hex() not in words


REFUSALS: dict[str, tuple[list[str], str]] = {
    "recipient with a typing error": (["--to", "age1" + "q" * 58], "is no age recipient"),
    "identity instead of a recipient": (["--to", new_identity()[0]], "is no age recipient"),
    "no such seat": (["--seat", "2"], "--seat 2: there is no such seat"),
    "negative seat": (["--seat", "-1"], "--seat -1: there is no such seat"),
    "file exists": (["-o", "record.json"], "exists and is not overwritten"),
}


@pytest.mark.parametrize("what", REFUSALS)
def test_bad_input_grants_nothing(
    what: str, run: Path, auditor: tuple[Path, str], capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(run)
    options, message = REFUSALS[what]
    to = [] if "--to" in options else ["--to", auditor[1]]
    before = blocks(run)
    assert message in refused(capsys, "job", "grant", str(run), *to, *options)
    assert blocks(run) == before


def test_identity_in_the_place_of_a_recipient_is_not_repeated(run: Path, capsys: Capture) -> None:
    identity = new_identity()[0]
    assert identity not in refused(capsys, "job", "grant", str(run), "--to", identity)


def test_only_the_owner_can_grant(run: Path, auditor: tuple[Path, str], capsys: Capture) -> None:
    shutil.rmtree(run / "owner")
    message = refused(capsys, "job", "grant", str(run), "--to", auditor[1])
    assert message.endswith("does not hold the owner's identity")


def test_secrets_of_another_job_are_not_granted(
    run: Path, other_run: FinishedRun, auditor: tuple[Path, str], capsys: Capture
) -> None:
    shutil.rmtree(run / "owner")
    shutil.copytree(other_run.root / "owner", run / "owner")
    assert "of another job than the record" in refused(capsys, "job", "grant", str(run), "--to", auditor[1])


AUDIT_REFUSALS: dict[str, tuple[str, int, str, str]] = {
    "neither file nor CID": ("nonsense", 2, "UsageError", "neither a file nor a CID"),
    "absent": ("bafyreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy", 4, "ArtifactMissing", "does not have"),
}


@pytest.mark.parametrize("what", AUDIT_REFUSALS)
def test_audit_names_a_grant_that_is_none(what: str, run: Path, auditor: tuple[Path, str], capsys: Capture) -> None:
    grant, code, kind, message = AUDIT_REFUSALS[what]
    arguments = ("audit", str(run), "--identity", str(auditor[0]), "--grant", grant)
    assert message in refused(capsys, *arguments, code=code, kind=kind)


def test_audit_refuses_a_grant_that_nobody_can_open(run: Path, capsys: Capture) -> None:
    shutil.rmtree(run / "owner")
    assert "needs the identity" in refused(capsys, "audit", str(run), "--grant", "whatever")


def test_manifest_is_no_grant(run: Path, honest_run: FinishedRun, auditor: tuple[Path, str], capsys: Capture) -> None:
    cid = str(honest_run.rounds[0].manifests[0].cid)
    arguments = ("audit", str(run), "--identity", str(auditor[0]), "--grant", cid)
    assert refused(capsys, *arguments, kind="SpecError").startswith("not a Grant")
