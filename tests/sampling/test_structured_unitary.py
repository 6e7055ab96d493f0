"""Unitary matrices: orthonormal rows, Haar, near the exact values, and in every structured draw."""

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
from fanin.errors import InputError
from fanin.records.axes import Axes, Role
from fanin.records.draw import DeltaOrthogonal, Normal, Orthogonal, OrthogonalConvolution
from fanin.sampling.backends import VARIABLE
from fanin.sampling.engine import fill, fill_slice, generate
from fanin.sampling.structured import TOLERANCE
from fanin.sampling.structured_haar import haar
from fanin.sampling.structured_unitary import unitary

VECTORS = Path(__file__).resolve().parents[2] / "vectors"
FALSE_ALARM = 1e-9
Z = float(scipy.stats.norm.isf(FALSE_ALARM / 2))
ALLOWED = {"complex64": TOLERANCE["float32"], "complex128": TOLERANCE["float64"]}
SHAPES = [(1, 1), (1, 5), (2, 2), (7, 20), (64, 64), (96, 97), (97, 200), (300, 500)]


def normals(*shape: int, seed: int = 1) -> NDArray[np.complex128]:
    return generate(Normal(std=1.0), shape, seed=seed, name="w", dtype="complex64").astype(np.complex128)


def check_unitary(matrix: NDArray[np.complexfloating], kind: str) -> None:
    """Raise unless the rows of every matrix are orthonormal within the stated tolerance."""
    exact = matrix.astype(np.complex128)
    off = np.abs(exact @ exact.swapaxes(-1, -2).conj() - np.eye(matrix.shape[-2])).max()
    if off > ALLOWED[kind]:
        raise AssertionError(f"W W* is off by {off:.3g}, allowed {ALLOWED[kind]:.3g}")


@pytest.mark.parametrize("kind", ALLOWED)
@pytest.mark.parametrize("shape", SHAPES)
def test_rows_are_orthonormal_and_near_the_exact_ones(shape: tuple[int, int], kind: str) -> None:
    x = normals(*shape)
    w = unitary(x.astype(kind))
    assert w.dtype == kind
    check_unitary(w, kind)
    assert np.abs(w - unitary(x)).max() < ALLOWED[kind]


@pytest.mark.slow
def test_a_large_one() -> None:
    check_unitary(unitary(normals(1500, 1500).astype(np.complex64)), "complex64")


def test_the_check_of_orthonormality_can_fail() -> None:
    with pytest.raises(AssertionError, match="is off by"):
        check_unitary(unitary(normals(8, 8)) + 1e-13, "complex128")


@pytest.mark.parametrize("shape", [(6, 6), (40, 70), (130, 180)])
def test_it_is_the_product_of_reflections(shape: tuple[int, int]) -> None:
    short, long = shape
    x = normals(*shape)
    product, phases = np.eye(long, dtype=np.complex128), []
    for k in range(short):
        v = x[k, k:].copy()
        phases.append(-v[0] / abs(v[0]))
        v[0] += v[0] / abs(v[0]) * np.linalg.norm(v)
        # H_k ... H_0, each from the left.
        product[k:] -= np.outer(v.conj(), v @ product[k:]) * (2.0 / np.vdot(v, v).real)
    assert np.abs(unitary(x) - np.array(phases)[:, None] * product[:short]).max() < ALLOWED["complex128"]


def test_of_real_numbers_it_is_the_real_one() -> None:
    x = normals(50, 80).real
    assert np.abs(unitary(x.astype(np.complex128)) - haar(x.copy())).max() < ALLOWED["complex128"]


def test_zeros_reflect_too() -> None:
    w = unitary(np.zeros((3, 4), np.complex128))
    check_unitary(w, "complex128")
    x = normals(3, 4)
    x[1, 1] = 0.0
    check_unitary(unitary(x), "complex128")


def check_haar(w: NDArray[np.complex128], x: NDArray[np.complex128]) -> None:
    """Raise unless ``L W`` is a matrix of independent circular normals, E|z|^2 = 1.

    L has the lengths of the rows on its diagonal and the unused normals below: W is then the second
    factor of a Gaussian matrix, with a positive diagonal, which only a Haar matrix is.
    """
    count, short, long = x.shape
    lower = np.tril(x[..., :short], -1)
    place = np.arange(short)
    lower[:, place, place] = np.sqrt(np.square(np.abs(np.triu(np.ones((short, long))) * x)).sum(axis=-1))
    a = lower @ w
    for part in (a.real, a.imag):
        for values in (part, part[:, 0, 0], part[:, -1, -1], part[:, -1, 0]):
            p = scipy.stats.kstest(values.ravel() * math.sqrt(2.0), "norm").pvalue
            if p < FALSE_ALARM:
                raise AssertionError(f"L W is not normal, p = {p:.3g}")
    flat = a.reshape(count, -1)
    gram = np.abs(flat.T @ flat.conj() / count - np.eye(flat.shape[1]))
    relation = np.abs(flat.T @ flat / count)
    # |z|^2 has variance 1, z z' and z^2 have 1 and 2: standard errors up to sqrt(2 / count).
    if max(gram.max(), relation.max()) > 1.2 * Z * math.sqrt(2.0 / count):
        raise AssertionError("entries of L W are dependent")


@pytest.mark.parametrize("shape", [(4, 4), (3, 6)])
def test_it_is_the_positive_factor_of_a_gaussian_matrix(shape: tuple[int, int]) -> None:
    x = normals(10_000, *shape, seed=3)
    check_haar(unitary(x), x)


def test_a_wrong_phase_would_be_seen() -> None:
    x = normals(10_000, 4, 4, seed=3)
    w = unitary(x)
    for row in (0, 3):
        turned = w.copy()
        # LAPACK's own convention: the diagonal of R is real, but of either sign.
        turned[:, row] *= np.sign(turned[:, row, :1].real)
        with pytest.raises(AssertionError, match=r"not normal|dependent"):
            check_haar(turned, x)


def test_a_factorization_with_a_positive_diagonal_gives_it_back() -> None:
    # A = L W, hence A* = W* L*: the QR of A* has Q = W* once the diagonal of R is positive and real.
    x = normals(30, 50)
    lower = np.tril(x[:, :30], -1)
    place = np.arange(30)
    lower[place, place] = [np.linalg.norm(row[k:]) for k, row in enumerate(x)]
    w = unitary(x)
    q, r = np.linalg.qr((lower @ w).conj().T)
    diagonal = np.diagonal(r)
    assert np.abs((q * (diagonal / np.abs(diagonal))).conj().T - w).max() < 1e-12


def check_phases(w: NDArray[np.complex128]) -> None:
    """Raise unless eigenvalues are those of the circular unitary ensemble.

    One phase alone is uniform; ``E|tr W^j|^2 = min(j, n)``; two phases of n = 2 differ by d with the
    density ``(1 - cos d) / 2 pi``: they repel.
    """
    count, n, _ = w.shape
    values = np.linalg.eigvals(w)
    pick = np.random.default_rng(1).integers(n, size=count)
    phases = np.angle(values[np.arange(count), pick])
    if scipy.stats.kstest(phases, "uniform", args=(-math.pi, 2 * math.pi)).pvalue < FALSE_ALARM:
        raise AssertionError("eigenphases are not uniform")
    for power in (1, 2, 3):
        square = np.abs((values**power).sum(axis=-1)) ** 2
        if abs(square.mean() - min(power, n)) > Z * square.std() / math.sqrt(count):
            raise AssertionError(f"E|tr W^{power}|^2 = {square.mean():.4g}")
    if n == 2:
        gap = np.mod(np.angle(values[:, 0] / values[:, 1]), 2 * math.pi)
        law = scipy.stats.kstest(gap, lambda d: (d - np.sin(d)) / (2 * math.pi))
        if law.pvalue < FALSE_ALARM:
            raise AssertionError("eigenphases do not repel as they should")


@pytest.mark.parametrize("n", [2, 5])
def test_eigenphases(n: int) -> None:
    check_phases(unitary(normals(10_000, n, n, seed=2)))


def test_eigenphases_can_fail() -> None:
    with pytest.raises(AssertionError):  # LAPACK's Q as it comes
        check_phases(np.linalg.qr(normals(10_000, 3, 3, seed=2))[0])
    phases = np.exp(2j * math.pi * np.random.default_rng(0).random((10_000, 2)))
    with pytest.raises(AssertionError):  # independent phases do not repel
        check_phases(phases[..., None] * np.eye(2))


def test_entries_are_beta() -> None:
    w = unitary(normals(10_000, 3, 4, seed=6))
    for i, j in ((0, 0), (2, 3), (1, 2)):
        assert scipy.stats.kstest(np.abs(w[:, i, j]) ** 2, "beta", args=(1, 3)).pvalue > FALSE_ALARM


@pytest.mark.parametrize("dtype", ALLOWED)
def test_the_orthogonal_draw_of_a_complex_weight(dtype: str) -> None:
    draw = Orthogonal(gain=1.0, std=0.1)
    wide = generate(draw, (20, 30), seed=1, name="w", dtype=dtype)
    check_unitary(wide, dtype)
    # Its normals are the complex draw of the same stream, but for a factor.
    x = generate(Normal(std=math.sqrt(2.0)), (20, 30), seed=1, name="w", dtype="complex64")
    assert np.abs(wide - unitary(x.astype(dtype))).max() < 2 * ALLOWED["complex64"]
    tall = generate(draw, (30, 20), seed=1, name="w", dtype=dtype)
    assert (tall == generate(draw, (20, 30), seed=1, name="w", dtype=dtype).T).all()
    turned = generate(draw, (30, 20), seed=1, name="w", axes=Axes(roles=(Role.IN, Role.OUT)), dtype=dtype)
    assert (wide == turned.T).all()
    part = np.zeros((5, 10), dtype)
    fill_slice(part, draw, shape=(20, 30), index=(slice(5, 10), slice(0, 30, 3)), seed=1, name="w")
    assert (part == wide[5:10, ::3]).all()
    # Powers of two change no bit.
    blocks = generate(Orthogonal(gain=2.0, std=0.1, blocks=3), (24, 10), seed=1, name="w", dtype=dtype)
    for k in range(3):
        check_unitary(blocks[8 * k : 8 * k + 8] / 2, dtype)
    axes = Axes(roles=(Role.OUT, Role.IN, Role.RECEPTIVE, Role.RECEPTIVE), groups=2)
    grouped = generate(draw, (6, 4, 3, 3), seed=1, name="w", axes=axes, dtype=dtype)
    check_unitary(grouped.reshape(2, 3, 36), dtype)


def energy(kernel: NDArray[np.complex128], image: NDArray[np.complex128]) -> float:
    """Length of a circular convolution's output, for kernels (out, in, h, w) and images (in, H, W)."""
    out = np.zeros((kernel.shape[0], *image.shape[1:]), np.complex128)
    for place in np.ndindex(*kernel.shape[2:]):
        out += np.einsum("oi,ihw->ohw", kernel[(..., *place)], np.roll(image, place, (1, 2)))
    return float(np.linalg.norm(out))


@pytest.mark.parametrize("dtype", ALLOWED)
@pytest.mark.parametrize(
    "draw",
    [
        DeltaOrthogonal(gain=1.0, std=0.1, taps=9),
        OrthogonalConvolution(gain=1.0, std=0.1, sizes=(3, 3)),
        Normal(std=0.2),
    ],
    ids=["delta", "convolution", "normal"],
)
def test_convolutions_keep_lengths(
    draw: DeltaOrthogonal | OrthogonalConvolution | Normal, dtype: str
) -> None:
    kernel = generate(draw, (7, 4, 3, 3), seed=3, name="w", dtype=dtype).astype(np.complex128)
    image = normals(4, 8, 8, seed=9)
    off = abs(energy(kernel, image) / float(np.linalg.norm(image)) - 1.0)
    assert (off < 10 * ALLOWED[dtype]) != isinstance(draw, Normal)
    assert np.abs(kernel.imag).max() > 0.1


def test_bad_gains_are_refused() -> None:
    out = np.full((3, 3), 7.0, np.complex64)
    with pytest.raises(InputError, match="must be positive"):
        fill(out, Orthogonal(gain=-1.0, std=1.0), seed=0, name="w")
    with pytest.raises(InputError, match="do not fit complex64"):
        fill(out, Orthogonal(gain=1e39, std=1.0), seed=0, name="w")
    assert (out == 7.0).all()


@pytest.mark.parametrize("path", _kernel.paths())
def test_golden_matrices(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # vectors/make_unitary.py makes them from the text of the specification, without the kernel.
    monkeypatch.setenv(VARIABLE, path)
    with (VECTORS / "unitary.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) >= 10
    for row in rows:
        draw = Orthogonal(gain=1.0, std=0.1)
        shape = int(row["rows"]), int(row["columns"])
        made = generate(draw, shape, seed=int(row["seed"]), name=row["name"], dtype=row["dtype"])
        assert hashlib.sha256(made.tobytes()).hexdigest() == row["sha256"], row


def test_threads_and_stacks_change_no_bit() -> None:
    draw = Orthogonal(gain=1.0, std=0.1)
    one, two = (np.zeros((150, 220), np.complex64) for _ in range(2))
    fill(one, draw, seed=1, name="w", threads=1)
    fill(two, draw, seed=1, name="w", threads=2)
    assert one.tobytes() == two.tobytes()
    x = normals(3, 20, 30).astype(np.complex64)
    assert (unitary(x) == np.stack([unitary(one) for one in x])).all()


def test_without_the_kernel_the_values_are_near(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = Orthogonal(gain=1.0, std=0.1)
    for dtype, allowed in ALLOWED.items():
        with_kernel = generate(draw, (120, 150), seed=1, name="w", dtype=dtype)
        monkeypatch.setenv(VARIABLE, "off")
        without = generate(draw, (120, 150), seed=1, name="w", dtype=dtype)
        monkeypatch.delenv(VARIABLE)
        assert np.abs(with_kernel - without).max() < allowed
