"""ERC-20 tokens, as far as a job that pays in one needs them: what an account has, and what the contract may take.

``createJob``, ``join`` and ``challenge`` pull their amounts from the caller, who must have approved the contract for
them before. Tokens that keep a fee on transfer are refused by the contract; rebasing tokens are not supported.
"""

from typing import Any

from clicooper.chain._abi import Abi
from clicooper.chain._transact import Deployed
from clicooper.chain.keys import LocalAccount
from clicooper.chain.rpc.messages import Receipt
from clicooper.chain.rpc.node import Node
from clicooper.types import Address

__all__ = ["Token"]


def _function(name: str, inputs: tuple[str, ...], output: str) -> dict[str, Any]:
    typed = [{"name": "", "type": kind} for kind in inputs]
    return {"type": "function", "name": name, "inputs": typed, "outputs": [{"name": "", "type": output}]}


_ERC20 = Abi(
    (
        _function("approve", ("address", "uint256"), "bool"),
        _function("allowance", ("address", "address"), "uint256"),
        _function("balanceOf", ("address",), "uint256"),
    )
)


class Token(Deployed):
    """One ERC-20 token, seen from one account; amounts are in its smallest unit.

    Args:
        node: the chain.
        address: where the token is.
        account: who approves; None for reading only.

    Raises:
        ChainError: there is no contract at that address.
    """

    _what = "token"

    def __init__(self, node: Node, address: Address, account: LocalAccount | None = None) -> None:
        super().__init__(node, address, _ERC20, account)

    def balance(self, account: Address) -> int:
        """What the account has."""
        return int(self._view("balanceOf", account))

    def allowance(self, account: Address, spender: Address) -> int:
        """What the spender may still take from the account."""
        return int(self._view("allowance", account, spender))

    def approve(self, spender: Address, amount: int) -> Receipt:
        """Lets the spender take up to ``amount`` from this account, in place of what it might take before.

        Raises:
            RevertError: the token refused, as some do until an older allowance is taken back to 0.
            UsageError: this token was opened without an account.
        """
        return self._transact("approve", spender, amount)
