"""What is asked of a node and what it answers, as frozen records; parsing raises KeyError, TypeError or ValueError."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

from eth_utils import to_checksum_address

from clicooper.types import Address, Digest

__all__ = ["INT64_BITS", "Block", "Call", "Header", "Log", "Receipt", "from_hex", "quantity", "to_address", "to_hex"]

WORD = 32
INT64_BITS = 63
"""What a database keeps of a whole number; no block, time or place comes near."""

_QUANTITY = re.compile(r"0x[0-9a-fA-F]{1,64}")


@dataclass(frozen=True)
class Header:
    """A block's place; ``timestamp`` in seconds since the epoch."""

    number: int
    hash: Digest
    timestamp: int


@dataclass(frozen=True)
class Block(Header):
    """A block as a node names it; ``bloom`` is None where the node gives none, the base fee 0 before EIP-1559."""

    parent_hash: Digest
    bloom: int | None
    base_fee_wei: int

    @classmethod
    def from_json(cls, answer: Mapping[str, Any]) -> "Block":
        """Parses an ``eth_getBlockByNumber`` result."""
        bloom = answer.get("logsBloom")
        return cls(
            number=quantity(answer["number"], INT64_BITS),
            hash=_digest(answer["hash"]),
            timestamp=quantity(answer["timestamp"], INT64_BITS),
            parent_hash=_digest(answer["parentHash"]),
            bloom=None if bloom is None else int(bloom, 16),
            base_fee_wei=quantity(answer.get("baseFeePerGas") or "0x0"),
        )


class Log(NamedTuple):
    """One undecoded log entry: ``topics`` is all topics end to end, 32 bytes each."""

    block: int
    log_index: int
    tx_hash: bytes
    topics: bytes
    data: bytes

    @classmethod
    def from_json(cls, answer: Mapping[str, Any]) -> "Log":
        """Parses one entry of an ``eth_getLogs`` result or of a receipt."""
        tx_hash, count, topics = answer["transactionHash"], len(answer["topics"]), "".join(answer["topics"])
        if len(tx_hash) != 66 or len(topics) != 66 * count:
            raise ValueError("not 32 bytes")
        # An x is no hex digit, so that this takes away the prefixes alone; one conversion is faster than four.
        raw = bytes.fromhex((tx_hash + topics + answer["data"]).replace("0x", ""))
        end = WORD * (1 + count)
        number, log_index = int(answer["blockNumber"], 16), int(answer["logIndex"], 16)
        if not (0 <= number < 1 << INT64_BITS and 0 <= log_index < 1 << INT64_BITS):
            raise ValueError("no place in a block")
        return cls(number, log_index, raw[:WORD], raw[WORD:end], raw[end:])

    @property
    def job(self) -> int:
        """The second topic as a number, which is the job in every event of the contract."""
        return int.from_bytes(self.topics[WORD : 2 * WORD], "big")


@dataclass(frozen=True)
class Receipt:
    """A mined transaction; ``succeeded`` is false if it reverted, ``logs`` come with their contracts in lower case."""

    tx_hash: Digest
    block_number: int
    block_hash: Digest
    gas_used: int
    sender: Address = field(repr=False)
    contract_address: Address | None = field(repr=False, default=None)
    succeeded: bool = field(repr=False, default=True)
    logs: tuple[tuple[str, Log], ...] = field(repr=False, default=())

    @classmethod
    def from_json(cls, answer: Mapping[str, Any]) -> "Receipt":
        """Parses an ``eth_getTransactionReceipt`` result."""
        created = answer.get("contractAddress")
        return cls(
            tx_hash=_digest(answer["transactionHash"]),
            block_number=quantity(answer["blockNumber"], INT64_BITS),
            block_hash=_digest(answer["blockHash"]),
            gas_used=quantity(answer["gasUsed"], INT64_BITS),
            sender=to_address(answer["from"]),
            contract_address=to_address(created) if created else None,
            succeeded=quantity(answer["status"]) == 1,
            logs=tuple((log["address"].lower(), Log.from_json(log)) for log in answer["logs"]),
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
    if not text.startswith("0x") or not text.isalnum():
        raise ValueError("not 0x-hex")
    return bytes.fromhex(text[2:])


def quantity(text: str, bits: int = 256) -> int:
    """A whole number as JSON-RPC writes it; raises ValueError for anything else, and for one of more than ``bits``."""
    if not _QUANTITY.fullmatch(text) or (number := int(text, 16)) >> bits:
        raise ValueError("no quantity")
    return number


@lru_cache(maxsize=4096)
def to_address(raw: bytes | str) -> Address:
    """The EIP-55 form of 20 bytes, or of their ``0x``-hex text."""
    return Address(to_checksum_address(raw))


def _digest(text: str) -> Digest:
    data = from_hex(text)
    if len(data) != WORD:
        raise ValueError("not 32 bytes")
    return Digest(data)
