"""What the laws predict, beside what was measured: series for the chart, rows for the text."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fanin.records.finding import Diagnosis
from fanin.records.prediction import Certainty, NodePrediction, Prediction
from fanin.records.trace import Measurement
from fanin.reports.figures import percent, plural, short
from fanin.reports.lines import Line, Piece, table, wrapped
from fanin.reports.view import chain, layer_name

__all__ = ["Compared", "Series", "compared", "foreseen_lines", "foreseen_note", "said", "series"]

_SIGMAS = 3.0
"""Half width of a band, in standard deviations."""

_APART = math.log(3.0)
"""A plan whose power stays within this factor of the prediction for the weights as they are is not drawn."""

_ROUNDING = 2.0**-20
"""Of a first loss: sums of exponentials and a mean, in single precision."""

_REASONS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Powers by law, one a layer; None where no law reaches.

    `line` is what weights of these variances give, `low` and `high` what luck leaves around it, and `planned`
    what the plan's weights would give; None where that is about the same everywhere.
    """

    line: tuple[float | None, ...]
    low: tuple[float | None, ...]
    high: tuple[float | None, ...]
    planned: tuple[float | None, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One figure as measured and by law; `z` in standard deviations of luck, where that is known."""

    what: str
    measured: str
    law: str
    z: float | None
    certainty: Certainty


def series(diagnosis: Diagnosis, parts: Sequence[Sequence[Measurement]], *, backward: bool) -> Series | None:
    """Powers by law at the layers of a chart; None without a prediction."""
    if diagnosis.prediction is None:
        return None
    now = _at(diagnosis.prediction)
    line, low, high = [], [], []
    for part in parts:
        found = now.get(part[0].node)
        power = None if found is None else (found.gradient_power if backward else found.power)
        band = None
        if found is not None:
            band = found.gradient_band(_SIGMAS) if backward else found.band(_SIGMAS)
        line.append(power or None)
        low.append(band[0] if band and power else None)
        high.append(band[1] if band and power else None)
    planned = None
    if diagnosis.planned is not None:
        healthy = _at(diagnosis.planned)
        values = [healthy.get(part[0].node) for part in parts]
        powers = [None if p is None else (p.gradient_power if backward else p.power) or None for p in values]
        far = any(a and b and abs(math.log(a / b)) > _APART for a, b in zip(powers, line, strict=True))
        planned = tuple(powers) if far else None
    return Series(line=tuple(line), low=tuple(low), high=tuple(high), planned=planned)


def _at(prediction: Prediction) -> dict[int, NodePrediction]:
    return {p.node: p for p in prediction.nodes}


def compared(diagnosis: Diagnosis) -> list[Compared]:
    """The figures at the ends of the network: power, gradient, likeness, shares, loss."""
    prediction = diagnosis.prediction
    if prediction is None:
        return []
    now = _at(prediction)
    found: list[Compared] = []
    parts = [part[0] for part in chain(diagnosis) if part[0].node in now]
    if parts:
        first, last = parts[0], parts[-1]
        law = now[last.node]
        found.append(_power(f"forward power, {layer_name(last)}", last.power, law))
        back = now[first.node]
        if first.gradient_power is not None and back.gradient_power is not None:
            found.append(_gradient(f"backward power, {layer_name(first)}", first.gradient_power, back))
        if last.cosine is not None and law.cosine is not None:
            what = f"cosine between samples, {layer_name(last)}"
            found.append(_plain(what, short(last.cosine, 3), short(law.cosine, 3), law.certainty))
    for name, field in (("dead units", "dead"), ("saturated values", "saturated")):
        pairs = [
            (getattr(m, field), getattr(now[m.node], field), now[m.node].certainty)
            for m in diagnosis.trace.measurements
            if m.node in now and getattr(m, field) is not None and getattr(now[m.node], field) is not None
        ]
        if pairs:
            share, by_law, certainty = max(pairs, key=lambda pair: pair[0])
            found.append(_plain(f"{name}, at most", percent(share), percent(by_law), certainty))
    loss, foreseen = diagnosis.trace.loss, prediction.loss
    if loss is not None and foreseen is not None and math.isfinite(loss.value):
        z = None
        if foreseen.spread > 0.0:
            # Where outputs are next to nothing the law is sharper than the number that is held against it.
            z = (loss.value - foreseen.value) / math.hypot(foreseen.spread, _ROUNDING * foreseen.value)
        found.append(
            Compared(
                what=f"first loss ({loss.name})",
                measured=f"{loss.value:.4f}",
                law=f"{foreseen.value:.4f}",
                z=z,
                certainty=foreseen.certainty,
            )
        )
        if loss.logit_std is not None:
            spread = short(foreseen.logit_std, 3)
            found.append(_plain("std of the logits", short(loss.logit_std, 3), spread, foreseen.certainty))
    return found


def _power(what: str, measured: float, law: NodePrediction) -> Compared:
    z = _z(measured, law.power, law.shift, law.spread)
    return Compared(
        what=what, measured=short(measured, 3), law=short(law.power, 3), z=z, certainty=law.certainty
    )


def _gradient(what: str, measured: float, law: NodePrediction) -> Compared:
    power = law.gradient_power or 0.0
    z = _z(measured, power, law.gradient_shift, law.gradient_spread)
    return Compared(
        what=what, measured=short(measured, 3), law=short(power, 3), z=z, certainty=law.gradient_certainty
    )


def _z(measured: float, law: float, shift: float, spread: float) -> float | None:
    if not (measured > 0.0 and law > 0.0 and spread > 0.0 and math.isfinite(measured)):
        return None
    return (math.log(measured / law) - shift) / spread


def _plain(what: str, measured: str, law: str, certainty: Certainty) -> Compared:
    return Compared(what=what, measured=measured, law=law, z=None, certainty=certainty)


def said(row: Compared) -> str:
    """The distance in standard deviations; "" for an approximate law, whose own error comes on top."""
    return (
        "" if row.z is None or row.certainty != Certainty.EXACT else f"{row.z:+.1f}".replace("-0.0", "+0.0")
    )


def foreseen_lines(diagnosis: Diagnosis, width: int) -> Iterator[Line]:
    """The comparison as lines of text; none without a prediction."""
    rows = compared(diagnosis)
    if not rows:
        return
    yield Piece("Laws", "bold"), Piece("  as measured, and as the weights' variances foretell", "dim")
    cells = [(r.what, r.measured, r.law, said(r), str(r.certainty)) for r in rows]
    yield from table(("figure", "measured", "by law", "z", "law"), cells, width, drop=(4, 3))
    for text in wrapped(foreseen_note(diagnosis), width, first="  ", rest="  "):
        yield (Piece(text, "dim"),)


def foreseen_note(diagnosis: Diagnosis) -> str:
    """How far the laws reach in this network, and what is simplified."""
    prediction = diagnosis.prediction
    if prediction is None:
        return ""
    counts = Counter(p.certainty for p in prediction.nodes)
    reach = ", ".join(f"{counts[c]} {c}" for c in Certainty if counts[c])
    reasons = list(dict.fromkeys(reason for p in prediction.nodes for reason in p.reasons))
    more = f"; and {len(reasons) - _REASONS} more" if len(reasons) > _REASONS else ""
    why = f". Simplified: {'; '.join(reasons[:_REASONS])}{more}" if reasons else ""
    number = len(prediction.growth)
    grown = f"; {number} residual branch{'es' if number > 1 else ''}" if number else ""
    if prediction.growth and all(factor > 0.0 for _, factor in prediction.growth):
        total = math.exp(sum(math.log(factor) for _, factor in prediction.growth) / len(prediction.growth))
        grown += f", each multiplying the stream's power by {short(total, 3)}"
    return f"{plural(len(prediction.nodes), 'operation')}: {reach}{grown}{why}."
