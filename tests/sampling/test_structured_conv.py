"""Convolutions that keep lengths: delta-orthogonal and orthogonal over all taps."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import scipy.signal
import scipy.stats
from numpy.typing import NDArray

from fanin.errors import InputError
from fanin.records.axes import Axes, Role
from fanin.records.draw import DeltaOrthogonal, Normal, OrthogonalConvolution
from fanin.sampling.cast import encode
from fanin.sampling.engine import fill, generate
from fanin.sampling.structured_haar import TOLERANCE, haar

B, G, O, I, R = Role.BATCH, Role.GROUP, Role.OUT, Role.IN, Role.RECEPTIVE  # noqa: E741
CONVOLUTION = OrthogonalConvolution(gain=1.5, std=1.0)
DELTA = DeltaOrthogonal(gain=1.5, std=1.0)
KERNELS = [(2,), (3,), (7,), (2, 2), (3, 3), (1, 4), (3, 2), (5, 5), (2, 2, 2), (3, 3, 3), (2, 1, 3, 2)]


def check_isometry(kernel: NDArray[np.float64], gain: float, tolerance: float) -> None:
    """Raise unless ``sum_t W[t]' W[t + s]`` is ``gain^2 I`` for the shift s = 0 and 0 for all others."""
    outputs, inputs, *sizes = kernel.shape
    taps = kernel.reshape(outputs, inputs, -1)
    places = list(itertools.product(*map(range, sizes)))
    for shift in itertools.product(*(range(-n + 1, n) for n in sizes)):
        total = np.zeros((inputs, inputs))
        for number, place in enumerate(places):
            other = tuple(a + b for a, b in zip(place, shift, strict=True))
            if other in places:
                total += taps[:, :, number].T @ taps[:, :, places.index(other)]
        off = np.abs(total - gain**2 * np.eye(inputs) * (not any(shift))).max()
        if off > tolerance:
            raise AssertionError(f"shift {shift}: off by {off:.3g}, allowed {tolerance:.3g}")


@pytest.mark.parametrize("draw", [CONVOLUTION, DELTA])
@pytest.mark.parametrize("sizes", KERNELS)
def test_isometries(sizes: tuple[int, ...], draw: OrthogonalConvolution | DeltaOrthogonal) -> None:
    kernel = generate(draw, (12, 8, *sizes), seed=1, name="w", dtype="float64")
    check_isometry(kernel, 1.5, 1.5**2 * TOLERANCE["float64"])
    narrow = generate(draw, (12, 8, *sizes), seed=1, name="w")
    check_isometry(narrow.astype(np.float64), 1.5, 1.5**2 * TOLERANCE["float32"])
    assert np.abs(narrow - kernel).max() < 1.5 * TOLERANCE["float32"]


def test_the_check_can_fail() -> None:
    kernel = generate(CONVOLUTION, (12, 8, 3, 3), seed=1, name="w", dtype="float64")
    check_isometry(kernel, 1.5, 1e-13)
    for broken in (kernel[:, :, ::-1, :] + 1e-9, kernel * 1.001, np.roll(kernel, 1, axis=2)):
        with pytest.raises(AssertionError, match="off by"):
            check_isometry(broken, 1.5, 1e-13)


def test_a_convolution_keeps_the_length_of_a_picture() -> None:
    """The same, seen from outside: by SciPy's full convolution."""
    kernel = generate(CONVOLUTION, (6, 4, 3, 3), seed=2, name="w", dtype="float64")
    picture = np.random.default_rng(0).normal(size=(4, 10, 11))
    layer = [sum(scipy.signal.convolve(picture[i], kernel[o, i]) for i in range(4)) for o in range(6)]
    assert np.linalg.norm(layer) == pytest.approx(1.5 * np.linalg.norm(picture), rel=1e-13)


@pytest.mark.parametrize("sizes", [(3,), (3, 3), (2, 4)])
def test_all_taps_are_used_and_differ(sizes: tuple[int, ...]) -> None:
    kernel = generate(CONVOLUTION, (16, 16, *sizes), seed=3, name="w", dtype="float64")
    taps = kernel.reshape(256, -1).T
    assert (np.abs(taps).max(axis=1) > 0.01).all()
    assert np.linalg.matrix_rank(taps) == math.prod(sizes)


def test_power_of_the_taps() -> None:
    """Tap t of k has the share C(k - 1, t) / 2^(k - 1) of the power: the projections have mean rank n / 2."""
    count, n, k = 300, 4, 4
    kernels = generate(
        OrthogonalConvolution(std=1.0),
        (count, n, n, k),
        seed=4,
        name="w",
        axes=Axes(roles=(B, O, I, R)),
        dtype="float64",
    )
    power = np.square(kernels).sum(axis=(1, 2)) / n
    z = float(scipy.stats.norm.isf(1e-9 / 2))
    for tap in range(k):
        share = math.comb(k - 1, tap) / 2 ** (k - 1)
        assert abs(power[:, tap].mean() - share) < z * power[:, tap].std() / math.sqrt(count)
    assert np.abs(kernels.mean(axis=0)).max() < z / math.sqrt(count * n)


def test_one_tap_is_a_matrix() -> None:
    matrix = haar(generate(Normal(std=1.0), (4, 9), seed=1, name="w").astype(np.float64)).T
    for draw in (CONVOLUTION, DELTA):
        for shape in ((9, 4), (9, 4, 1), (9, 4, 1, 1)):
            made = generate(draw, shape, seed=1, name="w", dtype="float64")
            assert (made.reshape(9, 4) == 1.5 * matrix).all()


@pytest.mark.parametrize("sizes", [(3,), (4, 3), (2, 5, 1)])
def test_delta_is_zero_but_for_the_centre(sizes: tuple[int, ...]) -> None:
    kernel = generate(DELTA, (9, 4, *sizes), seed=1, name="w", dtype="float64")
    matrix = haar(generate(Normal(std=1.0), (4, 9), seed=1, name="w").astype(np.float64)).T
    centre = tuple(n // 2 for n in sizes)
    assert (kernel[(..., *centre)] == 1.5 * matrix).all()
    kernel[(..., *centre)] = 0.0
    assert (kernel == 0.0).all()


@pytest.mark.parametrize("draw", [CONVOLUTION, DELTA])
def test_maps_of_their_own(draw: OrthogonalConvolution | DeltaOrthogonal) -> None:
    apart = generate(draw, (3, 6, 4, 3), seed=1, name="w", axes=Axes(roles=(G, O, I, R)), dtype="float64")
    assert len({kernel.tobytes() for kernel in apart}) == 3
    for kernel in apart:
        check_isometry(kernel, 1.5, 1e-13)
    packed = generate(
        draw, (18, 4, 3), seed=1, name="w", axes=Axes(roles=(O, I, R), groups=3), dtype="float64"
    )
    assert (packed.reshape(apart.shape) == apart).all()
    turned = Axes(roles=(I, O, R), groups=3, transposed=True)
    transposed = generate(draw, (12, 6, 3), seed=1, name="w", axes=turned, dtype="float64")
    assert (transposed.reshape(3, 4, 6, 3).transpose(0, 2, 1, 3) == apart).all()
    stored = generate(draw, (3, 3, 4, 6), seed=1, name="w", axes=Axes(roles=(G, R, I, O)), dtype="float64")
    assert (stored.transpose(0, 3, 2, 1) == apart).all()


@pytest.mark.parametrize("draw", [CONVOLUTION, DELTA])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float8_e5m2"])
def test_rounded_once(draw: OrthogonalConvolution | DeltaOrthogonal, dtype: str) -> None:
    narrow = generate(draw, (6, 5, 3), seed=1, name="w", dtype=dtype)
    assert (narrow == encode(generate(draw, (6, 5, 3), seed=1, name="w"), dtype)).all()


@pytest.mark.parametrize(
    ("draw", "shape", "text"),
    [
        (DELTA, (4, 5, 3), "A delta-orthogonal kernel keeps.*4 outputs, 5 inputs"),
        (CONVOLUTION, (4, 5, 3), "An orthogonal convolution keeps.*4 outputs, 5 inputs"),
        (
            DeltaOrthogonal(gain=-1.0, std=1.0),
            (5, 4, 3),
            "The gain of a delta-orthogonal draw must be positive",
        ),
        (OrthogonalConvolution(gain=math.inf, std=1.0), (5, 4, 3), "The gain of an orthogonal convolution"),
        (DELTA, (5,), "needs a matrix"),
        (CONVOLUTION, (0, 0, 3), "needs a matrix"),
    ],
)
def test_refused(draw: OrthogonalConvolution | DeltaOrthogonal, shape: tuple[int, ...], text: str) -> None:
    out = np.full(shape, 7.0)
    with pytest.raises(InputError, match=text):
        fill(out, draw, seed=1, name="w")
    assert (out == 7.0).all()
