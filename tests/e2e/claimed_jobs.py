"""Jobs whose trainers claim what they trained, and what a reader says of a claim."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eth_utils import keccak

from clicooper.access.grants import AuditKeys
from clicooper.audit.artifacts import Artifacts
from clicooper.chain.client import Contract
from clicooper.chain.record import JobRecord
from clicooper.history.follow import follow_record
from clicooper.history.history import History
from clicooper.learning.checkpoint import State
from clicooper.learning.suspect_file import Suspect
from clicooper.ownership.claims import JudgedClaim, judge_claim
from clicooper.ownership.proof import OwnershipProof, prove_ownership
from clicooper.protocol.job import run_rounds
from clicooper.types import Digest, Verdict
from tests.scenario import Rehearsal, quiet, rehearsal, tiny_config
from tests.simulators import MemoryStore

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
