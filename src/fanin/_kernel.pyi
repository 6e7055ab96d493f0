"""The compiled kernel; kernel/binding.cpp."""

from typing import Any

from numpy.typing import NDArray

def fill(
    out: NDArray[Any],
    dtype: int,
    begin: int,
    key: tuple[int, int, int, int],
    kind: int,
    wide: bool,
    numbers: tuple[float, float, float, float],
    start: int,
    width: int,
    threads: int,
    path: str,
) -> None: ...
def fill_turned(
    out: NDArray[Any],
    dtype: int,
    begin: int,
    key: tuple[int, int, int, int],
    kind: int,
    wide: bool,
    numbers: tuple[float, float, float, float],
    start: int,
    width: int,
    threads: int,
    path: str,
    origin: int,
    rows: int,
    shape: list[int],
    strides: list[int],
) -> None: ...
def words(out: NDArray[Any], begin: int, key: tuple[int, int, int, int], path: str) -> None: ...
def normals(words: NDArray[Any], out: NDArray[Any], path: str) -> None: ...
def paths() -> list[str]: ...
