"""Charts of explanations as SVG: curves, axes with round ticks, a legend. No library."""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fanin.records.explanation import Chart

__all__ = ["svg"]

WIDTH, HEIGHT = 640, 300
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 34, 46
COLOURS = ("#1f6feb", "#d1570a", "#2e8b57", "#8250df", "#a0522d", "#57606a")
DASHES = ("", "7 3", "2 3", "9 3 2 3", "12 4", "4 4")


def ticks(low: float, high: float, wanted: int = 6) -> list[float]:
    """Round numbers from low to high: steps of 1, 2 or 5 times a power of ten."""
    rough = (high - low) / wanted
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * k for k in (1.0, 2.0, 5.0, 10.0) if power * k >= rough)
    return [i * step for i in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def svg(chart: Chart) -> str:
    """Draw a chart; colours suit light and dark pages, and dashes those who see no colours."""
    xs = [x for curve in chart.curves for x in curve.x]
    ys = [y for curve in chart.curves for y in curve.y]
    x0, x1, (y0, y1) = min(xs), max(xs), span(ys)
    entries, extra = legend([curve.name for curve in chart.curves])
    wide, tall = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    height = HEIGHT + extra
    top = TOP + extra

    def across(x: float) -> float:
        return LEFT + wide * (x - x0) / (x1 - x0)

    def down(y: float) -> float:
        return top + tall * (y1 - y) / (y1 - y0)

    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
            f'font-family="system-ui, sans-serif" font-size="12">'
        ),
        f"<title>{escape(chart.title)}</title>",
        f'<rect width="{WIDTH}" height="{height}" rx="6" fill="#ffffff"/>',
    ]
    for y in ticks(y0, y1):
        parts.append(line(LEFT, down(y), WIDTH - RIGHT, down(y)))
        parts.append(text(LEFT - 6, down(y) + 4, f"{y:.6g}", "end"))
    for x in ticks(x0, x1, 8):
        parts.append(line(across(x), top + tall, across(x), top + tall + 5))
        parts.append(text(across(x), top + tall + 18, f"{x:.6g}", "middle"))
    parts.append(text(LEFT + wide / 2, height - 8, chart.x, "middle"))
    middle = top + tall / 2
    parts.append(
        f'<text x="14" y="{middle:g}" text-anchor="middle" fill="#57606a" '
        f'transform="rotate(-90 14 {middle:g})">{escape(chart.y)}</text>'
    )
    for i, (curve, (x, y)) in enumerate(zip(chart.curves, entries, strict=True)):
        style = f'stroke="{COLOURS[i % 6]}" stroke-width="2" stroke-dasharray="{DASHES[i % 6]}"'
        points = " ".join(f"{across(a):.1f},{down(b):.1f}" for a, b in zip(curve.x, curve.y, strict=True))
        parts.append(f'<polyline fill="none" {style} points="{points}"/>')
        parts.append(f'<path d="M{x:g} {y - 4:g}h22" {style}/>')
        parts.append(text(x + 27, y, curve.name, "start"))
    return "\n".join([*parts, "</svg>"]) + "\n"


def legend(names: Sequence[str]) -> tuple[list[tuple[float, float]], int]:
    """Places of the names, in as many lines as they need, and the height of the lines beyond the first."""
    places, x, y = [], float(LEFT), 20
    for name in names:
        wide = 44 + 6.6 * len(name)
        if x > LEFT and x + wide > WIDTH:
            x, y = float(LEFT), y + 18
        places.append((x, float(y)))
        x += wide
    return places, y - 20


def span(ys: Sequence[float]) -> tuple[float, float]:
    """Ends of the ordinate, with a little air, and not empty."""
    low, high = min(ys), max(ys)
    air = 0.05 * (high - low) or 1.0
    return (low if low == 0.0 else low - air), high + air


def line(x0: float, y0: float, x1: float, y1: float) -> str:
    """A thin grey line."""
    return f'<path d="M{x0:.1f} {y0:.1f}L{x1:.1f} {y1:.1f}" stroke="#d0d7de" fill="none"/>'


def text(x: float, y: float, words: str, anchor: str) -> str:
    """Small words."""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="#424a53">{escape(words)}</text>'
