"""What is known of the classes, as words of the command line."""

from __future__ import annotations

from collections.abc import Sequence

from fanin.errors import InputError, explain
from fanin.plans.prior import ClassPrior, Link, Prior, Shares

__all__ = ["read"]

_FORM = "[HEAD=]P,P,... or [HEAD=]COUNT,COUNT,... or [HEAD=]P, or [HEAD=]sigmoid:P,P,..."


def read(texts: Sequence[str]) -> ClassPrior | None:
    """Read the values of ``--class-prior``: one without a name, or one for each named head.

    Raises
    ------
    InputError
        A text of another form, a head named twice, or a name that is missing for one of several.

    Examples
    --------
    >>> read(["0.9,0.1"])
    (0.9, 0.1)
    """
    found: dict[str, Shares | Prior] = {}
    for text in texts:
        head, _, numbers = text.rpartition("=")
        if head in found or (len(texts) > 1 and not head):
            raise InputError(
                explain("Several class priors need a head each", received=", ".join(texts), rule=_FORM)
            )
        found[head] = _shares(numbers, text)
    return found.get("", found) if found else None


def _shares(numbers: str, text: str) -> Shares | Prior:
    kind, _, listed = numbers.rpartition(":")
    try:
        values = tuple(float(number) for number in listed.split(","))
    except ValueError:
        values = ()
    if not values or kind not in ("", Link.SIGMOID):
        raise InputError(explain("A class prior cannot be read", received=repr(text), rule=f"It is {_FORM}"))
    if kind:
        return Prior(probabilities=values, link=Link.SIGMOID)
    if len(values) == 1:
        return values[0]
    # No probability is above 1: these are counts.
    return dict(enumerate(values)) if max(values) > 1.0 else values
