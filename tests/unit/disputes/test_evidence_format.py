"""Evidence files: one encoding, opened by whom they are for, and never read as anything but what was written."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from clicooper.access.sealing import new_identity
from clicooper.commitments.canonical import cid_of_digest, encode, sha256
from clicooper.disputes.evidence import Envelope, Evidence
from clicooper.disputes.evidence_file import (
    SealedEvidence,
    enclose,
    evidence_bytes,
    open_evidence,
    parse_evidence,
    read_evidence,
)
from clicooper.errors import EvidenceUnusable, SealError, SpecError, StorageError
from clicooper.storage.held import HeldBlocks
from clicooper.storage.ipld.car import write_car
from clicooper.storage.ipld.cid import build_file
from tests.cli_calls import Capture, refused
from tests.evidence_files import CHALLENGER, CLAIMS, blocks_of, opened_evidence, plain_evidence
from tests.scenario import FinishedRun

GENESIS = b"\x11" * 32


@pytest.fixture(scope="module")
def sealed(honest_run: FinishedRun) -> SealedEvidence:
    return plain_evidence(honest_run, CLAIMS["labels"])


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def test_same_job_same_plaintext_other_seal(honest_run: FinishedRun) -> None:
    first, second = (opened_evidence(honest_run, CLAIMS["links"]) for _ in range(2))
    assert first.evidence == second.evidence
    assert blocks_of(first) == blocks_of(second)
    plaintext = evidence_bytes(first.evidence, blocks_of(first))
    identity, recipient = new_identity()
    one, two = (enclose(GENESIS, first.evidence, plaintext, [recipient]) for _ in range(2))
    assert one.envelope.plaintext_digest == two.envelope.plaintext_digest == sha256(plaintext)
    assert one.digest != two.digest, "age never encrypts twice alike"
    assert open_evidence(one, identity).evidence == first.evidence


def test_the_file_is_read_back_and_its_digest_names_its_root(sealed: SealedEvidence, tmp_path: Path) -> None:
    again = read_evidence(written(tmp_path / "e.car", sealed.to_car()))
    assert again.envelope == sealed.envelope
    assert again.to_car() == sealed.to_car()
    assert cid_of_digest(again.digest) == again.envelope.cid


def test_parsing_is_the_inverse_of_writing(sealed: SealedEvidence) -> None:
    opened = open_evidence(sealed)
    plaintext = evidence_bytes(opened.evidence, blocks_of(opened))
    evidence, blocks = parse_evidence(plaintext)
    assert evidence_bytes(evidence, {cid: blocks.get_block(cid) for cid in blocks.cids()}) == plaintext


def test_sealed_evidence_opens_to_each_recipient_alone(sealed: SealedEvidence) -> None:
    opened = open_evidence(sealed)
    plaintext = evidence_bytes(opened.evidence, blocks_of(opened))
    pairs = [new_identity() for _ in range(3)]
    closed = enclose(GENESIS, opened.evidence, plaintext, [recipient for _, recipient in pairs[:2]])
    for identity, _ in pairs[:2]:
        assert open_evidence(closed, identity).evidence == opened.evidence
    with pytest.raises(SealError, match="does not open"):
        open_evidence(closed, pairs[2][0])
    with pytest.raises(SealError, match="is sealed"):
        open_evidence(closed)
    content = b"".join(closed.blocks.get_block(cid) for cid in closed.blocks.cids())
    label_block = opened.blocks.get_block(next(iter(opened.blocks.cids())))
    assert label_block not in content


def test_stolen_evidence_does_not_open_under_another_name(sealed: SealedEvidence) -> None:
    stolen = sealed.envelope.model_copy(update={"challenger": b"\xbb" * 20})
    with pytest.raises(EvidenceUnusable, match="0xbbbb"):
        open_evidence(SealedEvidence(stolen, sealed.blocks))


def test_another_content_than_announced_is_refused(sealed: SealedEvidence, honest_run: FinishedRun) -> None:
    other = plain_evidence(honest_run, CLAIMS["manifest"])
    swapped = sealed.envelope.model_copy(update={"content": other.envelope.content})
    with pytest.raises(EvidenceUnusable, match="announces"):
        open_evidence(SealedEvidence(swapped, other.blocks))


def test_any_flipped_bit_of_the_file_is_an_error(sealed: SealedEvidence, tmp_path: Path) -> None:
    data = sealed.to_car()
    for at in [*range(0, 400, 7), *range(400, len(data), 97), len(data) - 1]:
        damaged = bytearray(data)
        damaged[at] ^= 1 << (at % 8)
        with pytest.raises(EvidenceUnusable):
            open_evidence(read_evidence(written(tmp_path / "e.car", bytes(damaged))))


def test_any_flipped_bit_of_sealed_content_is_an_error(sealed: SealedEvidence) -> None:
    """Put right again by somebody who re-hashes everything but cannot open it."""
    opened = open_evidence(sealed)
    plaintext = evidence_bytes(opened.evidence, blocks_of(opened))
    identity, recipient = new_identity()
    closed = enclose(GENESIS, opened.evidence, plaintext, [recipient])
    content = b"".join(closed.blocks.get_block(cid) for cid in closed.blocks.cids())
    for at in (0, 30, 120, len(content) // 2, len(content) - 1):
        damaged = bytearray(content)
        damaged[at] ^= 1
        blocks = dict(build_file(io.BytesIO(bytes(damaged))))
        envelope = closed.envelope.model_copy(update={"content": list(blocks)[-1]})
        with pytest.raises((EvidenceUnusable, SealError)):
            open_evidence(SealedEvidence(envelope, HeldBlocks(blocks.items(), "test")), identity)


@pytest.mark.parametrize("cut", [0, 1, 60, 500, -1, -36])
def test_a_cut_file_is_an_error(cut: int, sealed: SealedEvidence, tmp_path: Path) -> None:
    with pytest.raises(EvidenceUnusable):
        open_evidence(read_evidence(written(tmp_path / "e.car", sealed.to_car()[:cut])))


def test_blocks_in_another_order_or_without_the_root_are_refused(sealed: SealedEvidence) -> None:
    opened = open_evidence(sealed)
    rest = sorted(blocks_of(opened).items(), key=lambda item: bytes(item[0]), reverse=True)
    root = (opened.evidence.cid, opened.evidence.to_block())
    for blocks, roots in (([root, *rest], [root[0]]), (rest, [root[0]]), ([root, *rest[::-1]], [root[0], root[0]])):
        target = io.BytesIO()
        write_car(target, roots, blocks)
        with pytest.raises(EvidenceUnusable):
            parse_evidence(target.getvalue())


def test_unknown_fields_and_versions_are_refused(sealed: SealedEvidence) -> None:
    evidence = open_evidence(sealed).evidence
    for fields, cls in ((evidence.model_dump(), Evidence), (sealed.envelope.model_dump(), Envelope)):
        with pytest.raises(SpecError, match="extra"):
            cls.from_block(encode(fields | {"extra": 1}))
        with pytest.raises(SpecError, match="version"):
            cls.from_block(encode(fields | {"version": 2}))


def test_a_file_that_is_not_there_or_something_else(tmp_path: Path, honest_run: FinishedRun) -> None:
    with pytest.raises(StorageError):
        read_evidence(tmp_path / "absent.car")
    with pytest.raises(EvidenceUnusable):
        read_evidence(honest_run.root / "record.json")


def test_it_names_its_challenger(sealed: SealedEvidence) -> None:
    assert sealed.envelope.challenger == open_evidence(sealed).evidence.challenger == bytes.fromhex(CHALLENGER[2:])


def test_the_command_never_takes_damage_for_guilt(sealed: SealedEvidence, tmp_path: Path, capsys: Capture) -> None:
    data = sealed.to_car()
    for name, damaged in (("cut", data[:-1]), ("flipped", data[:300] + b"\xff" + data[301:]), ("empty", b"")):
        path = written(tmp_path / f"{name}.car", damaged)
        assert refused(capsys, "evidence", "check", str(path), code=4, kind="EvidenceUnusable")
    assert refused(capsys, "evidence", "check", str(tmp_path / "absent.car"), code=3, kind="StorageError")
