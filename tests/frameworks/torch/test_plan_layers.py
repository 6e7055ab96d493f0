"""Real layers through the whole way: exact draws, true fans, and the power of their outputs."""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import Any

import pytest
import torch
from scipy import stats
from torch import nn

import fanin
import fanin.torch as ft

FALSE_ALARM = 1e-9


def variance_holds(values: torch.Tensor, std: float) -> None:
    """Raise unless normal values have this std: ``sum w^2 / std^2`` is chi-square distributed."""
    total = float((values.detach().double() ** 2).sum()) / std**2
    n = values.numel()
    tail = 2 * min(stats.chi2.cdf(total, n), stats.chi2.sf(total, n))
    if tail < FALSE_ALARM:
        raise AssertionError(f"std {math.sqrt(total / n) * std:.5g} is not {std:.5g} (p = {tail:.2g})")


LAYERS: dict[str, tuple[nn.Module, tuple[int, ...], float]] = {
    "linear": (nn.Linear(300, 200, bias=False), (64, 300), 300),
    "conv": (nn.Conv2d(24, 40, 3, bias=False), (8, 24, 24, 24), 24 * 9),
    "strided conv": (nn.Conv2d(24, 40, 3, stride=2, bias=False), (8, 24, 24, 24), 24 * 9),
    "grouped conv": (nn.Conv2d(24, 48, 3, groups=4, bias=False), (8, 24, 24, 24), 6 * 9),
    "depthwise conv": (nn.Conv2d(512, 512, 3, groups=512, bias=False), (8, 512, 12, 12), 9),
    "conv1d": (nn.Conv1d(40, 50, 7, bias=False), (16, 40, 60), 40 * 7),
    "transposed conv": (nn.ConvTranspose2d(48, 20, 4, stride=2, bias=False), (8, 48, 16, 16), 48 * 4),
    "grouped transposed conv": (
        nn.ConvTranspose2d(48, 24, 4, stride=2, groups=4, bias=False),
        (8, 48, 16, 16),
        12 * 4,
    ),
}


@pytest.mark.parametrize("name", LAYERS)
def test_he_is_exact_and_the_output_has_the_power_it_promises(name: str) -> None:
    layer, shape, fan_in = LAYERS[name]
    model = nn.Sequential(layer, nn.ReLU(), nn.Flatten(1))
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    entry = ft.init_(model, x, seed=3)["0.weight"]
    assert (entry.scheme, entry.fan_in) == ("he_normal", fan_in)
    assert entry.draw is not None
    assert entry.draw.std == pytest.approx(math.sqrt(2.0 / fan_in), rel=1e-12)
    variance_holds(layer.weight, entry.draw.std)
    with torch.no_grad():
        out = layer(x)
    # Borders see fewer positions; what lies inside is what the fan speaks of.
    inner = out[(..., *[slice(3, -3)] * (out.ndim - 2))] if out.ndim > 2 else out
    # Weights, inputs and outputs each limit how well the mean is known; add their shares.
    channels = inner.shape[1]
    error = math.sqrt(
        2 / (layer.weight.numel()) + 2 / x.numel() + 2 / inner.numel() + 2 / (channels * fan_in)
    )
    assert abs(float((inner**2).mean()) / 2 - 1) < 6.1 * error


def test_the_test_of_variances_can_fail() -> None:
    layer = nn.Linear(300, 200)
    with pytest.raises(AssertionError, match="is not"):
        variance_holds(layer.weight, math.sqrt(2 / 300))
    transposed = nn.ConvTranspose2d(48, 20, 4, stride=2, bias=False)
    ft.kaiming_normal_(transposed.weight, seed=3)
    with pytest.raises(AssertionError, match="is not"):
        variance_holds(transposed.weight, math.sqrt(2 / (48 * 4)))


@pytest.mark.parametrize(("kind", "gates"), [(nn.LSTM, 4), (nn.GRU, 3), (nn.RNN, 1)])
def test_recurrent_layers_gate_by_gate(kind: Any, gates: int) -> None:
    class Reader(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cells, self.head = kind(6, 8, num_layers=2, batch_first=True), nn.Linear(8, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            out: torch.Tensor = self.head(self.cells(x)[0][:, -1])
            return out

    model = Reader()
    made = ft.init_(model, torch.zeros(2, 5, 6))
    entry = made["cells.weight_ih_l0"]
    assert entry.draw is not None
    assert entry.draw.std == pytest.approx(math.sqrt(2 / (6 + 8)))
    for block in model.cells.weight_hh_l1.detach().chunk(gates):
        assert torch.allclose(block @ block.T, torch.eye(8), atol=1e-5)
    assert made["cells.bias_hh_l0"].draw == fanin.zeros().draw((8,))


@pytest.mark.parametrize("shape", ["linear", "conv", "transposed"])
def test_weight_normalised_layers_have_the_std_of_the_law(shape: str) -> None:
    layer: nn.Module = {
        "linear": nn.Linear(200, 150),
        "conv": nn.Conv1d(40, 60, 5),
        "transposed": nn.ConvTranspose1d(60, 40, 4, stride=2),
    }[shape]
    x = torch.randn(*{"linear": (4, 200), "conv": (4, 40, 20), "transposed": (4, 60, 20)}[shape])
    normed = nn.utils.parametrizations.weight_norm(layer)
    model = nn.Sequential(OrderedDict(layer=normed, act=nn.ReLU(), out=nn.Flatten()))
    made = ft.init_(model, x)
    direction = made["layer.parametrizations.weight.original1"]
    assert direction.draw is not None
    # The lengths are fixed, so the effective weight's power is the law's to rounding.
    effective = float((normed.weight.detach().double() ** 2).mean()) ** 0.5
    assert effective == pytest.approx(direction.draw.std, rel=1e-5)
    assert direction.scheme == "he_normal"


def test_cells_that_are_stepped_by_hand_are_read_gate_by_gate() -> None:
    class Stepped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell, self.head = nn.LSTMCell(6, 8), nn.Linear(8, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            state = (torch.zeros(len(x), 8), torch.zeros(len(x), 8))
            for step in x.unbind(1):
                state = self.cell(step, state)
            out: torch.Tensor = self.head(state[0])
            return out

    made = ft.plan(Stepped(), torch.zeros(3, 5, 6))
    for name in ("cell.weight_ih", "cell.weight_hh"):
        axes = made[name].axes
        assert axes is not None
        assert axes.groups == 4
        assert "each of 4 gates by itself" in made[name].reason


def test_framework_policy_is_torchs_own_law() -> None:
    """Each tensor against the real `reset_parameters`, over many draws, by its largest value and std."""
    model = nn.Sequential(
        OrderedDict(
            up=nn.ConvTranspose2d(6, 10, 3),
            act=nn.ReLU(),
            conv=nn.Conv2d(10, 8, 3),
            pool=nn.AdaptiveAvgPool2d(1),
            flat=nn.Flatten(),
            head=nn.Linear(8, 5),
        )
    )
    made = ft.plan(model, torch.zeros(1, 6, 8, 8), policy="framework")
    for name in ("up", "conv", "head"):
        layer = getattr(model, name)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            drawn: dict[str, list[torch.Tensor]] = {"weight": [], "bias": []}
            for _ in range(400):
                layer.reset_parameters()
                for key, tensors in drawn.items():
                    tensors.append(getattr(layer, key).detach().clone())
        for key, tensors in drawn.items():
            draw = made[f"{name}.{key}"].draw
            assert isinstance(draw, fanin.uniform(-1, 1).draw(()).__class__)
            found = stats.kstest(
                torch.stack(tensors).flatten()[:20000].numpy(), "uniform", (draw.low, 2 * draw.high)
            )
            assert found.pvalue > FALSE_ALARM


class Residual(nn.Module):
    """The residual of an equation: a network, and its derivative by its input, taken inside."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(2, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.requires_grad_()
        u = self.net(x)
        (slope,) = torch.autograd.grad(u.sum(), x, create_graph=True)
        return slope + u


def test_a_derivative_taken_inside_a_model_is_no_use_of_its_weights() -> None:
    made = {e.name: e for e in fanin.torch.plan(Residual(), torch.randn(16, 2)).entries}
    plain = {e.name: e for e in fanin.torch.plan(Residual().net, torch.randn(16, 2)).entries}
    for name in ("0.weight", "2.weight", "4.weight"):
        assert made[f"net.{name}"].axes == plain[name].axes
        assert made[f"net.{name}"].fan_in == plain[name].fan_in
    assert made["net.0.weight"].std == plain["0.weight"].std
