"""The documented way to a sealed file: bash, age and openssl, and nothing of this project.

The blocks are run as docs/artifacts.md has them: with the programs installed here, and with stand-ins on independent
implementations (typage; the OpenSSL inside Node), so that they run on every machine that has what the tests need.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from clicooper.access.account_identity import make_identity
from clicooper.access.grants import IDENTITY_NAME
from clicooper.access.identity import parse_identity, recipient_of
from clicooper.access.sealing import new_identity
from clicooper.commitments.manifest import LabelRelease, SealedFile
from clicooper.learning.checkpoint import decode_state
from clicooper.storage.base import get_bytes
from tests.scenario import FinishedRun

REPOSITORY = Path(__file__).parents[2]
TOOLS = REPOSITORY / "tests" / "tools"
PROGRAMS = ("age", "openssl")
INSTALLED = [name for name in PROGRAMS if shutil.which(name)]


def documented(heading: str) -> list[str]:
    """The bash blocks under a heading."""
    text = (REPOSITORY / "docs" / "artifacts.md").read_text(encoding="utf-8")
    section = text.split(f"### {heading}\n", 1)[1].split("\n### ", 1)[0]
    return re.findall(r"```bash\n(.*?)```", section, flags=re.DOTALL)


OPEN_FILE, OPEN_LABELS = documented("Opening a file with age and openssl")


@pytest.fixture(params=["stand-ins", *(f"installed {name}" for name in INSTALLED)])
def programs(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A folder with `age` and `openssl`, of which at most one is the machine's own."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in PROGRAMS:
        if request.param == f"installed {name}":
            (folder / name).symlink_to(str(shutil.which(name)))
        else:
            (folder / name).write_text(f'#!/bin/sh\nexec node "{TOOLS / name}.mjs" "$@"\n')
            (folder / name).chmod(0o700)
    return folder


def bash(programs: Path, folder: Path, script: str, **values: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **values, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
    arguments = ["bash", "-euo", "pipefail", "-c", script]
    return subprocess.run(arguments, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def desk(honest_run: FinishedRun, tmp_path: Path) -> Path:
    """Where somebody has an identity and a grant, and fetched what it wants to read."""
    folder = tmp_path / "desk"
    shutil.copytree(honest_run.root / "auditor", folder)
    assert {path.name for path in folder.iterdir()} == {IDENTITY_NAME, "grants.age"}
    return folder


def fetched(run: FinishedRun, sealed: SealedFile, folder: Path) -> dict[str, str]:
    (folder / "file.sealed").write_bytes(get_bytes(run.rehearsal.store, sealed.ciphertext))
    return {"author": sealed.author.hex(), "digest": sealed.plaintext_digest.hex()}


@pytest.mark.parametrize("seat", [0, 1])
def test_checkpoint_opens(seat: int, honest_run: FinishedRun, desk: Path, programs: Path) -> None:
    sealed = honest_run.rounds[1].manifests[seat].out
    done = bash(programs, desk, OPEN_FILE, **fetched(honest_run, sealed, desk))
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().endswith(sealed.plaintext_digest.hex())
    state = decode_state((desk / "file").read_bytes())
    assert any(array.size > 1000 for array in state.values())


def test_transcript_opens(honest_run: FinishedRun, desk: Path, programs: Path) -> None:
    sealed = honest_run.rounds[0].manifests[1].transcript.leaves
    done = bash(programs, desk, OPEN_FILE, **fetched(honest_run, sealed, desk))
    assert done.stdout.strip().endswith(sealed.plaintext_digest.hex()), done.stderr


def test_labels_open_once_their_key_is_public(honest_run: FinishedRun, desk: Path, programs: Path) -> None:
    opened = honest_run.rehearsal.opened
    sealed, key = opened.owner.prepared.spec.labels[1], opened.owner.label_key(1)
    (desk / "labels.sealed").write_bytes(get_bytes(honest_run.rehearsal.store, sealed.ciphertext))
    values = fetched(honest_run, honest_run.rounds[0].manifests[0].out, desk) | {"label_key": key.hex()}
    done = bash(programs, desk, OPEN_FILE + OPEN_LABELS, **values)
    assert done.stdout.strip().endswith(sealed.plaintext_digest.hex()), done.stderr
    labels = LabelRelease.from_block((desk / "labels").read_bytes())
    assert (labels.round, len(labels.pseudo_labels)) == (1, sealed.rows)


def test_stranger_opens_nothing(honest_run: FinishedRun, desk: Path, programs: Path) -> None:
    (desk / IDENTITY_NAME).write_text(new_identity()[0] + "\n")
    done = bash(programs, desk, OPEN_FILE, **fetched(honest_run, honest_run.rounds[1].manifests[0].out, desk))
    assert done.returncode != 0
    assert not (desk / "file").exists()


def test_accounts_locked_identity_is_an_age_file(tmp_path: Path) -> None:
    (tmp_path / "keystore").mkdir()
    recipient = make_identity(tmp_path / "keystore" / "owner.json", "correct horse")
    arguments = ["node", str(TOOLS / "age.mjs"), "--decrypt", str(tmp_path / "keystore" / "owner.age")]
    environment = {**os.environ, "AGE_PASSPHRASE": "correct horse"}
    opened = subprocess.run(arguments, env=environment, capture_output=True, check=True).stdout
    assert recipient_of(parse_identity(opened, "stdout")) == recipient
    assert stat.S_IMODE((tmp_path / "keystore" / "owner.age").stat().st_mode) == 0o600
