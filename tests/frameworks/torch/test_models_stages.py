"""Residual stages, unscaled scores of normalised queries and keys, and blocks before a normed stream."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import nn

import fanin.torch as ft
from fanin.plans.facts import Facts
from fanin.torch.read import read

WIDTH, SIDE = 16, 8


class Block(nn.Module):
    """Two convolutions, each with a batch norm, beside a shortcut that projects or does not."""

    def __init__(self, before: int, after: int, *, normed: bool) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(before, after, 3, padding=1, bias=False),
            nn.BatchNorm2d(after),
            nn.ReLU(),
            nn.Conv2d(after, after, 3, padding=1, bias=False),
            nn.BatchNorm2d(after),
        )
        self.shortcut = nn.Sequential()
        if before != after:
            self.shortcut.append(nn.Conv2d(before, after, 1, bias=False))
            if normed:
                self.shortcut.append(nn.BatchNorm2d(after))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.body(x) + self.shortcut(x))


def residual_network(*, normed: bool) -> nn.Sequential:
    """Two stages of three blocks each."""
    widths = [WIDTH] * 4 + [2 * WIDTH] * 3
    blocks = [Block(a, b, normed=normed) for a, b in itertools.pairwise(widths)]
    return nn.Sequential(nn.Conv2d(3, WIDTH, 3, padding=1), nn.BatchNorm2d(WIDTH), nn.ReLU(), *blocks)


@pytest.mark.parametrize(("normed", "counts"), [(True, [3] * 6), (False, [6] * 6)])
def test_a_shortcut_that_projects_and_normalises_starts_a_stage_anew(normed: bool, counts: list[int]) -> None:
    graph = read(residual_network(normed=normed), torch.zeros(2, 3, SIDE, SIDE))
    assert [len(places) for places in Facts(graph=graph).streams] == counts


def test_a_head_knows_the_power_of_the_last_stage_alone() -> None:
    model = nn.Sequential(residual_network(normed=True), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    model.append(nn.Linear(2 * WIDTH, 10))
    plan = ft.plan(model, torch.zeros(2, 3, SIDE, SIDE))
    # Three branches of power 1 on a shortcut of power 1; before, all six were counted.
    assert plan["3.weight"].gain == pytest.approx(0.5 / math.sqrt(1 + 3))


class Attention(nn.Module):
    """Attention whose queries and keys are normalised, with scores times a constant."""

    def __init__(self, width: int, factor: float, *, learned: bool) -> None:
        super().__init__()
        self.q, self.k, self.v = (nn.Linear(width, width, bias=False) for _ in range(3))
        self.q_norm = nn.RMSNorm(width, elementwise_affine=learned)
        self.k_norm = nn.RMSNorm(width, elementwise_affine=learned)
        self.out, self.factor = nn.Linear(width, width, bias=False), factor

    def scores(self, x: torch.Tensor) -> torch.Tensor:
        return self.q_norm(self.q(x)) @ self.k_norm(self.k(x)).transpose(-1, -2) * self.factor

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(self.scores(x).softmax(-1) @ self.v(x))


def test_scales_of_query_and_key_norms_make_up_for_unscaled_scores() -> None:
    torch.manual_seed(0)
    width = 64
    model, batch = Attention(width, 1.0, learned=True), torch.randn(4, 32, width)
    plan = ft.init_(model, batch)
    for name in ("q_norm.weight", "k_norm.weight"):
        assert plan[name].draw is not None
        assert plan[name].draw.mean == pytest.approx(width**-0.25)
        assert "unscaled scores" in plan[name].reason
    # Sums of 64 products of independent numbers of power 1/8 each; 4096 scores, whose sample of keys is
    # 128: the share of the power that luck makes is below sqrt(2/128) in one standard deviation.
    power = float(model.scores(batch).detach().square().mean())
    assert power == pytest.approx(1.0, abs=6.0 * math.sqrt(2.0 / 128))


def test_scaled_scores_leave_the_norms_as_they_are() -> None:
    width = 64
    plan = ft.plan(Attention(width, width**-0.5, learned=True), torch.randn(4, 8, width))
    assert plan["q_norm.weight"].draw.mean == 1.0
    assert "stays 1" in plan["q_norm.weight"].reason


def test_norms_without_a_scale_leave_nothing_to_make_up_with() -> None:
    plan = ft.plan(Attention(64, 1.0, learned=False), torch.randn(4, 8, 64))
    assert plan["q.weight"].gain == plan["k.weight"].gain == 1.0


class Embedded(nn.Module):
    """A block without norms that makes what a stream with norms starts from."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self.shortcut = nn.Linear(width, width)
        self.layers = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))
            for _ in range(4)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.second(torch.relu(self.first(x))) + self.shortcut(x)
        for layer in self.layers:
            x = x + layer(x)
        return x


def test_a_block_before_a_stream_with_norms_does_not_start_at_zero() -> None:
    plan = ft.plan(Embedded(16), torch.randn(4, 16))
    assert plan["second.weight"].draw is not None
    assert plan["second.weight"].draw.std > 0.0


def test_a_mask_of_ones_hides_no_constant_beside_it() -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table, self.linear = nn.Embedding(50, 16), nn.Linear(16, 16)

        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            mask = torch.ones_like(ids).unsqueeze(-1).to(self.table.weight.dtype)
            return self.linear(self.table(ids) * math.sqrt(16.0) * mask)

    plan = ft.plan(Scaled(), torch.randint(0, 50, (4, 8)))
    assert plan["table.weight"].draw is not None
    assert plan["table.weight"].draw.std == pytest.approx(1.0 / 4.0)


class Placed(nn.Module):
    """Attention whose scores get a bias that is looked up by how far words are apart on their page."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.table, self.offsets = nn.Embedding(50, width), nn.Embedding(9, 1)
        self.q, self.k, self.v = (nn.Linear(width, width, bias=False) for _ in range(3))

    def forward(self, ids: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        x = self.table(ids)
        scores = self.q(x) @ self.k(x).transpose(-1, -2) / math.sqrt(x.shape[-1])
        apart = (places[:, None, :] - places[:, :, None]).clamp(-4, 4) + 4
        return (scores + self.offsets(apart).squeeze(-1)).softmax(-1) @ self.v(x)


def test_what_is_added_to_scores_starts_small_also_where_the_input_selects_it() -> None:
    batch = torch.randint(0, 50, (4, 8)), torch.randint(0, 100, (4, 8))
    plan = ft.plan(Placed(16), *batch)
    assert plan["offsets.weight"].draw is not None
    assert plan["offsets.weight"].draw.std == pytest.approx(0.02)
    assert plan["table.weight"].draw.std == 1.0
