"""Marks that are missing, early, of another key, or a cover for something else."""

# ruff: noqa: ARG002 - an override keeps the signature of what it replaces

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from clicooper.access.grants import ProgressKey
from clicooper.commitments.canonical import sha256
from clicooper.learning.checkpoint import State
from clicooper.learning.training import TrainedSegment
from clicooper.protocol.committed import CommittedSegment
from clicooper.protocol.trainer import Trainer
from clicooper.types import Head
from clicooper.watermark.embed import embed_both
from clicooper.watermark.keys import MarkPurpose, mark_seed
from tests.adversaries._invented import OTHER_KEY
from tests.adversaries.manifests import PublishingCheat


class OmitsMark(PublishingCheat):
    """Releases the raw weights under a mark commitment. Caught by `embed`; names its seat."""

    def released(self, round_: int, trained: TrainedSegment, out: State) -> State:
        return dict(trained.trained)


class MarksFromWrongHead(PublishingCheat):
    """Embeds marks that it computed before its predecessor committed. Caught by `mark`; names its seat."""

    def released(self, round_: int, trained: TrainedSegment, out: State) -> State:
        early = Head(b"\x07" * 32)
        return self.marked(trained, round_, early, self._secrets.mark_keys(self._job, round_, self.seat).of)

    def marked(self, trained: TrainedSegment, round_: int, head: Head, key_of: Any) -> State:
        place = (head, self._job, round_, self.seat, self.address, trained.transcript.root)
        seeds = [mark_seed(key_of(purpose), purpose, *place) for purpose in MarkPurpose]
        return dict(embed_both(trained.trained, seeds[0], seeds[1], self._mark_params))


class MarksWithUncommittedKey(MarksFromWrongHead):
    """Embeds marks of other keys than its commitment binds. Caught by `mark`; names its seat."""

    def released(self, round_: int, trained: TrainedSegment, out: State) -> State:
        head = self._contract.job(self._job).head
        return self.marked(trained, round_, head, lambda purpose: sha256(OTHER_KEY + purpose.name.encode()))


class EditsWeightsBehindTheMark(PublishingCheat):
    """Moves a few weights beside the marks. Caught by `embed`; names its seat."""

    def released(self, round_: int, trained: TrainedSegment, out: State) -> State:
        name = max(out, key=lambda key: out[key].size)
        edited = out[name].copy()
        edited.reshape(-1)[:5] += np.float32(0.5)
        return out | {name: edited}


class EditsBiasBehindTheMark(PublishingCheat):
    """Moves a bias, which carries no mark, by one unit in the last place. Caught by `embed`; names its seat."""

    def released(self, round_: int, trained: TrainedSegment, out: State) -> State:
        name = min((key for key in out if key.endswith("bias")), key=lambda key: out[key].size)
        return out | {name: np.nextafter(out[name], np.float32(1))}


class GrantsAnotherKey(Trainer):
    """Grants a progress key that its commitment does not bind. Caught by `mark`; names its seat."""

    def commit_segment(self, *args: Any) -> CommittedSegment:
        committed = super().commit_segment(*args)
        other = ProgressKey(OTHER_KEY, committed.progress_key.ownership_key_hash)
        return replace(committed, progress_key=other)


class MarksLate(PublishingCheat):
    """Commits its raw weights, and shows marked ones once the commitment stands. Caught by `mark`; names its seat."""

    def released(self, round_: int, trained: TrainedSegment, out: State) -> State:
        self._late = out
        return dict(trained.trained)

    def commit_segment(self, *args: Any) -> CommittedSegment:
        committed = super().commit_segment(*args)
        shown = committed.manifest.model_copy(update={"out": self._put(self._late)})
        self._store.put_block(shown.to_block())
        return replace(committed, manifest=shown)
