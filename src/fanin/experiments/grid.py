"""The arms of a comparison: every model with every variant, and every further factor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from fanin.errors import InputError, explain, finite
from fanin.experiments.bench import Kind
from fanin.experiments.variants import Variant

__all__ = ["MOST", "kinds"]

MOST = 200
"""Arms: more are a slip of the keyboard."""


def kinds(
    models: Sequence[str], variants: Sequence[Variant], gains: Sequence[float] = (1.0,)
) -> tuple[Kind, ...]:
    """Every model with every variant and every factor.

    Parameters
    ----------
    models
        Names; one that is empty is not said.
    variants
        Ways to begin.
    gains
        Factors on the weights of every variant, besides its own.

    Returns
    -------
    tuple of Kind
        The models' order first, then the variants', then the factors'.

    Raises
    ------
    InputError
        Fewer than two arms, more than 200, or a factor that is not positive and finite.
    """
    for gain in gains:
        if not (finite(gain) and gain > 0.0):
            raise InputError(explain("A factor on weights is positive and finite", received=gain))
    found = []
    for model in models:
        for one in variants:
            for gain in gains:
                told = one.name if len(gains) == 1 and gain == 1.0 else f"{one.name}*{gain:g}"
                name = "/".join(
                    part for part in (model, told if _told(models, variants, gains) else "") if part
                )
                found.append(Kind(name=name, model=model, variant=replace(one, factor=one.factor * gain)))
    if not 2 <= len(found) <= MOST:
        raise InputError(
            explain(
                "There is nothing to compare" if len(found) < 2 else "There are too many arms",
                received=f"{len(models)} models, {len(variants)} variants, {len(gains)} factors",
                rule=f"A comparison has 2 to {MOST} arms",
            )
        )
    return tuple(found)


def _told(models: Sequence[str], variants: Sequence[Variant], gains: Sequence[float]) -> bool:
    """Whether the variant is said: not where models alone differ."""
    return len(models) < 2 or len(variants) > 1 or len(gains) > 1
