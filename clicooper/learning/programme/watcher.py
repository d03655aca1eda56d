"""Watches a torch module run without numbers, and writes what it does into a list.

The batch and the weights are *meta* tensors, which have shapes alone: every operation on them is translated. What
depends on neither is a constant, a real tensor, and torch computes it as ever. What torch's operations are in ours is
the job of ``torch_operations``; which results are needed, that of ``trace``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from clicooper.commitments.programme import Constant
from clicooper.learning.programme.builder import Builder, Value
from clicooper.learning.programme.operations import Form
from clicooper.learning.programme.torch_operations import TRANSLATIONS
from clicooper.learning.programme.translation import Untranslatable, finite

__all__ = ["META", "PlainCalls", "Watcher"]

MOST_CONSTANT_BYTES = 1 << 16

LIKE = frozenset(f"{kind}_like" for kind in ("empty", "zeros", "ones", "full")) | frozenset(
    f"new_{kind}" for kind in ("empty", "zeros", "ones", "full")
)
"""Operations that take no more of a tensor than its shape and type."""

CPU, META = torch.device("cpu"), torch.device("meta")


class PlainCalls(TorchFunctionMode):
    """Sees every call of a module as it is made: what torch's device and autocast would do to it is not done.

    A Python list that a module writes out for the device of its input, which has no numbers here, keeps its own.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Makes one call."""
        kwargs = dict(kwargs or {})
        if torch.is_autocast_enabled("cpu"):
            raise Untranslatable("autocast")
        if func in (torch.tensor, torch.as_tensor, torch.asarray) and kwargs.get("device") is not None:
            kwargs["device"] = CPU
        return func(*args, **kwargs)


class Watcher(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sees every operation of torch, and writes those on the batch or the weights into a list.

    A tensor is known by its identity, so all that are met are kept.

    Attributes:
        constants: a value of number -1 - i stands for the i-th.
        stopped: values through which no gradient goes back.
        used: names of the module's own constants that something was computed with.
    """

    def __init__(self, builder: Builder) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.builder = builder
        self.constants: list[Constant] = []
        self.stopped: set[Value] = set()
        self.used: set[str] = set()
        self._values: dict[int, Value] = {}
        self._outlines: dict[int, Tensor] = {}
        self._memory: dict[int, dict[int, Tensor]] = {}
        self._own: set[int] = set()
        self._origins: dict[int, frozenset[str]] = {}
        self._modules: list[str] = []

    @property
    def where(self) -> str:
        """The layer that runs."""
        return self._modules[-1] if self._modules else "the model"

    @contextmanager
    def named(self) -> Iterator[None]:
        """Notes which module runs, for messages."""
        before = nn.modules.module.register_module_forward_pre_hook(self._enter)
        after = nn.modules.module.register_module_forward_hook(self._leave)
        try:
            yield
        finally:
            before.remove()
            after.remove()

    def _enter(self, module: nn.Module, _: Any) -> None:
        self._modules.append(type(module).__name__)

    def _leave(self, *_: Any) -> None:
        self._modules.pop()

    def bind(self, tensor: Tensor, value: Value) -> None:
        """Says which value a tensor stands for from now on."""
        if tuple(tensor.shape) != value.shape or str(tensor.dtype) != f"torch.{value.form.dtype}":
            raise Untranslatable(f"a result {tensor.dtype} of shape {list(tensor.shape)}")
        self._keep(tensor)
        self._values[id(tensor)] = value

    def rebind(self, tensor: Tensor, value: Value) -> None:
        """Says what stands in a tensor's memory from now on."""
        for one in self._written(tensor, "a change"):
            self.bind(one, value)

    def own(self, tensor: Tensor, *names: str) -> None:
        """Lets the module write into a real tensor, a copy of its own constant of that name."""
        self._keep(tensor)
        self._own.add(_storage(tensor))
        self._origins[id(tensor)] = frozenset(names)

    def is_computed(self, tensor: Tensor) -> bool:
        """Whether the batch or a weight went into a tensor."""
        return id(tensor) in self._values

    def value_of(self, tensor: Tensor, *, as_float: bool = False) -> Value:
        """The value that a tensor stands for; numbers of now, if it is a constant.

        Args:
            as_float: whether torch would take its truths or whole numbers as float32.
        """
        value = self._values.get(id(tensor))
        if value is None:
            if tensor.device.type == "meta":
                raise Untranslatable("a tensor that none of its operations gives")
            self._keep(tensor)
            self.used |= self._origins.get(id(tensor), frozenset())
            if isinstance(tensor, nn.Parameter):
                raise Untranslatable("a weight that the model does not register")
            return self._constant(tensor.detach().to(torch.float32) if as_float else tensor.detach())
        if as_float and value.form.dtype == "bool":
            return self.builder.one("where", value, self.builder.scalar(1.0), self.builder.scalar(0.0))
        return value

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Runs one operation of torch, and writes what it does."""
        kwargs = dict(kwargs or {})
        name = func.overloadpacket.__name__
        if torch.Tag.nondeterministic_seeded in func.tags:
            raise Untranslatable(f"{name}, which draws random numbers,")
        if name in LIKE:
            args = (torch.empty(args[0].shape, dtype=args[0].dtype, device=CPU), *args[1:])
        tensors = [item for item in _leaves((args, kwargs)) if isinstance(item, Tensor)]
        for tensor in tensors:
            self._keep(tensor)
        is_computed = any(id(tensor) in self._values for tensor in tensors)
        if not is_computed and not any(tensor.device.type == "meta" for tensor in tensors):
            return self._run_constant(func, name, args, kwargs)
        if name == "_local_scalar_dense":
            raise Untranslatable("a choice that depends on the numbers that it computes with")
        if is_computed:
            return self._translate(func, name, args, kwargs)
        return self._run_outlines(func, args, kwargs)

    def _translate(self, func: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        is_in_place = func._schema.is_mutable and name.endswith("_")
        translation = TRANSLATIONS.get(name)
        if translation is None and is_in_place:
            translation = TRANSLATIONS.get(name[:-1])
        if translation is None or (func._schema.is_mutable and not is_in_place):
            raise Untranslatable(name)
        changed = self._written(args[0], name) if is_in_place else []
        found = translation(self, func, *args, **kwargs)
        values = found if isinstance(found, tuple) else (found,)
        if name == "detach" or not torch.is_grad_enabled():
            values = tuple(self._stop(value) for value in values)
        result = self._run_outlines(func, args, kwargs)
        if is_in_place:
            for tensor in changed:
                self.bind(tensor, values[0])  # type: ignore[arg-type]
            return args[0]
        for tensor, value in zip(_leaves(result), values, strict=False):
            if value is not None:
                self.bind(tensor, value)
        return result

    def _stop(self, value: Value | None) -> Value | None:
        if value is None or value.form.dtype != "float32":
            return value
        stopped = self.builder.one("reshape", value, shape=value.shape)
        self.stopped.add(stopped)
        return stopped

    def _run_outlines(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """An operation on shapes alone; its results have no values yet."""
        if kwargs.get("device") is not None:
            kwargs = {**kwargs, "device": META}
        result = func(*self._outlined(args), **self._outlined(kwargs))
        for tensor in _leaves(result):
            if isinstance(tensor, Tensor):
                self._keep(tensor)
        return result

    def _run_constant(self, func: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """An operation on constants alone."""
        for argument, item in _arguments(func, args, kwargs):
            is_written = argument.alias_info is not None and argument.alias_info.is_write
            if is_written and isinstance(item, Tensor) and _storage(item) not in self._own:
                raise Untranslatable(f"{name} on a tensor outside of the model's state")
        if kwargs.get("device") is not None:
            kwargs = {**kwargs, "device": CPU}
        given = [self._origins.get(id(item), frozenset()) for item in _leaves((args, kwargs))]
        origins = frozenset[str]().union(*given)
        if name == "_local_scalar_dense":
            self.used |= origins
        result = func(*args, **kwargs)
        for tensor in _leaves(result):
            if isinstance(tensor, Tensor):
                if name == "lift_fresh" or _storage(tensor) not in self._memory:
                    self.own(tensor)
                self._keep(tensor)
                self._origins[id(tensor)] = origins
                if name.startswith(("empty", "new_empty")) and tensor.is_floating_point():
                    tensor.fill_(math.nan)  # memory as it was found is no constant
        return result

    def _outlined(self, item: Any) -> Any:
        """The same with tensors of shapes alone."""
        if isinstance(item, Tensor):
            if item.device.type == "meta":
                return item
            return self._outlines.get(id(item), torch.empty(item.shape, dtype=item.dtype, device=META))
        if isinstance(item, dict):
            return {name: self._outlined(one) for name, one in item.items()}
        if isinstance(item, (tuple, list)):
            return type(item)(self._outlined(one) for one in item)
        return item

    def _keep(self, tensor: Tensor) -> None:
        self._memory.setdefault(self._place(tensor), {})[id(tensor)] = tensor

    def _place(self, tensor: Tensor) -> int:
        return _storage(self._outlines.get(id(tensor), tensor))

    def _written(self, tensor: Tensor, name: str) -> list[Tensor]:
        """All tensors that see what is written into one; each must be the whole of it."""
        seen = list(self._memory[self._place(tensor)].values())
        if any(_geometry(one) != _geometry(tensor) for one in seen):
            raise Untranslatable(f"{name} on a part of another tensor")
        if tensor.device.type == "meta" or id(tensor) in self._outlines:
            return seen
        if _storage(tensor) not in self._own:
            raise Untranslatable(f"{name} on a tensor outside of the model's state")
        # A constant becomes a computed value: from now on a tensor of shapes alone says who shares its memory.
        outline = torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device=META)
        for one in seen:
            self._outlines[id(one)] = outline
        self._memory[_storage(outline)] = {id(one): one for one in seen}
        return seen

    def _constant(self, numbers: Tensor) -> Value:
        plain = numbers.contiguous()
        if plain.is_floating_point():
            if plain.numel() and bool((plain == plain.reshape(-1)[0]).all()):
                return self.builder.one("full", shape=tuple(plain.shape), value=finite(float(plain.reshape(-1)[0])))
            if bool(plain.isnan().any()):
                raise Untranslatable("a constant that is no number")
            plain = torch.where(plain.isinf(), plain.sign() * finite(math.inf), plain)
        dtype = {torch.float32: "float32", torch.int64: "int64", torch.bool: "bool"}.get(plain.dtype)
        data = plain.numpy().tobytes()
        if dtype is None or len(data) > MOST_CONSTANT_BYTES:
            raise Untranslatable(f"a constant {plain.dtype} of {len(data)} bytes")
        constant = Constant(dtype=dtype, shape=tuple(plain.shape), data=data)  # type: ignore[arg-type]
        if constant not in self.constants:
            self.constants.append(constant)
        return Value(-1 - self.constants.index(constant), Form(constant.dtype, constant.shape))


def _storage(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)


def _geometry(tensor: Tensor) -> tuple[Sequence[int], Sequence[int], int]:
    return tensor.shape, tensor.stride(), int(tensor.storage_offset())


def _arguments(func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Iterator[tuple[Any, Any]]:
    """The parameters of an operation of torch with what is given for them."""
    for place, argument in enumerate(func._schema.arguments):
        yield argument, args[place] if place < len(args) else kwargs.get(argument.name)


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        value = tuple(value.values())
    if isinstance(value, (tuple, list)):
        for item in value:
            yield from _leaves(item)
    else:
        yield value
