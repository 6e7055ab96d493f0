"""The law of einsum: the equation says what each dimension of a weight means."""

from __future__ import annotations

import math

from fanin.explanations.topic import Topic
from fanin.laws.einsum import axes_from_einsum
from fanin.laws.fans import fans
from fanin.records.explanation import Chart, Curve, Explanation, Number, Step, Table
from fanin.schemes.dialects.dialect import dialect
from fanin.schemes.lecun import lecun_normal

__all__ = ["TOPIC"]

_CASES: tuple[tuple[str, str, tuple[int, ...]], ...] = (
    ("dense", "bi,io->bo", (784, 256)),
    ("queries, by head", "bse,ehd->bshd", (512, 8, 64)),
    ("output of heads", "bshd,hde->bse", (8, 64, 512)),
    ("experts", "ebc,ecd->ebd", (8, 64, 32)),
    ("a matrix a channel", "bci,cio->bco", (64, 16, 16)),
    ("bilinear form", "bi,ijk,bj->bk", (32, 24, 16)),
    ("scale of each feature", "bsd,d->bsd", (512,)),
)


def _build(topic: Topic, depth: int) -> Explanation:  # noqa: ARG001 - the form of all topics
    equation, shape = _CASES[3][1], _CASES[3][2]
    found = fans(shape, axes_from_einsum(equation))
    ours = lecun_normal().draw(shape, axes_from_einsum(equation)).std
    naive = dialect("jax").get("variance_scaling", 1.0, "fan_in", "normal").draw(shape).std
    return topic.answer(
        "A letter of the weight is in if the result lacks it; out if only the result has it; batch if "
        "another operand and the result have it.",
        summary="fan_in is the product of the letters that are summed over, fan_out that of the letters "
        "that are new.",
        steps=(
            Step(
                title="What is summed over",
                text="One element of the result adds up all values of the letters that it lacks: that "
                "many terms.",
                numbers=(
                    Number(name="fan_in", value=found.fan_in, formula="c", note=f"of {equation}, {shape}"),
                    Number(name="fan_out", value=found.fan_out, formula="d"),
                ),
            ),
            Step(
                title="What only counts copies",
                text="A letter of the weight, of another operand and of the result picks a copy: an "
                "expert, a "
                "channel. It is in neither fan.",
            ),
            Step(
                title="Position says nothing of it",
                text="Read by position (the last dimension out, the one before in, the rest a kernel) "
                "the experts "
                "are taps, and the std is too small by the root of their number.",
                numbers=(
                    Number(name="std, by equation", value=ours, formula="sqrt(1 / 64)"),
                    Number(name="std, by position", value=naive, formula="sqrt(1 / 512)"),
                    Number(name="ratio", value=ours / naive, formula="sqrt(8)"),
                ),
            ),
        ),
        tables=(_table(),),
        charts=(_chart(),),
        references=("He et al. 2015, section 2.2, for one sum",),
    )  # fmt: skip


def _table() -> Table:
    rows = []
    for name, equation, shape in _CASES:
        operand = 1
        axes = axes_from_einsum(equation, operand)
        found = fans(shape, axes)
        sizes = " × ".join(map(str, shape))
        rows.append((name, equation, sizes, str(axes), f"{found.fan_in:g}", f"{found.fan_out:g}"))
    return Table(
        title="Roles from equations",
        header=("layer", "equation", "weight", "roles", "fan_in", "fan_out"),
        rows=tuple(rows),
        note="The weight is the second operand.",
    )


def _chart() -> Chart:
    numbers = tuple(range(1, 65))
    x = tuple(float(n) for n in numbers)
    return Chart(
        title="std × sqrt(inputs) of stacked matrices, LeCun's law",
        x="number of experts",
        y="std × sqrt(inputs)",
        curves=(
            Curve(name="by equation", x=x, y=tuple(8 * _std(n, by_role=True) for n in numbers)),
            Curve(name="by position", x=x, y=tuple(8 * _std(n, by_role=False) for n in numbers)),
        ),
    )


def _std(experts: int, *, by_role: bool) -> float:
    axes = axes_from_einsum("ebc,ecd->ebd") if by_role else "receptive in out"
    return math.sqrt(1.0 / fans((experts, 64, 32), axes).fan_in)


TOPIC = Topic(name="einsum", question="Einsum: the equation says what a dimension means", build=_build,
              kind="law")  # fmt: skip
