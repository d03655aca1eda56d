"""The lens as typed calls: many jobs, seats or heads in one call to the node.

The lens is a contract without state or rights, deployed beside the main one; what it says is what the main contract's
own views say. Where there is none, read through ``clicooper.chain.client``, one call an item.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from clicooper.chain._abi import Abi
from clicooper.chain._transact import Deployed
from clicooper.chain.compile import load_artifact
from clicooper.chain.events import read_fields
from clicooper.chain.rpc.messages import to_address
from clicooper.chain.rpc.node import Node
from clicooper.chain.views import JobState, SeatState
from clicooper.types import Address, Head, JobId

__all__ = ["Lens"]

ARTIFACT = "CliCooperLens"


class Lens(Deployed):
    """One deployed lens, looking at one contract.

    Args:
        node: the chain.
        address: where the lens is.
        contract: the CliCooper contract to read.

    Raises:
        ChainError: there is no contract at ``address``.
    """

    _what = "lens"
    _hint = "deploy one with: clicooper deploy --lens"

    def __init__(self, node: Node, address: Address, contract: Address) -> None:
        # A read that reverts does so in the contract behind the lens, with that contract's errors.
        super().__init__(node, address, Abi([*load_artifact(ARTIFACT).abi, *_errors_of_contract()]))
        self.contract = contract

    def jobs(self, first: JobId, count: int) -> tuple[JobState, ...]:
        """The jobs ``first``, ``first + 1``, ...: at most ``count`` of them, fewer or none where the jobs end."""
        return tuple(read_fields(JobState, job) for job in self._view("jobs", self.contract, first, count))

    def seats(self, job: JobId) -> tuple[SeatState, ...]:
        """Every seat of a job, vacant ones included; raises RevertError ``NoSuchJob`` if there is no such job."""
        return tuple(read_fields(SeatState, seat) for seat in self._view("seats", self.contract, job))

    def round_heads(self, job: JobId, first: int, count: int) -> tuple[Head, ...]:
        """The heads in which at most ``count`` accepted rounds ended, from round ``first`` on."""
        return tuple(map(Head, self._view("roundHeads", self.contract, job, first, count)))

    def owed(self, job: JobId, accounts: Sequence[Address]) -> dict[Address, int]:
        """What each account could withdraw from a job now, in wei or the token's smallest unit."""
        rows = self._view("owed", self.contract, job, list(accounts))
        return {to_address(account): amount for account, amount in rows}


def _errors_of_contract() -> list[dict[str, Any]]:
    return [dict(entry) for entry in load_artifact().abi if entry["type"] == "error"]
