"""FAN102: the gradient vanishes or explodes on its way back."""

from __future__ import annotations

import itertools
import math

from fanin.checks.causes import Cause, scale_cause
from fanin.checks.figures import decades, log_ratio, ratio, times
from fanin.checks.rule import Outcome, Passed, Rule, Skipped
from fanin.checks.rules.fan101_forward_power import REMARK, judged, lucky, predicted, said, slight
from fanin.checks.stations import Drift, Station, drift, forward_drift, gated, passed_by, stations
from fanin.checks.waking import awake
from fanin.predictions.forecast import Forecast
from fanin.records.finding import Finding, Severity
from fanin.records.graph import Graph, OpKind, UseKind
from fanin.records.plan import Plan
from fanin.records.trace import Trace

__all__ = ["RULE"]

_ALIVE = 1e-6
"""Part of an output that differs between samples; below it rounding does."""

_NORMED = 4.0 * math.log(10.0), 6.0 * math.log(10.0)
"""Growth through norms: a step that is large for a weight makes the weight longer, and behind a norm the next
step smaller. In 200 steps 20 such layers (3 decades) learn digits like good ones, 40 (6.5) hardly."""


_ASIDE = 6.0 * math.log(10.0), 9.0 * math.log(10.0)
"""Loss of power where the path joins another stream from its side (a decoder reads an encoder): how much
passes is one branch's strength, as of any branch beside a stream, and Adam makes up for it."""


def _gradients(chain: tuple[Station, ...]) -> list[float]:
    return [s.measure.gradient_power or 0.0 for s in chain]


def _smallest(chain: tuple[Station, ...]) -> float:
    """The drift that three readings agree on, 0 where they do not agree on a sign.

    Weights drawn by fan_out keep the mean square over units, by fan_in the sum; and a stream that
    starts small (an embedding with std 0.02 before a norm) has large derivatives of a small thing.
    A fault shows in the sum, in the mean, and in the sum times the signal's power.
    """
    first, last = chain[0].measure, chain[-1].measure
    gradients = _gradients(chain)
    total = log_ratio(gradients[0], gradients[-1])
    sizes = math.log(math.prod(last.shape) / math.prod(first.shape))
    powers = log_ratio(first.power, last.power)
    readings = [total, total + sizes, total + powers if math.isfinite(powers) else 0.0]
    if all(r > 0 for r in readings):
        return min(readings)
    return max(readings) if all(r < 0 for r in readings) else 0.0


def _check(graph: Graph, plan: Plan, trace: Trace, forecast: Forecast | None = None) -> Outcome:
    measured = [s for s in stations(graph, trace, forecast) if s.measure.gradient_power is not None]
    # Behind a factor that starts at zero there is no gradient yet, and from the second step on there is.
    waits = max(passed_by(graph, trace), default=-1)
    waking, joined, inner = _waking(graph, trace, measured), _joined(graph), _inner(graph)
    chain = tuple(
        s
        for s in measured
        if math.prod(s.measure.shape) > 0
        and (s.measure.gradient_power or s.node.id > waits)
        and not (s.measure.gradient_power == 0.0 and s.node.id in waking)
        and s.node.id > joined
        and not any(start < s.node.id < join for start, join in inner)
    )
    if len(chain) < 2:
        return Skipped(
            reason=f"a gradient was measured at {len(chain)} layers of the path, and two are needed"
        )
    gradients = _gradients(chain)
    if gradients[-1] == 0.0:
        return Skipped(reason=f"no gradient reaches {chain[-1].called}, the last layer before the head")
    if not all(map(math.isfinite, gradients)):
        return Skipped(reason="the gradient is not finite")
    runs = _runs(graph, chain)
    whole = _judge(graph, chain, () if len(runs) == 1 else _ASIDE)
    parts = [_judge(graph, run, ()) for run in runs if len(run) > 1 and _gradients(run)[-1] > 0.0]
    order = [None, Severity.INFO, Severity.WARNING, Severity.FAILURE]
    severity, chain, judged_drift = max(
        [whole, *(parts if len(runs) > 1 else [])], key=lambda seen: order.index(seen[0])
    )
    gradients, strict = _gradients(chain), judged_drift.log
    total = drift(chain, log_ratio(gradients[0], gradients[-1]), backward=True)
    if severity is None:
        return Passed(
            reason=f"gradient power changes by {decades(total.log)} over {total.layers} layers "
            f"({times(math.exp(total.log))} in all){said(total)}"
        )
    normalised = {b.join for b in graph.branches if b.normalised}
    skips = sum(s.node.id in normalised for s in chain)
    if strict > 0 and 2 * skips >= total.layers:
        return Passed(
            reason=f"gradient power grows by a factor of {times(total.factor)} a block over {skips} blocks "
            f"with norm and skip connection ({decades(total.log)}): theirs to grow, and no weight's scale "
            "changes it"
        )
    shown = total if total.log * strict > 0 else judged_drift
    steps = [log_ratio(a, b) for a, b in itertools.pairwise(gradients)]
    cause = _cause(graph, plan, trace, shown, chain, steps, severity)
    return _finding(graph, trace, chain, shown, judged_drift, cause, severity)


def _judge(
    graph: Graph, chain: tuple[Station, ...], limits: tuple[float, ...]
) -> tuple[Severity | None, tuple[Station, ...], Drift]:
    strict = _smallest(chain)
    found = drift(chain, strict, backward=True)
    normed = strict > 0.0 and _through_norms(graph, chain)
    return judged(found, *(_NORMED if normed else limits)), chain, found


def _runs(graph: Graph, chain: tuple[Station, ...]) -> list[tuple[Station, ...]]:
    """Parts of the path that are one stream: cut where it comes into another one from the side."""
    path = set(graph.path)
    given = {node.id for node in graph.nodes if node.kind == OpKind.INPUT}
    beside = {b.join for b in graph.branches if b.start not in path | given}
    starts = [
        i
        for i, s in enumerate(chain)
        if i and s.node.id in beside and chain[i - 1].node.id < _start(graph, s)
    ]
    return [chain[a:b] for a, b in itertools.pairwise([0, *starts, len(chain)])]


def _start(graph: Graph, station: Station) -> int:
    return min(b.start for b in graph.branches if b.join == station.node.id)


def _inner(graph: Graph) -> list[tuple[int, int]]:
    """Start and join of a first block beside the input itself, where a second block follows on its stream.

    The stream has no weight before that block. What is inside it gets a branch's gradient (queries and keys
    next to none while all scores are equal), which is no part of the way along the stream.
    """
    given = {node.id for node in graph.nodes if node.kind == OpKind.INPUT}
    starts = {b.start for b in graph.branches if b.normalised}
    return [
        (b.start, b.join) for b in graph.branches if b.normalised and b.start in given and b.join in starts
    ]


def _joined(graph: Graph) -> int:
    """The concatenation before a stream whose branches end in learned scales; -1 where there is none.

    A class token beside the patches has a head's whole gradient. What the patches get comes by way of the
    branches, and how much of it passes is for the scales to say (LayerScale starts at 1e-4 and less).
    """
    scaled, path = gated(graph), set(graph.path)
    first = min((start for start, join in scaled if join in path), default=-1)
    places = [n.id for n in graph.nodes if n.kind == OpKind.CONCAT and n.id in path and n.id <= first]
    return max(places, default=-1)


def _waking(graph: Graph, trace: Trace, chain: list[Station]) -> frozenset[int]:
    """Nodes that a gradient reaches from the second step on, while the signal passes as it should."""
    # Of one number a sample, as a log-likelihood is, no spread is known: the last one that is known counts.
    known = [spread for s in chain if (spread := s.measure.unit_spread) is not None]
    passes = bool(known) and known[-1] > _ALIVE and chain[-1].measure.power > 0.0
    return awake(graph, trace).nodes if passes else frozenset()


def _cause(
    graph: Graph,
    plan: Plan,
    trace: Trace,
    shown: Drift,
    chain: tuple[Station, ...],
    steps: list[float],
    severity: Severity,
) -> Cause:
    if severity == Severity.INFO:
        return slight(shown)
    return scale_cause(graph, plan, trace, shown, chain, steps)


def _finding(
    graph: Graph,
    trace: Trace,
    chain: tuple[Station, ...],
    shown: Drift,
    strict: Drift,
    cause: Cause,
    severity: Severity,
) -> Finding:
    falls = shown.log < 0
    forward = forward_drift(chain)
    rate = (
        f"by a factor of {ratio(shown.factor)} a layer over {shown.layers} layers: " if shown.factor else ""
    )
    summary = (
        f"The gradient's power {'falls' if falls else 'grows'} {rate}{decades(shown.log)} "
        f"from {shown.last.called} back to {shown.first.called}"
    )
    if abs(forward.log) < 0.25 * abs(shown.log):
        held = "; bias draws hold it up" if falls and _biased(graph, trace) else ""
        shows = "shows less of it" if abs(forward.log) >= REMARK else "does not show it"
        summary += f". The forward signal {shows} ({decades(forward.log)}{held})"
    if severity == Severity.INFO and lucky(strict):
        summary += "; within the luck of a draw at this width"
    return Finding(
        code=RULE.code,
        name="vanishing gradients" if falls else "exploding gradients",
        severity=severity,
        summary=summary,
        cause=cause.cause,
        fix=cause.fix,
        where=cause.where,
        evidence=(
            ("factor a layer", shown.factor),
            ("layers", float(shown.layers)),
            ("decades", shown.log / math.log(10.0)),
            ("forward decades", forward.log / math.log(10.0)),
            ("z against the finite-width band", strict.z),
            ("z against a healthy draw", strict.from_healthy),
            *predicted(shown),
            *cause.evidence,
        ),
    )


def _through_norms(graph: Graph, chain: tuple[Station, ...]) -> bool:
    """Whether norms without skip connections follow most layers of the chain."""
    path = set(graph.path)
    low, high = chain[0].node.id, chain[-1].node.id
    norms = sum(node.kind == OpKind.NORM and low < node.id < high for node in graph.nodes if node.id in path)
    return 2 * norms >= len(chain) - 1


def _biased(graph: Graph, trace: Trace) -> bool:
    biases = {p.name for p in graph.parameters for use in p.uses if use.kind == UseKind.BIAS and not use.head}
    return any(p.name in biases and p.std > 0.0 for p in trace.parameters)


RULE = Rule(
    code="FAN102",
    name="gradient power",
    definition="ln(G_1 / G_L), G the squared derivative of <r, output> summed over a layer's output, for a "
    "random r of unit variance, from the last layer before the head back to the first",
    threshold="a warning from 3 decades, a failure from 6 (ReLU with the framework's default law, 200 steps "
    "on digits: at 3.7 decades gradient descent gets 74 % right instead of 97 %, at 6.7 Adam 72 %), beyond 4 "
    "standard deviations of what the plan's weights give here, a remark from 2; growth through norms from 4 "
    "and 6 decades (20 layers, 3.2 decades: as good as without; 40, 6.5: 49 % and 22 %). The sum over units, "
    "the mean over units, and the sum times the signal's power must agree, so that neither a change of "
    "width nor a small start before a norm counts. Growth along blocks with norm and skip connection is no "
    "fault: ResNet-50 has a factor of 2 a block and trains",
    advice="Give every weight the std gain / sqrt(fan_in); where norms without skip connections are the "
    "cause, add skip connections",
    symptom_of=("FAN110", "FAN104", "FAN105", "FAN101", "FAN201", "FAN205", "FAN206"),
    references=(
        "S. S. Schoenholz et al., Deep Information Propagation, 2017, section 4",
        "G. Yang et al., A Mean Field Theory of Batch Normalization, 2019 (norms without skip)",
    ),
    check=_check,
    against=_check,
)
