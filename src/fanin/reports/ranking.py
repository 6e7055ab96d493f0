"""What a study's figures say, in the words that text and page share."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from fanin.records.study import Arm, Contrast, Study, Tuned
from fanin.reports.figures import short

__all__ = ["against", "difference", "first_loss", "ranked", "reached", "scored", "unit", "verdict"]

_SEVERAL = 4
"""Names that a sentence lists."""


def ranked(study: Study) -> tuple[Arm, ...]:
    """The arms, the best mean score first."""
    sign = -1.0 if study.score == "accuracy" else 1.0
    return tuple(sorted(study.arms, key=lambda arm: math.inf if arm.mean is None else sign * arm.mean))


def unit(study: Study) -> str:
    """What scores are in."""
    return "test accuracy, %" if study.score == "accuracy" else "test loss, nats"


def scored(study: Study, value: float | None) -> str:
    """A score as it is shown: per cent, or nats."""
    if value is None or not math.isfinite(value):
        return ""
    return f"{100 * value:.1f}" if study.score == "accuracy" else f"{value:.3f}"


def difference(study: Study, value: float) -> str:
    """A difference of two scores with its sign: points of accuracy, or nats."""
    if not math.isfinite(value):
        return "∞" if value > 0 else "−∞"
    text = f"{100 * value:+.1f}" if study.score == "accuracy" else f"{value:+.3f}"
    return text.replace("-", "−")


def against(study: Study, first: str, second: str) -> Contrast | None:
    """``first - second``, whichever way round the study holds it."""
    for one in study.contrasts:
        if (one.first, one.second) == (first, second):
            return one
        if (one.first, one.second) == (second, first):
            return Contrast(
                first=first, second=second, seeds=one.seeds, mean=-one.mean, low=-one.high, high=-one.low,
                p=one.p, detectable=one.detectable, shown=one.shown,
            )  # fmt: skip
    return None


def reached(study: Study, arm: Arm) -> str:
    """Steps until the validation loss is at the target: the median, and how many runs came there."""
    if study.target is None or not any(curve.validation for curve in arm.curves):
        return ""
    found = [_first(curve.steps, curve.validation, study.target) for curve in arm.curves]
    there = [step for step in found if step is not None]
    if not there:
        return "never"
    text = f"{statistics.median_high(there)}"
    return text if len(there) == len(found) else f"{text} ({len(there)} of {len(found)})"


def _first(steps: Sequence[int], losses: Sequence[float], target: float) -> int | None:
    return next((step for step, loss in zip(steps, losses, strict=False) if loss <= target), None)


def first_loss(arm: Arm) -> str:
    """The first loss by law, and as measured."""
    if arm.start is None or arm.start.measured is None:
        return ""
    law = "?" if arm.start.predicted is None else short(arm.start.predicted, 3)
    return f"{law} / {short(arm.start.measured, 3)}"


def verdict(study: Study) -> str:
    """One sentence on what is shown, and what is not."""
    return _tuned(study) if study.tuned else _compared(study)


def _compared(study: Study) -> str:
    order = ranked(study)
    best, others = order[0], order[1:]
    pairs = {arm.name: against(study, best.name, arm.name) for arm in others}
    worse = [arm.name for arm in others if (found := pairs[arm.name]) is not None and found.shown]
    alike = [arm.name for arm in others if arm.name not in worse]
    seeds = len(best.curves)
    said = f"{_number(study, best.mean)} over {_seeds(seeds)}"
    if seeds < 2:
        ahead = f"{best.name} is ahead with {_number(study, best.mean)} in one seed"
        return f"{ahead}, which shows nothing: take more seeds."
    if not worse:
        text = f"No difference is shown between {_listed([best.name, *alike])}; the best mean is {said}."
        return f"{text} {_power(study, pairs, alike)}".rstrip()
    text = f"{best.name} has the best mean, {said}, and is shown to be better than {_listed(worse)}."
    if alike:
        text += f" No difference is shown to {_listed(alike)}. {_power(study, pairs, alike)}"
    return text.rstrip()


def _power(study: Study, pairs: dict[str, Contrast | None], names: Sequence[str]) -> str:
    """What difference to the nearest rival so many seeds would have shown."""
    found = pairs[names[0]] if names else None
    if found is None or not math.isfinite(found.detectable):
        return ""
    size = difference(study, found.detectable).removeprefix("+")
    what = "points" if study.score == "accuracy" else "nats"
    return f"{_seeds(found.seeds)} would show a difference to {names[0]} of {size} {what} four times in five."


def _seeds(count: int) -> str:
    return f"{count} seeds" if count > 1 else "one seed"


def _number(study: Study, value: float | None) -> str:
    return f"{scored(study, value)} %" if study.score == "accuracy" else f"a loss of {scored(study, value)}"


def _listed(names: Sequence[str]) -> str:
    if len(names) > _SEVERAL:
        return f"{', '.join(names[:_SEVERAL])} and {len(names) - _SEVERAL} more"
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _tuned(study: Study) -> str:
    changed = [one for one in study.tuned if one.chosen != 1.0]
    parts = [_chosen(one) for one in study.tuned]
    if not changed:
        return f"{'; '.join(parts)}: the plan stays as it is."
    text = f"{'; '.join(parts)}."
    if len(study.arms) == 2:
        tuned, default = study.arms[1], study.arms[0]
        found = against(study, tuned.name, default.name)
        shown = (
            "a difference that is shown" if found is not None and found.shown else "no difference is shown"
        )
        text += (
            f" On data that the tuning never saw: {_number(study, tuned.mean)} tuned, "
            f"{_number(study, default.mean)} with factor 1 ({shown}, {_seeds(len(tuned.curves))})."
        )
    return text


def _chosen(one: Tuned) -> str:
    weights = "all weights" if one.group == "all" else f"the {one.group}"
    best = next(f for f in one.factors if f.factor == one.best)
    if one.chosen == 1.0 and one.best != 1.0:
        return (
            f"Factor 1 on {weights} cannot be told from the best, {short(one.best, 3)}: "
            "its cross-validated loss is within one standard error"
        )
    if one.chosen == 1.0:
        return f"Factor 1 on {weights} is the best, with a cross-validated loss of {short(best.mean, 3)}"
    chosen = next(f for f in one.factors if f.factor == one.chosen)
    plain = next((f for f in one.factors if f.factor == 1.0), None)
    beside = f", {short(plain.mean, 3)} with factor 1" if plain is not None else ""
    nearer = "" if one.chosen == one.best else f", as good as {short(one.best, 3)} within one standard error"
    loss = f"cross-validated loss {short(chosen.mean, 3)}{beside}"
    return f"Factor {short(one.chosen, 3)} on {weights}{nearer}: {loss}"
