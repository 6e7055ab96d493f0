"""Draw one weight as a NumPy array."""

from __future__ import annotations

import contextlib
import importlib
import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fanin.errors import InputError, explain
from fanin.records.axes import Axes, as_axes
from fanin.records.draw import Draw
from fanin.sampling.engine import SERVED, fill, generate
from fanin.schemes import registry
from fanin.schemes.base import Scheme
from fanin.schemes.dialects.complex_laws import check_complex
from fanin.schemes.dialects.law import PeerScheme
from fanin.schemes.fit import check_memory, check_rounding

__all__ = ["draw_of", "sample", "sizes_of"]

_REMEDIES = dict.fromkeys(("int", "uint", "bool"), "Draw in float32 and quantize") | {
    "complex": "Use complex64 or complex128"
}


def sample(
    scheme: Scheme | Draw | str,
    shape: Sequence[int] | int,
    *,
    seed: int,
    name: str | tuple[str, ...],
    axes: Axes | str | Iterable[str] | None = None,
    dtype: Any = None,
    out: NDArray[Any] | None = None,
) -> NDArray[Any]:
    """Draw one weight.

    Element i of the weight is a pure function of (stream version, seed, name, i): the same call gives the
    same numbers on every machine, and the same connection has the same number in every layout
    that `axes` can describe.

    Parameters
    ----------
    scheme
        A scheme such as ``he_normal()``, the name of one, or a draw with all its numbers.
    shape
        Shape of the weight.
    seed
        Of the whole model; weights differ by their names, never by their seeds.
    name
        Of the weight within the model; a tuple names a part of it.
    axes
        Roles of the dimensions; None means ``out in receptive ...``, or the layout of the scheme's dialect.
    dtype
        A NumPy dtype or the name of one: float16 and wider, complex64, complex128, ``"bfloat16"``,
        ``"float8_e4m3fn"``, ``"float8_e5m2"``; None means that of `out`, or float32. Narrow types are
        rounded once. A complex weight has ``E|w - mean|^2 = std^2``, shared equally by both components.
    out
        An array of that shape to draw into, with any strides; bit patterns (uint16, uint8) where `dtype`
        says what they stand for.

    Returns
    -------
    numpy.ndarray
        `out`, or a new array of that shape and dtype.

    Raises
    ------
    UnknownNameError
        No scheme of that name.
    InputError
        A shape without fans for a scheme that needs them, or beyond this machine's memory; a dtype that
        cannot hold a weight, in which all of it would be 0, or of ml_dtypes where that is not installed;
        an `out` of another shape or dtype, or that cannot be written. Nothing is written then.

    Warns
    -----
    PrecisionWarning
        A 16-bit or 8-bit format that moves the standard deviation by more than 1 %, or rounds more than
        a tenth of the weights to 0.

    Examples
    --------
    >>> weight = sample("he_normal", (256, 784), seed=1, name="fc1.weight")
    >>> weight.shape, weight.dtype
    ((256, 784), dtype('float32'))
    >>> twin = sample("he_normal", (784, 256), seed=1, name="fc1.weight", axes="in out")
    >>> bool((twin.T == weight).all())
    True
    """
    sizes = sizes_of(shape)
    if out is not None:
        _check_shape(out, sizes)
    kind = _dtype(("float32" if out is None else out.dtype) if dtype is None else dtype)
    if isinstance(scheme, str):
        scheme = registry.get(scheme)
    roles = as_axes(scheme.axes(sizes) if axes is None and isinstance(scheme, PeerScheme) else axes, sizes)
    storage = _storage(kind) if out is None else out.dtype
    if math.prod(sizes) == 0:
        # An empty weight has no law to break.
        return np.empty(sizes, dtype=storage) if out is None else out
    if out is None:
        check_memory(sizes, storage.itemsize)
    draw = draw_of(scheme, sizes, roles, kind)
    check_rounding(draw, kind)
    if out is not None:
        fill(out, draw, seed=seed, name=name, axes=roles, dtype=kind)
        return out
    bits: NDArray[Any] = generate(draw, sizes, seed=seed, name=name, axes=roles, dtype=kind)
    return bits if bits.dtype == storage else bits.view(storage)


def draw_of(
    scheme: Scheme | Draw | str, sizes: tuple[int, ...], roles: Axes | None, dtype: str = "float32"
) -> Draw:
    """What a scheme, its name, or a draw that is one already gives for a weight of a dtype."""
    if isinstance(scheme, str):
        scheme = registry.get(scheme)
    if isinstance(scheme, Draw):
        return scheme
    if not isinstance(scheme, Scheme):
        raise InputError(
            explain(
                "This is no scheme",
                received=f"{scheme!r} ({type(scheme).__name__})",
                rule="A scheme has name, law, references and draw(shape, axes)",
                remedy="Call the factory, as in sample(he_normal(), ...)" if callable(scheme) else "",
            )
        )
    draw = scheme.draw(sizes, roles)
    check_complex(scheme, draw, dtype)
    return draw


def sizes_of(shape: Sequence[int] | int) -> tuple[int, ...]:
    """A shape as a tuple of whole numbers, checked."""
    try:
        given: list[Any] = [shape] if isinstance(shape, int | np.integer) else list(shape)
        # Of "34" and of 2.5 int() makes numbers that nobody meant.
        sizes = tuple(int(n) if int(n) == n else -1 for n in given)
    except (TypeError, ValueError, OverflowError):
        sizes = (-1,)
    if any(n < 0 for n in sizes):
        raise InputError(
            explain("A shape is a sequence of whole numbers, none negative", received=f"shape={shape!r}")
        )
    return sizes


def _check_shape(out: object, sizes: tuple[int, ...]) -> None:
    if not isinstance(out, np.ndarray) or out.shape != sizes:
        raise InputError(
            explain(
                "The output is no array of the weight's shape",
                received=f"out of shape {np.shape(out)}" if isinstance(out, np.ndarray) else repr(type(out)),
                rule=f"out is a numpy.ndarray of shape {sizes}",
            )
        )


def _dtype(dtype: Any) -> str:
    name = str(dtype)
    if name not in SERVED:
        with contextlib.suppress(TypeError):
            name = str(np.dtype(dtype).name)
    if name not in SERVED:
        raise InputError(
            explain(
                "Weights cannot be drawn in this dtype",
                received=repr(name),
                rule="It is one of " + ", ".join(SERVED),
                remedy=_REMEDIES.get(name.rstrip("0123456789"), ""),
            )
        )
    return name


def _storage(name: str) -> np.dtype[Any]:
    if hasattr(np, name):
        return np.dtype(name)
    try:
        ml_dtypes = importlib.import_module("ml_dtypes")
    except ImportError:
        raise InputError(
            explain(
                "NumPy alone has no such dtype",
                received=repr(name),
                remedy="pip install ml-dtypes, or draw in float32",
            )
        ) from None
    narrow: np.dtype[Any] = np.dtype(getattr(ml_dtypes, name))
    return narrow
