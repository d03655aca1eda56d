"""Ownership claims on a real job: who trained what, shown to a reader who has a bundle, a suspect and a node."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from eth_utils import keccak
from multiformats import CID

from clicooper.access.grants import AuditKeys
from clicooper.audit.artifacts import Artifacts
from clicooper.chain.client import Contract
from clicooper.chain.record import JobRecord
from clicooper.commitments.canonical import cid_of_block
from clicooper.commitments.ownership import OwnershipBundle
from clicooper.errors import UsageError, VerificationFailed
from clicooper.history.follow import follow_record
from clicooper.history.history import History
from clicooper.learning.checkpoint import State, decode_state, state_bytes
from clicooper.learning.segments import initial_state
from clicooper.learning.suspect_file import Suspect
from clicooper.learning.witness import Witness
from clicooper.ownership.claim_files import ClaimFiles
from clicooper.ownership.claim_record import check_record
from clicooper.ownership.claim_work import check_work
from clicooper.ownership.claims import JudgedClaim, copied_starts, judge_claim, ranked, verdict_over
from clicooper.ownership.proof import OwnershipProof, prove_ownership
from clicooper.protocol.job import run_rounds
from clicooper.storage.base import get_bytes
from clicooper.types import Digest, Verdict
from clicooper.watermark.carriers import MarkParams
from clicooper.watermark.embed import embed
from clicooper.watermark.keys import MarkPurpose, mark_seed
from clicooper.watermark.suspect import ClaimedMark, find_marks
from tests.scenario import FinishedRun, Rehearsal, quiet, rehearsal, tiny_config
from tests.simulators import MemoryStore
from tests.unit.watermark.test_suspect import as_integers, four_bits, part_of_a_larger_model, pruned, renamed

PASS, FAIL, INCONCLUSIVE = Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE
SEAT = 1


@dataclass(frozen=True)
class Job:
    """An accepted job, its record, and a node that still has it."""

    rehearsal: Rehearsal
    record: JobRecord
    granted: AuditKeys

    @property
    def history(self) -> History:
        return follow_record(self.record)

    @property
    def contract(self) -> Contract:
        return self.rehearsal.contract()

    def out(self, round_: int = 1, seat: int = SEAT) -> State:
        return self.artifacts.state_file(self.artifacts.manifest(round_, seat).out)

    @property
    def artifacts(self) -> Artifacts:
        return Artifacts(self.history, self.rehearsal.store, self.granted)

    def prove(self, round_: int = 1, seat: int = SEAT, by: int = SEAT, **options: Any) -> OwnershipProof:
        secrets = self.rehearsal.parties.trainer_secrets[by]
        granted = options.pop("granted", self.granted)
        store, digest = self.rehearsal.store, suspect(self.out()).digest
        return prove_ownership(self.record, store, secrets, granted, round_, seat, digest, **options)


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Job]:
    with opened(tmp_path_factory.mktemp("claimed") / "run") as job:
        yield job


class opened:  # noqa: N801 - reads like the function that it is
    """A tiny job, run to its end."""

    def __init__(self, root: Path, **changes: Any) -> None:
        self._running = rehearsal(root, tiny_config(**changes))

    def __enter__(self) -> Job:
        made = self._running.__enter__()
        run_rounds(made.opened, quiet)
        return Job(made, made.record(), made.opened.owner.keys())

    def __exit__(self, *error: Any) -> None:
        self._running.__exit__(*error)


def suspect(state: State) -> Suspect:
    return Suspect(state, Digest(keccak(b"".join(state[name].tobytes() for name in sorted(state)))))


def judged(proof: OwnershipProof, model: State, contract: Contract | None, **options: Any) -> JudgedClaim:
    store = MemoryStore()
    store.blocks.update(proof.blocks)
    return judge_claim(store, proof.bundle, suspect(model), contract, **options)


def verdicts(claim: JudgedClaim) -> str:
    """One letter a part: p, f or i."""
    return "".join(part.verdict.value[0] for part in claim.parts)


def why(claim: JudgedClaim, part: str) -> str:
    return next(one.detail for one in claim.parts if one.part == part)


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


# --- attacks ---


@pytest.fixture(scope="module")
def junk(tmp_path_factory: pytest.TempPathFactory, job: Job) -> Iterator[Job]:
    """The attacker's own job, from other starting weights, on other labels."""
    with opened(tmp_path_factory.mktemp("junk") / "run", seed=2, spec_seed=7) as other:
        yield other


def stolen(tested: State, attacker: Job, proof: OwnershipProof) -> State:
    """The release under test's model with the attacker's committed mark embedded afterwards."""
    bundle, manifest = proof.bundle, attacker.artifacts.manifest(1, SEAT)
    seed = mark_seed(
        bundle.ownership_key,
        MarkPurpose.OWNERSHIP,
        attacker.history.rounds[1].commitments[SEAT].head_before,
        attacker.history.job,
        1,
        SEAT,
        bundle.trainer,
        Digest(manifest.training_transcript_merkle_root),
    )
    return dict(embed(tested, seed, MarkParams(64)))


def test_key_committed_in_a_junk_job_and_embedded_into_a_stolen_model_loses(
    job: Job, proof: OwnershipProof, junk: Job
) -> None:
    """Its key, record and work are genuine, and its mark is in the suspect; the suspect does not descend from it."""
    forged = junk.prove()
    model = stolen(job.out(), junk, forged)
    theirs, ours = (judged(p, model, of.contract, tests=2) for p, of in ((forged, junk), (proof, job)))
    assert verdicts(theirs) == "pppf", theirs.parts
    assert verdicts(ours) == "pppp", ours.parts
    assert ranked([theirs, ours]) == (ours,) and verdict_over([theirs, ours]) is PASS


def test_junk_job_from_the_victims_own_public_start_loses_too(
    job: Job, proof: OwnershipProof, other_run: FinishedRun
) -> None:
    """Its checkpoint is as good as the stolen one by plain cosine: both hardly moved from the same starting weights."""
    copied = Job(other_run.rehearsal, other_run.record, other_run.keys)
    forged = copied.prove()
    theirs = judged(forged, stolen(job.out(), copied, forged), None)
    assert verdicts(theirs) == "ippf", theirs.parts
    assert why(theirs, "d").startswith("cosine 0.98")


def test_job_that_took_over_a_start_comes_behind_the_one_that_had_it(job: Job, proof: OwnershipProof) -> None:
    """A stolen model with an update of the thief's own added contains both trainings, and the thief was faster."""
    ours = judged(proof, job.out(), job.contract)
    faster = proof.bundle.model_copy(update={"job": 2, "block": 1, "created_block": proof.bundle.created_block + 1})
    theirs = replace(ours, bundle=faster)
    assert copied_starts([theirs, ours]) == (theirs,)
    assert ranked([theirs, ours]) == (ours, theirs)
    assert ranked([replace(theirs, start=b"another"), ours])[0].bundle is faster


def test_claim_upon_a_model_that_was_never_touched_fails(job: Job, proof: OwnershipProof, junk: Job) -> None:
    claim = judged(proof, junk.out(), job.contract)
    assert verdicts(claim) == "pfpf"
    assert "does not hold the mark" in why(claim, "b")


Forge = Callable[[OwnershipProof], OwnershipProof]


def changed(**fields: Any) -> Forge:
    return lambda proof: with_bundle(proof, proof.bundle.model_copy(update=fields))


def with_bundle(proof: OwnershipProof, bundle: OwnershipBundle) -> OwnershipProof:
    return replace(proof, bundle=bundle, blocks={**proof.blocks, bundle.cid: bundle.to_block()})


def other_key(proof: OwnershipProof) -> OwnershipProof:
    return changed(ownership_key=b"\x05" * 32)(proof)


def later_head(proof: OwnershipProof) -> OwnershipProof:
    return changed(head_before=b"\x06" * 32)(proof)


def back_dated(proof: OwnershipProof) -> OwnershipProof:
    return changed(block=1)(proof)


def job_created_earlier(proof: OwnershipProof) -> OwnershipProof:
    return changed(created_block=0)(proof)


def chosen_intervals(proof: OwnershipProof) -> OwnershipProof:
    """A block hash under which other intervals would be drawn."""
    return changed(settled_hash=b"\x08" * 32)(proof)


def another_jobs_terms(proof: OwnershipProof) -> OwnershipProof:
    """Other pay: the third word of the encoding."""
    params = bytearray(proof.bundle.params)
    params[95] ^= 1
    return changed(params=bytes(params))(proof)


def copied_commitment(proof: OwnershipProof) -> OwnershipProof:
    """Somebody else's commitment under the claimant's address."""
    first, *later = proof.bundle.commits
    return changed(commits=(first.model_copy(update={"trainer": b"\x09" * 20}), *later))(proof)


def another_round(proof: OwnershipProof) -> OwnershipProof:
    return changed(round=0)(proof)


def another_seat(proof: OwnershipProof) -> OwnershipProof:
    return changed(seat=0)(proof)


RECORD_FORGERIES = [
    other_key,
    later_head,
    back_dated,
    job_created_earlier,
    chosen_intervals,
    another_jobs_terms,
    copied_commitment,
    another_round,
    another_seat,
]


@pytest.mark.parametrize("forge", RECORD_FORGERIES, ids=lambda forge: forge.__name__)
def test_reader_rejects_a_forged_record(forge: Forge, job: Job, proof: OwnershipProof) -> None:
    with pytest.raises(VerificationFailed):
        check_record(files_of(forge(proof)), job.contract)
    assert check_record(files_of(proof), job.contract).startswith("commitment in block")


def files_of(proof: OwnershipProof) -> ClaimFiles:
    store = MemoryStore()
    store.blocks.update(proof.blocks)
    return ClaimFiles(store, proof.bundle)


def put(proof: OwnershipProof, content: bytes) -> tuple[OwnershipProof, CID]:
    store = MemoryStore()
    store.blocks.update(proof.blocks)
    cid = store.put_file(io.BytesIO(content))
    return replace(proof, blocks=store.blocks), cid


def other_file(proof: OwnershipProof) -> OwnershipProof:
    """Another file under the digest of the first opened one."""
    held, cid = put(proof, b"something else")
    files = tuple(opened.model_copy(update={"content": cid}) for opened in held.bundle.files)
    return changed(files=files)(held)


def other_witness(proof: OwnershipProof) -> OwnershipProof:
    """Inputs that never crossed."""
    first = proof.bundle.intervals[0]
    store = MemoryStore()
    store.blocks.update(proof.blocks)
    witness = Witness.from_state(decode_state(get_bytes(store, first.crossings)))
    held, cid = put(proof, state_bytes(replace(witness, inputs=witness.inputs + np.float32(1)).to_state()))
    return changed(intervals=(first.model_copy(update={"crossings": cid}), *held.bundle.intervals[1:]))(held)


def no_past(proof: OwnershipProof) -> OwnershipProof:
    return changed(previous=())(proof)


@pytest.mark.parametrize("forge", [other_file, other_witness, no_past], ids=lambda forge: forge.__name__)
def test_reader_rejects_forged_work(forge: Forge, proof: OwnershipProof) -> None:
    with pytest.raises(VerificationFailed):
        check_work(files_of(forge(proof)), 2)


def test_work_is_confirmed_in_another_runtime_class_within_the_tolerance(proof: OwnershipProof) -> None:
    assert "within relative L2 1e-05" in check_work(files_of(proof), 2, runtime="another machine")
    with pytest.raises(VerificationFailed, match="another witness"):
        check_work(files_of(other_witness(proof)), 2, runtime="another machine")


def test_manifest_of_another_claim_is_found_out(job: Job, proof: OwnershipProof) -> None:
    other = job.artifacts.manifest(1, 0)
    block = other.to_block()
    held = replace(proof, blocks={**proof.blocks, cid_of_block(block): block})
    claim = judged(changed(manifest=other.cid)(held), job.out(), job.contract)
    assert verdicts(claim) == "ffff"


def test_round_that_is_not_accepted_cannot_be_claimed(tmp_path: Path) -> None:
    with rehearsal(tmp_path / "run") as made:
        made.train_and_commit()
        record = made.record()
        with pytest.raises(UsageError, match="round 0 is not accepted"):
            prove_ownership(record, made.store, made.parties.trainer_secrets[0], AuditKeys(), 0, 0, Digest(bytes(32)))
