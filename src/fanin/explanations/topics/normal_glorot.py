"""Where the normal Glorot comes from."""

from __future__ import annotations

import math

from fanin.explanations import families
from fanin.explanations.derivation import factors
from fanin.explanations.topic import Topic
from fanin.laws.fans import fans
from fanin.laws.gains import gain
from fanin.records.explanation import Explanation, Number, Step
from fanin.schemes.glorot import glorot_normal, glorot_truncated_normal, glorot_uniform

__all__ = ["TOPIC"]

_SHAPE = (256, 784)


def _build(topic: Topic, depth: int) -> Explanation:  # noqa: ARG001 - the form of all topics
    counted, linear = fans(_SHAPE), gain("linear")
    made = {
        one.name: one.draw(_SHAPE) for one in (glorot_uniform(), glorot_normal(), glorot_truncated_normal())
    }
    variance = glorot_normal().variance / counted.fan_avg
    return topic.answer(
        "From equation 12 of Glorot and Bengio (2010), which fixes the variance and no distribution. "
        "The paper then "
        "proposes a uniform (equation 16); the normal of the same variance was added by libraries, and "
        "some cut it.",
        steps=(
            Step(
                title="Two wishes (equations 10 and 11)",
                text="Forward fan_in · Var[w] = 1, backward fan_out · Var[w] = 1, for units that are "
                "linear around 0.",
                numbers=(
                    Number(name="forward", value=1.0 / counted.fan_in, formula=f"1 / {counted.fan_in:g}"),
                    Number(name="backward", value=1.0 / counted.fan_out, formula=f"1 / {counted.fan_out:g}"),
                ),
            ),
            Step(
                title="One variance (equation 12)",
                text="Var[w] = 2 / (fan_in + fan_out) lies between the two: each is missed, in "
                "opposite directions.",
                numbers=(
                    Number(
                        name="Var[w]",
                        value=variance,
                        formula=f"2 / ({counted.fan_in:g} + {counted.fan_out:g})",
                    ),
                    *factors(variance, counted, linear),
                ),
            ),
            Step(
                title="Three distributions",
                text="The uniform is the paper's. torch's xavier_normal_ is a plain normal; "
                "glorot_normal of Keras and JAX "
                "is cut at two standard deviations of its parent, which is widened so that the "
                "variance is the same.",
                numbers=tuple(
                    Number(name=name, value=draw.std, note=str(draw)) for name, draw in made.items()
                ),
            ),
        ),
        tables=(families.compared(math.sqrt(variance), math.prod(_SHAPE)),),
        charts=(families.chart(math.sqrt(variance)),),
        references=("Glorot and Bengio 2010, equations 10, 11, 12 and 16",),
    )


TOPIC = Topic(name="normal-glorot", question="Where does the normal Glorot come from?", build=_build)
