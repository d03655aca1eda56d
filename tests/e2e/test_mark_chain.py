"""Breaking the chain of marks: the check fails and names the link that was broken."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from clicooper.audit.verdict import Check
from clicooper.history.follow import follow_record
from clicooper.history.history import Round
from clicooper.learning.checkpoint import State
from clicooper.learning.training import TrainedSegment
from clicooper.protocol.committed import CommittedSegment
from clicooper.protocol.round import run_round
from clicooper.types import Head, Verdict
from clicooper.watermark.embed import embed_both
from clicooper.watermark.keys import MarkPurpose, mark_seed
from tests.adversaries import MarksFromWrongHead
from tests.scenario import Rehearsal, keys_of, quiet, rehearsal, seating, tiny_config


class MarksFromAnotherHead(MarksFromWrongHead):
    """Makes its marks from a head of the job, but not from the one that is due."""

    def released(self, round_: int, trained: TrainedSegment, out: State) -> State:  # noqa: ARG002
        self._index.sync()
        rounds = follow_record(self._index.record(self._job)).rounds
        keys = self._secrets.mark_keys(self._job, round_, self.seat)
        return self.marked(trained, round_, self.chosen(rounds), keys.of)

    def chosen(self, rounds: Sequence[Round]) -> Head:
        raise NotImplementedError


class MarksBeforeItsPredecessor(MarksFromAnotherHead):
    """From the head in which the round began, as if the seat below had not committed yet."""

    def chosen(self, rounds: Sequence[Round]) -> Head:
        return rounds[-1].commitments[0].head_before


class SwapsItsPredecessors(MarksFromAnotherHead):
    """Seat 2, right after seat 0, as if seat 1 came behind it."""

    def chosen(self, rounds: Sequence[Round]) -> Head:
        return rounds[-1].commitments[0].head


class SkipsARound(MarksFromAnotherHead):
    """In every round from where it stood in round 0, as if nothing had been committed since."""

    def chosen(self, rounds: Sequence[Round]) -> Head:
        return rounds[0].commitments[self.seat - 1].head


class ReusesASeed(MarksFromWrongHead):
    """Embeds the marks of round 0 in every round."""

    def released(self, round_: int, trained: TrainedSegment, out: State) -> State:  # noqa: ARG002
        if round_ == 0:
            place = (self._contract.job(self._job).head, self._job, 0, self.seat, self.address)
            keys, root = self._secrets.mark_keys(self._job, 0, self.seat), trained.transcript.root
            self.seeds = [mark_seed(keys.of(purpose), purpose, *place, root) for purpose in MarkPurpose]
        return dict(embed_both(trained.trained, *self.seeds, self._mark_params))


def broken(job: Rehearsal, *rounds: Sequence[CommittedSegment]) -> dict[tuple[int | None, int | None], str]:
    """By round and seat, what the failed rows of ``mark`` say; else only ``embed`` of the same seats may fail."""
    failed = [row for row in job.audit(keys_of(job, *rounds)).results if row.verdict is Verdict.FAIL]
    marks = {(row.round, row.seat): row.detail for row in failed if row.check is Check.MARK}
    others = {(row.round, row.seat) for row in failed if row.check is not Check.MARK}
    assert {row.check for row in failed} == {Check.MARK, Check.EMBED}
    assert others == set(marks)
    return marks


def test_mark_made_before_the_predecessor_committed_is_named(tmp_path: Path) -> None:
    with rehearsal(tmp_path / "run", make_trainer=seating({1: MarksBeforeItsPredecessor})) as job:
        assert broken(job, job.train_and_commit()) == {
            (0, 1): "the mark was made before seat 0 committed in round 0, "
            "where one made after seat 0 committed in round 0 is due"
        }


def test_mark_after_swapped_predecessors_is_named(tmp_path: Path) -> None:
    config = tiny_config(trainers=3, rounds=1, steps=2, interval=1)
    with rehearsal(tmp_path / "run", config, make_trainer=seating({2: SwapsItsPredecessors})) as job:
        assert broken(job, job.train_and_commit()) == {
            (0, 2): "the mark was made before seat 1 committed in round 0, "
            "where one made after seat 1 committed in round 0 is due"
        }


def test_skipped_round_and_re_used_seed_are_named(tmp_path: Path) -> None:
    with rehearsal(tmp_path / "run", make_trainer=seating({0: ReusesASeed, 1: SkipsARound})) as job:
        first = run_round(job.opened.owner, job.opened.trainers, 0, job.opened.genesis, None, quiet)
        second = job.train_and_commit(1, first.commitments)
        assert broken(job, first.commitments, second) == {
            (1, 0): "the mark is that of round 0 again, where one made from the head in which round 1 began is due",
            (1, 1): "the mark was made before seat 1 committed in round 0, "
            "where one made after seat 0 committed in round 1 is due",
        }
