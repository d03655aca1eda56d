"""``clicooper ownership``: prove that a model descends from one's own work, judge such claims, put one on the chain."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import typer
from eth_utils import to_checksum_address

from clicooper.access.grants import IDENTITY_NAME, read_identity
from clicooper.access.vault import TrainerSecrets
from clicooper.audit.verdict import exit_code
from clicooper.chain.client import Contract, MarkOpening, OpenedCommit
from clicooper.chain.rpc.node import Node
from clicooper.cli import session
from clicooper.cli.options import Endpoints, FromBlock, Grant, JobThere, OnContract, TrustModel, source_of
from clicooper.cli.output import finish, output_of
from clicooper.commitments.ownership import OwnershipBundle
from clicooper.errors import CliCooperError, UsageError
from clicooper.history.history import History
from clicooper.jobs import JobSource, act_on, choose_nodes
from clicooper.learning.suspect_file import read_suspect
from clicooper.ownership.claim_files import ClaimFiles
from clicooper.ownership.claims import copied_starts, judge_claim, ranked, verdict_over
from clicooper.ownership.proof import prove_ownership, write_proof
from clicooper.reports.ownership_tables import print_claims, print_proof
from clicooper.storage.car_store import CarStore
from clicooper.storage.run_folder import RunFolder
from clicooper.types import Address, Digest, Head, JobId

__all__ = ["app"]

app = typer.Typer(help="Prove, judge and publish claims upon a suspect model.", rich_markup_mode=None)

SuspectFile = Annotated[
    Path, typer.Option("--suspect", help="The model in question: safetensors, or a torch state dict.")
]
Sample = Annotated[int, typer.Option("--sample", help="Drawn intervals of the work to show.", min=1, max=10_000)]
TrainerFolder = Annotated[
    Path | None,
    typer.Option("--trainer", help="Folder of the trainer's secrets.  [default: JOB/trainers/seat-SEAT]"),
]
Granted = Annotated[
    Path | None,
    typer.Option(
        "--identity",
        help="Identity with a grant to all seats and labels, by which the work is shown."
        "  [default: that of the auditor or owner in JOB]",
    ),
]


@app.command("prove")
def prove(
    context: typer.Context,
    round_: Annotated[int, typer.Option("--round", help="Which accepted round to claim.", min=0)],
    seat: Annotated[int, typer.Option("--seat", help="Which seat to claim.", min=0)],
    suspect: SuspectFile,
    bundle: Annotated[Path, typer.Option("-o", "--output", help="The bundle to write, a CAR file.")],
    job_files: Annotated[
        Path | None, typer.Argument(metavar="[JOB]", help="A run folder, a job's CAR file, or where its artifacts are.")
    ] = None,
    trainer: TrainerFolder = None,
    identity: Granted = None,
    grant: Grant = None,
    contract: OnContract = None,
    job: JobThere = None,
    endpoint: Endpoints = None,
    from_block: FromBlock = None,
    sample: Sample = 3,
    trust_model: TrustModel = None,
) -> int:
    """Makes a bundle that shows that one committed seat and round is in a suspect: key, checkpoint, work, descent.

    It opens the ownership key of that round alone, and holds the segment's weights in the clear. The job is a run
    folder or CAR file, or with --contract and --job the chain's, its artifacts in JOB or on --store.
    """
    output = output_of(context)
    if bundle.exists():
        raise UsageError(f"{bundle} exists and is not overwritten", hint="name another file with --output")
    place = (contract, job, endpoint, from_block, identity, grant, trust_model)
    with source_of(context, job_files, *place) as source, output.progress() as progress:
        _require_place(source.history, round_, seat)
        secrets, model = _read_secrets(source, trainer, seat), read_suspect(suspect)
        progress("replaying the drawn intervals", 0, 1)
        claimed = (round_, seat, model.digest)
        proof = prove_ownership(
            source.record, source.store, secrets, source.keys, *claimed, samples=sample, trusted_models=source.trusted
        )
        write_proof(bundle, proof)
        progress("judging the bundle", 0, 1)
        with CarStore(bundle) as written:
            claim = judge_claim(written, proof.bundle, model, None, samples=sample, trusted_models=source.trusted)
    result: dict[str, Any] = {"bundle": str(bundle), "root": str(proof.bundle.cid), "unshown": proof.unshown}
    result |= {"size_bytes": bundle.stat().st_size, "claim": claim.to_json()}
    return finish(context, result, lambda console: print_proof(console, result, claim))


@app.command("verify")
def verify(
    context: typer.Context,
    bundles: Annotated[list[Path], typer.Argument(help="One claim, or several that compete.")],
    suspect: SuspectFile,
    sample: Sample = 3,
    trust_model: TrustModel = None,
) -> int:
    """Judges claims upon a suspect, and orders those that pass by the block of their commitment.

    Needs the bundles, the suspect and, for what the chain holds, a node: --network.

    Exit code 0: a claim passes and none is undecided; 1: all fail; 4: something could not be checked.
    """
    output = output_of(context)
    model, claims, trusted = read_suspect(suspect), [], frozenset(trust_model or ())
    with ExitStack() as stack, output.progress() as progress:
        node = _find_node(context, stack)
        for number, path in enumerate(bundles):
            progress(f"judging {path.name}", number, len(bundles))
            store, bundle = _open_bundle(stack, path)
            contract = _find_contract(node, bundle)
            claims.append(
                judge_claim(store, bundle, model, contract, samples=sample, tests=len(bundles), trusted_models=trusted)
            )
    order, verdict = ranked(claims), verdict_over(claims)
    code = exit_code(verdict)
    result: dict[str, Any] = {"verdict": verdict.value}
    result |= {"suspect": {"sha256": "0x" + model.digest.hex(), "tensors": len(model.state)}}
    result |= {"claims": [{"bundle": str(p), **c.to_json()} for p, c in zip(bundles, claims, strict=True)]}
    result |= {"order": [str(bundles[claims.index(claim)]) for claim in order]}
    result |= {"copied_start": [str(bundles[claims.index(claim)]) for claim in copied_starts(claims)]}
    return finish(context, result, lambda console: print_claims(console, result, claims), code)


@app.command("claim")
def claim(
    context: typer.Context,
    bundle: Annotated[Path, typer.Argument(help="A bundle that `ownership prove` wrote.")],
) -> int:
    """Opens a bundle's key on chain, for good and for everybody: MarkOpened names the suspect. For its trainer.

    A key is opened once: a second suspect of the same seat and round needs no key, and gets no event.
    """
    config = session.settings(context)
    with ExitStack() as stack:
        store, opened = _open_bundle(stack, bundle)
        ClaimFiles(store, opened).require_consistent()
        address, job = Address(to_checksum_address(opened.contract)), JobId(opened.job)
        source = stack.enter_context(JobSource(config=config, contract=address, job=job, nodes=choose_nodes(config)))
        account = session.open_account(config)
        if Address(account.address) != opened.trainer:
            hint = "choose the account that committed with --account"
            raise UsageError(f"{account.address} is not {opened.trainer}, whose commitment this is", hint=hint)
        contract = source.client(account)
        receipt = contract.open_mark(job, *_opening(opened))
        result: dict[str, Any] = {"job": opened.job, "round": opened.round, "seat": opened.seat}
        result |= {"contract": contract.address, "chain_id": source.node.chain_id, "account": account.address}
        result |= {"suspect_digest": "0x" + opened.suspect_digest.hex(), "tx_hash": f"0x{receipt.tx_hash.hex()}"}
        result |= {"block": receipt.block_number, "gas_used": receipt.gas_used}
    words = f"Mark of round {opened.round}, seat {opened.seat} opened in block {receipt.block_number}, "
    words += f"{receipt.gas_used:,} gas"
    return finish(context, result, words)


def _opening(bundle: OwnershipBundle) -> tuple[int, int, Head, list[OpenedCommit], MarkOpening]:
    """What ``open_mark`` takes after the job."""
    commits = [
        OpenedCommit(Address(to_checksum_address(c.trainer)), Digest(c.manifest_digest), Digest(c.mark_commitment))
        for c in bundle.commits
    ]
    keys = Digest(bundle.progress_key_hash), Digest(bundle.ownership_key), Digest(bundle.suspect_digest)
    return bundle.round, bundle.seat, Head(bundle.head_before), commits, MarkOpening(*keys)


def _require_place(history: History, round_: int, seat: int) -> None:
    if seat >= history.params.seats:
        raise UsageError(f"--seat {seat}: there is no such seat", hint=f"seats are 0 to {history.params.seats - 1}")
    if round_ >= history.params.rounds:
        raise UsageError(f"--round {round_}: no such round", hint=f"rounds are 0 to {history.params.rounds - 1}")


def _read_secrets(source: JobSource, chosen: Path | None, seat: int) -> TrainerSecrets:
    """What a trainer keeps in its own folder."""
    if chosen is None and source.folder is None:
        raise UsageError("nobody's secrets are named", hint="name the folder of the trainer's secrets with --trainer")
    folder = chosen or RunFolder(source.files or Path()).trainer(seat)
    if not (folder / "secret.key").exists():
        raise UsageError(f"{folder} holds no trainer's secrets", hint="name the folder of secret.key with --trainer")
    try:
        secret = bytes.fromhex(session.first_line(folder / "secret.key", "trainer's secret"))
    except ValueError as e:
        raise UsageError(f"{folder / 'secret.key'} is damaged", hint="it holds 64 hex digits") from e
    return TrainerSecrets(secret, read_identity(folder / IDENTITY_NAME))


def _open_bundle(stack: ExitStack, path: Path) -> tuple[CarStore, OwnershipBundle]:
    store = stack.enter_context(CarStore(path))
    return store, OwnershipBundle.from_block(store.get_block(store.roots[0]))


def _find_node(context: typer.Context, stack: ExitStack) -> Node | None:
    """The node of --network, or None where none was named."""
    nodes = choose_nodes(session.settings(context))
    return stack.enter_context(Node.connect(nodes[0])) if nodes else None


def _find_contract(node: Node | None, bundle: OwnershipBundle) -> Contract | None:
    """A claim's contract; None leaves the record unverified, also where the node is of another chain."""
    if node is None or node.chain_id != bundle.chain_id:
        return None
    try:
        return act_on(node, Address(to_checksum_address(bundle.contract)))
    except CliCooperError:
        return None
