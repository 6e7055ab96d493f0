"""Normal by its mean and standard deviation."""

from __future__ import annotations

from fanin.errors import InputError, explain, finite
from fanin.records.draw import Normal
from fanin.schemes.base import Entry, Fixed

__all__ = ["SCHEMES", "normal"]


def normal(mean: float = 0.0, *, std: float) -> Fixed:
    """Gaussian with a given mean and standard deviation; not truncated.

    ``w ~ N(mean, std^2)``.

    Parameters
    ----------
    mean, std
        Of the samples.

    Returns
    -------
    Fixed
        A scheme.

    Raises
    ------
    InputError
        A std that is not positive and finite, or a mean that is not finite.

    Examples
    --------
    >>> normal(std=0.02)
    <normal: w ~ N(0, 0.02²)>
    """
    if not (finite(mean) and finite(std) and std > 0):
        raise InputError(
            explain(
                "A normal needs a finite mean and a standard deviation that is positive and finite",
                received=f"mean={mean}, std={std}",
                remedy="Use constant(mean) for weights that do not vary" if std == 0 else "",
            )
        )
    return Fixed(name="normal", spec=Normal(mean=float(mean), std=float(std)))


SCHEMES = (Entry(factory=normal, examples=({"std": 0.02}, {"mean": 1.0, "std": 0.1})),)
