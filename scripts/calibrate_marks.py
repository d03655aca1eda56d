"""How often marks and likeness deceive by chance: the figures and the plot of docs/watermark.md.

    python -m scripts.calibrate_marks [--keys 10000] [--models 1000] [--plot docs/images/mark-calibration.svg]

Prints one JSON object. About three minutes on one core at the default sizes.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from scipy import stats

from clicooper.watermark.carriers import layout_of, weights_of
from clicooper.watermark.detect import ACCEPT_LOG2_P, read_carrier
from clicooper.watermark.similarity import MIN_COSINE, MIN_SHARE, compare_suspect
from clicooper.watermark.suspect import ALIGNMENTS, align_suspect
from tests.null_models import (
    ChanceReadings,
    random_carriers,
    read_by_chance,
    starting_weights,
    train_many,
)

BITS = 64
LEVELS = (1e-2, 1e-3)
CONFIDENCE = 0.999
MARKS = 18
"""Marks looked for in every model: three seats, three rounds, two purposes."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--keys", type=int, default=10_000, help="random keys for each kind of model")
    parser.add_argument("--models", type=int, default=1_000, help="independently trained models")
    parser.add_argument("--plot", type=Path, help="where to draw the calibration, an SVG")
    options = parser.parse_args()
    trained = list(train_many([starting_weights(seed) for seed in range(options.models + 1)], seed=1))
    reference, others = trained[0], trained[1:]
    readings = false_positives(reference, others[0], options.keys)
    claims, cosines = false_claims(reference, others)
    shares = training_shares(min(options.models, 200))
    if options.plot:
        draw(options.plot, readings, cosines, shares)
    summary = {
        kind: {k: v for k, v in found.items() if k != "all"} for kind, found in shares.items() if kind != "models"
    }
    print(json.dumps({"rates": rates(readings), "claims": claims, "descent": summary}, indent=2))


def false_positives(reference: dict, other: dict, keys: int) -> dict[str, ChanceReadings]:
    """Readings of random keys in weights that are random, trained, and aligned with a reference."""
    layout = layout_of(reference)
    vectors = {
        "random": weights_of(starting_weights(10**6), layout),
        "trained": weights_of(reference, layout),
        "aligned": align_suspect(other, reference).vectors["reordered"],
    }
    return {kind: read_by_chance(vector, keys, BITS, seed) for seed, (kind, vector) in enumerate(vectors.items())}


def rates(readings: dict[str, ChanceReadings]) -> list[dict]:
    """False positives at each level, beside the interval in which an honest test leaves them.

    The hard statistic is discrete: what it is held against is the level that it attains. The soft one is bounded by
    Hoeffding, so its rate must not exceed the level; z itself is close to normal, which is compared exactly.
    """
    rows = []
    for kind, found in readings.items():
        keys = found.matched.size
        for level in LEVELS:
            least = int(stats.binom.isf(level, BITS, 0.5)) + 1
            attained = float(stats.binom.sf(least - 1, BITS, 0.5))
            rows += [
                row(kind, "hard", level, keys, int((found.matched >= least).sum()), attained),
                row(kind, "z", level, keys, int((found.z >= stats.norm.isf(level)).sum()), level),
                row(kind, "reported p", level, keys, round(found.rate(level) * keys), level, bound=True),
            ]
    return rows


def row(kind: str, test: str, level: float, keys: int, count: int, expected: float, *, bound: bool = False) -> dict:
    low, high = (int(end) for end in stats.binom.interval(CONFIDENCE, keys, expected))
    inside = count <= high if bound else low <= count <= high
    return {
        "model": kind,
        "test": test,
        "level": level,
        "keys": keys,
        "false_positives": count,
        "interval": [0 if bound else low, high],
        "inside": inside,
    }


def false_claims(reference: dict, models: list[dict]) -> tuple[dict, list[float]]:
    """The best reading of each alignment over all models and marks, and every model's cosine after the search."""
    size = layout_of(reference).weights
    carriers = list(random_carriers(MARKS, size, BITS, seed=9))
    best, cosines, false = dict.fromkeys(ALIGNMENTS, 0.0), [], 0
    for model in models:
        aligned = align_suspect(model, reference)
        cosines.append(aligned.similarity)
        for name, vector in aligned.vectors.items():
            found = [read_carrier(vector, carrier).log2_p for carrier in carriers]
            best[name] = min(best[name], *found)
            false += sum(log2_p <= ACCEPT_LOG2_P for log2_p in found)
    readings = len(models) * MARKS * len(ALIGNMENTS)
    result = {"models": len(models), "readings": readings, "false_claims": false, "least_log2_p": best}
    return result | {"largest_cosine": max(cosines)}, cosines


def training_shares(models: int) -> dict:
    """How much of one training is found in others from the same start, and in its own descendants."""
    start = starting_weights(0)
    reference, *same_task = train_many([start] * (models + 1), seed=2, one_task=True)
    noise = np.random.default_rng(3)
    groups = {
        "other labels": list(train_many([start] * models, seed=4)),
        "same labels": same_task,
        "descendants": [
            {name: array + 0.3 * array.std() * noise.standard_normal(array.shape) for name, array in reference.items()}
            for _ in range(models)
        ],
    }
    shares = {
        kind: [compare_suspect(suspect, reference, start, []).share for suspect in suspects]
        for kind, suspects in groups.items()
    }
    return {"models": models} | {kind: {"least": min(v), "largest": max(v), "all": v} for kind, v in shares.items()}


def draw(path: Path, readings: dict[str, ChanceReadings], cosines: list[float], shares: dict) -> None:
    """Three panels: calibration of p, cosines of strangers, shares of training."""
    import matplotlib  # noqa: PLC0415 - a run without a plot does not need it

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "clicooper"
    from matplotlib import pyplot  # noqa: PLC0415

    figure, (left, middle, right) = pyplot.subplots(1, 3, figsize=(12, 3.6))
    levels = np.logspace(-3.3, -0.3, 60)
    for kind, found in readings.items():
        left.loglog(levels, [max(found.rate(level), 1e-5) for level in levels], label=f"{kind} weights")
        left.loglog(levels, [float(np.mean(found.z >= stats.norm.isf(p))) or 1e-5 for p in levels], ":", color="grey")
    left.loglog(levels, levels, "k--", linewidth=0.8, label="honest limit")
    left.set(xlabel="level", ylabel="false positives", title="Reported p (dotted: z against normal)")
    left.legend(fontsize=8)
    middle.hist(cosines, bins=40)
    middle.axvline(MIN_COSINE, color="k", linestyle="--", linewidth=0.8)
    middle.set(xlim=(0, 1), xlabel="cosine after alignment", title=f"{len(cosines)} strangers; needed: dashed")
    kinds = ["other labels", "same labels", "descendants"]
    right.hist([shares[kind]["all"] for kind in kinds], bins=40, label=kinds)
    right.axvline(MIN_SHARE, color="k", linestyle="--", linewidth=0.8)
    right.set(xlabel="share of the training", title="Same start; needed: dashed")
    right.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    main()
