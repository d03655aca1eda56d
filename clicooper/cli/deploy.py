"""``clicooper deploy``: puts the committed contract on a chain, with its price told first."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clicooper.cli import session
from clicooper.cli.deployment_plan import Plan, check_contract, committee_terms, deployment_plan
from clicooper.cli.output import Output
from clicooper.errors import ChainError, UsageError
from clicooper.reports.tables import coin, table

if TYPE_CHECKING:
    from rich.console import Console

    from clicooper.chain.fees import Fees, SendPolicy
    from clicooper.chain.keys import LocalAccount
    from clicooper.chain.rpc.node import Node
    from clicooper.config import ClientConfig
    from clicooper.protocol.deployments import Deployment
    from clicooper.types import Address

__all__ = ["deploy"]


@dataclass(frozen=True)
class Cost:
    """What one deployment takes: gas as estimated and as limited, and coin at the price of now and at most."""

    contract: str
    gas: int
    gas_limit: int
    total_wei: int
    most_wei: int


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
    _check(config, dry_run, max_fee_gwei, confirmations)
    plan = deployment_plan(lens, committee_terms(committee, threshold), contract)
    output: Output = context.obj["output"]
    with session.connected(config) as node:
        check_contract(node, plan)
        policy = _policy(node, max_fee_gwei, confirmations)
        result = _quoted(node, config, plan, policy) if dry_run else _deployed(node, config, plan, policy, output)
    output.finish(result, lambda console: _print(console, result))
    return 0


def _check(config: ClientConfig, dry_run: bool, max_fee_gwei: float | None, confirmations: int | None) -> None:
    from clicooper.config import EMBEDDED  # noqa: PLC0415

    if max_fee_gwei is not None and not 1e-9 <= max_fee_gwei <= 1e9:
        raise UsageError(f"--max-fee-gwei {max_fee_gwei:g} is no price", hint="give gwei, from 0.000000001 to 10^9")
    if confirmations is not None and not 1 <= confirmations <= 1000:
        raise UsageError(f"--confirmations {confirmations} is out of range", hint="give 1 to 1000")
    if config.network_url == EMBEDDED and not dry_run:
        hint = "choose one with --network, such as anvil or a URL; --dry-run works here too"
        raise UsageError("the embedded chain ends with this command: a deployment needs a node", hint=hint)


def _policy(node: Node, max_fee_gwei: float | None, confirmations: int | None) -> SendPolicy:
    from clicooper.chain.fees import GWEI, SendPolicy  # noqa: PLC0415

    max_fee_wei = None if max_fee_gwei is None else round(max_fee_gwei * GWEI)
    return SendPolicy(max_fee_wei, confirmations or (1 if node.is_local else 3))


def _quoted(node: Node, config: ClientConfig, plan: Plan, policy: SendPolicy) -> dict[str, Any]:
    from clicooper.chain.fees import quote  # noqa: PLC0415
    from clicooper.types import ZERO_ADDRESS  # noqa: PLC0415

    sender = _known_sender(config)
    fees = quote(node, policy)
    costs = _costs(node, sender or ZERO_ADDRESS, plan, fees)
    return _cost_result(node, sender, fees, costs) | plan.committee_result(plan.contract) | {"dry_run": True}


def _known_sender(config: ClientConfig) -> Address | None:
    """The account that would deploy, if one is chosen or the only one."""
    if config.account is None and len(session.stored_names(config)) != 1:
        return None
    return session.stored_address(session.keystore_file(config, session.account_name(config)))


def _costs(node: Node, sender: Address, plan: Plan, fees: Fees) -> tuple[Cost, ...]:
    from clicooper.chain.deploy import deployment_gas  # noqa: PLC0415
    from clicooper.chain.fees import gas_limit  # noqa: PLC0415

    gas = {name: deployment_gas(node, sender, name, plan.arguments(name, plan.stand_in)) for name in plan.names}
    return tuple(
        Cost(name, units, gas_limit(units), units * fees.now_wei, gas_limit(units) * fees.max_wei)
        for name, units in gas.items()
    )


def _cost_result(node: Node, sender: Address | None, fees: Fees, costs: tuple[Cost, ...]) -> dict[str, Any]:
    return {
        "ok": True,
        "code": 0,
        "network": node.source,
        "chain_id": node.chain_id,
        "deployer": sender,
        "balance_wei": None if sender is None else node.balance(sender),
        "fees": asdict(fees),
        "costs": [asdict(cost) for cost in costs],
        "total_wei": sum(cost.total_wei for cost in costs),
        "most_wei": sum(cost.most_wei for cost in costs),
    }


def _deployed(node: Node, config: ClientConfig, plan: Plan, policy: SendPolicy, output: Output) -> dict[str, Any]:
    from clicooper.chain.compile import CONTRACT  # noqa: PLC0415
    from clicooper.chain.fees import quote  # noqa: PLC0415
    from clicooper.protocol.deployments import add_deployment, read_deployments  # noqa: PLC0415

    # A record that cannot be kept must be known before coin is spent, not after.
    read_deployments(config.home, node.chain_id)
    account = session.open_account(config)
    fees = quote(node, policy)
    with output.progress() as progress:
        costs = _costs(node, _sender(account), plan, fees)
        result = _cost_result(node, _sender(account), fees, costs)
        _afford(node, _sender(account), int(result["most_wei"]))
        done, contract = [], plan.contract
        for name in plan.names:
            progress(f"deploying {name}", 0, 0)
            done.append(_put(node, account, name, policy, plan.arguments(name, contract)))
            record = add_deployment(config.home, node.chain_id, done[-1])
            contract = done[-1].address if name == CONTRACT else contract
    result |= plan.committee_result(contract)
    return result | {"dry_run": False, "deployments": [asdict(one) for one in done], "record": str(record)}


def _sender(account: LocalAccount) -> Address:
    from clicooper.types import Address  # noqa: PLC0415

    return Address(account.address)


def _afford(node: Node, sender: Address, most_wei: int) -> None:
    """Sees to the account's coin: a development node gives it, elsewhere its owner must have it."""
    missing_wei = most_wei - node.balance(sender)
    if missing_wei <= 0:
        return
    if not node.is_local:
        hint = f"send it {coin(missing_wei)} more; the unused part stays there"
        raise ChainError(f"{sender} has too little coin for the deployment", hint=hint)
    node.fund(sender, missing_wei)


def _put(node: Node, account: LocalAccount, name: str, policy: SendPolicy, arguments: bytes) -> Deployment:
    from clicooper.chain.compile import load_artifact  # noqa: PLC0415
    from clicooper.chain.deploy import deploy as create  # noqa: PLC0415
    from clicooper.protocol.deployments import Deployment  # noqa: PLC0415

    address, receipt = create(node, account, name, policy, arguments)
    artifact = load_artifact(name)
    return Deployment(
        contract=name,
        address=address,
        deployer=_sender(account),
        block=receipt.block_number,
        block_hash=f"0x{receipt.block_hash.hex()}",
        tx_hash=f"0x{receipt.tx_hash.hex()}",
        gas_used=receipt.gas_used,
        source_digest=f"0x{artifact.source_digest.hex()}",
        compiler=artifact.compiler,
        deployed_at=node.block(receipt.block_number).timestamp,
    )


def _print(console: Console, result: dict[str, Any]) -> None:
    fees = result["fees"]
    price = min(fees["base_wei"] + fees["tip_wei"], fees["max_wei"])
    rows = table("Cost", "contract", "gas", "price, gwei", "total", "at most", numeric=("gas", "price, gwei"))
    for cost in result["costs"]:
        shown = (f"{cost['gas']:,}", f"{price / 1e9:.4g}", _rounded(cost["total_wei"]), _rounded(cost["most_wei"]))
        rows.add_row(cost["contract"], *shown)
    console.print(rows)
    if (seats := result.get("committee")) is not None:
        who = f"Committee of {len(seats['members'])}, {seats['threshold']} equal votes rule: "
        console.print(who + ", ".join(seats["members"]), markup=False, soft_wrap=True)
    where = f"chain {result['chain_id']} ({result['network']})"
    if result["dry_run"]:
        balance = "" if result["deployer"] is None else f"; {result['deployer']} has {_rounded(result['balance_wei'])}"
        console.print(f"Nothing was sent to {where}{balance}", markup=False, soft_wrap=True)
        return
    for one in result["deployments"]:
        place = f"{one['contract']}  {one['address']}  block {one['block']}, {one['gas_used']:,} gas"
        console.print(place, markup=False, soft_wrap=True)
    console.print(f"Deployed on {where}; recorded in {result['record']}", markup=False, soft_wrap=True)


def _rounded(wei: int) -> str:
    """Coin to six decimals, for people; the JSON has every wei."""
    return coin(round(wei, -12))
