"""What a head by DP-SGD spends in the ledger: before its first draw, once, and together with the release."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from clicooper.errors import PrivacyBudgetError, PrivacyClaimError, RunFolderError
from clicooper.privacy._ledger_file import read_book
from clicooper.privacy.composition import SampledGaussian, divide
from clicooper.privacy.ledger import HeadSpending, Ledger, ReleaseRequest
from clicooper.privacy.randomness import bind
from clicooper.privacy.release import ReleaseParams
from tests.zero_out import zero_out_epsilon

DATASET = bind("dataset")
DIVISION = divide(4.0, 1e-5, 2.0, 2, 40)


def spending(content=0, dataset=DATASET, mechanism=DIVISION.head, epsilon=2.0):
    return HeadSpending(dataset, bind("training", content), mechanism, epsilon, DIVISION.head_delta)


def request(dataset=DATASET):
    params = ReleaseParams(DIVISION.epsilon, DIVISION.delta, 1.0)
    mechanism = params.gaussian
    numbers = mechanism.sigma, mechanism.sensitivity, params.epsilon, params.delta
    return ReleaseRequest(dataset, bind("release"), bind("map"), *numbers)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "owner" / "ledger.json"


def open_ledger(path, budget=4.0):
    return Ledger.open(path, budget, 1e-5)


def test_a_division_of_the_whole_budget_fits(path):
    ledger = open_ledger(path)
    ledger.reserve_head(spending())
    alone = ledger.spent_epsilon()
    assert ledger.reserve(request()).number == 0
    assert 0 < alone < 2.0
    assert 3.98 < ledger.spent_epsilon() <= 4.0
    assert open_ledger(path).heads() == (spending(),)


def test_the_same_training_again_costs_nothing(path):
    ledger = open_ledger(path)
    for _ in range(3):
        ledger.reserve_head(spending())
    ledger.reserve(request())
    ledger.reserve_head(spending())
    assert ledger.heads() == (spending(),)


def test_a_second_training_over_the_budget_is_refused(path):
    ledger = open_ledger(path)
    ledger.reserve_head(spending())
    ledger.reserve(request())
    with pytest.raises(PrivacyBudgetError, match="over the budget of 4"):
        ledger.reserve_head(spending(content=1))
    assert len(ledger.heads()) == 1


def test_a_release_that_ignores_the_head_is_refused(path):
    """The whole epsilon for the release, after a head has spent half of it."""
    ledger = open_ledger(path)
    ledger.reserve_head(spending())
    params = ReleaseParams(4.0, 1e-5, 1.0)
    numbers = params.gaussian.sigma, params.gaussian.sensitivity, 4.0, 1e-5
    with pytest.raises(PrivacyBudgetError, match="over the budget"):
        ledger.reserve(ReleaseRequest(DATASET, bind("release"), bind("map"), *numbers))


def test_a_head_of_another_data_set_is_refused_and_so_is_its_release(path):
    ledger = open_ledger(path)
    ledger.reserve_head(spending())
    with pytest.raises(PrivacyBudgetError, match="another data set"):
        ledger.reserve_head(spending(dataset=bind("edited")))
    with pytest.raises(PrivacyBudgetError, match="another data set"):
        ledger.reserve(request(bind("edited")))


def test_one_training_with_other_numbers_is_refused(path):
    ledger = open_ledger(path)
    ledger.reserve_head(spending())
    with pytest.raises(PrivacyBudgetError, match="other numbers"):
        ledger.reserve_head(spending(epsilon=2.5))


def test_the_add_remove_epsilon_of_an_accountant_is_refused_as_a_claim(path):
    """What accountants print for this training is half of what a replaced record spends."""
    printed = zero_out_epsilon([DIVISION.head], DIVISION.head_delta)
    with pytest.raises(PrivacyClaimError, match="on a replaced record") as caught:
        open_ledger(path).reserve_head(spending(epsilon=printed))
    assert "add/remove" in caught.value.hint
    assert open_ledger(path).heads() == ()


def test_process_killed_while_it_trains_leaves_one_training_that_counts(path):
    """A real process reserves and dies before the head exists; the next one goes on, and nothing is spent twice."""
    program = (
        "import os, sys; from pathlib import Path\n"
        "from tests.unit.privacy.test_ledger_heads import open_ledger, spending\n"
        "open_ledger(Path(sys.argv[1])).reserve_head(spending())\n"
        "os.kill(os.getpid(), 9)\n"
    )
    for _ in range(2):
        command = [sys.executable, "-c", program, str(path)]
        killed = subprocess.run(command, check=False, cwd=Path(__file__).parents[3], env=os.environ)
        assert killed.returncode == -9
        assert open_ledger(path).heads() == (spending(),)
    with pytest.raises(PrivacyBudgetError):
        open_ledger(path).reserve_head(spending(content=1, mechanism=SampledGaussian(8.0, 2, 40), epsilon=20.0))


def test_a_ledger_has_one_format_with_heads_and_without(path):
    ledger = open_ledger(path)
    entry = ledger.reserve(request())
    first = json.loads(path.read_text())
    assert first["format"] == "clicooper-ledger/1" and first["heads"] == []
    assert read_book(path).entries == (entry,)
    open_ledger(path).reserve_head(spending())
    second = json.loads(path.read_text())
    assert second["format"] == "clicooper-ledger/1" and len(second["heads"]) == 1
    assert read_book(path).entries == (entry,)
    assert read_book(path).heads == (spending(),)


def test_damaged_heads_allow_nothing(path):
    open_ledger(path).reserve_head(spending())
    book = json.loads(path.read_text())
    head = book["heads"][0]
    damaged = [
        book | {"format": "clicooper-ledger/2"},
        book | {"format": "clicooper-ledger/3"},
        book | {"heads": None},
        {name: value for name, value in book.items() if name != "heads"},
        book | {"heads": [head | {"extra": 1}]},
        book | {"heads": [head | {"content": "0x12"}]},
        book | {"heads": [head | {"mechanism": head["mechanism"] | {"noise_multiplier": 0.0}}]},
        book | {"heads": [head | {"mechanism": {"steps": 1}}]},
    ]
    for content in damaged:
        path.write_text(json.dumps(content))
        with pytest.raises(RunFolderError, match="missing or damaged"):
            open_ledger(path)
