"""From a call to a mined transaction: simulate, price, sign in this process, send, wait for confirmations.

``Deployed`` is what every typed client (contract, committee, lens, token) has in common.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import Any, ClassVar

from eth_utils import keccak

from clicooper.chain._abi import Abi
from clicooper.chain._reverts import explain
from clicooper.chain._sending import Outgoing, TransactionLost, hand_over, wait_until_mined
from clicooper.chain.fees import SendPolicy, gas_limit, quote
from clicooper.chain.keys import LocalAccount
from clicooper.chain.rpc.messages import Call, Receipt, from_hex, to_hex
from clicooper.chain.rpc.node import Node
from clicooper.chain.rpc.transport import RpcError, TooLarge
from clicooper.chain.sent import SentTransaction, digest_of
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


def transact(
    node: Node, account: LocalAccount, call: Call, policy: SendPolicy = DEFAULT_POLICY, *, keep: bool = False
) -> Receipt:
    """Sends the call as an EIP-1559 transaction of ``account`` and waits until it is mined and confirmed.

    With ``policy.sent``, a call that was sent before and not seen settled is not sent anew: its transaction is waited
    for.

    Args:
        keep: leave the note of the transaction for the caller to settle, once it has written down what it needs.

    Raises:
        RpcError: the simulation reverted, or the node refused; nothing was spent.
        RevertError: it reverted when mined, although the simulation had passed, and passes again now.
        TransactionLost: another transaction of the account took its place.
        ChainError: the node cannot be reached, the network asks more than the policy's cap, the transaction was not
            mined or confirmed in time, or a reorganisation took it out again.
    """
    looks = node.looks(policy.timeout_s)
    guard = nullcontext() if policy.sent is None else policy.sent.locked(node, sender_of(account))
    with guard:
        tx = _outgoing(node, account, call, policy)
        with _settled_if(policy, node, tx, RpcError, TooLarge):
            refusal = hand_over(node, tx, looks)
    with _settled_if(policy, node, tx, TransactionLost):
        receipt = wait_until_mined(node, tx, looks, refusal)
    if not receipt.succeeded:
        _settle(policy, node, tx)
        node.call(call)
        hint = "another transaction came in between: read the job and try again"
        raise RevertError(f"{tx} reverted", name="Revert", hint=hint)
    _confirm(node, tx, receipt, policy)
    if not keep:
        _settle(policy, node, tx)
    return receipt


def _outgoing(node: Node, account: LocalAccount, call: Call, policy: SendPolicy) -> Outgoing:
    """The transaction of an earlier try, signed again, or a new one that is noted before it leaves."""
    note = None if policy.sent is None else policy.sent.find(node, call)
    if note is not None:
        raw = _sign(node, account, call, note)
        if to_hex(keccak(raw)) != note.tx_hash:
            hint = "look it up; once it is mined or replaced, remove its note under HOME/sent"
            raise ChainError(f"transaction {note.tx_hash} cannot be signed again as it was", hint=hint)
        return _described(raw, note, is_old=True, noted=True)
    node.call(call)
    note = _priced(node, call, policy)
    raw = _sign(node, account, call, note)
    note = replace(note, tx_hash=to_hex(keccak(raw)))
    if policy.sent is not None:
        policy.sent.add(node, note)
    return _described(raw, note, is_old=False, noted=policy.sent is not None)


def _described(raw: bytes, note: SentTransaction, *, is_old: bool, noted: bool) -> Outgoing:
    again = "look it up before sending again: it may still be mined"
    if noted:
        again = f"run the same command again: it waits for {note.tx_hash} and sends nothing else"
    return Outgoing(raw, keccak(raw), Address(note.sender), note.nonce, is_old, again)


@contextmanager
def _settled_if(policy: SendPolicy, node: Node, tx: Outgoing, *ends: type[ChainError]) -> Iterator[None]:
    try:
        yield
    except ends:
        _settle(policy, node, tx)
        raise


def _settle(policy: SendPolicy, node: Node, tx: Outgoing) -> None:
    if policy.sent is not None:
        policy.sent.settle(node, to_hex(tx.tx_hash))


def _confirm(node: Node, tx: Outgoing, receipt: Receipt, policy: SendPolicy) -> None:
    if policy.confirmations == 1:
        return
    try:
        node.wait_for_block(receipt.block_number + policy.confirmations - 1)
        found = node.looks(policy.timeout_s).insist(lambda: node.block_hash(receipt.block_number))
    except ChainError as e:
        what = f"{tx} is in block {receipt.block_number}, which is not confirmed yet: {e.message}"
        raise ChainError(what, hint=tx.again) from e
    if found != receipt.block_hash:
        raise ChainError(f"a reorganisation replaced the block of {tx}", hint=tx.again)


def _priced(node: Node, call: Call, policy: SendPolicy) -> SentTransaction:
    """All that is signed beside the call, and no hash yet."""
    fees = quote(node, policy)
    sender = Address(call.sender or "")
    return SentTransaction(
        tx_hash="",
        sender=sender,
        to=call.to or "",
        data_digest=digest_of(call.data),
        value_wei=call.value_wei,
        nonce=_free_nonce(node, sender, policy),
        gas=gas_limit(node.estimate_gas(call)),
        max_fee_wei=fees.max_wei,
        tip_wei=fees.tip_wei,
    )


def _free_nonce(node: Node, sender: Address, policy: SendPolicy) -> int:
    """The next nonce, past those of transactions that wait in the node though it does not count them yet."""
    nonce = node.nonce(sender)
    for note in () if policy.sent is None else policy.sent.unsettled(node, sender):
        if note.nonce == nonce and node.knows(from_hex(note.tx_hash)):
            nonce += 1
    return nonce


def _sign(node: Node, account: LocalAccount, call: Call, note: SentTransaction) -> bytes:
    """The signed bytes; signatures are deterministic (RFC 6979), so that the same note gives the same ones."""
    fields: dict[str, Any] = {
        "type": 2,
        "chainId": node.chain_id,
        "nonce": note.nonce,
        "to": call.to or b"",
        "value": call.value_wei,
        "data": call.data,
        "gas": note.gas,
        "maxPriorityFeePerGas": note.tip_wei,
        "maxFeePerGas": note.max_fee_wei,
    }
    return bytes(account.sign_transaction(fields).raw_transaction)
