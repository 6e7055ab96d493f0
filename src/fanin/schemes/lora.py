"""The two factors of a low-rank change ``W + s B A``."""

from __future__ import annotations

from fanin.errors import nearest
from fanin.records.draw import Constant
from fanin.schemes.base import Entry, FanScaled, Fixed

__all__ = ["SCHEMES", "lora_a", "lora_b"]

_DISTRIBUTIONS = {
    # U(±1 / sqrt(fan_in)), the kaiming_uniform(a=sqrt(5)) of the first release.
    "uniform": (1.0 / 3.0, "uniform"),
    "normal": (1.0, "normal"),
}


def lora_a(distribution: str = "uniform") -> FanScaled:
    """First factor of a low-rank change, which reads the inputs (rank x in).

    Uniform: ``w ~ U(±1 / sqrt(fan_in))``, so ``Var[w] = 1 / (3 fan_in)``, as in the first release (its
    kaiming_uniform with a = sqrt(5)). Normal: ``Var[w] = 1 / fan_in``, which keeps the power of the inputs,
    as the paper's text has it. The scale s is `fanin.laws.blocks.lora_scaling`.

    Parameters
    ----------
    distribution
        ``"uniform"`` or ``"normal"``.

    Returns
    -------
    FanScaled
        A scheme.

    Raises
    ------
    UnknownNameError
        Another distribution.

    Examples
    --------
    >>> print(lora_a().draw((8, 100)))
    U(±0.1)

    References
    ----------
    E. J. Hu et al., LoRA: Low-Rank Adaptation of Large Language Models, 2021, section 4.1.
    """
    if distribution not in _DISTRIBUTIONS:
        raise nearest(str(distribution), _DISTRIBUTIONS, kind="distribution")
    variance, family = _DISTRIBUTIONS[distribution]
    return FanScaled(
        name="lora_a",
        variance=variance,
        mode="fan_in",
        distribution=family,
        references=("Hu et al. 2021, section 4.1",),
    )


def lora_b() -> Fixed:
    """Second factor of a low-rank change (out x rank): zero, so that training starts at the given model.

    ``w = 0``. Its gradient is the output's times ``s A x``, so B moves at once, and A after it.

    Returns
    -------
    Fixed
        A scheme.

    Examples
    --------
    >>> lora_b()
    <lora_b: w = 0>

    References
    ----------
    E. J. Hu et al., LoRA: Low-Rank Adaptation of Large Language Models, 2021, section 4.1.
    """
    return Fixed(name="lora_b", spec=Constant(value=0.0), references=("Hu et al. 2021, section 4.1",))


SCHEMES = (
    Entry(factory=lora_a, examples=({}, {"distribution": "normal"})),
    Entry(factory=lora_b),
)
