"""Honest jobs, whole and broken off: nothing is held against anybody, and what repeats is repeated to the bit."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from multiformats import CID

from clicooper.access.grants import AuditKeys
from clicooper.access.vault import Vault
from clicooper.audit.auditor import audit_record
from clicooper.audit.checks.record import check_on_chain, compare_report, is_open_end
from clicooper.audit.verdict import AuditReport, Check
from clicooper.chain.events import JobAborted, JobCancelled, RoundAcceptedByTimeout, SeatJoined, SeatVacated
from clicooper.chain.record import JobRecord
from clicooper.commitments.manifest import KeyRecord, SegmentManifest
from clicooper.history.follow import History, follow_record
from clicooper.protocol.job import run_rounds
from clicooper.storage.ipld.cid import cid_text
from clicooper.types import AbortReason, Address, JobId, Phase, Verdict
from tests.scenario import (
    FinishedRun,
    Rehearsal,
    audit_command,
    failures,
    finished_run,
    grants_of,
    keys_of,
    quiet,
    rehearsal,
    rows,
    tiny_config,
)


def verdicts(report: AuditReport, verdict: Verdict) -> set[Check]:
    return {row.check for row in report.results if row.verdict is verdict}


# --- whole jobs ---


def test_honest_run_passes_every_check_of_the_protocol(run_dir: Path) -> None:
    code, printed = audit_command(run_dir)
    assert (code, printed["verdict"]) == (0, "pass")
    assert {row["check"] for row in printed["checks"]} == {check.value for check in Check}
    assert {row["verdict"] for row in printed["checks"]} == {"pass"}
    assert printed["record"]["commitments"] == 4
    assert printed["replayed"] == {"intervals": 4, "steps": 8, "share": 1.0}


def test_every_commitment_has_a_row_of_its_own(honest_run: FinishedRun) -> None:
    report = audit_record(honest_run.record, honest_run.rehearsal.store, honest_run.keys)
    places = {(round_, seat) for round_ in range(2) for seat in range(2)}
    own = (Check.MANIFEST, Check.LINKS, Check.ARTIFACTS, Check.STATE, Check.MARK, Check.EMBED)
    for check in (*own, Check.REPLAY, Check.PROGRESS):
        assert {(row.round, row.seat) for row in report.results if row.check is check} >= places, check


def test_owners_sample_passed_in_each_round(honest_run: FinishedRun) -> None:
    for settled in honest_run.rounds:
        assert {row.verdict for row in settled.checks} == {Verdict.PASS}
        assert settled.replayed_intervals == 2
        assert "held-out records" in {row.subject for row in settled.checks if row.check is Check.PROGRESS}


def test_owner_samples_fewer_intervals_than_there_are(tmp_path: Path) -> None:
    with rehearsal(tmp_path, tiny_config(rounds=1, steps=6, interval=1, samples=1)) as job:
        (settled,) = run_rounds(job.opened, quiet)
        report = job.audit()
    assert 1 <= settled.replayed_intervals <= 2, "one draw a seat"
    assert (report.replayed.intervals, report.verdict) == (6, Verdict.PASS)


def test_last_interval_may_be_shorter(tmp_path: Path) -> None:
    with rehearsal(tmp_path, tiny_config(rounds=1, steps=5, interval=2)) as job:
        run_rounds(job.opened, quiet)
        report = job.audit()
    assert (report.verdict, report.replayed.intervals, report.replayed.steps) == (Verdict.PASS, 3, 5)


def test_audit_without_identity_says_what_it_could_not_check(honest_run: FinishedRun, run_dir: Path) -> None:
    shutil.rmtree(run_dir / "auditor")
    shutil.rmtree(run_dir / "owner")
    code, printed = audit_command(run_dir)
    assert (code, printed["verdict"]) == (4, "inconclusive")
    unproven = [row for row in printed["checks"] if row["verdict"] == "inconclusive"]
    sealed = {"artifacts", "state", "coverage", "boundary", "labels", "mark", "embed", "replay", "progress"}
    assert {row["check"] for row in unproven} == sealed
    assert all("was not granted" in row["detail"] for row in unproven)
    assert "fail" not in {row["verdict"] for row in printed["checks"]}
    public = {"record", "terms", "manifest", "links", "artifacts", "release", "payment"}
    assert public == {row["check"] for row in printed["checks"] if row["verdict"] == "pass"}
    available = [row for row in rows(printed, "pass") if "sealed files are there and intact" in row["detail"]]
    assert {(row["round"], row["seat"]) for row in available} == {(0, 0), (0, 1), (1, 0), (1, 1)}


def test_identity_may_lie_anywhere(run_dir: Path, tmp_path: Path) -> None:
    shutil.move(run_dir / "auditor", tmp_path / "keys")
    assert audit_command(run_dir, "--identity", str(tmp_path / "keys" / "identity.txt"))[0] == 0


def test_audit_needs_no_secret_of_owner_or_trainers(run_dir: Path) -> None:
    for name in ("owner", "trainers", "report.json", "report.html"):
        path = run_dir / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    assert audit_command(run_dir)[0] == 0


# --- repetition ---


def identity_of(run: FinishedRun) -> tuple[object, ...]:
    """Everything of a run that repeats: grants are random, and key records name them, but no head depends on either."""
    commitments = [commitment for settled in run.rounds for commitment in settled.commitments]
    heads = [(commitment.manifest.cid, commitment.head) for commitment in commitments]
    entries = [None if isinstance(entry.event, SeatJoined) else entry.event for entry in run.record.events]
    history = follow_record(run.record)
    return heads, history.genesis, history.params, entries, run.keys, sorted(artifacts(run))


def artifacts(run: FinishedRun) -> set[str]:
    """The names of all blocks but grants."""
    return {cid_text(cid) for cid in run.rehearsal.store.cids()} - {cid_text(cid) for cid in grants_of(run)}


def test_same_seed_gives_the_same_manifests_heads_deeds_and_artifacts(honest_run: FinishedRun, tmp_path: Path) -> None:
    again = finished_run(tmp_path / "again")
    assert identity_of(again) == identity_of(honest_run)
    assert len(grants_of(again)) == len(grants_of(honest_run)) == 4
    assert set(grants_of(again)).isdisjoint(grants_of(honest_run))


def test_another_seed_gives_other_manifests_and_heads(honest_run: FinishedRun, other_run: FinishedRun) -> None:
    for ours, theirs in zip(honest_run.rounds, other_run.rounds, strict=True):
        assert ours.head != theirs.head
        assert {m.cid for m in ours.manifests}.isdisjoint(m.cid for m in theirs.manifests)
        assert handed_in(ours.manifests).isdisjoint(handed_in(theirs.manifests))


def handed_in(manifests: Sequence[SegmentManifest]) -> set[CID]:
    """What a round's seats made; the initial weights are fixed by the specification's public seed alone."""
    return {file.ciphertext for m in manifests for file in (m.trained, m.out, m.optimizer, m.transcript.leaves)}


def test_seeded_run_says_insecure(honest_run: FinishedRun) -> None:
    prepared = honest_run.rehearsal.opened.owner.prepared
    assert not prepared.spec.release.secure
    assert "INSECURE" in prepared.release.statement.text()


def test_unseeded_runs_say_secure_and_share_nothing_secret(tmp_path: Path) -> None:
    runs = [finished_run(tmp_path / name, tiny_config(seed=None, rounds=1)) for name in ("one", "two")]
    for run in runs:
        prepared = run.rehearsal.opened.owner.prepared
        assert prepared.spec.release.secure
        assert "INSECURE" not in prepared.release.statement.text()
        assert audit_command(run.root)[0] == 0
    one, two = runs
    assert one.record.contract != two.record.contract
    assert one.rounds[0].head != two.rounds[0].head


# --- broken off ---


def conclude(job: Rehearsal, number: JobId | None = None) -> tuple[JobRecord, History]:
    """Everybody withdraws; the state machine owes to everyone what the contract did, before and after."""
    number = job.opened.job if number is None else number
    contract = job.contract()
    accounts = [Address(account.address) for account in job.parties.accounts]
    history = follow_record(job.record(number))
    owed = {account: contract.owed_to(number, account) for account in accounts}
    assert owed == {account: history.settlement.owed(account) for account in accounts}
    for seat in (None, *range(len(job.parties.trainers))):
        party = job.contract(seat)
        assert party.account is not None
        if owed[Address(party.account.address)]:
            party.withdraw(number)
    record = job.record(number)
    assert all(follow_record(record).settlement.owed(account) == 0 for account in accounts)
    return record, follow_record(record)


def resolve(job: Rehearsal, number: JobId | None = None) -> None:
    """Somebody takes the exit of the current phase, one second after its deadline."""
    number = job.opened.job if number is None else number
    state = job.contract().job(number)
    job.opened.node.advance_time(state.deadline + 1 - job.opened.node.block().timestamp)
    job.contract(0).resolve_timeout(number)


def happened(record: JobRecord, kind: type) -> bool:
    return any(isinstance(logged.event, kind) for logged in record.events)


def test_owner_silent_in_review_pays_all_the_same(tmp_path: Path) -> None:
    with rehearsal(tmp_path) as job:
        key = job.opened.owner.label_key
        first = job.train_and_commit(0)
        resolve(job)
        job.contract().release_labels(job.opened.job, key(1))
        second = job.train_and_commit(1, first)
        resolve(job)
        job.contract().release_labels(job.opened.job, key(2))
        record, history = conclude(job)
        report = audit_record(record, job.store, keys_of(job, first, second))
    assert happened(record, RoundAcceptedByTimeout)
    assert (history.phase, history.accepted_rounds) == (Phase.DONE, 2)
    assert all(round_.by_timeout for round_ in history.rounds)
    assert report.verdict is Verdict.PASS


def test_owner_silent_after_an_optimistic_round_loses_its_bond(tmp_path: Path) -> None:
    with rehearsal(tmp_path) as job:
        committed = job.train_and_commit(0)
        resolve(job)
        resolve(job)
        record, history = conclude(job)
        report = audit_record(record, job.store, keys_of(job, committed))
    paid = {withdrawal.account: withdrawal.amount_wei for withdrawal in history.withdrawals}
    params = history.params
    share = params.owner_bond_wei // params.seats
    assert {paid[seat.trainer] for seat in history.seats} == {params.pay_wei + params.stake_wei + share}
    assert paid[history.owner] == params.pay_wei * params.seats
    assert (history.phase, report.verdict) == (Phase.ABORTED, Verdict.PASS)


@pytest.mark.parametrize("committed_seats", [0, 1])
def test_silent_trainer_leaves_an_aborted_job_without_accusation(committed_seats: int, tmp_path: Path) -> None:
    with rehearsal(tmp_path) as job:
        committed = job.train_and_commit(0, seats=committed_seats)
        resolve(job)
        resolve(job)
        record, history = conclude(job)
        report = audit_record(record, job.store, keys_of(job, committed))
    assert happened(record, SeatVacated)
    assert record.events[-1 - len(history.withdrawals)].event == JobAborted(job.opened.job, AbortReason.SEAT_UNFILLED)
    assert not failures(report.results)
    if committed_seats:
        # One seat's work cannot be done again without its neighbour's: not checked is not passed.
        (row,) = [row for row in report.results if row.verdict is Verdict.INCONCLUSIVE]
        assert (row.check, row.detail) == (
            Check.REPLAY,
            "1 of 2 seats have committed: the work cannot be done again",
        )
    else:
        assert report.verdict is Verdict.PASS


def test_owner_gives_up_on_a_vacant_seat(tmp_path: Path) -> None:
    with rehearsal(tmp_path) as job:
        resolve(job)
        job.contract().abort(job.opened.job)
        record, history = conclude(job)
        report = audit_record(record, job.store, keys_of(job))
    assert happened(record, JobAborted)
    assert (history.phase, report.verdict) == (Phase.ABORTED, Verdict.PASS)


def joined(job: Rehearsal, seats: int) -> JobId:
    """A second job on the same terms, with its first seats filled."""
    params = job.opened.owner.params
    number, _ = job.contract().create_job(params)
    for seat, account in enumerate(job.parties.trainers[:seats]):
        contract = job.contract(seat)
        genesis = contract.genesis_of(number)
        vault = Vault(job.store, Address(account.address), job.parties.trainer_secrets[seat], genesis)
        keys = KeyRecord(
            transport=bytes(33),
            sealing=job.parties.trainer_secrets[seat].recipient,
            grant=vault.grant_to(job.opened.owner.prepared.spec.owner_key),
            secret_digest=vault.secret_digest,
            endpoint="nowhere",
        )
        contract.join(number, genesis, seat, keys.to_block(), params.stake_wei)
    return number


CANCELLATIONS: dict[str, tuple[int, Callable[[Rehearsal, JobId], object]]] = {
    "before anybody joined": (0, lambda job, number: job.contract().cancel(number)),
    "with a seat open": (1, lambda job, number: job.contract().cancel(number)),
    "before the first labels": (2, lambda job, number: job.contract().cancel(number)),
    "seats never filled": (1, resolve),
}


@pytest.mark.parametrize("when", CANCELLATIONS)
def test_cancelled_job_audits_clean(when: str, tmp_path: Path) -> None:
    seats, cancel = CANCELLATIONS[when]
    with rehearsal(tmp_path) as job:
        number = joined(job, seats)
        cancel(job, number)
        record, history = conclude(job, number)
        report = audit_record(record, job.store, AuditKeys())
    assert happened(record, JobCancelled)
    assert (history.phase, report.verdict) == (Phase.CANCELLED, Verdict.PASS)
    assert {Check.RECORD, Check.TERMS, Check.RELEASE, Check.ARTIFACTS, Check.PAYMENT} == verdicts(report, Verdict.PASS)


def test_owner_silent_before_the_first_labels(tmp_path: Path) -> None:
    with rehearsal(tmp_path) as job:
        number = joined(job, 2)
        resolve(job, number)
        record, history = conclude(job, number)
        report = audit_record(record, job.store, AuditKeys())
    assert record.events[3].event == JobAborted(number, AbortReason.OWNER_SILENT)
    assert (history.phase, report.verdict) == (Phase.ABORTED, Verdict.PASS)


@pytest.mark.parametrize("seats", [0, 1, 2])
def test_job_in_progress_is_judged_as_far_as_it_goes_once_a_node_shows_that_nothing_follows(
    seats: int, tmp_path: Path
) -> None:
    with rehearsal(tmp_path) as job:
        committed = job.train_and_commit(0, seats=seats)
        record = job.record()
        alone = audit_record(record, job.store, keys_of(job, committed))
        report = compare_report(alone, *check_on_chain(record, job.opened.index, job.contract()))
        cut = replace(record, events=record.events[:2], blocks=(record.blocks[0], record.events[1].block_number))
        beginning = compare_report(
            audit_record(cut, job.store, AuditKeys()), *check_on_chain(cut, job.opened.index, job.contract())
        )
    assert not failures(alone.results)
    assert (alone.commitments, alone.verdict) == (seats, Verdict.INCONCLUSIVE)
    assert [row.detail for row in alone.results if is_open_end(row)] == [
        f"the job goes on after event {4 + seats}, in phase {'REVIEW' if seats == 2 else 'COMMIT'}"
    ]
    assert not any(is_open_end(row) for row in report.results)
    assert report.verdict is (Verdict.INCONCLUSIVE if seats == 1 else Verdict.PASS)
    assert beginning.verdict is Verdict.INCONCLUSIVE
    assert any(is_open_end(row) for row in beginning.results)
