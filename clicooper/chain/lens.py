"""The lens as typed calls: many jobs, seats or heads in one call to the node.

The lens is a contract without state or rights, deployed beside the main one; what it says is what the main contract's
own views say. Where there is none, read through ``clicooper.chain.client``, one call an item.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from eth_utils import to_checksum_address

from clicooper.chain._abi import Abi
from clicooper.chain._reverts import explain
from clicooper.chain.compile import load_artifact
from clicooper.chain.rpc.messages import Call
from clicooper.chain.rpc.node import Node
from clicooper.chain.rpc.transport import RpcError
from clicooper.chain.views import JobState, SeatState
from clicooper.errors import ChainError
from clicooper.types import Address, Head, JobId

__all__ = ["Lens"]

ARTIFACT = "CliCooperLens"


class Lens:
    """One deployed lens, looking at one contract.

    Args:
        node: the chain.
        address: where the lens is.
        contract: the CliCooper contract to read.

    Raises:
        ChainError: there is no contract at ``address``.
    """

    def __init__(self, node: Node, address: Address, contract: Address) -> None:
        if not node.code(address):
            hint = "deploy one with: clicooper deploy --lens"
            raise ChainError(f"no lens at {address} on chain {node.chain_id}", hint=hint)
        self.node = node
        self.address = address
        self.contract = contract
        # A read that reverts does so in the contract behind the lens, with that contract's errors.
        self._abi = Abi([*load_artifact(ARTIFACT).abi, *_errors_of_contract()])

    def jobs(self, first: JobId, count: int) -> tuple[JobState, ...]:
        """The jobs ``first``, ``first + 1``, ...: at most ``count`` of them, fewer or none where the jobs end."""
        return tuple(map(JobState.from_abi, self._view("jobs", first, count)))

    def seats(self, job: JobId) -> tuple[SeatState, ...]:
        """Every seat of a job, vacant ones included; raises RevertError ``NoSuchJob`` if there is no such job."""
        return tuple(map(SeatState.from_abi, self._view("seats", job)))

    def round_heads(self, job: JobId, first: int, count: int) -> tuple[Head, ...]:
        """The heads in which at most ``count`` accepted rounds ended, from round ``first`` on."""
        return tuple(map(Head, self._view("roundHeads", job, first, count)))

    def owed(self, job: JobId, accounts: Sequence[Address]) -> dict[Address, int]:
        """What each account could withdraw from a job now, in wei or the token's smallest unit."""
        rows = self._view("owed", job, list(accounts))
        return {Address(to_checksum_address(account)): amount for account, amount in rows}

    def _view(self, name: str, *args: object) -> Any:
        call = Call(self.address, self._abi.encode_call(name, (self.contract, *args)))
        try:
            data = self.node.call(call)
        except RpcError as e:
            raise explain(e, self._abi, name) from e
        return self._abi.decode_result(name, data)


def _errors_of_contract() -> list[dict[str, Any]]:
    return [dict(entry) for entry in load_artifact().abi if entry["type"] == "error"]
