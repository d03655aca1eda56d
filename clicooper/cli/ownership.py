"""``clicooper ownership``: prove that a model descends from one's own work, judge such claims, put one on the chain."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clicooper.cli import session
from clicooper.cli.output import Output
from clicooper.errors import CliCooperError, UsageError
from clicooper.reports.tables import table

if TYPE_CHECKING:
    from rich.console import Console

    from clicooper.access.vault import TrainerSecrets
    from clicooper.chain.client import Contract
    from clicooper.chain.rpc.node import Node
    from clicooper.commitments.ownership import OwnershipBundle
    from clicooper.history.follow import History
    from clicooper.ownership.claims import JudgedClaim
    from clicooper.storage.car_store import CarStore

__all__ = ["app"]

app = typer.Typer(help="Prove, judge and publish claims upon a suspect model.", rich_markup_mode=None)

SuspectFile = Annotated[
    Path, typer.Option("--suspect", help="The model in question: safetensors, or a torch state dict.")
]
Sample = Annotated[int, typer.Option("--sample", help="Drawn intervals of the work to show.", min=1, max=10_000)]
Trusted = Annotated[
    list[str] | None,
    typer.Option("--trust-model", help="A package.module:function whose code may run here; may be repeated."),
]


@app.command("prove")
def prove(
    context: typer.Context,
    run_dir: Annotated[Path, typer.Argument(help="The job: a folder with record.json and store/.")],
    round_: Annotated[int, typer.Option("--round", help="Which accepted round to claim.", min=0)],
    seat: Annotated[int, typer.Option("--seat", help="Which seat to claim.", min=0)],
    suspect: SuspectFile,
    bundle: Annotated[Path, typer.Option("-o", "--output", help="The bundle to write, a CAR file.")],
    trainer: Annotated[
        Path | None,
        typer.Option("--trainer", help="Folder of the trainer's secrets.  [default: RUN_DIR/trainers/seat-SEAT]"),
    ] = None,
    identity: Annotated[
        Path | None,
        typer.Option(
            "--identity",
            help="Identity with a grant to all seats and labels, by which the work is shown."
            "  [default: RUN_DIR/auditor/identity.txt where it exists]",
        ),
    ] = None,
    grant: Annotated[
        str | None, typer.Option("--grant", help="The grant that the identity opens: a file, or a CID in the store.")
    ] = None,
    sample: Sample = 3,
    trust_model: Trusted = None,
) -> int:
    """Makes a bundle that shows that one committed seat and round is in a suspect: key, checkpoint, work, descent.

    It opens the ownership key of that round alone, and holds the segment's weights in the clear.
    """
    from clicooper.chain.record import read_record  # noqa: PLC0415
    from clicooper.cli.audited import granted_keys  # noqa: PLC0415
    from clicooper.history.follow import follow_record  # noqa: PLC0415 - keeps --help fast
    from clicooper.learning.suspect_file import read_suspect  # noqa: PLC0415
    from clicooper.ownership.claims import judge_claim  # noqa: PLC0415
    from clicooper.ownership.proof import prove_ownership, write_proof  # noqa: PLC0415
    from clicooper.storage.car_store import CarStore  # noqa: PLC0415
    from clicooper.storage.local import LocalStore  # noqa: PLC0415
    from clicooper.storage.run_folder import RunFolder  # noqa: PLC0415

    output: Output = context.obj["output"]
    folder, trusted = RunFolder.open(run_dir), frozenset(trust_model or ())
    if bundle.exists():
        raise UsageError(f"{bundle} exists and is not overwritten", hint="name another file with --output")
    record = read_record(folder.record)
    _require_place(follow_record(record), round_, seat)
    secrets = _trainer_secrets(folder.trainer(seat) if trainer is None else trainer)
    keys, model = granted_keys(session.settings(context), run_dir, identity, grant), read_suspect(suspect)
    with output.progress() as progress:
        progress("replaying the drawn intervals", 0, 1)
        store = LocalStore(folder.store)
        proof = prove_ownership(
            record, store, secrets, keys, round_, seat, model.digest, samples=sample, trusted_models=trusted
        )
        write_proof(bundle, proof)
        progress("judging the bundle", 0, 1)
        with CarStore(bundle) as written:
            claim = judge_claim(written, proof.bundle, model, None, samples=sample, trusted_models=trusted)
    result = {"ok": True, "code": 0, "bundle": str(bundle), "root": str(proof.bundle.cid), "unshown": proof.unshown}
    result |= {"size_bytes": bundle.stat().st_size, "claim": claim.to_json()}
    output.finish(result, lambda console: _print_proof(console, result, claim))
    return 0


@app.command("verify")
def verify(
    context: typer.Context,
    bundles: Annotated[list[Path], typer.Argument(help="One claim, or several that compete.")],
    suspect: SuspectFile,
    sample: Sample = 3,
    trust_model: Trusted = None,
) -> int:
    """Judges claims upon a suspect, and orders those that pass by the block of their commitment.

    Needs the bundles, the suspect and, for what the chain holds, a node: --network.

    Exit code 0: a claim passes and none is undecided; 1: all fail; 4: something could not be checked.
    """
    from clicooper.audit.verdict import exit_code  # noqa: PLC0415 - keeps --help fast
    from clicooper.learning.suspect_file import read_suspect  # noqa: PLC0415
    from clicooper.ownership.claims import copied_starts, judge_claim, ranked, verdict_over  # noqa: PLC0415

    output: Output = context.obj["output"]
    model, claims = read_suspect(suspect), []
    with ExitStack() as stack, output.progress() as progress:
        node = stack.enter_context(_node(context))
        for number, path in enumerate(bundles):
            progress(f"judging {path.name}", number, len(bundles))
            store, bundle = _opened(stack, path)
            contract, trusted = _contract(node, bundle), frozenset(trust_model or ())
            claims.append(
                judge_claim(store, bundle, model, contract, samples=sample, tests=len(bundles), trusted_models=trusted)
            )
    order, verdict = ranked(claims), verdict_over(claims)
    code = exit_code(verdict)
    result: dict[str, Any] = {"ok": code == 0, "code": code, "verdict": verdict.value}
    result |= {"suspect": {"sha256": "0x" + model.digest.hex(), "tensors": len(model.state)}}
    result |= {"claims": [{"bundle": str(p), **c.to_json()} for p, c in zip(bundles, claims, strict=True)]}
    result |= {"order": [str(bundles[claims.index(claim)]) for claim in order]}
    result |= {"copied_start": [str(bundles[claims.index(claim)]) for claim in copied_starts(claims)]}
    output.finish(result, lambda console: _print_verdicts(console, result, claims))
    return code


@app.command("claim")
def claim(
    context: typer.Context,
    bundle: Annotated[Path, typer.Argument(help="A bundle that `ownership prove` wrote.")],
) -> int:
    """Opens a bundle's key on chain, for good and for everybody: MarkOpened names the suspect. For its trainer.

    A key is opened once: a second suspect of the same seat and round needs no key, and gets no event.
    """
    from clicooper.chain.client import Contract, MarkOpening, OpenedCommit  # noqa: PLC0415 - keeps --help fast
    from clicooper.chain.fees import SendPolicy  # noqa: PLC0415
    from clicooper.ownership.claim_files import ClaimFiles  # noqa: PLC0415
    from clicooper.types import Address, Digest, Head, JobId  # noqa: PLC0415

    output, config = context.obj["output"], session.settings(context)
    with ExitStack() as stack:
        store, opened = _opened(stack, bundle)
        ClaimFiles(store, opened).require_consistent()
        node = stack.enter_context(_node(context))
        if node is None:
            hint = "name the network of the job with --network"
            raise UsageError("the embedded chain ends with each command: there is no job on it", hint=hint)
        account = session.open_account(config)
        if Address(account.address) != opened.trainer:
            hint = "choose the account that committed with --account"
            raise UsageError(f"{account.address} is not {opened.trainer}, whose commitment this is", hint=hint)
        policy = SendPolicy(None, 1 if node.is_local else 3)
        contract = Contract(node, _address(opened.contract), account, policy=policy)
        receipt = contract.open_mark(
            JobId(opened.job),
            opened.round,
            opened.seat,
            Head(opened.head_before),
            [
                OpenedCommit(_address(c.trainer), Digest(c.manifest_digest), Digest(c.mark_commitment))
                for c in opened.commits
            ],
            MarkOpening(Digest(opened.progress_key_hash), Digest(opened.ownership_key), Digest(opened.suspect_digest)),
        )
        result: dict[str, Any] = {"ok": True, "code": 0, "job": opened.job, "round": opened.round, "seat": opened.seat}
        result |= {"contract": contract.address, "chain_id": node.chain_id, "account": account.address}
        result |= {"suspect_digest": "0x" + opened.suspect_digest.hex(), "tx_hash": f"0x{receipt.tx_hash.hex()}"}
        result |= {"block": receipt.block_number, "gas_used": receipt.gas_used}
    words = f"Mark of round {opened.round}, seat {opened.seat} opened in block {receipt.block_number}, "
    words += f"{receipt.gas_used:,} gas"
    output.finish(result, lambda console: console.print(words, markup=False, soft_wrap=True))
    return 0


def _require_place(history: History, round_: int, seat: int) -> None:
    if seat >= history.params.seats:
        raise UsageError(f"--seat {seat}: there is no such seat", hint=f"seats are 0 to {history.params.seats - 1}")
    if round_ >= history.params.rounds:
        raise UsageError(f"--round {round_}: no such round", hint=f"rounds are 0 to {history.params.rounds - 1}")


def _trainer_secrets(folder: Path) -> TrainerSecrets:
    """What a trainer keeps in its own folder."""
    from clicooper.access.grants import IDENTITY_NAME, read_identity  # noqa: PLC0415
    from clicooper.access.vault import TrainerSecrets  # noqa: PLC0415

    if not (folder / "secret.key").exists():
        raise UsageError(f"{folder} holds no trainer's secrets", hint="name the folder of secret.key with --trainer")
    try:
        secret = bytes.fromhex(session.first_line(folder / "secret.key", "trainer's secret"))
    except ValueError as e:
        raise UsageError(f"{folder / 'secret.key'} is damaged", hint="it holds 64 hex digits") from e
    return TrainerSecrets(secret, read_identity(folder / IDENTITY_NAME))


def _opened(stack: ExitStack, path: Path) -> tuple[CarStore, OwnershipBundle]:
    from clicooper.commitments.ownership import OwnershipBundle  # noqa: PLC0415
    from clicooper.storage.car_store import CarStore  # noqa: PLC0415

    store = stack.enter_context(CarStore(path))
    return store, OwnershipBundle.from_block(store.get_block(store.roots[0]))


@contextmanager
def _node(context: typer.Context) -> Iterator[Node | None]:
    """The node of --network, or None where none was named."""
    from clicooper.config import EMBEDDED  # noqa: PLC0415

    config = session.settings(context)
    if config.network_url == EMBEDDED:
        yield None
        return
    with session.connected(config) as node:
        yield node


def _contract(node: Node | None, bundle: OwnershipBundle) -> Contract | None:
    """A claim's contract; None leaves the record unverified, also where the node is of another chain."""
    from clicooper.chain.client import Contract  # noqa: PLC0415

    if node is None or node.chain_id != bundle.chain_id:
        return None
    try:
        return Contract(node, _address(bundle.contract))
    except CliCooperError:
        return None


def _address(raw: bytes) -> Any:
    return session.contract_address("0x" + raw.hex())


def _print_proof(console: Console, result: dict[str, Any], claim: JudgedClaim) -> None:
    _print_claim(console, claim, f"Claim {result['bundle']}")
    if result["unshown"]:
        console.print(f"Its work is not shown: {result['unshown']}", markup=False, soft_wrap=True)
    console.print(f"{result['size_bytes']:,} bytes, root {result['root']}", markup=False, soft_wrap=True)
    console.print("It opens this round's ownership key and weights to whoever gets it.", markup=False)


def _print_verdicts(console: Console, result: dict[str, Any], claims: Sequence[JudgedClaim]) -> None:
    for row, one in zip(result["claims"], claims, strict=True):
        _print_claim(console, one, f"Claim {row['bundle']}")
    for path in result["copied_start"]:
        console.print(f"{path}: its job took over the starting weights of an earlier one", markup=False, soft_wrap=True)
    if len(claims) > 1 and result["order"]:
        console.print(f"First: {result['order'][0]}", markup=False, soft_wrap=True)
    console.print(f"Verdict: {result['verdict']}", markup=False)


def _print_claim(console: Console, claim: JudgedClaim, title: str) -> None:
    from clicooper.ownership.claims import PARTS  # noqa: PLC0415

    rows = table(title, "part", "verdict", "why")
    for part in claim.parts:
        rows.add_row(f"{part.part} {PARTS[part.part]}", part.verdict.value, part.detail)
    console.print(rows)
