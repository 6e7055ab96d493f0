"""Activations that read zeros: no fault of the weights before them, unless these have loud biases."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor, nn  # noqa: E402
from torch.nn import functional  # noqa: E402

import fanin.torch  # noqa: E402


class Decoder(nn.Module):
    """Queries that start at zero, which a layer of their own reads first, as in DETR's decoders."""

    def __init__(self, *, zeros: bool = True) -> None:
        super().__init__()
        self.zeros = zeros
        self.stem, self.scale, self.mix = nn.Linear(16, 64), nn.Linear(64, 64), nn.Linear(64, 64)
        self.head = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        memory = functional.relu(self.stem(x))
        queries = torch.zeros_like(memory) if self.zeros else memory
        out: Tensor = self.head(functional.relu(self.mix(memory)) + functional.relu(self.scale(queries)))
        return out


def grave(model: nn.Module) -> dict[str, tuple[str, ...]]:
    x = torch.randn(64, 16, generator=torch.Generator().manual_seed(0))
    report = fanin.torch.check(model, x, target=torch.arange(64) % 10)
    return {f.code: f.where for f in report.findings if f.severity != "info"}


@pytest.mark.parametrize("bias", [0.0, -0.1, 0.1])
def test_what_reads_zeros_is_neither_dead_nor_off(bias: float) -> None:
    model = Decoder()
    fanin.torch.init_(model, torch.ones(4, 16), seed=0)
    nn.init.constant_(model.scale.bias, bias)
    assert not {"FAN104", "FAN107"} & set(grave(model))


def test_loud_biases_are_the_layers_own_fault_whatever_it_reads() -> None:
    for zeros in (True, False):
        model = Decoder(zeros=zeros)
        fanin.torch.init_(model, torch.ones(4, 16), seed=0)
        nn.init.constant_(model.scale.bias, -30.0)
        assert "FAN104" in grave(model)
