"""The inverse CDF: error, order and symmetry, on samples and octave ends here, on all words when slow."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import mpmath
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import ndtri

from fanin import _kernel
from fanin.sampling.quantile import normal32, normal64, uniform32, uniform64

BOUND = 7.6e-7
"""The error that SPEC.md states."""


def error(v: NDArray[np.integer], z: NDArray[np.float32]) -> float:
    """Largest distance from Phi^-1(v / 2**32), for lower-half words."""
    return float(np.abs(z - ndtri(v / 2.0**32)).max())


def distinct() -> Iterator[NDArray[np.uint32]]:
    """Lower-half words, increasing, one for each value of float32(w | 1): all that z depends on."""
    yield np.arange(1, 1 << 24, 2, dtype=np.uint32)
    for octave in range(24, 31):
        step = 1 << (octave - 23)
        yield np.arange(1 << octave, 1 << (octave + 1), step, dtype=np.uint64).astype(np.uint32)
    yield np.array([0x7FFFFFFF], np.uint32)


def test_error_and_order_at_every_octave_end() -> None:
    for octave in range(1, 32):
        end = 1 << octave
        v = np.arange(max(1, end - 4096), min(end + 4096, 1 << 31), dtype=np.uint64).astype(np.uint32) | 1
        z = normal32(v)
        assert error(v, z) < BOUND
        assert (np.diff(z) >= 0).all()


def test_error_and_order_on_a_sample() -> None:
    rng = np.random.default_rng(0)
    v = np.sort(rng.integers(0, 1 << 31, 1 << 20, dtype=np.uint32)) | np.uint32(1)
    z = normal32(v)
    assert error(v, z) < BOUND
    assert (np.diff(z) >= 0).all()


def test_the_error_bound_can_fail() -> None:
    v = np.arange(1, 1 << 16, 2, dtype=np.uint32)
    with pytest.raises(AssertionError):
        assert error(v, normal32(v) + np.float32(1e-6)) < BOUND


def test_antisymmetric_to_the_bit_and_zero_at_the_median() -> None:
    word = np.random.default_rng(1).integers(0, 1 << 32, 1 << 18, dtype=np.uint32)
    assert (-normal32(word)).tobytes() == normal32(~word).tobytes()
    assert normal32(np.array([0x7FFFFFFF, 0x80000000], np.uint32)).tolist() == [0.0, 0.0]


def test_extremes_are_the_quantiles_of_one_word() -> None:
    z = normal32(np.array([0, 0xFFFFFFFF], np.uint32))
    exact = float(mpmath.sqrt(2) * mpmath.erfinv(1 - mpmath.mpf(2) ** -31))
    assert z.tolist() == pytest.approx([-exact, exact], abs=BOUND)


def test_two_words_give_float64() -> None:
    rng = np.random.default_rng(2)
    shift = rng.integers(0, 63, 400)
    word = rng.integers(0, 1 << 63, 400, dtype=np.uint64) >> shift.astype(np.uint64)
    with mpmath.workdps(50):
        exact = [
            float(mpmath.sqrt(2) * mpmath.erfinv(2 * mpmath.mpf(int(w) | 1) / mpmath.mpf(2) ** 64 - 1))
            for w in word
        ]
    # Fit 1.2e-15, and rounding: half a unit of the last place at |z| < 16, twice.
    assert np.abs(normal64(word) - exact).max() < 1.2e-15 + 2.0**-49
    assert (-normal64(word)).tobytes() == normal64(~word).tobytes()


def test_float64_refines_float32() -> None:
    rng = np.random.default_rng(3)
    first = rng.integers(0, 1 << 32, 1 << 16, dtype=np.uint32)
    wide = (first.astype(np.uint64) << np.uint64(32)) | rng.integers(0, 1 << 32, 1 << 16, dtype=np.uint64)
    z32, z64 = normal32(first), normal64(wide)
    # They share the first word, hence the same cell of two words' width around the odd one.
    v = np.minimum(first, ~first) | np.uint32(1)
    cell = ndtri((v + 1.0) / 2.0**32) - ndtri(np.maximum(v - 1.0, 2.0**-32) / 2.0**32)
    assert (np.abs(z32 - z64) <= BOUND + np.where(v == 1, np.inf, cell)).all()
    assert np.abs(uniform32(first) - uniform64(wide)).max() <= 2.0**-24


def test_uniform_is_open_odd_and_even_spaced() -> None:
    edge = np.array([0, 127, 128, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF], np.uint32)
    multiples = uniform32(edge) * 2.0**24
    assert multiples.tolist() == [1.0, 1.0, 1.0, 2.0**24 - 1, 1 - 2.0**24, -1.0]
    word = np.random.default_rng(4).integers(0, 1 << 32, 1 << 18, dtype=np.uint32)
    assert (-uniform32(word) == uniform32(~word)).all()
    assert (np.abs(uniform32(word)) < 1).all()


@pytest.mark.slow
def test_all_values_error_and_order() -> None:
    # z depends on float32(v) alone, so these 67 million words are all 2**32 of them.
    last, worst = -np.inf, 0.0
    for block in distinct():
        for part in np.array_split(block, max(1, block.size >> 20)):
            z = normal32(part)
            assert z[0] >= last
            assert (np.diff(z) >= 0).all()
            last = z[-1]
            # Words that round to the same float lie within half a unit of it.
            f = (part | 1).astype(np.float32)
            half = np.spacing(f) * 0.5 * (f >= 2.0**24)
            for p in (f - half.astype(np.float64), f + half.astype(np.float64)):
                worst = max(worst, float(np.abs(z - ndtri(np.minimum(p, 2.0**31) / 2.0**32)).max()))
    print(f"largest error over all words: {worst:.3e}")
    assert worst < BOUND


@pytest.mark.slow
@pytest.mark.parametrize("path", _kernel.paths())
def test_all_words_kernel_equals_reference(path: str) -> None:
    # All 2**32 words on this path: antisymmetric, the lowest bit without effect, increasing; and
    # equal to the reference wherever float32(v) changes. Together: equal everywhere.
    chunk = 1 << 22
    z, mirror = np.empty(chunk, np.float32), np.empty(chunk, np.float32)
    last = np.float32(-np.inf)
    for begin in range(0, 1 << 31, chunk):
        word = np.arange(begin, begin + chunk, dtype=np.uint32)
        _kernel.normals(word.view(np.uint8), z.view(np.uint8), path)
        _kernel.normals((~word).view(np.uint8), mirror.view(np.uint8), path)
        assert ((z.view(np.uint32) ^ mirror.view(np.uint32)) == 0x80000000).all()
        pairs = z.view(np.uint32).reshape(-1, 2)
        assert (pairs[:, 0] == pairs[:, 1]).all()
        assert z[0] >= last
        assert (z[1:] >= z[:-1]).all()
        last = z[-1]
    for block in distinct():
        out = np.empty(block.size, np.float32)
        _kernel.normals(block.view(np.uint8), out.view(np.uint8), path)
        for first, part in itertools.pairwise(range(0, block.size + (1 << 20), 1 << 20)):
            assert normal32(block[first:part]).tobytes() == out[first:part].tobytes()
