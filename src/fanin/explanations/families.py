"""Uniform, normal and truncated normal of one standard deviation, side by side."""

from __future__ import annotations

from fanin.explanations.spread import density, entropy, largest
from fanin.laws import moments
from fanin.records.draw import Normal, TruncatedNormal, Uniform
from fanin.records.explanation import Chart, Curve, Table

__all__ = ["chart", "compared", "family"]

_POINTS = 241
_REACH = 4.0


def family(std: float, mean: float = 0.0) -> dict[str, Uniform | Normal | TruncatedNormal]:
    """The three distributions with this mean and standard deviation.

    Examples
    --------
    >>> [round(draw.std, 9) for draw in family(0.02).values()]
    [0.02, 0.02, 0.02]
    """
    return {
        "uniform": moments.uniform(mean, std),
        "normal": Normal(mean=mean, std=std),
        "truncated normal": moments.truncated_normal(mean, std),
    }


def compared(std: float, count: int) -> Table:
    """What differs where the variance does not: ends, tails, entropy, the largest of `count` weights."""
    rows = []
    for name, draw in family(std).items():
        end = draw.high if isinstance(draw, Uniform) else None
        if isinstance(draw, TruncatedNormal):
            end = draw.parent_std * draw.upper
        rows.append(
            (
                name,
                f"{draw.std:.6g}",
                "none" if end is None else f"±{end:.5g}",
                f"{moments.kurtosis(draw):.4g}",
                f"{entropy(draw):.4f}",
                f"{largest(draw, count):.5g}",
                f"{largest(draw, count) / std:.3f}",
            )
        )
    return Table(
        title="Normal or uniform: the same variance, and what is left to differ",
        header=(
            "distribution",
            "std",
            "ends",
            "kurtosis",
            "entropy (nats)",
            f"largest of {count:,}",
            "in std",
        ),
        rows=tuple(rows),
        note="Forward and backward power know a weight by its variance only. The kurtosis enters the "
        "signal at "
        "order 1/fan (`fanin explain --topic normal-or-uniform`); of all laws with one variance the normal "
        "has the most entropy.",
    )


def chart(std: float) -> Chart:
    """The three densities; where one falls to zero it has a point on either side."""
    grid = [_REACH * std * (2.0 * i / (_POINTS - 1) - 1.0) for i in range(_POINTS)]
    curves = []
    for name, draw in family(std).items():
        ends: list[float] = []
        if isinstance(draw, Uniform):
            ends = [draw.low, draw.high]
        elif isinstance(draw, TruncatedNormal):
            ends = [draw.parent_std * draw.lower, draw.parent_std * draw.upper]
        xs = tuple(sorted([*grid, *(end * side for end in ends for side in (1.0 - 1e-9, 1.0 + 1e-9))]))
        curves.append(Curve(name=name, x=xs, y=tuple(density(draw)(x) for x in xs)))
    return Chart(title="Densities of one standard deviation", x="weight", y="density", curves=tuple(curves))
