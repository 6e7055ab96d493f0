"""Identity and sparse draws: what lies where, to the last place."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats

from fanin.errors import InputError
from fanin.records.axes import Axes, Role
from fanin.records.draw import Draw, Identity, Normal, Sparse
from fanin.sampling.cast import DTYPES, decode, encode
from fanin.sampling.engine import fill, fill_range, generate
from fanin.sampling.structured_sparse import _smallest

B, G, O, I, R = Role.BATCH, Role.GROUP, Role.OUT, Role.IN, Role.RECEPTIVE  # noqa: E741
HALF = Identity(gain=0.5, mean=0.0, std=1.0)
FALSE_ALARM = 1e-9
Z = float(scipy.stats.norm.isf(FALSE_ALARM / 2))


@pytest.mark.parametrize("shape", [(1, 1), (3, 3), (3, 5), (5, 3)])
def test_identity(shape: tuple[int, int]) -> None:
    assert (generate(HALF, shape, seed=0, name="w") == 0.5 * np.eye(*shape)).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_identity_in_every_format(dtype: str) -> None:
    draw = Identity(gain=0.3, mean=0.0, std=1.0)
    got = decode(generate(draw, (2, 3), seed=0, name="w", dtype=dtype), dtype)
    value = 0.3 if dtype == "float64" else float(decode(encode(np.array([0.3], np.float32), dtype), dtype)[0])
    assert (got == value * np.eye(2, 3)).all()


@pytest.mark.parametrize("sizes", [(3,), (4,), (3, 5), (2, 3, 4)])
def test_identity_of_kernels(sizes: tuple[int, ...]) -> None:
    want = np.zeros((4, 3, *sizes))
    want[(slice(None), slice(None), *(n // 2 for n in sizes))] = 0.5 * np.eye(4, 3)
    assert (generate(HALF, want.shape, seed=0, name="w") == want).all()


def test_identities_of_groups_and_copies() -> None:
    packed = generate(HALF, (6, 2), seed=0, name="w", axes=Axes(roles=(O, I), groups=3))
    assert (packed.reshape(3, 2, 2) == 0.5 * np.eye(2)).all()
    transposed = generate(HALF, (6, 2), seed=0, name="w", axes=Axes(roles=(I, O), groups=3, transposed=True))
    assert (transposed.reshape(3, 2, 2) == 0.5 * np.eye(2)).all()
    copies = generate(HALF, (5, 4, 3, 2), seed=0, name="w", axes=Axes(roles=(B, I, G, O)))
    assert (copies.transpose(0, 2, 3, 1) == 0.5 * np.eye(2, 4)).all()


@pytest.mark.parametrize(
    ("shape", "axes", "fan"),
    [
        ((40, 30), None, 30),
        ((30, 40), Axes(roles=(I, O)), 30),
        ((8, 5, 3, 2), None, 30),
        ((8, 10, 3), Axes(roles=(O, I, R), groups=2), 30),
        ((20, 4, 3), Axes(roles=(I, O, R), groups=2, transposed=True), 30),
        ((3, 30, 7), Axes(roles=(B, I, O)), 30),
    ],
)
@pytest.mark.parametrize("kept", [1, 7, 30])
def test_each_unit_has_its_connections(
    shape: tuple[int, ...], axes: Axes | None, fan: int, kept: int
) -> None:
    draw = Sparse(parent_std=0.1, kept=kept, std=1.0)
    weight = generate(draw, shape, seed=1, name="w", axes=axes)
    dense = generate(Normal(std=0.1), shape, seed=1, name="w", axes=axes)
    assert (weight[weight != 0] == dense[weight != 0]).all()
    order = Axes(roles=(O, I, *[R] * (len(shape) - 2))) if axes is None else axes
    units = (weight != 0).transpose(order.logical_order).reshape(-1, fan)
    assert (units.sum(axis=1) == kept).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_sparse_in_every_format(dtype: str) -> None:
    draw = Sparse(parent_std=0.1, kept=5, std=1.0)
    got = decode(generate(draw, (50, 20), seed=1, name="w", dtype=dtype), dtype)
    dense = decode(generate(Normal(std=0.1), (50, 20), seed=1, name="w", dtype=dtype), dtype)
    places = generate(draw, (50, 20), seed=1, name="w", dtype="float64") != 0
    assert (got == np.where(places, dense, 0.0)).all()


def test_places_are_even_and_independent() -> None:
    """Each pair of inputs of a unit is equally likely: chi-square over all pairs, and inputs over units."""
    units, fan, kept = 200_000, 8, 2
    weight = generate(Sparse(parent_std=1.0, kept=kept, std=1.0), (units, fan), seed=2, name="w")
    pairs = np.argwhere(weight != 0)[:, 1].reshape(units, kept)
    counts = np.bincount(pairs[:, 0] * fan + pairs[:, 1], minlength=fan * fan)
    possible = counts.reshape(fan, fan)[np.triu_indices(fan, 1)]
    assert possible.sum() == units
    assert scipy.stats.chisquare(possible).pvalue > FALSE_ALARM
    # Values do not depend on places, nor a unit's places on those of the unit before.
    first = weight[np.arange(units), pairs[:, 0]]
    assert abs(np.corrcoef(first, pairs[:, 0])[0, 1]) < Z / math.sqrt(units)
    assert abs(np.corrcoef(pairs[1:, 0], pairs[:-1, 0])[0, 1]) < Z / math.sqrt(units)


def test_places_depend_on_seed_and_name() -> None:
    draw = Sparse(parent_std=1.0, kept=10, std=1.0)
    places = {
        (generate(draw, (20, 100), seed=seed, name=name) != 0).tobytes() for seed in (0, 1) for name in "ab"
    }
    assert len(places) == 4


def test_equal_words_keep_the_first() -> None:
    order = np.array([[2.0, 1.0, 1.0, 1.0], [0.0, 3.0, 1.0, 2.0]])
    assert _smallest(order, 2).tolist() == [[False, True, True, False], [True, False, True, False]]


@pytest.mark.parametrize(
    ("draw", "shape", "text"),
    [
        (Identity(gain=0.0, mean=0.0, std=1.0), (3, 3), "The gain of an identity draw must be positive"),
        (Identity(gain=1e6, mean=0.0, std=1.0), (3, 3), "do not fit float16"),
        (HALF, (3,), "needs a matrix"),
        (Sparse(parent_std=0.1, kept=0, std=1.0), (4, 3), "joined to so many inputs.*kept=0, 3 inputs"),
        (Sparse(parent_std=0.1, kept=4, std=1.0), (4, 3), "joined to so many inputs.*kept=4, 3 inputs"),
        (Sparse(parent_std=0.0, kept=1, std=1.0), (4, 3), "std of a random draw must be positive"),
        (Sparse(parent_std=1e5, kept=1, std=1.0), (4, 3), "do not fit float16"),
    ],
)
def test_refused(draw: Draw, shape: tuple[int, ...], text: str) -> None:
    out = np.full(shape, 7.0, np.float16)
    with pytest.raises(InputError, match=text):
        fill(out, draw, seed=1, name="w")
    assert (out == 7.0).all()


@pytest.mark.parametrize("draw", [HALF, Sparse(parent_std=0.1, kept=1, std=1.0)])
def test_no_ranges(draw: Draw) -> None:
    with pytest.raises(InputError, match="element by element"):
        fill_range(np.empty(3, np.float32), draw, seed=0, name="w", begin=0)
