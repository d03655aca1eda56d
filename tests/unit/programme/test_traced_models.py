"""Traced lists mean what torch computes, told by a reference in float64."""

import copy
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from clicooper.learning.models import build_segments
from clicooper.learning.programme.builder import Traced
from clicooper.learning.programme.trace import trace
from tests.programme_layers import First, Model, weighted
from tests.programme_models import MODELS
from tests.programme_reference import run_reference

ROW, TOKENS, IMAGE = (4, 6), (4, 3, 6), (2, 3, 8, 6)


class Causal(nn.Module):
    """Attention of each token to those before it."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(6, 2, 8, dropout=0.0, batch_first=True, activation="gelu")
        self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)

    def forward(self, x: Tensor) -> Any:
        return self.layers(x, mask=nn.Transformer.generate_square_subsequent_mask(x.shape[1]), is_causal=True)


def grouped() -> nn.Module:
    """A net of several kinds of convolution, with group normalisation."""
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False),
        nn.GroupNorm(2, 8),
        nn.ReLU6(inplace=True),
        nn.Conv2d(8, 8, 3, padding="same", groups=8),
        nn.SiLU(inplace=True),
        nn.MaxPool2d(3, stride=1, padding=1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 4),
        nn.LogSoftmax(1),
    )


def accumulate(self: Any, x: Tensor) -> Any:
    total = torch.zeros_like(x)
    for times in range(3):
        total += x * times
    return total * self.weight


def change_constant(self: Any, x: Tensor) -> Any:
    constant = torch.arange(6.0)
    seen = constant.view(6)
    before = x + seen
    constant.add_(1.0)
    return before + x * seen * self.weight


def average(self: Any, x: Tensor) -> Any:
    with torch.no_grad():
        self.seen.mul_(0.9).add_(x.mean(0), alpha=0.1)
    return x * self.weight


def replace(self: Any, x: Tensor) -> Any:
    self.seen = 0.9 * self.seen + 0.1 * x.mean(0)
    return x * self.weight


def count(self: Any, x: Tensor) -> Any:
    self.number.add_(1)
    return x * self.weight


def written_out(self: Any, x: Tensor) -> Any:
    numbers = torch.tensor([3.0, 1.0, 4.0, 1.0, 5.0, 9.0], device=x.device)
    return x * self.weight + numbers * torch.arange(6, device=x.device) + torch.linspace(0, 1, 5)[3].item()


def held(self: Any, x: Tensor) -> Any:
    return x * self.weight + self.constant


def masked(self: Any, x: Tensor) -> Any:
    tokens = x.view(4, 3, 2)
    scores = tokens @ tokens.transpose(1, 2) + torch.full((3, 3), float("-inf")).triu(1)
    return (scores.softmax(-1) @ tokens).flatten(1) * self.weight


def truths(self: Any, x: Tensor) -> Any:
    return x * (x > 0) * self.weight + (x > self.weight).float()


def compared(self: Any, x: Tensor) -> Any:
    rounded = (x * 2).clamp(-1.0, 1.0)
    chosen = torch.where(rounded == 1.0, x, torch.where(rounded <= -1.0, -x, self.weight))
    return torch.where(x < self.weight, chosen, torch.where(x >= 1.0, torch.minimum(x, self.weight), x.clamp(min=0.0)))


def multiplied(self: Any, x: Tensor) -> Any:
    pairs = x.view(4, 3, 2)
    factor = self.weight[:4].view(2, 2).expand(4, 2, 2)
    together = torch.baddbmm(pairs, pairs, factor, beta=0.5, alpha=2.0).flatten(1)
    return together + torch.mv(x, self.weight)[:, None] + torch.mm(x, torch.outer(self.weight, self.weight))


def split(self: Any, x: Tensor) -> Any:
    first, second, third = torch.split(x, [1, 2, 3], 1)
    return torch.cat([first * self.weight[0], third, second.abs().add(1).reciprocal()], 1).squeeze(-1)


def windows(self: Any, x: Tensor) -> Any:
    return (x * self.weight).unfold(1, 3, 2).flatten(1)


def looked_up(self: Any, x: Tensor) -> Any:
    return x + nn.functional.embedding(self.number, self.weight[:, None])[:, 0]


TRACED: Mapping[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "group normalisation": (grouped, IMAGE),
    "batch normalisation": (lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, momentum=0.3)), IMAGE),
    "batch statistics": (lambda: nn.BatchNorm1d(6, track_running_stats=False), ROW),
    "instance statistics": (lambda: nn.InstanceNorm2d(3, affine=True, track_running_stats=True), IMAGE),
    "root mean square": (lambda: nn.RMSNorm(6), ROW),
    "encoder layer": (lambda: nn.TransformerEncoderLayer(6, 2, 8, dropout=0.0, batch_first=True), TOKENS),
    "norm first": (lambda: nn.TransformerEncoderLayer(6, 2, 8, 0.0, batch_first=True, norm_first=True), TOKENS),
    "causal encoder": (Causal, TOKENS),
    "attention": (lambda: First(nn.MultiheadAttention(6, 2, batch_first=True), 3), TOKENS),
    "attention alone": (lambda: First(nn.MultiheadAttention(6, 2, batch_first=True), 3, need_weights=False), TOKENS),
    "pools of rows": (lambda: nn.Sequential(nn.MaxPool1d(2), nn.AvgPool1d(3)), TOKENS),
    "accumulated": (lambda: Model(accumulate), ROW),
    "a constant that changes": (lambda: Model(change_constant), ROW),
    "a moving average": (lambda: Model(average, seen=torch.ones(6)), ROW),
    "a buffer replaced": (lambda: Model(replace, seen=torch.ones(6)), ROW),
    "a counter that nothing reads": (lambda: Model(count, number=torch.tensor(0)), ROW),
    "numbers in the forward pass": (lambda: Model(written_out), ROW),
    "a held constant": (lambda: Model(held, constant=torch.arange(6.0)), ROW),
    "minus infinity": (lambda: Model(masked), ROW),
    "truths as numbers": (lambda: Model(truths), ROW),
    "comparisons": (lambda: Model(compared), ROW),
    "products": (lambda: Model(multiplied), ROW),
    "parts": (lambda: Model(split), ROW),
    "windows": (lambda: Model(windows), ROW),
    "rows by constants": (lambda: Model(looked_up, number=torch.tensor([2, 0, 1, 5, 5, 3])), ROW),
}


def assert_means(model: nn.Module, shape: tuple[int, ...], *, evaluation: bool) -> Traced:
    """Holds a model's list to the model itself, in float64, in its output and its buffers."""
    traced = trace(model, shape, evaluation=evaluation)
    batch = torch.tensor(np.random.default_rng(5).standard_normal(shape), dtype=torch.float32)
    state = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
    output, buffers = run_reference(traced, state, batch)
    twin = copy.deepcopy(model).double().train(not evaluation)
    with torch.no_grad():
        expected = twin(batch.double())
    assert output.shape == expected.shape
    assert torch.allclose(output, expected, rtol=1e-5, atol=1e-5)
    for name, after in twin.state_dict().items():
        assert after.dtype != torch.float64 or torch.allclose(buffers.get(name, state[name].double()), after, atol=1e-6)
    return traced


@pytest.mark.parametrize("evaluation", [False, True], ids=["training", "evaluation"])
@pytest.mark.parametrize("name", TRACED)
def test_a_list_means_what_the_model_computes(name: str, evaluation: bool) -> None:
    make, shape = TRACED[name]
    assert_means(weighted(make()), shape, evaluation=evaluation)


@pytest.mark.parametrize("evaluation", [False, True], ids=["training", "evaluation"])
@pytest.mark.parametrize("kind", MODELS)
def test_a_built_in_model_is_traced_seat_by_seat(kind: str, evaluation: bool) -> None:
    shape: tuple[int, ...] = (4, *MODELS[kind].input_shape)
    for segment in build_segments(MODELS[kind]):
        traced = assert_means(weighted(segment), shape, evaluation=evaluation)
        assert traced.parameters == {name for name, _ in segment.named_parameters()}
        shape = tuple(segment(torch.zeros(shape)).shape)


def test_a_frozen_weight_is_not_trained() -> None:
    model = nn.Linear(6, 3)
    model.bias.requires_grad_(False)
    assert trace(model, ROW, evaluation=False).parameters == {"weight"}


def test_modes_of_single_layers_are_put_back() -> None:
    model = nn.Sequential(nn.BatchNorm1d(6).eval(), nn.Linear(6, 6))
    trace(model, ROW, evaluation=False)
    assert [layer.training for layer in model] == [False, True]


def test_torch_is_left_as_it_was() -> None:
    model = weighted(TRACED["encoder layer"][0]())
    before, draws = torch.backends.mha.get_fastpath_enabled(), torch.get_rng_state()
    trace(model, TOKENS, evaluation=True)
    assert torch.backends.mha.get_fastpath_enabled() == before
    assert torch.equal(torch.get_rng_state(), draws)
    assert torch.empty(0).device.type == "cpu"


def test_threads_do_not_change_a_list() -> None:
    model = weighted(grouped())
    before, threads = trace(model, IMAGE, evaluation=False), torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        assert trace(model, IMAGE, evaluation=False) == before
    finally:
        torch.set_num_threads(threads)
