"""Reads a torch module's forward pass into operations, by watching it run on tensors without numbers.

The maker of a job does this once. Nothing that depends on numbers can be traced, and no fused kernel of a device hides
what a layer does. What torch calls its operations, and how it splits a layer, matters to the maker and to nobody else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.modules.batchnorm import _NormBase

from clicooper.commitments.programme import Instruction
from clicooper.errors import NotPortable, SpecError
from clicooper.learning.programme.builder import Builder, Traced, Value, Written
from clicooper.learning.programme.operations import Form
from clicooper.learning.programme.translation import Untranslatable
from clicooper.learning.programme.watcher import META, PlainCalls, Watcher

__all__ = ["trace"]

SEE = "docs/arithmetic.md lists what is; write the layer with that"


def trace(module: nn.Module, batch_shape: Sequence[int], *, evaluation: bool) -> Traced:
    """What a module computes of a batch.

    Args:
        module: float32; nothing of it is changed.
        batch_shape: of its input, records first.
        evaluation: in the mode of that, else in the mode of training.

    Raises:
        NotPortable: it does something that portable/1 does not define, or something else each time.
    """
    _require_plain(module)
    first, second = (_trace_once(module, batch_shape, evaluation=evaluation) for _ in range(2))
    if first != second:
        raise NotPortable("the model computes something else each time that it runs", hint=SEE)
    return first


def _trace_once(module: nn.Module, batch_shape: Sequence[int], *, evaluation: bool) -> Traced:
    state = {name: tensor for name, tensor in module.state_dict(keep_vars=True).items() if tensor.is_floating_point()}
    shapes = {name: tuple(state[name].shape) for name in sorted(state)}
    trained = frozenset(name for name, weight in module.named_parameters() if weight.requires_grad)
    forms = [Form("float32", tuple(batch_shape)), *(Form("float32", shape) for shape in shapes.values())]
    watcher = Watcher(Builder(forms))
    with _refusing(watcher), _in_mode(module, training=not evaluation), _plain_torch(), watcher.named():
        given = {name: torch.empty(shape, dtype=torch.float32, device=META) for name, shape in shapes.items()}
        batch = torch.empty(tuple(batch_shape), dtype=torch.float32, device=META)
        for tensor, value in zip((batch, *given.values()), watcher.builder.inputs, strict=True):
            watcher.bind(tensor, value)
        held = {name: buffer.clone() for name, buffer in module.named_buffers() if name not in state}
        for name, tensor in held.items():
            watcher.own(tensor, name)
        # The call leaves here what the module has put in a tensor's place.
        after = {**held, **given}
        with watcher, PlainCalls():
            output = torch.func.functional_call(module, after, (batch,), strict=False)
        result = _result(watcher, output, batch_shape[0])
        state_after = {name: watcher.value_of(after[name]) for name in given}
    _require_constant(watcher, {name: after[name] for name in held}, dict(module.named_buffers()))
    changed = {name: value for place, (name, value) in enumerate(state_after.items(), 1) if value.number != place}
    if unlike := [name for name, value in changed.items() if value.form != forms[1 + list(shapes).index(name)]]:
        raise NotPortable(f"buffer {unlike[0]} changes its shape or type", hint=SEE)
    if written := [name for name, _ in module.named_parameters() if name in changed]:
        raise NotPortable(f"weight {written[0]} is changed by the forward pass", hint="leave that to the optimizer")
    if not evaluation:
        _require_gradients(watcher, result, [place for place, name in enumerate(shapes, start=1) if name in trained])
    return _assemble(watcher, shapes, trained, result, changed)


def _require_plain(module: nn.Module) -> None:
    """No tensor under two names, no lazy or other than float32 weights, no layer that is known not to go."""
    for name, weight in module.named_parameters(remove_duplicate=False):
        if isinstance(weight, nn.parameter.UninitializedParameter):
            raise NotPortable(f"weight {name} has no shape", hint="state every layer's sizes, no lazy modules")
    state = module.state_dict(keep_vars=True)
    weights = [tensor for tensor in state.values() if tensor.is_floating_point()]
    if len({id(tensor) for tensor in weights}) != len(weights):
        raise NotPortable("a weight is used under two names", hint="segments train apart: tie no weights")
    whole = {name for name, tensor in state.items() if not tensor.is_floating_point()}
    for name, tensor in state.items():
        if tensor.dtype != torch.float32 and (name not in whole or tensor.is_complex()):
            raise NotPortable(f"{name} is {tensor.dtype}", hint="every weight is float32")
    for layer in module.modules():
        if isinstance(layer, nn.RNNBase):
            raise NotPortable(f"{type(layer).__name__} is not in portable/1", hint=SEE)
        if isinstance(layer, _NormBase) and layer.track_running_stats and layer.momentum is None:
            raise NotPortable(
                f"{type(layer).__name__} without momentum, which counts its batches, is not in portable/1",
                hint="give it a momentum, such as 0.1",
            )


@contextmanager
def _refusing(watcher: Watcher) -> Iterator[None]:
    """Says what cannot be traced, and in which layer."""
    try:
        yield
    except Untranslatable as e:
        raise NotPortable(f"{watcher.where}: {e} is not in portable/1", hint=SEE) from e
    except NotPortable:
        raise
    except SpecError as e:
        raise NotPortable(f"{watcher.where}: {e.message}", hint=SEE) from e
    except (RuntimeError, NotImplementedError, TypeError, ValueError) as e:
        if not any(sign in str(e) for sign in ("meta", "data-dependent", "unallocated storage")):
            raise
        raise NotPortable(f"{watcher.where}: it depends on the numbers that it computes with", hint=SEE) from e


@contextmanager
def _in_mode(module: nn.Module, *, training: bool) -> Iterator[None]:
    before = [(layer, layer.training) for layer in module.modules()]
    try:
        module.train(training)
        yield
    finally:
        for layer, mode in before:
            layer.training = mode


@contextmanager
def _plain_torch() -> Iterator[None]:
    """Takes fused layers apart, whatever the process has set."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with ExitStack() as stack:
            stack.enter_context(sdpa_kernel(SDPBackend.MATH))
            stack.enter_context(torch.autocast("cpu", enabled=False))
            stack.enter_context(torch.device("cpu"))
            stack.enter_context(torch.inference_mode(mode=False))
            # Where gradients are off, the module itself has turned them off; no tensor here asks for one.
            stack.enter_context(torch.enable_grad())
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


def _result(watcher: Watcher, output: object, records: int) -> Value:
    if isinstance(output, Tensor) and output.shape[:1] == torch.Size((records,)):
        value = watcher.value_of(output)
        if value.form.dtype == "float32":
            return value
    raise NotPortable("a segment does not give one float32 tensor with a row for each record", hint=SEE)


def _require_constant(watcher: Watcher, held: Mapping[str, Tensor], before: Mapping[str, Tensor]) -> None:
    """What the list takes for constants does not change from step to step; a counter may, if nothing reads it."""
    for name, tensor in held.items():
        is_changed = watcher.is_computed(tensor) or not torch.equal(tensor, before[name])
        if is_changed and (name in watcher.used or tensor.is_floating_point()):
            raise NotPortable(
                f"buffer {name} is changed by the forward pass, and is no float32 of the model's state",
                hint="register it as a persistent float32 buffer",
            )


def _needed(watcher: Watcher, results: Sequence[Value]) -> list[Written]:
    """The instructions that results need, in their order."""
    needed, found = set(results), []
    for one in reversed(watcher.builder.written):
        if needed.intersection(one.outputs):
            needed.update(one.inputs)
            found.append(one)
    return found[::-1]


def _require_gradients(watcher: Watcher, output: Value, trained: Sequence[int]) -> None:
    """No operation stops a gradient on its way from the output to the input or to a weight."""
    sources = {watcher.builder.inputs[number] for number in (0, *trained)}
    for one in _needed(watcher, [output]):
        if watcher.stopped.intersection(one.outputs):
            before = _needed(watcher, one.inputs)
            if sources.intersection(one.inputs) or any(sources.intersection(part.inputs) for part in before):
                raise NotPortable(
                    "a part of the model that keeps gradients back, by detach or no_grad, is not in portable/1",
                    hint=SEE,
                )


def _assemble(
    watcher: Watcher,
    shapes: Mapping[str, tuple[int, ...]],
    trained: frozenset[str],
    output: Value,
    buffers: Mapping[str, Value],
) -> Traced:
    """The instructions that the results need, numbered behind the constants."""
    needed = _needed(watcher, [output, *buffers.values()])
    numbers = {value: value.number for value in watcher.builder.inputs}
    for place, constant in enumerate(watcher.constants):
        numbers[Value(-1 - place, Form(constant.dtype, constant.shape))] = len(watcher.builder.inputs) + place
    for one in needed:
        for value in one.outputs:
            numbers[value] = len(numbers)
    instructions = tuple(
        Instruction(
            operation=one.operation,
            inputs=tuple(numbers[value] for value in one.inputs),
            attributes=dict(one.attributes),
        )
        for one in needed
    )
    return Traced(
        watcher.builder.inputs[0].form,
        shapes,
        trained,
        tuple(watcher.constants),
        instructions,
        numbers[output],
        {name: numbers[value] for name, value in buffers.items()},
    )
