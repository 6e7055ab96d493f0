"""Drop-ins that divide by fans: Xavier (Glorot) and Kaiming (He), with PyTorch's table of gains."""

from __future__ import annotations

import math
import warnings

import torch

from fanin.errors import InputError, explain, nearest
from fanin.torch.arguments import check_tensor, number
from fanin.torch.init_plain import normal_, uniform_
from fanin.torch.operator import compilable

__all__ = [
    "calculate_gain",
    "check_matrix",
    "kaiming_normal_",
    "kaiming_uniform_",
    "xavier_normal_",
    "xavier_uniform_",
]

_LINEAR = ("linear", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
_GAINS = (*_LINEAR, "sigmoid", "tanh", "relu", "leaky_relu", "selu")


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """PyTorch's conventional gain of an activation, for use with this module.

    ``relu``: sqrt(2); ``leaky_relu``: sqrt(2 / (1 + slope^2)); ``tanh``: 5/3; ``selu``: 3/4; linear
    layers, convolutions and ``sigmoid``: 1. Those of tanh, selu and sigmoid are conventions;
    `fanin.laws.gains.gain` computes the gain that keeps power, for any function.

    Parameters
    ----------
    nonlinearity
        Name of the function in ``torch.nn.functional``.
    param
        Slope of ``leaky_relu``, 0.01 if None.

    Raises
    ------
    InputError
        An unknown name (it is a ValueError too), or a slope that is no number.

    Examples
    --------
    >>> calculate_gain("leaky_relu", 0)
    1.4142135623730951

    References
    ----------
    K. He et al., Delving Deep into Rectifiers, 2015, equation 15.
    """
    if nonlinearity in _LINEAR or nonlinearity == "sigmoid":
        return 1.0
    if nonlinearity == "tanh":
        return 5.0 / 3.0
    if nonlinearity == "selu":
        return 3.0 / 4.0
    if nonlinearity == "relu":
        return math.sqrt(2.0)
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else param
        if isinstance(slope, bool) or not isinstance(slope, int | float):
            raise InputError(explain("negative_slope is not a valid number", received=repr(slope)))
        return math.sqrt(2.0 / (1.0 + slope**2))
    raise nearest(str(nonlinearity), _GAINS, kind="nonlinearity of PyTorch's gain table")


def check_matrix(tensor: torch.Tensor) -> None:
    """Refuse a tensor whose shape has no fans."""
    check_tensor(tensor)
    if tensor.ndim < 2:
        raise InputError(
            explain(
                "Fan in and fan out can not be computed for a tensor with fewer than 2 dimensions",
                received=f"shape {tuple(tensor.shape)}",
                rule="The first dimension is out, the second in, the others the kernel",
                remedy="Use normal_, uniform_ or zeros_ for vectors",
            )
        )


def _fans(tensor: torch.Tensor) -> tuple[int, int]:
    """PyTorch's fans: those of the shape alone."""
    check_matrix(tensor)
    kernel = math.prod(tensor.shape[2:])
    return tensor.shape[1] * kernel, tensor.shape[0] * kernel


def _glorot(tensor: torch.Tensor, gain: float) -> float:
    fan_in, fan_out = _fans(tensor)
    return number("gain", gain) * math.sqrt(2.0 / max(1, fan_in + fan_out))


@compilable
def xavier_uniform_(
    tensor: torch.Tensor,
    gain: float = 1.0,
    generator: torch.Generator | None = None,
    *,
    seed: int | None = None,
    name: str = "weight",
) -> torch.Tensor:
    """Fill with ``U(-a, a)``, ``a = gain sqrt(6 / (fan_in + fan_out))``.

    Parameters
    ----------
    tensor
        (out, in, kernel...), two dimensions or more; changed in place.
    gain
        Factor on the std.
    generator, seed, name
        As in `uniform_`.

    Returns
    -------
    torch.Tensor
        The tensor itself.

    Raises
    ------
    InputError
        Fewer than two dimensions, or a tensor that cannot hold weights.

    Examples
    --------
    >>> bool(xavier_uniform_(torch.empty(3, 3), seed=0).abs().max() < 1)
    True

    References
    ----------
    X. Glorot, Y. Bengio, 2010, equation 16.
    """
    half = math.sqrt(3.0) * _glorot(tensor, gain)
    return uniform_(tensor, -half, half, generator, seed=seed, name=name)


@compilable
def xavier_normal_(
    tensor: torch.Tensor,
    gain: float = 1.0,
    generator: torch.Generator | None = None,
    *,
    seed: int | None = None,
    name: str = "weight",
) -> torch.Tensor:
    """Fill with ``N(0, gain^2 2 / (fan_in + fan_out))``; not truncated.

    Parameters, result and errors are those of `xavier_uniform_`.

    Examples
    --------
    >>> tuple(xavier_normal_(torch.empty(3, 5), seed=0).shape)
    (3, 5)

    References
    ----------
    X. Glorot, Y. Bengio, 2010, equation 12.
    """
    return normal_(tensor, 0.0, _glorot(tensor, gain), generator, seed=seed, name=name)


def _kaiming(tensor: torch.Tensor, a: float, mode: str, nonlinearity: str) -> float | None:
    check_tensor(tensor)
    number("a", a)
    if 0 in tensor.shape:
        # PyTorch's words: code that filters this warning by its message goes on working.
        warnings.warn("Initializing zero-element tensors is a no-op", stacklevel=4)
        return None
    chosen = str(mode).lower()
    if chosen not in ("fan_in", "fan_out"):
        raise nearest(str(mode), ("fan_in", "fan_out"), kind="mode")
    fan = _fans(tensor)[chosen == "fan_out"]
    return calculate_gain(nonlinearity, a) / math.sqrt(fan)


@compilable
def kaiming_uniform_(
    tensor: torch.Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: torch.Generator | None = None,
    *,
    seed: int | None = None,
    name: str = "weight",
) -> torch.Tensor:
    """Fill with ``U(-b, b)``, ``b = gain sqrt(3 / fan)``.

    Parameters
    ----------
    tensor
        (out, in, kernel...), two dimensions or more; changed in place.
    a
        Slope of ``leaky_relu``; with it the gain is ``sqrt(2 / (1 + a^2))``.
    mode
        ``"fan_in"`` or ``"fan_out"``.
    nonlinearity
        One that `calculate_gain` knows.
    generator, seed, name
        As in `uniform_`.

    Returns
    -------
    torch.Tensor
        The tensor itself.

    Raises
    ------
    InputError
        Fewer than two dimensions, an unknown mode or nonlinearity, or a tensor that cannot hold
        weights.

    Examples
    --------
    >>> bool(kaiming_uniform_(torch.empty(3, 6), seed=0).abs().max() < 1)
    True

    References
    ----------
    K. He et al., Delving Deep into Rectifiers, 2015, equations 10, 14 and 15.
    """
    std = _kaiming(tensor, a, mode, nonlinearity)
    if std is None:
        return tensor
    half = math.sqrt(3.0) * std
    return uniform_(tensor, -half, half, generator, seed=seed, name=name)


@compilable
def kaiming_normal_(
    tensor: torch.Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: torch.Generator | None = None,
    *,
    seed: int | None = None,
    name: str = "weight",
) -> torch.Tensor:
    """Fill with ``N(0, gain^2 / fan)``; not truncated.

    Parameters, result and errors are those of `kaiming_uniform_`.

    Examples
    --------
    >>> import fanin
    >>> w = kaiming_normal_(torch.empty(3, 5), seed=7, name="fc.weight")
    >>> twin = fanin.sample("he_normal", (3, 5), seed=7, name="fc.weight")
    >>> bool((w.numpy() == twin).all())
    True

    References
    ----------
    K. He et al., Delving Deep into Rectifiers, 2015, equations 10, 14 and 15.
    """
    std = _kaiming(tensor, a, mode, nonlinearity)
    return tensor if std is None else normal_(tensor, 0.0, std, generator, seed=seed, name=name)
