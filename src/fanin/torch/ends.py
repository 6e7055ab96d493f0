"""Both ends of a measured run: how alike the positions of an input are, and which node is the output."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from fanin.records.graph import Graph, OpKind
from fanin.torch.recording import Recording

__all__ = ["alike", "output_node"]

_ELEMENTS = 1 << 20
_STEPS = 64


def output_node(
    recording: Recording, graph: Graph, kept: Mapping[int, torch.Tensor], main: torch.Tensor
) -> int | None:
    """Id of the node that made the output, views and copies of it skipped; None if that is not found."""
    # (Of a complex output, `main` is a view: its two parts.)
    whole = main._base if main._base is not None and main._base.is_complex() else main
    at = next((id for id, tensor in kept.items() if tensor is whole), None)
    known = {node.id for node in graph.nodes}
    for _ in range(_STEPS):
        if at is None or at in known:
            return at
        operands = recording.ops[at].operands
        at = operands[0].op if operands else None
    return None


def alike(graph: Graph, node: int, x: torch.Tensor, channel: int | None = None) -> float | None:
    """Mean product of two positions of one sample, at the same feature; None where there is but one.

    ``((sum over P positions)^2 - sum of squares) / (P (P - 1))``, averaged over samples and features.
    These lie along the dimension `channel`; else along the second where a convolution reads x, or the last.
    """
    if x.ndim < 3 or not x.is_floating_point():
        return None
    convolved = any(n.kind == OpKind.CONVOLUTION and node in n.inputs for n in graph.nodes)
    x = x.detach()
    if channel is not None and 0 < channel < x.ndim:
        x, convolved = x.movedim(channel, 1), True
    x = x[: max(1, _ELEMENTS // max(x[0].numel(), 1))].double()
    rows = x.flatten(2) if convolved else x.flatten(1, -2).movedim(1, -1)
    places = rows.shape[-1]
    if places < 2 or rows.numel() == 0:
        return None
    together = rows.sum(dim=-1).square() - rows.square().sum(dim=-1)
    return float(together.mean()) / (places * (places - 1))
