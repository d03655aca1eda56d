"""The root of an exported job: one block that links the record and everything that the record names."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from clicooper.commitments.records import Link, Record

__all__ = ["JobBundle"]


class JobBundle(Record):
    """A whole job under one name: whoever has it can pin, fetch or audit the job with any IPFS tool.

    A table of contents and no authority: an audit follows the record, and checks this block against it.

    Attributes:
        record: the job's record.json, as a file.
        spec: the JobSpec.
        manifests: every committed manifest that counts, in the order of the record.
        attachments: what else travels with it, such as grants, and manifests of abandoned attempts. Its key is the
            longest and so the last: a walk in the order of the links meets every manifest first.
    """

    kind: ClassVar[str] = "JobBundle"
    record: Link
    spec: Link
    manifests: Annotated[tuple[Link, ...], Field(strict=False)]
    attachments: Annotated[tuple[Link, ...], Field(strict=False)]
