"""Rules on real models of torch: outputs that do not fit their loss, gates, masks, cells, dead ends."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import nn

import fanin.torch
from fanin.records.finding import Finding, Severity

BATCH = 64


def findings(model: nn.Module, *inputs: torch.Tensor, **options: object) -> dict[str, Finding]:
    report = fanin.torch.check(model, *inputs, **options)  # type: ignore[arg-type]
    return {f.code: f for f in report.findings}


def plain(end: nn.Module | None = None, classes: int = 10) -> nn.Sequential:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, classes))
    fanin.torch.init_(model, torch.randn(BATCH, 32), seed=1)
    return nn.Sequential(*model, *([end] if end else []))


@pytest.mark.parametrize(
    ("end", "word"),
    [(nn.Softmax(dim=1), "softmax"), (nn.Sigmoid(), "sigmoid"), (nn.Tanh(), "tanh"), (nn.ReLU(), "relu")],
)
def test_an_output_that_a_loss_of_logits_does_not_take(end: nn.Module, word: str) -> None:
    x, y = torch.randn(BATCH, 32), torch.randint(10, (BATCH,))
    found = findings(plain(end), x, target=y)["FAN307"]
    assert word in found.cause
    assert found.severity == Severity.WARNING


@pytest.mark.parametrize("end", [None, nn.LeakyReLU(0.1), nn.GELU(), nn.LogSoftmax(dim=1)])
def test_outputs_without_bounds_are_logits(end: nn.Module | None) -> None:
    x, y = torch.randn(BATCH, 32), torch.randint(10, (BATCH,))
    assert "FAN307" not in findings(plain(end), x, target=y)


def test_a_sigmoid_belongs_before_squares_and_not_before_logits() -> None:
    x, y = torch.randn(BATCH, 32), torch.randint(2, (BATCH, 1)).float()
    model = plain(nn.Sigmoid(), classes=1)
    assert "FAN307" not in findings(model, x, target=y)
    told = findings(model, x, target=y, loss=nn.BCEWithLogitsLoss())["FAN307"]
    assumed = findings(model, x, target=y.long())["FAN307"]
    assert (told.severity, assumed.severity) == (Severity.WARNING, Severity.INFO)


@pytest.mark.parametrize(("mean", "std"), [(2e5, 8e4), (1990.0, 12.0), (0.0, 500.0)])
def test_targets_in_a_unit_of_their_own(mean: float, std: float) -> None:
    x = torch.randn(BATCH, 32)
    found = findings(plain(classes=1), x, target=mean + std * torch.randn(BATCH, 1))
    assert found["FAN301"].severity == Severity.WARNING
    assert "targets" in found["FAN301"].cause
    assert "FAN301" not in findings(plain(classes=1), x, target=torch.randn(BATCH, 1))


class Gated(nn.Module):
    """A branch behind a learned scale that starts small."""

    def __init__(self, start: float) -> None:
        super().__init__()
        self.norm, self.up, self.down = nn.LayerNorm(32), nn.Linear(32, 64), nn.Linear(64, 32)
        self.scale = nn.Parameter(torch.full((32,), start))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.scale * self.down(torch.relu(self.up(self.norm(x))))


@pytest.mark.parametrize("start", [1e-6, 1e-3, 1.0])
def test_gates_that_start_small_are_no_fault(start: float) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(*[Gated(start) for _ in range(3)], nn.LayerNorm(32), nn.Linear(32, 10))
    found = findings(model, torch.randn(BATCH, 32), target=torch.randint(10, (BATCH,)))
    assert all(f.severity == Severity.INFO for f in found.values()), found


class Coupled(nn.Module):
    """A flow's step whose last layer starts at zero: the signal goes around it."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 32))
        nn.init.zeros_(self.net[2].weight)
        nn.init.zeros_(self.net[2].bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        a, b = x.chunk(2, 1)
        scale, shift = self.net(a).chunk(2, 1)
        return torch.cat([b * scale.tanh().exp() + shift, a], 1)


def test_a_coupling_that_starts_as_the_identity_is_no_fault() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(*[Coupled() for _ in range(4)])
    found = findings(model, torch.randn(BATCH, 32))
    assert not {"FAN101", "FAN102"} & set(found)


def test_a_zero_layer_in_the_middle_is_still_found() -> None:
    model = plain()
    model.insert(2, nn.Linear(64, 64))
    nn.init.zeros_(model[2].weight)
    found = findings(model, torch.randn(BATCH, 32), target=torch.randint(10, (BATCH,)))
    assert any(f.severity != Severity.INFO for f in found.values())


class Masked(nn.Module):
    """Scores of minus infinity that a softmax makes zeros of."""

    def __init__(self, fill: float) -> None:
        super().__init__()
        self.into, self.out, self.fill = nn.Linear(32, 32), nn.Linear(32, 10), fill

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.into(x)
        scores = h @ h.T / 32 + torch.full((len(x), len(x)), self.fill).triu(1)
        return self.out(torch.softmax(scores, -1) @ h)


def test_masks_are_minus_infinity_by_design() -> None:
    x, y = torch.randn(BATCH, 32), torch.randint(10, (BATCH,))
    assert "FAN106" not in findings(Masked(-math.inf), x, target=y)
    assert "FAN106" in findings(Masked(math.nan), x, target=y)


class Last(nn.Module):
    """A recurrent layer and a head on its last state."""

    def __init__(self, kind: Callable[..., nn.Module]) -> None:
        super().__init__()
        self.cells, self.out = kind(16, 32, batch_first=True), nn.Linear(32, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(self.cells(x)[0][:, -1])


@pytest.mark.parametrize("kind", [nn.RNN, nn.GRU, nn.LSTM])
def test_cells_with_weights_of_std_one_saturate(kind: Callable[..., nn.Module]) -> None:
    torch.manual_seed(0)
    model, x, y = Last(kind), torch.randn(BATCH, 8, 16), torch.randint(10, (BATCH,))
    assert "FAN105" not in findings(model, x, target=y)
    fanin.torch.init_(model, x)
    assert "FAN105" not in findings(model, x, target=y)
    nn.init.normal_(model.cells.weight_hh_l0)
    nn.init.normal_(model.cells.weight_ih_l0)
    found = findings(model, x, target=y)["FAN105"]
    assert "std 1" in found.cause
    assert found.severity == Severity.FAILURE


def test_biases_are_named_where_they_make_the_first_loss() -> None:
    model, x, y = plain(), torch.randn(BATCH, 32), torch.randint(10, (BATCH,))
    nn.init.normal_(model[0].bias, std=30.0)
    assert "bias" in findings(model, x, target=y)["FAN301"].cause


def test_vectors_that_are_not_read_are_remarked_and_layers_warned_about() -> None:
    class Spare(nn.Module):
        def __init__(self, spare: nn.Module) -> None:
            super().__init__()
            self.body, self.spare = plain(), spare

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.body(x)

    x, y = torch.randn(BATCH, 32), torch.randint(10, (BATCH,))
    token = findings(Spare(nn.ParameterList([torch.zeros(1, 1, 32)])), x, target=y)["FAN302"]
    layer = findings(Spare(nn.Linear(8, 8)), x, target=y)["FAN302"]
    assert (token.severity, layer.severity) == (Severity.INFO, Severity.WARNING)
    broken = nn.Linear(8, 8)
    nn.init.constant_(broken.weight, math.nan)
    found = findings(Spare(broken), x, target=y)
    assert "NaN" in found["FAN302"].summary
    assert "FAN106" not in found


def test_the_plan_of_a_deep_chain_of_gelu_is_healthy() -> None:
    """Depth 40: with power 1 a draw's luck would grow 200-fold in its logarithm."""
    layers: list[nn.Module] = []
    for i in range(40):
        layers += [nn.Linear(32 if i == 0 else 64, 64), nn.GELU()]
    model = nn.Sequential(*layers, nn.Linear(64, 10))
    x, y = torch.randn(BATCH, 32), torch.randint(10, (BATCH,))
    plan = fanin.torch.init_(model, x, seed=3)
    entries = {e.name: e for e in plan.entries}
    assert "luck does not grow" in entries["0.weight"].reason
    assert any("grows" in text for text in entries["2.weight"].evidence)
    found = findings(model, x, target=y)
    assert all(f.severity == Severity.INFO for f in found.values()), found


@pytest.mark.parametrize(("samples", "severity"), [(2, Severity.WARNING), (6, Severity.INFO)])
def test_norms_over_two_values_pass_no_gradient(samples: int, severity: Severity) -> None:
    torch.manual_seed(2001)
    layers = [m for _ in range(5) for m in (nn.Linear(32, 32), nn.BatchNorm1d(32), nn.ReLU())]
    model, x = nn.Sequential(*layers, nn.Linear(32, 10)), torch.randn(samples, 32)
    fanin.torch.init_(model, torch.randn(BATCH, 32))
    found = findings(model, x, target=torch.randint(10, (samples,)))
    assert found["FAN110"].severity == severity
    # What follows from it is no finding of its own.
    assert all(f.severity == Severity.INFO for code, f in found.items() if code != "FAN110"), found
