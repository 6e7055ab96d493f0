"""The golden files: both backends reproduce them, and so does the C++ test that reads them alone."""

from __future__ import annotations

import csv
import hashlib
import subprocess
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from fanin import _kernel
from fanin.sampling.backends import VARIABLE, fill_flat
from fanin.sampling.cast import format_of
from fanin.sampling.recipe import FarTail, Kind, Recipe
from fanin.sampling.streams import StreamKey

VECTORS = Path(__file__).resolve().parents[2] / "vectors"
PATHS = ["off", *_kernel.paths()]


def read(name: str) -> list[dict[str, str]]:
    with (VECTORS / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def drawn(row: dict[str, str], count: int) -> NDArray[np.generic]:
    near, ratio, complement = (float.fromhex(row[label]) for label in ("near", "ratio", "complement"))
    mirrored = row["mirrored"] == "1"
    made = Recipe(
        kind=Kind(int(row["kind"])),
        wide=row["wide"] == "1",
        scale=float.fromhex(row["scale"]),
        shift=float.fromhex(row["shift"]),
        low=float.fromhex(row["low"]),
        high=float.fromhex(row["high"]),
        start=int(row["start"]),
        width=int(row["width"]),
        far=FarTail(near=near, ratio=ratio, complement=complement, mirrored=mirrored) if near else None,
    )
    key = StreamKey(**{word: int(row[word]) for word in ("key0", "key1", "counter2", "counter3")})
    out = np.zeros(count, format_of(row["dtype"]).storage)
    fill_flat(out, made, key, int(row["begin"]), row["dtype"], 2)
    return out


@pytest.mark.parametrize("path", PATHS)
def test_short_streams(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, path)
    rows = read("streams.csv")
    assert len(rows) > 200
    for row in rows:
        expected = row["elements"].split()
        got = drawn(row, len(expected))
        assert [f"{int(p):0{2 * got.itemsize}x}" for p in got.view(f"u{got.itemsize}")] == expected


@pytest.mark.parametrize("path", PATHS)
def test_long_streams(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, path)
    rows = read("digests.csv")
    assert len(rows) > 40
    for row in rows:
        data = drawn(row, int(row["count"])).tobytes()
        assert hashlib.sha256(data).hexdigest() == row["sha256"], row["title"]


@pytest.mark.slow
def test_the_cpp_test_alone(tmp_path: Path) -> None:
    # The kernel needs no Python: build its core and let it read the same files.
    configure = ["cmake", "-S", str(VECTORS.parent), "-B", str(tmp_path), "-DFANIN_BUILD_TESTS=ON"]
    subprocess.run(configure, check=True, capture_output=True)
    subprocess.run(["cmake", "--build", str(tmp_path)], check=True, capture_output=True)
    ran = subprocess.run(
        ["ctest", "--test-dir", str(tmp_path), "--no-tests=error", "--verbose"],
        check=True,
        capture_output=True,
        text=True,
    )
    assert " 0 failures" in ran.stdout
