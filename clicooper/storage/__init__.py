"""The artifact plane: put by content, get by name, believe nothing that does not hash to its name.

``cid`` is the pure core: names, and files cut into blocks exactly as IPFS does it. ``base`` is the interface that
every store implements; ``local`` keeps blocks in a folder, ``ipfs`` on a node, ``layered`` in one in front of the
other. ``seal`` encrypts what not everyone may read. What an artifact *means* is the business of
``clicooper.commitments``.
"""

from clicooper.storage.base import Store, get_bytes, put_bytes
from clicooper.storage.local import LocalStore

__all__ = ["LocalStore", "Store", "get_bytes", "put_bytes"]
