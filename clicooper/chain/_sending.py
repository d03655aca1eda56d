"""A signed transaction on its way into a block, through nodes that lose answers and look-ups.

The hash is known from the bytes before they leave. The same bytes may be handed over any number of times: they are
mined once at most. So an answer that is lost costs nothing, and a refusal of bytes that may have left before is not the
last word.
"""

import re
from dataclasses import dataclass

from clicooper.chain.rpc.messages import Receipt
from clicooper.chain.rpc.node import Node
from clicooper.chain.rpc.patience import Looks, limits_rate, may_pass
from clicooper.chain.rpc.transport import RpcError, TooLarge
from clicooper.errors import ChainError
from clicooper.types import Address

__all__ = ["Outgoing", "TransactionLost", "hand_over", "wait_until_mined"]

LOOKS_AFTER_ALL = 12
"""Looks that must find no receipt before a used nonce, or a refusal, is believed: about ten seconds of them."""

_KNOWN = re.compile(
    r"already.?(known|imported|exists?|pending|queued|submitted|received|sent|processed)|\bknown.?transaction"
    r"|duplicate.?(transaction|tx)\b|already (present )?in (the )?\w*.?(mem.?pool|mpool|pool|system|cache|queue)"
)
_NONCE = re.compile(r"nonce")
_NONCE_AHEAD = re.compile(r"nonce.*(high|gap|future|distant|ahead)")


class TransactionLost(ChainError):
    """A transaction that can never be mined: the node refused it, or another one took its nonce."""


@dataclass(frozen=True)
class Outgoing:
    """A signed transaction.

    Args:
        raw: the signed bytes.
        tx_hash: their keccak-256.
        sender, nonce: the account's place that it takes.
        is_old: whether it may have left before.
        again: what to do where it is given up, for the hint.
    """

    raw: bytes
    tx_hash: bytes
    sender: Address
    nonce: int
    is_old: bool
    again: str

    def __str__(self) -> str:
        return f"transaction 0x{self.tx_hash.hex()}"


def hand_over(node: Node, tx: Outgoing, looks: Looks) -> RpcError | None:
    """Gives the transaction to the node until it has it, or may have it.

    Returns:
        None where the node has it; a refusal where only the chain can tell, because it may have left before.

    Raises:
        RpcError, TooLarge: refused, and it has not left before: it never will be mined.
        ChainError: the node did not answer within the deadline.
    """
    unsure = tx.is_old
    while True:
        try:
            node.broadcast(tx.raw)
        except TooLarge:
            if not unsure:
                raise
        except RpcError as e:
            if not may_pass(e):
                return _judge_refusal(node, tx, looks, e, unsure=unsure)
            looks.failed(e)
            unsure = unsure or not limits_rate(e)
        except ChainError as e:
            looks.failed(e)
            unsure = unsure or not limits_rate(e)
        else:
            return None
        if not looks.wait():
            raise ChainError(f"no node took {tx} in time{looks.failure}", hint=tx.again)
        if unsure and looks.ask(lambda: node.find_receipt(tx.tx_hash)) is not None:
            return None


def _judge_refusal(node: Node, tx: Outgoing, looks: Looks, refusal: RpcError, *, unsure: bool) -> RpcError | None:
    words = refusal.node_message.lower()
    if _KNOWN.search(words) or looks.ask(lambda: node.find_receipt(tx.tx_hash)) is not None:
        return None
    if unsure or (_NONCE.search(words) and not _NONCE_AHEAD.search(words)):
        return refusal
    raise refusal


def wait_until_mined(node: Node, tx: Outgoing, looks: Looks, refusal: RpcError | None) -> Receipt:
    """The receipt, once the transaction is in a block.

    Args:
        refusal: what the node said when it was handed over, if that was no.

    Raises:
        TransactionLost: another transaction of the account took its nonce.
        ChainError: it was not mined in time, or the node refuses it and has none of it.
    """
    without = 0
    while (receipt := looks.ask(lambda: node.find_receipt(tx.tx_hash))) is None:
        mined = None if looks.failure else looks.ask(lambda: node.nonce(tx.sender, mined=True))
        if mined is not None and (mined > tx.nonce or refusal is not None):
            without += 1
            if without > LOOKS_AFTER_ALL and not _is_known(node, tx, looks):
                raise _lost(tx, refusal, is_replaced=mined > tx.nonce)
        if not looks.wait():
            raise ChainError(f"{tx} was not mined in time{looks.failure}", hint=tx.again)
    return receipt


def _is_known(node: Node, tx: Outgoing, looks: Looks) -> bool:
    """Whether the node may have it after all."""
    try:
        return node.knows(tx.tx_hash)
    except ChainError as e:
        looks.failed(e)
        return True


def _lost(tx: Outgoing, refusal: RpcError | None, *, is_replaced: bool) -> ChainError:
    if is_replaced:
        what = f"{tx} was replaced: another transaction of {tx.sender} took its nonce {tx.nonce}"
        return TransactionLost(what, hint="look at the account's last transactions; run the command again to send anew")
    said = "" if refusal is None else f": {refusal.message}"
    return ChainError(f"{tx} may have left before, and is refused now{said}", hint=tx.again)
