"""Gradients by law against gradients that were run: ResNets, recurrences, attention, ways that meet again."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import nn

import fanin.torch
from fanin.laws.softmax import attention_slope

SIGMAS = 6.1


class Block(nn.Module):
    def __init__(self, come: int, go: int, stride: int) -> None:
        super().__init__()
        self.one = nn.Sequential(nn.Conv2d(come, go, 3, stride, 1, bias=False), nn.BatchNorm2d(go), nn.ReLU())
        self.two = nn.Sequential(nn.Conv2d(go, go, 3, 1, 1, bias=False), nn.BatchNorm2d(go))
        self.skip: nn.Module = nn.Identity()
        if come != go:
            self.skip = nn.Sequential(nn.Conv2d(come, go, 1, stride, bias=False), nn.BatchNorm2d(go))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.two(self.one(x)) + self.skip(x))


def resnet() -> nn.Module:
    """Stem with a maximum, eight blocks down to maps of 2 x 2."""
    stem = [nn.Conv2d(3, 32, 7, 2, 3, bias=False), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    sizes = [(32, 32, 1), (32, 32, 1), (32, 64, 2), (64, 64, 1), (64, 128, 2), (128, 128, 1), (128, 256, 2)]
    blocks = [Block(*size) for size in sizes]
    return nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(256, 100))


def worst(model: nn.Module, x: torch.Tensor) -> tuple[float, int]:
    """Largest ``|ln|`` of measured over predicted gradient power, and at how many nodes both are."""
    torch.manual_seed(7)
    diagnosis = fanin.torch.check(model, x, tier="fast").diagnosis
    assert diagnosis.prediction is not None
    law = {p.node: p.gradient_power for p in diagnosis.prediction.nodes}
    both = [(m.gradient_power, law.get(m.node)) for m in diagnosis.trace.measurements]
    logs = [abs(math.log(a / b)) for a, b in both if a and b]
    return max(logs), len(logs)


@pytest.mark.parametrize("batch", [8, 32])
def test_the_gradient_of_a_resnet_is_foretold_to_a_factor_of_2(batch: int) -> None:
    torch.manual_seed(0)
    apart, nodes = worst(resnet(), torch.randn(batch, 3, 64, 64))
    assert nodes > 40
    assert apart < math.log(2.0)


class Steps(nn.Module):
    def __init__(self, make: Callable[[], nn.Module], width: int) -> None:
        super().__init__()
        self.steps, self.head = make(), nn.Linear(width, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.steps(x)[0])  # type: ignore[no-any-return]


RECURRENT: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "LSTM": (lambda: nn.LSTM(32, 64, batch_first=True), 64),
    "LSTM, two layers, both ways": (
        lambda: nn.LSTM(32, 64, num_layers=2, bidirectional=True, batch_first=True),
        128,
    ),
    "GRU": (lambda: nn.GRU(32, 64, batch_first=True), 64),
    "RNN": (lambda: nn.RNN(32, 64, batch_first=True), 64),
}


@pytest.mark.parametrize("name", RECURRENT)
def test_the_gradient_behind_a_recurrence_is_foretold(name: str) -> None:
    torch.manual_seed(0)
    make, width = RECURRENT[name]
    x = torch.randn(32, 12, 32)
    model = nn.Sequential(nn.Linear(32, 32), Steps(make, width))
    diagnosis = fanin.torch.check(model, x, tier="fast").diagnosis
    assert diagnosis.prediction is not None
    first = next(m for m in diagnosis.trace.measurements if m.module == "0" and m.gradient_power)
    law = diagnosis.prediction.at(first.node)
    assert law is not None
    assert law.gradient_power
    assert first.gradient_power
    # One draw of 64 units in 12 steps, whose gates are taken as independent of their states.
    assert abs(math.log(first.gradient_power / law.gradient_power)) < math.log(1.5)


def test_ways_that_meet_again_are_added_with_their_signs() -> None:
    class Mixed(nn.Module):
        """``n + z (h - n)``: n is met by 1 and by -z, whose sum is half of the first on the average."""

        def __init__(self) -> None:
            super().__init__()
            self.n, self.z, self.h = (nn.Linear(256, 256) for _ in range(3))
            self.head = nn.Linear(256, 64)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            n, z, h = torch.tanh(self.n(x)), torch.sigmoid(self.z(x)), self.h(x)
            return self.head(n + z * (h - n))  # type: ignore[no-any-return]

    torch.manual_seed(0)
    diagnosis = fanin.torch.check(Mixed(), torch.randn(64, 256), tier="fast").diagnosis
    assert diagnosis.prediction is not None
    tanh = next(m for m in diagnosis.trace.measurements if "tanh" in m.op)
    law = diagnosis.prediction.at(tanh.node)
    assert law is not None
    assert law.gradient_power
    assert tanh.gradient_power
    # Independent ways would make it (1 + 1/4) / (1/4) = 5 times as much.
    assert abs(math.log(tanh.gradient_power / law.gradient_power)) < 0.2


@pytest.mark.parametrize("causal", [False, True])
def test_what_a_softmax_passes_back_to_its_scores_against_simulation(*, causal: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    places, draws, width = 24, 200, 8
    scores = math.sqrt(0.3) * torch.randn(draws, places, places, generator=generator, dtype=torch.float64)
    if causal:
        scores = scores.masked_fill(torch.ones(places, places).triu(1).bool(), -math.inf)
    scores.requires_grad_()
    values = torch.randn(draws, places, width, generator=generator, dtype=torch.float64)
    r = torch.randn(draws, places, width, generator=generator, dtype=torch.float64)
    (gradient,) = torch.autograd.grad((scores.softmax(-1) @ values * r).sum(), [scores])
    seen = gradient.square().sum(dim=(1, 2)) / (places * width)
    law = attention_slope(places, score_variance=0.3, causal=causal)
    error = SIGMAS * float(seen.std()) / math.sqrt(draws)
    # sum a^3 is more than the square of the share where weights are uneven: 5 % at this variance.
    assert abs(float(seen.mean()) - law) < error + 0.05 * law


def test_equal_weights_hand_back_the_sum_of_what_arrives() -> None:
    layers: list[nn.Module] = [m for _ in range(8) for m in (nn.Linear(64, 64), nn.ReLU())]
    model = nn.Sequential(*layers, nn.Linear(64, 64))
    for parameter in model.parameters():
        nn.init.constant_(parameter, 0.05 if parameter.ndim > 1 else 0.0)
    x = torch.randn(64, 64, generator=torch.Generator().manual_seed(0))
    # Without the sums the law is 1e10 times too small; that a sample's units are on or off together is left.
    apart, nodes = worst(model, x)
    assert nodes > 10
    assert apart < math.log(4.0)
    diagnosis = fanin.torch.check(model, x, tier="fast").diagnosis
    assert diagnosis.prediction is not None
    assert "weights with a mean of their own" in diagnosis.prediction.nodes[1].reasons
