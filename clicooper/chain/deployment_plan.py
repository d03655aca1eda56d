"""Putting contracts on a chain: which ones, what they cost, then one after the other, each recorded.

Everything is checked before coin is spent; that the members of a committee agreed to it is for whoever names them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from clicooper.chain.committee import ARTIFACT as COMMITTEE
from clicooper.chain.committee import committee_arguments
from clicooper.chain.compile import CONTRACT, load_artifact
from clicooper.chain.deploy import deploy, deployment_gas, first_difference
from clicooper.chain.deployments import Deployment, add_deployment
from clicooper.chain.fees import Fees, SendPolicy, gas_limit
from clicooper.chain.keys import LocalAccount
from clicooper.chain.lens import ARTIFACT as LENS
from clicooper.chain.rpc.node import Node
from clicooper.errors import VerificationFailed
from clicooper.types import Address

__all__ = ["CommitteeTerms", "Cost", "DeploymentPlan", "check_contract", "deploy_plan", "price_plan"]


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
class DeploymentPlan:
    """What is to be put on the chain.

    Args:
        lens: also the paged views.
        committee: also an arbiter of these members.
        contract: an existing contract that the committee is for; None: a new one, deployed before it.
    """

    lens: bool = False
    committee: CommitteeTerms | None = None
    contract: Address | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The contracts, in the order of their deployment."""
        chosen = {CONTRACT: self.contract is None, LENS: self.lens, COMMITTEE: self.committee is not None}
        return tuple(name for name, wanted in chosen.items() if wanted)

    def arguments(self, name: str, contract: Address | None = None) -> bytes:
        """What the constructor of ``name`` takes, ABI-encoded; only a committee's takes anything.

        Args:
            contract: what the committee is for. None prices one whose contract has no address yet: any other address
                costs the same.
        """
        if self.committee is None or name != COMMITTEE:
            return b""
        place = contract or self.contract or self.committee.members[0]
        return committee_arguments(place, self.committee.members, self.committee.threshold)


@dataclass(frozen=True)
class Cost:
    """What one deployment takes: gas as estimated and as limited, and coin at the price of now and at most."""

    contract: str
    gas: int
    gas_limit: int
    total_wei: int
    most_wei: int


def check_contract(node: Node, plan: DeploymentPlan) -> None:
    """A committee can rule in one contract only, for ever: an existing one must be ours.

    Raises:
        ChainError: there is no contract.
        VerificationFailed: its code is not that of this release.
    """
    if plan.contract is not None and first_difference(node, plan.contract) is not None:
        hint = "give the address of a CliCooper contract: see clicooper contract verify"
        raise VerificationFailed(f"{plan.contract} is not the contract of this release", hint=hint)


def price_plan(node: Node, sender: Address, plan: DeploymentPlan, fees: Fees) -> tuple[Cost, ...]:
    """What each contract would cost, in the order of the plan; ``sender`` needs no coin for it."""
    gas = {name: deployment_gas(node, sender, name, plan.arguments(name)) for name in plan.names}
    return tuple(
        Cost(name, units, gas_limit(units), units * fees.now_wei, gas_limit(units) * fees.max_wei)
        for name, units in gas.items()
    )


def deploy_plan(
    node: Node,
    account: LocalAccount,
    plan: DeploymentPlan,
    policy: SendPolicy,
    home: Path,
    progress: Callable[[str, int, int], None],
) -> tuple[Deployment, ...]:
    """Deploys every contract of the plan and records each under ``home`` as soon as it is there.

    Until the whole plan is done, the same plan waits for what it has sent and sends only what is left.

    Raises:
        ChainError: the chain or the node refused one; those before it are deployed and recorded.
    """
    done: list[Deployment] = []
    contract = plan.contract
    for name in plan.names:
        progress(f"deploying {name}", 0, 0)
        deployment = _deploy_one(node, account, name, policy, plan.arguments(name, contract))
        add_deployment(home, node.chain_id, deployment)
        contract = deployment.address if name == CONTRACT else contract
        done.append(deployment)
    if policy.sent is not None:
        for deployment in done:
            policy.sent.settle(node, deployment.tx_hash)
    return tuple(done)


def _deploy_one(node: Node, account: LocalAccount, name: str, policy: SendPolicy, arguments: bytes) -> Deployment:
    address, receipt = deploy(node, account, name, policy, arguments, keep=True)
    artifact = load_artifact(name)
    block = node.looks(policy.timeout_s).insist(lambda: node.block(receipt.block_number))
    return Deployment(
        contract=name,
        address=address,
        deployer=Address(account.address),
        block=receipt.block_number,
        block_hash=f"0x{receipt.block_hash.hex()}",
        tx_hash=f"0x{receipt.tx_hash.hex()}",
        gas_used=receipt.gas_used,
        source_digest=f"0x{artifact.source_digest.hex()}",
        compiler=artifact.compiler,
        deployed_at=block.timestamp,
    )
