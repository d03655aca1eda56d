"""The published claims beside what is measured here, and how each should be read.

Source of the claims: "Client-Cooperative Split Learning" (2026), abstract: accuracy preserved, clustering success 0 %,
inversion SSIM 0.50 -> 0.03 at epsilon 2, extraction about 1 %. Non-job: measuring (``trial``).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from clicooper.attacks.privacy.frontier import Point, Row, beats_controls

__all__ = ["PublishedClaim", "compare_with_paper"]


@dataclass(frozen=True)
class PublishedClaim:
    """One published claim, what was found, and what it means."""

    claim: str
    published: str
    here: str
    honest_reading: str


def compare_with_paper(point: Point) -> list[PublishedClaim]:
    """The paper's four claims at one setting."""
    parts = [_accuracy, _clustering, _inversion, _extraction]
    if not point.has("inversion.network.ssim"):
        parts.remove(_inversion)
    return [replace(claim, claim=f"{claim.claim} ({point.words})") for claim in (part(point) for part in parts)]


def _accuracy(point: Point) -> PublishedClaim:
    protected, plain = point.row("accuracy.protected"), point.row("accuracy.unprotected")
    naive, release = point.row("accuracy.naive"), point.row("accuracy.release_only")
    best = protected.control or 0.0
    worth = "above" if beats_controls(point) else "not above"
    return PublishedClaim(
        "accuracy is preserved",
        "preserved",
        f"{_share(protected)} against {_share(plain)} unprotected; plain forward pass {_share(naive)}",
        f"without trainers the best control has {best:.3f} (head only {_share(point.row('accuracy.head_only'))}, "
        f"release only {_share(release)}); training is {worth} it",
    )


def _clustering(point: Point) -> PublishedClaim:
    success, records = point.row("grouping.kmeans_records.success"), point.row("grouping.kmeans_records")
    oracle, named, few = (point.row(f"grouping.{name}") for name in ("oracle", "oracle.named", "few_shot"))
    return PublishedClaim(
        "clustering attacks fail",
        "success 0 %",
        f"k-means on single rows names {100 * (success.value - success.floor):+.1f} points more of the "
        f"pseudo-labels than on noise, ARI {_share(records)}",
        f"who knows the class means reaches ARI {_share(oracle)} and names {100 * named.value:.0f} % (chance "
        f"{100 * named.floor:.0f} %); ten examples of each class reach ARI {_share(few)}",
    )


def _inversion(point: Point) -> PublishedClaim:
    ssim = point.row("inversion.network.ssim")
    strongest = max(
        (point.row(f"inversion.{name}") for name in ("linear", "network", "optimised")), key=lambda row: row.value
    )
    bare = 0.0 if ssim.control is None else ssim.control
    return PublishedClaim(
        "inputs cannot be rebuilt",
        "SSIM 0.50 -> 0.03 at epsilon 2",
        f"SSIM {bare:.2f} -> {ssim.value:.2f}, where the mean record alone has {ssim.floor:.2f}",
        f"the strongest decoder has {_share(strongest)} in excess of that floor, without noise "
        f"{strongest.control or 0:.2f}; "
        f"{100 * point.row('inversion.reidentified').value:.1f} % of rows traced to a record",
    )


def _extraction(point: Point) -> PublishedClaim:
    random, ten, means = (point.row(f"extraction.{name}") for name in ("random_map", "ten_shot", "ten_shot_means"))
    gain = 100 * (max(ten.value, means.value) - (ten.control or 0.0))
    return PublishedClaim(
        "the model cannot be extracted",
        "about 1 %",
        f"all segments with a map at random: {_share(random)}, chance {random.floor:.3f}",
        f"with ten examples of each class and the head: {_share(ten)}, or {_share(means)} from the release alone; "
        f"the same examples with nothing stolen: {ten.control or 0:.3f}, a gain of {gain:+.1f} points",
    )


def _share(row: Row) -> str:
    return f"{row.value:.3f}" + (f" ± {row.error:.3f}" if row.seeds > 1 else "")
