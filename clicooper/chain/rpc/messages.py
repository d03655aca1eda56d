"""What is asked of a node and what it answers, as frozen records; parsing raises KeyError, TypeError or ValueError."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from eth_utils import to_checksum_address

from clicooper.types import Address, Digest

__all__ = ["Block", "Call", "Log", "Receipt", "from_hex", "to_hex"]


@dataclass(frozen=True)
class Block:
    """One block's place; ``timestamp`` in seconds since the epoch."""

    number: int
    hash: Digest
    timestamp: int
    base_fee_wei: int

    @classmethod
    def from_json(cls, answer: Mapping[str, Any]) -> "Block":
        """Parses an ``eth_getBlockByNumber`` result; a chain without EIP-1559 fees has a base fee of 0."""
        base_fee_wei = int(answer.get("baseFeePerGas", "0x0"), 16)
        return cls(int(answer["number"], 16), _digest(answer["hash"]), int(answer["timestamp"], 16), base_fee_wei)


@dataclass(frozen=True)
class Log:
    """One undecoded log entry."""

    address: Address
    topics: tuple[bytes, ...]
    data: bytes
    block_number: int
    block_hash: Digest
    tx_hash: Digest
    log_index: int

    @classmethod
    def from_json(cls, answer: Mapping[str, Any]) -> "Log":
        """Parses one entry of an ``eth_getLogs`` result or of a receipt."""
        return cls(
            address=Address(to_checksum_address(answer["address"])),
            topics=tuple(map(from_hex, answer["topics"])),
            data=from_hex(answer["data"]),
            block_number=int(answer["blockNumber"], 16),
            block_hash=_digest(answer["blockHash"]),
            tx_hash=_digest(answer["transactionHash"]),
            log_index=int(answer["logIndex"], 16),
        )


@dataclass(frozen=True)
class Receipt:
    """A mined transaction; ``succeeded`` is false if it reverted."""

    tx_hash: Digest
    block_number: int
    block_hash: Digest
    gas_used: int
    sender: Address = field(repr=False)
    contract_address: Address | None = field(repr=False, default=None)
    succeeded: bool = field(repr=False, default=True)
    logs: tuple[Log, ...] = field(repr=False, default=())

    @classmethod
    def from_json(cls, answer: Mapping[str, Any]) -> "Receipt":
        """Parses an ``eth_getTransactionReceipt`` result."""
        created = answer.get("contractAddress")
        return cls(
            tx_hash=_digest(answer["transactionHash"]),
            block_number=int(answer["blockNumber"], 16),
            block_hash=_digest(answer["blockHash"]),
            gas_used=int(answer["gasUsed"], 16),
            sender=Address(to_checksum_address(answer["from"])),
            contract_address=Address(to_checksum_address(created)) if created else None,
            succeeded=int(answer["status"], 16) == 1,
            logs=tuple(map(Log.from_json, answer["logs"])),
        )


@dataclass(frozen=True)
class Call:
    """A message to simulate or to send. ``to`` is None where a contract is created."""

    to: Address | None
    data: bytes
    sender: Address | None = None
    value_wei: int = 0

    def to_json(self) -> dict[str, str]:
        """The call as JSON-RPC writes it."""
        fields = {"to": self.to, "from": self.sender, "data": to_hex(self.data), "value": hex(self.value_wei)}
        return {name: value for name, value in fields.items() if value is not None}


def to_hex(data: bytes) -> str:
    """``0x`` and two digits a byte."""
    return "0x" + data.hex()


def from_hex(text: str) -> bytes:
    """The inverse of ``to_hex``; raises ValueError for anything else."""
    if not text.startswith("0x"):
        raise ValueError("not 0x-hex")
    return bytes.fromhex(text[2:])


def _digest(text: str) -> Digest:
    data = from_hex(text)
    if len(data) != 32:
        raise ValueError("not 32 bytes")
    return Digest(data)
