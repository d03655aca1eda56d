"""One Merkle convention, shared with the contract.

Leaves are hashed twice, ``keccak256(bytes.concat(keccak256(abi.encode(...))))``, so that no inner node
can pass for a leaf; pairs are hashed in sorted order (OpenZeppelin's commutative pairs); an odd node is
promoted unchanged. A proof is the list of siblings from the leaf upwards, as ``MerkleProof.verify`` reads it.
"""

from collections.abc import Sequence

from eth_utils import keccak

from clicooper.types import Digest

__all__ = ["merkle_proof", "merkle_root", "merkle_verify", "transcript_leaf"]


def transcript_leaf(
    step: int, input_: Digest, output: Digest, grad_received: Digest, grad_sent: Digest, state: Digest
) -> Digest:
    """The leaf of one training step; absent gradients and states are 32 zero bytes."""
    # abi.encode of a number and five bytes32: one word each, in order.
    words = step.to_bytes(32, "big") + input_ + output + grad_received + grad_sent + state
    return Digest(keccak(keccak(words)))


def _pair(a: bytes, b: bytes) -> Digest:
    return Digest(keccak(a + b if a < b else b + a))


def _parents(nodes: Sequence[Digest]) -> list[Digest]:
    paired = [_pair(nodes[i], nodes[i + 1]) for i in range(0, len(nodes) - 1, 2)]
    return [*paired, nodes[-1]] if len(nodes) % 2 else paired


def merkle_root(leaves: Sequence[Digest]) -> Digest:
    """Root over ``leaves`` in the given order.

    Raises:
        ValueError: no leaves.
    """
    if not leaves:
        raise ValueError("a Merkle tree needs at least one leaf")
    nodes = list(leaves)
    while len(nodes) > 1:
        nodes = _parents(nodes)
    return nodes[0]


def merkle_proof(leaves: Sequence[Digest], index: int) -> tuple[Digest, ...]:
    """Siblings of leaf ``index``, from the leaf's level up; levels where it is promoted add none."""
    if not 0 <= index < len(leaves):
        raise ValueError(f"leaf {index} of {len(leaves)} does not exist")
    proof: list[Digest] = []
    nodes = list(leaves)
    while len(nodes) > 1:
        sibling = index ^ 1
        if sibling < len(nodes):
            proof.append(nodes[sibling])
        nodes, index = _parents(nodes), index // 2
    return tuple(proof)


def merkle_verify(root: Digest, leaf: Digest, proof: Sequence[Digest]) -> bool:
    """Whether ``proof`` leads from ``leaf`` to ``root``."""
    node = leaf
    for sibling in proof:
        node = _pair(node, sibling)
    return node == root
