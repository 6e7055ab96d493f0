"""Roles of a weight's dimensions from the kind of layer that holds it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

from fanin.errors import InputError, explain, nearest
from fanin.records.axes import Axes, Role, as_axes

__all__ = ["LAYERS", "layer_axes"]

LAYERS: dict[str, tuple[Role, ...]] = {
    "linear": (Role.OUT, Role.IN),
    "dense": (Role.IN, Role.OUT),
    "embedding": (Role.BATCH, Role.OUT),
} | {
    f"conv{kind}{rank}d": (*pair, *[Role.RECEPTIVE] * rank)
    for (kind, pair), rank in product(
        (("", (Role.OUT, Role.IN)), ("_transpose", (Role.IN, Role.OUT))), (1, 2, 3)
    )
}
"""Kinds of layers by name; weights lie as in PyTorch, that of `dense` as in Keras."""


def layer_axes(layer: str, shape: Sequence[int], *, groups: int = 1, stride: int = 1) -> Axes:
    """Roles of the dimensions of a layer's weight.

    Parameters
    ----------
    layer
        A name in `LAYERS`.
    shape
        Of the weight: ``(out, in / groups, kernel...)`` for a convolution, ``(in, out / groups,
        kernel...)`` for a transposed one.
    groups, stride
        Of a convolution; the stride is that of each spatial dimension.

    Raises
    ------
    InputError
        An unknown layer, another number of dimensions, or groups and strides of a layer that has none.

    Examples
    --------
    >>> print(layer_axes("conv_transpose2d", (256, 16, 4, 4), stride=2))
    in out receptive receptive (stride=4, transposed)
    """
    roles = LAYERS.get(layer)
    if roles is None:
        raise nearest(layer, LAYERS, kind="layer")
    if len(roles) != len(shape):
        raise InputError(
            explain(
                "The shape is not that of such a layer",
                received=f"{layer}, shape {tuple(shape)}",
                rule=f"A weight of {layer} is {' '.join(roles)}",
            )
        )
    spatial = len(roles) - 2
    if not spatial and (groups != 1 or stride != 1):
        raise InputError(
            explain(
                "Only convolutions have groups and a stride",
                received=f"{layer}, groups={groups}, stride={stride}",
                remedy="Leave them out, or name a convolution: "
                + ", ".join(n for n in LAYERS if "conv" in n),
            )
        )
    made = Axes(
        roles=roles, groups=groups, stride=stride**spatial if stride > 0 else stride,
        transposed="transpose" in layer,
    )  # fmt: skip
    as_axes(made, tuple(shape))
    return made
