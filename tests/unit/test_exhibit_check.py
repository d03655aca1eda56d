"""Judging evidence: honest work is cleared by every claim, and whatever a forger changes ends in "cannot tell"."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace

import pytest
from multiformats import CID

from clicooper.audit.evidence import Evidence
from clicooper.audit.exhibit import SeatRows, Trail
from clicooper.audit.exhibit_check import judge_exhibit
from clicooper.audit.exhibit_file import OpenedExhibit
from clicooper.audit.exhibit_make import make_exhibit
from clicooper.audit.exhibit_subject import Subject
from clicooper.audit.finding import Fault, Finding, Judged, conclude
from clicooper.audit.grants import AuditKeys
from clicooper.audit.state import follow_record
from clicooper.audit.trail import history_of
from clicooper.audit.verdict import Check
from clicooper.commitments.canonical import cid_of_digest
from clicooper.errors import EvidenceUnusable, SealError, UsageError
from clicooper.learning.checkpoint import decode_state, state_bytes
from clicooper.storage.base import get_bytes
from clicooper.storage.cid import build_file
from clicooper.types import ACCUSED_OWNER
from tests.exhibits import CHALLENGER, CLAIMS, blocks_of, opened_exhibit, rebuilt
from tests.scenario import FinishedRun

REPLAY = CLAIMS["last interval"]


@pytest.fixture(scope="module")
def replay(honest_run: FinishedRun) -> OpenedExhibit:
    return opened_exhibit(honest_run, REPLAY)


@pytest.mark.parametrize("name", CLAIMS)
def test_honest_work_is_not_guilty(name: str, honest_run: FinishedRun) -> None:
    opinion = judge_exhibit(opened_exhibit(honest_run, CLAIMS[name]))
    assert (opinion.finding, opinion.fault) == (Finding.NOT_GUILTY, None), opinion.detail


def test_a_replay_reports_its_numbers(replay: OpenedExhibit) -> None:
    judged = judge_exhibit(replay).judged
    assert judged.steps == 2
    assert judged.distances == {0: 0.0, 1: 0.0}


def test_another_runtime_class_compares_end_states_in_float64(replay: OpenedExhibit) -> None:
    opinion = judge_exhibit(replay, runtime="another machine")
    assert opinion.finding is Finding.NOT_GUILTY
    assert opinion.judged.tolerance == 1e-5
    assert all(0 < distance < 1e-6 for distance in opinion.judged.distances.values())


def test_another_runtime_class_cannot_tell_without_end_states(honest_run: FinishedRun) -> None:
    lean = opened_exhibit(honest_run, CLAIMS["without end states"])
    opinion = judge_exhibit(lean, runtime="another machine")
    assert opinion.finding is Finding.CANNOT_TELL
    assert "no states at the interval's end" in opinion.detail
    whole = opened_exhibit(honest_run, replace(CLAIMS["without end states"], end_states=True))
    assert lean.size_bytes < 0.7 * whole.size_bytes


def test_a_release_that_was_left_out_is_read_where_it_is_public(honest_run: FinishedRun) -> None:
    lean = opened_exhibit(honest_run, replace(REPLAY, release=False))
    assert judge_exhibit(lean).finding is Finding.CANNOT_TELL
    assert judge_exhibit(lean, store=honest_run.rehearsal.store).finding is Finding.NOT_GUILTY


def test_the_trail_is_that_of_the_chain(replay: OpenedExhibit, honest_run: FinishedRun) -> None:
    told, known = history_of(replay.exhibit), follow_record(honest_run.record)
    assert (told.genesis, told.params, told.owner) == (known.genesis, known.params, known.owner)
    assert [c.head for c in told.commitments] == [c.head for c in known.commitments]
    assert [round_.label_key for round_ in told.rounds] == [round_.label_key for round_ in known.rounds]


def test_every_block_is_needed(replay: OpenedExhibit) -> None:
    """Without the states at the end the replay still decides; anything else that is missing leaves it open."""
    blocks = blocks_of(replay)
    for cid in blocks:
        lean = rebuilt(replay, None, {key: value for key, value in blocks.items() if key != cid})
        assert judge_exhibit(lean).finding in {Finding.CANNOT_TELL, Finding.NOT_GUILTY}
        if cid.codec.name == "dag-cbor":
            assert judge_exhibit(lean).finding is Finding.CANNOT_TELL


Forge = Callable[[OpenedExhibit], OpenedExhibit]


def _other_bytes(opened: OpenedExhibit) -> OpenedExhibit:
    """Another state under a promised digest."""
    blocks, file = blocks_of(opened), opened.exhibit.files[0]
    state = decode_state(get_bytes(opened.blocks, file.content))
    name = next(iter(state))
    forged = dict(build_file(io.BytesIO(state_bytes(state | {name: state[name] + 1}))))
    files = (file.model_copy(update={"content": list(forged)[-1]}), *opened.exhibit.files[1:])
    return rebuilt(opened, {"files": files}, blocks | forged)


def _swapped_files(opened: OpenedExhibit) -> OpenedExhibit:
    first, second, *rest = opened.exhibit.files
    files = (
        first.model_copy(update={"content": second.content}),
        second.model_copy(update={"content": first.content}),
        *rest,
    )
    return rebuilt(opened, {"files": files})


def _with_rows(opened: OpenedExhibit, change: Callable[[SeatRows], SeatRows]) -> OpenedExhibit:
    blocks = blocks_of(opened)
    rows = change(SeatRows.from_block(opened.blocks.get_block(opened.exhibit.rows[0])))
    return rebuilt(opened, {"rows": (rows.cid, *opened.exhibit.rows[1:])}, blocks | {rows.cid: rows.to_block()})


def _other_digest(opened: OpenedExhibit) -> OpenedExhibit:
    return _with_rows(opened, lambda rows: rows.model_copy(update={"rows": b"\x01" + rows.rows[1:]}))


def _other_proof(opened: OpenedExhibit) -> OpenedExhibit:
    def change(rows: SeatRows) -> SeatRows:
        first = rows.proofs[0]
        return rows.model_copy(update={"proofs": (first[:-1] + bytes([first[-1] ^ 1]), *rows.proofs[1:])})

    return _with_rows(opened, change)


def _ragged_proof(opened: OpenedExhibit) -> OpenedExhibit:
    return _with_rows(opened, lambda rows: rows.model_copy(update={"proofs": (b"\x00", *rows.proofs[1:])}))


def _other_steps(opened: OpenedExhibit) -> OpenedExhibit:
    return _with_rows(opened, lambda rows: rows.model_copy(update={"first": 0}))


def _swapped_rows(opened: OpenedExhibit) -> OpenedExhibit:
    return rebuilt(opened, {"rows": tuple(reversed(opened.exhibit.rows))})


def _other_manifest(opened: OpenedExhibit) -> OpenedExhibit:
    """The trail of another job's commitments: its manifests are not there."""
    acts = list(opened.exhibit.trail.acts)
    acts[-1] = acts[-1].model_copy(update={"manifest": b"\x05" * 32})
    return rebuilt(opened, {"trail": Trail(start=opened.exhibit.trail.start, acts=tuple(acts))})


def _shorter_trail(opened: OpenedExhibit) -> OpenedExhibit:
    trail = opened.exhibit.trail
    return rebuilt(opened, {"trail": Trail(start=trail.start, acts=trail.acts[:-1])})


def _unordered_trail(opened: OpenedExhibit) -> OpenedExhibit:
    trail = opened.exhibit.trail
    return rebuilt(opened, {"trail": Trail(start=trail.start, acts=tuple(reversed(trail.acts)))})


FORGERIES: dict[str, Forge] = {
    "state": _other_bytes,
    "files": _swapped_files,
    "digest": _other_digest,
    "proof": _other_proof,
    "ragged proof": _ragged_proof,
    "steps": _other_steps,
    "rows": _swapped_rows,
    "manifest": _other_manifest,
    "shorter trail": _shorter_trail,
    "unordered trail": _unordered_trail,
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
def test_forged_evidence_accuses_nobody(name: str, replay: OpenedExhibit) -> None:
    try:
        forged = FORGERIES[name](replay)
    except EvidenceUnusable:
        return
    opinion = judge_exhibit(forged)
    assert opinion.finding is not Finding.GUILTY, opinion.detail
    if name not in {"owner", "job", "seat"}:
        assert opinion.finding is Finding.CANNOT_TELL, opinion.detail


def test_a_progress_key_that_was_not_committed_accuses_nobody(honest_run: FinishedRun) -> None:
    opened = opened_exhibit(honest_run, CLAIMS["mark"])
    assert opened.exhibit.progress is not None
    other = opened.exhibit.progress.model_copy(update={"key": b"\x09" * 32})
    opinion = judge_exhibit(rebuilt(opened, {"progress": other}))
    assert opinion.finding is Finding.CANNOT_TELL
    assert "proves nothing against anybody" in opinion.detail


def test_evidence_about_one_seat_is_not_used_against_another(honest_run: FinishedRun) -> None:
    opened = opened_exhibit(honest_run, CLAIMS["links"])
    assert judge_exhibit(opened, 1).finding is Finding.NOT_GUILTY
    assert judge_exhibit(opened, 0).finding is Finding.CANNOT_TELL


def test_somebody_elses_fault_neither_convicts_nor_clears() -> None:
    judged = Judged((Fault(1, Check.REPLAY, "the output differs"),), confirmed="rest")
    assert conclude(judged, 1).finding is Finding.GUILTY
    assert conclude(judged, None).finding is Finding.GUILTY
    other = conclude(judged, 2)
    assert other.finding is Finding.CANNOT_TELL
    assert "the doing of seat 1" in other.detail and "seat 2 unjudged" in other.detail
    assert conclude(Judged(unjudged="no key"), 1).finding is Finding.CANNOT_TELL


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
    evidence = Evidence(follow_record(honest_run.record), honest_run.rehearsal.store, honest_run.keys)
    with pytest.raises(UsageError):
        make_exhibit(honest_run.record, evidence, subject, CHALLENGER)


def test_without_a_grant_no_sealed_file_is_shown(honest_run: FinishedRun) -> None:
    evidence = Evidence(follow_record(honest_run.record), honest_run.rehearsal.store, AuditKeys())
    with pytest.raises(SealError):
        make_exhibit(honest_run.record, evidence, REPLAY, CHALLENGER)
    public = make_exhibit(honest_run.record, evidence, CLAIMS["links"], CHALLENGER)
    assert public.exhibit.files == ()


def test_evidence_holds_no_secret_that_opens_more(honest_run: FinishedRun, replay: OpenedExhibit) -> None:
    assert honest_run.keys.label_secret is not None
    secrets = [honest_run.keys.label_secret, *honest_run.keys.sealing.values()]
    secrets += [progress.key for progress in honest_run.keys.progress.values()]
    held = b"".join([replay.exhibit.to_block(), *blocks_of(replay).values()])
    assert not any(secret in held for secret in secrets)


def test_blocks_of_the_release_are_those_that_its_name_leads_to(replay: OpenedExhibit, honest_run: FinishedRun) -> None:
    spec_digest = history_of(replay.exhibit).params.spec_digest
    names: set[CID] = set(blocks_of(replay))
    assert cid_of_digest(spec_digest) in names
    release = Evidence(follow_record(honest_run.record), honest_run.rehearsal.store, AuditKeys()).release
    assert release.activations in names
