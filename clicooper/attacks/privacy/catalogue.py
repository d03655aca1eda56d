"""Every figure of a privacy evaluation: what it is, what its attacker knows, and what floor and control are.

Job: the words beside the numbers, in one place, for tables, JSON, the report and docs/privacy.md. Non-job: numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CATALOGUE", "Note"]


@dataclass(frozen=True)
class Note:
    """One figure.

    Attributes:
        words: what is measured.
        knows: what the attacker knows; empty where nobody attacks.
        floor: what the floor is.
        control: what the control is.
    """

    words: str
    knows: str
    floor: str
    control: str


_ROWS = "rows, pseudo-labels, gamma, sigma"
_BLANK, _BARE = "same attack on noise alone", "same attack on the release without noise"
_ACCURACY = "the most frequent class"
_SHOTS = "all segments, the release, the head, {} labelled example{} of each class"


def _accuracy(words: str) -> Note:
    return Note(words, "", _ACCURACY, "the best control: head only, release only or chance")


def _grouping(words: str, knows: str = _ROWS, control: str = _BARE) -> Note:
    return Note(f"{words}: adjusted Rand index", knows, _BLANK, control)


def _gradients(words: str, knows: str) -> Note:
    return Note(words, knows, "0.5: a coin", "none")


def _inversion(words: str, knows: str) -> Note:
    return Note(f"{words}: SSIM as excess over the floor", knows, "0: the mean auxiliary record", _BARE)


CATALOGUE: dict[str, Note] = {
    "accuracy.protected": _accuracy("trained on the release, contrastive readout"),
    "accuracy.naive": _accuracy("trained on the release, plain forward pass"),
    "accuracy.unprotected": _accuracy("same model on clean features and true labels"),
    "accuracy.head_only": _accuracy("the head and its own labelled records"),
    "accuracy.release_only": _accuracy("class means or LDA of the release, no trainers"),
    "grouping.kmeans_records": _grouping("k-means on single rows, the paper's attack"),
    "grouping.kmeans_records.success": Note(
        "k-means on single rows: pseudo-labels named, best names", _ROWS, _BLANK, _BARE
    ),
    "grouping.balanced_kmeans": _grouping("balanced k-means on mean rows"),
    "grouping.denoised_kmeans": _grouping("balanced k-means above the known noise covariance"),
    "grouping.spectral": _grouping("spectral clustering of mean rows"),
    "grouping.known_sigma_em": _grouping("EM with known noise and class sizes"),
    "grouping.few_shot": _grouping(
        "ten examples of each class, balanced MAP", f"{_ROWS}, the head, 10 labelled examples of each class"
    ),
    "grouping.oracle": _grouping("true class means, balanced MAP", f"{_ROWS}, true mean and spread of every class"),
    "grouping.oracle.named": Note(
        "true class means: share of pseudo-labels named",
        f"{_ROWS}, true mean and spread of every class",
        "chance",
        _BARE,
    ),
    "grouping.oracle.gain": Note(
        "true class means: mean log2 of posterior over prior, bits",
        f"{_ROWS}, true mean and spread of every class",
        "0: the prior",
        _BARE,
    ),
    "grouping.weight_rows": _grouping("rows of the output layer", "the last segment", "none"),
    "grouping.confusions": _grouping("confusions of the final model", "all segments, rows, pseudo-labels", "none"),
    "grouping.gradients": _grouping(
        "mean gradient direction of pseudo-labels", "one boundary and the pseudo-labels: two seats together", "none"
    ),
    "gradients.norm": _gradients("gradient norm against one class: AUC", "one boundary, no label"),
    "gradients.direction": _gradients("gradient direction, same class or not: AUC", "one boundary, no label"),
    "inversion.linear": _inversion("linear decoder", "head, sigma, records of the same kind"),
    "inversion.network": _inversion("network trained under the noise", "head, sigma, records of the same kind"),
    "inversion.optimised": _inversion(
        "white-box optimisation", "head and its weights, sigma, records of the same kind"
    ),
    "inversion.foreign": _inversion("linear decoder, records of another domain", "head, sigma, patches of photographs"),
    "inversion.network.ssim": Note(
        "network trained under the noise: plain SSIM", "head, sigma, records of the same kind", "the mean record", _BARE
    ),
    "inversion.network.psnr": Note(
        "network trained under the noise: PSNR, dB", "head, sigma, records of the same kind", "the mean record", _BARE
    ),
    "inversion.reidentified": Note(
        "rows traced to a record behind them", "head, sigma, every candidate's input", "a guess at random", _BARE
    ),
    "membership.release": Note(
        "likelihood ratio on the release: AUC", "head, sigma, class means, every candidate", "0.5: a coin", _BARE
    ),
    "membership.release.found": Note(
        "likelihood ratio on the release: members found at 1 % false alarms",
        "head, sigma, class means, every candidate",
        "0.01: a guess at random",
        _BARE,
    ),
    "membership.model": Note(
        "confidence of the final model: AUC", "all segments, the label map, every candidate", "0.5: a coin", "none"
    ),
    "extraction.random_map": Note(
        "all segments, map guessed at random, the paper's attack",
        "all segments, gamma",
        _ACCURACY,
        "the owner's readout",
    ),
    "extraction.blind_map": Note(
        "all segments, map from k-means, best names", "all segments, the release", _ACCURACY, "the owner's readout"
    ),
    "extraction.one_shot": Note(
        "all segments, map from one example a class",
        _SHOTS.format("one", ""),
        _ACCURACY,
        "head and examples alone",
    ),
    "extraction.ten_shot": Note(
        "all segments, map from ten examples a class",
        _SHOTS.format(10, "s"),
        _ACCURACY,
        "head and examples alone",
    ),
    "extraction.ten_shot_means": Note(
        "release averaged over that map, with ten examples of each class",
        "the release, the head, 10 labelled examples of each class",
        _ACCURACY,
        "head and examples alone",
    ),
    "extraction.service": Note(
        "student of the owner's answers to 200 queries", "the head, the answers", _ACCURACY, "the owner's readout"
    ),
    "labels.named": Note(
        "true labels of single records from the whole label map, where labels were randomised",
        "the label map, which record is in which row, the label epsilon",
        _ACCURACY,
        "p of the response, the expected share",
    ),
}
"""All figures by name; the part before the first dot is the family. A trial has those that exist for its setting."""
