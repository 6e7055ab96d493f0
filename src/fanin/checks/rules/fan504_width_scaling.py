"""FAN504: sizes that grow or shrink with the width."""

from __future__ import annotations

from fanin.checks.rule import Outcome, Passed, Rule, Skipped
from fanin.records.finding import Finding, Severity
from fanin.records.graph import Graph
from fanin.records.plan import Plan
from fanin.records.trace import Trace, WidthScaling, WidthTrend

__all__ = ["RULE"]

_MARGIN = 0.25
_ERRORS = 3.0


def _judged(trend: WidthTrend) -> bool:
    """All but outputs that shrink before the first step: muP means them to."""
    return not (trend.head and trend.quantity == "activation" and trend.exponent < 0.0)


def _drifts(trend: WidthTrend) -> bool:
    """Whether a size surely goes with the width."""
    return abs(trend.exponent) - _ERRORS * trend.error > _MARGIN


def _place(trend: WidthTrend) -> str:
    if trend.head:
        return f"the output ({trend.name})" if trend.name else "the output"
    return trend.name or "the model"


def _told(trend: WidthTrend) -> str:
    what = {"activation": "the size of", "update": "what the steps change of"}[trend.quantity]
    return f"{what} {_place(trend)} goes as width^{trend.exponent:.2f} (± {trend.error:.2f})"


def _check(_graph: Graph, _plan: Plan, trace: Trace) -> Outcome:
    seen = trace.scaling
    if seen is None:
        return Skipped(reason="measured by check_width, or --widths, which make the model at several widths")
    judged = [t for t in seen.trends if _judged(t)]
    if not judged:
        return Skipped(reason="; ".join(seen.notes) or "no layer whose size could change with the width")
    drifting = sorted((t for t in judged if _drifts(t)), key=lambda t: -abs(t.exponent))
    if not drifting:
        worst = max(judged, key=lambda t: abs(t.exponent))
        return Passed(reason=f"{_tried(seen)}: {_told(worst)}, and nothing goes faster")
    grows = [t for t in drifting if t.exponent > 0.0]
    chief = next((t for t in grows if t.head), (grows or drifting)[0])
    lazy = not grows and all(t.quantity == "update" and not t.head for t in drifting)
    told = f"With {_tried(seen)} {_told(chief)}"
    return Finding(
        code=RULE.code,
        name="sizes depend on the width",
        severity=Severity.INFO if lazy else Severity.WARNING,
        summary=f"{told}; {len(drifting)} of {len(judged)} sizes depend on the width",
        cause=_cause(chief),
        fix=_fix(chief),
        where=tuple(dict.fromkeys(_place(t) for t in drifting)),
        evidence=tuple((f"exponent of the {t.quantity} of {_place(t)}", t.exponent) for t in drifting[:12]),
    )


def _tried(seen: WidthScaling) -> str:
    widths = ", ".join(str(width) for width in seen.widths)
    return f"widths {widths} and {seen.steps} steps of {seen.optimizer}"


def _cause(chief: WidthTrend) -> str:
    if chief.quantity == "activation":
        return "weights whose std does not follow the fan-in"
    if chief.exponent > 0.0:
        return "learning rates and laws that suit one width: a step adds up over more inputs in a wider model"
    return "steps that are lost in a wider model: its layers hardly learn, as in the kernel regime"


def _fix(chief: WidthTrend) -> str:
    if chief.quantity == "activation":
        return "Draw every weight with a variance of gain^2 / fan_in: fanin.torch.init_(model, batch)"
    return (
        "Scale with the width as muP says (Adam: learning rates of hidden weights and of the head by "
        "1 / fan_in, the head's std by 1 / fan_in), or tune the learning rate anew at every width"
    )


RULE = Rule(
    code="FAN504",
    name="width scaling",
    definition="exponents b of width^b, fitted over three widths or more and several draws, for the root "
    "mean square of every layer's output and of what a few steps change of it",
    threshold="a warning when |b| is beyond 1/4 by 3 standard errors: parametrisations have exponents in "
    "halves, so 1/4 parts 0 from the next; a remark when only changes of hidden layers shrink; outputs that "
    "shrink with the width before the first step are left alone",
    advice="muP where hyperparameters are to be carried from small to large models",
    symptom_of=("FAN106", "FAN201"),
    references=(
        "G. Yang, E. J. Hu et al., Tensor Programs V: Zero-Shot Hyperparameter Transfer, 2022, appendix D",
        "G. Yang and E. J. Hu, Feature Learning in Infinite-Width Neural Networks, 2021",
    ),
    check=_check,
)
