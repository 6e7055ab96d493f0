"""Orthogonal draws: orthonormal, Haar, one matrix for each batch index and group."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fanin.errors import InputError
from fanin.records.axes import Axes, Role
from fanin.records.draw import Normal, Orthogonal
from fanin.sampling.cast import encode
from fanin.sampling.engine import fill, generate
from fanin.sampling.structured_haar import TOLERANCE, haar

DRAW = Orthogonal(gain=1.5, std=1.0)
B, G, O, I, R = Role.BATCH, Role.GROUP, Role.OUT, Role.IN, Role.RECEPTIVE  # noqa: E741


def made(shape: tuple[int, ...], axes: Axes | None = None, dtype: str = "float64") -> NDArray[Any]:
    return generate(DRAW, shape, seed=1, name="w", axes=axes, dtype=dtype)


def check_orthonormal(matrix: NDArray[np.float64]) -> None:
    """Raise unless the shorter side is orthonormal times the gain."""
    tall = matrix if matrix.shape[0] >= matrix.shape[1] else matrix.T
    # Householder QR is backward stable: some units of rounding times the dimension.
    tolerance = 1.5**2 * 20 * max(matrix.shape) * 2.0**-53
    assert np.abs(tall.T @ tall - 1.5**2 * np.eye(tall.shape[1])).max() < tolerance


@pytest.mark.parametrize("shape", [(1, 1), (8, 8), (20, 7), (7, 20)])
def test_matrices(shape: tuple[int, int]) -> None:
    check_orthonormal(made(shape))


def test_the_check_can_fail() -> None:
    with pytest.raises(AssertionError):
        check_orthonormal(made((8, 8)) + 1e-6)


def test_convolution_is_out_by_the_rest_in_any_layout() -> None:
    stored = made((5, 3, 2, 2))
    check_orthonormal(stored.reshape(5, 12))
    other = made((2, 2, 3, 5), Axes(roles=(R, R, I, O)))
    assert (other.transpose(3, 2, 0, 1) == stored).all()


def test_batch_and_group_dimensions_hold_a_matrix_each() -> None:
    stored = made((2, 3, 6, 4), Axes(roles=(B, G, O, I)))
    matrices = stored.reshape(6, 6, 4)
    for matrix in matrices:
        check_orthonormal(matrix)
    assert len({m.tobytes() for m in matrices}) == 6


def test_packed_groups_hold_a_matrix_each() -> None:
    stored = made((12, 4, 3), Axes(roles=(O, I, R), groups=3))
    for group in stored.reshape(3, 4, 12):
        check_orthonormal(group)
    transposed = made((12, 4, 3), Axes(roles=(I, O, R), groups=3, transposed=True))
    for group in transposed.reshape(3, 4, 4, 3):
        check_orthonormal(group.transpose(1, 0, 2).reshape(4, 12))


def test_it_is_haar_of_the_normal_stream() -> None:
    # Whatever the roles of the sides, the normals lie in the stream as (shorter, longer).
    stream = generate(Normal(std=1.0), (4, 9), seed=1, name="w").astype(np.float64)
    assert (made((4, 9)) == 1.5 * haar(stream)).all()
    assert (made((9, 4)) == 1.5 * haar(stream).T).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("rows", "columns"), [(300, 700), (700, 300)])
def test_values_do_not_depend_on_memory(rows: int, columns: int, dtype: str) -> None:
    plain = made((rows, columns), dtype=dtype)
    turned = made((columns, rows), Axes(roles=(I, O)), dtype=dtype)
    assert (plain == turned.T).all()
    wide = np.zeros((rows, 2 * columns), dtype)
    fill(wide[:, ::2], DRAW, seed=1, name="w")
    assert (wide[:, ::2] == plain).all()
    assert (wide[:, 1::2] == 0).all()


def test_many_small_matrices_are_the_same_alone() -> None:
    axes = Axes(roles=(B, O, I))
    many = made((700, 24, 20), axes)
    few = made((300, 24, 20), axes)
    assert np.abs(many[:300] - few).max() < TOLERANCE["float64"]
    for matrix in many[::97]:
        check_orthonormal(matrix)


def test_blocks_hold_a_matrix_each() -> None:
    draw = Orthogonal(gain=1.5, std=1.0, blocks=4)
    gates = generate(draw, (32, 8), seed=1, name="w", dtype="float64").reshape(4, 8, 8)
    stacked = made((4, 8, 8), Axes(roles=(G, O, I)))
    assert (gates == stacked).all()
    heads = generate(
        draw, (24, 10, 2), seed=1, name="w", dtype="float64", axes=Axes(roles=(O, I, R), groups=2)
    )
    for head in heads.reshape(8, 3, 20):
        check_orthonormal(head)


def test_float32_is_near_float64() -> None:
    exact, rounded = made((300, 400)), made((300, 400), dtype="float32")
    assert np.abs(exact - rounded).max() < 1.5 * TOLERANCE["float32"]


@pytest.mark.parametrize("blocks", [0, -1, 3])
def test_blocks_that_do_not_divide(blocks: int) -> None:
    out = np.full((8, 4), 7.0)
    with pytest.raises(
        InputError, match=rf"blocks do not divide the outputs\. Received: blocks={blocks}, 8 outputs"
    ):
        fill(out, Orthogonal(std=1.0, blocks=blocks), seed=1, name="w")
    assert (out == 7.0).all()


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "float8_e5m2"])
def test_rounded_once(dtype: str) -> None:
    assert (made((6, 9), dtype=dtype) == encode(made((6, 9), dtype="float32"), dtype)).all()


@pytest.mark.parametrize("shape", [(4,), (), (0, 4)])
def test_no_matrix(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"An orthogonal draw needs a matrix\. Received: shape"):
        made(shape)
