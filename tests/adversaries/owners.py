"""Owners who publish other labels or another privacy claim than they should.

Nothing here catches labels that are balanced and false, nor noise that is weaker than declared but drawn by nobody
else: both are the owner's word, see docs/threats.md.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

import pytest

from clicooper.access.sealing import encrypt, labels_file_key, open_labels
from clicooper.audit.auditor import audit_record
from clicooper.audit.verdict import Check
from clicooper.commitments.canonical import sha256
from clicooper.commitments.manifest import ActivationRelease, JobSpec, LabelRelease, SealedLabels
from clicooper.errors import SealError, SpecError
from clicooper.privacy.statement import INPUT_OR_LABEL
from clicooper.protocol.owner import Owner
from clicooper.protocol.trainer import Trainer
from clicooper.storage.base import get_bytes, put_bytes
from clicooper.types import Digest, JobId
from tests.adversaries.stage import OWNER, Accused, Look, Outcome
from tests.scenario import Rehearsal, keys_of


class LyingOwner:
    """An owner with another specification than the honest one's. ``play`` gets the honest job to depart from."""

    check: ClassVar[str]
    names: ClassVar[Accused] = frozenset({OWNER})

    def spec(self, job: Rehearsal) -> JobSpec:
        """The specification that it publishes."""
        raise NotImplementedError

    def play(self, job: Rehearsal) -> Outcome:
        lied = self.opened(job)
        committed = lied.train_and_commit()
        lied.opened.owner.accept(0, committed[-1].head)
        return Outcome((Look.at(lied.audit(keys_of(lied, committed)).results),))

    def opened(self, job: Rehearsal) -> Rehearsal:
        """A further job on the same chain, under the other specification, up to its first labels."""
        honest = job.opened.owner
        spec = self.spec(job)
        job.store.put_block(spec.to_block())
        params = replace(honest.prepared.params, spec_digest=spec.digest)
        prepared = replace(honest.prepared, spec=spec, params=params)
        owner = Owner(job.contract(), job.opened.index, job.store, prepared, 1000, 0.0, honest.retention)
        number, genesis = owner.create_job()
        trainers = []
        for seat, account in enumerate(job.parties.trainers):
            contract, secrets = job.contract(seat), job.parties.trainer_secrets[seat]
            trainer = Trainer(seat, account, contract, job.opened.index, job.store, secrets, {"mlp"})
            trainer.join(number, genesis, params, "nowhere")
            trainers.append(trainer)
        owner.collect_grants()
        trainers[-1].receive_grant(owner.grant_to_seat(len(trainers) - 1))
        owner.release_first_labels()
        opened = replace(job.opened, job=number, genesis=genesis, owner=owner, trainers=tuple(trainers))
        return replace(job, opened=opened)


def honest_labels(job: Rehearsal) -> LabelRelease:
    """Round 0's labels, opened."""
    prepared = job.opened.owner.prepared
    sealed, key = prepared.spec.labels[0], _key(job)
    plain = open_labels(get_bytes(job.store, sealed.ciphertext), key, Digest(sealed.plaintext_digest))
    return LabelRelease.from_block(plain)


def _key(job: Rehearsal) -> bytes:
    return labels_file_key(job.opened.owner.prepared.secrets.label_secret, job.opened.owner.label_key(0))


def _sealed(job: Rehearsal, labels: LabelRelease, promised: LabelRelease) -> SealedLabels:
    """These labels under the digest of what was promised."""
    ciphertext = put_bytes(job.store, encrypt(_key(job), labels.to_block()))
    rows = len(labels.pseudo_labels)
    return SealedLabels(rows=rows, plaintext_digest=sha256(promised.to_block()), ciphertext=ciphertext)


class ReleasesWrongLabels(LyingOwner):
    """Gives one record another pseudo-label, so that counts tell classes apart. Caught by `labels`; names the owner."""

    check = Check.LABELS.value

    def spec(self, job: Rehearsal) -> JobSpec:
        labels = honest_labels(job)
        first, *rest = labels.pseudo_labels
        other = next(label for label in rest if label != first)
        wrong = labels.model_copy(update={"pseudo_labels": (other, *rest)})
        return job.opened.owner.prepared.spec.model_copy(update={"labels": (_sealed(job, wrong, wrong),)})


class SealsOtherLabels(LyingOwner):
    """Seals other labels than its specification promises: the last seat cannot open them and trains nothing.

    Caught by `labels`; names the owner.
    """

    check = Check.LABELS.value

    def spec(self, job: Rehearsal) -> JobSpec:
        labels = honest_labels(job)
        wrong = labels.model_copy(update={"pseudo_labels": labels.pseudo_labels[::-1]})
        return job.opened.owner.prepared.spec.model_copy(update={"labels": (_sealed(job, wrong, labels),)})

    def play(self, job: Rehearsal) -> Outcome:
        lied = self.opened(job)
        with pytest.raises(SealError, match="do not open"):
            lied.opened.trainers[-1].open_labels(0)
        return Outcome((Look.at(lied.audit().results),))


class ClaimsMorePrivacyThanItGives(LyingOwner):
    """Declares half the epsilon that its noise gives. Caught by `release`; names the owner."""

    check = Check.RELEASE.value

    def spec(self, job: Rehearsal) -> JobSpec:
        honest = job.opened.owner.prepared.spec
        claim = honest.release.model_copy(update={"epsilon": honest.release.epsilon / 2})
        return republished(job, {"release": claim}, {"release": claim})


class ClaimsLabelsThatNothingHides(LyingOwner):
    """Says that labels are covered, and releases them as they are. Caught by `release`; names the owner."""

    check = Check.RELEASE.value

    def spec(self, job: Rehearsal) -> JobSpec:
        claim = job.opened.owner.prepared.spec.release.model_copy(update={"adjacency": INPUT_OR_LABEL})
        return republished(job, {"release": claim}, {"release": claim})


class ClaimsPrivUnitForOtherRows(LyingOwner):
    """Names a mechanism that needs less noise than its rows were made with. Caught by `release`; names the owner."""

    check = Check.RELEASE.value

    def spec(self, job: Rehearsal) -> JobSpec:
        update = {"mechanism": "privunit", "group": 1, "sigma": 100.0}
        claim = job.opened.owner.prepared.spec.release.model_copy(update=update)
        return republished(job, {"release": claim}, {"release": claim})


class ReleasesOffTheGrid(LyingOwner):
    """Rounds its noise to no public grid, whose last bits can tell the record. Caught by `release`; names the owner."""

    check = Check.RELEASE.value

    def spec(self, job: Rehearsal) -> JobSpec:
        honest = job.opened.owner.prepared.spec
        claim = honest.release.model_copy(update={"grid": honest.release.grid * 1.5})
        return republished(job, {"release": claim}, {"release": claim})


class _Unworkable(LyingOwner):
    """Opens a job that nobody joins, so that only its terms can be judged."""

    check = Check.TERMS.value

    def play(self, job: Rehearsal) -> Outcome:
        with pytest.raises(SpecError):
            self.opened(job)
        report = audit_record(job.record(JobId(job.opened.job + 1)), job.store, job.opened.owner.keys())
        return Outcome((Look.at(report.results),))


class AsksForWorkThatNobodyCanDo(_Unworkable):
    """Publishes a momentum that no optimizer takes, to have the seats blamed. Caught by `terms`; names the owner."""

    def spec(self, job: Rehearsal) -> JobSpec:
        honest = job.opened.owner.prepared.spec
        return honest.model_copy(update={"training": honest.training.model_copy(update={"momentum": -5.0})})


class CutsBesideTheModel(_Unworkable):
    """Cuts the model where it has no blocks, to have the seats blamed. Caught by `terms`; names the owner."""

    def spec(self, job: Rehearsal) -> JobSpec:
        honest = job.opened.owner.prepared.spec
        return honest.model_copy(update={"model": honest.model.model_copy(update={"cuts": (50, 60)})})


class DemandsMarksWithoutRoom(_Unworkable):
    """Demands more bits of marks than segments can hold. Caught by `terms`; names the owner."""

    def spec(self, job: Rehearsal) -> JobSpec:
        honest = job.opened.owner.prepared.spec
        return honest.model_copy(update={"marks": honest.marks.model_copy(update={"bits": 4096})})


class ToleratesEverything(_Unworkable):
    """Sets a tolerance that no cheat exceeds. Caught by `terms`; names the owner."""

    def spec(self, job: Rehearsal) -> JobSpec:
        honest = job.opened.owner.prepared.spec
        return honest.model_copy(update={"replay": honest.replay.model_copy(update={"tolerance": 1e9})})


def republished(job: Rehearsal, in_spec: dict[str, Any], in_release: dict[str, Any]) -> JobSpec:
    """The honest specification with other fields in it and in its release."""
    honest = job.opened.owner.prepared.spec
    release = ActivationRelease.from_block(job.store.get_block(honest.activation_release))
    link = job.store.put_block(release.model_copy(update=in_release).to_block())
    return honest.model_copy(update={"activation_release": link, **in_spec})
