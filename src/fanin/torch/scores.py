"""How attention spreads its weight: entropy of its rows, and the spread of the scores behind them."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch

from fanin.records.graph import Node, OpKind
from fanin.torch.recording import Op

__all__ = ["Scores", "scores"]

Scores = tuple[float, float]
"""Mean normalised entropy of a row, and standard deviation of the scores within a row."""

_ROWS = 256
_PRIME = 7919
_LONGEST = 8192
_UNIT = 1e-2


def scores(node: Node, op: Op, kept: Mapping[int, torch.Tensor]) -> Scores | None:
    """Measure a softmax or a fused attention; None for anything else, or where its inputs are not known."""
    if node.kind == OpKind.SOFTMAX and node.id in kept:
        return _of_rows(kept[node.id].detach())
    if node.kind == OpKind.ATTENTION and "attention" in op.name and len(op.operands) >= 2:
        query, key = (_operand(op, place, kept) for place in (0, 1))
        if query is None or key is None or query.shape[-1] != key.shape[-1]:
            return None
        given = op.kwargs.get("scale")
        scale = given if isinstance(given, float) else 1.0 / math.sqrt(query.shape[-1])
        causal = any(value is True for value in op.args[3:])
        return _of_pair(query, key, scale, causal=causal)
    return None


def _operand(op: Op, place: int, kept: Mapping[int, torch.Tensor]) -> torch.Tensor | None:
    operand = op.operands[place]
    found = kept.get(operand.op) if operand.op is not None and operand.index == 0 else None
    if found is None or tuple(found.shape) != operand.shape or found.ndim < 3:
        return None
    return found.detach()


def _of_pair(query: torch.Tensor, key: torch.Tensor, scale: float, *, causal: bool) -> Scores | None:
    heads = query.shape[1] if query.ndim > 3 else 1
    q, k = (t.reshape(-1, *t.shape[-2:]).float() for t in (query, key))
    if k.shape[1] > _LONGEST or not len(q):
        return None
    # With fewer key heads than query heads, neighbours share one.
    shared = len(q) // len(k) if len(k) and len(q) % len(k) == 0 else 0
    if not shared:
        return None
    step = max(1, len(q) // max(1, min(len(q), heads, 16)))
    found = []
    for place in range(0, len(q), step):
        chosen = torch.arange(0, q.shape[1], max(1, q.shape[1] // 16), device=q.device)
        raw = q[place, chosen] @ k[place // shared].T * scale
        if causal:
            hidden = torch.arange(k.shape[1], device=q.device)[None] > chosen[:, None]
            raw = raw.masked_fill(hidden, -math.inf)
        found.append(torch.softmax(raw, dim=-1))
    return _of_rows(torch.cat(found))


def _of_rows(table: torch.Tensor) -> Scores | None:
    """Of the rows of a table of weights that add up to 1; places with weight 0 are taken as hidden."""
    if table.ndim < 2 or table.shape[-1] < 2:
        return None
    rows = table.reshape(-1, table.shape[-1])
    if len(rows) > _ROWS:
        # Steps of a prime number: even ones could meet the same place of every sequence, the first of a mask.
        rows = rows[torch.arange(_ROWS, device=rows.device) * _PRIME % len(rows)]
    rows = rows.double()
    open_ = rows > 0
    count = open_.sum(dim=-1)
    rows, open_, count = rows[count > 1], open_[count > 1], count[count > 1]
    if not len(rows) or bool(((rows.sum(dim=-1) - 1.0).abs() > _UNIT).any()):
        return None
    logs = torch.where(open_, rows, 1.0).log()
    entropy = float((-(rows * logs).sum(dim=-1) / count.double().log()).mean())
    mean = logs.sum(dim=-1, keepdim=True) / count[:, None]
    squares = torch.where(open_, (logs - mean).square(), 0.0).sum(dim=-1) / count
    return entropy, float(squares.mean().sqrt())
