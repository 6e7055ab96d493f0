"""Through Keras' real layers, on each backend: the output variance that the fans promise.

What a layer tells an initializer is a shape, so where the shape alone would be read wrongly (a depthwise, a
transposed kernel, an embedding) `fanin.keras.kernel_axes` says what its dimensions mean; what the shape
alone would give is measured too.
"""

from __future__ import annotations

import functools
import importlib.util
import json
from pathlib import Path

import pytest

import fanin
from elsewhere import python
from fanin.errors import InputError, UnknownNameError
from fanin.laws.fans import fans
from layer_checks import check

pytest.importorskip("keras")

import fanin.keras
from fanin.keras import kernel_axes

PROGRAM = Path(__file__).parent / "keras_layers.py"
BACKENDS = [name for name in ("jax", "torch") if importlib.util.find_spec(name)]
LAYERS = [
    "Dense",
    "Conv2D(groups=1)",
    "Conv2D(groups=4)",
    "Conv2D(groups=32)",
    "Conv2DTranspose(strides=1)",
    "Conv2DTranspose(strides=2)",
    "Conv2DTranspose(strides=4)",
    "Conv2DTranspose by shape alone",
    "DepthwiseConv2D",
    "DepthwiseConv2D by shape alone",
    "SeparableConv2D",
    "EinsumDense heads",
    "EinsumDense experts",
    "MultiHeadAttention query",
    "MultiHeadAttention key",
    "MultiHeadAttention value",
    "MultiHeadAttention output",
    "LSTM",
    "GRU",
    "Embedding",
    "Embedding by shape alone",
]


@functools.cache
def powers(backend: str) -> dict[str, tuple[float, float, float]]:
    """What the program measures on a backend, in a process of its own."""
    lines = python(str(PROGRAM), KERAS_BACKEND=backend).splitlines()
    return {name: tuple(told) for name, told in json.loads(lines[-1]).items()}


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("backend", BACKENDS)
def test_the_layer_keeps_the_promise(backend: str, layer: str) -> None:
    check(*powers(backend)[layer])


@pytest.mark.parametrize("backend", BACKENDS)
def test_every_layer_of_the_program_is_checked(backend: str) -> None:
    assert sorted(powers(backend)) == sorted(LAYERS)


@pytest.mark.parametrize("layer", [name for name in LAYERS if "by shape alone" in name])
def test_the_band_tells_a_wrong_fan_from_the_right_one(layer: str) -> None:
    got, _, half = powers(BACKENDS[0])[layer]
    with pytest.raises(AssertionError, match="expected 1 within"):
        check(got, 1.0, half)


@pytest.mark.parametrize(
    ("axes", "shape", "fan_in", "fan_out"),
    [
        (kernel_axes("Dense"), (784, 256), 784, 256),
        (kernel_axes("Conv2D", strides=(2, 1), groups=4), (3, 3, 16, 64), 144, 9 * 64 / 4 / 2),
        (kernel_axes("Conv1DTranspose", strides=(3,)), (6, 8, 32), 32 * 6 / 3, 48),
        (kernel_axes("Conv3DTranspose", strides=2), (4, 4, 4, 8, 32), 32 * 64 / 8, 8 * 64),
        (kernel_axes("DepthwiseConv2D"), (3, 3, 64, 2), 9, 18),
        (kernel_axes("SeparableConv1D", strides=2), (5, 64, 2), 5, 5),
        (kernel_axes("LSTM"), (96, 4 * 128), 96, 128),
        (kernel_axes("GRUCell"), (96, 3 * 128), 96, 128),
        (kernel_axes("Embedding"), (50_000, 768), 1, 768),
    ],
    ids=str,
)
def test_fans_of_kernels(axes: fanin.Axes, shape: tuple[int, ...], fan_in: float, fan_out: float) -> None:
    found = fans(shape, axes)
    assert (found.fan_in, found.fan_out) == (fan_in, fan_out)


def test_layers_by_their_class() -> None:
    import keras

    for name in ("Dense", "Conv2D", "Conv2DTranspose", "DepthwiseConv2D", "LSTM", "GRUCell", "Embedding"):
        assert kernel_axes(getattr(keras.layers, name)) == kernel_axes(name)


def test_roles_go_through_a_config() -> None:
    axes = kernel_axes("Conv2DTranspose", strides=2)
    init = fanin.keras.HeNormal(seed=0, axes=axes)
    assert fanin.keras.HeNormal.from_config(init.get_config()).axes == axes


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: kernel_axes("Conv2DTransposed"), "Unknown Keras layer.*Did you mean 'Conv2DTranspose'"),
        (lambda: kernel_axes("BatchNormalization"), "Unknown Keras layer with a kernel"),
        (lambda: kernel_axes("Dense", strides=2), "Dense has no such strides or groups.*strides=2"),
        (lambda: kernel_axes("LSTM", groups=2), "LSTM has no such strides or groups.*groups=2"),
        (lambda: kernel_axes("DepthwiseConv2D", groups=2), "no such strides or groups"),
        (lambda: kernel_axes("Conv2D", strides=(2, 2, 2)), r"strides=\(2, 2, 2\)"),
        (lambda: kernel_axes("Conv2D", strides=0), "positive groups and stride"),
        (lambda: kernel_axes("Conv2D", groups=0), "positive groups and stride"),
    ],
)
def test_layers_without_such_roles(call: object, text: str) -> None:
    with pytest.raises((InputError, UnknownNameError), match=text):
        call()  # type: ignore[operator]
