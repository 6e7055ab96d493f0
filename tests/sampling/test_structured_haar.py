"""Haar matrices: orthonormal, exactly Haar, near the float64 values, equal however they are cut."""

from __future__ import annotations

import csv
import hashlib
import math
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
from numpy.typing import NDArray

from fanin import _kernel
from fanin.records.draw import Normal
from fanin.sampling.backends import VARIABLE, fill_flat
from fanin.sampling.engine import generate
from fanin.sampling.recipe import recipe
from fanin.sampling.streams import StreamKey
from fanin.sampling.structured_haar import PANEL, TOLERANCE, haar, haar_from

FALSE_ALARM = 1e-9
Z = float(scipy.stats.norm.isf(FALSE_ALARM / 2))
SHAPES = [(1, 1), (1, 5), (2, 2), (7, 20), (64, 64), (PANEL, PANEL), (PANEL + 1, 2 * PANEL), (600, 1100)]


def normals(*shape: int, seed: int = 1) -> NDArray[np.float64]:
    return generate(Normal(std=1.0), shape, seed=seed, name="w").astype(np.float64)


def check_orthonormal(matrix: NDArray[np.float64], kind: str) -> None:
    """Raise unless the rows of every matrix are orthonormal within the stated tolerance."""
    off = np.abs(matrix @ matrix.swapaxes(-1, -2) - np.eye(matrix.shape[-2])).max()
    if off > TOLERANCE[kind]:
        raise AssertionError(f"W W' is off by {off:.3g}, allowed {TOLERANCE[kind]:.3g}")


def check_haar(w: NDArray[np.float64], x: NDArray[np.float64]) -> None:
    """Raise unless W' is the Q, positive diagonal, of a matrix of independent standard normals.

    With R the lengths of the normals' rows on its diagonal and the unused normals above it, ``W' R``
    must be such a matrix: tested by its family, and by the correlation of neighbours.
    """
    count, short, long = x.shape
    r = np.tril(x[..., :short], -1).swapaxes(-1, -2).copy()
    place = np.arange(short)
    r[:, place, place] = np.sqrt(np.square(np.triu(np.ones((short, long))) * x).sum(axis=-1))
    a = w.swapaxes(-1, -2) @ r
    for p in (
        scipy.stats.kstest(a.ravel(), "norm").pvalue,
        # Row i of all matrices alone, where a wrong sign would show.
        *(scipy.stats.kstest(a[:, i, j], "norm").pvalue for i, j in ((0, 0), (1, 1), (long - 1, short - 1))),
    ):
        if p < FALSE_ALARM:
            raise AssertionError(f"W' R is not normal, p = {p:.3g}")
    flat = a.reshape(count, -1)
    gram = flat.T @ flat / count - np.eye(flat.shape[1])
    # The standard error is sqrt(2 / count) on the diagonal, sqrt(1 / count) off it.
    if np.abs(gram).max() > 1.2 * Z * math.sqrt(2.0 / count):
        raise AssertionError("entries of W' R are dependent")


@pytest.mark.parametrize("kind", ["float32", "float64"])
@pytest.mark.parametrize("shape", SHAPES)
def test_rows_are_orthonormal(shape: tuple[int, int], kind: str) -> None:
    w = haar(normals(*shape).astype(kind))
    assert w.dtype == kind
    check_orthonormal(w.astype(np.float64), kind)


def test_the_check_of_orthonormality_can_fail() -> None:
    w = haar(normals(8, 8))
    with pytest.raises(AssertionError, match="is off by"):
        check_orthonormal(w + 1e-13, "float64")


@pytest.mark.parametrize("shape", SHAPES)
def test_float32_is_near_the_exact_matrix(shape: tuple[int, int]) -> None:
    x = normals(*shape)
    assert np.abs(haar(x.astype(np.float32)) - haar(x)).max() < TOLERANCE["float32"]


@pytest.mark.parametrize("shape", [(6, 6), (40, 70), (PANEL + 40, PANEL + 90)])
def test_it_is_the_product_of_reflections(shape: tuple[int, int]) -> None:
    short, long = shape
    x = normals(*shape)
    product, signs = np.eye(long), []
    for k in range(short):
        v = x[k, k:].copy()
        signs.append(-math.copysign(1.0, v[0]))
        v[0] += math.copysign(float(np.linalg.norm(v)), v[0])
        product[:, k:] -= np.outer(product[:, k:] @ v, v) * (2.0 / (v @ v))
    assert np.abs(haar(x) - np.array(signs)[:, None] * product.T[:short]).max() < TOLERANCE["float64"]


def test_the_first_row_is_the_first_normals_on_the_sphere() -> None:
    x = normals(5, 9)
    assert np.abs(haar(x)[0] - x[0] / np.linalg.norm(x[0])).max() < 1e-15


@pytest.mark.parametrize("shape", [(4, 4), (3, 6)])
def test_it_is_the_positive_qr_of_a_gaussian_matrix(shape: tuple[int, int]) -> None:
    x = normals(40_000, *shape, seed=3)
    check_haar(haar(x), x)


def test_a_wrong_sign_would_be_seen() -> None:
    x = normals(40_000, 4, 4, seed=3)
    w = haar(x)
    for row in (0, 3):
        turned = w.copy()
        turned[:, row] *= np.sign(turned[:, row, :1])  # the convention that LAPACK's Q has
        with pytest.raises(AssertionError, match=r"not normal|dependent"):
            check_haar(turned, x)


def test_signs_of_a_fresh_factorization() -> None:
    # W' = Q R with R = diag(+-1): after the usual correction of the signs, Q is W' again.
    w = haar(normals(30, 50))
    q, r = np.linalg.qr(w.T)
    assert np.abs(q * np.sign(np.diagonal(r)) - w.T).max() < TOLERANCE["float64"]


@pytest.mark.parametrize("n", [2, 5])
def test_haar_moments(n: int) -> None:
    """E tr W = 0, E (tr W)^2 = 1, determinants +-1 alike often, entries^2 Beta(1/2, (n - 1)/2)."""
    count = 40_000
    w = haar(normals(count, n, n, seed=5))
    traces = np.trace(w, axis1=1, axis2=2)
    # E tr^4 is 3 at most (it is for n = 2: 0 for reflections, 6 for rotations), so tr^2 has variance 2.
    assert abs(traces.mean()) < Z / math.sqrt(count)
    assert abs(np.square(traces).mean() - 1.0) < Z * math.sqrt(2.0 / count)
    assert abs(np.linalg.det(w).mean()) < Z / math.sqrt(count)
    for i, j in np.ndindex(n, n):
        p = scipy.stats.kstest(np.square(w[:, i, j]), scipy.stats.beta(0.5, 0.5 * (n - 1)).cdf).pvalue
        assert p > FALSE_ALARM
        assert abs(np.sign(w[:, i, j]).mean()) < Z / math.sqrt(count)


def test_turning_changes_no_law() -> None:
    """Haar means that W U has the law of W: the angles of eigenvalues stay spread the same."""
    count, n = 20_000, 4
    w = haar(normals(count, n, n, seed=7))
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(n, n)))[0]
    for statistic in (lambda m: m[:, 0, 1], lambda m: np.trace(m, axis1=1, axis2=2)):
        first, second = statistic(w[: count // 2]), statistic(w[count // 2 :] @ turn)
        assert scipy.stats.ks_2samp(first, second).pvalue > FALSE_ALARM


@pytest.mark.parametrize("zeros", [slice(0, 1), slice(2, 4), slice(0, 4)])
def test_rows_of_zeros_erase_nothing(zeros: slice) -> None:
    x = normals(4, 6)
    x[zeros] = 0.0
    check_orthonormal(haar(x), "float64")
    check_orthonormal(haar(x.astype(np.float32)).astype(np.float64), "float32")


def test_a_stack_is_its_matrices() -> None:
    x = normals(3, 2, 20, 30)
    stacked = haar(x)
    for index in np.ndindex(3, 2):
        assert np.abs(stacked[index] - haar(x[index])).max() < TOLERANCE["float64"]
    assert (x == normals(3, 2, 20, 30)).all()  # the caller's normals are not used up


PATHS = _kernel.paths()
GOLDEN = list(
    csv.DictReader((Path(__file__).parents[2] / "vectors" / "haar.csv").read_text("utf-8").splitlines())
)


def drawn(row: dict[str, str], threads: int) -> NDArray[np.floating]:
    """The matrix of a golden row, from its key."""
    short, long = int(row["rows"]), int(row["columns"])
    key = StreamKey(**{word: int(row[word]) for word in ("key0", "key1", "counter2", "counter3")})
    flat = np.empty(short * long, np.float32)
    fill_flat(flat, recipe(Normal(std=1.0), "float32"), key, 0, "float32", threads)
    x = flat.reshape(short, long).astype(row["dtype"])
    out = np.empty((1, short, long), x.dtype)
    haar_from(out, lambda first, last: x[None, first:last].copy(), threads=threads)
    return out[0]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("threads", [1, 3])
def test_every_path_gives_the_bits_of_the_definition(
    path: str, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, path)
    assert len(GOLDEN) >= 10
    for row in GOLDEN:
        assert hashlib.sha256(drawn(row, threads).tobytes()).hexdigest() == row["sha256"], row


@pytest.mark.parametrize("row", GOLDEN, ids=lambda row: f"{row['dtype']}-{row['rows']}x{row['columns']}")
def test_numpy_alone_is_near_the_golden_matrices(
    row: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    promised = drawn(row, 1).astype(np.float64)
    monkeypatch.setenv(VARIABLE, "off")
    assert np.abs(drawn(row, 1) - promised).max() < TOLERANCE[row["dtype"]]


def test_the_block_is_the_kernels() -> None:
    assert _kernel.HAAR_BLOCK == PANEL


@pytest.mark.parametrize("kind", ["float32", "float64"])
@pytest.mark.parametrize("sizes", [(1, 1, 1), (5, 7, 3), (230, 500, 70), (64, 0, 9), (225, 193, 33)])
def test_products_are_the_same_on_every_path(sizes: tuple[int, int, int], kind: str) -> None:
    rows, depth, columns = sizes
    left, right = normals(rows, depth).astype(kind), normals(depth, columns, seed=2).astype(kind)
    made = []
    for path in PATHS:
        for threads in (1, 3):
            out = np.full((rows, columns), np.nan, kind)
            _kernel.product(out, left, right, threads, path)
            made.append(out)
    assert all(out.tobytes() == made[0].tobytes() for out in made)
    exact = left.astype(np.float64) @ right.astype(np.float64)
    # A chain of k steps is off by at most k units of the sum of its terms' sizes (Higham, 2002, 3.5).
    bound = (depth + 1) * np.finfo(kind).eps * (np.abs(left).astype(np.float64) @ np.abs(right))
    assert (np.abs(made[0] - exact) <= bound + 1e-300).all()


@pytest.mark.parametrize(
    "shapes",
    [
        ((1, 4, 6), (1, 3, 6)),
        ((1, 4, 6), (1, 4, 5)),
        ((2, 4, 6), (1, 4, 6)),
        ((1, 7, 6), (1, 7, 6)),
        ((4, 6), (4, 6)),
    ],
)
def test_a_step_that_does_not_fit_is_refused(shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    out, x = np.full(shapes[0], 3.0), np.ones(shapes[1])
    with pytest.raises(ValueError, match="do not fit"):
        _kernel.haar(out, x, 1, "auto")
    assert (out == 3.0).all()
