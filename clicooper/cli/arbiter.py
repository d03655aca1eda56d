"""``clicooper arbiter``: look at the open challenge of a job, and rule on it by its evidence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clicooper.cli import dispute, session
from clicooper.cli.evidence_check import ReceiptFiles
from clicooper.cli.output import Output
from clicooper.errors import UsageError
from clicooper.reports.tables import coin, table

if TYPE_CHECKING:
    from rich.console import Console

    from clicooper.chain.client import Contract
    from clicooper.chain.committee import Committee
    from clicooper.chain.keys import LocalAccount
    from clicooper.commitments.boundary import BoundaryReceipt
    from clicooper.config import ClientConfig
    from clicooper.protocol.arbiter import Arbiter, Case, Judgement
    from clicooper.storage.base import Store
    from clicooper.types import JobId

__all__ = ["app"]

app = typer.Typer(help="See and decide challenges.", rich_markup_mode=None)

JobNumber = Annotated[int, typer.Argument(help="The job's number, from 1.", min=1, max=2**63)]
ContractAddress = Annotated[
    str | None, typer.Option("--contract", help="The contract.  [default: the newest that was deployed from here]")
]
Artifacts = Annotated[
    Path | None, typer.Option("--evidence", help="The evidence file.  [default: fetched by its digest from the store]")
]
RunDir = Annotated[
    Path | None, typer.Option("--run", help="A run folder whose store has the artifacts, in the place of --store.")
]


@app.command("show")
def show(context: typer.Context, job: JobNumber, contract: ContractAddress = None, evidence: Artifacts = None) -> int:
    """Shows the open challenge: who accuses whom of what, until when, by which evidence, and whether a file is it."""
    from clicooper.protocol.arbiter import open_case  # noqa: PLC0415 - imports torch
    from clicooper.types import JobId  # noqa: PLC0415

    config = session.settings(context)
    with dispute.chain(config) as node:
        client = dispute.client_of(config, node, contract)
        case = open_case(client, JobId(job))
        result = {"ok": True, "code": 0, "contract": client.address, "chain_id": node.chain_id} | _told(client, case)
    if evidence is not None:
        result |= _compared(case, evidence)
    output: Output = context.obj["output"]
    output.finish(result, lambda console: _print_case(console, result))
    return 0


@app.command("rule")
def rule(
    context: typer.Context,
    job: JobNumber,
    guilty: Annotated[
        bool | None, typer.Option("--guilty/--not-guilty", help="The ruling.  [default: the evidence's finding]")
    ] = None,
    challenge_id: Annotated[
        str | None, typer.Option("--challenge-id", help="Which challenge is meant.  [default: the open one]")
    ] = None,
    evidence: Artifacts = None,
    identity: Annotated[
        Path | None, typer.Option("--identity", help="File with the age identity that opens the evidence.")
    ] = None,
    receipts: ReceiptFiles = None,
    run_dir: RunDir = None,
    contract: ContractAddress = None,
    override: Annotated[bool, typer.Option("--override", help="Rule against the finding, or without one.")] = False,
    trust_model: Annotated[
        list[str] | None,
        typer.Option("--trust-model", help="A package.module:function whose code may run here; may be repeated."),
    ] = None,
) -> int:
    """Repeats the evidence that the challenge names and rules by what it finds; a committee's member casts a vote.

    What cannot be told is not ruled on, and nothing against the finding, unless --override says so. Between two seats a
    receipt decides, however late it is shown; without one the ruling has to be said.
    """
    from clicooper.types import JobId  # noqa: PLC0415

    if override and guilty is None:
        raise UsageError("--override needs a ruling", hint="say --guilty or --not-guilty")
    config = session.settings(context)
    with _bench(config, JobId(job), contract, identity, run_dir, trust_model) as (arbiter, client, case):
        _same_challenge(case, challenge_id)
        judgement = _judged(arbiter, case, evidence, dispute.receipts_in(receipts), override)
        ruling = _ruling(judgement) if guilty is None else guilty
        receipt = arbiter.rule(case, ruling, judgement, override=override)
        state = client.job(JobId(job))
        result = {"ok": True, "code": 0, "contract": client.address, "chain_id": client.node.chain_id}
        result |= {"job": job, "challenge_id": f"0x{case.id.hex()}", "guilty": ruling, "overridden": override}
        result |= {"tx_hash": f"0x{receipt.tx_hash.hex()}", "block": receipt.block_number}
        result |= {"gas_used": receipt.gas_used, "phase": state.phase.name.capitalize()}
        result |= {"ruled": state.phase.name != "ARBITRATION", "check": _found(judgement)}
    output: Output = context.obj["output"]
    output.finish(result, lambda console: _print_ruling(console, result, judgement))
    return 0


@contextmanager
def _bench(
    config: ClientConfig,
    job: JobId,
    contract: str | None,
    identity: Path | None,
    run_dir: Path | None,
    trust_model: list[str] | None,
) -> Iterator[tuple[Arbiter, Contract, Case]]:
    """The arbiter with its account, the contract, and the open challenge."""
    from clicooper.protocol.arbiter import Arbiter, open_case  # noqa: PLC0415 - imports torch

    secret = dispute.identity_in(identity)
    store = _store(config, run_dir)
    with dispute.chain(config) as node:
        account = session.open_account(config)
        client = dispute.client_of(config, node, contract, account)
        case = open_case(client, job)
        committee = _committee(client, job, account)
        yield Arbiter(client, secret, store, committee, frozenset(trust_model or ())), client, case


def _store(config: ClientConfig, run_dir: Path | None) -> Store | None:
    return dispute.own_store(config, run_dir) if run_dir is not None or config.ipfs_url is not None else None


def _committee(client: Contract, job: JobId, account: LocalAccount) -> Committee | None:
    """The committee that is the job's arbiter, if it is one rather than an account."""
    from clicooper.chain.committee import Committee  # noqa: PLC0415

    arbiter = client.job(job).arbiter
    return Committee(client.node, arbiter, account) if client.node.code(arbiter) else None


def _same_challenge(case: Case, text: str | None) -> None:
    if text is not None and text.lower() != f"0x{case.id.hex()}":
        raise UsageError(f"challenge {text} is not the open one, 0x{case.id.hex()}", hint="see: arbiter show JOB")


def _judged(
    arbiter: Arbiter, case: Case, evidence: Path | None, receipts: Sequence[BoundaryReceipt], override: bool
) -> Judgement | None:
    """What the evidence shows; an override may do without."""
    from clicooper.disputes.evidence_file import read_evidence  # noqa: PLC0415

    if override and evidence is None:
        return None
    return arbiter.judge(case, arbiter.fetch(case) if evidence is None else read_evidence(evidence), receipts)


def _ruling(judgement: Judgement | None) -> bool:
    """The ruling that follows from the finding; between two seats, without a receipt, a person hears the receiver."""
    from clicooper.disputes.opinion import Answer  # noqa: PLC0415
    from clicooper.errors import RulingRefused  # noqa: PLC0415

    guilty = judgement is not None and judgement.opinion.answer is Answer.GUILTY
    fault = None if judgement is None else judgement.opinion.fault
    if guilty and fault is not None and fault.pair is not None and fault.cleared is None:
        raise RulingRefused(
            f"{fault.detail}: seat {fault.seat} may have the sender's signature to show",
            hint="hear it: --receipt FILE checks what it shows; if it shows nothing, say --guilty",
        )
    return guilty


def _found(judgement: Judgement | None) -> dict[str, Any] | None:
    if judgement is None:
        return None
    return judgement.opinion.to_json() | {"head": judgement.head.to_json()}


def _told(client: Contract, case: Case) -> dict[str, Any]:
    from clicooper.commitments.canonical import cid_of_digest  # noqa: PLC0415
    from clicooper.disputes.opinion import party_name  # noqa: PLC0415
    from clicooper.storage.ipld.cid import cid_text  # noqa: PLC0415

    state = client.job(case.job)
    return {
        "job": case.job,
        "challenge_id": f"0x{case.id.hex()}",
        "round": case.round,
        "head": f"0x{case.head.hex()}",
        "accused": party_name(case.accused),
        "holder": case.trainer,
        "challenger": case.challenger,
        "ground": case.ground.name.lower(),
        "bond_wei": case.bond_wei,
        "token": state.token,
        "arbiter": state.arbiter,
        "evidence_digest": f"0x{case.evidence_digest.hex()}",
        "evidence": cid_text(cid_of_digest(case.evidence_digest)),
        "interrupted": case.interrupted.name.capitalize(),
        "rule_after": case.rule_after or None,
        "deadline": case.deadline,
        "deadline_passed": client.node.block(client.node.block_number()).timestamp > case.deadline,
    }


def _compared(case: Case, path: Path) -> dict[str, Any]:
    from clicooper.disputes.evidence_file import read_evidence  # noqa: PLC0415

    sealed = read_evidence(path)
    own = sealed.envelope.challenger == bytes.fromhex(case.challenger[2:])
    return {"is_the_evidence": sealed.digest == case.evidence_digest, "names_the_challenger": own}


def _print_case(console: Console, case: dict[str, Any]) -> None:
    rows = table(f"Challenge of job {case['job']}", "what", "value")
    bond = coin(case["bond_wei"]) if int(case["token"], 16) == 0 else f"{case['bond_wei']:,} units of {case['token']}"
    passed = ", passed: job resolve" if case["deadline_passed"] else ""
    rows.add_row("challenge", case["challenge_id"])
    rows.add_row("accused", f"{case['accused']}, {case['holder']}")
    rows.add_row("ground", case["ground"])
    rows.add_row("challenger", f"{case['challenger']}, bond {bond}")
    rows.add_row("round", str(case["round"]))
    rows.add_row("evidence", f"{case['evidence_digest']}\n{case['evidence']}")
    if case["rule_after"]:
        rows.add_row("may be cured until", dispute.utc(case["rule_after"]))
    rows.add_row("rule until", f"{dispute.utc(case['deadline'])}{passed}")
    console.print(rows)
    if "is_the_evidence" in case:
        console.print(f"The file {'is' if case['is_the_evidence'] else 'is NOT'} the evidence that the challenge names")


def _print_ruling(console: Console, result: dict[str, Any], judgement: Judgement | None) -> None:
    if judgement is not None:
        dispute.print_opinion(console, judgement.opinion)
    did = "Ruled" if result["ruled"] else "Voted"
    words = f"{did} {'guilty' if result['guilty'] else 'not guilty'} in job {result['job']}, now {result['phase']}"
    console.print(f"{words}; block {result['block']}, {result['gas_used']:,} gas", markup=False, soft_wrap=True)
