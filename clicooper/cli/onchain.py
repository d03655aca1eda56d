"""What ``clicooper audit`` asks of nodes: a record from nothing but an address, or whether a file tells the truth."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from clicooper.cli import session
from clicooper.cli.output import Show
from clicooper.errors import CliCooperError, UsageError

if TYPE_CHECKING:
    from clicooper.access.grants import AuditKeys
    from clicooper.audit.auditor import Plan
    from clicooper.audit.verdict import AuditReport
    from clicooper.chain.client import Contract
    from clicooper.chain.index.record_index import RecordIndex
    from clicooper.chain.record import JobRecord
    from clicooper.chain.rpc.node import Node
    from clicooper.config import ClientConfig
    from clicooper.storage.base import Store
    from clicooper.types import Address, Digest

__all__ = ["OnChain", "Subject", "audited", "open_index", "opened"]


@dataclass(frozen=True)
class Subject:
    """What is audited: a job's files, or a job of a contract, whose artifacts may lie in files.

    Attributes:
        files: a run folder or CAR file.
        contract: the contract's address, as it was typed.
        job: the job's number there.
    """

    files: Path | None
    contract: str | None = None
    job: int | None = None


@dataclass(frozen=True)
class OnChain:
    """Where to look for a contract.

    Attributes:
        urls: the nodes; the first one is read in full, the others are compared with it.
        first_block: where the contract's history starts; None takes what is known here.
    """

    urls: tuple[str, ...]
    first_block: int | None = None

    @classmethod
    def chosen(cls, config: ClientConfig, endpoints: Sequence[str], first_block: int | None) -> OnChain:
        """The network and the further endpoints of a command line.

        Raises:
            UsageError: there is no node among them.
        """
        from clicooper.config import EMBEDDED  # noqa: PLC0415 - keeps --help fast

        urls = tuple(url for url in (config.network_url, *endpoints) if url != EMBEDDED)
        if not urls:
            hint = "name the chain's node with --network or --endpoint"
            raise UsageError("the embedded chain ended with the process that ran it", hint=hint)
        return cls(urls, first_block)


@contextmanager
def opened(config: ClientConfig, place: OnChain, address: Address) -> Iterator[tuple[RecordIndex, Contract]]:
    """The index of a contract, and the contract; several nodes are compared first."""
    from clicooper.chain.client import Contract  # noqa: PLC0415
    from clicooper.chain.index.cross_check import cross_check  # noqa: PLC0415
    from clicooper.chain.rpc.node import Node  # noqa: PLC0415

    with ExitStack() as stack:
        nodes = [stack.enter_context(Node.connect(url)) for url in place.urls]
        contract = Contract(nodes[0], address)
        index = stack.enter_context(open_index(config, nodes[0], address, place.first_block))
        if len(nodes) > 1:
            cross_check(nodes, address, index.coverage.first)
        yield index, contract


def open_index(config: ClientConfig, node: Node, address: Address, first_block: int | None = None) -> RecordIndex:
    """The index of a contract that this machine keeps.

    Args:
        first_block: where the contract's history starts; None takes what is known here.
    """
    from clicooper.chain.index.record_index import RecordIndex  # noqa: PLC0415
    from clicooper.protocol.deployments import read_deployments  # noqa: PLC0415

    path = config.home / "index" / f"{node.chain_id}-{address}.sqlite"
    if first_block is None and not path.exists():
        known = {one.address: one.block for one in read_deployments(config.home, node.chain_id)}
        first_block = known.get(address)
    return RecordIndex(path, node, address, first_block)


def audited(
    config: ClientConfig,
    subject: Subject,
    place: OnChain | None,
    keys: AuditKeys,
    trusted: frozenset[str],
    plan: Plan,
    progress: Show,
) -> AuditReport:
    """The audit of a job: its record read from a node, compared with one, or just taken from a file."""
    from clicooper.cli.audited import judged  # noqa: PLC0415

    if place is not None and subject.contract is not None:
        return _audited_from_chain(config, subject, place, keys, trusted, plan, progress)
    if subject.files is None:
        raise UsageError("there is nothing to audit", hint="name a run folder or CAR file")
    if place is None:
        return judged(config, subject.files, keys, trusted, plan, progress)
    with suppress(CliCooperError):
        # A record that cannot be read, or a node that cannot be asked, has a row of its own.
        plan = _with_block_hashes(plan, place, _record_of(subject.files))
    report = judged(config, subject.files, keys, trusted, plan, progress)
    return _confirmed_report(config, place, subject.files, report)


def _with_block_hashes(plan: Plan, place: OnChain, record: JobRecord) -> Plan:
    """The plan with the hashes that the protocol's draw takes, each as far as all nodes agree on it."""
    from clicooper.audit.replay.sampling import sample_block  # noqa: PLC0415
    from clicooper.chain.rpc.node import Node  # noqa: PLC0415
    from clicooper.history.follow import follow_record  # noqa: PLC0415

    if plan.sample is None:
        return plan
    history = follow_record(record)
    numbers = [sample_block(history, round_) for round_ in range(len(history.rounds))]
    said: list[dict[int, Digest]] = []
    for url in place.urls:
        with Node.connect(url) as node:
            latest = node.block_number()
            said.append({n: node.block_hash(n) for n in numbers if n is not None and n <= latest})
    agreed = {n: block for n, block in said[0].items() if all(other.get(n) == block for other in said)}
    return replace(plan, sample=replace(plan.sample, blocks=agreed))


def _audited_from_chain(
    config: ClientConfig,
    subject: Subject,
    place: OnChain,
    keys: AuditKeys,
    trusted: frozenset[str],
    plan: Plan,
    progress: Show,
) -> AuditReport:
    from clicooper.audit.auditor import audit_record  # noqa: PLC0415 - imports torch
    from clicooper.audit.checks.record import check_on_chain  # noqa: PLC0415
    from clicooper.types import JobId  # noqa: PLC0415

    address = session.contract_address(subject.contract or "")
    with _artifacts(config, subject.files) as store:
        with opened(config, place, address) as (index, client):
            index.sync()
            record = index.record(JobId(subject.job or 0))
            rows, confirmed = check_on_chain(record, index, client)
        plan = _with_block_hashes(plan, place, record)
        report = audit_record(record, store, keys, trusted_models=trusted, plan=plan, progress=progress)
    return replace(report.with_rows(rows), verified=confirmed)


def _confirmed_report(config: ClientConfig, place: OnChain, job: Path, report: AuditReport) -> AuditReport:
    """The report on a run folder or CAR file, with what a node says about its record.

    A record that cannot be read has its row already; a node that cannot be asked leaves the record inconclusive.
    """
    from clicooper.audit.checks.record import check_on_chain  # noqa: PLC0415
    from clicooper.audit.verdict import Check, CheckResult  # noqa: PLC0415

    try:
        record = _record_of(job)
        with opened(config, place, record.contract) as (index, client):
            rows, confirmed = check_on_chain(record, index, client)
    except CliCooperError as e:
        return report.with_rows([CheckResult.of_error(Check.RECORD, "comparison with a node", e)])
    return replace(report.with_rows(rows), verified=confirmed)


def _record_of(job: Path) -> JobRecord:
    from clicooper.audit.bundle import read_bundle  # noqa: PLC0415
    from clicooper.chain.record import read_record, record_from_json  # noqa: PLC0415
    from clicooper.storage.car_store import CarStore  # noqa: PLC0415
    from clicooper.storage.run_folder import RunFolder  # noqa: PLC0415

    if not job.is_file():
        return read_record(RunFolder(job).record)
    with CarStore(job) as car:
        return record_from_json(read_bundle(car)[1])


@contextmanager
def _artifacts(config: ClientConfig, place: Path | None) -> Iterator[Store]:
    from clicooper.cli.stores import audited_store  # noqa: PLC0415
    from clicooper.storage.car_store import CarStore  # noqa: PLC0415
    from clicooper.storage.ipfs.ipfs_store import IpfsStore  # noqa: PLC0415
    from clicooper.storage.local import LocalStore  # noqa: PLC0415
    from clicooper.storage.run_folder import RunFolder  # noqa: PLC0415

    if place is not None and place.is_file():
        with CarStore(place) as car:
            yield car
    elif place is not None:
        store = audited_store(config, RunFolder(place).store)
        yield LocalStore(store) if isinstance(store, Path) else store
    elif config.ipfs_url is not None:
        yield IpfsStore(config.ipfs_url, timeout_s=config.store_timeout)
    else:
        hint = "name an IPFS node with --store ipfs:URL, or a run folder or CAR file"
        raise UsageError("the chain holds no artifacts, and no place is named that does", hint=hint)
