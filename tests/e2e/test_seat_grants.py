"""Grants at ``join``: the owner reveals nothing until every seat's files will open to it, and takes no copied grant."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from clicooper.access.sealing import new_identity, sealing_secret
from clicooper.errors import GrantRefused, VerificationFailed
from clicooper.protocol.grants import holders_of, open_seat_grant
from clicooper.protocol.owner import Owner
from clicooper.protocol.trainer import Trainer
from clicooper.types import Address, Head, JobId, Phase
from tests import adversaries as cheats
from tests.scenario import Rehearsal, rehearsal

REFUSED: list[tuple[type[Trainer], str]] = [
    (cheats.GrantsGarbage, "the grant does not open with this identity"),
    (cheats.GrantsToSomebodyElse, "the grant does not open with this identity"),
    (cheats.GrantsAnotherSecret, "it wraps another secret than the one registered"),
    (cheats.GrantsNothing, "does not have block"),
    (cheats.GrantsForAnotherJob, "it belongs to another job or trainer"),
    (cheats.GrantsMoreThanItsOwn, "it does not wrap this trainer's sealing secret and nothing else"),
    (cheats.CopiesNeighboursGrant, "it belongs to another job or trainer"),
    (cheats.RewrapsNeighboursGrant, "it does not wrap this trainer's sealing secret and nothing else"),
]


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rehearsal]:
    """A chain with a store and honest parties, on which every test opens a job of its own."""
    with rehearsal(tmp_path_factory.mktemp("grants") / "run") as opened:
        yield opened


def filled(job: Rehearsal, cheat: type[Trainer]) -> tuple[Owner, JobId, Head]:
    """A further job on the same terms, with a cheat in seat 1."""
    owner = job.opened.owner
    number, genesis = owner.create_job()
    for seat, kind in enumerate((Trainer, cheat)):
        account, secrets = job.parties.trainers[seat], job.parties.trainer_secrets[seat]
        trainer = kind(seat, account, job.contract(seat), job.opened.index, job.store, secrets, {"mlp"})
        trainer.join(number, genesis, owner.params, "nowhere")
    return owner, number, genesis


@pytest.mark.parametrize(("cheat", "why"), REFUSED, ids=[cheat.__name__ for cheat, _ in REFUSED])
def test_owner_reveals_nothing_to_a_seat_whose_grant_is_of_no_use(
    cheat: type[Trainer], why: str, job: Rehearsal
) -> None:
    owner, number, _ = filled(job, cheat)
    with pytest.raises(GrantRefused, match="seat 1") as refusal:
        owner.release_first_labels()
    assert why in refusal.value.message
    assert isinstance(refusal.value, VerificationFailed) and "refunds everybody" in refusal.value.hint
    state = job.contract().job(number)
    assert (state.phase, state.label_key) == (Phase.LABELS, owner.params.label_anchor)
    assert Address(job.parties.trainers[1].address) not in owner.keys().sealing
    job.contract().cancel(number)
    assert job.contract().owed_to(number, Address(job.parties.trainers[1].address)) == owner.params.stake_wei


def test_owner_opens_honest_grants_and_so_does_the_arbiter(job: Rehearsal) -> None:
    owner, number, genesis = filled(job, Trainer)
    owner.release_first_labels()
    expected = {
        Address(account.address): sealing_secret(secrets.secret, genesis)
        for account, secrets in zip(job.parties.trainers, job.parties.trainer_secrets, strict=True)
    }
    assert owner.keys().sealing == expected
    joined = holders_of(job.record(number).events)
    arbiter = job.parties.arbiter_identity
    assert {one.trainer: open_seat_grant(job.store, one, genesis, arbiter) for one in joined} == expected
    stranger, _ = new_identity()
    for one in joined:
        with pytest.raises(GrantRefused):
            open_seat_grant(job.store, one, genesis, stranger)


def test_secrets_of_one_job_open_nothing_of_another(job: Rehearsal) -> None:
    first, _, _ = filled(job, Trainer)
    first.collect_grants()
    before = set(first.keys().sealing.values())
    second, _, _ = filled(job, Trainer)
    second.collect_grants()
    assert before.isdisjoint(second.keys().sealing.values())


def test_key_record_fits_the_contract(job: Rehearsal) -> None:
    for one in holders_of(job.record().events):
        assert len(one.key_record) <= 300
