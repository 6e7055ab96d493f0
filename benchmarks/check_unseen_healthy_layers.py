"""Networks of odd construction, as their authors initialise them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from check_unseen_healthy_data import Batch, Case, digits
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations, weight_norm

__all__ = ["KINDS"]


def _rows(seed: int) -> Batch:
    x, y = digits(seed)
    return (x,), y


class KANLayer(nn.Module):
    """FastKAN's: a SiLU base of PyTorch's default, Gaussian bumps with noise 0.1."""

    def __init__(self, i: int, o: int, grid: int = 6) -> None:
        super().__init__()
        self.base = nn.Linear(i, o)
        self.register_buffer("grid", torch.linspace(-2, 2, grid))
        self.norm, self.spline = nn.LayerNorm(i), nn.Linear(i * grid, o, bias=False)
        nn.init.trunc_normal_(self.spline.weight, mean=0, std=0.1)

    def forward(self, x: Tensor) -> Tensor:
        bumps = torch.exp(-(((self.norm(x)[..., None] - self.grid) / 0.8) ** 2))
        out: Tensor = self.spline(bumps.flatten(-2)) + self.base(functional.silu(x))
        return out


def fast_kan(_: int) -> Case:
    return Case(model=nn.Sequential(KANLayer(64, 32), KANLayer(32, 10)), draw=_rows, lr=2e-3)


class Hyper(nn.Module):
    """A network that makes another's last layer for each input; small weights at its end."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.make1, self.make2 = nn.Linear(64, 32), nn.Linear(64, 16), nn.Linear(16, 32 * 10 + 10)
        nn.init.normal_(self.make2.weight, 0, 0.02)
        self.base = nn.Parameter(torch.empty(10, 32))
        nn.init.xavier_uniform_(self.base)

    def forward(self, x: Tensor) -> Tensor:
        made = self.make2(functional.relu(self.make1(x)))
        w, b = made[:, :320].view(-1, 10, 32) + self.base, made[:, 320:]
        return torch.bmm(w, functional.relu(self.first(x))[..., None]).squeeze(-1) + b


def hypernetwork(_: int) -> Case:
    return Case(model=Hyper(), draw=_rows, lr=2e-3)


class NODE(nn.Module):
    """Neural ODE: Euler steps of dh/dt = f(h), torchdiffeq's demo starts f's weights at N(0, 0.1)."""

    def __init__(self) -> None:
        super().__init__()
        self.into, self.out = nn.Linear(64, 32), nn.Linear(32, 10)
        self.f = nn.Sequential(nn.Linear(32, 50), nn.Tanh(), nn.Linear(50, 32))
        for m in self.f:
            if isinstance(m, nn.Linear):
                nn.init.normal_(m.weight, mean=0, std=0.1)
                nn.init.zeros_(m.bias)

    def forward(self, x: Tensor) -> Tensor:
        h = self.into(x)
        for _ in range(10):
            h = h + 0.1 * self.f(h)
        out: Tensor = self.out(h)
        return out


def neural_ode(_: int) -> Case:
    return Case(model=NODE(), draw=_rows, lr=3e-3)


class DEQ(nn.Module):
    """Fixed point of tanh(W z + U x), unrolled 12 times; W small, as the implicit-layers tutorial advises."""

    def __init__(self, d: int = 64) -> None:
        super().__init__()
        self.u, self.w, self.out = nn.Linear(64, d), nn.Linear(d, d, bias=False), nn.Linear(d, 10)
        nn.init.normal_(self.w.weight, 0, 0.05)

    def forward(self, x: Tensor) -> Tensor:
        z, drive = torch.zeros(len(x), self.w.in_features), self.u(x)
        for _ in range(12):
            z = torch.tanh(self.w(z) + drive)
        out: Tensor = self.out(z)
        return out


def deq(_: int) -> Case:
    return Case(model=DEQ(), draw=_rows, lr=2e-3)


class GLUMLP(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(64, 128) for _ in range(4))
        self.out = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = functional.glu(layer(x))
        out: Tensor = self.out(x)
        return out


def glu_mlp(_: int) -> Case:
    return Case(model=GLUMLP(), draw=_rows, lr=5e-3)


class Maxout(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.l1, self.l2, self.out = nn.Linear(64, 4 * 48), nn.Linear(48, 4 * 48), nn.Linear(48, 10)
        for m in (self.l1, self.l2, self.out):
            nn.init.uniform_(m.weight, -0.05, 0.05)
            nn.init.zeros_(m.bias)

    def forward(self, x: Tensor) -> Tensor:
        for layer in (self.l1, self.l2):
            x = layer(x).view(-1, 48, 4).max(-1).values
        out: Tensor = self.out(functional.dropout(x, 0.2, self.training))
        return out


def maxout(_: int) -> Case:
    return Case(model=Maxout(), draw=_rows, lr=2e-3)


def weight_norm_mlp(_: int) -> Case:
    """Both generations of weight norm."""
    wn = parametrizations.weight_norm
    model = nn.Sequential(
        wn(nn.Linear(64, 96)), nn.ELU(), wn(nn.Linear(96, 96)), nn.ELU(), weight_norm(nn.Linear(96, 10))
    )
    return Case(model=model, draw=_rows, lr=3e-3)


class LoRA(nn.Module):
    """Frozen layer plus (alpha / r) B A: A by kaiming_uniform, B zero."""

    def __init__(self, base: nn.Linear, r: int = 4) -> None:
        super().__init__()
        self.base = base.requires_grad_(False)
        self.a, self.b = (
            nn.Parameter(torch.empty(r, base.in_features)),
            nn.Parameter(torch.zeros(base.out_features, r)),
        )
        nn.init.kaiming_uniform_(self.a, a=math.sqrt(5))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.base(x) + 2.0 * (x @ self.a.T @ self.b.T)
        return out


def lora(_: int) -> Case:
    """Adapters in a network that was trained for the digits with their classes shifted by five."""
    base = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    optimiser = torch.optim.Adam(base.parameters(), lr=3e-3)
    for step in range(150):
        x, y = digits(step)
        optimiser.zero_grad()
        functional.cross_entropy(base(x), y).backward()
        optimiser.step()
    model = nn.Sequential(*(LoRA(m) if isinstance(m, nn.Linear) else m for m in base))

    def draw(s: int) -> Batch:
        x, y = digits(s)
        return (x,), (y + 5) % 10

    return Case(model=model, draw=draw, lr=5e-3)


@dataclass
class Answers:
    digit: Tensor
    big: Tensor
    features: Tensor


class MultiTask(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(64, 96), nn.ReLU(), nn.Linear(96, 96), nn.ReLU())
        self.digit, self.big = (
            nn.Linear(96, 10),
            nn.Sequential(nn.Linear(96, 16), nn.ReLU(), nn.Linear(16, 1)),
        )

    def forward(self, x: Tensor) -> Answers:
        h = self.trunk(x)
        return Answers(digit=self.digit(h), big=self.big(h).squeeze(-1), features=h)


def multi_task(_: int) -> Case:
    def loss(out: Answers, y: Tensor) -> Tensor:
        return functional.cross_entropy(out.digit, y) + functional.binary_cross_entropy_with_logits(
            out.big, (y > 4).float()
        )

    return Case(model=MultiTask(), draw=_rows, loss=loss, chance=math.log(20), lr=2e-3)


KINDS = {
    f.__name__: f
    for f in (fast_kan, hypernetwork, neural_ode, deq, glu_mlp, maxout, weight_norm_mlp, lora, multi_task)
}
