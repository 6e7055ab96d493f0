"""Normal or uniform, at the same variance."""

from __future__ import annotations

import math

from fanin.explanations import families
from fanin.explanations.topic import Topic
from fanin.laws import moments
from fanin.laws.expectation import expectation
from fanin.laws.gains import gain
from fanin.records.explanation import Explanation, Number, Step, Table

__all__ = ["TOPIC"]

_FAN = 784
_COUNT = 256 * _FAN


def _build(topic: Topic, depth: int) -> Explanation:  # noqa: ARG001 - the form of all topics
    relu = gain("relu")
    std = relu.forward / math.sqrt(_FAN)
    # Of inputs relu(z): E x^4 / (E x^2)^2, the share that one input has in a sum of squares, times n.
    uneven = expectation(lambda x: max(x, 0.0) ** 4, kinks=(0.0,)) / relu.second_moment**2
    rows, excess = [], {}
    for name, draw in families.family(std).items():
        kurtosis = moments.kurtosis(draw)
        excess[name] = (kurtosis - 3.0) * uneven / _FAN
        rows.append(
            (name, f"{kurtosis:.4g}", f"{excess[name]:.3g}", f"{math.sqrt((kurtosis - 1.0) / _FAN):.3g}")
        )
    root = math.sqrt(3.0)
    alike = expectation(lambda x: x * root * math.erf(x / math.sqrt(2.0)))
    return topic.answer(
        "At equal variance they are the same law for wide layers: forward and backward power know only "
        "the variance. "
        "What is left is the kurtosis, at order 1/fan, and the tail of single weights.",
        steps=(
            Step(
                title="A unit's input hardly shows the difference",
                text="z = Σ w·x has the excess kurtosis (kurtosis[w] - 3) · Σx⁴ / (Σx²)², and Σx⁴ / "
                "(Σx²)² is about "
                f"(E x⁴ / (E x²)²) / n. For ReLU inputs and n = {_FAN}:",
                numbers=(
                    Number(name="E x⁴ / (E x²)²", value=uneven, formula="x = relu(z)"),
                    Number(
                        name="excess, uniform",
                        value=excess["uniform"],
                        formula=f"(1.8 - 3) × {uneven:.4g} / {_FAN}",
                        note="0 for normal weights",
                    ),
                ),
            ),
            Step(
                title="Rows of uniform weights are more alike in length",
                text="The squared length of a row of n weights varies by sqrt((kurtosis - 1) / n) of "
                "its mean: less for the "
                "uniform. Neither matters beside the spread that the width itself gives.",
            ),
            Step(
                title="The tail",
                text="Of many normal weights the largest is several standard deviations; a uniform "
                "ends at sqrt(3). That "
                "counts for low-precision formats and for a sum that a single weight could carry, in "
                "narrow layers.",
                numbers=(Number(name="end of the uniform", value=root, formula="sqrt(3)", note="in std"),),
            ),
            Step(
                title="What the evidence says",
                text="Keras took the uniform as default after one unseeded run on MNIST "
                "(keras-team/keras#52, 2015); no "
                "published comparison with paired seeds was found that separates the two. To compare "
                "them yourself, couple "
                "them: draw z once, use z and sqrt(3) (2 Φ(z) - 1). They then differ by little more than the "
                "distribution, and far fewer runs are needed.",
                numbers=(
                    Number(
                        name="correlation of coupled weights", value=alike, formula="E z sqrt(3) (2 Φ(z) - 1)"
                    ),
                ),
            ),
        ),
        tables=(
            Table(
                title=f"What a fan of {_FAN} leaves of the difference",
                header=("weights", "kurtosis", "excess kurtosis of a sum", "sd of a row's squared length"),
                rows=tuple(rows),
            ),
            families.compared(std, _COUNT),
        ),
        charts=(families.chart(std),),
        references=("Glorot and Bengio 2010", "keras-team/keras#52"),
    )


TOPIC = Topic(name="normal-or-uniform", question="Normal or uniform?", build=_build)
