"""Where a job is, and what may be opened of it: one ``JobSource`` for every command and program.

A job is a run folder, finished or not, a CAR file, or a number in a contract. Its artifacts lie in the folder, in the
file, or on the IPFS node of the settings. What is sealed opens with an identity and its grant.

A record that was read from a chain is compared with the contract and with every further node before anybody acts on
it. ``audit_job`` judges a source as it is, damaged or not; everything else raises at the first thing that is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from multiformats import CID

from clicooper.access.grants import (
    GRANTS_NAME,
    IDENTITY_NAME,
    AuditKeys,
    Grant,
    open_grant,
    read_grants,
    read_identity,
)
from clicooper.audit.artifacts import Artifacts
from clicooper.audit.auditor import FULL, Plan, Progress, audit_files, audit_record, silent
from clicooper.audit.bundle import audit_car, pack_job, read_bundle
from clicooper.audit.checks.record import CheckedRecord, check_on_chain, compare_report, read_checked_record
from clicooper.audit.replay.sampling import sample_block
from clicooper.audit.verdict import AuditReport, Check, CheckResult
from clicooper.chain.client import Contract
from clicooper.chain.compile import CONTRACT
from clicooper.chain.deployments import latest_deployment, read_deployments
from clicooper.chain.fees import SendPolicy
from clicooper.chain.index.cross_check import cross_check
from clicooper.chain.index.record_index import RecordIndex
from clicooper.chain.job_place import JOB_NAME, JobPlace, read_place
from clicooper.chain.keys import LocalAccount
from clicooper.chain.record import JobRecord, read_record, record_from_json
from clicooper.chain.rpc.node import Node
from clicooper.config import EMBEDDED, ClientConfig
from clicooper.errors import ChainError, CliCooperError, RecordError, SpecError, UsageError
from clicooper.history.follow import follow_record
from clicooper.history.history import History
from clicooper.storage.base import Store
from clicooper.storage.car_store import CarStore
from clicooper.storage.ipld.cid import parse_cid
from clicooper.storage.local import LocalStore
from clicooper.storage.open_store import open_ipfs, open_store, send_pending
from clicooper.storage.pins.pin_sets import PinSets
from clicooper.storage.pins.retention import JOB_PINS, JobRetention
from clicooper.storage.run_folder import RunFolder
from clicooper.types import Address, Digest, JobId, Verdict

__all__ = ["JobSource", "act_on", "audit_job", "choose_nodes", "note_audit", "write_bundle"]


class JobSource:
    """A job, wherever it is. Each part is opened when it is first asked for; leaving the context closes all of them.

    Args:
        files: a run folder or a CAR file; None where nothing but the chain is known.
        config: the settings of whoever looks: home, store and its time limit.
        contract: where the job is on chain; None takes what the folder says, or the newest that was deployed from here.
        job: its number there: then the record is the chain's. None takes the record in ``files``.
        nodes: URLs of the chain's nodes; the first one is read, the others are compared with it.
        first_block: where the contract's history starts; None takes what is known here.
        identity: file of an age identity; None looks for the auditor's in the run folder, then for the owner's.
        grant: what the identity opens, a file or a CID; None takes the grants beside the identity.
        trusted: custom models whose code may run here.

    Raises:
        UsageError: a job on a chain, and no node.
    """

    def __init__(
        self,
        files: Path | None = None,
        *,
        config: ClientConfig | None = None,
        contract: Address | None = None,
        job: JobId | None = None,
        nodes: Sequence[str] = (),
        first_block: int | None = None,
        identity: Path | None = None,
        grant: str | None = None,
        trusted: Collection[str] = (),
    ) -> None:
        self.files, self.config, self.trusted = files, config or ClientConfig(), frozenset(trusted)
        self.nodes = tuple(nodes)
        self._contract, self._job, self._first_block = contract, job, first_block
        self._identity, self._grant = identity, grant
        self._stack = ExitStack()
        if job is None and self._is_unfinished and self.nodes:
            place = read_place(files or Path())
            self._contract, self._job = place.contract, place.job
        if self.on_chain and not self.nodes:
            hint = "choose the chain's node with --network, such as anvil or a URL"
            raise UsageError("the embedded chain ended with the process that ran it: there is no job on it", hint=hint)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def on_chain(self) -> bool:
        """Whether the record is read from a contract."""
        return self._job is not None

    @property
    def is_car(self) -> bool:
        """Whether the files are one CAR file."""
        return self.files is not None and self.files.is_file()

    @property
    def folder(self) -> RunFolder | None:
        """The run folder, if there is one."""
        return None if self.files is None or self.is_car else RunFolder(self.files)

    @property
    def _is_unfinished(self) -> bool:
        folder = self.folder
        return folder is not None and (folder.root / JOB_NAME).exists() and not folder.record.exists()

    @cached_property
    def node(self) -> Node:
        """The first node; the others are asked where a record is compared."""
        return self._stack.enter_context(Node.connect(self.nodes[0]))

    @cached_property
    def others(self) -> tuple[Node, ...]:
        """The nodes that are compared with the first one."""
        return tuple(self._stack.enter_context(Node.connect(url)) for url in self.nodes[1:])

    @cached_property
    def place(self) -> JobPlace:
        """The job on chain; for a record in files, what the record says."""
        if self._job is None:
            return JobPlace(self.record.chain_id, self.record.contract, self.record.job)
        chain_id = self.node.chain_id
        address = self._contract or latest_deployment(self.config.home, chain_id, CONTRACT).address
        return JobPlace(chain_id, address, self._job)

    def client(self, account: LocalAccount | None = None) -> Contract:
        """The contract on the first node, as ``account`` acts on it."""
        return act_on(self.node, self.place.contract, account, self.config.home)

    @cached_property
    def index(self) -> RecordIndex:
        """The index of the contract, kept under the home of the settings; several nodes are compared first.

        Raises:
            EndpointsDisagree: the nodes do not tell the same.
        """
        node, address, home = self.node, self.place.contract, self.config.home
        path = home / "index" / f"{node.chain_id}-{address}.sqlite"
        known = {one.address: one.block for one in read_deployments(home, node.chain_id)}
        first = known.get(address) if self._first_block is None and not path.exists() else self._first_block
        index = self._stack.enter_context(RecordIndex(path, node, address, first))
        if self.others:
            cross_check([node, *self.others], address, index.coverage.first)
        return index

    @cached_property
    def checked(self) -> CheckedRecord:
        """The record on chain with what the nodes say about it, good or bad."""
        return read_checked_record(self.index, self.client(), self.place.job)

    @cached_property
    def record(self) -> JobRecord:
        """The job's record, from the files, or from the chain if the nodes bear it out.

        Raises:
            UsageError: no job is named.
            RunFolderError, CarError, RecordError: the files hold none, or it is damaged.
            RecordError, ChainError: the nodes contradict what was read, or cannot tell.
        """
        if self.on_chain:
            for row in self.checked.rows:
                if row.verdict is not Verdict.PASS:
                    error = RecordError if row.verdict is Verdict.FAIL else ChainError
                    raise error(f"the record cannot be relied on: {row.detail}", hint="`clicooper audit` says more")
            return self.checked.record
        if self.is_car and isinstance(self.store, CarStore):
            return record_from_json(read_bundle(self.store)[1])
        return read_record(self.finished_folder.record)

    @cached_property
    def history(self) -> History:
        """The record, followed; raises RecordError where its events do not follow from each other."""
        return follow_record(self.record)

    @property
    def finished_folder(self) -> RunFolder:
        """The run folder with its record.

        Raises:
            UsageError: no job is named.
            RunFolderError: there is none, or it is incomplete.
        """
        if self.files is None:
            hint = "name a run folder or CAR file, or --contract ADDRESS --job N --network URL"
            raise UsageError("no job is named", hint=hint)
        return RunFolder.open(self.files, needs_store=self.config.ipfs_url is None)

    @cached_property
    def store(self) -> Store:
        """Where the artifacts are: the CAR file, the folder, the folder in front of the node, or the node.

        Raises:
            UsageError: no such place is named.
            StorageError: it cannot be opened.
        """
        if self.is_car and self.files is not None:
            return self._stack.enter_context(CarStore(self.files))
        node = open_ipfs(self.config)
        if self.folder is not None and (node is None or self.folder.store.exists()):
            return open_store(self.config, self.folder.store)
        if node is None:
            hint = "name an IPFS node with --store ipfs:URL, or a run folder or CAR file"
            raise UsageError("the chain holds no artifacts, and no place is named that does", hint=hint)
        return node

    def find_store(self) -> Store | None:
        """The store, None where no place is named that could be one."""
        return None if self.files is None and self.config.ipfs_url is None else self.store

    @cached_property
    def keys(self) -> AuditKeys:
        """What the holder of the identity was granted; nothing where there is no identity.

        Raises:
            UsageError: a grant, and nobody who could open it; or one that is neither a file nor a CID.
            StorageError, SealError, ArtifactMissing: the grant cannot be had or opened.
        """
        identity, grant = self._identity or self._find_identity(), self._grant
        if identity is None:
            if grant is not None:
                raise UsageError("--grant needs the identity that opens it", hint="name its file with --identity")
            return AuditKeys()
        if grant is None or Path(grant).exists():
            return read_grants(identity, None if grant is None else Path(grant))
        try:
            cid = parse_cid(grant)
        except SpecError as e:
            raise UsageError(f"--grant {grant}: neither a file nor a CID", hint="give what `job grant` printed") from e
        return open_grant(Grant.from_block(self.store.get_block(cid)), read_identity(identity))

    def _find_identity(self) -> Path | None:
        """The one rule: the auditor's in the run folder, then the owner's, if it has a grant to open."""
        for role in () if self.folder is None else (self.folder.auditor, self.folder.owner):
            granted = self._grant is not None or (role / GRANTS_NAME).exists()
            if granted and (role / IDENTITY_NAME).exists():
                return role / IDENTITY_NAME
        return None

    @cached_property
    def artifacts(self) -> Artifacts:
        """Typed access to everything that the history names, with the keys at hand."""
        return Artifacts(self.history, self.store, self.keys, self.trusted)

    @property
    def can_publish(self) -> bool:
        """Whether there is a place for anything new: a CAR file alone is none."""
        return not self.is_car or self.config.ipfs_url is not None

    def publish(self, root: CID, pin_set: str, put: Callable[[Store], CID]) -> CID:
        """Puts something of one's own beside the job's artifacts; a CAR file's goes to the IPFS node.

        Args:
            root: what is put; pinned before it is there, for a clean-up then waits where it would take it.
            pin_set: name of the set that keeps it in a run folder.
            put: puts it into the store that it is given, and returns its name.

        Raises:
            StorageError: the store cannot be written.
        """
        if self.folder is not None and self.folder.store.exists():
            PinSets(self.folder.pins).add(pin_set, [root])
        return put((open_ipfs(self.config) or self.store) if self.is_car else self.store)


def choose_nodes(config: ClientConfig, endpoints: Sequence[str] = ()) -> tuple[str, ...]:
    """The nodes of a chain: that of the settings and further ones; none for the embedded chain alone."""
    return tuple(url for url in (config.network_url, *endpoints) if url != EMBEDDED)


def act_on(node: Node, address: Address, account: LocalAccount | None = None, home: Path | None = None) -> Contract:
    """A contract as an account acts on it, which waits for enough blocks where others use the chain too.

    Args:
        home: the client's folder, in which what is sent is noted; not needed for reading.
    """
    return Contract(node, address, account, policy=SendPolicy.usual(node, home=home))


def audit_job(source: JobSource, plan: Plan = FULL, progress: Progress = silent) -> AuditReport:
    """Judges a job, whatever has happened to its files; with nodes, its record is compared with the chain.

    Raises:
        UsageError, RunFolderError, StorageError: there is nothing that could be judged.
        ChainError: the record is the chain's, and no node shows it.
    """
    if source.on_chain:
        store, keys, checked = source.store, source.keys, source.checked
        send_pending(store)
        plan = _with_block_hashes(source, plan, checked.record)
        report = audit_record(checked.record, store, keys, trusted_models=source.trusted, plan=plan, progress=progress)
        return compare_report(report, checked.rows, checked.confirmed)
    if not source.nodes:
        return _audit_files(source, plan, progress)
    with suppress(CliCooperError):
        # A record that cannot be read, or a node that cannot be asked, has a row of its own.
        plan = _with_block_hashes(source, plan, source.record)
    report = _audit_files(source, plan, progress)
    try:
        rows, confirmed = check_on_chain(source.record, source.index, source.client())
    except CliCooperError as e:
        return report.with_rows([CheckResult.of_error(Check.RECORD, "comparison with a node", e)])
    return compare_report(report, rows, confirmed)


def _audit_files(source: JobSource, plan: Plan, progress: Progress) -> AuditReport:
    """The audit of a CAR file or of a finished run folder."""
    trusted = source.trusted
    if source.is_car and source.files is not None:
        return audit_car(source.files, source.keys, trusted_models=trusted, plan=plan, progress=progress)
    folder = source.finished_folder
    store: Store | Path = folder.store
    if source.config.ipfs_url is not None:
        store = source.store
        send_pending(store)
    return audit_files(folder.record, store, source.keys, trusted_models=trusted, plan=plan, progress=progress)


def _with_block_hashes(source: JobSource, plan: Plan, record: JobRecord) -> Plan:
    """The plan with the hashes that the protocol's draw takes, each as far as all nodes agree on it."""
    if plan.sample is None:
        return plan
    history = follow_record(record)
    numbers = [sample_block(history, round_) for round_ in range(len(history.rounds))]
    said: list[dict[int, Digest]] = []
    for node in (source.node, *source.others):
        latest = node.block_number()
        said.append({n: node.block_hash(n) for n in numbers if n is not None and n <= latest})
    agreed = {n: block for n, block in said[0].items() if all(other.get(n) == block for other in said)}
    return replace(plan, sample=replace(plan.sample, blocks=agreed))


def note_audit(source: JobSource, report: AuditReport) -> None:
    """Notes a passing audit of all the work in the owner's pin set, if there is one: superseded states may go then.

    Raises:
        StorageError: the folder cannot be written.
    """
    folder = source.folder
    if source.on_chain or folder is None or report.verdict is not Verdict.PASS or report.replayed.share < 1:
        return
    sets = PinSets(folder.pins)
    pins = sets.load(JOB_PINS)
    if pins is not None and pins.finished and pins.audited is None:
        JobRetention(sets, JOB_PINS, LocalStore(folder.store)).record_audit(source.history.head)


def write_bundle(source: JobSource, target: Path, report: AuditReport) -> dict[str, Any]:
    """Packs an audited run folder into a CAR file; says what was written, or why nothing was.

    The verdict on an incomplete job must not be lost with its bundle.

    Raises:
        CliCooperError: an error beside a verdict that passed.
    """
    try:
        done = pack_job(source.record, source.store, target)
    except CliCooperError as e:
        if report.verdict is Verdict.PASS:
            raise
        return {"path": None, "why": e.message}
    return {"path": str(target), "root": str(done.root), "blocks": done.blocks}
