"""The door for many tensors: one piece of work for the kernel, in whatever order they lie in memory."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fanin.errors import InputError, explain
from fanin.records.axes import Axes, as_axes
from fanin.records.draw import Constant, Draw, Structured
from fanin.sampling.backends import draw_many, lowered_each, tasks_of
from fanin.sampling.cast import COMPLEX, SERVED, rounded, storage_of
from fanin.sampling.engine import fill
from fanin.sampling.layout import logical_view
from fanin.sampling.outputs import array_of, check_threads, checked_output
from fanin.sampling.parts import parts
from fanin.sampling.recipe import constant, recipe
from fanin.sampling.streams import stream_key

__all__ = ["fill_many", "ready"]

_NUMBERS = 4096
"""Constants that are kept as they are stored: more than a model has different ones."""


def fill_many(
    outs: Sequence[object],
    draws: Draw | Sequence[Draw],
    *,
    seed: int,
    names: Sequence[str | tuple[str, ...]],
    axes: Axes | Sequence[Axes | None] | None = None,
    dtypes: str | Sequence[str | None] | None = None,
    threads: int | None = None,
) -> None:
    """Fill many tensors in place, each from the stream of its own name: `fill` for each, but faster.

    ``outs[k][...] = round(f(version, seed, names[k], i))`` for every k. What one draw, one `Axes` or one
    dtype is said for holds for all.

    Parameters
    ----------
    outs
        As `fill` takes them; no two may share memory.
    draws
        What to draw.
    seed, names
        Select the streams: one name an output.
    axes
        Roles of the stored dimensions.
    dtypes
        Needed for bit patterns only.
    threads
        Threads to use at most (all processors where None). Never changes a value.

    Raises
    ------
    InputError
        Anything that cannot be served; every output is then untouched. (Whether a structured draw can be
        made in its shape shows only when its turn comes, before the elementwise ones.)

    Examples
    --------
    >>> from fanin.records.draw import Normal
    >>> first, second = np.empty(4, np.float32), np.empty(4, np.float32)
    >>> fill_many([first, second], Normal(std=1.0), seed=0, names=["a", "b"])
    >>> bool((first == second).any())
    False
    """
    ready(outs, draws, seed=seed, names=names, axes=axes, dtypes=dtypes, threads=threads)()


def ready(
    outs: Sequence[object],
    draws: Draw | Sequence[Draw],
    *,
    seed: int,
    names: Sequence[str | tuple[str, ...]],
    axes: Axes | Sequence[Axes | None] | None = None,
    dtypes: str | Sequence[str | None] | None = None,
    threads: int | None = None,
) -> Callable[[], None]:
    """Check all that `fill_many` is given, write nothing, and return what fills.

    What is drawn element by element can no longer fail; a structured draw may, when its turn comes.

    Parameters
    ----------
    outs, draws, seed, names, axes, dtypes, threads
        As in `fill_many`.

    Raises
    ------
    InputError
        As `fill_many` does.

    Examples
    --------
    >>> from fanin.records.draw import Normal
    >>> first, second = np.zeros(4, np.float32), np.zeros(4, np.float32)
    >>> fill_both = ready([first, second], Normal(std=1.0), seed=0, names=["a", "b"])
    >>> bool(first.any())
    False
    >>> fill_both()
    >>> bool(first.all())
    True
    """
    check_threads(threads)
    count, names = len(outs), list(names)
    each, roles, formats = (_spread(value, count) for value in (draws, axes, dtypes))
    if any(len(values) != count for values in (names, each, roles, formats)):
        raise InputError(
            explain(
                "The lists do not have one length",
                received=f"{count} outputs, {len(names)} names, {len(each)} draws, {len(roles)} axes, "
                f"{len(formats)} dtypes",
                rule="There is one name an output, and one draw, Axes and dtype for each or for all",
            )
        )
    if set(map(type, outs)) <= {np.ndarray}:
        arrays: list[Any] = list(outs)
    else:
        pairs = [array_of(out, dtype) for out, dtype in zip(outs, formats, strict=True)]
        arrays, formats = [array for array, _ in pairs], [dtype for _, dtype in pairs]
    recipes = lowered_each(arrays, each, formats)
    direct: Sequence[int] = range(count)
    values: list[tuple[NDArray[Any], NDArray[Any]]] = []
    rest: list[int] = []
    if not all(recipes):
        for k in (k for k in direct if recipes[k] is None):
            value = _constant(arrays[k], each[k], names[k], roles[k], formats[k])
            if value is None:
                rest.append(k)
            else:
                values.append((arrays[k], value))
        direct = [k for k in direct if recipes[k] is not None]
    views = _picked(arrays, direct)
    if axes is not None:
        views = [logical_view(view, roles[k]) for view, k in zip(views, direct, strict=True)]
    tasks = tasks_of(views, _picked(recipes, direct), _picked(names, direct), seed)
    if tasks is None:
        # Something is wrong, or there is no kernel.
        direct, values, rest = [], [], list(range(count))
    for k in rest:
        _check(arrays[k], each[k], seed, names[k], roles[k], formats[k])
    if tasks is None:
        _check_apart(arrays)
    # What can still fail comes before the numbers.
    rest.sort(key=lambda k: not isinstance(each[k], Structured))
    early = next((place for place, k in enumerate(rest) if not isinstance(each[k], Structured)), len(rest))

    def one_by_one(places: Sequence[int]) -> None:
        for k in places:
            fill(
                arrays[k], each[k], seed=seed, name=names[k], axes=roles[k], dtype=formats[k], threads=threads
            )

    def run() -> None:
        one_by_one(rest[:early])
        if tasks is not None:
            draw_many(tasks, sum(view.size for view in views), threads)
        for array, value in values:
            array[...] = value
        one_by_one(rest[early:])

    return run


def _spread(value: Any, count: int) -> list[Any]:
    """One value an output, of those or of the one that was given."""
    return list(value) if isinstance(value, list | tuple) else [value] * count


def _constant(
    out: NDArray[Any], draw: Draw, name: object, axes: Axes | None, dtype: str | None
) -> NDArray[Any] | None:
    """The one number that fills an output as it stores it; None where `fill` has to look at it."""
    if type(draw) is not Constant or not (out.flags.c_contiguous and out.flags.writeable):
        return None
    if type(name) is not str or not name.isascii() or not name:
        return None
    as_axes(axes, out.shape)
    return _number(draw, dtype, out.dtype)


@lru_cache(maxsize=_NUMBERS)
def _number(draw: Constant, dtype: str | None, stored: np.dtype[Any]) -> NDArray[Any] | None:
    named = stored.name if dtype is None else dtype
    if named not in SERVED or stored != np.dtype(storage_of(named)) or not stored.isnative:
        return None
    return rounded(np.array(constant(draw, named)), named)


def _picked(values: Sequence[Any], places: Sequence[int]) -> list[Any]:
    return list(values) if len(places) == len(values) else [values[k] for k in places]


def _check(
    out: NDArray[Any],
    draw: Draw,
    seed: int,
    name: str | tuple[str, ...],
    axes: Axes | None,
    dtype: str | None,
) -> None:
    """Refuse what `fill` would refuse, before anything is written."""
    named = checked_output(out, dtype)
    stream_key(seed, name)
    as_axes(axes, out.shape)
    if isinstance(draw, Constant):
        constant(draw, named)
    elif not isinstance(draw, Structured):
        for part in parts(draw):
            recipe(part, COMPLEX.get(named, named))


def _check_apart(arrays: Sequence[NDArray[Any]]) -> None:
    whole = [array for array in arrays if array.size > 0 and array.flags.c_contiguous]
    bounds = sorted(np.lib.array_utils.byte_bounds(array) for array in whole)
    for (_, end), (begin, _) in itertools.pairwise(bounds):
        if end > begin:
            raise InputError(
                explain(
                    "Two outputs share memory",
                    received=f"arrays that both hold address {begin:#x}",
                    rule="Each output has memory of its own, or what it holds would depend on the order",
                    remedy="Give tied weights once, under one name",
                )
            )
