"""The law of modes: which fan divides the variance, and what that does in both directions."""

from __future__ import annotations

import math
from itertools import pairwise

from fanin.explanations.topic import Topic
from fanin.laws.fans import Fans
from fanin.records.explanation import Chart, Curve, Explanation, Number, Step, Table
from fanin.schemes.base import MODES

__all__ = ["TOPIC"]

_PYRAMID = (784, 512, 256, 128, 10)
_WORDS = {
    "fan_in": "fan_in keeps the signal",
    "fan_out": "fan_out keeps the gradient",
    "fan_avg": "between the two, nearer to the larger fan",
    "fan_geo_avg": "between the two, the product of both kept",
}


def _factors(counted: Fans, mode: str) -> tuple[float, float]:
    """Forward and backward factor of one linear layer with Var[w] = 1 / fan."""
    fan: float = getattr(counted, mode)
    return counted.fan_in / fan, counted.fan_out / fan


def _build(topic: Topic, depth: int) -> Explanation:  # noqa: ARG001 - the form of all topics
    one = Fans(fan_in=784.0, fan_out=256.0)
    average, middle = _factors(one, "fan_avg"), _factors(one, "fan_geo_avg")
    return topic.answer(
        "Var[w] = gain² / fan with fan = fan_in, fan_out, (fan_in + fan_out) / 2 or sqrt(fan_in · "
        "fan_out).",
        summary="A layer multiplies the signal's power by fan_in Var[w] and the gradient's by fan_out "
        "Var[w]. Both "
        "are 1 only for a square one.",
        steps=(
            Step(
                title="The ratio of both factors is given",
                text="Forward over backward is fan_in / fan_out, whatever the variance: a mode only "
                "says where the "
                "product of both lies.",
                numbers=(
                    Number(name="forward, fan_avg", value=average[0], formula="784 / 520"),
                    Number(name="backward, fan_avg", value=average[1], formula="256 / 520"),
                    Number(name="product, fan_avg", value=average[0] * average[1],
                           formula="fan_in fan_out / fan_avg²", note="at most 1"),
                    Number(name="product, fan_geo_avg", value=middle[0] * middle[1]),
                ),
            ),
            Step(
                title="Widths telescope",
                text="Through layers of widths n_0 ... n_L fan_in keeps the signal at every width, and "
                "the gradient "
                "changes by n_L / n_0 in all, not by an exponential: so fan_in (or fan_out) alone is "
                "enough, as He "
                "et al. argue. The arithmetic mean is above the geometric one, so with fan_avg the "
                "product of both "
                "directions is below 1 in every layer that is not square.",
            ),
        ),
        tables=(_table(),),
        charts=(_chart(),),
        references=("He et al. 2015, section 2.2", "Glorot and Bengio 2010, equations 10 to 12"),
    )  # fmt: skip


def _table() -> Table:
    rows = []
    for mode in MODES:
        forward = backward = 1.0
        for inputs, outputs in pairwise(_PYRAMID):
            one = _factors(Fans(fan_in=float(inputs), fan_out=float(outputs)), mode)
            forward, backward = forward * one[0], backward * one[1]
        rows.append((mode, _WORDS[mode], f"{forward:.6g}", f"{backward:.6g}", f"{forward * backward:.6g}"))
    return Table(
        title=f"Linear layers of widths {' → '.join(map(str, _PYRAMID))}",
        header=("mode", "what it does", "signal", "gradient", "product"),
        rows=tuple(rows),
        note="Power at the end for power 1 at the beginning; of the gradient's mean over units, from "
        "the other "
        "end.",
    )


def _chart() -> Chart:
    grid = tuple(2.0 ** (0.25 * i - 4) for i in range(33))
    scale = tuple(0.25 * i - 4 for i in range(33))
    curves = [
        Curve(
            name=mode,
            x=scale,
            y=tuple(math.log2(_factors(Fans(fan_in=1.0, fan_out=r), mode)[0]) for r in grid),
        )
        for mode in MODES
        if mode != "fan_in"
    ]
    return Chart(
        title="Forward factor of one layer, by its shape (fan_in: always 0)",
        x="log2 of fan_out / fan_in",
        y="log2 of fan_in Var[w]",
        curves=tuple(curves),
    )


TOPIC = Topic(name="modes", question="Modes: which fan divides the variance", build=_build, kind="law")
