"""JSON-RPC over HTTP or to the embedded EVM, behind one node interface."""

from clicooper.chain.rpc.node import Node

__all__ = ["Node"]
