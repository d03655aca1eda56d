"""Reading and checking a long history from a node, beside web3.py's own reader over the same blocks in the same run.

A job of 32 seats on Anvil, each commitment a transaction of its own, 320 of them a block: as many as a block of
Ethereum holds. Anvil sends them for the trainers without signatures, which no reader ever sees. Each reader runs in a
process of its own, so that its memory is its own.

Then the requests of each of 50 rounds of a real job, all roles in this process, whose number must not grow.
Options: ``--json``; ``--commitments N`` (100,000 by default, 0 leaves the history out); ``--rounds N`` (50).
"""

from __future__ import annotations

import argparse
import json
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from _table import Row, report

from clicooper.audit.checks.payment import check_payment
from clicooper.audit.verdict import combine
from clicooper.chain._abi import Abi
from clicooper.chain.client import Contract
from clicooper.chain.compile import load_artifact
from clicooper.chain.deploy import deploy
from clicooper.chain.events import Committed
from clicooper.chain.index.record_index import RecordIndex
from clicooper.chain.keys import account_from_seed
from clicooper.chain.record import record_from_json, record_to_json
from clicooper.chain.rpc.node import Node
from clicooper.commitments.canonical import sha256
from clicooper.commitments.head import label_anchor, label_keys, next_head
from clicooper.history.follow import follow_record
from clicooper.types import Address, JobId, JobParams, Verdict

ROOT = Path(__file__).parents[1]

ETHER = 10**18
PRICE_WEI = 4 * 10**9
SEATS = 32
ROUNDS_A_BLOCK = 10
AUDITED = 10_000
FASTER, AUDIT_S, GROWTH = 10, 60, 1.25
TURNS = 2
T = TypeVar("T")
LISTENING = re.compile(r"istening on (127\.0\.0\.1:\d+)")


@contextmanager
def anvil(folder: Path) -> Iterator[str]:
    """A fresh Anvil whose blocks hold as much as they are given; its address."""
    log = folder / "anvil.log"
    command = [ROOT / "node_modules/.bin/anvil", "--port", "0", "--order", "fees", "--gas-limit", str(10**9)]
    with log.open("wb") as out, subprocess.Popen(command, stdout=out, stderr=out) as process:
        try:
            while not (found := LISTENING.search(log.read_text(errors="replace"))):
                if process.poll() is not None:
                    sys.exit(f"anvil did not start: {log.read_text()[-500:]}")
                time.sleep(0.05)
            yield f"http://{found[1]}"
        finally:
            process.terminate()


class History:
    """A job that grows by whole rounds."""

    def __init__(self, node: Node, rounds: int) -> None:
        self.node = node
        self._keys = label_keys(sha256(b"last label key"), rounds + 1)
        self._abi = Abi(load_artifact().abi)
        accounts = [account_from_seed(b"record", f"{n}") for n in range(SEATS + 1)]
        for account in accounts:
            node.fund(Address(account.address), 90 * ETHER)
        self.address, receipt = deploy(node, accounts[0])
        self.first_block = receipt.block_number
        owner, *trainers = (Contract(node, self.address, account) for account in accounts)
        self._senders = [Address(account.address) for account in accounts]
        self.job, _ = owner.create_job(self._params(rounds + 1))
        self._head = genesis = owner.genesis_of(self.job)
        for seat, trainer in enumerate(trainers):
            trainer.join(self.job, genesis, seat, b"", 1000)
        owner.release_labels(self.job, self._keys[0])
        self._rounds = 0
        self._nonces = [node.nonce(sender) for sender in self._senders]

    def _params(self, rounds: int) -> JobParams:
        arbiter = Address(account_from_seed(b"record", "arbiter").address)
        digests = (sha256(b"spec"), label_anchor(self._keys[0]))
        return JobParams(1, 1000, 1000, SEATS, rounds, arbiter, *digests, challenge_bond_wei=10)

    def seen(self) -> dict[str, Any]:
        """Where the readers find it, and how many commitments there are."""
        place = {"address": self.address, "job": self.job, "first": self.first_block}
        return place | {"last": self.node.block_number(), "commitments": self._rounds * SEATS}

    def grow(self, rounds: int) -> None:
        """Adds rounds, several a block; every commitment and every acceptance is a transaction of its own."""
        self.node.ask("anvil_autoImpersonateAccount", True)
        self.node.ask("evm_setAutomine", False)
        end = self._rounds + rounds
        while self._rounds < end:
            last = min(end, self._rounds + ROUNDS_A_BLOCK)
            calls = [call for number in range(self._rounds, last) for call in self._round(number)]
            self._rounds = last
            # Anvil takes the calls of a batch in any order; within a block, the higher price goes first.
            prices = range(PRICE_WEI + len(calls), PRICE_WEI, -1)
            priced = [call | {"gasPrice": hex(price)} for call, price in zip(calls, prices, strict=True)]
            self.node.ask_many([("eth_sendTransaction", (call,)) for call in priced])
            self.node.ask("evm_mine")

    def _round(self, number: int) -> Iterator[dict[str, str]]:
        for seat in range(SEATS):
            manifest, mark = sha256(b"manifest %d %d" % (number, seat)), sha256(b"mark %d %d" % (number, seat))
            yield self._call(1 + seat, "commit", self.job, self._head, manifest, mark)
            self._head = next_head(self._head, self.job, number, seat, self._senders[1 + seat], manifest, mark)
        yield self._call(0, "accept", self.job, self._head, self._keys[number + 1])

    def _call(self, sender: int, name: str, *args: object) -> dict[str, str]:
        nonce, self._nonces[sender] = self._nonces[sender], self._nonces[sender] + 1
        data = "0x" + self._abi.encode_call(name, args).hex()
        fields = {"from": self._senders[sender], "to": self.address, "data": data, "nonce": hex(nonce)}
        return fields | {"gas": hex(200_000)}


def read_with_web3(url: str, history: dict[str, Any], _: Path) -> dict[str, float]:
    """web3.py's reader: one call over all blocks."""
    from web3 import HTTPProvider, Web3  # noqa: PLC0415 - the other readers do without its weight

    web3 = Web3(HTTPProvider(url, {"timeout": 600}))
    contract = web3.eth.contract(Web3.to_checksum_address(history["address"]), abi=load_artifact().abi)
    blocks = {"from_block": history["first"], "to_block": history["last"]}
    seconds, found = timed(lambda: contract.events.Committed.get_logs(**blocks))
    return {"seconds": seconds, "commitments": len(found)}


def read_with_index(url: str, history: dict[str, Any], path: Path) -> dict[str, float]:
    """Our reader: pages into a fresh index, every check, every event decoded."""

    def read(node: Node) -> int:
        with RecordIndex(path, node, history["address"], history["first"]) as index:
            index.sync()
            return sum(isinstance(event, Committed) for event in index.bare_events(JobId(history["job"])))

    with Node.connect(url) as node:
        seconds, found = timed(lambda: read(node))
    return {"seconds": seconds, "commitments": found}


def audit_from_index(url: str, history: dict[str, Any], path: Path) -> dict[str, float]:
    """The record with senders and gas, there and back through its file, followed and settled; nothing is replayed."""

    def audit(node: Node) -> int:
        with RecordIndex(path, node, history["address"], history["first"]) as index:
            index.sync()
            record = index.record(JobId(history["job"]))
        followed = follow_record(record_from_json(record_to_json(record)))
        if combine(check_payment(followed)) is Verdict.FAIL:
            sys.exit("the history does not pass")
        return len(followed.commitments)

    with Node.connect(url) as node:
        seconds, found = timed(lambda: audit(node))
    return {"seconds": seconds, "commitments": found}


READERS = {"web3": read_with_web3, "index": read_with_index, "audit": audit_from_index}


def timed(work: Callable[[], T]) -> tuple[float, T]:
    """Seconds, and what the work returns."""
    started = time.perf_counter()
    found = work()
    return time.perf_counter() - started, found


def apart(reader: str, url: str, history: dict[str, Any], path: Path) -> dict[str, float]:
    """What a reader measures in a process of its own, which must find all commitments, and its peak memory in MiB."""
    run = [sys.executable, __file__, "--read", reader, url, json.dumps(history), str(path)]
    found: dict[str, float] = json.loads(subprocess.run(run, check=True, capture_output=True, text=True).stdout)
    if found["commitments"] != history["commitments"]:
        sys.exit(f"{reader} found {found['commitments']} of {history['commitments']} commitments")
    return found


def read_and_print(reader: str, url: str, history: str, path: str) -> None:
    """The other side of ``apart``."""
    measured = READERS[reader](url, json.loads(history), Path(path))
    print(json.dumps(measured | {"peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))


def measure(commitments: int, folder: Path) -> Iterator[Row]:
    """A tenth of the history first, for the audit and for how memory grows; then all of it."""
    rounds, early = -(-commitments // SEATS), -(-min(commitments, AUDITED) // SEATS)
    with anvil(folder) as url, Node.connect(url, timeout_s=120) as node:
        history = History(node, rounds)
        history.grow(early)
        short = history.seen()
        small = apart("index", url, short, folder / "small.sqlite")
        audit = apart("audit", url, short, folder / "audit.sqlite")
        history.grow(rounds - early)
        whole = history.seen()
        # Alternating turns, so that whatever else the machine does falls on both.
        turns = [
            (apart("index", url, whole, folder / f"whole-{turn}.sqlite"), apart("web3", url, whole, folder))
            for turn in range(TURNS)
        ]
    own, other = (min(turn[side]["seconds"] for turn in turns) for side in (0, 1))
    memory, others = (max(turn[side]["peak_mib"] for turn in turns) for side in (0, 1))
    count = whole["commitments"]
    yield Row(f"read and check {count} commitments, over web3.py", own, "s", against=other, target=1 / FASTER)
    yield Row(f"peak memory for {count}, over {short['commitments']}", memory, "MiB", small["peak_mib"], GROWTH)
    yield Row(f"peak memory for {count}, over web3.py", memory, "MiB", against=others)
    yield Row(f"audit of {short['commitments']} commitments, no replay", audit["seconds"], "s", target=AUDIT_S)


def measure_requests(rounds: int, folder: Path) -> Iterator[Row]:
    """What the roles of one job ask of the chain in each round."""
    # Here and not above: the readers' processes do without the weight of torch.
    sys.path.insert(0, str(ROOT))
    from clicooper.chain.rpc.embedded import EmbeddedChain  # noqa: PLC0415
    from clicooper.protocol.round import SettledRound, run_round  # noqa: PLC0415
    from tests.scenario import quiet, rehearsal, tiny_config  # noqa: PLC0415
    from tests.simulators import CountingTransport  # noqa: PLC0415

    chain = CountingTransport(EmbeddedChain(31337))
    asked: list[int] = []
    # Wide enough for the marks of so many rounds.
    config = tiny_config(rounds=rounds, widths=(384,) * 4)
    with rehearsal(folder / "run", config, connect=lambda: Node(chain)) as job:
        last: SettledRound | None = None
        for round_ in range(rounds):
            before, head = chain.requests, last.head if last else job.opened.genesis
            last = run_round(job.opened.owner, job.opened.trainers, round_, head, last, quiet)
            asked.append(chain.requests - before)
    yield Row(f"requests of the last of {rounds} rounds, over the first", asked[-1], "", asked[0], 1)
    yield Row(f"most requests of a round, over the fewest of {rounds}", max(asked), "", min(asked), 1)


def main() -> None:
    """Measures and reports."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument("--commitments", type=int, default=100_000, help="how long the history is")
    parser.add_argument("--rounds", type=int, default=50, help="of the job whose requests are counted")
    parser.add_argument("--read", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.read:
        read_and_print(*arguments.read)
        return
    with tempfile.TemporaryDirectory() as folder:
        history = measure(arguments.commitments, Path(folder)) if arguments.commitments else ()
        report((*history, *measure_requests(arguments.rounds, Path(folder))))


if __name__ == "__main__":
    main()
