"""A scheme explained for one shape."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping, Sequence
from typing import Any

from fanin.errors import InputError, explain
from fanin.explanations import families
from fanin.explanations.derivation import distribution_step, factors, fan_steps
from fanin.explanations.peers import peers_table
from fanin.explanations.spread import COMPLEX, largest, lost, rounding_note
from fanin.laws import moments
from fanin.laws.fans import Fans, fans
from fanin.laws.gains import Gain
from fanin.laws.gains import gain as find_gain
from fanin.records.axes import Axes, as_axes
from fanin.records.draw import (
    DeltaOrthogonal,
    Draw,
    Normal,
    Orthogonal,
    OrthogonalConvolution,
    Sparse,
    TruncatedNormal,
    Uniform,
)
from fanin.records.explanation import Explanation, Number, Step
from fanin.sampling.parts import parts
from fanin.schemes import registry
from fanin.schemes.base import Entry, FanScaled, Fixed, Scheme

__all__ = ["explain_scheme"]

_RANDOM = (
    Uniform,
    Normal,
    TruncatedNormal,
    Orthogonal,
    DeltaOrthogonal,
    OrthogonalConvolution,
    Sparse,
)
"""Draws of weights, for which power through a layer has a meaning; tables of values are mostly biases."""


def explain_scheme(
    name: str,
    shape: Sequence[int],
    axes: Axes | str | None,
    *,
    activation: str | None = None,
    dtype: str | None = None,
    parameters: Mapping[str, Any],
) -> Explanation:
    """Explain the scheme of that name; parameters are those of `fanin.explanations.subject.explain`."""
    entry = registry.entry(name)
    arguments, remarks = _arguments(entry, activation, parameters)
    scheme = registry.get(entry.name, **arguments)
    size = tuple(int(n) for n in shape)
    roles = as_axes(axes, size)
    draw = scheme.draw(size, roles)
    counted = fans(size, roles) if roles is not None else None
    of_input = _gain(activation, arguments, entry)
    smooth = isinstance(draw, Uniform | Normal | TruncatedNormal)
    remarks += rounding_note(draw, dtype) if dtype is not None else []
    return Explanation(
        title=entry.name if entry.name == name else f"{name} (= {entry.name})",
        kind="scheme",
        law=scheme.law,
        summary=entry.summary.replace("``", "`"),
        numbers=_numbers(draw, size, roles, counted, dtype),
        steps=_steps(scheme, draw, counted, of_input, entry),
        tables=(
            *((families.compared(draw.std, max(1, math.prod(size))),) if smooth else ()),
            *peers_table(entry, name, size, roles, arguments, draw),
        ),
        charts=(families.chart(draw.std),) if smooth else (),
        notes=tuple(remarks),
        references=tuple(scheme.references),
    )


def _arguments(
    entry: Entry, activation: str | None, given: Mapping[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    """Parameters of the scheme, with the activation in the place where the scheme takes it."""
    taken = entry.signature.parameters
    arguments = dict(given)
    remarks = []
    if activation is not None:
        if "activation" in taken:
            arguments["activation"] = activation
        elif "gain" in taken and "gain" not in arguments:
            arguments["gain"] = find_gain(activation).forward
            remarks.append(f"gain = 1/sqrt(E f²) of {activation}, computed from the function.")
        elif "variance" in taken and "variance" not in arguments:
            arguments["variance"] = find_gain(activation).forward ** 2
            remarks.append(f"variance = 1/E f² of {activation}, computed from the function.")
        else:
            remarks.append(
                f"The law does not look at the activation; the factors are those after {activation}."
            )
    empty = inspect.Parameter.empty
    missing = [n for n, one in taken.items() if one.default is empty and n not in arguments]
    example = entry.examples[0]
    if (missing and not set(missing) <= set(example)) or not set(arguments) <= set(taken):
        registry.get(entry.name, **arguments)  # says which parameters do not fit
    if missing or not arguments:
        shown = {n: v for n, v in example.items() if n in missing or not missing}
        arguments = shown | arguments
        if shown:
            words = ", ".join(f"{n}={v!r}" for n, v in shown.items())
            remarks.append(f"For an example: {words}.")
    return arguments, remarks


def _gain(activation: str | None, arguments: Mapping[str, Any], entry: Entry) -> Gain:
    named = arguments.get("activation", activation)
    if named is None and "activation" in entry.signature.parameters:
        named = entry.signature.parameters["activation"].default
    return find_gain("linear" if named is None else named, arguments.get("slope"))


def _numbers(
    draw: Draw, shape: tuple[int, ...], roles: Axes | None, counted: Fans | None, dtype: str | None
) -> tuple[Number, ...]:
    count = math.prod(shape)
    found = [Number(name="elements", value=float(count), formula=" × ".join(map(str, shape)) or "1")]
    if counted is not None and roles is not None:
        found += [
            Number(name="fan_in", value=counted.fan_in, note=f"dimensions are {roles}"),
            Number(name="fan_out", value=counted.fan_out),
        ]
    found += [Number(name="mean", value=draw.mean), Number(name="std", value=draw.std, note=str(draw))]
    if isinstance(draw, Uniform | Normal | TruncatedNormal):
        found += _ends(draw, count)
        if dtype in COMPLEX:
            part = parts(draw)[1]
            found.append(
                Number(name="std of each part", value=part.std, formula="std / sqrt(2)", note=f"{part}, each")
            )
            draw, dtype = part, COMPLEX[dtype]
        if dtype is not None and isinstance(draw, Uniform | Normal | TruncatedNormal):
            unit, gone = lost(draw, dtype)
            found += [
                Number(name="rounding", value=unit, note=f"largest relative error in {dtype}"),
                Number(name="become 0", value=gone, note=f"share of weights that {dtype} rounds to 0"),
            ]
    elif dtype is not None:
        raise InputError(
            explain(
                "What rounding does is known for uniform, normal and truncated normal draws",
                received=f"{draw}, dtype={dtype}",
                remedy="Leave the dtype out",
            )
        )
    return tuple(found)


def _ends(draw: Uniform | Normal | TruncatedNormal, count: int) -> list[Number]:
    found = []
    if count > 1:
        error = draw.std * math.sqrt((moments.kurtosis(draw) - 1.0) / (4.0 * count))
        found.append(
            Number(
                name="std error",
                value=error,
                formula="std sqrt((kurtosis - 1) / (4 n))",
                note="of the std that these weights will show",
            )
        )
    if isinstance(draw, Uniform):
        found += [Number(name="lower bound", value=draw.low), Number(name="upper bound", value=draw.high)]
    elif isinstance(draw, TruncatedNormal):
        found += [
            Number(name="parent std", value=draw.parent_std),
            *(
                Number(name=name, value=draw.parent_mean + draw.parent_std * bound)
                for name, bound in (("lower bound", draw.lower), ("upper bound", draw.upper))
            ),
        ]
    if count:
        found.append(
            Number(name="largest expected", value=largest(draw, count), note=f"|w - mean| among {count:,}")
        )
    return found


def _steps(
    scheme: Scheme, draw: Draw, counted: Fans | None, of_input: Gain, entry: Entry
) -> tuple[Step, ...]:
    if isinstance(scheme, FanScaled) and counted is not None:
        return fan_steps(scheme, counted, of_input, draw)
    steps = [] if isinstance(scheme, Fixed) else [Step(title="What is drawn", text=_told(entry))]
    if isinstance(draw, Uniform | TruncatedNormal):
        steps.append(distribution_step(draw.std**2, draw, None, None))
    if counted is not None and isinstance(draw, _RANDOM):
        power = draw.std**2 + (draw.mean**2 if isinstance(scheme, Fixed) else 0.0)
        steps.append(
            Step(
                title="What that does to this shape",
                text="The law holds no fan: the same std is a large gain for a wide layer and a small "
                "one for a narrow. "
                "Std times sqrt(fan_in) is the gain that it amounts to here."
                if isinstance(scheme, Fixed)
                else "Power through one layer, as for independent weights of this variance.",
                numbers=(
                    Number(
                        name="gain", value=math.sqrt(power * counted.fan_in), formula="std · sqrt(fan_in)",
                        note=f"{of_input.forward:.5g} would keep the signal after {of_input.name}",
                    ),
                    *factors(power, counted, of_input),
                ),
            )
        )  # fmt: skip
    return tuple(steps)


def _told(entry: Entry) -> str:
    """The prose of the factory's docstring between its first line and its sections."""
    text = inspect.getdoc(entry.factory) or ""
    body = text.partition("\n")[2].split("\nParameters\n")[0].split("\nReturns\n")[0]
    return " ".join(body.replace("`", "").split())
