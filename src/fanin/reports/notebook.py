"""The report as it shows itself in a notebook: the page's head, findings and layers, without scripts."""

from __future__ import annotations

from importlib import resources

from fanin.records.finding import Diagnosis
from fanin.reports.markup import escaped, table
from fanin.reports.sections import findings, verdict_banner
from fanin.reports.tables import LAYERS, layer_rows

__all__ = ["fragment"]

_ROWS = 40


def fragment(diagnosis: Diagnosis) -> str:
    """Markup for an output cell; the charts and the plan are in the saved page.

    A frame with a document of its own keeps the notebook's styles out and these styles in, and its
    sandbox runs no script.
    """
    style = resources.files("fanin.reports").joinpath("assets", "page.css").read_text(encoding="utf-8")
    rows, _ = layer_rows(diagnosis)
    shown = f"<section>{table(LAYERS, rows[:_ROWS], sorts=False)}</section>" if rows else ""
    document = (
        "<!doctype html><html lang='en'><meta charset='utf-8'>"
        f"<style>{style} main {{ padding: 16px 20px }}</style>"
        f"<main>{verdict_banner(diagnosis)}{findings(diagnosis)}{shown}</main></html>"
    )
    height = 330 + 210 * min(len(diagnosis.findings), 3)
    return (
        f'<iframe sandbox="" srcdoc="{escaped(document)}" title="fanin report" '
        f'style="width:100%;height:{height}px;border:1px solid #8884;border-radius:8px"></iframe>'
    )
