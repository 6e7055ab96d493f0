"""Zeros that wait for one step are told from zeros that wait for each other."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import fanin.torch
from fanin.records.finding import Severity


class ZeroBlock(nn.Module):
    """A residual block that ends in zeros."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(32, 32), nn.Linear(32, 32)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.last(torch.relu(self.first(x)))
        return out


class Modulated(nn.Module):
    """A gate of zeros over a branch, read through a head of zeros (adaLN-zero)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.body, self.gate = nn.Linear(16, 32), nn.Linear(32, 32), nn.Linear(16, 32)
        self.head = nn.Linear(32, 4)
        for zero in (self.gate, self.head):
            nn.init.zeros_(zero.weight)
            nn.init.zeros_(zero.bias)

    def forward(self, x: Tensor) -> Tensor:
        h = self.stem(x)
        out: Tensor = self.head(h + self.gate(x) * torch.tanh(self.body(h)))
        return out


class Turned(nn.Module):
    """PointNet's transform: weights of zero and the identity as bias."""

    def __init__(self) -> None:
        super().__init__()
        self.look, self.turn = nn.Sequential(nn.Linear(3, 16), nn.ReLU()), nn.Linear(16, 9)
        nn.init.zeros_(self.turn.weight)
        with torch.no_grad():
            self.turn.bias.copy_(torch.eye(3).flatten())
        self.body = nn.Sequential(nn.Linear(3, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 4))

    def forward(self, x: Tensor) -> Tensor:
        turn = self.turn(self.look(x)).view(-1, 3, 3)
        out: Tensor = self.body((x.unsqueeze(1) @ turn).squeeze(1))
        return out


class BothGates(nn.Module):
    """Two factors of zero: each waits for the other."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.a, self.b, self.head = (
            nn.Linear(i, o) for i, o in ((16, 32), (32, 32), (32, 32), (32, 4))
        )
        for zero in (self.a, self.b):
            nn.init.zeros_(zero.weight)
            nn.init.zeros_(zero.bias)

    def forward(self, x: Tensor) -> Tensor:
        h = self.stem(x)
        out: Tensor = self.head(h + self.a(h) * self.b(h))
        return out


def fixup() -> nn.Module:
    head = nn.Linear(32, 4)
    nn.init.zeros_(head.weight)
    return nn.Sequential(nn.Linear(16, 32), ZeroBlock(), ZeroBlock(), head)


def two_in_a_row() -> nn.Module:
    model = nn.Sequential(
        nn.Linear(16, 32, bias=False), nn.ReLU(), *(nn.Linear(32, 32, bias=False) for _ in range(2))
    )
    for layer in model[2:]:
        nn.init.zeros_(layer.weight)  # type: ignore[arg-type]
    return model


def silent_relus() -> nn.Module:
    """One layer of zeros before a ReLU without a bias: its slope at zero is zero."""
    model = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 4))
    for p in (*model[0].parameters(), model[2].bias):  # type: ignore[misc]
        nn.init.zeros_(p)
    return model


def check(model: nn.Module, width: int = 16) -> list[str]:
    x = torch.randn(64, width, generator=torch.Generator().manual_seed(0))
    report = fanin.torch.check(model, x, target=torch.arange(64) % 4)
    return [f.code for f in report.findings if f.severity != Severity.INFO]


@pytest.mark.parametrize(("make", "width"), [(fixup, 16), (Modulated, 16), (Turned, 3)])
def test_zeros_that_move_at_the_second_step_are_left_in_peace(
    make: Callable[[], nn.Module], width: int
) -> None:
    torch.manual_seed(0)
    model = make()
    assert check(model, width) == []
    # And so it is: two steps of plain gradient descent give every parameter a gradient.
    x = torch.randn(64, width, generator=torch.Generator().manual_seed(0))
    for _ in range(3):
        model.zero_grad()
        nn.functional.cross_entropy(model(x), torch.arange(64) % 4).backward()
        with torch.no_grad():
            for p in model.parameters():
                assert p.grad is not None
                p.sub_(0.1 * p.grad)
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in model.parameters())


@pytest.mark.parametrize("make", [two_in_a_row, BothGates, silent_relus])
def test_zeros_that_wait_for_each_other_are_found(make: Callable[[], nn.Module]) -> None:
    torch.manual_seed(0)
    assert "FAN201" in check(make())


class Tokens(nn.Module):
    """A class token beside others; branches end in a learned scale, and the head reads the token alone."""

    def __init__(self, scale: float, depth: int = 8) -> None:
        super().__init__()
        self.patch, self.cls = nn.Linear(16, 32), nn.Parameter(0.02 * torch.randn(1, 1, 32))
        self.norms = nn.ModuleList(nn.LayerNorm(32) for _ in range(depth))
        self.maps = nn.ModuleList(nn.MultiheadAttention(32, 4, batch_first=True) for _ in range(depth))
        self.scales = nn.ParameterList(torch.full((32,), scale) for _ in range(depth))
        self.last, self.head = nn.LayerNorm(32), nn.Linear(32, 4)

    def forward(self, x: Tensor) -> Tensor:
        h = self.patch(x.view(len(x), -1, 16))
        h = torch.cat([self.cls.expand(len(x), 1, 32), h], dim=1)
        for norm, attend, scale in zip(self.norms, self.maps, self.scales, strict=True):
            y = norm(h)
            h = h + scale * attend(y, y, y, need_weights=False)[0]
        out: Tensor = self.head(self.last(h)[:, 0])
        return out


def test_small_learned_scales_say_how_much_passes() -> None:
    torch.manual_seed(0)
    assert "FAN102" not in check(Tokens(1e-4), 128)
