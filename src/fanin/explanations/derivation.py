"""Where a law that divides by a fan comes from, step by step, with the figures of one shape."""

from __future__ import annotations

import math

from fanin.laws import moments
from fanin.laws.fans import Fans
from fanin.laws.gains import Gain
from fanin.records.draw import Draw, TruncatedNormal, Uniform
from fanin.records.explanation import Number, Step
from fanin.schemes.base import FanScaled

__all__ = ["distribution_step", "factors", "fan_steps"]

_WHY = {
    "fan_in": "It takes the forward condition and leaves the gradient to the ratio of the fans.",
    "fan_out": "It takes the backward condition and leaves the signal to the ratio of the fans.",
    "fan_avg": "Both conditions hold at once only where the fans are equal; the arithmetic mean of the "
    "fans is "
    "the compromise of Glorot and Bengio.",
    "fan_geo_avg": "Both conditions hold at once only where the fans are equal; the geometric mean of "
    "the fans "
    "makes the two factors miss 1 by the same ratio in opposite directions.",
}


def fan_steps(scheme: FanScaled, fans: Fans, gain: Gain, draw: Draw) -> tuple[Step, ...]:
    """The whole way from a sum over inputs to the bounds of the draw."""
    fan: float = getattr(fans, scheme.mode)
    return (
        Step(
            title="A unit is a sum, so its variance is what counts",
            text="z = Σ w·x over fan_in inputs. A sum of many independent terms is close to a normal "
            "whatever each "
            "term looks like, and a normal of mean 0 is known by its variance.",
            numbers=(Number(name="fan_in", value=fans.fan_in, formula="in × receptive (stride, groups)"),),
        ),
        _mean_step(fans, gain),
        Step(
            title="Forward: the signal keeps its power",
            text="E z² = fan_in · Var[w] · E f(z)² for inputs x = f(z) with z ~ N(0, 1). That it stays "
            "1 asks for "
            "Var[w] = 1 / (fan_in · E f²)."
            + (
                " Half of a symmetric z is cut off by ReLU, so E f² = 1/2 and 1/E f² = 2."
                if _relu(gain)
                else ""
            ),
            numbers=(
                Number(name="E f²", value=gain.second_moment, formula=f"{gain.name}, {gain.source}"),
                Number(name="1/E f²", value=gain.forward**2, formula="gain², forward"),
                Number(
                    name="Var[w], forward",
                    value=gain.forward**2 / fans.fan_in,
                    formula=f"{gain.forward**2:.6g} / {fans.fan_in:g}",
                ),
            ),
        ),
        Step(
            title="Backward: the gradient keeps its power",
            text="The gradient at one input is a sum over fan_out units, each with the factor f'(z): "
            "E g² stays where Var[w] = 1 / (fan_out · E f'²).",
            numbers=(
                Number(name="E f'²", value=gain.derivative_second_moment, formula=gain.name),
                Number(
                    name="Var[w], backward",
                    value=gain.backward**2 / fans.fan_out,
                    formula=f"{gain.backward**2:.6g} / {fans.fan_out:g}",
                ),
            ),
        ),
        Step(
            title=f"The law takes {scheme.mode}",
            text=f"Var[w] = {scheme.variance:.6g} / {scheme.mode}. {_WHY[scheme.mode]}",
            numbers=(
                Number(
                    name="Var[w]", value=scheme.variance / fan, formula=f"{scheme.variance:.6g} / {fan:g}"
                ),
                *factors(scheme.variance / fan, fans, gain),
            ),
        ),
        distribution_step(scheme.variance / fan, draw, scheme, fans),
    )


def factors(variance: float, fans: Fans, gain: Gain) -> tuple[Number, Number]:
    """Power that one layer with this variance multiplies, forward and backward; 1 keeps it."""
    return (
        Number(
            name="forward factor",
            value=fans.fan_in * variance * gain.second_moment,
            formula="fan_in · Var[w] · E f²",
            note="a layer; 1 keeps the signal",
        ),
        Number(
            name="backward factor",
            value=fans.fan_out * variance * gain.derivative_second_moment,
            formula="fan_out · Var[w] · E f'²",
            note="a layer; 1 keeps the gradient",
        ),
    )


def _mean_step(fans: Fans, gain: Gain) -> Step:
    text = (
        "With E w = 0 the cross terms of (Σ w·x)² vanish. A mean m would add m² (Σ x)² to the power of "
        "every unit "
        "alike: a part that carries no difference between units."
    )
    if not abs(gain.mean) > 1e-12:
        return Step(title="Mean zero", text=text)
    common = fans.fan_in * gain.mean**2 / gain.second_moment
    return Step(
        title="Mean zero",
        text=f"{text} For inputs {gain.name}(z), m as large as the std would make that part so many "
        f"times the rest:",
        numbers=(
            Number(
                name="common part",
                value=common + (1.0 - gain.mean**2 / gain.second_moment),
                formula="(fan_in (E f)² + Var f) / E f²",
            ),
        ),
    )


def distribution_step(variance: float, draw: Draw, scheme: FanScaled | None, fans: Fans | None) -> Step:
    """From a variance to the numbers that a sampler takes: where 6, 2 and the cut's constant come from."""
    std = math.sqrt(variance)
    if isinstance(draw, Uniform):
        unit = moments.variance(Uniform(low=-1.0, high=1.0))
        root = _root(1.0 / unit, scheme, fans)
        return Step(
            title="Uniform: a bound instead of a std",
            text=f"U(±a) has variance a² / {1 / unit:.6g}, so a = sqrt({1 / unit:.6g} · Var[w]){root[0]}.",
            numbers=(
                Number(name="1/Var U(±1)", value=1.0 / unit, formula="1 / ∫ x² / 2 dx over (-1, 1)"),
                *root[1],
                Number(
                    name="bound",
                    value=draw.high - draw.mean,
                    formula=f"sqrt({1 / unit:.6g} × {variance:.6g})",
                ),
            ),
        )
    if isinstance(draw, TruncatedNormal):
        cut = moments.cut_moments(draw.lower, draw.upper).std
        return Step(
            title="Truncated normal: a wider parent",
            text=f"A standard normal that is cut to [{draw.lower:g}, {draw.upper:g}] has only "
            f"{cut:.5f} of its std, "
            "so the parent gets Var[w] divided by the square of that. Without this step the weights "
            "are too small.",
            numbers=(
                Number(
                    name="std of the cut",
                    value=cut,
                    formula="sqrt of ∫ z² φ(z) dz / ∫ φ(z) dz between the bounds",
                ),
                Number(name="parent std", value=draw.parent_std, formula=f"{std:.6g} / {cut:.5f}"),
            ),
        )
    root = _root(1.0, scheme, fans)
    return Step(
        title="Normal: the root of the variance",
        text=f"A normal is given by its std, sqrt(Var[w]){root[0]}. Nothing else is under the root, "
        f"which is why a 6 "
        "belongs to the uniform alone.",
        numbers=(*root[1], Number(name="std", value=std, formula=f"sqrt({variance:.6g})")),
    )


def _root(factor: float, scheme: FanScaled | None, fans: Fans | None) -> tuple[str, tuple[Number, ...]]:
    """What stands under the root over the fans: 6 and 2 in the papers of He and of Glorot."""
    if scheme is None or fans is None:
        return "", ()
    both = scheme.mode == "fan_avg"
    above = factor * scheme.variance * (2.0 if both else 1.0)
    below = "(fan_in + fan_out)" if both else scheme.mode
    formula = f"{factor:.6g} × {scheme.variance:.6g}" + (" × 2, of the mean of two fans" if both else "")
    return f" = sqrt({above:.6g} / {below})", (Number(name="under the root", value=above, formula=formula),)


def _relu(gain: Gain) -> bool:
    return gain.name == "relu"
