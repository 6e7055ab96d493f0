"""Real models through the whole way: read, plan, write, and the outputs of the layers."""

from __future__ import annotations

import math
from collections import OrderedDict

import pytest
import torch
from torch import nn
from torch.nn import functional

import fanin
import fanin.torch as ft
from fanin.errors import InputError, ModelError, UnknownNameError
from fanin.records.plan import Plan, Status
from fanin.torch.names import named_tensors


class Block(nn.Module):
    """A pre-norm residual block with attention and a feed-forward part."""

    def __init__(self, width: int, activation: str) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.activation = activation

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, length, width = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(batch, length, 3, 4, width // 4).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(batch, length, width)
        x = x + self.out(mixed)
        return x + self.down(getattr(functional, self.activation)(self.up(self.norm2(x))))


class Net(nn.Module):
    """A small language model."""

    def __init__(
        self, *, depth: int = 4, width: int = 32, tied: bool = False, activation: str = "gelu"
    ) -> None:
        super().__init__()
        self.tokens, self.positions = nn.Embedding(50, width), nn.Embedding(16, width)
        self.blocks = nn.ModuleList(Block(width, activation) for _ in range(depth))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 50, bias=False)
        if tied:
            self.head.weight = self.tokens.weight

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.tokens(ids) + self.positions(torch.arange(ids.shape[1]))
        for block in self.blocks:
            x = block(x)
        out: torch.Tensor = self.head(self.norm(x))
        return out


IDS = torch.randint(50, (2, 16), generator=torch.Generator().manual_seed(1))


def test_a_language_model_line_by_line() -> None:
    made = ft.plan(Net(), IDS)
    assert [e.name for e in made.entries] == [t.name for t in named_tensors(Net())]
    assert made.unrecognised == ()
    gelu = 1 / math.sqrt(0.42521)
    wanted = {
        "tokens.weight": 1.0,
        "positions.weight": 1.0,
        "blocks.2.qkv.weight": 1 / math.sqrt(32),
        "blocks.2.out.weight": 1 / math.sqrt(32 * 8),
        "blocks.2.up.weight": 1 / math.sqrt(32),
        "blocks.2.down.weight": gelu / math.sqrt(128 * 8),
        "blocks.2.up.bias": 0.0,
        "norm.weight": 0.0,
        "head.weight": 0.5 / math.sqrt(32),
    }
    for name, std in wanted.items():
        draw = made[name].draw
        assert draw is not None
        assert draw.std == pytest.approx(std, rel=1e-3), made.why(name)
    assert made["norm.weight"].draw == fanin.ones().draw((32,))


def test_the_first_loss_is_that_of_a_guess() -> None:
    for tied in (False, True):
        model = Net(tied=tied, width=64)
        ft.init_(model, IDS, seed=1)
        with torch.no_grad():
            logits = model(IDS)
            loss = float(functional.cross_entropy(logits[:, :-1].flatten(0, 1), IDS[:, 1:].flatten()))
        # ln C + 0.5^2 / 2, and 30 targets whose logits have std 0.5 (tied: their own token stands out).
        assert abs(loss - math.log(50)) < 0.125 + 6.1 * 0.5 / math.sqrt(30)
        assert float(logits.std()) < 0.8


def test_tied_weights_have_one_entry_ruled_by_the_head() -> None:
    made = ft.plan(Net(tied=True), IDS)
    entry = made["head.weight"]
    assert (entry.name, entry.aliases, entry.rule) == ("tokens.weight", ("head.weight",), "tied embedding")
    assert len(made.entries) == len(named_tensors(Net(tied=True)))


def test_signal_survives_forty_layers() -> None:
    """Power of the last hidden layer, for plans by use and for the framework's own defaults."""
    for activation in (nn.ReLU, nn.GELU, nn.Tanh, nn.SELU):
        layers = [part for _ in range(40) for part in (nn.Linear(128, 128), activation())]
        model = nn.Sequential(*layers, nn.Linear(128, 10))
        x = torch.randn(32, 128, generator=torch.Generator().manual_seed(0))
        powers = {}
        for policy in ("auto", "framework"):
            ft.init_(model, x, seed=2, policy=policy)
            with torch.no_grad():
                powers[policy] = float(model[:79](x).var())
        assert 1e-2 < powers["auto"] < 1e4, (activation, powers)
        assert powers["framework"] < 0.1 * powers["auto"], (activation, powers)


def convnet() -> nn.Sequential:
    return nn.Sequential(
        OrderedDict(
            conv=nn.Conv2d(3, 8, 3, bias=False),
            norm=nn.BatchNorm2d(8),
            act=nn.ReLU(),
            pool=nn.AdaptiveAvgPool2d(1),
            flat=nn.Flatten(),
            head=nn.Linear(8, 5),
        )
    )


IMAGES = torch.zeros(2, 3, 12, 12)


def values(model: nn.Module) -> dict[str, torch.Tensor]:
    return {t.name: t.tensor.detach().clone() for t in named_tensors(model)}


def same(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> bool:
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


def test_init_is_plan_and_write() -> None:
    one, two = convnet(), convnet()
    made = ft.init_(one, IMAGES, seed=7)
    ft.apply_(two, Plan.from_json(ft.plan(two, IMAGES, seed=7).to_json()))
    assert same(values(one), values(two))
    assert torch.equal(
        one.conv.weight.detach(),
        torch.from_numpy(fanin.sample("he_normal", (8, 3, 3, 3), seed=7, name="conv.weight")),
    )
    assert made == ft.plan(one, IMAGES, seed=7)


def test_wrappers_and_modes_change_nothing() -> None:
    plain = convnet()
    ft.init_(plain, IMAGES, seed=7)
    for wrap in (nn.DataParallel, lambda m: torch.compile(m, backend="eager"), lambda m: m.train(mode=False)):
        model = wrap(convnet())
        ft.init_(model, IMAGES, seed=7)
        assert same(values(model), values(plain))


def test_planning_changes_nothing() -> None:
    model = convnet()
    before, state = values(model), torch.get_rng_state()
    ft.plan(model, torch.randn(2, 3, 12, 12, generator=torch.Generator().manual_seed(0)))
    assert same(values(model), before)
    assert torch.equal(torch.get_rng_state(), state)


def test_names_alone_decide() -> None:
    """A copy gets other numbers, the same name the same ones, in whatever order modules come."""
    one = nn.Sequential(OrderedDict(a=nn.Linear(4, 4), b=nn.Linear(4, 4)))
    two = nn.Sequential(OrderedDict(b=nn.Linear(4, 4), a=nn.Linear(4, 4)))
    policy = "he"  # one law, so that the order of use plays no part
    ft.init_(one, torch.zeros(1, 4), policy=policy)
    ft.init_(two, torch.zeros(1, 4), policy=policy)
    assert torch.equal(one.a.weight, two.a.weight)
    assert not torch.equal(one.a.weight, one.b.weight)


def test_overrides_by_pattern() -> None:
    model = Net()
    made = ft.plan(model, IDS).override({"*.down.weight": fanin.zeros(), "*.2.down.*": fanin.normal(std=0.1)})
    ft.apply_(model, made)
    assert float(model.blocks[1].down.weight.detach().abs().sum()) == 0.0
    drawn = fanin.sample(fanin.normal(std=0.1), (32, 128), seed=0, name="blocks.2.down.weight")
    assert torch.equal(model.blocks[2].down.weight, torch.from_numpy(drawn))
    assert made["blocks.2.down.bias"].reason == "the user's rule '*.2.down.*'"
    with pytest.raises(InputError, match="pattern matches no tensor"):
        made.override({"*.dwon.weight": fanin.zeros()})


def test_frozen_and_buffers_are_left() -> None:
    model = convnet()
    model.conv.weight.requires_grad_(requires_grad=False)
    model.norm.running_var.fill_(4.0)
    before = values(model)
    made = ft.init_(model, IMAGES)
    kept = [e.name for e in made.entries if e.status == Status.KEPT]
    assert kept == ["conv.weight", "norm.running_mean", "norm.running_var", "norm.num_batches_tracked"]
    assert all(torch.equal(values(model)[name], before[name]) for name in kept)


def test_a_parameter_that_is_never_read_is_flagged() -> None:
    model = convnet()
    model.register_parameter("spare", nn.Parameter(torch.ones(3, 3)))
    made = ft.init_(model, IMAGES)
    assert [e.name for e in made.unrecognised] == ["spare"]
    assert model.spare.detach().tolist() == [[1.0] * 3] * 3


def test_padding_rows_stay_zero() -> None:
    model = nn.Sequential(nn.Embedding(9, 4, padding_idx=0), nn.Linear(4, 2))
    ft.init_(model, torch.tensor([[1, 2]]))
    assert model[0].weight[0].tolist() == [0.0] * 4
    assert bool((model[0].weight[1:] != 0).all())


def test_meta_models_are_planned_but_not_written() -> None:
    with torch.device("meta"):
        model = convnet()
    made = ft.plan(model, IMAGES)
    assert made == ft.plan(convnet(), IMAGES)
    with pytest.raises(InputError, match="tensors without memory"):
        ft.apply_(model, made)
    model.to_empty(device="cpu")
    for name in ("running_mean", "running_var", "num_batches_tracked"):
        getattr(model.norm, name).zero_()
    ft.apply_(model, made)
    twin = convnet()
    ft.init_(twin, IMAGES)
    assert torch.equal(model.head.weight, twin.head.weight)


@pytest.mark.parametrize("policy", ["he", "glorot", "lecun", "orthogonal", "framework"])
def test_policies_serve_real_models(policy: str) -> None:
    model = Net()
    made = ft.init_(model, IDS, policy=policy)
    assert made.unrecognised == ()
    assert all(bool(torch.isfinite(v).all()) for v in values(model).values())


def test_doors_say_what_is_wrong() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'auto'"):
        ft.plan(convnet(), IMAGES, policy="auot")
    with pytest.raises(ModelError, match="forward pass failed"):
        ft.plan(convnet(), torch.zeros(2, 4))
    with pytest.raises(InputError, match="another model"):
        ft.apply_(nn.Linear(2, 2), ft.plan(convnet(), IMAGES))
