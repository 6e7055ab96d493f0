"""The law behind Glorot, He and LeCun, with all its parts free."""

from __future__ import annotations

from fanin.schemes.base import Entry, FanScaled

__all__ = ["SCHEMES", "variance_scaling"]


def variance_scaling(variance: float = 1.0, mode: str = "fan_in", distribution: str = "normal") -> FanScaled:
    """Variance inverse to a fan, with any factor, fan and distribution.

    ``Var[w] = variance / fan``.

    Parameters
    ----------
    variance
        Variance of the sum of `fan` terms of unit second moment; the square of a gain.
    mode
        ``"fan_in"``, ``"fan_out"``, ``"fan_avg"`` (arithmetic mean) or ``"fan_geo_avg"``.
    distribution
        ``"uniform"``, ``"normal"``, or ``"truncated_normal"`` (cut at ±2 standard deviations of
        the parent). All have exactly this variance.

    Returns
    -------
    FanScaled
        A scheme.

    Raises
    ------
    InputError
        A variance that is not positive and finite, an unknown mode or distribution.

    Examples
    --------
    >>> variance_scaling(2.0, "fan_avg", "uniform").draw((300, 100))
    Uniform(low=-0.17320508075688773, high=0.17320508075688773)

    References
    ----------
    K. He et al., Delving Deep into Rectifiers, 2015, section 2.2.
    """
    return FanScaled(
        name="variance_scaling",
        variance=variance,
        mode=mode,
        distribution=distribution,
        references=("He et al. 2015, section 2.2",),
    )


SCHEMES = (
    Entry(
        factory=variance_scaling,
        examples=(
            {},
            {"variance": 0.5, "mode": "fan_out", "distribution": "uniform"},
            {"variance": 3.0, "mode": "fan_geo_avg", "distribution": "truncated_normal"},
        ),
    ),
)
