"""Class priors: what may be said of the classes, which head is meant, and what its bias gets."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from fanin.errors import InputError
from fanin.plans import plan
from fanin.plans.prior import Link, Prior, priors
from fanin.records.axes import Axes, Role
from fanin.records.draw import Constant, Formula
from fanin.records.graph import Use, UseKind


def head(builder: Any, name: str = "head", outputs: int = 3, *, bias: bool = True) -> int:
    """A head that reads the input, with its bias if it has one."""
    names = (f"{name}.weight", f"{name}.bias")
    id: int = builder.node("contraction", 0, op="linear", parameters=names if bias else names[:1])
    axes = Axes(roles=(Role.OUT, Role.IN))
    weight = Use(node=id, kind=UseKind.WEIGHT, axes=axes, head=True)
    builder.param(names[0], (outputs, 8), weight, owner=name)
    if bias:
        builder.param(names[1], (outputs,), Use(node=id, kind=UseKind.BIAS), owner=name)
    return id


def bias_of(builder: Any, prior: Any, name: str = "head") -> Any:
    entry = plan(builder.build(), class_prior=prior)[f"{name}.bias"]
    draw = entry.draw
    assert isinstance(draw, Constant | Formula)
    return entry, np.array(draw.numbers if isinstance(draw, Formula) else (draw.value,))


@pytest.fixture
def one(builder: Any) -> Any:
    builder.node("input")
    head(builder)
    return builder


@pytest.mark.parametrize(
    "prior",
    [
        (0.7, 0.2, 0.1),
        [0.7, 0.2, 0.1],
        np.array([0.7, 0.2, 0.1]),
        {0: 70, 1: 20, 2: 10},
        {2: 0.1, 0: 0.7, 1: 0.2},
        {"head": (0.7, 0.2, 0.1)},
        {"head.bias": (0.7, 0.2, 0.1)},
        {"he*": {0: 7, 1: 2, 2: 1}},
        Prior(probabilities=(0.7, 0.2, 0.1), link=Link.SOFTMAX),
    ],
    ids=str,
)
def test_the_ways_to_say_it(one: Any, prior: Any) -> None:
    entry, values = bias_of(one, prior)
    assert values == pytest.approx(np.log([0.7, 0.2, 0.1]))
    assert np.exp(values).sum() == pytest.approx(1.0)
    entropy = -sum(p * math.log(p) for p in (0.7, 0.2, 0.1))
    assert f"{entropy:.4g} nats" in " ".join(entry.evidence)
    assert (entry.rule, entry.scheme) == ("class prior", "given")


def test_sigmoids(one: Any) -> None:
    entry, values = bias_of(one, 0.01)
    assert values == pytest.approx(math.log(0.01 / 0.99))
    assert entry.draw == Constant(value=pytest.approx(-4.59511985))
    _, values = bias_of(one, Prior(probabilities=(0.5, 0.1, 0.9), link=Link.SIGMOID))
    assert 1 / (1 + np.exp(-values)) == pytest.approx([0.5, 0.1, 0.9])


def test_only_the_bias_changes(one: Any) -> None:
    without, with_prior = plan(one.build()), plan(one.build(), class_prior=(0.7, 0.2, 0.1))
    assert {change.name for change in without.diff(with_prior).changes} == {"head.bias"}
    assert type(with_prior).from_json(with_prior.to_json()) == with_prior


def test_a_factor_behind_the_head_is_divided_out(builder: Any) -> None:
    builder.node("input")
    builder.node("pointwise", head(builder), op="mul", factor=0.25)
    entry, values = bias_of(builder, (0.7, 0.2, 0.1))
    assert values * 0.25 == pytest.approx(np.log([0.7, 0.2, 0.1]))
    assert any("0.25 multiplies" in text for text in entry.evidence)


def test_of_several_heads_the_size_or_the_name_decides(builder: Any) -> None:
    builder.node("input")
    for name, outputs in (("boxes", 4), ("classes", 3), ("aspects", 3)):
        head(builder, name, outputs)
    builder.node("concat", 1, 2, 3)
    assert bias_of(builder, (0.4, 0.3, 0.2, 0.1), "boxes")[1] == pytest.approx(np.log([0.4, 0.3, 0.2, 0.1]))
    with pytest.raises(InputError, match=r"has 2 heads of 3 outputs.*'classes.weight' with 3.*Name the head"):
        plan(builder.build(), class_prior=(0.7, 0.2, 0.1))
    made = plan(builder.build(), class_prior={"classes": (0.7, 0.2, 0.1), "boxes": 0.01})
    assert made["classes.bias"].rule == made["boxes.bias"].rule == "class prior"
    assert made["aspects.bias"].draw == Constant(value=0.0)


@pytest.mark.parametrize(
    ("prior", "message"),
    [
        ((0.5, 0.5), r"no head of 2 outputs.*'head.weight' with 3 outputs"),
        ({"hat": (0.7, 0.2, 0.1)}, r"no head called 'hat' of 3 outputs"),
        ((0.7, 0.2, 0.2), r"do not add up to 1\. Received: 3 numbers with the sum 1\.1"),
        ((1.0, 0.0, 0.0), r"no probability\. Received: 1 at place 0, 0 at place 1"),
        ({0: 5, 1: 0, 2: 5}, r"0 at place 1.*add 1 to each count"),
        ({0: 5, 2: 5}, r"not all there\. Received: 0, 2"),
        ({}, "empty mapping"),
        ((), "no numbers"),
        (1.5, "1.5 at place 0"),
        (math.nan, "nan at place 0"),
        ("often", r"not understood\. Received: str"),
        ((0.5, "x"), "no number"),
        (object(), "not understood"),
    ],
)
def test_what_cannot_be_is_refused(one: Any, prior: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        plan(one.build(), class_prior=prior)


def test_a_head_without_a_bias_is_refused(builder: Any) -> None:
    builder.node("input")
    head(builder, bias=False)
    with pytest.raises(InputError, match=r"'head.weight' has no bias.*Give the layer a bias"):
        plan(builder.build(), class_prior=(0.7, 0.2, 0.1))


def test_a_frozen_bias_is_refused(builder: Any) -> None:
    from dataclasses import replace

    builder.node("input")
    head(builder)
    builder.parameters[1] = replace(builder.parameters[1], trainable=False)
    with pytest.raises(InputError, match=r"'head.bias' of the head is kept.*frozen"):
        plan(builder.build(), class_prior=(0.7, 0.2, 0.1))


def test_a_model_without_a_head_is_refused(builder: Any) -> None:
    builder.weight(builder.node("input"), "w", (8, 8))
    with pytest.raises(InputError, match=r"no head of 3 outputs.*Heads.*none"):
        plan(builder.build(), class_prior=(0.7, 0.2, 0.1))


def test_entropies() -> None:
    assert priors((0.25,) * 4)[0].entropy == pytest.approx(math.log(4))
    assert priors(0.5)[0].entropy == pytest.approx(math.log(2))
