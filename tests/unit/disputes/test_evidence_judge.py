"""Judging evidence: honest work is cleared by every claim, and whatever a forger changes ends in "cannot tell"."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace

import pytest
from multiformats import CID

from clicooper.access.grants import AuditKeys
from clicooper.audit.artifacts import Artifacts
from clicooper.audit.verdict import Check
from clicooper.commitments.canonical import cid_of_digest
from clicooper.disputes.collect import make_evidence
from clicooper.disputes.evidence import HeadProof, SeatRows
from clicooper.disputes.evidence_file import OpenedEvidence
from clicooper.disputes.head_proof import history_of
from clicooper.disputes.judge import judge_evidence
from clicooper.disputes.opinion import Answer, Fault, Judged, conclude
from clicooper.disputes.subject import Subject
from clicooper.errors import EvidenceUnusable, SealError, UsageError
from clicooper.history.follow import follow_record
from clicooper.learning.checkpoint import decode_state, state_bytes
from clicooper.storage.base import get_bytes
from clicooper.storage.ipld.cid import build_file
from clicooper.types import ACCUSED_OWNER
from tests.evidence_files import CHALLENGER, CLAIMS, blocks_of, opened_evidence, rebuilt
from tests.scenario import FinishedRun

REPLAY = CLAIMS["last interval"]


@pytest.fixture(scope="module")
def replay(honest_run: FinishedRun) -> OpenedEvidence:
    return opened_evidence(honest_run, REPLAY)


@pytest.mark.parametrize("name", CLAIMS)
def test_honest_work_is_not_guilty(name: str, honest_run: FinishedRun) -> None:
    opinion = judge_evidence(opened_evidence(honest_run, CLAIMS[name]))
    assert (opinion.answer, opinion.fault) == (Answer.NOT_GUILTY, None), opinion.detail


def test_a_replay_reports_its_numbers(replay: OpenedEvidence) -> None:
    judged = judge_evidence(replay).judged
    assert judged.steps == 2
    assert judged.distances == {0: 0.0, 1: 0.0}


def test_another_runtime_class_compares_end_states_in_float64(replay: OpenedEvidence) -> None:
    opinion = judge_evidence(replay, runtime="another machine")
    assert opinion.answer is Answer.NOT_GUILTY
    assert opinion.judged.tolerance == 1e-5
    assert all(0 < distance < 1e-6 for distance in opinion.judged.distances.values())


def test_another_runtime_class_cannot_tell_without_end_states(honest_run: FinishedRun) -> None:
    lean = opened_evidence(honest_run, CLAIMS["without end states"])
    opinion = judge_evidence(lean, runtime="another machine")
    assert opinion.answer is Answer.CANNOT_TELL
    assert "no states at the interval's end" in opinion.detail
    whole = opened_evidence(honest_run, replace(CLAIMS["without end states"], end_states=True))
    assert lean.size_bytes < 0.7 * whole.size_bytes


def test_a_release_that_was_left_out_is_read_where_it_is_public(honest_run: FinishedRun) -> None:
    lean = opened_evidence(honest_run, replace(REPLAY, release=False))
    assert judge_evidence(lean).answer is Answer.CANNOT_TELL
    assert judge_evidence(lean, store=honest_run.rehearsal.store).answer is Answer.NOT_GUILTY


def test_the_head_proof_is_that_of_the_chain(replay: OpenedEvidence, honest_run: FinishedRun) -> None:
    told, known = history_of(replay.evidence), follow_record(honest_run.record)
    assert (told.genesis, told.params, told.owner) == (known.genesis, known.params, known.owner)
    assert [c.head for c in told.commitments] == [c.head for c in known.commitments]
    assert [round_.label_key for round_ in told.rounds] == [round_.label_key for round_ in known.rounds]


def test_every_block_is_needed(replay: OpenedEvidence) -> None:
    """Without the states at the end the replay still decides; anything else that is missing leaves it open."""
    blocks = blocks_of(replay)
    for cid in blocks:
        lean = rebuilt(replay, None, {key: value for key, value in blocks.items() if key != cid})
        assert judge_evidence(lean).answer in {Answer.CANNOT_TELL, Answer.NOT_GUILTY}
        if cid.codec.name == "dag-cbor":
            assert judge_evidence(lean).answer is Answer.CANNOT_TELL


Forge = Callable[[OpenedEvidence], OpenedEvidence]


def _other_bytes(opened: OpenedEvidence) -> OpenedEvidence:
    """Another state under a promised digest."""
    blocks, file = blocks_of(opened), opened.evidence.files[0]
    state = decode_state(get_bytes(opened.blocks, file.content))
    name = next(iter(state))
    forged = dict(build_file(io.BytesIO(state_bytes(state | {name: state[name] + 1}))))
    files = (file.model_copy(update={"content": list(forged)[-1]}), *opened.evidence.files[1:])
    return rebuilt(opened, {"files": files}, blocks | forged)


def _swapped_files(opened: OpenedEvidence) -> OpenedEvidence:
    first, second, *rest = opened.evidence.files
    files = (
        first.model_copy(update={"content": second.content}),
        second.model_copy(update={"content": first.content}),
        *rest,
    )
    return rebuilt(opened, {"files": files})


def _with_rows(opened: OpenedEvidence, change: Callable[[SeatRows], SeatRows]) -> OpenedEvidence:
    blocks = blocks_of(opened)
    rows = change(SeatRows.from_block(opened.blocks.get_block(opened.evidence.rows[0])))
    return rebuilt(opened, {"rows": (rows.cid, *opened.evidence.rows[1:])}, blocks | {rows.cid: rows.to_block()})


def _other_digest(opened: OpenedEvidence) -> OpenedEvidence:
    return _with_rows(opened, lambda rows: rows.model_copy(update={"rows": b"\x01" + rows.rows[1:]}))


def _other_proof(opened: OpenedEvidence) -> OpenedEvidence:
    def change(rows: SeatRows) -> SeatRows:
        first = rows.proofs[0]
        return rows.model_copy(update={"proofs": (first[:-1] + bytes([first[-1] ^ 1]), *rows.proofs[1:])})

    return _with_rows(opened, change)


def _ragged_proof(opened: OpenedEvidence) -> OpenedEvidence:
    return _with_rows(opened, lambda rows: rows.model_copy(update={"proofs": (b"\x00", *rows.proofs[1:])}))


def _other_steps(opened: OpenedEvidence) -> OpenedEvidence:
    return _with_rows(opened, lambda rows: rows.model_copy(update={"first": 0}))


def _swapped_rows(opened: OpenedEvidence) -> OpenedEvidence:
    return rebuilt(opened, {"rows": tuple(reversed(opened.evidence.rows))})


def _other_manifest(opened: OpenedEvidence) -> OpenedEvidence:
    """The head proof of another job's commitments: its manifests are not there."""
    steps = list(opened.evidence.head_proof.steps)
    steps[-1] = steps[-1].model_copy(update={"manifest": b"\x05" * 32})
    return rebuilt(opened, {"head_proof": HeadProof(start=opened.evidence.head_proof.start, steps=tuple(steps))})


def _shorter_proof(opened: OpenedEvidence) -> OpenedEvidence:
    proof = opened.evidence.head_proof
    return rebuilt(opened, {"head_proof": HeadProof(start=proof.start, steps=proof.steps[:-1])})


def _unordered_proof(opened: OpenedEvidence) -> OpenedEvidence:
    proof = opened.evidence.head_proof
    return rebuilt(opened, {"head_proof": HeadProof(start=proof.start, steps=tuple(reversed(proof.steps)))})


FORGERIES: dict[str, Forge] = {
    "state": _other_bytes,
    "files": _swapped_files,
    "digest": _other_digest,
    "proof": _other_proof,
    "ragged proof": _ragged_proof,
    "steps": _other_steps,
    "rows": _swapped_rows,
    "manifest": _other_manifest,
    "shorter head proof": _shorter_proof,
    "unordered head proof": _unordered_proof,
    "head": lambda opened: rebuilt(opened, {"head": b"\x06" * 32}),
    "label key": lambda opened: rebuilt(opened, {"label_key": b"\x07" * 32}),
    "round": lambda opened: rebuilt(opened, {"round": 0}),
    "no such round": lambda opened: rebuilt(opened, {"round": 99}),
    "interval": lambda opened: rebuilt(opened, {"interval": 0}),
    "no such interval": lambda opened: rebuilt(opened, {"interval": 99}),
    "terms": lambda opened: rebuilt(opened, {"params": b"\x00" * 100}),
    "owner": lambda opened: rebuilt(opened, {"owner": b"\x01" * 20}),
    "job": lambda opened: rebuilt(opened, {"job": 7}),
    "seat": lambda opened: rebuilt(opened, {"accused": 31}),
    "claim": lambda opened: rebuilt(opened, {"claim": "boundary", "accused": 1}),
    "mark": lambda opened: rebuilt(opened, {"claim": "mark", "accused": 1}),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_forged_evidence_accuses_nobody(name: str, replay: OpenedEvidence) -> None:
    try:
        forged = FORGERIES[name](replay)
    except EvidenceUnusable:
        return
    opinion = judge_evidence(forged)
    assert opinion.answer is not Answer.GUILTY, opinion.detail
    if name not in {"owner", "job", "seat"}:
        assert opinion.answer is Answer.CANNOT_TELL, opinion.detail


def test_a_progress_key_that_was_not_committed_accuses_nobody(honest_run: FinishedRun) -> None:
    opened = opened_evidence(honest_run, CLAIMS["mark"])
    assert opened.evidence.progress is not None
    other = opened.evidence.progress.model_copy(update={"key": b"\x09" * 32})
    opinion = judge_evidence(rebuilt(opened, {"progress": other}))
    assert opinion.answer is Answer.CANNOT_TELL
    assert "proves nothing against anybody" in opinion.detail


def test_evidence_about_one_seat_is_not_used_against_another(honest_run: FinishedRun) -> None:
    opened = opened_evidence(honest_run, CLAIMS["links"])
    assert judge_evidence(opened, 1).answer is Answer.NOT_GUILTY
    assert judge_evidence(opened, 0).answer is Answer.CANNOT_TELL


def test_somebody_elses_fault_neither_convicts_nor_clears() -> None:
    judged = Judged((Fault(1, Check.REPLAY, "the output differs"),), confirmed="rest")
    assert conclude(judged, 1).answer is Answer.GUILTY
    assert conclude(judged, None).answer is Answer.GUILTY
    other = conclude(judged, 2)
    assert other.answer is Answer.CANNOT_TELL
    assert "the doing of seat 1" in other.detail and "seat 2 unjudged" in other.detail
    assert conclude(Judged(unjudged="no key"), 1).answer is Answer.CANNOT_TELL


@pytest.mark.parametrize(
    "subject",
    [
        Subject("replay", 0),
        Subject("links", 0, 1, 0),
        Subject("links", 0),
        Subject("manifest", 0, None, ACCUSED_OWNER),
        Subject("labels", 0, None, 1),
        Subject("replay", 9, 0),
        Subject("mark", 0, None, 5),
        Subject("replay", 0, 0, ACCUSED_OWNER),
        Subject("withheld", 0),
        Subject("withheld", 0, None, 1),
    ],
    ids=str,
)
def test_subjects_that_make_no_sense_are_refused(subject: Subject, honest_run: FinishedRun) -> None:
    artifacts = Artifacts(follow_record(honest_run.record), honest_run.rehearsal.store, honest_run.keys)
    with pytest.raises(UsageError):
        make_evidence(honest_run.record, artifacts, subject, CHALLENGER)


def test_without_a_grant_no_sealed_file_is_shown(honest_run: FinishedRun) -> None:
    artifacts = Artifacts(follow_record(honest_run.record), honest_run.rehearsal.store, AuditKeys())
    with pytest.raises(SealError):
        make_evidence(honest_run.record, artifacts, REPLAY, CHALLENGER)
    public = make_evidence(honest_run.record, artifacts, CLAIMS["links"], CHALLENGER)
    assert public.evidence.files == ()


def test_evidence_holds_no_secret_that_opens_more(honest_run: FinishedRun, replay: OpenedEvidence) -> None:
    assert honest_run.keys.label_secret is not None
    secrets = [honest_run.keys.label_secret, *honest_run.keys.sealing.values()]
    secrets += [progress.key for progress in honest_run.keys.progress.values()]
    held = b"".join([replay.evidence.to_block(), *blocks_of(replay).values()])
    assert not any(secret in held for secret in secrets)


def test_blocks_of_the_release_are_those_that_its_name_leads_to(
    replay: OpenedEvidence, honest_run: FinishedRun
) -> None:
    spec_digest = history_of(replay.evidence).params.spec_digest
    names: set[CID] = set(blocks_of(replay))
    assert cid_of_digest(spec_digest) in names
    release = Artifacts(follow_record(honest_run.record), honest_run.rehearsal.store, AuditKeys()).release
    assert release.activations in names
