"""Deploys the committed artifacts, and compares deployed contracts with them."""

from collections.abc import Iterable, Mapping

from clicooper.chain._abi import Abi
from clicooper.chain._reverts import explain
from clicooper.chain._transact import DEFAULT_POLICY, sender_of, transact
from clicooper.chain.compile import CONTRACT, Artifact, load_artifact
from clicooper.chain.fees import SendPolicy
from clicooper.chain.keys import LocalAccount
from clicooper.chain.rpc.messages import Call, Receipt
from clicooper.chain.rpc.node import Node
from clicooper.chain.rpc.transport import RpcError
from clicooper.errors import ChainError
from clicooper.types import Address

__all__ = ["deploy", "deployment_gas", "first_difference", "verify_code"]


def deploy(
    node: Node,
    account: LocalAccount,
    name: str = CONTRACT,
    policy: SendPolicy = DEFAULT_POLICY,
    arguments: bytes = b"",
    *,
    keep: bool = False,
) -> tuple[Address, Receipt]:
    """Creates a new contract out of a committed artifact.

    Args:
        node: the chain.
        account: pays for the deployment and gains nothing by it.
        name: the artifact's.
        policy: fees and confirmations.
        arguments: of the constructor, ABI-encoded; see ``clicooper.chain.committee.committee_arguments``.
        keep: leave the transaction's note to the caller, as ``transact`` does.

    Raises:
        RevertError: the chain refused the code, for instance because it lacks the rules that it was compiled for, or
            the constructor its arguments.
        ChainError: the node refused, for instance for lack of coin, or asks more than the policy's cap.
    """
    try:
        receipt = transact(node, account, _creation(sender_of(account), name, arguments), policy, keep=keep)
    except RpcError as e:
        raise explain(e, Abi(load_artifact(name).abi), "deploy") from e
    if receipt.contract_address is None:
        raise ChainError(f"{node.source} names no address for the new contract", hint="ask another node")
    return receipt.contract_address, receipt


def deployment_gas(node: Node, sender: Address, name: str = CONTRACT, arguments: bytes = b"") -> int:
    """Gas that ``deploy`` would take now, estimated by the node; ``sender`` needs no coin for it."""
    try:
        return node.estimate_gas(_creation(sender, name, arguments))
    except RpcError as e:
        raise explain(e, Abi(load_artifact(name).abi), "deploy") from e


def verify_code(node: Node, address: Address) -> bool:
    """Whether the code at ``address`` is the committed artifact's, whatever values its immutables have.

    Raises:
        ChainError: there is no code at that address.
    """
    return first_difference(node, address) is None


def first_difference(node: Node, address: Address, name: str = CONTRACT) -> int | None:
    """The first byte in which the code at ``address`` differs from the artifact; None if none does.

    Places that the artifact leaves to immutables are not compared. A code that ends early differs where it ends.

    Raises:
        ChainError: there is no code at that address.
    """
    code = node.code(address)
    if not code:
        raise ChainError(f"no contract at {address} on chain {node.chain_id}", hint="check address and network")
    artifact = load_artifact(name)
    ours, theirs = _masked(artifact.runtime_bytecode, artifact), _masked(code, artifact)
    if ours == theirs:
        return None
    unequal = (i for i, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b)
    return next(unequal, min(len(ours), len(theirs)))


def _masked(code: bytes, artifact: Artifact) -> bytes:
    masked = bytearray(code)
    for place in _immutables(artifact):
        end = place["start"] + place["length"]
        if end <= len(masked):
            masked[place["start"] : end] = bytes(place["length"])
    return bytes(masked)


def _immutables(artifact: Artifact) -> Iterable[Mapping[str, int]]:
    return (place for group in artifact.immutable_references.values() for place in group)


def _creation(sender: Address, name: str, arguments: bytes) -> Call:
    return Call(None, load_artifact(name).bytecode + arguments, sender)
