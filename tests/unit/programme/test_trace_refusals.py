"""What a list would say otherwise than torch computes it is refused by name."""

import re
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from clicooper.errors import NotPortable, SpecError
from clicooper.learning.programme.operations import infer_forms
from clicooper.learning.programme.trace import trace
from tests.programme_layers import First, Model

ROW, TOKENS, IMAGE = (4, 6), (4, 3, 6), (2, 3, 8, 6)


def write_into_constant(self: Any, x: Tensor) -> Any:
    frame = torch.zeros(4, 6)
    frame[:, 1:3] = x[:, 1:3] * self.weight[1:3]
    return frame + x


def write_behind_view(self: Any, x: Tensor) -> Any:
    total = torch.zeros(4, 6)
    total += x
    row = total.view(24)
    total += x
    return row.view(4, 6) * self.weight


def read_counter(self: Any, x: Tensor) -> Any:
    self.number.add_(1)
    return x * self.weight * (1 / self.number.item())


def write_constant(self: Any, x: Tensor) -> Any:
    self.constant.copy_(x.sum())
    return x * self.weight * self.constant


def write_weight(self: Any, x: Tensor) -> Any:
    self.weight.mul_(0.5)
    return x * self.weight


def without_gradient(self: Any, x: Tensor) -> Any:
    with torch.no_grad():
        scale = x.abs().mean()
    return x * self.weight / scale


def in_half(self: Any, x: Tensor) -> Any:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        return x @ torch.outer(self.weight, self.weight)


def through_numpy(_: Any, x: Tensor) -> Any:
    return x * float(x.numpy()[0, 0])


def through_list(_: Any, x: Tensor) -> Any:
    return x * float(x.tolist()[0][0])


def padded(self: Any, x: Tensor) -> Any:
    return x + nn.functional.embedding(self.number, self.weight[:, None], padding_idx=0)[:, 0]


def positions_of_maxima(self: Any, x: Tensor) -> Any:
    return nn.functional.max_pool2d(x.view(4, 1, 2, 3), 2, return_indices=True)[1].float()


class Counting(nn.Module):
    """Another model each time."""

    def __init__(self) -> None:
        super().__init__()
        self.times = 0

    def forward(self, x: Tensor) -> Any:
        self.times += 1
        return x * self.times


REFUSED: Mapping[str, tuple[Callable[[], nn.Module], tuple[int, ...], str]] = {
    "a part of a constant": (lambda: Model(write_into_constant), ROW, "copy_ on a part of another tensor"),
    "behind a view": (lambda: Model(write_behind_view), ROW, "add_ on a part of another tensor"),
    "a frame of itself": (lambda: nn.Conv2d(3, 4, 3, padding=1, padding_mode="circular"), IMAGE, "Conv2d: copy_"),
    "memory as found": (lambda: Model(lambda self, x: x * self.weight + torch.empty(6)), ROW, "no number"),
    "a counter": (lambda: Model(read_counter, number=torch.tensor(0)), ROW, "buffer number is changed"),
    "a buffer outside of the state": (lambda: Model(write_constant, constant=torch.ones(())), ROW, "buffer constant"),
    "a weight": (lambda: Model(write_weight), ROW, "weight weight is changed"),
    "detach": (lambda: Model(lambda self, x: x * self.weight.detach()), ROW, "keeps gradients back"),
    "no gradient": (lambda: Model(without_gradient), ROW, "keeps gradients back"),
    "autocast": (lambda: Model(in_half), ROW, "autocast"),
    "item": (lambda: Model(lambda self, x: x * self.weight.sum().item()), ROW, "depends on the numbers"),
    "numpy": (lambda: Model(through_numpy), ROW, "depends on the numbers"),
    "lists": (lambda: Model(through_list), ROW, "depends on the numbers"),
    "indices": (lambda: Model(positions_of_maxima), ROW, "none of its operations gives"),
    "doubles inside": (lambda: Model(lambda self, x: (x.double() * self.weight).float()), ROW, "torch.float64"),
    "no number": (lambda: Model(lambda self, x: x * self.weight * float("nan")), ROW, "constant nan"),
    "too large": (lambda: Model(lambda self, x: x * self.weight * 1e300), ROW, re.escape("constant 1e+300")),
    "truths": (lambda: Model(lambda self, x: x > self.weight), ROW, "one float32 tensor"),
    "padded rows": (lambda: Model(padded, number=torch.arange(6)), ROW, "rows that are trained otherwise"),
    "LSTM": (lambda: First(nn.LSTM(6, 5, batch_first=True)), TOKENS, r"LSTM is not in portable/1"),
    "random": (lambda: Model(lambda self, x: x * self.weight + torch.rand(6)), ROW, "rand, which draws random"),
    "another each time": (Counting, ROW, "something else each time"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_would_mean_something_else_is_refused(name: str) -> None:
    make, shape, match = REFUSED[name]
    with pytest.raises(NotPortable, match=match):
        trace(make(), shape, evaluation=False)


def test_a_layer_outside_of_the_model_is_refused() -> None:
    model = Model(lambda self, x: self.hidden[0](x) * self.weight)
    model.__dict__["hidden"] = [nn.Linear(6, 6)]
    with pytest.raises(NotPortable, match="Linear: a weight that the model does not register"):
        trace(model, ROW, evaluation=False)


@pytest.mark.parametrize("value", [1e300, -3.5e38, float("inf"), float("nan")])
def test_a_list_states_no_number_beyond_float32(value: float) -> None:
    with pytest.raises(SpecError, match="value is not finite"):
        infer_forms("full", [], {"shape": (2,), "value": value})
