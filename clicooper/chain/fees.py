"""What a unit of gas costs, and the limits within which an account sends: EIP-1559 fees with a cap, confirmations.

Prices come from the node; nothing here signs or sends.
"""

from dataclasses import dataclass
from pathlib import Path

from clicooper.chain.rpc.node import Node
from clicooper.chain.sent import SentTransactions
from clicooper.errors import ChainError, UsageError

__all__ = ["GAS_MARGIN", "GWEI", "Fees", "SendPolicy", "gas_limit", "quote"]

GWEI = 10**9
CONFIRMATIONS = 3
GAS_MARGIN = 1.2
"""Over the estimate: a slot that another transaction rewrites first can cost more than in the simulation."""


@dataclass(frozen=True)
class SendPolicy:
    """What an account accepts before it sends, and before it believes.

    Args:
        max_fee_wei: most that a unit of gas may cost, tip included; None leaves it to the network.
        confirmations: blocks that must hold the transaction or stand on it; 1 is the transaction's own block.
        timeout_s: how long a transaction may take into its block before it is given up for now, in seconds.
        sent: where every transaction is noted before it leaves; None notes nothing, so that what was given up is
            sent anew the next time.

    Raises:
        UsageError: a cap or a number of confirmations below 1.
    """

    max_fee_wei: int | None = None
    confirmations: int = 1
    timeout_s: float = 180
    sent: SentTransactions | None = None

    def __post_init__(self) -> None:
        if self.confirmations < 1 or (self.max_fee_wei is not None and self.max_fee_wei < 1):
            raise UsageError("a fee cap and a number of confirmations are at least 1", hint="give a larger one")

    @classmethod
    def usual(
        cls,
        node: Node,
        max_fee_wei: int | None = None,
        confirmations: int | None = None,
        home: Path | None = None,
    ) -> "SendPolicy":
        """Waits for the transaction's own block on a local chain, and for two more where others use the chain too.

        Args:
            home: the client's folder, in which what is sent is noted.
        """
        sent = None if home is None else SentTransactions(home)
        return cls(max_fee_wei, confirmations or (1 if node.is_local else CONFIRMATIONS), sent=sent)


@dataclass(frozen=True)
class Fees:
    """Per unit of gas, in wei: what the next block asks, what the miner gets, and the most that is ever paid."""

    base_wei: int
    tip_wei: int
    max_wei: int

    @property
    def now_wei(self) -> int:
        """What a unit costs in the next block, if the base fee stays."""
        return min(self.base_wei + self.tip_wei, self.max_wei)


def quote(node: Node, policy: SendPolicy = SendPolicy()) -> Fees:
    """The fees of a transaction sent now: room for the base fee to double, but never beyond the cap.

    Raises:
        ChainError: the network asks more than the cap.
    """
    base_wei, tip_wei = node.block().base_fee_wei, node.tip_wei()
    wanted_wei = 2 * base_wei + tip_wei
    if policy.max_fee_wei is None:
        return Fees(base_wei, tip_wei, wanted_wei)
    if policy.max_fee_wei < base_wei:
        asked, cap = base_wei / GWEI, policy.max_fee_wei / GWEI
        hint = "wait until the network is quieter, or raise --max-fee-gwei"
        raise ChainError(f"the network asks {asked:g} gwei a unit of gas, the cap is {cap:g} gwei", hint=hint)
    max_wei = min(wanted_wei, policy.max_fee_wei)
    return Fees(base_wei, min(tip_wei, max_wei), max_wei)


def gas_limit(estimate: int) -> int:
    """The gas to send along with a call that was estimated to need ``estimate``."""
    return int(estimate * GAS_MARGIN)
