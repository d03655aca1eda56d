"""A trainer reads a job before it locks a stake: a release that nobody could train on is refused in time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
import safetensors.numpy
from numpy.typing import NDArray

from clicooper.audit.verdict import Check
from clicooper.commitments.canonical import cid_of_digest, sha256
from clicooper.commitments.manifest import ActivationRelease, JobSpec
from clicooper.errors import (
    ArtifactMissing,
    Cause,
    CliCooperError,
    MarkCapacityError,
    ModelUnusable,
    RuntimeMismatch,
    SpecError,
)
from clicooper.protocol.trainer import Trainer
from clicooper.storage.base import get_bytes, put_bytes
from clicooper.types import Address, Digest, JobId, JobParams
from tests.scenario import Rehearsal, failures, rehearsal

Values = NDArray[np.float32]
Change = Callable[[Rehearsal, ActivationRelease, Values], ActivationRelease]


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rehearsal]:
    """A chain with a store and honest parties, on which every test offers a job of its own."""
    with rehearsal(tmp_path_factory.mktemp("offers") / "run") as opened:
        yield opened


def in_file(tensors: Callable[[Values], dict[str, NDArray[np.generic]]]) -> Change:
    """The release with another file behind it."""

    def change(job: Rehearsal, release: ActivationRelease, values: Values) -> ActivationRelease:
        link = put_bytes(job.store, safetensors.numpy.save(tensors(values)))
        return release.model_copy(update={"activations": link})

    return change


def reshaped(values: Callable[[Values], Values]) -> Change:
    """The release of other rows, which says so."""

    def change(job: Rehearsal, release: ActivationRelease, honest: Values) -> ActivationRelease:
        made = np.ascontiguousarray(values(honest))
        return in_file(lambda _: {"activations": made})(job, release, honest).model_copy(update={"shape": made.shape})

    return change


def with_nan(values: Values) -> dict[str, NDArray[np.generic]]:
    broken = values.copy()
    broken[-1, -1] = np.nan
    return {"activations": broken}


UNFIT: dict[str, tuple[Change, str]] = {
    "tensor name": (in_file(lambda v: {"features": v}), "holds {'features': 'float32'}, not float32 activations"),
    "second tensor": (in_file(lambda v: {"activations": v, "x": v}), "not float32 activations"),
    "dtype": (in_file(lambda v: {"activations": v.astype(np.float64)}), "holds {'activations': 'float64'}"),
    "number": (in_file(with_nan), "state tensor activations holds NaN or infinite numbers"),
    "shape": (in_file(lambda v: {"activations": v[:-1].copy()}), "shape of release"),
    "rows": (reshaped(lambda v: v[:-1]), "rows of release"),
    "record shape": (reshaped(lambda v: v[:, :-1]), "record shape of release"),
}


def released(job: Rehearsal, change: Change) -> JobSpec:
    """The honest specification over a changed release."""
    spec = job.opened.owner.prepared.spec
    release = ActivationRelease.from_block(job.store.get_block(spec.activation_release))
    values = safetensors.numpy.load(get_bytes(job.store, release.activations))["activations"]
    link = job.store.put_block(change(job, release, values).to_block())
    return spec.model_copy(update={"activation_release": link})


def offered(job: Rehearsal, spec: JobSpec) -> tuple[JobId, JobParams]:
    """A further job on chain, under this specification."""
    params = replace(job.opened.owner.params, spec_digest=spec.digest)
    return job.contract().create_job(params)[0], params


def refuse(
    job: Rehearsal, number: JobId, params: JobParams, error: type[CliCooperError], trusted: str = "mlp"
) -> CliCooperError:
    """Has every trainer refuse a job, and sees to it that none of their coin moved."""
    contract = job.contract()
    genesis = contract.genesis_of(number)
    refusals = []
    for seat, account in enumerate(job.parties.trainers):
        holder, own = Address(account.address), job.contract(seat)
        before = job.opened.node.balance(holder)
        trainer = Trainer(seat, account, own, job.opened.index, job.store, job.parties.trainer_secrets[seat], {trusted})
        with pytest.raises(error) as refusal:
            trainer.join(number, genesis, params, "nowhere")
        assert (job.opened.node.balance(holder), contract.owed_to(number, holder)) == (before, 0)
        refusals.append(refusal.value)
    assert contract.job(number).filled == 0
    return refusals[0]


@pytest.mark.parametrize("what", UNFIT)
def test_unfit_release_is_refused_before_the_stake_and_failed_by_auditors(what: str, job: Rehearsal) -> None:
    change, why = UNFIT[what]
    spec = released(job, change)
    job.store.put_block(spec.to_block())
    number, params = offered(job, spec)
    refusal = refuse(job, number, params, SpecError)
    assert why in refusal.message
    assert "release" in refusal.hint
    audit = replace(job, opened=replace(job.opened, job=number)).audit()
    assert (Check.RELEASE, None) in failures(audit.results)


def test_release_that_is_not_there_is_refused(job: Rehearsal) -> None:
    nowhere = cid_of_digest(sha256(b"nowhere"))
    spec = job.opened.owner.prepared.spec.model_copy(update={"activation_release": nowhere})
    job.store.put_block(spec.to_block())
    refuse(job, *offered(job, spec), ArtifactMissing)


def test_specification_of_another_job_is_refused(job: Rehearsal) -> None:
    honest = job.opened.owner.prepared.spec
    for spec in (
        honest.model_copy(update={"labels": honest.labels[:1]}),
        honest.model_copy(update={"training": honest.training.model_copy(update={"momentum": 1.5})}),
    ):
        job.store.put_block(spec.to_block())
        refuse(job, *offered(job, spec), SpecError)
    marks = honest.marks.model_copy(update={"bits": 1024})
    spec = honest.model_copy(update={"marks": marks})
    job.store.put_block(spec.to_block())
    refuse(job, *offered(job, spec), MarkCapacityError)


ABSURD: dict[str, dict[str, object]] = {
    "model": {"outputs": 2**40, "widths": (30_000,) * 5, "cuts": (0,)},
    "training": {
        "batch": 2**50,
        "steps": 2**50,
        "learning_rate": 1e300,
        "momentum": -5.0,
        "weight_decay": -1.0,
        "input_noise": -1.0,
        "input_scale": 1e300,
    },
    "marks": {"bits": 2**40, "strength": 1e9},
    "replay": {"tolerance": 1e9, "interval": 2**50},
    "release": {"delta": 1.0, "m": 2**53, "group": 2**50},
}


@pytest.mark.parametrize(("part", "field"), [(part, field) for part, fields in ABSURD.items() for field in fields])
def test_absurd_term_is_refused_before_the_stake(part: str, field: str, job: Rehearsal) -> None:
    honest = job.opened.owner.prepared.spec
    changed = getattr(honest, part).model_copy(update={field: ABSURD[part][field]})
    spec = honest.model_copy(update={part: changed})
    job.store.put_block(spec.to_block())
    refusal = refuse(job, *offered(job, spec), SpecError)
    assert refusal.hint and (field in refusal.message or "parameters of a model" in refusal.message)


def test_rows_beyond_the_release_are_refused_before_the_stake(job: Rehearsal) -> None:
    honest = job.opened.owner.prepared.spec
    labels = tuple(sealed.model_copy(update={"rows": 2**53}) for sealed in honest.labels)
    spec = honest.model_copy(update={"labels": labels})
    job.store.put_block(spec.to_block())
    assert "labels.rows" in refuse(job, *offered(job, spec), SpecError).message


def test_job_of_another_runtime_class_is_refused_before_the_stake(job: Rehearsal) -> None:
    honest = job.opened.owner.prepared.spec
    elsewhere = honest.runtime_class.replace("float32", "AVX1024 float32")
    spec = honest.model_copy(update={"runtime_class": elsewhere})
    job.store.put_block(spec.to_block())
    refusal = refuse(job, *offered(job, spec), RuntimeMismatch)
    assert elsewhere in refusal.message and honest.runtime_class in refusal.message
    assert refusal.cause is Cause.MACHINE and refusal.hint


def test_model_whose_code_is_another_here_is_refused_before_the_stake(job: Rehearsal) -> None:
    honest = job.opened.owner.prepared.spec
    for kind, error in (
        ("tests.custom_model:blocks", "demands"),
        ("absent_package.model:blocks", "not on this machine"),
    ):
        model = honest.model.model_copy(update={"kind": kind, "widths": (), "code": bytes(32)})
        spec = honest.model_copy(update={"model": model})
        job.store.put_block(spec.to_block())
        refusal = refuse(job, *offered(job, spec), ModelUnusable, trusted=kind)
        assert error in refusal.message and refusal.cause is Cause.MACHINE


def test_other_terms_than_agreed_are_refused(job: Rehearsal) -> None:
    number, params = offered(job, job.opened.owner.prepared.spec)
    agreed = replace(params, pay_wei=params.pay_wei + 1, label_anchor=Digest(b"\x01" * 32))
    refusal = refuse(job, number, agreed, SpecError)
    assert "other terms on chain than those agreed" in refusal.message


def test_fit_job_is_joined(job: Rehearsal) -> None:
    number, params = offered(job, job.opened.owner.prepared.spec)
    account = job.parties.trainers[0]
    before = job.opened.node.balance(Address(account.address))
    trainer = Trainer(0, account, job.contract(0), job.opened.index, job.store, job.parties.trainer_secrets[0], {"mlp"})
    trainer.join(number, job.contract().genesis_of(number), params, "nowhere")
    assert job.opened.node.balance(Address(account.address)) < before - params.stake_wei
    assert job.contract().job(number).filled == 1
