"""Plans carried out on trees of arrays: dtypes, shardings, kept arrays, jit, and what is refused."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx

import fanin
import fanin.jax
from elsewhere import python
from fanin.errors import InputError
from fanin.records.plan import Plan


def mlp(p: Any, x: Any) -> Any:
    h = jax.nn.relu(x @ p["fc1"]["kernel"] + p["fc1"]["bias"])
    return h @ p["fc2"]["kernel"] * p["gain"]


def params(dtype: Any = jnp.float32) -> Any:
    return {
        "fc1": {"kernel": jnp.ones((8, 16), dtype), "bias": jnp.ones(16, dtype)},
        "fc2": {"kernel": jnp.ones((16, 4), dtype)},
        "gain": jnp.full(4, 3.0, dtype),
        "steps": jnp.asarray(7),
    }


X = jnp.zeros((2, 8))


def test_new_arrays_of_the_same_kind_and_nothing_changed() -> None:
    given = params()
    new = fanin.jax.init(mlp, given, X, seed=3)
    assert jax.tree.structure(new) == jax.tree.structure(given)
    assert jax.tree.map(lambda a: (a.shape, a.dtype), new) == jax.tree.map(
        lambda a: (a.shape, a.dtype), given
    )
    assert (given["fc1"]["kernel"] == 1).all()
    assert (new["fc1"]["bias"] == 0).all()
    expected = fanin.sample("he_normal", (8, 16), seed=3, name="fc1.kernel", axes="in out")
    assert (np.asarray(new["fc1"]["kernel"]) == expected).all()
    # A scale and a counter keep what they have: they are the very same objects.
    assert new["gain"] is given["gain"]
    assert new["steps"] is given["steps"]


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_small_dtypes_are_the_float32_numbers_rounded_once(dtype: Any) -> None:
    new = fanin.jax.init(mlp, params(dtype), X.astype(dtype), seed=3)
    kernel = new["fc1"]["kernel"]
    full = fanin.sample("he_normal", (8, 16), seed=3, name="fc1.kernel", axes="in out")
    assert kernel.dtype == dtype
    assert (np.asarray(kernel) == np.asarray(jnp.asarray(full).astype(dtype))).all()


def test_the_same_inside_of_jit() -> None:
    eager = fanin.jax.init(mlp, params(), X, seed=3)
    jitted = jax.jit(lambda p: fanin.jax.init(mlp, p, X, seed=3))(params())
    for a, b in zip(jax.tree.leaves(eager), jax.tree.leaves(jitted), strict=True):
        assert (np.asarray(a) == np.asarray(b)).all()


def test_a_plan_can_be_edited_saved_and_carried_out(tmp_path: Any) -> None:
    plan = fanin.jax.plan(mlp, params(), X, seed=3)
    plan.override({"fc1.bias": fanin.ones(), "fc2.kernel": fanin.orthogonal()}).save(tmp_path / "plan.json")
    loaded = Plan.load(tmp_path / "plan.json")
    new = fanin.jax.apply_plan(params(), loaded)
    assert (new["fc1"]["bias"] == 1).all()
    kernel = np.asarray(new["fc2"]["kernel"], np.float64)
    assert np.abs(kernel.T @ kernel - np.eye(4) * (kernel.T @ kernel)[0, 0]).max() < 1e-5


class Net(linen.Module):
    @linen.compact
    def __call__(self, x: Any) -> Any:
        x = linen.BatchNorm(use_running_average=False)(linen.Dense(16)(x))
        return linen.Dense(4)(linen.PReLU()(x))


def test_shapes_are_enough_where_the_plan_draws_all() -> None:
    module = Net()
    real = module.init(jax.random.key(0), X)
    shapes = jax.eval_shape(module.init, jax.random.key(0), X)
    slope = "PReLU_0.negative_slope"
    with pytest.raises(InputError, match="keeps arrays that have no values") as caught:
        fanin.jax.init(module, shapes, X)
    assert slope in str(caught.value)
    new = fanin.jax.init(module, shapes, X, values={slope: 0.01})
    known = fanin.jax.init(module, real, X)
    with pytest.raises(InputError, match="another shape"):
        fanin.jax.init(module, shapes, X, values={slope: [0.01, 0.02]})
    assert float(new["params"]["PReLU_0"]["negative_slope"]) == pytest.approx(0.01)
    assert (new["batch_stats"]["BatchNorm_0"]["var"] == 1).all()
    for layer in ("Dense_0", "Dense_1"):
        assert (new["params"][layer]["kernel"] == known["params"][layer]["kernel"]).all()


def test_a_module_that_holds_its_arrays_is_made_anew() -> None:
    class Held(nnx.Module):
        def __init__(self, rngs: nnx.Rngs) -> None:
            self.first, self.last = nnx.Linear(8, 16, rngs=rngs), nnx.Linear(16, 4, rngs=rngs)

        def __call__(self, x: Any) -> Any:
            return self.last(nnx.relu(self.first(x)))

    model = Held(nnx.Rngs(0))
    before = np.asarray(model.first.kernel[...])
    new = fanin.jax.init(model, X, seed=3)
    assert isinstance(new, Held)
    assert (np.asarray(model.first.kernel[...]) == before).all()
    expected = fanin.sample("he_normal", (8, 16), seed=3, name="first.kernel", axes="in out")
    assert (np.asarray(new.first.kernel[...]) == expected).all()
    assert new(X).shape == (2, 4)
    blank = nnx.eval_shape(lambda: Held(nnx.Rngs(0)))
    made = fanin.jax.init(blank, X, seed=3)
    assert (made.first.kernel[...] == new.first.kernel[...]).all()
    again = fanin.jax.apply_plan(model, fanin.jax.plan(model, X, seed=3))
    assert (again.last.kernel[...] == new.last.kernel[...]).all()


def test_what_does_not_fit_is_refused() -> None:
    plan = fanin.jax.plan(mlp, params(), X)
    with pytest.raises(InputError, match="for other parameters"):
        fanin.jax.apply_plan({"fc1": params()["fc1"]}, plan)
    with pytest.raises(InputError, match="another dtype"):
        fanin.jax.apply_plan(params(jnp.bfloat16), plan)
    with pytest.raises(InputError, match="no plan to carry out"):
        fanin.jax.apply_plan(params(), "plan")
    with pytest.raises(InputError, match="names that no leaf has"):
        fanin.jax.apply_plan(params(), plan, values={"fc3": 1.0})
    with pytest.raises(InputError, match=r"names= is not understood. Received: 3 \(int\)"):
        fanin.jax.plan(mlp, params(), X, names=3)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="Rename a key"):
        fanin.jax.plan(lambda p, x: x @ p["a.b"] @ p["a"]["b"], {"a.b": X.T, "a": {"b": X}}, X)


PROGRAM = """
import jax, jax.numpy as jnp, numpy as np
from jax.sharding import NamedSharding, PartitionSpec as P
import fanin, fanin.jax

assert len(jax.devices()) == 4
mesh = jax.make_mesh((2, 2), ("x", "y"))
specs = {"a": P("x", "y"), "b": P(None, "y"), "packed": P("x", "y"), "o": P("y", None)}
sizes = {"a": (8, 16), "b": (16, 8), "packed": (8, 24), "o": (8, 8)}

def model(p, x):
    h = jax.nn.relu(x @ p["a"]) @ p["b"]
    q, k, v = jnp.split(h @ p["packed"], 3, axis=-1)
    return (jax.nn.softmax(q @ k.T) @ v) @ p["o"]

x = jnp.zeros((2, 8))
whole = {name: jnp.zeros(shape) for name, shape in sizes.items()}
edit = {"o": fanin.orthogonal()}
plan = fanin.jax.plan(model, whole, x, seed=1).override(edit)
assert plan["packed"].blocks
expected = fanin.jax.apply_plan(whole, plan)
shardings = {name: NamedSharding(mesh, spec) for name, spec in specs.items()}
arrays = {name: jax.device_put(value, shardings[name]) for name, value in whole.items()}
shapes = {name: jax.ShapeDtypeStruct(sizes[name], jnp.float32, sharding=shardings[name]) for name in sizes}
checked = 0
for given in (arrays, shapes):
    new = fanin.jax.apply_plan(given, plan)
    for name, value in new.items():
        assert value.sharding.is_equivalent_to(shardings[name], 2), name
        assert (np.asarray(value) == np.asarray(expected[name])).all(), name
        checked += 1
print(checked)
"""


def test_no_sharding_changes_a_bit() -> None:
    flags = "--xla_force_host_platform_device_count=4"
    assert int(python("-c", PROGRAM, XLA_FLAGS=flags, JAX_PLATFORMS="cpu")) == 8
