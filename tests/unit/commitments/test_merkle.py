"""The Merkle convention: golden trees by hand, and attacks on proofs."""

import itertools

import pytest
from eth_utils import keccak

from clicooper.commitments.merkle import merkle_proof, merkle_root, merkle_verify, transcript_leaf
from clicooper.types import ZERO_DIGEST, Digest


def _leaves(count: int) -> list[Digest]:
    return [Digest(keccak(keccak(text=f"step {i}"))) for i in range(count)]


def _pair(a: bytes, b: bytes) -> Digest:
    return Digest(keccak(min(a, b) + max(a, b)))


def test_leaf_golden_value() -> None:
    """Computed with Foundry's ``cast abi-encode`` and ``cast keccak``."""
    ab, cd, ef = (Digest(bytes([byte]) * 32) for byte in (0xAB, 0xCD, 0xEF))
    leaf = transcript_leaf(5, ab, cd, ef, ab, ZERO_DIGEST)
    assert leaf.hex() == "692a28481ea09115a72369598935f854799cc9577da99238efb6f4a215c35bd7"


def test_every_field_of_a_step_is_in_its_leaf() -> None:
    fields = [Digest(bytes([i]) * 32) for i in range(1, 6)]
    leaves = {transcript_leaf(step, *order) for step in (0, 1) for order in itertools.permutations(fields)}  # type: ignore[arg-type]
    assert len(leaves) == 2 * 120


def test_roots_by_hand() -> None:
    a, b, c, d, e = _leaves(5)
    assert merkle_root([a]) == a
    assert merkle_root([a, b]) == _pair(a, b)
    assert merkle_root([a, b, c]) == _pair(_pair(a, b), c)
    assert merkle_root([a, b, c, d]) == _pair(_pair(a, b), _pair(c, d))
    assert merkle_root([a, b, c, d, e]) == _pair(_pair(_pair(a, b), _pair(c, d)), e)


def test_promoted_leaf_has_a_short_proof() -> None:
    leaves = _leaves(5)
    assert merkle_proof(leaves, 4) == (merkle_root(leaves[:4]),)
    assert merkle_proof(_leaves(1), 0) == ()


@pytest.mark.parametrize("count", [*range(1, 18), 31, 33])
def test_proof_verifies_its_own_leaf_alone(count: int) -> None:
    leaves = _leaves(count)
    root = merkle_root(leaves)
    for i, j in itertools.product(range(count), repeat=2):
        assert merkle_verify(root, leaves[j], merkle_proof(leaves, i)) == (i == j)


def test_root_depends_on_every_leaf_and_on_their_number() -> None:
    leaves = _leaves(7)
    roots = {merkle_root(leaves[:count]) for count in range(1, 8)}
    roots |= {merkle_root([*leaves[:i], ZERO_DIGEST, *leaves[i + 1 :]]) for i in range(7)}
    assert len(roots) == 14


def test_steps_in_another_order_have_another_root() -> None:
    """Sorted pairs hide a swap inside one pair; the step number inside each leaf does not."""
    digests = [Digest(bytes([i]) * 32) for i in range(1, 6)]
    first, second = (transcript_leaf(step, *digests) for step in (0, 1))  # type: ignore[arg-type]
    swapped = [transcript_leaf(step, *digests[::-1]) for step in (0, 1)]  # type: ignore[arg-type]
    assert merkle_root([first, second]) == merkle_root([second, first])
    assert merkle_root([first, second]) != merkle_root(swapped)


def test_verifier_rejects_inner_node_as_second_preimage() -> None:
    """Under single hashing an inner node's 64 bytes pass for a leaf's content; hashed twice they do not."""
    leaves = _leaves(4)
    root, left = merkle_root(leaves), sorted(leaves[:2])
    forged_content, upper_proof = b"".join(left), merkle_proof(leaves, 0)[1:]
    assert merkle_verify(root, Digest(keccak(forged_content)), upper_proof), "the attack on single hashing is real"
    assert not merkle_verify(root, Digest(keccak(keccak(forged_content))), upper_proof)


def test_verifier_rejects_cut_extended_and_reordered_proofs() -> None:
    leaves = _leaves(8)
    root, proof = merkle_root(leaves), merkle_proof(leaves, 3)
    assert merkle_verify(root, leaves[3], proof)
    for other in (proof[:-1], proof[1:], (*proof, ZERO_DIGEST), proof[::-1], ()):
        assert not merkle_verify(root, leaves[3], other)


def test_verifier_rejects_any_flipped_bit() -> None:
    leaves = _leaves(5)
    root, leaf, proof = merkle_root(leaves), leaves[2], merkle_proof(leaves, 2)

    def flip(digest: Digest, bit: int) -> Digest:
        return Digest((int.from_bytes(digest, "big") ^ (1 << bit)).to_bytes(32, "big"))

    for bit in range(256):
        assert not merkle_verify(flip(root, bit), leaf, proof)
        assert not merkle_verify(root, flip(leaf, bit), proof)
        for i in range(len(proof)):
            assert not merkle_verify(root, leaf, (*proof[:i], flip(proof[i], bit), *proof[i + 1 :]))


@pytest.mark.parametrize("index", [-1, 3, 100])
def test_leaf_that_does_not_exist_has_no_proof(index: int) -> None:
    with pytest.raises(ValueError, match="does not exist"):
        merkle_proof(_leaves(3), index)


def test_nothing_has_no_root() -> None:
    with pytest.raises(ValueError, match="at least one leaf"):
        merkle_root([])
    with pytest.raises(ValueError, match="does not exist"):
        merkle_proof([], 0)
