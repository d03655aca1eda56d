"""Who can read what: every role decrypts all it can, with every grant that it finds in the store."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from clicooper.access.grants import AuditKeys, seal_grant
from clicooper.access.sealed_files import open_bytes
from clicooper.audit.artifacts import Artifacts
from clicooper.audit.auditor import audit_record
from clicooper.audit.checks.record import is_open_end
from clicooper.audit.verdict import Check
from clicooper.errors import SealError
from clicooper.history.follow import follow_record
from clicooper.types import Address, Head, Verdict
from tests.scenario import failures, grants_of
from tests.sealed_world import World, replaced_seat

MAKERS = {"seat 0", "evicted", "replacement"}
LABELS = {"labels of round 0", "labels of round 1"}

MATRIX: dict[str, tuple[set[str], bool]] = {
    "stranger": (set(), False),
    "seat 0": ({"seat 0"}, False),
    "evicted": ({"evicted"}, True),
    "replacement": ({"evicted", "replacement"}, True),
    "owner": (MAKERS, False),
    "arbiter": (MAKERS, True),
    "auditor": (MAKERS, True),
    "auditor without labels": (MAKERS, False),
    "auditor of seat 0": ({"seat 0"}, False),
    "auditor of labels": (set(), True),
}
"""By role: whose files it reads, and whether it reads labels. The owner has the label secret itself, in no grant."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with replaced_seat(tmp_path_factory.mktemp("roles") / "run") as made:
        yield made


@pytest.mark.parametrize("role", MATRIX)
def test_role_reads_exactly_what_it_may(role: str, world: World) -> None:
    makers, labels = MATRIX[role]
    expected = {name for name in world.files() if name.split(",")[0] in makers} | (LABELS if labels else set())
    assert world.readable(role) == expected


def test_matrix_covers_every_role_and_every_kind_of_file(world: World) -> None:
    assert set(MATRIX) == set(world.readers)
    kinds = {name.split(": ")[1] for name in world.files()}
    assert kinds == {"trained", "out", "optimizer", "transcript", "state", "initial"}
    assert len(world.files()) == 4 * 5 + 2


def test_owner_knows_every_grant_of_the_job(world: World) -> None:
    """To keep them: no manifest leads to them."""
    assert set(world.job.opened.owner.grants) == set(grants_of(world.job))


def test_nobody_reads_plaintext_in_the_store(world: World) -> None:
    """Every sealed file's plaintext, whole or any 64 bytes of it, is absent from all blocks."""
    blocks = b"".join(world.job.store.get_block(cid) for cid in world.job.store.cids())
    keys = world.job.opened.owner.keys()
    artifacts = Artifacts(follow_record(world.job.record()), world.job.store, keys)
    for name, file in world.files().items():
        plain = open_bytes(world.job.store, file, artifacts.secret_of(file.author))
        middle = len(plain) // 2
        assert plain[middle : middle + 64] not in blocks, name


def test_replacement_continues_from_the_evicted_holders_state(world: World) -> None:
    before, after = world.first.manifests[1], world.second[1].manifest
    assert after.state_in.weights == before.out and after.state_in.optimizer == before.optimizer
    assert after.state_in.weights.author != after.out.author
    report = audit_record(world.job.record(), world.job.store, world.job.opened.owner.keys())
    assert {row.verdict for row in report.results if not is_open_end(row)} == {Verdict.PASS}
    assert "1 seats vacated" in next(row.detail for row in report.results if row.check is Check.RECORD)


def test_replacement_is_granted_no_more_than_it_needs(world: World) -> None:
    granted = [keys for keys in world.secrets("replacement") if keys.genesis is not None]
    evicted, newcomer = world.first.commitments[1].trainer, world.newcomer.address
    owners = [keys for keys in granted if keys.label_secret is not None]
    assert [set(keys.sealing) for keys in owners] == [{evicted, newcomer}]
    assert all(not keys.progress for keys in granted)


def test_replacement_without_a_grant_cannot_start(world: World) -> None:
    job = world.job
    fresh = type(job.opened.trainers[1])
    contract, secrets = job.contract(1), job.parties.trainer_secrets[0]
    stranger = fresh(1, job.parties.trainers[1], contract, job.opened.index, job.store, secrets, {"mlp"})
    owner = job.opened.owner
    number, genesis = owner._contract.create_job(owner.params)[0], None
    genesis = job.contract().genesis_of(number)
    stranger.join(number, genesis, owner.params, "nowhere")
    with pytest.raises(SealError, match="was not granted"):
        stranger.start_round(world.second[1].manifest)
    with pytest.raises(SealError, match="the label secret was not granted"):
        stranger.open_labels(0)


def test_replacement_refuses_a_wrong_secret_of_its_predecessor(world: World) -> None:
    """It would take its honest predecessor's files for broken ones."""
    job, newcomer = world.job, world.newcomer
    gone = world.first.commitments[1].trainer
    lying = replace(job.opened.owner.keys(), sealing={gone: b"\x5a" * 32})
    owner = Address(job.parties.owner.address)
    grant = job.store.put_block(seal_grant(lying, owner, [newcomer._secrets.recipient]).to_block())
    with pytest.raises(SealError, match=f"another secret than {gone} registered"):
        newcomer.receive_grant(grant)
    assert newcomer._read_job().state_file(world.first.manifests[1].out)


def test_grants_for_others_and_other_jobs_are_not_received(world: World) -> None:
    job, newcomer = world.job, world.newcomer
    owner, keys = Address(job.parties.owner.address), AuditKeys(genesis=job.opened.genesis)
    elsewhere = replace(keys, genesis=Head(b"\x09" * 32))
    for granted, recipient, why in (
        (keys, job.parties.trainer_secrets[0].recipient, "does not open with this identity"),
        (elsewhere, newcomer._secrets.recipient, "is for another job"),
    ):
        grant = job.store.put_block(seal_grant(granted, owner, [recipient]).to_block())
        with pytest.raises(SealError, match=why):
            newcomer.receive_grant(grant)


def test_audit_without_the_evicted_holders_secret_is_inconclusive_about_it_alone(world: World) -> None:
    keys = world.job.opened.owner.keys()
    gone = world.first.commitments[1].trainer
    partial = AuditKeys(
        keys.label_secret, keys.progress, {a: s for a, s in keys.sealing.items() if a != gone}, keys.genesis
    )
    report = audit_record(world.job.record(), world.job.store, partial)
    assert report.verdict is Verdict.INCONCLUSIVE
    assert not failures(report.results)
    artifacts = [row for row in report.results if row.check is Check.ARTIFACTS and row.verdict is Verdict.INCONCLUSIVE]
    assert {(row.round, row.seat) for row in artifacts} == {(0, 1)}


def test_wrong_secret_in_a_grant_accuses_nobody(world: World) -> None:
    """An owner who grants an auditor another secret than a trainer registered must not get it convicted."""
    keys = world.job.opened.owner.keys()
    lying = AuditKeys(keys.label_secret, keys.progress, dict.fromkeys(keys.sealing, b"\x5a" * 32), keys.genesis)
    report = audit_record(world.job.record(), world.job.store, lying)
    assert report.verdict is Verdict.INCONCLUSIVE
    assert not failures(report.results)
    assert any("is not what it registered" in row.detail for row in report.results)


def test_restarted_round_is_marked_under_fresh_keys(world: World) -> None:
    """The progress keys of the abandoned attempt may be granted already: marks of the same keys would be known."""
    seated = (world.job.opened.trainers[0], world.newcomer)
    for trainer, segment in zip(seated, world.second, strict=True):
        first, second = (trainer._secrets.mark_keys(world.job.opened.job, 1, segment.seat, n) for n in (0, 1))
        assert segment.progress_key.key == second.progress
        assert segment.progress_key.key != first.progress
    for trainer, segment in zip(world.job.opened.trainers, world.first.commitments, strict=True):
        assert segment.progress_key.key == trainer._secrets.mark_keys(world.job.opened.job, 0, segment.seat).progress
