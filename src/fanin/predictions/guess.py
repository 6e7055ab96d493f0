"""The first loss of any function: computed of outputs that are drawn with the predicted moments."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from fanin.predictions.context import Context
from fanin.predictions.signal import joined
from fanin.predictions.trial import Drawn, specified
from fanin.records.graph import Node, OpKind
from fanin.records.prediction import Certainty, LossPrediction

__all__ = ["Guessed", "Guessing", "LossTrial", "guessed"]

_MADE = {
    *(OpKind.CONTRACTION, OpKind.CONVOLUTION, OpKind.EMBEDDING, OpKind.RECURRENCE, OpKind.ATTENTION),
    *(OpKind.NORM, OpKind.INPUT),
}
"""What sums over many numbers, or is given: it is drawn, and what follows is run."""
_REASON = "the loss is taken from a trial of it on drawn outputs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Guessed:
    """Mean of a loss over draws of what it is computed of, and its standard deviation."""

    value: float
    sd: float
    draws: int


class LossTrial(Protocol):
    """Runs what follows the last layers, and the loss of it, on drawn numbers.

    `plain` is true for a cross entropy that has a law.
    """

    plain: bool

    def ends(self) -> tuple[int, ...]:
        """Nodes that what the model returns comes from."""
        ...

    def __call__(self, drawn: tuple[Drawn, ...], luck: tuple[tuple[float, float], ...]) -> Guessed | str:
        """The loss, or why it cannot be run; `luck` is shift and deviation of each input's ``ln power``."""
        ...


@runtime_checkable
class Guessing(Protocol):
    """A trial of operations that can try the loss, too."""

    loss: LossTrial | None


def guessed(context: Context, name: str) -> LossPrediction | None:
    """``E L(y, t)`` over outputs y that know nothing of the targets t; None where it cannot be tried.

    The last layers before the loss are drawn as Gaussian numbers with their mean, power and likeness, and
    with the luck of their power; what lies between them and the loss is run as it is.

    Parameters
    ----------
    name
        The loss's name.
    """
    trial: object = context.trial
    found = trial.loss if isinstance(trial, Guessing) else None
    if found is None or found.plain:
        return None
    roots = _roots(context, found.ends())
    if not roots:
        return None
    drawn = specified(context, roots)
    signals = [context.signals[i] for i in roots]
    luck = tuple((s.luck.shift, s.luck.sd) for s in signals)
    if isinstance(drawn, str) or not all(math.isfinite(x) for pair in luck for x in pair):
        return None
    outcome = found(drawn, luck)
    if isinstance(outcome, str) or not math.isfinite(outcome.value):
        return None
    certainty, _ = joined(((s.certainty, s.reasons) for s in signals), Certainty.APPROXIMATE, _REASON)
    return LossPrediction(
        name=name,
        value=outcome.value,
        logit_std=math.sqrt(max(s.power for s in signals)),
        spread=outcome.sd,
        certainty=certainty,
    )


def _roots(context: Context, ends: tuple[int, ...]) -> tuple[int, ...]:
    """Nodes that are drawn: the nearest behind the ends that are sums of many; () where one is not known."""
    found: dict[int, None] = {}
    ahead, seen = list(ends), set(ends)
    while ahead:
        id = ahead.pop()
        node = context.nodes.get(id)
        if node is None:
            continue
        if node.kind == OpKind.INPUT and not node.dtype.startswith(("float", "bfloat")):
            continue  # labels, indices: they are what they are
        if _drawn(context, node):
            if id not in context.signals:
                return ()
            found[id] = None
            continue
        ahead += [i for i in node.inputs if i not in seen]
        seen.update(node.inputs)
    return tuple(sorted(found))


def _drawn(context: Context, node: Node) -> bool:
    signal = context.signals.get(node.id)
    return node.kind in _MADE or (node.kind == OpKind.ADD and signal is not None and signal.gaussian)
