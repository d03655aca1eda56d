"""The contract as typed calls: acts that send transactions, and views.

Every act is simulated first, so that a refusal costs nothing and arrives as a ``RevertError`` with the contract's own
error name. Keys stay in this process. A job's events are read through ``index``; what a party *should* do is the
protocol's business.
"""

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import TypeVar

from clicooper.chain._abi import Abi
from clicooper.chain._transact import DEFAULT_POLICY, Deployed
from clicooper.chain.compile import load_artifact
from clicooper.chain.events import Challenged, JobCreated, event_from_abi, read_fields
from clicooper.chain.fees import SendPolicy
from clicooper.chain.keys import LocalAccount
from clicooper.chain.rpc.messages import Receipt
from clicooper.chain.rpc.node import Node
from clicooper.chain.typed_data import Domain, Position, SignedCommit
from clicooper.chain.views import ChallengeState, JobState, SeatState
from clicooper.commitments.head import params_to_abi
from clicooper.errors import ChainError
from clicooper.types import ZERO_ADDRESS, Address, Digest, Ground, Head, JobId, JobParams

__all__ = [
    "ChallengeState",
    "Contract",
    "JobState",
    "MarkOpening",
    "OpenedCommit",
    "Receipt",
    "SeatState",
    "TranscriptStep",
]

_E = TypeVar("_E")


@dataclass(frozen=True)
class OpenedCommit:
    """One commitment as ``open_mark`` shows it, in the order of the contract's struct."""

    trainer: Address
    manifest_digest: Digest
    mark_commitment: Digest


@dataclass(frozen=True)
class MarkOpening:
    """What ``open_mark`` puts on record, each 32 bytes.

    Args:
        progress_key_hash: keccak-256 of k_progress, which reveals nothing of it.
        ownership_key: k_ownership itself.
        suspect_digest: sha2-256 of the suspect model.
    """

    progress_key_hash: Digest
    ownership_key: Digest
    suspect_digest: Digest


@dataclass(frozen=True)
class TranscriptStep:
    """The digests of one training step, zero where there is none, in the order of the contract's struct."""

    step: int
    input: Digest
    output: Digest
    grad_received: Digest
    grad_sent: Digest
    state: Digest


class Contract(Deployed):
    """One deployed contract, seen from one account.

    Args:
        node: the chain.
        address: where the contract is.
        account: who acts; None for reading only.
        policy: cap of the fees and number of confirmations of every act.

    Attributes:
        newest_block: of the last act, from which on a reader of the chain has to know it; 0 before the first.

    Raises:
        ChainError: there is no contract at that address.
    """

    _what = "contract"
    _hint = "check the address and the network; deploy with: clicooper deploy"

    def __init__(
        self,
        node: Node,
        address: Address,
        account: LocalAccount | None = None,
        policy: SendPolicy = DEFAULT_POLICY,
    ) -> None:
        super().__init__(node, address, Abi(load_artifact().abi), account, policy)
        self.domain = Domain(node.chain_id, address)
        self.newest_block = 0

    def create_job(self, params: JobParams) -> tuple[JobId, Receipt]:
        """Opens a job. In the native coin the call carries the escrow; a token must have been approved before."""
        value_wei = params.escrow_wei if params.token == ZERO_ADDRESS else 0
        receipt = self._transact("createJob", params_to_abi(params), value_wei=value_wei)
        return self._event_in(receipt, JobCreated).job, receipt

    def cancel(self, job: JobId) -> Receipt:
        """Takes the job back before its first label key."""
        return self._transact("cancel", job)

    def join(self, job: JobId, genesis: Head, seat: int, key_record: bytes, stake_wei: int) -> Receipt:
        """Takes a free seat, or in REFILL the seat that the owner named this account for.

        Args:
            job: which one.
            genesis: its first head, as the trainer computed it from the parameters that it agreed to.
            seat: counted from 0.
            key_record: at most 512 bytes.
            stake_wei: coin to send along: the job's stake, or 0 where the job pays in a token.
        """
        return self._transact("join", job, genesis, seat, key_record, value_wei=stake_wei)

    def release_labels(self, job: JobId, key: Digest) -> Receipt:
        """Reveals the label key that is due."""
        return self._transact("releaseLabels", job, key)

    def commit(self, job: JobId, head: Head, manifest_digest: Digest, mark_commitment: Digest) -> Receipt:
        """Commits this account's segment on top of ``head``."""
        return self._transact("commit", job, head, manifest_digest, mark_commitment)

    def commit_round(self, job: JobId, head: Head, commits: Sequence[SignedCommit]) -> Receipt:
        """Commits a run of seats, from the one whose turn it is, each by its trainer's signature; anyone may send it.

        Args:
            job: which one.
            head: the head that the first of them builds on.
            commits: in the order of the seats; each is signed over the head just before it.
        """
        contents = [signed.contents.to_abi() for signed in commits]
        return self._transact("commitRound", job, head, contents, [signed.signature for signed in commits])

    def accept(self, job: JobId, head: Head, label_key: Digest) -> Receipt:
        """Accepts the round that ends in ``head`` and reveals the next label key."""
        return self._transact("accept", job, head, label_key)

    def challenge(
        self, job: JobId, head: Head, accused: int, ground: Ground, evidence_digest: Digest, bond_wei: int
    ) -> tuple[Digest, Receipt]:
        """Accuses before the arbiter and stops the clock; returns the challenge's id.

        Args:
            job: which one.
            head: the head that the accusation was decided on.
            accused: a seat, or ``ACCUSED_OWNER``.
            ground: the charge.
            evidence_digest: sha2-256 of the evidence, which should name its challenger, or it can be copied.
            bond_wei: coin to send along: what ``bond_due`` says, or 0 where the job pays in a token.
        """
        args = (job, head, accused, int(ground), evidence_digest)
        receipt = self._transact("challenge", *args, value_wei=bond_wei)
        return self._event_in(receipt, Challenged).challenge_id, receipt

    def rule(self, job: JobId, challenge_id: Digest, guilty: bool) -> Receipt:
        """Decides the open challenge; for the job's arbiter alone."""
        return self._transact("rule", job, challenge_id, guilty)

    def prove_equivocation(self, position: Position, first: SignedCommit, second: SignedCommit) -> Receipt:
        """Expels a seat whose trainer signed two different contents for one position of the current round.

        Args:
            position: job, round, seat and head of both signatures, whether or not the job ever had that head.
            first: one of them.
            second: the other one.
        """
        contents = [signed.contents.to_abi() for signed in (first, second)]
        return self._transact("proveEquivocation", *astuple(position), contents, [first.signature, second.signature])

    def name_replacement(self, job: JobId, head: Head, seat: int, trainer: Address) -> Receipt:
        """Says who may take a vacant seat in REFILL; may be repeated until somebody joins."""
        return self._transact("nameReplacement", job, head, seat, trainer)

    def open_mark(
        self,
        job: JobId,
        round_: int,
        seat: int,
        head_start: Head,
        commits: Sequence[OpenedCommit],
        opening: MarkOpening,
    ) -> Receipt:
        """Puts both keys of this account's mark in an accepted round on record, and a suspect with them.

        Args:
            job: which one.
            round_: an accepted round.
            seat: that this account committed there.
            head_start: the head just before that commitment.
            commits: that commitment and those of all later seats, in order.
            opening: the keys and the suspect; only the first one a seat and round counts.
        """
        opened = [astuple(commit) for commit in commits]
        return self._transact("openMark", job, round_, seat, head_start, opened, *astuple(opening))

    def abort(self, job: JobId) -> Receipt:
        """Gives up on a vacant seat."""
        return self._transact("abort", job)

    def resolve_timeout(self, job: JobId) -> Receipt:
        """Takes the exit of the current phase, once its deadline has passed."""
        return self._transact("resolveTimeout", job)

    def withdraw(self, job: JobId) -> Receipt:
        """Pays this account all that the job owes it."""
        return self._transact("withdraw", job)

    def genesis_of(self, job: JobId) -> Head:
        """The job's first head."""
        return Head(self._view("genesisOf", job))

    def job(self, job: JobId) -> JobState:
        """Where the job stands; raises RevertError ``NoSuchJob`` if there is none."""
        return read_fields(JobState, self._view("jobOf", job))

    def job_count(self) -> int:
        """How many jobs there are; they are numbered from 1."""
        return int(self._view("jobCount"))

    def seat(self, job: JobId, seat: int) -> SeatState:
        """Who holds a seat."""
        return read_fields(SeatState, self._view("seatOf", job, seat))

    def challenge_of(self, job: JobId) -> ChallengeState:
        """The open challenge; raises RevertError ``WrongPhase`` outside of ARBITRATION."""
        return read_fields(ChallengeState, self._view("challengeOf", job))

    def bond_due(self, job: JobId) -> int:
        """What a challenge would lock now, in wei or the token's smallest unit; doubles with each that failed."""
        return int(self._view("bondDue", job))

    def transcript_holds(
        self, manifest_digest: Digest, prefix: bytes, root: Digest, step: TranscriptStep, proof: Sequence[Digest]
    ) -> bool:
        """Whether a manifest's transcript contains this step, as the contract sees it.

        Args:
            manifest_digest: sha2-256 of the manifest's block.
            prefix: that block without its last 32 bytes.
            root: those 32 bytes, the transcript's root.
            step: the step's digests.
            proof: its Merkle proof, leaf's sibling first.
        """
        return bool(self._view("transcriptHolds", manifest_digest, prefix, root, astuple(step), list(proof)))

    def round_head(self, job: JobId, round_: int) -> Head:
        """The head in which an accepted round ended; zero for one that is not accepted."""
        return Head(self._view("roundHead", job, round_))

    def owed_to(self, job: JobId, account: Address) -> int:
        """What ``withdraw`` would pay the account now, in wei or the token's smallest unit."""
        return int(self._view("owedTo", job, account))

    def _transact(self, name: str, *args: object, value_wei: int = 0) -> Receipt:
        receipt = super()._transact(name, *args, value_wei=value_wei)
        self.newest_block = receipt.block_number
        return receipt

    def _event_in(self, receipt: Receipt, kind: type[_E]) -> _E:
        for address, log in receipt.logs:
            if address == self.address.lower():
                event = event_from_abi(*self._abi.decode_event(log.topics, log.data))
                if isinstance(event, kind):
                    return event
        raise ChainError(f"the event {kind.__name__} is missing from its receipt", hint="ask another node")
