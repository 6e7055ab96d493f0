"""What batch normalization changes."""

from __future__ import annotations

import math

from fanin.explanations.topic import Topic
from fanin.laws import moments
from fanin.laws.gains import gain
from fanin.records.draw import Uniform
from fanin.records.explanation import Chart, Curve, Explanation, Number, Step, Table

__all__ = ["TOPIC"]

_NAMES = ("relu", "leaky_relu(0.2)", "gelu", "silu", "elu", "tanh")


def _growth(name: str) -> float:
    """Growth of the gradient's power a layer in the limit of many samples and units.

    The norm divides by the std of f(z) W, which is that of f around its mean; the gradient meets f'.
    """
    found = gain(name)
    return found.derivative_second_moment / (found.second_moment - found.mean**2)


def _build(topic: Topic, depth: int) -> Explanation:
    relu = gain("relu")
    third = moments.variance(Uniform(low=-1.0, high=1.0))
    ratio = relu.forward**2 / third
    growth = _growth("relu")
    rows = tuple(
        (name, f"{_growth(name):.4f}", f"{_growth(name) ** depth:.4g}", f"{gain(name).chi ** depth:.4g}")
        for name in _NAMES
    )
    return topic.answer(
        "The norm undoes the scale of the weights before it, so the forward signal no longer depends "
        "on their std. Three "
        "things still do: the step size that fits, the gradient through depth, and the branch that a "
        "skip adds to.",
        steps=(
            Step(
                title="Forward the std cancels",
                text="BN(a·W x) = BN(W x) for any a > 0: mean and std of a unit over the batch are "
                "both multiplied by a. He, "
                "Glorot and a plain std of 0.01 give the same activations (but for the norm's epsilon).",
            ),
            Step(
                title="The gradient of the weights does not cancel",
                text="A function that does not change with the length of W has a gradient that falls "
                "as 1/|W|. A step of "
                "size lr turns W by lr/|W|², so a smaller std is a larger learning rate.",
                numbers=(
                    Number(
                        name="ratio of rates",
                        value=ratio,
                        formula=f"{relu.forward**2:.6g} / {third:.6g}",
                        note="layers of PyTorch against He, same lr",
                    ),
                ),
            ),
            Step(
                title="Without skips the gradient grows",
                text="The norm divides by the std of f around its mean, while the gradient meets E "
                "f'²: power grows by "
                "E f'² / Var f a layer, whatever the weights' std. For ReLU that is π / (π - 1).",
                numbers=(
                    Number(name="growth a layer", value=growth, formula="E f'² / (E f² - (E f)²), relu"),
                    Number(name="growth of depth", value=growth**depth, formula=f"{growth:.5f}^{depth}"),
                    Number(name="π / (π - 1)", value=math.pi / (math.pi - 1.0)),
                ),
            ),
            Step(
                title="With skips it does not",
                text="A block x + BN(...) adds 1 to the power instead of multiplying it, and the "
                "gradient has a way "
                "around every block; see `resnet`.",
            ),
        ),
        tables=(
            Table(
                title=f"Power of the gradient at the first of {depth} layers, over that at the last",
                header=(
                    "activation",
                    "growth a layer, BN",
                    f"BN, {depth} layers",
                    f"no BN, forward gain, {depth} layers",
                ),
                rows=rows,
                note="In the limit of many units and samples. Without a norm and with the forward gain "
                "the factor is chi.",
            ),
        ),
        charts=(
            Chart(
                title="Power of the gradient, from the last layer back, ReLU",
                x="layers back",
                y="log10 of the power",
                curves=tuple(
                    Curve(
                        name=name,
                        x=tuple(float(i) for i in range(depth + 1)),
                        y=tuple(i * math.log10(factor) for i in range(depth + 1)),
                    )
                    for name, factor in (("BN, no skip", growth), ("no BN, He", relu.chi))
                ),
            ),
        ),
        references=(
            "Ioffe and Szegedy 2015, section 3.3",
            "Yang et al., A Mean Field Theory of Batch Normalization, 2019",
        ),
    )


TOPIC = Topic(name="batch-norm", question="What does batch norm change?", build=_build)
