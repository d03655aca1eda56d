"""Every kind of cheat shown by small evidence: the guilty are named, and honest seats are never convicted by it.

Two seats, one round. Owners that cheat commit to a spec of their own, since nothing else binds them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from multiformats import CID

from clicooper.audit.verdict import Check
from clicooper.commitments.canonical import cid_of_digest
from clicooper.commitments.head import genesis, next_head
from clicooper.commitments.manifest import ActivationRelease, JobSpec, LabelRelease
from clicooper.disputes.collect import make_evidence
from clicooper.disputes.evidence import HeadProof
from clicooper.disputes.evidence_file import OpenedEvidence, enclose, open_evidence
from clicooper.disputes.head_proof import history_of, pack_params
from clicooper.disputes.judge import judge_evidence
from clicooper.disputes.opinion import Answer, Opinion
from clicooper.disputes.subject import Subject
from clicooper.protocol.trainer import Trainer
from clicooper.types import ACCUSED_OWNER, Digest
from tests import adversaries as cheats
from tests.evidence_files import CHALLENGER, CLAIMS, artifacts_of, blocks_of, opened_evidence, rebuilt
from tests.scenario import FinishedRun, Rehearsal, keys_of, rehearsal, seating, tiny_config

FIRST, LAST = Subject("replay", 0, 0), Subject("replay", 0, 1)


def about(claim: Any, seat: int) -> Subject:
    return Subject(claim, 0, None, seat)


@dataclass(frozen=True)
class Expected:
    """Whom the evidence on a subject names, and by which check."""

    subject: Subject
    check: Check
    guilty: int
    pair: tuple[int, int] | None = None


SHOWN: list[tuple[type[Trainer], int, Expected]] = [
    (cheats.SkipsSteps, 1, Expected(FIRST, Check.REPLAY, 1)),
    (cheats.TrainsOnOtherLabels, 1, Expected(FIRST, Check.REPLAY, 1)),
    (cheats.FabricatesTranscript, 1, Expected(LAST, Check.REPLAY, 1)),
    (cheats.ScalesItsOutput, 0, Expected(FIRST, Check.REPLAY, 0)),
    (cheats.RepeatsOneBatch, 0, Expected(LAST, Check.COVERAGE, 0)),
    (cheats.AltersActivationAtBoundary, 0, Expected(FIRST, Check.BOUNDARY, 1, (0, 1))),
    (cheats.AltersGradientAtBoundary, 1, Expected(FIRST, Check.BOUNDARY, 0, (0, 1))),
    (cheats.SwapsOptimizerState, 1, Expected(LAST, Check.ARTIFACTS, 1)),
    (cheats.LiesAboutMetrics, 0, Expected(LAST, Check.PROGRESS, 0)),
    (cheats.OmitsMark, 1, Expected(about("mark", 1), Check.MARK, 1)),
    (cheats.EditsBiasBehindTheMark, 1, Expected(about("mark", 1), Check.EMBED, 1)),
    (cheats.NamesWrongPredecessor, 1, Expected(about("links", 1), Check.LINKS, 1)),
    (cheats.StartsFromItsOwnWeights, 1, Expected(about("links", 1), Check.LINKS, 1)),
    (cheats.StopsHalfWay, 1, Expected(about("manifest", 1), Check.MANIFEST, 1)),
    (cheats.CommitsGarbage, 1, Expected(about("manifest", 1), Check.MANIFEST, 1)),
    (cheats.MisquotesRoot, 1, Expected(about("boundary", 1), Check.BOUNDARY, 1)),
    (cheats.MisquotesBoundary, 1, Expected(about("boundary", 1), Check.BOUNDARY, 1)),
    (cheats.SealsUnderAnotherSecret, 1, Expected(about("seal", 1), Check.ARTIFACTS, 1)),
    (cheats.SealsSomethingElse, 1, Expected(about("seal", 1), Check.ARTIFACTS, 1)),
]


def evidence_on(job: Rehearsal, subject: Subject) -> OpenedEvidence:
    """Evidence on a round that was just committed."""
    artifacts = artifacts_of(job, job.opened.owner.keys())
    packed = make_evidence(job.record(), artifacts, subject, CHALLENGER)
    return open_evidence(enclose(artifacts.history.genesis, packed.evidence, packed.plaintext, None))


def committed(root: Path, cheat: type[Trainer], seat: int, subject: Subject) -> OpenedEvidence:
    with rehearsal(root, tiny_config(rounds=1), seating({seat: cheat})) as job:
        segments = job.train_and_commit()
        job.opened.owner._progress_keys.update(keys_of(job, segments).progress)
        return evidence_on(job, subject)


@pytest.mark.parametrize(("cheat", "seat", "expected"), SHOWN, ids=[f"{c.__name__}-{s}" for c, s, _ in SHOWN])
def test_the_guilty_are_named_and_nobody_else(
    cheat: type[Trainer], seat: int, expected: Expected, tmp_path: Path
) -> None:
    opened = committed(tmp_path, cheat, seat, expected.subject)
    opinion = judge_evidence(opened)
    fault = opinion.fault
    assert fault is not None, opinion.detail
    assert (opinion.answer, fault.check, fault.seat) == (Answer.GUILTY, expected.check, expected.guilty)
    assert fault.pair == expected.pair
    if expected.subject.claim == "replay":
        assert judge_evidence(opened, expected.guilty).answer is Answer.GUILTY
        assert judge_evidence(opened, 1 - expected.guilty).answer is Answer.CANNOT_TELL
        elsewhere = judge_evidence(opened, 1 - expected.guilty, runtime="another machine")
        assert elsewhere.answer is Answer.CANNOT_TELL, "another runtime class convicts no honest seat either"


def test_neighbours_that_disagree_are_a_pair_until_a_replay_tells(tmp_path: Path) -> None:
    """The one who invents what it sent must not get the other convicted for having received something else."""
    opened = committed(tmp_path, cheats.FabricatesTranscript, 1, about("boundary", 1))
    opinion = judge_evidence(opened)
    assert opinion.fault is not None
    assert (opinion.answer, opinion.fault.pair, opinion.fault.seat) == (Answer.CANNOT_TELL, (0, 1), None)
    assert opinion.to_json()["pair"] == [0, 1]


def test_skipped_steps_show_in_another_runtime_class_without_a_name(tmp_path: Path) -> None:
    opened = committed(tmp_path, cheats.SkipsSteps, 1, FIRST)
    opinion = judge_evidence(opened, runtime="another machine")
    assert opinion.answer is Answer.CANNOT_TELL
    assert "somebody deviated" in opinion.detail
    assert max(opinion.judged.distances.values()) > 1e-4


def test_a_wrong_progress_key_convicts_nobody(tmp_path: Path) -> None:
    opened = committed(tmp_path, cheats.GrantsAnotherKey, 1, about("mark", 1))
    assert judge_evidence(opened).answer is Answer.CANNOT_TELL


def of_owner(opened: OpenedEvidence, spec: JobSpec, blocks: Mapping[CID, bytes]) -> Opinion:
    """What evidence shows of an owner that created the job with this spec."""
    known = history_of(opened.evidence)
    params = replace(known.params, spec_digest=spec.digest)
    first = genesis(known.chain_id, known.contract, known.job, known.owner, params)
    proof = HeadProof(start=first, steps=opened.evidence.head_proof.steps)
    head = first
    for step in proof.steps:
        trainer = known.rounds[step.round].commitments[step.seat].trainer
        assert step.manifest is not None and step.mark is not None
        head = next_head(head, known.job, step.round, step.seat, trainer, Digest(step.manifest), Digest(step.mark))
    held = blocks_of(opened) | dict(blocks) | {spec.cid: spec.to_block()}
    return judge_evidence(rebuilt(opened, {"params": pack_params(params), "head_proof": proof, "head": head}, held))


def spec_in(opened: OpenedEvidence) -> JobSpec:
    return JobSpec.from_block(opened.blocks.get_block(cid_of_digest(history_of(opened.evidence).params.spec_digest)))


LabelLie = Callable[[LabelRelease], LabelRelease]
LABEL_LIES: dict[str, tuple[LabelLie, str]] = {
    "one class too often": (
        lambda labels: labels.model_copy(update={"pseudo_labels": (0,) * len(labels.pseudo_labels)}),
        "at most m a pseudo-label differs",
    ),
    "out of range": (
        lambda labels: labels.model_copy(update={"pseudo_labels": (9999, *labels.pseudo_labels[1:])}),
        "labels in range differs",
    ),
    "one row short": (
        lambda labels: labels.model_copy(update={"pseudo_labels": labels.pseudo_labels[:-1]}),
        "rows differs",
    ),
    "another round": (lambda labels: labels.model_copy(update={"round": 1}), "round differs"),
}


@pytest.mark.parametrize("lie", LABEL_LIES)
def test_an_owner_with_wrong_labels_is_guilty(lie: str, honest_run: FinishedRun) -> None:
    opened = opened_evidence(honest_run, Subject("labels", 0))
    spec, (change, detail) = spec_in(opened), LABEL_LIES[lie]
    sealed = spec.labels[0]
    true = LabelRelease.from_block(opened.blocks.get_block(cid_of_digest(Digest(sealed.plaintext_digest))))
    wrong = change(true)
    promised = sealed.model_copy(update={"plaintext_digest": wrong.digest})
    lying = spec.model_copy(update={"labels": (promised, *spec.labels[1:])})
    opinion = of_owner(opened, lying, {wrong.cid: wrong.to_block()})
    assert opinion.fault is not None, opinion.detail
    assert (opinion.answer, opinion.fault.seat) == (Answer.GUILTY, ACCUSED_OWNER)
    assert opinion.fault.detail == detail
    # The true labels under the same promise are not the promised ones, and accuse nobody.
    assert of_owner(opened, lying, {}).answer is Answer.CANNOT_TELL


def test_an_owner_with_less_noise_than_claimed_is_guilty(honest_run: FinishedRun) -> None:
    opened = opened_evidence(honest_run, CLAIMS["release"])
    spec = spec_in(opened)
    less = spec.release.model_copy(update={"sigma": spec.release.sigma / 2})
    release = ActivationRelease.from_block(opened.blocks.get_block(spec.activation_release))
    weaker = release.model_copy(update={"release": less})
    lying = spec.model_copy(update={"release": less, "activation_release": weaker.cid})
    opinion = of_owner(opened, lying, {weaker.cid: weaker.to_block()})
    assert opinion.fault is not None, opinion.detail
    assert (opinion.answer, opinion.fault.seat, opinion.fault.check) == (Answer.GUILTY, ACCUSED_OWNER, Check.RELEASE)


def test_an_honest_seats_seal_has_nothing_to_show(honest_run: FinishedRun) -> None:
    """A forger who brings the seat's true key record and a secret of its own proves nothing."""
    opened = opened_evidence(honest_run, CLAIMS["manifest"])
    assert judge_evidence(rebuilt(opened, {"claim": "seal"})).answer is Answer.CANNOT_TELL
