"""The labels under which records are released: the true ones, or what randomised response made of them.

Job: the one place where true labels become releasable, and the digests that name both. Non-jobs: the response itself
and the map of its labels (``privacy``). Whatever is drawn or counted for a release takes ``labels`` and ``digest`` from
here; ``source`` is for the owner's ledger and for the response alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from clicooper.learning.data import Dataset, digest_records
from clicooper.privacy.labels import LabelMap, expand_labels
from clicooper.privacy.randomised_response import RandomisedResponse
from clicooper.privacy.randomness import MasterSecret
from clicooper.types import Digest

__all__ = ["ReleasedLabels", "label_records"]


@dataclass(frozen=True, eq=False)
class ReleasedLabels:
    """Labels of the records that are released.

    Attributes:
        labels: int64 (n,), noisy where there is a response.
        classes: K, public.
        source: digest of inputs and true labels: names the data set in its owner's ledger.
        digest: digest of inputs and ``labels``, for all further draws: a true label gets no further than its noisy one.
        response: None where the labels are true.
    """

    labels: NDArray[np.int64] = field(repr=False)
    classes: int
    source: Digest
    digest: Digest
    response: RandomisedResponse | None = None

    @property
    def mixing(self) -> float:
        """rho, the share of labels that were drawn uniformly; 0 where they are true."""
        return 0.0 if self.response is None else self.response.mixing

    def expand(self, secret: MasterSecret, gamma: int) -> LabelMap:
        """The data set's label map; raises what ``expand_labels`` raises."""
        return expand_labels(
            self.labels,
            self.classes,
            secret=secret,
            context=self.digest,
            gamma=gamma,
            response=self.response,
        )


def label_records(
    dataset: Dataset, records: NDArray[np.int64], secret: MasterSecret, label_epsilon: float | None
) -> ReleasedLabels:
    """Labels for the release of some records, the same for the same arguments.

    Args:
        records: int64 (n,), those that are released.
        secret: the owner's master.
        label_epsilon: of randomised response, or None to release the labels as they are.

    Raises:
        PrivacyClaimError: a label epsilon out of range.
    """
    inputs, labels, classes = dataset.inputs[records], dataset.labels[records], dataset.classes
    source = digest_records(inputs, labels, classes)
    if label_epsilon is None:
        return ReleasedLabels(labels, classes, source, source)
    response = RandomisedResponse(label_epsilon, classes)
    noisy = response.respond(labels, secret=secret, context=source)
    return ReleasedLabels(noisy, classes, source, digest_records(inputs, noisy, classes), response)
