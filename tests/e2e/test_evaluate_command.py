"""``clicooper evaluate privacy`` on real digits, for people, for programs, and as a report."""

import re

import pytest

from tests.cli_calls import answered, printed, refused

SMALL = ("--mechanisms", "gaussian", "--seeds", "1", "--epsilons", "8", "--gammas", "2", "--groups", "4", "--no-hiding")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return str(tmp_path_factory.mktemp("home"))


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setenv("CLICOOPER_STEPS", "10")


def test_attacks_claims_and_recommendation_as_an_object(home, capsys, tmp_path):
    report = tmp_path / "privacy.html"
    result = answered(capsys, "evaluate", "privacy", "--home", home, *SMALL, "--report", str(report))
    keys = {"name", "setting", "value", "floor", "control", "seeds", "std", "attacker_knows"}
    assert all(keys <= set(row) for row in result["rows"])
    rows = {row["name"]: row for row in result["rows"]}
    assert rows["grouping.oracle"]["value"] > 0.9
    assert rows["accuracy.protected"]["setting"] == {
        **{"data": "digits", "epsilon": 8.0, "gamma": 2, "group": 4, "mechanism": "gaussian"}
    }
    assert [set(claim) for claim in result["claims"]] == [{"claim", "published", "here", "honest_reading"}] * 4
    (found,) = result["recommendations"]
    assert found["data"] == "digits" and len(found["lines"]) == 6
    assert "no epsilon covers" in result["warning"]
    page = report.read_text(encoding="utf-8")
    assert page.count("<svg") == 5
    assert not re.search(r'(src|href)="(?!#|data:)', page)
    assert "Honest reading" in page and found["lines"][-1].split(":")[0] in page


def test_labels_that_are_randomised_are_named_in_every_setting(home, capsys):
    noisy = (*SMALL, "--label-epsilon", "4")
    result = answered(capsys, "evaluate", "privacy", "--home", home, *noisy)
    assert {row["setting"]["label_epsilon"] for row in result["rows"]} == {4.0}
    (named,) = [row for row in result["rows"] if row["name"] == "labels.named"]
    assert 0.7 < named["value"] < 1.0
    assert named["control"] == pytest.approx(0.858486, abs=1e-6)
    assert all("label eps 4" in claim["claim"] for claim in result["claims"])
    words = printed(capsys, "evaluate", "privacy", "--home", home, *noisy)
    assert "Accuracy, one seed, label eps 4" in words


def test_label_epsilon_out_of_range_is_refused(capsys):
    assert "--label-epsilon 0" in refused(capsys, "evaluate", "privacy", "--label-epsilon", "0")


def test_finished_trials_are_not_measured_again(home, capsys):
    """The second run answers from the home folder: equal but for its time."""
    first = answered(capsys, "evaluate", "privacy", "--home", home, *SMALL)
    again = answered(capsys, "evaluate", "privacy", "--home", home, *SMALL)
    assert first | {"seconds": 0} == again | {"seconds": 0}


def test_people_get_tables_and_words(home, capsys):
    from clicooper.cli.main import main

    assert main(["evaluate", "privacy", "--home", home, *SMALL, "--quiet"]) == 0
    text = capsys.readouterr().out
    for words in ("Accuracy, one seed", "Attacks, one seed", "The paper's claims", "What follows for digits"):
        assert words in text
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize("option", ["--epsilons", "--gammas", "--groups"])
@pytest.mark.parametrize("value", ["", "0", "-1,2", "two", "nan", "inf"])
def test_lists_that_are_no_numbers_are_refused(capsys, option, value):
    assert option in refused(capsys, "evaluate", "privacy", option, value)


def test_settings_that_no_record_allows_are_refused_with_the_reason(home, capsys):
    message = refused(
        capsys,
        "evaluate",
        "privacy",
        "--home",
        home,
        "--gammas",
        "5000",
        "--seeds",
        "1",
        "--no-hiding",
        kind="DataError",
    )
    assert "too few for gamma = 5000" in message
