"""``clicooper arbiter``: look at the open challenge of a job, and rule on it by its evidence."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from clicooper.access.grants import read_identity
from clicooper.access.receipt_files import read_receipt
from clicooper.chain.client import Contract
from clicooper.chain.committee import Committee
from clicooper.chain.keys import LocalAccount
from clicooper.cli import session
from clicooper.cli.options import JobNumber, NamedContract, ReceiptFiles, TrustModel, job_on_contract
from clicooper.cli.output import finish
from clicooper.commitments.canonical import cid_of_digest
from clicooper.disputes.evidence_file import read_evidence
from clicooper.disputes.opinion import party_name
from clicooper.errors import UsageError
from clicooper.protocol.arbiter import Arbiter, Case, Judgement, open_case, ruling_of
from clicooper.reports.dispute_tables import print_case, print_ruling
from clicooper.storage.ipld.cid import cid_text
from clicooper.types import JobId

__all__ = ["app"]

app = typer.Typer(help="See and decide challenges.", rich_markup_mode=None)

EvidenceAt = Annotated[
    Path | None, typer.Option("--evidence", help="The evidence file.  [default: fetched by its digest from the store]")
]


@app.command("show")
def show(context: typer.Context, job: JobNumber, contract: NamedContract = None, evidence: EvidenceAt = None) -> int:
    """Shows the open challenge: who accuses whom of what, until when, by which evidence, and whether a file is it."""
    with job_on_contract(session.settings(context), contract, job) as source:
        client = source.client()
        case = open_case(client, source.index, JobId(job))
        result = {"contract": client.address, "chain_id": client.node.chain_id}
        result |= _describe(client, case)
    if evidence is not None:
        sealed = read_evidence(evidence)
        own = sealed.envelope.challenger == bytes.fromhex(case.challenger[2:])
        result |= {"is_the_evidence": sealed.digest == case.evidence_digest, "names_the_challenger": own}
    return finish(context, result, lambda console: print_case(console, result))


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
    evidence: EvidenceAt = None,
    identity: Annotated[
        Path | None, typer.Option("--identity", help="File with the age identity that opens the evidence.")
    ] = None,
    receipts: ReceiptFiles = None,
    run_dir: Annotated[
        Path | None,
        typer.Option("--run", help="A run folder whose store has the artifacts, in the place of --store."),
    ] = None,
    contract: NamedContract = None,
    override: Annotated[bool, typer.Option("--override", help="Rule against the finding, or without one.")] = False,
    trust_model: TrustModel = None,
) -> int:
    """Repeats the evidence that the challenge names and rules by what it finds; a committee's member casts a vote.

    What cannot be told is not ruled on, and nothing against the finding, unless --override says so. Between two seats a
    receipt decides, however late it is shown; without one the ruling has to be said.
    """
    if override and guilty is None:
        raise UsageError("--override needs a ruling", hint="say --guilty or --not-guilty")
    config, number = session.settings(context), JobId(job)
    secret = None if identity is None else read_identity(identity)
    with job_on_contract(config, contract, job, run_dir) as source:
        store, account = source.find_store(), session.open_account(config)
        client = source.client(account)
        case = open_case(client, source.index, number)
        if challenge_id is not None and challenge_id.lower() != f"0x{case.id.hex()}":
            hint = "clicooper arbiter show JOB prints the open one"
            raise UsageError(f"challenge {challenge_id} is not the open one, 0x{case.id.hex()}", hint=hint)
        committee = _find_committee(client, number, account)
        arbiter = Arbiter(client, source.index, secret, store, committee, frozenset(trust_model or ()))
        judgement = None
        if evidence is not None or not override:
            sealed = arbiter.fetch(case) if evidence is None else read_evidence(evidence)
            judgement = arbiter.judge(case, sealed, tuple(map(read_receipt, receipts or ())))
        ruling = ruling_of(judgement) if guilty is None else guilty
        receipt = arbiter.rule(case, ruling, judgement, override=override)
        phase = client.job(number).phase
        result = {"contract": client.address, "chain_id": client.node.chain_id}
        result |= {"job": job, "challenge_id": f"0x{case.id.hex()}", "guilty": ruling, "overridden": override}
        result |= {"tx_hash": f"0x{receipt.tx_hash.hex()}", "block": receipt.block_number}
        result |= {"gas_used": receipt.gas_used, "phase": phase.name.capitalize()}
        result |= {"ruled": phase.name != "ARBITRATION", "check": _describe_judgement(judgement)}
    return finish(context, result, lambda console: print_ruling(console, result, judgement))


def _find_committee(client: Contract, job: JobId, account: LocalAccount) -> Committee | None:
    """The committee that is the job's arbiter, if it is one rather than an account."""
    arbiter = client.job(job).arbiter
    return Committee(client.node, arbiter, account) if client.node.code(arbiter) else None


def _describe_judgement(judgement: Judgement | None) -> dict[str, Any] | None:
    if judgement is None:
        return None
    return judgement.opinion.to_json() | {"head": judgement.head.to_json()}


def _describe(client: Contract, case: Case) -> dict[str, Any]:
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
