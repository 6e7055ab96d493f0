"""A diagnosis as lines of text, each made of pieces with a named style.

The styles are names only: `plain` drops them and `terminal` gives them colours, so both say the same
and colour never carries meaning alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from fanin.records.finding import Diagnosis, Finding, Severity
from fanin.records.trace import Measurement
from fanin.reports.cure import cure_told
from fanin.reports.figures import bars, decimals, fold, pattern, percent, plural, short, span
from fanin.reports.foreseen import foreseen_lines
from fanin.reports.lines import Line, Piece, table, to_ascii, wrapped
from fanin.reports.verdict import verdict, worst
from fanin.reports.view import Weight, fold_findings_where, grouped, layer_name, operation, ranked, weights
from fanin.reports.widths import width_lines

__all__ = ["head", "lines", "plain"]


_MARKS = {Severity.FAILURE: "✗", Severity.WARNING: "!", Severity.INFO: "·"}
_WORDS = {Severity.FAILURE: "FAILURE", Severity.WARNING: "WARNING", Severity.INFO: "REMARK"}
_ROOMY = 100
"""Columns from which the table of layers has one for the operation."""

_ROWS = 48
"""The most rows of a table."""

_MANY_LAYERS = 12
"""Up to so many rows every layer has a row of its own; beyond, repeated blocks share one."""


def plain(diagnosis: Diagnosis, *, width: int = 80, unicode: bool = True) -> str:
    """Write the report as plain text of at most `width` columns, without colour."""
    text = "\n".join("".join(piece.text for piece in line).rstrip() for line in lines(diagnosis, width=width))
    return text if unicode else to_ascii(text)


def lines(diagnosis: Diagnosis, *, width: int = 80) -> list[Line]:
    """Lay out the report as styled lines: the verdict first and last, between them what it rests on."""
    body = [
        _layers(diagnosis, width),
        _weights(diagnosis, width),
        _loss(diagnosis, width),
        width_lines(diagnosis, width),
        foreseen_lines(diagnosis, width),
        _checks(diagnosis, width),
        _basis(diagnosis, width),
    ]
    return _apart([head(diagnosis, width=width), *map(list, body), list(_verdict(diagnosis, width))])


def head(diagnosis: Diagnosis, *, width: int = 80) -> list[Line]:
    """Lay out the verdict and the findings."""
    parts = [_verdict(diagnosis, width), _findings(diagnosis, width), _cure(diagnosis, width)]
    return _apart([*map(list, parts)])


def _apart(parts: Iterable[list[Line]]) -> list[Line]:
    """Put an empty line between parts; an empty part takes none."""
    result: list[Line] = []
    for part in parts:
        if part:
            result += [(), *part] if result else part
    return result


def _verdict(diagnosis: Diagnosis, width: int) -> Iterator[Line]:
    gravest = worst(diagnosis)
    made = bool(diagnosis.passed or diagnosis.findings)
    word = _WORDS[gravest] if gravest else ("HEALTHY" if made else "UNCHECKED")
    style = str(gravest) if gravest else ("healthy" if made else "info")
    for place, text in enumerate(wrapped(verdict(diagnosis), width, first=word + "  ", rest="  ")):
        yield (Piece(word, style), Piece(text[len(word) :])) if place == 0 else (Piece(text),)


def _findings(diagnosis: Diagnosis, width: int) -> Iterator[Line]:
    for place, finding in enumerate(ranked(diagnosis.findings)):
        if place:
            yield ()
        yield from _finding(finding, width)


def _finding(finding: Finding, width: int) -> Iterator[Line]:
    title = f"{_MARKS[finding.severity]} {finding.code} {finding.name}"
    word = str(finding.severity)
    gap = max(2, width - len(title) - len(word))
    yield Piece(title, "bold"), Piece(" " * gap + word, word)
    where = [fold(names) for names in fold_findings_where(finding.where)]
    shown = ", ".join(where[:6]) + (f", and {len(where) - 6} more" if len(where) > 6 else "")
    evidence = ", ".join(f"{name} {short(value, 3)}" for name, value in finding.evidence)
    parts = (("", finding.summary), ("cause", finding.cause), ("fix", finding.fix), ("where", shown))
    for label, text in (*parts, ("figures", evidence)):
        if text:
            style = "fix" if label == "fix" else "dim"
            margin = " " * 11 if label else "  "
            for row, body in enumerate(wrapped(text, width, first=margin, rest=margin)):
                if label and row == 0:
                    yield Piece(f"  {label:9}", style), Piece(body[11:])
                else:
                    yield (Piece(body),)


def _cure(diagnosis: Diagnosis, width: int) -> Iterator[Line]:
    """What the plan did about the findings when it was tried, and which findings are known already."""
    for word, text in cure_told(diagnosis):
        for row, body in enumerate(wrapped(text, width, first=" " * 11, rest=" " * 11)):
            yield (Piece(f"  {word:9}", "fix"), Piece(body[11:])) if row == 0 else (Piece(body),)


def _between(values: Iterable[float | None], write: object = None) -> str:
    known = [v for v in values if v is not None]
    if not known:
        return ""
    render = percent if write is percent else short
    low, high = render(min(known)), render(max(known))
    return low if low == high else f"{low}–{high}"


def _layers(diagnosis: Diagnosis, width: int) -> Iterator[Line]:
    trace = sorted(diagnosis.trace.measurements, key=lambda m: m.node)
    if not trace:
        return
    few = len(trace) <= _MANY_LAYERS
    groups = grouped(trace, _block, at_least=len(trace) + 1 if few else 3)
    # Where there is no room for a column, the operation joins the name of a module that has several.
    roomy = width >= _ROOMY
    several = set() if roomy else _with_several(trace)
    rows = [_layer_row(group, several, roomy=roomy) for group in groups]
    folded = len(rows) < len(trace)
    yield (
        Piece("Layers", "bold"),
        Piece(
            "  power of the output, forward and backward"
            + ("; first→last of repeated blocks" if folded else ""),
            "dim",
        ),
    )
    header = ("layer", "op", "units", "forward", "", "backward", "", "dead", "saturated", "cosine")
    yield from table(header, rows[:_ROWS], width, drop=(2, 4, 6, 8, 9, 7, 1))
    yield from _more(rows)
    if not all(m.finite for m in trace):
        first = next(m for m in trace if not m.finite)
        yield (Piece(f"first value that is not finite: {layer_name(first)} ({operation(first)})", "failure"),)


def _block(measurement: Measurement) -> tuple[object, ...]:
    return pattern(measurement.module), measurement.op, measurement.units


def _with_several(trace: Sequence[Measurement]) -> set[str]:
    """Patterns of modules that run more than one kind of operation."""
    found: dict[str, set[str]] = {}
    for m in trace:
        found.setdefault(m.module, set()).add(operation(m))
    return {pattern(name) for name, operations in found.items() if name and len(operations) > 1}


def _layer_row(group: Sequence[Measurement], several: set[str], *, roomy: bool) -> tuple[str, ...]:
    names = list(dict.fromkeys(m.module or operation(m) for m in group))
    one = len(group) == 1
    title = layer_name(group[0]) if one else fold(names).partition(" ×")[0]
    if pattern(group[0].module) in several:
        title += f" {operation(group[0])}"
    title += "" if one else f" ×{len(group)}"
    ahead = [m.power for m in group]
    back = [m.gradient_power for m in group]
    known = [g for g in back if g is not None]
    return (
        title,
        operation(group[0]) if roomy else "",
        str(group[0].units),
        span(short(ahead[0]), short(ahead[-1])),
        "" if one else bars(ahead, 6),
        span(short(known[0]), short(known[-1])) if known else "",
        "" if one else bars(back, 6),
        _between((m.dead for m in group), percent),
        _between((m.saturated for m in group), percent),
        _between(m.cosine for m in group),
    )


def _weights(diagnosis: Diagnosis, width: int) -> Iterator[Line]:
    compared = [w for w in weights(diagnosis) if w.planned is not None]
    if not compared:
        return
    # What is constant and should be has nothing to compare.
    still = sum(w.planned == 0.0 and w.measured.std == 0.0 for w in compared)
    groups = grouped([w for w in compared if w.planned or w.measured.std != 0.0], _like, at_least=2)
    yield (Piece("Weights", "bold"), Piece("  standard deviation as it is, and as planned", "dim"))
    rows = [_weight_row(group) for group in groups]
    yield from table(("parameter", "is", "planned", "ratio", "law"), rows[:_ROWS], width, drop=(4,))
    yield from _more(rows)
    if still:
        further = "further " if rows else ""
        are = "is" if still == 1 else "are"
        yield (
            Piece(f"{plural(still, f'{further}tensor')} (biases, norms) {are} constant, as planned", "dim"),
        )


def _more(rows: Sequence[object]) -> Iterator[Line]:
    if len(rows) > _ROWS:
        more = plural(len(rows) - _ROWS, "more row")
        yield (Piece(f"... and {more}; the JSON report holds all", "dim"),)


def _like(weight: Weight) -> tuple[object, ...]:
    return pattern(weight.measured.name), weight.planned


def _weight_row(group: Sequence[Weight]) -> tuple[str, ...]:
    entry = group[0].entry
    return (
        fold([w.measured.name for w in group]),
        _between(w.measured.std for w in group),
        short(group[0].planned),
        _between(w.ratio for w in group),
        entry.scheme if entry else "",
    )


def _loss(diagnosis: Diagnosis, width: int) -> Iterator[Line]:
    loss = diagnosis.trace.loss
    if loss is None:
        return
    guess = ""
    if loss.expected is not None:
        classes = f", {loss.classes} classes" if loss.classes else ""
        guess = f" (constant guess {decimals(loss.expected, 3)}{classes})"
    parts = [f"{loss.name} {decimals(loss.value, 3)}{guess}"]
    if loss.logit_std is not None:
        parts.append(f"logit std {short(loss.logit_std, 3)}")
    for place, text in enumerate(wrapped("; ".join(parts), width, first="Loss  ", rest="  ")):
        yield (Piece("Loss", "bold"), Piece(text[4:])) if place == 0 else (Piece(text),)


def _checks(diagnosis: Diagnosis, width: int) -> Iterator[Line]:
    count = f"  {len(diagnosis.passed)} passed, {len(diagnosis.findings)} found something, "
    yield Piece("Checks", "bold"), Piece(count + f"{len(diagnosis.skipped)} not made")
    for check in diagnosis.skipped:
        for text in wrapped(f"{check.code} {check.name}: {check.reason}", width, first="  ", rest="    "):
            yield (Piece(text, "dim"),)


def _basis(diagnosis: Diagnosis, width: int) -> Iterator[Line]:
    trace, plan, graph = diagnosis.trace, diagnosis.plan, diagnosis.graph
    facts = [
        f"{plural(trace.batch, 'sample')} ({trace.source})",
        f"{trace.mode} mode",
        *([f"{trace.draws} draws of the weights"] if trace.draws else []),
        f"run on {graph.engine}",
        f"planned by policy {plan.policy}, seed {plan.seed}",
        *(f"{name} {value}" for name, value in diagnosis.environment),
    ]
    for place, text in enumerate(wrapped("; ".join(facts), width, first="Basis  ", rest="  ")):
        yield (Piece("Basis", "bold"), Piece(text[5:], "dim")) if place == 0 else (Piece(text, "dim"),)
    for note in dict.fromkeys((*graph.notes, *plan.notes, *trace.notes)):
        for text in wrapped(f"note: {note}", width, first="  ", rest="    "):
            yield (Piece(text, "dim"),)
