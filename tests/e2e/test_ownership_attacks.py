"""Ownership claims that are stolen, copied or forged: none of them passes, and none comes before the honest one."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from multiformats import CID

from clicooper.commitments.canonical import cid_of_block
from clicooper.commitments.ownership import OwnershipBundle
from clicooper.errors import VerificationFailed
from clicooper.learning.checkpoint import State, decode_state, state_bytes
from clicooper.learning.witness import Witness
from clicooper.ownership.claim_files import ClaimFiles
from clicooper.ownership.claim_record import check_record
from clicooper.ownership.claim_work import check_work
from clicooper.ownership.claims import copied_starts, ranked, verdict_over
from clicooper.ownership.proof import OwnershipProof
from clicooper.storage.base import get_bytes
from clicooper.types import Digest
from clicooper.watermark.carriers import MarkParams
from clicooper.watermark.embed import embed
from clicooper.watermark.keys import MarkPurpose, mark_seed
from tests.e2e.claimed_jobs import PASS, SEAT, Job, judged, opened, verdicts, why
from tests.scenario import FinishedRun
from tests.simulators import MemoryStore


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Job]:
    with opened(tmp_path_factory.mktemp("claimed") / "run") as job:
        yield job


@pytest.fixture(scope="module")
def proof(job: Job) -> OwnershipProof:
    return job.prove()


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
