"""JAX initializers: keys, tracing, roles, dtypes, errors."""

from __future__ import annotations

import contextlib
import inspect
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.typing import NDArray

import fanin
import fanin.jax
from fanin.errors import FaninError, InputError
from fanin.jax.initializers import Initializer, factory
from fanin.jax.keys import stream_words
from fanin.records.axes import as_axes
from fanin.records.draw import Draw, Orthogonal, TruncatedNormal
from fanin.sampling.philox import philox
from fanin.sampling.recipe import recipe
from fanin.sampling.reference import elements
from fanin.sampling.streams import StreamKey, stream_key
from fanin.schemes import registry

KEY = jax.random.key(7)
FAR = TruncatedNormal(std=0.1, parent_mean=0.5, parent_std=0.1, lower=-math.inf, upper=-8.0)
SHAPES = [
    ((24, 16), "in out"),
    ((16, 16), "in out"),
    ((3, 3, 8, 16), "receptive receptive in out"),
    ((3, 8, 16), "receptive in out"),
    ((16,), None),
]
"""One for each kind of scheme: of vectors, of matrices, of square ones, of kernels."""
SMALL = ("bfloat16", "float16", "float8_e4m3fn", "float8_e5m2")


def same(got: Any, expected: Any) -> None:
    """Raise unless two arrays agree in shape, dtype and every bit."""
    got, expected = np.asarray(got), np.asarray(expected)
    assert (got.shape, got.dtype) == (expected.shape, expected.dtype)
    assert got.tobytes() == expected.tobytes()


def every() -> list[tuple[str, dict[str, Any]]]:
    """Each scheme with the first of its examples."""
    return [(name, dict(entry.examples[0])) for name, entry in registry.entries().items()]


def drawn(name: str, given: dict[str, Any]) -> NDArray[Any]:
    """What NumPy draws in the layout of JAX, for the first shape that the scheme serves."""
    for shape, axes in SHAPES:
        with contextlib.suppress(InputError):
            return fanin.sample(registry.get(name, **given), shape, seed=3, name="w", axes=axes)
    raise AssertionError(f"no shape for {name}")


# ---------------------------------------------------------------- protocol and factories
@pytest.mark.parametrize(("name", "given"), every())
def test_each_scheme_is_a_jax_initializer(name: str, given: dict[str, Any]) -> None:
    init = getattr(fanin.jax, name)(**given)
    assert isinstance(init, jax.nn.initializers.Initializer)
    shape = drawn(name, given).shape
    eager = init(KEY, shape)
    assert (eager.shape, eager.dtype) == (shape, jnp.float32)
    same(jax.jit(lambda key: init(key, shape))(KEY), eager)
    told = jax.eval_shape(lambda key: init(key, shape, jnp.bfloat16), KEY)
    assert (told.shape, told.dtype) == (shape, jnp.bfloat16)


@pytest.mark.parametrize(("name", "given"), every())
def test_seed_and_name_give_the_bits_of_sample(name: str, given: dict[str, Any]) -> None:
    init = getattr(fanin.jax, name)(**given, seed=3, name="w")
    expected = drawn(name, given)
    same(init(None, expected.shape), expected)
    same(jax.jit(lambda key: init(key, expected.shape))(KEY), expected)


def test_aliases_and_signatures() -> None:
    assert fanin.jax.kaiming_normal() == fanin.jax.he_normal()
    assert fanin.jax.xavier_uniform() == fanin.jax.initializer("glorot_uniform")
    names = list(inspect.signature(fanin.jax.he_normal).parameters)
    assert names == [
        "activation", "slope", "mode",
        "in_axis", "out_axis", "batch_axis", "axes", "dtype", "seed", "name",
    ]  # fmt: skip
    assert "he_uniform" in dir(fanin.jax)
    assert "msra" in dir(fanin.jax)
    assert not hasattr(fanin.jax, "he_norml")


def test_no_scheme_takes_a_keyword_of_the_factories() -> None:
    keywords = set(inspect.signature(fanin.jax.initializer).parameters)
    for name, entry in registry.entries().items():
        assert not keywords & set(entry.signature.parameters), name


def test_equal_by_value() -> None:
    # Compiled functions that take an initializer as a static argument are shared by equal ones.
    assert hash(fanin.jax.he_normal()) == hash(fanin.jax.he_normal())
    assert fanin.jax.he_normal() != fanin.jax.he_normal(in_axis=0, out_axis=1)


# ---------------------------------------------------------------- keys
def numpy_words(data: np.ndarray[Any, Any]) -> tuple[int, ...]:
    """A stream's words by the NumPy definition of Philox."""
    domain = stream_key(0, "jax.random key", role="front end")
    padded = [*data.tolist(), 0, 0][:4]
    counter = tuple(np.array([word], np.uint64) for word in padded)
    return tuple(int(word[0]) for word in philox(counter, (domain.key0, domain.key1)))


@pytest.mark.parametrize("kind", ["threefry2x32", "rbg", "unsafe_rbg"])
def test_words_of_a_key_are_one_philox_block(kind: str) -> None:
    for key in jax.random.split(jax.random.key(5, impl=kind), 4):
        raw = jax.random.key_data(key)
        expected = numpy_words(np.asarray(raw))
        for given in (key, raw, np.asarray(raw)):
            assert tuple(stream_words(given).tolist()) == expected
            assert tuple(jax.jit(stream_words)(given).tolist()) == expected


def test_values_are_the_engine_s_for_these_words() -> None:
    words = numpy_words(np.asarray(jax.random.key_data(KEY)))
    key = StreamKey(key0=words[0], key1=words[1], counter2=words[2], counter3=words[3])
    draw = fanin.he_normal().draw((24, 16), "in out")
    logical = elements(recipe(draw, "float32"), key, 0, 24 * 16, "float32")
    same(fanin.jax.he_normal()(KEY, (24, 16)), logical.reshape(16, 24).T)


def test_a_key_repeats_and_keys_differ() -> None:
    init = fanin.jax.he_normal()
    first, second = jax.random.split(KEY)
    same(init(first, (64, 64)), init(first, (64, 64)))
    one, two = (np.asarray(init(key, (64, 64))).ravel() for key in (first, second))
    # 4096 independent pairs: |r| sqrt(n) stays below 6.1 with a false alarm of 1e-9.
    assert abs(np.corrcoef(one, two)[0, 1]) * 64 < 6.1
    assert not np.isin(one, two).all()


@pytest.mark.parametrize("scheme", ["he_normal", "glorot_uniform", "orthogonal"])
@pytest.mark.parametrize("raw", [False, True])
def test_vmap_over_keys(scheme: str, raw: bool) -> None:
    init = fanin.jax.initializer(scheme)
    keys = jax.random.split(KEY, 3)
    given = jax.random.key_data(keys) if raw else keys
    stack = jax.vmap(lambda key: init(key, (8, 4)))
    expected = np.stack([np.asarray(init(key, (8, 4))) for key in keys])
    same(stack(given), expected)
    same(jax.jit(stack)(given), expected)


def test_arithmetic_around_it_changes_nothing() -> None:
    draw = fanin.normal(mean=0.3, std=1.0)
    init = fanin.jax.initializer(draw)

    def around(key: Any, x: Any) -> Any:
        w = init(key, (64, 33))
        return w, w * x + 1.0

    same(jax.jit(around)(KEY, jnp.float32(3.0))[0], init(KEY, (64, 33)))


@pytest.mark.parametrize("draw", [FAR, Orthogonal(gain=1.0, std=0.25)])
def test_draws_of_the_host_are_the_same_in_jit(draw: Draw) -> None:
    init = fanin.jax.initializer(draw)
    for dtype in ("float32", "bfloat16"):
        same(jax.jit(lambda key, dtype=dtype: init(key, (16, 16), dtype))(KEY), init(KEY, (16, 16), dtype))
    other = init(jax.random.key(8), (16, 16))
    assert (np.asarray(other) != np.asarray(init(KEY, (16, 16)))).any()


# ---------------------------------------------------------------- roles
def test_the_same_connection_in_every_layout() -> None:
    jax_layout = fanin.jax.he_normal()(KEY, (3, 5, 8, 16))
    torch_layout = fanin.jax.he_normal(axes="out in receptive receptive")(KEY, (16, 8, 3, 5))
    same(jnp.transpose(jax_layout, (3, 2, 0, 1)), torch_layout)
    by_position = fanin.jax.he_normal(in_axis=1, out_axis=0)(KEY, (16, 8, 3, 5))
    same(by_position, torch_layout)


def test_fans_follow_the_roles() -> None:
    assert fanin.jax.he_normal(batch_axis=0).roles((8, 64, 32)) == as_axes("batch in out", (8, 64, 32))
    # Eight experts of 64 inputs each: 16384 samples of N(0, 2 / 64); the variance of a sample
    # variance is 2 / n of its square, and 6.2 standard errors have a false alarm below 1e-9.
    stacked = np.asarray(fanin.jax.he_normal(batch_axis=0)(KEY, (8, 64, 32)), np.float64)
    assert abs(stacked.var() * 64 / 2 - 1) < 6.2 * math.sqrt(2 / stacked.size)
    wrong = np.asarray(fanin.jax.he_normal()(KEY, (8, 64, 32)), np.float64)
    assert abs(wrong.var() * 64 / 2 - 1) > 0.5


def test_vectors_have_no_fans_but_may_be_drawn() -> None:
    assert fanin.jax.normal(std=0.1)(KEY, (5,)).shape == (5,)
    assert fanin.jax.normal(std=0.1)(KEY, ()).shape == ()
    assert fanin.jax.he_normal(axes="out")(KEY, (5,)).shape == (5,)
    with pytest.raises(InputError, match="Fans need roles for a shape with fewer than two dimensions"):
        fanin.jax.he_normal()(KEY, (5,))


# ---------------------------------------------------------------- dtypes
@pytest.mark.parametrize("dtype", SMALL)
@pytest.mark.parametrize("scheme", ["he_normal", "glorot_uniform", "glorot_truncated_normal"])
def test_small_dtypes_are_float32_rounded_once(scheme: str, dtype: str) -> None:
    init = fanin.jax.initializer(scheme)
    kind = jnp.dtype(dtype)
    same(init(KEY, (64, 48), dtype), np.asarray(init(KEY, (64, 48))).astype(kind))
    same(jax.jit(lambda key: init(key, (64, 48), dtype))(KEY), init(KEY, (64, 48), dtype))


def test_default_dtypes() -> None:
    assert fanin.jax.he_normal(dtype=jnp.bfloat16)(KEY, (4, 4)).dtype == jnp.bfloat16
    assert fanin.jax.he_normal(dtype=jnp.bfloat16)(KEY, (4, 4), jnp.float16).dtype == jnp.float16
    with jax.enable_x64(True):
        wide = fanin.jax.he_normal()(KEY, (24, 16))
        assert wide.dtype == jnp.float64
        same(jax.jit(lambda key: fanin.jax.he_normal()(key, (24, 16)))(KEY), wide)
        narrow = fanin.jax.he_normal()(KEY, (24, 16), jnp.float32)
    # The float32 normal is within 1e-6 of the exact quantile (SPEC.md), and two roundings follow.
    std = math.sqrt(2 / 24)
    np.testing.assert_allclose(np.asarray(wide), np.asarray(narrow), rtol=2**-23, atol=1e-6 * std)


@pytest.mark.parametrize("dtype", ["int32", "bool", "complex64"])
def test_constants_in_any_dtype(dtype: str) -> None:
    same(fanin.jax.ones()(KEY, (2, 3), dtype), jnp.ones((2, 3), dtype))
    same(fanin.jax.zeros()(None, (2, 3), dtype), jnp.zeros((2, 3), dtype))


@pytest.mark.parametrize("name", ["he_normal", "he_uniform", "he_truncated_normal", "orthogonal"])
def test_complex_weights(name: str) -> None:
    init = getattr(fanin.jax, name)()
    eager = init(KEY, (24, 16), jnp.complex64)
    assert eager.dtype == jnp.complex64
    same(jax.jit(lambda key: init(key, (24, 16), jnp.complex64))(KEY), eager)
    keys = jax.random.split(KEY, 3)
    same(
        jax.vmap(lambda key: init(key, (24, 16), jnp.complex64))(keys)[1],
        init(keys[1], (24, 16), jnp.complex64),
    )
    named = getattr(fanin.jax, name)(seed=0, name="w", dtype=jnp.complex64)(None, (24, 16))
    expected = fanin.sample(name, (24, 16), seed=0, name="w", axes="in out", dtype="complex64")
    assert np.asarray(named).tobytes() == expected.tobytes()
    power = float(jnp.mean(jnp.square(jnp.abs(eager))))
    assert 0.6 < power / (1 / 24 if name == "orthogonal" else 2 / 24) < 1.5
    with jax.enable_x64(True):
        wide = jax.jit(lambda key: init(key, (24, 16), jnp.complex128))(KEY)
        assert wide.dtype == jnp.complex128
        np.testing.assert_allclose(np.asarray(wide), np.asarray(eager), atol=2e-6)


def test_the_dialect_of_jax_has_another_complex_law() -> None:
    init = fanin.jax.initializer("jax:he_uniform", axes="in out")
    assert init(KEY, (4, 4)).shape == (4, 4)
    with pytest.raises(InputError, match="on a disk"):
        init(KEY, (4, 4), jnp.complex64)


def test_empty_weights() -> None:
    for init in (fanin.jax.he_normal(), fanin.jax.orthogonal(), fanin.jax.zeros()):
        assert init(KEY, (0, 4), jnp.bfloat16).shape == (0, 4)


# ---------------------------------------------------------------- errors
@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: fanin.jax.he_normal()(None, (4, 4)), "An initializer needs one JAX key. Received: None"),
        (lambda: fanin.jax.he_normal()(0, (4, 4)), "An initializer needs one JAX key. Received: 0"),
        (lambda: fanin.jax.he_normal()(jax.random.split(KEY), (4, 4)), "use jax.vmap for a batch of keys"),
        (lambda: fanin.jax.he_normal()(jnp.zeros(2), (4, 4)), "shape \\(2,\\), float32"),
        (lambda: fanin.jax.he_normal()(jnp.zeros(3, jnp.uint32), (4, 4)), "two or four uint32 words"),
        (lambda: fanin.jax.he_normal(seed=0), "A stream needs both a seed and a name. Received: seed=0"),
        (lambda: fanin.jax.he_normal(name="w"), "A stream needs both a seed and a name"),
        (lambda: fanin.jax.he_normal(axes="in out", in_axis=0), "Roles were given twice"),
        (lambda: fanin.jax.he_normal(axes="in out")(KEY, (3, 3, 4, 4)), "Axes do not fit the shape"),
        (lambda: fanin.jax.he_normal(out_axis=0)(KEY, (4, 4)), "A dimension plays two roles"),
        (lambda: fanin.jax.he_normal()(KEY, (4, 4), jnp.int32), "Weights cannot be drawn in this dtype"),
        (lambda: fanin.jax.he_normal()(KEY, (4, 4), "float64"), "complex128 need jax_enable_x64"),
        (lambda: fanin.jax.he_normal()(KEY, (4, -4)), "A shape is a sequence of whole numbers"),
        (lambda: fanin.jax.he_normal("relu", None, "fan_in", 3), "he_normal takes fewer positional"),
        (lambda: fanin.jax.he_normal(scale=2.0), "Parameters do not fit he_normal"),
        (lambda: fanin.jax.glorot_uniform(gain=-1.0), "gain that is positive and finite"),
        (lambda: fanin.jax.constant(0.5)(KEY, (2,), jnp.int32), "The dtype does not hold the constant"),
        (lambda: fanin.jax.initializer("he_norml"), "Did you mean 'he_normal'"),
        (lambda: fanin.jax.initializer(3)(KEY, (4, 4)), "This is no scheme"),
        (lambda: fanin.jax.orthogonal()(KEY, (4,)), "dimensions"),
        (
            lambda: fanin.jax.he_normal()(KEY, (4, 4), None, jax.sharding.PartitionSpec("x")),
            "A PartitionSpec needs a mesh",
        ),
    ],
)
def test_errors(call: Any, text: str) -> None:
    with pytest.raises(InputError, match=text):
        call()


def test_errors_come_when_traced() -> None:
    with pytest.raises(FaninError, match="Axes do not fit the shape"):
        jax.eval_shape(lambda key: fanin.jax.he_normal(axes="in out")(key, (4, 4, 4)), KEY)


def test_the_words_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    # A front end that ignored the key would pass every test of repetition.
    expected = np.asarray(fanin.jax.he_normal()(KEY, (8, 8)))
    monkeypatch.setattr("fanin.jax.initializers.stream_words", lambda _: jnp.zeros(4, jnp.uint32))
    assert (np.asarray(fanin.jax.he_normal()(KEY, (8, 8))) != expected).any()


def test_factory_of_a_name() -> None:
    made = factory("xavier_normal")(gain=2.0)
    assert isinstance(made, Initializer)
    assert made.scheme == fanin.glorot_normal(gain=2.0)
