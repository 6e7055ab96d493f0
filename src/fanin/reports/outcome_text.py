"""A study as styled lines: what is shown, the arms from the best down, and what it rests on."""

from __future__ import annotations

import math
from collections.abc import Iterator

from fanin.records.study import Arm, Factor, Study, Tuned
from fanin.reports.figures import plural, short
from fanin.reports.lines import Line, Piece, table, wrapped
from fanin.reports.ranking import against, difference, first_loss, ranked, reached, scored, unit, verdict

__all__ = ["ARMS", "arm_row", "factor_row", "outcome_lines", "plain_outcome"]

ARMS = (
    "arm",
    "score",
    "95 % of means",
    "to the best",
    "95 %",
    "p",
    "shown",
    "steps",
    "first loss",
    "rate",
    "at step zero",
)
"""Columns of the table of arms."""


def outcome_lines(study: Study, *, width: int = 80) -> list[Line]:
    """Lay out a study as lines of at most `width` columns.

    Parameters
    ----------
    study
        A comparison, or what tuning found.
    width
        Columns.
    """
    found: list[Line] = [(Piece(study.title, "bold"),), *_wrapped(study.data, width), ()]
    found += [(Piece(text),) for text in wrapped(verdict(study), width)]
    for one in study.tuned:
        found += [(), *_factors(one, width)]
    if study.arms:
        found += [(), *_arms(study, width)]
    for note in study.notes:
        found += [(Piece(text, "warning"),) for text in wrapped(f"note: {note}", width, rest="      ")]
    settings = "; ".join(f"{name} {value}" for name, value in study.settings if not name.startswith("arm "))
    found += [(), *_wrapped(f"{settings}; {study.seconds:.0f} s", width)]
    return found


def plain_outcome(study: Study, *, width: int = 100) -> str:
    """The study as plain text."""
    lines = outcome_lines(study, width=width)
    return "\n".join("".join(piece.text for piece in line).rstrip() for line in lines)


def _wrapped(text: str, width: int) -> Iterator[Line]:
    yield from ((Piece(line, "dim"),) for line in wrapped(text, width))


def _arms(study: Study, width: int) -> Iterator[Line]:
    target = "" if study.target is None else f"; steps: until the validation loss is {short(study.target, 3)}"
    seeds = len(study.arms[0].curves)
    what = (
        f"{unit(study)}, mean of {plural(seeds, 'seed')}, best first{target}; first loss: by law / measured"
    )
    yield from _wrapped(what, width)
    rows = [arm_row(study, arm) for arm in ranked(study)]
    yield from table(ARMS, rows, width, drop=(2, 5, 9, 8, 7, 10, 4))


def arm_row(study: Study, arm: Arm) -> tuple[str, ...]:
    """One row of the table: the score, the difference to the best arm, and how it began."""
    best = ranked(study)[0]
    found = None if arm is best else against(study, arm.name, best.name)
    codes = [] if arm.start is None else [f.code for f in arm.start.findings]
    began = " ".join(codes) if codes else ("" if arm.start is None else "healthy")
    if arm.start is not None and arm.start.obstacle:
        began = "not checked"
    rate = arm.curves[0].learning_rate if arm.curves else None
    spread = ""
    if arm.low is not None and arm.high is not None and math.isfinite(arm.low):
        spread = f"{scored(study, arm.low)} to {scored(study, arm.high)}"
    told = ("", "", "", "")
    if found is not None:
        known = math.isfinite(found.low)
        told = (
            difference(study, found.mean),
            f"{difference(study, found.low)} to {difference(study, found.high)}" if known else "",
            short(found.p, 2) if known else "",
            "worse" if found.shown else "no difference",
        )
    elif len(study.arms) > 1:
        told = ("best", "", "", "")
    diverged = sum(curve.diverged is not None for curve in arm.curves)
    steps = reached(study, arm) + (f", {diverged} diverged" if diverged else "")
    return (
        arm.name, scored(study, arm.mean), spread, *told, steps, first_loss(arm),
        short(rate, 3) if arm.rates else "", began,
    )  # fmt: skip


def _factors(one: Tuned, width: int) -> Iterator[Line]:
    weights = "all weights that are summed over" if one.group == "all" else f"the {one.group}"
    folds = len(one.factors[0].losses)
    what = f"validation loss, mean of {folds} folds, standard error"
    yield from _wrapped(f"factor on {weights} ({plural(one.tensors, 'tensor')}): {what}", width)
    header = ("factor", "loss", "error", "steps", "")
    yield from table(header, [factor_row(one, factor) for factor in one.factors], width)


def factor_row(one: Tuned, factor: Factor) -> tuple[str, ...]:
    """One factor: its loss with the standard error, the steps that it was given, and what became of it."""
    most = max(other.steps for other in one.factors)
    diverged = sum(math.isinf(loss) for loss in factor.losses)
    said = [
        *(["chosen"] if factor.factor == one.chosen else []),
        *(["best"] if factor.factor == one.best else []),
        *([f"diverged in {diverged} of {len(factor.losses)} folds"] if diverged else []),
        *(["dropped on the way"] if factor.steps < most else []),
    ]
    loss = short(factor.mean, 4) if math.isfinite(factor.mean) else "–"
    error = short(factor.error, 2) if math.isfinite(factor.error) else ""
    return (short(factor.factor, 3), loss, error, str(factor.steps), ", ".join(said))
