"""The statement printed with every release: what is protected, what is not, and when it is void.

Job: say in plain words what ``accounting`` proves, and not a word more. Non-job: computing any number.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, TypeAlias

from clicooper.privacy.accounting import REPLACE_ONE

if TYPE_CHECKING:
    from clicooper.privacy.composition import Division
    from clicooper.privacy.release import Mechanism

__all__ = ["INPUT_OR_LABEL", "NO_SPENDING", "HeadClaim", "HeadKind", "Statement", "training_in_words"]

INPUT_OR_LABEL = f"{REPLACE_ONE}: its input, its label, or both"

_COVERS = (
    "the input of any one released record, against anyone who knows all the others",
    "whatever is computed from the release alone, for ever",
)
_EXCLUDES = (
    "labels, class counts and which classes exist",
    "held-out records",
    "accept bits",
    "published accuracy",
    "predictions served to others",
    "choices tuned on the released records",
    "further copies of a record, augmented or repeated: each copy spends epsilon again",
)
_LABELS_TOO = "the label of any one released record, and both together"
_CLASSES_ALONE = "how many classes there are"
_ITS_CLASS = "what an input by itself tells of its class"

_HEAD_EXCLUDES = {
    "disjoint": ("records that trained the head",),
    "file": ("records that trained the head, which its owner vouches are none of these",),
}
_HEAD_COVERS = {"dp-sgd": ("the head, trained on the same records, and whatever is computed from it",)}
_HEAD_VOID = {
    "disjoint": ", or if the head was fitted to the released records",
    "file": ", or if the head's file was fitted to the released records, which its owner vouches it was not",
}


HeadKind: TypeAlias = Literal["disjoint", "random", "file", "dp-sgd"]


@dataclass(frozen=True)
class HeadClaim:
    """What a statement says about the head.

    Args:
        kind: ``disjoint``, ``random``, ``file`` or ``dp-sgd``.
        epsilon, delta: of head and release together, where the head spends a part of them; else None.
        division: who spends what of it; None for a head that spends nothing.
    """

    kind: HeadKind = "disjoint"
    epsilon: float | None = None
    delta: float | None = None
    division: Division | None = None

    @property
    def covers(self) -> tuple[str, ...]:
        """What is protected."""
        return (*_COVERS, *_HEAD_COVERS.get(self.kind, ()))

    @property
    def excludes(self) -> tuple[str, ...]:
        """What is not."""
        return (*_EXCLUDES[:1], *_HEAD_EXCLUDES.get(self.kind, ()), *_EXCLUDES[1:])


NO_SPENDING = HeadClaim()
"""A head that was trained on other records."""


@dataclass(frozen=True)
class Statement:
    """What may be claimed about one release.

    Args:
        epsilon, delta: the guarantee for one source record: release and head together.
        sigma: standard deviation of the noise on each coordinate.
        clip: C, L2 bound of one record.
        group: b, records in one row.
        gamma: pseudo-labels of each class.
        m: records in each pseudo-label.
        records: n, records that the label map covers.
        released_rows: rows published.
        secure: False if the master secret came from a seed.
        head: the kind of head.
        head_epsilon, release_epsilon: what head and release spend, each by itself at half of delta, where the head was
            trained by DP-SGD; else None.
        training: of such a head, in words; else empty.
        adjacency: which data sets are neighbours.
        covers, excludes: what the guarantee is about, and what it is not about.
        label_epsilon: of one record's label, in addition to ``epsilon``; None where labels are not protected.
        mechanism: ``gaussian`` or ``privunit``, whose guarantee is pure: it holds at delta 0.
    """

    epsilon: float
    delta: float
    sigma: float
    clip: float
    group: int
    gamma: tuple[int, ...]
    m: int
    records: int
    released_rows: int
    secure: bool
    head: str
    head_epsilon: float | None
    release_epsilon: float | None
    training: str
    covers: tuple[str, ...]
    excludes: tuple[str, ...]
    adjacency: str = f"{REPLACE_ONE}: its input"
    label_epsilon: float | None = None
    mechanism: Mechanism = "gaussian"

    def with_labels(self, epsilon: float) -> Statement:
        """The statement where every label went through randomised response before anything was counted."""
        kept = tuple(item for item in self.excludes if item != _EXCLUDES[0])
        return replace(
            self,
            label_epsilon=epsilon,
            adjacency=INPUT_OR_LABEL,
            covers=(self.covers[0], _LABELS_TOO, *self.covers[1:]),
            excludes=(_CLASSES_ALONE, *kept, _ITS_CLASS),
        )

    def text(self) -> str:
        """The statement in plain words, several lines, no trailing newline."""
        lines = [
            *self._guarantee(),
            *([self.training] if self.training else []),
            self._mechanism(),
            f"Released: {self.released_rows} rows from n = {self.records} records; m = {self.m} records per "
            f"pseudo-label, gamma = {_ranges(self.gamma)}. No amplification is claimed from dropping or shuffling.",
            "Covers: " + "; ".join(self.covers) + ".",
            "Excludes: " + "; ".join(self.excludes) + ".",
            f"Void if the owner's master secret leaks{_HEAD_VOID.get(self.head, '')}.",
        ]
        if not self.secure:
            lines.insert(0, "INSECURE: derived from a seed; whoever knows the seed can subtract the noise.")
        return "\n".join(lines)

    def _mechanism(self) -> str:
        if self.mechanism == "privunit":
            return (
                f"Mechanism: PrivUnit on each record's direction, scaled to C = {self.clip:g}; noise of root mean "
                f"square {self.sigma:.6g} per coordinate; pure, so that it holds at delta 0 too."
            )
        return (
            f"Mechanism: mean of b = {self.group} records clipped to L2 norm C = {self.clip:g}, Gaussian noise "
            f"sigma = {self.sigma:.6g} per coordinate (analytic calibration, sensitivity 2C/b)."
        )

    def _guarantee(self) -> list[str]:
        fixed = "C and b" if self.training else "C, b and the head"
        if self.label_epsilon is None:
            return [
                f"({self.epsilon:g}, {self.delta:g})-differential privacy per source record, computational.",
                f"Neighbours differ in one record's input; its label, all class counts, n, m, gamma, {fixed} "
                "are fixed and not protected.",
            ]
        return [
            f"({self.epsilon + self.label_epsilon:g}, {self.delta:g})-differential privacy per source record, input "
            f"and label, computational: its input alone costs ({self.epsilon:g}, {self.delta:g}), its label alone "
            f"({self.label_epsilon:g}, 0).",
            f"Neighbours differ in one record's input, its label, or both; n, the number of classes, {fixed} "
            "are fixed and not protected. Labels went through randomised response before anything was counted: class "
            "counts, m and gamma are those of the noisy labels.",
        ]


def training_in_words(division: Division) -> str:
    """What trained a head by DP-SGD, and how both parts add up."""
    head = division.head
    return (
        f"Of an input's epsilon the head spends ({division.head_epsilon:g}, {division.head_delta:g}) by itself and the "
        f"release ({division.epsilon:g}, {division.delta:g}): DP-SGD on the released records, {head.steps} steps, each "
        f"of a record with probability 1/{head.batches}, noise multiplier {head.noise_multiplier:g}. Both "
        "are accounted for on one curve, for a replaced record."
    )


def _ranges(gamma: tuple[int, ...]) -> str:
    low, high = min(gamma), max(gamma)
    return f"{low}" if low == high else f"{low} to {high} by class"
