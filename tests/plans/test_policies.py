"""Policies by name and as values; modifiers: what they change, and where they refuse."""

from __future__ import annotations

import math
from typing import Any

import pytest

from fanin.errors import InputError, UnknownNameError
from fanin.laws import moments
from fanin.plans import plan, policies
from fanin.plans.scaled import scaled
from fanin.records.axes import Axes, Role
from fanin.records.draw import (
    Constant,
    DeltaOrthogonal,
    Draw,
    Formula,
    Identity,
    Normal,
    Orthogonal,
    OrthogonalConvolution,
    Sparse,
    Uniform,
)
from fanin.records.graph import Branch, Use, UseKind
from fanin.records.plan import Plan

BASES = {
    "auto",
    "delta-orthogonal",
    "framework",
    "glorot",
    "gpt2",
    "he",
    "hf-0.02",
    "lecun",
    "llama",
    "orthogonal",
    "timm-vit",
}
MODIFIERS = {"depth-scaled", "fixup", "zero-out", "zero-residual-norm"}


def residual(builder: Any, count: int = 4, *, after: Any = None, **more: Any) -> Any:
    """A pre-norm stream with `count` branches of two weights; `after` adds nodes before the join."""
    stream = builder.weight(builder.node("input"), "stem", (8, 8))
    for i in range(count):
        start = stream
        inner = builder.node("norm", start)
        inner = builder.weight(inner, f"{i}.up", (8, 8))
        inner, _ = builder.act(inner, "relu")
        last = builder.weight(inner, f"{i}.down", (8, 8), branch=i, **more)
        builder.param(f"{i}.bias", (8,), Use(node=last, kind=UseKind.BIAS))
        builder.nodes[last] = _also_reads(builder.nodes[last], f"{i}.bias")
        end = after(builder, last, i) if after else last
        stream = builder.node("add", start, end)
        builder.branches.append(
            Branch(start=start, join=stream, final=(f"{i}.down",), depth=2, normalised=True)
        )
    builder.weight(builder.node("norm", stream), "head", (3, 8), head=True)
    return builder


def _also_reads(node: Any, name: str) -> Any:
    from dataclasses import replace

    return replace(node, parameters=(*node.parameters, name))


def norm_after(builder: Any, node: int, i: int) -> int:
    id: int = builder.node("norm", node, parameters=(f"{i}.scale", f"{i}.shift"))
    builder.param(f"{i}.scale", (8,), Use(node=id, kind=UseKind.NORM_SCALE))
    builder.param(f"{i}.shift", (8,), Use(node=id, kind=UseKind.NORM_SHIFT))
    return id


def gate_after(builder: Any, node: int, i: int) -> int:
    id: int = builder.node("product", node, op="mul", parameters=(f"{i}.gate",))
    builder.param(f"{i}.gate", (8,), Use(node=id, kind=UseKind.SCALE))
    return id


def constant_after(factor: float) -> Any:
    return lambda builder, node, _: builder.node("pointwise", node, op="mul", factor=factor)


def made(builder: Any, policy: str, **more: Any) -> Plan:
    return plan(residual(builder, **more).build(), policy=policy)


def test_every_policy_and_modifier_is_known_here() -> None:
    assert set(policies.names()) == BASES
    assert set(policies.modifiers()) == MODIFIERS
    assert policies.names()[0] == "auto"


def test_a_policy_is_a_value(builder: Any) -> None:
    graph = residual(builder).build()
    value = policies.get("he") + policies.modifier("zero-out")
    assert value == policies.get("he+zero-out") == policies.get(" he + zero-out ")
    assert policies.get(value) is value
    assert plan(graph, policy=value) == plan(graph, policy="he+zero-out")
    assert plan(graph, policy=value).policy == "he+zero-out"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("zero-out", r"none by itself.*'auto\+zero-out'"),
        ("he+glorot", r"Two policies cannot both decide.*zero-residual-norm"),
        ("he+zero-out+zero-out", r"'zero-out' is added twice"),
        (3, r"no such policy\. Received: int: 3"),
        (None, r"no such policy"),
    ],
)
def test_a_wrong_composition_says_what_is_right(name: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        policies.get(name)


def test_unknown_parts_name_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'zero-out'"):
        policies.get("he+zero-ou")
    with pytest.raises(UnknownNameError, match="Did you mean 'glorot'"):
        policies.get("glorott+zero-out")
    with pytest.raises(UnknownNameError, match="modifier"):
        policies.get("he+")
    with pytest.raises(InputError, match="Nothing but a modifier"):
        policies.get("he") + policies.get("glorot")  # type: ignore[operator]


@pytest.mark.parametrize("base", ["he", "glorot", "lecun", "orthogonal", "framework", "hf-0.02"])
def test_depth_scaled_divides_last_weights_by_the_root_of_their_number(builder: Any, base: str) -> None:
    before = made(builder, base)
    after = made(type(builder)(), f"{base}+depth-scaled")
    for e, f in zip(before.entries, after.entries, strict=True):
        assert e.draw is not None
        assert f.draw is not None
        last = e.name.endswith("down") or (base == "framework" and e.name.endswith("bias"))
        assert f.draw.std == pytest.approx(e.draw.std / (2.0 if last else 1.0), rel=1e-12)
        assert (f.rule == "depth-scaled") == last
    assert "1/√4" in after["0.down"].reason


@pytest.mark.parametrize("base", ["auto", "gpt2", "llama"])
def test_depth_is_paid_for_once(builder: Any, base: str) -> None:
    before = made(builder, base)
    after = made(type(builder)(), f"{base}+depth-scaled")
    assert not before.diff(after)


@pytest.mark.parametrize(
    ("after", "told"),
    [
        (constant_after(0.2), "a constant of the forward pass"),
        (gate_after, "a parameter of its own"),
        (norm_after, "a norm undoes"),
    ],
)
def test_what_the_forward_pass_scales_is_not_scaled_again(builder: Any, after: Any, told: str) -> None:
    entry = made(builder, "lecun+depth-scaled", after=after)["1.down"]
    assert entry.draw is not None
    assert entry.draw.std == pytest.approx(1 / math.sqrt(8))
    assert told in entry.reason + " ".join(entry.evidence)


def test_a_constant_that_enlarges_is_no_depth_factor(builder: Any) -> None:
    entry = made(builder, "lecun+depth-scaled", after=constant_after(2.0))["1.down"]
    assert entry.draw is not None
    assert entry.draw.std == pytest.approx(0.5 / math.sqrt(8))


@pytest.mark.parametrize("base", sorted(BASES))
def test_zero_out_zeroes_last_weights_and_their_biases_and_nothing_else(builder: Any, base: str) -> None:
    before = made(builder, base)
    after = made(type(builder)(), f"{base}+zero-out")
    for e, f in zip(before.entries, after.entries, strict=True):
        if e.name.endswith(("down", "bias")):
            assert (f.draw, f.rule, f.gain) == (Constant(value=0.0), "zero-out", None)
        else:
            assert f == e


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"after": norm_after}, r"4 of them: a norm follows.*zero-residual-norm is for it"),
        ({"after": gate_after}, "a gate of its own scales the branch"),
        ({"gated": True}, "one factor of a product"),
    ],
)
def test_zero_out_refuses_what_would_never_train(builder: Any, more: Any, told: str) -> None:
    with pytest.raises(InputError, match=told):
        made(builder, "auto+zero-out", **more)


@pytest.mark.parametrize(("name", "told"), [("relu", "no slope at zero"), ("sigmoid", "0.5 at zero")])
def test_zero_out_looks_at_what_follows_on_the_branch(builder: Any, name: str, told: str) -> None:
    residual(builder, count=1)
    place = next(i for i, p in enumerate(builder.parameters) if p.name == "0.down")
    builder.use(place, activation=builder.known(name))
    with pytest.raises(InputError, match=told):
        plan(builder.build(), policy="auto+zero-out")
    builder.use(place, activation=builder.known("tanh"))
    assert plan(builder.build(), policy="auto+zero-out")["0.down"].draw == Constant(value=0.0)


def test_zero_residual_norm(builder: Any) -> None:
    before = made(builder, "he", after=norm_after)
    after = made(type(builder)(), "he+zero-residual-norm", after=norm_after)
    for e, f in zip(before.entries, after.entries, strict=True):
        if e.name.endswith(("scale", "shift")):
            assert (f.draw, f.rule) == (Constant(value=0.0), "zero-residual-norm")
        else:
            assert f == e


def test_a_norm_that_adds_one_is_zeroed_by_minus_one(builder: Any) -> None:
    residual(builder, after=norm_after)
    place = next(i for i, p in enumerate(builder.parameters) if p.name == "2.scale")
    builder.use(place, offset=1.0)
    entry = plan(builder.build(), policy="he+zero-residual-norm")["2.scale"]
    assert entry.draw == Constant(value=-1.0)
    assert "1 + w" in entry.reason


@pytest.mark.parametrize("name", sorted(MODIFIERS))
def test_modifiers_without_branches_say_what_they_looked_for(builder: Any, name: str) -> None:
    builder.weight(builder.node("input"), "w", (8, 8))
    with pytest.raises(
        InputError, match=rf"'{name}' finds nothing.*Received: 0 residual branches.*looks for"
    ):
        plan(builder.build(), policy=f"he+{name}")


def test_zero_residual_norm_needs_norms_at_the_end(builder: Any) -> None:
    with pytest.raises(InputError, match="4 of them: no norm between the last weight and the join"):
        made(builder, "he+zero-residual-norm")


def test_what_is_kept_is_not_changed(builder: Any) -> None:
    from dataclasses import replace

    residual(builder)
    place = next(i for i, p in enumerate(builder.parameters) if p.name == "0.down")
    builder.parameters[place] = replace(builder.parameters[place], trainable=False)
    after = plan(builder.build(), policy="he+zero-out")
    assert after["0.down"].draw is None
    assert after["1.down"].draw == Constant(value=0.0)


@pytest.mark.parametrize(
    "draw",
    [
        Constant(value=0.5),
        Uniform(low=-1.0, high=2.0),
        Normal(mean=0.25, std=2.0),
        moments.truncated_normal(0.5, 1.0, -1.0, 2.0),
        Orthogonal(gain=2.0, std=0.25),
        DeltaOrthogonal(gain=2.0, std=0.1, taps=9),
        OrthogonalConvolution(gain=2.0, std=0.1, sizes=(3, 3)),
        Identity(gain=2.0, mean=0.1, std=0.2),
        Sparse(parent_std=1.0, kept=3, std=0.5),
    ],
    ids=lambda draw: type(draw).__name__,
)
def test_scaled_draws(draw: Draw) -> None:
    half = scaled(draw, 0.5)
    assert half is not None
    assert type(half) is type(draw)
    assert (half.mean, half.std) == pytest.approx((0.5 * draw.mean, 0.5 * draw.std))
    if not isinstance(draw, Orthogonal | DeltaOrthogonal | OrthogonalConvolution | Identity | Sparse):
        assert moments.fourth_moment(half) == pytest.approx(moments.fourth_moment(draw) / 16)
    assert scaled(draw, 1.0) == draw


def test_a_formula_has_no_scale_of_its_own() -> None:
    draw = Formula(formula="given", numbers=(1.0,), mean=1.0, std=0.0)
    assert scaled(draw, 0.5) is None
    assert scaled(draw, 1.0) == draw


CONV = Axes(roles=(Role.OUT, Role.IN, Role.RECEPTIVE, Role.RECEPTIVE))


@pytest.mark.parametrize(
    ("shape", "more", "kind"),
    [
        ((8, 4, 3, 3), {}, DeltaOrthogonal),
        ((4, 8, 3, 3), {}, Orthogonal),
        ((8, 4, 3, 3), {"stride": 3}, Orthogonal),
    ],
)
def test_delta_orthogonal_where_a_centre_keeps_every_length(
    builder: Any, shape: Any, more: Any, kind: type
) -> None:
    from dataclasses import replace

    builder.weight(builder.node("input"), "w", shape, axes=replace(CONV, **more), node_kind="convolution")
    builder.weight(0, "linear", (8, 8))
    found = plan(builder.build(), policy="delta-orthogonal")
    assert isinstance(found["w"].draw, kind)
    assert isinstance(found["linear"].draw, Orthogonal)


def test_fixup_leaves_branches_with_norms(builder: Any) -> None:
    before, after = made(builder, "auto"), plan(builder.build(), policy="auto+depth-scaled")
    assert all(entry.rule != "fixup" for entry in (*before.entries, *after.entries))
    with pytest.raises(InputError, match="4 of them: a norm lies on it, or on its stream"):
        plan(builder.build(), policy="lecun+fixup")
