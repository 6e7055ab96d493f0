"""Why the root has 6 in the uniform and 2 in the normal Glorot."""

from __future__ import annotations

import math

from fanin.explanations import families
from fanin.explanations.topic import Topic
from fanin.laws import moments
from fanin.laws.fans import fans
from fanin.records.draw import Uniform
from fanin.records.explanation import Explanation, Number, Step
from fanin.schemes.glorot import glorot_normal, glorot_uniform

__all__ = ["TOPIC"]

_SHAPE = (256, 784)


def _build(topic: Topic, depth: int) -> Explanation:  # noqa: ARG001 - the form of all topics
    counted = fans(_SHAPE)
    flat, bell = glorot_uniform().draw(_SHAPE), glorot_normal().draw(_SHAPE)
    three = 1.0 / moments.variance(Uniform(low=-1.0, high=1.0))
    two = counted.fan_in + counted.fan_out
    unit = glorot_uniform().variance * two / counted.fan_avg
    bound = flat.high if isinstance(flat, Uniform) else math.nan
    return topic.answer(
        f"Both have the variance 2 / (fan_in + fan_out). A uniform is given by its bound, and a bound is "
        f"sqrt({three:.6g}) standard deviations: {three:.6g} × {unit:.6g} = {three * unit:.6g}.",
        steps=(
            Step(
                title="One variance",
                text="The mean of the two fans is (fan_in + fan_out) / 2, so 1 over it has a 2 on top.",
                numbers=(
                    Number(name="2", value=unit, formula="(fan_in + fan_out) / fan_avg"),
                    Number(
                        name="Var[w]",
                        value=unit / two,
                        formula=f"{unit:.6g} / ({counted.fan_in:g} + {counted.fan_out:g})",
                    ),
                ),
            ),
            Step(
                title="Normal: its parameter is the std",
                text="std = sqrt(2 / (fan_in + fan_out)).",
                numbers=(Number(name="std, normal", value=bell.std, formula=f"sqrt({unit:.6g} / {two:g})"),),
            ),
            Step(
                title="Uniform: its parameter is the bound",
                text="Var U(±a) = (1/2a) ∫ x² dx from -a to a = a²/3, so a = sqrt(3 · 2 / (fan_in + "
                "fan_out)).",
                numbers=(
                    Number(name="3", value=three, formula="1 / Var U(±1)"),
                    Number(name="6", value=three * unit, formula=f"{three:.6g} × {unit:.6g}"),
                    Number(name="bound", value=bound, formula=f"sqrt({three * unit:.6g} / {two:g})"),
                    Number(name="std, uniform", value=flat.std, formula=f"bound / sqrt({three:.6g})"),
                ),
            ),
            Step(
                title="What goes wrong when they are mixed up",
                text="A normal with the 6 under its root is too wide, a uniform with the 2 too narrow, "
                "by the same ratio "
                "of variances.",
                numbers=(Number(name="ratio", value=three, formula="6 / 2"),),
            ),
        ),
        tables=(families.compared(bell.std, math.prod(_SHAPE)),),
        charts=(families.chart(bell.std),),
        references=("Glorot and Bengio 2010, equations 12 and 16",),
    )


TOPIC = Topic(
    name="six-and-two",
    question="Why has the root a 6 in the uniform Glorot and a 2 in the normal one?",
    build=_build,
)
