"""Who is owed what: the contract's accounting as a frozen record, one method an event.

1. Pay is lazy: a seat has earned ``(accepted - from_round) * pay`` minus what it withdrew. Earned pay is never
   forfeit: it becomes credit when the seat is vacated.
2. A silent seat: ``silencePenalty`` of its stake is burned, the rest returns.
3. A guilty seat: its challenger gets bond and ``challengeBond``, the arbiter its fee, the other seats the rest of the
   stake in equal parts, the owner the dust.
4. An equivocating seat: the reporter gets ``challengeBond``, or the challenger if the seat stood accused; the rest of
   the stake is burned.
5. A challenge that fails: the arbiter gets its fee out of the bond, the rest is burned. One that lapses: the bond
   returns.
6. An owner silent about labels loses its bond to the seats in equal parts, but for the dust. A guilty owner too, after
   the arbiter's fee was taken from it; the challenger's bond returns. With no seat held, the bond stays the owner's.
7. At the end stakes, the owner's bond and the pay of the rounds that were never accepted return.

What is burned is owed to an address that nobody has the key of.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from clicooper.types import DEAD_ADDRESS, Address, JobParams

__all__ = ["DEAD_ADDRESS", "Settlement"]


@dataclass(frozen=True)
class Settlement:
    """Liabilities of one job at one moment; amounts in wei, or in the job's token's smallest unit.

    Attributes:
        seats: trainer and first unpaid round of each occupied seat.
        credits: what accounts are owed besides their seat's pay.
        accepted: rounds accepted so far.
        bond_forfeited: the owner's bond belongs to the seats.
        bond_spent: what the arbiter got of the owner's bond.
    """

    owner: Address
    params: JobParams
    accepted: int = 0
    seats: Mapping[int, tuple[Address, int]] = field(default_factory=lambda: MappingProxyType({}))
    credits: Mapping[Address, int] = field(default_factory=lambda: MappingProxyType({}))
    bond_forfeited: bool = False
    bond_spent: int = 0

    def joined(self, seat: int, trainer: Address) -> Settlement:
        """A trainer took a seat and locked its stake."""
        return replace(self, seats={**self.seats, seat: (trainer, self.accepted)})

    def round_accepted(self) -> Settlement:
        """Every seat earned one round's pay."""
        return replace(self, accepted=self.accepted + 1)

    def vacated_silent(self, seat: int) -> Settlement:
        """A seat kept silent: the penalty is burned, the rest of its stake and its pay become credit."""
        trainer, _ = self.seats[seat]
        params = self.params
        burned = self._vacated(seat)._credited(DEAD_ADDRESS, params.silence_penalty_wei)
        return burned._credited(trainer, params.stake_wei - params.silence_penalty_wei)

    def vacated_guilty(self, seat: int, challenger: Address, bond_wei: int) -> Settlement:
        """A seat was found guilty: its stake is shared out, its pay becomes credit, the challenger's bond returns."""
        params = self.params
        paid = self._credited(challenger, bond_wei + params.challenge_bond_wei)
        ruled = paid._credited(params.arbiter, params.arbiter_fee_wei)._vacated(seat)
        rest = params.stake_wei - params.challenge_bond_wei - params.arbiter_fee_wei
        share = rest // len(ruled.seats) if ruled.seats else 0
        shared = ruled._credited(self.owner, rest - share * len(ruled.seats))
        for trainer, _ in ruled.seats.values():
            shared = shared._credited(trainer, share)
        return shared

    def vacated_equivocation(self, seat: int, rewarded: Address) -> Settlement:
        """A seat signed twice: its reporter or challenger is rewarded, the rest burned, its pay becomes credit."""
        params = self.params
        burned = self._vacated(seat)._credited(DEAD_ADDRESS, params.stake_wei - params.challenge_bond_wei)
        return burned._credited(rewarded, params.challenge_bond_wei)

    def challenge_failed(self, bond_wei: int) -> Settlement:
        """A ruling of not guilty: the arbiter's fee comes out of the bond, the rest is burned."""
        fee_wei = self.params.arbiter_fee_wei
        return self._credited(self.params.arbiter, fee_wei)._credited(DEAD_ADDRESS, bond_wei - fee_wei)

    def challenge_lapsed(self, challenger: Address, bond_wei: int) -> Settlement:
        """A challenge ended without a ruling: its bond returns."""
        return self._credited(challenger, bond_wei)

    def owner_guilty(self, challenger: Address, bond_wei: int) -> Settlement:
        """The owner was found guilty: the arbiter's fee comes out of its bond, the seats share the rest at the end."""
        fee_wei = self.params.arbiter_fee_wei
        paid = self._credited(challenger, bond_wei)._credited(self.params.arbiter, fee_wei)
        return replace(paid, bond_forfeited=True, bond_spent=fee_wei)

    def bond_lost(self) -> Settlement:
        """The owner was silent: its bond goes to the seats in equal parts, dust stays with the owner."""
        return replace(self, bond_forfeited=True)

    def ended(self) -> Settlement:
        """The job is over: stakes, bond and unspent escrow become withdrawable."""
        bond = self.params.owner_bond_wei - self.bond_spent
        share = bond // len(self.seats) if self.bond_forfeited and self.seats else 0
        unspent = self.params.pay_wei * self.params.seats * (self.params.rounds - self.accepted)
        result = self._credited(self.owner, unspent + bond - share * len(self.seats))
        for trainer, _ in self.seats.values():
            result = result._credited(trainer, self.params.stake_wei + share)
        return result

    def withdrawn(self, account: Address) -> Settlement:
        """The account took everything that it was owed."""
        seats = {
            number: (trainer, self.accepted if trainer == account else since)
            for number, (trainer, since) in self.seats.items()
        }
        return replace(self, seats=seats, credits={**self.credits, account: 0})

    def owed(self, account: Address) -> int:
        """What ``withdraw`` pays this account now, in wei."""
        pay = sum(self._pay_of(seat) for seat, (trainer, _) in self.seats.items() if trainer == account)
        return pay + self.credits.get(account, 0)

    def liabilities(self) -> int:
        """Everything that anybody is owed now, in wei."""
        return sum(self._pay_of(seat) for seat in self.seats) + sum(self.credits.values())

    def _pay_of(self, seat: int) -> int:
        return (self.accepted - self.seats[seat][1]) * self.params.pay_wei

    def _vacated(self, seat: int) -> Settlement:
        trainer, _ = self.seats[seat]
        seats = {number: holder for number, holder in self.seats.items() if number != seat}
        return replace(self._credited(trainer, self._pay_of(seat)), seats=seats)

    def _credited(self, account: Address, amount_wei: int) -> Settlement:
        return replace(self, credits={**self.credits, account: self.credits.get(account, 0) + amount_wei})
