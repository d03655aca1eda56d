"""What the commands of a dispute share: where a job's record and artifacts are, who acts, and evidence files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from clicooper.cli import session
from clicooper.errors import SpecError, UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from clicooper.access.grants import AuditKeys
    from clicooper.chain.client import Contract
    from clicooper.chain.keys import LocalAccount
    from clicooper.chain.record import JobRecord
    from clicooper.chain.rpc.node import Node
    from clicooper.commitments.boundary import BoundaryReceipt
    from clicooper.config import ClientConfig
    from clicooper.disputes.evidence_file import OpenedEvidence
    from clicooper.disputes.opinion import Opinion
    from clicooper.storage.base import Store
    from clicooper.types import Address

__all__ = [
    "JobPlace",
    "acting_address",
    "chain",
    "client_of",
    "granted",
    "head_line",
    "identity_in",
    "own_store",
    "parse_accused",
    "print_opinion",
    "receipts_in",
    "record_and_store",
    "utc",
]


@dataclass(frozen=True)
class JobPlace:
    """Where a job is: a run folder or CAR file, or a contract on a node with its artifacts in a store.

    Attributes:
        files: a run folder, finished or not, or a CAR file.
        contract: the contract's address, as it was typed; then the record is the chain's.
        job: the job's number there.
    """

    files: Path | None
    contract: str | None = None
    job: int | None = None


@contextmanager
def record_and_store(config: ClientConfig, place: JobPlace) -> Iterator[tuple[JobRecord, Store]]:
    """The record and the artifacts of a job.

    Raises:
        UsageError: the place names none, or half of one.
    """
    from clicooper.audit.bundle import read_bundle  # noqa: PLC0415 - imports torch
    from clicooper.chain.record import read_record, record_from_json  # noqa: PLC0415
    from clicooper.storage.car_store import CarStore  # noqa: PLC0415
    from clicooper.storage.run_folder import RunFolder  # noqa: PLC0415

    if place.contract is None and place.files is None:
        hint = "name a run folder or CAR file, or --contract ADDRESS --job N --network URL"
        raise UsageError("no job is named", hint=hint)
    if (place.contract is None) != (place.job is None):
        raise UsageError("--contract and --job belong together", hint="name both, or neither")
    if place.files is not None and place.files.is_file():
        with CarStore(place.files) as car:
            own = record_from_json(read_bundle(car)[1]) if place.contract is None else None
            yield own or _record_on_chain(config, place), car
    elif place.contract is not None:
        yield _record_on_chain(config, place), own_store(config, place.files)
    else:
        folder = RunFolder.open(place.files or Path(), needs_store=config.ipfs_url is None)
        yield read_record(folder.record), own_store(config, place.files)


def _record_on_chain(config: ClientConfig, place: JobPlace) -> JobRecord:
    from clicooper.types import JobId  # noqa: PLC0415

    with chain(config) as node:
        return client_of(config, node, place.contract).record(JobId(place.job or 0))


def own_store(config: ClientConfig, run_dir: Path | None) -> Store:
    """The store of a run folder, finished or not, or the IPFS node that ``--store`` names.

    Raises:
        UsageError: neither is named.
    """
    from clicooper.cli.stores import open_store  # noqa: PLC0415
    from clicooper.storage.ipfs.ipfs_store import IpfsStore  # noqa: PLC0415
    from clicooper.storage.run_folder import RunFolder  # noqa: PLC0415

    if run_dir is not None:
        return open_store(config, RunFolder(run_dir).store)
    if config.ipfs_url is None:
        hint = "name an IPFS node with --store ipfs:URL, or a run folder"
        raise UsageError("the chain holds no artifacts, and no place is named that does", hint=hint)
    return IpfsStore(config.ipfs_url, timeout_s=config.store_timeout)


def granted(store: Store, files: Path | None, identity: Path | None, grant: str | None) -> AuditKeys:
    """What the holder of an identity was granted, or nothing.

    Args:
        store: where a grant that is named by its CID lies.
        identity: its file; None takes the auditor's or the owner's in the run folder, where there is one.
        grant: a file or a CID; None takes grants.age beside the identity.

    Raises:
        UsageError: a grant, and nobody who could open it; or one that is neither a file nor a CID.
    """
    from clicooper.access.grants import (  # noqa: PLC0415 - imports torch
        GRANTS_NAME,
        IDENTITY_NAME,
        AuditKeys,
        Grant,
        open_grant,
        read_grants,
        read_identity,
    )
    from clicooper.storage.ipld.cid import parse_cid  # noqa: PLC0415

    inside = [] if files is None else [files / role / IDENTITY_NAME for role in ("auditor", "owner")]
    found = next((path for path in inside if path.exists() and (path.parent / GRANTS_NAME).exists()), None)
    key_file = identity or found
    if key_file is None:
        if grant is not None:
            raise UsageError("--grant needs the identity that opens it", hint="name its file with --identity")
        return AuditKeys()
    if grant is None or Path(grant).exists():
        return read_grants(key_file, None if grant is None else Path(grant))
    try:
        cid = parse_cid(grant)
    except SpecError as e:
        raise UsageError(f"--grant {grant}: neither a file nor a CID", hint="give what `job grant` printed") from e
    return open_grant(Grant.from_block(store.get_block(cid)), read_identity(key_file))


@contextmanager
def chain(config: ClientConfig) -> Iterator[Node]:
    """The node of ``--network``; the embedded chain knows no job of an earlier command."""
    from clicooper.config import EMBEDDED  # noqa: PLC0415

    if config.network_url == EMBEDDED:
        hint = "choose one with --network, such as anvil or a URL"
        raise UsageError("the embedded chain ends with each command: there is no job on it", hint=hint)
    with session.connected(config) as node:
        yield node


def client_of(config: ClientConfig, node: Node, address: str | None, account: LocalAccount | None = None) -> Contract:
    """The client of the named contract, or of the newest that was deployed from here."""
    from clicooper.chain.client import Contract  # noqa: PLC0415
    from clicooper.chain.compile import CONTRACT  # noqa: PLC0415
    from clicooper.chain.fees import SendPolicy  # noqa: PLC0415
    from clicooper.protocol.deployments import latest_deployment  # noqa: PLC0415

    place = latest_deployment(config.home, node.chain_id, CONTRACT).address if address is None else address
    policy = SendPolicy(None, 1 if node.is_local else 3)
    return Contract(node, session.contract_address(place), account, policy=policy)


def acting_address(config: ClientConfig, text: str | None) -> Address:
    """Who brings evidence forward: the named address, or that of the account that acts; needs no password."""
    if text is not None:
        return session.contract_address(text)
    if config.account is None and not session.stored_names(config):
        raise UsageError(
            "evidence names its challenger, and there is no account", hint="name it with --challenger 0x..."
        )
    name = session.account_name(config)
    address = session.stored_address(session.keystore_file(config, name))
    if address is None:
        raise UsageError(f"the keystore {name} does not say its address", hint="name it with --challenger")
    return address


def identity_in(path: Path | None) -> str | None:
    """The age identity in a file, if one is named."""
    from clicooper.access.grants import read_identity  # noqa: PLC0415 - imports torch

    return None if path is None else read_identity(path)


def receipts_in(paths: Sequence[Path] | None) -> tuple[BoundaryReceipt, ...]:
    """The receipts in files; what they are worth is judged beside the evidence."""
    from clicooper.access.receipt_files import read_receipt  # noqa: PLC0415 - imports torch

    return tuple(read_receipt(path) for path in paths or ())


def parse_accused(text: str) -> int:
    """A seat's number, or ``owner``."""
    from clicooper.types import ACCUSED_OWNER  # noqa: PLC0415

    if text == "owner":
        return ACCUSED_OWNER
    if not text.isdecimal() or int(text) > 31:
        raise UsageError(f"--accused {text}: neither a seat's number nor owner", hint="say 0, 1, ... or owner")
    return int(text)


def print_opinion(console: Console, opinion: Opinion) -> None:
    """The finding, then the numbers behind it."""
    from clicooper.disputes.opinion import Answer, named  # noqa: PLC0415

    colour = {Answer.GUILTY: "red", Answer.NOT_GUILTY: "green"}.get(opinion.answer, "yellow")
    fault = opinion.fault
    who = f": {named(fault)}" if fault is not None and opinion.answer is Answer.GUILTY else ""
    console.print(f"Finding: [{colour}]{opinion.answer.value}[/]{who}")
    lines = [opinion.detail]
    if fault is not None and fault.expected:
        lines += [f"expected {fault.expected}", f"found    {fault.actual}"]
    if opinion.judged.distances:
        worst = ", ".join(f"seat {seat} {value:.1e}" for seat, value in sorted(opinion.judged.distances.items()))
        lines.append(f"relative distance of committed and replayed end states: {worst}")
    for line in lines:
        console.print(f"  {line}", markup=False, soft_wrap=True)


def utc(seconds: int) -> str:
    """A time of the chain, for people."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def head_line(opened: OpenedEvidence, source: str | None) -> str:
    """What is known of the head that the evidence ends in."""
    from eth_utils import to_checksum_address  # noqa: PLC0415

    names = f"round {opened.evidence.round}, challenger {to_checksum_address(opened.evidence.challenger)}"
    head = f"its head 0x{opened.evidence.head.hex()} is {source or 'not compared with a node'}"
    return f"Evidence 0x{opened.digest.hex()}, {names}; {head}"
