"""Why the variance should stay equal through the layers: the product of L factors."""

from __future__ import annotations

import math

import numpy as np

from fanin.explanations.topic import Topic
from fanin.laws import moments
from fanin.laws.activations import activation
from fanin.laws.band import layer_variance, log_power_band
from fanin.laws.gains import gain
from fanin.laws.quadrature import NODES
from fanin.laws.recursion import forward_map
from fanin.records.draw import Uniform
from fanin.records.explanation import Chart, Curve, Explanation, Number, Step, Table

__all__ = ["TOPIC"]

_WIDTH = 256
_FIXED = 0.01


def _build(topic: Topic, depth: int) -> Explanation:
    relu = gain("relu")
    third = moments.variance(Uniform(low=-1.0, high=1.0))
    laws = {
        "He, 2/n": relu.forward**2 * relu.second_moment,
        "LeCun or square Glorot, 1/n": relu.second_moment,
        "layers of PyTorch, 1/(3n)": third * relu.second_moment,
        f"N(0, {_FIXED}²), n = {_WIDTH}": _FIXED**2 * _WIDTH * relu.second_moment,
        "3/n, a half too much": 1.5 * relu.forward**2 * relu.second_moment,
    }
    smallest = math.log10(float(np.finfo(np.float32).smallest_subnormal))
    rows = tuple(
        (law, f"{factor:.6g}", _power(factor, depth), _ends(factor, smallest)) for law, factor in laws.items()
    )
    names = list(laws)
    tanh = activation("tanh").function(NODES)
    q = 1.0
    for _ in range(depth):
        q = forward_map(tanh, q, weight_variance=1.0 / _WIDTH, fan_in=_WIDTH)
    width = layer_variance(np.maximum(NODES, 0.0))
    drift, sd = log_power_band([(width, float(_WIDTH))] * depth)
    half = relu.second_moment
    return topic.answer(
        f"Because {depth} layers multiply: the output has the power (fan_in · Var[w] · E f²)^{depth} "
        f"of the input. Any "
        "factor but 1 is an exponential, and the gradient of every layer carries the same product.",
        steps=(
            Step(
                title="The product of L layers",
                text="q_L = q_0 · Π fan_in · Var[w] · E f². For ReLU E f² = 1/2 at every scale, so all "
                "factors are alike.",
                numbers=(
                    Number(name="factor, 1/n", value=half, formula="E relu²"),
                    Number(
                        name="product, 1/n",
                        value=half**depth,
                        formula=f"{half:g}^{depth}",
                        note="of the power",
                    ),
                    Number(
                        name="amplitude, 1/n",
                        value=half ** (0.5 * depth),
                        formula="its root",
                        note="of the signal",
                    ),
                ),
            ),
            Step(
                title="What shrinks or explodes",
                text="Forward: the activations, so that the outputs of all inputs are near 0 (or near "
                "overflow) and only the "
                "biases speak. Backward: the gradient of layer l is the signal that reaches it times "
                "the gradient that "
                "comes back, l - 1 factors and L - l factors: with equal widths every layer's weights "
                "get the same "
                "product of L - 1, and none learns.",
                numbers=(
                    Number(
                        name="weight gradient, 1/n",
                        value=half ** (0.5 * (depth - 1)),
                        formula=f"{half:g}^({depth - 1}/2)",
                        note="size, against the same net with factor 1",
                    ),
                ),
            ),
            Step(
                title="Bounded activations do it differently",
                text="tanh cannot explode: large sums saturate, and there the gradient dies. With 1/n "
                "the signal still fades, "
                "as a power of the depth and not exponentially, because E tanh² < q.",
                numbers=(
                    Number(name="q_L, tanh", value=q, formula=f"{depth} steps of q' = E tanh(sqrt(q) z)²"),
                ),
            ),
            Step(
                title="How equal is equal",
                text=f"A net of width {_WIDTH} keeps its power only in the mean: ln(q_L / q_0) of one "
                f"draw varies by this "
                "standard deviation, around a mean below 0.",
                numbers=(
                    Number(name="sd of ln q", value=sd, formula=f"sqrt({width:.4g} × {depth} / {_WIDTH})"),
                    Number(name="mean of ln q", value=drift, formula="-sd² / 2"),
                ),
            ),
        ),
        tables=(
            Table(
                title=f"Power after {depth} ReLU layers without biases",
                header=("Var[w]", "factor a layer", f"after {depth} layers", "float32 ends after"),
                rows=rows,
            ),
        ),
        charts=(
            Chart(
                title="Power of the signal by layer, ReLU",
                x="layer",
                y="log10 of q_l / q_0",
                curves=tuple(
                    Curve(
                        name=name,
                        x=tuple(float(i) for i in range(depth + 1)),
                        y=tuple(i * math.log10(laws[name]) for i in range(depth + 1)),
                    )
                    for name in names
                ),
            ),
        ),
        references=(
            "He et al. 2015, section 2.2",
            "Poole et al. 2016, equation 3",
            "Hanin and Rolnick 2018, theorem 5",
        ),
    )


def _power(factor: float, depth: int) -> str:
    """``factor^depth``, also where no float holds it."""
    logarithm = depth * math.log10(factor)
    if abs(logarithm) < 300:
        return f"{factor**depth:.4g}"
    return f"10^{logarithm:.1f}"


def _ends(factor: float, smallest: float) -> str:
    if abs(math.log10(factor)) < 1e-12:
        return "never"
    limit = smallest if factor < 1 else math.log10(float(np.finfo(np.float32).max))
    # The power of the signal is the square of its size, which is what a float has to hold.
    return f"{math.ceil(2.0 * limit / math.log10(factor)):,} layers"


TOPIC = Topic(
    name="equal-variance",
    question="Why should the variance stay equal through the layers, and what shrinks or explodes when "
    "it does not?",
    build=_build,
)
