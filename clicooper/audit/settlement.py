"""Who is owed what: the contract's accounting as a frozen record, one method an event.

Pay is lazy: a seat has earned ``(accepted - from_round) * pay`` minus what it withdrew. Earned pay is never
forfeit; a silent seat loses its silence penalty, an owner silent about labels loses its bond to the seats.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from clicooper.types import Address, JobParams

__all__ = ["DEAD_ADDRESS", "Settlement"]

DEAD_ADDRESS = Address("0x000000000000000000000000000000000000dEaD")


@dataclass(frozen=True)
class Settlement:
    """Liabilities of one job at one moment; amounts in wei.

    Attributes:
        seats: trainer and first unpaid round of each occupied seat.
        credits: what accounts are owed besides their seat's pay.
        accepted: rounds accepted so far.
    """

    owner: Address
    params: JobParams
    accepted: int = 0
    seats: Mapping[int, tuple[Address, int]] = field(default_factory=lambda: MappingProxyType({}))
    credits: Mapping[Address, int] = field(default_factory=lambda: MappingProxyType({}))
    bond_forfeited: bool = False

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
        credit = params.stake_wei - params.silence_penalty_wei + self._pay_of(seat)
        seats = {number: holder for number, holder in self.seats.items() if number != seat}
        burned = self._credited(DEAD_ADDRESS, params.silence_penalty_wei)
        return replace(burned, seats=seats)._credited(trainer, credit)

    def bond_lost(self) -> Settlement:
        """The owner was silent: its bond goes to the seats in equal parts, dust stays with the owner."""
        return replace(self, bond_forfeited=True)

    def ended(self) -> Settlement:
        """The job is over: stakes, bond and unspent escrow become withdrawable."""
        share = self.params.owner_bond_wei // self.params.seats if self.bond_forfeited else 0
        unspent = self.params.pay_wei * self.params.seats * (self.params.rounds - self.accepted)
        result = self._credited(self.owner, unspent + self.params.owner_bond_wei - share * self.params.seats)
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

    def _credited(self, account: Address, amount_wei: int) -> Settlement:
        return replace(self, credits={**self.credits, account: self.credits.get(account, 0) + amount_wei})
