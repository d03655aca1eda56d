"""The tracer reads layers of torch into operations, the same ones in every setting, and refuses the rest by name."""

import contextlib
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from clicooper.commitments.manifest import TrainingSpec
from clicooper.errors import NotPortable
from clicooper.learning.portable.kernels import PORTABLE
from clicooper.learning.portable.watch import Watch
from clicooper.learning.programme.check import check_programme
from clicooper.learning.programme.execution import Step, constants_on
from clicooper.learning.programme.step import make_programme
from clicooper.learning.programme.trace import trace
from tests.programme_models import training_of


class Flat(nn.Module):
    """A layer, its outputs in one row for each record."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x).flatten(1)


class Written(nn.Module):
    """A forward pass in a function, with one weight that it may use."""

    def __init__(self, function: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function
        self.weight = nn.Parameter(torch.linspace(0.5, 1.5, 6))

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x, self.weight)


class Attended(nn.Module):
    """Attention of three tokens to themselves."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(6, 2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.attention(x, x, x, need_weights=False)[0].flatten(1)


IMAGE, ROW, TOKENS = (4, 3, 8, 6), (4, 6), (4, 3, 6)

LAYERS = {
    "linear": (nn.Linear(6, 5), ROW),
    "linear of tokens": (Flat(nn.Linear(6, 5)), TOKENS),
    "convolution": (Flat(nn.Conv2d(3, 6, 3, stride=2, padding=1, groups=3)), IMAGE),
    "dilated": (Flat(nn.Conv2d(3, 4, (3, 2), dilation=2, bias=False)), IMAGE),
    "convolution of rows": (Flat(nn.Conv1d(3, 4, 3, padding=1)), TOKENS),
    "batch norm": (Flat(nn.BatchNorm2d(3)), IMAGE),
    "batch norm of rows": (nn.BatchNorm1d(6), ROW),
    "layer norm": (Flat(nn.LayerNorm((8, 6))), IMAGE),
    "group norm": (Flat(nn.GroupNorm(3, 3)), IMAGE),
    "instance norm": (Flat(nn.InstanceNorm2d(3, affine=True)), IMAGE),
    "max pool": (Flat(nn.Sequential(nn.Conv2d(3, 3, 1), nn.MaxPool2d(3, stride=2, padding=1))), IMAGE),
    "average pool": (Flat(nn.Sequential(nn.Conv2d(3, 3, 1), nn.AvgPool2d(2))), IMAGE),
    "adaptive pool": (Flat(nn.Sequential(nn.Conv2d(3, 3, 1), nn.AdaptiveAvgPool2d((4, 3)))), IMAGE),
    "transformer": (Flat(nn.TransformerEncoderLayer(6, 2, 8, dropout=0.0, batch_first=True)), TOKENS),
    "attention": (Attended(), TOKENS),
    "activations": (
        nn.Sequential(nn.Linear(6, 6), nn.GELU(), nn.SiLU(), nn.Tanh(), nn.Sigmoid(), nn.LeakyReLU(), nn.ReLU6()),
        ROW,
    ),
    "approximate gelu": (nn.Sequential(nn.Linear(6, 6), nn.GELU(approximate="tanh")), ROW),
    "softmax": (nn.Sequential(nn.Linear(6, 6), nn.Softmax(1)), ROW),
    "in place": (nn.Sequential(nn.Linear(6, 6), nn.ReLU(inplace=True)), ROW),
    "padded": (Flat(nn.Sequential(nn.Conv2d(3, 2, 1), nn.ZeroPad2d((1, 0, 2, 1)))), IMAGE),
    "functions": (Written(lambda x, w: (x * w).exp().log() + (w * x).sin().cos() / (1 + x.abs()).sqrt()), ROW),
    "powers": (Written(lambda x, w: (x * w) ** 2 + (x * w) ** 3 + (x * x + w) ** -0.5 - (x * x + w) ** 0.5), ROW),
    "chosen": (Written(lambda x, w: torch.where(x > 0, x * w, -x).clamp(-0.7, 0.9).maximum(w - 0.8)), ROW),
    "parts": (Written(lambda x, w: torch.cat([x[:, 1:3] * w[:2], (x * w).chunk(3, 1)[2], x.flip(1)], 1)), ROW),
    "sums": (Written(lambda x, w: (x * w).mean(1, keepdim=True) - (x * w).sum(1, keepdim=True) * w), ROW),
    "spread": (Written(lambda x, w: x * w / ((x * w).var(1, keepdim=True) + 0.1)), ROW),
    "positions": (Written(lambda x, w: x * w + torch.arange(6, dtype=torch.float32) / 7), ROW),
    "masked": (Written(lambda x, w: (x * w).masked_fill(torch.ones(6, 6).tril()[0] == 0, 0.25)), ROW),
    "erf": (Written(lambda x, w: torch.rsub(torch.erf(x * w), 1.0)), ROW),
    "stacked": (Written(lambda x, w: torch.stack([x, x * w], 1).transpose(1, 2).reshape(4, 12)), ROW),
    "products": (Written(lambda x, w: (x[:, :, None] * w) @ x[:, :, None]), ROW),
}


def step_of(layer: nn.Module, shape: tuple[int, ...], training: TrainingSpec) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Output and input gradient of a layer, by its programme and by torch."""
    traced = trace(layer, shape, evaluation=False)
    evaluated = trace(layer, shape, evaluation=True)
    checked = check_programme(make_programme(1, training, traced, evaluated, {}, is_last=False))
    rng = np.random.default_rng(5)
    x = torch.tensor(rng.standard_normal(shape), dtype=torch.float32)
    state = {name: tensor.detach().clone() for name, tensor in layer.state_dict().items()}
    weights = [state[tensor.name] for tensor in checked.programme.weights]
    moments = [torch.zeros(tensor.shape) for tensor in checked.programme.moments]
    step = Step(checked, PORTABLE, [*weights, *moments, *constants_on(checked, x.device)], Watch())
    output = step.forward(x)
    gradient = torch.tensor(rng.standard_normal(tuple(output.shape)), dtype=torch.float32)
    _, sent = step.backward(gradient)
    after, _ = step.update()
    assert sent is not None
    copied = x.double().requires_grad_()
    expected = layer.double().train()(copied)
    (theirs,) = torch.autograd.grad(expected, copied, gradient.double())
    buffers = dict(layer.named_buffers())
    for tensor, value in zip(checked.programme.weights, after, strict=True):
        if tensor.name in buffers:
            assert torch.allclose(value.double(), buffers[tensor.name], rtol=1e-5, atol=1e-6)
    layer.float().load_state_dict(state)
    return output, sent, expected.detach(), theirs


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_and_its_gradient_are_those_of_torch(name: str) -> None:
    layer, shape = LAYERS[name]
    output, sent, expected, theirs = step_of(layer, shape, training_of(batch=4))
    assert output.shape == expected.shape
    assert torch.allclose(output.double(), expected, rtol=1e-4, atol=1e-5)
    assert torch.allclose(sent.double(), theirs, rtol=1e-3, atol=2e-4)


def test_the_trace_is_the_same_in_every_setting() -> None:
    layer, shape = LAYERS["transformer"]
    for evaluation in (False, True):
        plain = trace(layer, shape, evaluation=evaluation)
        settings: list[contextlib.AbstractContextManager[object]] = [
            contextlib.nullcontext(),
            torch.inference_mode(),
            torch.no_grad(),
            torch.autocast("cpu", dtype=torch.bfloat16),
            torch.device("meta"),
        ]
        for setting in settings:
            with setting:
                assert trace(layer, shape, evaluation=evaluation) == plain


def test_nothing_of_the_module_is_changed() -> None:
    layer = nn.Sequential(nn.BatchNorm1d(6), nn.Linear(6, 2))
    before = {name: tensor.clone() for name, tensor in layer.state_dict().items()}
    trace(layer.eval(), ROW, evaluation=False)
    assert not layer.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in layer.state_dict().items())


def _branch(x: Tensor, w: Tensor) -> Tensor:
    return x * w if x.sum() > 0 else x


def _write_a_part(x: Tensor, w: Tensor) -> Tensor:
    y = x * w
    y[:, 0].zero_()
    return y


SHARED = nn.Linear(6, 6)

REFUSED = {
    "dropout": (nn.Sequential(nn.Linear(6, 6), nn.Dropout(0.5)), ROW, "Dropout: .* draws random numbers"),
    "a branch on data": (Written(_branch), ROW, "depends on the numbers"),
    "a written part": (Written(_write_a_part), ROW, "part of another tensor|zero_"),
    "transposed": (Flat(nn.ConvTranspose2d(3, 2, 3)), IMAGE, "ConvTranspose2d: a transposed convolution"),
    "counted batches": (nn.BatchNorm1d(6, momentum=None), ROW, "BatchNorm1d without momentum"),
    "a shared weight": (nn.Sequential(SHARED, SHARED), ROW, "under two names"),
    "cumulative sum": (Written(lambda x, w: (x * w).cumsum(1)), ROW, "cumsum is not in portable/1"),
    "sorted": (Written(lambda x, w: (x * w).sort(1)[0]), ROW, "sort"),
    "doubles": (nn.Linear(6, 6).double(), ROW, "float64"),
    "one record's row": (Written(lambda x, w: (x * w).sum(0)), ROW, "row for each record"),
    "uneven pooling": (Flat(nn.AdaptiveAvgPool2d(5)), IMAGE, "does not divide it"),
    "normalised alone": (Flat(nn.BatchNorm2d(3)), (1, 3, 1, 1), "one number|Expected more than 1"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_portable_is_refused_by_name(name: str) -> None:
    layer, shape, match = REFUSED[name]
    with pytest.raises((NotPortable, ValueError), match=match):
        trace(layer, shape, evaluation=False)
