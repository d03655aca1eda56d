"""EIP-712 signatures: eth-account's encoder, the vectors that Solidity reads too, and that no field can be swapped."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_utils import keccak
from hypothesis import given
from hypothesis import strategies as st

from clicooper.chain.keys import account_from_seed
from clicooper.chain.typed_data import (
    COMMIT_TYPE,
    CommitContents,
    Domain,
    Position,
    commit_digest,
    ruling_digest,
    sign_commit,
    sign_ruling,
)
from clicooper.commitments.head import challenge_id, next_head, restart_head
from clicooper.types import Address, Digest, Ground, Head, JobId

VECTOR: dict[str, Any] = json.loads((Path(__file__).parents[2] / "vectors" / "signatures.json").read_text())
ACCOUNT = account_from_seed(b"typed data", "trainer")
digests = st.binary(min_size=32, max_size=32)
FIELDS = [tuple(reversed(field.split(" "))) for field in COMMIT_TYPE[len("Commit(") : -1].split(",")]


def raw(text: str) -> Digest:
    return Digest(bytes.fromhex(text.removeprefix("0x")))


DOMAIN = Domain(VECTOR["chainId"], Address(VECTOR["contract"]))
COMMITTEE = Domain(VECTOR["chainId"], Address(VECTOR["committee"]), "CliCooperCommittee")
JOB = JobId(VECTOR["job"])
POSITION = Position(JOB, 0, 0, Head(raw(VECTOR["head"])))
CONTENTS = CommitContents(Digest(b"\x01" * 32), Digest(b"\x02" * 32))


def positions() -> list[tuple[Position, CommitContents, dict[str, str]]]:
    """Where every commitment of the vector stands, by the heads that it gives."""
    head, found = POSITION.head, []
    for seat, commit in enumerate(VECTOR["commits"]):
        contents = CommitContents(raw(commit["manifestDigest"]), raw(commit["markCommitment"]))
        found.append((Position(JOB, 0, seat, head), contents, commit))
        head = Head(raw(commit["headAfter"]))
    return found


@pytest.mark.parametrize(("at", "contents", "commit"), positions())
def test_commit_is_the_vectors(at: Position, contents: CommitContents, commit: dict[str, str]) -> None:
    account = Account.from_key(keccak(text=f"secret of trainer {at.seat}"))
    assert commit_digest(DOMAIN, at, contents) == raw(commit["digest"])
    assert sign_commit(account, DOMAIN, at, contents).signature == raw(commit["signature"])
    assert account.address == commit["signer"]
    said = (contents.manifest_digest, contents.mark_commitment)
    assert next_head(at.head, at.job, at.round, at.seat, Address(commit["signer"]), *said) == raw(commit["headAfter"])


def test_ruling_is_the_vectors() -> None:
    question = raw(VECTOR["challenge"]["idFault"])
    for member, vote in enumerate(VECTOR["votes"]):
        account = Account.from_key(keccak(text=f"secret of member {member}"))
        assert ruling_digest(COMMITTEE, JOB, question, True) == raw(vote["digest"])
        assert sign_ruling(account, COMMITTEE, JOB, question, True) == raw(vote["signature"])
        assert ruling_digest(COMMITTEE, JOB, question, False) != raw(vote["digest"])


def test_challenge_and_restart_are_the_vectors() -> None:
    said, last = VECTOR["challenge"], VECTOR["commits"][-1]
    head, accused = Head(raw(last["headAfter"])), said["accused"]
    for ground, name in ((Ground.FAULT, "idFault"), (Ground.WITHHELD, "idWithheld")):
        where = (DOMAIN.chain_id, DOMAIN.contract, JOB, 0, head)
        accusation = (accused, Address(said["challenger"]), raw(said["evidenceDigest"]), ground)
        assert challenge_id(*where, *accusation) == raw(said[name])
    evicted = Address(VECTOR["commits"][accused]["signer"])
    assert restart_head(head, JOB, 0, accused, evicted) == raw(VECTOR["headAfterVacancy"])


@given(st.integers(0, 2**256 - 1), st.integers(0, 2**32 - 1), st.integers(0, 255), digests, digests, digests)
def test_digest_is_eth_accounts(job: int, round_: int, seat: int, head: bytes, manifest: bytes, mark: bytes) -> None:
    values = dict(zip((name for name, _ in FIELDS), (job, round_, seat, head, manifest, mark), strict=True))
    domain = {"name": "CliCooper", "version": "1", "chainId": DOMAIN.chain_id, "verifyingContract": DOMAIN.contract}
    types = {"Commit": [{"name": name, "type": kind} for name, kind in FIELDS]}
    signable = encode_typed_data(domain, types, values)
    at = Position(JobId(job), round_, seat, Head(head))
    signed = sign_commit(ACCOUNT, DOMAIN, at, CommitContents(Digest(manifest), Digest(mark)))
    assert signed.signature == bytes(ACCOUNT.sign_message(signable).signature)
    assert Account.recover_message(signable, signature=signed.signature) == ACCOUNT.address


@pytest.mark.parametrize(
    ("domain", "at", "contents"),
    [
        (replace(DOMAIN, chain_id=1), POSITION, CONTENTS),
        (replace(DOMAIN, contract=COMMITTEE.contract), POSITION, CONTENTS),
        (replace(DOMAIN, name="CliCooperCommittee"), POSITION, CONTENTS),
        (DOMAIN, replace(POSITION, job=JobId(2)), CONTENTS),
        (DOMAIN, replace(POSITION, round=1), CONTENTS),
        (DOMAIN, replace(POSITION, seat=1), CONTENTS),
        (DOMAIN, replace(POSITION, head=Head(b"\x03" * 32)), CONTENTS),
        (DOMAIN, POSITION, CommitContents(CONTENTS.mark_commitment, CONTENTS.manifest_digest)),
    ],
    ids=["chain", "contract", "name", "job", "round", "seat", "head", "contents"],
)
def test_signature_replayed_elsewhere_is_of_another_digest(
    domain: Domain, at: Position, contents: CommitContents
) -> None:
    assert commit_digest(domain, at, contents) != commit_digest(DOMAIN, POSITION, CONTENTS)
