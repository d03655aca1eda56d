"""From a call to a mined transaction: simulate, price, sign in this process, send, wait for confirmations."""

from typing import Any

from clicooper.chain.fees import SendPolicy, gas_limit, quote
from clicooper.chain.keys import LocalAccount
from clicooper.chain.rpc.messages import Call, Receipt
from clicooper.chain.rpc.node import Node
from clicooper.errors import ChainError, RevertError
from clicooper.types import Address

__all__ = ["sender_of", "transact"]

DEFAULT_POLICY = SendPolicy()


def sender_of(account: LocalAccount) -> Address:
    """The account's EIP-55 address."""
    return Address(account.address)


def transact(node: Node, account: LocalAccount, call: Call, policy: SendPolicy = DEFAULT_POLICY) -> Receipt:
    """Sends the call as an EIP-1559 transaction of ``account`` and waits until it is mined and confirmed.

    Raises:
        RpcError: the simulation reverted, or the node refused; nothing was spent.
        RevertError: it reverted when mined, although the simulation had passed, and passes again now.
        ChainError: the node cannot be reached, the network asks more than the policy's cap, the transaction was not
            mined or confirmed in time, or a reorganisation took it out again.
    """
    node.call(call)
    receipt = node.send(_sign(node, account, call, policy))
    if not receipt.succeeded:
        node.call(call)
        hint = "another transaction came in between: read the job and try again"
        raise RevertError(f"transaction 0x{receipt.tx_hash.hex()} reverted", name="Revert", hint=hint)
    return _confirmed(node, receipt, policy.confirmations)


def _confirmed(node: Node, receipt: Receipt, confirmations: int) -> Receipt:
    if confirmations == 1:
        return receipt
    node.wait_for_block(receipt.block_number + confirmations - 1)
    if node.block_hash(receipt.block_number) != receipt.block_hash:
        hint = "look the transaction up: it may be mined again in another block"
        raise ChainError(f"a reorganisation replaced the block of 0x{receipt.tx_hash.hex()}", hint=hint)
    return receipt


def _sign(node: Node, account: LocalAccount, call: Call, policy: SendPolicy) -> bytes:
    fees = quote(node, policy)
    fields: dict[str, Any] = {
        "type": 2,
        "chainId": node.chain_id,
        "nonce": node.nonce(sender_of(account)),
        "to": call.to or b"",
        "value": call.value_wei,
        "data": call.data,
        "gas": gas_limit(node.estimate_gas(call)),
        "maxPriorityFeePerGas": fees.tip_wei,
        "maxFeePerGas": fees.max_wei,
    }
    return bytes(account.sign_transaction(fields).raw_transaction)
