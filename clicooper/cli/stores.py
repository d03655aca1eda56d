"""Which store a command works on, by the settings: a folder, or the folder in front of an IPFS node."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clicooper.config import ClientConfig
    from clicooper.storage.base import Store

__all__ = ["audited_store", "open_store", "send_pending"]


def open_store(config: ClientConfig, folder: Path) -> Store:
    """The store in ``folder``, which with ``--store ipfs`` is what stands in front of the node.

    Raises:
        StorageError: the folder is not a store.
    """
    from clicooper.storage.ipfs.ipfs_store import IpfsStore  # noqa: PLC0415 - keeps --help fast
    from clicooper.storage.layered import LayeredStore  # noqa: PLC0415
    from clicooper.storage.local import LocalStore  # noqa: PLC0415

    local = LocalStore(folder)
    if config.ipfs_url is None:
        return local
    return LayeredStore(local, IpfsStore(config.ipfs_url, timeout_s=config.store_timeout))


def audited_store(config: ClientConfig, folder: Path) -> Path | Store:
    """Where an audit finds a run's artifacts: in its folder, on the node, or where either has them.

    What waited for the node is sent to it first.
    """
    from clicooper.storage.ipfs.ipfs_store import IpfsStore  # noqa: PLC0415

    if config.ipfs_url is None:
        return folder
    if not folder.exists():
        return IpfsStore(config.ipfs_url, timeout_s=config.store_timeout)
    store = open_store(config, folder)
    send_pending(store)
    return store


def send_pending(store: Store) -> None:
    """Sends to the node what it has missed; does nothing for a store without one.

    Raises:
        StorageError: it cannot be reached; everything is still in the folder.
    """
    from clicooper.errors import StorageError  # noqa: PLC0415
    from clicooper.storage.layered import LayeredStore  # noqa: PLC0415

    if not isinstance(store, LayeredStore):
        return
    try:
        store.catch_up()
    except StorageError as e:
        left = len(store.pending())
        hint = "nothing is lost: when the node is back, run `clicooper audit` on the run folder with the same --store"
        raise StorageError(f"{left} artifacts have not reached the node: {e.message}", hint=hint) from e
