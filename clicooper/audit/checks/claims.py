"""The checks of single claims. Each takes evidence and returns rows; none repeats training.

A check never catches: a missing, damaged or malformed artifact propagates as its error, and ``guarded``
turns it into the right row. What is compared is named in the row, with both sides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np
from multiformats import CID

from clicooper.access.grants import Grant
from clicooper.audit.artifacts import Artifacts
from clicooper.audit.checks.mark_links import broken_link
from clicooper.audit.checks.release_claim import release_claims
from clicooper.audit.replay.sampling import Draw
from clicooper.audit.replay.unpublished import kept_back
from clicooper.audit.sealed import author_of, check_ciphertexts, own_start, sealed_by_seat, sealed_text
from clicooper.audit.verdict import Check, CheckResult
from clicooper.commitments.canonical import cid_of_digest, sha256, tensor_digest
from clicooper.commitments.head import mark_commitment
from clicooper.commitments.manifest import KeyRecord, SegmentManifest, StateLinks
from clicooper.errors import ArtifactCorrupt, ArtifactMissing, CliCooperError, GraphTooLarge, SealError, StorageError
from clicooper.history.follow import Commitment, Seat
from clicooper.learning.checkpoint import state_bytes, state_digest
from clicooper.learning.schedule import batch_input, batch_rows
from clicooper.learning.segments import initial_state
from clicooper.learning.transcript import Transcript, interval_bounds
from clicooper.storage.base import ListableStore, Store, missing
from clicooper.storage.ipld.cid import cid_bytes, cid_text
from clicooper.storage.ipld.graph import walk
from clicooper.types import Digest, Verdict
from clicooper.watermark.bound import check_embedding
from clicooper.watermark.carriers import MarkParams
from clicooper.watermark.detect import ACCEPT_LOG2_P, read_mark
from clicooper.watermark.keys import MarkPurpose, mark_seed

__all__ = [
    "check_artifacts",
    "check_boundary",
    "check_coverage",
    "check_embed",
    "check_grant",
    "check_labels",
    "check_links",
    "check_manifest",
    "check_mark",
    "check_release",
    "check_seat",
    "check_store",
    "guarded",
    "outside_sample",
]


def guarded(
    check: Check,
    subject: str,
    run: Callable[[], Iterable[CheckResult]],
    round_: int | None = None,
    seat: int | None = None,
) -> tuple[CheckResult, ...]:
    """The rows of a check, or the one row that says why it could not be completed."""
    try:
        return tuple(run())
    except CliCooperError as e:
        return (CheckResult.of_error(check, subject, e, round_=round_, seat=seat),)


def check_seat(seat: Seat) -> Iterator[CheckResult]:
    """The key record that a trainer registered is well-formed."""
    record = KeyRecord.from_block(seat.key_record)
    yield CheckResult(Check.RECORD, Verdict.PASS, seat.trainer, f"registered {record.endpoint}", seat=seat.seat)


def check_grant(artifacts: Artifacts, seat: Seat) -> Iterator[CheckResult]:
    """The grant that a trainer registered is there, and is its own for this job; whom it lets in, it does not show.

    It names the job's genesis, which binds chain, contract, number and terms: a record of other terms than those that
    the trainer joined under disagrees with it, and nobody needs a secret to see that.
    """
    cid = KeyRecord.from_block(seat.key_record).grant
    grant = Grant.from_block(artifacts.store.get_block(cid))
    claims: list[tuple[str, object, object]] = [
        ("job of the registered grant", artifacts.history.genesis, grant.genesis),
        ("author of the registered grant", author_of(seat.trainer), grant.author),
    ]
    yield _first_difference(Check.RECORD, cid_text(cid), claims, None, seat.seat)


def check_manifest(artifacts: Artifacts, commitment: Commitment) -> Iterator[CheckResult]:
    """The committed manifest says what the chain and the spec say."""
    manifest = artifacts.manifest(commitment.round, commitment.seat)
    spec = artifacts.spec
    claims = [
        ("job", commitment.logged.event.job, manifest.job),
        ("round", commitment.round, manifest.round),
        ("seat", commitment.seat, manifest.seat),
        ("trainer", bytes.fromhex(commitment.trainer[2:]), manifest.trainer),
        ("mark commitment", commitment.mark_commitment, manifest.mark_commitment),
        ("spec", str(cid_of_digest(artifacts.history.params.spec_digest)), str(manifest.spec)),
        ("runtime class", spec.runtime_class, manifest.runtime_class),
        ("steps", spec.training.steps, manifest.transcript.steps),
        ("interval", spec.replay.interval, manifest.transcript.interval),
        ("interval states", artifacts.intervals - 1, len(manifest.transcript.states)),
        (
            "authors of its files",
            {author_of(commitment.trainer)},
            {sealed.author for sealed in sealed_by_seat(manifest)},
        ),
    ]
    yield _first_difference(Check.MANIFEST, str(manifest.cid), claims, commitment.round, commitment.seat)


def _authors(manifest: SegmentManifest) -> list[str]:
    return sorted({sealed.author.hex() for sealed in sealed_by_seat(manifest)})


def _first_difference(
    check: Check, subject: str, claims: list[tuple[str, object, object]], round_: int | None, seat: int | None
) -> CheckResult:
    """One row for several claims: the first that differs, else a pass that counts them."""
    for name, expected, actual in claims:
        if expected != actual:
            return CheckResult.compare(
                check, subject, expected, actual, round_=round_, seat=seat, detail=f"{name} differs"
            )
    names = ", ".join(name for name, _, _ in claims)
    return CheckResult(check, Verdict.PASS, subject, f"agrees on {names}", round_, seat)


def check_links(artifacts: Artifacts, commitment: Commitment) -> Iterator[CheckResult]:
    """The manifest continues the seat's last accepted round and its neighbour's manifest of this round."""
    round_, seat = commitment.round, commitment.seat
    manifest = artifacts.manifest(round_, seat)
    previous = artifacts.manifest(round_ - 1, seat) if round_ else None
    # By its digest on chain: what the neighbour's manifest says, or whether it is there, is not this seat's affair.
    predecessor = cid_of_digest(artifacts.commitment(round_, seat - 1).manifest_digest) if seat else None
    claims: list[tuple[str, object, object]] = [
        ("previous", previous and str(previous.cid), manifest.previous and str(manifest.previous)),
        ("predecessor", predecessor and str(predecessor), manifest.predecessor and str(manifest.predecessor)),
        *(_initial_claims(artifacts, seat, manifest) if previous is None else _handover_claims(previous, manifest)),
    ]
    yield _first_difference(Check.LINKS, str(manifest.cid), claims, round_, seat)


def _initial_claims(artifacts: Artifacts, seat: int, manifest: SegmentManifest) -> list[tuple[str, object, object]]:
    """Judged by the plaintext's digest, which needs no secret: anybody can derive the initial weights."""
    spec = artifacts.spec
    weights = sha256(state_bytes(initial_state(spec.model, spec.seeds, seat)))
    return [
        ("initial weights", weights, manifest.state_in.weights.plaintext_digest),
        ("optimizer in", "None", sealed_text(manifest.state_in.optimizer)),
    ]


def _handover_claims(previous: SegmentManifest, manifest: SegmentManifest) -> list[tuple[str, object, object]]:
    return [
        ("weights in", sealed_text(previous.out), sealed_text(manifest.state_in.weights)),
        ("optimizer in", sealed_text(previous.optimizer), sealed_text(manifest.state_in.optimizer)),
    ]


def check_artifacts(
    artifacts: Artifacts, commitment: Commitment, intervals: Sequence[int] | None = None
) -> Iterator[CheckResult]:
    """Every file of the manifest is there, intact, opens, and is of the digests that the transcript commits to.

    Without its author's sealing secret, only that every ciphertext is there and intact. Interval states that the spec
    lets a trainer keep back need not be there.

    Args:
        intervals: of the states between intervals, only those at which these start; None takes all.
    """
    round_, seat = commitment.round, commitment.seat
    manifest = artifacts.manifest(round_, seat)
    try:
        artifacts.secret_of(author_of(commitment.trainer))
    except SealError as e:
        yield check_ciphertexts(artifacts, commitment, intervals)
        yield CheckResult.of_error(Check.ARTIFACTS, "sealed files", e, round_=round_, seat=seat)
        return
    transcript = artifacts.transcript(round_, seat)
    ends = [*manifest.transcript.states, StateLinks(weights=manifest.trained, optimizer=manifest.optimizer)]
    chosen = range(len(ends)) if intervals is None else sorted({i - 1 for i in intervals if i} | {len(ends) - 1})
    claims: list[tuple[str, object, object]] = []
    absent = kept_back(artifacts.spec, manifest, artifacts.store)
    for number in chosen:
        if ends[number].weights.ciphertext in absent:
            continue
        step = min((number + 1) * transcript.interval, len(transcript.steps)) - 1
        weights, optimizer = artifacts.state(ends[number])
        claims.append((f"state after step {step}", transcript.steps[step].state, state_digest(weights, optimizer)))
    for sealed in (manifest.out, *(start.weights for start in own_start(manifest))):
        artifacts.state_file(sealed)
    yield _first_difference(Check.ARTIFACTS, str(manifest.cid), claims, round_, seat)


def check_coverage(artifacts: Artifacts, round_: int, intervals: Sequence[int] | None = None) -> Iterator[CheckResult]:
    """Seat 0 trained on exactly the scheduled batches of the release, in order.

    Args:
        intervals: whose batches are compared; None compares all.
    """
    spec, transcript = artifacts.spec, artifacts.transcript(round_, 0)
    rows = batch_rows(spec.seeds, round_, spec.rows_until(round_), spec.training)
    steps = range(len(rows)) if intervals is None else _steps_of(artifacts, intervals)
    claims: list[tuple[str, object, object]] = []
    for step in steps:
        batch = batch_input(artifacts.activations, rows[step], spec.seeds, round_, step, spec.training)
        claims.append((f"batch of step {step}", tensor_digest(batch), transcript.steps[step].input))
    row = _first_difference(Check.COVERAGE, f"{len(claims)} batches", claims, round_, 0)
    sampled = "" if intervals is None else f", of {len(rows)}"
    passed = f"{len(claims)} batches of {rows.shape[1]}{sampled} as scheduled"
    yield row if row.verdict is Verdict.FAIL else CheckResult(row.check, row.verdict, row.subject, passed, round_, 0)


def _steps_of(artifacts: Artifacts, intervals: Sequence[int]) -> list[int]:
    training, replay = artifacts.spec.training, artifacts.spec.replay
    return [step for i in intervals for step in range(*interval_bounds(i, training.steps, replay.interval))]


def check_boundary(artifacts: Artifacts, commitment: Commitment) -> Iterator[CheckResult]:
    """Transcript, root and boundary digests belong together, and the seat agrees with the one below it."""
    round_, seat = commitment.round, commitment.seat
    manifest, transcript = artifacts.manifest(round_, seat), artifacts.transcript(round_, seat)
    own: list[tuple[str, object, object]] = [
        ("transcript root", manifest.training_transcript_merkle_root, transcript.root),
        ("boundary digests", manifest.boundary, transcript.boundary()),
    ]
    yield _first_difference(Check.BOUNDARY, cid_text(manifest.transcript.leaves.ciphertext), own, round_, seat)
    if seat:
        yield _compare_neighbours(artifacts, round_, seat, transcript)


def _compare_neighbours(artifacts: Artifacts, round_: int, seat: int, transcript: Transcript) -> CheckResult:
    """What the seat received is what the seat below sent, and the other way round; a mismatch names the pair."""
    subject = f"seats {seat - 1} and {seat}"
    try:
        below = artifacts.transcript(round_, seat - 1)
    except CliCooperError as e:
        # The neighbour's own rows judge its transcript; held against this seat it would accuse the wrong one.
        return CheckResult(Check.BOUNDARY, Verdict.INCONCLUSIVE, subject, e.message, round_)
    pair: list[tuple[str, object, object]] = []
    for step, (lower, upper) in enumerate(zip(below.steps, transcript.steps, strict=True)):
        pair.append((f"activation of step {step}", lower.output, upper.input))
        pair.append((f"gradient of step {step}", upper.grad_sent, lower.grad_received))
    row = _first_difference(Check.BOUNDARY, subject, pair, round_, None)
    passed = f"agree on {len(pair)} tensors"
    return row if row.verdict is Verdict.FAIL else CheckResult(row.check, row.verdict, row.subject, passed, round_)


def check_labels(artifacts: Artifacts, round_: int) -> Iterator[CheckResult]:
    """The round's labels open under its key, are those of the spec, and stay within exactly m a pseudo-label."""
    spec, labels = artifacts.spec, artifacts.labels(round_)
    outputs, per_label = spec.model.outputs, spec.release.m // spec.release.group
    until = artifacts.pseudo_labels_until(round_)
    # Clipped, so that a label out of range, a failure of its own below, cannot size the array of counts.
    counts = np.bincount(np.minimum(until, outputs - 1), minlength=outputs)
    claims: list[tuple[str, object, object]] = [
        ("round", round_, labels.round),
        ("rows", spec.labels[round_].rows, len(labels.pseudo_labels)),
        ("labels in range", True, bool((until < outputs).all())),
        ("at most m a pseudo-label", True, int(counts.max()) <= per_label),
    ]
    if round_ == len(spec.labels) - 1:
        claims.append(("exactly m a pseudo-label", [per_label] * outputs, counts.tolist()))
    yield _first_difference(Check.LABELS, str(spec.labels[round_].ciphertext), claims, round_, None)


def check_release(artifacts: Artifacts) -> Iterator[CheckResult]:
    """The released activations are what the spec's privacy claim says, as far as a reader can tell."""
    spec = artifacts.spec
    claims = release_claims(spec, artifacts.release, artifacts.activations)
    yield _first_difference(Check.RELEASE, str(spec.activation_release), claims, None, None)


def _progress_seed(artifacts: Artifacts, commitment: Commitment) -> bytes:
    """The seed of the progress mark, once the granted key is known to be the committed one.

    Raises:
        SealError: the key was not granted, or is not the committed one.
    """
    granted = artifacts.keys.progress.get((commitment.round, commitment.seat))
    if granted is None:
        raise SealError("the progress key was not granted", hint="pass --identity FILE of an auditor with a grant")
    manifest = artifacts.manifest(commitment.round, commitment.seat)
    return mark_seed(
        granted.key,
        MarkPurpose.PROGRESS,
        commitment.head_before,
        commitment.logged.event.job,
        commitment.round,
        commitment.seat,
        commitment.trainer,
        Digest(manifest.training_transcript_merkle_root),
    )


def check_mark(artifacts: Artifacts, commitment: Commitment) -> Iterator[CheckResult]:
    """The progress mark of this head, round, seat, trainer and training is in the committed weights."""
    round_, seat = commitment.round, commitment.seat
    seed, manifest, spec = _progress_seed(artifacts, commitment), artifacts.manifest(round_, seat), artifacts.spec
    granted = artifacts.keys.progress[round_, seat]
    bound = mark_commitment(granted.key, Digest(granted.ownership_key_hash))
    subject = cid_text(manifest.out.ciphertext)
    row = CheckResult.compare(
        Check.MARK,
        subject,
        commitment.mark_commitment,
        bound,
        round_=round_,
        seat=seat,
        detail="granted key is the committed one",
    )
    yield row
    params = MarkParams(spec.marks.bits, spec.marks.strength)
    tests = artifacts.history.params.seats * artifacts.history.params.rounds
    out = artifacts.state_file(manifest.out)
    reading = read_mark(out, seed, params, tests=tests)
    verdict = Verdict.PASS if reading.found else Verdict.FAIL
    detail = "progress mark" if reading.found else broken_link(artifacts, commitment, out, params)
    found = f"{reading.matched} of {reading.bits} bits, log2 p {reading.log2_p:.1f}"
    yield CheckResult(Check.MARK, verdict, subject, detail, round_, seat, f"log2 p <= {ACCEPT_LOG2_P}", found)


def check_embed(artifacts: Artifacts, commitment: Commitment) -> Iterator[CheckResult]:
    """From trained to marked weights nothing happened but the two marks."""
    round_, seat = commitment.round, commitment.seat
    seed, manifest, spec = _progress_seed(artifacts, commitment), artifacts.manifest(round_, seat), artifacts.spec
    trained, out = artifacts.state_file(manifest.trained), artifacts.state_file(manifest.out)
    result = check_embedding(trained, out, seed, MarkParams(spec.marks.bits, spec.marks.strength))
    verdict = Verdict.PASS if result.ok else Verdict.FAIL
    yield CheckResult(Check.EMBED, verdict, cid_text(manifest.out.ciphertext), result.reason, round_, seat)


def outside_sample(artifacts: Artifacts, draws: Mapping[int, Draw] | None) -> frozenset[bytes]:
    """Names of the states that a sampled audit does not read: those at which no drawn interval starts.

    Those of manifests that cannot be read are not known, so that none of them is left out.
    """
    unread: set[bytes] = set()
    for commitment in () if draws is None else artifacts.history.commitments:
        try:
            states = artifacts.manifest(commitment.round, commitment.seat).transcript.states
        except CliCooperError:
            continue
        drawn = set(draws[commitment.round].intervals) if draws is not None else set()
        for interval, state in enumerate(states, start=1):
            if interval not in drawn:
                unread |= {cid_bytes(one.ciphertext) for one in (state.weights, state.optimizer) if one is not None}
    return frozenset(unread)


def check_store(
    store: Store, roots: Iterable[CID] = (), unread: frozenset[bytes] = frozenset()
) -> Iterator[CheckResult]:
    """Every block below ``roots`` is there and intact; so is every other block, where the store can list them.

    One row for each block that is missing, has other bytes or is malformed, then one that counts the good ones.

    Args:
        unread: names of files that are left out; where there are any, blocks that no root links are left out, too.
    """
    rows: list[CheckResult] = []
    good: set[bytes] = set()
    left_out: set[bytes] = set()

    def get_block(cid: CID) -> bytes:
        if cid_bytes(cid) in unread:
            left_out.add(cid_bytes(cid))
            raise missing(cid, "the sample")
        return store.get_block(cid)

    def note(cid: CID, error: ArtifactMissing | ArtifactCorrupt) -> None:
        if cid_bytes(cid) not in left_out:
            rows.append(_bad_block(cid, error))

    try:
        for cid, _ in walk(get_block, roots, on_bad=note):
            good.add(cid_bytes(cid))
    except (StorageError, GraphTooLarge) as e:
        rows.append(CheckResult.of_error(Check.ARTIFACTS, "store", e))
    linked = len(good)
    others = store.cids() if isinstance(store, ListableStore) and not unread else ()
    judged = {row.subject for row in rows}
    for cid in others:
        if cid_bytes(cid) not in good and cid_text(cid) not in judged:
            try:
                store.get_block(cid)
                good.add(cid_bytes(cid))
            except CliCooperError as e:
                rows.append(_bad_block(cid, e))
    yield from rows
    verdict = Verdict.PASS if good else Verdict.INCONCLUSIVE
    found = f"{linked} blocks that the job links and {len(good) - linked} others hash to their names"
    if left_out:
        found += f"; {len(left_out)} files of states outside the sample were not read"
    yield CheckResult(Check.ARTIFACTS, verdict, "store", found)


def _bad_block(cid: CID, error: CliCooperError) -> CheckResult:
    return CheckResult.of_error(Check.ARTIFACTS, cid_text(cid), error)
