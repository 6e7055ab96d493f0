"""Lines and bands of the laws in the chart of the signal."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from fanin.records.finding import Diagnosis
from fanin.records.trace import Measurement
from fanin.reports.foreseen import series

__all__ = ["add_laws"]

_ROOM = 1e3
"""A band that chance makes wider than this is cut by the chart's edge, or the rest would have no room."""


_LEGEND = {False: "by law", True: "by law, with the plan's weights"}
"""What the legend calls the thin lines, of the weights as they are and as planned."""


def add_laws(
    figure: Any,
    places: Sequence[int],
    diagnosis: Diagnosis,
    parts: Sequence[Sequence[Measurement]],
    colours: tuple[str, str, str],
    *,
    back: bool = False,
) -> list[float]:
    """Draw what the laws say of one direction, relative to where its measured line starts.

    Parameters
    ----------
    figure
        A plotly figure with a logarithmic axis.
    places, parts
        Where each layer stands, and what was measured from it on.
    colours
        Of the line, of its band, and of the plan's line.
    back
        Whether it is the gradient.

    Returns
    -------
    list of float
        Values that the axis should hold.
    """
    found = series(diagnosis, parts, backward=back)
    measured = [(part[0].gradient_power if back else part[0].power) or 0.0 for part in parts]
    reference = next(
        (value for value in (reversed(measured) if back else measured) if 0.0 < value < 1e300), 0.0
    )
    if found is None or not reference or not any(found.line):
        return []
    ends = [
        (place, low / reference, high / reference) if low and high else None
        for place, low, high in zip(places, found.low, found.high, strict=True)
    ]
    for known_here, stretch in itertools.groupby(ends, key=lambda end: end is not None):
        run = [end for end in stretch if end is not None]
        if not known_here:
            continue
        figure.add_scatter(
            x=[*(x for x, *_ in run), *(x for x, *_ in reversed(run))],
            y=[*(high for *_, high in run), *(low for _, low, _ in reversed(run))],
            fill="toself", fillcolor=colours[1], line={"width": 0}, mode="lines", hoverinfo="skip",
            showlegend=False,
        )  # fmt: skip
    word = "backward" if back else "forward"
    lines = [(found.line, f"{word}, by law", "dash", colours[0])]
    if found.planned is not None:
        lines.append((found.planned, f"{word}, by law with the plan's weights", "dot", colours[2]))
    shown = []
    known = {trace.legendgroup for trace in figure.data}
    for line, name, dash, colour in lines:
        group = _LEGEND["plan" in name]
        if group not in known:
            # One sign in the legend for both directions.
            figure.add_scatter(
                x=[None], y=[None], name=group, legendgroup=group, mode="lines", legendrank=2000,
                line={"color": colours[2], "width": 1.3, "dash": dash}, hoverinfo="skip",
            )  # fmt: skip
        values = [value / reference if value else None for value in line]
        shown += [value for value in values if value]
        figure.add_scatter(
            x=list(places), y=values, name=name, mode="lines", opacity=0.85, showlegend=False,
            line={"color": colour, "width": 1.3, "dash": dash},
            hovertemplate=f"{name} %{{y:.3g}}<extra></extra>",
        )  # fmt: skip
    inside = [v for end in ends if end for v in end[1:] if 1.0 / _ROOM < v < _ROOM]
    return [*shown, *inside]
