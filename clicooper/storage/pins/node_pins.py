"""Pin sets carried over to the node behind a store: the sets are what counts, and the node catches up with them."""

from collections.abc import Iterable

from multiformats import CID

from clicooper.errors import StorageError
from clicooper.storage.base import PinningStore, Store
from clicooper.storage.layered import LayeredStore
from clicooper.storage.pins.pin_sets import PinSets

__all__ = ["node_of", "pin_on_node", "unpin_on_node"]


def node_of(store: Store) -> PinningStore | None:
    """The node that a store is, or that stands behind it; None for a store without one."""
    behind = store.remote if isinstance(store, LayeredStore) else store
    return behind if isinstance(behind, PinningStore) else None


def pin_on_node(store: Store, sets: PinSets) -> int:
    """Has the node keep everything that the sets name, and returns how many pins it did not have.

    Raises:
        StorageError: the node cannot be reached, or has not been sent everything yet; what is pinned stays.
        ArtifactMissing: it does not hold something of it.
    """
    node = node_of(store)
    if node is None:
        return 0
    if isinstance(store, LayeredStore) and (waiting := len(store.pending())):
        hint = "send them first: the node cannot keep what it has not got"
        raise StorageError(f"{waiting} artifacts have not reached the node", hint=hint)
    have, new = node.pins(), 0
    for pin_set in sets.all():
        for cid, mode in pin_set.pins.items():
            if have.get(cid) not in (mode, "recursive"):
                node.pin(cid, recursive=mode == "recursive")
                new += 1
    return new


def unpin_on_node(store: Store, cids: Iterable[CID]) -> None:
    """Takes back pins; the node's own clean-up decides when the blocks go.

    Raises:
        StorageError: the node cannot be reached.
    """
    node = node_of(store)
    if node is not None:
        for cid in cids:
            node.unpin(cid)
