"""Write the golden unitary matrices, from the definition in SPEC.md section 7 and nothing else.

The fused multiply-add is that of `make_haar.py`: slow, but the same on any machine. Nothing of the kernel
is used, and none of NumPy's complex arithmetic but storing.

    PYTHONPATH=src python vectors/make_unitary.py
"""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from make_haar import fma
from numpy.typing import NDArray

from fanin.records.draw import Normal
from fanin.sampling.recipe import recipe
from fanin.sampling.reference import elements
from fanin.sampling.streams import stream_key

HERE = Path(__file__).resolve().parent
BLOCK, TAIL = 96, 384
SIZES = ((1, 1), (1, 7), (5, 9), (40, 61), (97, 130), (100, 500))

Array = NDArray[Any]


def product(a: Array, b: Array) -> Array:
    """Each part of each element a chain from zero, the summed index ascending."""
    shape = (a.shape[0], b.shape[1])
    re, im = np.zeros(shape, a.real.dtype), np.zeros(shape, a.real.dtype)
    for k in range(a.shape[1]):
        ar, ai, br, bi = np.broadcast_arrays(a.real[:, k, None], a.imag[:, k, None], b.real[k], b.imag[k])
        re = fma(ai, -bi, fma(ar, br, re))
        im = fma(ai, br, fma(ar, bi, im))
    return joined(re, im)


def joined(re: Array, im: Array) -> Array:
    """A complex array of two parts."""
    out = np.empty(np.broadcast_shapes(re.shape, im.shape), np.result_type(re, np.complex64))
    out.real, out.imag = re, im
    return out


def times(a: Array, b: Array) -> Array:
    """Element by element, each product and each sum rounded."""
    return joined(a.real * b.real - a.imag * b.imag, a.real * b.imag + a.imag * b.real)


def inverse(upper: Array, diagonal: Array) -> Array:
    """The inverse of an upper triangular matrix with a real diagonal, right-looking."""
    rest = np.eye(len(diagonal)).astype(np.complex128)
    for k in range(len(diagonal)):
        factor = 1.0 / diagonal[k]
        rest[: k + 1, k] = joined(rest.real[: k + 1, k] * factor, rest.imag[: k + 1, k] * factor)
        taken = times(rest[: k + 1, k, None], upper[None, k, k + 1 :])
        rest[: k + 1, k + 1 :] = joined(
            rest.real[: k + 1, k + 1 :] - taken.real, rest.imag[: k + 1, k + 1 :] - taken.imag
        )
    return rest


def step(out: Array, x: Array) -> None:
    """Multiply ``diag(0, W)``, W what ``out[b:, b:]`` holds, by a block of reflections."""
    count, kind = len(x), out.dtype
    real = x.real.dtype
    place = np.arange(count)
    x[:, :count] = np.triu(x[:, :count])
    square = np.zeros(count)
    for j in range(x.shape[1]):
        for part in (x.real, x.imag):
            value = part[:, j].astype(np.float64)
            square = square + value * value
    lead = x[place, place].astype(np.complex128)
    lead[square == 0.0] = square[square == 0.0] = 1.0
    size = np.sqrt(lead.real * lead.real + lead.imag * lead.imag)
    turn = joined(lead.real / size, lead.imag / size)
    length = np.sqrt(square)
    half = length * (length + size)
    scale = (1.0 / np.sqrt(half)).astype(real)
    x[place, place] = joined(lead.real + turn.real * length, lead.imag + turn.imag * length).astype(kind)
    x[...] = joined(x.real * scale[:, None], x.imag * scale[:, None])
    upper = product(x, x.conj().T).astype(np.complex128)
    t = inverse(upper, half * (scale.astype(np.float64) * scale.astype(np.float64)))
    y = product((-t).conj().T.astype(kind), x)
    back = (-turn).astype(kind)
    head = product(times(back[:, None], x[:, :count].conj().T), y)
    head[place, place] += back
    out[:count] = head
    if len(out) > count:
        update = product(product(out[count:, count:].copy(), x[:, count:].conj().T), y)
        out[count:, :count] = update[:, :count]
        out[count:, count:] += update[:, count:]


def unitary(normals: Array) -> Array:
    """The matrix of some normals, in their type."""
    short, long = normals.shape
    out = np.zeros((short, long), normals.dtype)
    tail = next((first for first in range(0, short, BLOCK) if long - first <= TAIL), short)
    precise = np.zeros((short - tail, long - tail), np.complex128)
    for first in reversed(range(0, short, BLOCK)):
        x = normals[first : first + BLOCK, first:]
        if first >= tail:
            step(precise[first - tail :, first - tail :], x.astype(np.complex128))
            if first == tail:
                out[tail:, tail:] = precise
        else:
            step(out[first:, first:], x.copy())
    return out


def main() -> None:
    """Write the file."""
    made = recipe(Normal(std=1.0), "float32")
    with (HERE / "unitary.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["dtype", "rows", "columns", "seed", "name", "sha256"])
        for short, long in SIZES:
            name = f"unitary {short} {long}"
            words = elements(made, stream_key(7, name), 0, 2 * short * long, "float32")
            normals = words.view(np.complex64).reshape(short, long)
            for dtype in ("complex64", "complex128"):
                data = unitary(normals.astype(dtype)).tobytes()
                writer.writerow([dtype, short, long, 7, name, hashlib.sha256(data).hexdigest()])


if __name__ == "__main__":
    main()
