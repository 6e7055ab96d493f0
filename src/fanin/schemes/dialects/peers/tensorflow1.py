"""TensorFlow 1, its core and ``tf.contrib.layers``; Haiku and Sonnet, their heirs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from fanin.errors import nearest
from fanin.records.axes import Role
from fanin.schemes.constant import constant, ones, zeros
from fanin.schemes.delta_orthogonal import delta_orthogonal
from fanin.schemes.dialects.dialect import Dialect
from fanin.schemes.dialects.law import Function, Made, Rule, Same, Scaled, between, cut, gaussian
from fanin.schemes.dialects.layout import HWIO, Layout
from fanin.schemes.identity import identity
from fanin.schemes.orthogonal import orthogonal

__all__ = ["DIALECTS"]

_fixed = constant
"""Ours, where a parameter of that name hides it."""
_WIDEN = 1.3
"""What contrib multiplies the variance by for a cut at ±2: near 1 / 0.774, the cut's own factor."""
_FANS = {"FAN_IN": "fan_in", "FAN_OUT": "fan_out", "FAN_AVG": "fan_avg"}


def _contrib(factor: float = 2.0, mode: str = "FAN_IN", uniform: object = None) -> Rule:
    if mode not in _FANS:
        raise nearest(mode, _FANS, kind="mode")
    if uniform:
        return Scaled(variance=factor, mode=_FANS[mode], distribution="uniform")
    return Scaled(variance=_WIDEN * factor, mode=_FANS[mode], distribution="parent_cut")


def _scaling(scale: float = 1.0, mode: str = "fan_in", distribution: str = "truncated_normal") -> Rule:
    return Scaled(variance=scale, mode=mode, distribution=distribution)


def _scaling_v1(scale: float = 1.0, mode: str = "fan_in", distribution: str = "truncated_normal") -> Rule:
    plain = {"normal": "truncated_normal", "untruncated_normal": "normal"}
    return _scaling(scale, mode, plain.get(distribution, distribution))


def _unit(factor: float = 1.0) -> Rule:
    return Scaled(variance=factor**2, mode="fan_in", distribution="uniform")


def _haiku_scaling(
    scale: float = 1.0,
    mode: str = "fan_in",
    distribution: str = "truncated_normal",
    fan_in_axes: Sequence[int] | None = None,
) -> Rule | tuple[Rule, Layout]:
    rule = _scaling(scale, mode, distribution)
    if fan_in_axes is None:
        return rule
    # Of a matrix Haiku knows the inputs already, and does not look at the parameter.
    axes = tuple(fan_in_axes)
    return rule, replace(_COUNTED, inputs=axes, outputs=(), matrix=(0, 1), rest=Role.OUT)


def _haiku_orthogonal(scale: float = 1.0, axis: int = -1) -> Rule | tuple[Rule, Layout]:
    rule = Made(scheme=orthogonal(scale))
    return rule if axis == -1 else (rule, Layout(inputs=(), outputs=(axis,), rest=Role.IN))


def _stacked_identity(gain: float = 1.0) -> tuple[Rule, Layout]:
    return Made(scheme=identity(gain)), Layout(inputs=(-2,), outputs=(-1,), rest=Role.BATCH)


_LAYOUT = replace(HWIO, vectors=True)
_COUNTED = replace(_LAYOUT, clamped=True)
_SHARED = {
    "constant": Function(make=lambda value=0.0: Made(scheme=constant(value))),
    "zeros": Function(make=lambda: Made(scheme=zeros())),
    "ones": Function(make=lambda: Made(scheme=ones())),
}
_CONTRIB = {
    "xavier_initializer": Function(
        make=lambda uniform=True: _contrib(1.0, "FAN_AVG", uniform),
        note="the normal one is cut at ±2 and its variance then 0.6 % too large (1.3 for 1 / Var of the cut)",
        examples=({}, {"uniform": False}),
    ),
    "variance_scaling_initializer": Function(
        make=_contrib,
        note="cut at ±2, with the factor 1.3 on the parent's variance",
        examples=({}, {"factor": 1.0, "mode": "FAN_AVG", "uniform": True}),
    ),
}
_CORE = {
    **_SHARED,
    "random_uniform": Function(make=lambda minval=0.0, maxval=1.0: between(minval, maxval)),
    "random_normal": Function(make=lambda mean=0.0, stddev=1.0: gaussian(mean, stddev)),
    "truncated_normal": Function(
        make=lambda mean=0.0, stddev=1.0: Same(draw=cut(mean, stddev)), note="stddev is the parent's"
    ),
    "variance_scaling": Function(make=_scaling_v1, note="normal means truncated; widened since 1.8"),
    "uniform_unit_scaling": Function(make=_unit, note="±factor sqrt(3 / fan_in)"),
    "glorot_uniform": Function(make=lambda: _scaling(1.0, "fan_avg", "uniform")),
    "glorot_normal": Function(make=lambda: _scaling(1.0, "fan_avg", "truncated_normal")),
    "he_normal": Function(make=lambda: _scaling(2.0, "fan_in", "truncated_normal")),
    "he_uniform": Function(make=lambda: _scaling(2.0, "fan_in", "uniform")),
    "lecun_normal": Function(make=lambda: _scaling(1.0, "fan_in", "truncated_normal")),
    "lecun_uniform": Function(make=lambda: _scaling(1.0, "fan_in", "uniform")),
    "orthogonal": Function(make=lambda gain=1.0: Made(scheme=orthogonal(gain))),
    "delta_orthogonal": Function(make=lambda gain=1.0: Made(scheme=delta_orthogonal(gain))),
    "identity": Function(make=lambda gain=1.0: Made(scheme=identity(gain))),
}
_HAIKU = {
    **_SHARED,
    "constant": Function(make=lambda constant: Made(scheme=_fixed(constant)), examples=({"constant": 0.5},)),
    "random_uniform": Function(make=lambda minval=0.0, maxval=1.0: between(minval, maxval)),
    "random_normal": Function(make=lambda stddev=1.0, mean=0.0: gaussian(mean, stddev)),
    "truncated_normal": Function(
        make=lambda stddev=1.0, mean=0.0, lower=-2.0, upper=2.0: Same(draw=cut(mean, stddev, lower, upper)),
        note="stddev is the parent's: the samples have less",
        examples=({}, {"stddev": 0.02, "lower": -1.0, "upper": 3.0}),
    ),
    "variance_scaling": Function(
        make=_haiku_scaling,
        note="normal is not truncated; from three dimensions on all but fan_in_axes are outputs",
        examples=(
            {},
            {"distribution": "normal", "scale": 2.0, "mode": "fan_out"},
            {"distribution": "uniform", "mode": "fan_avg"},
            {"fan_in_axes": (0, 2)},
        ),
    ),
    "uniform_scaling": Function(make=lambda scale=1.0: _unit(scale), note="±scale sqrt(3 / fan_in)"),
    "orthogonal": Function(make=_haiku_orthogonal, examples=({}, {"scale": 0.5, "axis": 0})),
    "identity": Function(make=_stacked_identity, note="stacked matrices in more dimensions"),
    "default_weight": Function(
        make=lambda: _scaling(1.0, "fan_in", "parent_cut"),
        note="what Linear and Conv set: TruncatedNormal(1 / sqrt(fan_in)), not widened for the cut",
    ),
}
_SONNET = {
    **{name: one for name, one in _HAIKU.items() if name != "uniform_scaling"},
    "constant": Function(make=lambda value: Made(scheme=constant(value)), examples=({"value": 0.5},)),
    "random_normal": Function(make=lambda mean=0.0, stddev=1.0: gaussian(mean, stddev)),
    "truncated_normal": Function(
        make=lambda mean=0.0, stddev=1.0: Same(draw=cut(mean, stddev)), note="stddev is the parent's"
    ),
    "orthogonal": Function(make=lambda gain=1.0: Made(scheme=orthogonal(gain))),
    "variance_scaling": Function(make=_scaling, note="normal is not truncated"),
}

DIALECTS = (
    Dialect(
        name="tf1-contrib",
        aliases=("tf.contrib", "tf-contrib"),
        source="TensorFlow 1, contrib/layers/python/layers/initializers.py",
        layout=_LAYOUT,
        functions=_CONTRIB,
    ),
    Dialect(
        name="tf1",
        source="TensorFlow 1, python/ops/init_ops.py",
        layout=_COUNTED,
        functions=_CORE,
    ),
    Dialect(
        name="haiku",
        source="Haiku 0.0.17, haiku/_src/initializers.py",
        layout=_COUNTED,
        functions=_HAIKU,
    ),
    Dialect(
        name="sonnet",
        source="Sonnet 2, sonnet/src/initializers.py",
        layout=_COUNTED,
        functions=_SONNET,
    ),
)
