"""A claim on work whose committed states no training gives: nobody computes with them, or confirms the work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clicooper.audit.artifacts import Artifacts
from clicooper.errors import VerificationFailed
from clicooper.learning.checkpoint import State
from clicooper.ownership import proof
from clicooper.ownership.claim_files import ClaimFiles
from clicooper.ownership.claim_work import _check_interval, check_work
from clicooper.ownership.proof import OwnershipProof, prove_ownership
from clicooper.types import Digest
from tests.adversaries.registry import ADAMW
from tests.adversaries.stage import zoo_config
from tests.adversaries.states import CountsBackwards, DivergesFromItsStates
from tests.scenario import rehearsal, seating
from tests.simulators import MemoryStore

SEAT = 1


def claim(root: Path, cheat: Any, **changes: Any) -> OwnershipProof:
    """What a cheat can show whose owner paid without looking."""
    with rehearsal(root, zoo_config(**changes), seating({SEAT: cheat})) as job:
        committed = job.train_and_commit()
        job.opened.owner.accept(0, committed[-1].head)
        secrets, keys = job.parties.trainer_secrets[SEAT], job.opened.owner.keys()
        return prove_ownership(job.record(), job.store, secrets, keys, 0, SEAT, Digest(bytes(32)), samples=2)


def read(made: OwnershipProof) -> ClaimFiles:
    store = MemoryStore()
    store.blocks.update(made.blocks)
    return ClaimFiles(store, made.bundle)


def test_a_claimant_is_told_that_an_impossible_state_cannot_be_shown(tmp_path: Path) -> None:
    made = claim(tmp_path, CountsBackwards, **ADAMW)
    assert [shown.index for shown in made.bundle.intervals] == [0]


def test_a_forged_claim_on_an_impossible_state_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def look_away(artifacts: Artifacts, round_: int, seat: int, interval: int) -> tuple[State, State | None]:
        weights, moments = artifacts.state(artifacts.start_state(round_, seat, interval))
        return weights, moments and {n: np.abs(a) if n.startswith("step/") else a for n, a in moments.items()}

    monkeypatch.setattr(proof, "open_start", look_away)
    made = claim(tmp_path, CountsBackwards, **ADAMW)
    assert [shown.index for shown in made.bundle.intervals] == [0, 1]
    with pytest.raises(VerificationFailed, match=r"starts from no state .* is -1\.0, where training gives 2"):
        _check_interval(read(made), 1, same_class=True)


def test_a_claim_on_states_from_which_training_diverges_is_refused(tmp_path: Path) -> None:
    made = claim(tmp_path, DivergesFromItsStates)
    with pytest.raises(VerificationFailed, match="interval 0: the state of step 1"):
        check_work(read(made), 2)
