"""A loss that JAX can trace, with what is known of it; and the one of targets that are floats."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from fanin.errors import InputError, explain
from fanin.records.trace import LossMeasurement

__all__ = ["Asked", "squares"]

_NAME = "mean squared error"
_FEW, _SURE = 16, 6.0
"""Samples below which outputs share one variance, and standard errors that luck does not reach."""
_TAIL = 0.05
"""Share of the targets that may lie anywhere."""

Array = NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A loss that can be traced, and what is known of it.

    Parameters
    ----------
    name
        See `fanin.records.trace.LossMeasurement`.
    value
        From the list of outputs, and the target's arrays, to a number.
    target
        The target's arrays.
    reads
        Places of the outputs that it depends on.
    foreign
        Whether it is a function of the user's own, which says what outputs of zeros start at.
    known
        From the outputs to what the loss should be.
    """

    name: str
    value: Callable[[Sequence[Any], Sequence[Any]], Any]
    target: tuple[Any, ...] = ()
    reads: frozenset[int] = frozenset()
    foreign: bool = False
    known: Callable[[Sequence[Any]], dict[str, Any]] = lambda _: {}

    def measured(self, value: float, outputs: Sequence[Any], silent: Any) -> LossMeasurement:
        """The loss as a record."""
        found = LossMeasurement(name=self.name, value=value, **self.known(outputs))
        quiet = None if silent is None else float(silent)
        return replace(found, silent=quiet if quiet is None or math.isfinite(quiet) else None)


def squares(output: Any, main: int, target: Array) -> Asked:
    """The mean squared error of an output and a target of its shape.

    Raises
    ------
    InputError
        The target does not fit the output.
    """
    complex_ = bool(jnp.issubdtype(output.dtype, jnp.complexfloating))
    if complex_:
        target = target.astype(np.complex128)
    elif target.dtype.kind == "c":
        raise InputError(
            explain(
                "The target does not fit the output",
                received=f"a target of {target.dtype}, an output of {output.dtype}",
                rule="Real outputs have real targets",
            )
        )
    shape = tuple(output.shape)
    if shape != target.shape:
        if math.prod(shape) != target.size:
            raise InputError(
                explain(
                    "The target does not fit the output",
                    received=f"shape {target.shape} for an output of shape {shape}",
                    rule="A target of floats has the output's shape",
                    remedy="Give a loss=... that takes this pair",
                )
            )
        # (N,) against (N, 1) would broadcast to N x N.
        target = target.reshape(shape)
    real = _real(target).astype(np.float64)

    def value(out: Sequence[Any], given: Sequence[Any]) -> Any:
        x = jnp.stack([out[main].real, out[main].imag], -1) if complex_ else out[main]
        return jnp.square(x.astype(jnp.float32) - given[0]).mean()

    def known(out: Sequence[Any]) -> dict[str, Any]:
        guess = _real(np.asarray(out[main])).astype(np.float64)
        low, high = np.quantile(real, [_TAIL, 1.0 - _TAIL]).tolist() if real.size > 1 else (math.nan, 0.0)
        bounded = math.isfinite(low) and math.isfinite(high)
        return {
            "expected": float(real.var(axis=0).mean()) if real.ndim and len(real) > 1 else 0.0,
            "offset": _offset(guess, real),
            "low": low if bounded else None,
            "high": high if bounded else None,
        }

    return Asked(
        name=_NAME,
        value=value,
        target=(jnp.asarray(real, jnp.float32),),
        reads=frozenset({main}),
        known=known,
    )


def _real(x: Array) -> Array:
    return np.stack([x.real, x.imag], axis=-1) if x.dtype.kind == "c" else x


def _offset(guess: Array, wanted: Array) -> float | None:
    """Largest distance over outputs between mean output and mean target, in the target's deviations.

    A distance that the luck of a few samples explains is none: an image has thousands of outputs. And an
    output that hardly varies (a border pixel, nearly always empty) is measured by what the others do: in the
    loss all count alike.
    """
    samples = len(wanted) if wanted.ndim else 1
    if samples < 2:
        return None
    guess, wanted = guess.reshape(samples, -1), wanted.reshape(samples, -1)
    variance, varied = wanted.var(axis=0), guess.var(axis=0)
    if samples < _FEW:
        # The variance of so few is itself luck: all outputs have one.
        variance, varied = (np.full_like(v, v.mean() * samples / (samples - 1)) for v in (variance, varied))
    seen = variance > 0.0
    if not seen.any():
        return None
    away = np.abs(guess.mean(axis=0) - wanted.mean(axis=0))
    luck = _SURE * np.sqrt((variance + varied) / samples)
    unit = np.sqrt(np.maximum(variance, variance.mean()))
    return float(np.where(away > luck, away / unit, 0.0)[seen].max())
