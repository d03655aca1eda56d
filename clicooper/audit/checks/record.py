"""A record beside the chain: its events one by one, and its last head beside the contract's own."""

from __future__ import annotations

from dataclasses import dataclass

from clicooper.audit.verdict import Check, CheckResult
from clicooper.chain.client import Contract
from clicooper.chain.index.confirm import Confirmation, confirm_record
from clicooper.chain.index.record_index import RecordIndex
from clicooper.chain.record import JobRecord
from clicooper.errors import ChainError, CliCooperError
from clicooper.history.follow import follow_record
from clicooper.types import Head, JobId, Verdict

__all__ = ["CheckedRecord", "check_on_chain", "read_checked_record"]

_ATTEMPTS = 5


@dataclass(frozen=True)
class CheckedRecord:
    """A job's record out of an index, and what the node says about it.

    Attributes:
        rows: as ``check_on_chain`` returns them.
        confirmed: what it was compared with; None where the node does not bear it out.
    """

    record: JobRecord
    rows: tuple[CheckResult, ...]
    confirmed: Confirmation | None


def read_checked_record(index: RecordIndex, contract: Contract, job: JobId) -> CheckedRecord:
    """Brings an index up to date, takes a job's record out of it and compares that with the contract.

    Args:
        contract: that of the index, on the same node.

    Raises:
        UsageError: there is no such job.
        ChainError: the node does not answer, or contradicts itself.
    """
    index.sync()
    record = index.record(job)
    return CheckedRecord(record, *check_on_chain(record, index, contract))


def check_on_chain(
    record: JobRecord, index: RecordIndex, contract: Contract
) -> tuple[tuple[CheckResult, ...], Confirmation | None]:
    """The rows that a node decides about a record, and what it was compared with; None where it was not, or differs.

    Args:
        record: from wherever.
        index: of the record's contract; brought up to date here.
        contract: the same contract on the same node, for the head that its state holds.
    """
    try:
        confirmed, head = _confirmed_with_head(record, index, contract)
    except CliCooperError as e:
        return (CheckResult.of_error(Check.RECORD, index.source, e),), None
    detail = f"every event is on the chain, read up to block {confirmed.block}"
    if confirmed.provisional_events:
        detail += f"; {confirmed.provisional_events} of them in blocks that may still be replaced"
    rows = (CheckResult(Check.RECORD, Verdict.PASS, index.source, detail),)
    if confirmed.later_events:
        later = f"{confirmed.later_events} events of the job are newer than the record: it is only its beginning"
        return (*rows, CheckResult(Check.RECORD, Verdict.INCONCLUSIVE, index.source, later)), confirmed
    try:
        own = follow_record(record).head
    except CliCooperError:
        # The row of the record itself says what is wrong with it.
        return rows, confirmed
    return (*rows, CheckResult.compare(Check.RECORD, "head in the contract", head, own)), confirmed


def _confirmed_with_head(record: JobRecord, index: RecordIndex, contract: Contract) -> tuple[Confirmation, Head]:
    """Both of one moment: the state is the newest block's, so that nothing may have come after the events."""
    for _ in range(_ATTEMPTS):
        confirmed = confirm_record(record, index)
        head = contract.job(record.job).head
        if index.sync().last == confirmed.block:
            return confirmed, head
    raise ChainError(f"{index.source} moves on faster than it is read", hint="run the command again")
