"""The ``labels`` check: a round's labels open under its key, are the spec's, and stay within m a pseudo-label."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from clicooper.audit.artifacts import Artifacts
from clicooper.audit.checks.frame import Comparison, compare_all
from clicooper.audit.verdict import Check, CheckResult

__all__ = ["check_labels"]


def check_labels(artifacts: Artifacts, round_: int) -> Iterator[CheckResult]:
    """One row; a failure is the owner's."""
    spec, labels = artifacts.spec, artifacts.labels(round_)
    outputs, per_label = spec.model.outputs, spec.release.m // spec.release.group
    until = artifacts.pseudo_labels_until(round_)
    # Clipped, so that a label out of range, a failure of its own below, cannot size the array of counts.
    counts = np.bincount(np.minimum(until, outputs - 1), minlength=outputs)
    comparisons = [
        Comparison("round", round_, labels.round),
        Comparison("rows", spec.labels[round_].rows, len(labels.pseudo_labels)),
        Comparison("labels in range", True, bool((until < outputs).all())),
        Comparison("at most m a pseudo-label", True, int(counts.max()) <= per_label),
    ]
    if round_ == len(spec.labels) - 1:
        comparisons.append(Comparison("exactly m a pseudo-label", [per_label] * outputs, counts.tolist()))
    yield compare_all(Check.LABELS, str(spec.labels[round_].ciphertext), comparisons, round_=round_)
