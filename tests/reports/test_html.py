"""The page: complete, safe, small, and alone."""

from __future__ import annotations

import base64
import gzip
import hashlib
import html as entities
import json
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest
from plotly.offline import get_plotlyjs

from fanin.records.finding import Diagnosis
from fanin.records.table import visible
from fanin.reports import charts
from fanin.reports.html import page
from fanin.reports.markup import embedded, escaped

NASTY = (
    "</script><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "<!--",
    "a&lt;b",
    "'); alert(1); ('",
    "\u2028]]>",
)


class Reader(HTMLParser):
    """Tags and attributes of a document, its scripts, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.text = ""
        self._inside = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._inside = tag
        if tag == "script":
            self.scripts.append((dict(attrs), ""))

    def handle_endtag(self, tag: str) -> None:  # noqa: ARG002 - the parser's own signature
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            attributes, text = self.scripts[-1]
            self.scripts[-1] = (attributes, text + data)
        elif self._inside != "style":
            self.text += data


def figures(document: str) -> dict[str, Any]:
    """The figures that a page holds."""
    inside = next(text for attributes, text in Reader(document).scripts if attributes.get("id") == "figures")
    loaded: dict[str, Any] = json.loads(inside)
    return loaded


def test_everything_is_there(sick: Diagnosis) -> None:
    text = Reader(page(sick)).text
    for part in (
        "DeepNet will not train as it is: vanishing gradients.",
        "29 weights have std 1/sqrt(3 fan_in)",
        "multiply the std of these weights by 2.45",
        "Signal through the network", "Weights", "Loss and logits", "Layers", "Plan", "Not checked",
        "the model has no attention", "feeds relu", "2.303 (ln 10)", "Basis", "torch", "2.13.0",
        "fanin.torch.check(model, batch",
    ):  # fmt: skip
        assert part in text, part


def test_the_charts_hold_the_measured_figures(sick: Diagnosis) -> None:
    signal = figures(page(sick))["signal"]
    forward, backward = signal["data"][:2]
    assert len(forward["y"]) == 30
    assert forward["y"][0] == 1.0
    assert backward["y"][-1] == 1.0
    assert backward["y"][0] == pytest.approx((1 / 6) ** 29, rel=1e-4)
    strips = signal["data"][2]
    assert strips["y"] == ["cosine", "dead"]
    assert max(v for v in strips["z"][1] if v is not None) == pytest.approx(0.43 * 28 / 30, rel=1e-4)


def test_a_zero_has_no_place_on_a_logarithmic_axis(sick: Diagnosis) -> None:
    first, *rest = sick.trace.measurements
    zero = replace(sick, trace=replace(sick.trace, measurements=(replace(first, power=0.0), *rest)))
    assert figures(page(zero))["signal"]["data"][0]["y"][0] is None


def test_colours_are_the_pages_own(sick: Diagnosis) -> None:
    document = page(sick)
    used = set(re.findall(r'"var\((--[\w-]+)\)"', json.dumps(figures(document))))
    assert used
    light = document.split("@media (prefers-color-scheme: dark)")[0]
    dark = document.split("@media (prefers-color-scheme: dark)")[1].split("\n}\n")[0]
    assert all(f"{name}:" in light and f"{name}:" in dark for name in used)
    assert not re.search(r'"#0[0-9a-f]0[0-9a-f]0[0-9a-f]"', json.dumps(figures(document)))


def test_nothing_is_loaded_from_elsewhere(sick: Diagnosis) -> None:
    reader = Reader(page(sick))
    for tag, attributes in reader.tags:
        for name in ("src", "srcset", "href", "action", "data", "poster"):
            assert attributes.get(name, "data:,") == "data:,", (tag, attributes)
    style = re.search(r"<style>(.*?)</style>", page(sick), re.DOTALL)
    assert style
    assert "url(" not in style[1]
    assert "@import" not in style[1]


def test_only_the_pages_own_scripts_may_run(sick: Diagnosis) -> None:
    reader = Reader(page(sick))
    policy = next(a["content"] for t, a in reader.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy
    assert "default-src 'none'" in policy
    running = [text for attributes, text in reader.scripts if "type" not in attributes]
    assert len(running) == 1
    packed = next(text for attributes, text in reader.scripts if attributes.get("id") == "plotly")
    library = gzip.decompress(base64.b64decode(packed)).decode()
    assert library == get_plotlyjs()
    for script in (*running, library):
        assert f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" in policy
    assert "unsafe-inline" not in policy.split("script-src")[1]


@pytest.mark.parametrize("text", NASTY)
def test_a_name_stays_a_name(make: Callable[..., Diagnosis], text: str) -> None:
    clean = Reader(page(make(3, model="Net", prefix="block")))
    attacked = page(make(3, model=text, prefix=text, engine=text))
    reader = Reader(attacked)
    assert [tag for tag, _ in reader.tags] == [tag for tag, _ in clean.tags]
    assert len(reader.scripts) == len(clean.scripts)
    assert not any(name.startswith("on") for _, attributes in reader.tags for name in attributes)
    assert visible(text).replace("\r", "") in reader.text
    hover = figures(attacked)["signal"]["data"][0]["customdata"][0][0]
    assert "<" not in hover, "plotly reads tags in its texts"
    assert entities.unescape(hover).startswith(text)


@pytest.mark.parametrize("text", NASTY)
def test_embedded_json_cannot_end_its_script(text: str) -> None:
    inside = embedded({text: [text]})
    assert not set("<>&") & set(inside)
    assert json.loads(inside) == {text: [text]}


def test_escaped_leaves_no_markup() -> None:
    assert escaped("<a b=\"c\" d='e'>&") == "&lt;a b=&quot;c&quot; d=&#x27;e&#x27;&gt;&amp;"


def test_a_deep_network_stays_small(make: Callable[..., Diagnosis]) -> None:
    library = len(base64.b64encode(gzip.compress(get_plotlyjs().encode(), 9)))
    small, large = len(page(make(10))) - library, len(page(make(1000))) - library
    assert small < 60_000
    assert large < 150_000
    assert library < 2_500_000


def test_folded_rows_say_so(make: Callable[..., Diagnosis]) -> None:
    text = Reader(page(make(200))).text
    assert "layers.0-398 ×200" in text
    assert "399 rows are folded into 2" in text


def test_a_healthy_page_needs_no_findings(healthy: Diagnosis) -> None:
    text = Reader(page(healthy)).text
    assert "Findings" not in text
    assert "HEALTHY" in text


def test_a_trace_without_anything_is_still_a_page(healthy: Diagnosis) -> None:
    empty = replace(healthy, trace=replace(healthy.trace, measurements=(), parameters=(), loss=None))
    document = page(empty)
    assert figures(document) == {}
    assert "Basis" in Reader(document).text


def test_the_band_widens_with_depth_and_narrows_with_width(make: Callable[..., Diagnosis]) -> None:
    shallow, deep, wide = (charts.band(make(*a, width=w)) for a, w in (((5,), 64), ((50,), 64), ((5,), 640)))
    assert shallow
    assert deep
    assert wide
    assert deep[0] < shallow[0] < wide[0] < 1.0 < wide[1] < shallow[1] < deep[1]


def test_no_band_where_its_law_does_not_hold(healthy: Diagnosis) -> None:
    graph = healthy.graph
    normed = tuple(replace(n, kind=type(n.kind)("norm")) if n.op == "relu" else n for n in graph.nodes)
    assert charts.band(healthy) is not None
    assert charts.band(replace(healthy, graph=replace(graph, nodes=normed))) is None
