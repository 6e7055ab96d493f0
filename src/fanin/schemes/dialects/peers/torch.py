"""PyTorch: ``torch.nn.init`` and what its layers do when they are made; timm and Equinox beside it."""

from __future__ import annotations

import math
from dataclasses import replace

from fanin.laws import moments
from fanin.laws.gains import conventional_gain
from fanin.schemes.base import Scheme
from fanin.schemes.constant import constant, ones, zeros
from fanin.schemes.dialects.dialect import Dialect
from fanin.schemes.dialects.law import Function, Made, Rule, Same, Scaled, between, cut, gaussian
from fanin.schemes.dialects.layout import OIHW, Layout
from fanin.schemes.identity import dirac, identity
from fanin.schemes.orthogonal import orthogonal
from fanin.schemes.sparse import sparse

__all__ = ["DIALECTS"]


def _absolute(mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0) -> Rule:
    return Same(draw=moments.truncated_from_parent(mean, std, a, b))


def _kaiming(distribution: str, a: float, mode: str, nonlinearity: str) -> Rule:
    slope = a if nonlinearity == "leaky_relu" else None
    gain = conventional_gain(nonlinearity, slope)
    return Scaled(variance=gain**2, mode=mode.lower(), distribution=distribution)


def _made(scheme: Scheme) -> Rule:
    return Made(scheme=scheme)


def _sparse(sparsity: float, std: float = 0.01) -> tuple[Rule, Layout]:
    # Counted along each column: there the units are the inputs.
    return Made(scheme=sparse(sparsity=sparsity, std=std)), Layout(inputs=(0,), outputs=(1,))


def _third(mode: str = "fan_in") -> Rule:
    """U(±1/sqrt(fan)), which has the variance 1 / (3 fan)."""
    return Scaled(variance=1.0 / 3.0, mode=mode, distribution="uniform")


def _timm_scaling(scale: float = 1.0, mode: str = "fan_in", distribution: str = "normal") -> Rule:
    return Scaled(variance=scale, mode=mode, distribution=distribution)


def _recurrent(hidden_size: int) -> Rule:
    return between(-1.0 / math.sqrt(hidden_size), 1.0 / math.sqrt(hidden_size))


_TORCH = {
    "uniform": Function(make=lambda a=0.0, b=1.0: between(a, b)),
    "normal": Function(make=lambda mean=0.0, std=1.0: gaussian(mean, std)),
    "trunc_normal": Function(
        make=_absolute,
        note="a and b are in units of the weight, mean and std are the parent's",
        examples=({}, {"std": 0.02}, {"std": 1.0, "a": -0.5, "b": 1.5}),
    ),
    "constant": Function(make=lambda val: _made(constant(val)), examples=({"val": 0.5},)),
    "ones": Function(make=lambda: _made(ones())),
    "zeros": Function(make=lambda: _made(zeros())),
    "eye": Function(make=lambda: _made(identity())),
    "dirac": Function(make=lambda groups=1: (_made(dirac()), replace(OIHW, groups=groups))),
    "xavier_uniform": Function(
        make=lambda gain=1.0: Scaled(variance=gain**2, mode="fan_avg", distribution="uniform"),
        examples=({}, {"gain": 0.5}),
    ),
    "xavier_normal": Function(
        make=lambda gain=1.0: Scaled(variance=gain**2, mode="fan_avg", distribution="normal"),
        note="not truncated",
        examples=({}, {"gain": 0.5}),
    ),
    "kaiming_uniform": Function(
        make=lambda a=0.0, mode="fan_in", nonlinearity="leaky_relu": _kaiming(
            "uniform", a, mode, nonlinearity
        ),
        examples=({}, {"a": math.sqrt(5.0)}, {"mode": "fan_out", "nonlinearity": "relu"}),
    ),
    "kaiming_normal": Function(
        make=lambda a=0.0, mode="fan_in", nonlinearity="leaky_relu": _kaiming(
            "normal", a, mode, nonlinearity
        ),
        note="not truncated",
        examples=({}, {"nonlinearity": "tanh"}, {"a": 0.2, "mode": "fan_out"}),
    ),
    "orthogonal": Function(make=lambda gain=1.0: _made(orthogonal(gain))),
    "sparse": Function(
        make=_sparse, note="sparsity is the share of zeros of each column", examples=({"sparsity": 0.75},)
    ),
    "default_weight": Function(
        make=_third,
        note="what Linear and Conv set: kaiming_uniform(a=sqrt(5)); a ConvTranspose holds (in, out / groups, "
        "...), so its fan counts outputs",
    ),
    "default_recurrent": Function(
        make=_recurrent,
        note="what RNN, LSTM and GRU set, biases too",
        examples=({"hidden_size": 64},),
    ),
    "default_embedding": Function(make=lambda: gaussian(0.0, 1.0), note="what Embedding sets"),
}

_TIMM = {
    "trunc_normal": Function(
        make=lambda mean=0.0, std=1.0, a=-2.0, b=2.0: _absolute(mean, std, a, b),
        note="a and b are in units of the weight",
        examples=({}, {"std": 0.02}),
    ),
    "trunc_normal_tf": Function(
        make=lambda mean=0.0, std=1.0, a=-2.0, b=2.0: Same(draw=cut(mean, std, a, b)),
        note="a and b are in units of std, which is the parent's: the samples have less",
        examples=({}, {"std": 0.02}),
    ),
    "variance_scaling": Function(make=_timm_scaling, note="normal is not truncated"),
    "lecun_normal": Function(
        make=lambda: Scaled(variance=1.0, mode="fan_in", distribution="truncated_normal")
    ),
}

_EQUINOX = {
    "default_init": Function(make=_third, note="U(±1/sqrt(fan_in)), of every layer"),
}

DIALECTS = (
    Dialect(name="torch", source="PyTorch 2.13.0, torch/nn/init.py", layout=OIHW, functions=_TORCH),
    Dialect(name="timm", source="timm 1.0.31, timm/layers/weight_init.py", layout=OIHW, functions=_TIMM),
    Dialect(name="equinox", source="Equinox 0.13.8, equinox/nn/_misc.py", layout=OIHW, functions=_EQUINOX),
)
