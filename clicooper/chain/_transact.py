"""From a call to a mined transaction: simulate, price, sign in this process, send, wait."""

from typing import Any

from clicooper.chain._messages import Call, Receipt
from clicooper.chain.keys import LocalAccount
from clicooper.chain.rpc import Node
from clicooper.errors import RevertError
from clicooper.types import Address

__all__ = ["sender_of", "transact"]

GAS_MARGIN = 1.2
"""Over the estimate: a slot that another transaction rewrites first can cost more than in the simulation."""


def sender_of(account: LocalAccount) -> Address:
    """The account's EIP-55 address."""
    return Address(account.address)


def transact(node: Node, account: LocalAccount, call: Call) -> Receipt:
    """Sends the call as an EIP-1559 transaction of ``account`` and waits until it is mined.

    Raises:
        RpcError: the simulation reverted, or the node refused; nothing was spent.
        RevertError: it reverted when mined, although the simulation had passed, and passes again now.
        ChainError: the node cannot be reached, or the transaction was not mined in time.
    """
    node.call(call)
    receipt = node.send(_sign(node, account, call))
    if not receipt.succeeded:
        node.call(call)
        hint = "another transaction came in between: read the job and try again"
        raise RevertError(f"transaction 0x{receipt.tx_hash.hex()} reverted", name="Revert", hint=hint)
    return receipt


def _sign(node: Node, account: LocalAccount, call: Call) -> bytes:
    tip_wei = node.tip_wei()
    fields: dict[str, Any] = {
        "type": 2,
        "chainId": node.chain_id,
        "nonce": node.nonce(sender_of(account)),
        "to": call.to or b"",
        "value": call.value_wei,
        "data": call.data,
        "gas": int(node.estimate_gas(call) * GAS_MARGIN),
        "maxPriorityFeePerGas": tip_wei,
        "maxFeePerGas": 2 * node.block().base_fee_wei + tip_wei,
    }
    return bytes(account.sign_transaction(fields).raw_transaction)
