"""Everything that is no plain weight: what is kept, constants, tables, recurrences, the unexplained."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from fanin.errors import InputError, UnknownNameError
from fanin.plans import plan
from fanin.records.axes import Axes, Role
from fanin.records.draw import Constant, Normal, Orthogonal
from fanin.records.graph import Use, UseKind
from fanin.records.plan import Plan, Status

OUT_IN = Axes(roles=(Role.OUT, Role.IN))


def entry_of(builder: Any, shape: Any, *uses: Any, **more: Any) -> Any:
    builder.node("input")
    builder.node("contraction", 0, op=more.pop("op", "op"))
    builder.param("p", shape, *uses, **more)
    return plan(builder.build())["p"]


def use(kind: Any, **more: Any) -> Any:
    return Use(node=1, kind=kind, **more)


@pytest.mark.parametrize(
    ("more", "rule"),
    [
        ({"buffer": True, "trainable": False}, "buffer"),
        ({"loaded": True}, "loaded"),
        ({"trainable": False}, "frozen"),
        ({"dtype": "int64"}, "undrawable dtype"),
    ],
)
def test_what_is_kept_and_why(builder: Any, more: Any, rule: Any) -> None:
    entry = entry_of(builder, (4, 4), use(UseKind.WEIGHT, axes=OUT_IN), **more)
    assert (entry.status, entry.draw, entry.rule) == (Status.KEPT, None, rule)


def test_empty_tensors_are_kept(builder: Any) -> None:
    assert entry_of(builder, (0, 4), use(UseKind.WEIGHT, axes=OUT_IN)).rule == "empty"


def test_a_parameter_that_nobody_reads_is_flagged(builder: Any) -> None:
    entry = entry_of(builder, (4, 4))
    assert (entry.status, entry.draw) == (Status.UNRECOGNISED, None)
    assert "never reads" in entry.reason


@pytest.mark.parametrize(
    ("found", "value"),
    [
        (use(UseKind.NORM_SCALE), 1.0),
        (use(UseKind.NORM_SCALE, offset=1.0), 0.0),
        (use(UseKind.NORM_SHIFT), 0.0),
        (use(UseKind.BIAS), 0.0),
        (use(UseKind.RECURRENT_BIAS), 0.0),
    ],
)
def test_constants(builder: Any, found: Any, value: Any) -> None:
    entry = entry_of(builder, (4,), found)
    assert (entry.status, entry.draw) == (Status.CLAIMED, Constant(value=value))


@pytest.mark.parametrize("kind", [UseKind.SCALE, UseKind.ACTIVATION_PARAMETER, UseKind.SHIFT])
def test_values_that_only_the_constructor_knows(builder: Any, kind: Any) -> None:
    assert entry_of(builder, (4,), use(kind)).status == Status.KEPT


@pytest.mark.parametrize(("after", "rule"), [("product", "step size"), ("contraction", "bias")])
def test_a_bias_before_softplus_is_a_step_size_where_it_multiplies(
    builder: Any, after: str, rule: str
) -> None:
    id = builder.weight(builder.node("input"), "w", (8, 8))
    builder.param("b", (8,), Use(node=id, kind=UseKind.BIAS))
    softplus, _ = builder.act(id, "softplus")
    builder.node(after, softplus)
    entry = plan(builder.build())["b"]
    assert (entry.rule, entry.draw is None) == (rule, rule == "step size")


def tables(builder: Any, *, tied: Any = False, by_input: Any = True) -> Any:
    source = builder.node("input")
    token = builder.node("embedding", source, parameters=("tok",)) if by_input else None
    if token is None:
        token = builder.weight(source, "patches", (16, 12))
    position = builder.node("embedding", parameters=("pos",))
    total = builder.node("add", token, position)
    head = builder.node("contraction", total, parameters=("tok",) if tied else ())
    if by_input:
        uses = [Use(node=token, kind=UseKind.EMBEDDING, axes=Axes(roles=(Role.IN, Role.OUT)))]
        if tied:
            uses.append(Use(node=head, kind=UseKind.WEIGHT, axes=OUT_IN, head=True))
        builder.param("tok", (100, 16), *uses, padding=3)
    builder.param("pos", (9, 16), Use(node=position, kind=UseKind.EMBEDDING))
    return plan(builder.build())


def test_an_untied_embedding_has_power_one(builder: Any) -> None:
    made = tables(builder)
    assert made["tok"].draw == Normal(std=1.0)
    assert made["tok"].zeroed == 3
    assert made["pos"].draw == Normal(std=1.0)
    assert "as large as" in made["pos"].reason


def test_a_tied_embedding_is_ruled_by_the_head(builder: Any) -> None:
    made = tables(builder, tied=True)
    assert made["tok"].draw == Normal(std=0.5 / math.sqrt(16))
    assert made["tok"].rule == "tied embedding"
    assert made["pos"].draw == made["tok"].draw


def test_positions_beside_features_are_as_sinusoids(builder: Any) -> None:
    entry = tables(builder, by_input=False)["pos"]
    assert entry.draw == Normal(std=math.sqrt(0.5))
    places = np.arange(10**6)
    sinusoids = np.stack([np.sin(places * 0.01), np.cos(places * 0.01)])
    assert entry.draw.std == pytest.approx(sinusoids.std(), rel=1e-3)


def test_a_table_that_is_added_whole_is_positions(builder: Any) -> None:
    assert entry_of(builder, (1, 9, 16), use(UseKind.SHIFT)).draw == Normal(std=math.sqrt(0.5))


@pytest.mark.parametrize("way", ["softmax", "mask", "token"])
def test_what_is_added_to_scores_or_stands_alone_starts_small(builder: Any, way: str) -> None:
    features = builder.weight(builder.node("input"), "w", (8, 8))
    table = builder.node("embedding", parameters=("table",))
    builder.param("table", (9, 4), Use(node=table, kind=UseKind.EMBEDDING))
    if way == "softmax":
        builder.node("softmax", builder.node("add", builder.node("product", features), table))
    elif way == "mask":
        keys, values = builder.node("pointwise", features), builder.node("pointwise", features)
        builder.node("attention", features, keys, values, builder.node("pointwise", table))
    else:
        joined = builder.node("concat", features, parameters=("cls",))
        builder.param("cls", (1, 1, 8), Use(node=joined, kind=UseKind.SHIFT))
    entry = plan(builder.build())["cls" if way == "token" else "table"]
    assert entry.draw == Normal(std=0.02)
    assert ("token" if way == "token" else "scores") in entry.reason


def test_recurrent_weights_gate_by_gate(builder: Any) -> None:
    blocks = (5, 5, 5, 5)
    entry = entry_of(builder, (20, 7), use(UseKind.RECURRENT_INPUT, axes=OUT_IN, blocks=blocks))
    assert (entry.axes.groups, entry.fan_in, entry.fan_out) == (4, 7, 5)
    assert entry.draw == Normal(std=math.sqrt(2 / (7 + 5)))


@pytest.mark.parametrize(("op", "gates"), [("aten.lstm", 4), ("aten.gru", 3), ("aten.rnn_tanh", 1)])
def test_gates_are_known_from_the_operator_too(builder: Any, op: Any, gates: Any) -> None:
    entry = entry_of(builder, (12, 3), use(UseKind.RECURRENT_STATE, axes=OUT_IN), op=op)
    assert entry.axes.groups == gates
    assert entry.draw == Orthogonal(gain=1.0, std=1 / math.sqrt(max(12 // gates, 3)))


@pytest.mark.parametrize(
    ("shape", "axes", "drawn"), [((4, 4), OUT_IN, True), ((4, 4), None, False), ((4,), None, False)]
)
def test_the_unexplained_is_flagged(builder: Any, shape: Any, axes: Any, drawn: Any) -> None:
    entry = entry_of(builder, shape, use(UseKind.OTHER, axes=axes))
    assert entry.status == Status.UNRECOGNISED
    assert (entry.draw is not None) == drawn


def test_every_tensor_has_one_entry_in_order(builder: Any) -> None:
    builder.node("input")
    for i in range(3):
        builder.weight(0, f"w{i}", (8, 8))
        builder.param(f"b{i}", (3,), buffer=True)
    made = plan(builder.build())
    assert [e.name for e in made.entries] == [p.name for p in builder.parameters]
    assert Plan.from_json(made.to_json()) == made


def test_a_tensor_that_is_listed_twice_is_refused(builder: Any) -> None:
    builder.weight(builder.node("input"), "w", (8, 8))
    builder.param("v", (8, 8), aliases=("w",))
    with pytest.raises(InputError, match=r"lists a tensor twice.*Received: w"):
        plan(builder.build())


@pytest.mark.parametrize("seed", [-1, 2**64, 1.0, True])
def test_seeds_are_checked(builder: Any, seed: Any) -> None:
    with pytest.raises(InputError, match="seed is outside its range"):
        plan(builder.build(), seed=seed)


def test_a_seed_of_numpy_is_a_seed(builder: Any) -> None:
    made = plan(builder.build(), seed=np.uint64(2**64 - 1))  # type: ignore[arg-type]
    assert (made.seed, type(made.seed)) == (2**64 - 1, int)
    assert Plan.from_json(made.to_json()) == made


def test_notes_tell_of_the_engine_and_of_what_no_weights_mend(builder: Any) -> None:
    node = builder.node("input")
    for i in range(6):
        node = builder.weight(node, f"w{i}", (8, 8))
        node, _ = builder.act(node, "sigmoid")
    notes = plan(builder.build(engine="real tensors (a reason)")).notes
    assert any("real tensors (a reason)" in note for note in notes)
    assert any("6 layers of sigmoid" in note for note in notes)


def test_tanh_stacks_are_not_blamed(builder: Any) -> None:
    node = builder.node("input")
    for i in range(6):
        node = builder.weight(node, f"w{i}", (8, 8))
        node, _ = builder.act(node, "tanh")
    assert plan(builder.build()).notes == ()


def test_unknown_policies_name_the_nearest(builder: Any) -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'glorot'"):
        plan(builder.build(), policy="glorott")


@pytest.mark.parametrize(
    ("policy", "std"),
    [
        ("he", math.sqrt(2 / 8)),
        ("glorot", math.sqrt(2 / 14)),
        ("lecun", math.sqrt(1 / 8)),
        ("orthogonal", math.sqrt(1 / 8)),
        ("framework", math.sqrt(1 / 24)),
    ],
)
def test_policies_are_one_law(builder: Any, policy: Any, std: Any) -> None:
    builder.weight(builder.node("input"), "w", (6, 8), head=True)
    builder.param("b", (6,), Use(node=1, kind=UseKind.BIAS))
    made = plan(builder.build(), policy=policy)
    assert made["w"].draw.std == pytest.approx(std, rel=1e-12)
    assert made["b"].draw.std == pytest.approx(std if policy == "framework" else 0.0)
    assert made.policy == policy


def test_framework_is_refused_elsewhere(builder: Any) -> None:
    builder.weight(builder.node("input"), "w", (6, 8))
    with pytest.raises(InputError, match="knows the defaults of PyTorch only"):
        plan(builder.build(framework="jax"), policy="framework")
