"""``fanin.jax.dropins`` in the place of ``jax.nn.initializers``: names, signatures, laws, numbers."""

from __future__ import annotations

import inspect
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen

import fanin
import fanin.jax
from fanin.errors import InputError
from fanin.jax import dropins

KEY = jax.random.key(0)
THEIRS = [name for name in dir(jax.nn.initializers) if not name.startswith("_")]
NEEDED = {"variance_scaling": (2.0, "fan_avg", "uniform"), "constant": (0.5,)}
MADE = [name for name in THEIRS if name not in ("Initializer", "zeros", "ones")]


def plain(function: object) -> list[tuple[str, object]]:
    return [(one.name, one.default) for one in inspect.signature(function).parameters.values()]  # type: ignore[arg-type]


@pytest.mark.parametrize("name", THEIRS)
def test_every_name_is_there_with_its_signature(name: str) -> None:
    theirs, ours = getattr(jax.nn.initializers, name), getattr(dropins, name)
    assert name in dir(dropins)
    if name in MADE:
        assert plain(ours) == plain(theirs)
    elif name == "Initializer":
        assert ours is theirs
    else:
        np.testing.assert_array_equal(ours(KEY, (2, 3)), theirs(KEY, (2, 3)))


@pytest.mark.parametrize("name", MADE)
def test_laws_are_those_of_the_dialect_and_numbers_those_of_fanin(name: str) -> None:
    shape = (4, 4) if name == "orthogonal" else (3, 3, 2, 4)
    scheme = getattr(fanin.dialect("jax"), name)(*NEEDED.get(name, ()))
    made = getattr(dropins, name)(*NEEDED.get(name, ()))
    assert made.scheme.draw(shape) == scheme.draw(shape)
    values = made(KEY, shape)
    np.testing.assert_array_equal(values, fanin.jax.initializer(scheme)(KEY, shape))


@pytest.mark.parametrize("name", [name for name in MADE if name not in ("delta_orthogonal", "orthogonal")])
@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (2, 3, 4)])
def test_what_jax_takes_is_taken(name: str, shape: tuple[int, ...]) -> None:
    theirs = getattr(jax.nn.initializers, name)(*NEEDED.get(name, ()), dtype=jnp.bfloat16)
    ours = getattr(dropins, name)(*NEEDED.get(name, ()), dtype=jnp.bfloat16)
    try:
        expected = jax.eval_shape(lambda key: theirs(key, shape), KEY)
    except ValueError:
        with pytest.raises(InputError, match="no fans"):
            ours(KEY, shape)
    else:
        made = jax.eval_shape(lambda key: ours(key, shape), KEY)
        assert (made.shape, made.dtype) == (expected.shape, expected.dtype)


def test_axes_reach_the_law() -> None:
    shape = (8, 5, 32, 64)
    made = dropins.he_uniform(in_axis=(1, 2), out_axis=3, batch_axis=0)(KEY, shape)
    bound = math.sqrt(6 / (5 * 32))
    # All of 81,920 within the last thousandth of the bound or none: each has a chance of 1e-3.
    assert bound * 0.999 < float(abs(made).max()) <= bound
    table = dropins.variance_scaling(1.0, "fan_in", "uniform", out_axis=0)(KEY, (512, 27))  # Flax's Embed
    assert 0.99 / 3 < float(abs(table).max()) <= 1 / 3  # sqrt(3 / 27)
    columns = dropins.orthogonal(column_axis=0)(KEY, (6, 3))
    np.testing.assert_allclose(columns.T @ columns, np.eye(3), atol=1e-6)


def test_parameters_may_be_arrays() -> None:
    given = dropins.normal(jnp.array(0.5), jnp.bfloat16)(KEY, (4, 4))
    np.testing.assert_array_equal(given, dropins.normal(0.5)(KEY, (4, 4), jnp.bfloat16))
    rows = dropins.constant(jnp.arange(3.0))(KEY, (2, 3))
    np.testing.assert_array_equal(rows, [[0, 1, 2], [0, 1, 2]])


@pytest.mark.parametrize("name", ["he_normal", "he_uniform", "truncated_normal"])
def test_complex_weights_have_the_variance_of_real_ones(name: str) -> None:
    shape = (64, 512)
    power = float(jnp.mean(abs(getattr(dropins, name)()(KEY, shape, jnp.complex64)) ** 2))
    expected = getattr(dropins, name)().scheme.draw(shape).std ** 2
    # |w|^2 of 32,768 has a relative sd of at most 1: six of its standard errors.
    assert abs(power / expected - 1) < 6.2 / math.sqrt(math.prod(shape))


def test_flax_takes_them() -> None:
    layer = linen.Dense(8, kernel_init=dropins.lecun_normal(), bias_init=dropins.ones_init())
    made = layer.init(KEY, np.ones((1, 4), "float32"))["params"]
    assert made["kernel"].std() > 0
    np.testing.assert_array_equal(made["bias"], np.ones(8))
    assert dropins.zeros_init()(KEY, (3,)).tolist() == [0.0] * 3


def test_errors() -> None:
    with pytest.raises(InputError, match=r"It is normal\(stddev=0.01, dtype=None\), as in jax.nn.init"):
        dropins.normal(std=0.1)
    with pytest.raises(InputError, match="column_axis=0"):
        dropins.delta_orthogonal(column_axis=0)
    with pytest.raises(InputError):
        dropins.variance_scaling(1.0, "fan_sum", "normal")
    with pytest.raises(AttributeError, match="no function 'he_norml'"):
        _ = dropins.he_norml
