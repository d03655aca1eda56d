"""One seat's working segment: its module, its optimizer, and their states as arrays.

A segment made from ``(state(), optimizer_state())`` of another continues it bit for bit. It computes in the dtype of
its state, float32 in a job and float64 in a dispute. What is recorded of a step is the job of ``training``.
"""

import math
from contextlib import AbstractContextManager
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from clicooper.commitments.manifest import MarkSpec, ModelSpec, SeedSpec, TrainingSpec
from clicooper.errors import DataError, MarkCapacityError, SpecError
from clicooper.learning.checkpoint import State
from clicooper.learning.model_sizes import is_code
from clicooper.learning.models import build_segment, build_segments, guard_code
from clicooper.learning.schedule import Purpose, generator
from clicooper.watermark.carriers import MarkParams, check_capacity

__all__ = ["Segment", "TrainingDiverged", "initial_state", "state_of", "training_loss", "try_model"]

_MOMENTS = {"sgd": ("momentum_buffer",), "adamw": ("step", "exp_avg", "exp_avg_sq")}


class TrainingDiverged(SpecError):
    """A number that is not finite: an honest seat stops here, before it commits anything.

    Args:
        field: the field of ``transcript.StepDigests`` that could not be computed; a loss counts as what is sent back.
    """

    def __init__(self, seat: int, field: str, what: str) -> None:
        super().__init__(f"training diverged: the {what} of seat {seat} is not finite", hint="lower the learning rate")
        self.seat, self.field = seat, field


def initial_state(spec: ModelSpec, seeds: SeedSpec, seat: int) -> State:
    """The weights with which round 0 starts.

    Tensors of two or more dimensions are He-normal, ``N(0, 2 / fan_in)`` with ``fan_in`` the product of all dimensions
    but the first (He et al., 2015), from a stream of their block and place in it, so they do not depend on the cuts;
    one-dimensional ``weight`` (normalisation) is 1, every other parameter 0; buffers start as their module made them.

    Returns:
        float32 arrays, and int64 counters of batch normalisation.
    """
    module = build_segment(spec, seat)
    with guard_code(spec, "has a state that cannot be read"):
        state = state_of(module)
    for block_name, block in module.named_children():
        number = int(block_name.removeprefix("block"))
        for place, (name, weight) in enumerate(block.named_parameters()):
            rng = generator(seeds.weights, Purpose.WEIGHTS, number, place)
            state[f"{block_name}.{name}"] = _initial(name, tuple(weight.shape), rng)
    return state


def state_of(module: nn.Module) -> State:
    """A copy of a module's parameters and buffers."""
    return {name: _array(tensor) for name, tensor in module.state_dict().items()}


def try_model(spec: ModelSpec, marks: MarkSpec, rounds: int) -> None:
    """Has a model of code built and take a step, and sees that every seat has room for its marks.

    Of a built-in kind ``terms`` knows all that without building it, and nothing is done here.

    Raises:
        ModelUnusable: the code is absent, another than the spec's, or fails.
        MarkCapacityError: a segment is too small for its marks.
    """
    if not is_code(spec.kind):
        return
    for seat, segment in enumerate(build_segments(spec)):
        with guard_code(spec, "has a state that cannot be read"):
            state = state_of(segment)
        try:
            check_capacity(state, MarkParams(marks.bits, marks.strength), rounds)
        except MarkCapacityError as e:
            raise MarkCapacityError(
                f"seat {seat}: {e.message}", hint="use larger widths or fewer trainers; fewer mark_bits need less"
            ) from e


def _initial(name: str, shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float32]:
    if len(shape) >= 2:
        scale = np.float32(math.sqrt(2.0 / math.prod(shape[1:])))
        return rng.standard_normal(shape, dtype=np.float32) * scale
    return np.full(shape, float(name.rsplit(".", maxsplit=1)[-1] == "weight"), dtype=np.float32)


class Segment:
    """The layers of one seat, in training.

    A step is ``forward``, then ``backward`` (or ``loss_backward`` in the last seat), then ``step``.

    Args:
        state: parameters and buffers, floating ones all float32 or all float64; copied.
        optimizer_state: as ``optimizer_state()`` gave it, or None to start afresh; copied.

    Raises:
        SpecError: states that do not fit the specification.
        ModelUnusable: from every method, where the model is code that fails.
    """

    def __init__(
        self, spec: ModelSpec, training: TrainingSpec, seat: int, state: State, optimizer_state: State | None = None
    ) -> None:
        self.seat = seat
        self.is_last = seat == len(spec.cuts)
        self._spec, self._training = spec, training
        self._module = build_segment(spec, seat)
        self._dtype = _floating_dtype(state)
        with self._running("keep a state"):
            self._module.to(self._dtype)
            shapes = _shapes(self._module.state_dict())
        _check_names(seat, shapes, state)
        with self._running("take a state"):
            self._module.load_state_dict({name: torch.tensor(array) for name, array in state.items()})
            self._module.train()
        self._optimizer = _make_optimizer(self._module, training)
        self._load_moments(optimizer_state or {})
        self._input: Tensor | None = None
        self._output: Tensor | None = None

    def forward(self, x: NDArray[Any]) -> NDArray[Any]:
        """Output for a batch (batch, ...); keeps the graph for the backward pass.

        Raises:
            DataError: a batch of a shape that the segment cannot take.
        """
        self._optimizer.zero_grad(set_to_none=True)
        # Copied, also because results may depend on alignment in memory, which is torch's own here for every caller.
        self._input = torch.tensor(x, dtype=self._dtype, requires_grad=self.seat > 0)
        try:
            with self._running(f"take a batch {list(x.shape)}"):
                self._output = self._module(self._input)
                return np.asarray(self._output.detach().numpy())
        except RuntimeError as e:
            raise DataError(
                f"seat {self.seat} cannot take a batch {list(x.shape)}: {e}",
                hint="give the segment a batch of the shape that its cut has in the spec",
            ) from e

    def backward(self, grad: NDArray[Any]) -> NDArray[Any] | None:
        """Gradient of the loss at the input, from that at the output; None in seat 0, where nobody needs it.

        Raises:
            DataError: a gradient of another shape than the output, or no forward pass before.
        """
        output = self._pending()
        if grad.shape != tuple(output.shape):
            raise DataError(f"seat {self.seat} got a gradient {list(grad.shape)}", hint=f"not {list(output.shape)}")
        with self._running(f"go back from a gradient {list(grad.shape)}"):
            output.backward(torch.tensor(grad, dtype=self._dtype))  # type: ignore[no-untyped-call]
        return self._input_gradient()

    def loss_backward(self, labels: NDArray[np.int64]) -> tuple[float, NDArray[Any] | None]:
        """Last seat: mean loss (nats) of the last forward pass, and its input gradient; ``training_loss`` says which.

        Args:
            labels: int64 (batch,), pseudo-labels in [0, outputs).

        Raises:
            DataError: labels out of range or of another length, or no forward pass before.
            TrainingDiverged: the loss is not finite.
        """
        logits = self._pending()
        if labels.shape != (logits.shape[0],) or labels.min() < 0 or labels.max() >= self._spec.outputs:
            raise DataError("labels do not fit the batch", hint=f"one in [0, {self._spec.outputs}) for each record")
        with self._running(f"go back from its loss on outputs {list(logits.shape)}"):
            loss = training_loss(logits, torch.tensor(labels), self._training)
            loss.backward()  # type: ignore[no-untyped-call]
        if not math.isfinite(loss.item()):
            raise TrainingDiverged(self.seat, "grad_sent", "loss")
        return loss.item(), self._input_gradient()

    def step(self) -> None:
        """One optimizer step with the gradients of the last backward pass."""
        self._optimizer.step()
        self._input = self._output = None

    def state(self) -> State:
        """A copy of parameters and buffers."""
        with self._running("give its state"):
            return state_of(self._module)

    def optimizer_state(self) -> State:
        """A copy of the optimizer's moments as ``moment/parameter``; empty before the first step and for plain SGD."""
        flat: State = {}
        for name, weight in self._module.named_parameters():
            moments = self._optimizer.state.get(weight, {})
            flat.update({f"{key}/{name}": _array(value) for key, value in moments.items() if value is not None})
        return flat

    def _running(self, what: str) -> AbstractContextManager[None]:
        return guard_code(self._spec, f"cannot {what} in seat {self.seat}")

    def _pending(self) -> Tensor:
        if self._output is None:
            raise DataError(f"seat {self.seat} has no forward pass to go back through", hint="call forward first")
        return self._output

    def _input_gradient(self) -> NDArray[Any] | None:
        grad = None if self._input is None else self._input.grad
        return None if grad is None else np.asarray(grad.numpy())

    def _load_moments(self, flat: State) -> None:
        weights = dict(self._module.named_parameters())
        known = {f"{key}/{name}": (key, name) for name in weights for key in _MOMENTS[self._training.optimizer]}
        shapes = {
            flat_name: () if key == "step" else tuple(weights[name].shape) for flat_name, (key, name) in known.items()
        }
        _check_names(self.seat, {name: shapes[name] for name in _complete(flat, shapes)}, flat)
        for flat_name, array in flat.items():
            key, name = known[flat_name]
            dtype = torch.float32 if key == "step" else self._dtype
            self._optimizer.state[weights[name]][key] = torch.tensor(array, dtype=dtype)


def training_loss(
    logits: Tensor, labels: Tensor, training: TrainingSpec, reduction: Literal["mean", "sum"] = "mean"
) -> Tensor:
    """Cross entropy with label smoothing; where a share rho of the labels was drawn uniformly, corrected for that.

    With P outputs and softmax p the corrected loss is ``-log((1 - rho) p_label + rho / P)``, the cross entropy of what
    the noise makes of p: forward correction (Patrini et al., "Making Deep Neural Networks Robust to Label Noise",
    CVPR 2017, theorem 2). It is least in expectation at the posterior of the clean labels, never exceeds
    ``log(P / rho)``, and is the plain one at rho = 0. Exact where every class has as many pseudo-labels; else a
    replaced label falls on each of class c with 1 / (K gamma_c), not 1 / P, and trainers do not know which those are.
    """
    rho = training.label_noise
    if not rho:
        smoothing = training.label_smoothing
        return nn.functional.cross_entropy(logits, labels, reduction=reduction, label_smoothing=smoothing)
    log_p = -nn.functional.cross_entropy(logits, labels, reduction="none")
    floor = torch.full_like(log_p, math.log(rho / logits.shape[1]))
    losses = -torch.logaddexp(log_p + math.log1p(-rho), floor)
    return losses.mean() if reduction == "mean" else losses.sum()


def _complete(flat: State, known: dict[str, tuple[int, ...]]) -> set[str]:
    """Names that must be there: every moment of each parameter that has any."""
    started = {name.split("/", 1)[-1] for name in flat}
    return {name for name in known if name.split("/", 1)[1] in started}


def _make_optimizer(module: nn.Module, training: TrainingSpec) -> torch.optim.Optimizer:
    """SGD with ``momentum``, or AdamW with ``momentum`` as its first decay rate (its second is 0.999)."""
    rate, decay = training.learning_rate, training.weight_decay
    if training.optimizer == "sgd":
        return torch.optim.SGD(module.parameters(), rate, training.momentum, weight_decay=decay, foreach=False)
    betas = (training.momentum, 0.999)
    return torch.optim.AdamW(module.parameters(), rate, betas, weight_decay=decay, foreach=False)


def _floating_dtype(state: State) -> torch.dtype:
    kinds = {array.dtype.name for array in state.values() if array.dtype.kind == "f"}
    known = {"float32": torch.float32, "float64": torch.float64}
    if len(kinds) != 1 or not kinds <= set(known):
        raise SpecError(
            f"a state in {sorted(kinds)} cannot be trained",
            hint="store every tensor of the state as float32, or every one as float64",
        )
    return known[kinds.pop()]


def _check_names(seat: int, expected: dict[str, tuple[int, ...]], state: State) -> None:
    wrong = sorted({*expected} ^ {*state}) or [n for n in sorted(state) if expected[n] != state[n].shape]
    if wrong:
        raise SpecError(
            f"the state of seat {seat} does not fit its segment at {wrong[0]}",
            hint="give the state of this model and these cuts",
        )


def _shapes(tensors: dict[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def _array(tensor: Tensor) -> NDArray[Any]:
    return np.array(tensor.detach().numpy())
