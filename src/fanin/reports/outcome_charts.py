"""A study's charts: how the arms learned, how far each is from the best, and the loss over the factor."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Sequence
from typing import Any

from fanin.records.study import Arm, Study, Tuned
from fanin.reports.chart_frame import ARMS, BAND, FORWARD, INK, RULE, SOFT, layout, plotly, said
from fanin.reports.figures import short
from fanin.reports.ranking import against, ranked

__all__ = ["factor_chart", "gap_chart", "learning_chart"]

_DASHES = ("solid", "dot", "dash", "longdash", "dashdot", "longdashdot")


def learning_chart(study: Study) -> Any | None:
    """Validation loss by step: a line for the mean of the seeds, a band from the lowest to the highest.

    None where the runs have no validation curves.
    """
    shown = [(arm, _marks(arm)) for arm in ranked(study)]
    if not any(marks for _, marks in shown):
        return None
    go = plotly("plotly.graph_objects")
    figure = go.Figure(layout=layout(height=380))
    looks = itertools.chain(ARMS[:-1], itertools.repeat(ARMS[-1]))
    for (arm, marks), (colour, wash), dash in zip(shown, looks, itertools.cycle(_DASHES), strict=False):
        steps = [step for step, _ in marks]
        low, high = [min(losses) for _, losses in marks], [max(losses) for _, losses in marks]
        if len(arm.curves) > 1 and marks:
            figure.add_scatter(
                x=[*steps, *reversed(steps)], y=[*low, *reversed(high)], fill="toself", fillcolor=wash,
                line={"width": 0}, hoverinfo="skip", showlegend=False, mode="lines", legendgroup=arm.name,
            )  # fmt: skip
        figure.add_scatter(
            x=steps, y=[statistics.fmean(losses) for _, losses in marks], name=said(arm.name), mode="lines",
            legendgroup=arm.name, line={"color": colour, "width": 2, "dash": dash},
            hovertemplate="step %{x}: %{y:.3f}<extra>" + said(arm.name) + "</extra>",
        )  # fmt: skip
    if study.guess is not None:
        figure.add_hline(
            y=study.guess, line={"color": SOFT, "width": 1, "dash": "dash"},
            annotation={"text": "guessing", "font": {"color": SOFT, "size": 12}, "xanchor": "right", "x": 1},
        )  # fmt: skip
        # What diverges must not press all other lines to the ground.
        top = max(1.5 * study.guess, *(loss for _, marks in shown for _, all_ in marks[-1:] for loss in all_))
        figure.update_yaxes(range=[0.0, min(top, 2.5 * study.guess)])
    figure.update_yaxes(title={"text": "validation loss, nats"}, gridcolor=RULE, zeroline=False)
    figure.update_xaxes(title={"text": "step", "standoff": 8}, showgrid=False, zeroline=False)
    return figure


def _marks(arm: Arm) -> list[tuple[int, list[float]]]:
    """The steps at which every run of an arm was judged, with their validation losses."""
    runs = [dict(zip(curve.steps, curve.validation, strict=False)) for curve in arm.curves]
    common = sorted(set.intersection(*(set(run) for run in runs))) if runs else []
    return [(step, [run[step] for run in runs]) for step in common]


def gap_chart(study: Study) -> Any | None:
    """Every arm's difference to the best: a dot a seed, the mean, and its 95 % interval."""
    order = ranked(study)
    if len(order) < 2 or len(order[0].scores) < 2:
        return None
    best, others = order[0], order[1:]
    factor = 100.0 if study.score == "accuracy" else 1.0
    what = "points of test accuracy" if study.score == "accuracy" else "nats of test loss"
    go = plotly("plotly.graph_objects")
    figure = go.Figure(layout=layout(height=110 + 34 * len(others)))
    rows = list(range(len(others)))
    found = [against(study, arm.name, best.name) for arm in others]
    means = [0.0 if one is None else factor * one.mean for one in found]
    half = [0.0 if one is None else factor * (one.high - one.mean) for one in found]
    seeds = [
        (row, factor * (a - b))
        for row, arm in zip(rows, others, strict=True)
        for a, b in zip(arm.scores, best.scores, strict=True)
    ]
    figure.add_vline(x=0.0, line={"color": SOFT, "width": 1})
    figure.add_scatter(
        x=[value for _, value in seeds], y=[row for row, _ in seeds], mode="markers", name="each seed",
        marker={"size": 7, "symbol": "circle-open", "color": SOFT}, hovertemplate="%{x:+.3g}<extra></extra>",
    )  # fmt: skip
    figure.add_scatter(
        x=means, y=rows, mode="markers", name="mean, 95 % interval",
        marker={"size": 9, "symbol": "diamond", "color": FORWARD},
        error_x={"type": "data", "array": half, "color": FORWARD, "thickness": 2, "width": 5},
        hovertemplate="mean %{x:+.3g}<extra></extra>",
    )  # fmt: skip
    ends = [0.0, *(value for _, value in seeds), *means]
    room = 0.6 * (max(ends) - min(ends)) or 1.0
    lows = [mean - reach for mean, reach in zip(means, half, strict=True)]
    highs = [mean + reach for mean, reach in zip(means, half, strict=True)]
    # A few seeds may have intervals that leave the rest no room: these are cut by the edge.
    low, high = max(min(lows), min(ends) - room), min(max(highs), max(ends) + room)
    margin = 0.05 * (max(high, *ends) - min(low, *ends))
    figure.update_xaxes(
        title={"text": f"difference to {said(best.name)}, {what}", "standoff": 8}, gridcolor=RULE,
        zeroline=False, range=[min(low, *ends) - margin, max(high, *ends) + margin],
    )  # fmt: skip
    widest = max(len(arm.name) for arm in others)
    figure.update_layout(margin={"l": min(320, 40 + 8 * widest), "r": 18, "t": 34, "b": 46})
    figure.update_yaxes(
        tickvals=rows, ticktext=[said(arm.name) for arm in others], autorange=False,
        range=[len(rows) - 0.4, -0.6], showgrid=False, zeroline=False, tickfont={"color": INK},
    )  # fmt: skip
    return figure


def factor_chart(one: Tuned) -> Any:
    """Cross-validated loss over the factor, with standard errors; the line is one above the best."""
    go = plotly("plotly.graph_objects")
    figure = go.Figure(layout=layout(height=360))
    most = max(factor.steps for factor in one.factors)
    whole = [factor for factor in one.factors if math.isfinite(factor.mean) and factor.steps == most]
    part = [factor for factor in one.factors if math.isfinite(factor.mean) and factor.steps < most]
    best = next((factor for factor in whole if factor.factor == one.best), None)
    if best is not None and math.isfinite(best.error):
        figure.add_hrect(
            y0=best.mean - best.error, y1=best.mean + best.error, fillcolor=BAND, line_width=0, layer="below"
        )
    figure.add_scatter(
        x=[f.factor for f in whole], y=[f.mean for f in whole], mode="lines+markers",
        name="mean of the folds, standard error", line={"color": FORWARD, "width": 2},
        marker={"size": 8, "color": FORWARD},
        error_y={"type": "data", "array": [_error(f.error) for f in whole], "color": FORWARD, "width": 5},
        hovertemplate="factor %{x:.3g}: %{y:.4g}<extra></extra>",
    )  # fmt: skip
    if part:
        figure.add_scatter(
            x=[f.factor for f in part], y=[f.mean for f in part], mode="markers", name="dropped on the way",
            marker={"size": 8, "symbol": "circle-open", "color": SOFT},
            hovertemplate="factor %{x:.3g}: %{y:.4g}, fewer steps<extra></extra>",
        )  # fmt: skip
    broken = [factor.factor for factor in one.factors if not math.isfinite(factor.mean)]
    finite = [factor for factor in one.factors if math.isfinite(factor.mean)]
    top = max((factor.mean + _error(factor.error) for factor in finite), default=1.0)
    if broken:
        figure.add_scatter(
            x=broken, y=[1.05 * top] * len(broken), mode="markers", name="diverged",
            marker={"size": 9, "symbol": "x", "color": ARMS[1][0]},
            hovertemplate="factor %{x:.3g} diverged<extra></extra>",
        )  # fmt: skip
    figure.add_vline(x=one.chosen, line={"color": ARMS[1][0], "width": 2, "dash": "dot"})
    figure.add_annotation(
        # On a logarithmic axis an annotation's place is the logarithm.
        x=math.log10(one.chosen), y=0.0, yref="paper", text=f"chosen, {short(one.chosen, 3)}",
        showarrow=False, xanchor="left", yanchor="bottom", xshift=6, font={"color": INK, "size": 12},
    )  # fmt: skip
    ticks = _thinned([factor.factor for factor in one.factors])
    figure.update_xaxes(
        type="log", tickvals=ticks, ticktext=[short(tick, 3) for tick in ticks],
        title={"text": "factor on the std of the weights", "standoff": 8}, showgrid=False, zeroline=False,
    )  # fmt: skip
    figure.update_yaxes(title={"text": "validation loss, nats"}, gridcolor=RULE, zeroline=False)
    return figure


def _error(error: float) -> float:
    return error if math.isfinite(error) else 0.0


def _thinned(values: Sequence[float]) -> list[float]:
    """Labels that find room: all of few values, every second or third of many."""
    every = math.ceil(len(values) / 11)
    middle = list(values).index(1.0) if 1.0 in values else 0
    return [value for place, value in enumerate(values) if (place - middle) % every == 0]
