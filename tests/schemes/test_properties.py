"""Every scheme, dtype, odd shape and order of roles: the same in parts, as declared, or refused in words."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import fanin
from fanin.errors import FaninError
from fanin.records.axes import as_axes
from fanin.records.draw import Draw, Normal, Structured, TruncatedNormal, Uniform
from fanin.sampling.cast import SERVED, storage_of
from fanin.sampling.engine import fill_range, fill_slice
from fanin.schemes import registry
from fanin.schemes.sample import draw_of

SCHEMES = [(name, given) for name, one in registry.entries().items() for given in one.examples]
WORDS = ("out", "in", "receptive", "group", "head", "block", "expert", "batch")
SIZES = (0, 1, 2, 3, 7, 13, 31)
LOG_ODDS = math.log(2e9)
"""-ln of half the false-alarm rate: each bound below holds with probability 1 - 1e-9."""


ELEMENTWISE = [
    case
    for case in SCHEMES
    if isinstance(
        draw := registry.get(case[0], **case[1]).draw((512, 384)), Normal | Uniform | TruncatedNormal
    )
    and draw.mean == 0
]


@st.composite
def weights(
    pick: st.DrawFn, *, least: int = 0, differing: bool = False
) -> tuple[tuple[int, ...], str | None]:
    """A shape of up to four dimensions, with nothing, one, primes; roles for it, or none."""
    sizes = st.sampled_from((1, 2, 3, 7, 13, 31) if least else (0, 1, 2, 3, 7, 13, 31))
    shape = tuple(pick(st.lists(sizes, min_size=least, max_size=4)))
    words = pick(st.permutations(WORDS))[: len(shape)]
    if not differing:
        words = [pick(st.sampled_from(WORDS)) for _ in shape]
        if not shape or pick(st.booleans()):
            return shape, None
    return shape, " ".join(words)


def said_well(error: FaninError) -> None:
    """What was wrong, what was received, and a whole sentence at the end."""
    text = str(error)
    assert "Received: " in text, text
    assert text.endswith("."), text
    assert ".." not in text.replace("...", ""), text


def drawn(case: tuple[str, dict[str, Any]], shape: tuple[int, ...], **how: Any) -> NDArray[Any] | None:
    """A weight; None if it is refused, which is then done in words."""
    name, parameters = case
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", fanin.PrecisionWarning)
        try:
            return fanin.sample(registry.get(name, **parameters), shape, **how)
        except FaninError as error:
            said_well(error)
            return None


@settings(max_examples=250)
@given(case=st.sampled_from(SCHEMES), weight=weights(), dtype=st.sampled_from(SERVED),
       seed=st.integers(0, 2**64 - 1), data=st.data())  # fmt: skip
def test_whole_or_in_parts(
    case: tuple[str, dict[str, Any]], weight: tuple[tuple[int, ...], str | None], dtype: str, seed: int,
    data: st.DataObject,
) -> None:  # fmt: skip
    shape, axes = weight
    whole = drawn(case, shape, seed=seed, name="w", axes=axes, dtype=dtype)
    if whole is None:
        return
    assert whole.shape == shape
    again = drawn(case, shape, seed=seed, name="w", axes=axes, dtype=dtype)
    assert again is not None
    assert again.tobytes() == whole.tobytes()
    if not whole.size:
        return
    roles = as_axes(axes, shape)
    draw = draw_of(registry.get(case[0], **case[1]), shape, roles, dtype)
    index = tuple(
        slice(start, data.draw(st.integers(start, n)))
        for n in shape
        for start in (data.draw(st.integers(0, n)),)
    )
    part = np.zeros(whole[index].shape, storage_of(dtype))
    try:
        fill_slice(part, draw, shape=shape, index=index, seed=seed, name="w", axes=roles, dtype=dtype)
    except FaninError as error:
        assert isinstance(draw, Structured), draw
        said_well(error)
        return
    assert part.tobytes() == np.ascontiguousarray(whole[index]).tobytes()


@settings(max_examples=150)
@given(
    case=st.sampled_from(ELEMENTWISE),
    weight=weights(least=2, differing=True),
    order=st.permutations(range(4)),
)
def test_a_layout_moves_numbers_and_changes_none(
    case: tuple[str, dict[str, Any]], weight: tuple[tuple[int, ...], str | None], order: list[int]
) -> None:
    shape, axes = weight
    words = (
        axes or ""
    ).split()  # all different: dimensions of one role have the order in which they are stored
    turned = [k for k in order if k < len(shape)]
    here = drawn(case, shape, seed=3, name="w", axes=axes)
    there = drawn(
        case, tuple(shape[k] for k in turned), seed=3, name="w", axes=" ".join(words[k] for k in turned)
    )
    assert (here is None) == (there is None)
    if here is not None and there is not None:
        np.testing.assert_array_equal(here.transpose(turned), there)


def bound(draw: Draw, n: int) -> float:
    """How far the mean square of n numbers may lie from its expectation, relative to the variance.

    A normal: Laurent and Massart's tail of a chi-square. What is bounded: Hoeffding's inequality for the
    squares, which lie between 0 and the square of the larger bound.
    """
    if isinstance(draw, Normal):
        return 2.0 * math.sqrt(LOG_ODDS / n) + 2.0 * LOG_ODDS / n
    ends = (draw.low, draw.high) if isinstance(draw, Uniform) else (draw.lower, draw.upper)  # type: ignore[union-attr]
    return float(max(abs(end) for end in ends) ** 2 / draw.std**2 * math.sqrt(LOG_ODDS / (2 * n)))


@settings(max_examples=150)
@given(
    case=st.sampled_from(ELEMENTWISE),
    weight=weights(least=2),
    seed=st.integers(0, 2**64 - 1),
    scale=st.integers(1, 6),
)
def test_the_std_is_the_declared_one(
    case: tuple[str, dict[str, Any]], weight: tuple[tuple[int, ...], str | None], seed: int, scale: int
) -> None:
    shape, axes = weight
    # Larger in one dimension, so that there are numbers enough for the bound to say something.
    shape = (shape[0] * 31 * scale, *shape[1:])
    if math.prod(shape) > 200_000:
        return  # slow, and a smaller one says as much
    values = drawn(case, shape, seed=seed, name="w", axes=axes)
    if values is None or values.size == 0:
        return
    draw = draw_of(registry.get(case[0], **case[1]), shape, as_axes(axes, shape))
    if not isinstance(draw, Normal | Uniform | TruncatedNormal) or draw.mean != 0:
        return
    square = float(np.mean(np.square(values.astype(np.float64)))) / draw.std**2
    # float32's rounding of each number, twice in its square.
    assert abs(square - 1.0) <= bound(draw, values.size) + 4 * 2.0**-23, (draw, values.size)


def test_a_std_that_is_wrong_would_be_seen() -> None:
    for draw in (Normal(std=1.0), Uniform(low=-1.0, high=1.0)):
        # A tenth too large, of 100,000 numbers: the mean square is off by 0.21.
        assert bound(draw, 100_000) < 0.1


@settings(max_examples=80)
@given(case=st.sampled_from(SCHEMES), rows=st.integers(2**31, 2**40), columns=st.sampled_from((1, 3, 2**20)))
def test_beyond_what_memory_holds(case: tuple[str, dict[str, Any]], rows: int, columns: int) -> None:
    """A law needs no memory; a weight that has none to go to is refused; its last numbers can be drawn."""
    scheme = registry.get(case[0], **case[1])
    shape = (rows, columns)
    try:
        draw = scheme.draw(shape)
    except FaninError as error:
        said_well(error)
        return
    assert draw.std >= 0 or math.isnan(draw.std)
    if rows * columns * 4 > 2**45:  # 32 TiB
        assert drawn(case, shape, seed=0, name="w") is None
    if isinstance(draw, Normal | Uniform | TruncatedNormal):
        last, few = np.empty(5, np.float32), np.empty(2, np.float32)
        fill_range(last, draw, seed=0, name="w", begin=rows * columns - 5)
        fill_range(few, draw, seed=0, name="w", begin=rows * columns - 2)
        assert np.isfinite(last).all()
        np.testing.assert_array_equal(last[3:], few)


@pytest.mark.parametrize(
    "dtype", ["int32", "bool", "uint8", "complex256", "float128", "float4", "", "object", 3]
)
@pytest.mark.parametrize("name", ["he_normal", "orthogonal", "zeros", "sparse"])
def test_what_is_no_dtype_of_weights(name: str, dtype: Any) -> None:
    parameters = registry.entry(name).examples[0]
    with pytest.raises(FaninError) as told:
        fanin.sample(registry.get(name, **parameters), (4, 4), seed=0, name="w", dtype=dtype)
    said_well(told.value)
