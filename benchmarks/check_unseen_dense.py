"""Unseen sick networks, dense ones: scales, losses, inputs, fields."""

# ruff: noqa: FBT001 - networks are written as they are elsewhere

from __future__ import annotations

import math
from typing import Any

import torch
from check_blocks import Case
from check_unseen_parts import case, diabetes, digits, he, mlp, xavier
from torch import nn
from torch.nn import functional

__all__ = [
    "deep_relu_n001",
    "deepsets_sum_1000",
    "quantile_loss_million",
    "rand_instead_of_randn",
    "regression_relu_dead_end",
    "regression_relu_end",
    "residual_mlp_unscaled",
    "rows_all_equal",
    "sigmoid_depth_100",
    "siren_default_linear",
    "softmax_then_ce",
    "tabular_raw_feature",
    "tanh_mlp_randn",
]


def tanh_mlp_randn(*, sick: bool) -> Case:
    """Weights N(0, 1): tanh saturated."""
    net = xavier(mlp([64, 256, 256, 256, 256, 10], nn.Tanh))
    if sick:
        for m in net:
            if isinstance(m, nn.Linear):
                nn.init.normal_(m.weight)
    return case(net, digits())


def deep_relu_n001(*, sick: bool) -> Case:
    """Std 0.01 everywhere: the signal vanishes."""
    net = he(mlp([64, *[128] * 10, 10]))
    if sick:
        for m in net:
            if isinstance(m, nn.Linear):
                nn.init.normal_(m.weight, std=0.01)
    return case(net, digits())


class _ResidualMLP(nn.Module):
    def __init__(self, depth: Any, width: Any = 64) -> None:
        super().__init__()
        self.stem = nn.Linear(64, width)
        self.a = nn.ModuleList(nn.Linear(width, width) for _ in range(depth))
        self.b = nn.ModuleList(nn.Linear(width, width) for _ in range(depth))
        self.head = nn.Linear(width, 10)

    def forward(self, x: Any) -> Any:
        h = self.stem(x)
        for a, b in zip(self.a, self.b, strict=True):
            h = h + b(functional.relu(a(h)))
        return self.head(h)


def residual_mlp_unscaled(*, sick: bool) -> Case:
    """80 residual branches without scaling: the stream doubles in each."""
    net = he(_ResidualMLP(80))
    if not sick:
        for b in net.b:
            b.weight.data /= 80**0.5
        net.head.weight.data *= 0.1
    return case(net, digits())


class _HandMade(nn.Module):
    """Raw parameters, as in a first tutorial."""

    def __init__(self, draw: Any) -> None:
        super().__init__()
        self.w1 = nn.Parameter(draw(64, 200))
        self.b1 = nn.Parameter(torch.zeros(200))
        self.w2 = nn.Parameter(draw(200, 200))
        self.b2 = nn.Parameter(torch.zeros(200))
        self.w3 = nn.Parameter(draw(200, 10))
        self.b3 = nn.Parameter(torch.zeros(10))

    def forward(self, x: Any) -> Any:
        x = torch.relu(x @ self.w1 + self.b1)
        x = torch.relu(x @ self.w2 + self.b2)
        return x @ self.w3 + self.b3


def rand_instead_of_randn(*, sick: bool) -> Case:
    """Torch.rand: all weights positive, mean 0.5: rank one, exploding."""
    return case(_HandMade(torch.rand if sick else lambda a, b: torch.randn(a, b) * (2 / a) ** 0.5), digits())


def softmax_then_ce(*, sick: bool) -> Case:
    """Softmax before CrossEntropyLoss."""
    net = mlp([64, 128, 128, 10])
    if sick:
        net.append(nn.Softmax(dim=1))
    return case(net, digits())


def sigmoid_depth_100(*, sick: bool) -> Case:
    """100 sigmoid layers: the gradient vanishes."""
    return case(mlp([64, *[64] * (100 if sick else 3), 10], nn.Sigmoid), digits())


def _pinball(out: Any, target: Any) -> Any:
    q = torch.tensor([0.1, 0.5, 0.9])
    e = target - out
    return torch.maximum(q * e, (q - 1) * e).mean()


def quantile_loss_million(*, sick: bool) -> Case:
    """Loss multiplied by 1e6: plain SGD diverges."""
    k = 1e6 if sick else 1.0
    return case(mlp([10, 64, 64, 3]), diabetes(), loss=lambda o, t: k * _pinball(o, t))


def regression_relu_end(*, sick: bool) -> Case:
    """ReLU after the last layer of a regression: half of the targets cannot be reached."""
    net = mlp([10, 64, 64, 1])
    if sick:
        net.append(nn.ReLU())
    return case(net, diabetes())


def regression_relu_dead_end(*, sick: bool) -> Case:
    """Last bias -5 behind a final ReLU: the output is dead."""
    net = he(mlp([10, 64, 64, 1]))
    if sick:
        nn.init.constant_(net[-1].bias, -15.0)
        net.append(nn.ReLU())
    x, y = diabetes()
    return case(net, (x, y + 3))


def tabular_raw_feature(*, sick: bool) -> Case:
    """One feature in raw units (1e5): it drowns the others."""
    x, y = diabetes()
    if sick:
        x = x.clone()
        x[:, 3] = 1e5 * (1 + 0.1 * x[:, 3])
    return case(mlp([10, 64, 64, 1], nn.Tanh), (x, y))


def rows_all_equal(*, sick: bool) -> Case:
    """Each row of the batch is the same example."""
    x, y = digits()
    if sick:
        x = x[:1].expand_as(x).clone()
    return case(mlp([64, 128, 128, 10], nn.GELU), (x, y))


class _SetNet(nn.Module):
    def __init__(self, mean: bool) -> None:
        super().__init__()
        self.phi = he(mlp([2, 64, 64], nn.ReLU))
        self.rho = he(mlp([64, 64, 64, 10], nn.ReLU))
        self.mean = mean

    def forward(self, x: Any) -> Any:
        h = self.phi(x)
        return self.rho(h.mean(1) if self.mean else h.sum(1))


def deepsets_sum_1000(*, sick: bool) -> Case:
    """Sum over 1000 elements of a set: the logits start at hundreds."""
    y = torch.randint(0, 10, (256,))
    x = torch.randn(256, 1000, 2) + torch.stack([torch.cos(y * 0.6), torch.sin(y * 0.6)], -1).unsqueeze(1)
    return case(_SetNet(not sick), (x, y), n=32)


class _Siren(nn.Module):
    def __init__(self, right: bool) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(2, 128)] + [nn.Linear(128, 128) for _ in range(4)])
        self.out = nn.Linear(128, 1)
        if right:
            nn.init.uniform_(self.layers[0].weight, -1 / 2, 1 / 2)
            for m in [*self.layers[1:], self.out]:
                nn.init.uniform_(m.weight, -math.sqrt(6 / 128) / 30, math.sqrt(6 / 128) / 30)

    def forward(self, x: Any) -> Any:
        for m in self.layers:
            x = torch.sin(30 * m(x))
        return self.out(x)


def siren_default_linear(*, sick: bool) -> Case:
    """SIREN with nn.Linear's default: omega 30 is not divided out, phases of std 12."""
    x = torch.rand(1024, 2) * 2 - 1
    y = torch.sin(4 * x[:, :1]) * torch.cos(3 * x[:, 1:])
    return case(_Siren(not sick), (x, y), n=256)
