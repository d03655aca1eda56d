"""What an owner's policy makes of rows, and what a policy file may say."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clicooper.audit.replay.sampling import escape_probability
from clicooper.audit.verdict import Check, CheckResult
from clicooper.errors import UsageError
from clicooper.protocol.decision import WITHHELD, Accept, Accuse, Wait, decide
from clicooper.protocol.policy import ALWAYS_FATAL, Detection, Policy, read_policy
from clicooper.types import Ground, Verdict

POLICY = Policy()


def row(check: Check, verdict: Verdict, seat: int | None = None, actual: str = "") -> CheckResult:
    return CheckResult(check, verdict, "subject", "detail", 0, seat, "", actual)


PASSED = row(Check.REPLAY, Verdict.PASS, 0)
MISSING = row(Check.ARTIFACTS, Verdict.INCONCLUSIVE, 1, WITHHELD)
UNKNOWN = row(Check.REPLAY, Verdict.INCONCLUSIVE, 0)


def test_only_what_has_passed_whole_is_paid() -> None:
    assert decide([PASSED], POLICY) == Accept()
    assert decide([], POLICY) == Wait("nothing was checked")
    assert isinstance(decide([PASSED, UNKNOWN], POLICY), Wait)


@pytest.mark.parametrize("check", [check for check in Check if check is not Check.RECORD])
def test_failed_check_that_names_a_seat_accuses_it(check: Check) -> None:
    failed = row(check, Verdict.FAIL, 2)
    assert decide([PASSED, UNKNOWN, MISSING, failed], POLICY) == Accuse(2, Ground.FAULT, failed)


def test_first_seat_that_a_failure_names_is_accused_not_the_pair() -> None:
    pair, named = row(Check.BOUNDARY, Verdict.FAIL), row(Check.REPLAY, Verdict.FAIL, 1)
    assert decide([pair, named], POLICY) == Accuse(1, Ground.FAULT, named)
    alone = decide([PASSED, pair], POLICY)
    assert isinstance(alone, Wait) and "no seat can be held answerable" in alone.reason


def test_owners_own_records_and_a_doubtful_record_accuse_nobody() -> None:
    assert isinstance(decide([PASSED, row(Check.PROGRESS, Verdict.FAIL)], POLICY), Wait)
    doubtful = decide([row(Check.REPLAY, Verdict.FAIL, 1), row(Check.RECORD, Verdict.FAIL)], POLICY)
    assert isinstance(doubtful, Wait) and "record cannot be relied on" in doubtful.reason


def test_withheld_data_are_a_ground_of_their_own() -> None:
    assert decide([PASSED, UNKNOWN, MISSING], POLICY) == Accuse(1, Ground.WITHHELD, MISSING)
    patient = Policy(withheld="wait")
    assert isinstance(decide([PASSED, MISSING], patient), Wait)
    assert isinstance(decide([replace(MISSING, seat=None)], POLICY), Wait)


def test_failure_that_is_not_fatal_is_paid_but_what_could_not_be_checked_never() -> None:
    lenient = Policy(fatal=frozenset(Check) - {Check.MARK})
    failed = row(Check.MARK, Verdict.FAIL, 1)
    assert decide([PASSED, failed], lenient) == Accept()
    assert isinstance(decide([PASSED, replace(failed, verdict=Verdict.INCONCLUSIVE)], lenient), Wait)


ANY_ROW = st.builds(
    row,
    st.sampled_from(Check),
    st.sampled_from(Verdict),
    st.sampled_from([None, 0, 1]),
    st.sampled_from(["", WITHHELD]),
)


@given(st.lists(ANY_ROW, max_size=6))
def test_no_rows_whatever_make_an_owner_pay_what_is_inconclusive_or_fatal(rows: list[CheckResult]) -> None:
    decision = decide(rows, POLICY)
    assert (decision == Accept()) is bool(rows and all(one.verdict is Verdict.PASS for one in rows))
    if isinstance(decision, Accuse):
        assert decision.row in rows and decision.seat == decision.row.seat
        assert (decision.ground is Ground.FAULT) is (decision.row.verdict is Verdict.FAIL)


@pytest.mark.parametrize(("share", "probability", "samples"), [(0.05, 0.99, 90), (0.01, 0.99, 459), (0.2, 0.99, 21)])
def test_detection_is_the_least_number_that_catches(share: float, probability: float, samples: int) -> None:
    assert Detection(share=share, probability=probability).samples == samples
    assert escape_probability(share, samples) <= 1 - probability < escape_probability(share, samples - 1)
    assert Policy(samples=3, detect=Detection(share=share, probability=probability)).draws == samples


def written(folder: Path, text: str) -> Path:
    path = folder / "policy.toml"
    path.write_text(text)
    return path


def test_policy_file_is_read_and_what_it_leaves_open_is_the_settings(tmp_path: Path) -> None:
    text = (
        'fatal = ["record", "manifest", "links", "artifacts", "state", "boundary", "replay", "mark"]\n'
        'withheld = "wait"\npublish_deadline_s = 30\nprogress_floor = 0.5\n'
        "[detect]\nshare = 0.05\nprobability = 0.99\n"
    )
    policy = read_policy(written(tmp_path, text), samples=4)
    assert policy.fatal == {*ALWAYS_FATAL, Check.MARK}
    assert (policy.draws, policy.samples, policy.withheld) == (90, 4, "wait")
    assert (policy.publish_deadline_s, policy.progress_floor) == (30.0, 0.5)
    assert read_policy(written(tmp_path, ""), samples=4) == Policy(samples=4)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sampels = 3", "sampels: extra inputs are not permitted"),
        ("samples = 0", "samples: input should be greater than or equal to 1"),
        ('fatal = ["mark"]', "fatal must name artifacts"),
        ('fatal = ["mrk"]', "fatal.0: input should be"),
        ('withheld = "pay"', "withheld: input should be 'wait' or 'challenge'"),
        ("publish_deadline_s = inf", "publish_deadline_s: input should be"),
        ("progress_floor = 1.5", "progress_floor: input should be"),
        ("[detect]\nshare = 0.05", "detect.probability: field required"),
        ("[detect]\nshare = 1.0\nprobability = 0.5", "detect.share: input should be less than 1"),
        ("samples = 1\n[detect]\nshare = 0.05\nprobability = 0.9", "both say how much is drawn"),
        ("samples =", "cannot read the policy"),
        ("#" * 70_000, "too large"),
    ],
)
def test_policy_that_cannot_be_used_is_refused(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as refusal:
        read_policy(written(tmp_path, text))
    assert message in refusal.value.message
    assert refusal.value.hint


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("samples = true", "samples"),
        ('samples = "5"', "samples"),
        ("samples = 1.5", "samples"),
        ("samples = [1]", "samples"),
        ("progress_floor = true", "progress_floor"),
        ("progress_floor = nan", "progress_floor"),
        ('progress_floor = "0.5"', "progress_floor"),
        ("publish_deadline_s = true", "publish_deadline_s"),
        ("publish_deadline_s = nan", "publish_deadline_s"),
        ('fatal = "replay"', "fatal"),
        ("fatal = true", "fatal"),
        ("fatal = {replay = true}", "fatal"),
        ("withheld = true", "withheld"),
        ("detect = true", "detect"),
        ("[detect]\nshare = true\nprobability = 0.5", "detect.share"),
        ('[detect]\nshare = 0.5\nprobability = "0.5"', "detect.probability"),
        ("[detect]\nshare = nan\nprobability = 0.5", "detect.share"),
        ("[detect]\nshare = 5e-324\nprobability = 0.5", "detect"),
    ],
)
def test_policy_value_of_another_kind_is_refused_with_its_key(text: str, key: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as refusal:
        read_policy(written(tmp_path, text))
    assert f": {key}: " in refusal.value.message


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_policy_that_windows_wrote_is_read(encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_bytes("samples = 7\r\n".encode(encoding))
    assert read_policy(path).samples == 7


DOCUMENT = (Path(__file__).resolve().parents[3] / "docs" / "verify.md").read_text(encoding="utf-8")


def test_every_key_of_a_policy_is_explained_and_the_example_can_be_used(tmp_path: Path) -> None:
    keys = re.findall(r"^\| `([a-z_]+)` \|", DOCUMENT, flags=re.MULTILINE)
    assert set(Policy.model_fields) == {key for key in keys if key not in ("accept", "wait")}
    (example,) = re.findall(r"```toml\n(.*?)```", DOCUMENT, flags=re.DOTALL)
    assert read_policy(written(tmp_path, example)).draws == 90


def test_table_of_escapes_is_what_the_formula_gives() -> None:
    table = re.findall(r"^\| (\d+) \| ([\d.]+) % \| ([^|]+) \| ([^|]+) \|", DOCUMENT, flags=re.MULTILINE)
    assert [int(line[0]) for line in table] == [1, 10, 21, 90, 459]
    for samples, *cells in table:
        for share, cell in zip((0.01, 0.05, 0.2), cells, strict=True):
            escape = escape_probability(share, int(samples))
            if power := re.fullmatch(r"< 10\^-(\d+)", cell):
                assert escape < 10.0 ** -int(power[1])
            else:
                assert float(cell.removesuffix(" %")) == pytest.approx(100 * escape, rel=0.01)
