"""The parts of the HTML report, from the verdict down to how to repeat it."""

from __future__ import annotations

import math
from collections.abc import Iterable

from fanin.records.codec import digest
from fanin.records.finding import Diagnosis, Finding, Severity
from fanin.reports.cure import cure_told
from fanin.reports.figures import count, decimals, fold, plural, printed, science
from fanin.reports.foreseen import compared, foreseen_note, said
from fanin.reports.markup import Cell, element, escaped, path, section, table
from fanin.reports.tables import LAYERS, PLAN, layer_rows, plan_rows
from fanin.reports.verdict import verdict, worst
from fanin.reports.view import chain, fold_findings_where, ranked

__all__ = [
    "basis",
    "checks",
    "findings",
    "laws",
    "layers",
    "loss",
    "plan",
    "tiles",
    "title",
    "verdict_banner",
    "verdict_line",
]

_WORDS = {Severity.FAILURE: "FAILURE", Severity.WARNING: "WARNING", Severity.INFO: "REMARK"}
_NAMES = 24
"""Names, or folded groups of names, that one finding lists."""


def title(diagnosis: Diagnosis) -> str:
    """The document's title: what is wrong first, since tabs are narrow."""
    gravest = worst(diagnosis)
    return f"{_WORDS[gravest] if gravest else 'Healthy'}: {diagnosis.graph.model or 'model'} · fanin"


def verdict_banner(diagnosis: Diagnosis) -> str:
    """Model, verdict, and the figures to remember."""
    return (
        '<p class="eyebrow"><b>fanin</b> &nbsp;report at step zero</p>'
        f"{element('h1', diagnosis.graph.model or 'Model')}\n"
        f"{verdict_line(diagnosis)}\n{tiles(diagnosis)}"
    )


def verdict_line(diagnosis: Diagnosis) -> str:
    """The verdict in its colour, and in a word for those who do not see it."""
    gravest = worst(diagnosis)
    made = diagnosis.passed or diagnosis.findings
    word = _WORDS[gravest] if gravest else ("HEALTHY" if made else "UNCHECKED")
    tone = str(gravest) if gravest else ("healthy" if made else "info")
    return (
        f'<div class="verdict is-{tone}" role="status">{element("span", word, "word")}'
        f"{element('span', verdict(diagnosis), 'said')}</div>"
    )


def tiles(diagnosis: Diagnosis) -> str:
    """A few figures in large type."""
    trace = diagnosis.trace
    parts = chain(diagnosis)
    shown: list[tuple[str, str]] = []
    if trace.parameters:
        total = sum(p.numel for p in trace.parameters)
        shown.append((count(total), f"weights in {plural(len(trace.parameters), 'tensor')}"))
    if len(parts) > 1:
        first, last = parts[0][0], parts[-1][0]
        if first.power > 0.0:
            shown.append(
                (science(last.power / first.power), f"power forward, last of {len(parts)} layers over first")
            )
        if first.gradient_power is not None and last.gradient_power:
            shown.append(
                (science(first.gradient_power / last.gradient_power), "power backward, first layer over last")
            )
    if trace.loss is not None:
        of = trace.loss.expected
        guess = f"; {decimals(of)} is that of the best constant guess" if of is not None else ""
        shown.append((decimals(trace.loss.value), f"{trace.loss.name}{guess}"))
    shown.append((str(len(diagnosis.passed)), f"checks passed, {len(diagnosis.skipped)} not made"))
    cells = "".join(
        f'<div class="tile">{element("div", figure, "figure")}{element("div", what, "what")}</div>'
        for figure, what in shown
    )
    return f'<div class="tiles">{cells}</div>'


def findings(diagnosis: Diagnosis) -> str:
    """Every finding with its cause and its fix; "" when there is none."""
    found = ranked(diagnosis.findings)
    told = [(word, text) for word, text in cure_told(diagnosis)]
    if not found and not told:
        return ""
    below = f'<div class="cure">{_facts([(w.capitalize(), text) for w, text in told])}</div>' if told else ""
    return "<section><h2>Findings</h2>" + "\n".join(map(_finding, found)) + below + "</section>"


def _finding(finding: Finding) -> str:
    groups = [fold(names) for names in fold_findings_where(finding.where)]
    names = "".join(f"<span>{path(name)}</span> " for name in groups[:_NAMES])
    more = f"<span>and {len(groups) - _NAMES} more</span>" if len(groups) > _NAMES else ""
    figures = "".join(
        f"<span>{escaped(name)} <b>{escaped(science(value, 3))}</b></span> "
        for name, value in finding.evidence
    )
    rows = [
        ("Cause", escaped(printed(finding.cause)), ""),
        ("Fix", escaped(printed(finding.fix)), "fix"),
        ("Where", names + more, "mono names"),
        ("Figures", figures, "figures"),
    ]
    facts = "".join(
        f"<dt>{label}</dt><dd{f' class={chr(34)}{css}{chr(34)}' if css else ''}>{text}</dd>"
        for label, text, css in rows
        if text
    )
    return (
        f'<article class="finding is-{finding.severity}"><header>'
        f"{element('h3', finding.name)}{element('span', _WORDS[finding.severity], 'word')}"
        f"{element('span', finding.code, 'code')}</header>"
        f"{element('p', printed(finding.summary), 'summary')}<dl>{facts}</dl></article>"
    )


def loss(diagnosis: Diagnosis) -> str:
    """The loss at step zero beside what an unprejudiced output has; "" without a loss."""
    found = diagnosis.trace.loss
    if found is None:
        return ""
    facts = [(f"{found.name}, measured", decimals(found.value, 3))]
    if found.expected is not None:
        classes = f" (ln {found.classes})" if found.classes and found.name == "cross entropy" else ""
        facts.append(("of the best constant guess", decimals(found.expected, 3) + classes))
        if math.isfinite(found.value):
            facts.append(("difference", f"{found.value - found.expected:+.3f}"))
    if found.logit_std is not None:
        facts.append(("std of the logits in a sample", science(found.logit_std, 3)))
    lead = (
        "A network that knows nothing yet should bet on nothing: its loss is that of the best constant guess."
    )
    return section("Loss and logits", lead, _facts(facts))


def laws(diagnosis: Diagnosis) -> str:
    """Figures as measured beside those that the laws foretell; "" without a prediction."""
    rows = compared(diagnosis)
    if not rows:
        return ""
    lead = (
        "What the network should compute, from the variances of its weights and the moments of its inputs "
        "alone. z counts standard deviations of the luck that a draw leaves."
    )
    cells = [
        (
            Cell(text=r.what), Cell(text=printed(r.measured), css="n"),
            Cell(text=printed(r.law), css="n"),
            Cell(text=said(r), css="n"), Cell(text=str(r.certainty)),
        )
        for r in rows
    ]  # fmt: skip
    made = table(
        ("figure", "measured", "by law", "z", "law"),
        cells,
        sorts=False,
        label="figures as measured and by law",
    )
    return section("Measured and foretold", lead, made, foreseen_note(diagnosis))


def _facts(facts: Iterable[tuple[str, str]]) -> str:
    return '<dl class="facts">' + "".join(f"{element('dt', a)}{element('dd', b)}" for a, b in facts) + "</dl>"


def layers(diagnosis: Diagnosis) -> str:
    """The table of layers."""
    rows, note = layer_rows(diagnosis)
    if not rows:
        return ""
    lead = "Every measured operation in execution order. Choose a heading to sort."
    return section("Layers", lead, table(LAYERS, rows, label="measured operations"), note)


def plan(diagnosis: Diagnosis) -> str:
    """The table of the plan, beside the weights as they are."""
    rows, note = plan_rows(diagnosis)
    if not rows:
        return ""
    p = diagnosis.plan
    lead = (
        "What fanin would draw for each tensor, and why. "
        f"Policy {p.policy}, seed {p.seed}, stream {p.stream}."
    )
    return section("Plan", lead, table(PLAN, rows, label="tensors of the plan"), note)


def checks(diagnosis: Diagnosis) -> str:
    """What was not checked, with the reason; and what was checked and is in order."""
    parts = []
    if diagnosis.skipped:
        items = "".join(
            f"<li>{element('span', s.code, 'code')}<span>{escaped(s.name)} "
            f"{element('span', '– ' + s.reason, 'why')}</span></li>"
            for s in diagnosis.skipped
        )
        parts.append(f'<h2>Not checked</h2><ul class="checks">{items}</ul>')
    if diagnosis.passed:
        items = "".join(
            f"<li>{element('span', code, 'code')}{element('span', name)}</li>"
            for code, name in diagnosis.passed
        )
        label = f"{plural(len(diagnosis.passed), 'check')} passed"
        parts.append(f'<details><summary>{label}</summary><ul class="checks">{items}</ul></details>')
    return f"<section>{''.join(parts)}</section>" if parts else ""


def basis(diagnosis: Diagnosis) -> str:
    """What the report rests on, and how to repeat it."""
    graph, trace, p = diagnosis.graph, diagnosis.trace, diagnosis.plan
    facts = [
        ("batch", f"{plural(trace.batch, 'sample')}, {trace.source}"),
        ("mode", trace.mode),
        ("tier", trace.tier),
        *([("draws of the weights", str(trace.draws))] if trace.draws else []),
        ("read by", graph.engine),
        ("plan", f"policy {p.policy}, seed {p.seed}, stream {p.stream}, sha256 {digest(p)[:16]}"),
        *diagnosis.environment,
        *(("note", note) for note in dict.fromkeys((*graph.notes, *p.notes, *trace.notes))),
    ]
    # The framework may come with its version: "torch 2.13.0".
    module = f"fanin.{(graph.framework.split() or ['torch'])[0]}"
    target = ", target=target" if trace.loss is not None else ""
    rate = f", lr={trace.lr:g}" if trace.lr is not None else ""
    if trace.scaling is not None:
        widths = trace.scaling.widths
        told = f"check_width(make, batch{target}, widths={widths}"
        shell = f"MAKE --batch FILE.py:BATCH --widths {','.join(map(str, widths))}"
    else:
        told = f"check(model, batch{target}" + (f", tier={trace.tier!r}" if trace.tier != "standard" else "")
        told += rate
        shell = f"MODEL --batch FILE.py:BATCH --tier {trace.tier}"
    code = (
        f"import {module}\n\n"
        f"report = {module}.{told}, seed={p.seed})   # this page\n"
        f"{module}.apply_(model, report.plan())   # carry the plan out\n\n"
        f"# or in a shell:\n"
        f"# fanin check FILE.py:{shell} --seed {p.seed}"
    )
    shown = f"{_facts(facts)}<pre><code>{escaped(code)}</code></pre>"
    return section("Basis", "What this page rests on, and how to repeat it.", shown)
