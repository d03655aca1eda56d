"""``clicooper deploy``: puts the committed contract on a chain, with its price told first."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.console import Console

from clicooper.chain.compile import CONTRACT
from clicooper.chain.deployment_plan import CommitteeTerms, DeploymentPlan, check_contract, deploy_plan, price_plan
from clicooper.chain.deployments import deployments_file, read_deployments
from clicooper.chain.fees import GWEI, SendPolicy, quote
from clicooper.chain.rpc.node import Node
from clicooper.cli import session
from clicooper.cli.output import Show, finish, output_of
from clicooper.config import EMBEDDED, ClientConfig
from clicooper.errors import ChainError, UsageError
from clicooper.reports.tables import coin, print_lines, table
from clicooper.types import ZERO_ADDRESS, Address

__all__ = ["deploy"]

MOST_MEMBERS = 32


def deploy(
    context: typer.Context,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the cost and send nothing.")] = False,
    max_fee_gwei: Annotated[
        float | None, typer.Option("--max-fee-gwei", help="Most that a unit of gas may cost, tip included.")
    ] = None,
    confirmations: Annotated[
        int | None, typer.Option("--confirmations", help="Blocks to wait for.  [default: 1 on local chains, else 3]")
    ] = None,
    lens: Annotated[bool, typer.Option("--lens", help="Also deploy the paged views, a second contract.")] = False,
    committee: Annotated[
        str | None,
        typer.Option("--committee", metavar="MEMBERS", help="Also deploy an arbiter of these addresses, with commas."),
    ] = None,
    threshold: Annotated[
        int | None, typer.Option("--threshold", help="Equal votes of the committee that make a ruling.")
    ] = None,
    contract: Annotated[
        str | None,
        typer.Option("--contract", metavar="ADDRESS", help="Deploy the committee for this contract, not a new one."),
    ] = None,
) -> int:
    """Deploys the contract that this release was built with, and records where.

    With --committee also an m-of-n arbiter for it, to be named in jobs; its members and threshold never change.

    The account is the one of --account, or the only one in HOME/keystore. On a development chain (id 31337 or 1337) a
    poor account is given coin by the node first. A dry run needs no password, and no account.
    """
    config = session.settings(context)
    _check_options(config, dry_run, max_fee_gwei, confirmations)
    plan = _plan(lens, _committee_terms(committee, threshold), contract)
    with session.connected(config) as node:
        check_contract(node, plan)
        max_fee_wei = None if max_fee_gwei is None else round(max_fee_gwei * GWEI)
        policy = SendPolicy.usual(node, max_fee_wei, confirmations, config.home)
        if dry_run:
            sender = _known_sender(config)
            result = _price(node, sender, plan, policy) | _committee_result(plan, plan.contract) | {"dry_run": True}
        else:
            with output_of(context).progress() as progress:
                result = _deploy(node, config, plan, policy, progress)
    return finish(context, result, lambda console: _print(console, result))


def _check_options(config: ClientConfig, dry_run: bool, max_fee_gwei: float | None, confirmations: int | None) -> None:
    if max_fee_gwei is not None and not 1e-9 <= max_fee_gwei <= 1e9:
        raise UsageError(f"--max-fee-gwei {max_fee_gwei:g} is no price", hint="give gwei, from 0.000000001 to 10^9")
    if confirmations is not None and not 1 <= confirmations <= 1000:
        raise UsageError(f"--confirmations {confirmations} is out of range", hint="give 1 to 1000")
    if config.network_url == EMBEDDED and not dry_run:
        hint = "choose one with --network, such as anvil or a URL; --dry-run works here too"
        raise UsageError("the embedded chain ends with this command: a deployment needs a node", hint=hint)


def _plan(lens: bool, committee: CommitteeTerms | None, contract: str | None) -> DeploymentPlan:
    """The contract, unless an existing one is named, then the lens and the committee if asked for."""
    if contract is not None and committee is None:
        hint = "name its members with --committee and --threshold, or leave out --contract"
        raise UsageError("--contract says what a committee is for, and there is none", hint=hint)
    return DeploymentPlan(lens, committee, None if contract is None else session.contract_address(contract))


def _committee_terms(members: str | None, threshold: int | None) -> CommitteeTerms | None:
    """The committee of ``--committee`` and ``--threshold``; None if neither is given."""
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
    if len(members) > MOST_MEMBERS:
        raise UsageError(f"{len(members)} members are too many", hint=f"name at most {MOST_MEMBERS}")
    for member in members:
        if member == ZERO_ADDRESS:
            raise UsageError("the zero address is no member", hint="name an address that somebody has the key of")
        if members.count(member) > 1:
            raise UsageError(f"{member} is named more than once", hint="a member has one vote: name it once")


def _known_sender(config: ClientConfig) -> Address | None:
    """The account that would deploy, if one is chosen or the only one."""
    if config.account is None and len(session.stored_names(config)) != 1:
        return None
    return session.stored_address(session.keystore_file(config, session.account_name(config)))


def _price(node: Node, sender: Address | None, plan: DeploymentPlan, policy: SendPolicy) -> dict[str, Any]:
    fees = quote(node, policy)
    costs = price_plan(node, sender or ZERO_ADDRESS, plan, fees)
    return {
        "network": node.source,
        "chain_id": node.chain_id,
        "deployer": sender,
        "balance_wei": None if sender is None else node.balance(sender),
        "fees": asdict(fees),
        "costs": [asdict(cost) for cost in costs],
        "total_wei": sum(cost.total_wei for cost in costs),
        "most_wei": sum(cost.most_wei for cost in costs),
    }


def _committee_result(plan: DeploymentPlan, contract: str | None) -> dict[str, Any]:
    return {} if plan.committee is None else {"committee": asdict(plan.committee) | {"contract": contract}}


def _deploy(
    node: Node, config: ClientConfig, plan: DeploymentPlan, policy: SendPolicy, progress: Show
) -> dict[str, Any]:
    # A record that cannot be kept must be known before coin is spent, not after.
    read_deployments(config.home, node.chain_id)
    account = session.open_account(config)
    sender = Address(account.address)
    result = _price(node, sender, plan, policy)
    _afford(node, sender, int(result["most_wei"]), begun=bool(policy.sent and policy.sent.unsettled(node, sender)))
    done = deploy_plan(node, account, plan, policy, config.home, progress)
    new = next((one.address for one in done if one.contract == CONTRACT), plan.contract)
    result |= _committee_result(plan, new) | {"dry_run": False, "deployments": [asdict(one) for one in done]}
    return result | {"record": str(deployments_file(config.home, node.chain_id))}


def _afford(node: Node, sender: Address, most_wei: int, *, begun: bool) -> None:
    """Sees to the account's coin: a development node gives it, elsewhere its owner must have it.

    Args:
        begun: an earlier run has sent something that is not settled, and paid for it: it needs less than ``most_wei``.
    """
    missing_wei = most_wei - node.balance(sender)
    if missing_wei <= 0:
        return
    if not node.is_local:
        if begun:
            return
        hint = f"send it {coin(missing_wei)} more; the unused part stays there"
        raise ChainError(f"{sender} has too little coin for the deployment", hint=hint)
    node.fund(sender, missing_wei)


def _print(console: Console, result: dict[str, Any]) -> None:
    fees = result["fees"]
    price = f"{min(fees['base_wei'] + fees['tip_wei'], fees['max_wei']) / 1e9:.4g}"
    costs = [
        (cost["contract"], f"{cost['gas']:,}", price, _rounded(cost["total_wei"]), _rounded(cost["most_wei"]))
        for cost in result["costs"]
    ]
    columns = ("contract", "gas", "price, gwei", "total", "at most")
    console.print(table("Cost", *columns, numeric=("gas", "price, gwei"), rows=costs))
    if (seats := result.get("committee")) is not None:
        who = f"Committee of {len(seats['members'])}, {seats['threshold']} equal votes rule: "
        print_lines(console, who + ", ".join(seats["members"]))
    where = f"chain {result['chain_id']} ({result['network']})"
    if result["dry_run"]:
        balance = "" if result["deployer"] is None else f"; {result['deployer']} has {_rounded(result['balance_wei'])}"
        print_lines(console, f"Nothing was sent to {where}{balance}")
        return
    for one in result["deployments"]:
        print_lines(console, f"{one['contract']}  {one['address']}  block {one['block']}, {one['gas_used']:,} gas")
    print_lines(console, f"Deployed on {where}; recorded in {result['record']}")


def _rounded(wei: int) -> str:
    """Coin to six decimals, for people; the JSON has every wei."""
    return coin(round(wei, -12))
