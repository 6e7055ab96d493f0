"""A diagnosis as one HTML file: no network, no other file, light, dark and on paper.

Nothing of the page can run but the page's own scripts: its content policy names their hashes, so a
tensor's name stays a name even if an escape were forgotten.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
from collections.abc import Mapping
from importlib import resources
from typing import Any

from fanin.records.finding import Diagnosis
from fanin.reports import charts
from fanin.reports.figures import plural
from fanin.reports.markup import embedded, escaped, section
from fanin.reports.sections import basis, checks, findings, laws, layers, loss, plan, title, verdict_banner
from fanin.reports.widths import width_section

__all__ = ["chart", "document", "page", "signal_section"]

_STRIPS = (
    "dead, the share of units that no sample of the batch switches on",
    "saturated, the share of values where the activation is flat",
    "cosine, how alike the samples have become (1: the layer cannot tell them apart)",
)


def page(diagnosis: Diagnosis) -> str:
    """Write the whole report as one HTML document.

    Raises
    ------
    InputError
        Plotly is not installed.
    """
    drawn = {"signal": charts.signal(diagnosis), "spread": charts.spread(diagnosis)}
    figures = {name: charts.as_data(figure) for name, figure in drawn.items() if figure is not None}
    body = "\n".join(
        part
        for part in (
            verdict_banner(diagnosis),
            findings(diagnosis),
            signal_section(diagnosis) if "signal" in figures else "",
            _spread(diagnosis) if "spread" in figures else "",
            loss(diagnosis),
            width_section(diagnosis),
            laws(diagnosis),
            layers(diagnosis),
            plan(diagnosis),
            checks(diagnosis),
            basis(diagnosis),
        )
        if part
    )
    return document(title(diagnosis), body, figures)


def document(title: str, body: str, figures: Mapping[str, dict[str, Any]]) -> str:
    """Write a page around its body: styles, scripts, figures, and the library that draws them."""
    library = charts.plotly("plotly.offline").get_plotlyjs() if figures else ""
    packed = base64.b64encode(gzip.compress(library.encode(), 9, mtime=0)).decode()
    script, style = _asset("page.js"), _asset("page.css")
    policy = (
        f"default-src 'none'; style-src 'unsafe-inline'; img-src data: blob:; "
        f"script-src {_hash(script)} {_hash(library)}; base-uri 'none'; form-action 'none'"
    )
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="{escaped(policy)}">
<title>{escaped(title)}</title>
<link rel="icon" href="data:,">
<style>{style}</style>
</head>
<body>
<main>
{body}
<footer>Written by fanin. One file: nothing is loaded from elsewhere. Charts by plotly.js (MIT).</footer>
</main>
<script type="application/json" id="figures">{embedded(figures)}</script>
<script type="application/octet-stream" id="plotly">{packed}</script>
<script>{script}</script>
</body>
</html>
"""


def _asset(name: str) -> str:
    return resources.files("fanin.reports").joinpath("assets", name).read_text(encoding="utf-8")


def _hash(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def chart(name: str, described: str) -> str:
    """Make the place that the page's script draws the figure of this name into."""
    return (
        f'<div class="chart"><div data-figure="{escaped(name)}" role="img" aria-label="{escaped(described)}">'
        "<noscript>The chart needs JavaScript; the tables below hold the same figures.</noscript></div></div>"
    )


def signal_section(diagnosis: Diagnosis, name: str = "signal") -> str:
    """Show the chart of the signal, with what its band and strips mean."""
    lawful = diagnosis.prediction is not None
    healthy = None if lawful else charts.band(diagnosis)
    lead = (
        "Mean square of each layer's output going forward, and of the gradient coming back, on one "
        "logarithmic axis. Healthy lines stay level. The head is left out: its size is chosen for the loss."
    )
    below = (
        "The grey band is where a network of this depth and these widths stays when its weights are drawn "
        "right: three standard deviations of its random draws. " if healthy else ""
    )  # fmt: skip
    below += (
        "Dashed: what weights of these variances give by law; around it three standard deviations of the "
        "luck that these widths leave. Dotted grey, where it differs: what the plan's weights would give. "
        if lawful else ""
    )  # fmt: skip
    below += "The strips go from 0 (no colour) to 1 (full colour): " + "; ".join(_STRIPS) + "."
    drawing = chart(name, "forward and backward power by layer")
    return section("Signal through the network", lead, drawing, below)


def _spread(diagnosis: Diagnosis) -> str:
    constant = [
        p for p in diagnosis.trace.parameters
        if any(p.name == e.name and e.draw and e.draw.std == 0.0 for e in diagnosis.plan.entries)
    ]  # fmt: skip
    moved = sum(p.std > 0.0 for p in constant)
    lead = "Standard deviation of each weight as it is now, beside what the plan would draw for it."
    below = _still(len(constant), moved)
    return section("Weights", lead, chart("spread", "standard deviation of each weight"), below)


def _still(planned: int, moved: int) -> str:
    """What to say of tensors that are planned constant, some of which are not."""
    if planned == 0:
        return ""
    tensors, are = plural(planned, "further tensor"), "is" if planned == 1 else "are"
    said = f"{tensors} (biases, norms) {are} planned constant"
    if moved:
        return f"{said}; {moved} of them {'is' if moved == 1 else 'are'} not constant now."
    return f"{said}, and constant now."
