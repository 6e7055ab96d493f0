"""LeCun: unit variance for units that are linear around 0."""

from __future__ import annotations

from fanin.schemes.base import Entry, FanScaled

__all__ = ["SCHEMES", "lecun_normal", "lecun_truncated_normal", "lecun_uniform"]


def lecun_uniform() -> FanScaled:
    """LeCun uniform.

    ``w ~ U(-a, a)`` with ``a = sqrt(3 / fan_in)``, so ``Var[w] = 1 / fan_in``.

    Returns
    -------
    FanScaled
        A scheme.

    Examples
    --------
    >>> print(lecun_uniform().draw((64, 300)))
    U(±0.1)

    References
    ----------
    Y. LeCun et al., Efficient BackProp, 1998, equation 16.
    G. Klambauer et al., Self-Normalizing Neural Networks, 2017, section "Initialization".
    """
    return _lecun("lecun_uniform", "uniform")


def lecun_normal() -> FanScaled:
    """LeCun normal; not truncated.

    ``w ~ N(0, 1 / fan_in)``. With SELU this is the law of self-normalizing networks.

    Returns
    -------
    FanScaled
        A scheme.

    Examples
    --------
    >>> print(lecun_normal().draw((64, 400)))
    N(0, 0.05²)

    References
    ----------
    Y. LeCun et al., Efficient BackProp, 1998, equation 16.
    G. Klambauer et al., Self-Normalizing Neural Networks, 2017, section "Initialization".
    """
    return _lecun("lecun_normal", "normal")


def lecun_truncated_normal() -> FanScaled:
    """LeCun normal, cut at ±2 standard deviations of the parent.

    ``Var[w] = 1 / fan_in`` after the cut. This is the ``lecun_normal`` of Keras and JAX.

    Returns
    -------
    FanScaled
        A scheme.

    Examples
    --------
    >>> print(lecun_truncated_normal().draw((64, 400)))
    N(0, 0.05²) cut at ±2σ

    References
    ----------
    Y. LeCun et al., Efficient BackProp, 1998, equation 16.
    G. Klambauer et al., Self-Normalizing Neural Networks, 2017, section "Initialization".
    """
    return _lecun("lecun_truncated_normal", "truncated_normal")


def _lecun(name: str, distribution: str) -> FanScaled:
    return FanScaled(
        name=name,
        variance=1.0,
        mode="fan_in",
        distribution=distribution,
        references=("LeCun et al. 1998, equation 16", "Klambauer et al. 2017"),
    )


SCHEMES = (
    Entry(factory=lecun_uniform),
    Entry(factory=lecun_normal),
    Entry(factory=lecun_truncated_normal),
)
