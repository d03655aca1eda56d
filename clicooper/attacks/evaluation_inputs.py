"""What an evaluation works on: the inputs of a job under one seed, made by the owner's own preparation.

Job: a seed's terms, and the two tasks of digits that no job can name. Every seed divides the records anew and makes a
bottom model of its own, so that errors over seeds count all of it. Non-jobs: releases (``release_under_test``) and
attacks.
"""

from __future__ import annotations

import math
from dataclasses import replace

from clicooper.attacks.digit_tasks import BELOW_FIVE, TWO_DIGITS, make_below_five, make_two_digits
from clicooper.config import JobConfig
from clicooper.learning.data import Dataset, Splits
from clicooper.learning.released import ReleasedLabels, label_records
from clicooper.privacy.ledger import HeadSpending
from clicooper.privacy.randomness import MasterSecret
from clicooper.protocol.preparation.defaults import choose_shape, make_head_spec
from clicooper.protocol.preparation.job_inputs import JobInputs, OwnerRecords, claim_head, load_records, make_inputs

__all__ = ["fix_seed", "load_inputs", "make_master"]

_TWO_DIGITS_EPOCHS = 40
"""Of its 4,000 records, as many steps as 80 epochs are of 2,000."""


def fix_seed(config: JobConfig, seed: int) -> JobConfig:
    """The terms under which ``seed``, in [0, 2^32), fixes all that is drawn, public or secret."""
    return config.model_copy(update={"seed": seed, "split_seed": seed, "spec_seed": seed})


def make_master(config: JobConfig) -> MasterSecret:
    """The master secret of a seed; nothing made with it may leave the machine."""
    return MasterSecret.from_seed(config.seed or 0)


def load_inputs(config: JobConfig) -> JobInputs:
    """What the owner of a job with these terms would make its release from.

    Args:
        config: from ``fix_seed``; ``data`` may also be ``pairs`` or ``halves``, which are divided in their own way.

    Raises:
        DataError: records that cannot be read, or are too few.
        SpecError: a bottom model's file that cannot be read, or is for other records.
        PrivacyClaimError: a bottom model that leaves the release nothing, or such a label epsilon.
    """
    claim, master, dims = claim_head(config), make_master(config), math.prod(choose_shape(config))
    if config.data == BELOW_FIVE:
        dataset, splits, head = make_below_five(config.spec_seed, dims)
        features = head.features(dataset.inputs).reshape(len(dataset), *choose_shape(config))
        return JobInputs(*_label(config, dataset, splits), head, features)
    if config.data == TWO_DIGITS:
        records = OwnerRecords(*_label(config, *make_two_digits(config.split_seed)))
        spec = replace(make_head_spec(dims, config.spec_seed, claim.kind), epochs=_TWO_DIGITS_EPOCHS)
        return make_inputs(config, records, claim, master, _spend_nothing, spec=spec)
    return make_inputs(config, load_records(config, master), claim, master, _spend_nothing)


def _label(config: JobConfig, dataset: Dataset, splits: Splits) -> tuple[Dataset, Splits, ReleasedLabels]:
    return dataset, splits, label_records(dataset, splits.release, make_master(config), config.label_epsilon)


def _spend_nothing(_: HeadSpending) -> None:
    """An evaluation publishes nothing, so it spends nothing."""
