"""Every command block of README and docs runs, as it stands there, beside what it needs: runs, nodes, keystores.

A page writes placeholders such as ``RUN_DIR`` and ``URL``; a scene says what stands for each, and which exit code a
command has there. Blocks that cannot run here say why in their first line, by one of ``REASONS``.
"""

from __future__ import annotations

import io
import shlex
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from command_scenes import FOLDER, PASSWORD, SCENES, beside_a_run, new_recipient, undone

from clicooper.access.grants import write_grants
from clicooper.chain.record import write_record
from clicooper.chain.rpc.node import Node
from clicooper.cli.main import main
from clicooper.protocol.job import finish_job, run_rounds
from tests import adversaries as cheats
from tests.ipfs_node import IpfsNode
from tests.pages import PAGES, ROOT, Block, blocks
from tests.scenario import FinishedRun, Rehearsal, keys_of, quiet, rehearsal, seating, tiny_config

REASONS = {
    "gate": "the gate runs these targets",
    "install": "it needs an index of packages",
    "developer": "it changes the checkout",
    "long": "it takes minutes or more",
    "ipfs": "it needs the program ipfs, whose RPC the tests of the stores use instead",
}
SHELL = [block for page in PAGES for block in blocks(page) if block.language == "sh"]
RUN = [block for block in SHELL if not block.reason]

SEED = 20_261_130
"""Of this module alone: its accounts must be new on a node that other tests share."""


@pytest.fixture(scope="module")
def finished(anvil_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FinishedRun]:
    """An honest job of three rounds on Anvil."""
    config = tiny_config(seed=SEED, rounds=3)
    root = tmp_path_factory.mktemp("finished") / "run"
    with rehearsal(root, config, connect=partial(Node.connect, anvil_url)) as job:
        rounds = run_rounds(job.opened, quiet)
        record, keys = finish_job(job.opened), job.opened.owner.keys()
        write_grants(job.folder.auditor, keys, new_recipient(job.folder.auditor / "identity.txt"))
        write_record(job.folder.record, record)
        job.folder.finish()
        yield FinishedRun(job, rounds, record, keys)


@pytest.fixture(scope="module")
def disputed(anvil_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rehearsal]:
    """Three committed rounds on Anvil, of which the last is in review; seat 1 cheats in it."""
    config = tiny_config(seed=SEED + 1, rounds=3, steps=40, interval=10)
    root = tmp_path_factory.mktemp("disputed") / "run"
    with rehearsal(root, config, seating({1: CheatsInTheLastRound}), partial(Node.connect, anvil_url)) as job:
        last: Any = ()
        committed = []
        for round_ in range(3):
            last = job.train_and_commit(round_, last, vouched=True)
            committed.append(last)
            job.opened.owner.receive_keys(last)
            if round_ < 2:
                job.opened.owner.accept(round_, last[-1].head)
        write_record(job.folder.record, job.record())
        job.folder.finish()
        keys = keys_of(job, *committed)
        write_grants(job.folder.auditor, keys, new_recipient(job.folder.auditor / "identity.txt"))
        yield job


class CheatsInTheLastRound(cheats.ReusesLastCheckpoint):
    """Is honest in the first two rounds."""

    def start_round(self, previous: Any) -> Any:
        honest = previous is None or previous.round < 1
        return super(cheats.WorkerCheat, self).start_round(previous) if honest else super().start_round(previous)


@pytest.fixture
def reviewed(anvil_url: str, tmp_path: Path) -> Iterator[Rehearsal]:
    """An honest round in review on Anvil."""
    config = tiny_config(seed=SEED + 2, rounds=1)
    with rehearsal(tmp_path / FOLDER, config, connect=partial(Node.connect, anvil_url)) as job, undone(job.opened.node):
        job.opened.owner.receive_keys(job.train_and_commit(vouched=True))
        yield job


@pytest.fixture
def ipfs(ipfs_node_pairs: Callable[[str], tuple[IpfsNode, IpfsNode]]) -> IpfsNode:
    return ipfs_node_pairs("js-ipfs")[0]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory; passwords come from a file, and nobody is asked anything."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "password").write_text(PASSWORD + "\n")
    monkeypatch.setenv("CLICOOPER_PASSWORD_FILE", str(tmp_path / "password"))
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    return tmp_path


def numbered(block: Block) -> str:
    """Its name; the blocks under one heading are counted."""
    alike = [one for one in RUN if one.name == block.name]
    return block.name if len(alike) == 1 else f"{block.name} {alike.index(block) + 1}"


@pytest.mark.parametrize("block", RUN, ids=numbered)
def test_block_runs(block: Block, request: pytest.FixtureRequest) -> None:
    with SCENES.get(numbered(block), beside_a_run)(request) as scene:
        for line in (*scene.before, *block.commands):
            scene.run(line)


def test_every_scene_has_its_block() -> None:
    assert set(SCENES) <= {numbered(block) for block in RUN}


def test_blocks_that_do_not_run_have_a_known_reason() -> None:
    assert {block.reason for block in SHELL if block.reason} == set(REASONS)
    for block in SHELL:
        programs = {shlex.split(line)[0] for line in block.commands}
        if block.reason == "gate":
            assert programs == {"make"}, block.name
        if block.reason in {"ipfs", "install"}:
            assert programs == {"ipfs" if block.reason == "ipfs" else "pip"}, block.name


LONG = [line for block in SHELL if block.reason == "long" for line in block.commands if line.startswith("clicooper")]


@pytest.mark.parametrize("line", LONG)
def test_commands_that_take_long_exist_with_their_options(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = shlex.split(line)[1:]
    assert main([*words[:2], "--help"]) == 0
    known = capsys.readouterr().out
    assert {word for word in words if word.startswith("--") and word not in known} == set()


def test_commands_stand_in_blocks_that_say_that_they_are_shell() -> None:
    starts = ("clicooper ", ".venv/bin/clicooper ", "make ", "ipfs ")
    unsaid = [
        block.name
        for page in PAGES
        for block in blocks(page)
        if block.language != "sh" and any(line.startswith(starts) for line in block.text.splitlines())
    ]
    assert unsaid == []
    assert (ROOT / ".ci" / "run").exists()
