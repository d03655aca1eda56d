"""The frame of every record: one canonical block, the one way to read it, and the types of fields.

Every record is a frozen model that refuses unknown fields, wrong types, NaN and non-canonical bytes:
``R.from_block(r.to_block()) == r`` for every record, and ``from_block(b).to_block() == b`` for every
accepted block. Links are CIDs.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Self

from multiformats import CID
from pydantic import BaseModel, ConfigDict, Field, InstanceOf, ValidationError, field_validator

from clicooper.commitments.canonical import cid_of_block, encode, parse, sha256
from clicooper.errors import SpecError
from clicooper.types import Digest

__all__ = [
    "AgeRecipient",
    "Bytes20",
    "Bytes32",
    "Count",
    "Ints",
    "Link",
    "Number",
    "Part",
    "Positive",
    "PositiveNumber",
    "Record",
]

Link = InstanceOf[CID]
Bytes32 = Annotated[bytes, Field(min_length=32, max_length=32)]
Bytes20 = Annotated[bytes, Field(min_length=20, max_length=20)]
Count = Annotated[int, Field(ge=0, le=2**53)]
Positive = Annotated[int, Field(ge=1, le=2**53)]
Number = Annotated[float, Field(allow_inf_nan=False)]
PositiveNumber = Annotated[float, Field(gt=0, allow_inf_nan=False)]
AgeRecipient = Annotated[str, Field(pattern="^age1[02-9ac-hj-np-z]{58}$")]
Ints = Annotated[tuple[Count, ...], Field(strict=False)]


class Part(BaseModel):
    """A nested part of a record."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class Record(Part):
    """One DAG-CBOR block.

    ``versions`` are those that are read and written; a record of a kind that has more than one says in its docstring
    what tells them apart.
    """

    kind: ClassVar[str]
    versions: ClassVar[frozenset[int]] = frozenset({1})
    version: Annotated[int, Field(ge=1)] = 1

    @field_validator("version")
    @classmethod
    def _check_version(cls, value: int) -> int:
        if value not in cls.versions:
            raise ValueError(f"version {value} is not one of {sorted(cls.versions)}")
        return value

    def to_block(self) -> bytes:
        """The record's canonical bytes."""
        return encode(self.model_dump(mode="python"))

    @property
    def cid(self) -> CID:
        """The link under which other records name this one."""
        return cid_of_block(self.to_block())

    @property
    def digest(self) -> Digest:
        """sha2-256 of the block: the chain's ``bytes32`` for this record."""
        return sha256(self.to_block())

    @classmethod
    def from_block(cls, block: bytes) -> Self:
        """Reads a block.

        Raises:
            SpecError: not canonical DAG-CBOR, or not a record of this kind and version.
        """
        try:
            record = cls.model_validate(parse(block))
        except ValidationError as e:
            first = e.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise SpecError(f"not a {cls.kind}: {where}: {first['msg']}", hint="the block has another schema") from e
        if record.to_block() != block:
            raise SpecError(f"{cls.kind} is not in canonical form", hint="floats must be encoded as floats")
        return record
