"""The ``payment`` check: what was earned, what was withdrawn, what is still owed."""

from __future__ import annotations

from collections.abc import Iterator

from clicooper.audit.verdict import Check, CheckResult
from clicooper.history.history import History
from clicooper.types import DEAD_ADDRESS, ZERO_ADDRESS, Address, Phase, Verdict

__all__ = ["check_payment"]

TERMINAL = {Phase.DONE, Phase.CANCELLED, Phase.ABORTED}


def check_payment(history: History) -> Iterator[CheckResult]:
    """One row an account, and one for the job: locked money is withdrawn or still owed, to the wei.

    That each withdrawal paid exactly what was owed at its moment is a rule of the state machine already.
    """
    unit = "wei" if history.params.token == ZERO_ADDRESS else f"units of token {history.params.token}"
    paid: dict[Address, int] = {}
    for withdrawal in history.withdrawals:
        paid[withdrawal.account] = paid.get(withdrawal.account, 0) + withdrawal.amount_wei
    for account in sorted(_parties(history) | set(paid)):
        owed = history.settlement.owed(account)
        detail = f"withdrew {paid.get(account, 0)} {unit}, is owed {owed} {unit}"
        if account == DEAD_ADDRESS:
            detail = f"{owed} {unit} are burned"
        yield CheckResult(Check.PAYMENT, Verdict.PASS, account, detail)
    if history.phase in TERMINAL:
        locked = history.params.escrow_wei + history.params.stake_wei * history.joined + history.bonds_wei
        accounted = sum(paid.values()) + history.settlement.liabilities()
        yield CheckResult.compare(
            Check.PAYMENT,
            "all money locked in the job",
            locked,
            accounted,
            detail=f"withdrawn and still owed, in {unit}",
        )


def _parties(history: History) -> set[Address]:
    """The owner, the seats' holders, and all others that are owed something."""
    credited = {account for account, amount in history.settlement.credits.items() if amount}
    return {history.owner, *(seat.trainer for seat in history.seats), *credited}
