"""Uniform by its bounds, or by its standard deviation."""

from __future__ import annotations

from fanin.errors import InputError, explain, finite
from fanin.laws import moments
from fanin.records.draw import Uniform
from fanin.schemes.base import Entry, Fixed

__all__ = ["SCHEMES", "uniform"]


def uniform(
    low: float | None = None, high: float | None = None, *, mean: float = 0.0, std: float | None = None
) -> Fixed:
    """Uniform on an open interval, given by its bounds or by its mean and standard deviation.

    ``w ~ U(low, high)``, or ``w ~ U(mean - sqrt(3) std, mean + sqrt(3) std)``.

    Parameters
    ----------
    low, high
        Bounds, both or neither.
    mean, std
        Of the samples, instead of bounds.

    Returns
    -------
    Fixed
        A scheme.

    Raises
    ------
    InputError
        Bounds and std together, or neither; ``low >= high``; a std that is not positive.

    Examples
    --------
    >>> uniform(-0.05, 0.05)
    <uniform: w ~ U(±0.05)>
    >>> uniform(std=0.02)
    <uniform: w ~ U(±0.03464)>
    """
    if std is not None and low is None and high is None:
        return Fixed(name="uniform", spec=moments.uniform(mean, std))
    if std is not None or low is None or high is None or mean != 0.0:
        raise InputError(
            explain(
                "uniform takes both bounds, or a standard deviation",
                received=f"low={low}, high={high}, mean={mean}, std={std}",
                remedy="Say uniform(-0.05, 0.05) or uniform(std=0.02)",
            )
        )
    if not (finite(low) and finite(high) and low < high):
        raise InputError(
            explain(
                "The bounds of a uniform hold no interval",
                received=f"low={low}, high={high}",
                rule="low < high, both finite",
            )
        )
    return Fixed(name="uniform", spec=Uniform(low=float(low), high=float(high)))


SCHEMES = (
    Entry(
        factory=uniform,
        examples=({"std": 0.02}, {"low": -0.1, "high": 0.3}, {"mean": 1.0, "std": 0.5}),
    ),
)
