"""What all charts share: colours that the page decides, the frame of a figure, and its form as data.

Plotly's validators want real colours, so a figure is built with one reserved colour for each CSS
variable; `as_data` writes the variable's name in its place.
"""

from __future__ import annotations

import html
import importlib
import math
from typing import Any

from fanin.errors import InputError, explain

__all__ = [
    "ARMS",
    "BACKWARD",
    "BACKWARD_WASH",
    "BAND",
    "CARD",
    "FORWARD",
    "FORWARD_WASH",
    "HIGH",
    "INK",
    "LOW",
    "MIDDLE",
    "RULE",
    "SOFT",
    "as_data",
    "layout",
    "plotly",
    "said",
]

INK, SOFT, RULE, CARD = "#010101", "#020202", "#030303", "#040404"
FORWARD, BACKWARD, BAND = "#050505", "#060606", "#070707"
LOW, MIDDLE, HIGH = "#080808", "#090909", "#0a0a0a"
FORWARD_WASH, BACKWARD_WASH = "#0b0b0b", "#0c0c0c"
ARMS = tuple((f"#0d0d{k:02x}", f"#0e0e{k:02x}") for k in range(1, 8))
"""Line and band of each arm of a study; the last is for all further ones."""

_VARIABLES = {
    **{line: f"--arm-{k}" for k, (line, _) in enumerate(ARMS, 1)},
    **{wash: f"--arm-{k}-wash" for k, (_, wash) in enumerate(ARMS, 1)},
    FORWARD_WASH: "--forward-wash",
    BACKWARD_WASH: "--backward-wash",
    INK: "--ink",
    SOFT: "--soft",
    RULE: "--hair",
    CARD: "--card",
    FORWARD: "--forward",
    BACKWARD: "--backward",
    BAND: "--band",
    LOW: "--low",
    MIDDLE: "--middle",
    HIGH: "--high",
}


def plotly(module: str) -> Any:
    """Import a part of plotly, or say which extra brings it."""
    try:
        return importlib.import_module(module)
    except ImportError:
        raise InputError(
            explain(
                "An HTML report needs plotly, which is not installed",
                remedy="pip install 'fanin[report]', or save the report as .json or .txt",
            )
        ) from None


def as_data(figure: Any) -> dict[str, Any]:
    """A figure as plain JSON types: variables for colours, five digits, None for what is not finite."""
    document: dict[str, Any] = _cleaned(figure.to_plotly_json())
    return document


def _cleaned(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _cleaned(item) for key, item in value.items() if key != "template"}
    if isinstance(value, list | tuple):
        return [_cleaned(item) for item in value]
    if isinstance(value, float):
        return float(f"{value:.5g}") if math.isfinite(value) else None
    if isinstance(value, str) and value in _VARIABLES:
        return f"var({_VARIABLES[value]})"
    return value


def said(name: str) -> str:
    """A name as plotly must get it: its texts know a few tags, and a name may look like one."""
    return html.escape(name)


def layout(*, height: int) -> dict[str, Any]:
    """The frame of a figure of so many pixels."""
    return {
        "template": "none",
        "height": height,
        "margin": {"l": 82, "r": 18, "t": 34, "b": 46},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {
            "family": "system-ui, Segoe UI, Liberation Sans, Arial, sans-serif",
            "size": 13,
            "color": SOFT,
        },
        "hoverlabel": {
            "bgcolor": CARD,
            "bordercolor": RULE,
            "font": {"color": INK, "size": 13},
            "align": "left",
        },
        "hovermode": "closest",
        "legend": {"orientation": "h", "x": 0.0, "y": 1.0, "yanchor": "bottom", "font": {"color": INK}},
    }
