"""Reads a torch module's forward pass into operations, by watching it run on tensors without numbers.

The maker of a job does this once. The module runs on *meta* tensors, which have shapes alone, so nothing that depends
on numbers can be traced, and no fused kernel of a device hides what a layer does. What torch calls its operations, and
how it splits a layer, matters here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.modules.batchnorm import _NormBase
from torch.utils._python_dispatch import TorchDispatchMode

from clicooper.commitments.programme import Constant, Instruction
from clicooper.errors import NotPortable
from clicooper.learning.programme.builder import Builder, Traced, Value
from clicooper.learning.programme.operations import Form
from clicooper.learning.programme.torch_operations import TRANSLATIONS, Untranslatable

__all__ = ["trace"]

SEE = "docs/arithmetic.md lists what is; write the layer with that"

MOST_CONSTANT_BYTES = 1 << 16

LIKE = frozenset(f"{kind}_like" for kind in ("empty", "zeros", "ones", "full")) | frozenset(
    f"new_{kind}" for kind in ("empty", "zeros", "ones", "full")
)
"""Operations that take no more of a tensor than its shape."""


def trace(module: nn.Module, batch_shape: Sequence[int], *, evaluation: bool) -> Traced:
    """What a module computes of a batch.

    Args:
        module: float32; nothing of it is changed.
        batch_shape: of its input, records first.
        evaluation: in the mode of that, else in the mode of training.

    Raises:
        NotPortable: it does something that portable/1 does not define.
    """
    mode = module.training
    state = {name: tensor for name, tensor in module.state_dict(keep_vars=True).items() if tensor.is_floating_point()}
    names = sorted(state)
    _require_plain(module, state)
    forms = [Form("float32", tuple(batch_shape)), *(Form("float32", tuple(state[name].shape)) for name in names)]
    watcher = _Watcher(Builder(forms))
    try:
        module.train(not evaluation)
        with _plain_torch(), torch.device("meta"), torch.no_grad(), torch.inference_mode(mode=False), watcher.named():
            batch = torch.empty(batch_shape, dtype=torch.float32)
            given = {name: torch.empty(tuple(state[name].shape), dtype=torch.float32) for name in names}
            for tensor, value in zip((batch, *given.values()), watcher.builder.inputs, strict=True):
                watcher.bind(tensor, value)
            counters = {n: t.clone() for n, t in module.named_buffers() if not t.is_floating_point()}
            with watcher:
                output = torch.func.functional_call(module, {**counters, **given}, (batch,), strict=False)
    except Untranslatable as e:
        raise NotPortable(f"{watcher.where}: {e} is not in portable/1", hint=SEE) from e
    except (RuntimeError, NotImplementedError) as e:
        if "meta" not in str(e) and "data-dependent" not in str(e):
            raise
        raise NotPortable(f"{watcher.where}: it depends on the numbers that it computes with", hint=SEE) from e
    finally:
        module.train(mode)
    if not isinstance(output, Tensor) or output.shape[:1] != torch.Size(batch_shape[:1]):
        raise NotPortable("a segment does not give one tensor with a row for each record", hint=SEE)
    changed = {name: watcher.value_of(tensor) for name, tensor in given.items()}
    parameters = frozenset(name for name, _ in module.named_parameters())
    shapes = {name: tuple(state[name].shape) for name in names}
    return _assemble(watcher, shapes, parameters, watcher.value_of(output), changed)


def _require_plain(module: nn.Module, state: Mapping[str, Tensor]) -> None:
    """No tensor under two names, no lazy or other than float32 weights."""
    for name, weight in module.named_parameters(remove_duplicate=False):
        if isinstance(weight, nn.parameter.UninitializedParameter):
            raise NotPortable(f"weight {name} has no shape", hint="state every layer's sizes, no lazy modules")
    if len({id(tensor) for tensor in state.values()}) != len(state):
        raise NotPortable("a weight is used under two names", hint="segments train apart: tie no weights")
    for name, tensor in state.items():
        if tensor.dtype != torch.float32:
            raise NotPortable(f"{name} is {tensor.dtype}", hint="every weight is float32")
    for layer in module.modules():
        if isinstance(layer, _NormBase) and layer.track_running_stats and layer.momentum is None:
            raise NotPortable(
                f"{type(layer).__name__} without momentum, which counts its batches, is not in portable/1",
                hint="give it a momentum, such as 0.1",
            )


@contextmanager
def _plain_torch() -> Iterator[None]:
    """Takes fused layers apart, whatever the process has set."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with ExitStack() as stack:
            stack.enter_context(sdpa_kernel(SDPBackend.MATH))
            stack.enter_context(torch.autocast("cpu", enabled=False))
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


class _Watcher(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sees every operation of torch, and writes it into a list.

    A tensor is known by its identity, so all that are met are kept. One that nothing of the batch or the weights went
    into is a constant, and is computed for real on the side.
    """

    def __init__(self, builder: Builder) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.builder = builder
        self.constants: list[Constant] = []
        self._values: dict[int, Value] = {}
        self._numbers: dict[int, Tensor] = {}
        self._kept: list[Tensor] = []
        self._storages: dict[int, set[int]] = {}
        self._modules: list[str] = []

    @property
    def where(self) -> str:
        """The layer that runs."""
        return self._modules[-1] if self._modules else "the model"

    @contextmanager
    def named(self) -> Iterator[None]:
        """Notes which module runs, for messages."""
        before = nn.modules.module.register_module_forward_pre_hook(
            lambda module, _: self._modules.append(type(module).__name__)
        )
        after = nn.modules.module.register_module_forward_hook(self._leave)
        try:
            yield
        finally:
            before.remove()
            after.remove()

    def _leave(self, *_: Any) -> None:
        self._modules.pop()

    def bind(self, tensor: Tensor, value: Value) -> None:
        """Says which value a tensor stands for from now on."""
        if tuple(tensor.shape) != value.shape:
            raise Untranslatable(f"a result of shape {list(tensor.shape)}")
        self._values[id(tensor)] = value
        self._keep(tensor)

    def value_of(self, tensor: Tensor) -> Value:
        """The value that a tensor stands for; a constant becomes one."""
        if id(tensor) in self._values:
            return self._values[id(tensor)]
        numbers = self._numbers.get(id(tensor), tensor)
        value = self._constant(numbers)
        self._values[id(tensor)] = value
        self._keep(tensor)
        return value

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Runs one operation of torch on tensors without numbers, and writes what it does."""
        kwargs = kwargs or {}
        name = func.overloadpacket.__name__
        tensors = [item for item in _leaves((args, kwargs)) if isinstance(item, Tensor)]
        if torch.Tag.nondeterministic_seeded in func.tags:
            raise Untranslatable(f"{name}, which draws random numbers,")
        if name == "_local_scalar_dense":
            raise Untranslatable("a choice that depends on the numbers that it computes with")
        if name in LIKE:
            return self._constant_result(func, (torch.empty_like(args[0], device="cpu"), *args[1:]), kwargs)
        if not any(id(tensor) in self._values for tensor in tensors):
            return self._constant_result(func, args, kwargs)
        translation = TRANSLATIONS.get(name)
        is_in_place = func._schema.is_mutable and name.endswith("_")
        if translation is None and is_in_place:
            translation = TRANSLATIONS.get(name[:-1])
        if translation is None or (func._schema.is_mutable and not is_in_place):
            raise Untranslatable(name)
        if is_in_place:
            self._require_alone(args[0], name)
        values = translation(self, func, *args, **kwargs)
        # Batch normalisation changes its buffers, which have no numbers here.
        result = func(*args, **kwargs)
        results = result if isinstance(result, (tuple, list)) else (result,)
        for tensor, value in zip(results, values if isinstance(values, tuple) else (values,), strict=False):
            if value is not None:
                self.bind(tensor, value)
        return result

    def rebind(self, tensor: Tensor, value: Value) -> None:
        """A buffer's new value."""
        self.bind(tensor, value)

    def _keep(self, tensor: Tensor) -> None:
        self._kept.append(tensor)
        if tensor.device.type == "meta":
            self._storages.setdefault(tensor.untyped_storage()._cdata, set()).add(id(tensor))

    def _require_alone(self, tensor: Tensor, name: str) -> None:
        """Whoever writes into memory that other tensors look at would change them too."""
        if len(self._storages.get(tensor.untyped_storage()._cdata, set())) > 1:
            raise Untranslatable(f"{name} on a part of another tensor")

    def _constant_result(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """An operation on constants alone, done twice: without numbers for the model, and with them for the list."""
        result = func(*args, **kwargs)
        real_args, real_kwargs = self._real(args), self._real(kwargs)
        if "device" in real_kwargs:
            real_kwargs["device"] = torch.device("cpu")
        with torch.device("cpu"):
            real = func(*real_args, **real_kwargs)
        for tensor, number in zip(_leaves(result), _leaves(real), strict=True):
            if isinstance(tensor, Tensor):
                self._numbers[id(tensor)] = number
                self._kept.append(tensor)
        return result

    def _real(self, value: Any) -> Any:
        if isinstance(value, Tensor):
            if id(value) not in self._numbers and value.device.type == "meta":
                raise Untranslatable("a tensor that nobody gave numbers")
            return self._numbers.get(id(value), value)
        if isinstance(value, dict):
            return {name: self._real(item) for name, item in value.items()}
        if isinstance(value, (tuple, list)):
            return type(value)(self._real(item) for item in value)
        return value

    def _constant(self, numbers: Tensor) -> Value:
        if numbers.device.type == "meta":
            raise Untranslatable("a tensor that nobody gave numbers")
        if numbers.is_floating_point() and numbers.numel() and bool((numbers == numbers.reshape(-1)[0]).all()):
            return self.builder.one("full", shape=tuple(numbers.shape), value=_finite(numbers.reshape(-1)[0].item()))
        plain = numbers.detach().contiguous()
        dtype = {torch.float32: "float32", torch.int64: "int64", torch.bool: "bool"}.get(plain.dtype)
        data = plain.numpy().tobytes()
        if dtype is None or len(data) > MOST_CONSTANT_BYTES:
            raise Untranslatable(f"a constant {plain.dtype} of {len(data)} bytes")
        constant = Constant(dtype=dtype, shape=tuple(plain.shape), data=data)  # type: ignore[arg-type]
        if constant not in self.constants:
            self.constants.append(constant)
        return Value(-1 - self.constants.index(constant), Form(constant.dtype, constant.shape))


def _finite(number: float) -> float:
    """A mask's minus infinity as a number so low that its exponential is 0."""
    return max(min(number, 3e38), -3e38)


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        value = tuple(value.values())
    if isinstance(value, (tuple, list)):
        for item in value:
            yield from _leaves(item)
    else:
        yield value


def _assemble(
    watcher: _Watcher,
    shapes: Mapping[str, tuple[int, ...]],
    parameters: frozenset[str],
    output: Value,
    state: Mapping[str, Value],
) -> Traced:
    """The instructions that the results need, numbered behind the constants."""
    builder, constants = watcher.builder, watcher.constants
    given = len(builder.inputs)
    buffers = {name: value for place, (name, value) in enumerate(state.items(), start=1) if value.number != place}
    needed, live = {output, *buffers.values()}, []
    for one in reversed(builder.written):
        if needed.intersection(one.outputs):
            needed.update(one.inputs)
            live.append(one)
    numbers = {value: value.number for value in builder.inputs}
    numbers |= {
        Value(-1 - place, Form(constant.dtype, constant.shape)): given + place
        for place, constant in enumerate(constants)
    }
    for one in reversed(live):
        for value in one.outputs:
            numbers[value] = len(numbers)
    instructions = tuple(
        Instruction(
            operation=one.operation,
            inputs=tuple(numbers[value] for value in one.inputs),
            attributes=dict(one.attributes),
        )
        for one in reversed(live)
    )
    return Traced(
        builder.inputs[0].form,
        shapes,
        parameters,
        tuple(constants),
        instructions,
        numbers[output],
        {name: numbers[value] for name, value in buffers.items()},
    )
