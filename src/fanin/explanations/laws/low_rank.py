"""The law of low-rank pairs: two factors that start at nothing and change at one rate for every rank."""

from __future__ import annotations

import math

from fanin.explanations.topic import Topic
from fanin.laws.blocks import lora_fans, lora_scaling
from fanin.records.explanation import Chart, Curve, Explanation, Number, Step, Table
from fanin.schemes.registry import get

__all__ = ["TOPIC"]

_SHAPE = (1024, 4096)
_ALPHA = 16.0
_RANKS = (4, 8, 16, 64, 256)


def _build(topic: Topic, depth: int) -> Explanation:  # noqa: ARG001 - the form of all topics
    first, second = lora_fans(_SHAPE, 8)
    a = get("lora_a").draw((8, _SHAPE[1]))
    b = get("lora_b").draw((_SHAPE[0], 8))
    return topic.answer(
        "W + s B A with Var[A] of its own fan_in, B = 0, and s = alpha / sqrt(rank) (or alpha / rank).",
        summary="A reads the inputs, B writes the outputs. One of them is zero, so that training starts "
        "at the "
        "given model; only one, or neither would get a gradient.",
        steps=(
            Step(
                title="Two fans",
                text="A has the inputs of W and `rank` outputs, B the reverse.",
                numbers=(
                    Number(name="fan_in of A", value=first.fan_in),
                    Number(name="fan_out of A", value=first.fan_out, formula="rank"),
                    Number(name="fan_in of B", value=second.fan_in, formula="rank"),
                    Number(name="fan_out of B", value=second.fan_out),
                ),
            ),
            Step(
                title="One of them is zero",
                text="dL/dB = s (dL/dz) (A x)ᵀ is not 0 while B is; dL/dA = s Bᵀ (dL/dz) xᵀ is 0 in the "
                "first step.",
                numbers=(
                    Number(name="std of A", value=a.std, note=str(a)),
                    Number(name="std of B", value=b.std, note=str(b)),
                ),
            ),
            Step(
                title="The factor s",
                text="After steps of a fixed size B A x is a sum of `rank` terms that are alike in "
                "size: with "
                "alpha / rank it shrinks as 1/sqrt(rank), with the root it keeps its size.",
                numbers=(
                    Number(name="s, LoRA, rank 64", value=lora_scaling(64, _ALPHA, stabilized=False),
                           formula="alpha / rank"),
                    Number(name="s, rank-stabilized", value=lora_scaling(64, _ALPHA),
                           formula="alpha / sqrt(rank)"),
                ),
            ),
        ),
        tables=(_table(),),
        charts=(_chart(),),
        references=("Hu et al. 2021, section 4.1", "Kalajdzievski 2023, theorem 3.2",
                    "Hayou et al. 2024, The Impact of Initialization on LoRA Finetuning Dynamics"),
    )  # fmt: skip


def _size(rank: int, *, stabilized: bool) -> float:
    """Size of s B A x, a sum of `rank` like terms, for alpha 1."""
    return lora_scaling(rank, 1.0, stabilized=stabilized) * math.sqrt(rank)


def _table() -> Table:
    rows = []
    for rank in _RANKS:
        first, second = lora_fans(_SHAPE, rank)
        size = rank * (_SHAPE[0] + _SHAPE[1])
        rows.append(
            (
                str(rank), f"{size:,}", f"{second.fan_in:g}", f"{first.fan_in:g}",
                f"{lora_scaling(rank, _ALPHA, stabilized=False):.5g}", f"{lora_scaling(rank, _ALPHA):.5g}",
            )
        )  # fmt: skip
    return Table(
        title=f"Pairs for a weight of {_SHAPE[0]} × {_SHAPE[1]}, alpha {_ALPHA:g}",
        header=("rank", "numbers", "fan_in of B", "fan_in of A", "alpha / rank", "alpha / sqrt(rank)"),
        rows=tuple(rows),
    )


def _chart() -> Chart:
    ranks = tuple(range(1, 129))
    x = tuple(float(r) for r in ranks)
    return Chart(
        title="Size of the change by rank, after equal steps",
        x="rank",
        y="size for alpha 1",
        curves=(
            Curve(name="alpha / sqrt(rank)", x=x, y=tuple(_size(r, stabilized=True) for r in ranks)),
            Curve(name="alpha / rank", x=x, y=tuple(_size(r, stabilized=False) for r in ranks)),
        ),
    )


TOPIC = Topic(name="low-rank", question="Low-rank pairs: start at nothing, change at one rate", build=_build,
              kind="law")  # fmt: skip
