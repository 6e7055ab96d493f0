"""JAX initializers in the layers of Flax, linen and nnx, and over devices."""

from __future__ import annotations

import os
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx

import fanin
import fanin.jax
from elsewhere import python

KEY = jax.random.key(0)
HE = fanin.jax.he_normal()


def within(values: Any, variance: float, *, relative: float) -> None:
    """Raise unless the values' second moment is near `variance`."""
    found = float(np.mean(np.square(np.asarray(values, np.float64))))
    assert abs(found / variance - 1) < relative, (found, variance)


def band(size: int) -> float:
    """6.2 standard errors of a normal sample's second moment: a false alarm below 1e-9."""
    return 6.2 * (2 / size) ** 0.5


def test_linen_layers() -> None:
    class Model(linen.Module):
        @linen.compact
        def __call__(self, tokens: Any) -> Any:
            x = linen.Embed(50, 16, embedding_init=fanin.jax.normal(std=1.0), name="embed")(tokens)
            x = linen.Conv(32, (3,), feature_group_count=2, kernel_init=HE, name="conv")(x)
            x = linen.Dense(64, kernel_init=HE, name="first")(x)
            return linen.Dense(64, kernel_init=HE, name="second", param_dtype=jnp.bfloat16)(x)

    tokens = jnp.zeros((2, 7), jnp.int32)
    model = Model()
    parameters = model.init(KEY, tokens)["params"]
    jitted = jax.jit(model.init)(KEY, tokens)["params"]
    jax.tree.map(np.testing.assert_array_equal, parameters, jitted)
    shapes = jax.eval_shape(model.init, KEY, tokens)["params"]
    assert shapes["second"]["kernel"].dtype == jnp.bfloat16
    kernels = {name: part["kernel"] for name, part in parameters.items() if name != "embed"}
    fans = {"conv": 3 * 16 / 2, "first": 32, "second": 64}
    assert {name: kernel.shape for name, kernel in kernels.items()} == {
        "conv": (3, 8, 32), "first": (32, 64), "second": (64, 64),
    }  # fmt: skip
    for name, kernel in kernels.items():
        within(kernel, 2 / fans[name], relative=band(kernel.size))
    within(parameters["embed"]["embedding"], 1.0, relative=band(50 * 16))


def test_linen_layers_of_one_initializer_differ() -> None:
    model = linen.Sequential([linen.Dense(16, kernel_init=HE), linen.Dense(16, kernel_init=HE)])
    parameters = model.init(KEY, jnp.zeros((1, 16)))["params"]
    first, second = (part["kernel"] for part in parameters.values())
    assert (np.asarray(first) != np.asarray(second)).mean() > 0.99


def test_linen_names_give_the_bits_of_sample() -> None:
    init = fanin.jax.he_normal(seed=1, name="fc1.weight")
    parameters = linen.Dense(16, kernel_init=init).init(KEY, jnp.zeros((1, 24)))["params"]
    expected = fanin.sample("he_normal", (16, 24), seed=1, name="fc1.weight").T
    np.testing.assert_array_equal(np.asarray(parameters["kernel"]), expected)


def test_linen_attention_hands_over_matrices() -> None:
    layer = linen.MultiHeadDotProductAttention(num_heads=4, kernel_init=HE)
    parameters = layer.init(KEY, jnp.zeros((1, 5, 32)))["params"]
    assert parameters["query"]["kernel"].shape == (32, 4, 8)
    for part in ("query", "key", "value", "out"):
        within(parameters[part]["kernel"], 2 / 32, relative=band(32 * 32))


def test_nnx_layers() -> None:
    class Model(nnx.Module):
        def __init__(self, rngs: nnx.Rngs) -> None:
            self.embed = nnx.Embed(50, 16, embedding_init=fanin.jax.normal(std=1.0), rngs=rngs)
            self.conv = nnx.Conv(16, 32, (3,), feature_group_count=2, kernel_init=HE, rngs=rngs)
            self.dense = nnx.Linear(32, 64, kernel_init=HE, rngs=rngs)
            self.square = nnx.Linear(64, 64, kernel_init=fanin.jax.orthogonal(), rngs=rngs)

    eager = Model(nnx.Rngs(0))
    jitted = nnx.jit(lambda: Model(nnx.Rngs(0)))()
    for one, other in zip(jax.tree.leaves(nnx.state(eager)), jax.tree.leaves(nnx.state(jitted)), strict=True):
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other))
    within(eager.conv.kernel[...], 2 / 24, relative=band(3 * 8 * 32))
    within(eager.dense.kernel[...], 2 / 32, relative=band(32 * 64))
    within(eager.embed.embedding[...], 1.0, relative=band(50 * 16))
    square = np.asarray(eager.square.kernel[...], np.float64)
    # TOLERANCE of structured draws is per entry; 64 of them add up in an inner product.
    np.testing.assert_allclose(square @ square.T, np.eye(64), atol=1e-5)
    told = nnx.eval_shape(lambda: Model(nnx.Rngs(0)))
    assert told.dense.kernel.shape == (32, 64)


def test_a_wrong_fan_would_be_seen() -> None:
    with pytest.raises(AssertionError):
        within(HE(KEY, (3, 8, 32)), 2 / 48, relative=band(3 * 8 * 32))


SHARDED = """
import jax, numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P
import fanin.jax

key, checked = jax.random.key(1), 0
for types in (AxisType.Auto, AxisType.Explicit):
    mesh = jax.make_mesh((2, 2), ("a", "b"), axis_types=(types, types))
    wanted = NamedSharding(mesh, P("a", "b"))
    for init in (
        fanin.jax.he_normal(), fanin.jax.orthogonal(), fanin.jax.ones(),
        fanin.jax.he_normal(seed=0, name="w"), fanin.jax.orthogonal(seed=0, name="w"),
    ):
        expected = np.asarray(init(key, (8, 16)))
        for sharding in (wanted, P("a", "b")):
            def call(key):
                return init(key, (8, 16), None, sharding)
            for function in (call, jax.jit(call)):
                with jax.set_mesh(mesh):
                    got = function(key)
                assert got.sharding.is_equivalent_to(wanted, 2), (types, init, sharding, got.sharding)
                assert np.asarray(got).tobytes() == expected.tobytes(), (types, init, sharding)
                checked += 1
print(checked)
"""


def test_out_sharding_on_four_devices() -> None:
    flags = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=4"
    assert int(python("-c", SHARDED, XLA_FLAGS=flags, JAX_PLATFORMS="cpu")) == 2 * 5 * 2 * 2
