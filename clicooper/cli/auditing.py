"""How an audit is asked for: what it replays, who replays it, and where it keeps what it has done."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from clicooper.errors import UsageError

if TYPE_CHECKING:
    from clicooper.audit.auditor import Plan
    from clicooper.audit.replay.executors import Executor
    from clicooper.config import ClientConfig
    from clicooper.types import Digest

__all__ = ["AuditOptions", "plan_audit"]

from dataclasses import dataclass

NEW = "new"


@dataclass(frozen=True)
class AuditOptions:
    """The options of ``audit`` that say how it goes about it.

    Raises:
        UsageError: options that make no sense together.
    """

    sample: int | None
    full: bool
    secret_draw: str | None
    jobs: int | None
    cluster: str | None
    fresh: bool

    def __post_init__(self) -> None:
        if self.sample is not None and self.full:
            raise UsageError("--sample and --full exclude each other", hint="leave one out; --full is the default")
        if self.secret_draw is not None and self.sample is None:
            raise UsageError("--secret-draw adds to a sample", hint="say how many intervals with --sample Q")
        if self.jobs is not None and self.cluster is not None:
            raise UsageError("--jobs and --cluster exclude each other", hint="the cluster has its own workers")


@contextmanager
def plan_audit(config: ClientConfig, options: AuditOptions) -> Iterator[Plan]:
    """The plan of an audit; its end ends the processes that replayed."""
    from clicooper.audit.auditor import Plan  # noqa: PLC0415 - imports torch
    from clicooper.audit.replay.sampling import Sample  # noqa: PLC0415

    sample = None if options.sample is None else Sample(options.sample, secret=_secret(options.secret_draw))
    with _executor(options) as executor:
        yield Plan(sample, executor, config.home / "audits", options.fresh)


@contextmanager
def _executor(options: AuditOptions) -> Iterator[Executor]:
    from clicooper.audit.replay.cluster import Cluster  # noqa: PLC0415
    from clicooper.audit.replay.executors import HERE, Processes  # noqa: PLC0415

    if options.cluster is not None:
        with Cluster(options.cluster) as cluster:
            yield cluster
    elif options.jobs == 1:
        yield HERE
    else:
        with Processes(options.jobs) as processes:
            yield processes


def _secret(wish: str | None) -> Digest | None:
    from clicooper.types import Digest  # noqa: PLC0415

    if wish is None:
        return None
    if wish == NEW:
        return Digest(os.urandom(32))
    try:
        seed = bytes.fromhex(wish.removeprefix("0x"))
    except ValueError:
        seed = b""
    if len(seed) != 32:
        hint = "give `new`, or the 0x and 64 hex digits that an earlier audit printed"
        raise UsageError(f"--secret-draw {wish} is no seed", hint=hint)
    return Digest(seed)
