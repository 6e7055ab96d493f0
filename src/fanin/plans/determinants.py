"""Rule for maps whose determinant a density needs: the channel mixing of a flow.

``log p(x) = log p(W x) + log |det W|``. Of an orthogonal matrix the logarithm is 0 and the map keeps every
length. Of n² independent numbers it is about ``-n/2``, and the inverse, which samples and whose transpose is
the gradient of the logarithm, has entries without any bound.
"""

from __future__ import annotations

import math
import re

from fanin.plans.rule import Case, Claim, Rule
from fanin.records.draw import Orthogonal
from fanin.records.graph import UseKind

__all__ = ["DETERMINANT"]

_WORDS = frozenset({"det", "slogdet", "logdet", "lu"})


def _determinant(case: Case) -> Claim | None:
    sizes = [size for size in case.parameter.shape if size > 1]
    if len(sizes) != 2 or sizes[0] != sizes[1]:
        return None
    maps = [use for use in case.parameter.uses if use.kind == UseKind.WEIGHT and use.axes is not None]
    taken = [use.node for use in case.parameter.uses if _takes(case, use.node)]
    if not maps or not taken:
        return None
    return Claim(
        scheme="orthogonal",
        draw=Orthogonal(gain=1.0, std=1.0 / math.sqrt(sizes[0])),
        axes=maps[0].axes,
        gain=1.0,
        whole=True,
        reason="a map whose determinant the run takes: orthogonal, so the logarithm starts at 0",
        evidence=(
            f"its determinant is taken by {case.facts.nodes[taken[0]].op}",
            f"of {sizes[0]}² independent numbers the logarithm would be about -{sizes[0] / 2:g}",
        ),
        references=("D. Kingma, P. Dhariwal, Glow, 2018, section 3.2",),
    )


def _takes(case: Case, id: int) -> bool:
    node = case.facts.nodes.get(id)
    return node is not None and bool(_WORDS & set(re.split(r"[._]", node.op.lower())))


DETERMINANT = Rule(name="determinant", claim=_determinant)
