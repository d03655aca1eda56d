"""A finished job with everything that all its parties know: what attacks on marks start from, and how they are judged.

Reads a run folder that holds the secrets of every role, as ``demo`` writes it. No attacker has all of this; what each
one may use is said by its attack. Attacking and reading marks is done in ``removal``, ``forgery`` and ``survival``.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from eth_utils import keccak
from numpy.typing import NDArray

from clicooper.access.grants import IDENTITY_NAME, read_grants, read_identity
from clicooper.access.vault import TrainerSecrets
from clicooper.audit.artifacts import Artifacts
from clicooper.chain.record import read_record, write_record
from clicooper.chain.rpc.node import Node
from clicooper.commitments.head import mark_commitment
from clicooper.commitments.manifest import JobSpec, ModelSpec
from clicooper.config import JobConfig
from clicooper.errors import RunFolderError, UsageError
from clicooper.files import read_bounded
from clicooper.history.follow import Commitment, follow_record
from clicooper.learning.checkpoint import State
from clicooper.privacy.randomness import MasterSecret
from clicooper.protocol.job import JobParties, finish_job, open_job, run_rounds
from clicooper.protocol.owner_folder import read_settings
from clicooper.protocol.preparation.prepare import PreparedJob, restore_job
from clicooper.protocol.round import Progress
from clicooper.storage.local import LocalStore
from clicooper.storage.run_folder import RunFolder
from clicooper.types import Address, Digest, Head, JobId
from clicooper.user_text import decode_text
from clicooper.watermark.carriers import MarkParams
from clicooper.watermark.keys import MarkKeys, MarkPurpose, mark_seed

__all__ = ["JobMark", "MarkedJob", "load_marked_job", "merge_segments", "rehearse", "split_model"]

READOUT_DRAWS = 128
"""Draws of noise for one accuracy: two halves of so many differ on well under one record in a hundred."""

MAX_SECRET_FILE_BYTES = 4096


_DATA_SETTINGS = ("data", "head_records", "holdout_records", "test_records", "split_seed")


@dataclass(frozen=True, eq=False)
class JobMark:
    """One mark that a trainer committed.

    Attributes:
        key: the trainer's secret; that of a progress mark is known to the owner and auditors too.
        job, head, trainer, train_root: what the key is bound to besides round, seat and purpose.
        raw: the committed weights of the round before any mark.
        out: the same with both marks of the round.
    """

    round: int
    seat: int
    purpose: MarkPurpose
    key: bytes = field(repr=False)
    job: JobId
    head: Head
    trainer: Address
    train_root: Digest
    raw: State = field(repr=False)
    out: State = field(repr=False)

    @property
    def seed(self) -> bytes:
        """Expands to the carriers."""
        return mark_seed(
            self.key, self.purpose, self.head, self.job, self.round, self.seat, self.trainer, self.train_root
        )


@dataclass(frozen=True, eq=False)
class MarkedJob:
    """A finished job.

    Attributes:
        states: the final model, by seat.
        marks: of all rounds, seats and purposes.
        commitments: the mark commitments on chain.
        pseudo_labels: int64 (rows,), of the whole release; the last seat knows them.
    """

    prepared: PreparedJob
    states: tuple[State, ...]
    marks: tuple[JobMark, ...]
    commitments: frozenset[Digest]
    pseudo_labels: NDArray[np.int64] = field(repr=False)

    @property
    def spec(self) -> JobSpec:
        """The job's specification."""
        return self.prepared.spec

    @property
    def params(self) -> MarkParams:
        """Size and strength of the marks."""
        return self.prepared.mark_params

    @property
    def activations(self) -> NDArray[np.float32]:
        """The public release, (rows, ...)."""
        return self.prepared.release.activations

    @property
    def whole(self) -> ModelSpec:
        """The model in one piece."""
        return self.spec.model.model_copy(update={"cuts": ()})

    def marks_for(self, purpose: MarkPurpose) -> tuple[JobMark, ...]:
        """The marks of one purpose, by round and seat."""
        return tuple(mark for mark in self.marks if mark.purpose is purpose)

    def accuracy(self, states: Sequence[State]) -> float:
        """Accuracy on the owner's test records, under the better of the contrastive readout and a plain forward pass.

        A thief uses the model in whichever way serves it best, so an attack is given the better one.
        """
        test = self.prepared.inputs.splits.test
        read = self.prepared.read_out(list(states), test, READOUT_DRAWS)
        return max(read.accuracy, read.naive)

    def contrastive_accuracy(self, states: Sequence[State], draws: int = READOUT_DRAWS) -> float:
        """Accuracy on the owner's test records under the contrastive readout alone."""
        return self.prepared.read_out(list(states), self.prepared.inputs.splits.test, draws).accuracy


def merge_segments(states: Sequence[State]) -> State:
    """All segments as one state; blocks are numbered through the model, so no name occurs twice."""
    return {name: array for state in states for name, array in state.items()}


def split_model(whole: State, like: Sequence[State]) -> tuple[State, ...]:
    """A whole model as segments again, each with the names of its place in ``like``."""
    return tuple({name: whole[name] for name in state} for state in like)


def load_marked_job(root: Path, settings: JobConfig, trusted_models: Collection[str] = frozenset()) -> MarkedJob:
    """Reads a finished run and prepares its data again.

    Args:
        root: a run folder with the secrets of all roles.
        settings: names the data and how its records were divided; everything else is taken from the owner's folder.
        trusted_models: custom models whose code may run here.

    Raises:
        RunFolderError: the folder is incomplete, or holds no secrets of a role.
        UsageError: the settings give other data than the job was made from.
    """
    folder = RunFolder.open(root)
    artifacts = _open_artifacts(folder, trusted_models)
    return _read_job(folder, artifacts, _prepare_again(folder, settings, artifacts))


def rehearse(root: Path, config: JobConfig, progress: Progress) -> MarkedJob:
    """Runs a whole job in this process, on a chain and in a folder of its own, and reads it.

    Args:
        root: a new folder; nothing that is returned needs it any more.
        config: of the job.
    """
    folder = RunFolder.create(root)
    parties = JobParties.drawn(config)
    with Node.embedded() as node:
        opened = open_job(config, parties, node, LocalStore(folder.store), folder)
        run_rounds(opened, progress)
        write_record(folder.record, finish_job(opened))
    folder.finish()
    return _read_job(folder, _open_artifacts(folder, {config.model}), opened.owner.prepared)


def _open_artifacts(folder: RunFolder, trusted_models: Collection[str]) -> Artifacts:
    history = follow_record(read_record(folder.record))
    _require_secrets(folder, history.params.seats)
    return Artifacts(history, LocalStore(folder.store), read_grants(folder.owner / IDENTITY_NAME), trusted_models)


def _read_job(folder: RunFolder, artifacts: Artifacts, prepared: PreparedJob) -> MarkedJob:
    history = artifacts.history
    last = len(history.rounds) - 1
    return MarkedJob(
        prepared=prepared,
        states=tuple(artifacts.state_file(artifacts.manifest(last, seat).out) for seat in range(history.params.seats)),
        marks=_marks(folder, artifacts),
        commitments=frozenset(commitment.mark_commitment for commitment in history.commitments),
        pseudo_labels=artifacts.pseudo_labels_until(last),
    )


def _require_secrets(folder: RunFolder, seats: int) -> None:
    needed = [folder.owner / "master.key", *(folder.trainer(seat) / "secret.key" for seat in range(seats))]
    absent = [path for path in needed if not path.exists()]
    if absent:
        hint = "attacks need a rehearsal with the secrets of all roles, such as `clicooper demo` writes"
        raise RunFolderError(f"{folder.root} has no {absent[0].relative_to(folder.root)}", hint=hint)


def _marks(folder: RunFolder, artifacts: Artifacts) -> tuple[JobMark, ...]:
    secrets = {seat.seat: _trainer_secrets(folder, seat.seat) for seat in artifacts.history.seats}
    job = artifacts.history.job
    marks: list[JobMark] = []
    for commitment in artifacts.history.commitments:
        manifest = artifacts.manifest(commitment.round, commitment.seat)
        raw, out = artifacts.state_file(manifest.trained), artifacts.state_file(manifest.out)
        keys = secrets[commitment.seat].mark_keys(job, commitment.round, commitment.seat)
        _require_committed(keys, commitment)
        root = Digest(manifest.training_transcript_merkle_root)
        marks += [
            JobMark(
                round=commitment.round,
                seat=commitment.seat,
                purpose=purpose,
                key=keys.of(purpose),
                job=job,
                head=commitment.head_before,
                trainer=commitment.trainer,
                train_root=root,
                raw=raw,
                out=out,
            )
            for purpose in MarkPurpose
        ]
    return tuple(marks)


def _require_committed(keys: MarkKeys, commitment: Commitment) -> None:
    if mark_commitment(keys.progress, Digest(keccak(keys.ownership))) != commitment.mark_commitment:
        where = f"round {commitment.round}, seat {commitment.seat}"
        hint = "attack a job whose rounds all went through at the first attempt"
        raise RunFolderError(f"the secrets in the folder do not give the marks committed in {where}", hint=hint)


def _trainer_secrets(folder: RunFolder, seat: int) -> TrainerSecrets:
    own = folder.trainer(seat)
    return TrainerSecrets(_read_hex(own / "secret.key"), read_identity(own / IDENTITY_NAME))


def _prepare_again(folder: RunFolder, settings: JobConfig, artifacts: Artifacts) -> PreparedJob:
    """The owner's preparation made anew from its folder, with data and division as the settings name them."""
    spec, named = artifacts.spec, {name: getattr(settings, name) for name in _DATA_SETTINGS}
    config = read_settings(folder).model_copy(update=named)
    master = MasterSecret(_read_hex(folder.owner / "master.key"), secure=spec.release.secure)
    identity = read_identity(folder.owner / IDENTITY_NAME)
    try:
        return restore_job(config, master, identity, spec, artifacts.history.params, folder)
    except UsageError as e:
        hint = "give --data, and head_records, holdout_records, test_records and split_seed, as when it was made"
        message = f"the data and settings at hand are not those of the job in {folder.root}"
        raise UsageError(message, hint=hint) from e


def _read_hex(path: Path) -> bytes:
    hint = "restore it from a copy of the run folder"
    data = read_bounded(path, MAX_SECRET_FILE_BYTES, what="secret", follow=False, error=UsageError, hint=hint)
    try:
        return bytes.fromhex(decode_text(data).strip())
    except ValueError as e:
        # The text itself is a secret, and stays out of the message.
        raise UsageError(f"{path} is damaged", hint=hint) from e
