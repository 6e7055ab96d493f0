"""Fans of weights that hold several maps, or that only together are one."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

from fanin.errors import InputError, explain, finite
from fanin.laws.fans import Fans, fans
from fanin.records.axes import Axes, Role, as_axes

__all__ = ["block_fans", "lora_fans", "lora_scaling"]


def block_fans(
    shape: Sequence[int], sizes: Sequence[int], axes: Axes | str | Iterable[str] | None = None
) -> tuple[Fans, ...]:
    """Fans of each block of a fused weight: queries, keys and values; gate and up; a recurrence's gates.

    Block j has `sizes[j]` of the outputs, so ``fan_out = sizes[j] * receptive``, and the fan_in of the whole.
    A Glorot law on the whole (3 n, n) has ``fan_avg = 2 n`` where each block has n: its weights are
    ``sqrt(2)`` too small. Equal blocks may also be said as ``Axes(..., groups=3)``.

    Parameters
    ----------
    shape, axes
        Of the fused weight, as for `fanin.laws.fans.fans`.
    sizes
        Outputs of each block; with grouped queries keys and values have fewer.

    Returns
    -------
    tuple[Fans, ...]
        One a block.

    Raises
    ------
    InputError
        Sizes that do not add up to the outputs, or a weight without exactly one dimension of outputs.

    Examples
    --------
    >>> [int(one.fan_avg) for one in block_fans((768, 256), (256, 256, 256))]
    [256, 256, 256]

    References
    ----------
    X. Glorot, Y. Bengio, Understanding the difficulty of training deep feedforward neural networks, 2010,
    equation 12, for each map by itself.
    """
    whole = tuple(int(n) for n in shape)
    roles = as_axes(axes, whole) or Axes(roles=())
    places = [place for place, role in enumerate(roles.roles) if role == Role.OUT]
    if len(places) != 1 or sum(sizes) != whole[places[0]] or any(n < 1 for n in sizes):
        raise InputError(
            explain(
                "The blocks are not the outputs",
                received=f"sizes {tuple(sizes)} for shape {whole} with axes '{roles}'",
                rule="There is one dimension in the role 'out', and the blocks' sizes add up to it",
            )
        )
    place = places[0]
    return tuple(fans((*whole[:place], n, *whole[place + 1 :]), roles) for n in sizes)


def lora_fans(
    shape: Sequence[int], rank: int, axes: Axes | str | Iterable[str] | None = None
) -> tuple[Fans, Fans]:
    """Fans of the two factors of a low-rank change ``W + s B A``.

    A maps the inputs to `rank` numbers, B these to the outputs: ``fan_in(A) = fan_in(W)``,
    ``fan_out(A) = fan_in(B) = rank``, ``fan_out(B) = fan_out(W)``.

    Parameters
    ----------
    shape, axes
        Of the weight W that is changed.
    rank
        Of the change.

    Returns
    -------
    tuple[Fans, Fans]
        Of A and of B.

    Raises
    ------
    InputError
        A rank below 1.

    Examples
    --------
    >>> first, second = lora_fans((1024, 4096), 8)
    >>> print(first, "|", second)
    fan_in 4096, fan_out 8 | fan_in 8, fan_out 1024

    References
    ----------
    E. J. Hu et al., LoRA: Low-Rank Adaptation of Large Language Models, 2021, section 4.1.
    """
    whole = fans(shape, axes)
    rank = _checked_rank(rank)
    return replace(whole, fan_out=float(rank)), replace(whole, fan_in=float(rank))


def lora_scaling(rank: int, alpha: float, *, stabilized: bool = True) -> float:
    """Factor s on the product ``B A`` of a low-rank change.

    ``alpha / sqrt(rank)`` if stabilized (rsLoRA), else ``alpha / rank`` (LoRA). With A of variance
    ``1 / fan_in`` and entries of B that training moves by a fixed step, ``B A x`` is a sum of `rank` terms of
    like size: only the root keeps its scale, and that of its gradients, for every rank.

    Parameters
    ----------
    rank, alpha
        Of the change.
    stabilized
        Whether the root is taken.

    Raises
    ------
    InputError
        A rank below 1, or an alpha that is not positive and finite.

    Examples
    --------
    >>> lora_scaling(64, 16.0), lora_scaling(64, 16.0, stabilized=False)
    (2.0, 0.25)

    References
    ----------
    D. Kalajdzievski, A Rank Stabilization Scaling Factor for Fine-Tuning with LoRA, 2023, theorem 3.2.
    """
    if not (finite(alpha) and alpha > 0):
        raise InputError(explain("alpha is not positive and finite", received=f"alpha={alpha}"))
    return alpha / (math.sqrt(_checked_rank(rank)) if stabilized else _checked_rank(rank))


def _checked_rank(rank: int) -> int:
    if isinstance(rank, bool) or rank != int(rank) or rank < 1:
        raise InputError(explain("A rank is a whole number of at least 1", received=f"rank={rank!r}"))
    return int(rank)
