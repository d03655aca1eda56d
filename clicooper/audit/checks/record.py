"""The ``record`` check: what a history shows by itself, what trainers registered, and the record beside the chain.

Whether each event was allowed where it stands, terms included, ``history.follow`` decides; it raises where not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from clicooper.access.grants import Grant
from clicooper.audit.artifacts import Artifacts, committed_by
from clicooper.audit.checks.frame import Comparison, compare_all
from clicooper.audit.verdict import AuditReport, Check, CheckResult
from clicooper.chain.client import Contract
from clicooper.chain.index.confirm import Confirmation, confirm_record
from clicooper.chain.index.record_index import RecordIndex
from clicooper.chain.record import JobRecord
from clicooper.commitments.manifest import KeyRecord
from clicooper.errors import Cause, ChainError, CliCooperError, SpecError
from clicooper.history.follow import follow_record
from clicooper.history.history import History, Seat
from clicooper.storage.ipld.cid import cid_text
from clicooper.types import ACCUSED_OWNER, Head, JobId, Verdict, address_bytes

__all__ = [
    "CheckedRecord",
    "check_grant",
    "check_history",
    "check_on_chain",
    "check_seat",
    "compare_report",
    "is_open_end",
    "read_checked_record",
]

_ATTEMPTS = 5
_END = "end of the record"


def check_history(history: History) -> Iterator[CheckResult]:
    """A record that could be followed passes; the row says how far the job came.

    Before the job's end, nobody can tell from a record whether something followed that was left out.
    """
    accepted = f"{history.accepted_rounds} of {history.params.rounds} rounds accepted"
    parts = [f"{len(history.commitments)} commitments", accepted, *_disputed(history), f"head 0x{history.head.hex()}"]
    yield CheckResult(Check.RECORD, Verdict.PASS, "state machine", ", ".join(parts))
    if not history.is_over:
        detail = f"the job goes on after event {history.events}, in phase {history.phase.name}"
        remedy = "give --network URL, so that the chain tells what followed"
        yield CheckResult(Check.RECORD, Verdict.INCONCLUSIVE, _END, detail, cause=Cause.NODE, remedy=remedy)


def is_open_end(row: CheckResult) -> bool:
    """Whether a row says no more than that the record ends before the job does."""
    return (row.check, row.verdict, row.subject) == (Check.RECORD, Verdict.INCONCLUSIVE, _END)


def compare_report(report: AuditReport, rows: Iterable[CheckResult], confirmed: Confirmation | None) -> AuditReport:
    """A report with what a node decides about its record, as ``check_on_chain`` returns it.

    Where the node shows that nothing follows, a job under way is judged as far as it has come.
    """
    if confirmed is not None and not confirmed.later_events:
        report = replace(report, results=tuple(row for row in report.results if not is_open_end(row)))
    return replace(report.with_rows(rows), verified=confirmed)


def _disputed(history: History) -> Iterator[str]:
    """What a job without disputes has none of: it stays visible, though it does not count any more."""
    if abandoned := sum(len(round_.abandoned) for round_ in history.rounds):
        yield f"{abandoned} commitments of abandoned attempts"
    if history.evicted:
        yield f"{len(history.evicted)} seats vacated"
    for challenge in history.challenges:
        accused = "owner" if challenge.accused == ACCUSED_OWNER else f"seat {challenge.accused}"
        yield f"challenge of {accused} in round {challenge.round}: {challenge.outcome.value}"


def check_seat(seat: Seat) -> Iterator[CheckResult]:
    """The key record that a trainer registered is well-formed."""
    try:
        record = KeyRecord.from_block(seat.key_record)
    except SpecError as e:
        # Whose doing that is, a node has to say: a forger of records may write anything here.
        detail = f"what the record says that seat {seat.seat} registered is {e.message}"
        yield CheckResult(Check.RECORD, Verdict.FAIL, seat.trainer, detail, expected="a key record", actual=e.message)
        return
    yield CheckResult(Check.RECORD, Verdict.PASS, seat.trainer, f"registered {record.endpoint}", seat=seat.seat)


def check_grant(artifacts: Artifacts, seat: Seat) -> Iterator[CheckResult]:
    """The grant that a trainer registered is there, and is its own for this job; whom it lets in, it does not show.

    It names the job's genesis, which binds chain, contract, number and terms. A record of other terms than those that
    the trainer joined under disagrees with it, which shows without a secret.
    """
    with committed_by(seat.seat, "the key record that it registered"):
        cid = KeyRecord.from_block(seat.key_record).grant
    block = artifacts.store.get_block(cid)
    with committed_by(seat.seat, "the grant that it registered"):
        grant = Grant.from_block(block)
    comparisons = (
        Comparison("job of the registered grant", artifacts.history.genesis, grant.genesis),
        Comparison("author of the registered grant", address_bytes(seat.trainer), grant.author),
    )
    row = compare_all(Check.RECORD, cid_text(cid), comparisons, seat=seat.seat)
    if row.verdict is Verdict.FAIL:
        # Either side may be the wrong one: until a node bears the record out, nobody vouches for its terms.
        row = replace(row, seat=None, detail=f"{row.detail}, in the record or in what seat {seat.seat} registered")
    yield row


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
