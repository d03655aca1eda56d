"""The head: one running keccak-256 over everything that a job commits, as the contract computes it."""

from collections.abc import Sequence

from eth_abi import encode as abi_encode
from eth_utils import keccak

from clicooper.types import Address, Digest, Ground, Head, JobId, JobParams

__all__ = [
    "GENESIS_TAG",
    "PARAMS_TYPE",
    "RESTART_TAG",
    "audit_seed",
    "challenge_id",
    "genesis",
    "label_anchor",
    "label_keys",
    "mark_commitment",
    "next_head",
    "opened_commitment",
    "params_to_abi",
    "restart_head",
]

GENESIS_TAG = keccak(b"CliCooper/1")
RESTART_TAG = keccak(b"CliCooper/1/restart")

PARAMS_TYPE = (
    "(address,uint96,uint96,uint96,uint96,uint96,uint96,uint8,uint32,"
    "uint32,uint32,uint32,uint32,uint32,uint32,address,bytes32,bytes32,address[])"
)


def params_to_abi(params: JobParams) -> tuple[object, ...]:
    """The parameters in the order of the contract's ``Params`` struct."""
    return (
        params.token,
        params.pay_wei,
        params.stake_wei,
        params.owner_bond_wei,
        params.challenge_bond_wei,
        params.arbiter_fee_wei,
        params.silence_penalty_wei,
        params.seats,
        params.rounds,
        params.join_window_s,
        params.label_window_s,
        params.train_window_s,
        params.turn_window_s,
        params.review_window_s,
        params.arbitration_window_s,
        params.arbiter,
        params.spec_digest,
        params.label_anchor,
        list(params.allow_list),
    )


def genesis(chain_id: int, contract: Address, job: JobId, owner: Address, params: JobParams) -> Head:
    """The first head of a job, bound to chain, contract, owner and every parameter."""
    params_hash = keccak(abi_encode([PARAMS_TYPE], [params_to_abi(params)]))
    types = ["bytes32", "uint256", "address", "uint256", "address", "bytes32"]
    return Head(keccak(abi_encode(types, [GENESIS_TAG, chain_id, contract, job, owner, params_hash])))


def next_head(
    head: Head, job: JobId, round_: int, seat: int, trainer: Address, manifest_digest: Digest, mark: Digest
) -> Head:
    """The head after one commitment."""
    types = ["bytes32", "uint256", "uint32", "uint8", "address", "bytes32", "bytes32"]
    return Head(keccak(abi_encode(types, [head, job, round_, seat, trainer, manifest_digest, mark])))


def restart_head(head: Head, job: JobId, round_: int, seat: int, evicted: Address) -> Head:
    """The head after a seat was vacated: it moves on and is never rewound, so no position occurs twice.

    Args:
        head: the head just before; after a first attempt at the round it covers that attempt's commitments.
        job: which job.
        round_: the round that starts again once the seat is filled.
        seat: the seat that is vacant now.
        evicted: who held it.
    """
    types = ["bytes32", "bytes32", "uint256", "uint32", "uint8", "address"]
    return Head(keccak(abi_encode(types, [head, RESTART_TAG, job, round_, seat, evicted])))


def challenge_id(
    chain_id: int,
    contract: Address,
    job: JobId,
    round_: int,
    head: Head,
    accused: int,
    challenger: Address,
    evidence_digest: Digest,
    ground: Ground,
) -> Digest:
    """Names one accusation, so that a ruling can act on no other.

    Args:
        chain_id: of the chain.
        contract: that the challenge is made to.
        job: which job.
        round_: the round in progress.
        head: that the accusation was decided on.
        accused: a seat, or ``ACCUSED_OWNER``.
        challenger: who accuses.
        evidence_digest: sha2-256 of the evidence.
        ground: the charge.
    """
    types = ["uint256", "address", "uint256", "uint32", "bytes32", "uint8", "address", "bytes32", "uint8"]
    values = [chain_id, contract, job, round_, head, accused, challenger, evidence_digest, int(ground)]
    return Digest(keccak(abi_encode(types, values)))


def mark_commitment(progress_key: bytes, ownership_key_hash: Digest) -> Digest:
    """Binds both mark keys of one attempt; opening one reveals nothing of the other.

    Args:
        progress_key: 32 secret bytes.
        ownership_key_hash: keccak-256 of the ownership key, so that an auditor never needs the key itself.
    """
    return Digest(keccak(abi_encode(["bytes32", "bytes32"], [keccak(progress_key), ownership_key_hash])))


def opened_commitment(progress_key_hash: Digest, ownership_key: Digest) -> Digest:
    """The mark commitment that ``openMark`` checks these against.

    Args:
        progress_key_hash: keccak-256 of the progress key, so that an opening reveals nothing of it.
        ownership_key: 32 bytes.
    """
    return Digest(keccak(abi_encode(["bytes32", "bytes32"], [progress_key_hash, keccak(ownership_key)])))


def label_anchor(key: Digest) -> Digest:
    """The hash that ``key`` opens: the previous label key, or the job's anchor for key 0."""
    return Digest(keccak(abi_encode(["bytes32"], [key])))


def label_keys(last_key: Digest, rounds: int) -> Sequence[Digest]:
    """Keys 0 to ``rounds`` of the chain that ends in ``last_key``; ``rounds + 1`` of them."""
    keys = [last_key]
    for _ in range(rounds):
        keys.append(label_anchor(keys[-1]))
    return tuple(reversed(keys))


def audit_seed(next_label_key: Digest, later_block_hash: Digest, head: Head) -> Digest:
    """Seed of a round's audit sample: the owner cannot choose it, nobody else can foresee it."""
    return Digest(keccak(abi_encode(["bytes32"] * 3, [next_label_key, later_block_hash, head])))
