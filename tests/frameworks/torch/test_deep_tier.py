"""What the deep tier measures, against what is known of it; and what every tier says of its cost."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.nn import functional

import fanin.torch as ft
from fanin.checks.tiers import Clock
from fanin.torch import curvature


def quadratic(values: list[float]) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """``x^T A x / 2`` with these eigenvalues, in a basis of no importance."""
    n = len(values)
    generator = torch.Generator().manual_seed(0)
    basis, _ = torch.linalg.qr(torch.randn(n, n, generator=generator, dtype=torch.float64))
    a = basis @ torch.diag(torch.tensor(values, dtype=torch.float64)) @ basis.T
    x = torch.randn(n, generator=generator, dtype=torch.float64).requires_grad_()
    parts = [x[: n // 2].detach().requires_grad_(), x[n // 2 :].detach().requires_grad_()]
    whole = torch.cat(parts)
    return whole @ a @ whole / 2, parts


@pytest.mark.parametrize("values", [[9.0, 1.0, 0.5, 0.1], [-9.0, 3.0, 0.5, 0.1], [-9.0, -1.0, -4.0, -2.0]])
def test_sharpness_is_the_largest_eigenvalue(values: list[float]) -> None:
    found = curvature.sharpness(*quadratic(values), torch.Generator().manual_seed(1))
    # Iterations end when they change by 2 %; with a spectrum that is apart like this, near the end.
    assert found == pytest.approx(max(values), abs=0.1 * max(abs(v) for v in values))
    assert found != pytest.approx(min(values), abs=0.5)


class Block(nn.Module):
    """Two residual adds of one shape in one module, and an attention whose operator depends on the mode."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.out, self.wide = nn.Linear(16, 48), nn.Linear(16, 16), nn.Linear(16, 16)
        self.drop = nn.Dropout(0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = (t.unflatten(-1, (2, 8)).transpose(1, 2) for t in self.qkv(x).chunk(3, dim=-1))
        p = 0.5 if self.training else 0.0
        seen = functional.scaled_dot_product_attention(q, k, v, dropout_p=p, is_causal=True)
        x = x + self.drop(self.out(seen.transpose(1, 2).flatten(2)))
        return x + 10.0 * torch.relu(self.wide(x))


def test_powers_in_the_other_mode() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(Block(), nn.Linear(16, 4))
    x = torch.randn(8, 6, 16)
    trace = ft.check(model, x, tier="deep").diagnosis.trace
    assert trace.mode == "train"
    block = model[0]
    assert isinstance(block, Block)
    model.eval()
    with torch.no_grad():
        attended: list[torch.Tensor] = []
        handle = block.out.register_forward_pre_hook(lambda _m, args: attended.append(args[0]))
        block(x)
        handle.remove()
        first = x + block.out(attended[0])
        second = first + 10.0 * torch.relu(block.wide(first))
    model.train()
    adds = [m for m in trace.measurements if str(m.kind) == "add"]
    attention = next(m for m in trace.measurements if str(m.kind) == "attention")
    wanted = [attended[0], first, second]
    for m, y in zip([attention, *adds], wanted, strict=True):
        assert m.other_power == pytest.approx(float(y.square().mean()), rel=1e-4)
    # In train mode half of the attention is dropped, so the columns differ.
    assert attention.power > 1.2 * (attention.other_power or math.inf)


def test_the_cost_is_told_in_seconds_and_in_passes() -> None:
    clock = Clock()
    clock.seconds = {"forward": 1.0, "backward": 1.0, "the loss's pass back": 2.0, "statistics": 0.5}
    assert clock.said("standard") == (
        "standard tier, 4.5 s, 1.5 times one forward and backward pass: "
        "forward 22 %, backward 22 %, the loss's pass back 44 %, statistics 11 %"
    )
    clock.seconds = {"forward": 1e-3, "backward": 1e-3}
    assert "times" not in clock.said("fast")


def test_reports_print_the_cost() -> None:
    model = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2))
    report = ft.check(model, torch.randn(32, 8), target=torch.arange(32) % 2)
    assert dict(report.diagnosis.environment)["cost"].startswith("standard tier, ")
    assert "standard tier" in report.to_json()
