"""Batches and their noise from public seeds."""

import numpy as np
import pytest

from clicooper.errors import DataError, SpecError
from clicooper.learning.schedule import Purpose, batch_input, batch_rows, generator, round_batches
from tests.learning_jobs import SEEDS, training_spec

RECORDS = np.random.default_rng(0).normal(size=(12, 3, 2)).astype(np.float32)


def test_each_epoch_is_a_permutation() -> None:
    rows = batch_rows(SEEDS, 0, 11, training_spec(steps=9, batch=5)).ravel()
    for epoch in range(4):
        assert sorted(rows[epoch * 11 : (epoch + 1) * 11]) == list(range(11))
    assert not np.array_equal(rows[:11], rows[11:22])


def test_batch_larger_than_the_data_wraps() -> None:
    rows = batch_rows(SEEDS, 0, 2, training_spec(steps=1, batch=5))
    assert rows.shape == (1, 5)
    assert sorted(np.bincount(rows[0])) == [2, 3]


def test_rounds_and_seeds_give_other_orders() -> None:
    training = training_spec(steps=4, batch=5)
    orders = {
        batch_rows(SEEDS, 0, 20, training).tobytes(),
        batch_rows(SEEDS, 1, 20, training).tobytes(),
        batch_rows(SEEDS.model_copy(update={"batches": 5}), 0, 20, training).tobytes(),
    }
    assert len(orders) == 3


def test_no_records_are_refused() -> None:
    with pytest.raises(SpecError, match="at least one"):
        batch_rows(SEEDS, 0, 0, training_spec())


def test_input_is_scaled_and_without_noise_exact() -> None:
    training = training_spec(input_noise=0.0)
    x = batch_input(RECORDS.astype(np.float64), np.array([3, 3, 0]), SEEDS, 0, 0, training)
    assert x.dtype == np.float32
    assert np.array_equal(x, RECORDS[[3, 3, 0]] * np.float32(0.5))


def test_noise_has_its_size_and_changes_with_round_and_step() -> None:
    training = training_spec(input_noise=2.0)
    rows = np.zeros(5000, dtype=np.int64)
    noise = {
        (round_, step): batch_input(RECORDS, rows, SEEDS, round_, step, training) - RECORDS[0] * np.float32(0.5)
        for round_ in (0, 1)
        for step in (0, 1)
    }
    assert abs(float(noise[0, 0].std()) - 2) < 0.05
    assert len({draw.tobytes() for draw in noise.values()}) == 4
    # Equal records get independent noise: the correlation of 30,000 pairs stays within five standard errors.
    assert abs(np.corrcoef(noise[0, 0].ravel(), noise[0, 1].ravel())[0, 1]) < 5 / np.sqrt(30_000)


@pytest.mark.parametrize("row", [-1, 12])
def test_rows_outside_the_release_are_refused(row: int) -> None:
    with pytest.raises(DataError, match="outside"):
        batch_input(RECORDS, np.array([0, row]), SEEDS, 0, 0, training_spec())


def test_part_of_a_round_has_the_same_batches() -> None:
    training = training_spec(steps=6, batch=4)
    rows = batch_rows(SEEDS, 2, 12, training)
    whole = list(round_batches(RECORDS, rows, SEEDS, 2, training))
    part = list(round_batches(RECORDS, rows, SEEDS, 2, training, first=2, last=4))
    assert [step for step, _ in whole] == list(range(6))
    assert [step for step, _ in part] == [2, 3]
    assert all(np.array_equal(a[1], b[1]) for a, b in zip(whole[2:4], part, strict=True))


def test_streams_of_other_purposes_differ() -> None:
    draws = {generator(1, purpose, 0, 0).integers(2**63) for purpose in Purpose}
    assert len(draws) == len(Purpose)
    assert generator(1, Purpose.BATCHES, 0, 0).integers(2**63) in draws
