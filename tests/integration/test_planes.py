"""The same job gives the same bytes whatever carries its control plane and its artifacts."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from clicooper.access.grants import AuditKeys
from clicooper.audit.auditor import audit_record
from clicooper.audit.verdict import exit_code
from clicooper.chain.record import JobRecord
from clicooper.chain.rpc.node import Node
from clicooper.config import JobConfig
from clicooper.protocol.job import JobParties, finish_job, open_job, run_rounds
from clicooper.storage.ipld.cid import cid_text
from clicooper.storage.local import LocalStore
from clicooper.storage.run_folder import RunFolder
from tests.scenario import grants_in, quiet, tiny_config
from tests.simulators import MemoryStore

SEED = 20_260_101
"""Of this module alone: on a node that other tests share, its accounts must be new."""


@dataclass(frozen=True)
class Plane:
    """One run of the job, and what carried it."""

    store: LocalStore | MemoryStore
    record: JobRecord
    keys: AuditKeys
    contract: str
    manifests: tuple[str, ...]
    heads: tuple[bytes, ...]


def run_job(folder: Path, node: Node, store: LocalStore | MemoryStore) -> Plane:
    config: JobConfig = tiny_config(seed=SEED, samples=1)
    parties = JobParties.drawn(config)
    opened = open_job(config, parties, node, store, RunFolder.create(folder))
    commitments = [commitment for settled in run_rounds(opened, quiet) for commitment in settled.commitments]
    return Plane(
        store=store,
        record=finish_job(opened),
        keys=opened.owner.keys(),
        contract=opened.contract,
        manifests=tuple(cid_text(commitment.manifest.cid) for commitment in commitments),
        heads=(opened.genesis, *(commitment.head for commitment in commitments)),
    )


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Plane:
    """The EVM in this process, and blocks in a folder."""
    folder = tmp_path_factory.mktemp("embedded")
    with Node.embedded() as node:
        return run_job(folder / "run", node, LocalStore(folder / "store"))


@pytest.fixture(scope="module", params=["anvil", "memory"])
def other(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Plane:
    """A node of another kind with blocks in a folder, or the same kind with blocks in memory."""
    folder = tmp_path_factory.mktemp("other")
    if request.param == "memory":
        with Node.embedded() as node:
            return run_job(folder / "run", node, MemoryStore())
    with Node.connect(request.getfixturevalue("anvil_url")) as node:
        return run_job(folder / "run", node, LocalStore(folder / "store"))


def test_same_contract_manifests_and_heads(embedded: Plane, other: Plane) -> None:
    assert len(embedded.manifests) == len(set(embedded.manifests)) == 4
    assert other.contract == embedded.contract
    assert other.manifests == embedded.manifests
    assert other.heads == embedded.heads


def artifacts(plane: Plane) -> set[str]:
    """Every block but the grants, which are encrypted with fresh randomness."""
    return {cid_text(cid) for cid in plane.store.cids()} - {cid_text(cid) for cid in grants_in(plane.store)}


def test_same_artifacts(embedded: Plane, other: Plane) -> None:
    assert artifacts(other) == artifacts(embedded)


def test_record_of_one_is_borne_out_by_the_artifacts_of_the_other(embedded: Plane, other: Plane) -> None:
    for mine, theirs in ((embedded, other), (other, embedded)):
        for cid in grants_in(mine.store):
            theirs.store.put_block(mine.store.get_block(cid))
        report = audit_record(mine.record, theirs.store, other.keys)
        assert exit_code(report.verdict) == 0, [row for row in report.results if row.verdict.value != "pass"]
