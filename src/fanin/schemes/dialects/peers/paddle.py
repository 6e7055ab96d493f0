"""Paddle, MLX, tinygrad and Lux."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from fanin.laws import moments
from fanin.laws.gains import conventional_gain
from fanin.records.axes import Role
from fanin.schemes.constant import constant, ones, zeros
from fanin.schemes.dialects.dialect import Dialect
from fanin.schemes.dialects.law import Function, Made, Rule, Same, Scaled, between, gaussian
from fanin.schemes.dialects.layout import IO_OIHW, OHWI, OIHW, Layout
from fanin.schemes.identity import dirac, identity
from fanin.schemes.orthogonal import orthogonal
from fanin.schemes.sparse import sparse

__all__ = ["DIALECTS"]


def _gained(mode: str, distribution: str, standard: float = 1.0) -> Callable[..., Rule]:
    """A law with a free gain."""
    return lambda gain=standard: Scaled(variance=gain**2, mode=mode, distribution=distribution)


def _absolute(mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0) -> Rule:
    return Same(draw=moments.truncated_from_parent(mean, std, a, b))


def _kaiming(distribution: str) -> Callable[..., Rule]:
    def make(negative_slope: float = 0.0, nonlinearity: str = "relu") -> Rule:
        slope = negative_slope if nonlinearity == "leaky_relu" else None
        gain = conventional_gain(nonlinearity, slope)
        return Scaled(variance=gain**2, mode="fan_in", distribution=distribution)

    return make


def _mlx_he(distribution: str) -> Callable[..., Rule]:
    return lambda mode="fan_in", gain=1.0: Scaled(variance=gain**2, mode=mode, distribution=distribution)


def _tiny_kaiming(distribution: str) -> Callable[..., Rule]:
    return lambda a=0.01: Scaled(variance=2.0 / (1.0 + a**2), mode="fan_in", distribution=distribution)


_PADDLE = {
    "uniform": Function(make=lambda low=-1.0, high=1.0: between(low, high)),
    "normal": Function(make=lambda mean=0.0, std=1.0: gaussian(mean, std)),
    "truncated_normal": Function(make=_absolute, note="a and b are in units of the weight"),
    "xavier_uniform": Function(make=_gained("fan_avg", "uniform")),
    "xavier_normal": Function(make=_gained("fan_avg", "normal"), note="not truncated"),
    "kaiming_uniform": Function(make=_kaiming("uniform")),
    "kaiming_normal": Function(make=_kaiming("normal"), note="not truncated"),
    "orthogonal": Function(make=lambda gain=1.0: Made(scheme=orthogonal(gain))),
    "dirac": Function(make=lambda groups=1: (Made(scheme=dirac()), replace(OIHW, groups=groups))),
    "constant": Function(make=lambda value=0.0: Made(scheme=constant(value))),
}
_MLX = {
    "uniform": Function(make=lambda low=0.0, high=1.0: between(low, high)),
    "normal": Function(make=lambda mean=0.0, std=1.0: gaussian(mean, std)),
    "glorot_uniform": Function(make=_gained("fan_avg", "uniform")),
    "glorot_normal": Function(make=_gained("fan_avg", "normal"), note="not truncated"),
    "he_uniform": Function(make=_mlx_he("uniform"), note="gain 1: LeCun's variance, half of He's"),
    "he_normal": Function(make=_mlx_he("normal"), note="gain 1: LeCun's variance, half of He's"),
    "orthogonal": Function(make=lambda gain=1.0: Made(scheme=orthogonal(gain))),
    "sparse": Function(
        make=lambda sparsity, std=1.0: Made(scheme=sparse(sparsity=sparsity, std=std)),
        note="zeros of each row",
        examples=({"sparsity": 0.5},),
    ),
    "identity": Function(make=lambda: Made(scheme=identity())),
    "constant": Function(make=lambda value: Made(scheme=constant(value)), examples=({"value": 0.5},)),
}
_TINYGRAD = {
    "glorot_uniform": Function(
        make=_gained("fan_avg", "uniform"), note="a kernel's taps count in fan_in but not in fan_out"
    ),
    "kaiming_uniform": Function(make=_tiny_kaiming("uniform"), note="a slope of 0.01 by default"),
    "kaiming_normal": Function(make=_tiny_kaiming("normal"), note="a slope of 0.01 by default"),
    "scaled_uniform": Function(
        make=lambda: Scaled(variance=1.0 / 3.0, mode="size", distribution="uniform"),
        note="±1 / sqrt(number of elements)",
    ),
}
_LUX = {
    "glorot_uniform": Function(make=_gained("fan_avg", "uniform")),
    "glorot_normal": Function(make=_gained("fan_avg", "normal")),
    "kaiming_uniform": Function(make=_gained("fan_in", "uniform", math.sqrt(2.0))),
    "kaiming_normal": Function(make=_gained("fan_in", "normal", math.sqrt(2.0))),
    "truncated_normal": Function(
        make=lambda mean=0.0, std=1.0, lo=-2.0, hi=2.0: _absolute(mean, std, lo, hi),
        note="lo and hi are in units of the weight",
    ),
    "orthogonal": Function(make=lambda gain=1.0: Made(scheme=orthogonal(gain))),
    "zeros": Function(make=lambda: Made(scheme=zeros())),
    "ones": Function(make=lambda: Made(scheme=ones())),
}

DIALECTS = (
    Dialect(
        name="paddle",
        source="Paddle, python/paddle/nn/initializer",
        layout=replace(IO_OIHW, vectors=True),
        functions=_PADDLE,
    ),
    Dialect(name="mlx", source="MLX 0.32.4, python/mlx/nn/init.py", layout=OHWI, functions=_MLX),
    Dialect(
        name="tinygrad",
        source="tinygrad a9069c17, tinygrad/mixin/rand.py",
        layout=replace(OIHW, rest=Role.IN),
        functions=_TINYGRAD,
    ),
    Dialect(
        name="lux",
        source="Lux 6f4b96cc, lib/WeightInitializers",
        layout=Layout(inputs=(-2,), outputs=(-1,), matrix=(1, 0)),
        functions=_LUX,
    ),
)
