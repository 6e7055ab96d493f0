"""The law of moments: bounds and parents from the standard deviation that is wanted, and back."""

from __future__ import annotations

import math

from fanin.explanations import families
from fanin.explanations.topic import Topic
from fanin.laws import moments
from fanin.records.draw import Normal, Uniform
from fanin.records.explanation import Chart, Curve, Explanation, Number, Step, Table

__all__ = ["TOPIC"]

_STD = 0.02
_CUTS = ((-1.0, 1.0), (-2.0, 2.0), (-3.0, 3.0), (0.0, math.inf), (-1.0, 3.0), (4.0, 6.0), (8.0, math.inf))


def _build(topic: Topic, depth: int) -> Explanation:  # noqa: ARG001 - the form of all topics
    flat = moments.uniform(std=_STD)
    cut = moments.truncated_normal(std=_STD)
    inside = moments.cut_moments(-2.0, 2.0)
    third = moments.variance(Uniform(low=-1.0, high=1.0))
    mass = moments.cdf(Normal(std=1.0), 2.0) - moments.cdf(Normal(std=1.0), -2.0)
    return topic.answer(
        "Uniform: a = sqrt(3) std. Normal: std. Truncated normal: parent std = std / sqrt(Var(z | a < z "
        "< b)).",
        summary="A law gives a variance; a sampler wants bounds, or a parent. All three have exactly "
        "the mean and "
        "the std that were asked for.",
        steps=(
            Step(
                title="Uniform",
                text="Var U(±a) = a²/3, so the bound is sqrt(3) standard deviations.",
                numbers=(
                    Number(name="Var U(±1)", value=third, formula="∫ x²/2 dx from -1 to 1"),
                    Number(name="bound", value=flat.high, formula=f"{_STD} / sqrt({third:.6g})"),
                ),
            ),
            Step(
                title="What a cut leaves",
                text="With Z = Φ(b) - Φ(a): mean m = (φ(a) - φ(b)) / Z, variance 1 + (a φ(a) - b φ(b)) "
                "/ Z - m². Far "
                "out these differences lose all digits, so there it is a quadrature over the interval.",
                numbers=(
                    Number(name="Z", value=mass, formula="Φ(2) - Φ(-2)"),
                    Number(name="variance", value=inside.variance, formula="1 - 4 φ(2) / Z"),
                    Number(name="0.8796", value=math.sqrt(inside.variance), formula="its root"),
                ),
            ),
            Step(
                title="The inverse problem",
                text="Bounds are in units of the parent, so the parent's std follows by one division, "
                "and its mean "
                "by one subtraction, for any bounds.",
                numbers=(
                    Number(name="parent std", value=cut.parent_std,
                           formula=f"{_STD} / {math.sqrt(inside.variance):.6g}"),
                    Number(name="largest weight", value=2 * cut.parent_std, formula="2 × parent std"),
                    Number(name="in std", value=2 * cut.parent_std / _STD),
                ),
            ),
        ),
        tables=(_table(), families.compared(_STD, 1_000_000)),
        charts=(_chart(),),
        references=("Johnson, Kotz and Balakrishnan 1994, sections 13.10.1 and 26.1",),
    )  # fmt: skip


def _table() -> Table:
    rows = []
    for lower, upper in _CUTS:
        left = moments.cut_moments(lower, upper)
        draw = moments.truncated_normal(0.0, _STD, lower, upper)
        rows.append(
            (
                f"{lower:g} to {upper:g}", f"{left.mean:.6g}", f"{math.sqrt(left.variance):.6g}",
                f"{draw.parent_mean:.6g}", f"{draw.parent_std:.6g}",
            )
        )  # fmt: skip
    return Table(
        title=f"Cuts of a standard normal, and the parent for mean 0 and std {_STD}",
        header=("bounds in std", "mean left", "std left", "parent mean", "parent std"),
        rows=tuple(rows),
    )


def _chart() -> Chart:
    grid = tuple(0.1 * i for i in range(1, 41))
    return Chart(
        title="What is left of the std by a cut at ±b",
        x="b in std of the parent",
        y="std left",
        curves=(
            Curve(
                name="cut normal", x=grid, y=tuple(moments.cut_moments(-b, b).variance ** 0.5 for b in grid)
            ),
            Curve(name="uniform on ±b", x=grid[:20], y=tuple(b / math.sqrt(3.0) for b in grid[:20])),
        ),
    )


TOPIC = Topic(name="moments", question="Moments: bounds and parents from a standard deviation", build=_build,
              kind="law")  # fmt: skip
