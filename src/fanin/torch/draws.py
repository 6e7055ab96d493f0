"""Several draws of one model's weights: between which bounds its figures lie."""

from __future__ import annotations

from collections.abc import Sequence

from fanin.records.trace import Spread, Trace

__all__ = ["spreads"]


def spreads(traces: Sequence[Trace]) -> tuple[Spread, ...]:
    """Smallest and largest power of every node, forward and backward, over traces of one architecture.

    Parameters
    ----------
    traces
        One for each draw. A node that not all of them have (a model that is built at random) is left out.
    """
    tables = [{m.node: m for m in trace.measurements} for trace in traces]
    found = []
    for measurement in traces[0].measurements:
        same = [t[measurement.node] for t in tables if measurement.node in t]
        if len(same) < len(traces) or any(m.shape != measurement.shape for m in same):
            continue
        back = [m.gradient_power for m in same if m.gradient_power is not None]
        found.append(
            Spread(
                node=measurement.node,
                low=min(m.power for m in same),
                high=max(m.power for m in same),
                gradient_low=min(back) if len(back) == len(same) else None,
                gradient_high=max(back) if len(back) == len(same) else None,
            )
        )
    return tuple(found)
