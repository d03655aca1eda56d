"""Where a job's graph begins: the blocks that its record names. Pure; what they link is found by ``storage.graph``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from multiformats import CID

from clicooper.commitments.canonical import cid_of_digest, decode
from clicooper.errors import SpecError
from clicooper.history.follow import History
from clicooper.storage.ipld.cid import normalise_cid
from clicooper.storage.ipld.graph import record_links

__all__ = ["DagRoots", "find_dag_roots"]


@dataclass(frozen=True)
class DagRoots:
    """The roots of a job's graph, each once, in the order of the record.

    Attributes:
        spec: the JobSpec that the contract's parameters name.
        manifests: every committed manifest that counts. An audit needs them and all that they link.
        attached: what the record names besides: links of the key records, manifests of abandoned attempts, evidence
            of challenges. Their authors may have published something else or nothing; nobody's work depends on it.
    """

    spec: CID
    manifests: tuple[CID, ...]
    attached: tuple[CID, ...]

    @property
    def required(self) -> tuple[CID, ...]:
        """What must be there and intact."""
        return (self.spec, *self.manifests)


def find_dag_roots(history: History) -> DagRoots:
    """The roots that a followed record names."""
    manifests = dict.fromkeys(cid_of_digest(c.manifest_digest) for c in history.commitments)
    attached = dict.fromkeys(_attached(history))
    return DagRoots(
        cid_of_digest(history.params.spec_digest),
        tuple(manifests),
        tuple(cid for cid in attached if cid not in manifests),
    )


def _attached(history: History) -> Iterator[CID]:
    for seat in (*history.evicted, *history.seats):
        yield from _key_record_links(seat.key_record)
    for round_ in history.rounds:
        yield from (cid_of_digest(commitment.manifest_digest) for commitment in round_.abandoned)
    yield from (cid_of_digest(challenge.evidence_digest) for challenge in history.challenges)


def _key_record_links(key_record: bytes) -> Iterator[CID]:
    """The links in a registered block; a trainer registers any bytes it likes, and the seat's own row says so."""
    try:
        yield from [normalise_cid(link) for link in record_links(decode(key_record))]
    except SpecError:
        return
