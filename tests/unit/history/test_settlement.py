"""Who is owed what: pay by rounds, the price of silence, and no wei made or lost."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from clicooper.history.settlement import Settlement
from clicooper.types import DEAD_ADDRESS, Address, Digest, JobParams

OWNER, FIRST, SECOND = Address("0xowner"), Address("0xfirst"), Address("0xsecond")
ARBITER, CHALLENGER = Address("0xarbiter"), Address("0xchallenger")
TRAINERS = (FIRST, SECOND, Address("0xthird"))


def params(**changes: int) -> JobParams:
    values = {"pay_wei": 10, "stake_wei": 40, "owner_bond_wei": 25, "seats": 2, "rounds": 3, "silence_penalty_wei": 15}
    digest = Digest(bytes(32))
    return JobParams(**{**values, **changes}, arbiter=ARBITER, spec_digest=digest, label_anchor=digest)


def filled(**changes: int) -> Settlement:
    return Settlement(OWNER, params(**changes)).joined(0, FIRST).joined(1, SECOND)


def test_nothing_is_owed_before_a_round_is_accepted() -> None:
    assert filled().liabilities() == 0


def test_each_round_earns_every_seat_its_pay() -> None:
    twice = filled().round_accepted().round_accepted()
    assert (twice.owed(FIRST), twice.owed(SECOND), twice.owed(OWNER)) == (20, 20, 0)


def test_withdrawn_pay_is_not_owed_again() -> None:
    paid = filled().round_accepted().withdrawn(FIRST)
    assert (paid.owed(FIRST), paid.owed(SECOND)) == (0, 10)
    assert paid.round_accepted().owed(FIRST) == 10


def test_end_returns_stakes_bond_and_unspent_pay() -> None:
    ended = filled().round_accepted().ended()
    assert (ended.owed(FIRST), ended.owed(SECOND), ended.owed(OWNER)) == (50, 50, 25 + 2 * 2 * 10)


def test_silent_trainer_loses_the_penalty_and_keeps_its_pay() -> None:
    vacated = filled().round_accepted().vacated_silent(0)
    assert vacated.owed(FIRST) == 40 - 15 + 10
    assert vacated.owed(DEAD_ADDRESS) == 15
    assert vacated.round_accepted().owed(FIRST) == 35, "a vacated seat earns nothing more"


def test_silent_owners_bond_is_shared_and_dust_stays() -> None:
    lost = filled().bond_lost().ended()
    assert (lost.owed(FIRST), lost.owed(SECOND)) == (52, 52)
    assert lost.owed(OWNER) == 60 + 1


def disputed(seats: int = 3) -> Settlement:
    """A job with a price for everything; amounts such that every division leaves dust."""
    terms = params(seats=seats, stake_wei=50, challenge_bond_wei=9, arbiter_fee_wei=4, owner_bond_wei=36)
    settlement = Settlement(OWNER, terms)
    for seat in range(seats):
        settlement = settlement.joined(seat, TRAINERS[seat])
    return settlement


def owed(settlement: Settlement, *accounts: Address) -> tuple[int, ...]:
    return tuple(map(settlement.owed, accounts))


def test_guilty_seats_stake_is_shared_out_and_its_pay_is_kept() -> None:
    ruled = disputed().round_accepted().vacated_guilty(0, CHALLENGER, 18)
    assert owed(ruled, CHALLENGER, ARBITER, OWNER) == (18 + 9, 4, 1)
    assert owed(ruled, *TRAINERS) == (10, 10 + 18, 10 + 18)


def test_guilty_seat_may_have_been_the_last_one() -> None:
    alone = disputed(2).vacated_equivocation(0, CHALLENGER).vacated_guilty(1, CHALLENGER, 9)
    assert owed(alone, OWNER, CHALLENGER, DEAD_ADDRESS) == (50 - 9 - 4, 9 + 9 + 9, 41)
    assert alone.ended().owed(OWNER) == 37 + 36 + 60


def test_equivocation_rewards_the_reporter_and_burns_the_rest() -> None:
    expelled = disputed().round_accepted().vacated_equivocation(1, TRAINERS[0])
    assert owed(expelled, *TRAINERS, DEAD_ADDRESS) == (10 + 9, 10, 10, 41)


def test_failed_challenge_pays_the_arbiter_and_burns_the_rest() -> None:
    failed = disputed().challenge_failed(18)
    assert owed(failed, ARBITER, DEAD_ADDRESS, CHALLENGER) == (4, 14, 0)


def test_lapsed_challenge_returns_the_bond() -> None:
    assert disputed().challenge_lapsed(TRAINERS[0], 18).owed(TRAINERS[0]) == 18


def test_guilty_owner_pays_the_arbiter_and_the_seats_that_are_left() -> None:
    ended = disputed().vacated_equivocation(2, CHALLENGER).owner_guilty(CHALLENGER, 9).ended()
    assert owed(ended, ARBITER, *TRAINERS) == (4, 50 + 16, 50 + 16, 0)
    assert ended.owed(OWNER) == 90
    assert disputed().owner_guilty(CHALLENGER, 9).ended().owed(OWNER) == 90 + 32 % 3


def test_guilty_owner_keeps_its_bond_where_no_seat_is_left() -> None:
    empty = disputed(2).vacated_equivocation(0, CHALLENGER).vacated_equivocation(1, CHALLENGER)
    assert empty.owner_guilty(CHALLENGER, 9).ended().owed(OWNER) == 60 + 36 - 4


def test_settlements_are_values() -> None:
    before = filled()
    before.round_accepted().vacated_silent(1).ended()
    assert before == filled()


@given(
    accepted=st.integers(0, 3),
    withdrawn=st.lists(st.sampled_from([FIRST, SECOND, OWNER]), max_size=4),
    silent=st.sampled_from([None, 0, 1]),
    bond_lost=st.booleans(),
    pay=st.integers(0, 1000),
    bond=st.integers(0, 1000),
)
def test_all_money_locked_is_withdrawn_or_owed(
    accepted: int, withdrawn: list[Address], silent: int | None, bond_lost: bool, pay: int, bond: int
) -> None:
    terms = params(pay_wei=pay, owner_bond_wei=bond)
    settlement, paid = filled(pay_wei=pay, owner_bond_wei=bond), 0
    for _ in range(accepted):
        settlement = settlement.round_accepted()
        for account in withdrawn:
            paid += settlement.owed(account)
            settlement = settlement.withdrawn(account)
    if silent is not None:
        settlement = settlement.vacated_silent(silent)
    elif bond_lost:
        settlement = settlement.bond_lost()
    assert paid + settlement.ended().liabilities() == terms.escrow_wei + 2 * terms.stake_wei


@dataclass
class Books:
    """One job's settlement, and the money that went in and out."""

    settlement: Settlement
    locked: int
    paid: int = 0

    def act(self, name: str, seat: int, bond: int) -> None:
        """One thing that may happen; nothing, where there is nobody whom it may happen to."""
        held = sorted(self.settlement.seats)
        if name == "accept" and len(held) == 3 and self.settlement.accepted < self.settlement.params.rounds:
            self.settlement = self.settlement.round_accepted()
        elif name == "withdraw":
            for account in (OWNER, CHALLENGER, ARBITER, *TRAINERS):
                self.paid += self.settlement.owed(account)
                self.settlement = self.settlement.withdrawn(account)
        elif name == "join" and seat not in held:
            self.locked += self.settlement.params.stake_wei
            self.settlement = self.settlement.joined(seat, Address(f"0xnew{self.locked}"))
        elif name in {"challenge_failed", "challenge_lapsed"}:
            self.locked += bond
            who = (CHALLENGER,) if name == "challenge_lapsed" else ()
            self.settlement = getattr(self.settlement, name)(*who, bond)
        elif seat in held and name.startswith("vacated"):
            self.vacate(name, seat, bond)

    def vacate(self, name: str, seat: int, bond: int) -> None:
        if name == "vacated_guilty":
            self.locked += bond
            self.settlement = self.settlement.vacated_guilty(seat, CHALLENGER, bond)
        elif name == "vacated_equivocation":
            self.settlement = self.settlement.vacated_equivocation(seat, CHALLENGER)
        else:
            self.settlement = self.settlement.vacated_silent(seat)


ACTS = ["accept", "withdraw", "join", "challenge_failed", "challenge_lapsed"]
ACTS += ["vacated_guilty", "vacated_equivocation", "vacated_silent"]


@given(
    acts=st.lists(st.tuples(st.sampled_from(ACTS), st.integers(0, 2), st.integers(4, 10**6)), max_size=12),
    end=st.sampled_from(["done", "owner guilty", "owner silent"]),
    bond=st.integers(4, 10**6),
)
def test_no_dispute_makes_or_loses_money(acts: list[tuple[str, int, int]], end: str, bond: int) -> None:
    start = disputed()
    books = Books(start, start.params.escrow_wei + 3 * start.params.stake_wei)
    for name, seat, amount in acts:
        books.act(name, seat, amount)
    if end == "owner guilty":
        books.locked += bond
        books.settlement = books.settlement.owner_guilty(CHALLENGER, bond)
    elif end == "owner silent":
        books.settlement = books.settlement.bond_lost()
    books.settlement = books.settlement.ended()
    assert books.paid + books.settlement.liabilities() == books.locked
    assert min(books.settlement.credits.values()) >= 0
