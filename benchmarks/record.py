"""Reading and checking a long history from a node, beside web3.py's own reader over the same blocks in the same run.

A job of 32 seats on Anvil, each commitment a transaction of its own, 320 of them a block: as many as a block of
Ethereum holds. Anvil sends them for the trainers without signatures, which no reader ever sees. Each reader runs in a
process of its own, so that its memory is its own. Options: ``--json``; ``--commitments N`` (100,000 by default).
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from clicooper.chain._abi import Abi
from clicooper.chain.client import Contract
from clicooper.chain.compile import load_artifact
from clicooper.chain.deploy import deploy
from clicooper.chain.keys import account_from_seed
from clicooper.chain.rpc import Node
from clicooper.commitments.canonical import sha256
from clicooper.commitments.head import label_anchor, label_keys, next_head
from clicooper.types import Address, JobParams

ROOT = Path(__file__).parents[1]
ETHER = 10**18
PRICE_WEI = 4 * 10**9
SEATS = 32
ROUNDS_A_BLOCK = 10
AUDITED = 10_000
FASTER, AUDIT_S, GROWTH = 10, 60, 1.25
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
        self._nonces = [node.nonce(sender) for sender in self._senders]

    def _params(self, rounds: int) -> JobParams:
        arbiter = Address(account_from_seed(b"record", "arbiter").address)
        digests = (sha256(b"spec"), label_anchor(self._keys[0]))
        return JobParams(1, 1000, 1000, SEATS, rounds, arbiter, *digests, challenge_bond_wei=10)

    def grow(self, rounds: int) -> None:
        """Adds rounds, several a block; every commitment and every acceptance is a transaction of its own."""
        self.node.ask("anvil_autoImpersonateAccount", True)
        self.node.ask("evm_setAutomine", False)
        for first in range(0, rounds, ROUNDS_A_BLOCK):
            calls = [call for n in range(first, min(rounds, first + ROUNDS_A_BLOCK)) for call in self._round(n)]
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


def read_with_web3(url: str, address: str, first: int, last: int, folder: str) -> dict[str, float]:
    """web3.py's reader: one call over all blocks."""
    from web3 import HTTPProvider, Web3  # noqa: PLC0415 - the other readers do without its weight

    web3 = Web3(HTTPProvider(url, {"timeout": 600}))
    contract = web3.eth.contract(Web3.to_checksum_address(address), abi=load_artifact().abi)
    seconds, found = timed(lambda: contract.events.Committed.get_logs(from_block=first, to_block=last))
    return {"seconds": seconds, "commitments": len(found)}
