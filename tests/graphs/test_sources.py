"""Views of a parameter are mapped back to its dimensions through strides."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanin.graphs.sources import Source, Span, layout_of, root, view


def strides_of(array: np.ndarray) -> tuple[int, ...]:
    return tuple(stride // array.itemsize for stride in array.strides)


def dims_of(array: np.ndarray, base: np.ndarray) -> list[list[int]]:
    """The dimensions of `base` whose index changes when a dimension of the view is walked."""
    places = np.stack(np.unravel_index(array, base.shape))
    found: list[list[int]] = []
    for axis in range(array.ndim):
        moves = np.diff(places, axis=axis + 1).reshape(base.ndim, -1).any(axis=1)
        found.append([int(dim) for dim in np.flatnonzero(moves)])
    return found


@given(
    st.lists(st.integers(2, 4), min_size=1, max_size=4),
    st.randoms(use_true_random=False),
)
def test_a_permuted_slice_is_mapped_to_where_its_numbers_come_from(shape: list[int], random: object) -> None:
    base = np.arange(int(np.prod(shape))).reshape(shape)
    order = list(range(base.ndim))
    random.shuffle(order)  # type: ignore[attr-defined]
    starts = [random.randrange(n) for n in shape]  # type: ignore[attr-defined]
    array = base[tuple(slice(start, None) for start in starts)].transpose(order)

    offset = int(array.ravel()[0])
    source = view(root("w", base.shape, strides_of(base), 0), array.shape, strides_of(array), offset)

    assert [sorted({span.dim for span in spans}) for spans in source.dims] == dims_of(array, base)
    # A dimension of size 1 starts at 0, wherever it is.
    assert list(source.start) == starts


def test_a_flattened_view_runs_through_several_dimensions() -> None:
    base = np.arange(2 * 3 * 4).reshape(2, 3, 4)
    source = view(root("w", base.shape, strides_of(base), 0), (2, 12), (12, 1), 0)
    assert source.dims == (
        (Span(dim=0, step=1, size=2),),
        (Span(dim=1, step=1, size=3), Span(dim=2, step=1, size=4)),
    )


def test_a_split_dimension_keeps_its_parameter_dimension() -> None:
    source = view(root("w", (12, 5), (5, 1), 0), (3, 4, 5), (20, 5, 1), 0)
    assert [spans[0].dim for spans in source.dims] == [0, 0, 1]
    assert [(spans[0].step, spans[0].size) for spans in source.dims[:2]] == [(4, 3), (1, 4)]


def test_a_copy_of_a_transpose_is_still_understood() -> None:
    transposed = view(root("w", (2, 3), (3, 1), 0), (3, 2), (1, 3), 0)
    copied = layout_of(transposed, (3, 2), (2, 1), 0)
    flat = view(copied, (6,), (1,), 0)
    assert [span.dim for span in flat.dims[0]] == [1, 0]


def test_an_expanded_dimension_runs_through_nothing() -> None:
    source = view(root("w", (4,), (1,), 0), (7, 4), (0, 1), 0)
    assert source.dims[0] == ()


@pytest.mark.parametrize(("stride", "right"), [((1, 3), True), ((3, 1), False)])
def test_the_check_sees_a_wrong_order(stride: tuple[int, int], right: bool) -> None:
    source: Source = view(root("w", (2, 3), (3, 1), 0), (3, 2), stride, 0)
    assert ([spans[0].dim for spans in source.dims] == [1, 0]) is right
