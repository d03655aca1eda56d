"""Secret label expansion: K classes become many pseudo-labels that look alike.

Job: build the one secret map of a data set, fold what was learned on pseudo-labels back to classes, and deal
the rows of a release into shards, one per round. Non-jobs: hiding the *model* (a release averaged over a guessed
map rebuilds a classifier), or protecting a change of label: every class count that a map is made from is declared
public. Labels that are to be protected are noisy before they come here (``randomised_response``).

Every pseudo-label has exactly m records and therefore the same count, so counts say nothing about classes.
Dealing the surplus out instead, round-robin, marks each class by its own count and is not offered.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from clicooper.errors import DataError, PrivacyClaimError, UsageError
from clicooper.privacy.randomness import bind, permutation
from clicooper.types import Digest

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from clicooper.privacy.randomised_response import RandomisedResponse
    from clicooper.privacy.randomness import MasterSecret

__all__ = ["DROPPED", "LabelMap", "deal_shards", "expand_labels"]

DROPPED = -1
"""Pseudo-label of a record that no pseudo-label holds: it is never released."""


@dataclass(frozen=True, eq=False)
class LabelMap:
    """The secret map of one data set. Arrays are read-only; the map itself is never printed.

    Args:
        pseudo_of_record: int64 (n,), 0..P-1, or ``DROPPED``.
        class_of_pseudo: int64 (P,), 0..K-1.
        classes: K.
        m: records in every pseudo-label.
        gamma: per class, its number of pseudo-labels (public).
        response: the randomised response behind the labels that were expanded; None where they are true.
        digest: names the map in the owner's ledger; commits to it only as far as the map cannot be guessed.

    Raises:
        PrivacyClaimError: pseudo-labels of different sizes, or not as many of each class as declared.
    """

    pseudo_of_record: NDArray[np.int64] = field(repr=False)
    class_of_pseudo: NDArray[np.int64] = field(repr=False)
    classes: int
    m: int
    gamma: tuple[int, ...]
    response: RandomisedResponse | None = None
    digest: Digest = field(init=False, repr=False)

    def __post_init__(self) -> None:
        for name in ("pseudo_of_record", "class_of_pseudo"):
            array = np.array(getattr(self, name), dtype="<i8")
            array.setflags(write=False)
            object.__setattr__(self, name, array)
        self._refuse_uneven()
        parts = (self.classes, self.m, self.pseudo_of_record.tobytes(), self.class_of_pseudo.tobytes())
        noise = () if self.response is None else (float(self.response.epsilon),)
        object.__setattr__(self, "digest", bind("clicooper.label-map", *parts, *noise))

    def _refuse_uneven(self) -> None:
        """Counts that differ mark their class, and so do the gammas of a map that does not have what it declares."""
        kept = self.pseudo_of_record[self.pseudo_of_record != DROPPED]
        sizes = np.unique(kept, return_counts=True)
        if not np.array_equal(sizes[0], np.arange(self.class_of_pseudo.size)) or (sizes[1] != self.m).any():
            raise PrivacyClaimError(
                f"a map whose pseudo-labels do not have {self.m} records each gives classes away by their counts",
                hint="make maps with expand_labels, which drops the surplus",
            )
        if not np.array_equal(np.bincount(self.class_of_pseudo, minlength=self.classes), self.gamma):
            raise PrivacyClaimError(
                "the map does not have the pseudo-labels that it declares", hint="use expand_labels"
            )

    @property
    def pseudo_labels(self) -> int:
        """P, the number of pseudo-labels, the sum of gamma."""
        return int(self.class_of_pseudo.size)

    @property
    def label_epsilon(self) -> float | None:
        """What the response cost each record's label; None where there was none."""
        return None if self.response is None else self.response.epsilon

    @property
    def mixing(self) -> float:
        """rho of the response behind the labels, 0 where they are true."""
        return 0.0 if self.response is None else self.response.mixing

    @property
    def fold(self) -> NDArray[np.float64]:
        """The fold F: float64 (P, K), 1 where the pseudo-label belongs to the class; each row sums to 1."""
        return np.eye(self.classes, dtype=np.float64)[self.class_of_pseudo]

    def fold_scores(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Class scores (..., K) from pseudo-label scores (..., P): sums within each class."""
        folded: NDArray[np.float64] = scores @ self.fold
        return folded


def expand_labels(
    labels: NDArray[np.int64],
    classes: int,
    *,
    secret: MasterSecret,
    context: Digest,
    gamma: int | None = None,
    m: int | None = None,
    response: RandomisedResponse | None = None,
) -> LabelMap:
    """Draws the label map: ``gamma_c = floor(n_c / m)`` pseudo-labels of exactly ``m`` records for each class c.

    Which records go together, which are surplus and what each pseudo-label is called are secret draws that never
    look at inputs. ``m`` is computed from the class counts, which the release's statement declares fixed, public
    and not protected. The same secret, context and labels give the same map.

    Args:
        labels: int64 (n,), 0..classes-1, the released records only; the noisy ones where labels are protected.
        classes: K >= 2.
        secret: the owner's master.
        context: digest of the data set; independent of epsilon and of the release number, since a data set
            has one map for ever.
        gamma: pseudo-labels wanted for the smallest class, at least 1; then ``m = floor(min_c n_c / gamma)``.
        m: records per pseudo-label, instead of ``gamma``.
        response: what gave ``labels``, if they are noisy.

    Raises:
        UsageError: both or neither of ``gamma`` and ``m``.
        DataError: labels out of range, or a class with too few records.
    """
    counts = _count_classes(labels, classes)
    size = _choose_size(counts, gamma, m, noisy=response is not None)
    per_class = counts // size
    bound = bind("clicooper.label-map.draw", bytes(context), classes, size, labels.astype("<i8").tobytes())
    order = permutation(secret.derive("clicooper.labels.group", bound), labels.size)
    names = permutation(secret.derive("clicooper.labels.name", bound), int(per_class.sum()))

    pseudo_of_record = np.full(labels.size, DROPPED, dtype=np.int64)
    first = 0
    for label, gamma_c in enumerate(per_class):
        kept = order[labels[order] == label][: gamma_c * size]
        pseudo_of_record[kept] = np.repeat(names[first : first + gamma_c], size)
        first += gamma_c
    class_of_pseudo = np.empty(names.size, dtype=np.int64)
    class_of_pseudo[names] = np.repeat(np.arange(classes), per_class)
    return LabelMap(pseudo_of_record, class_of_pseudo, classes, size, tuple(int(g) for g in per_class), response)


def deal_shards(
    pseudo_of_row: NDArray[np.int64], rounds: int, *, secret: MasterSecret, context: Digest
) -> tuple[NDArray[np.int64], ...]:
    """Deals the rows of a release into one shard per round: disjoint, covering, fixed before round 0.

    Each pseudo-label's rows are shuffled and dealt one by one to the rounds in turn; the turn carries on from one
    pseudo-label to the next, so shard sizes differ by at most one, and with q rows in each pseudo-label every shard
    has floor(q/rounds) or one more of each. The *numbers* depend on P, q and rounds alone, all public, and on
    names that are a secret permutation; the *choice* within a pseudo-label is a secret permutation. So a shard
    tells nothing of the map beyond the pseudo-labels that its label release spells out.

    Args:
        pseudo_of_row: int64 (r,), from the release.
        rounds: number of shards, 1..r.
        secret: the owner's master.
        context: the release's context.

    Returns:
        Per round, int64 row indices in ascending order (rows are already secretly shuffled).

    Raises:
        DataError: more rounds than rows, or none.
    """
    rows = int(pseudo_of_row.size)
    if not 1 <= rounds <= rows:
        raise DataError(f"{rows} released rows cannot be dealt to {rounds} rounds", hint="use fewer rounds")
    order = permutation(secret.derive("clicooper.labels.shards", context), rows)
    by_name = order[np.argsort(pseudo_of_row[order], kind="stable")]
    return tuple(np.sort(by_name[turn::rounds]) for turn in range(rounds))


def _count_classes(labels: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    if classes < 2:
        raise DataError(f"{classes} classes cannot be hidden", hint="label expansion needs at least two classes")
    if labels.ndim != 1 or labels.dtype.kind not in "iu" or labels.size == 0:
        raise DataError("labels must be a non-empty vector of integers", hint="pass one class number per record")
    if labels.min() < 0 or labels.max() >= classes:
        raise DataError(
            f"labels span {labels.min()}..{labels.max()}, not 0..{classes - 1}", hint="number classes from 0"
        )
    return np.bincount(labels, minlength=classes).astype(np.int64)


def _choose_size(counts: NDArray[np.int64], gamma: int | None, m: int | None, *, noisy: bool) -> int:
    if (gamma is None) == (m is None):
        raise UsageError("label expansion needs exactly one of gamma and m", hint="name one of the two")
    wanted, name = (gamma, "gamma") if m is None else (m, "m")
    if wanted is None or wanted < 1:
        raise UsageError(f"{name} = {wanted} is below 1", hint=f"choose {name} of at least 1")
    rarest = int(counts.argmin())
    size = wanted if m is not None else int(counts[rarest]) // wanted
    if not 1 <= size <= counts[rarest]:
        when = " after randomised response" if noisy else ""
        raise DataError(
            f"class {rarest} has {counts[rarest]} records{when}, too few for {name} = {wanted}",
            hint=f"lower {name}, or release more records" + ("" if noisy else " of that class"),
        )
    return size
