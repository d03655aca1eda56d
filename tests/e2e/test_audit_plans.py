"""How an audit goes about it: drawn or full, here, in processes or on a cluster.

Whoever replays, the rows are the same; what is sampled is told; what nobody published is replayed from the interval
before.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clicooper.access.grants import AuditKeys
from clicooper.audit.artifacts import Artifacts
from clicooper.audit.auditor import Plan, audit_record
from clicooper.audit.replay.cluster import Cluster
from clicooper.audit.replay.executors import Processes
from clicooper.audit.replay.intervals import PIECES, plan_runs, replay_run
from clicooper.audit.replay.sampling import Sample, sample_block
from clicooper.audit.rounds import check_round
from clicooper.audit.verdict import AuditReport, Check
from clicooper.chain.record import JobRecord
from clicooper.commitments.manifest import SegmentManifest
from clicooper.history.follow import follow_record
from clicooper.learning.training import SeatWorker
from clicooper.protocol.trainer import Trainer
from clicooper.storage.ipld.cid import cid_text
from clicooper.storage.local import LocalStore
from clicooper.types import Digest, Verdict
from tests.e2e.audit_runs import INTERVALS, SECRET, audit, without_states
from tests.scenario import FinishedRun, audit_command, finished_run, keys_of, rehearsal, rows, seating, tiny_config
from tests.simulators import MemoryStore


@pytest.fixture(scope="module")
def long_run(tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    """One round of twelve intervals of one step."""
    return finished_run(tmp_path_factory.mktemp("long") / "run", tiny_config(rounds=1, steps=INTERVALS, interval=1))


@pytest.fixture
def copied(long_run: FinishedRun, tmp_path: Path) -> Path:
    return Path(shutil.copytree(long_run.root, tmp_path / "run"))


class SkipsThirdStep(Trainer):
    """Claims all steps and leaves one out."""

    def start_round(self, previous: SegmentManifest | None) -> SeatWorker:
        worker = super().start_round(previous)
        honest = worker.apply_step

        def apply_step() -> None:
            if worker.step != 2:
                honest()

        worker.apply_step = apply_step  # type: ignore[method-assign]
        return worker


@pytest.fixture(scope="module")
def cheated(tmp_path_factory: pytest.TempPathFactory) -> tuple[JobRecord, LocalStore, AuditKeys]:
    """A round of six intervals, in which seat 1 left out the third step."""
    config = tiny_config(rounds=1, steps=6, interval=1)
    with rehearsal(tmp_path_factory.mktemp("cheated") / "run", config, seating({1: SkipsThirdStep})) as job:
        committed = job.train_and_commit()
        return job.record(), job.store, keys_of(job, committed)


def same(report: AuditReport, other: AuditReport) -> bool:
    return (report.results, report.replayed, report.sampled, report.timeline) == (
        other.results,
        other.replayed,
        other.sampled,
        other.timeline,
    )


# --- who replays ---


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    """Two Dask workers, each a process of its own."""
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=50
    ) as cluster:
        yield cluster.scheduler_address


@pytest.fixture(scope="module")
def processes() -> Iterator[Processes]:
    with Processes(2) as executor:
        yield executor


def test_processes_give_the_rows_of_a_single_one(long_run: FinishedRun, processes: Processes) -> None:
    report = audit(long_run, Plan(executor=processes))
    assert report.verdict is Verdict.PASS
    assert same(report, audit(long_run, Plan()))


def test_cluster_gives_the_rows_of_a_single_process(long_run: FinishedRun, scheduler: str) -> None:
    with Cluster(scheduler) as executor:
        report = audit(long_run, Plan(executor=executor))
    assert report.verdict is Verdict.PASS
    assert same(report, audit(long_run, Plan()))


class StaysHere(LocalStore):
    """A store that only this process has."""

    def __reduce__(self) -> Any:
        raise TypeError("cannot be opened elsewhere")


def test_cluster_without_the_store_is_sent_the_intervals(long_run: FinishedRun, scheduler: str) -> None:
    with Cluster(scheduler) as executor:
        report = audit(long_run, Plan(executor=executor), StaysHere(long_run.rehearsal.store.root))
    assert same(report, audit(long_run, Plan()))


def test_cheat_is_found_by_whoever_replays(
    cheated: tuple[JobRecord, LocalStore, AuditKeys], processes: Processes
) -> None:
    record, store, keys = cheated
    here = audit_record(record, store, keys)
    report = audit_record(record, store, keys, plan=Plan(executor=processes))
    assert (Check.REPLAY, 1) in {(row.check, row.seat) for row in here.results if row.verdict is Verdict.FAIL}
    assert same(report, here)


def test_absent_cluster_is_a_network_error(run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clicooper.audit.replay.cluster.WAIT_FOR_WORKERS_S", 0.2)
    code, printed = audit_command(run_dir, "--cluster", "tcp://127.0.0.1:1")
    assert (code, printed["error"]["type"]) == (3, "WorkersLost")
    assert "dask-scheduler" in printed["error"]["hint"]


# --- what is replayed ---


def later_hash(run: FinishedRun) -> dict[int, Digest]:
    """The hash that the chain has for the block of the draw, which the record of a development chain lacks."""
    number = sample_block(follow_record(run.record), 0)
    assert number is not None
    return {number: Digest(b"\x09" * 32)}


def test_sample_from_the_chain_is_replayed_and_told(long_run: FinishedRun) -> None:
    report = audit(long_run, Plan(Sample(2, later_hash(long_run))))
    assert report.verdict is Verdict.PASS
    assert report.sampled is not None
    ((round_, draw),) = report.sampled.draws
    assert (round_, set(draw.seeds)) == (0, {"chain"})
    assert 2 <= len(draw.intervals) == report.replayed.intervals == report.sampled.least <= 4
    assert dict(report.sampled.escapes())[0.05] == pytest.approx(0.95 ** len(draw.intervals))
    details = {row.check: row.detail for row in report.results}
    assert f"{len(draw.intervals)} batches of 32, of {INTERVALS} as scheduled" == details[Check.COVERAGE]
    assert "final_loss" not in details[Check.PROGRESS].split(" confirmed")[0] or INTERVALS - 1 in draw.intervals


def test_secret_draw_adds_to_the_chains_and_repeats(long_run: FinishedRun) -> None:
    blocks = later_hash(long_run)
    chain, both, again, secret = (
        audit(long_run, Plan(sample)).sampled
        for sample in (Sample(2, blocks), Sample(2, blocks, SECRET), Sample(2, blocks, SECRET), Sample(2, {}, SECRET))
    )
    assert chain is not None
    assert both is not None
    assert secret is not None
    drawn = [set(one.draws[0][1].intervals) for one in (chain, secret, both)]
    assert drawn[0] | drawn[1] == drawn[2]
    assert both == again
    assert secret.draws[0][1].missing


def test_sample_without_the_later_block_is_inconclusive(copied: Path) -> None:
    code, printed = audit_command(copied, "--sample", "2")
    assert (code, printed["replayed"]["intervals"]) == (4, 0)
    (row,) = rows(printed, "inconclusive")
    assert row["check"] == "replay"
    assert "--secret-draw" in row["detail"]
    assert printed["sample"]["escape"] == [{"share": share, "probability": 1.0} for share in (0.01, 0.05, 0.2)]


def test_command_repeats_a_secret_draw(copied: Path) -> None:
    code, printed = audit_command(copied, "--sample", "2", "--secret-draw", "new")
    seed = printed["sample"]["secret_draw"]
    assert (code, len(seed)) == (0, 66)
    again = audit_command(copied, "--sample", "2", "--secret-draw", seed, "--jobs", "1")[1]
    assert again["sample"] == printed["sample"]
    assert again["checks"] == printed["checks"]


@pytest.mark.parametrize(
    "options",
    [
        ["--sample", "2", "--full"],
        ["--secret-draw", "new"],
        ["--sample", "2", "--secret-draw", "0x12"],
        ["--jobs", "2", "--cluster", "tcp://127.0.0.1:1"],
    ],
)
def test_options_that_make_no_sense_together_are_refused(options: list[str], run_dir: Path) -> None:
    code, printed = audit_command(run_dir, *options)
    assert (code, printed["error"]["type"]) == (2, "UsageError")
    assert printed["error"]["hint"]


def test_cheat_outside_the_sample_escapes_and_inside_is_caught(
    cheated: tuple[JobRecord, LocalStore, AuditKeys],
) -> None:
    """The sample is what decides, which is why a pass names it."""
    record, store, keys = cheated
    artifacts = Artifacts(follow_record(record), store, keys)
    for interval in range(6):
        rows, _ = check_round(artifacts, 0, [interval])
        verdicts = {row.verdict for row in rows if row.check is Check.REPLAY and row.seat == 1}
        assert verdicts == {Verdict.FAIL if interval == 2 else Verdict.PASS}


def test_intervals_in_a_row_are_judged_as_each_of_them_alone(tmp_path: Path) -> None:
    """Long rounds are replayed in stretches; a difference in the middle of one condemns no other interval."""
    config = tiny_config(rounds=1, steps=3 * PIECES, interval=1)
    with rehearsal(tmp_path / "run", config, seating({1: SkipsThirdStep})) as job:
        committed = job.train_and_commit()
        artifacts = Artifacts(follow_record(job.record()), job.store, keys_of(job, committed))
    runs = list(plan_runs(artifacts, 0, range(8)))
    assert runs == [(0, 1, 2), (3, 4, 5), (6, 7)]
    for run in [*runs, (1, 2, 3, 4)]:
        together = list(replay_run(artifacts, 0, run))
        alone = [result for interval in run for result in replay_run(artifacts, 0, [interval])]
        assert [one.to_json() for one in together] == [one.to_json() for one in alone]
        assert [one.interval for one in together if one.difference] == [2] * (2 in run)


# --- states that nobody published ---


def replay_row(report: AuditReport, seat: int = 0) -> Any:
    (row,) = [row for row in report.results if row.check is Check.REPLAY and row.seat == seat]
    return row


def test_unpublished_states_are_replayed_from_the_interval_before(long_run: FinishedRun, processes: Processes) -> None:
    store = without_states(long_run, 1, 2, 3, 7)
    report = audit(long_run, Plan(executor=processes), store)
    assert replay_row(report).verdict is replay_row(report, 1).verdict is Verdict.PASS
    assert "3 of them from the replayed end of the interval before" in replay_row(report).detail
    assert report.replayed.intervals == INTERVALS
    assert same(report, audit(long_run, Plan(), store))


def test_isolated_unpublished_state_is_inconclusive(long_run: FinishedRun) -> None:
    history = follow_record(long_run.record)
    secrets = (Digest(bytes([number]) * 32) for number in range(256))
    sample = next(
        one
        for one in (Sample(1, {}, secret) for secret in secrets)
        if (drawn := one.draw(history, 0, INTERVALS).intervals)[-1] - 1 not in drawn and drawn[-1]
    )
    last = sample.draw(history, 0, INTERVALS).intervals[-1]
    report = audit(long_run, Plan(sample), without_states(long_run, 1, last - 1))
    assert {replay_row(report, seat).verdict for seat in (0, 1)} == {Verdict.INCONCLUSIVE}
    assert f"interval {last}" in replay_row(report).detail


def test_nothing_goes_on_from_a_state_that_replay_did_not_confirm(
    cheated: tuple[JobRecord, LocalStore, AuditKeys],
) -> None:
    record, store, keys = cheated
    artifacts = Artifacts(follow_record(record), store, keys)
    missing = cid_text(artifacts.start_state(0, 0, 3).weights.ciphertext)
    partial = MemoryStore()
    partial.blocks = {cid: store.get_block(cid) for cid in store.cids() if cid_text(cid) != missing}
    report = audit_record(record, partial, keys)
    assert replay_row(report, 1).verdict is Verdict.FAIL
    assert replay_row(report, 0).verdict is Verdict.INCONCLUSIVE
    assert report.replayed.intervals == 5


# --- the tree ---


def test_tree_counts_every_row_once(run_dir: Path) -> None:
    printed = audit_command(run_dir)[1]
    tree = printed["tree"]
    assert (tree["level"], tree["verdict"]) == ("job", "pass")
    assert tree["pass"] == len(printed["checks"]) == sum(leaf["pass"] for leaf in leaves(tree))
    rounds = [branch for branch in tree["branches"] if branch["level"] == "round"]
    assert [branch["name"] for branch in rounds] == ["round 0", "round 1"]
    seats = [branch["name"] for branch in rounds[0]["branches"] if branch["level"] == "seat"]
    assert seats == ["seat 0", "seat 1"]
    assert {leaf["level"] for leaf in leaves(tree)} == {"check"}


def leaves(branch: dict[str, Any]) -> list[dict[str, Any]]:
    return [leaf for part in branch["branches"] for leaf in leaves(part)] or [branch]
