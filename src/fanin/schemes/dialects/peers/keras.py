"""Keras 3, TensorFlow 2 and tf-keras, which share their laws."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from fanin.schemes.constant import constant, ones, zeros
from fanin.schemes.dialects.dialect import Dialect
from fanin.schemes.dialects.law import Function, Made, Rule, Same, Scaled, between, cut, gaussian
from fanin.schemes.dialects.layout import HWIO
from fanin.schemes.identity import identity
from fanin.schemes.orthogonal import orthogonal

__all__ = ["DIALECTS"]

_NORMALS = {
    "truncated_normal": "truncated_normal",
    "normal": "truncated_normal",
    "untruncated_normal": "normal",
    "uniform": "uniform",
}


def _scaling(scale: float = 1.0, mode: str = "fan_in", distribution: str = "truncated_normal") -> Rule:
    return Scaled(variance=scale, mode=mode, distribution=_NORMALS.get(distribution, distribution))


def _named(variance: float, mode: str, distribution: str) -> Callable[[], Rule]:
    return lambda: Scaled(variance=variance, mode=mode, distribution=distribution)


_CUT = "cut at ±2 and widened for it"
_KERAS = {
    "variance_scaling": Function(
        make=_scaling,
        note="normal means truncated",
        examples=(
            {},
            {"distribution": "normal", "scale": 0.5},
            {"mode": "fan_out", "distribution": "untruncated_normal"},
            {"mode": "fan_avg", "distribution": "uniform", "scale": 3.0},
        ),
    ),
    "glorot_uniform": Function(make=_named(1.0, "fan_avg", "uniform")),
    "glorot_normal": Function(make=_named(1.0, "fan_avg", "truncated_normal"), note=_CUT),
    "he_uniform": Function(make=_named(2.0, "fan_in", "uniform")),
    "he_normal": Function(make=_named(2.0, "fan_in", "truncated_normal"), note=_CUT),
    "lecun_uniform": Function(make=_named(1.0, "fan_in", "uniform")),
    "lecun_normal": Function(make=_named(1.0, "fan_in", "truncated_normal"), note=_CUT),
    "random_uniform": Function(make=lambda minval=-0.05, maxval=0.05: between(minval, maxval)),
    "random_normal": Function(make=lambda mean=0.0, stddev=0.05: gaussian(mean, stddev)),
    "truncated_normal": Function(
        make=lambda mean=0.0, stddev=0.05: Same(draw=cut(mean, stddev)),
        note="stddev is the parent's: the samples have less",
        examples=({}, {"mean": 0.5, "stddev": 0.1}),
    ),
    "orthogonal": Function(make=lambda gain=1.0: Made(scheme=orthogonal(gain))),
    "identity": Function(make=lambda gain=1.0: Made(scheme=identity(gain))),
    "constant": Function(make=lambda value=0.0: Made(scheme=constant(value))),
    "zeros": Function(make=lambda: Made(scheme=zeros())),
    "ones": Function(make=lambda: Made(scheme=ones())),
}

DIALECTS = (
    Dialect(
        name="keras",
        aliases=("keras3", "tensorflow", "tf2", "tf-keras"),
        source="Keras 3.15.1, keras/src/initializers/random_initializers.py",
        layout=replace(HWIO, vectors=True, clamped=True),
        functions=_KERAS,
    ),
)
