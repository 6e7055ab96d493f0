"""The one door of this room: a name in, an explanation out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from fanin.errors import InputError, nearest
from fanin.errors import explain as composed
from fanin.explanations import laws, topics
from fanin.explanations.activation import explain_activation
from fanin.explanations.layers import LAYERS, layer_axes
from fanin.explanations.scheme import explain_scheme
from fanin.laws.activations import ACTIVATIONS, ALIASES
from fanin.records.axes import Axes
from fanin.records.explanation import Explanation
from fanin.schemes import registry

__all__ = ["explain", "known", "refuse_options"]

_MATRIX = (256, 784)
_KERNEL = 3
_CHANNELS = (64, 32)


def known() -> tuple[str, ...]:
    """Every name that `explain` takes: schemes, their other names, activations, laws and topics."""
    schemes = (*registry.names(), *registry.aliases())
    return (*schemes, *ACTIVATIONS, *ALIASES, *laws.catalogue(), *topics.catalogue())


def explain(
    name: str,
    *,
    shape: Sequence[int] | None = None,
    layer: str | None = None,
    axes: Axes | str | None = None,
    groups: int = 1,
    stride: int = 1,
    activation: str | None = None,
    dtype: str | None = None,
    depth: int = 50,
    **parameters: Any,
) -> Explanation:
    """Explain a scheme for a shape, an activation, a law, or one of the questions that people ask.

    For ``he_normal`` and a shape ``(out, in)``: ``Var[w] = 1 / (in E f²)``, why, and what follows.

    Parameters
    ----------
    name
        A scheme or its other name, an activation, a law such as ``"fans"``, or a topic such as
        ``"six-and-two"``.
    shape
        Of the weight; without one, an example is used and said to be one.
    layer
        Kind of layer, such as ``"conv2d"``; gives the roles of the dimensions.
    axes
        The roles themselves, instead of a layer: ``"in out"``.
    groups, stride
        Of a convolution.
    activation
        Of the layer's input.
    dtype
        Say what rounding to it does.
    depth
        Number of layers that laws and topics compute with.
    **parameters
        Those of the scheme, by keyword.

    Returns
    -------
    Explanation
        A record that prints; every figure in it is computed by the laws.

    Raises
    ------
    UnknownNameError
        Nothing has this name; the message has the nearest.
    InputError
        A shape, a layer or parameters that do not fit.

    Examples
    --------
    >>> told = explain("he_normal", shape=(256, 784))
    >>> round(told.number("std"), 12) == round((2 / 784) ** 0.5, 12)
    True
    >>> round(explain("gelu").number("forward gain"), 4)
    1.5335
    """
    if name in registry.names() or name in registry.aliases():
        size, note = _shape(shape, layer, axes)
        options: dict[str, Any] = {"activation": activation, "dtype": dtype, "parameters": parameters}
        roles = axes
        if layer is not None and axes is None:
            roles = layer_axes(layer, size, groups=groups, stride=stride)
        elif layer is None and axes is None and (groups, stride) != (1, 1):
            raise InputError(
                composed(
                    "Groups and strides belong to a convolution",
                    received=f"groups={groups}, stride={stride}, no layer",
                    remedy="Name it, for example layer='conv2d'",
                )
            )
        try:
            told = explain_scheme(name, size, roles, **options)
        except InputError:
            if shape is not None or roles is not None:
                raise
            # Some schemes are for kernels only, and for as many outputs as inputs.
            size, note = _shape(None, "conv2d", None)
            told = explain_scheme(name, size, roles, **options)
        return replace(told, notes=(*told.notes, note)) if note else told
    given = {
        "shape": shape,
        "layer": layer,
        "axes": axes,
        "activation": activation,
        "dtype": dtype,
    } | parameters
    refuse_options(name, given)
    if name in topics.catalogue():
        return topics.get(name, depth=depth)
    if name in laws.catalogue():
        return laws.get(name, depth=depth)
    if name.partition("(")[0].strip().lower() in {*ACTIVATIONS, *ALIASES}:
        return explain_activation(name)
    raise nearest(name, known(), kind="subject")


def refuse_options(name: str, given: Mapping[str, object]) -> None:
    """Refuse what only schemes take.

    Raises
    ------
    InputError
        An option that is not None.
    """
    useless = [word for word, value in given.items() if value is not None]
    if useless:
        raise InputError(
            composed(
                "Only schemes are explained for a shape and with parameters",
                received=f"{', '.join(useless)} for {name!r}",
                remedy="Leave them out, or name a scheme: fanin list",
            )
        )


def _shape(
    shape: Sequence[int] | None, layer: str | None, axes: Axes | str | None
) -> tuple[tuple[int, ...], str]:
    if layer is not None and axes is not None:
        raise InputError(
            composed(
                "A layer gives the axes",
                received=f"layer={layer!r}, axes='{axes}'",
                remedy="Give one of them",
            )
        )
    if shape is not None:
        return tuple(int(n) for n in shape), ""
    rank = 2
    if layer is not None:
        if layer not in LAYERS:
            raise nearest(layer, LAYERS, kind="layer")
        rank = len(LAYERS[layer])
    elif axes is not None:
        rank = len(axes.roles) if isinstance(axes, Axes) else len(axes.split())
    size = _MATRIX[:rank] if rank <= 2 else (*_CHANNELS, *[_KERNEL] * (rank - 2))
    return size, f"No shape was given: the figures are those of {' × '.join(map(str, size))}, as an example."
