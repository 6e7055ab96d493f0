"""Write `complex.csv`, golden complex numbers, from the NumPy reference.

Floats of the recipes are hexadecimal, hence exact; numbers are the bit patterns of their components, real
and imaginary in turn.

    PYTHONPATH=src python vectors/make_complex.py
"""

from __future__ import annotations

import csv
import hashlib
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fanin.records.draw import Draw, Normal, TruncatedNormal, Uniform
from fanin.sampling.cast import COMPLEX
from fanin.sampling.parts import parts
from fanin.sampling.recipe import Recipe, recipe
from fanin.sampling.reference import elements
from fanin.sampling.streams import StreamKey, stream_key

HERE = Path(__file__).resolve().parent
NUMBERS = ("scale", "shift", "low", "high")
SEED = 7
SHORT, LONG = 8, 1 << 16
LONG_BEGIN = 3
BEGINS = (0, LONG_BEGIN, 2_147_483_645, (1 << 63) - SHORT)

DRAWS: dict[str, Draw] = {
    "uniform": Uniform(low=-0.25, high=0.25),
    "uniform, shifted": Uniform(low=0.5, high=0.75),
    "normal": Normal(std=1.0),
    "normal, std and mean": Normal(mean=0.1, std=0.02),
    "truncated": TruncatedNormal(std=0.8, parent_mean=0.0, parent_std=1.0, lower=-2.0, upper=2.0),
    "truncated, one side": TruncatedNormal(
        mean=0.05, std=0.1, parent_mean=-0.1, parent_std=0.1, lower=0.5, upper=math.inf
    ),
    "truncated, far tail": TruncatedNormal(std=0.1, parent_mean=0.0, parent_std=0.1, lower=8.0, upper=9.5),
}


def rows() -> Iterator[dict[str, object]]:
    """One row for each draw, dtype and first number: both components' recipes, and the answers."""
    for title, draw in DRAWS.items():
        key = stream_key(SEED, ("complex vectors", title))
        for dtype, real in COMPLEX.items():
            made = [recipe(part, real) for part in parts(draw)]
            for begin in BEGINS:
                row: dict[str, object] = {"dtype": dtype, "begin": begin}
                for one, component in zip(made, ("real", "imaginary"), strict=True):
                    row |= {f"{component} {label}": float(getattr(one, label)).hex() for label in NUMBERS}
                short = numbers(made, key, begin, SHORT, real)
                width = 2 * short.itemsize
                row["numbers"] = " ".join(f"{int(p):0{width}x}" for p in short.view(f"<u{short.itemsize}"))
                long = numbers(made, key, begin, LONG, real).tobytes() if begin == LONG_BEGIN else b""
                row["sha256"] = hashlib.sha256(long).hexdigest() if long else ""
                yield row | {"title": title}


def numbers(made: list[Recipe], key: StreamKey, begin: int, count: int, real: str) -> NDArray[Any]:
    """Elements 2 i of the real part's recipe and 2 i + 1 of the imaginary part's, in turn."""
    first, second = (elements(one, key, 2 * begin, 2 * (begin + count), real) for one in made)
    return np.stack([first[0::2], second[1::2]], axis=-1).reshape(-1)


def main() -> None:
    """Write the file."""
    found = list(rows())
    with (HERE / "complex.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(found[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(found)


if __name__ == "__main__":
    main()
