"""What a job asks of its chain: the same in every round, however many went before."""

from __future__ import annotations

from pathlib import Path

from clicooper.chain.rpc.embedded import EmbeddedChain
from clicooper.chain.rpc.node import Node
from clicooper.protocol.round import SettledRound, run_round
from tests.scenario import quiet, rehearsal, tiny_config
from tests.simulators import CountingTransport

ROUNDS = 6


def test_every_round_makes_as_many_requests_as_the_first(tmp_path: Path) -> None:
    chain = CountingTransport(EmbeddedChain(31337))
    config = tiny_config(rounds=ROUNDS)
    asked: list[tuple[int, int]] = []
    with rehearsal(tmp_path / "run", config, connect=lambda: Node(chain)) as job:
        last: SettledRound | None = None
        for round_ in range(ROUNDS):
            before = chain.requests, chain.calls
            head = last.head if last else job.opened.genesis
            last = run_round(job.opened.owner, job.opened.trainers, round_, head, last, quiet)
            asked.append((chain.requests - before[0], chain.calls - before[1]))
    assert len(set(asked)) == 1, asked
