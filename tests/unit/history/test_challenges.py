"""Challenges, rulings, refills, equivocation and openings in records: every rule kept once, and broken as it says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
from eth_utils import keccak, to_checksum_address

from clicooper.audit.artifacts import AuditKeys
from clicooper.audit.auditor import audit_record
from clicooper.audit.checks.payment import check_payment
from clicooper.audit.verdict import Check
from clicooper.chain.events import (
    Challenged,
    ChallengeLapsed,
    Committed,
    EquivocationProven,
    Event,
    JobAborted,
    JobCreated,
    LabelsReleased,
    LoggedEvent,
    MarkOpened,
    ReplacementNamed,
    RoundAccepted,
    RoundAcceptedByTimeout,
    Ruled,
    SeatJoined,
    SeatVacated,
    Withdrawn,
)
from clicooper.chain.record import JobRecord
from clicooper.commitments.head import challenge_id, label_anchor, label_keys, opened_commitment, restart_head
from clicooper.errors import RecordError
from clicooper.history.follow import History, Outcome, follow_record
from clicooper.types import (
    ACCUSED_OWNER,
    DEAD_ADDRESS,
    ZERO_ADDRESS,
    AbortReason,
    Address,
    Digest,
    Ground,
    JobId,
    JobParams,
    Phase,
    VacancyReason,
    Verdict,
)
from tests.simulators import MemoryStore

JOB = JobId(1)
WINDOW, COURT_WINDOW = 100, 300
LATE = WINDOW + 1


def address(number: int) -> Address:
    return Address(to_checksum_address(number.to_bytes(20, "big")))


OWNER, ARBITER, FIRST, SECOND, STRANGER, REPLACEMENT, CONTRACT = (address(n) for n in range(1, 8))
KEYS = label_keys(Digest(b"\x07" * 32), rounds=2)
PARAMS = JobParams(
    pay_wei=10,
    stake_wei=50,
    owner_bond_wei=26,
    seats=2,
    rounds=2,
    arbiter=ARBITER,
    spec_digest=Digest(b"\x01" * 32),
    label_anchor=label_anchor(KEYS[0]),
    challenge_bond_wei=8,
    arbiter_fee_wei=3,
    silence_penalty_wei=15,
    arbitration_window_s=COURT_WINDOW,
    **dict.fromkeys(("join_window_s", "label_window_s", "train_window_s", "turn_window_s", "review_window_s"), WINDOW),
)
MANIFEST, EVIDENCE = Digest(b"\x10" * 32), Digest(b"\x0e" * 32)
PROGRESS_HASH, OWNERSHIP = Digest(b"\x21" * 32), Digest(b"\x22" * 32)
MARK = opened_commitment(PROGRESS_HASH, OWNERSHIP)


@dataclass(frozen=True)
class Together:
    """Events of one transaction, ``wait`` seconds after the one before."""

    events: Sequence[Event]
    wait: int = 1


def record(*acts: Event | Together) -> JobRecord:
    """One act a block."""
    time, lines = 1_000, []
    for block, entry in enumerate(acts, start=1):
        act = entry if isinstance(entry, Together) else Together([entry])
        time += act.wait
        digest = Digest(block.to_bytes(32, "big"))
        for index, event in enumerate(act.events):
            lines.append(LoggedEvent(event, block, digest, time, digest, index, OWNER, 21_000))
    return JobRecord("test", 31337, CONTRACT, JOB, (0, 1_000), tuple(lines))


def follow(*acts: Event | Together) -> History:
    return follow_record(record(*acts))


def refuses(why: str, *acts: Event | Together) -> None:
    with pytest.raises(RecordError, match=why):
        follow(*acts)


def after(wait: int, *events: Event) -> Together:
    return Together(events, wait)


CREATED = JobCreated(JOB, OWNER, PARAMS)
OPENED = (CREATED, SeatJoined(JOB, 0, FIRST, b"keys"), SeatJoined(JOB, 1, SECOND, b"keys"))
STARTED = (*OPENED, LabelsReleased(JOB, 0, KEYS[0]))
COMMITS = tuple(Committed(JOB, 0, seat, MANIFEST, MARK) for seat in range(2))
HALF = (*STARTED, COMMITS[0])
REVIEWED = (*STARTED, *COMMITS)
ACCEPTED = (*REVIEWED, RoundAccepted(JOB, 0, KEYS[1]))
NAMED = ReplacementNamed(JOB, 1, REPLACEMENT)
REJOINED = SeatJoined(JOB, 1, REPLACEMENT, b"keys")


def challenged(
    acts: Sequence[Event | Together],
    accused: int = 1,
    bond: int = 8,
    ground: Ground = Ground.FAULT,
    by: Address = STRANGER,
) -> Challenged:
    """The challenge of this moment."""
    history = follow(*acts)
    where = (31337, CONTRACT, JOB, history.accepted_rounds, history.head)
    named = challenge_id(*where, accused, by, EVIDENCE, ground)
    return Challenged(JOB, named, by, accused, ground, bond, EVIDENCE)


def vacated(reason: VacancyReason, seat: int = 1, trainer: Address = SECOND) -> SeatVacated:
    return SeatVacated(JOB, seat, trainer, reason)


def guilty(challenge: Challenged, wait: int = 1) -> Together:
    return after(wait, Ruled(JOB, challenge.challenge_id, True), vacated(VacancyReason.GUILTY))


def acquitted(challenge: Challenged, wait: int = 1) -> Together:
    return after(wait, Ruled(JOB, challenge.challenge_id, False))


def lapsed(challenge: Challenged, *rest: Event, wait: int = COURT_WINDOW + 1) -> Together:
    return after(wait, ChallengeLapsed(JOB, challenge.challenge_id), *rest)


EXPELLED = (EquivocationProven(JOB, 1, STRANGER), vacated(VacancyReason.EQUIVOCATION))
ACCUSED = challenged(HALF)
ARGUED = (*HALF, ACCUSED)
VACANT = (*ARGUED, guilty(ACCUSED))
REFILLED = (*VACANT, NAMED, REJOINED)


# --- the whole way ---


def test_round_starts_again_after_a_refill() -> None:
    history = follow(*REFILLED, *COMMITS, RoundAccepted(JOB, 0, KEYS[1]))
    (first, *_), second = history.rounds[0].abandoned, history.rounds[0].commitments
    assert [c.trainer for c in second] == [FIRST, REPLACEMENT]
    assert second[0].head_before == restart_head(first.head, JOB, 0, 1, SECOND)
    assert [(seat.trainer, seat.from_round) for seat in history.seats] == [(FIRST, 0), (REPLACEMENT, 0)]
    assert [seat.trainer for seat in history.evicted] == [SECOND]
    assert history.commitments == history.rounds[0].commitments
    assert (history.joined, history.bonds_wei, history.accepted_rounds) == (3, 8, 1)


@pytest.mark.parametrize("length", range(1, len(REFILLED) + 1))
def test_every_prefix_of_whole_acts_is_a_history(length: int) -> None:
    phases = [Phase.OPEN] * 2 + [Phase.LABELS] + [Phase.COMMIT] * 2
    phases += [Phase.ARBITRATION, Phase.REFILL, Phase.REFILL, Phase.COMMIT]
    assert follow(*REFILLED[:length]).phase is phases[length - 1]


# --- rule 3: refill ---


@pytest.mark.parametrize(
    ("acts", "why"),
    [
        ((REJOINED,), "nobody was named"),
        ((NAMED, replace(REJOINED, trainer=STRANGER)), "reserved for"),
        ((NAMED, replace(REJOINED, seat=0)), "seat 0, which is not free"),
        ((NAMED, after(WINDOW, REJOINED)), "after its deadline"),
        ((replace(NAMED, trainer=STRANGER), NAMED, replace(REJOINED, trainer=STRANGER)), "reserved for"),
    ],
)
def test_rule_3_only_the_named_replacement_joins(acts: Sequence[Event | Together], why: str) -> None:
    refuses(why, *VACANT, *acts)


def test_rule_3_reserved_seat_is_not_free_for_its_evicted_holder() -> None:
    reserved = replace(CREATED, params=replace(PARAMS, allow_list=(FIRST, SECOND)))
    silent = (after(LATE, vacated(VacancyReason.SILENT)),)
    acts = (reserved, *STARTED[1:], COMMITS[0], *silent)
    refuses("already has a part", *acts, replace(REJOINED, trainer=SECOND))
    refuses("who may not hold", *acts, replace(NAMED, trainer=SECOND))


# --- rule 10: challenges ---


def test_rule_10_challenges_come_in_commit_and_review_alone() -> None:
    for before in (OPENED, VACANT, ARGUED):
        refuses("cannot happen in phase", *before, challenged(before))
    for before in (STARTED, HALF, REVIEWED):
        assert follow(*before, challenged(before)).phase is Phase.ARBITRATION
        refuses("after its deadline", *before, after(LATE, challenged(before)))


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"accused": 2}, "seat 2, which does not exist"),
        ({"challenger": ARBITER}, "the arbiter's own"),
        ({"accused": 0}, "has an id"),
        ({"accused": ACCUSED_OWNER}, "has an id"),
        ({"challenger": FIRST}, "has an id"),
        ({"ground": Ground.WITHHELD}, "has an id"),
        ({"evidence_digest": MARK}, "has an id"),
        ({"challenge_id": MARK}, "has an id"),
        ({"bond_wei": 7}, "not the bond that is due"),
        ({"bond_wei": 16}, "not the bond that is due"),
    ],
)
def test_rule_10_challenges_are_what_they_say(changes: dict[str, Any], why: str) -> None:
    refuses(why, *HALF, replace(ACCUSED, **changes))


def test_rule_10_challenge_copied_from_another_head_is_refused() -> None:
    refuses("has an id", *HALF, challenged(STARTED))


def test_rule_10_bond_doubles_within_a_round_only() -> None:
    acts: tuple[Event | Together, ...] = STARTED
    for bond in (8, 16, 32):
        challenge = challenged(acts, bond=bond)
        refuses("not the bond", *acts, replace(challenge, bond_wei=2 * bond))
        acts = (*acts, challenge, acquitted(challenge))
    acts = (*acts, *COMMITS, RoundAccepted(JOB, 0, KEYS[1]))
    assert follow(*acts, challenged(acts, bond=8)).challenges[-1].bond_wei == 8


def test_rule_10_bond_stops_at_the_limit_of_its_type() -> None:
    bond, limit = 2**94, 2**96 - 1
    terms = replace(PARAMS, challenge_bond_wei=bond, stake_wei=2**96 - 1)
    acts: tuple[Event | Together, ...] = (replace(CREATED, params=terms), *STARTED[1:])
    for due in (bond, 2 * bond, limit, limit, limit):
        challenge = challenged(acts, bond=due)
        acts = (*acts, challenge, acquitted(challenge))
    assert follow(*acts).bonds_wei == 3 * bond + 3 * limit


# --- rule 11: rulings ---


def test_rule_11_rulings_are_about_the_open_challenge() -> None:
    refuses("phase COMMIT", *HALF, acquitted(ACCUSED))
    refuses("not open", *ARGUED, Ruled(JOB, EVIDENCE, False))
    refuses("after its deadline", *ARGUED, acquitted(ACCUSED, COURT_WINDOW + 1))
    assert follow(*ARGUED, acquitted(ACCUSED, COURT_WINDOW)).challenges[0].outcome is Outcome.NOT_GUILTY
    refuses("phase COMMIT", *ARGUED, acquitted(ACCUSED), acquitted(ACCUSED))


def test_rule_11_withheld_data_may_be_published_for_half_the_window() -> None:
    withheld = challenged(HALF, ground=Ground.WITHHELD)
    refuses("may still be published", *HALF, withheld, guilty(withheld, COURT_WINDOW // 2))
    refuses("may still be published", *HALF, withheld, acquitted(withheld, COURT_WINDOW // 2))
    assert follow(*HALF, withheld, guilty(withheld, COURT_WINDOW // 2 + 1)).phase is Phase.REFILL


@pytest.mark.parametrize("left", [1, 49, 50, 51, 99])
@pytest.mark.parametrize("before", [STARTED, HALF, REVIEWED])
def test_rule_11_acquittal_resumes_with_half_a_window_at_least(before: Sequence[Event], left: int) -> None:
    challenge = challenged(before)
    acts = (*before, after(WINDOW - left, challenge), acquitted(challenge, 200))
    following = RoundAccepted(JOB, 0, KEYS[1]) if before is REVIEWED else COMMITS[len(before) - len(STARTED)]
    follow(*acts, after(max(left, WINDOW // 2), following))
    refuses("1 s after its deadline", *acts, after(max(left, WINDOW // 2) + 1, following))


@pytest.mark.parametrize(
    "act",
    [
        [Ruled(JOB, ACCUSED.challenge_id, True), vacated(VacancyReason.GUILTY, 0, FIRST)],
        [Ruled(JOB, ACCUSED.challenge_id, True), vacated(VacancyReason.SILENT)],
        [Ruled(JOB, ACCUSED.challenge_id, True), JobAborted(JOB, AbortReason.OWNER_GUILTY)],
        [Ruled(JOB, ACCUSED.challenge_id, True), Withdrawn(JOB, STRANGER, 16)],
    ],
)
def test_rule_11_guilty_seat_is_vacated_in_the_same_act(act: list[Event]) -> None:
    refuses("where SeatVacated is due in the same act", *ARGUED, Together(act))


def test_rule_11_guilty_verdict_without_its_consequence_is_refused() -> None:
    verdict = Ruled(JOB, ACCUSED.challenge_id, True)
    refuses("is the last event, where SeatVacated is due", *ARGUED, verdict)
    refuses("where SeatVacated is due in the same act", *ARGUED, verdict, vacated(VacancyReason.GUILTY))


def test_rule_11_guilty_owner_ends_the_job() -> None:
    challenge = challenged(REVIEWED, ACCUSED_OWNER)
    aborted = JobAborted(JOB, AbortReason.OWNER_GUILTY)
    verdict = Ruled(JOB, challenge.challenge_id, True)
    history = follow(*REVIEWED, challenge, Together([verdict, aborted]))
    assert history.phase is Phase.ABORTED
    owed = {account: history.settlement.owed(account) for account in (OWNER, ARBITER, FIRST, SECOND, STRANGER)}
    assert owed == {OWNER: 40 + 1, ARBITER: 3, FIRST: 50 + 11, SECOND: 50 + 11, STRANGER: 8}
    refuses("OWNER_GUILTY without a ruling", *REVIEWED, aborted)
    refuses("where JobAborted is due", *REVIEWED, challenge, Together([verdict, vacated(VacancyReason.GUILTY)]))


# --- rule 12: lapses ---


def test_rule_12_silent_arbiter_resumes_commit() -> None:
    refuses("time-out before the deadline", *ARGUED, lapsed(ACCUSED, wait=COURT_WINDOW))
    refuses("not open", *ARGUED, after(COURT_WINDOW + 1, ChallengeLapsed(JOB, EVIDENCE)))
    history = follow(*ARGUED, lapsed(ACCUSED), COMMITS[1])
    assert (history.phase, history.settlement.owed(STRANGER)) == (Phase.REVIEW, 8)


def test_rule_12_silent_arbiter_accepts_a_round_in_review() -> None:
    challenge = challenged(REVIEWED)
    refuses("is the last event", *REVIEWED, challenge, lapsed(challenge))
    refuses("RoundAcceptedByTimeout is due", *REVIEWED, challenge, lapsed(challenge, RoundAcceptedByTimeout(JOB, 1)))
    history = follow(*REVIEWED, challenge, lapsed(challenge, RoundAcceptedByTimeout(JOB, 0)))
    assert (history.phase, history.rounds[0].by_timeout) == (Phase.LABELS, True)


@pytest.mark.parametrize("wait", [1, COURT_WINDOW, COURT_WINDOW + 1])
def test_rule_12_equivocation_of_the_accused_closes_the_challenge(wait: int) -> None:
    history = follow(*ARGUED, lapsed(ACCUSED, *EXPELLED, wait=wait))
    assert (history.phase, history.challenges[0].outcome) == (Phase.REFILL, Outcome.LAPSED)
    assert history.settlement.owed(STRANGER) == 8 + 8


@pytest.mark.parametrize("before", [HALF, REVIEWED])
@pytest.mark.parametrize("wait", [1, COURT_WINDOW])
def test_rule_12_reward_for_equivocation_of_the_accused_is_the_challengers(before: Sequence[Event], wait: int) -> None:
    challenge = challenged(before)
    robbed = (EquivocationProven(JOB, 1, SECOND), vacated(VacancyReason.EQUIVOCATION))
    refuses("where EquivocationProven is due", *before, challenge, lapsed(challenge, *robbed, wait=wait))


def test_rule_12_reward_of_another_tells_that_the_time_out_came_first() -> None:
    late = (EquivocationProven(JOB, 1, OWNER), vacated(VacancyReason.EQUIVOCATION))
    acts = (*ARGUED, lapsed(ACCUSED, *late), NAMED, REJOINED)
    history = follow(*acts)
    assert (history.settlement.owed(STRANGER), history.settlement.owed(OWNER)) == (8, 8)
    refuses("not the bond", *acts, challenged(acts, bond=8))
    assert follow(*acts, challenged(acts, bond=16)).phase is Phase.ARBITRATION
    review = challenged(REVIEWED)
    refuses("where EquivocationProven is due", *REVIEWED, review, lapsed(review, *late))


def test_rule_12_next_bond_tells_whether_a_late_lapse_counted() -> None:
    for wait, bonds in ((1, {8}), (COURT_WINDOW + 1, {8, 16})):
        acts = (*ARGUED, lapsed(ACCUSED, *EXPELLED, wait=wait), NAMED, REJOINED)
        for bond in (4, 8, 16, 32):
            again = challenged(acts, bond=bond)
            if bond in bonds:
                assert follow(
                    *acts, again, acquitted(again), challenged((*acts, again, acquitted(again)), bond=2 * bond)
                )
            else:
                refuses("not the bond", *acts, again)


# --- rule 13: equivocation ---


@pytest.mark.parametrize("before", [STARTED, HALF, REVIEWED])
def test_rule_13_equivocation_expels_and_burns(before: Sequence[Event]) -> None:
    history = follow(*before, after(10_000, *EXPELLED))
    assert (history.phase, len(history.seats)) == (Phase.REFILL, 1)
    owed = {account: history.settlement.owed(account) for account in (STRANGER, DEAD_ADDRESS, SECOND)}
    assert owed == {STRANGER: 8, DEAD_ADDRESS: 42, SECOND: 0}
    assert len(history.rounds[0].commitments) == len(before) - len(STARTED)
    again = follow(*before, after(10_000, *EXPELLED), NAMED, REJOINED)
    assert (again.commitments, len(again.rounds[0].abandoned)) == ((), len(before) - len(STARTED))


def test_rule_13_equivocation_is_of_a_held_seat_in_an_open_round() -> None:
    refuses("phase LABELS", *OPENED, Together(EXPELLED))
    refuses("which nobody holds", *VACANT, Together(EXPELLED))
    refuses("which nobody holds", *STARTED, EquivocationProven(JOB, 7, STRANGER))
    refuses("is the last event", *STARTED, EXPELLED[0])
    refuses("leaves a challenge of the expelled seat open", *ARGUED, Together(EXPELLED))


def test_rule_13_challenge_of_another_stays_open_and_goes_back_to_the_refill() -> None:
    challenge = challenged(REVIEWED, accused=0)
    acts = (*REVIEWED, challenge, Together(EXPELLED))
    assert follow(*acts).phase is Phase.ARBITRATION
    resumed = (*acts, acquitted(challenge, 200))
    follow(*resumed, NAMED, after(WINDOW - 1, REJOINED))
    refuses("after its deadline", *resumed, NAMED, after(WINDOW, REJOINED))
    unruled = (*acts, lapsed(challenge), NAMED, REJOINED)
    assert follow(*unruled).phase is Phase.COMMIT


# --- rules 14 and 15: vacancies and replacements ---


def test_rule_14_vacancy_moves_the_head_on() -> None:
    before, moved = follow(*ARGUED), follow(*VACANT)
    assert moved.head == restart_head(before.head, JOB, 0, 1, SECOND)
    assert (moved.rounds[0].abandoned, len(moved.commitments)) == ((), 1)
    again = follow(*REFILLED, after(LATE, vacated(VacancyReason.SILENT, 0, FIRST)))
    assert again.head == restart_head(moved.head, JOB, 0, 0, FIRST)


@pytest.mark.parametrize(
    ("acts", "why"),
    [
        ((replace(NAMED, seat=0),), "seat 0, which is not vacant"),
        ((replace(NAMED, seat=2),), "seat 2, which is not vacant"),
        ((replace(NAMED, trainer=ZERO_ADDRESS),), "may not hold a seat"),
        ((replace(NAMED, trainer=OWNER),), "may not hold a seat"),
        ((replace(NAMED, trainer=ARBITER),), "may not hold a seat"),
        ((replace(NAMED, trainer=FIRST),), "may not hold a seat"),
        ((replace(NAMED, trainer=SECOND),), "may not hold a seat"),
        ((after(LATE, NAMED),), "after its deadline"),
        ((NAMED, REJOINED, NAMED), "phase COMMIT"),
    ],
)
def test_rule_15_replacements_are_outsiders_for_vacant_seats(acts: Sequence[Event | Together], why: str) -> None:
    refuses(why, *VACANT, *acts)


# --- rule 16: openings ---

OPENING = MarkOpened(JOB, 0, 1, SECOND, PROGRESS_HASH, OWNERSHIP, EVIDENCE)


def test_rule_16_marks_open_once_and_even_after_the_end() -> None:
    second = (Committed(JOB, 1, 0, MANIFEST, MARK), Committed(JOB, 1, 1, MANIFEST, MARK))
    done = (*ACCEPTED, *second, RoundAccepted(JOB, 1, KEYS[2]))
    other = replace(OPENING, seat=0, trainer=FIRST)
    assert follow(*done, OPENING, other).mark_openings == (OPENING, other)
    assert follow(*ACCEPTED, OPENING).phase is Phase.COMMIT
    refuses("for the second time", *done, OPENING, replace(OPENING, suspect_digest=MARK))


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"round": 1}, "round 1, which is not accepted"),
        ({"seat": 2}, "did not commit"),
        ({"trainer": FIRST}, "did not commit"),
        ({"ownership_key": MARK}, "does not open"),
        ({"progress_key_hash": Digest(keccak(PROGRESS_HASH))}, "does not open"),
    ],
)
def test_rule_16_openings_fit_the_commitment(changes: dict[str, Any], why: str) -> None:
    refuses(why, *ACCEPTED, replace(OPENING, **changes))


def test_rule_16_abandoned_commitments_are_not_opened() -> None:
    both = (*REVIEWED, Together(EXPELLED), NAMED, REJOINED, *COMMITS, RoundAccepted(JOB, 0, KEYS[1]))
    refuses("did not commit", *both, OPENING)
    assert follow(*both, replace(OPENING, trainer=REPLACEMENT)).mark_openings


# --- tokens ---


def test_jobs_may_pay_in_a_token() -> None:
    in_token = replace(CREATED, params=replace(PARAMS, token=STRANGER))
    assert follow(in_token, *ACCEPTED[1:]).params.token == STRANGER


# --- what the audit shows ---


def test_audit_names_disputes_and_burned_money() -> None:
    acts = (*REFILLED, *COMMITS, RoundAccepted(JOB, 0, KEYS[1]))
    late = after(LATE, vacated(VacancyReason.SILENT, 0, FIRST))
    report = audit_record(record(*acts, late), MemoryStore(), AuditKeys())
    by_check = {row.subject: row.detail for row in report.results if row.check in {Check.RECORD, Check.PAYMENT}}
    said = by_check["state machine"]
    assert "2 commitments, 1 of 2 rounds accepted, 1 commitments of abandoned attempts, 2 seats vacated" in said
    assert "challenge of seat 1 in round 0: guilty" in said
    assert by_check[DEAD_ADDRESS] == "15 wei are burned"
    assert by_check[STRANGER] == "withdrew 0 wei, is owed 16 wei"


def test_audit_accounts_for_every_bond_at_the_end() -> None:
    in_token = replace(CREATED, params=replace(PARAMS, token=STRANGER))
    for created, unit in ((CREATED, "wei"), (in_token, f"units of token {STRANGER}")):
        acts: tuple[Event | Together, ...] = (created, *REVIEWED[1:])
        challenge = challenged(acts, ACCUSED_OWNER)
        verdict = [Ruled(JOB, challenge.challenge_id, True), JobAborted(JOB, AbortReason.OWNER_GUILTY)]
        rows = list(check_payment(follow(*acts, challenge, Together(verdict))))
        assert rows[-1].subject == "all money locked in the job"
        assert unit in rows[-1].detail
        assert {row.verdict for row in rows} == {Verdict.PASS}
