"""``clicooper evidence``: make evidence on one interval or claim, show it, and repeat what it claims."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, get_args

import typer
from eth_utils import to_checksum_address

from clicooper.access.grants import read_identity
from clicooper.access.identity import parse_recipient
from clicooper.access.receipt_files import read_receipt
from clicooper.audit.artifacts import Artifacts
from clicooper.cli import session
from clicooper.cli.options import (
    Endpoints,
    FromBlock,
    Grant,
    JobThere,
    OnContract,
    ReceiptFiles,
    TrustModel,
    acting_address,
    parse_accused,
    source_of,
)
from clicooper.cli.output import finish
from clicooper.disputes.collect import PackedEvidence, make_evidence
from clicooper.disputes.evidence import Claim
from clicooper.disputes.evidence_file import (
    OpenedEvidence,
    SealedEvidence,
    enclose,
    open_evidence,
    parse_evidence,
    publish_evidence,
    read_evidence,
)
from clicooper.disputes.head_check import HeadCheck, compare_with_chain, transports_on_chain
from clicooper.disputes.judge import judge_evidence
from clicooper.disputes.opinion import party_name
from clicooper.disputes.shown_receipts import ShownReceipts
from clicooper.disputes.subject import Subject
from clicooper.errors import UsageError
from clicooper.files import write_secret
from clicooper.jobs import JobSource, choose_nodes
from clicooper.protocol.accusation import EVIDENCE_PINS
from clicooper.reports.dispute_tables import print_checked, print_evidence, print_made
from clicooper.storage.base import get_bytes
from clicooper.storage.ipld.cid import cid_text
from clicooper.types import ACCUSED_OWNER, Address, JobId

__all__ = ["app"]

app = typer.Typer(help="Evidence on one step or claim: make, show, check.", rich_markup_mode=None)

EvidenceFile = Annotated[Path, typer.Argument(help="An evidence file.")]
Step = Annotated[int | None, typer.Option("--step", help="A step: evidence on the interval that holds it.", min=0)]
Interval = Annotated[int | None, typer.Option("--interval", help="An interval.", min=0)]
ClaimName = Annotated[
    str | None,
    typer.Option("--claim", help="Instead: boundary, manifest, links, mark, labels, release, seal, withheld."),
]
Seat = Annotated[int | None, typer.Option("--seat", help="The accused.  [default: whom the check names]")]
Challenger = Annotated[
    str | None, typer.Option("--challenger", help="Whose evidence it is.  [default: the address of --account]")
]
Recipients = Annotated[
    list[str] | None,
    typer.Option("--to", help="Seal it to this age recipient; may be repeated.  [default: the spec's arbiter]"),
]
EndStates = Annotated[
    bool, typer.Option("--end-states/--no-end-states", help="Whether to hold the states at the interval's end too.")
]
Rows = Annotated[
    bool, typer.Option("--release/--no-release", help="Whether to hold the rows of the release, which are public.")
]
Granted = Annotated[
    Path | None,
    typer.Option("--identity", help="Identity with grants.  [default: that of the auditor or owner in JOB]"),
]
Opener = Annotated[Path | None, typer.Option("--identity", help="File with the age identity that opens it.")]
Accused = Annotated[
    str | None, typer.Option("--accused", help="A seat or owner.  [default: whom the evidence accuses]")
]
Files = Annotated[
    Path | None, typer.Option("--run", help="Run folder to look in for what is withheld, or for the release.")
]


@app.command("make")
def make(
    context: typer.Context,
    job_files: Annotated[Path | None, typer.Argument(metavar="[JOB]", help="A run folder or a job's CAR file.")] = None,
    round_: Annotated[int, typer.Option("--round", help="The round.", min=0)] = 0,
    step: Step = None,
    interval: Interval = None,
    claim: ClaimName = None,
    seat: Seat = None,
    owner: Annotated[bool, typer.Option("--owner", help="The accused is the owner.")] = False,
    challenger: Challenger = None,
    to: Recipients = None,
    plaintext: Annotated[bool, typer.Option("--plaintext", help="Do not seal: everybody can read it.")] = False,
    end_states: EndStates = True,
    release: Rows = True,
    publish: Annotated[bool, typer.Option("--publish", help="Also put it into the job's store.")] = False,
    contract: OnContract = None,
    job: JobThere = None,
    endpoint: Endpoints = None,
    from_block: FromBlock = None,
    identity: Granted = None,
    grant: Grant = None,
    trust_model: TrustModel = None,
    output_file: Annotated[
        Path | None, typer.Option("-o", "--output", help="The file to write.  [default: evidence-JOB-ROUND.car]")
    ] = None,
) -> int:
    """Collects the least that one interval, or one claim, can be judged by, and seals it to the arbiter.

    The job is a run folder or CAR file, or with --contract and --job the chain's, its artifacts in JOB or on --store.
    """
    _check_plaintext(plaintext, to, claim)
    place = (contract, job, endpoint, from_block, identity, grant, trust_model)
    with source_of(context, job_files, *place) as source:
        by = acting_address(source.config, challenger)
        subject = _read_subject(source.artifacts, (claim, round_, step, interval), seat, owner, (end_states, release))
        target = output_file or Path(f"evidence-{source.record.job}-{round_}.car")
        if target.exists():
            raise UsageError(f"{target} exists and is not overwritten", hint="name another file with --output")
        recipients = None if plaintext else _read_recipients(source.artifacts, to)
        packed = make_evidence(source.record, source.artifacts, subject, by)
        sealed = enclose(source.history.genesis, packed.evidence, packed.plaintext, recipients)
        data = sealed.to_car()
        write_secret(target, data)
        result = _describe(sealed) | {"file": str(target), "size_bytes": len(data)}
        result |= _describe_content(packed) | {"recipients": list(recipients or ())}
        if publish:
            root = sealed.envelope.cid
            published = source.publish(root, EVIDENCE_PINS, lambda store: publish_evidence(store, sealed))
            result |= {"published": cid_text(published)}
    return finish(context, result, lambda console: print_made(console, result))


@app.command("check")
def check(
    context: typer.Context,
    file: EvidenceFile,
    identity: Opener = None,
    accused: Accused = None,
    receipts: ReceiptFiles = None,
    contract: OnContract = None,
    job: JobThere = None,
    run_dir: Files = None,
    trust_model: TrustModel = None,
) -> int:
    """Repeats what an evidence file claims, with nothing else at hand, and says who is guilty.

    Only what is withheld, or a release that was left out, is looked for, in --run or on --store. With --network its
    head is compared with the chain, and the contract checks its proofs. A --receipt needs it for its sender's key.

    Exit code 0: not guilty; 1: guilty; 4: cannot tell.
    """
    about = None if accused is None else parse_accused(accused)
    secret = None if identity is None else read_identity(identity)
    opened, shown = open_evidence(read_evidence(file), secret), tuple(map(read_receipt, receipts or ()))
    asks_node = context.obj["settings"]["network"] is not None or contract is not None
    trusted = frozenset(trust_model or ())
    with _source_of(context, opened, run_dir, contract, asks_node) as source:
        head, keys = _compare(source, opened, job, trusted) if asks_node else (None, {})
        opinion = judge_evidence(
            opened,
            about,
            store=source.find_store(),
            trusted_models=trusted,
            shown=ShownReceipts(shown, keys),
        )
    if head is not None:
        opinion = opinion.unless_foreign(head.problem)
    result = opinion.to_json() | _describe_opened(opened) | {"head": _describe_head(opened, head)}
    return finish(context, result, lambda console: print_checked(console, opened, opinion, head), int(result["code"]))


@app.command("show")
def show(context: typer.Context, file: EvidenceFile) -> int:
    """Shows what everybody may see of an evidence file: its digest, its job, its challenger."""
    result = _describe(read_evidence(file)) | {"file": str(file), "size_bytes": file.stat().st_size}
    return finish(context, result, lambda console: print_evidence(console, result))


def _check_plaintext(plaintext: bool, to: list[str] | None, claim: str | None) -> None:
    """Raises UsageError where evidence must be sealed."""
    if plaintext and to:
        raise UsageError("--plaintext and --to exclude each other", hint="leave out one of them")
    if plaintext and claim == "seal":
        raise UsageError(
            "evidence on a seal holds the seat's sealing secret, which opens all of its files", hint="leave it sealed"
        )


def _read_subject(
    artifacts: Artifacts,
    what: tuple[str | None, int, int | None, int | None],
    seat: int | None,
    owner: bool,
    holds: tuple[bool, bool],
) -> Subject:
    """What the options ask for.

    Raises:
        UsageError: not exactly one of a claim, a step and an interval; or a seat and the owner at once.
    """
    claim, round_, step, interval = what
    if sum(option is not None for option in (claim, step, interval)) != 1:
        raise UsageError("name one of --step, --interval and --claim", hint="evidence is about one thing")
    if seat is not None and owner:
        raise UsageError("--seat and --owner exclude each other", hint="accuse one of them")
    accused = ACCUSED_OWNER if owner else seat
    if claim is None:
        chosen = interval if step is None else step // artifacts.spec.replay.interval
        return Subject("replay", round_, chosen, accused, *holds)
    known = [name for name in get_args(Claim) if name != "replay"]
    for name in known:
        if name == claim:
            return Subject(name, round_, None, accused)
    raise UsageError(f"--claim {claim}: there is no such claim", hint=f"one of {', '.join(known)}")


def _read_recipients(artifacts: Artifacts, to: list[str] | None) -> Sequence[str]:
    recipients = [parse_recipient(text) for text in to] if to else list(artifacts.spec.arbiter_keys)
    if not recipients:
        raise UsageError("the spec names no key of an arbiter", hint="seal it with --to age1..., or say --plaintext")
    return recipients


def _source_of(
    context: typer.Context, opened: OpenedEvidence, run_dir: Path | None, contract: str | None, asks_node: bool
) -> JobSource:
    """The job that evidence is about, as far as a node is asked, and where to look for its artifacts."""
    config, evidence = session.settings(context), opened.evidence
    address = to_checksum_address(evidence.contract) if contract is None else session.contract_address(contract)
    job = JobId(evidence.job) if asks_node else None
    return JobSource(run_dir, config=config, contract=Address(address), job=job, nodes=choose_nodes(config))


def _compare(
    source: JobSource, opened: OpenedEvidence, job: int | None, trusted: frozenset[str]
) -> tuple[HeadCheck, dict[Address, bytes]]:
    """What the node says about the evidence, and where it is the chain's, the keys under which receipts hold."""
    client = source.client()
    head = compare_with_chain(opened, client, source.index, job, trusted)
    return head, transports_on_chain(source.index, JobId(opened.evidence.job)) if head.verified else {}


def _describe(sealed: SealedEvidence) -> dict[str, Any]:
    """What everybody may see."""
    envelope = sealed.envelope
    return {
        "digest": f"0x{sealed.digest.hex()}",
        "root": cid_text(envelope.cid),
        "plaintext_digest": f"0x{envelope.plaintext_digest.hex()}",
        "genesis": f"0x{envelope.genesis.hex()}",
        "challenger": to_checksum_address(envelope.challenger),
        "sealed": envelope.sealed,
    }


def _describe_content(packed: PackedEvidence) -> dict[str, Any]:
    """What it is about; committed states and transcripts are what makes evidence large."""
    evidence, blocks = parse_evidence(packed.plaintext)
    return {
        "state_bytes": sum(len(get_bytes(blocks, file.content)) for file in evidence.files),
        "claim": evidence.claim,
        "round": evidence.round,
        "interval": evidence.interval,
        "accused": None if evidence.accused is None else party_name(evidence.accused),
    }


def _describe_opened(opened: OpenedEvidence) -> dict[str, Any]:
    evidence = opened.evidence
    return {
        "digest": f"0x{opened.digest.hex()}",
        "claim": evidence.claim,
        "round": evidence.round,
        "interval": evidence.interval,
        "challenger": to_checksum_address(evidence.challenger),
        "contract": to_checksum_address(evidence.contract),
        "chain_id": evidence.chain_id,
        "job": evidence.job,
        "size_bytes": opened.size_bytes,
    }


def _describe_head(opened: OpenedEvidence, head: HeadCheck | None) -> dict[str, Any]:
    unasked = {"verified": False, "source": None, "problem": None, "proven_steps": 0}
    return {"digest": f"0x{opened.evidence.head.hex()}"} | (unasked if head is None else head.to_json())
