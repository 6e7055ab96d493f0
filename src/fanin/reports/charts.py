"""The report's charts as plotly figures, in colours that the page decides."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Iterable, Sequence
from typing import Any

from fanin.errors import InputError
from fanin.laws.band import LINEAR, layer_variance, log_power_band
from fanin.records.finding import Diagnosis
from fanin.records.graph import OpKind
from fanin.records.study import Study
from fanin.records.trace import Measurement
from fanin.reports.chart_frame import (
    BACKWARD,
    BACKWARD_WASH,
    BAND,
    FORWARD,
    FORWARD_WASH,
    HIGH,
    LOW,
    MIDDLE,
    RULE,
    SOFT,
    as_data,
    layout,
    plotly,
    said,
)
from fanin.reports.figures import percent, science
from fanin.reports.foreseen_chart import add_laws
from fanin.reports.view import Weight, chain, layer_name, thinned, weights

__all__ = ["as_data", "band", "curves", "plotly", "reach", "signal", "spread"]

_POINTS = 400
"""More points than a chart of a page's width can tell apart."""

_SIGMAS = 3.0
"""Half width of the band, as in the checks: 3 standard deviations."""

_PLAIN = frozenset({OpKind.INPUT, OpKind.CONTRACTION, OpKind.CONVOLUTION, OpKind.ACTIVATION, OpKind.DROPOUT})
"""Nodes for which the law of the band holds: a chain without norms, joins or products."""

Part = tuple[Measurement, ...]


def _relative(values: Iterable[float | None], reference: float | None) -> list[float | None]:
    """Values over the reference; None where a logarithmic axis has no place for them."""
    scale = reference if reference and math.isfinite(reference) and reference > 0.0 else 1.0
    return [v / scale if v is not None and math.isfinite(v) and v > 0.0 else None for v in values]


def _first(values: Iterable[float | None]) -> float | None:
    return next((v for v in values if v is not None and math.isfinite(v) and v > 0.0), None)


def band(diagnosis: Diagnosis) -> tuple[float, float] | None:
    """Where the power of a healthy network of this depth and width stays, relative to where it began.

    ``exp(mean ± 3 sd)`` of ``ln q_L / q_0`` by `fanin.laws.band`; None where that law does not hold:
    a network with norms, joins or products on its path.
    """
    nodes = {node.id: node for node in diagnosis.graph.nodes}
    path = [nodes[i] for i in diagnosis.graph.path if i in nodes]
    if diagnosis.graph.branches or not path or any(node.kind not in _PLAIN for node in path):
        return None
    layers: list[tuple[float, float]] = []
    unit = LINEAR
    units = {m.node: m.units for m in diagnosis.trace.measurements}
    previous: float | None = None
    for node in path:
        if node.kind == OpKind.ACTIVATION and node.activation is not None:
            try:
                unit = layer_variance(diagnosis.graph.activations[node.activation].values)
            except (InputError, ValueError):
                return None
        elif node.kind in {OpKind.CONTRACTION, OpKind.CONVOLUTION}:
            if previous:
                layers.append((unit, previous))
            previous, unit = float(units.get(node.id, 0)), LINEAR
    if not layers:
        return None
    mean, sd = log_power_band(layers)
    return math.exp(mean - _SIGMAS * sd), math.exp(_SIGMAS * sd)


def reach(diagnosis: Diagnosis) -> tuple[float, ...]:
    """Smallest and largest power that the chart of the signal shows; () where it shows none."""
    parts = chain(diagnosis)
    ahead = [part[0].power for part in parts]
    back = [part[0].gradient_power for part in parts]
    shown = [*_relative(ahead, _first(ahead)), *_relative(back, _first(reversed(back)))]
    known = [v for v in shown if v is not None]
    return (min(known), max(known)) if known else ()


def signal(diagnosis: Diagnosis, *, within: Iterable[float] = ()) -> Any | None:
    """Power forward and backward along the main path, and strips of what the units do below it.

    The axis also holds the values `within`, so that charts to be compared can share one.
    """
    parts = chain(diagnosis)
    if len(parts) < 2:
        return None
    ahead = [part[0].power for part in parts]
    back = [part[0].gradient_power for part in parts]
    forward, backward = _relative(ahead, _first(ahead)), _relative(back, _first(reversed(back)))
    rows = list(zip(range(1, len(parts) + 1), parts, forward, backward, strict=True))
    rows = thinned(rows, _POINTS, worst=lambda row: _away(row[2]) + _away(row[3]))
    strips = _strips([part for _, part, _, _ in rows])
    go = plotly("plotly.graph_objects")
    figure = go.Figure(layout=layout(height=330 + 30 * len(strips) + (34 if strips else 0)))
    places = [place for place, *_ in rows]
    names = [said(layer_name(part[0])) for _, part, _, _ in rows]
    edges = [
        *add_laws(figure, places, diagnosis, [p for _, p, *_ in rows], (FORWARD, FORWARD_WASH, SOFT)),
        *add_laws(
            figure, places, diagnosis, [p for _, p, *_ in rows], (BACKWARD, BACKWARD_WASH, SOFT), back=True
        ),
    ]
    healthy = None if edges else band(diagnosis)
    if healthy:
        figure.add_hrect(y0=healthy[0], y1=healthy[1], fillcolor=BAND, line_width=0, layer="below")
    series = (
        (
            "forward, relative to the first layer",
            [f for *_, f, _ in rows],
            ahead,
            FORWARD,
            "circle",
            "solid",
        ),
        ("backward, relative to the last layer", [b for *_, b in rows], back, BACKWARD, "diamond", "dot"),
    )
    for name, values, raw, colour, symbol, dash in series:
        figure.add_scatter(
            x=places, y=values, name=name, mode="lines+markers" if len(rows) <= 80 else "lines",
            line={"color": colour, "width": 2, "dash": dash},
            marker={"size": 6, "symbol": symbol, "color": colour},
            customdata=[[name, science(raw[i - 1], 3)] for i, name in zip(places, names, strict=True)],
            hovertemplate=f"%{{customdata[0]}}<br>{name.split(',')[0]} %{{y:.3g}}, "
            "power %{customdata[1]}<extra></extra>",
        )  # fmt: skip
    top = 30 * len(strips) / (330 + 30 * len(strips)) + 0.1 if strips else 0.0
    ends = _log_range([*forward, *backward, *(healthy or ()), *within, *edges])
    figure.update_yaxes(
        type="log", exponentformat="power", domain=[top, 1.0], gridcolor=RULE, zeroline=False,
        range=ends, dtick=max(1, math.ceil((ends[1] - ends[0]) / 7)),
    )  # fmt: skip
    figure.update_xaxes(
        title={"text": "layer along the main path", "standoff": 8}, gridcolor=RULE, zeroline=False
    )
    figure.update_xaxes(range=_room(places[0], places[-1]), showgrid=False, **_whole(places[-1]))
    if strips:
        _add_strips(figure, strips, places, names, top)
    return figure


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers between two decades: every decade, and 2 and 5 between where they are few."""
    steps = (1.0, 2.0, 5.0) if high - low < 3.0 else (1.0,)
    every = max(1, math.ceil((high - low) / 8))
    decades = range(math.floor(low), math.ceil(high) + 1, every)
    return [s * 10.0**k for k in decades for s in steps if low <= k + math.log10(s) <= high]


def _away(value: float | None) -> float:
    return abs(math.log(value)) if value else 0.0


def _log_range(values: Iterable[float | None]) -> list[float]:
    """Ends of a logarithmic axis: all values, and never less than a decade on either side of 1."""
    logs = [math.log10(v) for v in values if v]
    low, high = min([*logs, -1.0]), max([*logs, 1.0])
    margin = max(0.2, 0.05 * (high - low))
    return [low - margin, high + margin]


def _room(first: int, last: int) -> list[float]:
    """Ends of an axis of places: the outermost marks are whole, however many there are."""
    margin = max(0.6, 0.015 * (last - first))
    return [first - margin, last + margin]


def _whole(last: int) -> dict[str, int]:
    """Ticks at whole places only, where plotly would put some between them."""
    return {"dtick": 1, "tick0": 1} if last <= 10 else {}


def _strips(parts: Sequence[Part]) -> list[tuple[str, list[float | None]]]:
    """Shares between 0 and 1 that some layer has: the largest of each layer's nodes."""
    found: list[tuple[str, list[float | None]]] = []
    for field, title in (("cosine", "cosine"), ("saturated", "saturated"), ("dead", "dead")):
        values = [_largest(getattr(m, field) for m in part) for part in parts]
        if any(v is not None for v in values):
            found.append((title, values))
    return found


def _largest(values: Iterable[float | None]) -> float | None:
    return max((v for v in values if v is not None and math.isfinite(v)), default=None)


def _add_strips(
    figure: Any,
    strips: Sequence[tuple[str, list[float | None]]],
    places: list[int],
    names: list[str],
    top: float,
) -> None:
    figure.add_heatmap(
        x=places, y=[title for title, _ in strips], z=[values for _, values in strips], yaxis="y2",
        zmin=0.0, zmax=1.0, ygap=4, xgap=1 if len(places) <= 80 else 0, showscale=False, hoverongaps=False,
        colorscale=[[0.0, LOW], [0.5, MIDDLE], [1.0, HIGH]],
        customdata=[
            [
                [name, science(v) if title == "cosine" else percent(v)]
                for name, v in zip(names, values, strict=True)
            ]
            for title, values in strips
        ],
        hovertemplate="%{customdata[0]}<br>%{y} %{customdata[1]}<extra></extra>",
    )  # fmt: skip
    figure.update_layout(
        yaxis2={
            "domain": [0.0, top - 0.075],
            "anchor": "x",
            "showgrid": False,
            "ticks": "",
            "ticklabelstandoff": 6,
            "zeroline": False,
        },
        xaxis={"anchor": "y2"},
    )


def spread(diagnosis: Diagnosis) -> Any | None:
    """Standard deviation of every weight, as it is and as planned; None where nothing can be compared."""
    shown = [w for w in weights(diagnosis) if w.planned and w.measured.std > 0.0]
    if not shown:
        return None
    order = {id(w): place for place, w in enumerate(shown, 1)}
    shown = thinned(shown, _POINTS, worst=lambda w: _away(w.ratio))
    go = plotly("plotly.graph_objects")
    figure = go.Figure(layout=layout(height=290))
    places = [order[id(w)] for w in shown]
    stems = [(x, y) for x, w in zip(places, shown, strict=True) for y in (w.planned, w.measured.std)]
    figure.add_scatter(
        x=[v for i, (x, _) in enumerate(stems) for v in ([x, None] if i % 2 else [x])],
        y=[v for i, (_, y) in enumerate(stems) for v in ([y, None] if i % 2 else [y])],
        mode="lines", line={"color": SOFT, "width": 1}, hoverinfo="skip", showlegend=False, opacity=0.6,
    )  # fmt: skip
    _dots(figure, places, shown, "planned", [w.planned for w in shown], "circle-open", SOFT, 11)
    _dots(figure, places, shown, "as it is", [w.measured.std for w in shown], "circle", FORWARD, 6)
    values = [v for w in shown for v in (w.planned, w.measured.std) if v]
    low, high = math.log10(min(values)), math.log10(max(values))
    ticks = _ticks(low - 0.15, high + 0.15)
    figure.update_yaxes(
        type="log",
        gridcolor=RULE,
        zeroline=False,
        range=[low - 0.15, high + 0.15],
        tickvals=ticks,
        ticktext=[science(tick) for tick in ticks],
    )
    figure.update_xaxes(
        title={"text": "weight, in the model's order", "standoff": 8}, showgrid=False, zeroline=False
    )
    figure.update_xaxes(range=_room(1, len(order)), **_whole(len(order)))
    return figure


def _dots(
    figure: Any,
    places: list[int],
    shown: list[Weight],
    name: str,
    values: list[Any],
    symbol: str,
    colour: str,
    size: int,
) -> None:
    figure.add_scatter(
        x=places, y=values, name=name, mode="markers", cliponaxis=False,
        marker={"symbol": symbol, "size": size, "color": colour, "line": {"width": 1.5, "color": colour}},
        customdata=[[said(w.measured.name), science(w.ratio, 3)] for w in shown],
        hovertemplate="%{customdata[0]}<br>" + name
        + " %{y:.3g}, as it is over planned %{customdata[1]}<extra></extra>",
    )  # fmt: skip


def curves(study: Study) -> Any:
    """Test accuracy by epoch: a line for the mean of the seeds, a band for the lowest and highest."""
    go = plotly("plotly.graph_objects")
    figure = go.Figure(layout=layout(height=340))
    looks = itertools.cycle([(BACKWARD, BACKWARD_WASH, "dot"), (FORWARD, FORWARD_WASH, "solid")])
    for arm, (colour, wash, dash) in zip(study.arms, looks, strict=False):
        runs = [[100 * value for value in curve.accuracy] for curve in arm.curves]
        by_epoch = list(zip(*runs, strict=True))
        epochs = list(range(1, len(by_epoch) + 1))
        if len(runs) > 1:
            figure.add_scatter(
                x=[*epochs, *reversed(epochs)],
                y=[*map(min, by_epoch), *(max(values) for values in reversed(by_epoch))],
                fill="toself", fillcolor=wash, line={"width": 0}, hoverinfo="skip", showlegend=False,
                mode="lines",
            )  # fmt: skip
        figure.add_scatter(
            x=epochs, y=[statistics.fmean(values) for values in by_epoch], name=said(arm.name),
            mode="lines+markers",
            line={"color": colour, "width": 2, "dash": dash}, marker={"size": 6, "color": colour},
            hovertemplate="epoch %{x}: %{y:.1f} %<extra>" + said(arm.name) + "</extra>",
        )  # fmt: skip
    figure.add_hline(
        y=100 * study.chance, line={"color": SOFT, "width": 1, "dash": "dash"},
        annotation={"text": "guessing", "font": {"color": SOFT, "size": 12}, "xanchor": "right", "x": 1},
    )  # fmt: skip
    figure.update_yaxes(range=[0, 102], title={"text": "test accuracy, %"}, gridcolor=RULE, zeroline=False)
    figure.update_xaxes(title={"text": "epoch", "standoff": 8}, showgrid=False, zeroline=False)
    return figure
