"""An excerpt of a job: the blocks that are needed to judge one claim, each once, sealed files in plaintext.

Everything is read through ``Artifacts``, so nothing goes in that does not hash to its name. A plaintext is proven by
its digest in the manifest: an excerpt gives away no secret that opens more.
"""

from __future__ import annotations

import io

from multiformats import CID

from clicooper.audit.artifacts import Artifacts
from clicooper.commitments.canonical import cid_of_digest
from clicooper.commitments.manifest import SealedFile, SegmentManifest
from clicooper.commitments.ownership import OpenedFile
from clicooper.commitments.records import Record
from clicooper.storage.ipld.cid import build_file

__all__ = ["Excerpt"]


class Excerpt:
    """Blocks by name, and where the plaintext of which sealed file is.

    Args:
        artifacts: of the job, with the keys of its reader.
    """

    def __init__(self, artifacts: Artifacts) -> None:
        self.artifacts = artifacts
        self.blocks: dict[CID, bytes] = {}
        self._contents: dict[bytes, CID] = {}

    @property
    def files(self) -> tuple[OpenedFile, ...]:
        """The opened files, in the order of their digests."""
        named = sorted(self._contents.items())
        return tuple(OpenedFile(plaintext_digest=digest, content=content) for digest, content in named)

    def take(self, cid: CID) -> CID:
        """Takes a block as it is in the store."""
        self.blocks[cid] = self.artifacts.store.get_block(cid)
        return cid

    def take_commitment(self, round_: int, seat: int) -> None:
        """Takes the block that a seat committed as its manifest, which may be malformed."""
        self.take(cid_of_digest(self.artifacts.commitment(round_, seat).manifest_digest))

    def take_manifest(self, round_: int, seat: int) -> SegmentManifest:
        """Takes a committed manifest, and reads it."""
        self.take_commitment(round_, seat)
        return self.artifacts.manifest(round_, seat)

    def add_record(self, record: Record) -> CID:
        """Adds a record that is not in the store as it is."""
        self.blocks[record.cid] = record.to_block()
        return record.cid

    def add_file(self, content: bytes) -> CID:
        """Adds a file, and returns its name."""
        named = list(build_file(io.BytesIO(content)))
        self.blocks.update(named)
        return named[-1][0]

    def open(self, *sealed: SealedFile) -> None:
        """Takes the plaintexts of sealed files."""
        for file in sealed:
            if file.plaintext_digest not in self._contents:
                self._contents[file.plaintext_digest] = self.add_file(self.artifacts.open_file(file))
