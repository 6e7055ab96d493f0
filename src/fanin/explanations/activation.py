"""An activation explained: its moments, its gains, and where depth leads with them."""

from __future__ import annotations

import numpy as np

from fanin.errors import UnknownNameError
from fanin.laws.activations import activation
from fanin.laws.gains import conventional_gain, gain
from fanin.laws.quadrature import NODES
from fanin.laws.recursion import correlation_map, forward_map
from fanin.records.explanation import Chart, Curve, Explanation, Number, Step, Table

__all__ = ["explain_activation", "fixed_correlation"]

_DEPTH = 50
_CLOSE = 1e-9


def fixed_correlation(name: str, chi: float) -> tuple[float, float]:
    """Where the correlation of two unlike inputs goes with depth, from 0, with the forward gain and no bias.

    The map ``c' = C(c)`` is a power series without negative terms, hence convex, and chi is its slope at 1.
    So it leads to 1 if chi <= 1, and else to its only fixed point below 1, found by bisection.

    Returns
    -------
    tuple of float
        The correlation after `_DEPTH` layers, and the limit.
    """
    values = activation(name).function(NODES)
    c = 0.0
    for _ in range(_DEPTH):
        new = correlation_map(values, 1.0, c)
        if abs(new - c) < _CLOSE:
            break
        c = new
    if c < _CLOSE:  # odd functions: unlike inputs stay unlike
        return c, 0.0
    if chi <= 1.0 + _CLOSE:
        return c, 1.0
    low, high = c, 1.0 - _CLOSE
    while high - low > 1e-9:
        middle = 0.5 * (low + high)
        if correlation_map(values, 1.0, middle) > middle:
            low = middle
        else:
            high = middle
    return c, low


def explain_activation(name: str) -> Explanation:
    """Moments, gains and fixed points of a named activation.

    Raises
    ------
    UnknownNameError
        A name that `fanin.laws.gains.gain` does not know.
    """
    found = gain(name)
    entry = activation(name)
    values = entry.function(NODES)
    variance = found.forward**2
    h = 1e-3
    slope = (_map(values, 1.0 + h, variance) - _map(values, 1.0 - h, variance)) / (2.0 * h)
    numbers = (
        # Of an odd function only the rounding of the quadrature is left.
        Number(
            name="E f",
            value=found.mean if abs(found.mean) > 1e-12 else 0.0,
            formula=f"z ~ N(0, 1), {found.source}",
        ),
        Number(name="E f²", value=found.second_moment),
        Number(name="E f'²", value=found.derivative_second_moment),
        Number(name="forward gain", value=found.forward, formula="1/sqrt(E f²)", note="keeps the signal"),
        Number(
            name="backward gain", value=found.backward, formula="1/sqrt(E f'²)", note="keeps the gradient"
        ),
        Number(
            name="chi",
            value=found.chi,
            formula="E f'² / E f²",
            note="growth of the gradient a layer, forward kept",
        ),
    )
    after, limit = fixed_correlation(name, found.chi)
    steps = (
        Step(
            title="Forward gain",
            text="With Var[w] = gain² / fan_in the next layer's units have E z² = gain² E f(z)², which "
            "is 1 for "
            "gain² = 1/E f².",
            numbers=(Number(name="E z²", value=_map(values, 1.0, variance), formula="gain² E f²"),),
        ),
        Step(
            title="The fixed point of the variance",
            text="E z² = 1 maps to itself. A small excess at one layer is multiplied by this slope at "
            "the next: below 1 "
            "it dies out, at 1 any scale is kept, above 1 it grows.",
            numbers=(Number(name="slope", value=slope, formula="d E z²' / d E z² at 1"),),
        ),
        Step(
            title="The fixed point of the correlation",
            text="Two unlike inputs (correlation 0) become this alike. chi is the slope at correlation "
            "1: below or at 1 "
            "all inputs end alike, above 1 a part of their difference stays and gradients grow.",
            numbers=(
                Number(name=f"correlation after {_DEPTH}", value=after),
                Number(name="correlation limit", value=limit),
                Number(
                    name=f"chi to the {_DEPTH}", value=found.chi**_DEPTH, formula=f"{found.chi:.6g}^{_DEPTH}"
                ),
            ),
        ),
    )
    return Explanation(
        title=found.name,
        kind="activation",
        law=f"Var[w] = {variance:.6g} / fan_in keeps a signal that passes {found.name}",
        summary="Moments of f(z) for z ~ N(0, 1), and the gains that undo them.",
        numbers=numbers,
        steps=steps,
        tables=_conventions(name, found.forward),
        charts=(_chart(found.name, name),),
        notes=_shifted(found.mean, found.second_moment),
        references=(
            "He et al. 2015, equations 10, 14 and 15",
            "Poole et al. 2016, equations 3 and 5",
            "Schoenholz et al. 2017, equation 5",
        ),
    )


def _map(values: np.ndarray, q: float, variance: float) -> float:
    return forward_map(values, q, weight_variance=variance, fan_in=1.0)


def _conventions(name: str, forward: float) -> tuple[Table, ...]:
    try:
        told = conventional_gain(name.partition("(")[0])
    except UnknownNameError:
        return ()
    same = abs(told - forward) < 1e-3 * forward
    return (
        Table(
            title="Beside the table of torch.nn.init.calculate_gain",
            header=("source", "gain", "E z² after one layer"),
            rows=(
                ("1/sqrt(E f²)", f"{forward:.6g}", "1"),
                ("torch's table", f"{told:.6g}", f"{(told / forward) ** 2:.6g}"),
            ),
            marked=() if same else ((1, 1), (1, 2)),
            note="" if same else "torch's value is a convention; no moment of the function has it.",
        ),
    )


def _shifted(mean: float, second: float) -> tuple[str, ...]:
    share = mean**2 / second
    if share < 1e-9:
        return ("f is odd around its mean: the next layer's inputs have mean 0.",)
    return (
        (
            f"(E f)² / E f² = {share:.4g}: that share of the signal is the same for every input, and makes "
            f"inputs alike."
        ),
    )


def _chart(title: str, name: str) -> Chart:
    entry = activation(name)
    xs = np.linspace(-4.0, 4.0, 161)
    return Chart(
        title=f"{title} and its slope",
        x="z",
        y="f(z), f'(z)",
        curves=(
            Curve(name="f", x=tuple(map(float, xs)), y=tuple(map(float, entry.function(xs)))),
            Curve(name="f'", x=tuple(map(float, xs)), y=tuple(map(float, entry.derivative(xs)))),
        ),
    )
