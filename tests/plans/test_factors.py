"""Weights in groups, and a plan multiplied group by group."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

import fanin
import fanin.torch
from fanin.errors import InputError, UnknownNameError
from fanin.plans.factors import groups, multiplied
from fanin.records.plan import Plan
from fanin.torch.read import read


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm, self.up, self.down = nn.LayerNorm(8), nn.Linear(8, 16), nn.Linear(16, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = x + self.down(torch.relu(self.up(self.norm(x))))
        return out


class Words(nn.Module):
    """A table, residual branches and a head."""

    def __init__(self, *, tied: bool = False) -> None:
        super().__init__()
        self.embed = nn.Embedding(11, 8)
        self.blocks = nn.ModuleList(Block() for _ in range(2))
        self.norm = nn.LayerNorm(8)
        self.head = nn.Linear(8, 11, bias=False)
        if tied:
            self.head.weight = self.embed.weight

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.embed(ids)
        for block in self.blocks:
            x = block(x)
        out: torch.Tensor = self.head(self.norm(x))
        return out


IDS = torch.arange(6).reshape(2, 3)


def planned(*, tied: bool = False) -> tuple[Plan, dict[str, str]]:
    model = Words(tied=tied)
    return fanin.torch.plan(model, IDS), dict(groups(read(model, IDS)))


def test_groups_follow_from_what_a_weight_does() -> None:
    _, found = planned()
    assert found == {
        "embed.weight": "embeddings",
        "blocks.0.up.weight": "body",
        "blocks.0.down.weight": "branches",
        "blocks.1.up.weight": "body",
        "blocks.1.down.weight": "branches",
        "head.weight": "head",
    }
    assert planned(tied=True)[1]["embed.weight"] == "embeddings"


@pytest.mark.parametrize(
    ("group", "changed"),
    [
        ("head", {"head.weight"}),
        ("branches", {"blocks.0.down.weight", "blocks.1.down.weight"}),
        ("embeddings", {"embed.weight"}),
        ("all", {"head.weight", *(f"blocks.{k}.{part}.weight" for k in (0, 1) for part in ("up", "down"))}),
    ],
)
def test_a_factor_changes_its_group_and_nothing_else(group: str, changed: set[str]) -> None:
    plan, group_of = planned()
    done = multiplied(plan, group_of, {group: 3.0})
    for before, after in zip(plan.entries, done.entries, strict=True):
        factor = 3.0 if before.name in changed else 1.0
        assert after.std == pytest.approx(factor * (before.std or 0.0))
        if before.gain is not None and before.name in changed:
            assert after.gain == pytest.approx(3.0 * before.gain)
    assert multiplied(plan, group_of, {group: 1.0}) == plan


def test_the_weights_are_those_of_the_plan_multiplied() -> None:
    plan, group_of = planned()
    one, other = Words(), Words()
    fanin.torch.apply_(one, plan)
    fanin.torch.apply_(other, multiplied(plan, group_of, {"body": 2.0}))
    assert torch.equal(other.blocks[0].up.weight, 2.0 * one.blocks[0].up.weight)  # type: ignore[union-attr, operator]
    assert torch.equal(other.head.weight, one.head.weight)


def test_blocks_of_a_packed_tensor_are_multiplied_too() -> None:
    model = nn.GRU(4, 8)
    batch = torch.zeros(3, 2, 4)
    plan, group_of = fanin.torch.plan(model, batch), groups(read(model, batch))
    entry = plan["weight_ih_l0"]
    done = multiplied(plan, group_of, {"body": 0.5})["weight_ih_l0"]
    assert len(done.blocks) == len(entry.blocks) == 3
    assert done.std == pytest.approx(0.5 * (entry.std or math.nan))


@pytest.mark.parametrize("factor", [0.0, -1.0, math.nan, math.inf])
def test_a_factor_that_is_none(factor: float) -> None:
    plan, group_of = planned()
    with pytest.raises(InputError, match="positive and finite"):
        multiplied(plan, group_of, {"all": factor})


def test_a_group_that_is_not_there() -> None:
    plan, group_of = planned()
    with pytest.raises(UnknownNameError, match="Did you mean 'head'"):
        multiplied(plan, group_of, {"heads": 2.0})
    zeros = plan.override({"head.weight": fanin.zeros()})
    with pytest.raises(InputError, match="no random weight of the group 'head'"):
        multiplied(zeros, group_of, {"head": 2.0})


def test_a_law_by_formula_has_no_factor() -> None:
    model = nn.Sequential(nn.ConvTranspose2d(2, 2, 4, stride=2))
    batch = torch.zeros(1, 2, 4, 4)
    plan = fanin.torch.plan(model, batch).override({"0.weight": fanin.bilinear()})
    with pytest.raises(InputError, match="cannot be multiplied"):
        multiplied(plan, {"0.weight": "body"}, {"body": 2.0})
