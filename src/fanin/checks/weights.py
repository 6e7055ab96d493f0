"""Weights as they are, beside what a plan would give them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from fanin.records.graph import Graph, UseKind
from fanin.records.plan import Entry, Plan, Status
from fanin.records.trace import ParameterMeasurement, Trace

__all__ = ["Weighed", "named_law", "weighed"]

_WEIGHTS = {
    UseKind.WEIGHT,
    UseKind.EMBEDDING,
    UseKind.RECURRENT_INPUT,
    UseKind.RECURRENT_STATE,
}

_UNIFORM = math.sqrt(3.0)
"""Largest value over std of a uniform draw; that of a normal one is larger from 20 draws on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighed:
    """One weight: measured std over planned std, and the law it seems to follow.

    `ratio` is None where the plan draws no random numbers (zeros, a kept tensor). `tolerance` is
    the relative error of `ratio` that the size of the sample leaves, at 6 standard errors.
    """

    name: str
    module: str
    nodes: tuple[int, ...]
    kind: UseKind
    head: bool
    activation: str | None
    entry: Entry
    measure: ParameterMeasurement
    ratio: float | None
    tolerance: float
    law: str | None

    @property
    def default(self) -> bool:
        """Whether it has the law that the framework gives to new layers."""
        return self.law is not None and self.law.startswith("the framework's default")

    @property
    def gain(self) -> float | None:
        """Measured ``std sqrt(fan_in)``."""
        fan = self.entry.fan_in
        return None if not fan else self.measure.std * math.sqrt(fan)

    @property
    def planned_gain(self) -> float | None:
        """Planned ``std sqrt(fan_in)``."""
        fan, std = self.entry.fan_in, self.entry.std
        return None if not fan or std is None else std * math.sqrt(fan)


def weighed(graph: Graph, plan: Plan, trace: Trace) -> tuple[Weighed, ...]:
    """Every weight that is summed over or looked up, in the graph's order."""
    entries = {entry.name: entry for entry in plan.entries}
    measures = {p.name: p for p in trace.parameters}
    found: list[Weighed] = []
    hidden = _hidden(graph)
    for parameter in graph.parameters:
        uses = [use for use in parameter.uses if use.kind in _WEIGHTS]
        entry, measure = entries.get(parameter.name), measures.get(parameter.name)
        if not uses or entry is None or measure is None or not measure.finite:
            continue
        planned = entry.std or 0.0 if entry.status == Status.CLAIMED else 0.0
        active = next((use.activation for use in uses if use.activation is not None), None)
        found.append(
            Weighed(
                name=parameter.name,
                module=parameter.name.rpartition(".")[0],
                nodes=tuple(use.node for use in uses),
                kind=uses[0].kind,
                head=any(use.head for use in uses),
                activation=None if active is None else graph.activations[active].name,
                entry=entry,
                measure=measure,
                ratio=measure.std / planned if planned > 0.0 else None,
                tolerance=_tolerance(measure.numel),
                law=named_law(
                    measure,
                    entry,
                    graph.framework.split()[0],
                    kind=uses[0].kind,
                    hidden=hidden.get(uses[0].node),
                ),
            )
        )
    return tuple(found)


def _hidden(graph: Graph) -> dict[int, int]:
    """Units of each recurrence, by its node: what its state is multiplied with has as many columns."""
    return {
        use.node: parameter.shape[-1]
        for parameter in graph.parameters
        for use in parameter.uses
        if use.kind == UseKind.RECURRENT_STATE and parameter.shape
    }


def _tolerance(numel: int) -> float:
    # Standard error of a std is std / sqrt(2 N) for normal draws, less for uniform ones; of large tensors
    # probes look at a quarter of a million numbers.
    return 6.0 / math.sqrt(2.0 * min(max(numel, 1), 262_144))


def named_law(
    measure: ParameterMeasurement,
    entry: Entry,
    framework: str,
    *,
    kind: UseKind = UseKind.WEIGHT,
    hidden: int | None = None,
) -> str | None:
    """Name the usual law that a tensor's spread and range agree with; None if none does.

    Parameters
    ----------
    measure
        Std and largest value of the tensor.
    entry
        Its shape and fans.
    framework
        Whose default law to think of first.
    kind
        What the tensor is used for: frameworks have other defaults for tables and recurrences.
    hidden
        Units of the recurrence that it belongs to.
    """
    std = measure.std
    if std == 0.0:
        return "zeros" if measure.largest == 0.0 else f"one constant, {measure.mean:.4g}"
    uniform = measure.numel >= 64 and measure.largest <= 1.001 * _UNIFORM * std * (
        1 + _tolerance(measure.numel)
    )
    family = "U" if uniform else "N"
    for text, value, needs in _laws(entry, framework, kind, hidden):
        close = abs(std / value - 1.0) <= min(0.25, _tolerance(measure.numel)) + 0.002
        if close and needs in ("", family):
            return text
    return None


def _laws(entry: Entry, framework: str, kind: UseKind, hidden: int | None) -> list[tuple[str, float, str]]:
    """Text, std and family ("" for either) of usual laws, the most telling first."""
    shape, fan_in, fan_out = entry.shape, entry.fan_in, entry.fan_out
    laws: list[tuple[str, float, str]] = []
    if framework == "torch" and kind == UseKind.EMBEDDING:
        laws.append(("the framework's default law N(0, 1)", 1.0, "N"))
    elif framework == "torch" and hidden and kind in {UseKind.RECURRENT_INPUT, UseKind.RECURRENT_STATE}:
        text = "the framework's default law U(±1/√hidden_size), std 1/√(3 hidden_size)"
        laws.append((text, 1.0 / math.sqrt(3.0 * hidden), "U"))
    elif framework == "torch" and entry.name.endswith("in_proj_weight") and len(shape) == 2:
        text = "the framework's default law for attention, Glorot uniform of the packed weight"
        laws.append((text, math.sqrt(2.0 / sum(shape)), "U"))
    elif framework == "torch" and len(shape) >= 2:
        # torch counts everything but the first dimension, also where that is no fan_in.
        counted = math.prod(shape[1:])
        text = "the framework's default law U(±1/√fan_in), std 1/√(3 fan_in)"
        laws.append((text, 1.0 / math.sqrt(3.0 * counted), "U"))
    if framework == "keras":
        laws += _keras_laws(entry, kind)
    if fan_in and fan_out:
        also = " (here also Glorot's)" if fan_in == fan_out else ""
        laws += [
            ("He's law, std √(2/fan_in)", math.sqrt(2.0 / fan_in), ""),
            (f"LeCun's law{also}, std 1/√fan_in", math.sqrt(1.0 / fan_in), ""),
            ("Glorot's law, std √(2/(fan_in + fan_out))", math.sqrt(2.0 / (fan_in + fan_out)), ""),
        ]
        if len(shape) >= 2:
            # Counted as torch does, without the stride: what ResNets are initialised with.
            by_out = math.sqrt(2.0 * shape[-2 if framework == "keras" else 1] / math.prod(shape))
            laws.append(("He's law by fan_out, std √(2/fan_out)", by_out, ""))
    laws += [(f"std {value:g} whatever the width", value, "N") for value in (1.0, 0.1, 0.05, 0.02, 0.01)]
    return laws


_KERAS_TABLE = 0.05
"""Bound of Keras' uniform draws of tables (keras.initializers.RandomUniform)."""


def _keras_laws(entry: Entry, kind: UseKind) -> list[tuple[str, float, str]]:
    """Keras' defaults; its fans count the last two dimensions and a kernel's places, no stride, no groups."""
    shape, text = entry.shape, "the framework's default law, Glorot uniform"
    if kind == UseKind.EMBEDDING:
        return [("the framework's default law, U(±0.05)", _KERAS_TABLE / _UNIFORM, "U")]
    if kind == UseKind.RECURRENT_STATE and len(shape) == 2:
        # Rows, or columns, of length 1 that are orthogonal, over all gates at once.
        return [("the framework's default law, orthogonal", 1.0 / math.sqrt(max(shape)), "")]
    sums = [entry.fan_in + entry.fan_out] if entry.fan_in and entry.fan_out else []
    if len(shape) >= 2 and 0 not in shape:
        sums.insert(0, math.prod(shape) * (shape[-2] + shape[-1]) // (shape[-2] * shape[-1]))
    return [(text, math.sqrt(2.0 / counted), "U") for counted in sums]
