"""CliCooper: verifiable client-cooperative split learning, anchored on a chain.

The front door: what most programs need, by one import each. Everything else is imported from the module that has it;
docs/architecture.md says which that is. Nothing is loaded before it is used.

Audit a job, wherever it is::

    with JobSource(Path("job.car"), identity=Path("identity.txt")) as job:
        report = audit_job(job)
    print(report.verdict)

Run a whole job in one process, its chain included::

    folder = RunFolder.create(Path("run"))
    with Node.embedded() as node:
        done = run_whole_job(JobConfig(rounds=1), node, LocalStore(folder.store), folder)

Follow a contract::

    with Node.connect(url) as node, RecordIndex(Path("index.sqlite"), node, address) as index:
        index.sync()
        history = follow_record(index.record(job))

``verify_round`` is what an owner does before it pays; ``Owner``, ``Trainer`` and ``Arbiter`` are the roles.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clicooper.audit.verdict import AuditReport
    from clicooper.chain.index.record_index import RecordIndex
    from clicooper.chain.rpc.node import Node
    from clicooper.config import ClientConfig, JobConfig
    from clicooper.errors import CliCooperError
    from clicooper.history.follow import follow_record
    from clicooper.jobs import JobSource, audit_job
    from clicooper.protocol.arbiter import Arbiter
    from clicooper.protocol.job import open_job
    from clicooper.protocol.owner import Owner
    from clicooper.protocol.trainer import Trainer
    from clicooper.protocol.verification import verify_round
    from clicooper.protocol.whole_job import run_whole_job
    from clicooper.storage.base import Store
    from clicooper.storage.local import LocalStore
    from clicooper.storage.run_folder import RunFolder
    from clicooper.types import Verdict

__all__ = [
    "Arbiter",
    "AuditReport",
    "CliCooperError",
    "ClientConfig",
    "JobConfig",
    "JobSource",
    "LocalStore",
    "Node",
    "Owner",
    "RecordIndex",
    "RunFolder",
    "Store",
    "Trainer",
    "Verdict",
    "audit_job",
    "follow_record",
    "open_job",
    "run_whole_job",
    "verify_round",
]

__version__ = "0.1.0"

_MODULES = {
    "Arbiter": "protocol.arbiter",
    "AuditReport": "audit.verdict",
    "CliCooperError": "errors",
    "ClientConfig": "config",
    "JobConfig": "config",
    "JobSource": "jobs",
    "LocalStore": "storage.local",
    "Node": "chain.rpc.node",
    "Owner": "protocol.owner",
    "RecordIndex": "chain.index.record_index",
    "RunFolder": "storage.run_folder",
    "Store": "storage.base",
    "Trainer": "protocol.trainer",
    "Verdict": "types",
    "audit_job": "jobs",
    "follow_record": "history.follow",
    "open_job": "protocol.job",
    "run_whole_job": "protocol.whole_job",
    "verify_round": "protocol.verification",
}


def __getattr__(name: str) -> Any:
    """A name of the front door, imported when it is first asked for (PEP 562): torch alone takes seconds."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
