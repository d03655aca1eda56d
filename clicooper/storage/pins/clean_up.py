"""Removing from a local store what nobody keeps. Whatever is in doubt stays.

Nothing is removed unless every pin set reads, no set belongs to a job that still runs (such a job may be about to link
any block), nothing waits to be sent to a node, something is pinned at all, and every pinned graph is whole: the links
of a lost block are unknown.
"""

from contextlib import nullcontext
from dataclasses import dataclass

from multiformats import CID

from clicooper.errors import ArtifactCorrupt, ArtifactMissing, GraphTooLarge, RetentionRefused
from clicooper.storage.ipld.cid import cid_bytes
from clicooper.storage.ipld.graph import walk
from clicooper.storage.local import PENDING, LocalStore
from clicooper.storage.pins.pin_sets import PinSet, PinSets

__all__ = ["CleanUp", "clean_up"]


@dataclass(frozen=True)
class CleanUp:
    """What goes and what stays.

    Attributes:
        removable: blocks that no pin reaches, in the store's order.
        size_bytes: that they take.
        kept_blocks: that some pin reaches.
        removed: whether they are gone.
    """

    removable: tuple[CID, ...]
    size_bytes: int
    kept_blocks: int
    removed: bool


def clean_up(store: LocalStore, sets: PinSets, *, delete: bool = False, after: tuple[PinSet, ...] = ()) -> CleanUp:
    """Finds what no pin set keeps, and removes it only if told to.

    Args:
        after: sets as they would be after a change that is being considered; only without ``delete``.

    Raises:
        RetentionRefused: something is in doubt; nothing was removed.
        StorageError: a set or the store cannot be read or written.
    """
    with sets.locked() if delete else nullcontext():
        considered = {pin_set.name: pin_set for pin_set in (*sets.all(), *(() if delete else after))}
        kept = _kept(store, tuple(considered.values()))
        removable = tuple(cid for cid in store.cids() if cid_bytes(cid) not in kept)
        size = sum(store.size(cid) for cid in removable)
        for cid in removable if delete else ():
            store.remove(cid)
    return CleanUp(removable, size, len(kept), delete)


def _kept(store: LocalStore, sets: tuple[PinSet, ...]) -> set[bytes]:
    """The names of all blocks that some pin reaches."""
    if (store.root / PENDING).is_dir() and any((store.root / PENDING).iterdir()):
        hint = "send them first, with a command that is given the node by --store"
        raise RetentionRefused(f"artifacts in {store.root} wait for a node", hint=hint)
    for pin_set in sets:
        if not pin_set.finished:
            hint = "it may be about to link any block: clean up when it has finished"
            raise RetentionRefused(f"the job of pin set {pin_set.name} has not finished", hint=hint)
    pins = [item for pin_set in sets for item in pin_set.pins.items()]
    if not pins:
        raise RetentionRefused(
            f"nothing is pinned for {store.root}", hint="pin what you need first: with no pins, everything would go"
        )
    kept = set()
    try:
        for cid, mode in pins:
            if mode == "direct":
                store.get_block(cid)
                kept.add(cid_bytes(cid))
        for cid, _ in walk(store.get_block, [cid for cid, mode in pins if mode == "recursive"]):
            kept.add(cid_bytes(cid))
    except (ArtifactMissing, ArtifactCorrupt, GraphTooLarge) as e:
        hint = "what it links is unknown, so nothing is removed: bring it back, or unpin its root"
        raise RetentionRefused(f"a pinned graph is not whole: {e.message}", hint=hint) from e
    return kept
