"""Outputs, targets and losses that do not fit each other, and data in units of their own."""

from __future__ import annotations

import itertools
import math

import torch
from check_posted_parts import POOL, Fn, Made, he, head, memory, mlp, pixels, regression, vectors
from torch import nn
from torch.nn import functional

__all__ = [
    "broadcast_loss",
    "clip_without_temperature",
    "cubic_of_thousands",
    "detector_no_prior",
    "house_prices",
    "loader_repeats_one",
    "microvolts",
    "normalised_twice",
    "relu_ends_a_regression",
    "sigmoid_before_bce_logits",
    "sigmoid_before_nll",
    "siren_hidden_not_divided",
    "siren_pixel_coordinates",
    "softmax_before_cross_entropy",
    "softmax_of_one_output",
    "table_columns_unscaled",
    "tanh_for_targets_to_hundred",
    "uint8_in_and_out",
]


def _cnn(ch: int = 3, act: type[nn.Module] = nn.ReLU, out: int = 10) -> nn.Module:
    return he(
        nn.Sequential(
            nn.Conv2d(ch, 16, 3, 2, 1),
            act(),
            nn.Conv2d(16, 32, 3, 2, 1),
            act(),
            nn.Flatten(),
            nn.Linear(512, out),
        )
    )


def detector_no_prior(*, seed: int, sick: bool) -> Made:
    """No bias for rare positives, loss divided by their number: the first loss is that of 99 % background."""
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(POOL, 3, 16, 16, generator=g)
    y = (torch.rand(POOL, 4, 16, 16, generator=g) < 0.01).float()
    x[:, :1] += 3 * y.amax(1, keepdim=True)
    torch.manual_seed(seed)
    m = he(
        nn.Sequential(
            nn.Conv2d(3, 16, 3, 1, 1),
            nn.ReLU(),
            nn.Conv2d(16, 16, 3, 1, 1),
            nn.ReLU(),
            nn.Conv2d(16, 4, 3, 1, 1),
        )
    )
    nn.init.normal_(m[-1].weight, std=0.01)
    if not sick:
        nn.init.constant_(m[-1].bias, -math.log(99))
    return (
        m,
        (x,),
        y,
        lambda o, t: (
            functional.binary_cross_entropy_with_logits(o, t, reduction="sum") / t.sum().clamp(min=1)
        ),
    )


def siren_pixel_coordinates(*, seed: int, sick: bool) -> Made:
    """Coordinates in pixels, 0…255, into sines of ω = 30."""
    return _siren(seed=seed, pixels=sick, omega_ok=True)


def siren_hidden_not_divided(*, seed: int, sick: bool) -> Made:
    """Sine layers of ω = 30 with nn.Linear's own weights, hidden ones not divided by ω."""
    return _siren(seed=seed, pixels=False, omega_ok=not sick)


def _siren(*, seed: int, pixels: bool, omega_ok: bool) -> Made:
    g = torch.Generator().manual_seed(seed)
    c = torch.rand(POOL, 2, generator=g) * 2 - 1
    y = torch.sin(4 * c[:, :1]) * torch.cos(3 * c[:, 1:])
    torch.manual_seed(seed)
    sizes = (2, 64, 64, 64)
    layers = []
    for i, (a, b) in enumerate(itertools.pairwise(sizes)):
        lin = nn.Linear(a, b)
        bound = (1 / a / 3) if i == 0 else math.sqrt(6 / a) / 30
        if not omega_ok and i > 0:
            bound = math.sqrt(6 / a)
        nn.init.uniform_(lin.weight, -bound, bound)
        layers += [lin, Fn(lambda h: torch.sin(30 * h))]
    last = nn.Linear(64, 1)
    nn.init.uniform_(last.weight, -math.sqrt(6 / 64) / 30, math.sqrt(6 / 64) / 30)
    return nn.Sequential(*layers, last), ((127.5 * (c + 1)) if pixels else c,), y, None


def clip_without_temperature(*, seed: int, sick: bool) -> Made:
    """Cosines compared without a temperature: the softmax over the batch cannot be sharp."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = he(mlp(1, inp=32, out=16)), he(mlp(1, inp=32, out=16))
            self.scale = 1.0 if sick else 14.3

        def forward(self, x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
            return (
                self.scale
                * functional.normalize(self.a(x), dim=-1)
                @ functional.normalize(self.b(z), dim=-1).T
            )

    x, _ = vectors(seed)
    g = torch.Generator().manual_seed(seed)
    z = torch.tanh(x @ torch.randn(32, 32, generator=g) / 4)
    torch.manual_seed(seed)
    return Net(), (x, z), torch.zeros(POOL), lambda o, _t: functional.cross_entropy(o, torch.arange(len(o)))


def softmax_of_one_output(*, seed: int, sick: bool) -> Made:
    """Softmax over one output: always 1."""
    x, y = vectors(seed)
    torch.manual_seed(seed)
    m = he(mlp(2, out=1))
    head(m[-1])
    m.append(nn.Softmax(-1) if sick else nn.Sigmoid())
    return m, (x,), (y < 5).float().unsqueeze(1), functional.mse_loss


def softmax_before_cross_entropy(*, seed: int, sick: bool) -> Made:
    """Softmax before the cross-entropy that has its own."""
    x, y = vectors(seed)
    torch.manual_seed(seed)
    m = he(mlp(2))
    head(m[-1])
    if sick:
        m.append(nn.Softmax(-1))
    return m, (x,), y, functional.cross_entropy


def sigmoid_before_nll(*, seed: int, sick: bool) -> Made:
    """Sigmoids given to the negative log likelihood, which wants logarithms."""
    x, y = vectors(seed)
    torch.manual_seed(seed)
    m = he(mlp(2))
    head(m[-1])
    m.append(nn.Sigmoid() if sick else nn.LogSoftmax(-1))
    return m, (x,), y, functional.nll_loss


def sigmoid_before_bce_logits(*, seed: int, sick: bool) -> Made:
    """Sigmoid before the loss that has its own."""
    x, y = vectors(seed)
    torch.manual_seed(seed)
    m = he(mlp(2, out=1))
    head(m[-1])
    if sick:
        m.append(nn.Sigmoid())
    return m, (x,), (y < 5).float().unsqueeze(1), functional.binary_cross_entropy_with_logits


def relu_ends_a_regression(*, seed: int, sick: bool) -> Made:
    """ReLU at the end of a regression whose targets are of both signs."""
    x, y = regression(seed)
    torch.manual_seed(seed)
    m = he(mlp(2, inp=16, out=1))
    head(m[-1])
    if sick:
        m.append(nn.ReLU())
    return m, (x,), y, None


def tanh_for_targets_to_hundred(*, seed: int, sick: bool) -> Made:
    """Tanh at the end of a regression to 0…100."""
    x, y = regression(seed)
    torch.manual_seed(seed)
    m = he(mlp(2, inp=16, out=1))
    head(m[-1])
    m.append(nn.Tanh())
    y = (y - y.min()) / (y.max() - y.min())
    return m, (x,), 100 * y if sick else 1.8 * y - 0.9, None


def house_prices(*, seed: int, sick: bool) -> Made:
    """Prices of some 300 000 as targets of an MSE."""
    x, y = regression(seed)
    torch.manual_seed(seed)
    m = he(mlp(2, inp=16, out=1))
    return m, (x,), 300000 + 100000 * y if sick else y, None


def cubic_of_thousands(*, seed: int, sick: bool) -> Made:
    """X from 1 to 4000 and x³ as target, neither normalised."""
    x = torch.arange(1.0, 4001.0)[
        torch.randperm(4000, generator=torch.Generator().manual_seed(seed))[:POOL], None
    ]
    y = x**3
    if not sick:
        x, y = (x - x.mean()) / x.std(), (y - y.mean()) / y.std()
    torch.manual_seed(seed)
    return mlp(1, 50, 1, 1), (x,), y, None


def uint8_in_and_out(*, seed: int, sick: bool) -> Made:
    """A network that gives bytes 0…255, asked from pictures of bytes."""
    x, _ = pixels(seed)
    torch.manual_seed(seed)
    m = he(
        nn.Sequential(
            nn.Conv2d(3, 24, 3, 1, 1),
            nn.ReLU(),
            nn.Conv2d(24, 24, 3, 1, 1),
            nn.ReLU(),
            nn.Conv2d(24, 3, 3, 1, 1),
        )
    )
    low = functional.interpolate(functional.avg_pool2d(x, 2), scale_factor=2)
    f = (lambda v: v) if sick else (lambda v: (v - 127) / 50)
    return m, (f(low),), f(x), None


def normalised_twice(*, seed: int, sick: bool) -> Made:
    """Pictures divided by 255 twice, then normalised: all samples are nearly one."""
    x, y = pixels(seed)
    x = ((x / 255) / 255 - 0.45) / 0.225 if sick else (x / 255 - 0.5) / 0.2
    torch.manual_seed(seed)
    m = _cnn()
    head(m[-1])
    return m, (x,), y, None


def table_columns_unscaled(*, seed: int, sick: bool) -> Made:
    """Columns in their own units: years, salaries, identifiers, shares."""
    x, y = vectors(seed, width=8)
    torch.manual_seed(seed)
    if sick:
        x = x * torch.tensor([1.0, 9.0, 2e4, 3e5, 0.01, 1.0, 50.0, 1e6]) + torch.tensor(
            [0.0, 2012.0, 6e4, 1e6, 0.3, 0.0, 40.0, 5e6]
        )
    m = he(mlp(2, inp=8))
    return m, (x,), y, None


def microvolts(*, seed: int, sick: bool) -> Made:
    """Recordings in volts (10⁻⁵) into a network made for unit inputs."""
    x, y = memory(seed, 40)
    torch.manual_seed(seed)
    m = nn.Sequential(nn.Flatten(), *mlp(3, 64, 320, 4, nn.Tanh))
    return m, (x * (1e-5 if sick else 1.0),), y, None


def loader_repeats_one(*, seed: int, sick: bool) -> Made:
    """One sample repeated by the loader."""
    x, y = vectors(seed)
    torch.manual_seed(seed)
    m = he(mlp(2))
    head(m[-1])
    return m, (x[:1].expand(POOL, -1).clone() if sick else x,), y, None


def broadcast_loss(*, seed: int, sick: bool) -> Made:
    """Output (N, 1) against targets (N,): the loss compares each with every other."""
    x, y = regression(seed)
    torch.manual_seed(seed)
    m = he(mlp(2, inp=16, out=1))
    head(m[-1])
    return m, (x,), y[:, 0] if sick else y, lambda o, t: ((o - t) ** 2).mean()
