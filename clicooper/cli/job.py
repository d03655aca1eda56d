"""``clicooper job``: look at the jobs of a contract, and take the exits that any party may take."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.console import Console

from clicooper.chain.client import Contract, JobState, Receipt, SeatState
from clicooper.chain.deploy import first_difference
from clicooper.chain.deployments import read_deployments
from clicooper.chain.lens import ARTIFACT as LENS
from clicooper.chain.lens import Lens
from clicooper.chain.rpc.node import Node
from clicooper.cli import session
from clicooper.cli.grant import grant
from clicooper.cli.options import JobNumber, NamedContract
from clicooper.cli.output import finish
from clicooper.config import ClientConfig
from clicooper.reports.tables import amount, table
from clicooper.types import ZERO_ADDRESS, Address, JobId

__all__ = ["app"]

app = typer.Typer(help="Look at jobs, and take their exits.", rich_markup_mode=None)

MAX_PAGE = 500

WAITING_FOR = {
    "Open": "trainers to take the vacant seats",
    "Labels": "the owner to release the next label key",
    "Commit": "seat {turn} to commit",
    "Review": "the owner to accept the round",
    "Refill": "a replacement to join seat {turn}",
    "Arbitration": "the arbiter to rule",
}


@app.command("list")
def list_jobs(
    context: typer.Context,
    contract: NamedContract = None,
    first: Annotated[int, typer.Option("--first", help="Number of the first job to show.", min=1, max=2**63)] = 1,
    count: Annotated[int, typer.Option("--count", help="How many at most.", min=1, max=MAX_PAGE)] = 20,
) -> int:
    """Lists the jobs of a contract, a page at a time."""
    config = session.settings(context)
    with session.connected(config) as node:
        client = session.contract_client(config, node, contract)
        total = client.job_count()
        page = _page(client, _lens(node, config, client.address), first, min(count, max(0, total - first + 1)))
        now = node.block(node.block_number()).timestamp
        rows = [_summary(job, state, now) for job, state in page]
        result = {"contract": client.address, "chain_id": node.chain_id, "total": total, "jobs": rows}
    return finish(context, result, lambda console: _print_list(console, result))


@app.command("show")
def show(context: typer.Context, job: JobNumber, contract: NamedContract = None) -> int:
    """Shows where a job stands: whom it waits for and until when, its seats, its head, and what everybody is owed."""
    config = session.settings(context)
    with session.connected(config) as node:
        client = session.contract_client(config, node, contract)
        result = _shown(client, _lens(node, config, client.address), job)
    return finish(context, result, lambda console: _print_job(console, result))


@app.command("cancel")
def cancel(context: typer.Context, job: JobNumber, contract: NamedContract = None) -> int:
    """Takes a job back before its first label key: everybody is refunded in full. For its owner."""
    return _act(context, job, contract, "cancelled", lambda client, number: client.cancel(number))


@app.command("resolve")
def resolve(context: typer.Context, job: JobNumber, contract: NamedContract = None) -> int:
    """Takes the exit of the current phase once its deadline has passed. For anyone."""
    return _act(context, job, contract, "resolved", lambda client, number: client.resolve_timeout(number))


@app.command("withdraw")
def withdraw(context: typer.Context, job: JobNumber, contract: NamedContract = None) -> int:
    """Pays the account all that the job owes it now."""
    return _act(context, job, contract, "withdrawn", lambda client, number: client.withdraw(number))


app.command("grant")(grant)


def _lens(node: Node, config: ClientConfig, contract: Address) -> Lens | None:
    """The lens that was deployed from here, if one was and it is that of this release."""
    known = [one.address for one in read_deployments(config.home, node.chain_id) if one.contract == LENS]
    if not known or not node.code(known[-1]) or first_difference(node, known[-1], LENS) is not None:
        return None
    return Lens(node, known[-1], contract)


def _page(client: Contract, lens: Lens | None, first: int, count: int) -> Iterator[tuple[JobId, JobState]]:
    numbers = [JobId(first + i) for i in range(count)]
    states = lens.jobs(JobId(first), count) if lens else map(client.job, numbers)
    return zip(numbers, states, strict=True)


def _summary(job: int, state: JobState, now: int) -> dict[str, Any]:
    """A job in the words of JSON; ``now`` is the chain's time, which alone decides about deadlines."""
    values = asdict(state) | {"head": f"0x{state.head.hex()}", "label_key": f"0x{state.label_key.hex()}"}
    phase = state.phase.name.capitalize()
    waiting = WAITING_FOR.get(phase, "nothing: it has ended").format(turn=state.turn)
    late = 0 < state.deadline < now
    return {"job": job} | values | {"phase": phase, "waiting_for": waiting, "deadline_passed": late}


def _shown(client: Contract, lens: Lens | None, number: int) -> dict[str, Any]:
    node, job = client.node, JobId(number)
    state = client.job(job)
    seats = lens.seats(job) if lens else tuple(client.seat(job, seat) for seat in range(state.seats))
    named = {"owner": state.owner, "arbiter": state.arbiter}
    others = {role: client.owed_to(job, account) for role, account in named.items()}
    now = node.block(node.block_number()).timestamp
    result = {"contract": client.address, "chain_id": node.chain_id}
    result |= _summary(number, state, now) | {"genesis": f"0x{client.genesis_of(job).hex()}"}
    return result | {"held": [_seat(i, seat) for i, seat in enumerate(seats)], "owed_wei": others}


def _seat(number: int, seat: SeatState) -> dict[str, Any]:
    held = seat.trainer != ZERO_ADDRESS
    return {
        "seat": number,
        "trainer": seat.trainer if held else None,
        "from_round": seat.from_round if held else None,
        "owed_wei": seat.owed_wei,
        "key_record_digest": f"0x{seat.key_record_digest.hex()}" if held else None,
    }


def _act(
    context: typer.Context,
    number: int,
    address: str | None,
    verb: str,
    act: Callable[[Contract, JobId], Receipt],
) -> int:
    """Sends one transaction of the account and says what it changed."""
    config = session.settings(context)
    with session.lasting_chain(config) as node:
        account = session.open_account(config)
        client = session.contract_client(config, node, address, account)
        job, sender = JobId(number), Address(account.address)
        owed_wei = client.owed_to(job, sender)
        receipt = act(client, job)
        paid_wei = owed_wei - client.owed_to(job, sender) if verb == "withdrawn" else 0
        result: dict[str, Any] = {"job": number, "contract": client.address, "chain_id": node.chain_id}
        result |= {"account": sender, "tx_hash": f"0x{receipt.tx_hash.hex()}", "block": receipt.block_number}
        result |= {"gas_used": receipt.gas_used, "paid_wei": paid_wei}
        state = client.job(job)
        result |= {"phase": state.phase.name.capitalize(), "token": state.token}
    paid = (
        f", {amount(paid_wei, result['token'])} paid to {sender}" if verb == "withdrawn" else f", now {result['phase']}"
    )
    words = f"Job {number} {verb}{paid}; block {receipt.block_number}, {receipt.gas_used:,} gas"
    return finish(context, result, words)


def _print_list(console: Console, result: dict[str, Any]) -> None:
    title = f"{result['total']:,} jobs at {result['contract']}"
    rows = table(title, "job", "phase", "round", "seats", "waits for", "until", numeric=("job", "round", "seats"))
    for job in result["jobs"]:
        rounds, seats = f"{job['round']}/{job['rounds']}", f"{job['filled']}/{job['seats']}"
        rows.add_row(str(job["job"]), job["phase"], rounds, seats, job["waiting_for"], _until(job))
    console.print(rows)


def _print_job(console: Console, job: dict[str, Any]) -> None:
    token, owed = job["token"], job["owed_wei"]
    facts = {
        "phase": job["phase"],
        "waits for": job["waiting_for"],
        "until": _until(job),
        "rounds accepted": f"{job['round']} of {job['rounds']}",
        "head": job["head"],
        **{role: f"{job[role]}, owed {amount(owed[role], token)}" for role in ("owner", "arbiter")},
        "pay of a seat and round": amount(job["pay_wei"], token),
    }
    console.print(table(f"Job {job['job']} at {job['contract']}", "what", "value", rows=facts.items()))
    seats = table("Seats", "seat", "trainer", "since round", "owed", numeric=("seat", "since round", "owed"))
    for seat in job["held"]:
        since = "" if seat["from_round"] is None else str(seat["from_round"])
        seats.add_row(str(seat["seat"]), seat["trainer"] or "vacant", since, amount(seat["owed_wei"], token))
    console.print(seats)


def _until(job: dict[str, Any]) -> str:
    if not job["deadline"]:
        return ""
    text = datetime.fromtimestamp(job["deadline"], UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return f"{text}, passed: job resolve" if job["deadline_passed"] else text
