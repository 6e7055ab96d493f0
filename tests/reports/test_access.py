"""Who cannot see colours well, use a mouse, or see at all, can read the page too."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from importlib import resources

import pytest

from fanin.records.finding import Diagnosis
from fanin.reports.html import page

LEAST = 4.5
"""Contrast of text by WCAG 2.2, criterion 1.4.3."""

CSS = resources.files("fanin.reports").joinpath("assets", "page.css").read_text(encoding="utf-8")
WORDS = ("ink", "soft", "faint", "failure", "warning", "info", "healthy", "forward", "backward")


def luminance(colour: str) -> float:
    """Relative luminance of ``#rrggbb`` by WCAG."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def schemes() -> Iterator[tuple[str, dict[str, str]]]:
    """Colours of the light scheme and of the dark one."""
    light, dark = CSS.split("@media (prefers-color-scheme: dark)", 1)
    for name, text in (("light", light), ("dark", dark.split("* {", 1)[0])):
        found: dict[str, str] = {}
        for variable, colour in re.findall(r"--([\w-]+): (#[0-9a-f]{6})(?=;)", text):
            found.setdefault(variable, colour)
        yield name, found


def faint(colours: dict[str, str]) -> list[str]:
    """Texts that are too faint on a ground that they stand on."""
    grounds = {word: ["page", "card", "code", f"{word}-wash"] for word in WORDS}
    return [
        f"{word} on {ground}"
        for word, places in grounds.items()
        for ground in places
        if ground in colours and contrast(colours[word], colours[ground]) < LEAST
    ]


@pytest.mark.parametrize(("name", "colours"), list(schemes()), ids=["light", "dark"])
def test_every_text_can_be_read(name: str, colours: dict[str, str]) -> None:
    assert set(WORDS) <= set(colours), name
    assert faint(colours) == []


def test_a_text_that_is_too_faint_would_be_seen() -> None:
    colours = dict(next(schemes())[1]) | {"faint": "#8b8e96"}
    assert "faint on page" in faint(colours)
    assert contrast("#000000", "#ffffff") == pytest.approx(21.0)


def test_the_page_says_what_its_parts_are(sick: Diagnosis) -> None:
    text = page(sick)
    assert '<html lang="en">' in text
    levels = [int(level) for level in re.findall(r"<h([1-6])[ >]", text)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b - a <= 1 for a, b in itertools.pairwise(levels)), "no level is skipped"
    charts = re.findall(r"<div data-figure=[^>]*>", text)
    assert charts
    assert all('role="img"' in one and "aria-label=" in one for one in charts)
    boxes = re.findall(r'<div class="scroll[^>]*>', text)
    assert boxes
    assert all('tabindex="0"' in one and "aria-label=" in one for one in boxes)
    assert all("<button" in head for head in re.findall(r"<th [^>]*>.*?</th>", text.split("Layers</h2>")[1]))
