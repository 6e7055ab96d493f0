"""Sound networks of unusual build, and beside each the fault that must still be told."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import fanin.torch
from fanin.errors import InputError


def batch(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def tokens(*shape: int, below: int = 64) -> Tensor:
    return torch.randint(below, shape, generator=torch.Generator().manual_seed(0))


def told(model: nn.Module, *inputs: object, **options: object) -> set[str]:
    return {f.code for f in fanin.torch.check(model, *inputs, **options).findings if f.severity != "info"}


class TiedHead(nn.Module):
    """A table that is the head too, behind a norm; its outputs are multiplied by a constant."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.table, self.norm, self.scale = nn.Embedding(64, 32), nn.LayerNorm(32), scale

    def forward(self, ids: Tensor) -> Tensor:
        logits = self.norm(self.table(ids)) @ self.table.weight.T
        return logits * self.scale


def test_the_constant_behind_a_tied_head_counts() -> None:
    torch.manual_seed(0)
    ids = tokens(16, 8)
    assert "FAN209" not in told(TiedHead(0.1), ids)
    assert "FAN209" in told(TiedHead(1.0), ids)


class Block(nn.Module):
    """Attention and a feed-forward layer beside a stream, with weights of one std."""

    def __init__(self, std: float, width: int = 32, *, crossed: bool = False) -> None:
        super().__init__()
        self.norm, self.other = nn.LayerNorm(width), nn.LayerNorm(width)
        self.q, self.k, self.v, self.o = (nn.Linear(width, width, bias=False) for _ in range(4))
        self.up, self.down = nn.Linear(width, 2 * width, bias=False), nn.Linear(2 * width, width, bias=False)
        self.crossed = crossed
        for layer in (self.q, self.k, self.v, self.o, self.up, self.down):
            nn.init.normal_(layer.weight, std=std)

    def forward(self, x: Tensor, memory: Tensor | None = None) -> Tensor:
        h = self.norm(x)
        source = h if memory is None else memory
        y = functional.scaled_dot_product_attention(self.q(h), self.k(source), self.v(source))
        x = x + self.o(y)
        return x + self.down(functional.relu(self.up(self.other(x))))


class Stream(nn.Module):
    """Blocks straight on the input: no weight lies before the first."""

    def __init__(self, depth: int, std: float) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([Block(std) for _ in range(depth)])
        self.norm, self.head = nn.LayerNorm(32), nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


def test_queries_of_a_first_block_beside_the_input_are_no_start_of_the_stream() -> None:
    torch.manual_seed(0)
    assert "FAN102" not in told(Stream(3, 0.02), batch(16, 8, 32))


class Translator(nn.Module):
    """An encoder that a decoder reads through one branch."""

    def __init__(self, std: float, mapped: float) -> None:
        super().__init__()
        self.source, self.target = nn.Embedding(64, 32), nn.Embedding(64, 32)
        self.encoder = nn.ModuleList([Block(std) for _ in range(2)])
        self.mapped = nn.ModuleList([nn.Linear(32, 32, bias=False) for _ in range(4)])
        self.decoder = nn.ModuleList([Block(std) for _ in range(2)])
        self.norm, self.last, self.head = nn.LayerNorm(32), nn.LayerNorm(32), nn.Linear(32, 64)
        for layer in self.mapped:
            nn.init.normal_(layer.weight, std=mapped / 32**0.5)

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        x, y = self.source(source), self.target(target)
        for layer in self.mapped:
            x = layer(x)
        for block in self.encoder:
            x = block(x)
        x = self.norm(x)
        for block in self.decoder:
            y = block(y, x)
        return self.head(self.last(y))


def test_a_decoder_that_reads_little_of_an_encoder_at_first_is_sound() -> None:
    torch.manual_seed(0)
    pair = tokens(16, 8), tokens(16, 8)
    assert "FAN102" not in told(Translator(0.02, 1.0), *pair)
    # Gradients that vanish before the decoder are told all the same.
    assert told(Translator(0.02, 0.01), *pair) & {"FAN101", "FAN102"}


class Packed(nn.Module):
    """Queries, keys and values in one weight; the queries start at zero, or the values are copies."""

    def __init__(self, *, copied: bool) -> None:
        super().__init__()
        self.norm, self.qkv, self.out = nn.LayerNorm(16), nn.Linear(16, 48), nn.Linear(16, 4)
        with torch.no_grad():
            if copied:
                self.qkv.weight[33:48] = self.qkv.weight[32]
                self.qkv.bias.zero_()
            else:
                self.qkv.weight[:16] = 0.0
                self.qkv.bias.zero_()

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(self.norm(x)).chunk(3, -1)
        return self.out(functional.scaled_dot_product_attention(q, k, v))


def test_units_of_zeros_among_others_are_no_copies() -> None:
    torch.manual_seed(0)
    assert "FAN201" not in told(Packed(copied=False), batch(16, 6, 16))
    assert "FAN201" in told(Packed(copied=True), batch(16, 6, 16))


class Dropped(nn.Module):
    """A layer that a training run leaves out, and a branch on a value, which fake tensors cannot take."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.head = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.first(x))
        if not self.training or bool((x > 1e6).any()):
            x = torch.relu(self.second(x))
        return self.head(x if bool((x < 1e6).all()) else -x)


def test_a_layer_that_a_real_training_run_drops_is_planned_from_the_other_mode() -> None:
    model = Dropped().train()
    plan = fanin.torch.plan(model, batch(4, 8))
    assert model.training
    assert {str(e.status) for e in plan.entries} == {"claimed"}


@pytest.mark.filterwarnings("ignore:.*nested:UserWarning")
def test_nested_tensors_are_refused_in_words() -> None:
    nested = torch.nested.nested_tensor([batch(2, 8), batch(3, 8)])
    for verb in (fanin.torch.plan, fanin.torch.init_, fanin.torch.check):
        with pytest.raises(InputError, match="padded tensor"):
            verb(nn.Linear(8, 2), nested)


class Cosines(nn.Module):
    """Attention by cosines, sharpened by a factor that is learned, or by a constant."""

    def __init__(self, factor: float, *, learned: bool) -> None:
        super().__init__()
        self.q, self.k, self.v, self.head = (nn.Linear(8, 8) for _ in range(4))
        self.factor = nn.Parameter(torch.tensor([factor])) if learned else factor

    def forward(self, x: Tensor) -> Tensor:
        q, k = functional.normalize(self.q(x), dim=-1), functional.normalize(self.k(x), dim=-1)
        y: Tensor = ((q @ k.transpose(1, 2)) * self.factor).softmax(-1) @ self.v(x)
        return self.head(y)


def test_sharp_cosines_are_told_by_what_multiplies_them() -> None:
    torch.manual_seed(0)
    x = batch(16, 32, 8)
    found = {}
    for learned in (True, False):
        report = fanin.torch.check(Cosines(20.0, learned=learned), x)
        (found[learned],) = (f for f in report.findings if f.code == "FAN111")
        assert "their weights' scale plays no part" in found[learned].cause
    assert found[True].severity == "info"
    assert "factor" in found[True].fix
    assert found[False].severity == "warning"
