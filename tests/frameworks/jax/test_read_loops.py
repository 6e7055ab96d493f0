"""The reader of jaxprs on loops and conditions: recurrences, stacked layers, cells under vmap."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import pytest
from flax import linen
from jax import lax

import fanin.jax
from fanin.jax.models import subject_of
from fanin.jax.read import recorded
from fanin.records.graph import UseKind
from jax_reading import activation_names, axes, shapes, struct


class Cells(linen.Module):
    """Recurrences, both ways."""

    @linen.compact
    def __call__(self, x: Any) -> Any:
        x = linen.RNN(linen.GRUCell(7))(x)
        x = linen.Bidirectional(linen.RNN(linen.LSTMCell(5)), linen.RNN(linen.OptimizedLSTMCell(5)))(x)
        return linen.Dense(3)(linen.RNN(linen.SimpleCell(6))(x)[:, -1])


def test_recurrences_are_seen_in_scans() -> None:
    x = jnp.zeros((2, 30, 4))
    module = Cells()
    graph = fanin.jax.read(module, shapes(module, x), x)
    for parameter in graph.parameters:
        kind = parameter.uses[0].kind
        cell, _, rest = parameter.name.partition(".")
        if cell == "Dense_0":
            assert kind in (UseKind.WEIGHT, UseKind.BIAS)
        elif rest.endswith("bias"):
            assert kind in (UseKind.RECURRENT_BIAS, UseKind.BIAS), parameter.name
        else:
            state = rest.startswith("h")
            assert kind == (UseKind.RECURRENT_STATE if state else UseKind.RECURRENT_INPUT), parameter.name
    assert not graph.branches


class Block(linen.Module):
    """A residual block."""

    @linen.compact
    def __call__(self, x: Any, _: Any) -> tuple[Any, None]:
        h = linen.relu(linen.Dense(16)(linen.LayerNorm()(x)))
        return x + linen.Dense(8)(h), None


class Scanned(linen.Module):
    """Layers stacked in one array each."""

    @linen.compact
    def __call__(self, x: Any) -> Any:
        layers = linen.scan(
            linen.remat(Block), variable_axes={"params": 0}, split_rngs={"params": True}, length=5
        )
        return linen.Dense(3)(layers(name="layers")(x, None)[0])


def test_scanned_layers_are_layers() -> None:
    module = Scanned()
    x = jnp.zeros((2, 8))
    graph = fanin.jax.read(module, shapes(module, x), x)
    assert axes(graph)["layers.Dense_0.kernel"] == "batch in out"
    assert len(graph.branches) == 5
    assert [len(p.uses) for p in graph.parameters if p.name == "layers.Dense_1.kernel"] == [5]
    plan = fanin.jax.plan(module, shapes(module, x), x)
    assert plan["layers.LayerNorm_0.bias"].scheme == "zeros"
    assert plan["layers.Dense_1.bias"].scheme == "zeros"
    last = plan["layers.Dense_1.kernel"]
    assert last.draw is not None
    # One of five branches, after a ReLU that is fed at power 1 with He's gain.
    assert last.draw.std == pytest.approx((1 / 5) ** 0.5 / 16**0.5, rel=1e-6)


def test_both_branches_of_a_condition_and_a_loop_with_no_known_end() -> None:
    params = {"a": struct(8, 8), "b": struct(8, 8), "c": struct(8, 8)}

    def model(p: Any, x: Any) -> Any:
        x = lax.cond(x.sum() > 0, lambda v: jnp.tanh(v @ p["a"]), lambda v: jax.nn.relu(v @ p["b"]), x)
        return lax.while_loop(lambda s: s[1] < 3, lambda s: (jnp.sin(s[0] @ p["c"]), s[1] + 1), (x, 0))[0]

    graph = fanin.jax.read(model, params, struct(2, 8))
    assert axes(graph) == {"a": "in out", "b": "in out", "c": "in out"}
    assert {"tanh", "relu"} <= activation_names(graph)


def test_units_that_come_before_the_batch_are_still_cut_into_gates() -> None:
    # What jax.vmap makes of a cell for one sample: weights on the left, units first.
    params = {"wi": struct(18, 8), "wh": struct(18, 6), "b": struct(18)}

    def cell(p: Any, state: Any, x: Any) -> Any:
        gates = p["wi"] @ x + p["wh"] @ state + p["b"]
        i, f, o = jnp.split(gates, 3)
        return jnp.tanh(o) * jax.nn.sigmoid(i) + jax.nn.sigmoid(f) * state

    def model(p: Any, xs: Any) -> Any:
        def one(x: Any) -> Any:
            return lax.scan(lambda s, v: (cell(p, s, v), None), jnp.zeros(6), x)[0]

        return jax.vmap(one)(xs)

    plan = fanin.jax.plan(model, params, struct(4, 5, 8))
    for name in ("wi", "wh"):
        assert str(plan[name].axes) == "out in (groups=3)"
        assert [block.size for block in plan[name].blocks] == [6, 6, 6]
    assert plan["b"].scheme == "zeros"


def test_a_recurrence_is_written_out_for_a_few_turns_only() -> None:
    module = linen.RNN(linen.SimpleCell(4))

    def count(turns: int) -> int:
        x = jnp.zeros((1, turns, 4))
        return len(recorded(subject_of(module, shapes(module, x), (x,), {})).ops)

    assert count(200) <= count(20) + 5
