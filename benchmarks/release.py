"""What making a release costs beside NumPy's own normal noise, and how much of its epsilon an attacker can prove.

50,000 records of 256 numbers, ten classes. The noise comes from AES and an inverse of the normal distribution, and the
sum is clipped, grouped, shuffled and rounded; NumPy's generator alone stands beside it, fast and predictable.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from _table import Row, report
from scipy.stats import norm

sys.path.insert(0, str(Path(__file__).parents[1]))

from clicooper.privacy.labels import expand_labels
from clicooper.privacy.randomness import MasterSecret, bind, normal_noise
from clicooper.privacy.release import Mechanism, ReleaseParams, clip_rows, make_release
from tests.distinguish import lower_bound, project

RECORDS, DIMS, TURNS = 50_000, 256, 3
TRIALS = 20_000
MECHANISMS: tuple[Mechanism, ...] = ("gaussian", "privunit")
SECRET, CONTEXT = MasterSecret.from_seed(1), bind("benchmark")


def fastest(run: Callable[[], object]) -> float:
    """Seconds of the fastest of a few calls."""
    times = []
    for _ in range(TURNS):
        started = time.perf_counter()
        run()
        times.append(time.perf_counter() - started)
    return round(min(times), 3)


def proved(epsilon: float, mechanism: Mechanism) -> float:
    """Epsilon that a distinguisher proves at delta 1e-5, wrong with probability at most 1e-6."""
    labels = np.arange(2 * TRIALS) % 2
    sign = np.where(np.arange(2 * TRIALS) < TRIALS, 1.0, -1.0)
    features = sign[:, None] * np.eye(4)[:1]
    label_map = expand_labels(labels, 2, secret=SECRET, context=CONTEXT, gamma=10)
    params = ReleaseParams(epsilon, 1e-5, 1.0, mechanism=mechanism)
    made = make_release(features, label_map, params, SECRET, CONTEXT)
    seen = project(made.activations.astype(np.float64), np.eye(4)[0])
    present = sign[made.record_of_row[:, 0]] > 0
    threshold = -float(np.linalg.norm(clip_rows(features[:1], 1.0))) + made.sigma * norm.isf(0.03)
    if mechanism == "privunit":  # the edge of the cap is where the likelihood ratio jumps
        answers = params.privunit(4)
        threshold = answers.threshold / answers.gain
    return round(lower_bound(seen[present], seen[~present], threshold, 1e-5, 1e-6).epsilon, 3)


def main() -> None:
    """Measures and reports."""
    rng = np.random.default_rng(0)
    features, labels = rng.normal(size=(RECORDS, DIMS)), np.arange(RECORDS) % 10
    label_map = expand_labels(labels, 10, secret=SECRET, context=CONTEXT, gamma=100)
    params = ReleaseParams(2.0, 1e-5, 1.0)
    plain = fastest(lambda: rng.standard_normal(features.shape))
    noise = fastest(lambda: normal_noise(SECRET.derive("benchmark", CONTEXT), features.shape, 1.0))
    expansion = fastest(lambda: expand_labels(labels, 10, secret=SECRET, context=CONTEXT, gamma=100))
    whole = fastest(lambda: make_release(features, label_map, params, SECRET, CONTEXT))
    single = ReleaseParams(2.0, 1e-5, 1.0, mechanism="privunit")
    answered = fastest(lambda: make_release(features, label_map, single, SECRET, CONTEXT))
    report(
        [
            Row("secret noise, against NumPy's", noise, "s", against=plain),
            Row("label map of 50,000 records", expansion, "s"),
            Row("release, 50,000 x 256, b 1", whole, "s", against=plain),
            Row("the same by PrivUnit", answered, "s", against=plain),
            *(
                Row(f"epsilon proved of {e:g} claimed, {mechanism}", proved(e, mechanism), "", against=e, target=1.0)
                for mechanism in MECHANISMS
                for e in (1.0, 2.0, 4.0, 8.0)
            ),
        ]
    )


if __name__ == "__main__":
    main()
