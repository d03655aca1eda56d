"""Several nodes asked the same: whether they tell one history.

With two nodes nobody can say which of them is wrong, and with more a majority may still be one provider's: a
disagreement is always an error that names who said what, never a vote.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

from clicooper.chain.index.block_reader import BlockReader
from clicooper.chain.index.paging import Pager
from clicooper.chain.index.record_index import DEFAULT_FINALITY
from clicooper.chain.rpc.node import Node
from clicooper.chain.rpc.patience import Patience
from clicooper.errors import EndpointsDisagree, UsageError
from clicooper.types import Address, Digest

__all__ = ["Agreement", "cross_check"]

_Value = TypeVar("_Value", bytes, int)
_HINT = "a node lags, lies or follows another fork: ask a further one, best your own"


@dataclass(frozen=True)
class Agreement:
    """What all nodes say alike.

    Args:
        sources: the nodes.
        blocks: first and last block that were compared, inclusive.
        block_hash: of the last one.
        logs_digest: sha2-256 over the contract's entries in all of them.
    """

    sources: tuple[str, ...]
    blocks: tuple[int, int]
    block_hash: Digest
    logs_digest: Digest


def cross_check(
    nodes: Sequence[Node],
    contract: Address,
    first: int = 0,
    *,
    finality: int = DEFAULT_FINALITY,
    samples: int = 8,
    patience: Patience | None = None,
) -> Agreement:
    """Compares chain ids, block hashes at sampled heights and at the last final one, and all entries up to there.

    Args:
        nodes: at least two.
        contract: whose entries.
        first: first block to compare.
        finality: how many blocks below the newest tip of all is compared; a node that is further behind lags.
        samples: how many heights.

    Raises:
        EndpointsDisagree: they differ, or one of them lags; the message names each and what it says.
        ChainError: one of them does not answer, or contradicts itself.
    """
    if len(nodes) < 2:
        raise UsageError("one node cannot be cross-checked", hint="name a second endpoint of the same chain")
    names = [f"{node.source} ({n})" for n, node in enumerate(nodes, 1)]
    readers = [BlockReader(node, contract, patience or Patience()) for node in nodes]
    _agree("the chain id", dict(zip(names, (node.chain_id for node in nodes), strict=True)))
    last = _last_final(dict(zip(names, (reader.latest() for reader in readers), strict=True)), first, finality)
    for number in sorted({first + (last - first) * n // samples for n in range(samples + 1)}):
        answers = (reader.headers([number])[0].hash for reader in readers)
        block_hash = _agree(f"block {number}", dict(zip(names, answers, strict=True)))
    digest = _agree_on_logs(dict(zip(names, readers, strict=True)), first, last)
    return Agreement(tuple(node.source for node in nodes), (first, last), Digest(block_hash), Digest(digest))


def _last_final(tips: dict[str, int], first: int, finality: int) -> int:
    last = max(first, max(tips.values()) - finality)
    lagging = [f"{name} is at block {tip}" for name, tip in tips.items() if tip < last]
    if lagging:
        raise EndpointsDisagree(f"behind the final block {last}: {', '.join(lagging)}", hint=_HINT)
    return last


def _agree_on_logs(readers: dict[str, BlockReader], first: int, last: int) -> bytes:
    """The digest that all give; where they differ, halves the blocks until the first that differs is known."""

    def digests(low: int, high: int) -> dict[str, bytes]:
        return {name: _logs_digest(reader, low, high) for name, reader in readers.items()}

    answers = digests(first, last)
    if len(set(answers.values())) == 1:
        return answers.popitem()[1]
    low, high = first, last
    while low < high:
        middle = (low + high) // 2
        half = digests(low, middle)
        if len(set(half.values())) > 1:
            high, answers = middle, half
        else:
            low, answers = middle + 1, digests(middle + 1, high)
    return _agree(f"the events of block {low}", answers)


def _logs_digest(reader: BlockReader, first: int, last: int) -> bytes:
    digest = hashlib.sha256()
    for _, page in reader.pages(Pager(first, last), None):
        for row in page.logs:
            for part in (row.block.to_bytes(8, "big"), row.log_index.to_bytes(8, "big"), row.tx_hash, row.topics):
                digest.update(part)
            digest.update(len(row.data).to_bytes(8, "big") + row.data)
    return digest.digest()


def _agree(what: str, answers: Mapping[str, _Value]) -> _Value:
    values = list(answers.values())
    if all(one == other for one, other in pairwise(values)):
        return values[0]
    said = ", ".join(f"{name}: {_text(value)}" for name, value in answers.items())
    raise EndpointsDisagree(f"the nodes disagree about {what}: {said}{_odd_one(answers)}", hint=_HINT)


def _odd_one(answers: Mapping[str, bytes | int]) -> str:
    """Who stands alone against all others, where there are others enough to say so."""
    values = list(answers.values())
    alone = [name for name, value in answers.items() if values.count(value) == 1]
    return f"; {alone[0]} stands alone" if len(values) > 2 and len(alone) == 1 else ""


def _text(value: bytes | int) -> str:
    return f"0x{value.hex()}" if isinstance(value, bytes) else str(value)
