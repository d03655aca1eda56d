"""What the owner prepares once, before anyone joins: bottom model, label map, release, sealed labels, spec.

All of it is a function of the configuration, the data and the owner's master secret; nothing is drawn twice.
Publishing the job on chain and running it are the jobs of ``owner`` and ``job``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clicooper.access.identity import recipient_of
from clicooper.commitments.canonical import sha256
from clicooper.commitments.head import label_anchor
from clicooper.commitments.manifest import JobSpec
from clicooper.config import JobConfig
from clicooper.errors import UsageError
from clicooper.learning.checkpoint import State, state_digest
from clicooper.learning.controls import ReadAccuracy, read_accuracy
from clicooper.learning.readout import Readout
from clicooper.learning.terms import check_terms
from clicooper.privacy.accounting import sensitivity
from clicooper.privacy.composition import Division
from clicooper.privacy.hiding import MapHiding, measure_hiding
from clicooper.privacy.ledger import Ledger, ReleaseRequest
from clicooper.privacy.randomness import MasterSecret
from clicooper.privacy.release import Release, release_content, release_context
from clicooper.protocol.preparation.job_inputs import (
    JobInputs,
    ReleasePlan,
    load_records,
    make_inputs,
    make_job_release,
    plan_release,
)
from clicooper.protocol.preparation.owner_secrets import OwnerSecrets, derive_secrets
from clicooper.protocol.preparation.specification import check_plan, cut_model, make_model, make_params, publish_spec
from clicooper.storage.base import Store
from clicooper.storage.run_folder import RunFolder
from clicooper.types import Address, Digest, JobParams
from clicooper.watermark.carriers import MarkParams

__all__ = ["HEAD_NAME", "PreparedJob", "prepare_job", "restore_job"]

HEAD_NAME = "head.safetensors"
"""The bottom model in the owner's folder."""


@dataclass(frozen=True, eq=False)
class PreparedJob:
    """A job that is ready to be published.

    Attributes:
        release: in shard order; its pseudo-labels and records are secret.
        inputs: what it was made from, with clipped features.
    """

    config: JobConfig
    spec: JobSpec
    params: JobParams
    secrets: OwnerSecrets
    release: Release
    inputs: JobInputs

    @property
    def mark_params(self) -> MarkParams:
        """Size and strength of the marks."""
        return MarkParams(self.spec.marks.bits, self.spec.marks.strength)

    @property
    def guessing(self) -> float:
        """The share of the most frequent class among the held-out records: what naming it always would give."""
        labels = self.inputs.dataset.labels[self.inputs.splits.holdout]
        return max(float((labels == label).mean()) for label in set(labels.tolist()))

    def map_hiding(self) -> MapHiding:
        """How well this release hides its label map; for the owner's eyes."""
        rows = self.secrets.label_map.m // self.config.group
        released = self.inputs.features[self.inputs.splits.release]
        return measure_hiding(released, self.inputs.labels.labels, self.release.sigma, rows)

    def read_out(self, states: list[State], records: NDArray[np.int64], draws: int | None = None) -> ReadAccuracy:
        """Accuracy of committed segments on records of the owner's own.

        Args:
            draws: of the readout; None doubles them until its predictions settle.
        """
        readout = Readout(self.spec.model, states, self.secrets.label_map.fold, self.spec.training.input_scale)
        clean, labels = self.inputs.features[records], self.inputs.dataset.labels[records]
        return read_accuracy(readout, clean, labels, self.release.sigma, self.spec.seeds.noise, draws)


def prepare_job(
    config: JobConfig,
    master: MasterSecret,
    identity: str,
    arbiter: Address,
    arbiter_keys: Sequence[str],
    store: Store,
    folder: RunFolder,
) -> PreparedJob:
    """Makes everything that the job needs and puts its public artifacts into the store.

    Args:
        identity: the owner's age identity.
        arbiter: its address.
        arbiter_keys: age recipients of its members.

    Raises:
        DataError, SpecError, PrivacyClaimError, MarkCapacityError, ModelUnusable: a configuration that cannot work,
            before anything is published.
    """
    # A configuration that cannot work leaves no ledger behind.
    records = load_records(config, master)
    plan = plan_release(config, records.labels, master)
    model = cut_model(config, make_model(config, plan.label_map))
    check_plan(config, model, plan, len(records.splits.release), identity, arbiter_keys)
    inputs = make_inputs(
        config, records, plan.claim, master, lambda spending: _open_ledger(config, folder).reserve_head(spending)
    )
    ledger, content = _open_ledger(config, folder), _name_content(inputs, plan)
    context = _reserve_release(ledger, inputs, plan, content)
    release, shards = make_job_release(config, inputs, plan, master, context)
    secrets = derive_secrets(config, master, identity, plan.label_map, context)
    spec = publish_spec(config, store, model, release, shards, secrets, arbiter_keys)
    params = make_params(config, spec, secrets, arbiter)
    check_terms(spec, params)
    ledger.publish(ledger.entries()[-1].number, sha256(release.activations.tobytes()))
    return PreparedJob(config, spec, params, secrets, release, inputs.clip(config.clip))


def restore_job(
    config: JobConfig, master: MasterSecret, identity: str, spec: JobSpec, params: JobParams, folder: RunFolder
) -> PreparedJob:
    """The prepared job again, from what its owner keeps and what was published; nothing is drawn, spent or put.

    Args:
        spec, params: as they were published.
        folder: with the ledger of the release.

    Raises:
        UsageError: these are the secrets of another job.
        DataError, RunFolderError: the data or the ledger are not what they were.
    """
    ledger, kept = _open_ledger(config, folder), folder.owner / HEAD_NAME
    records = load_records(config, master)
    plan = plan_release(config, records.labels, master, _read_division(ledger))
    inputs = make_inputs(config, records, plan.claim, master, ledger.reserve_head, kept=kept)
    hint = "name the folder that the job was created from, with its data in their place"
    entries = ledger.entries()
    if not entries:
        raise UsageError(f"the ledger in {folder.owner} knows no release", hint=hint)
    if kept.exists() and _name_content(inputs, plan) != entries[-1].content:
        raise UsageError(f"head and data are not those of the release that {folder.owner} has made", hint=hint)
    context = release_context(entries[-1].content, entries[-1].number)
    secrets = derive_secrets(config, master, identity, plan.label_map, context)
    if label_anchor(secrets.label_keys[0]) != params.label_anchor or recipient_of(identity) != spec.owner_key:
        raise UsageError(f"the secrets in {folder.owner} are of another job than {spec.cid}", hint=hint)
    release, _ = make_job_release(config, inputs, plan, master, context)
    return PreparedJob(config, spec, params, secrets, release, inputs.clip(config.clip))


def _open_ledger(config: JobConfig, folder: RunFolder) -> Ledger:
    """The data set's ledger, with room for one release, its head and, where labels are protected, one response."""
    budget = config.epsilon + (config.label_epsilon or 0.0)
    return Ledger.open(folder.owner / "ledger.json", budget, config.delta)


def _read_division(ledger: Ledger) -> Division | None:
    """What head and release have spent: another version of the accountant might divide a little differently."""
    heads, entries = ledger.heads(), ledger.entries()
    if not heads or not entries:
        return None
    head, entry = heads[-1], entries[-1]
    return Division(head.mechanism, head.epsilon, head.delta, entry.epsilon, entry.delta)


def _name_content(inputs: JobInputs, plan: ReleasePlan) -> Digest:
    return release_content(inputs.labels.digest, state_digest(inputs.head.state()), plan.label_map, plan.params)


def _reserve_release(ledger: Ledger, inputs: JobInputs, plan: ReleasePlan, content: Digest) -> Digest:
    """Reserves the release in the data set's ledger before any noise is drawn; a crash repeats the same bytes."""
    params = plan.params
    entry = ledger.reserve(
        ReleaseRequest(
            dataset=inputs.labels.source,
            content=content,
            label_map=plan.label_map.digest,
            sigma=params.noise(math.prod(inputs.features.shape[1:])),
            sensitivity=sensitivity(params.clip, params.group),
            mechanism=params.mechanism,
            epsilon=params.epsilon,
            delta=params.delta,
            label_epsilon=plan.label_map.label_epsilon,
        )
    )
    return release_context(entry.content, entry.number)
