"""``clicooper demo`` as its users meet it: what it prints and writes, what it keeps secret, and how it stops."""

import base64
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from threading import Timer
from typing import Any

import bech32
import pytest
from rich.console import Console

from clicooper.access.sealing import sealing_secret
from clicooper.chain.record import read_record, record_from_json
from clicooper.cli.main import main
from clicooper.commitments.canonical import cid_of_digest
from clicooper.commitments.manifest import JobSpec
from clicooper.history.follow import follow_record
from clicooper.privacy.randomness import MasterSecret
from clicooper.protocol.owner_folder import read_settings
from clicooper.protocol.preparation.prepare import OwnerSecrets, restore_job
from clicooper.reports.demo_tables import print_demo
from clicooper.storage.local import LocalStore
from clicooper.storage.run_folder import RunFolder
from clicooper.types import JobId
from clicooper.watermark.keys import MarkPurpose, keys_from_secret

SETTINGS = """
trainers = 2
rounds = 2
steps = 4
interval = 2
batch = 32
learning_rate = 0.05
epsilon = 20.0
gamma = 4
mark_bits = 64
widths = [256, 256, 256, 256]
test_records = 100
"""
"""Seconds of work; weak privacy lets so few steps learn something, and the readout needs few draws."""

LONG_TRAINING = {"CLICOOPER_STEPS": "50000", "CLICOOPER_INTERVAL": "1000"}
"""Minutes of training, for a run that is stopped in its midst."""

PATIENCE_S = 120

MARK = {"bits": int, "matched": int, "log2_p": float}
COMMITMENT = {"seat": int, "trainer": str, "manifest": str, "head": str, "gas": int, "mark": MARK}
ROUND = {"round": int, "accepted": bool, "paid_wei": int, "labels_released": bool, "commitments": [COMMITMENT]}
ACCURACY = dict.fromkeys(
    ("unprotected", "protected", "protected_naive_readout", "head_only", "release_only", "chance"), float
)
PRIVACY = {
    **dict.fromkeys(("epsilon", "delta", "sigma", "clip"), float),
    **{"adjacency": str, "group": int, "gamma": [int], "m": int, "secure": bool, "covers": [str], "excludes": [str]},
    **{"head": str, "training": str},
}
DEMO = {
    **{"ok": bool, "code": int, "run_dir": str, "contract": str, "chain_id": int, "job": int, "seats": int},
    **{"rounds": [ROUND], "accuracy": ACCURACY, "privacy": PRIVACY},
    "audit": {"verdict": str, "passed": int, "failed": int, "inconclusive": int},
    **{"seconds": float, "peak_rss_mib": float},
}
"""The object that other programs read, as the project promises it."""


@dataclass(frozen=True)
class Finished:
    """A finished demo, run without a seed."""

    root: Path
    stdout: str
    stderr: str

    @property
    def result(self) -> dict[str, Any]:
        return dict(json.loads(self.stdout))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Finished]:
    folder = tmp_path_factory.mktemp("demo")
    (folder / "clicooper.toml").write_text(SETTINGS, encoding="utf-8")
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        with redirect_stdout(out), redirect_stderr(err):
            assert main(["demo", "--json", "--home", "home"]) == 0
        yield Finished(folder / "home" / "runs" / "run-001", out.getvalue(), err.getvalue())


def differences(value: object, wanted: object, path: str = "$") -> list[str]:
    """Where a JSON value does not have the wanted shape; further fields are allowed."""
    if isinstance(wanted, dict):
        if not isinstance(value, dict):
            return [path]
        inner = [differences(value.get(name), kind, f"{path}.{name}") for name, kind in wanted.items()]
        return [line for lines in inner for line in lines]
    if isinstance(wanted, list):
        if not isinstance(value, list) or not value:
            return [path]
        return [line for at, item in enumerate(value) for line in differences(item, wanted[0], f"{path}[{at}]")]
    return [] if type(value) is wanted else [f"{path}: {value!r}"]


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_object_has_every_promised_field(finished: Finished) -> None:
    assert differences(finished.result, DEMO) == []
    assert (finished.result["ok"], finished.result["code"]) == (True, 0)
    assert json.loads((finished.root / "report.json").read_text()) == finished.result


def test_object_tells_the_whole_job(finished: Finished) -> None:
    result = finished.result
    assert [settled["round"] for settled in result["rounds"]] == [0, 1]
    for settled in result["rounds"]:
        assert [commitment["seat"] for commitment in settled["commitments"]] == [0, 1]
        assert {commitment["mark"]["matched"] for commitment in settled["commitments"]} == {64}
    assert len({commitment["head"] for settled in result["rounds"] for commitment in settled["commitments"]}) == 4
    assert result["audit"] | {"verdict": "pass", "failed": 0, "inconclusive": 0} == result["audit"]
    assert result["privacy"]["secure"] is True


def test_progress_goes_to_stderr_stage_by_stage(finished: Finished) -> None:
    stages = finished.stderr.splitlines()
    assert stages[0] == "preparing the job"
    assert [line for line in stages if "round" in line] == [
        *("round 0: training", "round 0: verifying", "round 1: training", "round 1: verifying"),
        *("auditing: round 0", "auditing: round 1"),
    ]


def test_run_folder_is_complete(finished: Finished) -> None:
    names = {path.name for path in finished.root.iterdir()}
    files = {"record.json", "job.json", "report.json", "report.html"}
    assert names == {*files, "store", "pins", "owner", "trainers", "auditor"}
    assert main(["audit", str(finished.root), "--quiet"]) == 0


def test_secrets_are_readable_by_their_owner_alone(finished: Finished) -> None:
    for name in ("owner", "trainers", "auditor"):
        inside = [finished.root / name, *(finished.root / name).rglob("*")]
        assert {path.stat().st_mode & 0o777 for path in inside if path.is_dir()} == {0o700}
        assert {path.stat().st_mode & 0o777 for path in inside if path.is_file()} == {0o600}


def secrets_of(run: Finished) -> dict[str, bytes]:
    """Everything that must never leave its holder's folder, by name."""
    found = {
        str(path.relative_to(run.root)): bytes.fromhex(path.read_text().strip()) for path in run.root.rglob("*.key")
    }
    assert len(found) == 2 + 2 * 2
    job = JobId(run.result["job"])
    prepared = prepared_again(run)
    found["label secret"] = prepared.label_secret
    genesis = follow_record(record_from_json((run.root / "record.json").read_bytes())).genesis
    for seat in (0, 1):
        secret = found[f"trainers/seat-{seat}/secret.key"]
        found[f"sealing secret {seat}"] = sealing_secret(secret, genesis)
        for round_ in (0, 1):
            keys = keys_from_secret(secret, job, round_, seat, 0)
            found |= {f"{purpose.name} {round_} {seat}": keys.of(purpose) for purpose in MarkPurpose}
    for path in run.root.rglob("identity.txt"):
        identity = path.read_text().strip()
        scalar = bech32.convertbits(bech32_data(identity), 5, 8, False)
        found |= {f"{path} as text": identity.encode(), f"{path} as a number": bytes(scalar or [])}
    return found | {"label map": prepared.label_map.pseudo_of_record.astype("<i8").tobytes()}


def prepared_again(run: Finished) -> OwnerSecrets:
    """What follows from the owner's master secret and stands in no file."""
    folder = RunFolder(run.root)
    params = follow_record(read_record(folder.record)).params
    master = MasterSecret(bytes.fromhex((folder.owner / "master.key").read_text().strip()), secure=True)
    identity = (folder.owner / "identity.txt").read_text().strip()
    spec = JobSpec.from_block(LocalStore(folder.store).get_block(cid_of_digest(params.spec_digest)))
    return restore_job(read_settings(folder), master, identity, spec, params, folder).secrets


def bech32_data(identity: str) -> list[int]:
    """The words of an identity's Bech32 text, without its checksum."""
    letters = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
    return [letters.index(letter) for letter in identity.lower().rpartition("1")[2]][:-6]


def test_no_secret_is_in_anything_public(finished: Finished) -> None:
    public = {str(path): path.read_bytes() for path in files(finished.root / "store")}
    public |= {
        name: (finished.root / name).read_bytes() for name in ("record.json", "job.json", "report.json", "report.html")
    }
    public |= {"stdout": finished.stdout.encode(), "stderr": finished.stderr.encode()}
    public["file names"] = "\n".join(str(path) for path in finished.root.rglob("*")).encode()
    assert len(public) > 20
    secrets = secrets_of(finished)
    assert {name.split("/")[-1] for name in secrets} >= {"identity.txt as text", "secret.key", "sealing secret 1"}
    for name, secret in secrets.items():
        assert len(secret) >= 32
        spellings = (secret, secret.hex().encode(), base64.b64encode(secret), base64.urlsafe_b64encode(secret))
        leaks = [
            place for place, data in public.items() if any(text in data or text.upper() in data for text in spellings)
        ]
        assert leaks == [], name


@pytest.mark.parametrize("width", [80, 120])
def test_tables_fit_the_terminal(finished: Finished, width: int) -> None:
    out = io.StringIO()
    print_demo(Console(file=out, width=width), finished.result)
    lines = [line.rstrip() for line in out.getvalue().splitlines()]
    free = ("Report: ", "Replay: ")  # one line each, to be copied
    assert [line for line in lines if len(line) > width and not line.startswith(free)] == []
    assert sum("64/64" in line and line.endswith("0.001 coin") for line in lines) == 4
    assert sum(line.startswith(free) for line in lines) == 2


def started(folder: Path, *options: str) -> "subprocess.Popen[str]":
    """A demo in a process of its own, whose training has begun and will take long."""
    (folder / "clicooper.toml").write_text(SETTINGS, encoding="utf-8")
    # Whoever runs the tests in the background has them ignore interrupts, and every process that they start.
    obey = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    code = f"{obey}; from clicooper.cli.main import run; run()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, "demo", "--out", "run", *options],
        cwd=folder,
        env={**os.environ, **LONG_TRAINING},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stderr is not None
    watchdog = Timer(PATIENCE_S, process.kill)
    watchdog.start()
    try:
        assert any(line == "round 0: training\n" for line in process.stderr), process.returncode
    finally:
        watchdog.cancel()
    return process


def refuses_to_audit(run: Path, capsys: pytest.CaptureFixture[str]) -> bool:
    assert main(["audit", str(run), "--quiet"]) == 2
    lines = capsys.readouterr().err.splitlines()
    return lines == [f"error: the run in {run} is incomplete", "  hint: it was interrupted; run the job again"]


def test_interrupt_stops_at_once_and_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    process = started(tmp_path, "--json")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130
    assert [line for line in err.splitlines() if not line.startswith("  hint: ")] == ["error: interrupted"]
    result = json.loads(out)
    assert (result["ok"], result["code"], result["error"]["message"]) == (False, 130, "interrupted")
    assert (tmp_path / "run" / "INCOMPLETE").exists()
    assert files(tmp_path / "run" / "store")
    assert refuses_to_audit(tmp_path / "run", capsys)


def test_killed_run_is_known_as_incomplete(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    process = started(tmp_path)
    process.kill()
    process.communicate(timeout=PATIENCE_S)
    assert process.returncode == -signal.SIGKILL
    assert (tmp_path / "run" / "INCOMPLETE").exists()
    assert refuses_to_audit(tmp_path / "run", capsys)
