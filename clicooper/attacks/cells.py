"""One cell of the evaluation: one setting, one seed, every figure of the catalogue.

Job: run each attack on the release, on its floor and on its control, and write down three numbers. Non-jobs: grids,
averages and judgement (``frontier``), words (``catalogue``).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from clicooper.attacks import extraction, grouping, inversion, membership, prototypes, seats
from clicooper.attacks.catalogue import CATALOGUE
from clicooper.attacks.material import Material
from clicooper.attacks.scores import Guess, excess, grade
from clicooper.attacks.trained import Accuracies, Trained, TrainingPlan, boundaries, measure, train
from clicooper.attacks.victim import Observation, Setting, Victim, make_victim
from clicooper.learning.controls import chance

__all__ = ["Figure", "measure_cell"]

SHOTS = 10
QUERIES = 200

_BLIND: dict[str, Callable[[Observation, np.random.Generator], Guess]] = {
    "kmeans_records": grouping.kmeans_records,
    "balanced_kmeans": grouping.balanced_kmeans,
    "denoised_kmeans": grouping.denoised_kmeans,
    "spectral": grouping.spectral,
    "known_sigma_em": grouping.known_sigma_em,
}


@dataclass(frozen=True)
class Figure:
    """One measurement; ``control`` is None where the catalogue has none."""

    name: str
    value: float
    floor: float
    control: float | None


def measure_cell(material: Material, setting: Setting, plan: TrainingPlan) -> tuple[Figure, ...]:
    """Makes the release, trains on it and attacks it; figures that do not exist here are left out.

    Raises:
        DataError: a setting that these records cannot have.
    """
    victim = make_victim(material.dataset, material.splits, material.head, setting)
    trained = train(victim, plan)
    accuracy = measure(victim, trained, plan)
    found = [
        *_accuracies(accuracy),
        *_groupings(victim),
        *_seats(victim, trained),
        *_inversions(material, victim),
        *_memberships(victim, trained),
        *_extractions(victim, trained, accuracy),
        *_labels(victim),
    ]
    known = {figure.name: figure for figure in found if not math.isnan(figure.value)}
    return tuple(known[name] for name in CATALOGUE if name in known)


def _rng(victim: Victim, purpose: int) -> np.random.Generator:
    return np.random.default_rng([victim.setting.seed, 16, purpose])


def _accuracies(accuracy: Accuracies) -> Iterator[Figure]:
    for name in ("protected", "naive", "unprotected", "head_only", "release_only"):
        yield Figure(f"accuracy.{name}", getattr(accuracy, name), accuracy.chance, accuracy.best_control)


def _groupings(victim: Victim) -> Iterator[Figure]:
    views = (victim.observation(), victim.blank(), victim.bare())
    classes, truth = victim.dataset.classes, victim.truth
    for name, attack in _BLIND.items():
        graded = [grade(attack(view, _rng(victim, 1)), truth, classes) for view in views]
        yield Figure(f"grouping.{name}", *(score.ari for score in graded))
        if name == "kmeans_records":
            yield Figure(f"grouping.{name}.success", *(score.named for score in graded))
    examples = prototypes.draw_examples(victim, SHOTS, _rng(victim, 2))
    few = prototypes.few_shot_prototypes(victim.features[examples], victim.dataset.labels[examples], classes)
    graded = [grade(prototypes.name_by_prototypes(view, few), truth, classes) for view in views]
    yield Figure("grouping.few_shot", *(score.ari for score in graded))
    known = prototypes.oracle_prototypes(victim)
    seen, blank, bare = (grade(prototypes.name_by_prototypes(view, known), truth, classes) for view in views)
    yield Figure("grouping.oracle", seen.ari, blank.ari, bare.ari)
    shares = np.array(victim.label_map.gamma) / victim.label_map.pseudo_labels
    yield Figure("grouping.oracle.named", seen.named, float(np.square(shares).sum()), bare.named)
    yield Figure("grouping.oracle.gain", seen.gain_bits, 0.0, bare.gain_bits)


def _seats(victim: Victim, trained: Trained) -> Iterator[Figure]:
    seen, truth, classes = victim.observation(), victim.truth, victim.dataset.classes
    for name, attack in (("weight_rows", seats.weight_rows), ("confusions", seats.confusions)):
        yield Figure(f"grouping.{name}", grade(attack(trained, seen, _rng(victim, 3)), truth, classes).ari, 0.0, None)
    norm, direction, coalition = [], [], []
    for boundary in boundaries(trained):
        for start in (True, False):
            received = seats.boundary_gradients(trained, seen, boundary, start=start)
            row_classes = truth[seen.pseudo_labels]
            norm.append(seats.norm_auc(received, row_classes))
            direction.append(seats.direction_auc(received, row_classes, _rng(victim, 4)))
            guess = seats.gradient_means(received, seen, _rng(victim, 5))
            coalition.append(grade(guess, truth, classes).ari)
    # The mean, not the largest: the attacker cannot know which boundary and moment will serve it best.
    yield Figure("grouping.gradients", float(np.mean(coalition)), 0.0, None)
    yield Figure("gradients.norm", float(np.mean(norm)), 0.5, None)
    yield Figure("gradients.direction", float(np.mean(direction)), 0.5, None)


def _inversions(material: Material, victim: Victim) -> Iterator[Figure]:
    seen, bare = victim.observation(), victim.bare()
    own, seed, clip = material.own(victim.setting.clip), victim.setting.seed, victim.setting.clip
    target, clear = inversion.target_of(victim, seen), inversion.target_of(victim, bare)
    floor = inversion.grade_inversion(inversion.constant_guess(own, target), target)

    def graded(guess: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> inversion.InversionScore:
        return inversion.grade_inversion(guess, target)

    linear = graded(inversion.invert_linearly(seen, own, target.rows))
    network = graded(inversion.invert_by_network(seen, own, target.rows, seed))
    optimised = graded(inversion.invert_by_optimisation(seen, own, target.rows, material.head))
    open_linear = graded(inversion.invert_linearly(bare, own, clear.rows))
    open_network = graded(inversion.invert_by_network(bare, own, clear.rows, seed))
    open_optimised = graded(inversion.invert_by_optimisation(bare, own, clear.rows, material.head))
    for name, score, control in (
        ("linear", linear, open_linear),
        ("network", network, open_network),
        ("optimised", optimised, open_optimised),
    ):
        yield Figure(f"inversion.{name}", excess(score.ssim, floor.ssim), 0.0, excess(control.ssim, floor.ssim))
    yield Figure("inversion.network.ssim", network.ssim, floor.ssim, open_network.ssim)
    yield Figure("inversion.network.psnr", network.psnr_db, floor.psnr_db, open_network.psnr_db)
    foreign_floor = graded(inversion.constant_guess(material.foreign, target)).ssim
    far, open_far = (
        graded(inversion.invert_linearly(view, material.foreign, rows)).ssim
        for view, rows in ((seen, target.rows), (bare, clear.rows))
    )
    yield Figure("inversion.foreign", excess(far, foreign_floor), 0.0, excess(open_far, foreign_floor))
    everyone = material.everyone(clip)
    (hit, random), (open_hit, _) = (
        inversion.reidentified(aim, everyone, view) for aim, view in ((target, seen), (clear, bare))
    )
    yield Figure("inversion.reidentified", hit, random, open_hit)


def _memberships(victim: Victim, trained: Trained) -> Iterator[Figure]:
    seen, bare = (
        membership.infer_from_release(victim, view, _rng(victim, 6)) for view in (victim.observation(), victim.bare())
    )
    yield Figure("membership.release", seen.auc, 0.5, bare.auc)
    yield Figure("membership.release.found", seen.true_positives, membership.FALSE_POSITIVES, bare.true_positives)
    yield Figure("membership.model", membership.infer_from_model(victim, trained).auc, 0.5, None)


def _extractions(victim: Victim, trained: Trained, accuracy: Accuracies) -> Iterator[Figure]:
    seen, floor, owner = victim.observation(), accuracy.chance, accuracy.protected
    folds = [extraction.guess_fold(seen, _rng(victim, 7)), extraction.blind_fold(victim, seen, _rng(victim, 8))]
    controls = [owner, owner]
    for shots in (1, SHOTS):
        examples = prototypes.draw_examples(victim, shots, _rng(victim, 9))
        features, labels = victim.features[examples], victim.dataset.labels[examples]
        guess = prototypes.name_by_prototypes(seen, prototypes.few_shot_prototypes(features, labels, seen.classes))
        folds.append(extraction.fold_of(guess.classes, seen.classes))
        controls.append(extraction.own_examples(victim, examples))
    stolen = extraction.read_out(victim, trained, folds)
    names = ("random_map", "blind_map", "one_shot", "ten_shot")
    for name, accuracy_, control in zip(names, stolen, controls, strict=True):
        yield Figure(f"extraction.{name}", accuracy_, floor, control)
    own = controls[-1]
    yield Figure("extraction.ten_shot_means", extraction.combine_with_release(victim, seen, examples), floor, own)
    asked = _rng(victim, 10).permutation(np.concatenate([victim.splits.head, victim.splits.holdout]))[:QUERIES]
    yield Figure("extraction.service", extraction.query_service(victim, trained, asked), floor, owner)


def _labels(victim: Victim) -> Iterator[Figure]:
    """Single records' true labels from the map, where a randomised response stands between them."""
    response = victim.label_map.response
    if response is None:
        return
    released = np.unique(victim.release.record_of_row)
    true, named = victim.released_labels[released], victim.named[released]
    yield Figure("labels.named", float(np.mean(named == true)), chance(true), response.keep)
