"""What the dimensions of a Keras layer's kernel mean, for layers that hand over a shape and nothing else."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from fanin.errors import InputError, explain, nearest
from fanin.records.axes import Axes, Role

__all__ = ["KERNELS", "kernel_axes"]

_IN, _OUT = Role.IN, Role.OUT


def _kernels() -> dict[str, Axes]:
    matrix = Axes(roles=(_IN, _OUT))
    found = {"Dense": matrix, "SimpleRNN": matrix, "Embedding": Axes(roles=(Role.BATCH, _OUT))}
    found |= {"LSTM": Axes(roles=(_IN, _OUT), groups=4), "GRU": Axes(roles=(_IN, _OUT), groups=3)}
    for rank in (1, 2, 3):
        taps = (Role.RECEPTIVE,) * rank
        found[f"Conv{rank}D"] = Axes(roles=(*taps, _IN, _OUT))
        found[f"Conv{rank}DTranspose"] = Axes(roles=(*taps, _OUT, _IN), transposed=True)
        if rank < 3:
            # A channel of its own for each input; the multiplier counts the outputs of one channel.
            found[f"DepthwiseConv{rank}D"] = Axes(roles=(*taps, Role.GROUP, _OUT))
            found[f"SeparableConv{rank}D"] = found[f"DepthwiseConv{rank}D"]
    return found


KERNELS: Mapping[str, Axes] = MappingProxyType(_kernels())
"""Roles by the layer's class name: of `kernel`, of `depthwise_kernel`, or of an embedding's table."""


def kernel_axes(layer: str | type, *, strides: int | Sequence[int] = 1, groups: int = 1) -> Axes:
    """Roles of the dimensions of a layer's kernel, as Keras stores it.

    Keras tells an initializer a shape. For `Dense` and `Conv` the default ``receptive ... in out`` is what
    the shape means; `EinsumDense` and attention say their roles themselves. For all others say
    ``kernel_initializer=HeNormal(axes=kernel_axes("Conv2DTranspose", strides=2))``.

    Parameters
    ----------
    layer
        A layer class of Keras or its name; a recurrent cell by its layer. Of a separable convolution it is
        the depthwise kernel: the pointwise one is a plain kernel.
    strides
        Of a convolution, along each dimension or along all.
    groups
        Of a plain convolution.

    Returns
    -------
    Axes
        For the parameter `axes` of any initializer here. Gates of LSTM and GRU are groups, so each has the
        fans of its own matrix.

    Raises
    ------
    UnknownNameError
        A layer without a kernel of known roles; the message has the nearest.
    InputError
        Strides or groups of a layer that has none, or not one stride a dimension.

    Examples
    --------
    >>> print(kernel_axes("Conv2DTranspose", strides=2))
    receptive receptive out in (stride=4, transposed)
    >>> print(kernel_axes("DepthwiseConv2D"))
    receptive receptive group out
    """
    name = layer if isinstance(layer, str) else getattr(layer, "__name__", str(layer))
    known = name.removesuffix("Cell").replace("Convolution", "Conv")
    if known not in KERNELS:
        raise nearest(name, KERNELS, kind="Keras layer with a kernel")
    axes = KERNELS[known]
    rank = sum(role == Role.RECEPTIVE for role in axes.roles)
    steps = (strides,) * rank if isinstance(strides, int) else tuple(int(n) for n in strides)
    idle = not rank and strides not in (1, (1,))
    if idle or len(steps) != rank or (groups != 1 and known != f"Conv{rank}D"):
        raise InputError(
            explain(
                f"{name} has no such strides or groups",
                received=f"strides={strides!r}, groups={groups}",
                rule="Convolutions have a stride for each spatial dimension; plain ones have groups",
                remedy="Leave out what the layer does not have",
            )
        )
    return Axes(
        roles=axes.roles,
        groups=groups if known == f"Conv{rank}D" else axes.groups,
        stride=math.prod(steps),
        transposed=axes.transposed,
    )
