"""The law of depth: signal, gradient and the likeness of two inputs, layer by layer."""

from __future__ import annotations

from fanin.explanations.topic import Topic
from fanin.laws.activations import activation
from fanin.laws.gains import conventional_gain, gain
from fanin.laws.quadrature import NODES
from fanin.laws.recursion import backward_map, correlation_map, forward_map
from fanin.records.explanation import Chart, Curve, Explanation, Number, Step, Table

__all__ = ["TOPIC"]

_NAMES = ("linear", "relu", "gelu", "silu", "tanh", "selu")
_APART = 0.5


def _path(name: str, variance: float, depth: int) -> list[float]:
    """Second moment of the sums of each layer, from 1, for fan_in Var[w] = variance."""
    values = activation(name).function(NODES)
    q = [1.0]
    for _ in range(depth):
        q.append(forward_map(values, q[-1], weight_variance=variance, fan_in=1.0))
    return q


def _build(topic: Topic, depth: int) -> Explanation:
    tanh = activation("tanh").function(NODES)
    relu = activation("relu").function(NODES)
    fixed = _path("tanh", conventional_gain("tanh") ** 2, depth)[-1]
    own = gain("tanh").forward ** 2
    chi = backward_map(tanh, 1.0, weight_variance=own, fan=1.0)
    alike = _APART
    for _ in range(depth):
        alike = correlation_map(relu, 1.0, alike)
    return topic.answer(
        "q' = fan_in Var[w] E f(sqrt(q) z)² + Var[b];  chi = fan Var[w] E f'(sqrt(q) z)²;  c' = E f(u) "
        "f(v) / E f².",
        summary="Three maps say what a stack of wide layers does to the power of the signal, to that of "
        "the "
        "gradient, and to the correlation of two inputs.",
        steps=(
            Step(
                title="Signal",
                text="ReLU is homogeneous: every layer has the same factor, and gain sqrt(2) makes it "
                "1. tanh has a "
                "fixed point: larger weights saturate it, smaller ones fade.",
                numbers=(
                    Number(name="q_L, tanh, 5/3", value=fixed, formula=f"{depth} steps from q = 1"),
                    Number(name="q_L, tanh, own gain", value=_path("tanh", own, depth)[-1],
                           note="1/sqrt(E tanh²) at q = 1, where q = 1 is fixed"),
                ),
            ),
            Step(
                title="Gradient",
                text="chi is its growth a layer on the way back. At 1 both directions are kept; above 1 "
                "it explodes "
                "with the depth, below 1 it vanishes.",
                numbers=(
                    Number(name="chi, tanh", value=chi, formula="at q = 1, own gain"),
                    Number(name=f"chi^{depth}", value=chi**depth),
                ),
            ),
            Step(
                title="Likeness",
                text="Two inputs of correlation c leave a ReLU layer with c' > c: deep plain stacks see "
                "all inputs "
                "alike. Residual branches and norms slow that down.",
                numbers=(Number(name="c_L, ReLU", value=alike, formula=f"{depth} steps from {_APART}"),),
            ),
        ),
        tables=(_table(depth),),
        charts=(_chart(depth),),
        references=("Poole et al. 2016, equations 3 and 5", "Schoenholz et al. 2017, equation 5",
                    "Cho and Saul 2009, equation 6"),
    )  # fmt: skip


def _table(depth: int) -> Table:
    rows = []
    for name in _NAMES:
        found = gain(name)
        own = _path(name, found.forward**2, depth)[-1]
        he = _path(name, 2.0, depth)[-1]
        rows.append(
            (
                name,
                f"{found.forward:.6g}",
                f"{own:.4g}",
                f"{found.chi:.6g}",
                f"{found.chi**depth:.4g}",
                f"{he:.4g}",
            )
        )
    return Table(
        title=f"After {depth} layers",
        header=("activation", "gain", "q with its gain", "chi", f"chi^{depth}", "q with sqrt(2)"),
        rows=tuple(rows),
    )


def _chart(depth: int) -> Chart:
    shown = min(depth, 50)
    layers = tuple(float(n) for n in range(shown + 1))
    cases = {
        "tanh, 5/3": _path("tanh", conventional_gain("tanh") ** 2, shown),
        "tanh, own gain": _path("tanh", gain("tanh").forward ** 2, shown),
        "tanh, 1": _path("tanh", 1.0, shown),
        "relu, sqrt(2)": _path("relu", 2.0, shown),
        "relu, 1": _path("relu", 1.0, shown),
    }
    return Chart(
        title="Power of the sums by layer, wide layers",
        x="layer",
        y="q",
        curves=tuple(Curve(name=name, x=layers, y=tuple(path)) for name, path in cases.items()),
    )


TOPIC = Topic(name="depth", question="Depth: signal, gradient and likeness, layer by layer", build=_build,
              kind="law")  # fmt: skip
