"""One trial of the evaluation: one release under one seed, and every figure of the catalogue.

Job: run each attack on the release, on its floor and on its control, and write down three numbers. Non-jobs: grids,
averages and judgement (``frontier``), words (``catalogue``).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clicooper.attacks.privacy import extraction, grouping, inversion, membership, prototypes, seats
from clicooper.attacks.privacy.catalogue import CATALOGUE
from clicooper.attacks.privacy.scores import Guess, grade, measure_excess
from clicooper.attacks.release_under_test import Observation, ReleaseUnderTest
from clicooper.attacks.trained import Trained, list_boundaries, measure_trained, train_on_release
from clicooper.learning.controls import measure_chance
from clicooper.protocol.evaluation import Accuracies

__all__ = ["Figure", "measure_trial"]

SHOTS = 10
QUERIES = 200
_FOREIGN = 800

_BLIND: dict[str, Callable[[Observation, np.random.Generator], Guess]] = {
    "kmeans_records": grouping.group_by_record_kmeans,
    "balanced_kmeans": grouping.group_by_balanced_kmeans,
    "denoised_kmeans": grouping.group_by_denoised_kmeans,
    "spectral": grouping.group_by_spectrum,
    "known_sigma_em": grouping.group_by_em,
}


@dataclass(frozen=True)
class Figure:
    """One measurement; ``control`` is None where the catalogue has none."""

    name: str
    value: float
    floor: float
    control: float | None


def measure_trial(tested: ReleaseUnderTest) -> tuple[Figure, ...]:
    """Trains on the release and attacks it; figures that do not exist here are left out."""
    trained = train_on_release(tested)
    accuracy = measure_trained(tested, trained)
    found = [
        *_accuracies(accuracy),
        *_groupings(tested),
        *_seats(tested, trained),
        *_inversions(tested),
        *_memberships(tested, trained),
        *_extractions(tested, trained, accuracy),
        *_labels(tested),
    ]
    known = {figure.name: figure for figure in found if not math.isnan(figure.value)}
    return tuple(known[name] for name in CATALOGUE if name in known)


def _rng(tested: ReleaseUnderTest, purpose: int) -> np.random.Generator:
    return np.random.default_rng([tested.seed, 16, purpose])


def _accuracies(accuracy: Accuracies) -> Iterator[Figure]:
    for name, value in (
        ("protected", accuracy.protected),
        ("naive", accuracy.protected_naive_readout),
        ("unprotected", accuracy.unprotected),
        ("head_only", accuracy.head_only),
        ("release_only", accuracy.release_only),
    ):
        yield Figure(f"accuracy.{name}", value, accuracy.chance, accuracy.best_control[1])


def _groupings(tested: ReleaseUnderTest) -> Iterator[Figure]:
    views = (tested.observation(), tested.blank(), tested.bare())
    classes, truth = tested.dataset.classes, tested.truth
    for name, attack in _BLIND.items():
        graded = [grade(attack(view, _rng(tested, 1)), truth, classes) for view in views]
        yield Figure(f"grouping.{name}", *(score.ari for score in graded))
        if name == "kmeans_records":
            yield Figure(f"grouping.{name}.success", *(score.named for score in graded))
    examples = prototypes.draw_examples(tested, SHOTS, _rng(tested, 2))
    few = prototypes.estimate_prototypes(tested.features[examples], tested.dataset.labels[examples], classes)
    graded = [grade(prototypes.name_by_prototypes(view, few), truth, classes) for view in views]
    yield Figure("grouping.few_shot", *(score.ari for score in graded))
    known = prototypes.estimate_oracle_prototypes(tested)
    seen, blank, bare = (grade(_oracle(tested, view, known), truth, classes) for view in views)
    yield Figure("grouping.oracle", seen.ari, blank.ari, bare.ari)
    shares = np.array(tested.label_map.gamma) / tested.label_map.pseudo_labels
    yield Figure("grouping.oracle.named", seen.named, float(np.square(shares).sum()), bare.named)
    yield Figure("grouping.oracle.gain", seen.gain_bits, 0.0, bare.gain_bits)


def _oracle(tested: ReleaseUnderTest, view: Observation, known: prototypes.Prototypes) -> Guess:
    """Knows the class means and spread; under PrivUnit, whose answers are not Gaussian, all features."""
    if view.privunit is None:
        return prototypes.name_by_prototypes(view, known)
    return prototypes.name_by_records(view, tested.released_features, tested.named)


def _seats(tested: ReleaseUnderTest, trained: Trained) -> Iterator[Figure]:
    seen, truth, classes = tested.observation(), tested.truth, tested.dataset.classes
    for name, attack in (("weight_rows", seats.group_by_weight_rows), ("confusions", seats.group_by_confusions)):
        yield Figure(f"grouping.{name}", grade(attack(trained, seen, _rng(tested, 3)), truth, classes).ari, 0.0, None)
    norm, direction, coalition = [], [], []
    for boundary in list_boundaries(trained):
        for start in (True, False):
            received = seats.read_boundary_gradients(trained, seen, boundary, start=start)
            row_classes = truth[seen.pseudo_labels]
            norm.append(seats.measure_norm_auc(received, row_classes))
            direction.append(seats.measure_direction_auc(received, row_classes, _rng(tested, 4)))
            guess = seats.group_by_gradient_means(received, seen, _rng(tested, 5))
            coalition.append(grade(guess, truth, classes).ari)
    # The mean, not the largest: the attacker cannot know which boundary and moment will serve it best.
    yield Figure("grouping.gradients", float(np.mean(coalition)), 0.0, None)
    yield Figure("gradients.norm", float(np.mean(norm)), 0.5, None)
    yield Figure("gradients.direction", float(np.mean(direction)), 0.5, None)


def _inversions(tested: ReleaseUnderTest) -> Iterator[Figure]:
    head, seed, own = tested.inputs.head, tested.seed, inversion.take_own_records(tested.inputs)
    foreign = inversion.make_foreign_records(head, _FOREIGN, tested.config.clip)
    views = tested.observation(), tested.bare()
    aims = [inversion.choose_target(tested, view) for view in views]
    floor, foreign_floor = (
        inversion.grade_inversion(inversion.guess_constant(known, aims[0]), aims[0]) for known in (own, foreign)
    )
    decoders: dict[str, Callable[[Observation, inversion.Target], NDArray[np.float64]]] = {
        "linear": lambda view, aim: inversion.invert_linearly(view, own, aim.rows),
        "network": lambda view, aim: inversion.invert_by_network(view, own, aim.rows, seed),
        "optimised": lambda view, aim: inversion.invert_by_optimisation(view, own, aim.rows, head),
        "foreign": lambda view, aim: inversion.invert_linearly(view, foreign, aim.rows),
    }
    for name, decode in decoders.items():
        least = foreign_floor if name == "foreign" else floor
        # The same records are behind both views.
        seen, bare = (inversion.grade_inversion(decode(*each), aims[0]) for each in zip(views, aims, strict=True))
        yield Figure(
            f"inversion.{name}", measure_excess(seen.ssim, least.ssim), 0.0, measure_excess(bare.ssim, least.ssim)
        )
        if name == "network":
            yield Figure("inversion.network.ssim", seen.ssim, floor.ssim, bare.ssim)
            yield Figure("inversion.network.psnr", seen.psnr_db, floor.psnr_db, bare.psnr_db)
    everyone = inversion.take_candidates(tested.inputs)
    (hit, random), (open_hit, _) = (
        inversion.reidentify(aim, everyone, view) for aim, view in zip(aims, views, strict=True)
    )
    yield Figure("inversion.reidentified", hit, random, open_hit)


def _memberships(tested: ReleaseUnderTest, trained: Trained) -> Iterator[Figure]:
    seen, bare = (
        membership.infer_from_release(tested, view, _rng(tested, 6)) for view in (tested.observation(), tested.bare())
    )
    yield Figure("membership.release", seen.auc, 0.5, bare.auc)
    yield Figure("membership.release.found", seen.true_positives, membership.FALSE_POSITIVES, bare.true_positives)
    yield Figure("membership.model", membership.infer_from_model(tested, trained).auc, 0.5, None)


def _extractions(tested: ReleaseUnderTest, trained: Trained, accuracy: Accuracies) -> Iterator[Figure]:
    seen, floor, owner = tested.observation(), accuracy.chance, accuracy.protected
    folds = [extraction.guess_fold(seen, _rng(tested, 7)), extraction.guess_fold_blind(tested, seen, _rng(tested, 8))]
    controls = [owner, owner]
    for shots in (1, SHOTS):
        examples = prototypes.draw_examples(tested, shots, _rng(tested, 9))
        features, labels = tested.features[examples], tested.dataset.labels[examples]
        guess = prototypes.name_by_prototypes(seen, prototypes.estimate_prototypes(features, labels, seen.classes))
        folds.append(extraction.make_fold(guess.classes, seen.classes))
        controls.append(extraction.measure_own_examples(tested, examples))
    stolen = extraction.read_out(tested, trained, folds)
    names = ("random_map", "blind_map", "one_shot", "ten_shot")
    for name, accuracy_, control in zip(names, stolen, controls, strict=True):
        yield Figure(f"extraction.{name}", accuracy_, floor, control)
    own = controls[-1]
    yield Figure("extraction.ten_shot_means", extraction.combine_with_release(tested, seen, examples), floor, own)
    asked = _rng(tested, 10).permutation(np.concatenate([tested.splits.head, tested.splits.holdout]))[:QUERIES]
    yield Figure("extraction.service", extraction.query_service(tested, trained, asked), floor, owner)


def _labels(tested: ReleaseUnderTest) -> Iterator[Figure]:
    """Single records' true labels from the map, where a randomised response stands between them."""
    response = tested.label_map.response
    if response is None:
        return
    released = np.unique(tested.release.record_of_row)
    true, named = tested.released_labels[released], tested.named[released]
    yield Figure("labels.named", float(np.mean(named == true)), measure_chance(true), response.keep)
