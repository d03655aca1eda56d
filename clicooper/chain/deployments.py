"""Where contracts were deployed: one file per chain under ``HOME/deployments``, the newest deployment last.

The file is a convenience of this machine, not a proof: whoever uses an address compares its code with the artifact.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from clicooper.errors import UsageError
from clicooper.files import read_if_there, write_whole
from clicooper.json_values import parse_json
from clicooper.types import Address

__all__ = ["Deployment", "add_deployment", "deployments_file", "latest_deployment", "read_deployments"]

FORMAT = "CliCooper/1/deployments"
MAX_BYTES = 1 << 24


@dataclass(frozen=True)
class Deployment:
    """One contract that was put on a chain from here.

    Args:
        contract: name of its artifact.
        address: where it is.
        deployer: the account that paid.
        block: number of the block that holds it; events before it do not exist.
        block_hash, tx_hash, source_digest: 32 bytes as ``0x``-hex.
        gas_used: of the deployment.
        compiler: the compiler's version.
        deployed_at: timestamp of that block, in seconds since the epoch.
    """

    contract: str
    address: Address
    deployer: Address
    block: int
    block_hash: str
    tx_hash: str
    gas_used: int
    source_digest: str
    compiler: str
    deployed_at: int

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Self:
        """The inverse of ``asdict``; raises TypeError for other fields or types."""
        if set(value) != set(cls.__dataclass_fields__):
            raise TypeError("other fields")
        if not all(type(value[name]) is (int if name in _NUMBERS else str) for name in value):
            raise TypeError("other types")
        return cls(**value)


_NUMBERS = frozenset({"block", "gas_used", "deployed_at"})


def deployments_file(home: Path, chain_id: int) -> Path:
    """The file of one chain."""
    return home / "deployments" / f"{chain_id}.json"


def read_deployments(home: Path, chain_id: int) -> tuple[Deployment, ...]:
    """Every deployment on a chain, oldest first; none where there is no file.

    Raises:
        UsageError: the file is damaged or unreadable, or belongs to another chain.
    """
    path, hint = deployments_file(home, chain_id), "move it away, or repair it"
    data = read_if_there(path, MAX_BYTES, what="deployment record", follow=False, error=UsageError, hint=hint)
    if data is None:
        return ()
    try:
        value: Any = parse_json(data)
        if (value["format"], value["chain_id"]) != (FORMAT, chain_id):
            raise ValueError("another format or chain")
        return tuple(map(Deployment.from_json, value["deployments"]))
    except (ValueError, KeyError, TypeError) as e:
        raise UsageError(f"{path} is no deployment record of chain {chain_id}", hint=hint) from e


def add_deployment(home: Path, chain_id: int, deployment: Deployment) -> Path:
    """Appends to the chain's file, whole or not at all, unless it is there; returns the file.

    Raises:
        UsageError: what is there is damaged.
        StorageError: the file cannot be written.
    """
    known = read_deployments(home, chain_id)
    known = known if deployment in known else (*known, deployment)
    value = {"format": FORMAT, "chain_id": chain_id, "deployments": [asdict(one) for one in known]}
    path = deployments_file(home, chain_id)
    write_whole(path, json.dumps(value, indent=1).encode() + b"\n")
    return path


def latest_deployment(home: Path, chain_id: int, contract: str) -> Deployment:
    """The newest deployment of a contract on a chain.

    Raises:
        UsageError: there is none, or the file is damaged.
    """
    for deployment in reversed(read_deployments(home, chain_id)):
        if deployment.contract == contract:
            return deployment
    hint = "deploy with: clicooper deploy, or give the contract's address"
    raise UsageError(f"no {contract} is known on chain {chain_id}", hint=hint)
