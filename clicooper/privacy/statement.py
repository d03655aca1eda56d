"""The statement printed with every release: what is protected, what is not, and when it is void.

Job: say in plain words what ``accounting`` proves, and not a word more. Non-job: computing any number.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from clicooper.privacy.accounting import REPLACE_ONE

__all__ = ["INPUT_OR_LABEL", "Statement"]

INPUT_OR_LABEL = f"{REPLACE_ONE}: its input, its label, or both"

_COVERS = (
    "the input of any one released record, against anyone who knows all the others",
    "whatever is computed from the release alone, for ever",
)
_EXCLUDES = (
    "labels, class counts and which classes exist",
    "records that trained the head",
    "held-out records",
    "accept bits",
    "published accuracy",
    "predictions served to others",
    "choices tuned on the released records",
    "further copies of a record, augmented or repeated: each copy spends epsilon again",
)
_LABELS_TOO = "the label of any one released record, and both together"
_EXCLUDES_BUT_LABELS = ("how many classes there are", *_EXCLUDES[1:], "what an input by itself tells of its class")


@dataclass(frozen=True)
class Statement:
    """What may be claimed about one release.

    Args:
        epsilon, delta: the guarantee for one source record.
        sigma: standard deviation of the noise on each coordinate.
        clip: C, L2 bound of one record.
        group: b, records in one row.
        gamma: pseudo-labels of each class.
        m: records in each pseudo-label.
        records: n, records that the label map covers.
        released_rows: rows published.
        secure: False if the master secret came from a seed.
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
    adjacency: str = f"{REPLACE_ONE}: its input"
    covers: tuple[str, ...] = _COVERS
    excludes: tuple[str, ...] = _EXCLUDES
    label_epsilon: float | None = None
    mechanism: Literal["gaussian", "privunit"] = "gaussian"

    def with_labels(self, epsilon: float) -> Statement:
        """The statement where every label went through randomised response before anything was counted."""
        return replace(
            self,
            label_epsilon=epsilon,
            adjacency=INPUT_OR_LABEL,
            covers=(self.covers[0], _LABELS_TOO, *self.covers[1:]),
            excludes=_EXCLUDES_BUT_LABELS,
        )

    def text(self) -> str:
        """The statement in plain words, several lines, no trailing newline."""
        lines = [
            *self._guarantee(),
            self._mechanism(),
            f"Released: {self.released_rows} rows from n = {self.records} records; m = {self.m} records per "
            f"pseudo-label, gamma = {_ranges(self.gamma)}. No amplification is claimed from dropping or shuffling.",
            "Covers: " + "; ".join(self.covers) + ".",
            "Excludes: " + "; ".join(self.excludes) + ".",
            "Void if the owner's master secret leaks, or if the head was fitted to the released records.",
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
        if self.label_epsilon is None:
            return [
                f"({self.epsilon:g}, {self.delta:g})-differential privacy per source record, computational.",
                "Neighbours differ in one record's input; its label, all class counts, n, m, gamma, C, b and the head "
                "are fixed and not protected.",
            ]
        return [
            f"({self.epsilon + self.label_epsilon:g}, {self.delta:g})-differential privacy per source record, input "
            f"and label, computational: its input alone costs ({self.epsilon:g}, {self.delta:g}), its label alone "
            f"({self.label_epsilon:g}, 0).",
            "Neighbours differ in one record's input, its label, or both; n, the number of classes, C, b and the head "
            "are fixed and not protected. Labels went through randomised response before anything was counted: class "
            "counts, m and gamma are those of the noisy labels.",
        ]


def _ranges(gamma: tuple[int, ...]) -> str:
    low, high = min(gamma), max(gamma)
    return f"{low}" if low == high else f"{low} to {high} by class"
