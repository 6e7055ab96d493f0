"""Unseen sick networks: functions of steps, single layers, renderers, solvers."""

# ruff: noqa: FBT001 - networks are written as they are elsewhere

from __future__ import annotations

from typing import Any

import torch
from check_blocks import Case
from check_unseen_parts import case, digits, he, mlp
from torch import nn
from torch.nn import functional

__all__ = [
    "batchnorm_batch_of_two",
    "nerf_density_dead",
    "neural_ode_step_one",
    "nll_on_probabilities",
    "normalize_of_zero",
    "one_layer_times_100",
    "sign_activation",
    "vq_without_straight_through",
]


def one_layer_times_100(*, sick: bool) -> Case:
    """One layer times 100 in the middle."""
    net = he(mlp([64, 128, 128, 128, 128, 10]))
    if sick:
        net[4].weight.data *= 100
    return case(net, digits())


def batchnorm_batch_of_two(*, sick: bool) -> Case:
    """BatchNorm1d over a batch of two: each unit is +1 or -1."""
    net = nn.Sequential(
        nn.Linear(64, 128),
        nn.BatchNorm1d(128),
        nn.ReLU(),
        nn.Linear(128, 128),
        nn.BatchNorm1d(128),
        nn.ReLU(),
        nn.Linear(128, 10),
    )
    return case(net, digits(), n=2 if sick else 64)


def nll_on_probabilities(*, sick: bool) -> Case:
    """NLLLoss on probabilities instead of log-probabilities."""
    net = nn.Sequential(*mlp([64, 128, 128, 10]), nn.Softmax(-1) if sick else nn.LogSoftmax(-1))
    return case(net, digits(), loss=functional.nll_loss)


class _VQ(nn.Module):
    def __init__(self, sick: bool) -> None:
        super().__init__()
        self.encoder, self.decoder = he(mlp([64, 128, 16])), he(mlp([16, 128, 64]))
        self.code = nn.Embedding(64, 16)
        self.sick = sick

    def forward(self, x: Any) -> Any:
        z = self.encoder(x)
        q = self.code(torch.cdist(z, self.code.weight).argmin(-1))
        return self.decoder(q if self.sick else z + (q - z).detach() + 0.0 * q), z, q


def _vq(out: Any, target: Any) -> Any:
    y, z, q = out
    return functional.mse_loss(y, target) + functional.mse_loss(q, z.detach())


def vq_without_straight_through(*, sick: bool) -> Case:
    """A _VQ-_VAE without straight-through: argmin stops the gradient of the encoder."""
    x, _ = digits()
    return case(_VQ(sick), (x, x), loss=_vq)


class _Step(nn.Module):
    def forward(self, x: Any) -> Any:
        return torch.sign(x)


def sign_activation(*, sick: bool) -> Case:
    """Sign as activation: its slope is 0, nothing below it learns."""
    net = nn.Sequential(
        nn.Linear(64, 128),
        _Step() if sick else nn.Tanh(),
        nn.Linear(128, 128),
        _Step() if sick else nn.Tanh(),
        nn.Linear(128, 10),
    )
    return case(net, digits())


class _Nerf(nn.Module):
    def __init__(self, bias: Any) -> None:
        super().__init__()
        self.body, self.sigma, self.rgb = he(mlp([18, 64, 64])), nn.Linear(64, 1), nn.Linear(64, 3)
        nn.init.normal_(self.sigma.weight, std=0.02)
        nn.init.constant_(self.sigma.bias, bias)

    def forward(self, points: Any) -> Any:
        f = torch.cat([fn(points * 2**k) for k in range(3) for fn in (torch.sin, torch.cos)], -1)
        h = functional.relu(self.body(f))
        sigma, rgb = functional.relu(self.sigma(h)).squeeze(-1), torch.sigmoid(self.rgb(h))
        alpha = 1 - torch.exp(-sigma / 4)
        clear = torch.cumprod(torch.cat([torch.ones_like(alpha[:, :1]), 1 - alpha[:, :-1]], 1), 1)
        return ((alpha * clear).unsqueeze(-1) * rgb).sum(1)


def nerf_density_dead(*, sick: bool) -> Case:
    """NeRF's density ReLU dead (bias -3): empty space, black, no gradient anywhere."""
    o = torch.randn(512, 1, 3) * 0.3
    d = functional.normalize(torch.randn(512, 1, 3), dim=-1)
    points = o + d * torch.linspace(0, 1, 16).view(1, 16, 1)
    return case(_Nerf(-3.0 if sick else 0.5), (points, torch.sigmoid(o.squeeze(1) * 3)), n=128)


class _Ode(nn.Module):
    def __init__(self, dt: Any, steps: Any = 50) -> None:
        super().__init__()
        self.lift, self.f, self.head = nn.Linear(64, 64), mlp([64, 64, 64], nn.Tanh), nn.Linear(64, 10)
        for m in self.f:
            if isinstance(m, nn.Linear):
                nn.init.xavier_normal_(m.weight, gain=1.5)
        self.dt, self.steps = dt, steps

    def forward(self, x: Any) -> Any:
        h = self.lift(x)
        for _ in range(self.steps):
            h = h + self.dt * self.f(h)
        return self.head(h)


def neural_ode_step_one(*, sick: bool) -> Case:
    """Euler steps of 1 instead of 1/50 in a neural ODE: the state runs away."""
    return case(_Ode(1.0 if sick else 0.02), digits())


class _Arc(nn.Module):
    def __init__(self, sick: bool) -> None:
        super().__init__()
        self.body, self.w = he(mlp([64, 128, 32])), nn.Parameter(torch.randn(10, 32))
        if sick:
            nn.init.zeros_(self.body[-1].weight)
            nn.init.zeros_(self.body[-1].bias)

    def forward(self, x: Any) -> Any:
        return 8 * functional.normalize(self.body(x), dim=-1) @ functional.normalize(self.w, dim=-1).T


def normalize_of_zero(*, sick: bool) -> Case:
    """The layer before functional.normalize is 0: the direction of a zero vector, gradients of 1e12."""
    return case(_Arc(sick), digits())
