"""What a batch's targets and a model's first outputs say of a loss, in NumPy."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fanin.errors import InputError, explain
from fanin.keras.kinds import LOGITS, PROBABILITIES, Kind

__all__ = ["check_classes", "figures"]

_TINY = float(np.finfo(np.float32).tiny)
"""The smallest probability that has a logarithm here; losses cut off earlier, but that is theirs."""
_OUTSIDE = 1e-3
"""Distance from the interval [0, 1] that rounding does not bring about, in bfloat16 either."""
_FEW, _SURE = 16, 6.0
"""Samples below which outputs share one variance, and standard errors that luck does not reach."""
_TAIL = 0.05
"""Share of the targets that may lie anywhere."""

Numbers = NDArray[Any]


def figures(kind: Kind, output: Numbers, target: Numbers) -> dict[str, Any]:
    """Fields of a `LossMeasurement` besides its value.

    Parameters
    ----------
    kind
        Of the loss.
    output, target
        What it compares.

    Returns
    -------
    dict
        `expected`, `classes`, `logit_std`, `prior`, `rarity`, `offset`, `low`, `high`, `strays`: what the
        kind has of these.

    Examples
    --------
    >>> half = np.full((4, 2), 0.5)
    >>> kind = Kind(name="", family="sparse", takes="probabilities")
    >>> round(figures(kind, half, np.array([0, 1, 0, 1]))["expected"], 3)
    0.693
    """
    found: dict[str, Any] = {}
    output = output.astype(np.float64)
    if kind.takes == PROBABILITIES:
        found["strays"] = _strays(output)
        found["silent"] = None  # (zeros are no probabilities, so they say nothing)
    if kind.summed:
        return found
    if kind.family in ("sparse", "categorical"):
        found |= _classes(kind, output, target)
    elif kind.family == "binary":
        found |= _binary(target.astype(np.float64))
    elif kind.family in ("squares", "regression") and target.size == output.size:
        wanted = target.astype(np.float64).reshape(output.shape)
        found |= _range(wanted)
        if kind.family == "squares":
            found |= _squares(output, wanted)
    return found


def _strays(output: Numbers) -> float:
    known = output[np.isfinite(output)]
    if not known.size:
        return 0.0
    return float(((known < -_OUTSIDE) | (known > 1.0 + _OUTSIDE)).mean())


def check_classes(kind: Kind, shape: tuple[int, ...], target: Numbers) -> None:
    """Refuse classes that an output of this shape does not have: some backends count them as anything.

    Raises
    ------
    InputError
        A class below 0, or one that is not below the number of outputs.
    """
    if kind.family != "sparse" or not shape or not target.size:
        return
    classes = shape[kind.axis]
    seen = target if kind.ignored is None else target[target != kind.ignored]
    if seen.size and (seen.min() < 0 or seen.max() >= classes or (seen != np.round(seen)).any()):
        raise InputError(
            explain(
                "The target holds classes that the output does not have",
                received=f"classes {seen.min():g} to {seen.max():g} for {classes} outputs",
                rule="Classes are whole numbers that count from 0, and are fewer than the outputs",
                remedy="Give the last layer one output a class, or count the classes from 0",
            )
        )


def _classes(kind: Kind, output: Numbers, target: Numbers) -> dict[str, Any]:
    table = np.moveaxis(output, kind.axis, -1)
    classes = table.shape[-1]
    table = table.reshape(-1, classes)
    # Probabilities are logits but for a constant, of which a standard deviation knows nothing.
    logits = table if kind.takes == LOGITS else np.log(np.clip(table, _TINY, 1.0))
    if kind.family == "categorical":
        shares = np.moveaxis(target.astype(np.float64), kind.axis, -1).reshape(-1, classes).mean(axis=0)
    else:
        seen = target.reshape(-1)
        seen = seen if kind.ignored is None else seen[seen != kind.ignored]
        shares = np.bincount(seen.astype(np.int64), minlength=classes) / max(len(seen), 1)
    known = shares[shares > 0.0]
    return {
        "expected": math.log(classes),
        "classes": classes,
        "logit_std": float(np.sqrt(logits.var(axis=1).mean())),
        "prior": float(-(known * np.log(known)).sum()),
        "rarity": float(shares.max()) * classes,
    }


def _binary(target: Numbers) -> dict[str, Any]:
    share = min(max(float(target.mean()), 1e-12), 1.0 - 1e-12)
    return {
        "expected": math.log(2.0),
        "classes": 2,
        "prior": -share * math.log(share) - (1.0 - share) * math.log(1.0 - share),
        "rarity": 2.0 * max(share, 1.0 - share),
    }


def _range(target: Numbers) -> dict[str, Any]:
    if target.size < 2 or not np.isfinite(target).all():
        return {}
    low, high = np.quantile(target, [_TAIL, 1.0 - _TAIL])
    return {"low": float(low), "high": float(high)}


def _squares(output: Numbers, target: Numbers) -> dict[str, Any]:
    """The variance of the targets, and the largest distance of a mean output from its target's mean.

    A distance that the luck of a few samples explains is none.
    """
    samples = len(target) if target.ndim else 1
    if samples < 2:
        return {"expected": 0.0}
    guess, wanted = output.reshape(samples, -1), target.reshape(samples, -1)
    variance, varied = wanted.var(axis=0), guess.var(axis=0)
    found = {"expected": float(variance.mean())}
    if samples < _FEW:
        variance, varied = (np.full_like(v, v.mean() * samples / (samples - 1)) for v in (variance, varied))
    seen = variance > 0.0
    if not seen.any():
        return found
    away = np.abs(guess.mean(axis=0) - wanted.mean(axis=0))
    luck = _SURE * np.sqrt((variance + varied) / samples)
    unit = np.sqrt(np.maximum(variance, variance.mean()))
    return {**found, "offset": float(np.where(away > luck, away / unit, 0.0)[seen].max())}
