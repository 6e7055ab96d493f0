"""Packed tensors: query, key and value, gate and up, the gates of a recurrence are maps of their own.

Packing is a matter of memory. Each block gets the law that it would have as a tensor by itself, with
its own fans, and its own random stream.
"""

from __future__ import annotations

import math
from dataclasses import replace

from fanin.errors import InputError
from fanin.plans.rule import Claim, count_fans
from fanin.records.axes import Axes, Role
from fanin.records.draw import Constant, Draw, Orthogonal, Structured
from fanin.records.graph import Parameter, UseKind
from fanin.records.plan import Block, Scheme

__all__ = ["blocks"]

_RECURRENT = (UseKind.RECURRENT_INPUT, UseKind.RECURRENT_STATE)


def blocks(parameter: Parameter, claim: Claim, axes: Axes | None) -> tuple[Block, ...]:
    """The blocks of a parameter under a claim; none where it is one map, or its law has no blocks.

    Parameters
    ----------
    parameter
        With its uses, which say where its output is cut.
    claim
        What a rule says of it. Its `law`, where there is one, is asked again for each block's shape;
        without one an elementwise draw is that of each block, and orthogonal matrices are made for each.
    axes
        Roles of its dimensions.
    """
    if claim.parts:
        return _equal(parameter, claim.parts)
    if claim.whole or claim.draw is None or isinstance(claim.draw, Constant):
        return ()
    if axes is None or axes.transposed:
        return ()
    sizes = _sizes(parameter, axes)
    if len(sizes) < 2:
        return ()
    if claim.law is not None and _asked(claim.law, parameter.shape, axes) != claim.draw:
        # Something changed the draw after the law had given it: the law is not asked again.
        claim = replace(claim, law=None)
    alone = replace(axes, groups=1)
    place = axes.roles.index(Role.OUT)
    found: list[Block] = []
    start = 0
    for number, size in enumerate(sizes):
        shape = (*parameter.shape[:place], size, *parameter.shape[place + 1 :])
        draw = _draw(claim, shape, alone)
        if draw is None:
            return ()
        counted = count_fans(shape, alone)
        found.append(
            Block(
                name=str(number),
                start=start,
                size=size,
                fan_in=counted.fan_in if counted else None,
                fan_out=counted.fan_out if counted else None,
                draw=draw,
            )
        )
        start += size
    return tuple(found)


def _equal(parameter: Parameter, draws: tuple[Draw, ...]) -> tuple[Block, ...]:
    size = parameter.shape[0] // len(draws)
    return tuple(
        Block(name=str(number), start=number * size, size=size, draw=draw)
        for number, draw in enumerate(draws)
    )


def _sizes(parameter: Parameter, axes: Axes) -> tuple[int, ...]:
    """Units of each block along the out dimension, where every use cuts it in the same way."""
    if axes.roles.count(Role.OUT) != 1 or len(axes.roles) != len(parameter.shape):
        return ()
    units = axes.size(parameter.shape, Role.OUT)
    cuts = {use.blocks for use in parameter.uses if use.blocks}
    if len(cuts) == 1:
        sizes = cuts.pop()
        return sizes if sum(sizes) == units and axes.groups in (1, len(sizes)) else ()
    recurrent = all(use.kind in _RECURRENT for use in parameter.uses)
    if not cuts and recurrent and axes.groups > 1:
        return (units // axes.groups,) * axes.groups
    return ()


def _draw(claim: Claim, shape: tuple[int, ...], axes: Axes) -> Draw | None:
    """The draw of one block; None where the claim does not say what it would be."""
    if claim.law is not None:
        return _asked(claim.law, shape, axes)
    if isinstance(claim.draw, Orthogonal):
        units = axes.size(shape, Role.OUT)
        copies = axes.size(shape, Role.BATCH) * axes.size(shape, Role.GROUP)
        columns = math.prod(shape) // (units * copies)
        return Orthogonal(gain=claim.draw.gain, std=claim.draw.gain / math.sqrt(max(units, columns)))
    return None if isinstance(claim.draw, Structured) else claim.draw


def _asked(law: Scheme, shape: tuple[int, ...], axes: Axes) -> Draw | None:
    try:
        return law.draw(shape, axes)
    except InputError:
        return None
