"""Keras initializers: names, configs, streams, roles, dtypes, errors. Runs on Keras' NumPy backend."""

from __future__ import annotations

import contextlib
import copy
import inspect
import json
import math
import pickle
import random
from typing import Any

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

import fanin
import fanin.keras
from fanin.errors import InputError, UnknownNameError
from fanin.keras.base import SchemeInitializer
from fanin.keras.classes import camel_case
from fanin.records.axes import Axes, as_axes
from fanin.schemes import registry

SHAPE = (24, 16)
SHAPES = [
    ((24, 16), "in out"),
    ((16, 16), "in out"),
    ((3, 3, 8, 16), "receptive receptive in out"),
    ((3, 8, 16), "receptive in out"),
    ((16,), None),
]
"""One for each kind of scheme: of vectors, of matrices, of square ones, of kernels."""


def every() -> list[tuple[str, dict[str, Any]]]:
    """Each scheme with the first of its examples."""
    return [(name, dict(entry.examples[0])) for name, entry in registry.entries().items()]


def drawn(name: str, given: dict[str, Any]) -> NDArray[Any]:
    """What NumPy draws in the layout of Keras, for the first shape that the scheme serves."""
    for shape, axes in SHAPES:
        with contextlib.suppress(InputError):
            return fanin.sample(registry.get(name, **given), shape, seed=3, name="w", axes=axes)
    raise AssertionError(f"no shape for {name}")


def values(tensor: Any) -> NDArray[Any]:
    """A tensor of the backend, or a variable's, as NumPy has it."""
    return np.asarray(keras.ops.convert_to_numpy(getattr(tensor, "value", tensor)))


@keras.saving.register_keras_serializable(package="tests")
def squared_relu(x: Any) -> Any:
    return np.maximum(x, 0.0) ** 2


# ---------------------------------------------------------------- names
@pytest.mark.parametrize(("name", "given"), every())
def test_each_scheme_has_a_class(name: str, given: dict[str, Any]) -> None:
    kind = getattr(fanin.keras, camel_case(name))
    assert kind is getattr(fanin.keras, name)
    assert issubclass(kind, keras.initializers.Initializer)
    assert kind.__name__ == camel_case(name)
    assert registry.entry(name).summary in (kind.__doc__ or "")
    init = kind(**given, seed=3, name="w")
    expected = drawn(name, given)
    np.testing.assert_array_equal(values(init(expected.shape)), expected)


@pytest.mark.parametrize(("name", "given"), every())
def test_configs_make_the_same_again(name: str, given: dict[str, Any]) -> None:
    init = getattr(fanin.keras, name)(**given, seed=3)
    stored = json.loads(json.dumps(keras.initializers.serialize(init)))
    shape = drawn(name, given).shape
    assert stored["registered_name"] == f"fanin>{camel_case(name)}"
    for again in (keras.initializers.deserialize(stored), keras.initializers.get(stored)):
        assert type(again) is type(init)
        assert again.scheme == init.scheme
        assert again.get_config() == init.get_config()
        np.testing.assert_array_equal(values(again(shape)), values(init(shape)))
        init = getattr(fanin.keras, name)(**given, seed=3)


@pytest.mark.parametrize("text", ["fanin>HeNormal", "fanin>he_normal", "fanin>KaimingNormal", "fanin>msra"])
def test_lookup_by_string(text: str) -> None:
    found = keras.initializers.get(text)
    assert type(found) is fanin.keras.HeNormal
    layer = keras.layers.Dense(16, kernel_initializer=text)
    layer.build((None, 24))
    assert values(layer.kernel).shape == SHAPE


def test_keras_own_names_are_left_alone() -> None:
    assert type(keras.initializers.get("he_normal")) is keras.initializers.HeNormal
    with pytest.raises(AttributeError, match="has no attribute 'HeNorml'"):
        _ = fanin.keras.HeNorml
    assert {"HeNormal", "he_normal", "XavierUniform"} <= set(dir(fanin.keras))


def test_signatures() -> None:
    names = list(inspect.signature(fanin.keras.HeNormal).parameters)
    assert names == [
        "activation", "slope", "mode",
        "seed", "name", "shared", "axes", "input_axes", "output_axes",
    ]  # fmt: skip
    for name, entry in registry.entries().items():
        assert not set(names[3:]) & set(entry.signature.parameters), name
    base = inspect.signature(keras.initializers.Initializer.__call__).parameters
    ours = inspect.signature(SchemeInitializer.__call__).parameters
    assert list(ours)[: len(base)] == list(base)


def test_functions_and_axes_survive_a_config() -> None:
    axes = Axes(roles=tuple(as_axes("in out", (1, 1)).roles), groups=2, stride=1)  # type: ignore[union-attr]
    init = fanin.keras.HeNormal(squared_relu, seed=1, name=("block", "w"), axes=axes)
    stored = json.loads(json.dumps(keras.initializers.serialize(init)))
    again = keras.initializers.deserialize(stored)
    assert (again.scheme, again.axes, again.name) == (init.scheme, axes, ("block", "w"))
    np.testing.assert_array_equal(values(again(SHAPE)), values(init(SHAPE)))


def test_pickles() -> None:
    init = fanin.keras.GlorotUniform(seed=5)
    again = pickle.loads(pickle.dumps(init))  # noqa: S301 - our own bytes
    np.testing.assert_array_equal(values(again(SHAPE)), values(init(SHAPE)))


# ---------------------------------------------------------------- streams
def test_each_call_gives_new_values() -> None:
    init = fanin.keras.HeNormal(seed=0)
    first, second = values(init(SHAPE)), values(init(SHAPE))
    assert (first != second).mean() > 0.99
    again = fanin.keras.HeNormal(seed=0)
    np.testing.assert_array_equal(values(again(SHAPE)), first)
    np.testing.assert_array_equal(values(again(SHAPE)), second)


def test_later_calls_have_names_of_their_own() -> None:
    init = fanin.keras.HeNormal(seed=0, name="w")
    for label in ("w", ("w", "call 2"), ("w", "call 3")):
        expected = fanin.sample("he_normal", SHAPE, seed=0, name=label, axes="in out")
        np.testing.assert_array_equal(values(init(SHAPE)), expected)
    unnamed = fanin.keras.HeNormal(seed=0)(SHAPE)
    expected = fanin.sample("he_normal", SHAPE, seed=0, name=("he_normal", "24x16"), axes="in out")
    np.testing.assert_array_equal(values(unnamed), expected)


def test_shared_gives_the_same_values() -> None:
    init = fanin.keras.HeNormal(seed=0, shared=True)
    np.testing.assert_array_equal(values(init(SHAPE)), values(init(SHAPE)))
    assert init.clone().shared


def test_one_seed_in_two_initializers_is_not_one_stream() -> None:
    normal = values(fanin.keras.HeNormal(seed=0)((64, 64))).ravel()
    uniform = values(fanin.keras.HeUniform(seed=0)((64, 64))).ravel()
    wider = values(fanin.keras.HeNormal(seed=0)((64, 65)))[:, :64].ravel()
    for other in (uniform, wider):
        # 4096 independent pairs: |r| sqrt(n) stays below 6.1 with a false alarm of 1e-9.
        assert abs(np.corrcoef(normal, other)[0, 1]) * 64 < 6.1


def test_no_seed_is_a_random_one_that_keras_governs() -> None:
    state = random.getstate()
    try:
        keras.utils.set_random_seed(1)
        first = values(fanin.keras.HeNormal()(SHAPE))
        second = values(fanin.keras.HeNormal()(SHAPE))
        keras.utils.set_random_seed(1)
        again = values(fanin.keras.HeNormal()(SHAPE))
    finally:
        random.setstate(state)
    assert (first != second).mean() > 0.99
    np.testing.assert_array_equal(first, again)


def test_seed_generator() -> None:
    source = keras.random.SeedGenerator(7)
    one, other = fanin.keras.HeNormal(seed=source), fanin.keras.HeNormal(seed=source)
    first, second = values(one(SHAPE)), values(other(SHAPE))
    assert (first != second).mean() > 0.99
    again = fanin.keras.HeNormal(seed=keras.random.SeedGenerator(7))
    np.testing.assert_array_equal(values(again(SHAPE)), first)
    stored = json.loads(json.dumps(keras.initializers.serialize(one)))
    np.testing.assert_array_equal(values(keras.initializers.deserialize(stored)(SHAPE)), first)


def test_copies_go_on_counting_but_configs_from_json_begin_anew() -> None:
    init = fanin.keras.HeNormal(seed=0)
    first = values(init(SHAPE))
    for copied in (init.clone(), fanin.keras.HeNormal.from_config(init.get_config())):
        assert (values(copied(SHAPE)) != first).mean() > 0.99
    plain = json.loads(json.dumps(init.get_config()))
    np.testing.assert_array_equal(values(fanin.keras.HeNormal.from_config(plain)(SHAPE)), first)
    fresh = fanin.keras.HeNormal(seed=0)
    np.testing.assert_array_equal(values(copy.deepcopy(fresh)(SHAPE)), first)


# ---------------------------------------------------------------- roles
@pytest.mark.parametrize(
    ("given", "shape", "roles"),
    [
        ({}, (3, 3, 8, 16), "receptive receptive in out"),
        ({}, (5,), None),
        ({"input_axes": [0], "output_axes": [1, 2]}, (64, 8, 16), "in out out"),
        ({"output_axes": 0, "input_axes": 1}, (16, 24), "out in"),
        ({"axes": "batch in out"}, (8, 64, 32), "batch in out"),
        ({"axes": ("receptive", "receptive", "out", "in")}, (3, 3, 8, 16), "receptive receptive out in"),
    ],
)
def test_roles(given: dict[str, Any], shape: tuple[int, ...], roles: str | None) -> None:
    init = fanin.keras.HeNormal(**given)
    found = init.roles(shape)
    assert (found if found is None else str(found)) == roles
    assert init.clone().roles(shape) == found


def test_the_same_connection_in_every_layout() -> None:
    ours = values(fanin.keras.HeNormal(seed=0, name="w")((3, 5, 8, 16)))
    theirs = values(fanin.keras.HeNormal(seed=0, name="w", axes="out in receptive receptive")((16, 8, 3, 5)))
    np.testing.assert_array_equal(ours.transpose(3, 2, 0, 1), theirs)


# ---------------------------------------------------------------- dtypes
@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float8_e4m3fn", "float8_e5m2", "float64"])
def test_dtypes(dtype: str) -> None:
    got = fanin.keras.HeNormal(seed=0, name="w")(SHAPE, dtype=dtype)
    assert keras.backend.standardize_dtype(got.dtype) == dtype
    expected = fanin.sample("he_normal", SHAPE, seed=0, name="w", axes="in out", dtype=dtype)
    np.testing.assert_array_equal(values(got).astype(np.float64), expected.astype(np.float64))


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
@pytest.mark.parametrize("name", ["HeNormal", "HeUniform", "HeTruncatedNormal", "Orthogonal"])
def test_complex_variables(name: str, dtype: str) -> None:
    init = getattr(fanin.keras, name)(seed=0, name="w", shared=True)
    expected = fanin.sample(init.scheme, SHAPE, seed=0, name="w", axes="in out", dtype=dtype)
    assert values(init(SHAPE, dtype=dtype)).dtype == dtype
    np.testing.assert_array_equal(values(init(SHAPE, dtype=dtype)), expected)
    # Keras' NumPy backend keeps a complex128 variable in complex64.
    variable = keras.Variable(init, shape=SHAPE, dtype=dtype)
    np.testing.assert_array_equal(values(variable), expected.astype(values(variable).dtype))
    assert (values(fanin.keras.Zeros()(SHAPE, dtype=dtype)) == 0).all()


@pytest.mark.parametrize("dtype", ["int32", "bool"])
def test_constants_in_any_dtype(dtype: str) -> None:
    assert values(fanin.keras.Ones()((2, 3), dtype=dtype)).tolist() == [[1, 1, 1], [1, 1, 1]]


def test_empty_weights() -> None:
    assert values(fanin.keras.HeNormal()((0, 4))).shape == (0, 4)


# ---------------------------------------------------------------- errors
@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: fanin.keras.HeNormal(seed="one"), "The seed of an initializer is no seed. Received: 'one'"),
        (lambda: fanin.keras.HeNormal(seed=-1)(SHAPE), "The seed is out of range"),
        (lambda: fanin.keras.HeNormal(seed=True), "is no seed. Received: True"),
        (lambda: fanin.keras.HeNormal(name="")(SHAPE), "The name of a stream is no text"),
        (
            lambda: fanin.keras.HeNormal("relu", None, "fan_in", 3),
            "he_normal takes fewer positional",
        ),
        (lambda: fanin.keras.HeNormal(scale=2.0), "Parameters do not fit he_normal"),
        (lambda: fanin.keras.GlorotNormal(gain=math.nan), "gain that is positive and finite"),
        (lambda: fanin.keras.HeNormal(axes="in out")((3, 3, 4, 4)), "Axes do not fit the shape"),
        (lambda: fanin.keras.HeNormal(input_axes=5)(SHAPE), "input_axes names a dimension"),
        (lambda: fanin.keras.HeNormal(axes="in out", input_axes=0), "Roles were given twice"),
        (lambda: fanin.keras.HeNormal()((5,)), "Fans need roles"),
        (lambda: fanin.keras.HeNormal()(SHAPE, dtype="int32"), "Weights cannot be drawn in this dtype"),
        (lambda: fanin.keras.Constant(0.5)(SHAPE, dtype="int32"), "The dtype does not hold the constant"),
        (lambda: fanin.keras.HeNormal()((4, -4)), "A shape is a sequence of whole numbers"),
    ],
)
def test_errors(call: Any, text: str) -> None:
    with pytest.raises(InputError, match=text):
        call()


def test_an_unknown_activation_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'gelu'"):
        fanin.keras.HeNormal("geluu")
