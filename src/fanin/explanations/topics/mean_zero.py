"""Why the mean of the weights is zero, and why the input is centred."""

from __future__ import annotations

import math

import numpy as np

from fanin.explanations.topic import Topic
from fanin.laws.gains import gain
from fanin.laws.quadrature import NODES
from fanin.laws.recursion import correlation_map
from fanin.records.draw import Uniform
from fanin.records.explanation import Chart, Curve, Explanation, Number, Step

__all__ = ["TOPIC"]

_IN, _OUT = 784, 256


def _build(topic: Topic, depth: int) -> Explanation:
    pixels = Uniform(low=0.0, high=1.0)
    share = pixels.mean**2 / (pixels.mean**2 + pixels.std**2)
    condition = 1.0 + _IN * pixels.mean**2 / pixels.std**2
    std = gain("relu").forward / math.sqrt(_IN)
    tenth = std / 10.0
    outlier = tenth * math.sqrt(_IN * _OUT)
    bulk = std * (math.sqrt(_IN) + math.sqrt(_OUT))
    relu = gain("relu")
    lines = {"centred": _alike(0.0, depth), "inputs in 0 to 1": _alike(share, depth)}
    return topic.answer(
        "A mean, of the weights or of the input, adds to every unit and every sample the same thing. "
        "It takes up the "
        "signal's range, makes inputs look alike, and makes one direction of the loss far steeper than "
        "the rest.",
        steps=(
            Step(
                title="Weights with a mean have one large singular value",
                text="W = m·11ᵀ + noise. The noise has singular values up to std (√in + √out); the "
                "mean alone has "
                f"m √(in·out). For {_OUT} × {_IN}, He, and a mean of only a tenth of the std:",
                numbers=(
                    Number(name="of the mean", value=outlier, formula=f"{tenth:.5g} × sqrt({_IN} × {_OUT})"),
                    Number(name="largest of the noise", value=bulk, formula="std (√in + √out)"),
                    Number(name="times", value=outlier / bulk),
                ),
            ),
            Step(
                title="Inputs that are not centred look alike",
                text="Two samples with mean μ and std σ have pre-activations of correlation μ² / (μ² + "
                "σ²), although they "
                "share nothing. For values spread evenly over 0 to 1:",
                numbers=(
                    Number(name="μ", value=pixels.mean),
                    Number(name="σ", value=pixels.std, formula="1 / sqrt(12)"),
                    Number(name="correlation at the start", value=share),
                    Number(name=f"after {depth} ReLU layers", value=lines["inputs in 0 to 1"][-1]),
                    Number(name=f"after {depth}, centred", value=lines["centred"][-1]),
                ),
            ),
            Step(
                title="The loss gets steep in one direction",
                text="The gradient of a first layer's weights meets E x xᵀ. Uncentred, it has one "
                "eigenvalue σ² + n μ² and the "
                "others σ²: the step must suit the steepest, and all others learn that many times more "
                "slowly.",
                numbers=(
                    Number(
                        name="condition number",
                        value=condition,
                        formula=f"1 + {_IN} μ² / σ²",
                        note="1 if centred",
                    ),
                ),
            ),
            Step(
                title="ReLU makes a mean of its own",
                text="Its outputs are never negative, so from the second layer on inputs have a mean "
                "again; weights of mean "
                "zero keep it from growing, and this share of the power is common to all samples.",
                numbers=(
                    Number(
                        name="common share",
                        value=relu.mean**2 / relu.second_moment,
                        formula="(E f)² / E f², relu",
                    ),
                ),
            ),
        ),
        charts=(
            Chart(
                title="Correlation of two unlike inputs by layer, ReLU",
                x="layer",
                y="correlation",
                curves=tuple(
                    Curve(name=name, x=tuple(float(i) for i in range(depth + 1)), y=line)
                    for name, line in lines.items()
                ),
            ),
        ),
        references=("LeCun et al. 1998, section 4.3", "Poole et al. 2016, equation 5"),
    )


def _alike(start: float, depth: int) -> tuple[float, ...]:
    values = np.maximum(NODES, 0.0)
    line = [start]
    for _ in range(depth):
        line.append(correlation_map(values, 1.0, min(line[-1], 1.0)))
    return tuple(line)


TOPIC = Topic(
    name="mean-zero", question="Why do weights have mean zero, and why is the input centred?", build=_build
)
