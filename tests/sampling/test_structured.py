"""Orthogonal draws: orthonormal, Haar, one matrix for each batch index and group."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fanin.errors import InputError
from fanin.records.axes import Axes, Role
from fanin.records.draw import Normal, Orthogonal
from fanin.sampling.cast import encode
from fanin.sampling.engine import generate
from fanin.sampling.structured import haar

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


def test_it_is_the_qr_of_the_normal_stream() -> None:
    normals = generate(Normal(std=1.0), (9, 4), seed=1, name="w").astype(np.float64)
    q = made((9, 4)) / 1.5
    r = q.T @ normals
    assert np.abs(np.tril(r, -1)).max() < 1e-13
    assert (np.diagonal(r) > 0).all()


def test_a_zero_on_the_diagonal_erases_nothing() -> None:
    q = haar(np.array([[1.0, 1.0], [1.0, 1.0], [0.0, 0.0]]))
    assert np.abs(q.T @ q - np.eye(2)).max() < 1e-15


def test_haar_moments() -> None:
    # For Haar matrices of order n: E trace = 0 and E trace**2 = 1, trace nearly N(0, 1); without
    # the sign fix the diagonal leans to one side (Mezzadri 2007).
    count, n = 4000, 5
    stored = generate(
        Orthogonal(std=1.0), (count, n, n), seed=3, name="w", axes=Axes(roles=(B, O, I)), dtype="float64"
    )
    traces = np.trace(stored, axis1=1, axis2=2)
    limit = 6.0  # two-sided normal, 2e-9
    assert abs(traces.mean()) < limit / math.sqrt(count)
    assert abs((traces**2).mean() - 1.0) < limit * math.sqrt(2.0 / count)
    unfixed = np.trace(np.linalg.qr(np.random.default_rng(0).normal(size=(count, n, n)))[0], axis1=1, axis2=2)
    assert abs(unfixed.mean()) > limit / math.sqrt(count)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "float8_e5m2"])
def test_rounded_once(dtype: str) -> None:
    assert (made((6, 6), dtype=dtype) == encode(made((6, 6)).astype(np.float32), dtype)).all()


@pytest.mark.parametrize("shape", [(4,), (), (0, 4)])
def test_no_matrix(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"An orthogonal draw needs a matrix\. Received: shape"):
        made(shape)
