"""Gaussian expectations of a Python function, to ten digits."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from fanin.errors import InputError, explain

__all__ = ["evaluate", "expectation"]

# exp(-z^2 / 2) at 13 is 2e-37: even exp(2 z), the square of an exponential, has ended there.
_REACH = 13.0
_ACCURACY = 1e-12
_BISECTIONS = 60
_POINTS, _WEIGHTS = np.polynomial.legendre.leggauss(12)


def expectation(f: Callable[..., object], q: float = 1.0, *, kinks: Iterable[float] = ()) -> float:
    """Mean of any function of a Gaussian: ``E f(sqrt(q) z)``, ``z ~ N(0, 1)``.

    Gauss-Legendre rules on cells of half a standard deviation, split at `kinks`. Cells whose two
    halves disagree are bisected until all agree to 1e-12 of ``E |f|``, so a kink or a jump that
    was not named costs time, not digits.

    Parameters
    ----------
    f
        Function of a NumPy array, or of one float.
    q
        Variance of the input.
    kinks
        Points, in units of the input, where f or a derivative jumps.

    Returns
    -------
    float
        The expectation, to about 1e-10 relative to ``E |f|``.

    Raises
    ------
    InputError
        A function that returns no finite real numbers, or a negative variance.

    Examples
    --------
    >>> round(expectation(np.tanh), 12)
    0.0
    >>> round(expectation(lambda x: x * x, q=2.0), 10)
    2.0
    """
    if not (math.isfinite(q) and q >= 0):
        raise InputError(explain("The input variance q is not a finite number >= 0", received=f"q={q}"))
    if q == 0.0:
        return float(evaluate(f, np.zeros(1))[0])
    sd = math.sqrt(q)
    edges = np.concatenate([np.arange(-2 * _REACH, 2 * _REACH + 1) / 2, np.array([*kinks]) / sd])
    edges = np.unique(edges[np.abs(edges) <= _REACH])
    left, right = edges[:-1], edges[1:]
    whole, size = _integrals(f, sd, left, right)
    tolerance = _ACCURACY * float(size.sum())
    total = 0.0
    for _ in range(_BISECTIONS):
        middle = 0.5 * (left + right)
        low, _ = _integrals(f, sd, left, middle)
        high, _ = _integrals(f, sd, middle, right)
        open_ = np.abs(low + high - whole) > tolerance * np.maximum(right - left, 1e-3)
        total += float((low + high)[~open_].sum())
        if not open_.any():
            return total
        left, right = (
            np.concatenate([left[open_], middle[open_]]),
            np.concatenate([middle[open_], right[open_]]),
        )
        whole = np.concatenate([low[open_], high[open_]])
        if len(left) > 20_000:
            break
    raise InputError(
        explain(
            "The function has no expectation that can be computed",
            received=f"{len(left)} cells that still disagree near z = {left[0]:.6g}",
            rule="f is a deterministic function of x with finitely many kinks and jumps",
        )
    )


def _integrals(
    f: Callable[..., object], sd: float, left: NDArray[np.float64], right: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Integral of f, and of its absolute value, times the density, over each cell."""
    half = 0.5 * (right - left)[:, None]
    z = 0.5 * (left + right)[:, None] + half * _POINTS
    mass = half * _WEIGHTS * np.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi)
    terms = evaluate(f, (sd * z).ravel()).reshape(z.shape) * mass
    return terms.sum(axis=1), np.abs(terms).sum(axis=1)


def evaluate(f: Callable[..., object], x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values of f at every point: in one call if f takes arrays, else one by one.

    Raises
    ------
    InputError
        f fails, or returns what is no finite real number.
    """
    try:
        values = np.asarray(f(x))
    except InputError:
        raise
    except (TypeError, ValueError, AttributeError):
        values = np.empty(0)
    if values.shape != x.shape:
        try:
            values = np.array([float(f(float(point))) for point in x])  # type: ignore[arg-type]
        except (TypeError, ValueError, AttributeError, OverflowError) as error:
            raise InputError(
                explain(
                    "The activation cannot be evaluated",
                    received=f"{f!r}, which raised {type(error).__name__}: {error}",
                    rule="An activation maps a NumPy array, or a float, to values of the same shape",
                )
            ) from error
    if values.dtype.kind not in "fiub" or not np.isfinite(values).all():
        raise InputError(
            explain(
                "The activation returns values that are no finite real numbers",
                received=f"{f!r}, dtype {values.dtype}, on inputs {x.min():.4g} to {x.max():.4g}",
            )
        )
    return values.astype(np.float64)
