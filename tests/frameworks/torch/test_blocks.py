"""Packed tensors are their blocks: same values, same laws, and the promised power through real layers."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
import transformers
from torch import nn
from torch.nn import functional

import fanin
import fanin.torch
from fanin.errors import InputError
from fanin.records.draw import Normal, Orthogonal
from fanin.records.pieces import pieces
from fanin.records.plan import Block, Plan

Z = 6.0
"""Two-sided 1e-9, rounded down."""


class Packed(nn.Module):
    """Parts of one projection with uses of their own."""

    def __init__(self, width: int, sizes: tuple[int, ...]) -> None:
        super().__init__()
        self.sizes = sizes
        self.qkv = nn.Linear(width, sum(sizes), bias=False)
        self.out = nn.Linear(sizes[-1], width, bias=False)

    def parts(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return self.qkv(x).split(self.sizes, dim=-1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = self.parts(x)
        heads = q.shape[-1] // k.shape[-1]
        q = q.unflatten(-1, (heads, -1)).mean(-2)
        return self.out(functional.scaled_dot_product_attention(q, k, v))


class Experts(nn.Module):
    """Stacked maps, gate and up packed in each."""

    def __init__(self, experts: int, width: int, hidden: int) -> None:
        super().__init__()
        self.gate_up = nn.Parameter(torch.empty(experts, width, 2 * hidden))
        self.down = nn.Parameter(torch.empty(experts, hidden, width))

    def halves(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return torch.bmm(x, self.gate_up).chunk(2, dim=-1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        gate, up = self.halves(x)
        return torch.bmm(functional.silu(gate) * up, self.down)


def alone(plan: Plan, name: str, block: int) -> torch.Tensor:
    """A block drawn by itself, without the tensor that it is packed in."""
    entry = plan[name]
    piece = pieces(entry)[block]
    made = fanin.sample(piece.draw, piece.shape, seed=plan.seed, name=piece.name, axes=piece.axes)
    return torch.from_numpy(made)


@pytest.mark.parametrize("policy", ["auto", "glorot", "orthogonal"])
@pytest.mark.parametrize("sizes", [(48, 48, 48), (96, 24, 24)])
def test_a_block_is_what_it_is_alone(policy: str, sizes: tuple[int, ...]) -> None:
    model = Packed(48, sizes)
    plan = fanin.torch.init_(model, torch.zeros(1, 5, 48), policy=policy, seed=4)
    assert [block.size for block in plan["qkv.weight"].blocks] == list(sizes)
    for k, part in enumerate(model.qkv.weight.split(sizes)):
        assert torch.equal(part, alone(plan, "qkv.weight", k))
    name = ("qkv.weight", "1")
    block = plan["qkv.weight"].blocks[1]
    same = fanin.sample(block.draw, (block.size, 48), seed=4, name=name, axes="out in")
    assert torch.equal(model.qkv.weight.split(sizes)[1], torch.from_numpy(same))


def test_what_a_block_is_packed_with_changes_nothing() -> None:
    """Query heads may be added or dropped, and keys and values keep their numbers."""
    few, many = Packed(48, (24, 24, 24)), Packed(48, (96, 24, 24))
    for model in (few, many):
        fanin.torch.init_(model, torch.zeros(1, 5, 48), seed=4)
    for a, b in zip(few.qkv.weight[24:].split(24), many.qkv.weight[96:].split(24), strict=True):
        assert torch.equal(a, b)
    assert torch.equal(few.qkv.weight[:24], many.qkv.weight[:24])


def test_each_block_has_its_own_fans() -> None:
    plan = fanin.torch.plan(Packed(48, (96, 24, 24)), torch.zeros(1, 5, 48), policy="glorot")
    blocks = plan["qkv.weight"].blocks
    assert [(b.fan_in, b.fan_out) for b in blocks] == [(48, 96), (48, 24), (48, 24)]
    assert [b.draw.std for b in blocks] == pytest.approx([math.sqrt(2 / (48 + n)) for n in (96, 24, 24)])
    line = next(text for text in str(plan).splitlines() if text.startswith("qkv.weight"))
    assert "48 → 96 | 48 → 24" in line
    assert "stream ('qkv.weight', '2')" in plan.why("qkv.weight")
    whole = math.sqrt(sum(b.size * b.draw.std**2 for b in blocks) / 144)
    assert plan["qkv.weight"].std == pytest.approx(whole)


def test_orthogonal_blocks_are_matrices_of_their_own() -> None:
    model = nn.MultiheadAttention(32, 4, batch_first=True, bias=False)
    x = torch.zeros(1, 3, 32)
    fanin.torch.init_(model, x, x, x, policy="orthogonal")
    for block in model.in_proj_weight.split(32):
        # Rows of length 32 in float32: a few units of the last place.
        assert torch.allclose(block @ block.T, torch.eye(32), atol=1e-5)


@pytest.mark.parametrize(("kind", "gates"), [(nn.LSTM, 4), (nn.GRU, 3)])
def test_gates_are_blocks(kind: type[Any], gates: int) -> None:
    layer = kind(12, 8, batch_first=True)
    plan = fanin.torch.init_(layer, torch.zeros(2, 3, 12), seed=3)
    for name, weight in (("weight_ih_l0", layer.weight_ih_l0), ("weight_hh_l0", layer.weight_hh_l0)):
        assert len(plan[name].blocks) == gates
        for k, gate in enumerate(weight.split(8)):
            assert torch.equal(gate, alone(plan, name, k)), name
    for gate in layer.weight_hh_l0.split(8):
        assert torch.allclose(gate @ gate.T, torch.eye(8), atol=1e-5)


def test_layout_changes_no_block() -> None:
    """GPT-2 stores (in, out): its blocks lie side by side, and hold what (out, in) holds."""
    config = transformers.GPT2Config(
        n_layer=1, n_embd=32, n_head=2, vocab_size=50, bos_token_id=0, eos_token_id=0
    )
    model = transformers.GPT2LMHeadModel(config)
    plan = fanin.torch.init_(model, {"input_ids": torch.zeros(1, 4, dtype=torch.long)})
    name = "transformer.h.0.attn.c_attn.weight"
    assert len(plan[name].blocks) == 3
    for k, block in enumerate(model.get_parameter(name).split(32, dim=1)):
        std = plan[name].blocks[k].draw.std
        same = fanin.sample(Normal(std=std), (32, 32), seed=0, name=(name, str(k)), axes="out in")
        assert torch.equal(block.T, torch.from_numpy(same))


def test_stacked_experts_are_a_matter_of_their_index() -> None:
    few, many = Experts(2, 16, 24), Experts(5, 16, 24)
    for model in (few, many):
        plan = fanin.torch.init_(model, torch.zeros(model.gate_up.shape[0], 3, 16), seed=6)
        assert [b.size for b in plan["gate_up"].blocks] == [24, 24]
    assert torch.equal(few.gate_up, many.gate_up[:2])
    assert torch.equal(few.down, many.down[:2])
    assert not torch.equal(many.gate_up[0], many.gate_up[1])
    for k, half in enumerate(many.gate_up.chunk(2, dim=-1)):
        assert torch.equal(half, alone(plan, "gate_up", k))


def test_overrides_keep_the_blocks() -> None:
    model = Packed(48, (96, 24, 24))
    plan = fanin.torch.plan(model, torch.zeros(1, 5, 48))
    changed = plan.override({"qkv.weight": fanin.glorot_normal()})
    assert [b.draw.std for b in changed["qkv.weight"].blocks] == pytest.approx(
        [math.sqrt(2 / (48 + n)) for n in (96, 24, 24)]
    )
    assert {b.draw for b in plan.override({"qkv.weight": Normal(std=0.5)})["qkv.weight"].blocks} == {
        Normal(std=0.5)
    }
    matrix = Orthogonal(gain=1.0, std=144**-0.5)
    whole = plan.override({"qkv.weight": matrix})
    assert whole["qkv.weight"].blocks == ()
    fanin.torch.apply_(model, whole)
    assert torch.allclose(model.qkv.weight.T @ model.qkv.weight, torch.eye(48), atol=1e-5)
    assert Plan.from_json(changed.to_json()) == changed
    assert {change.field for change in plan.diff(changed).changes} == {"draw", "blocks"}


@pytest.mark.parametrize(
    "blocks",
    [
        (Block(name="0", start=0, size=48, draw=Normal(std=1.0)),),
        (
            Block(name="0", start=0, size=48, draw=Normal(std=1.0)),
            Block(name="1", start=50, size=94, draw=Normal(std=1.0)),
        ),
        (
            Block(name="0", start=0, size=72, draw=Normal(std=1.0)),
            Block(name="0", start=72, size=72, draw=Normal(std=1.0)),
        ),
    ],
)
def test_blocks_that_do_not_fit(blocks: tuple[Block, ...]) -> None:
    model = Packed(48, (96, 24, 24))
    plan = fanin.torch.plan(model, torch.zeros(1, 5, 48))
    broken = replace(plan, entries=tuple(replace(e, blocks=blocks) if e.blocks else e for e in plan.entries))
    before = model.qkv.weight.clone()
    with pytest.raises(InputError, match=r"blocks of 'qkv.weight' do not fill its out dimension"):
        fanin.torch.apply_(model, broken)
    assert torch.equal(model.qkv.weight, before)


def transposed(generator: torch.Generator) -> list[tuple[torch.Tensor, int]]:
    layer = nn.ConvTranspose2d(64, 160, 4, stride=2, bias=False)
    fanin.torch.init_(layer, torch.zeros(1, 64, 5, 5), policy="lecun")
    x = torch.randn(6, 64, 24, 24, generator=generator)
    # At the border an output sums over fewer taps.
    return [(layer(x)[..., 4:-4, 4:-4], layer.weight.numel())]


def grouped_transposed(generator: torch.Generator) -> list[tuple[torch.Tensor, int]]:
    layer = nn.ConvTranspose1d(192, 320, 6, stride=3, groups=2, bias=False)
    fanin.torch.init_(layer, torch.zeros(1, 192, 9), policy="lecun")
    return [(layer(torch.randn(16, 192, 256, generator=generator))[..., 6:-6], layer.weight.numel())]


def depthwise(generator: torch.Generator) -> list[tuple[torch.Tensor, int]]:
    layer = nn.Conv2d(18_432, 18_432, 3, groups=18_432, bias=False)
    fanin.torch.init_(layer, torch.zeros(1, 18_432, 3, 3), policy="lecun")
    return [(layer(torch.randn(1, 18_432, 10, 10, generator=generator)), layer.weight.numel())]


def packed(generator: torch.Generator) -> list[tuple[torch.Tensor, int]]:
    model = Packed(640, (640, 320, 320))
    fanin.torch.init_(model, torch.zeros(1, 3, 640), policy="lecun")
    parts = model.parts(torch.randn(8, 64, 640, generator=generator))
    return [(part, 640 * part.shape[-1]) for part in parts]


def attention(generator: torch.Generator) -> list[tuple[torch.Tensor, int]]:
    layer = nn.MultiheadAttention(416, 4, batch_first=True)
    x = torch.randn(8, 64, 416, generator=generator)
    fanin.torch.init_(layer, x[:1], x[:1], x[:1], policy="lecun")
    return [(part, 416 * 416) for part in functional.linear(x, layer.in_proj_weight).chunk(3, dim=-1)]


def experts(generator: torch.Generator) -> list[tuple[torch.Tensor, int]]:
    model = Experts(8, 128, 192)
    fanin.torch.init_(model, torch.zeros(8, 3, 128), policy="lecun")
    x = torch.randn(8, 256, 128, generator=generator)
    return [(half, 8 * 128 * 192) for half in model.halves(x)]


@pytest.mark.parametrize(
    "through",
    [transposed, grouped_transposed, depthwise, packed, attention, experts],
    ids=lambda f: f.__name__,
)
def test_the_promised_power_leaves_the_real_layer(
    through: Callable[[torch.Generator], list[tuple[torch.Tensor, int]]],
) -> None:
    """LeCun's law promises the power of the inputs, 1: within 3 %, and within what chance allows."""
    with torch.no_grad():
        for output, weights in through(torch.Generator().manual_seed(11)):
            # The power is a quadratic form of the weights: relative variance 2 / weights from their draw,
            # and as much again, at the most, from inputs that are at least as many.
            band = Z * math.sqrt(4.0 / weights)
            assert band < 0.03
            assert float(output.square().mean()) == pytest.approx(1.0, abs=band)


def test_a_check_knows_the_std_of_unequal_blocks() -> None:
    """Blocks of other sizes have other laws under Glorot's rule: none of them is that of the whole."""
    model = Packed(48, (96, 24, 24))
    batch = torch.randn(32, 5, 48, generator=torch.Generator().manual_seed(0))
    plan = fanin.torch.init_(model, batch, policy="glorot")
    entry = plan["qkv.weight"]
    stds = {block.draw.std for block in entry.blocks}
    assert len(stds) == 2
    assert entry.std is not None
    assert min(stds) < entry.std < max(stds)
    live = float(model.qkv.weight.detach().std())
    assert live == pytest.approx(entry.std, rel=Z / math.sqrt(2.0 * model.qkv.weight.numel()))
    assert fanin.torch.audit(model, against=plan).agrees
