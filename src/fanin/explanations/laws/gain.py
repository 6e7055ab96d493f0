"""The law of gains: what an activation takes, a weight gives back."""

from __future__ import annotations

from fanin.explanations.topic import Topic
from fanin.laws.activations import activation
from fanin.laws.dropout import dropout_gain
from fanin.laws.gains import conventional_gain, gain, gain_from_values, glu_gain
from fanin.laws.quadrature import NODES
from fanin.records.explanation import Chart, Curve, Explanation, Number, Step, Table

__all__ = ["TOPIC"]

_SHOWN = ("relu", "gelu", "silu", "tanh", "selu", "sigmoid")
_CONVENTIONS = ("linear", "relu", "leaky_relu", "tanh", "selu", "sigmoid")


def _build(topic: Topic, depth: int) -> Explanation:
    relu, tanh, selu = gain("relu"), gain("tanh"), gain("selu")
    gate = glu_gain("silu")
    return topic.answer(
        "forward gain = 1 / sqrt(E f(z)²), backward gain = 1 / sqrt(E f'(z)²), chi = E f'² / E f², "
        "z ~ N(0, 1).",
        summary="Var[w] = gain² / fan keeps the power through the activation.",
        steps=(
            Step(
                title="Forward",
                text="The next layer adds up fan_in terms w·f(z): their power is fan_in · Var[w] · E f². "
                "It stays 1 if Var[w] = gain² / fan_in.",
                numbers=(
                    Number(name="E f², ReLU", value=relu.second_moment, formula="half of E z²"),
                    Number(name="forward gain, ReLU", value=relu.forward, formula="1 / sqrt(1/2)"),
                    Number(name="E f², tanh", value=tanh.second_moment, formula="∫ tanh² φ"),
                    Number(name="forward gain, tanh", value=tanh.forward),
                ),
            ),
            Step(
                title="Backward",
                text="A gradient takes the factor f'(z) on its way back: E f'² in place of E f².",
                numbers=(
                    Number(name="backward gain, ReLU", value=relu.backward, note="f' is 0 or 1"),
                    Number(name="backward gain, tanh", value=tanh.backward),
                ),
            ),
            Step(
                title="Both at once only where chi is 1",
                text="With the forward gain each layer multiplies the gradient's power by chi. That is "
                "1 for ReLU "
                "and its relatives; for others the difference counts once a layer.",
                numbers=(
                    Number(name="chi, ReLU", value=relu.chi, formula="E f'² / E f²"),
                    Number(name="chi, tanh", value=tanh.chi),
                    Number(name="gradient, tanh", value=tanh.chi**depth, formula=f"chi^{depth}",
                           note=f"its power after {depth} layers whose signal has power 1"),
                ),
            ),
            Step(
                title="Gates",
                text="A gated unit f(z)·u of independent parts has E (f(z) u)² = E f²: the gain of f.",
                numbers=(Number(name="forward gain, SwiGLU", value=gate.forward),),
            ),
            Step(
                title="Dropout",
                text="What survives dropout of p is divided by 1 - p: the mean stays, the power "
                "grows by 1 / (1 - p), "
                "and both gains shrink by sqrt(1 - p). In evaluation nothing is dropped.",
                numbers=(
                    Number(
                        name="forward gain, ReLU, p = 0.1",
                        value=dropout_gain(relu, 0.1).forward,
                        formula="sqrt(2 × 0.9)",
                    ),
                ),
            ),
            Step(
                title="SELU is made for gain 1",
                text="Its two constants solve E f = 0 and E f² = 1. PyTorch lists 3/4 for it, which was "
                "found by "
                "trying.",
                numbers=(Number(name="forward gain, SELU", value=selu.forward),),
            ),
        ),
        tables=(_conventions(),),
        charts=(_chart(),),
        references=("He et al. 2015, equations 10, 14 and 15", "Schoenholz et al. 2017, equation 5",
                    "Klambauer et al. 2017, section 2", "Hendrycks and Gimpel 2016, section 2"),
    )  # fmt: skip


def _conventions() -> Table:
    rows, marked = [], []
    for place, name in enumerate(_CONVENTIONS):
        found, convention = gain(name), conventional_gain(name)
        if abs(found.forward / convention - 1) > 1e-6:
            marked.append((place, 3))
        rows.append((name, f"{found.forward:.6g}", f"{found.backward:.6g}", f"{convention:.6g}"))
    return Table(
        title="Computed, and the convention of PyTorch",
        header=("activation", "forward", "backward", "torch.nn.init"),
        rows=tuple(rows),
        marked=tuple(marked),
        note="Marked cells are conventions: they do not keep E f².",
    )


def _chart() -> Chart:
    """Gains are for unit input; at another variance they are others, but for ReLU."""
    grid = tuple(0.05 + 0.1 * i for i in range(40))
    tables = {name: activation(name).function(NODES) for name in _SHOWN}
    return Chart(
        title="Forward gain by the variance of its input",
        x="variance of z",
        y="sqrt(q / E f²)",
        curves=tuple(
            Curve(name=name, x=grid, y=tuple(gain_from_values(values, q).forward for q in grid))
            for name, values in tables.items()
        ),
    )


TOPIC = Topic(name="gains", question="Gains: what an activation takes, a weight gives back", build=_build,
              kind="law")  # fmt: skip
