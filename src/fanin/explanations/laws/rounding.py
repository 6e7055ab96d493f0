"""The law of rounding: what a narrow format does to a draw."""

from __future__ import annotations

import math

from fanin.explanations.topic import Topic
from fanin.laws.rounding import NARROW, rounded, underflow
from fanin.records.draw import Normal
from fanin.records.explanation import Chart, Curve, Explanation, Number, Step, Table
from fanin.schemes.fit import LOST, STD_OFF

__all__ = ["TOPIC"]

_STD = 0.005
_STDS = (0.5, 0.02, 0.005, 0.001)


def _build(topic: Topic, depth: int) -> Explanation:  # noqa: ARG001 - the form of all topics
    grid = NARROW["float8_e4m3fn"]
    draw = Normal(std=_STD)
    after = rounded(draw, "float8_e4m3fn")
    return topic.answer(
        "P(g) = F((g + g⁺)/2) - F((g⁻ + g)/2) for each number g between its neighbours: all moments "
        "follow.",
        summary="Weights are drawn in float32 and rounded once, to the nearest number of the format.",
        steps=(
            Step(
                title="Around 0 the numbers are evenly spaced",
                text="Below the smallest normal number a format counts in steps of its smallest number. "
                "What is "
                "within half a step becomes 0.",
                numbers=(
                    Number(name="step", value=grid.step, formula="2^(2 - 2^(e-1) - m)", note="float8_e4m3fn"),
                    Number(name="become 0", value=after.underflow, formula="P(|w| <= step / 2)",
                           note=f"of N(0, {_STD}²)"),
                ),
            ),
            Step(
                title="The std grows while the step is small",
                text="Rounding adds an error that is uniform over a step: Var grows by step²/12 "
                "(Sheppard), until "
                "most weights are 0.",
                numbers=(
                    Number(name="std after", value=after.std, formula="Σ P(g) g²"),
                    Number(name="std, Sheppard", value=math.sqrt(_STD**2 + grid.step**2 / 12),
                           formula="sqrt(std² + step²/12)"),
                    Number(name="distinct numbers", value=float(after.distinct)),
                ),
            ),
            Step(
                title="When fanin warns",
                text="Where more than this share of weights becomes 0, or the std changes by more than "
                "this: at "
                "every door, once for the line that calls. A format in which nothing but 0 is left is "
                "refused.",
                numbers=(
                    Number(name="share of zeros", value=LOST),
                    Number(name="change of std", value=STD_OFF),
                ),
            ),
        ),
        tables=(_table(),),
        charts=(_chart(),),
        references=("IEEE 754-2019, section 3.3", "Micikevicius et al. 2022, FP8 Formats for Deep Learning",
                    "Sheppard 1898"),
    )  # fmt: skip


def _table() -> Table:
    rows: list[tuple[str, ...]] = []
    marked: list[tuple[int, int]] = []
    for std in _STDS:
        for name in NARROW:
            draw = Normal(std=std)
            after = rounded(draw, name)
            if after.underflow >= LOST or abs(after.std / std - 1) > STD_OFF:
                marked.append((len(rows), 3 if after.underflow >= LOST else 2))
            rows.append(
                (f"{std:g}", name, f"{after.std / std:.6g}", f"{after.underflow:.4g}", f"{after.distinct}")
            )
    return Table(
        title="Normals after rounding",
        header=("std", "format", "std after / before", "share of zeros", "distinct numbers"),
        rows=tuple(rows), marked=tuple(marked), note="Marked cells are those that fanin warns of.",
    )  # fmt: skip


def _chart() -> Chart:
    exponents = tuple(-30 + 0.5 * i for i in range(61))
    return Chart(
        title="Share of a normal's weights that become 0",
        x="log2 of the std",
        y="share",
        curves=tuple(
            Curve(name=name, x=exponents, y=tuple(underflow(Normal(std=2.0**e), name) for e in exponents))
            for name in NARROW
            if name != "bfloat16"
        ),
    )


TOPIC = Topic(name="rounding", question="Rounding: what a narrow format does to a draw", build=_build,
              kind="law")  # fmt: skip
