"""An audit that was killed goes on where it stopped, and one of a long round needs little memory."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from clicooper.audit.auditor import Plan
from clicooper.audit.replay.journal import Journal
from clicooper.audit.replay.sampling import Sample
from clicooper.commitments.canonical import cid_of_digest
from clicooper.commitments.manifest import SegmentManifest
from clicooper.history.follow import follow_record
from clicooper.storage.base import get_bytes
from clicooper.storage.ipld.cid import cid_text
from clicooper.types import Verdict
from tests.e2e.audit_runs import INTERVALS, SECRET, audit, states_of, without_states
from tests.scenario import FinishedRun, audit_command, finished_run, tiny_config


@pytest.fixture(scope="module")
def long_run(tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    """One round of twelve intervals of one step."""
    return finished_run(tmp_path_factory.mktemp("long") / "run", tiny_config(rounds=1, steps=INTERVALS, interval=1))


@pytest.fixture
def copied(long_run: FinishedRun, tmp_path: Path) -> Path:
    return Path(shutil.copytree(long_run.root, tmp_path / "run"))


# --- after a kill ---

KILLED = """
import os, signal, sys
from clicooper.audit.replay import executors, intervals
from clicooper.cli.main import main

honest, done = intervals.replay_run, 0

def killed_in_the_middle(artifacts, round_, run):
    global done
    done += 1
    if done == 6:
        os.kill(os.getpid(), signal.SIGKILL)
    yield from honest(artifacts, round_, run)

executors.replay_run = killed_in_the_middle
main(["--home", sys.argv[2], "audit", sys.argv[1], "--jobs", "1", "--quiet"])
"""


@pytest.fixture(scope="module")
def killed(long_run: FinishedRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The journal of an audit that was killed after five intervals."""
    home = tmp_path_factory.mktemp("killed")
    command = [sys.executable, "-c", KILLED, str(long_run.root), str(home)]
    done = subprocess.run(command, check=False, capture_output=True, cwd=Path(__file__).parents[2])
    assert done.returncode == -signal.SIGKILL, done.stderr
    (journal,) = (home / "audits").iterdir()
    return journal


def test_killed_audit_goes_on_where_it_stopped(killed: Path, copied: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    journal = Path(shutil.copytree(killed.parent, home / "audits")) / killed.name
    assert journal.stat().st_mode & 0o077 == 0
    with journal.open("ab") as file:
        file.write(b'{"round": 0, "result": {"interv')
    code, printed = audit_command(copied, "--home", str(home))
    assert (code, printed["resumed"]) == (0, 5)
    assert not home.exists()
    shutil.copytree(killed.parent, home / "audits")
    anew = audit_command(copied, "--home", str(home), "--no-resume")[1]
    assert anew["resumed"] == 0
    assert (printed["checks"], printed["replayed"]) == (anew["checks"], anew["replayed"])


def test_damaged_journal_is_not_believed(killed: Path, tmp_path: Path) -> None:
    header, *lines = killed.read_bytes().splitlines(keepends=True)
    key = json.loads(header)["audit"]
    whole = tmp_path / "audits" / killed.name

    def left(*content: bytes) -> int:
        whole.parent.mkdir(parents=True, exist_ok=True)
        whole.write_bytes(b"".join(content))
        return Journal(whole.parent, key).count

    assert left(header, *lines) == 5
    assert left(header, *lines, b'{"round": 0') == 5
    assert left(*lines) == 0
    assert left(header, b"{}\n", *lines) == 0
    assert left(header.replace(b"torch", b"tarch"), *lines) == 0
    assert left(header, b"\xff\n", *lines) == 0
    assert Journal(whole.parent, key | {"head": "00"}).count == 0


def test_journal_keeps_nothing_that_could_not_be_replayed(long_run: FinishedRun, tmp_path: Path) -> None:
    sample = Sample(INTERVALS, {}, SECRET)
    plan = Plan(sample, journals=tmp_path / "audits")
    store = without_states(long_run, 1, 0, 1, 2)
    store.blocks = {cid: block for cid, block in store.blocks.items() if cid_text(cid) != first_weights(long_run)}
    assert audit(long_run, plan, store).verdict is Verdict.INCONCLUSIVE
    (journal,) = (tmp_path / "audits").iterdir()
    kept = [json.loads(line)["result"] for line in journal.read_text().splitlines()[1:]]
    assert kept
    assert all(one["steps"] == 1 for one in kept)
    mended = audit(long_run, plan)
    assert (mended.verdict, mended.resumed) == (Verdict.PASS, len(kept))


def first_weights(run: FinishedRun) -> str:
    commitment = follow_record(run.record).rounds[0].commitments[1]
    block = run.rehearsal.store.get_block(cid_of_digest(commitment.manifest_digest))
    return cid_text(SegmentManifest.from_block(block).state_in.weights.ciphertext)


def test_home_that_cannot_be_written_costs_the_resumption_only(long_run: FinishedRun, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    report = audit(long_run, Plan(journals=tmp_path / "file" / "audits"))
    assert report.verdict is Verdict.PASS


# --- memory ---

LIMITED = """
import resource, sys
from pathlib import Path
from clicooper.audit.artifacts import Artifacts
from clicooper.access.grants import read_grants
from clicooper.audit.checks.replay import replay_intervals
from clicooper.history.follow import follow_record
from clicooper.chain.record import read_record
from clicooper.storage.local import LocalStore

root = Path(sys.argv[1])
history = follow_record(read_record(root / "record.json"))
artifacts = Artifacts(history, LocalStore(root / "store"), read_grants(root / "auditor" / "identity.txt"))
replay_intervals(artifacts, 0, range(2))
with open("/proc/self/statm") as statm:
    used = int(statm.read().split()[0]) * resource.getpagesize()
limit = used + int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
result = replay_intervals(artifacts, 0, range(artifacts.intervals))
print(result.intervals, len(result.failed), len(result.unknown))
"""


def test_replay_of_a_round_needs_far_less_memory_than_its_states(tmp_path: Path) -> None:
    """All states of the round together are larger than what the process may still take, several times."""
    config = tiny_config(rounds=1, steps=30, interval=1, widths=(512,) * 4)
    run, allowed = finished_run(tmp_path / "run", config), 48 << 20
    states = [state for seat in (0, 1) for state in states_of(run, seat)]
    files = [file for state in states for file in (state.weights, state.optimizer)]
    together = sum(len(get_bytes(run.rehearsal.store, file.ciphertext)) for file in files)
    assert together > 3 * allowed
    command = [sys.executable, "-c", LIMITED, str(run.root), str(allowed)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert (done.returncode, done.stdout.split()) == (0, ["30", "0", "0"]), done.stderr
