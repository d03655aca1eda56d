"""What a challenge names as its evidence."""

import hashlib
import io
from pathlib import Path

import pytest

from clicooper.commitments.canonical import digest_of_cid, encode
from clicooper.errors import StorageError, UsageError
from clicooper.protocol.accusation import evidence_digest
from clicooper.storage.ipld.car import write_car
from clicooper.storage.ipld.cid import block_cid


def test_evidence_in_a_car_file_is_named_by_its_root(tmp_path: Path) -> None:
    block = encode({"what": "evidence"})
    root, target = block_cid(block, "dag-cbor"), io.BytesIO()
    write_car(target, [root], [(root, block)])
    path = tmp_path / "evidence.car"
    path.write_bytes(target.getvalue())
    assert evidence_digest(path) == digest_of_cid(root) == hashlib.sha256(block).digest()


def test_any_other_evidence_is_named_by_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "letter.txt"
    path.write_bytes(b"seat 1 lied")
    assert evidence_digest(path) == hashlib.sha256(b"seat 1 lied").digest()


def test_evidence_that_is_empty_or_not_there_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    with pytest.raises(UsageError, match="is no evidence"):
        evidence_digest(tmp_path / "empty")
    with pytest.raises(StorageError, match="cannot read"):
        evidence_digest(tmp_path / "absent")
