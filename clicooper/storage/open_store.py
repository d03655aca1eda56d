"""The store that the settings choose: a folder, an IPFS node, or the folder in front of the node."""

from __future__ import annotations

from pathlib import Path

from clicooper.config import ClientConfig
from clicooper.errors import StorageError
from clicooper.storage.base import Store
from clicooper.storage.ipfs.ipfs_store import IpfsStore
from clicooper.storage.layered import LayeredStore
from clicooper.storage.local import LocalStore

__all__ = ["open_ipfs", "open_store", "send_pending"]


def open_store(config: ClientConfig, folder: Path) -> Store:
    """The store in ``folder``, which with ``--store ipfs`` is what stands in front of the node.

    Raises:
        StorageError: the folder is not a store.
    """
    local, node = LocalStore(folder), open_ipfs(config)
    return local if node is None else LayeredStore(local, node)


def open_ipfs(config: ClientConfig) -> IpfsStore | None:
    """The IPFS node of the settings; None where they name none."""
    return None if config.ipfs_url is None else IpfsStore(config.ipfs_url, timeout_s=config.store_timeout)


def send_pending(store: Store) -> None:
    """Sends to the node what it has missed; does nothing for a store without one.

    Raises:
        StorageError: it cannot be reached; everything is still in the folder.
    """
    if not isinstance(store, LayeredStore):
        return
    try:
        store.catch_up()
    except StorageError as e:
        left = len(store.pending())
        hint = "nothing is lost: when the node is back, run `clicooper audit` on the run folder with the same --store"
        raise StorageError(f"{left} artifacts have not reached the node: {e.message}", hint=hint) from e
