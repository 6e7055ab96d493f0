"""Weights that a formula gives: each element follows from its place, and in some from one uniform number."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from fanin.errors import InputError, explain, nearest
from fanin.laws.fans import fans
from fanin.records.axes import Axes, Role, as_axes
from fanin.records.draw import Formula

__all__ = ["FORMULAS", "Law", "formula", "values"]

Floats: TypeAlias = NDArray[np.float64]
Shape: TypeAlias = tuple[int, ...]

_POINTS, _WEIGHTS = np.polynomial.legendre.leggauss(64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Law:
    """How a formula's values are found.

    Parameters
    ----------
    values
        Of the stored shape, the axes, the formula's numbers, and for a random one a uniform number on (0, 1)
        for each element. What is returned may have dimensions of size 1 for copies.
    spread
        Of the numbers: values of equal weight, or values and weights, that have the moments; None where the
        values themselves are few.
    random
        Whether it takes the uniform numbers.
    """

    values: Callable[[Shape, Axes | None, Sequence[float], Floats], Floats]
    spread: Callable[[Shape, Axes | None, Sequence[float]], tuple[Floats, Floats]] | None = None
    random: bool = False


def formula(
    name: str,
    shape: Sequence[int],
    axes: Axes | None = None,
    *,
    numbers: Sequence[float] = (),
    given: Sequence[int] = (),
) -> Formula:
    """Make the draw of a formula for one shape, with its moments.

    Parameters
    ----------
    name
        A key of `FORMULAS`.
    shape, axes
        Of the weight.
    numbers
        The formula's own.
    given
        Shape of the numbers, where they are the values.

    Returns
    -------
    Formula
        A draw.

    Raises
    ------
    UnknownNameError
        A formula that is not known.
    InputError
        A shape that the formula does not serve.

    Examples
    --------
    >>> formula("states", (8, 4), numbers=(1.0, 1.0, 0.0)).mean
    2.5
    """
    if name not in FORMULAS:
        raise nearest(name, FORMULAS, kind="formula")
    sizes, own = tuple(int(n) for n in shape), tuple(float(x) for x in numbers)
    law, bare = FORMULAS[name], Formula(formula=name, numbers=own, given=tuple(given), mean=0.0, std=0.0)
    if law.spread is not None:
        found, weight = law.spread(sizes, axes, own)
    else:
        found = values(bare, sizes, axes, np.empty(0)).ravel()
        weight = np.ones(found.size)
    weight = weight / weight.sum()
    mean = float(weight @ found)
    square = (found - mean) ** 2
    variance = float(weight @ square)
    return Formula(
        formula=name,
        numbers=own,
        given=tuple(given),
        random=law.random,
        mean=mean,
        std=math.sqrt(variance),
        kurtosis=float(weight @ square**2) / variance**2 if variance > 0 else 1.0,
        low=float(found.min()),
        high=float(found.max()),
    )


def values(draw: Formula, shape: Shape, axes: Axes | None, uniforms: Floats) -> Floats:
    """Evaluate a formula in float64; dimensions of size 1 stand for copies.

    Parameters
    ----------
    draw
        Names the formula.
    shape, axes
        Of the stored weight.
    uniforms
        On (0, 1), of that shape; empty for a formula that takes none.

    Raises
    ------
    InputError
        A shape that the formula does not serve.
    """
    if draw.formula == "given":
        return _given(shape, np.array(draw.numbers, np.float64).reshape(draw.given))
    if draw.formula not in FORMULAS:
        raise nearest(draw.formula, FORMULAS, kind="formula")
    return FORMULAS[draw.formula].values(shape, axes, draw.numbers, uniforms)


def _given(shape: Shape, array: Floats) -> Floats:
    try:
        np.broadcast_to(array, shape)
    except ValueError:
        raise InputError(
            explain(
                "The given values do not fit the shape",
                received=f"values of shape {array.shape} for shape {shape}",
                rule="Dimensions match from the last one on, or are 1 or missing in the values",
            )
        ) from None
    return array.reshape((1,) * (len(shape) - array.ndim) + array.shape)


def _units(shape: Shape, axes: Axes | None, blocks: int) -> tuple[int, int]:
    """Place and size of the one dimension of units, which holds equal blocks."""
    roles = as_axes(axes, shape)
    places = [0] if roles is None else [i for i, role in enumerate(roles.roles) if role == Role.OUT]
    if not shape or len(places) != 1 or shape[places[0]] % blocks:
        raise InputError(
            explain(
                f"The units are not {blocks} equal blocks of one dimension",
                received=f"shape {shape}" + (f" with axes '{roles}'" if roles else ""),
                rule=f"One dimension in the role 'out' (or a vector) holds {blocks} gates in a row",
            )
        )
    return places[0], shape[places[0]]


def _block(shape: Shape, axes: Axes | None, numbers: Sequence[float], uniforms: Floats) -> Floats:
    """A value in one of several blocks of the units, zeros in the others."""
    del uniforms
    value, which, blocks = numbers[0], int(numbers[1]), int(numbers[2])
    place, size = _units(shape, axes, blocks)
    line = np.where(np.arange(size) // (size // blocks) == which, value, 0.0)
    return line.reshape([-1 if i == place else 1 for i in range(len(shape))])


def _chrono(shape: Shape, axes: Axes | None, numbers: Sequence[float], uniforms: Floats) -> Floats:
    """``log U(1, longest - 1)`` for the forget gate, its negative for the input gate, zeros else."""
    place, size = _units(shape, axes, 4)
    quarter = size // 4
    out = np.zeros(shape)
    before: tuple[slice, ...] = (slice(None),) * place
    forget = (*before, slice(quarter, 2 * quarter))
    out[forget] = np.log(1.0 + (numbers[0] - 2.0) * uniforms[forget])
    out[(*before, slice(0, quarter))] = -out[forget]
    return out


def _chrono_spread(shape: Shape, axes: Axes | None, numbers: Sequence[float]) -> tuple[Floats, Floats]:
    _units(shape, axes, 4)
    # With x = log of the uniform the integrand is smooth: dU = exp(x) dx / (longest - 2).
    end = math.log(numbers[0] - 1.0)
    x = 0.5 * end * (_POINTS + 1.0)
    weight = _WEIGHTS * np.exp(x)
    weight = weight / weight.sum()
    found = np.concatenate([x, -x, [0.0, end, -end]])
    return found, np.concatenate([weight, weight, [2.0, 0.0, 0.0]])


def _softplus_inverse(numbers: Sequence[float], uniforms: Floats) -> Floats:
    low, high = math.log(numbers[0]), math.log(numbers[1])
    step = np.exp(low + (high - low) * uniforms)
    return np.asarray(np.log(np.expm1(step)))


def _log_uniform_spread(shape: Shape, axes: Axes | None, numbers: Sequence[float]) -> tuple[Floats, Floats]:
    del shape, axes
    points = np.concatenate([0.5 * (_POINTS + 1.0), [0.0, 1.0]])
    return _softplus_inverse(numbers, points), np.concatenate([_WEIGHTS, [0.0, 0.0]])


def _states(shape: Shape, axes: Axes | None, numbers: Sequence[float], uniforms: Floats) -> Floats:
    """``offset + factor n`` for state n, or its logarithm, along the last dimension."""
    del axes, uniforms
    if not shape:
        raise InputError(explain("A scalar has no states", received="shape ()", rule="States lie last"))
    offset, factor, logarithm = numbers
    line = offset + factor * np.arange(shape[-1], dtype=np.float64)
    return (np.log(line) if logarithm else line).reshape((1,) * (len(shape) - 1) + (-1,))


def _triangle(size: int) -> Floats:
    """One dimension of a kernel that doubles (size 4), triples, ... by straight lines."""
    half = (size + 1) // 2
    centre = half - 1.0 if size % 2 else half - 0.5
    return np.asarray(1.0 - np.abs(np.arange(size) - centre) / half)


def _bilinear(shape: Shape, axes: Axes | None, numbers: Sequence[float], uniforms: Floats) -> Floats:
    """Triangles over the kernel where an output meets the input of its number, zeros elsewhere."""
    del numbers, uniforms
    fans(shape, axes)
    roles = as_axes(axes, shape) or Axes(roles=())
    wide = Role.IN if roles.transposed else Role.OUT
    narrow = Role.OUT if roles.transposed else Role.IN
    out = np.ones((1,) * len(shape))
    for place, (size, role) in enumerate(zip(shape, roles.roles, strict=True)):
        if role == Role.RECEPTIVE:
            out = out * _triangle(size).reshape([-1 if i == place else 1 for i in range(len(shape))])
    first, second = _numbers(shape, roles, wide), _numbers(shape, roles, narrow)
    # A grouped weight counts the channels of its long side within each group.
    return np.asarray(out * (first % (roles.size(shape, wide) // roles.groups) == second))


def _numbers(shape: Shape, roles: Axes, role: Role) -> Floats:
    """Number of a unit among all dimensions that play a role, for each place."""
    count = np.zeros((1,) * len(shape))
    for place, (size, own) in enumerate(zip(shape, roles.roles, strict=True)):
        if own == role:
            index = np.arange(size).reshape([-1 if i == place else 1 for i in range(len(shape))])
            count = count * size + index
    return count


def _fourier(shape: Shape, axes: Axes | None, numbers: Sequence[float], uniforms: Floats) -> Floats:
    """A window times the cosine, or sine, of each frequency; time lies along the one long in dimension."""
    del uniforms
    fans(shape, axes)
    roles = (as_axes(axes, shape) or Axes(roles=())).roles
    times = [i for i, role in enumerate(roles) if role in (Role.IN, Role.RECEPTIVE) and shape[i] > 1]
    outs = [i for i, role in enumerate(roles) if role == Role.OUT]
    if len(times) != 1 or len(outs) != 1 or shape[outs[0]] < 2:
        raise InputError(
            explain(
                "A Fourier kernel has one dimension of times and one of frequencies",
                received=f"shape {shape} with roles '{' '.join(roles)}'",
                rule="One 'in' or 'receptive' dimension is longer than 1, and one 'out' dimension than 1",
            )
        )
    sine, cosine_part, periodic, scaling = numbers
    length, count = shape[times[0]], shape[outs[0]]
    time = np.arange(length, dtype=np.float64)
    turn = 2.0 * math.pi * time / max(length - (0 if periodic else 1), 1)
    window = 1.0 - cosine_part - cosine_part * np.cos(turn) if cosine_part else np.ones(length)
    window = window / (1.0, math.sqrt(float(window @ window)), float(np.abs(window).sum()))[int(scaling)]
    angle = np.outer(time, np.arange(count)) * (math.pi / (count - 1))
    kernel = window[:, None] * (-np.sin(angle) if sine else np.cos(angle))
    if times[0] > outs[0]:
        kernel = kernel.T
    return kernel.reshape([n if i in (times[0], outs[0]) else 1 for i, n in enumerate(shape)])


FORMULAS: Mapping[str, Law] = {
    "given": Law(values=lambda shape, axes, numbers, uniforms: np.array(numbers)),  # noqa: ARG005
    "nan": Law(values=lambda shape, axes, numbers, uniforms: np.full((1,) * len(shape), math.nan)),  # noqa: ARG005
    "block": Law(values=_block),
    "chrono": Law(values=_chrono, spread=_chrono_spread, random=True),
    "step_bias": Law(
        values=lambda shape, axes, numbers, uniforms: _softplus_inverse(numbers, uniforms),  # noqa: ARG005
        spread=_log_uniform_spread,
        random=True,
    ),
    "states": Law(values=_states),
    "bilinear": Law(values=_bilinear),
    "fourier": Law(values=_fourier),
}
"""Formulas by name; the names are stored in plans."""
