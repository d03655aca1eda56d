"""Attacks on mistakes that the library refuses: what each refusal prevents.

On an honest release every attack here finds nothing; the tests keep the broken variants on which it succeeds. Counts
and sizes are public, and each function says what else its attacker was given by the mistake.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.special import ndtr, ndtri

from clicooper.attacks.privacy.grouping import assign_balanced
from clicooper.attacks.privacy.scores import Guess

__all__ = ["group_by_counts", "join_maps", "naive_float32_noise", "remove_shared_noise", "reproduces_in_float32"]


def group_by_counts(rows_per_label: NDArray[np.int64], class_sizes: NDArray[np.int64], gamma: tuple[int, ...]) -> Guess:
    """Names pseudo-labels by how many records they have.

    Dealing a class's records to its pseudo-labels in turn gives each ``n_c / gamma_c``, a signature of the class.

    Args:
        rows_per_label: int64 (P,), records of each pseudo-label.
        class_sizes: int64 (K,), n_c, public.
    """
    expected = class_sizes / np.array(gamma)
    return Guess(assign_balanced(-np.square(rows_per_label[:, None] - expected), gamma))


def join_maps(first: NDArray[np.int64], second: NDArray[np.int64], labels: int) -> Guess:
    """Groups the pseudo-labels of one map by what a second map over some of the same records joins.

    Two pseudo-labels of the first map that share one of the second belong to one class; so do all in a connected part
    of that graph.

    Args:
        first, second: int64 (s,), both pseudo-labels of each shared record.
        labels: number of the first map's pseudo-labels.
    """
    edges = coo_matrix((np.ones(first.size), (first, labels + second)), shape=[labels + int(second.max()) + 1] * 2)
    _, parts = connected_components(edges, directed=False)
    return Guess(np.asarray(parts[:labels], dtype=np.int64), anonymous=True)


def remove_shared_noise(
    rows: NDArray[np.float64], sigma: float, others: NDArray[np.float64], other_sigma: float
) -> NDArray[np.float64]:
    """The clean rows behind two releases whose noise is one draw at two deviations: two equations, two unknowns."""
    return np.asarray((other_sigma * rows - sigma * others) / (other_sigma - sigma))


def naive_float32_noise(shape: tuple[int, ...], sigma: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """The mistake: single-precision normal noise from 24-bit uniform numbers, added without rounding to a grid."""
    uniform = (rng.integers(1 << 24, size=shape) + 0.5) / (1 << 24)
    return np.asarray(np.float32(sigma) * ndtri(uniform).astype(np.float32), dtype=np.float32)


def reproduces_in_float32(
    released: NDArray[np.float32], candidates: NDArray[np.float32], sigma: float
) -> NDArray[np.bool_]:
    """Whether some draw of ``naive_float32_noise`` turns each candidate into exactly the released number.

    Noise takes few values, and more of the released numbers can be reached from the truth than from anything else
    (Mironov, "On significance of the least significant bits for differential privacy", CCS 2012).

    Args:
        released, candidates: float32 of one shape.

    Returns:
        bool of that shape.
    """
    needed = (released.astype(np.float64) - candidates.astype(np.float64)) / sigma
    nearest = np.floor(ndtr(needed) * (1 << 24)).astype(np.int64)
    reached = np.zeros(released.shape, dtype=bool)
    for offset in range(-2, 3):
        draw = np.clip(nearest + offset, 0, (1 << 24) - 1)
        noise = np.float32(sigma) * ndtri((draw + 0.5) / (1 << 24)).astype(np.float32)
        reached |= candidates + noise == released
    return reached
