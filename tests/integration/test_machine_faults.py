"""Whatever is wrong with the machine of an auditor, an owner or an arbiter: no verdict falls on anybody else.

Every fault meets every command that judges, over one honest round on Anvil. ``docs/figures/machine-faults.md`` is the
table of what each command did; ``WRITE_FIGURES=1 pytest tests/integration/test_machine_faults.py`` writes it.
"""

from __future__ import annotations

import io
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from command_scenes import undone
from disputed_round import Dispute

from clicooper.access.grants import write_grants
from clicooper.access.sealing import new_identity
from clicooper.audit.artifacts import Artifacts
from clicooper.audit.bundle import pack_job
from clicooper.chain.rpc.node import Node
from clicooper.cli.main import main
from clicooper.disputes.collect import make_evidence
from clicooper.disputes.evidence_file import SealedEvidence, enclose
from clicooper.disputes.subject import Subject
from clicooper.errors import EXIT_FAILED
from clicooper.types import Phase
from tests.scenario import rehearsal, tiny_config

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "figures" / "machine-faults.md"
MODEL = "faulty_model:blocks"
SOURCE = '''
import builtins
import math
import os
from collections.abc import Sequence

from torch import nn

if os.environ.get("FAULTY_MODEL"):
    raise getattr(builtins, os.environ["FAULTY_MODEL"])("this machine")


def blocks(input_shape: Sequence[int], outputs: int) -> list[nn.Module]:
    """Room for two seats' marks of 64 bits."""
    first = nn.Sequential(nn.Flatten(), nn.Linear(math.prod(input_shape), 256), nn.Tanh())
    hidden = [nn.Sequential(nn.Linear(256, 256), nn.Tanh()) for _ in range(3)]
    return [first, *hidden, nn.Linear(256, outputs)]
'''
"""A custom model that fails on one machine and not on another: what it raises stands in the environment."""

PASSWORD = "correct horse"
CLOSED = "http://127.0.0.1:9"
RAISED = (
    "NameError",
    "OSError",
    "SystemExit",
    "MemoryError",
    "RecursionError",
    "KeyError",
    "ZeroDivisionError",
    "AssertionError",
)
COMMANDS = ("audit", "verify", "evidence check", "arbiter rule")
SOUND = {0, 2, 3, 4}
"""Exit codes that judge nobody; 2 is an input that the user can put right."""


@dataclass(frozen=True)
class Place:
    """An honest round under review, or under a challenge, and all that the four commands need, in one folder.

    Attributes:
        url: of the chain's node.
    """

    root: Path
    url: str
    job: str
    contract: str

    def words(self, command: str) -> list[str]:
        """The command as its user would type it."""
        at = ["--home", str(self.root / "home"), "--network", self.url, "--json", "--quiet"]
        account = ["--password-file", str(self.root / "password"), "--account"]
        trust, key = ["--trust-model", MODEL], ["--identity", str(self.root / "identity.txt")]
        return {
            "audit": ["audit", str(self.root / "job.car"), *key, "--grant", str(self.root / "grants.age"), *trust, *at],
            "verify": ["verify", str(self.root / "run"), *trust, *account, "owner", *at],
            "evidence check": ["evidence", "check", str(self.root / "e.car"), *self._arbiter_key(), *trust, *at],
            "arbiter rule": [
                *("arbiter", "rule", self.job, "--contract", self.contract, "--evidence", str(self.root / "e.car")),
                *(*self._arbiter_key(), *trust, *account, "arbiter", *at),
            ],
        }[command]

    def _arbiter_key(self) -> list[str]:
        return ["--identity", str(self.root / "arbiter.txt")]


@dataclass(frozen=True)
class Cell:
    """What a command did under a fault."""

    code: int
    printed: Mapping[str, Any]

    def accused(self) -> list[object]:
        """Everybody whom it names as a culprit, in any of the ways in which a command can."""
        rows = [row for row in self.printed.get("checks", ()) if row["verdict"] == "fail" or row["culprit"] is not None]
        named: list[object] = [(row["check"], row["seat"], row["detail"]) for row in rows]
        decision = self.printed.get("decision") or {}
        named += [decision] if decision.get("seat") is not None else []
        found = (self.printed.get("check") or self.printed).get("finding")
        return named + ([self.printed] if found == "guilty" or self.printed.get("guilty") else [])

    def told(self) -> str:
        """One cell of the page."""
        word = {0: "holds", 2: "refused", 3: "no access", 4: "cannot tell"}[self.code]
        return f"{self.code}, {word}"


# --- the faults; each is undone by the fixture's copy of the folder and by monkeypatch ---


def no_module(place: Place, patch: pytest.MonkeyPatch) -> None:
    (place.root / "models" / "faulty_model.py").unlink()


def later_module(place: Place, patch: pytest.MonkeyPatch) -> None:
    path = place.root / "models" / "faulty_model.py"
    path.write_text(path.read_text().replace("nn.Tanh()", "nn.ReLU()"))


def raising(name: str) -> Callable[[Place, pytest.MonkeyPatch], None]:
    def fault(place: Place, patch: pytest.MonkeyPatch) -> None:
        patch.setenv("FAULTY_MODEL", name)

    return fault


def other_torch(place: Place, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(torch, "__version__", "9.9.9")


def other_class(place: Place, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "ANOTHER")


def flipped_bit(place: Place, patch: pytest.MonkeyPatch) -> None:
    """In the copies of the CAR file, the evidence and every block of the store that is no record."""
    for path in (place.root / "job.car", place.root / "e.car"):
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    for path in sorted((place.root / "run" / "store").rglob("bafk*"))[::3]:
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.write_bytes(data)


def truncated(place: Place, patch: pytest.MonkeyPatch) -> None:
    for path in (place.root / "job.car", place.root / "e.car", *(place.root / "run" / "store").rglob("bafk*")):
        path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])


def absent(place: Place, patch: pytest.MonkeyPatch) -> None:
    """Nobody can tell an owner's own lost copy from what was never published, so its policy is to wait."""
    for path in (place.root / "job.car", place.root / "e.car"):
        path.unlink()
    for path in (place.root / "run" / "store").rglob("bafk*"):
        path.unlink()


def no_node(place: Place, patch: pytest.MonkeyPatch) -> None:
    object.__setattr__(place, "url", CLOSED)


def no_key(place: Place, patch: pytest.MonkeyPatch) -> None:
    """Keys that open nothing of this job."""
    for name in ("identity.txt", "arbiter.txt", "run/owner/identity.txt"):
        if (place.root / name).exists():
            (place.root / name).write_text(new_identity()[0] + "\n")


def full_disk(place: Place, patch: pytest.MonkeyPatch) -> None:
    """Nothing here: ``run_on_a_full_disk`` takes the space away."""


FAULTS: Mapping[str, Callable[[Place, pytest.MonkeyPatch], None]] = {
    "model's module absent": no_module,
    "model's module changed": later_module,
    **{f"model's module raises {name}": raising(name) for name in RAISED},
    "torch of another version": other_torch,
    "processor of another class": other_class,
    "flipped bits in the own copy": flipped_bit,
    "files cut off": truncated,
    "artifacts absent": absent,
    "disk full": full_disk,
    "node gone": no_node,
    "keys absent": no_key,
}


# --- the world ---


@pytest.fixture(scope="module")
def places(anvil_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, Place]]:
    """By command, the folder and the chain that it needs: under review, or under a challenge of honest work."""
    base = tmp_path_factory.mktemp("faults")
    models = base / "models"
    models.mkdir()
    (models / "faulty_model.py").write_text(SOURCE)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(models)
        review = _review(base / "review", anvil_url)
        challenged = _review(base / "challenged", anvil_url, challenge=True)
    yield {"audit": review, "verify": review, "evidence check": challenged, "arbiter rule": challenged}


def _review(root: Path, url: str, *, challenge: bool = False) -> Place:
    seed = 20_261_130 + challenge
    config = tiny_config(seed=seed, rounds=1, model=MODEL, widths=())
    root.mkdir()
    with rehearsal(root / "run", config, connect=lambda: Node.connect(url)) as job:
        case = Dispute(job, job.train_and_commit())
        job.opened.owner.receive_keys(case.committed)
        sealed = _seal(case)
        (root / "e.car").write_bytes(sealed.to_car())
        if challenge:
            case.challenge(1, sealed)
        pack_job(job.record(), job.store, root / "job.car")
        identity, recipient = new_identity()
        (root / "identity.txt").write_text(identity + "\n")
        write_grants(root, job.opened.owner.keys(), recipient)
        (root / "arbiter.txt").write_text(job.parties.arbiter_identity + "\n")
        (root / "password").write_text(f"{PASSWORD}\n")
        keystore = root / "home" / "keystore"
        keystore.mkdir(parents=True)
        for name in ("owner", "arbiter"):
            made = getattr(job.parties, name).encrypt(PASSWORD, kdf="pbkdf2", iterations=1)
            (keystore / f"{name}.json").write_text(json.dumps(made))
        shutil.copytree(root.parent / "models", root / "models")
        (root / "policy.toml").write_text("publish_deadline_s = 0\n")
        phase = Phase.ARBITRATION if challenge else Phase.REVIEW
        assert job.contract().job(job.opened.job).phase is phase
        return Place(root, url, str(job.opened.job), job.opened.contract)


def _seal(case: Dispute) -> SealedEvidence:
    """The owner's evidence on honest work, sealed to the arbiter; the owner trusts its own model."""
    plain = case.artifacts
    artifacts = Artifacts(plain.history, plain.store, plain.keys, {MODEL})
    packed = make_evidence(case.job.record(), artifacts, Subject("replay", 0, 0, 1), case.owner)
    return enclose(artifacts.history.genesis, packed.evidence, packed.plaintext, artifacts.spec.arbiter_keys)


@contextmanager
def _importing(place: Place) -> Iterator[None]:
    """The models of this place, and none that another one imported."""
    sys.modules.pop("faulty_model", None)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(place.root / "models")
        yield
    sys.modules.pop("faulty_model", None)


def run_here(place: Place, command: str) -> Cell:
    out, err = io.StringIO(), io.StringIO()
    extra = ["--policy", str(place.root / "policy.toml")] if command == "verify" else []
    with _importing(place), redirect_stdout(out), redirect_stderr(err):
        code = main([*place.words(command), *extra])
    assert "Traceback" not in err.getvalue()
    return Cell(code, json.loads(out.getvalue()))


def run_on_a_full_disk(place: Place, command: str) -> Cell:
    """In a process of its own that can write no file: the kernel refuses it every byte, as a full disk does."""

    def no_bytes() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))

    path = os.pathsep.join((str(ROOT), str(place.root / "models")))
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    words = [sys.executable, "-m", "clicooper", *place.words(command)]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False, preexec_fn=no_bytes)
    assert "Traceback" not in done.stderr
    return Cell(done.returncode, json.loads(done.stdout))


@pytest.fixture(scope="module")
def table() -> Iterator[dict[str, dict[str, Cell]]]:
    """What was seen; when all of it was, the page has to say the same."""
    seen: dict[str, dict[str, Cell]] = {}
    yield seen
    if seen.keys() != FAULTS.keys():
        return
    page = written(seen)
    if os.environ.get("WRITE_FIGURES"):
        PAGE.write_text(page, encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == page


def written(seen: Mapping[str, Mapping[str, Cell]]) -> str:
    head = """# Faults of the machine

What each command that judges does over honest work when something is wrong with the machine that it runs on. None of
them ends with exit code 1, none names a seat, none crashes. `tests/integration/test_machine_faults.py` runs every cell
and compares this page; with `WRITE_FIGURES=1` it writes it.

"""
    lines = [f"| Fault | {' | '.join(f'`{command}`' for command in COMMANDS)} |", "|---|" + "---|" * len(COMMANDS)]
    lines += [f"| {fault} | {' | '.join(cells[name].told() for name in COMMANDS)} |" for fault, cells in seen.items()]
    return head + "\n".join(lines) + "\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_without_a_fault_every_command_finds_honest_work(command: str, places: Mapping[str, Place]) -> None:
    """Nothing below means anything unless this holds. A ruling would end the challenge, so the arbiter only looks."""
    if command == "arbiter rule":
        place = places[command]
        with _importing(place):
            found = Cell(main([*place.words(command), "--guilty"]), {})
        assert found.code == EXIT_FAILED, "the evidence clears the accused"
        return
    found = run_here(places[command], command)
    assert (found.code, found.accused()) == (0, []), found.printed


@pytest.mark.parametrize("fault", FAULTS)
def test_no_fault_of_the_machine_convicts_anybody(
    fault: str,
    places: Mapping[str, Place],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    table: dict[str, dict[str, Cell]],
) -> None:
    cells: dict[str, Cell] = {}
    for command in COMMANDS:
        place = places[command]
        copy = Place(Path(shutil.copytree(place.root, tmp_path / command)), place.url, place.job, place.contract)
        with monkeypatch.context() as patch:
            FAULTS[fault](copy, patch)
            with Node.connect(place.url) as node, undone(node):
                cells[command] = (run_on_a_full_disk if fault == "disk full" else run_here)(copy, command)
    for command, cell in cells.items():
        assert cell.code in SOUND, (command, cell)
        assert cell.accused() == [], (command, cell)
    table[fault] = cells
