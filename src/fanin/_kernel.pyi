"""The compiled kernel; kernel/binding.cpp."""

from typing import Any

from numpy.typing import NDArray

class Recipe:
    def __init__(
        self,
        dtype: int,
        kind: int,
        wide: bool,
        scale: float,
        shift: float,
        low: float,
        high: float,
        start: int,
        width: int,
        near: float = 0.0,
        ratio: float = 0.0,
        complement: float = 0.0,
        mirrored: bool = False,
    ) -> None: ...

class Tasks:
    def __init__(
        self,
        outs: list[NDArray[Any]],
        recipes: Recipe | list[Recipe],
        names: list[str | tuple[str, ...]],
        seed: int,
    ) -> None: ...
    def fill(self, threads: int, path: str) -> None: ...

HAAR_BLOCK: int

def fill(
    out: NDArray[Any],
    recipe: Recipe,
    key: tuple[int, int, int, int],
    begin: int,
    steps: list[int] | None,
    threads: int,
    path: str,
) -> None: ...
def draw(out: NDArray[Any], recipe: Recipe, seed: int, name: object, threads: int) -> bool: ...
def draw_memory(address: int, count: int, recipe: Recipe, seed: int, name: object, threads: int) -> bool: ...
def fill_memory(
    addresses: list[int],
    counts: list[int],
    recipes: Recipe | list[Recipe],
    names: list[str | tuple[str, ...]],
    seed: int,
    threads: int,
    path: str,
) -> None: ...
def words(out: NDArray[Any], begin: int, key: tuple[int, int, int, int], path: str) -> None: ...
def normals(words: NDArray[Any], out: NDArray[Any], path: str) -> None: ...
def haar(out: NDArray[Any], normals: NDArray[Any], threads: int, path: str) -> None: ...
def product(out: NDArray[Any], left: NDArray[Any], right: NDArray[Any], threads: int, path: str) -> None: ...
def paths() -> list[str]: ...
