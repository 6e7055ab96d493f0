"""Write the golden streams that the C++ and the Python tests read.

Values come from the NumPy reference, never from the kernel, except for `philox4x32_10.csv`: those
are the known answers that Random123 publishes (kat_vectors), kept as they are. Floats in the files
are hexadecimal, hence exact; elements are the bit patterns of what is stored.

    PYTHONPATH=src python vectors/make_streams.py
"""

from __future__ import annotations

import csv
import hashlib
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from fanin.records.draw import Draw, Normal, TruncatedNormal, Uniform
from fanin.sampling.cast import DTYPES
from fanin.sampling.recipe import Recipe, recipe
from fanin.sampling.reference import elements
from fanin.sampling.streams import StreamKey, stream_key

HERE = Path(__file__).resolve().parent
FIELDS = ("kind", "wide", "dtype", "key0", "key1", "counter2", "counter3", "begin")
NUMBERS = ("scale", "shift", "low", "high")
WINDOW = ("start", "width")
FAR = ("near", "ratio", "complement")
SHORT, LONG = 12, 1 << 17
BEGINS = (0, 1, 4_294_967_290, 17_179_869_181, (1 << 64) - 12)

DRAWS: dict[str, Draw] = {
    "uniform": Uniform(low=-0.25, high=0.25),
    "uniform, shifted": Uniform(low=0.5, high=0.75),
    "normal": Normal(std=1.0),
    "normal, std and mean": Normal(mean=0.1, std=0.02),
    "truncated": TruncatedNormal(std=1.0, parent_mean=0.0, parent_std=1.0, lower=-2.0, upper=2.0),
    "truncated, one side": TruncatedNormal(
        std=0.1, parent_mean=-0.1, parent_std=0.1, lower=0.5, upper=math.inf
    ),
    "truncated, tail": TruncatedNormal(std=0.1, parent_mean=0.0, parent_std=0.1, lower=-6.5, upper=-4.5),
    "truncated, far tail": TruncatedNormal(
        std=0.1, parent_mean=0.0, parent_std=0.01, lower=7.5, upper=math.inf
    ),
    "truncated, far tail, mirrored": TruncatedNormal(
        std=0.1, parent_mean=0.25, parent_std=0.01, lower=-31.0, upper=-30.0
    ),
}

NAMES: list[tuple[int, tuple[str, ...], str]] = [
    (0, ("weight",), "weight"),
    (0, ("layers.0.attention.query.weight",), "weight"),
    (0, ("layers.0", "attention", "query.weight"), "weight"),
    (1, ("weight",), "weight"),
    (2**64 - 1, ("weight",), "mask"),
    (42, ("gewicht.λ",), "weight"),
]


def rows(count: int, begins: tuple[int, ...]) -> Iterator[tuple[dict[str, object], bytes, str, int]]:
    """One row for each draw, dtype and begin: the kernel's arguments, and the stored bytes."""
    for title, draw in DRAWS.items():
        for dtype in DTYPES:
            key = stream_key(7, ("vectors", title))
            made = recipe(draw, dtype)
            for begin in begins:
                values = elements(made, key, begin, begin + count, dtype)
                yield arguments(made, key, dtype, begin), values.tobytes(), title, values.dtype.itemsize


def arguments(made: Recipe, key: StreamKey, dtype: str, begin: int) -> dict[str, object]:
    """The columns that a kernel needs to repeat a row."""
    fields = (int(made.kind), int(made.wide), dtype, *key.words, begin)
    row: dict[str, object] = dict(zip(FIELDS, fields, strict=True))
    row |= {label: float(getattr(made, label)).hex() for label in NUMBERS}
    row |= {label: getattr(made, label) for label in WINDOW}
    row |= {label: float(getattr(made.far, label, 0.0)).hex() for label in FAR}
    return row | {"mirrored": int(made.far is not None and made.far.mirrored)}


def fnv1a(data: bytes) -> int:
    """FNV-1a, 64 bits over 32-bit little-endian words: a digest that a C++ test writes in three lines."""
    state = 0xCBF29CE484222325
    for word in np.frombuffer(data, "<u4").tolist():
        state = ((state ^ word) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return state


def main() -> None:
    """Write every file."""
    columns = [*FIELDS, *NUMBERS, *WINDOW, *FAR, "mirrored"]
    with (HERE / "streams.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, [*columns, "elements", "title"], lineterminator="\n")
        writer.writeheader()
        for row, data, title, size in rows(SHORT, BEGINS):
            patterns = np.frombuffer(data, f"<u{size}")
            text = " ".join(f"{int(p):0{2 * size}x}" for p in patterns)
            writer.writerow(row | {"elements": text, "title": title})
    with (HERE / "digests.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, [*columns, "count", "fnv1a", "sha256", "title"], lineterminator="\n")
        writer.writeheader()
        for row, data, title, _ in rows(LONG, (3,)):
            digests = {"fnv1a": f"{fnv1a(data):016x}", "sha256": hashlib.sha256(data).hexdigest()}
            writer.writerow(row | digests | {"count": LONG, "title": title})
    with (HERE / "keys.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(
            file, ["seed", "name", "role", "key0", "key1", "counter2", "counter3"], lineterminator="\n"
        )
        writer.writeheader()
        for seed, name, role in NAMES:
            words = zip(FIELDS[3:7], stream_key(seed, name, role).words, strict=True)
            writer.writerow({"seed": seed, "name": "|".join(name), "role": role, **dict(words)})


if __name__ == "__main__":
    main()
