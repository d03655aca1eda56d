"""Deploys the committed artifact, and compares a deployed contract with it."""

from collections.abc import Iterable, Mapping

from clicooper.chain._abi import Abi
from clicooper.chain._messages import Call, Receipt
from clicooper.chain._reverts import explain
from clicooper.chain._transact import sender_of, transact
from clicooper.chain._transport import RpcError
from clicooper.chain.compile import load_artifact
from clicooper.chain.keys import LocalAccount
from clicooper.chain.rpc import Node
from clicooper.errors import ChainError
from clicooper.types import Address

__all__ = ["deploy", "deployment_gas", "verify_code"]


def deploy(node: Node, account: LocalAccount) -> tuple[Address, Receipt]:
    """Creates a new contract out of the committed artifact.

    Raises:
        RevertError: the chain refused the code, for instance because it lacks the rules that it was compiled for.
        ChainError: the node refused, for instance for lack of coin.
    """
    try:
        receipt = transact(node, account, _creation(account))
    except RpcError as e:
        raise explain(e, Abi(load_artifact().abi), "deploy") from e
    if receipt.contract_address is None:
        raise ChainError(f"{node.source} names no address for the new contract", hint="ask another node")
    return receipt.contract_address, receipt


def deployment_gas(node: Node, account: LocalAccount) -> int:
    """Gas that ``deploy`` would take now, estimated by the node."""
    return node.estimate_gas(_creation(account))


def verify_code(node: Node, address: Address) -> bool:
    """Whether the code at ``address`` is the committed artifact's, whatever values its immutables have.

    Raises:
        ChainError: there is no code at that address.
    """
    code = node.code(address)
    if not code:
        raise ChainError(f"no contract at {address} on chain {node.chain_id}", hint="check address and network")
    artifact = load_artifact()
    places = [place for group in artifact.immutable_references.values() for place in group]
    return _masked(code, places) == _masked(artifact.runtime_bytecode, places)


def _masked(code: bytes, places: Iterable[Mapping[str, int]]) -> bytes:
    masked = bytearray(code)
    for place in places:
        end = place["start"] + place["length"]
        if end <= len(masked):
            masked[place["start"] : end] = bytes(place["length"])
    return bytes(masked)


def _creation(account: LocalAccount) -> Call:
    return Call(None, load_artifact().bytecode, sender_of(account))
