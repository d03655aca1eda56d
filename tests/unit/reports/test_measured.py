"""What a run quotes of its setting is the row of docs/figures/privacy.md, and of its own setting alone."""

import re
from pathlib import Path

import pytest

from clicooper.config import JobConfig
from clicooper.reports.measured import measured_claims
from clicooper.reports.privacy_tables import FRONTIER

PAGE = (Path(__file__).parents[3] / "docs" / "figures" / "privacy.md").read_text(encoding="utf-8")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def rows_of_the_page():
    section = re.search(r"<!-- paper-figures -->\n(.*?)<!-- /paper-figures -->", PAGE, flags=re.DOTALL)[1]
    digits = section.partition("pairs:")[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in digits.splitlines() if "±" in line]


def test_default_setting_quotes_its_row_of_the_page():
    config = JobConfig()
    measured = measured_claims(config)
    shape = [f"{config.epsilon:g}", str(config.gamma), "PrivUnit"]
    assert config.mechanism == "privunit"
    assert [*shape, *(figure["cell"] for figure in measured["figures"])] in rows_of_the_page()
    assert [figure["name"] for figure in measured["figures"]] == [name for name, _ in FRONTIER]
    assert measured["seeds"] == 3


def test_default_setting_is_the_one_that_the_page_calls_best():
    config = JobConfig()
    setting = f"digits, eps {config.epsilon:g}, gamma {config.gamma}, PrivUnit"
    advice = re.search(r"<!-- advice -->\n(.*?)<!-- /advice -->", PAGE, flags=re.DOTALL)[1]
    assert f"is best off with {setting}." in advice


@pytest.mark.parametrize("changed", [{"epsilon": 1.0}, {"gamma": 5}, {"data": "records.npz"}, {"steps": 41}])
def test_another_setting_quotes_nothing(changed):
    assert measured_claims(JobConfig(**changed)) is None


def test_secrets_and_seeds_of_a_run_do_not_matter():
    assert measured_claims(JobConfig(seed=7, split_seed=1, spec_seed=2)) is not None
