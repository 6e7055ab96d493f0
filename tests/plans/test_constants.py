"""Constants of the forward pass, and branches without norms: what they ask of weights."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from fanin.errors import InputError
from fanin.plans import plan
from fanin.records.axes import Axes, Role
from fanin.records.draw import Constant, Normal
from fanin.records.graph import Branch, Use, UseKind


def gate_after(builder: Any, node: int, i: int) -> int:
    id: int = builder.node("product", node, op="mul", parameters=(f"{i}.gate",))
    builder.param(f"{i}.gate", (8,), Use(node=id, kind=UseKind.SCALE))
    return id


def constant_after(factor: float) -> Any:
    return lambda builder, node, _: builder.node("pointwise", node, op="mul", factor=factor)


@pytest.mark.parametrize(("before", "after"), [(1.0, 1.0), (0.125, 1.0), (1.0, 0.25), (0.5, -4.0)])
def test_constants_around_a_head_count(builder: Any, before: float, after: float) -> None:
    node = builder.node("norm", builder.weight(builder.node("input"), "stem", (8, 8)))
    node = builder.node("pointwise", node, op="mul", factor=before)
    head = builder.weight(node, "head", (3, 8), head=True)
    builder.node("pointwise", head, op="mul", factor=after)
    entry = plan(builder.build())["head"]
    assert entry.draw is not None
    assert entry.draw.std * abs(before * after) == pytest.approx(0.5 / math.sqrt(8))


def test_a_constant_behind_a_table_counts(builder: Any) -> None:
    ids = builder.node("input")
    id = builder.node("embedding", ids, parameters=("table",))
    builder.param(
        "table", (10, 16), Use(node=id, kind=UseKind.EMBEDDING, axes=Axes(roles=(Role.IN, Role.OUT)))
    )
    builder.weight(builder.node("pointwise", id, op="mul", factor=4.0), "w", (8, 16))
    entry = plan(builder.build())["table"]
    assert entry.draw == Normal(std=0.25)
    assert "multiplies by 4" in entry.reason


def test_a_sum_that_is_scaled_needs_no_factor_on_its_branches(builder: Any) -> None:
    stream = builder.weight(builder.node("input"), "stem", (8, 8))
    for i in range(4):
        last = builder.weight(stream, f"{i}", (8, 8), branch=i)
        join = builder.node("add", stream, last)
        builder.branches.append(Branch(start=stream, join=join, final=(f"{i}",), depth=1, normalised=False))
        stream = builder.node("pointwise", join, op="div", factor=1 / math.sqrt(2))
    made = plan(builder.build())
    assert made["2"].gain == 1.0
    assert any("multiplies the branch or the sum" in text for text in made["2"].evidence)


def test_sums_scaled_by_one_over_root_two_keep_power() -> None:
    """The claim behind it: x <- (x + W x) / sqrt(2) keeps power 1 with power 1 on the branch."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((256, 256))
    for _ in range(24):
        x = (x + rng.standard_normal((256, 256)) / 16 @ x) / math.sqrt(2)
    # ln power has a standard deviation of about sqrt(2 L / n) at most; six of them.
    assert abs(math.log((x**2).mean())) < 6 * math.sqrt(2 * 24 / 256)


def bare(
    builder: Any,
    count: int = 8,
    depth: int = 2,
    *,
    kind: str = "activation",
    after: Any = None,
    post: bool = False,
) -> Any:
    """A stream of branches without norms, each of `depth` weights, with a head; `post` norms the sums."""
    stream = builder.weight(builder.node("input"), "stem", (8, 8))
    for i in range(count):
        inner = stream
        for j in range(depth - 1):
            inner = builder.weight(inner, f"{i}.{j}", (8, 8))
            inner = builder.act(inner, "relu")[0] if kind == "activation" else builder.node(kind, inner)
        last = builder.weight(inner, f"{i}.last", (8, 8), branch=i)
        end = after(builder, last, i) if after else last
        join = builder.node("add", stream, end)
        builder.branches.append(
            Branch(start=stream, join=join, final=(f"{i}.last",), depth=depth, normalised=False)
        )
        stream = builder.node("norm", join) if post else join
    builder.weight(stream, "head", (3, 8), head=True)
    return builder


@pytest.mark.parametrize("depth", [2, 3, 4])
@pytest.mark.parametrize("policy", ["auto", "lecun+fixup", "auto+fixup"])
def test_branches_without_norms_follow_fixup(builder: Any, depth: int, policy: str) -> None:
    made = plan(bare(builder, depth=depth).build(), policy=policy)
    assert made["3.last"].draw == Constant(value=0.0)
    factor = 8 ** (-1 / (2 * depth - 2))
    for j in range(depth - 1):
        draw = made[f"3.{j}"].draw
        assert draw is not None
        assert draw.std == pytest.approx(factor / math.sqrt(8))
        assert (f"8^(-1/{2 * depth - 2})" in made[f"3.{j}"].reason, made[f"3.{j}"].rule) == (True, "fixup")
    draw = made["stem"].draw
    assert draw is not None
    assert draw.std == pytest.approx(1 / math.sqrt(8))
    if "auto" in policy:
        head = made["head"].draw
        assert head is not None
        assert head.std == pytest.approx(0.5 / math.sqrt(8))


@pytest.mark.parametrize(
    "more",
    [
        {"depth": 1},
        {"count": 1},
        {"post": True},
        {"kind": "attention"},
        {"kind": "product"},
        {"after": gate_after},
        {"after": constant_after(0.1)},
    ],
    ids=[
        "one layer",
        "one branch",
        "post-norm",
        "attention",
        "a product",
        "a gate after",
        "a constant after",
    ],
)
def test_fixup_is_for_weights_in_a_row(builder: Any, more: Any) -> None:
    """What it was not derived for is left to the factor at the end of the branch."""
    made = plan(bare(builder, **more).build())
    assert all(entry.rule != "fixup" and entry.draw != Constant(value=0.0) for entry in made.entries)
    with pytest.raises(InputError, match="'fixup' finds nothing to change"):
        plan(builder.build(), policy="lecun+fixup")
