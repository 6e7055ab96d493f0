"""How unlikely it is that a sample strays so far from its law: tails for tests of weights."""

from __future__ import annotations

import math

from fanin.errors import InputError, explain

__all__ = ["chi_square_tails", "distance_tail", "mean_tail", "spread_tail"]

_SERIES_END = 1e4
"""Degrees of freedom above which a chi-square's cube root is normal, to a hundredth of its tails."""
_SMALLEST = 1e-300
_STEPS = 10_000


def chi_square_tails(value: float, degrees: float) -> tuple[float, float]:
    """Probabilities that a chi-square variable is below, and above, a value.

    ``P(a, x) = integral_0^x t^(a - 1) exp(-t) dt / Gamma(a)`` with ``a = degrees / 2``, ``x = value / 2``.

    Parameters
    ----------
    value
        Not negative.
    degrees
        Of freedom; any positive number.

    Returns
    -------
    tuple
        Lower and upper tail; each is computed by itself, so that a tiny one keeps its digits.

    Raises
    ------
    InputError
        A negative value or degrees that are not positive.

    Examples
    --------
    >>> [round(p, 4) for p in chi_square_tails(3.841459, 1.0)]
    [0.95, 0.05]

    References
    ----------
    Abramowitz and Stegun, Handbook of Mathematical Functions, 6.5.29 (series) and 6.5.31 (fraction);
    E. B. Wilson, M. M. Hilferty, The distribution of chi-square, 1931.
    """
    if not (value >= 0.0 and degrees > 0.0):
        raise InputError(
            explain("A chi-square value is out of range", received=f"value={value}, degrees={degrees}")
        )
    if value == 0.0:
        return 0.0, 1.0
    if degrees > _SERIES_END:
        share = 2.0 / (9.0 * degrees)
        z = ((value / degrees) ** (1.0 / 3.0) - (1.0 - share)) / math.sqrt(share)
        return 0.5 * math.erfc(-z / math.sqrt(2.0)), 0.5 * math.erfc(z / math.sqrt(2.0))
    a, x = 0.5 * degrees, 0.5 * value
    peak = math.exp(a * math.log(x) - x - math.lgamma(a)) if x < 1e300 else 0.0
    if x < a + 1.0:
        lower = min(1.0, peak * _series(a, x))
        return lower, 1.0 - lower
    upper = min(1.0, peak * _fraction(a, x))
    return 1.0 - upper, upper


def _series(a: float, x: float) -> float:
    term = total = 1.0 / a
    for k in range(1, _STEPS):
        term *= x / (a + k)
        total += term
        if term < total * 1e-16:
            break
    return total


def _fraction(a: float, x: float) -> float:
    """The continued fraction of the upper tail, from its front (Lentz)."""
    b = x + 1.0 - a
    c, d = 1.0 / _SMALLEST, 1.0 / b
    value = d
    for k in range(1, _STEPS):
        numerator = -k * (k - a)
        b += 2.0
        d = 1.0 / (numerator * d + b or _SMALLEST)
        c = b + numerator / c or _SMALLEST
        value *= c * d
        if abs(c * d - 1.0) < 1e-16:
            break
    return value


def spread_tail(ratio: float, count: int, kurtosis: float) -> float:
    """Chance of a mean square as far from the variance as this, or farther, to either side.

    ``ratio = mean (x - mu)^2 / sigma^2`` has mean 1 and variance ``(kurtosis - 1) / n``: it is compared
    with a chi-square variable over its degrees of freedom, ``2 n / (kurtosis - 1)``. Below 1 not more
    than n degrees count, since the density of n numbers near 0 is that of n dimensions whatever the law.

    Parameters
    ----------
    ratio
        Measured over declared mean square, about the declared mean.
    count
        Independent numbers.
    kurtosis
        Of the law: 3 for the normal, 1.8 for the uniform one.

    Returns
    -------
    float
        Twice the smaller tail, at most 1.

    Examples
    --------
    >>> spread_tail(1.0, 1000, 3.0) > 0.9, spread_tail(1.5, 1000, 3.0) < 1e-9
    (True, True)
    """
    if count < 1 or kurtosis <= 1.0:
        return 1.0
    degrees = 2.0 * count / (kurtosis - 1.0)
    if ratio >= 1.0:
        return min(1.0, 2.0 * chi_square_tails(ratio * degrees, degrees)[1])
    degrees = min(degrees, float(count))
    return min(1.0, 2.0 * chi_square_tails(ratio * degrees, degrees)[0])


def mean_tail(offset: float, std: float, count: int) -> float:
    """Chance that the mean of independent numbers is this far from its law's, or farther.

    ``P(|mean - mu| >= offset) = erfc(offset sqrt(n / 2) / std)``, exact for the normal law.

    Parameters
    ----------
    offset
        Measured minus declared mean.
    std
        Of the law.
    count
        Numbers.

    Returns
    -------
    float

    Examples
    --------
    >>> round(mean_tail(0.196, 1.0, 100), 3)
    0.05
    """
    if std <= 0.0 or count < 1:
        return 1.0 if offset == 0.0 else 0.0
    return math.erfc(abs(offset) * math.sqrt(0.5 * count) / std)


def distance_tail(distance: float, count: int) -> float:
    """Bound on the chance that an empirical distribution is this far from its law, anywhere.

    ``P(sup |F_n - F| >= d) <= 2 exp(-2 n d^2)``, for every n and every law.

    Parameters
    ----------
    distance
        Largest difference of the two distribution functions.
    count
        Numbers.

    Returns
    -------
    float

    Examples
    --------
    >>> round(distance_tail(0.1, 100), 4)
    0.2707

    References
    ----------
    P. Massart, The tight constant in the Dvoretzky-Kiefer-Wolfowitz inequality, 1990, corollary 1.
    """
    return min(1.0, 2.0 * math.exp(-2.0 * count * max(distance, 0.0) ** 2))
