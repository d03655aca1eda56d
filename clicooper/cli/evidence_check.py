"""``clicooper evidence check``: repeat what an evidence file claims, and say who is guilty."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clicooper.cli import dispute
from clicooper.cli.onchain import open_index
from clicooper.cli.output import Output
from clicooper.cli.session import settings

if TYPE_CHECKING:
    from rich.console import Console

    from clicooper.commitments.boundary import BoundaryReceipt
    from clicooper.config import ClientConfig
    from clicooper.disputes.evidence_file import OpenedEvidence, SealedEvidence
    from clicooper.disputes.head_check import HeadCheck
    from clicooper.types import Address

__all__ = ["EvidenceFile", "JobThere", "OnContract", "ReceiptFiles", "TrustModel", "check"]

EvidenceFile = Annotated[Path, typer.Argument(help="An evidence file.")]
Identity = Annotated[Path | None, typer.Option("--identity", help="File with the age identity that opens it.")]
OnContract = Annotated[str | None, typer.Option("--contract", help="The contract on --network.")]
JobThere = Annotated[int | None, typer.Option("--job", help="The job's number there.", min=1, max=2**63 - 1)]
TrustModel = Annotated[
    list[str] | None,
    typer.Option("--trust-model", help="A package.module:function whose code may run here; may be repeated."),
]
ReceiptFiles = Annotated[
    list[Path] | None,
    typer.Option("--receipt", help="What a sender signed about a boundary, as its receiver kept it; may be repeated."),
]


def check(
    context: typer.Context,
    file: EvidenceFile,
    identity: Identity = None,
    accused: Annotated[
        str | None, typer.Option("--accused", help="A seat or owner.  [default: whom the evidence accuses]")
    ] = None,
    receipts: ReceiptFiles = None,
    contract: OnContract = None,
    job: JobThere = None,
    run_dir: Annotated[
        Path | None, typer.Option("--run", help="Run folder to look in for what is withheld, or for the release.")
    ] = None,
    trust_model: TrustModel = None,
) -> int:
    """Repeats what an evidence file claims, with nothing else at hand, and says who is guilty.

    Only what is withheld, or a release that was left out, is looked for, in --run or on --store. With --network its
    head is compared with the chain, and the contract checks its proofs. A --receipt needs it for its sender's key.

    Exit code 0: not guilty; 1: guilty; 4: cannot tell.
    """
    from clicooper.disputes.evidence_file import read_evidence  # noqa: PLC0415 - imports torch

    config = settings(context)
    place = dispute.JobPlace(run_dir, contract, job)
    about = None if accused is None else dispute.parse_accused(accused)
    output: Output = context.obj["output"]
    asks_node = context.obj["settings"]["network"] is not None or contract is not None
    shown = dispute.receipts_in(receipts)
    result, render = _checked(config, read_evidence(file), identity, about, shown, place, asks_node, trust_model)
    output.finish(result, render)
    return int(result["code"])


def _checked(
    config: ClientConfig,
    sealed: SealedEvidence,
    identity: Path | None,
    accused: int | None,
    receipts: tuple[BoundaryReceipt, ...],
    place: dispute.JobPlace,
    asks_node: bool,
    trust_model: list[str] | None,
) -> tuple[dict[str, Any], Any]:
    """The check of an evidence file: what it prints as JSON, and what draws it for people."""
    from clicooper.disputes.evidence_file import open_evidence  # noqa: PLC0415 - imports torch
    from clicooper.disputes.judge import judge_evidence  # noqa: PLC0415
    from clicooper.disputes.shown_receipts import ShownReceipts  # noqa: PLC0415

    trusted = frozenset(trust_model or ())
    opened = open_evidence(sealed, dispute.identity_in(identity))
    head, keys = _compared(config, opened, place, trusted) if asks_node else (None, {})
    looks = place.files is not None or config.ipfs_url is not None
    store = dispute.own_store(config, place.files) if looks else None
    shown = ShownReceipts(receipts, keys)
    opinion = judge_evidence(opened, accused, store=store, trusted_models=trusted, shown=shown)
    if head is not None:
        opinion = opinion.unless_foreign(head.problem)
    unasked = {"verified": False, "source": None, "problem": None, "proven_steps": 0}
    named = {"digest": f"0x{opened.evidence.head.hex()}"}
    found = opinion.to_json() | _about(opened) | {"head": named | (unasked if head is None else head.to_json())}
    source = None if head is None else f"{'that of' if head.verified else 'not known to'} {head.source}"

    def render(console: Console) -> None:
        console.print(dispute.head_line(opened, source), markup=False, soft_wrap=True)
        dispute.print_opinion(console, opinion)

    return found, render


def _compared(
    config: ClientConfig, opened: OpenedEvidence, place: dispute.JobPlace, trusted: frozenset[str]
) -> tuple[HeadCheck, dict[Address, bytes]]:
    """What the node says about the evidence, and where it is the chain's, the keys under which receipts hold."""
    from eth_utils import to_checksum_address  # noqa: PLC0415

    from clicooper.disputes.head_check import compare_with_chain, transports_on_chain  # noqa: PLC0415
    from clicooper.types import JobId  # noqa: PLC0415

    address = to_checksum_address(opened.evidence.contract) if place.contract is None else place.contract
    with dispute.chain(config) as node:
        client = dispute.client_of(config, node, address)
        with open_index(config, node, client.address) as index:
            head = compare_with_chain(opened, client, index, place.job, trusted)
            return head, transports_on_chain(index, JobId(opened.evidence.job)) if head.verified else {}


def _about(opened: OpenedEvidence) -> dict[str, Any]:
    from eth_utils import to_checksum_address  # noqa: PLC0415

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
