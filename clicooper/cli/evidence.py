"""``clicooper evidence make`` and ``show``: evidence on one interval or claim, and what everybody may see of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clicooper.cli import dispute
from clicooper.cli.evidence_check import EvidenceFile, JobThere, OnContract, TrustModel, check
from clicooper.cli.output import Output
from clicooper.cli.session import settings
from clicooper.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from clicooper.audit.artifacts import Artifacts
    from clicooper.disputes.collect import PackedEvidence
    from clicooper.disputes.evidence_file import SealedEvidence
    from clicooper.disputes.subject import Subject
    from clicooper.storage.base import Store

__all__ = ["app"]

app = typer.Typer(help="Evidence on one step or claim: make, show, check.", rich_markup_mode=None)
app.command("check")(check)

EVIDENCE_PINS = "evidence"
"""The pin set of evidence that was published from a run folder."""


@app.command("make")
def make(
    context: typer.Context,
    job_files: Annotated[Path | None, typer.Argument(metavar="[JOB]", help="A run folder or a job's CAR file.")] = None,
    round_: Annotated[int, typer.Option("--round", help="The round.", min=0)] = 0,
    step: Annotated[
        int | None, typer.Option("--step", help="A step: evidence on the interval that holds it.", min=0)
    ] = None,
    interval: Annotated[int | None, typer.Option("--interval", help="An interval.", min=0)] = None,
    claim: Annotated[
        str | None,
        typer.Option("--claim", help="Instead: boundary, manifest, links, mark, labels, release, seal, withheld."),
    ] = None,
    seat: Annotated[int | None, typer.Option("--seat", help="The accused.  [default: whom the check names]")] = None,
    owner: Annotated[bool, typer.Option("--owner", help="The accused is the owner.")] = False,
    challenger: Annotated[
        str | None, typer.Option("--challenger", help="Whose evidence it is.  [default: the address of --account]")
    ] = None,
    to: Annotated[
        list[str] | None,
        typer.Option("--to", help="Seal it to this age recipient; may be repeated.  [default: the spec's arbiter]"),
    ] = None,
    plaintext: Annotated[bool, typer.Option("--plaintext", help="Do not seal: everybody can read it.")] = False,
    end_states: Annotated[
        bool,
        typer.Option("--end-states/--no-end-states", help="Whether to hold the states at the interval's end too."),
    ] = True,
    release: Annotated[
        bool,
        typer.Option("--release/--no-release", help="Whether to hold the rows of the release, which are public."),
    ] = True,
    publish: Annotated[bool, typer.Option("--publish", help="Also put it into the job's store.")] = False,
    contract: OnContract = None,
    job: JobThere = None,
    identity: Annotated[
        Path | None,
        typer.Option("--identity", help="Identity with grants.  [default: that of the auditor or owner in JOB]"),
    ] = None,
    grant: Annotated[str | None, typer.Option("--grant", help="The grant that the identity opens.")] = None,
    trust_model: TrustModel = None,
    output_file: Annotated[
        Path | None, typer.Option("-o", "--output", help="The file to write.  [default: evidence-JOB-ROUND.car]")
    ] = None,
) -> int:
    """Collects the least that one interval, or one claim, can be judged by, and seals it to the arbiter.

    The job is a run folder or CAR file, or with --contract and --job the chain's, its artifacts in JOB or on --store.
    """
    config = settings(context)
    if plaintext and to:
        raise UsageError("--plaintext and --to exclude each other", hint="leave out one of them")
    if plaintext and claim == "seal":
        raise UsageError(
            "evidence on a seal holds the seat's sealing secret, which opens all of its files", hint="leave it sealed"
        )
    place = dispute.JobPlace(job_files, contract, job)
    by = dispute.acting_address(config, challenger)
    with dispute.record_and_store(config, place) as (record, store):
        evidence = _evidence(record, store, (job_files, identity, grant), trust_model)
        subject = _subject(evidence, (claim, round_, step, interval), seat, owner, (end_states, release))
        target = output_file or Path(f"evidence-{record.job}-{round_}.car")
        if target.exists():
            raise UsageError(f"{target} exists and is not overwritten", hint="name another file with --output")
        result = _made(record, evidence, subject, by, _recipients(evidence, to, plaintext), target)
        if publish:
            result |= {"published": _publish(target, store)}
    output: Output = context.obj["output"]
    output.finish(result, lambda console: _print_made(console, result))
    return 0


def _evidence(
    record: Any,
    store: Store,
    keys_at: tuple[Path | None, Path | None, str | None],
    trust_model: list[str] | None,
) -> Artifacts:
    from clicooper.audit.artifacts import Artifacts  # noqa: PLC0415 - imports torch
    from clicooper.history.follow import follow_record  # noqa: PLC0415

    return Artifacts(follow_record(record), store, dispute.granted(store, *keys_at), frozenset(trust_model or ()))


def _subject(
    evidence: Artifacts,
    what: tuple[str | None, int, int | None, int | None],
    seat: int | None,
    owner: bool,
    holds: tuple[bool, bool],
) -> Subject:
    """What the options ask for.

    Raises:
        UsageError: not exactly one of a claim, a step and an interval; or a seat and the owner at once.
    """
    from typing import get_args  # noqa: PLC0415

    from clicooper.disputes.evidence import Claim  # noqa: PLC0415
    from clicooper.disputes.subject import Subject  # noqa: PLC0415
    from clicooper.types import ACCUSED_OWNER  # noqa: PLC0415

    claim, round_, step, interval = what
    if sum(option is not None for option in (claim, step, interval)) != 1:
        raise UsageError("name one of --step, --interval and --claim", hint="evidence is about one thing")
    if seat is not None and owner:
        raise UsageError("--seat and --owner exclude each other", hint="accuse one of them")
    accused = ACCUSED_OWNER if owner else seat
    if claim is None:
        chosen = interval if step is None else step // evidence.spec.replay.interval
        return Subject("replay", round_, chosen, accused, *holds)
    known = [name for name in get_args(Claim) if name != "replay"]
    for name in known:
        if name == claim:
            return Subject(name, round_, None, accused)
    raise UsageError(f"--claim {claim}: there is no such claim", hint=f"one of {', '.join(known)}")


def _recipients(evidence: Artifacts, to: list[str] | None, plaintext: bool) -> Sequence[str] | None:
    from clicooper.access.identity import parse_recipient  # noqa: PLC0415

    if plaintext:
        return None
    recipients = [parse_recipient(text) for text in to] if to else list(evidence.spec.arbiter_keys)
    if not recipients:
        raise UsageError("the spec names no key of an arbiter", hint="seal it with --to age1..., or say --plaintext")
    return recipients


def _made(
    record: Any, evidence: Artifacts, subject: Subject, by: Any, recipients: Sequence[str] | None, target: Path
) -> dict[str, Any]:
    from clicooper.disputes.collect import make_evidence  # noqa: PLC0415
    from clicooper.disputes.evidence_file import enclose  # noqa: PLC0415
    from clicooper.files import write_secret  # noqa: PLC0415

    packed = make_evidence(record, evidence, subject, by)
    sealed = enclose(evidence.history.genesis, packed.evidence, packed.plaintext, recipients)
    data = sealed.to_car()
    write_secret(target, data)
    return _summary(sealed) | {
        "file": str(target),
        "size_bytes": len(data),
        "state_bytes": _state_bytes(packed),
        "recipients": list(recipients or ()),
        "claim": subject.claim,
        "round": subject.round,
        "interval": subject.interval,
        "accused": _accused(packed.evidence.accused),
    }


def _state_bytes(packed: PackedEvidence) -> int:
    """How many of the bytes are committed states and transcripts: they are what makes evidence large."""
    from clicooper.disputes.evidence_file import parse_evidence  # noqa: PLC0415
    from clicooper.storage.base import get_bytes  # noqa: PLC0415

    evidence, blocks = parse_evidence(packed.plaintext)
    return sum(len(get_bytes(blocks, file.content)) for file in evidence.files)


def _accused(accused: int | None) -> str | None:
    from clicooper.disputes.opinion import party_name  # noqa: PLC0415

    return None if accused is None else party_name(accused)


def _publish(path: Path, store: Store) -> str:
    """Puts an evidence file's blocks into a store, where its digest leads to it."""
    from clicooper.cli.retention import pin_roots  # noqa: PLC0415
    from clicooper.disputes.evidence_file import publish_evidence, read_evidence  # noqa: PLC0415
    from clicooper.storage.ipld.cid import cid_text  # noqa: PLC0415
    from clicooper.storage.local import LocalStore  # noqa: PLC0415

    sealed = read_evidence(path)
    if isinstance(store, LocalStore):
        # Pinned before it is there: a clean-up then waits, where it would take an unpinned block.
        pin_roots(store, [sealed.envelope.cid], EVIDENCE_PINS)
    return cid_text(publish_evidence(store, sealed))


@app.command("show")
def show(context: typer.Context, file: EvidenceFile) -> int:
    """Shows what everybody may see of an evidence file: its digest, its job, its challenger."""
    from clicooper.disputes.evidence_file import read_evidence  # noqa: PLC0415 - keeps --help fast

    result = _summary(read_evidence(file)) | {"file": str(file), "size_bytes": file.stat().st_size}
    output: Output = context.obj["output"]
    output.finish(result, lambda console: _print_pairs(console, result, ("digest", "challenger", "genesis", "sealed")))
    return 0


def _summary(sealed: SealedEvidence) -> dict[str, Any]:
    from eth_utils import to_checksum_address  # noqa: PLC0415

    from clicooper.storage.ipld.cid import cid_text  # noqa: PLC0415

    envelope = sealed.envelope
    return {
        "ok": True,
        "code": 0,
        "digest": f"0x{sealed.digest.hex()}",
        "root": cid_text(envelope.cid),
        "plaintext_digest": f"0x{envelope.plaintext_digest.hex()}",
        "genesis": f"0x{envelope.genesis.hex()}",
        "challenger": to_checksum_address(envelope.challenger),
        "sealed": envelope.sealed,
    }


def _print_made(console: Console, result: dict[str, Any]) -> None:
    sealed = (
        f"sealed to {len(result['recipients'])} recipients" if result["sealed"] else "NOT sealed: anyone can read it"
    )
    console.print(f"Evidence: {result['file']}, {result['size_bytes']:,} bytes, {sealed}", markup=False, soft_wrap=True)
    _print_pairs(console, result, ("digest", "challenger", "published"))


def _print_pairs(console: Console, result: dict[str, Any], names: Sequence[str]) -> None:
    for name in names:
        if name in result:
            console.print(f"{name + ':':<12}{result[name]}", markup=False, soft_wrap=True)
