"""``jax.nn.initializers``, which Flax offers too."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from fanin.errors import InputError, explain
from fanin.schemes.constant import constant, ones, zeros
from fanin.schemes.delta_orthogonal import delta_orthogonal
from fanin.schemes.dialects.dialect import Dialect
from fanin.schemes.dialects.law import Function, Made, Rule, Same, Scaled, between, cut, gaussian
from fanin.schemes.dialects.layout import HWIO, Layout
from fanin.schemes.orthogonal import orthogonal

__all__ = ["DIALECTS"]

Places: TypeAlias = int | Sequence[int]


def _tuple(places: Places) -> tuple[int, ...]:
    return (places,) if isinstance(places, int) else tuple(places)


def _scaling(
    scale: float,
    mode: str,
    distribution: str,
    in_axis: Places = -2,
    out_axis: Places = -1,
    batch_axis: Places = (),
) -> tuple[Rule, Layout]:
    layout = Layout(inputs=_tuple(in_axis), outputs=_tuple(out_axis), batch=_tuple(batch_axis))
    return Scaled(variance=scale, mode=mode, distribution=distribution), layout


def _named(
    scale: float, mode: str, distribution: str
) -> Callable[[Places, Places, Places], tuple[Rule, Layout]]:
    def make(in_axis: Places = -2, out_axis: Places = -1, batch_axis: Places = ()) -> tuple[Rule, Layout]:
        return _scaling(scale, mode, distribution, in_axis, out_axis, batch_axis)

    return make


def _orthogonal(scale: float = 1.0, column_axis: int = -1) -> tuple[Rule, Layout]:
    if column_axis not in (-1, 0):
        raise InputError(
            explain(
                "Only the first or the last dimension can hold the columns here",
                received=f"column_axis={column_axis}",
                remedy="Use orthogonal() with axes",
            )
        )
    other = -2 if column_axis == -1 else 1
    return Made(scheme=orthogonal(scale)), Layout(inputs=(other,), outputs=(column_axis,))


_CUT = "cut at ±2 and widened for it"
_AXES: tuple[dict[str, Any], ...] = ({}, {"in_axis": (0, 1), "out_axis": 2}, {"batch_axis": 0})
_JAX = {
    "variance_scaling": Function(
        make=_scaling,
        note="normal is not truncated",
        examples=(
            {"scale": 1.0, "mode": "fan_in", "distribution": "normal"},
            {"scale": 2.0, "mode": "fan_geo_avg", "distribution": "truncated_normal"},
            {"scale": 0.5, "mode": "fan_avg", "distribution": "uniform"},
        ),
    ),
    "glorot_uniform": Function(make=_named(1.0, "fan_avg", "uniform")),
    "glorot_normal": Function(make=_named(1.0, "fan_avg", "truncated_normal"), note=_CUT),
    "xavier_uniform": Function(make=_named(1.0, "fan_avg", "uniform")),
    "xavier_normal": Function(make=_named(1.0, "fan_avg", "truncated_normal"), note=_CUT),
    "he_uniform": Function(make=_named(2.0, "fan_in", "uniform")),
    "he_normal": Function(make=_named(2.0, "fan_in", "truncated_normal"), note=_CUT, examples=_AXES),
    "kaiming_uniform": Function(make=_named(2.0, "fan_in", "uniform")),
    "kaiming_normal": Function(make=_named(2.0, "fan_in", "truncated_normal"), note=_CUT),
    "lecun_uniform": Function(make=_named(1.0, "fan_in", "uniform")),
    "lecun_normal": Function(make=_named(1.0, "fan_in", "truncated_normal"), note=_CUT, examples=_AXES),
    "uniform": Function(make=lambda scale=0.01: between(0.0, scale), note="from 0, not symmetric"),
    "normal": Function(make=lambda stddev=0.01: gaussian(0.0, stddev)),
    "truncated_normal": Function(
        make=lambda stddev=0.01, lower=-2.0, upper=2.0: Same(draw=cut(0.0, stddev, lower, upper)),
        note="bounds in units of stddev, which is the parent's: the samples have less",
        examples=({}, {"stddev": 0.02, "lower": -1.0, "upper": 3.0}),
    ),
    "orthogonal": Function(make=_orthogonal),
    "delta_orthogonal": Function(
        make=lambda scale=1.0: Made(scheme=delta_orthogonal(scale)),
        note="the centre of an even kernel is the tap before ours",
    ),
    "constant": Function(make=lambda value: Made(scheme=constant(value)), examples=({"value": 0.5},)),
    "zeros": Function(make=lambda: Made(scheme=zeros())),
    "ones": Function(make=lambda: Made(scheme=ones())),
}

DIALECTS = (
    Dialect(
        name="jax",
        aliases=("flax",),
        source="JAX 0.10.2, jax/_src/nn/initializers.py",
        layout=HWIO,
        functions=_JAX,
    ),
)
