"""The last weight of a coupling starts at zero, and nothing that only looks like one does."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import fanin.torch


class Coupling(nn.Module):
    """Half of the numbers scale and shift the other half; before the product or behind it."""

    def __init__(self, *, behind: bool, bounded: bool) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 16))
        self.behind, self.bounded = behind, bounded

    def forward(self, x: Tensor) -> Tensor:
        a, b = x.chunk(2, dim=1)
        s, t = self.net(a).chunk(2, dim=1)
        scale = torch.exp(torch.tanh(s) if self.bounded else 0.5 * s)
        return torch.cat([a, b * scale + t if self.behind else (b + t) * scale], dim=1)


class Sampled(nn.Module):
    """Noise is scaled by what the network says, and its mean is added: no coupling of data."""

    def __init__(self) -> None:
        super().__init__()
        self.net, self.out = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 16)), nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        mean, log = self.net(x).chunk(2, dim=1)
        out: Tensor = self.out(mean + torch.randn_like(mean) * torch.exp(0.5 * log))
        return out


class Averaged(nn.Module):
    """Exponentials as weights of an average: they are summed, too."""

    def __init__(self) -> None:
        super().__init__()
        self.net, self.value, self.out = nn.Linear(16, 32), nn.Linear(16, 32), nn.Linear(32, 4)

    def forward(self, x: Tensor) -> Tensor:
        weights = torch.exp(torch.tanh(self.net(x)))
        total = 1.0 + weights + torch.exp(self.net(-x))
        out: Tensor = self.out(weights * self.value(x) / total)
        return out


class Running(nn.Module):
    """The same in a loop, whose first turn has nothing to add to (RWKV)."""

    def __init__(self) -> None:
        super().__init__()
        self.net, self.value, self.out = nn.Linear(4, 8), nn.Linear(4, 8), nn.Linear(8, 4)
        self.decay, self.first = nn.Parameter(torch.zeros(8)), nn.Parameter(torch.zeros(8))

    def forward(self, x: Tensor) -> Tensor:
        x = x.unflatten(1, (4, 4))
        key, value, forgets = self.net(x), self.value(x), torch.exp(-torch.exp(self.decay))
        above: Tensor | float = 0.0
        below: Tensor | float = 0.0
        outputs = []
        for t in range(x.shape[1]):
            now = torch.exp(self.first + key[:, t])
            outputs.append((above + now * value[:, t]) / (below + now))
            above = forgets * above + torch.exp(key[:, t]) * value[:, t]
            below = forgets * below + torch.exp(key[:, t])
        out: Tensor = self.out(torch.stack(outputs, 1))
        return out


def last_std(model: nn.Module, name: str) -> float | None:
    plan = fanin.torch.plan(model, torch.randn(32, 16, generator=torch.Generator().manual_seed(0)))
    return next(entry.std for entry in plan.entries if entry.name == name)


@pytest.mark.parametrize("behind", [False, True])
@pytest.mark.parametrize("bounded", [False, True])
def test_a_coupling_starts_as_the_identity(*, behind: bool, bounded: bool) -> None:
    model = nn.Sequential(Coupling(behind=behind, bounded=bounded), Coupling(behind=behind, bounded=bounded))
    x = torch.randn(32, 16, generator=torch.Generator().manual_seed(0))
    fanin.torch.init_(model, x, seed=0)
    assert torch.equal(model(x), x)
    assert last_std(model, "0.net.0.weight") != 0.0
    # It leaves the identity at the first step.
    model(x).square().sum().backward()
    assert all(layer.net[2].weight.grad.abs().max() > 0 for layer in model)


@pytest.mark.parametrize(
    ("make", "name"), [(Sampled, "net.2.weight"), (Averaged, "net.weight"), (Running, "net.weight")]
)
def test_noise_and_averages_are_no_couplings(make: Callable[[], nn.Module], name: str) -> None:
    assert last_std(make(), name) != 0.0


class Narrow(nn.Module):
    """Two numbers: each in turn scales the other by a learned bound; a log-likelihood is returned."""

    def __init__(self) -> None:
        super().__init__()
        self.nets = nn.ModuleList(
            [nn.Sequential(nn.Linear(1, 16), nn.ReLU(), nn.Linear(16, 2)) for _ in range(6)]
        )
        self.bound = nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:
        total: Tensor | int = 0
        for net in self.nets:
            a, b = x.chunk(2, dim=1)
            s, t = net(a).chunk(2, dim=1)
            s = self.bound * torch.tanh(s)
            x, total = torch.cat([b * s.exp() + t, a], dim=1), total + s.sum(1)
        return (x.square().sum(1) / 2 - total).mean()


def test_a_learned_bound_and_a_log_determinant_one_number_wide_are_a_coupling_s() -> None:
    torch.manual_seed(0)
    x = torch.randn(64, 2)
    plan = fanin.torch.init_(model := Narrow(), x)
    assert {e.scheme for e in plan.entries if e.name.endswith("2.weight")} == {"zeros"}
    report = fanin.torch.check(model, x, loss=lambda out, _: out, target=torch.zeros(1))
    assert "FAN102" not in {finding.code for finding in report.findings}


class Inverse(nn.Module):
    """From data to noise: shifted back, then scaled by exp(-s); s has a learned bound that comes as zero."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 8))
        self.bound = nn.Parameter(torch.zeros(4))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        a, b = x.chunk(2, dim=1)
        s, t = self.net(a).chunk(2, dim=1)
        s = torch.tanh(s) * self.bound
        return torch.cat([(b - t) * torch.exp(-s), a], dim=1), -s.sum(1)


class Flow(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.parts = nn.ModuleList([Inverse() for _ in range(4)])

    def forward(self, x: Tensor) -> Tensor:
        total: Tensor | int = 0
        for part in self.parts:
            x, log = part(x)
            total = total + log
        return (x.square().sum(1) / 2 - total).mean()


def test_the_inverse_of_a_coupling_is_one_and_its_bound_lets_it_wake() -> None:
    torch.manual_seed(0)
    model, x = Flow(), torch.randn(64, 8)
    plan = fanin.torch.init_(model, x)
    assert {e.scheme for e in plan.entries if e.name.endswith("2.weight")} == {"zeros"}
    assert {e.scheme for e in plan.entries if e.name.endswith("bound")} == {"ones"}
    assert model(x).item() == pytest.approx(float(x.square().sum(1).mean()) / 2, rel=1e-6)  # the identity
    # Rows that make s, and rows that make t: both leave zero at the first step.
    model(x).backward()
    for part in model.parts:
        assert isinstance(part, Inverse)
        gradient = part.net[2].weight.grad
        assert isinstance(gradient, Tensor)
        assert (gradient.abs().amax(dim=1) > 0).all()


class Bumps(nn.Module):
    """Bumps exp(-(W x)^2) gate another part of the signal: a weight of zero would have no gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.net, self.value, self.out = nn.Linear(16, 32), nn.Linear(16, 32), nn.Linear(32, 4)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.out(torch.exp(-self.net(x).square()) * self.value(x))
        return out


def test_an_exponential_of_a_square_is_no_scale() -> None:
    assert last_std(Bumps(), "net.weight") != 0.0
