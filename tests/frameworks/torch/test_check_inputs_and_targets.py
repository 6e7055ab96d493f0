"""What follows no law is held to none: operators over activations, source terms, means of targets."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

import fanin.torch
from fanin.records.finding import Finding, Severity
from fanin.reports.report import Report


def seeded(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def grave(report: Report) -> dict[str, Finding]:
    return {f.code: f for f in report.findings if f.severity != Severity.INFO}


class Averaged(nn.Module):
    """Features averaged over neighbours, by a matrix given with them."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(16, 32), nn.Linear(32, 4)

    def forward(self, x: Tensor, neighbours: Tensor) -> Tensor:
        out: Tensor = self.last(torch.relu(neighbours @ self.first(x)))
        return out


def test_a_matrix_of_neighbours_need_not_be_standardised() -> None:
    torch.manual_seed(0)
    joined = (seeded(200, 200, seed=1) > 1.5).float() + torch.eye(200)
    mean = joined / joined.sum(1, keepdim=True)
    assert float(mean.std()) < 0.1
    target = torch.arange(200) % 4
    assert "FAN401" not in grave(fanin.torch.check(Averaged(), seeded(200, 16), mean, target=target))
    # The features themselves are read by a weight.
    loud = fanin.torch.check(Averaged(), 300.0 * seeded(200, 16), mean, target=target)
    assert grave(loud)["FAN401"].where == ("input 1",)


class Sourced(nn.Module):
    """What a network answers, and a loud function of the input beside it."""

    def __init__(self, size: float) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(1, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 1))
        self.last, self.size = nn.Linear(1, 1), size

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.last(self.net(x) + self.size * torch.sin(math.pi * x))
        return out


def test_a_source_term_has_its_own_power() -> None:
    torch.manual_seed(0)
    model = Sourced(100.0)
    fanin.torch.init_(model, seeded(64, 1), seed=0)
    assert "FAN101" not in grave(fanin.torch.check(model, seeded(64, 1)))


def pictures() -> tuple[nn.Module, Tensor, Tensor]:
    """A generator, its codes, and pictures whose border is dark but for one pixel of one of them."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(16, 128), nn.ReLU(), nn.Linear(128, 64), nn.Tanh())
    target = -torch.ones(32, 64)
    target[:, 20:40] = torch.sign(seeded(32, 20))
    target[0, 0] = -0.999
    return model, seeded(32, 16), target


def test_a_pixel_that_hardly_varies_sets_no_unit() -> None:
    model, codes, target = pictures()
    report = fanin.torch.check(model, codes, target=target)
    assert not grave(report)
    assert report.diagnosis.trace.loss is not None
    assert report.diagnosis.trace.loss.offset is not None
    # 1 away, in units of the deviation of all: sqrt(20 / 64).
    assert 1.0 < report.diagnosis.trace.loss.offset < 2.5


def test_the_mean_of_the_targets_is_told_from_loud_outputs() -> None:
    torch.manual_seed(0)
    x, target = seeded(128, 16), 0.25 * seeded(128, 1, seed=1)
    model = nn.Sequential(nn.Linear(16, 64), nn.ReLU(), nn.Linear(64, 1))
    fanin.torch.init_(model, x, seed=0)
    # Outputs with the plan's std of a half, targets with a quarter: some dozen steps.
    assert not grave(fanin.torch.check(model, x, target=target))
    apart = fanin.torch.check(model, x, target=target + 1.5)
    first = next(f for f in apart.findings if f.code == "FAN301")
    assert "different means" in first.summary
    assert "2.bias" in first.fix
    with torch.no_grad():
        model[2].weight.mul_(8.0)  # type: ignore[operator, union-attr]
    loud = grave(fanin.torch.check(model, x, target=target))
    assert "2.weight" in loud["FAN301"].where


class Steps(nn.Module):
    """A recurrence of ReLUs over frames of which the first are blank, and a layer behind it."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.RNN(8, 64, nonlinearity="relu", batch_first=True)
        self.after, self.out = nn.Linear(64, 64), nn.Linear(64, 4)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.out(torch.relu(self.after(self.rnn(x)[0][:, -1])))
        return out


def test_a_unit_of_a_recurrence_is_dead_if_it_fires_at_no_step() -> None:
    torch.manual_seed(0)
    model, x, target = Steps(), seeded(64, 6, 8), torch.arange(64) % 4
    x[:, :2] = 0.0
    fanin.torch.init_(model, x, seed=0)
    assert "FAN104" not in grave(fanin.torch.check(model, x, target=target))
    with torch.no_grad():
        model.rnn.bias_ih_l0.fill_(-30.0)
    assert "FAN104" in grave(fanin.torch.check(model, x, target=target))
    # Another layer's liveliness is no excuse.
    fanin.torch.init_(model, x, seed=0)
    with torch.no_grad():
        model.after.bias.fill_(-30.0)
    assert "FAN104" in grave(fanin.torch.check(model, x, target=target))
