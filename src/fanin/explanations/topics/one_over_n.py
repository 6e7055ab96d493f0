"""Why 1/n, and why some write 2/n or 2/(n+m) and call it Xavier."""

from __future__ import annotations

from fanin.explanations.derivation import factors
from fanin.explanations.topic import Topic
from fanin.laws import moments
from fanin.laws.fans import fans
from fanin.laws.gains import gain
from fanin.records.draw import Uniform
from fanin.records.explanation import Explanation, Number, Step, Table

__all__ = ["TOPIC"]

_SHAPE = (256, 784)


def _build(topic: Topic, depth: int) -> Explanation:  # noqa: ARG001 - the form of all topics
    counted, linear, relu = fans(_SHAPE), gain("linear"), gain("relu")
    n, m = counted.fan_in, counted.fan_out
    third = moments.variance(Uniform(low=-1.0, high=1.0))
    laws = {
        "1/n": (1.0 / n, "LeCun 1998; Caffe's and some courses' \"Xavier\""),
        "2/(n+m)": (2.0 / (n + m), "Glorot and Bengio 2010: Xavier proper"),
        "2/n": (relu.forward**2 / n, "He 2015, for ReLU"),
        "1/(3n)": (third / n, "U(±1/sqrt(n)), before Glorot; layers of PyTorch today"),
    }
    rows = []
    for law, (variance, where) in laws.items():
        ahead, _ = factors(variance, counted, linear)
        after, back = factors(variance, counted, relu)
        rows.append(
            (law, f"{variance:.6g}", f"{ahead.value:.4g}", f"{after.value:.4g}", f"{back.value:.4g}", where)
        )
    return topic.answer(
        "A sum of n independent terms has n times the variance of one, so 1/n keeps it. The other "
        "forms answer two "
        "further questions: what the activation takes away (2/n), and what the gradient needs (2/(n+m)).",
        steps=(
            Step(
                title="1/n",
                text="Var z = n · Var[w] · E x² for mean-zero weights, so Var[w] = 1/n gives Var z = E x².",
                numbers=(Number(name="Var[w], 1/n", value=1.0 / n, formula=f"1 / {n:g}"),),
            ),
            Step(
                title="2/n",
                text="After ReLU the inputs have half the second moment of what went in; the weights "
                "make up for it.",
                numbers=(
                    Number(name="E relu(z)²", value=relu.second_moment, formula="z ~ N(0, 1)"),
                    Number(
                        name="Var[w], 2/n",
                        value=relu.forward**2 / n,
                        formula=f"{relu.forward**2:.6g} / {n:g}",
                    ),
                ),
            ),
            Step(
                title="2/(n+m)",
                text="The gradient sums over m = fan_out terms and asks for 1/m. The mean of n and m "
                "stands for both; where "
                "n = m it is 1/n again, which is one reason why both go by the name of Xavier (Glorot).",
                numbers=(
                    Number(name="Var[w], 2/(n+m)", value=2.0 / (n + m), formula=f"2 / ({n:g} + {m:g})"),
                    Number(
                        name="2/(n+m), n = m",
                        value=2.0 / (n + n),
                        formula=f"2 / ({n:g} + {n:g}), which is 1/n",
                    ),
                ),
            ),
        ),
        tables=(
            Table(
                title=f"Power through one layer of n = {n:g} inputs and m = {m:g} units; 1 is kept",
                header=("Var[w]", "value", "forward, linear", "forward, ReLU", "backward, ReLU", "where"),
                rows=tuple(rows),
            ),
        ),
        references=(
            "LeCun et al. 1998, equation 16",
            "Glorot and Bengio 2010, equations 1, 12 and 16",
            "He et al. 2015, equations 10 and 14",
        ),
    )


TOPIC = Topic(
    name="one-over-n",
    question="Why Var(w) = 1/n, and why do some write 2/n or 2/(n+m) and call it Xavier?",
    build=_build,
)
