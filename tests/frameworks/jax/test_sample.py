"""`fanin.jax.sample`: the engine's bits, compiled, in every layout and dtype."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fanin
import fanin.jax
from fanin.errors import InputError
from fanin.jax import engine
from fanin.records.axes import as_axes
from fanin.records.draw import Constant, Draw, Normal, Orthogonal, TruncatedNormal, Uniform
from fanin.sampling.engine import generate

NORMAL = Normal(mean=0.3, std=1.0)
DRAWS: list[Draw] = [
    Constant(value=0.1),
    Uniform(low=-0.5, high=0.5),
    Uniform(low=0.1, high=0.7),
    Normal(std=0.02),
    NORMAL,
    TruncatedNormal(std=1.0, parent_mean=0.0, parent_std=1.0, lower=-2.0, upper=2.0),
    TruncatedNormal(std=1.0, parent_mean=0.2, parent_std=0.7, lower=0.5, upper=math.inf),
    TruncatedNormal(std=0.1, parent_mean=0.0, parent_std=0.1, lower=1.0, upper=1.01),
    TruncatedNormal(std=0.1, parent_mean=0.5, parent_std=0.1, lower=-math.inf, upper=-8.0),
]
SMALL = ("float32", "bfloat16", "float16", "float8_e4m3fn", "float8_e5m2", "complex64")
LAYOUTS = [((300, 401), None), ((33, 76), "in out"), ((3, 40, 12), "receptive in out"), ((5000,), None)]


def same(draw: Draw, shape: tuple[int, ...], axes: Any, dtype: str, **key: Any) -> None:
    """Raise unless JAX and the engine give the same bits."""
    key = {"seed": 3, "name": "w"} | key
    got = fanin.jax.sample(draw, shape, axes=axes, dtype=dtype, **key)
    expected = generate(draw, shape, axes=as_axes(axes, shape), dtype=dtype, **key)
    assert (got.shape, got.dtype) == (shape, dtype)
    assert np.asarray(got).tobytes() == expected.tobytes()


@pytest.mark.parametrize("dtype", SMALL)
@pytest.mark.parametrize("draw", DRAWS, ids=str)
def test_equal_to_the_engine(draw: Draw, dtype: str) -> None:
    for shape, axes in LAYOUTS[: None if dtype == "float32" else 1]:
        same(draw, shape, axes, dtype)


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("draw", DRAWS, ids=str)
def test_wide_types_where_they_are_enabled(draw: Draw, dtype: str) -> None:
    with jax.enable_x64(True):
        for shape, axes in LAYOUTS[1:3]:
            same(draw, shape, axes, dtype)


@given(
    mean=st.floats(-1.0, 1.0),
    std=st.floats(1e-3, 1.0),
    seed=st.integers(0, 2**64 - 1),
    name=st.text(min_size=1, max_size=8).filter(lambda s: s.isprintable()),
)
@settings(max_examples=40)
def test_any_numbers_in_one_compilation(mean: float, std: float, seed: int, name: str) -> None:
    same(Normal(mean=mean, std=std), (64, 65), None, "float32", seed=seed, name=name)


def test_names_and_scales_share_one_compilation() -> None:
    engine._compiled.cache_clear()
    for k in range(5):
        fanin.jax.sample(Normal(std=1.0 + k), (7, 9), seed=k, name=f"w{k}")
    assert engine._compiled.cache_info().misses == 1


def test_inside_jit() -> None:
    # Alone, and with arithmetic around it that a compiler would like to fuse.
    expected = generate(NORMAL, (300, 401), seed=3, name="w")
    inner = jax.jit(lambda: fanin.jax.sample(NORMAL, (300, 401), seed=3, name="w"))
    assert np.asarray(inner()).tobytes() == expected.tobytes()

    def around(x: jax.Array) -> tuple[jax.Array, jax.Array]:
        w = fanin.jax.sample(NORMAL, (300, 401), seed=3, name="w")
        return w, w * x + 1.0

    assert np.asarray(jax.jit(around)(jnp.float32(3.0))[0]).tobytes() == expected.tobytes()


def test_compilers_do_contract_without_the_guard() -> None:
    # Otherwise the guard of a shifted draw would be for nothing, and its tests could not fail.
    z = jnp.asarray(generate(Normal(std=1.0), (4096,), seed=0, name="w"))
    scale, shift = np.float32(0.37), np.float32(0.3)
    fused = np.asarray(jax.jit(lambda x: x * scale + shift)(z))
    assert (fused != np.asarray(z) * scale + shift).any()


@pytest.mark.parametrize("shape", [(), (1,), (0,), (3, 0), (1, 1)])
def test_small_and_empty(shape: tuple[int, ...]) -> None:
    for draw in (NORMAL, Constant(value=2.0)):
        same(draw, shape, None, "float32")


SIZE = st.integers(1, 2**21)


@given(shape=st.tuples(SIZE, SIZE, SIZE), order=st.permutations((0, 1, 2)), data=st.data())
@settings(max_examples=60)
def test_indices_of_any_size(shape: tuple[int, ...], order: list[int], data: st.DataObject) -> None:
    at = [data.draw(st.integers(0, n - 1)) for n in shape]
    expected = 0
    for d in order:
        expected = expected * shape[d] + at[d]
    with jax.enable_x64(True):
        high, low = engine._index([jnp.uint32(n) for n in at], shape, tuple(order))
    assert (int(high) << 32) + int(low) == expected


def test_a_tensor_in_two_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "_ONE_WORD", 1 << 10)
    engine._compiled.cache_clear()
    same(NORMAL, (63, 65), None, "float32")
    engine._compiled.cache_clear()


def test_schemes_names_and_structured_draws() -> None:
    for scheme in ("he_normal", fanin.glorot_uniform(), Orthogonal(gain=1.0, std=0.1)):
        got = fanin.jax.sample(scheme, (24, 16), seed=1, name="w", axes="in out")
        assert (np.asarray(got) == fanin.sample(scheme, (24, 16), seed=1, name="w", axes="in out")).all()


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({"dtype": "float64"}, "float64 and complex128 need jax_enable_x64"),
        ({"dtype": "complex128"}, "Received: complex128"),
        ({"dtype": "int32"}, "Weights cannot be drawn in this dtype. Received: int32"),
        ({"seed": -1}, "The seed is out of range"),
        ({"name": ""}, "The name of a stream is no text"),
        ({"scheme": Normal(std=0.0)}, "The std of a random draw must be positive"),
        ({"scheme": "he_normla"}, "Did you mean 'he_normal'"),
        ({"axes": "in"}, "Axes do not fit the shape"),
        ({"shape": (4, -1)}, "A shape is a sequence of whole numbers"),
        ({"scheme": 3}, "This is no scheme"),
    ],
)
def test_errors(more: dict[str, Any], text: str) -> None:
    given: dict[str, Any] = {"scheme": NORMAL, "shape": (4, 4), "seed": 0, "name": "w"} | more
    with pytest.raises(InputError, match=text):
        fanin.jax.sample(given.pop("scheme"), given.pop("shape"), **given)


def test_a_traced_seed_is_an_error() -> None:
    with pytest.raises(InputError, match="The seed is out of range"):
        jax.jit(lambda s: fanin.jax.sample(NORMAL, (4,), seed=s, name="w"))(3)
