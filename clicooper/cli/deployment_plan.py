"""What ``clicooper deploy`` is to put on a chain, as the command line names it: contracts, and who sits on a committee.

Everything is checked before coin is spent; that the members of a committee agreed to it is for whoever names them.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from clicooper.cli import session
from clicooper.errors import UsageError, VerificationFailed

if TYPE_CHECKING:
    from clicooper.chain.rpc.node import Node
    from clicooper.types import Address

__all__ = ["CommitteeTerms", "Plan", "check_contract", "committee_terms", "deployment_plan"]

CONTRACT, LENS, COMMITTEE = "CliCooper", "CliCooperLens", "Committee"
MOST_MEMBERS = 32


@dataclass(frozen=True)
class CommitteeTerms:
    """What stays fixed for ever once the committee is deployed.

    Args:
        members: 1 to 32 distinct addresses, none of them zero.
        threshold: equal votes that make a ruling, 1 to the number of members.
    """

    members: tuple[Address, ...]
    threshold: int


@dataclass(frozen=True)
class Plan:
    """What is to be put on the chain.

    Args:
        names: the contracts, in the order of their deployment.
        committee: members and threshold, if a committee is among them.
        contract: an existing contract that the committee is for; None: the one that is deployed before it.
    """

    names: tuple[str, ...]
    committee: CommitteeTerms | None = None
    contract: Address | None = None

    @property
    def stand_in(self) -> Address | None:
        """For the price of a committee whose contract has no address yet: any other address costs the same."""
        return self.contract or (self.committee.members[0] if self.committee else None)

    def arguments(self, name: str, contract: Address | None) -> bytes:
        """What the constructor of ``name`` takes, ABI-encoded; only a committee's takes anything.

        Args:
            name: of the contract to deploy.
            contract: what the committee is for, known by the time that it is deployed.
        """
        from clicooper.chain.committee import committee_arguments  # noqa: PLC0415 - keeps --help fast

        if self.committee is None or contract is None or name != COMMITTEE:
            return b""
        return committee_arguments(contract, self.committee.members, self.committee.threshold)

    def committee_result(self, contract: Address | None) -> dict[str, Any]:
        """The committee as part of the command's answer; nothing if there is none."""
        return {} if self.committee is None else {"committee": asdict(self.committee) | {"contract": contract}}


def deployment_plan(lens: bool, committee: CommitteeTerms | None, contract: str | None) -> Plan:
    """The contract, unless an existing one is named, then the lens and the committee if asked for.

    Raises:
        UsageError: a contract is named without a committee for it, or is no address.
    """
    if contract is not None and committee is None:
        hint = "name its members with --committee and --threshold, or leave out --contract"
        raise UsageError("--contract says what a committee is for, and there is none", hint=hint)
    chosen = {CONTRACT: contract is None, LENS: lens, COMMITTEE: committee is not None}
    names = tuple(name for name, wanted in chosen.items() if wanted)
    return Plan(names, committee, None if contract is None else session.contract_address(contract))


def check_contract(node: Node, plan: Plan) -> None:
    """A committee can rule in one contract only, for ever: an existing one must be ours.

    Raises:
        ChainError: there is no contract.
        VerificationFailed: its code is not that of this release.
    """
    from clicooper.chain.deploy import first_difference  # noqa: PLC0415 - keeps --help fast

    if plan.contract is not None and first_difference(node, plan.contract) is not None:
        hint = "give the address of a CliCooper contract: see clicooper contract verify"
        raise VerificationFailed(f"{plan.contract} is not the contract of this release", hint=hint)


def committee_terms(members: str | None, threshold: int | None) -> CommitteeTerms | None:
    """The committee of ``--committee`` and ``--threshold``; None if neither is given.

    Args:
        members: addresses, separated by commas.
        threshold: equal votes that make a ruling.

    Raises:
        UsageError: one is given without the other, an address is none, twice there or zero, there are too many, or
            the threshold cannot be reached.
    """
    if members is None and threshold is None:
        return None
    if members is None or threshold is None:
        missing = "--committee" if members is None else "--threshold"
        hint = "name members and threshold: --committee 0x...,0x...,0x... --threshold 2"
        raise UsageError(f"a committee needs {missing} too", hint=hint)
    words = [member.strip() for member in members.split(",")]
    if "" in words:
        raise UsageError("--committee has an empty place", hint="separate the addresses by single commas")
    named = tuple(session.contract_address(word) for word in words)
    _check_members(named)
    if not 1 <= threshold <= len(named):
        hint = f"give 1 to {len(named)}; at most half of the members could rule either way, whoever is faster"
        raise UsageError(f"--threshold {threshold} of {len(named)} members is out of range", hint=hint)
    return CommitteeTerms(named, threshold)


def _check_members(members: tuple[Address, ...]) -> None:
    from clicooper.types import ZERO_ADDRESS  # noqa: PLC0415 - keeps --help fast

    if len(members) > MOST_MEMBERS:
        raise UsageError(f"{len(members)} members are too many", hint=f"name at most {MOST_MEMBERS}")
    for member in members:
        if member == ZERO_ADDRESS:
            raise UsageError("the zero address is no member", hint="name an address that somebody has the key of")
        if members.count(member) > 1:
            raise UsageError(f"{member} is named more than once", hint="a member has one vote: name it once")
