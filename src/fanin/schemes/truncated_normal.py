"""Normal cut to an interval, with the moments asked for."""

from __future__ import annotations

from fanin.laws import moments
from fanin.schemes.base import Entry, Fixed

__all__ = ["SCHEMES", "truncated_normal"]


def truncated_normal(mean: float = 0.0, *, std: float, lower: float = -2.0, upper: float = 2.0) -> Fixed:
    """Gaussian cut to an interval; the samples have this mean and this standard deviation.

    ``w = m + s z`` given ``lower < z < upper``, with the parent's m and s solved for so that
    ``E w = mean`` and ``Var[w] = std^2`` after the cut.

    Parameters
    ----------
    mean, std
        Of the samples. (In PyTorch, Keras and JAX they are those of the parent.)
    lower, upper
        Bounds in standard deviations of the parent; one of them may be infinite.

    Returns
    -------
    Fixed
        A scheme.

    Raises
    ------
    InputError
        A std that is not positive and finite, a mean that is not finite, ``lower >= upper``.

    Examples
    --------
    >>> truncated_normal(std=0.02)
    <truncated_normal: w ~ N(0, 0.02²) cut at ±2σ>
    >>> round(truncated_normal(std=0.02).spec.parent_std, 6)
    0.022737

    References
    ----------
    N. L. Johnson, S. Kotz, N. Balakrishnan, Continuous Univariate Distributions, vol. 1, 1994,
    section 13.10.1.
    """
    return Fixed(
        name="truncated_normal",
        spec=moments.truncated_normal(mean, std, lower, upper),
        references=("Johnson, Kotz and Balakrishnan 1994, section 13.10.1",),
    )


SCHEMES = (
    Entry(
        factory=truncated_normal,
        aliases=("trunc_normal",),
        examples=(
            {"std": 0.02},
            {"std": 1.0, "lower": -1.0, "upper": 3.0},
            {"mean": 0.5, "std": 0.1, "lower": 4.0, "upper": 6.0},
        ),
    ),
)
