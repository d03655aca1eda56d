"""Where a mark lives: which weights carry it, and the bits, blocks and signs that a seed expands to.

The expansion is a byte-for-byte specification, so that every implementation finds the same carriers. With N bits
over a vector of W weights, L = floor(W / N), the seed keys AES-256 in counter mode (initial counter block of 16 zero
bytes, counted up as one big-endian number) and the keystream is read as consecutive little-endian uint64 words:

1. ceil(N / 64) words of bits: bit ``j % 64`` of word ``j // 64`` (0 = least significant) set means b_j = +1,
   clear means b_j = -1.
2. W sort words, one per position: the permutation lists the positions by ascending word, ties by position
   (a stable argsort). Block j takes entries ``j*L`` to ``(j+1)*L - 1`` of it; the last ``W - N*L`` entries stay free.
3. ceil(N * L / 64) words of signs, read like the bits: number ``j*L + i`` is the sign of entry i of block j.

Sums use numpy's pairwise summation in float64 and never BLAS, whose order of additions depends on the machine.
Keys and seeds belong to ``keys``, writing and reading marks to ``embed`` and ``detect``.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from numpy.typing import NDArray

from clicooper.errors import MarkCapacityError, SpecError

__all__ = [
    "Carrier",
    "Layout",
    "MarkParams",
    "State",
    "ascending",
    "carrier_of",
    "check_capacity",
    "fitting_params",
    "layout_of",
    "project",
    "require_seed",
    "required_weights",
    "root_mean_square",
    "weights_of",
    "with_weights",
]

State = Mapping[str, NDArray[Any]]
"""Parameter name to array, as in a safetensors checkpoint."""

MIN_TENSOR_WEIGHTS = 1024

SQUARABLE = 2.0**400
"""Weights of a root mean square above this, or below its inverse, have squares beyond float64."""


@dataclass(frozen=True)
class MarkParams:
    """Parameters of every mark of a job, fixed in its specification.

    Args:
        bits: N, 64 to 1,024; fewer do not survive fine-tuning.
        strength: c, 1 to 8: a marked block's projection is at least ``c`` times the weights' root mean square.

    Raises:
        SpecError: a value outside its range.
    """

    bits: int = 128
    strength: float = 2.0

    def __post_init__(self) -> None:
        if not 64 <= self.bits <= 1024:
            raise SpecError(f"{self.bits} mark bits are outside 64 to 1024", hint="use 128")
        if not 1.0 <= self.strength <= 8.0:
            raise SpecError(f"mark strength {self.strength} is outside 1 to 8", hint="use 2.0")


@dataclass(frozen=True)
class Layout:
    """The tensors that carry marks, in the order in which their elements form the vector of weights.

    Args:
        names: sorted by Unicode code point.
        sizes: elements of each, in row-major order.
    """

    names: tuple[str, ...]
    sizes: tuple[int, ...]

    @property
    def weights(self) -> int:
        """W, the length of the vector."""
        return sum(self.sizes)


@dataclass(frozen=True)
class Carrier:
    """What a seed expands to.

    Args:
        blocks: (N, L) int64, positions in the vector of weights, all different.
        signs: (N, L) int8, each -1 or +1.
        bits: (N,) int8, each -1 or +1.
    """

    blocks: NDArray[np.int64]
    signs: NDArray[np.int8]
    bits: NDArray[np.int8]


def layout_of(state: State) -> Layout:
    """All float16, float32 and float64 tensors ``*.weight`` of two or more axes and 1,024 or more elements."""
    names = tuple(sorted(name for name, array in state.items() if _carries(name, array)))
    return Layout(names, tuple(state[name].size for name in names))


def _carries(name: str, array: NDArray[Any]) -> bool:
    floating = array.dtype.kind == "f" and array.dtype.itemsize <= 8
    return floating and name.endswith(".weight") and array.ndim >= 2 and array.size >= MIN_TENSOR_WEIGHTS


def weights_of(state: State, layout: Layout) -> NDArray[np.float64]:
    """The vector of carrying weights, (W,) float64, a copy.

    Raises:
        SpecError: a tensor of the layout is absent or of another size, or a weight is NaN or infinite.
    """
    for name, size in zip(layout.names, layout.sizes, strict=True):
        if name not in state or state[name].size != size:
            hint = "align the checkpoint with the committed one, tensor by tensor"
            raise SpecError(f"tensor {name} does not have the {size} weights of the layout", hint=hint)
    parts = [np.asarray(state[name], dtype=np.float64).ravel() for name in layout.names]
    vector = np.concatenate(parts) if parts else np.zeros(0)
    if not np.isfinite(vector).all():
        raise SpecError("a carrying weight is NaN or infinite", hint="training diverged, or the file is damaged")
    return vector


def with_weights(state: State, layout: Layout, vector: NDArray[np.float64]) -> State:
    """``state`` with its carrying weights replaced, each rounded once to its tensor's dtype; the rest is shared.

    Args:
        state: has every tensor of ``layout``.
        layout: order and sizes of the carrying tensors.
        vector: (W,) float64, finite.

    Raises:
        SpecError: a vector of another length, or a value beyond the range of its tensor's dtype.
    """
    if vector.shape != (layout.weights,):
        raise SpecError(f"{vector.size} values for {layout.weights} weights", hint="use the layout of this state")
    parts = np.split(vector, np.cumsum(layout.sizes)[:-1]) if layout.names else []
    replaced: dict[str, NDArray[Any]] = dict(state)
    for name, part in zip(layout.names, parts, strict=True):
        with np.errstate(over="ignore"):
            rounded = part.astype(state[name].dtype).reshape(state[name].shape)
        if not np.isfinite(rounded).all():
            raise SpecError(f"tensor {name} overflows {rounded.dtype}", hint="store the segment in float32")
        replaced[name] = rounded
    return replaced


def required_weights(params: MarkParams, rounds: int = 1) -> int:
    """Fewest carrying weights for the two marks of every round: ``2 N (c^2 + 1) max(1 / 0.1^2, R / 0.5^2)``.

    One mark has norm about ``sqrt(N (c^2 + 1))`` times the root mean square. The two of a round stay within a tenth of
    the weights' own norm; those of all R rounds together, which are independent of each other, within half of it. A
    mark of the first round then still has ``z = c sqrt(N) / sqrt(1 + 0.5^2)`` after all others: 14 with 64 bits, 20
    with 128, where 10 are needed.

    Args:
        params: of every mark.
        rounds: R, how many rounds mark the same weights.
    """
    return math.ceil(max(200, 8 * rounds) * params.bits * (params.strength**2 + 1))


def fitting_params(weights: int, rounds: int = 1, strength: float = 2.0) -> MarkParams:
    """The longest marks, up to 128 bits, whose capacity a segment has.

    Args:
        weights: carrying weights of the smallest segment.
        rounds: of the job.
        strength: c.

    Raises:
        MarkCapacityError: not even 64 bits fit.
    """
    for bits in range(128, 63, -8):
        params = MarkParams(bits, strength)
        if weights >= required_weights(params, rounds):
            return params
    need = required_weights(MarkParams(64, strength), rounds)
    raise MarkCapacityError(
        f"{weights} carrying weights hold no mark of {rounds} rounds, the shortest needs {need}",
        hint="use larger widths, fewer trainers or fewer rounds",
    )


def check_capacity(state: State, params: MarkParams, rounds: int = 1) -> Layout:
    """The layout of a segment that is large enough for its progress and ownership marks of every round.

    Raises:
        MarkCapacityError: it is not, with its size and its need.
    """
    layout, need = layout_of(state), required_weights(params, rounds)
    if layout.weights < need:
        hint = f"re-plan the cut points for at least {need} carrying weights per segment, or declare it unmarked"
        raise MarkCapacityError(f"segment has {layout.weights} carrying weights, its marks need {need}", hint=hint)
    return layout


def carrier_of(seed: bytes, weights: int, bits: int) -> Carrier:
    """Expands a seed as the module's text specifies; about 2 s for 11 million weights.

    Args:
        seed: 32 bytes from ``mark_seed``.
        weights: W, at least ``bits``.
        bits: N, at least 1.

    Raises:
        SpecError: a seed of another length, or fewer weights than bits.
    """
    require_seed(seed)
    if not 1 <= bits <= weights:
        raise SpecError(f"{weights} weights cannot carry {bits} bits", hint="use fewer mark_bits, or a wider segment")
    length = weights // bits
    bit_words, sign_words = -(-bits // 64), -(-(bits * length) // 64)
    words = _keystream(seed, bit_words + weights + sign_words)
    order = ascending(words[bit_words : bit_words + weights])
    return Carrier(
        blocks=order[: bits * length].reshape(bits, length),
        signs=_plus_minus(words[bit_words + weights :], bits * length).reshape(bits, length),
        bits=_plus_minus(words[:bit_words], bits),
    )


def require_seed(seed: bytes) -> None:
    """Raises ``SpecError`` for anything but 32 bytes."""
    if not isinstance(seed, bytes) or len(seed) != 32:
        raise SpecError("mark seed is not 32 bytes", hint="derive it with mark_seed")


def _keystream(seed: bytes, words: int) -> NDArray[np.uint64]:
    # A key serves one mark only, so a constant initial counter never repeats a keystream.
    encryptor = Cipher(algorithms.AES(seed), modes.CTR(bytes(16))).encryptor()
    return np.frombuffer(encryptor.update(bytes(8 * words)), dtype="<u8")


def ascending(words: NDArray[np.uint64]) -> NDArray[np.int64]:
    """``argsort(words, kind="stable")`` of uint64 words, in less time.

    Numbers sort faster than positions do: each word gives its low bits for its position, so that words which agree in
    the rest stand in the order of positions. These few are put into their own order afterwards.
    """
    taken = np.uint64(max(1, (words.size - 1).bit_length()))
    low = (np.uint64(1) << taken) - np.uint64(1)
    packed = words & ~low
    packed |= np.arange(words.size, dtype=np.uint64)
    packed.sort()
    order = (packed & low).view(np.int64)
    packed >>= taken
    ties = np.flatnonzero(packed[1:] == packed[:-1])
    for run in np.split(ties, np.flatnonzero(np.diff(ties) > 1) + 1) if ties.size else []:
        tied = order[run[0] : run[-1] + 2]
        tied[:] = tied[np.argsort(words[tied], kind="stable")]
    return order


def _plus_minus(words: NDArray[np.uint64], count: int) -> NDArray[np.int8]:
    bits = np.unpackbits(words.view(np.uint8), count=count, bitorder="little")
    return (bits << 1).view(np.int8) - np.int8(1)


def project(weights: NDArray[np.float64], carrier: Carrier) -> NDArray[np.float64]:
    """``x_j = sum over block j of s w, divided by sqrt(L)``, (N,) float64."""
    signed = weights[carrier.blocks]
    signed *= carrier.signs
    projections: NDArray[np.float64] = signed.sum(axis=1) / math.sqrt(carrier.blocks.shape[1])
    return projections


def root_mean_square(weights: NDArray[np.float64]) -> float:
    """Root mean square of all weights.

    Raises:
        SpecError: no weights, all zero, or so large or small that their squares leave float64.
    """
    with np.errstate(over="ignore"):
        rms = math.sqrt(float(np.square(weights).sum()) / weights.size) if weights.size else 0.0
    if not 1 / SQUARABLE <= rms <= SQUARABLE:
        raise SpecError(
            f"root mean square {rms:g} of the weights is degenerate",
            hint="lower the learning rate and train again, or fetch the file again",
        )
    return rms
