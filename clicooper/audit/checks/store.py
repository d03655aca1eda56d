"""The ``artifacts`` check of a whole store: the blocks of a job's graph, and every other one that it can list."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from multiformats import CID

from clicooper.audit.artifacts import Artifacts
from clicooper.audit.replay.sampling import Draw
from clicooper.audit.verdict import Check, CheckResult
from clicooper.errors import (
    ArtifactCorrupt,
    ArtifactMalformed,
    ArtifactMissing,
    CliCooperError,
    GraphTooLarge,
    StorageError,
)
from clicooper.storage.base import ListableStore, Store, missing
from clicooper.storage.ipld.cid import cid_bytes, cid_text
from clicooper.storage.ipld.graph import walk
from clicooper.types import Verdict

__all__ = ["check_store", "find_unsampled"]


def find_unsampled(artifacts: Artifacts, draws: Mapping[int, Draw] | None) -> frozenset[bytes]:
    """Names of the states that a sampled audit does not read: those at which no drawn interval starts.

    Those of manifests that cannot be read are not known, so that none of them is left out.
    """
    if draws is None:
        return frozenset()
    unread: set[bytes] = set()
    for commitment in artifacts.history.commitments:
        try:
            states = artifacts.manifest(commitment.round, commitment.seat).transcript.states
        except CliCooperError:
            continue
        drawn = draws[commitment.round].intervals
        for interval, state in enumerate(states, start=1):
            if interval not in drawn:
                unread |= {cid_bytes(file.ciphertext) for file in state.files}
    return frozenset(unread)


def check_store(
    store: Store,
    roots: Iterable[CID] = (),
    unread: frozenset[bytes] = frozenset(),
    unpublished: frozenset[CID] = frozenset(),
) -> Iterator[CheckResult]:
    """Every block below ``roots`` is there and intact; so is every other block, where the store can list them.

    One row for each block that is missing, has other bytes or is malformed, then one that counts the good ones. A block
    with other bytes is damage of this copy, and proves nothing; one whose genuine bytes are malformed is linked by
    something committed, and fails without saying whose it is: the check of that commitment does.

    Args:
        unread: names of files that are left out; where there are any, blocks that no root links are left out, too.
        unpublished: files that need not be there.
    """
    optional = {cid_bytes(cid) for cid in unpublished}
    rows: list[CheckResult] = []
    good: set[bytes] = set()
    left_out: set[bytes] = set()

    def get_block(cid: CID) -> bytes:
        if cid_bytes(cid) in unread:
            left_out.add(cid_bytes(cid))
            raise missing(cid, "the sample")
        return store.get_block(cid)

    def note(cid: CID, error: ArtifactMissing | ArtifactCorrupt) -> None:
        may_be_absent = isinstance(error, ArtifactMissing) and cid_bytes(cid) in optional
        if cid_bytes(cid) not in left_out and not may_be_absent:
            rows.append(_row_of(cid, error))

    try:
        for cid, _ in walk(get_block, roots, on_bad=note):
            good.add(cid_bytes(cid))
    except (StorageError, GraphTooLarge) as e:
        rows.append(CheckResult.of_error(Check.ARTIFACTS, "store", e))
    linked = len(good)
    others = store.cids() if isinstance(store, ListableStore) and not unread else ()
    judged = {row.subject for row in rows}
    for cid in others:
        if cid_bytes(cid) not in good and cid_text(cid) not in judged:
            try:
                store.get_block(cid)
                good.add(cid_bytes(cid))
            except CliCooperError as e:
                rows.append(CheckResult.of_error(Check.ARTIFACTS, cid_text(cid), e))
    yield from rows
    verdict = Verdict.PASS if good else Verdict.INCONCLUSIVE
    found = f"{linked} blocks that the job links and {len(good) - linked} others hash to their names"
    if left_out:
        found += f"; {len(left_out)} files of states outside the sample were not read"
    yield CheckResult(Check.ARTIFACTS, verdict, "store", found)


def _row_of(cid: CID, error: CliCooperError) -> CheckResult:
    if isinstance(error, ArtifactMalformed):
        return CheckResult(Check.ARTIFACTS, Verdict.FAIL, cid_text(cid), error.message, remedy=error.hint)
    return CheckResult.of_error(Check.ARTIFACTS, cid_text(cid), error)
