"""Reverts in words: what the contract refused, why, and what to do about it."""

from collections.abc import Mapping
from datetime import UTC, datetime

from clicooper.chain._abi import Abi
from clicooper.chain.rpc.transport import RpcError, plain_words
from clicooper.errors import ChainError, RevertError
from clicooper.types import Phase

__all__ = ["HINTS", "explain"]

_YEAR_10000 = 253_402_300_800

HINTS: Mapping[str, str] = {
    "AlreadyVoted": "a member's vote is final",
    "BadSignature": "the signature must be the named account's, over exactly this position, contents or vote",
    "Error": "the contract or its token gives this reason itself",
    "InvalidCommittee": "name 1 to 32 distinct members, and a threshold of at most their number",
    "InvalidParams": "correct that field of the job's parameters",
    "KeyRecordTooLong": "a key record has at most 512 bytes: shorten the endpoint",
    "MarkAlreadyOpened": "only the first opening a seat and round counts: read the job's record",
    "NoSuchJob": "check the job number and that this is the contract of that job",
    "NoSuchSeat": "seats count from 0; read the job to see how many it has",
    "NotAllowed": "this address may not act here: not allowed or named for the seat, seated, evicted, owner or arbiter",
    "NotArbiter": "only the arbiter that the job's parameters name can rule",
    "NotCommitted": "use the account that committed this seat in this round",
    "NotMember": "use the account of one of the committee's members",
    "NotOwner": "use the account that created the job",
    "NotYourTurn": "read the job again and wait until it is this seat's turn",
    "NothingOwed": "the job owes this account nothing now",
    "Panic": "the contract found itself inconsistent: report it with the transaction",
    "ReentrancyGuardReentrantCall": "call the contract from an account, not from within its own payment",
    "Revert": "the contract gave no reason; is it the contract of this version?",
    "RoundNotAccepted": "wait until this round is accepted; rounds count from 0",
    "SafeERC20FailedOperation": "the job's token refused the transfer: check balance and allowance",
    "SameContents": "show two commitments that differ",
    "SeatTaken": "choose another seat, or wait until this one is vacated",
    "SeatVacant": "nobody holds this seat any more: read the job again",
    "StaleHead": "read the job again, someone committed first",
    "TooFewVotes": "collect more signatures, or wait for other members to vote",
    "TooEarly": "wait until the deadline has passed",
    "TooLate": "the deadline has passed: anyone can resolve the time-out now",
    "TransferFailed": "the receiver or the token refused the payment; try another way to receive it",
    "UnsupportedToken": "use the native coin or a plain ERC-20 token without fees on transfer",
    "WrongChallenge": "another challenge is open now: read it, and decide anew",
    "WrongGenesis": "the job is not the one you decided on: read it again and compare its parameters",
    "WrongLabelKey": "reveal the key that hashes to the last one; check the label keys' order",
    "WrongLength": "give one signature a commitment, and no more commitments than seats are left",
    "WrongMarkKeys": "these keys do not open the commitment: check that they are of this round and attempt",
    "WrongPhase": "read the job again: it is in another phase than this call needs",
    "WrongRound": "only the round in progress can be acted on: read the job again",
    "WrongValue": "send exactly the expected amount of coin, and none for a job that pays in a token",
}


def explain(error: RpcError, abi: Abi, act: str) -> ChainError | RevertError:
    """The error to raise for a refused call.

    Args:
        error: the node's answer.
        abi: of the contract that was called.
        act: the contract's function, for the message.

    Returns:
        A RevertError if the contract refused; the node's own error if it was the node.
    """
    data = error.revert_data()
    if data is None:
        return error
    decoded = abi.decode_error(data)
    values = {name: _readable(decoded.name, name, value) for name, value in decoded.values.items()}
    details = ", ".join(f"{name} {value}" for name, value in values.items())
    message = f"{act} is refused: {decoded.name}" + (f" ({details})" if details else "")
    hint = HINTS.get(decoded.name, "the reason comes from another contract, such as the job's token")
    return RevertError(message, name=decoded.name, values=decoded.values, hint=hint)


def _readable(error: str, name: str, value: object) -> object:
    if isinstance(value, bytes):
        return plain_words("0x" + value.hex())
    if error == "WrongPhase" and isinstance(value, int) and value in set(Phase):
        return Phase(value).name
    if isinstance(value, str):
        return plain_words(value)
    if name in ("timestamp", "deadline") and isinstance(value, int) and value < _YEAR_10000:
        return datetime.fromtimestamp(value, UTC).isoformat()
    return value
