"""Why not zeros, or one constant: a small network trained in NumPy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fanin.explanations.topic import Topic
from fanin.records.explanation import Chart, Curve, Explanation, Number, Step, Table
from fanin.schemes.base import Scheme
from fanin.schemes.constant import constant, zeros
from fanin.schemes.he import he_normal
from fanin.schemes.sample import sample

__all__ = ["TOPIC", "Run", "train"]

Floats = NDArray[np.float64]

_HIDDEN = 8
_STEPS = 400
_RATE = 0.1
_INPUTS: Floats = np.array([[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]])
_TARGETS: Floats = np.prod(_INPUTS, axis=1)
"""Exclusive or, with -1 for false: no single unit computes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What a training left: the loss by step, the first gradient, and the units at the end."""

    losses: tuple[float, ...]
    gradient: float
    """Largest first gradient of a weight, of both layers."""
    distinct: int
    """Hidden units with incoming weights that no other has."""


def train(scheme: Scheme) -> Run:
    """Train 2-8-1 with tanh on exclusive or by gradient descent, both layers from one scheme."""
    first = np.asarray(sample(scheme, (_HIDDEN, 2), seed=0, name="first", dtype="float64"), dtype=np.float64)
    second = np.asarray(
        sample(scheme, (1, _HIDDEN), seed=0, name="second", dtype="float64"), dtype=np.float64
    )
    shifts, shift = np.zeros(_HIDDEN), 0.0
    losses, start = [], 0.0
    for step in range(_STEPS + 1):
        hidden = np.tanh(_INPUTS @ first.T + shifts)
        off = hidden @ second[0] + shift - _TARGETS
        losses.append(float(np.mean(off**2)))
        back = 2.0 / len(off) * off
        inner = back[:, None] * second * (1.0 - hidden**2)
        slopes = (inner.T @ _INPUTS, (back @ hidden)[None, :])
        if step == 0:
            start = float(max(np.abs(slope).max() for slope in slopes))
        first, second = first - _RATE * slopes[0], second - _RATE * slopes[1]
        shifts, shift = shifts - _RATE * inner.sum(axis=0), shift - _RATE * float(back.sum())
    return Run(losses=tuple(losses), gradient=start, distinct=len(np.unique(first.round(12), axis=0)))


def _build(topic: Topic, depth: int) -> Explanation:  # noqa: ARG001 - the form of all topics
    schemes: dict[str, Scheme] = {
        "zeros": zeros(),
        "constant 0.5": constant(0.5),
        "he_normal, tanh": he_normal(activation="tanh"),
    }
    runs = {name: train(scheme) for name, scheme in schemes.items()}
    rows = tuple(
        (name, f"{run.gradient:.4g}", str(run.distinct), f"{run.losses[0]:.4g}", f"{run.losses[-1]:.4g}")
        for name, run in runs.items()
    )
    flat, same, random = runs.values()
    return topic.answer(
        f"Units that start alike get the same gradient and stay alike: {_HIDDEN} hidden units are then "
        f"one. With zeros not "
        "even that one learns. Randomness is there to make units differ; its variance keeps the scale.",
        steps=(
            Step(
                title="Zeros: no gradient",
                text="The gradient of the first layer is a product with the second layer's weights, "
                "and that of the second "
                "a product with the hidden outputs. Both are zero, and stay zero.",
                numbers=(
                    Number(name="gradient, zeros", value=flat.gradient, note="the largest of all weights"),
                ),
            ),
            Step(
                title="A constant: one unit in many copies",
                text="Nothing in the gradient tells one hidden unit from another, so their weights are "
                "equal after every "
                "step. The network has the width 1, whatever its shape says.",
                numbers=(
                    Number(name="distinct units, constant", value=float(same.distinct), note=f"of {_HIDDEN}"),
                    Number(
                        name="loss, constant",
                        value=same.losses[-1],
                        note=f"after {_STEPS} steps of exclusive or",
                    ),
                ),
            ),
            Step(
                title="Random: every unit its own",
                text="The same network, data and steps, from he_normal.",
                numbers=(
                    Number(name="distinct units, random", value=float(random.distinct), note=f"of {_HIDDEN}"),
                    Number(name="loss, random", value=random.losses[-1]),
                ),
            ),
            Step(
                title="Where zeros are right",
                text="Biases (the weights break the symmetry already), the last layer of a residual "
                "branch, and a last layer "
                "alone: one layer of zeros is no trap as long as the layers around it differ.",
            ),
        ),
        tables=(
            Table(
                title=f"2-{_HIDDEN}-1 with tanh, exclusive or, {_STEPS} steps of rate {_RATE}",
                header=("weights", "first gradient", "distinct units", "loss at 0", f"loss at {_STEPS}"),
                rows=rows,
            ),
        ),
        charts=(
            Chart(
                title="Loss by step, exclusive or",
                x="step",
                y="mean squared error",
                curves=tuple(
                    Curve(name=name, x=tuple(float(i) for i in range(len(run.losses))), y=run.losses)
                    for name, run in runs.items()
                ),
            ),
        ),
        references=("Goodfellow, Bengio and Courville, Deep Learning, 2016, section 8.4",),
    )


TOPIC = Topic(name="not-zeros", question="Why not zeros, or one constant?", build=_build)
