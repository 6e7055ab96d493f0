"""Through Flax's real layers, linen and nnx: the output variance that the fans promise.

Flax hands an initializer a shape too: dense and attention kernels as matrices, convolutions with their
groups, so the default axes are right. Said by roles here: strides of a transposed convolution,
`transpose_kernel`, einsums, fused gates and embeddings.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fanin
from fanin.laws.einsum import axes_from_einsum
from fanin.laws.fans import fans
from fanin.laws.gains import gain
from fanin.records.axes import Axes, Role
from layer_checks import Z, band, check

jax = pytest.importorskip("jax")
pytest.importorskip("flax")

from flax import linen, nnx  # noqa: E402

import fanin.jax  # noqa: E402 - only where the frameworks are there

BATCH, GROUP, OUT, IN, REC = Role.BATCH, Role.GROUP, Role.OUT, Role.IN, Role.RECEPTIVE
KEY = jax.random.key(0)
LECUN = fanin.jax.lecun_normal
Built = tuple[Any, Any]
"""A layer's outputs, and its kernel."""


def normal(*shape: int) -> Any:
    return jax.numpy.asarray(np.random.default_rng(1).standard_normal(shape), "float32")


def linen_run(layer: Any, x: Any) -> Built:
    variables = layer.init(KEY, x)
    return layer.apply(variables, x), variables["params"]["kernel"]


def nnx_run(layer: Any, x: Any) -> Built:
    return layer(x), layer.kernel[...]


def convolved(built: Built, roles: Axes | str, *, samples: int, rim: int = 0, promised: float = 1.0) -> None:
    """Places share inputs, so only the samples count as independent."""
    out, kernel = (np.asarray(one, np.float64) for one in built)
    draw = fanin.lecun_normal().draw(kernel.shape, roles)
    fan = fans(kernel.shape, roles).fan_in
    half = band(draw, samples=samples, fan=fan, units=out.shape[-1], weights=kernel.size)
    inner = out[:, rim:-rim, rim:-rim] if rim else out
    check(float(np.mean(inner**2)), promised, half)


def linen_dense() -> Built:
    return linen_run(linen.Dense(384, kernel_init=LECUN()), normal(512, 256))


def nnx_dense() -> Built:
    return nnx_run(nnx.Linear(256, 384, kernel_init=LECUN(), rngs=nnx.Rngs(0)), normal(512, 256))


@pytest.mark.parametrize("make", [linen_dense, nnx_dense])
def test_dense(make: Callable[[], Built]) -> None:
    convolved(make(), "in out", samples=512)


def linen_conv(groups: int) -> Built:
    layer = linen.Conv(128, (3, 3), feature_group_count=groups, padding="VALID", kernel_init=LECUN())
    return linen_run(layer, normal(192, 7, 7, 64))


def nnx_conv(groups: int) -> Built:
    layer = nnx.Conv(
        64, 128, (3, 3), feature_group_count=groups, padding="VALID", kernel_init=LECUN(), rngs=nnx.Rngs(0)
    )
    return nnx_run(layer, normal(192, 7, 7, 64))


@pytest.mark.parametrize("groups", [1, 4, 64])
@pytest.mark.parametrize("make", [linen_conv, nnx_conv])
def test_convolutions_with_groups(make: Callable[[int], Built], groups: int) -> None:
    convolved(make(groups), Axes(roles=(REC, REC, IN, OUT), groups=groups), samples=192)


def linen_transposed(strides: int, *, swapped: bool = False, axes: Axes | None = None) -> Built:
    layer = linen.ConvTranspose(
        16,
        (4, 4),
        strides=(strides, strides),
        padding="VALID",
        transpose_kernel=swapped,
        kernel_init=LECUN(axes=axes),
    )
    return linen_run(layer, normal(256, 6, 6, 128))


def nnx_transposed(strides: int, *, swapped: bool = False, axes: Axes | None = None) -> Built:
    layer = nnx.ConvTranspose(
        128,
        16,
        (4, 4),
        strides=(strides, strides),
        padding="VALID",
        transpose_kernel=swapped,
        kernel_init=LECUN(axes=axes),
        rngs=nnx.Rngs(0),
    )
    return nnx_run(layer, normal(256, 6, 6, 128))


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize("strides", [1, 2, 4])
@pytest.mark.parametrize("make", [linen_transposed, nnx_transposed])
def test_transposed_convolutions(make: Callable[..., Built], strides: int, swapped: bool) -> None:
    pair = (OUT, IN) if swapped else (IN, OUT)
    axes = Axes(roles=(REC, REC, *pair), stride=strides**2, transposed=True)
    convolved(make(strides, swapped=swapped, axes=axes), axes, samples=256, rim=4)


@pytest.mark.parametrize("make", [linen_transposed, nnx_transposed])
@pytest.mark.parametrize(
    ("strides", "swapped", "power"),
    [(1, False, 1.0), (2, False, 1 / 4), (1, True, 128 / 16), (2, True, 128 / 16 / 4)],
)
def test_what_a_transposed_kernels_shape_alone_gives(
    make: Callable[..., Built], strides: int, swapped: bool, power: float
) -> None:
    """Right at stride 1 with Flax's own layout; else the stride is missing, or outputs count as inputs."""
    pair = (OUT, IN) if swapped else (IN, OUT)
    axes = Axes(roles=(REC, REC, *pair), stride=strides**2, transposed=True)
    built = make(strides, swapped=swapped)
    convolved(built, axes, samples=256, rim=4, promised=power)
    if power != 1.0:
        with pytest.raises(AssertionError, match="expected 1 within"):
            convolved(built, axes, samples=256, rim=4)


def linen_attention() -> tuple[Any, dict[str, Any]]:
    layer = linen.MultiHeadDotProductAttention(num_heads=4, kernel_init=LECUN(), use_bias=False)
    x = normal(512, 1, 128)
    variables = layer.init(KEY, x)
    return layer.apply(variables, x), {k: v["kernel"] for k, v in variables["params"].items()}


def nnx_attention() -> tuple[Any, dict[str, Any]]:
    layer = nnx.MultiHeadAttention(
        4, 128, kernel_init=LECUN(), use_bias=False, decode=False, rngs=nnx.Rngs(0)
    )
    return layer(normal(512, 1, 128)), {
        part: getattr(layer, part).kernel[...] for part in ("query", "key", "value", "out")
    }


@pytest.mark.parametrize("make", [linen_attention, nnx_attention])
def test_attention(make: Callable[[], tuple[Any, dict[str, Any]]]) -> None:
    """One token: attention is that token, so the path is value, then output; the others apart."""
    out, kernels = make()
    draw = fanin.lecun_normal().draw((128, 128))
    half = band(draw, samples=512, fan=128, units=128, weights=128 * 128)
    check(float(np.mean(np.square(out))), 1.0, 2 * half)
    tokens = normal(512, 128)
    for part in ("query", "key", "value"):
        assert kernels[part].shape == (128, 4, 32)
        projected = np.einsum("sd,dhk->shk", tokens, kernels[part])
        check(float(np.mean(np.square(projected))), 1.0, half)


@pytest.mark.parametrize(
    ("equation", "kernel", "inputs", "naive"),
    [
        ("bsd,dhk->bshk", (128, 4, 32), (16, 32, 128), 1 / 4),
        ("ebc,ecd->ebd", (6, 64, 48), (6, 256, 64), 1 / 6),
    ],
)
@pytest.mark.parametrize("kind", ["linen", "nnx"])
def test_einsum(
    kind: str, equation: str, kernel: tuple[int, ...], inputs: tuple[int, ...], naive: float
) -> None:
    """The equation says the roles; from the shape alone the first dimension is taken for a kernel's."""

    def run(init: Any) -> float:
        x = normal(*inputs)
        if kind == "linen":
            layer = linen.Einsum(kernel, equation, use_bias=False, kernel_init=init)
            return float(np.mean(np.square(linen_run(layer, x)[0])))
        layer = nnx.Einsum(equation, kernel, kernel_init=init, rngs=nnx.Rngs(0))
        return float(np.mean(np.square(layer(x))))

    axes = axes_from_einsum(equation)
    fan = fans(kernel, axes)
    draw = fanin.lecun_normal().draw(kernel, axes)
    half = band(draw, samples=256, fan=fan.fan_in, units=int(fan.fan_out), weights=int(np.prod(kernel)))
    check(run(LECUN(axes=axes)), 1.0, half)
    # (128, 4, 32) read as a kernel of 128 taps, 4 inputs: a fan of 512, not 128.
    check(run(LECUN()), naive, half)
    with pytest.raises(AssertionError, match="expected 1 within"):
        check(naive, 1.0, half)


def _cell(name: str, units: int, inputs: int, samples: int) -> tuple[Any, Any]:
    """The power that a cell's state gets from a state of zeros, and its recurrent kernels."""
    x = normal(samples, inputs)
    zero = jax.numpy.zeros((samples, units))
    parts = {"kernel_init": LECUN(), "recurrent_kernel_init": fanin.jax.orthogonal()}
    if name.startswith("linen"):
        cell = getattr(linen, name.removeprefix("linen."))(units, **parts)
        carry = (zero, zero) if "LSTM" in name else zero
        variables = cell.init(KEY, carry, x)
        told = cell.apply(variables, carry, x)
        return (told[0][0] if "LSTM" in name else told[1]), variables["params"]
    if "Optimized" in name:
        # Four gates in one kernel: a matrix of its own for each.
        fused = Axes(roles=(IN, OUT), groups=4)
        parts = {"kernel_init": LECUN(axes=fused), "recurrent_kernel_init": fanin.jax.orthogonal(axes=fused)}
    cell = getattr(nnx, name.removeprefix("nnx."))(inputs, units, rngs=nnx.Rngs(0), **parts)
    told = cell((zero, zero) if "LSTM" in name else zero, x)
    return (told[0][0] if "LSTM" in name else told[1]), cell


@pytest.mark.parametrize(
    "name",
    [
        "linen.LSTMCell",
        "linen.OptimizedLSTMCell",
        "linen.GRUCell",
        "nnx.LSTMCell",
        "nnx.OptimizedLSTMCell",
        "nnx.GRUCell",
    ],
)
def test_recurrent_cells(name: str) -> None:
    """From a state of zeros: a sigmoid's gate times a tanh, of independent unit normals."""
    units, inputs, samples = 192, 128, 512
    state, _ = _cell(name, units, inputs, samples)
    expected = gain("sigmoid").second_moment * gain("tanh").second_moment
    z = np.random.default_rng(0).standard_normal((2, 200_000))
    one = np.square(np.tanh(z[0]) / (1 + np.exp(-z[1])))
    spread = float(np.mean(one**2) / np.mean(one) ** 2 - 1)
    # A unit's two sums vary in width by 2 / fan, a sample's by as much for all units; the function follows
    # each with an exponent of at most 1, so of at most 2 for both sums together.
    half = Z * (spread / (samples * units) + 4 * 2 / (samples * inputs) + 4 * 2 / (units * inputs)) ** 0.5
    values = np.asarray(state)
    if "LSTM" in name:
        # What the cell returns first is its memory c; h would have a third factor.
        assert values.shape == (samples, units)
    check(float(np.mean(values**2)), expected, half)


def test_fused_gates_have_an_orthogonal_matrix_each() -> None:
    _, cell = _cell("nnx.OptimizedLSTMCell", 64, 32, 4)
    kernel = np.asarray(cell.dense_h.kernel[...], np.float64)
    for gate in np.split(kernel, 4, axis=1):
        np.testing.assert_allclose(gate.T @ gate, np.eye(64), atol=1e-5)


@pytest.mark.parametrize("kind", ["linen", "nnx"])
def test_embeddings(kind: str) -> None:
    """A row is looked up, not summed: by its roles fan_in is 1; the shape alone counts the vocabulary."""

    def run(init: Any) -> float:
        tokens = np.arange(500)
        if kind == "linen":
            layer = linen.Embed(500, 64, embedding_init=init)
            return float(np.mean(np.square(layer.apply(layer.init(KEY, tokens), tokens))))
        return float(np.mean(np.square(nnx.Embed(500, 64, embedding_init=init, rngs=nnx.Rngs(0))(tokens))))

    half = Z * (2 / (500 * 64)) ** 0.5
    check(run(LECUN(axes="batch out")), 1.0, half)
    check(run(LECUN()), 1 / 500, half)
