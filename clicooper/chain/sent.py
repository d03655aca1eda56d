"""What an account has sent and not yet seen confirmed: one note each, under ``HOME/sent``.

A note is written before its transaction leaves, so that no crash and no lost answer makes an account pay twice. It
holds no key and no call data: the transaction's hash, whom it is for, and what is signed beside the call. Signing the
same call again with these gives the same bytes. Chains are told apart by id and genesis block, for development chains
share their ids.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self, get_type_hints

from clicooper.chain.rpc.messages import Call, to_hex
from clicooper.chain.rpc.node import Node
from clicooper.errors import StorageError, UsageError
from clicooper.files import read_bounded, write_secret
from clicooper.json_values import parse_json
from clicooper.types import Address

__all__ = ["SentTransaction", "SentTransactions", "digest_of"]

FORMAT = "CliCooper/1/sent"
MAX_BYTES = 1 << 16


@dataclass(frozen=True)
class SentTransaction:
    """The note of one transaction.

    Args:
        tx_hash: of the signed bytes, as ``0x``-hex.
        sender: the account.
        to: whom it calls; empty where it creates a contract.
        data_digest: sha2-256 of the call data, as ``0x``-hex.
        value_wei: coin that goes along.
        nonce, gas, max_fee_wei, tip_wei: what else is signed.
    """

    tx_hash: str
    sender: str
    to: str
    data_digest: str
    value_wei: int
    nonce: int
    gas: int
    max_fee_wei: int
    tip_wei: int

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Self:
        """The inverse of ``asdict``; raises TypeError for other fields or types."""
        kinds = get_type_hints(cls)
        if set(value) != set(kinds) or not all(type(value[name]) is kind for name, kind in kinds.items()):
            raise TypeError("other fields or types")
        return cls(**value)

    def is_for(self, call: Call) -> bool:
        """Whether it sends exactly this call."""
        said = (call.sender, call.to or "", digest_of(call.data), call.value_wei)
        return said == (self.sender, self.to, self.data_digest, self.value_wei)


def digest_of(data: bytes) -> str:
    """The sha2-256 of call data, as ``0x``-hex."""
    return to_hex(hashlib.sha256(data).digest())


class SentTransactions:
    """The notes of a home.

    Args:
        home: the client's folder; nothing is made there before something is sent.
    """

    def __init__(self, home: Path) -> None:
        self._root = home / "sent"

    @contextmanager
    def locked(self, node: Node, sender: Address) -> Iterator[None]:
        """Keeps every other process from sending for this account on this chain.

        Raises:
            StorageError: the folder or the lock file cannot be made.
        """
        folder = self._folder(node)
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle = os.open(folder / f"{sender}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as e:
            raise StorageError(f"cannot lock {folder}: {e.strerror}", hint="check the folder's permissions") from e
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def unsettled(self, node: Node, sender: Address) -> tuple[SentTransaction, ...]:
        """What the account has sent on this chain and not seen settled, in the order of its nonces.

        Raises:
            UsageError: a note is damaged; what it says must not be guessed.
        """
        notes = (self._read(path) for path in self._folder(node).glob("0x*.json"))
        return tuple(sorted((note for note in notes if note.sender == sender), key=lambda note: note.nonce))

    def find(self, node: Node, call: Call) -> SentTransaction | None:
        """The unsettled transaction that sends exactly this call, if there is one; raises as ``unsettled``."""
        notes = self.unsettled(node, call.sender) if call.sender else ()
        return next((note for note in notes if note.is_for(call)), None)

    def add(self, node: Node, note: SentTransaction) -> None:
        """Writes a note; it is on the disk when this returns.

        Raises:
            StorageError: it cannot be written: the transaction must not leave.
        """
        value = {"format": FORMAT, "chain_id": node.chain_id, "genesis": to_hex(node.genesis), "sent": asdict(note)}
        write_secret(self._path(node, note.tx_hash), json.dumps(value, indent=1).encode() + b"\n")

    def settle(self, node: Node, tx_hash: str) -> None:
        """Removes a note: the transaction is confirmed, or can never be mined."""
        with suppress(FileNotFoundError):
            self._path(node, tx_hash).unlink()

    def _folder(self, node: Node) -> Path:
        return self._root / f"{node.chain_id}-{node.genesis.hex()[:16]}"

    def _path(self, node: Node, tx_hash: str) -> Path:
        return self._folder(node) / f"{tx_hash}.json"

    def _read(self, path: Path) -> SentTransaction:
        try:
            value: Any = parse_json(read_bounded(path, MAX_BYTES, what="note", follow=False, error=UsageError))
            note = SentTransaction.from_json(value["sent"])
            if value["format"] != FORMAT or note.tx_hash != path.stem:
                raise ValueError("another format or transaction")
        except (ValueError, KeyError, TypeError) as e:
            hint = "look up the transaction that the file is named after, then remove the file"
            raise UsageError(f"{path} is no note of a sent transaction", hint=hint) from e
        return note
