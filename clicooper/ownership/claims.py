"""Judges ownership claims: four parts, each pass, fail or inconclusive, and an order among the claims that pass all.

a. *Record.* The opened key is the committed one, and the commitment leads to the head that the contract holds.
b. *Mark.* It is in the committed checkpoint, and in the suspect: blind, or beside raw weights that part c vouches for.
c. *Work.* The transcript is the committed one; the drawn intervals, done again, give its digests; nothing but marks
   lies between the trained weights and the released ones; the start is the one that the protocol demands.
d. *Descent.* The suspect resembles the checkpoint beyond every independent model, and contains its training.

The earliest commitment decides among claims that pass, and nothing else: a key committed early in a job of one's own
verifies in any model that it is embedded into later, and fails d there. Only a job that took over another one's public
starting weights comes behind it, whenever it committed. What a claim shows and does not is in
docs/watermark.md. Reads alone; a node vouches for part a, which is inconclusive without one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from eth_utils import keccak

from clicooper.audit.verdict import Check, CheckResult, combine
from clicooper.chain.client import Contract
from clicooper.commitments.ownership import OwnershipBundle
from clicooper.errors import ArtifactMalformed, CliCooperError, SpecError, VerificationFailed
from clicooper.learning.checkpoint import State, state_digest
from clicooper.learning.segments import initial_state
from clicooper.learning.suspect_file import Suspect
from clicooper.ownership.claim_files import ClaimFiles
from clicooper.ownership.claim_record import check_record
from clicooper.ownership.claim_work import check_work
from clicooper.ownership.proof import DEFAULT_SAMPLES
from clicooper.storage.base import Store
from clicooper.types import Verdict
from clicooper.watermark.carriers import carrier_of, layout_of, weights_of
from clicooper.watermark.detect import ACCEPT_LOG2_P, MarkReading, read_mark
from clicooper.watermark.informed import read_rest, unexplained
from clicooper.watermark.keys import MarkPurpose
from clicooper.watermark.similarity import compare_suspect
from clicooper.watermark.suspect import ClaimedMark, align_suspect, find_marks

__all__ = ["PARTS", "ClaimPart", "JudgedClaim", "copied_starts", "judge_claim", "ranked", "verdict_over"]

PARTS = {"a": "record", "b": "mark", "c": "work", "d": "descent"}

MARKLESS = "the claim does not reach this suspect: its mark was erased, or was never in it"

INDEPENDENT_MODELS = 3
"""Models with other starting weights that the suspect is compared with besides."""


@dataclass(frozen=True)
class ClaimPart:
    """One part of a claim: its letter, its verdict and one sentence for a person."""

    part: str
    verdict: Verdict
    detail: str

    def to_json(self) -> dict[str, Any]:
        """The object that ``ownership verify --json`` prints."""
        return {"part": self.part, "name": PARTS[self.part], "verdict": self.verdict.value, "detail": self.detail}


@dataclass(frozen=True)
class JudgedClaim:
    """A claim with the verdict of every part.

    Attributes:
        suspect_digest: of the suspect that it was judged upon.
        start: digest of the public weights that the segment started from; empty where they are not known.
    """

    bundle: OwnershipBundle
    parts: tuple[ClaimPart, ...]
    suspect_digest: bytes
    start: bytes = b""

    @property
    def verdict(self) -> Verdict:
        """Fail where any part fails, pass where all pass."""
        return combine(self.parts)

    def to_json(self) -> dict[str, Any]:
        """The object that ``ownership verify --json`` prints."""
        bundle = self.bundle
        return {
            "verdict": self.verdict.value,
            "trainer": bundle.trainer,
            "job": bundle.job,
            "round": bundle.round,
            "seat": bundle.seat,
            "chain_id": bundle.chain_id,
            "contract": "0x" + bundle.contract.hex(),
            "block": bundle.block,
            "made_for_this_suspect": bundle.suspect_digest == self.suspect_digest,
            "parts": [part.to_json() for part in self.parts],
        }


def judge_claim(
    store: Store,
    bundle: OwnershipBundle,
    suspect: Suspect,
    contract: Contract | None,
    *,
    samples: int = DEFAULT_SAMPLES,
    tests: int = 1,
    trusted_models: Collection[str] = frozenset(),
) -> JudgedClaim:
    """Judges all four parts of a claim; the bundle may be damaged.

    Args:
        store: where the bundle's blocks are.
        contract: the claim's own contract on a node that the reader trusts, or None.
        samples: drawn intervals that the claim has to show.
        tests: how many claims and suspects are looked at together.
        trusted_models: custom models whose code may run here.
    """
    files = ClaimFiles(store, bundle, trusted_models)
    work = _guarded(partial(_passed, check_work, files, samples))
    judges: dict[str, Callable[[], tuple[Verdict, str]]] = {
        "a": partial(_passed, check_record, files, contract),
        "b": partial(_judge_mark, files, suspect.state, tests, work[0]),
        "c": lambda: work,
        "d": partial(_judge_descent, files, suspect.state),
    }
    parts = tuple(ClaimPart(part, *_guarded(judge)) for part, judge in judges.items())
    return JudgedClaim(bundle, parts, suspect.digest, _start_digest(files))


def ranked(claims: Sequence[JudgedClaim]) -> tuple[JudgedClaim, ...]:
    """The claims that pass, the earliest commitment first; those that began from another job's start come last.

    Blocks order them on one chain. Claims of different chains have no common clock: they stay in the order given.
    """
    passed = [claim for claim in claims if claim.verdict is Verdict.PASS]
    if len({claim.bundle.chain_id for claim in passed}) > 1:
        return tuple(passed)
    copied = copied_starts(passed)
    return tuple(sorted(passed, key=lambda one: (one in copied, one.bundle.block, one.bundle.round, one.bundle.seat)))


def copied_starts(claims: Sequence[JudgedClaim]) -> tuple[JudgedClaim, ...]:
    """The claims whose job began from the starting weights of a job among them that was created before it.

    A starting point is public from the moment that its job is created. Whoever takes it over can add an update of its
    own to a stolen model, which then contains both trainings; that its commitment is earlier says nothing then.
    """
    return tuple(one for one in claims if any(_took_over(one, other) for other in claims))


def _took_over(one: JudgedClaim, other: JudgedClaim) -> bool:
    later = one.bundle.genesis != other.bundle.genesis and one.bundle.created_block > other.bundle.created_block
    return later and one.start == other.start != b""


def _start_digest(files: ClaimFiles) -> bytes:
    try:
        return state_digest(files.start)
    except CliCooperError:
        return b""


def verdict_over(claims: Sequence[JudgedClaim]) -> Verdict:
    """Pass where a claim passes and none is undecided, as that might be the earlier one; fail where all do."""
    verdicts = {claim.verdict for claim in claims}
    if Verdict.INCONCLUSIVE in verdicts:
        return Verdict.INCONCLUSIVE
    return Verdict.PASS if Verdict.PASS in verdicts else Verdict.FAIL


def _guarded(judge: Callable[[], tuple[Verdict, str]]) -> tuple[Verdict, str]:
    """The verdict of a part: it fails where what the claim shows is not what it has to be; all else is inconclusive."""
    try:
        return judge()
    except (VerificationFailed, SpecError, ArtifactMalformed) as e:
        return Verdict.FAIL, e.message
    except (Exception, SystemExit) as e:  # noqa: BLE001 - a model's code may raise anything, and nobody is at fault
        row = CheckResult.of_error(Check.REPLAY, "", e)
        return Verdict.INCONCLUSIVE, row.detail


def _passed(check: Callable[..., str], *arguments: Any) -> tuple[Verdict, str]:
    return Verdict.PASS, check(*arguments)


def _judge_mark(files: ClaimFiles, suspect: State, tests: int, work: Verdict) -> tuple[Verdict, str]:
    """The mark in the checkpoint, and in the suspect; what blind readings miss is sought beside the raw weights.

    A suspect with a carrier taken off would read perfectly beside itself, so only a replay of how the raw weights came
    about gives that second reading a meaning.
    """
    place, params, seed = (files.bundle.round, files.bundle.seat), files.mark_params, files.mark_seed
    own = read_mark(files.state(files.manifest.out), seed, params, tests=tests)
    if not own.found:
        raise VerificationFailed(f"the committed checkpoint does not hold the mark: {_in_words(own)}", hint=MARKLESS)
    mark = ClaimedMark(*place, MarkPurpose.OWNERSHIP, seed)
    raw = files.state(files.manifest.trained)
    # Counted twice over: the readings in every alignment, and one beside the raw weights.
    report = find_marks(suspect, [mark], {place: raw}, params, 2 * tests)
    (found,) = report.marks
    inside = f"in the checkpoint: {_in_words(own)}; in the suspect"
    if found.reading is not None and found.found:
        return Verdict.PASS, f"{inside}, {found.alignment}: {_in_words(found.reading)}, {report.tests} tests counted"
    if found.reading is None:
        raise VerificationFailed("the suspect does not hold the mark: nothing of the segment is there", hint=MARKLESS)
    beside = _read_beside(files, suspect, raw, report.tests)
    if not beside.found:
        words = f"{_in_words(found.reading)}; beside the raw weights {_in_words(beside)}"
        raise VerificationFailed(f"the suspect does not hold the mark: {words}", hint=MARKLESS)
    detail = f"{inside}, beside the raw weights alone: {_in_words(beside)}, {report.tests} tests counted"
    if work is Verdict.PASS:
        return Verdict.PASS, detail
    return Verdict.INCONCLUSIVE, f"{detail}; that says something only once part c shows how these weights came about"


def _read_beside(files: ClaimFiles, suspect: State, raw: State, tests: int) -> MarkReading:
    layout = layout_of(raw)
    known = [weights_of(reference, layout) for reference in (raw, files.start)]
    rest = unexplained(align_suspect(suspect, raw).best, known, layout)
    return read_rest(rest, carrier_of(files.mark_seed, layout.weights, files.mark_params.bits), tests)


def _in_words(reading: MarkReading) -> str:
    return f"{reading.matched} of {reading.bits} bits, log2 p {reading.log2_p:.1f} (needs {ACCEPT_LOG2_P:g})"


def _judge_descent(files: ClaimFiles, suspect: State) -> tuple[Verdict, str]:
    trained = files.state(files.manifest.trained)
    mark = carrier_of(files.mark_seed, layout_of(trained).weights, files.mark_params.bits)
    similarity = compare_suspect(suspect, trained, files.start, tuple(_independent(files)), mark)
    return similarity.verdict, similarity.in_words()


def _independent(files: ClaimFiles) -> Iterator[State]:
    """Models of the segment's shapes whose starting weights no reader of the claim could choose."""
    spec = files.spec
    for number in range(INDEPENDENT_MODELS):
        drawn = keccak(files.bundle.spec_digest + number.to_bytes(4, "big"))
        seeds = spec.seeds.model_copy(update={"weights": int.from_bytes(drawn[:4], "big")})
        yield initial_state(spec.model, seeds, files.bundle.seat)
