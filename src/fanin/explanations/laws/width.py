"""The law of width: how far one draw of a network strays from the mean of all."""

from __future__ import annotations

import math

from fanin.explanations.topic import Topic
from fanin.laws.activations import activation
from fanin.laws.band import layer_variance, log_power_band
from fanin.laws.quadrature import NODES
from fanin.records.explanation import Chart, Curve, Explanation, Number, Step, Table

__all__ = ["TOPIC"]

_WIDTHS = (64, 256, 1024, 4096)
_OTHERS = (
    "Exact to first order in 1/n for homogeneous functions, as these are. For others the next factor depends "
    "on the power that arrives: tanh pulls it back to its fixed point, so its band is narrower."
)
_NAMES = ("linear", "relu", "leaky_relu")


def _spread(name: str) -> float:
    return layer_variance(activation(name).function(NODES))


def _build(topic: Topic, depth: int) -> Explanation:
    relu, linear = _spread("relu"), _spread("linear")
    mean, sd = log_power_band([(relu, 256.0)] * depth)
    return topic.answer(
        "ln(q_L / q_0) has the variance Σ c / n over the layers, c = E f⁴ / (E f²)² - 1, and the mean "
        "-Σ c / 2n.",
        summary="The laws of depth hold in the mean over draws, and for width without end. A network of "
        "finite "
        "width has one draw.",
        steps=(
            Step(
                title="One layer",
                text="Given its inputs a layer's n units are independent, and each adds f(z)²/n to its "
                "power: a "
                "relative variance of c/n.",
                numbers=(
                    Number(name="c, ReLU", value=relu, formula="(3/2) / (1/4) - 1"),
                    Number(name="c, linear", value=linear, formula="3 - 1"),
                ),
            ),
            Step(
                title="L layers",
                text="The factors are independent, so the logarithm adds their variances. A factor of "
                "mean 1 has a "
                "logarithm of mean below 0: most networks are below the mean of all.",
                numbers=(
                    Number(name="sd of ln q", value=sd, formula=f"sqrt({relu:.6g} × {depth} / 256)",
                           note="ReLU, width 256"),
                    Number(name="mean of ln q", value=mean, formula="-sd²/2"),
                    Number(name="depth over width for sd 1", value=1 / relu, formula="1 / c", note="ReLU"),
                ),
            ),
            Step(
                title="What it is for",
                text="A band for tests and checks: a network is suspicious when its power lies outside, "
                "not when "
                "it differs from 1.",
            ),
        ),
        tables=(
            Table(
                title=f"sd of ln(q_L / q_0) after {depth} layers",
                header=("width", *_NAMES),
                rows=tuple(
                    (
                        str(width),
                        *(f"{log_power_band([(_spread(n), float(width))] * depth)[1]:.4g}" for n in _NAMES),
                    )
                    for width in _WIDTHS
                ),
            ),
        ),
        charts=(
            Chart(
                title="Two standard deviations of ln q, ReLU",
                x="layer",
                y="ln(q / q_0)",
                curves=tuple(
                    Curve(
                        name=f"width {width}, {'above' if side > 0 else 'below'}",
                        x=tuple(float(n) for n in range(1, depth + 1)),
                        y=tuple(
                            -relu * n / width / 2 + side * 2 * math.sqrt(relu * n / width)
                            for n in range(1, depth + 1)
                        ),
                    )
                    for width in (64, 256)
                    for side in (1, -1)
                ),
            ),
        ),
        notes=(_OTHERS,),
        references=("Hanin and Rolnick 2018, theorem 5", "Hanin and Nica 2020, theorem 1"),
    )  # fmt: skip


TOPIC = Topic(name="width", question="Width: how far one draw strays from the mean of all", build=_build,
              kind="law")  # fmt: skip
