"""Weights: the gain of what is read and fed, true fans, heads, depth."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import fanin
from fanin.plans import plan
from fanin.records.axes import Axes, Role
from fanin.records.draw import Constant, Uniform
from fanin.records.graph import Branch, Use, UseKind
from fanin.records.plan import Status

OUT_IN = (Role.OUT, Role.IN)


def only(builder: Any, **more: Any) -> Any:
    """The entry of a graph's first weight, fed and read as `more` says."""
    source = builder.node("input")
    builder.weight(source, "w", (6, 8), **more)
    return plan(builder.build())["w"]


def test_relu_gets_he_exactly(builder: Any) -> None:
    entry = only(builder, activation=builder.known("relu"))
    assert entry.draw == fanin.he_normal().draw((6, 8))
    assert (entry.scheme, entry.gain, entry.fan_in, entry.fan_out) == ("he_normal", math.sqrt(2.0), 8, 6)
    assert "feeds relu" in entry.reason


@pytest.mark.parametrize("slope", [0.01, 0.2, 1.0, -1.0])
def test_scale_free_activations_are_known_by_their_values(builder: Any, slope: Any) -> None:
    index = builder.known("custom", lambda x: np.where(x > 0, x, slope * x))
    entry = only(builder, activation=index)
    assert entry.gain == pytest.approx(math.sqrt(2.0 / (1.0 + slope**2)), rel=1e-12)


def test_a_linear_place_gets_gain_one(builder: Any) -> None:
    entry = only(builder)
    assert (entry.draw, entry.scheme) == (fanin.lecun_normal().draw((6, 8)), "lecun_normal")


@pytest.mark.parametrize(
    ("name", "moment"), [("gelu", 0.425), ("tanh", 0.394), ("silu", 0.356), ("selu", 1.0)]
)
def test_other_activations_are_repaired_by_the_weight_that_reads_them(
    builder: Any, name: Any, moment: Any
) -> None:
    first = builder.weight(builder.node("input"), "first", (8, 8))
    node, index = builder.act(first, name)
    builder.use(0, activation=index)
    builder.weight(builder.node("dropout", node), "second", (8, 8))
    made = plan(builder.build())
    assert made["first"].gain == 1.0
    assert made["second"].gain == pytest.approx(1 / math.sqrt(moment), rel=2e-3)
    assert f"reads {name}" in made["second"].reason


def test_gain_on_either_side_keeps_power_in_a_deep_stack() -> None:
    """The law itself: power after 30 layers, He for ReLU, the reader's gain for SiLU."""
    rng = np.random.default_rng(3)

    def power(f: Any, before: Any, after: Any, depth: Any = 30, width: Any = 512) -> Any:
        x = rng.standard_normal((width, 16))
        for layer in range(depth):
            gain = before if layer == 0 else after
            x = f(gain / math.sqrt(width) * rng.standard_normal((width, width)) @ x)
        return float((x**2).mean())

    def silu(x: Any) -> Any:
        return 0.5 * x * (1 + np.tanh(0.5 * x))

    repaired = 1 / math.sqrt((silu(rng.standard_normal(10**6)) ** 2).mean())
    read_side, fed_side = power(silu, 1.0, repaired), power(silu, repaired, repaired)
    assert fed_side > 8 * read_side
    # ln power has a standard deviation of sqrt(5 L / n) = 0.54 for ReLU; 6 of them.
    assert abs(math.log(power(lambda x: np.maximum(x, 0), math.sqrt(2), math.sqrt(2)))) < 6 * 0.54


def test_a_gated_product(builder: Any) -> None:
    source = builder.node("input")
    gate = builder.weight(source, "gate", (8, 8))
    node, index = builder.act(gate, "relu")
    builder.use(0, activation=index, gated=True)
    up = builder.weight(source, "up", (8, 8), gated=True)
    builder.weight(builder.node("product", node, up), "down", (8, 8), gate_activation=index)
    made = plan(builder.build())
    assert (made["gate"].gain, made["up"].gain, made["down"].gain) == (1.0, 1.0, math.sqrt(2.0))
    assert "gated by relu" in made["down"].reason


def test_the_power_of_a_function_without_one_is_no_gain(builder: Any) -> None:
    first = builder.weight(builder.node("input"), "first", (8, 8))
    node, index = builder.act(first, "custom", np.log)
    builder.use(0, activation=index)
    builder.weight(node, "second", (8, 8))
    made = plan(builder.build())
    assert made["second"].gain == 1.0
    assert any("not finite" in text for text in made["second"].evidence)


@pytest.mark.parametrize(
    ("shape", "axes", "fan"),
    [
        ((8, 4, 3, 3), Axes(roles=(*OUT_IN, Role.RECEPTIVE, Role.RECEPTIVE)), 36),
        ((8, 1, 3, 3), Axes(roles=(*OUT_IN, Role.RECEPTIVE, Role.RECEPTIVE), groups=8), 9),
        (
            (8, 4, 4, 4),
            Axes(roles=(Role.IN, Role.OUT, Role.RECEPTIVE, Role.RECEPTIVE), stride=4, transposed=True),
            32,
        ),
        ((8, 6), Axes(roles=(Role.IN, Role.OUT)), 8),
        ((5, 6, 8), Axes(roles=(Role.BATCH, *OUT_IN)), 8),
    ],
)
def test_fans_come_from_roles(builder: Any, shape: Any, axes: Any, fan: Any) -> None:
    builder.weight(builder.node("input"), "w", shape, axes=axes)
    entry = plan(builder.build())["w"]
    assert (entry.fan_in, entry.draw.std) == (fan, pytest.approx(1 / math.sqrt(fan)))


def test_the_head_starts_small(builder: Any) -> None:
    entry = only(builder, head=True)
    assert entry.draw.std == pytest.approx(0.5 / math.sqrt(8))
    assert entry.rule == "head"


def test_a_head_that_reads_tanh_still_gives_half(builder: Any) -> None:
    first = builder.weight(builder.node("input"), "first", (8, 8))
    node, _ = builder.act(first, "tanh")
    builder.weight(node, "head", (8, 8), head=True)
    assert plan(builder.build())["head"].gain == pytest.approx(0.5 / math.sqrt(0.3943), rel=1e-3)


def test_a_softmax_router_starts_even(builder: Any) -> None:
    builder.weight(builder.node("input"), "router", (6, 8))
    builder.node("softmax", 1)
    entry = plan(builder.build())["router"]
    assert (entry.rule, entry.gain) == ("softmax weight", 0.5)


def residual(
    builder: Any,
    count: Any,
    *,
    norm_before: Any = False,
    norm_after: Any = False,
    scale: Any = False,
    post: Any = False,
) -> Any:
    """`count` residual branches of one weight each on one stream."""
    stream = builder.weight(builder.node("input"), "stem", (8, 8))
    for i in range(count):
        inner = builder.node("norm", stream) if norm_before else stream
        last = builder.weight(inner, f"blocks.{i}.w", (8, 8), branch=i)
        end = builder.node("norm", last) if norm_after else last
        if scale:
            id = builder.node("pointwise", end, op="mul", parameters=(f"blocks.{i}.scale",))
            builder.param(f"blocks.{i}.scale", (8,), Use(node=id, kind=UseKind.SCALE))
            end = id
        join = builder.node("add", stream, end)
        builder.branches.append(
            Branch(
                start=stream,
                join=join,
                final=(f"blocks.{i}.w",),
                depth=1,
                normalised=norm_before or norm_after,
            )
        )
        stream = builder.node("norm", join) if post else join
    return plan(builder.build())


def test_branches_are_counted(builder: Any) -> None:
    made = residual(builder, 9, norm_before=True)
    assert made["blocks.4.w"].gain == pytest.approx(1 / 3)
    assert "9 residual branches" in made["blocks.4.w"].reason
    assert made["stem"].gain == 1.0


def test_branches_without_norms_say_so(builder: Any) -> None:
    made = residual(builder, 4)
    assert made["blocks.0.w"].gain == 0.5
    assert any("no norm on the branch" in text for text in made["blocks.0.w"].evidence)


def test_a_norm_at_the_end_of_a_branch_undoes_factors(builder: Any) -> None:
    made = residual(builder, 9, norm_after=True)
    assert made["blocks.4.w"].gain == 1.0


def test_a_scale_on_the_branch_stands_in_for_the_factor(builder: Any) -> None:
    made = residual(builder, 9, norm_before=True, scale=True)
    assert made["blocks.4.w"].gain == 1.0
    assert made["blocks.4.scale"].status == Status.KEPT


def test_post_norm_streams_are_one_stream(builder: Any) -> None:
    Builder = type(builder)
    made = residual(builder, 13, post=True)
    assert made["blocks.0.w"].gain == pytest.approx(1 / math.sqrt(13))
    assert any("post-norm stack of 13 branches" in note for note in made.notes)
    assert residual(Builder(), 12, post=True).notes == ()


def test_two_streams_are_counted_apart(builder: Any) -> None:
    residual(builder, 4)
    stream = builder.weight(builder.node("input"), "second", (8, 8))
    last = builder.weight(stream, "alone", (8, 8), branch=4)
    join = builder.node("add", stream, last)
    builder.branches.append(Branch(start=stream, join=join, final=("alone",), depth=1, normalised=False))
    made = plan(builder.build())
    assert made["alone"].gain == 1.0
    assert made["blocks.0.w"].gain == 0.5


def test_uses_that_disagree_take_the_strictest(builder: Any) -> None:
    id = builder.node("contraction", builder.node("input"))
    uses = (
        Use(node=id, kind=UseKind.WEIGHT, axes=Axes(roles=OUT_IN), activation=builder.known("relu")),
        Use(node=id, kind=UseKind.WEIGHT, axes=Axes(roles=OUT_IN), head=True),
    )
    builder.param("w", (8, 8), *uses)
    entry = plan(builder.build())["w"]
    assert (entry.rule, entry.gain) == ("head", 0.5)
    assert "strictest" in entry.reason
    assert any("'weight' asks for" in text for text in entry.evidence)


def test_uses_that_agree_are_one_answer(builder: Any) -> None:
    id = builder.node("contraction", builder.node("input"))
    use = Use(node=id, kind=UseKind.WEIGHT, axes=Axes(roles=OUT_IN))
    builder.param("w", (8, 8), use, use)
    entry = plan(builder.build())["w"]
    assert "strictest" not in entry.reason
    assert any("2 places" in text for text in entry.evidence)


def test_attention_scores_are_no_stream(builder: Any) -> None:
    table = builder.weight(builder.node("input"), "bias", (8, 8))
    for i in range(2):
        scores = builder.weight(table, f"q{i}", (8, 8), branch=i)
        join = builder.node("add", table, scores)
        builder.branches.append(Branch(start=table, join=join, final=(f"q{i}",), depth=1, normalised=False))
        builder.node("softmax", join)
        table = join
    builder.branches.pop(0)
    builder.use(1, branch=None)
    builder.use(2, branch=0)
    made = plan(builder.build())
    assert made["q1"].gain == 1.0
    assert made["q1"].rule == "weight"


def test_a_gate_on_a_branch_gets_no_factor(builder: Any) -> None:
    residual(builder, 4, norm_before=True)
    builder.use(2, activation=builder.known("sigmoid"))
    made = plan(builder.build())
    assert (made["blocks.0.w"].gain, made["blocks.1.w"].gain) == (0.5, 1.0)


@pytest.mark.parametrize(
    ("kind", "power"),
    [({}, 1.25**4), ({"norm_before": True}, 2.0), ({"norm_after": True}, 5.0), ({"post": True}, 1.0)],
)
def test_a_head_knows_the_power_of_an_unnormalised_stream(builder: Any, kind: Any, power: float) -> None:
    residual(builder, 4, **kind)
    last = builder.node("pool", len(builder.nodes) - 1)
    builder.weight(last, "head", (3, 8), head=True)
    assert plan(builder.build())["head"].gain == pytest.approx(0.5 / math.sqrt(power))


@pytest.mark.parametrize("frequency", [30.0, 1.0, 7.5])
def test_sines_are_fed_with_one_wave(builder: Any, frequency: float) -> None:
    def sine(x: np.ndarray) -> np.ndarray:
        return np.sin(np.float32(frequency) * x.astype(np.float32))

    node = builder.weight(builder.node("input"), "first", (8, 6))
    for place, name in enumerate(("second", "third")):
        node, index = builder.act(node, "custom", sine)
        builder.use(place, activation=index)
        node = builder.weight(node, name, (8, 8))
    builder.param("phases", (8,), Use(node=1, kind=UseKind.BIAS))
    made = plan(builder.build())
    half = math.pi / frequency
    wanted = Constant(value=0.0) if frequency == 1.0 else Uniform(low=-half, high=half)
    assert made["phases"].draw.std == pytest.approx(wanted.std, rel=1e-4)
    kept = 0.5 * (1 - math.exp(-2.0))
    assert made["second"].gain == pytest.approx(1 / frequency / math.sqrt(kept), rel=1e-4)
    assert made["third"].gain == pytest.approx(1 / math.sqrt(kept), rel=1e-6)
    assert made["first"].draw.std == pytest.approx(
        1 / math.sqrt(6) if frequency == 1.0 else 1 / (math.sqrt(3) * 6), rel=1e-6
    )
    if frequency > 1:
        assert f"sin({frequency:g}x)" in made["second"].reason
