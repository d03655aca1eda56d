"""Evidence for tests: made of whole jobs, opened, taken apart and put together again by somebody who means no good."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from multiformats import CID

from clicooper.audit.evidence import Evidence
from clicooper.audit.exhibit import Exhibit
from clicooper.audit.exhibit_file import OpenedExhibit, SealedExhibit, enclose, exhibit_bytes, open_exhibit
from clicooper.audit.exhibit_make import make_exhibit
from clicooper.audit.exhibit_subject import Subject
from clicooper.audit.grants import AuditKeys
from clicooper.audit.state import follow_record
from clicooper.audit.trail import history_of
from clicooper.types import Address
from tests.scenario import FinishedRun, Rehearsal

CHALLENGER = Address("0x00000000000000000000000000000000000000AA")

CLAIMS: Mapping[str, Subject] = {
    "first interval": Subject("replay", 0, 0),
    "last interval": Subject("replay", 1, 1),
    "without end states": Subject("replay", 1, 0, None, end_states=False),
    "boundary": Subject("boundary", 1, None, 1),
    "lowest boundary": Subject("boundary", 0, None, 0),
    "manifest": Subject("manifest", 0, None, 1),
    "first links": Subject("links", 0, None, 0),
    "links": Subject("links", 1, None, 1),
    "mark": Subject("mark", 1, None, 0),
    "labels": Subject("labels", 1),
    "release": Subject("release", 0),
}
"""One subject of each kind on a job of two seats and two rounds."""


def evidence_of(job: Rehearsal, keys: AuditKeys | None = None) -> Evidence:
    """What the owner can read of a job as the chain has it now."""
    granted = job.opened.owner.keys() if keys is None else keys
    return Evidence(follow_record(job.record()), job.store, granted)


def opened_exhibit(run: FinishedRun, subject: Subject, challenger: Address = CHALLENGER) -> OpenedExhibit:
    """Evidence on a finished run, as whoever can read it has it."""
    return open_exhibit(plain_exhibit(run, subject, challenger))


def plain_exhibit(run: FinishedRun, subject: Subject, challenger: Address = CHALLENGER) -> SealedExhibit:
    """The same in an envelope that everybody can open."""
    evidence = Evidence(follow_record(run.record), run.rehearsal.store, run.keys)
    packed = make_exhibit(run.record, evidence, subject, challenger)
    return enclose(evidence.history.genesis, packed.exhibit, packed.plaintext, None)


def blocks_of(opened: OpenedExhibit) -> dict[CID, bytes]:
    """The blocks of an exhibit beside its root."""
    return {cid: opened.blocks.get_block(cid) for cid in opened.blocks.cids()}


def rebuilt(
    opened: OpenedExhibit, changes: Mapping[str, Any] | None = None, blocks: Mapping[CID, bytes] | None = None
) -> OpenedExhibit:
    """A well-formed exhibit with another root or other blocks: what a forger sends, who can hash as well as anybody."""
    exhibit = Exhibit.from_block(opened.exhibit.model_copy(update=changes or {}).to_block())
    plaintext = exhibit_bytes(exhibit, blocks_of(opened) if blocks is None else blocks)
    return open_exhibit(enclose(history_of(opened.exhibit).genesis, exhibit, plaintext, None))
