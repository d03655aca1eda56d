"""Ownership claims on a real job: who trained what, shown to a reader who has a bundle, a suspect and a node."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from clicooper.access.grants import AuditKeys
from clicooper.errors import UsageError
from clicooper.learning.checkpoint import State, state_bytes
from clicooper.learning.segments import initial_state
from clicooper.ownership.claim_files import ClaimFiles
from clicooper.ownership.claims import ranked
from clicooper.ownership.proof import OwnershipProof, prove_ownership
from clicooper.types import Digest
from clicooper.watermark.keys import MarkPurpose
from clicooper.watermark.suspect import ClaimedMark, find_marks
from tests.e2e.claimed_jobs import INCONCLUSIVE, PASS, SEAT, Job, judged, opened, verdicts, why
from tests.scenario import rehearsal
from tests.simulators import MemoryStore
from tests.unit.watermark.test_suspect import as_integers, four_bits, part_of_a_larger_model, pruned, renamed


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Job]:
    with opened(tmp_path_factory.mktemp("claimed") / "run") as job:
        yield job


@pytest.fixture(scope="module")
def proof(job: Job) -> OwnershipProof:
    return job.prove()


def test_honest_claim_passes_every_part(job: Job, proof: OwnershipProof) -> None:
    claim = judged(proof, job.out(), job.contract)
    assert verdicts(claim) == "pppp", claim.parts
    assert claim.to_json()["made_for_this_suspect"] and claim.verdict is PASS
    assert proof.unshown == "" and len(proof.bundle.intervals) == 2


def test_round_0_of_every_seat_can_be_claimed_in_the_final_model(job: Job, proof: OwnershipProof) -> None:
    claims = [judged(job.prove(0, seat, seat), job.out(1, seat), job.contract) for seat in (0, 1)]
    assert [verdicts(claim) for claim in claims] == ["pppp", "pppp"]
    later = judged(proof, job.out(), job.contract)
    assert ranked([later, *claims]) == (*claims, later)


CHANGES: dict[str, Callable[[State], State]] = {
    "renamed": renamed,
    "float16": lambda state: {name: array.astype(np.float16) for name, array in state.items()},
    "pruned": pruned,
    "int8": as_integers,
    "int4": four_bits,
    "part of a larger model": part_of_a_larger_model,
}


def reordered(state: State) -> State:
    """The inner units of the last seat's segment in another order."""
    order = np.random.default_rng(6).permutation(256)
    inputs = np.random.default_rng(7).permutation(256)
    return {
        "block3.linear.weight": state["block3.linear.weight"][order][:, inputs],
        "block3.linear.bias": state["block3.linear.bias"][order],
        "block4.linear.weight": state["block4.linear.weight"][:, order],
        "block4.linear.bias": state["block4.linear.bias"],
    }


def rescaled(state: State) -> State:
    scale = np.exp(np.random.default_rng(8).normal(0, 1, 256)).astype(np.float32)
    return {
        "block3.linear.weight": state["block3.linear.weight"] * scale[:, None],
        "block3.linear.bias": state["block3.linear.bias"] * scale,
        "block4.linear.weight": state["block4.linear.weight"] / scale,
        "block4.linear.bias": state["block4.linear.bias"],
    }


@pytest.mark.parametrize("change", [*CHANGES, "reordered", "rescaled"])
def test_claim_holds_upon_a_disguised_suspect(change: str, job: Job, proof: OwnershipProof) -> None:
    disguise = {**CHANGES, "reordered": reordered, "rescaled": rescaled}[change]
    claim = judged(proof, disguise(job.out()), job.contract)
    assert verdicts(claim) == "pppp", claim.parts
    assert not claim.to_json()["made_for_this_suspect"]


def cleaned(job: Job, rank: int) -> State:
    """The public start, and what training added along its few strongest directions: a mark lies along all of them."""
    start = initial_state(job.artifacts.spec.model, job.artifacts.spec.seeds, SEAT)
    model = dict(job.out())
    for name, weights in model.items():
        if weights.ndim == 2:
            left, values, right = np.linalg.svd(weights.astype(np.float64) - start[name], full_matrices=False)
            values[rank:] = 0
            model[name] = (start[name] + (left * values) @ right).astype(weights.dtype)
    return model


@pytest.mark.parametrize("rank", [10, 32])
def test_mark_that_a_cleaning_hid_is_found_beside_the_raw_weights(rank: int, job: Job, proof: OwnershipProof) -> None:
    model, store = cleaned(job, rank), MemoryStore()
    store.blocks.update(proof.blocks)
    files = ClaimFiles(store, proof.bundle)
    mark = ClaimedMark(1, SEAT, MarkPurpose.OWNERSHIP, files.mark_seed)
    raw = files.state(files.manifest.trained)
    assert not find_marks(model, [mark], {(1, SEAT): raw}, files.mark_params).found, "the cleaning hides nothing"
    claim = judged(proof, model, job.contract)
    assert verdicts(claim)[:3] == "ppp", claim.parts
    assert "beside the raw weights alone" in why(claim, "b")


def test_cleaning_that_takes_off_most_of_the_training_leaves_too_little_of_it(job: Job, proof: OwnershipProof) -> None:
    claim = judged(proof, cleaned(job, 10), job.contract)
    assert verdicts(claim) == "pppf" and "share of this training 0.4" in why(claim, "d")


def test_reading_beside_raw_weights_that_nobody_replayed_leaves_doubt(job: Job) -> None:
    claim = judged(job.prove(granted=AuditKeys()), cleaned(job, 10), job.contract)
    assert verdicts(claim)[1:3] == "ii", claim.parts
    assert "once part c shows" in why(claim, "b")


def test_without_a_node_the_record_is_unverified(job: Job, proof: OwnershipProof) -> None:
    claim = judged(proof, job.out(), None)
    assert verdicts(claim) == "ippp" and why(claim, "a").startswith("unverified")
    assert claim.verdict is INCONCLUSIVE and ranked([claim]) == ()


def test_without_a_grant_the_work_cannot_be_shown(job: Job) -> None:
    proof = job.prove(granted=AuditKeys())
    assert "interval" in proof.unshown and proof.bundle.intervals == ()
    claim = judged(proof, job.out(), job.contract)
    assert verdicts(claim) == "ppip" and "is not shown" in why(claim, "c")


def test_reader_who_wants_more_work_than_is_shown_is_left_in_doubt(job: Job) -> None:
    proof = job.prove(samples=1)
    assert len(proof.bundle.intervals) == 1
    assert verdicts(judged(proof, job.out(), job.contract, samples=1)) == "pppp"
    assert verdicts(judged(proof, job.out(), job.contract, samples=2)) == "ppip"


def test_only_the_trainer_who_committed_can_claim(job: Job) -> None:
    with pytest.raises(UsageError, match="not the secrets of"):
        job.prove(seat=SEAT, by=0)


def test_opening_one_round_reveals_no_other(job: Job, proof: OwnershipProof) -> None:
    """Neither the other keys, nor the secrets that they follow from, nor files of another round or seat."""
    content = b"".join(proof.blocks.values())
    number, parties = job.rehearsal.opened.job, job.rehearsal.parties
    own = parties.trainer_secrets[SEAT]
    opened_key = own.mark_keys(number, 1, SEAT).ownership
    closed = [own.secret, own.mark_keys(number, 1, SEAT).progress, own.identity.encode(), *job.granted.sealing.values()]
    for round_ in (0, 1):
        for seat in (0, 1):
            keys = parties.trainer_secrets[seat].mark_keys(number, round_, seat)
            closed += [keys.progress, keys.ownership]
    assert opened_key in content
    assert [secret for secret in closed if secret != opened_key and secret in content] == []
    named = {opened.plaintext_digest for opened in proof.bundle.files}
    other = job.artifacts.manifest(1, 0)
    assert not named & {
        other.trained.plaintext_digest,
        other.out.plaintext_digest,
        other.transcript.leaves.plaintext_digest,
    }
    raw = state_bytes(job.artifacts.state_file(other.out))
    assert raw[len(raw) // 2 :][:64] not in content


def test_round_that_is_not_accepted_cannot_be_claimed(tmp_path: Path) -> None:
    with rehearsal(tmp_path / "run") as made:
        made.train_and_commit()
        record = made.record()
        with pytest.raises(UsageError, match="round 0 is not accepted"):
            prove_ownership(record, made.store, made.parties.trainer_secrets[0], AuditKeys(), 0, 0, Digest(bytes(32)))
