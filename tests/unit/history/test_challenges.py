"""Challenges, rulings, refills and lapses in records: every rule kept once, and broken as it says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from clicooper.chain.events import (
    ChallengeLapsed,
    EquivocationProven,
    Event,
    JobAborted,
    RoundAccepted,
    RoundAcceptedByTimeout,
    Ruled,
    Withdrawn,
)
from clicooper.commitments.head import restart_head
from clicooper.history.follow import Outcome
from clicooper.types import ACCUSED_OWNER, AbortReason, Ground, Phase, VacancyReason
from tests.unit.history.disputed_record import (
    ACCUSED,
    ARBITER,
    ARGUED,
    COMMITS,
    COURT_WINDOW,
    CREATED,
    EVIDENCE,
    EXPELLED,
    FIRST,
    HALF,
    JOB,
    KEYS,
    LATE,
    MARK,
    NAMED,
    OPENED,
    OWNER,
    PARAMS,
    REFILLED,
    REJOINED,
    REPLACEMENT,
    REVIEWED,
    SECOND,
    STARTED,
    STRANGER,
    VACANT,
    WINDOW,
    Together,
    acquitted,
    after,
    challenged,
    follow,
    guilty,
    lapsed,
    refuses,
    vacated,
)

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
