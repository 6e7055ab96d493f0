"""Fit the octave tables of the inverse normal CDF and write them for C++ and for Python.

Octave e of the narrow table covers tail probabilities p = 2**(e - 32) * m, m in [1, 2); of the wide
table p = 2**(e - 64) * m. In each, Phi^-1(p) is a polynomial in r = m - 1.5.

The narrow (float32) fit is least squares reweighted towards minimax (Lawson), pinned to the exact
quantile at both ends of its octave so that neighbours meet, and its coefficients are rounded one
after the other, each later one absorbing the rounding of those before. The wide (float64) fit
interpolates at Chebyshev nodes in high precision.

The committed tables are normative for stream version 1: run this to see where they come from, not
to change them.

    python vectors/make_table.py
"""

from __future__ import annotations

import textwrap
from pathlib import Path

import mpmath as mp
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
NARROW_DEGREE = 6
WIDE_DEGREE = 17
NODES = 240
LAWSON_STEPS = 30

mp.mp.dps = 60


def quantile(p: mp.mpf) -> mp.mpf:
    """Phi^-1(p), by Newton's method on a scaled tail so that tiny p keep their precision."""
    return mp.sqrt(2) * mp.erfinv(2 * p - 1)


def chebyshev(count: int) -> list[mp.mpf]:
    """Chebyshev nodes of [-1/2, 1/2]."""
    return [mp.cos(mp.pi * (2 * k + 1) / (2 * count)) / 2 for k in range(count)]


def narrow_row(octave: int) -> tuple[list[np.float32], float]:
    """Coefficients c0..c6 of one float32 octave, and the largest error of the fit."""
    scale = mp.mpf(2) ** (octave - 32)
    nodes = chebyshev(NODES)
    r = np.array([float(x) for x in nodes])
    target = np.array([float(quantile(scale * (mp.mpf("1.5") + x))) for x in nodes])
    ends = np.array([-0.5, 0.5])
    end_target = np.array([float(quantile(scale)), float(quantile(2 * scale))])
    known: dict[int, float] = {}
    for j in [0, *range(NARROW_DEGREE, 0, -1)]:
        free = [k for k in range(NARROW_DEGREE + 1) if k not in known]
        rest = target - sum(c * r**k for k, c in known.items())
        end_rest = end_target - sum(c * ends**k for k, c in known.items())
        basis = np.stack([r**k for k in free], axis=1)
        pins = np.stack([ends**k for k in free], axis=1) if len(free) >= 2 else np.empty((0, len(free)))
        weight = np.ones(NODES)
        for _ in range(LAWSON_STEPS):
            weighted = basis * weight[:, None]
            system = np.block([[basis.T @ weighted, pins.T], [pins, np.zeros((len(pins), len(pins)))]])
            right = np.concatenate([weighted.T @ rest, end_rest[: len(pins)]])
            solution = np.linalg.solve(system, right)[: len(free)]
            weight = weight * (np.abs(basis @ solution - rest) + 1e-12)
            weight /= weight.sum()
        known[j] = float(np.float32(solution[free.index(j)]))
    error = np.abs(sum(c * r**k for k, c in known.items()) - target).max()
    return [np.float32(known[k]) for k in range(NARROW_DEGREE + 1)], float(error)


def wide_row(octave: int) -> tuple[list[float], float]:
    """Coefficients c0..c17 of one float64 octave, and the largest error of the fit."""
    scale = mp.mpf(2) ** (octave - 64)
    nodes = chebyshev(WIDE_DEGREE + 1)
    matrix = mp.matrix([[x**k for k in range(WIDE_DEGREE + 1)] for x in nodes])
    right = mp.matrix([quantile(scale * (mp.mpf("1.5") + x)) for x in nodes])
    row = [float(c) for c in mp.lu_solve(matrix, right)]
    error = mp.mpf(0)
    for k in range(41):
        x = mp.mpf(k) / 40 - mp.mpf("0.5")
        value = mp.polyval([mp.mpf(c) for c in reversed(row)], x)
        error = max(error, abs(value - quantile(scale * (mp.mpf("1.5") + x))))
    return row, float(error)


def main() -> None:
    """Fit all octaves and write both files."""
    narrow = [narrow_row(e) for e in range(31)]
    wide = [wide_row(e) for e in range(63)]
    # The last octave holds the median alone, where float(v) rounds up to 2**31 (2**63).
    narrow_table = [row for row, _ in narrow] + [[np.float32(0)] * (NARROW_DEGREE + 1)]
    wide_table = [row for row, _ in wide] + [[0.0] * (WIDE_DEGREE + 1)]
    facts = [
        f"Narrow fit: degree {NARROW_DEGREE}, largest error {max(e for _, e in narrow):.3e}.",
        f"Wide fit: degree {WIDE_DEGREE}, largest error {max(e for _, e in wide):.3e}.",
    ]
    columns = range(NARROW_DEGREE + 1), range(WIDE_DEGREE + 1)

    title = "Octave tables of the inverse normal CDF; written by vectors/make_table.py, do not edit."
    python = [f'"""{title}', "", *facts, '"""', "", "from __future__ import annotations", ""]
    python += ['__all__ = ["NARROW", "WIDE"]', ""]
    cpp = [f"// {title}"]
    cpp += [f"// {fact}" for fact in facts]
    cpp += ["#pragma once", "", "namespace fanin {", ""]
    cpp += [f"constexpr int narrow_degree = {NARROW_DEGREE};", f"constexpr int wide_degree = {WIDE_DEGREE};"]
    tables = [
        ("NARROW", "narrow_table", "float", narrow_table, columns[0]),
        ("WIDE", "wide_table", "double", wide_table, columns[1]),
    ]
    for py_name, cpp_name, kind, table, degrees in tables:
        python += [f"{py_name}: tuple[list[str], ...] = ("]
        cpp += [f"alignas(64) constexpr {kind} {cpp_name}[{len(degrees)}][{len(table)}] = {{"]
        for j in degrees:
            values = [float(row[j]).hex() for row in table]
            lines = textwrap.wrap(" ".join(values), 96)
            python += ["    (", *[f'        "{line} "' for line in lines], "    ).split(),"]
            suffix = "f" if kind == "float" else ""
            cpp += ["    {" + ", ".join(v + suffix for v in values) + "},"]
        python += [")", f'"""Row j holds coefficient j of every octave, as exact hexadecimal {kind}s."""', ""]
        cpp += ["};"]
    cpp += ["", "}  // namespace fanin", ""]
    (ROOT / "src/fanin/sampling/_table.py").write_text("\n".join(python))
    (ROOT / "kernel/include/fanin/table.hpp").write_text("\n".join(cpp))
    for fact in facts:
        print(fact)


if __name__ == "__main__":
    main()
