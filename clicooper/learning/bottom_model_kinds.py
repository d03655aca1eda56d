"""The four kinds of head, from a setting's word to a head and what is said of it.

    disjoint    trained on records that are never released
    random      drawn from a public seed
    FILE        read from a safetensors file, which its owner vouches was not fitted to these records
    dp-sgd      trained on the released records by DP-SGD; its part of epsilon is taken from the release

Job: the choice between them, the same for a job and for its evaluation. Non-jobs: each kind itself.
"""

from collections.abc import Callable
from pathlib import Path

from clicooper.config import DISJOINT, DP_SGD, RANDOM
from clicooper.errors import DataError, PrivacyClaimError
from clicooper.learning.bottom_model import BottomModel, HeadSpec, load_head, make_random_head, train_head
from clicooper.learning.data import Dataset, Splits
from clicooper.learning.dp_head import BATCHES, STEPS, digest_training, train_dp_head
from clicooper.learning.released import ReleasedLabels
from clicooper.privacy.composition import Division, divide
from clicooper.privacy.ledger import HeadSpending
from clicooper.privacy.randomness import MasterSecret
from clicooper.privacy.release import Mechanism
from clicooper.privacy.statement import HeadClaim, HeadKind

__all__ = ["make_head", "make_head_claim", "name_head_kind"]


def name_head_kind(head: str) -> HeadKind:
    """The kind behind a setting: one of its three words, or the path of a file."""
    return "disjoint" if head == DISJOINT else "random" if head == RANDOM else "dp-sgd" if head == DP_SGD else "file"


def make_head_claim(
    head: str,
    epsilon: float,
    delta: float,
    head_epsilon: float | None = None,
    division: Division | None = None,
    mechanism: Mechanism = "gaussian",
) -> HeadClaim:
    """What a statement says of a head, and how it shares epsilon with the release.

    Args:
        head: a word or a path.
        epsilon, delta: of both together.
        head_epsilon: a ``dp-sgd`` head's part, half of epsilon if None; other heads have none.
        division: of a ``dp-sgd`` head that was made before; None finds the best one.
        mechanism: of the release.

    Raises:
        PrivacyClaimError: a part that leaves the release nothing, or one of a head that spends nothing.
    """
    if head == DP_SGD:
        part = epsilon / 2 if head_epsilon is None else head_epsilon
        pure = mechanism == "privunit"
        return HeadClaim("dp-sgd", epsilon, delta, division or divide(epsilon, delta, part, BATCHES, STEPS, pure=pure))
    if head_epsilon is not None:
        raise PrivacyClaimError(
            f"head_epsilon {head_epsilon:g} beside the head {head!r}, which spends nothing",
            hint=f"leave head_epsilon out, or set head to {DP_SGD}",
        )
    return HeadClaim(name_head_kind(head))


def make_head(
    spec: HeadSpec,
    dataset: Dataset,
    splits: Splits,
    labels: ReleasedLabels,
    claim: HeadClaim,
    *,
    file: Path,
    secret: MasterSecret,
    reserve: Callable[[HeadSpending], None],
) -> BottomModel:
    """Makes a head of ``spec.kind``; the same arguments give the same head.

    Args:
        dataset, splits: all records, and which of them may train a disjoint head.
        labels: of the released records, as they are released.
        claim: from ``make_head_claim``.
        file: of a head that is read.
        secret: the owner's master, from which DP-SGD draws.
        reserve: called before DP-SGD draws anything, with what it spends.

    Raises:
        DataError, SpecError: records or a file that make no head.
        PrivacyClaimError, PrivacyBudgetError: what ``reserve`` refuses.
    """
    if spec.kind == "random":
        return make_random_head(spec, dataset.shape)
    if spec.kind == "file":
        return load_head(file, dataset.shape, spec)
    if spec.kind == "disjoint":
        if not splits.head.size:
            raise DataError(
                f"{dataset.name}: a disjoint head needs records of its own",
                hint="raise head_records, or choose another head",
            )
        return train_head(dataset.inputs[splits.head], dataset.labels[splits.head], dataset.classes, spec)
    division = claim.division
    if division is None:
        raise PrivacyClaimError("a head by DP-SGD without a part of epsilon", hint="make its claim by make_head_claim")
    content = digest_training(labels.digest, labels.classes, spec, division.head)
    reserve(HeadSpending(labels.source, content, division.head, division.head_epsilon, division.head_delta))
    released = dataset.inputs[splits.release]
    return train_dp_head(released, labels.labels, labels.classes, spec, division.head, secret, labels.digest)
