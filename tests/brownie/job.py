"""A job's figures and acts, as the tests of this folder share them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from brownie import chain, reverts, web3

ROUNDS, SEATS, WINDOW_S = 2, 2, 1_000
PAY, STAKE, OWNER_BOND, CHALLENGE_BOND, SILENCE_PENALTY = 10**15, 5 * 10**15, 2 * 10**15, 10**14, 10**15
MANIFEST, MARK = (bytes([i]) * 32 for i in (2, 3))
ZERO_ADDRESS = "0x" + "00" * 20
PHASES = ["None", "Open", "Labels", "Commit", "Review", "Refill", "Arbitration", "Done", "Cancelled", "Aborted"]


def label_keys() -> list[bytes]:
    """The keys in the order in which they are revealed, each the keccak-256 of the next one; ``[0]`` is the anchor."""
    keys = [b"\x07" * 32]
    for _ in range(ROUNDS + 1):
        keys.insert(0, bytes(web3.keccak(keys[0])))
    return keys


ANCHOR, *KEYS = label_keys()


def refused(name: str) -> Any:
    """Expects the contract's own error of this name, whatever its arguments."""
    return reverts(revert_pattern=f"(?s){name}(:.*)?")


@dataclass(frozen=True)
class Job:
    """One job through Brownie's contract object."""

    contract: Any
    number: int
    owner: Any
    trainers: tuple[Any, Any]

    @property
    def view(self) -> dict[str, Any]:
        """``jobOf`` by field name, the phase by its name."""
        fields = dict(self.contract.jobOf(self.number).dict())
        return fields | {"phase": PHASES[fields["phase"]]}

    @property
    def head(self) -> Any:
        """The running head."""
        return self.view["head"]

    def join(self, seat: int) -> Any:
        """Seats one trainer with its stake."""
        sender = {"from": self.trainers[seat], "value": STAKE}
        return self.contract.join(self.number, self.contract.genesisOf(self.number), seat, b"keys", sender)

    def start(self) -> None:
        """Fills the seats and reveals the first label key."""
        for seat in range(SEATS):
            self.join(seat)
        self.contract.releaseLabels(self.number, KEYS[0], {"from": self.owner})

    def commit(self, seat: int) -> Any:
        """Commits one seat's segment on top of the head."""
        return self.contract.commit(self.number, self.head, MANIFEST, MARK, {"from": self.trainers[seat]})

    def commit_all(self) -> None:
        """Commits every seat in order."""
        for seat in range(SEATS):
            self.commit(seat)

    def accept(self, round_: int) -> Any:
        """Accepts the round in review."""
        return self.contract.accept(self.number, self.head, KEYS[round_ + 1], {"from": self.owner})

    def owed(self, account: Any) -> int:
        """What ``withdraw`` would pay."""
        return int(self.contract.owedTo(self.number, account))


def parameters(arbiter: Any, **changes: object) -> tuple[object, ...]:
    """``Params`` in the order of the contract's struct, with some fields changed."""
    windows = ("joinWindow", "labelWindow", "trainWindow", "turnWindow", "reviewWindow", "arbitrationWindow")
    fields: dict[str, object] = {
        "token": ZERO_ADDRESS,
        "pay": PAY,
        "stake": STAKE,
        "ownerBond": OWNER_BOND,
        "challengeBond": CHALLENGE_BOND,
        "arbiterFee": 0,
        "silencePenalty": SILENCE_PENALTY,
        "seats": SEATS,
        "rounds": ROUNDS,
        **dict.fromkeys(windows, WINDOW_S),
        "arbiter": arbiter,
        "specDigest": hashlib.sha256(b"spec").digest(),
        "labelAnchor": ANCHOR,
        "allowList": [],
    }
    assert set(changes) <= set(fields)
    return tuple((fields | changes).values())


def escrow() -> int:
    """What ``createJob`` locks."""
    return PAY * SEATS * ROUNDS + OWNER_BOND


def after(seconds: int) -> None:
    """Lets the chain's time pass and mines a block there."""
    chain.sleep(seconds)
    chain.mine()
