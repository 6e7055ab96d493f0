"""MXNet, Chainer, Lasagne and Deeplearning4j: no longer developed, and still ported from."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from fanin.errors import nearest
from fanin.schemes.base import checked_gain
from fanin.schemes.constant import constant, ones, zeros
from fanin.schemes.dialects.dialect import Dialect
from fanin.schemes.dialects.law import Function, Made, Rule, Scaled, between, gaussian
from fanin.schemes.dialects.layout import IO_OIHW, OIHW
from fanin.schemes.identity import identity
from fanin.schemes.orthogonal import orthogonal

__all__ = ["DIALECTS"]

_FACTORS = {"avg": "fan_avg", "in": "fan_in", "out": "fan_out"}
_SVD = "ours is Haar; theirs takes an SVD of noise without fixing signs"


def _xavier(rnd_type: str = "uniform", factor_type: str = "avg", magnitude: float = 3.0) -> Rule:
    if factor_type not in _FACTORS:
        raise nearest(factor_type, _FACTORS, kind="factor_type")
    if rnd_type not in {"uniform", "gaussian"}:
        raise nearest(rnd_type, ("uniform", "gaussian"), kind="rnd_type")
    # The bound of the uniform and the std of the normal are the same number, sqrt(magnitude / fan).
    uniform = rnd_type == "uniform"
    return Scaled(
        variance=magnitude / 3.0 if uniform else magnitude,
        mode=_FACTORS[factor_type],
        distribution="uniform" if uniform else "normal",
    )


def _scaled(variance: float, mode: str, distribution: str) -> Callable[..., Rule]:
    """A law with a free factor on the standard deviation."""
    return lambda scale=1.0: Scaled(variance=variance * scale**2, mode=mode, distribution=distribution)


def _plain(variance: float, mode: str, distribution: str) -> Callable[[], Rule]:
    return lambda: Scaled(variance=variance, mode=mode, distribution=distribution)


def _lasagne(variance: float, mode: str, distribution: str) -> Callable[..., Rule]:
    def make(gain: float | str = 1.0) -> Rule:
        if isinstance(gain, str):
            factor = 2.0 if gain == "relu" else math.nan
        else:
            factor = checked_gain("lasagne", gain) ** 2
        return Scaled(variance=variance * factor, mode=mode, distribution=distribution)

    return make


_MXNET = {
    "uniform": Function(make=lambda scale=0.07: between(-scale, scale)),
    "normal": Function(make=lambda sigma=0.01: gaussian(0.0, sigma)),
    "xavier": Function(
        make=_xavier,
        note="magnitude 3 suits the uniform; for the gaussian it gives three times Glorot's variance",
        examples=({}, {"rnd_type": "gaussian"}, {"factor_type": "in", "magnitude": 2.0}),
    ),
    "msraprelu": Function(
        make=lambda factor_type="avg", slope=0.25: _xavier("gaussian", factor_type, 2.0 / (1.0 + slope**2)),
        note="the mean of both fans and a slope of 0.25 by default",
    ),
    "orthogonal": Function(make=lambda scale=1.414: Made(scheme=orthogonal(scale)), note=_SVD),
    "constant": Function(make=lambda value: Made(scheme=constant(value)), examples=({"value": 0.5},)),
    "zero": Function(make=lambda: Made(scheme=zeros())),
    "one": Function(make=lambda: Made(scheme=ones())),
}
_CHAINER = {
    "uniform": Function(make=lambda scale=0.05: between(-scale, scale)),
    "normal": Function(make=lambda scale=0.05: gaussian(0.0, scale)),
    "lecun_normal": Function(make=_scaled(1.0, "fan_in", "normal")),
    "lecun_uniform": Function(make=_scaled(1.0, "fan_in", "uniform")),
    "glorot_normal": Function(make=_scaled(1.0, "fan_avg", "normal")),
    "glorot_uniform": Function(make=_scaled(1.0, "fan_avg", "uniform")),
    "he_normal": Function(
        make=lambda scale=1.0, fan_option="fan_in": Scaled(
            variance=2.0 * scale**2, mode=fan_option, distribution="normal"
        )
    ),
    "he_uniform": Function(make=_scaled(2.0, "fan_in", "uniform")),
    "orthogonal": Function(
        make=lambda scale=1.1: Made(scheme=orthogonal(scale)), note="scale 1.1 by default"
    ),
    "identity": Function(make=lambda scale=1.0: Made(scheme=identity(scale))),
    "constant": Function(
        make=lambda fill_value: Made(scheme=constant(fill_value)), examples=({"fill_value": 0.5},)
    ),
    "zero": Function(make=lambda: Made(scheme=zeros())),
    "one": Function(make=lambda: Made(scheme=ones())),
}
_LASAGNE = {
    "normal": Function(make=lambda std=0.01, mean=0.0: gaussian(mean, std)),
    "glorot_normal": Function(make=_lasagne(1.0, "fan_avg", "normal"), examples=({}, {"gain": "relu"})),
    "glorot_uniform": Function(make=_lasagne(1.0, "fan_avg", "uniform"), examples=({}, {"gain": "relu"})),
    "he_normal": Function(
        make=_lasagne(1.0, "fan_in", "normal"),
        note="gain 1 by default, so LeCun's variance; gain='relu' gives He's",
        examples=({}, {"gain": "relu"}),
    ),
    "he_uniform": Function(
        make=_lasagne(1.0, "fan_in", "uniform"), note="gain 1 by default", examples=({}, {"gain": "relu"})
    ),
    "constant": Function(make=lambda val=0.0: Made(scheme=constant(val))),
    "orthogonal": Function(make=lambda gain=1.0: Made(scheme=orthogonal(gain)), note=_SVD),
}
_DL4J = {
    "xavier": Function(make=_plain(1.0, "fan_avg", "normal"), note="the normal one"),
    "xavier_uniform": Function(make=_plain(1.0, "fan_avg", "uniform")),
    "xavier_fan_in": Function(make=_plain(1.0, "fan_in", "normal")),
    "relu": Function(make=_plain(2.0, "fan_in", "normal")),
    "relu_uniform": Function(make=_plain(2.0, "fan_in", "uniform")),
    # ±4 sqrt(6 / (fan_in + fan_out)) has 16 times the variance of Glorot's uniform.
    "sigmoid_uniform": Function(make=_plain(16.0, "fan_avg", "uniform")),
    "uniform": Function(make=_plain(1.0 / 3.0, "fan_in", "uniform"), note="±1 / sqrt(fan_in)"),
    "lecun_normal": Function(make=_plain(1.0, "fan_in", "normal")),
    "lecun_uniform": Function(
        make=_plain(3.0, "fan_in", "uniform"), note="±3 / sqrt(fan_in): three times LeCun's variance"
    ),
    "var_scaling_normal_fan_in": Function(make=_plain(1.0, "fan_in", "truncated_normal")),
    "var_scaling_normal_fan_out": Function(make=_plain(1.0, "fan_out", "truncated_normal")),
    "var_scaling_normal_fan_avg": Function(make=_plain(1.0, "fan_avg", "truncated_normal")),
    "var_scaling_uniform_fan_in": Function(
        make=_plain(3.0, "fan_in", "uniform"),
        note="±3 / sqrt(fan_in): three times the variance of the normal",
    ),
    "identity": Function(make=lambda: Made(scheme=identity())),
    "zero": Function(make=lambda: Made(scheme=zeros())),
    "ones": Function(make=lambda: Made(scheme=ones())),
}

DIALECTS = (
    Dialect(name="mxnet", source="MXNet, python/mxnet/initializer.py", layout=OIHW, functions=_MXNET),
    Dialect(name="chainer", source="Chainer a8e15cbe, chainer/initializers", layout=OIHW, functions=_CHAINER),
    Dialect(
        name="lasagne",
        aliases=("theano",),
        source="Lasagne 5d3c63c, lasagne/init.py",
        layout=replace(IO_OIHW),
        functions=_LASAGNE,
    ),
    Dialect(
        name="dl4j",
        aliases=("deeplearning4j",),
        source="Deeplearning4j, org/deeplearning4j/nn/weights/WeightInit.java",
        layout=IO_OIHW,
        functions=_DL4J,
    ),
)
