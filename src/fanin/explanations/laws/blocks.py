"""The law of blocks: one tensor that holds several matrices."""

from __future__ import annotations

import math

from fanin.explanations.topic import Topic
from fanin.laws.blocks import block_fans
from fanin.laws.fans import fans
from fanin.laws.moments import kurtosis
from fanin.records.axes import Axes, Role
from fanin.records.explanation import Chart, Curve, Explanation, Number, Step, Table
from fanin.schemes.glorot import glorot_normal
from fanin.schemes.orthogonal import orthogonal

__all__ = ["TOPIC"]

_N = 256
_CASES: tuple[tuple[str, tuple[int, ...], tuple[int, ...]], ...] = (
    ("queries, keys, values", (3 * _N, _N), (_N, _N, _N)),
    ("8 query heads, 2 of keys and values", (_N + 2 * 64, _N), (_N, 64, 64)),
    ("gate and up", (8 * _N, _N), (4 * _N, 4 * _N)),
    ("gates of LSTM", (4 * _N, _N), (_N,) * 4),
    ("gates of GRU", (3 * _N, _N), (_N,) * 3),
)


def _build(topic: Topic, depth: int) -> Explanation:  # noqa: ARG001 - the form of all topics
    whole = glorot_normal().draw((3 * _N, _N)).std
    packed = Axes(roles=(Role.OUT, Role.IN), groups=3)
    each = glorot_normal().draw((3 * _N, _N), packed).std
    square = orthogonal(blocks=4).draw((4 * _N, _N))
    tall = orthogonal().draw((4 * _N, _N))
    return topic.answer(
        "Each block has the fan_in of the whole and a fan_out of its own: Var[w] = gain² / fan of the "
        "block.",
        summary="Packing matrices into one tensor is a matter of memory. Their laws do not change by it.",
        steps=(
            Step(
                title="The forward law does not notice",
                text="Each unit adds up the same inputs, so fan_in is that of the whole.",
            ),
            Step(
                title="The mean of the fans does",
                text="Glorot's law on (3 n, n) sees fan_avg = 2 n, where each block has n: all three "
                "are too small "
                "by sqrt(2). PyTorch's MultiheadAttention does so when its projections are packed, and "
                "not when "
                "they are apart.",
                numbers=(
                    Number(name="std, whole", value=whole, formula=f"sqrt(2 / ({3 * _N} + {_N}))"),
                    Number(name="std, each", value=each, formula=f"sqrt(2 / ({_N} + {_N}))"),
                    Number(name="ratio", value=each / whole, formula="sqrt(2)"),
                ),
            ),
            Step(
                title="Orthogonal gates",
                text="A tall (4 n, n) matrix with orthonormal columns has gates that are not "
                "orthogonal: entries "
                "are those of a 4 n sphere, half of what each gate needs.",
                numbers=(
                    Number(name="std, whole", value=tall.std, formula=f"1 / sqrt({4 * _N})"),
                    Number(name="std, each", value=square.std, formula=f"1 / sqrt({_N})"),
                    Number(name="kurtosis, each", value=kurtosis(square), formula="3 n / (n + 2)"),
                ),
            ),
        ),
        tables=(_table(),),
        charts=(_chart(),),
        references=("Glorot and Bengio 2010, equation 12, for each map", "Saxe et al. 2014, section 3"),
    )  # fmt: skip


def _table() -> Table:
    rows = []
    for name, shape, sizes in _CASES:
        whole = math.sqrt(1.0 / fans(shape).fan_avg)
        stds = [math.sqrt(1.0 / one.fan_avg) for one in block_fans(shape, sizes)]
        told = dict.fromkeys(f"{std:.5g}" for std in stds)
        ratios = dict.fromkeys(f"{std / whole:.5g}" for std in stds)
        rows.append((name, " × ".join(map(str, shape)), f"{whole:.5g}", ", ".join(told), ", ".join(ratios)))
    return Table(
        title="Glorot's std of fused weights",
        header=("tensor", "shape", "of the whole", "of each block", "ratio"),
        rows=tuple(rows),
    )


def _chart() -> Chart:
    counts = tuple(range(1, 13))
    ratio = tuple(
        math.sqrt(fans((k * _N, _N)).fan_avg / block_fans((k * _N, _N), (_N,) * k)[0].fan_avg) for k in counts
    )
    return Chart(
        title="How much too small Glorot's std is on k packed square blocks",
        x="blocks k",
        y="std of a block / std of the whole",
        curves=(Curve(name="sqrt((k + 1) / 2)", x=tuple(float(k) for k in counts), y=ratio),),
    )


TOPIC = Topic(name="blocks", question="Blocks: one tensor that holds several matrices", build=_build,
              kind="law")  # fmt: skip
