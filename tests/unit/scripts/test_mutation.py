"""The memory and the score of mutation testing: an outcome lasts only as long as all that it depends on."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from mutation.explanations import explain, read_explanations
from mutation.memory import Basis, Entry, Memory, Outcome
from mutation.mutant import Mutant
from mutation.score import interval, share_killed, table
from scipy.stats import binomtest

ROOT = Path(__file__).resolve().parents[3]
SOURCE = b"a;\nif (x < 1) y();\nb;\n"
MUTANT = Mutant("ROR", "contracts/A.sol", 9, 10, "<", "<=", 2)
KILLED = Entry(Outcome.KILLED, "c0de", "Join.t.sol")
SURVIVED = Entry(Outcome.SURVIVED, "c0de")
TOO_SLOW = Entry(Outcome.KILLED, "c0de", "time")
INVALID = Entry(Outcome.INVALID)
THEN = Basis("contracts", "shared", {"Join.t.sol": "j", "Rule.t.sol": "r"})
OTHER_CONTRACTS = replace(THEN, contracts="other")
OTHER_SHARED = replace(THEN, shared="other")
OTHER_KILLER = replace(THEN, tests={"Join.t.sol": "other", "Rule.t.sol": "r"})
OTHER_TEST = replace(THEN, tests={"Join.t.sol": "j", "Rule.t.sol": "other"})
NEW_TEST = replace(THEN, tests={**THEN.tests, "New.t.sol": "n"})
NO_KILLER = replace(THEN, tests={"Rule.t.sol": "r"})


@pytest.mark.parametrize("entry", [KILLED, SURVIVED, TOO_SLOW, INVALID])
def test_an_outcome_outlives_the_run(entry: Entry, tmp_path: Path) -> None:
    Memory(tmp_path / "m.json", THEN).note(MUTANT, entry)
    again = Memory(tmp_path / "m.json", THEN)
    assert again.of(MUTANT) == entry
    assert again.of(replace(MUTANT, operator="MIA")) == entry
    assert again.of(replace(MUTANT, new="==")).outcome == Outcome.UNTRIED
    assert again.codes() == ({entry.code} if entry.code else set())
    assert Memory(tmp_path / "m.json", THEN, fresh=True).of(MUTANT).outcome == Outcome.UNTRIED


@pytest.mark.parametrize(
    ("entry", "kept", "forgotten"),
    [
        (KILLED, [OTHER_TEST, NEW_TEST], [OTHER_CONTRACTS, OTHER_SHARED, OTHER_KILLER, NO_KILLER]),
        (SURVIVED, [], [OTHER_CONTRACTS, OTHER_SHARED, OTHER_KILLER, OTHER_TEST, NEW_TEST]),
        (TOO_SLOW, [], [OTHER_CONTRACTS, OTHER_SHARED, OTHER_KILLER, OTHER_TEST, NEW_TEST]),
        (INVALID, [OTHER_SHARED, OTHER_KILLER, OTHER_TEST, NEW_TEST], [OTHER_CONTRACTS]),
    ],
)
def test_an_outcome_is_forgotten_with_what_it_depends_on(
    entry: Entry, kept: list[Basis], forgotten: list[Basis], tmp_path: Path
) -> None:
    Memory(tmp_path / "m.json", THEN).note(MUTANT, entry)
    assert [b for b in kept if Memory(tmp_path / "m.json", b).of(MUTANT) != entry] == []
    assert [b for b in forgotten if Memory(tmp_path / "m.json", b).of(MUTANT).outcome != Outcome.UNTRIED] == []


def test_the_basis_knows_every_test_and_the_vectors_that_it_reads(tmp_path: Path) -> None:
    tests, vectors = tmp_path / "tests" / "contract", tmp_path / "tests" / "vectors"
    for folder in (tests, vectors, tmp_path / "contracts"):
        folder.mkdir(parents=True)
    for name in ("package.json", "contracts/A.sol", "tests/contract/Base.sol"):
        (tmp_path / name).write_text(name)
    settings = "[profile.default]\nruns = 1\n[profile.mutate]\nruns = 2\n[profile.other]\nruns = 3\n"
    (tmp_path / "foundry.toml").write_text(settings)
    (tests / "Join.t.sol").write_text('vm.readFile("tests/vectors/heads.json")')
    (vectors / "heads.json").write_text("1")
    before = Basis.of(tmp_path)
    assert set(before.tests) == {"Join.t.sol"}
    (vectors / "heads.json").write_text("2")
    after = Basis.of(tmp_path)
    assert after.tests != before.tests
    assert (after.contracts, after.shared) == (before.contracts, before.shared)
    (tmp_path / "foundry.toml").write_text(settings.replace("3", "4"))
    assert Basis.of(tmp_path).shared == before.shared
    (tmp_path / "foundry.toml").write_text(settings.replace("2", "4"))
    assert Basis.of(tmp_path).shared != before.shared
    (tmp_path / "foundry.toml").write_text(settings)
    (tests / "Base.sol").write_text("other")
    assert Basis.of(tmp_path).shared != before.shared
    (tmp_path / "contracts" / "A.sol").write_text("other")
    assert Basis.of(tmp_path).contracts != before.contracts


def test_a_mutant_is_explained_by_its_changed_lines(tmp_path: Path) -> None:
    place = tmp_path / "s.toml"
    place.write_text("[[survivor]]\nchange = 'A\\.sol: if \\(x < 1\\) .* => .*x <= 1'\nwhy = 'x'\nequivalent = true\n")
    explanations = read_explanations(place)
    why = explain(MUTANT, SOURCE, explanations)
    assert why is not None
    assert (why.why, why.equivalent) == ("x", True)
    assert explain(replace(MUTANT, new="=="), SOURCE, explanations) is None
    assert MUTANT.applied(SOURCE) == SOURCE.replace(b"<", b"<=")


def test_the_committed_record_holds_what_was_seen_and_no_judgement() -> None:
    record = json.loads((ROOT / "tests" / "contract" / "mutants.json").read_text())
    kinds = {kind for kind in record["mutants"] if not kind.startswith("killed by ")}
    assert kinds <= {Outcome.SURVIVED, Outcome.SAME_CODE, Outcome.TWIN, Outcome.INVALID}


@pytest.mark.parametrize(("successes", "trials"), [(0, 1), (1, 1), (0, 40), (40, 40), (390, 400), (2100, 2150)])
@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_the_interval_is_that_of_clopper_and_pearson(successes: int, trials: int, confidence: float) -> None:
    expected = binomtest(successes, trials).proportion_ci(confidence, method="exact")
    assert interval(successes, trials, confidence) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_only_killed_and_survived_count() -> None:
    outcomes = [("CR", o) for o in Outcome] + [("CR", Outcome.KILLED)] * 8 + [("ROR", Outcome.KILLED)]
    assert share_killed(Counter(o for _, o in outcomes)) == 10 / 11
    assert share_killed(Counter()) == 0
    *_, every = table(outcomes)
    assert every.split() == ["all", "10", "1", "1", "1", "1", "1", "1"]
