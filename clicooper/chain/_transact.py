"""From a call to a mined transaction: simulate, price, sign in this process, send, wait for confirmations.

``Deployed`` is what every typed client (contract, committee, lens, token) has in common.
"""

from typing import Any, ClassVar

from clicooper.chain._abi import Abi
from clicooper.chain._reverts import explain
from clicooper.chain.fees import SendPolicy, gas_limit, quote
from clicooper.chain.keys import LocalAccount
from clicooper.chain.rpc.messages import Call, Receipt
from clicooper.chain.rpc.node import Node
from clicooper.chain.rpc.transport import RpcError
from clicooper.errors import ChainError, RevertError, UsageError
from clicooper.types import Address

__all__ = ["DEFAULT_POLICY", "Deployed", "sender_of", "transact"]

DEFAULT_POLICY = SendPolicy()


class Deployed:
    """Code at an address, seen from one account, called by the names of its ABI.

    Args:
        node: the chain.
        address: where it is.
        abi: its functions and errors.
        account: who acts; None for reading only.
        policy: cap of the fees and number of confirmations of every act.

    Raises:
        ChainError: there is no code at that address. Without this check a call would send coin into the void.
    """

    _what: ClassVar[str]
    _hint: ClassVar[str] = "check the address and the network"

    def __init__(
        self,
        node: Node,
        address: Address,
        abi: Abi,
        account: LocalAccount | None = None,
        policy: SendPolicy = DEFAULT_POLICY,
    ) -> None:
        if not node.code(address):
            raise ChainError(f"no {self._what} at {address} on chain {node.chain_id}", hint=self._hint)
        self.node = node
        self.address = address
        self.account = account
        self.policy = policy
        self._abi = abi

    def _transact(self, name: str, *args: object, value_wei: int = 0) -> Receipt:
        if self.account is None:
            raise UsageError(f"{name} needs an account", hint="choose one with --account")
        call = Call(self.address, self._abi.encode_call(name, args), sender_of(self.account), value_wei)
        try:
            return transact(self.node, self.account, call, self.policy)
        except RpcError as e:
            raise explain(e, self._abi, name) from e

    def _view(self, name: str, *args: object) -> Any:
        try:
            data = self.node.call(Call(self.address, self._abi.encode_call(name, args)))
        except RpcError as e:
            raise explain(e, self._abi, name) from e
        return self._abi.decode_result(name, data)


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
