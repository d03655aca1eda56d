"""Commitments signed off the chain (EIP-712), for ``commitRound`` and as proof of what a trainer said.

Structure and domain are the contract's: ``Commit(uint256 job,uint32 round,uint8 seat,bytes32 head,bytes32
manifestDigest,bytes32 markCommitment)`` in ("CliCooper", "1", chain id, contract). A signature is worth one position:
two of them over different contents for the same one cost the signer its stake. Sending is the client's business.
"""

from dataclasses import dataclass

from eth_abi import encode
from eth_typing import Hash32
from eth_utils import keccak

from clicooper.chain.keys import LocalAccount
from clicooper.types import Address, Digest, Head, JobId

__all__ = [
    "COMMIT_TYPE",
    "CommitContents",
    "Domain",
    "Position",
    "SignedCommit",
    "commit_digest",
    "ruling_digest",
    "sign_commit",
    "sign_ruling",
]

DOMAIN_TYPE = "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
COMMIT_TYPE = "Commit(uint256 job,uint32 round,uint8 seat,bytes32 head,bytes32 manifestDigest,bytes32 markCommitment)"
RULING_TYPE = "Ruling(uint256 job,bytes32 challengeId,bool guilty)"


@dataclass(frozen=True)
class Domain:
    """Where a signature counts: one contract on one chain; version "1" of ``name``."""

    chain_id: int
    contract: Address
    name: str = "CliCooper"

    @property
    def separator(self) -> Digest:
        """EIP-712's ``domainSeparator``."""
        types = ["bytes32", "bytes32", "bytes32", "uint256", "address"]
        values = [_hash(DOMAIN_TYPE), _hash(self.name), _hash("1"), self.chain_id, self.contract]
        return Digest(keccak(encode(types, values)))


@dataclass(frozen=True)
class Position:
    """Where a commitment stands; ``head`` is the one just before it."""

    job: JobId
    round: int
    seat: int
    head: Head


@dataclass(frozen=True)
class CommitContents:
    """What a commitment says: the manifest's sha2-256, and the commitment to both mark keys."""

    manifest_digest: Digest
    mark_commitment: Digest

    def to_abi(self) -> tuple[Digest, Digest]:
        """In the order of the contract's ``Contents``."""
        return self.manifest_digest, self.mark_commitment


@dataclass(frozen=True)
class SignedCommit:
    """A commitment and its trainer's signature: 65 bytes (r, s, v), or what the trainer's EIP-1271 wallet takes."""

    contents: CommitContents
    signature: bytes


def commit_digest(domain: Domain, position: Position, contents: CommitContents) -> Digest:
    """What a trainer signs to commit ``contents`` at ``position``: EIP-712's digest, 32 bytes."""
    types = ["bytes32", "uint256", "uint32", "uint8", "bytes32", "bytes32", "bytes32"]
    at = [position.job, position.round, position.seat, position.head]
    return _digest(domain, encode(types, [_hash(COMMIT_TYPE), *at, *contents.to_abi()]))


def sign_commit(account: LocalAccount, domain: Domain, position: Position, contents: CommitContents) -> SignedCommit:
    """Signs a commitment. Never sign two different contents for one position: that is equivocation.

    Args:
        account: the seat's trainer.
        domain: the job's contract.
        position: where the commitment stands.
        contents: what it says.
    """
    return SignedCommit(contents, _sign(account, commit_digest(domain, position, contents)))


def ruling_digest(committee: Domain, job: JobId, challenge_id: Digest, guilty: bool) -> Digest:
    """What a member of a committee signs to vote: EIP-712's digest, 32 bytes.

    Args:
        committee: the committee's address, under the name "CliCooperCommittee".
        job: the job under arbitration.
        challenge_id: of the open challenge.
        guilty: the vote.
    """
    types = ["bytes32", "uint256", "bytes32", "bool"]
    return _digest(committee, encode(types, [_hash(RULING_TYPE), job, challenge_id, guilty]))


def sign_ruling(account: LocalAccount, committee: Domain, job: JobId, challenge_id: Digest, guilty: bool) -> bytes:
    """A committee member's vote, for ``ruleBySignatures``: 65 bytes (r, s, v)."""
    return _sign(account, ruling_digest(committee, job, challenge_id, guilty))


def _sign(account: LocalAccount, digest: Digest) -> bytes:
    return bytes(account.unsafe_sign_hash(Hash32(digest)).signature)


def _digest(domain: Domain, struct: bytes) -> Digest:
    return Digest(keccak(b"\x19\x01" + domain.separator + keccak(struct)))


def _hash(text: str) -> bytes:
    return keccak(text=text)
