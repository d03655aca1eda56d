"""The ``payment`` check: what was earned, what was withdrawn, what is still owed."""

from __future__ import annotations

from collections.abc import Iterator

from clicooper.audit.state import History
from clicooper.audit.verdict import Check, CheckResult
from clicooper.types import Address, Phase, Verdict

__all__ = ["check_payment"]

TERMINAL = {Phase.DONE, Phase.CANCELLED, Phase.ABORTED}


def check_payment(history: History) -> Iterator[CheckResult]:
    """One row an account, and one for the job: locked money is withdrawn or still owed, to the wei.

    That each withdrawal paid exactly what was owed at its moment is a rule of the state machine already.
    """
    paid: dict[Address, int] = {}
    for withdrawal in history.withdrawals:
        paid[withdrawal.account] = paid.get(withdrawal.account, 0) + withdrawal.amount_wei
    for account in sorted({history.owner, *(seat.trainer for seat in history.seats), *paid}):
        owed = history.settlement.owed(account)
        detail = f"withdrew {paid.get(account, 0)} wei, is owed {owed} wei"
        yield CheckResult(Check.PAYMENT, Verdict.PASS, account, detail)
    if history.phase in TERMINAL:
        locked = history.params.escrow_wei + history.params.stake_wei * history.joined
        accounted = sum(paid.values()) + history.settlement.liabilities()
        yield CheckResult.compare(
            Check.PAYMENT, "all money locked in the job", locked, accounted, detail="withdrawn and still owed, in wei"
        )
