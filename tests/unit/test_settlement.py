"""Who is owed what: pay by rounds, the price of silence, and no wei made or lost."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from clicooper.audit.settlement import DEAD_ADDRESS, Settlement
from clicooper.types import Address, Digest, JobParams

OWNER, FIRST, SECOND = Address("0xowner"), Address("0xfirst"), Address("0xsecond")


def params(**changes: int) -> JobParams:
    values = {"pay_wei": 10, "stake_wei": 40, "owner_bond_wei": 25, "seats": 2, "rounds": 3, "silence_penalty_wei": 15}
    digest = Digest(bytes(32))
    return JobParams(**{**values, **changes}, arbiter=Address("0xarbiter"), spec_digest=digest, label_anchor=digest)


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
