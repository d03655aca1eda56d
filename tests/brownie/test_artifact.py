"""What Brownie compiles and deploys is the committed artifact, byte for byte."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from brownie import CliCooper, web3

ARTIFACT = Path(__file__).resolve().parents[2] / "clicooper" / "chain" / "artifacts" / "CliCooper.json"


def test_brownie_compiles_the_committed_bytecode() -> None:
    assert "0x" + CliCooper.bytecode == json.loads(ARTIFACT.read_bytes())["bytecode"]


def test_deployed_code_is_the_committed_runtime_code(contract: Any) -> None:
    code = "0x" + bytes(web3.eth.get_code(contract.address)).hex()
    assert code == json.loads(ARTIFACT.read_bytes())["runtime_bytecode"]
