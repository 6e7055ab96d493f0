"""Write the golden Haar matrices, from the definition in SPEC.md section 7 and nothing else.

Every sum is a chain of fused multiply-adds. NumPy has no such operation, so it is made here from exact
sums and products: slow, but the same on any machine. Nothing of the kernel is used.

    PYTHONPATH=src python vectors/make_haar.py
"""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from make_streams import fnv1a
from numpy.typing import NDArray

from fanin.records.draw import Normal
from fanin.sampling.recipe import recipe
from fanin.sampling.reference import elements
from fanin.sampling.streams import StreamKey, stream_key

HERE = Path(__file__).resolve().parent
BLOCK, TAIL, LANES = 192, 384, 16
SIZES = ((1, 1), (1, 7), (5, 9), (40, 61), (200, 600), (193, 390), (210, 220))

Array = NDArray[Any]


def two_sum(a: Array, b: Array) -> tuple[Array, Array]:
    """``a + b`` rounded, and what was lost: exact together (Knuth)."""
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)


def split(a: Array) -> tuple[Array, Array]:
    """Two halves of the bits of a float64 (Veltkamp)."""
    scaled = a * 134217729.0
    high = scaled - (scaled - a)
    return high, a - high


def two_product(a: Array, b: Array) -> tuple[Array, Array]:
    """``a b`` rounded, and what was lost: exact together (Dekker)."""
    total = a * b
    (ah, al), (bh, bl) = split(a), split(b)
    return total, ((ah * bh - total) + ah * bl + al * bh) + al * bl


def odd_sum(a: Array, b: Array) -> Array:
    """``a + b`` in float64, rounded to odd: what is not exact gets an odd last bit."""
    total, lost = two_sum(a, b)
    even = (total.view(np.int64) & 1) == 0
    toward = np.nextafter(total, np.where(lost > 0.0, np.inf, -np.inf))
    return np.where((lost != 0.0) & even, toward, total)


def fma(a: Array, b: Array, c: Array) -> Array:
    """``a b + c`` with one rounding (S. Boldo and G. Melquiond, IEEE Trans. Computers 57, 2008)."""
    if c.dtype == np.float32:
        # The product is exact in float64, and rounding to odd hides the first of two roundings.
        return odd_sum(a.astype(np.float64) * b.astype(np.float64), c.astype(np.float64)).astype(np.float32)
    total, lost = two_product(a, b)
    high, low = two_sum(c, lost)
    result, rest = two_sum(total, high)
    final: Array = result + odd_sum(rest, low)
    return final


def product(left: Array, right: Array) -> Array:
    """Each element a chain from zero, the summed index ascending."""
    total = np.zeros((left.shape[0], right.shape[1]), left.dtype)
    for k in range(left.shape[1]):
        total = fma(*np.broadcast_arrays(left[:, k, None], right[None, k]), total)
    return total


def square_lengths(x: Array) -> Array:
    """Sixteen chains of squares in float64, folded by halves."""
    padded = np.zeros((len(x), -(-x.shape[1] // LANES) * LANES))
    padded[:, : x.shape[1]] = x
    parts = np.zeros((len(x), LANES))
    for first in range(0, padded.shape[1], LANES):
        value = padded[:, first : first + LANES]
        parts = fma(value, value, parts)
    while parts.shape[1] > 1:
        half = parts.shape[1] // 2
        parts = parts[:, :half] + parts[:, half:]
    return parts[:, 0]


def inverse(upper: Array) -> Array:
    """The inverse of an upper triangular matrix, column by column."""
    t = np.zeros_like(upper)
    for j in range(len(upper)):
        column = np.zeros(j)
        for k in range(j):
            column[: k + 1] = fma(np.full(k + 1, upper[k, j]), t[: k + 1, k], column[: k + 1])
        last = 1.0 / upper[j, j]
        t[:j, j] = column * -last
        t[j, j] = last
    return t


def step(out: Array, x: Array) -> None:
    """Multiply ``diag(0, W)``, W what ``out[b:, b:]`` holds, by a block of reflections."""
    count, kind = len(x), out.dtype
    place = np.arange(count)
    x[:, :count] = np.triu(x[:, :count])
    square, lead = square_lengths(x), x[place, place].astype(np.float64)
    lead[square == 0.0] = square[square == 0.0] = 1.0
    turn = np.where(lead < 0.0, -1.0, 1.0)
    length = np.sqrt(square)
    half = length * (length + np.abs(lead))
    scale = (1.0 / np.sqrt(half)).astype(kind)
    x[place, place] = (lead + turn * length).astype(kind)
    x *= scale[:, None]
    upper = np.triu(product(x, x.T.copy()).astype(np.float64))
    upper[place, place] = half * (scale.astype(np.float64) * scale.astype(np.float64))
    y = product(-inverse(upper).T.astype(kind), x)
    head = product((-turn).astype(kind)[:, None] * x[:, :count].T, y)
    head[place, place] += (-turn).astype(kind)
    out[:count] = head
    if len(out) > count:
        update = product(product(out[count:, count:].copy(), x[:, count:].T.copy()), y)
        out[count:, :count] = update[:, :count]
        out[count:, count:] += update[:, count:]


def haar(normals: Array) -> Array:
    """The matrix of some normals, in their type."""
    short, long = normals.shape
    out = np.zeros((short, long), normals.dtype)
    tail = next((first for first in range(0, short, BLOCK) if long - first <= TAIL), short)
    precise = np.zeros((short - tail, long - tail))
    for first in reversed(range(0, short, BLOCK)):
        x = normals[first : first + BLOCK, first:]
        if first >= tail:
            step(precise[first - tail :, first - tail :], x.astype(np.float64))
            if first == tail:
                out[tail:, tail:] = precise
        else:
            step(out[first:, first:], x.copy())
    return out


def main() -> None:
    """Write the file."""
    words = ("key0", "key1", "counter2", "counter3")
    fields = ["dtype", "rows", "columns", *words, "fnv1a", "sha256"]
    with (HERE / "haar.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, fields, lineterminator="\n")
        writer.writeheader()
        made = recipe(Normal(std=1.0), "float32")
        for short, long in SIZES:
            key: StreamKey = stream_key(7, ("vectors", f"haar {short} {long}"))
            normals = elements(made, key, 0, short * long, "float32").reshape(short, long)
            for dtype in ("float32", "float64"):
                data = haar(normals.astype(dtype)).astype(f"<{np.dtype(dtype).str[1:]}").tobytes()
                row: dict[str, object] = {"dtype": dtype, "rows": short, "columns": long}
                row |= dict(zip(words, key.words, strict=True))
                digests = {"fnv1a": f"{fnv1a(data):016x}", "sha256": hashlib.sha256(data).hexdigest()}
                writer.writerow(row | digests)


if __name__ == "__main__":
    main()
