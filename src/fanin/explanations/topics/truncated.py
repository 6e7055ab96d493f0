"""Truncated or not."""

from __future__ import annotations

from fanin.explanations import families
from fanin.explanations.spread import largest
from fanin.explanations.topic import Topic
from fanin.laws import moments
from fanin.records.draw import Normal, TruncatedNormal
from fanin.records.explanation import Explanation, Number, Step, Table

__all__ = ["TOPIC"]

_STD = 0.02
_COUNT = 1_000_000
_CUT = 2.0


def _build(topic: Topic, depth: int) -> Explanation:
    cut = moments.cut_moments(-_CUT, _CUT)
    inside = moments.cdf(Normal(std=1.0), _CUT) - moments.cdf(Normal(std=1.0), -_CUT)
    readings: dict[str, Normal | TruncatedNormal] = {
        "bounds in std, std of the samples (fanin)": moments.truncated_normal(std=_STD),
        "bounds in std, std of the parent (Keras, JAX)": moments.truncated_from_parent(
            0.0, _STD, -_CUT * _STD, _CUT * _STD
        ),
        "bounds in units of the weight (torch)": moments.truncated_from_parent(0.0, _STD, -_CUT, _CUT),
        "not cut": Normal(std=_STD),
    }
    rows = tuple(
        (name, f"{draw.std:.6g}", f"{largest(draw, _COUNT):.5g}", f"{moments.kurtosis(draw):.4g}")
        for name, draw in readings.items()
    )
    return topic.answer(
        "The cut changes the tail, which hardly matters, and the std, which does: a normal cut at two "
        "standard "
        f"deviations keeps {cut.std:.4f} of its std, and nobody sees it where the law is not corrected.",
        steps=(
            Step(
                title="What the cut takes",
                text="The std of a standard normal given |z| < 2 is the root of ∫ z² φ / ∫ φ over (-2, 2).",
                numbers=(
                    Number(name="mass inside", value=inside, formula="Φ(2) - Φ(-2)"),
                    Number(name="std of the cut", value=cut.std),
                    Number(name="variance of the cut", value=cut.variance),
                ),
            ),
            Step(
                title="What that does to a deep network",
                text=f"Uncorrected, each of {depth} layers keeps this share of the power it should.",
                numbers=(
                    Number(
                        name="power left",
                        value=cut.variance**depth,
                        formula=f"{cut.variance:.5f}^{depth}",
                        note=f"after {depth} layers without norms",
                    ),
                ),
            ),
            Step(
                title="The remedy",
                text="A wider parent: its std is the wanted one divided by that of the cut. he_normal, "
                "glorot_normal and "
                "lecun_normal of Keras and JAX do this; their TruncatedNormal does not.",
                numbers=(
                    Number(name="1/std of the cut", value=1.0 / cut.std),
                    Number(name="parent std", value=_STD / cut.std, formula=f"{_STD} / {cut.std:.5f}"),
                ),
            ),
            Step(
                title="Three readings of one call",
                text=f"trunc_normal(std={_STD}) with its default bounds of ±2: torch takes them in "
                f"units of the weight, which "
                "is so far out that nothing is cut.",
                numbers=(
                    Number(name="torch's bound", value=_CUT / _STD, formula=f"2 / {_STD}", note="in std"),
                ),
            ),
        ),
        tables=(
            Table(
                title=f"truncated normal with std {_STD} and bounds of 2",
                header=("reading", "std", f"largest of {_COUNT:,}", "kurtosis"),
                rows=rows,
            ),
        ),
        charts=(families.chart(_STD),),
        references=("Johnson, Kotz and Balakrishnan 1994, section 13.10.1",),
    )


TOPIC = Topic(name="truncated", question="Truncated or not?", build=_build)
