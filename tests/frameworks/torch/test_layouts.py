"""Maps that are laid out the other way, norms that are written out, copies of weights: the same figures."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

import fanin.torch
from fanin.torch.probe import measure


class First(nn.Module):
    """Channels before places, with torch's own norm."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.norm = nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)
        self.two, self.head = nn.Conv2d(8, 6, 3, padding=1, bias=False), nn.Linear(6, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = functional.relu(self.norm(self.one(x)))
        out: torch.Tensor = self.head(functional.relu(self.two(h)).mean(dim=(2, 3)))
        return out


class Last(First):
    """Channels behind places: convolutions are transposed around, weights copied, the norm is written out."""

    def conv(self, layer: nn.Conv2d, x: torch.Tensor) -> torch.Tensor:
        weight = layer.weight.clone(memory_format=torch.channels_last)
        return functional.conv2d(x.permute(0, 3, 1, 2), weight, padding=1).permute(0, 2, 3, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.conv(self.one, x)
        mean, variance = h.mean(dim=(0, 1, 2)), h.var(dim=(0, 1, 2), correction=0)
        h = (h - mean) * torch.rsqrt(variance + self.norm.eps) * self.norm.weight + self.norm.bias
        out: torch.Tensor = self.head(
            functional.relu(self.conv(self.two, functional.relu(h))).mean(dim=(1, 2))
        )
        return out


def figures(diagnosis: Any) -> list[Any]:
    kinds = {node.id: node.kind.value for node in diagnosis.graph.nodes}
    chosen = ("convolution", "activation", "norm", "contraction")
    law = {p.node: p for p in diagnosis.prediction.nodes}
    measured = [m for m in diagnosis.trace.measurements if kinds.get(m.node) in chosen]
    return [
        (kinds[m.node], m.units, m.samples, m.power, law[m.node].power, m.gradient_power) for m in measured
    ]


# (A map of 8 x 8 with 8 channels: what lies where cannot be told from sizes.)
@pytest.mark.parametrize("size", [(8, 8), (7, 11)])
def test_layouts_are_told_apart(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    first, last = First(), Last()
    last.load_state_dict(first.state_dict())
    x, y = torch.randn(16, 3, *size), torch.arange(16) % 4
    one = fanin.torch.check(first, x, target=y).diagnosis
    other = fanin.torch.check(last, x.permute(0, 2, 3, 1).contiguous(), target=y).diagnosis
    there, here = figures(one), figures(other)
    assert [row[:3] for row in there] == [row[:3] for row in here]
    for a, b in zip(there, here, strict=True):
        # The laws start from a likeness of inputs that is estimated; the rest is float32 in another order.
        assert a[3:] == pytest.approx(b[3:], rel=1e-2)
    assert {p.certainty for p in other.prediction.nodes} <= {p.certainty for p in one.prediction.nodes}
    assert dict(other.passed)["FAN110"] == dict(one.passed)["FAN110"]


def test_units_of_maps_that_look_alike() -> None:
    torch.manual_seed(0)
    last = Last()
    with torch.no_grad():
        # (A norm would bring a dead unit to life.)
        last.two.weight[:3] = -last.two.weight[:3].abs()
    _, trace = measure(last, torch.randn(16, 8, 6, 3))
    dead = [m.dead for m in trace.measurements if m.dead is not None]
    assert dead[-1] == pytest.approx(0.5), "three of six units never fire, along the last dimension"
