"""The record of deployments: complete, per chain, and never silently wrong."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clicooper.chain.deployments import (
    Deployment,
    add_deployment,
    deployments_file,
    latest_deployment,
    read_deployments,
)
from clicooper.errors import StorageError, UsageError
from clicooper.types import Address

ONE = Deployment(
    contract="CliCooper",
    address=Address("0x5FbDB2315678afecb367f032d93F642f64180aa3"),
    deployer=Address("0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"),
    block=1,
    block_hash="0x" + "11" * 32,
    tx_hash="0x" + "22" * 32,
    gas_used=4_000_000,
    source_digest="0x" + "33" * 32,
    compiler="0.8.30+commit.73712a01",
    deployed_at=1_767_225_600,
)


def test_deployments_are_kept_in_order_and_by_chain(tmp_path: Path) -> None:
    second = replace(ONE, block=2)
    assert add_deployment(tmp_path, 1, ONE) == add_deployment(tmp_path, 1, second) == deployments_file(tmp_path, 1)
    assert read_deployments(tmp_path, 1) == (ONE, second)
    assert read_deployments(tmp_path, 2) == ()
    assert [path.name for path in (tmp_path / "deployments").iterdir()] == ["1.json"]


def test_latest_is_that_of_the_contract_asked_for(tmp_path: Path) -> None:
    for deployment in (ONE, replace(ONE, block=2), replace(ONE, block=3, contract="CliCooperLens")):
        add_deployment(tmp_path, 1, deployment)
    assert latest_deployment(tmp_path, 1, "CliCooper").block == 2
    with pytest.raises(UsageError, match="no Committee is known on chain 1"):
        latest_deployment(tmp_path, 1, "Committee")


@given(st.integers(0, 2**63), st.text(), st.text())
def test_every_record_reads_back(block: int, compiler: str, contract: str) -> None:
    deployment = replace(ONE, block=block, compiler=compiler, contract=contract)
    assert Deployment.from_json(json.loads(json.dumps(asdict(deployment)))) == deployment


def test_record_of_another_chain_is_refused(tmp_path: Path) -> None:
    add_deployment(tmp_path, 1, ONE)
    deployments_file(tmp_path, 1).rename(deployments_file(tmp_path, 5))
    with pytest.raises(UsageError, match="no deployment record of chain 5"):
        read_deployments(tmp_path, 5)


@pytest.mark.parametrize(
    "damage",
    [
        "",
        "[]",
        "{}",
        "[" * 5000,
        '{"format": "other", "chain_id": 1, "deployments": []}',
        '{"format": "CliCooper/1/deployments", "chain_id": 1, "deployments": [{}]}',
        '{"format": "CliCooper/1/deployments", "chain_id": 1, "deployments": 7}',
    ],
)
def test_damaged_record_is_refused_and_kept(damage: str, tmp_path: Path) -> None:
    file = deployments_file(tmp_path, 1)
    file.parent.mkdir()
    file.write_text(damage)
    with pytest.raises(UsageError):
        add_deployment(tmp_path, 1, ONE)
    assert file.read_text() == damage


@pytest.mark.parametrize(("field", "value"), [("block", "1"), ("block", True), ("address", 7), ("gas_used", None)])
def test_field_of_another_type_is_refused(field: str, value: object) -> None:
    with pytest.raises(TypeError):
        Deployment.from_json(asdict(ONE) | {field: value})


def test_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "deployments").write_bytes(b"")
    with pytest.raises((StorageError, UsageError)):
        add_deployment(tmp_path, 1, ONE)
    assert (tmp_path / "deployments").read_bytes() == b""
