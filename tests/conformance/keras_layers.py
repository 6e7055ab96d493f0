"""Powers that Keras' layers give unit-variance inputs, on the backend of this process, as JSON.

Run by `test_layers_keras`, once a backend. Each line: a layer, the power, what was promised, and the band.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

import fanin
import fanin.keras
from fanin.keras import kernel_axes
from fanin.laws.fans import fans
from fanin.laws.gains import gain
from fanin.records.axes import Axes
from layer_checks import Z, band

Result = tuple[float, float, float]
Array = NDArray[Any]

rng = np.random.default_rng(1)


def normal(*shape: int) -> Array:
    return rng.standard_normal(shape).astype(np.float32)


def numbers(tensor: Any) -> Array:
    value = getattr(tensor, "value", tensor)
    value = value.detach() if hasattr(value, "detach") else value
    return np.asarray(keras.ops.convert_to_numpy(value), np.float64)


def power(out: Any, rim: int = 0) -> float:
    values = numbers(out)
    if rim:
        values = values[:, rim:-rim, rim:-rim]
    return float(np.mean(np.square(values)))


def convolution(layer: Any, axes: Axes | None, x: Array, *, rim: int = 0, promised: float = 1.0) -> Result:
    """A layer of LeCun's law, whose promise is that the power stays."""
    out = layer(x)
    kernel = layer.weights[0]
    shape = tuple(kernel.shape)
    roles = axes or layer.kernel_initializer.roles(shape)
    draw = fanin.lecun_normal().draw(shape, roles)
    fan = fans(shape, roles).fan_in
    # Neighbouring places share inputs, so only the samples count as independent.
    half = band(draw, samples=x.shape[0], fan=fan, units=out.shape[-1], weights=numbers(kernel).size)
    return power(out, rim), promised, half


def dense() -> Result:
    layer = keras.layers.Dense(384, kernel_initializer=fanin.keras.LecunNormal(seed=1))
    return convolution(layer, None, normal(512, 256))


def conv2d(groups: int) -> Result:
    init = fanin.keras.LecunNormal(seed=1)
    layer = keras.layers.Conv2D(128, 3, groups=groups, kernel_initializer=init)
    return convolution(layer, None, normal(192, 7, 7, 64))


def transposed(strides: int) -> Result:
    axes = kernel_axes("Conv2DTranspose", strides=strides)
    init = fanin.keras.LecunNormal(seed=1, axes=axes)
    layer = keras.layers.Conv2DTranspose(16, 4, strides=strides, kernel_initializer=init)
    return convolution(layer, axes, normal(256, 6, 6, 128), rim=4)


def transposed_by_shape_alone() -> Result:
    """What a shape says: outputs for inputs, and no stride. The power is 128 / 16 / 4 of the promise."""
    init = fanin.keras.LecunNormal(seed=1)
    layer = keras.layers.Conv2DTranspose(16, 4, strides=2, kernel_initializer=init)
    return convolution(layer, kernel_axes("Conv2DTranspose", strides=2), normal(256, 6, 6, 128), rim=4,
                       promised=128 / 16 / 4)  # fmt: skip


def depthwise() -> Result:
    axes = kernel_axes("DepthwiseConv2D")
    layer = keras.layers.DepthwiseConv2D(
        5, depth_multiplier=2, depthwise_initializer=fanin.keras.LecunNormal(seed=1, axes=axes)
    )
    return convolution(layer, axes, normal(128, 7, 7, 256))


def depthwise_by_shape_alone() -> Result:
    """What a shape says: every channel an input of each. The power is 1 / 256 of what was promised."""
    layer = keras.layers.DepthwiseConv2D(
        5, depth_multiplier=2, depthwise_initializer=fanin.keras.LecunNormal(seed=1)
    )
    return convolution(layer, kernel_axes("DepthwiseConv2D"), normal(128, 7, 7, 256), promised=1 / 256)


def separable() -> Result:
    axes = kernel_axes("SeparableConv2D")
    layer = keras.layers.SeparableConv2D(
        128,
        3,
        depthwise_initializer=fanin.keras.LecunNormal(seed=1, axes=axes),
        pointwise_initializer=fanin.keras.LecunNormal(seed=2),
    )
    x = normal(128, 7, 7, 256)
    out = layer(x)
    shapes = [tuple(weight.shape) for weight in layer.weights]
    depth, point = (shapes[0], axes), (shapes[1], kernel_axes("Conv2D"))
    half = 0.0
    for (shape, roles), units in ((depth, 256), (point, 128)):
        draw = fanin.lecun_normal().draw(shape, roles)
        fan = fans(shape, roles).fan_in
        half += band(draw, samples=128, fan=fan, units=units, weights=math.prod(shape))
    return power(out), 1.0, half


def einsum(equation: str, shape: tuple[int | None, ...], x: Array, axes: str | None, fan: int) -> Result:
    layer = keras.layers.EinsumDense(
        equation, output_shape=shape, kernel_initializer=fanin.keras.LecunNormal(seed=1, axes=axes)
    )
    out = layer(x)
    size = numbers(layer.kernel).size
    draw = fanin.lecun_normal().draw((size // fan, fan))
    return power(out), 1.0, band(draw, samples=256, fan=fan, units=size // fan, weights=size)


def heads() -> Result:
    return einsum("bse,ehd->bshd", (None, 4, 32), normal(256, 4, 128), None, 128)


def experts() -> Result:
    return einsum("ebc,ecd->ebd", (None, 48), normal(6, 256, 64), "batch in out", 64)


def attention(part: str) -> Result:
    """One token: attention is that token, so the path is value, then output; queries and keys apart."""
    layer = keras.layers.MultiHeadAttention(4, 32, kernel_initializer=fanin.keras.LecunNormal(seed=1))
    x = normal(512, 1, 128)
    out = layer(x, x)
    draw = fanin.lecun_normal().draw((128, 128))
    half = band(draw, samples=512, fan=128, units=128, weights=128 * 128)
    if part == "output":
        return power(out), 1.0, 2 * half
    return power(getattr(layer, f"_{part}_dense")(x)), 1.0, half


def gates(name: str) -> Result:
    """From a state of zeros: a sigmoid's gate times a tanh, of independent unit normals."""
    units, inputs, samples = 192, 128, 512
    blocks = {"LSTM": 4, "GRU": 3}[name]
    # fan_avg of one gate is (128 + 192) / 2; with this gain the law promises each gate unit power.
    of_gate = ((inputs + units) / 2 / inputs) ** 0.5
    kernel = fanin.keras.GlorotNormal(seed=1, axes=kernel_axes(name), gain=of_gate)
    parts: dict[str, Any] = {
        "kernel_initializer": kernel,
        "recurrent_initializer": fanin.keras.Orthogonal(seed=2, blocks=blocks),
    }
    x = normal(samples, 1, inputs)
    if name == "LSTM":
        layer = keras.layers.LSTM(units, return_state=True, unit_forget_bias=False, **parts)
        out = layer(x)[2]
    else:
        layer = keras.layers.GRU(units, **parts)
        out = layer(x)
    gate, value = gain("sigmoid"), gain("tanh")
    promised = gate.second_moment * value.second_moment
    z = np.random.default_rng(0).standard_normal((2, 200_000))
    one = np.square(np.tanh(z[0]) / (1 + np.exp(-z[1])))
    spread = float(np.mean(one**2) / np.mean(one) ** 2 - 1)
    # A unit's two sums vary in width by 2 / fan, a sample's by as much for all units; the function follows
    # each with an exponent of at most 1, so of at most 2 for both sums together.
    half = Z * (spread / (samples * units) + 4 * 2 / (samples * inputs) + 4 * 2 / (units * inputs)) ** 0.5
    return power(out), promised, half


def embedding() -> Result:
    """A row is looked up, not summed: fan_in is 1, and LeCun's law is the unit normal."""
    init = fanin.keras.LecunNormal(seed=1, axes=kernel_axes("Embedding"))
    layer = keras.layers.Embedding(500, 64, embeddings_initializer=init)
    out = layer(np.arange(500)[None])
    return power(out), 1.0, Z * (2 / (500 * 64)) ** 0.5


def embedding_by_shape_alone() -> Result:
    """What a shape says: the vocabulary is the fan. The power is 1 / 500."""
    layer = keras.layers.Embedding(500, 64, embeddings_initializer=fanin.keras.LecunNormal(seed=1))
    return power(layer(np.arange(500)[None])), 1 / 500, Z * (2 / (500 * 64)) ** 0.5


CASES: dict[str, Callable[[], Result]] = {
    "Dense": dense,
    **{f"Conv2D(groups={g})": lambda g=g: conv2d(g) for g in (1, 4, 32)},  # type: ignore[misc]
    **{f"Conv2DTranspose(strides={s})": lambda s=s: transposed(s) for s in (1, 2, 4)},  # type: ignore[misc]
    "Conv2DTranspose by shape alone": transposed_by_shape_alone,
    "DepthwiseConv2D": depthwise,
    "DepthwiseConv2D by shape alone": depthwise_by_shape_alone,
    "SeparableConv2D": separable,
    "EinsumDense heads": heads,
    "EinsumDense experts": experts,
    **{
        f"MultiHeadAttention {part}": lambda part=part: attention(part)  # type: ignore[misc]
        for part in ("query", "key", "value", "output")
    },
    "LSTM": lambda: gates("LSTM"),
    "GRU": lambda: gates("GRU"),
    "Embedding": embedding,
    "Embedding by shape alone": embedding_by_shape_alone,
}

if __name__ == "__main__":
    print(json.dumps({name: [float(x) for x in case()] for name, case in CASES.items()}))
