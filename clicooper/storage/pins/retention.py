"""Which artifacts of a job are kept, for how long, and why.

A job's pin set names its spec with all that it links, and for each round the manifests and every file that they link.
Policy: optimizer and interval states, by far the largest part, serve replays and replacements. They may go once the
job has finished *and* an audit of all of it has passed; those of the last accepted round never go, so that somebody
can always go on from there, nor do weights, transcripts, labels and the release.

Removing blocks is the job of ``clean_up``.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from multiformats import CID

from clicooper.commitments.canonical import decode
from clicooper.errors import ArtifactMissing, RetentionRefused, StorageError
from clicooper.storage.base import Store
from clicooper.storage.ipld.cid import cid_text
from clicooper.storage.ipld.graph import record_links, walk
from clicooper.storage.pins.node_pins import pin_on_node, unpin_on_node
from clicooper.storage.pins.pin_sets import PinSet, PinSets, RoundPins, texts
from clicooper.types import Head

__all__ = ["JOB_PINS", "JobRetention", "file_links", "release_superseded", "superseded_links"]

JOB_PINS = "job"
"""Name of the pin set of a run folder's one job."""

STATE_FIELDS = (("optimizer",), ("state_in", "optimizer"), ("transcript", "states"))
"""Where a manifest links what later rounds supersede."""


class JobRetention:
    """The pin set of one job, kept by its owner beside the store.

    Args:
        store: where the artifacts are.
            Where a node stands behind it, the node is told of pins too, as far as it can be reached: the set is what
            counts, and ``pin_on_node`` catches up.
    """

    def __init__(self, sets: PinSets, name: str, store: Store) -> None:
        self._sets, self._name, self._store = sets, name, store

    def begin(self, roots: Sequence[CID]) -> PinSet:
        """Pins what the job starts from and marks the set unfinished: from now on nothing beside it is removed."""
        self._sets.change(self._name, lambda old: old.model_copy(update={"finished": False, "audited": None}))
        return self.keep(roots)

    def keep(self, roots: Sequence[CID]) -> PinSet:
        """Pins something of the job that nothing else links, such as its grants, with all below it, for good."""
        self._fetch(roots)

        def change(old: PinSet) -> PinSet:
            return old.model_copy(update={"roots": tuple(dict.fromkeys((*old.roots, *texts(roots))))})

        after = self._sets.change(self._name, change)
        self._tell()
        return after

    def pin_round(self, round_: int, manifests: Sequence[CID], absent: Collection[CID] = ()) -> RoundPins:
        """Pins a round once each block of it has been fetched and hashed; repeating it replaces what it pinned.

        Args:
            absent: files that nobody has published, and nobody has to: they are left out.

        Raises:
            ArtifactMissing, ArtifactCorrupt: the store does not hold the round whole; the set is as before.
        """
        records = [decode(self._store.get_block(cid)) for cid in manifests]
        states = [link for record in records for link in superseded_links(record)]
        files = [link for record in records for link in file_links(record) if link not in states]
        left_out = set(texts(absent))
        states = [link for link in states if cid_text(link) not in left_out]
        self._fetch([*files, *states])
        pins = RoundPins(round=round_, blocks=texts(manifests), files=texts(files), states=texts(states))

        def change(old: PinSet) -> PinSet:
            others = [before for before in old.rounds if before.round != round_]
            rounds = sorted([*others, pins], key=lambda item: item.round)
            return old.model_copy(update={"rounds": tuple(rounds)})

        self._sets.change(self._name, change)
        self._tell()
        return pins

    def finish(self) -> PinSet:
        """The job has ended, one way or another."""
        return self._sets.change(self._name, lambda old: old.model_copy(update={"finished": True}))

    def record_audit(self, head: Head) -> PinSet:
        """A full audit of the finished job passed, and ended in ``head``.

        Raises:
            RetentionRefused: the job has not finished.
        """

        def change(old: PinSet) -> PinSet:
            if not old.finished:
                raise RetentionRefused(f"the job of pin set {old.name} has not finished", hint="audit it at its end")
            return old.model_copy(update={"audited": head.hex()})

        return self._sets.change(self._name, change)

    def release_superseded(self) -> tuple[CID, ...]:
        """Lets go of superseded states, on the node first; returns what no set pins any more.

        Raises:
            RetentionRefused: the job is unfinished or unaudited.
            StorageError: the node cannot be reached; the set is as before.
        """
        before = self._sets.load(self._name) or PinSet(name=self._name)
        others = [pin_set for pin_set in self._sets.all() if pin_set.name != self._name]
        still = {cid for pin_set in (*others, release_superseded(before)) for cid in pin_set.pins}
        released = tuple(cid for cid in before.pins if cid not in still)
        unpin_on_node(self._store, released)
        self._sets.change(self._name, release_superseded)
        return released

    def _fetch(self, roots: Sequence[CID]) -> None:
        for _ in walk(self._store.get_block, roots):
            pass

    def _tell(self) -> None:
        """Tells the node, whose absence must not hold up the work: it catches up by ``pin_on_node``."""
        with suppress(StorageError, ArtifactMissing):
            pin_on_node(self._store, self._sets)


def release_superseded(pin_set: PinSet) -> PinSet:
    """The set without the superseded states of all rounds but the last; a pure function.

    Raises:
        RetentionRefused: the job is unfinished, or no passing audit of it is recorded.
    """
    for allowed, state in ((pin_set.finished, "has not finished"), (pin_set.audited, "has no passing audit on record")):
        if not allowed:
            hint = "its states are needed to replay the work: finish and audit the job first"
            raise RetentionRefused(f"the job of pin set {pin_set.name} {state}", hint=hint)
    last = pin_set.rounds[-1:]
    released = tuple(round_.model_copy(update={"states_kept": False}) for round_ in pin_set.rounds[:-1])
    return pin_set.model_copy(update={"rounds": released + last})


def superseded_links(record: Mapping[str, Any]) -> Iterator[CID]:
    """The links of a manifest to optimizer and interval states, however its fields wrap them."""
    for path in STATE_FIELDS:
        part: Any = record
        for key in path:
            part = part.get(key) if isinstance(part, Mapping) else None
        yield from record_links(part)


def file_links(record: Mapping[str, Any]) -> Iterator[CID]:
    """The links of a record to files: everything that is no record itself."""
    return (link for link in record_links(record) if link.codec.name != "dag-cbor")
