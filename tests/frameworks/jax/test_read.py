"""The reader of jaxprs: roles, activations, norms, loops, branches, and what it does not understand."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx
from jax import lax

import fanin.jax
from fanin.errors import InputError, ModelError
from fanin.jax.leaves import leaf_names
from fanin.jax.numbers import computed, exact
from fanin.laws.quadrature import NODES
from fanin.records.graph import OpKind, UseKind
from fanin.records.plan import Status
from jax_reading import activation_names, axes, shapes, struct


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (jax.nn.relu, "relu"),
        (jax.nn.gelu, "gelu_tanh"),
        (lambda x: jax.nn.gelu(x, approximate=False), "gelu"),
        (jax.nn.silu, "silu"),
        (jax.nn.selu, "selu"),
        (jax.nn.elu, "elu"),
        (jax.nn.softplus, "softplus"),
        (lambda x: jax.nn.leaky_relu(x, 0.2), "leaky_relu(0.2)"),
        (lambda x: jnp.where(x > 0, x, 0.0), "relu"),
        (jnp.tanh, "tanh"),
        (jax.nn.hard_swish, "hardswish"),
        (lambda x: jnp.square(jax.nn.relu(x)) + 0.1, "custom"),
    ],
)
def test_activations_are_known_by_their_values(function: Any, name: str) -> None:
    params = {"a": struct(8, 16), "b": struct(16, 4)}
    graph = fanin.jax.read(lambda p, x: function(x @ p["a"]) @ p["b"], params, struct(2, 8))
    (found,) = graph.activations
    assert found.name == name
    expected = np.asarray(function(jnp.asarray(NODES, jnp.float32)), np.float64)
    assert np.abs(np.asarray(found.values) - expected).max() <= 2e-5 * max(1.0, np.abs(expected).max())


def test_roles_follow_dimension_numbers_whatever_the_layout() -> None:
    params = {
        "plain": struct(6, 5),
        "turned": struct(7, 5),
        "heads": struct(7, 2, 3),
        "back": struct(2, 3, 4),
    }

    def model(p: Any, x: Any) -> Any:
        h = jnp.einsum("bi,io->bo", x, p["plain"])
        h = jnp.einsum("bi,oi->bo", h, p["turned"])
        h = jnp.einsum("bi,ihd->bhd", h, p["heads"])
        return jnp.einsum("bhd,hdo->bo", h, p["back"])

    assert axes(fanin.jax.read(model, params, struct(2, 6))) == {
        "plain": "in out",
        "turned": "out in",
        "heads": "in out out",
        "back": "in in out",
    }


def test_experts_are_copies() -> None:
    graph = fanin.jax.read(
        lambda p, x: jnp.einsum("ebc,ecd->ebd", x, p["w"]), {"w": struct(3, 8, 4)}, struct(3, 2, 8)
    )
    assert axes(graph) == {"w": "batch in out"}


@pytest.mark.parametrize(
    ("layer", "shape", "roles"),
    [
        (linen.Conv(8, (3, 3), strides=2), (1, 8, 8, 4), "receptive receptive in out (stride=4)"),
        (linen.Conv(8, (3, 3), feature_group_count=4), (1, 8, 8, 4), "receptive receptive in out (groups=4)"),
        (linen.Conv(8, (3,)), (1, 8, 4), "receptive in out"),
        (
            linen.ConvTranspose(8, (4, 4), strides=(2, 2)),
            (1, 8, 8, 4),
            "receptive receptive in out (stride=4, transposed)",
        ),
    ],
)
def test_convolutions(layer: linen.Module, shape: tuple[int, ...], roles: str) -> None:
    x = jnp.zeros(shape)
    assert axes(fanin.jax.read(layer, shapes(layer, x), x)) == {"kernel": roles}


class Everything(linen.Module):
    """One of each."""

    @linen.compact
    def __call__(self, ids: Any, *, train: bool) -> Any:
        x = linen.Embed(10, 8)(ids)
        x = linen.MultiHeadDotProductAttention(2)(x, x)
        x = linen.LayerNorm()(x)
        x = linen.Dropout(0.1, deterministic=not train)(x)
        x = linen.gelu(linen.Dense(4)(x))
        return linen.BatchNorm(use_running_average=not train)(x)


@pytest.mark.parametrize("train", [True, False])
def test_a_model_of_many_layers(train: bool) -> None:
    ids = jnp.zeros((2, 5), jnp.int32)
    module = Everything()
    graph = fanin.jax.read(module, shapes(module, ids, train=train), ids, train=train)
    kinds = [node.kind for node in graph.nodes]
    assert kinds.count(OpKind.NORM) == 2
    assert (OpKind.DROPOUT in kinds) is train
    assert {OpKind.EMBEDDING, OpKind.SOFTMAX, OpKind.ATTENTION, OpKind.ACTIVATION} <= set(kinds)
    uses = {p.name: p.uses[0].kind for p in graph.parameters if p.uses}
    assert uses["Embed_0.embedding"] == UseKind.EMBEDDING
    assert uses["MultiHeadDotProductAttention_0.query.bias"] == UseKind.BIAS
    assert uses["LayerNorm_0.scale"] == uses["BatchNorm_0.scale"] == UseKind.NORM_SCALE
    assert uses["LayerNorm_0.bias"] == uses["BatchNorm_0.bias"] == UseKind.NORM_SHIFT
    dense = next(node for node in graph.nodes if "Dense_0.kernel" in node.parameters)
    assert dense.module == "Dense_0"
    kept = {p.name: p.role for p in graph.parameters if p.buffer}
    assert kept == {f"batch_stats.BatchNorm_0.{name}": "statistics" for name in ("mean", "var")}


def test_dropout_says_its_share() -> None:
    module = linen.Sequential([linen.Dense(4), linen.Dropout(0.25, deterministic=False), linen.Dense(2)])
    graph = fanin.jax.read(module, shapes(module, jnp.zeros((1, 8))), jnp.zeros((1, 8)))
    (node,) = (node for node in graph.nodes if node.kind == OpKind.DROPOUT)
    assert node.setting("p") == pytest.approx((0.25,), abs=1e-6)
    assert node.setting("kept times") == pytest.approx((4 / 3,), rel=1e-6)


class ActivationFirst(linen.Module):
    """A norm that reads an activation, and one that an activation reads, with nothing between."""

    @linen.compact
    def __call__(self, x: Any) -> Any:
        x = linen.LayerNorm()(linen.relu(linen.Dense(16)(x)))
        return linen.Dense(4)(
            linen.gelu(linen.LayerNorm(use_scale=False, use_bias=False)(linen.Dense(16)(x)))
        )


def test_a_norm_swallows_no_activation() -> None:
    module = ActivationFirst()
    graph = fanin.jax.read(module, shapes(module, jnp.zeros((4, 8))), jnp.zeros((4, 8)))
    assert activation_names(graph) == {"relu", "gelu_tanh"}
    assert [node.kind for node in graph.nodes].count(OpKind.NORM) == 2


def test_constants_before_a_softmax_are_the_scores_own() -> None:
    def model(p: Any, x: Any) -> Any:
        q, k = x @ p["q"], x @ p["k"]
        return jax.nn.softmax(q @ k.swapaxes(-1, -2) / 4.0) @ (x @ p["v"])

    params = {name: struct(16, 16) for name in "qkv"}
    graph = fanin.jax.read(model, params, struct(2, 3, 16))
    assert {p.name: round(p.uses[0].scores, 6) for p in graph.parameters} == {"q": 1.0, "k": 1.0, "v": 1.0}
    assert [n.factor for n in graph.nodes if n.kind == OpKind.POINTWISE] == [0.25]


def test_what_is_not_understood_is_said_to_be() -> None:
    params = {"w": struct(8, 8), "s": struct(8, 8)}
    plan = fanin.jax.plan(lambda p, x: jnp.linalg.cholesky(p["s"]).sum() + x @ p["w"], params, struct(2, 8))
    assert plan["s"].status == Status.UNRECOGNISED
    idle = fanin.jax.plan(lambda p, x: x @ p["w"], params, struct(2, 8))
    assert idle["s"].status == Status.UNRECOGNISED
    assert "s" in fanin.jax.read(lambda p, x: x @ p["w"], params, struct(2, 8)).notes[0]


class Held(nnx.Module):
    """A module that holds its arrays."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.first = nnx.Linear(8, 16, rngs=rngs)
        self.norm = nnx.BatchNorm(16, rngs=rngs)
        self.drop = nnx.Dropout(0.5, rngs=rngs)
        self.last = nnx.Linear(16, 4, rngs=rngs)

    def __call__(self, x: Any) -> Any:
        return self.last(self.drop(nnx.relu(self.norm(self.first(x)))))


def test_modules_that_hold_their_arrays() -> None:
    model = Held(nnx.Rngs(0))
    graph = fanin.jax.read(model, jnp.zeros((4, 8)))
    assert axes(graph) == {"first.kernel": "in out", "last.kernel": "in out"}
    assert {p.name for p in graph.parameters if p.buffer} >= {"norm.mean", "norm.var"}
    assert activation_names(graph) == {"relu"}


@jax.tree_util.register_pytree_with_keys_class
class Tree:
    """A callable tree of arrays, as Equinox has them."""

    def __init__(self, weight: Any, bias: Any) -> None:
        self.weight, self.bias = weight, bias

    def tree_flatten_with_keys(self) -> Any:
        key = jax.tree_util.GetAttrKey
        return ((key("weight"), self.weight), (key("bias"), self.bias)), None

    @classmethod
    def tree_unflatten(cls, _: None, children: Any) -> Tree:
        return cls(*children)

    def __call__(self, x: Any) -> Any:
        return self.weight @ x + self.bias


def test_callable_trees() -> None:
    graph = fanin.jax.read(Tree(struct(4, 8), struct(4)), struct(8))
    assert axes(graph) == {"weight": "out in"}


def test_stacks_and_tiles_are_followed() -> None:
    params = {
        "cls": struct(1, 1, 8),
        "a": struct(8, 8),
        "b": struct(8, 8),
        "up": struct(8, 16),
        "down": struct(8, 4),
    }

    def model(p: Any, x: Any) -> Any:
        x = jnp.concatenate([jnp.tile(p["cls"], (x.shape[0], 1, 1)), x], 1)
        both = jnp.stack([p["a"], p["b"]])
        x = jnp.einsum("bti,kio->btko", x, both).sum(2)
        gate, value = jnp.unstack((x @ p["up"]).reshape(*x.shape[:-1], 2, 8), axis=-2)
        return (jax.nn.silu(gate) * value) @ p["down"]

    plan = fanin.jax.plan(model, params, struct(2, 3, 8))
    assert plan["cls"].status == Status.CLAIMED
    assert {name: str(plan[name].axes) for name in ("a", "b", "up")} == dict.fromkeys(
        ("a", "b", "up"), "in out"
    )
    assert [block.size for block in plan["up"].blocks] == [8, 8]


def test_errors_say_what_is_wrong() -> None:
    params = {"w": struct(8, 4)}
    with pytest.raises(ModelError, match="cannot be traced on these inputs"):
        fanin.jax.read(lambda p, x: x @ p["w"], params, struct(2, 7))
    with pytest.raises(InputError, match="There is no model"):
        fanin.jax.read("model", params, struct(2, 8))
    with pytest.raises(InputError, match="There are no parameters"):
        fanin.jax.read(lambda _p, x: x, {}, struct(2, 8))
    with pytest.raises(InputError, match="takes its variables"):
        fanin.jax.read(linen.Dense(4), params, struct(2, 8))
    with pytest.raises(InputError, match="names= has a path"):
        fanin.jax.read(lambda p, x: x @ p["w"], params, struct(2, 8), names={"v": "fc1"})
    with pytest.raises(InputError, match="Two leaves have one name"):
        fanin.jax.read(
            lambda p, x: x @ p["a"] @ p["b"],
            {"a": struct(8, 8), "b": struct(8, 8)},
            struct(2, 8),
            names=lambda _: "same",
        )


def test_a_large_batch_is_read_by_a_part_of_it() -> None:
    module = linen.Sequential([linen.Conv(8, (3, 3)), linen.BatchNorm(use_running_average=False), linen.relu])
    small = jnp.zeros((1, 64, 64, 3))
    variables = shapes(module, small)
    for size in (1, 512):
        graph = fanin.jax.read(module, variables, struct(size, 64, 64, 3))
        kinds = [node.kind for node in graph.nodes]
        assert kinds.count(OpKind.NORM) == kinds.count(OpKind.ACTIVATION) == 1, size
        assert not graph.notes
    graph = fanin.jax.read(module, variables, struct(1, 1024, 1024, 3))
    assert "too large to be tried" in graph.notes[0]


def test_numbers_are_those_of_jax() -> None:
    x = np.linspace(-3.0, 3.0, 24).reshape(4, 6)
    for name, params, expected in (
        ("logistic", {}, jax.nn.sigmoid(x)),
        ("erf", {}, lax.erf(x)),
        ("rsqrt", {}, lax.rsqrt(np.abs(x) + 1)),
        ("integer_pow", {"y": 3}, x**3),
        ("reduce_sum", {"axes": (1,)}, x.sum(1)),
        ("transpose", {"permutation": (1, 0)}, x.T),
        ("slice", {"start_indices": (1, 0), "limit_indices": (3, 6), "strides": (1, 2)}, x[1:3, ::2]),
        ("broadcast_in_dim", {"shape": (2, 4, 6), "broadcast_dimensions": (1, 2)}, np.stack([x, x])),
        ("dot_general", {"dimension_numbers": (((1,), (1,)), ((), ()))}, x @ x.T),
    ):
        given = np.abs(x) + 1 if name == "rsqrt" else x
        args = [given, given] if name == "dot_general" else [given]
        np.testing.assert_allclose(computed(name, params, args), np.asarray(expected), rtol=2e-6, atol=1e-6)
    assert float(exact(np.float32(np.sqrt(2 / np.pi)))) == np.sqrt(2 / np.pi)
    assert [path for path, _ in leaf_names({"a": [1, {"b": 2}]})] == ["a.0", "a.1.b"]
