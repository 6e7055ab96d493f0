"""Drop-in functions with the names, signatures and laws of ``torch.nn.init``.

``import fanin.torch as init`` where ``import torch.nn.init as init`` was is all that changes, and:
values come from fanin's streams. With ``seed=`` and ``name=`` they are those of `fanin.sample`, on
every device and in every layout. Without ``seed=`` one is drawn, once, from ``generator=`` or from
PyTorch's global generator, so ``torch.manual_seed`` governs them as before.

Where PyTorch's own functions miss their law (float8, orthogonal matrices in 16 bits, bounds in the
far tail of a truncated normal), these follow it. Tensors on the meta device are left alone.
"""

from __future__ import annotations

import math
import warnings

import numpy as np
import torch

from fanin.errors import InputError, explain, nearest
from fanin.laws import moments
from fanin.records.draw import Constant, Draw, Normal, Orthogonal, Uniform
from fanin.sampling.engine import generate
from fanin.torch.store import check_writable, fill_

__all__ = [
    "calculate_gain",
    "constant_",
    "dirac_",
    "draw_seed",
    "eye_",
    "kaiming_normal_",
    "kaiming_uniform_",
    "normal_",
    "ones_",
    "orthogonal_",
    "sparse_",
    "trunc_normal_",
    "uniform_",
    "xavier_normal_",
    "xavier_uniform_",
    "zeros_",
]

_LINEAR = ("linear", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
_GAINS = (*_LINEAR, "sigmoid", "tanh", "relu", "leaky_relu", "selu")


def draw_seed(seed: int | None, generator: torch.Generator | None) -> int:
    """The seed of a call: the one that was given, or one number drawn from a generator."""
    if seed is None:
        device = generator.device if generator is not None else None
        return int(torch.randint(2**63 - 1, (), generator=generator, device=device or "cpu"))
    if generator is not None:
        raise InputError(
            explain(
                "Two sources of randomness were given",
                received=f"seed={seed} and a generator",
                rule="A seed fixes the values; a generator is asked for one when there is none",
                remedy="Give one of them",
            )
        )
    return seed


def _draw_(
    tensor: torch.Tensor, draw: Draw, generator: torch.Generator | None, seed: int | None, name: str
) -> torch.Tensor:
    check_writable(tensor, name)
    if tensor.is_meta:
        return tensor
    return fill_(tensor, draw, seed=draw_seed(seed, generator), name=name)


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


def uniform_(
    tensor: torch.Tensor,
    a: float = 0.0,
    b: float = 1.0,
    generator: torch.Generator | None = None,
    *,
    seed: int | None = None,
    name: str = "weight",
) -> torch.Tensor:
    """Fill with ``U(a, b)``.

    Parameters
    ----------
    tensor
        Of any shape and floating-point dtype; changed in place.
    a, b
        Bounds; equal ones give a constant.
    generator
        Is asked for a seed when none is given.
    seed, name
        Select the values; the same pair gives the same ones, as `fanin.sample`.

    Returns
    -------
    torch.Tensor
        The tensor itself.

    Raises
    ------
    InputError
        Bounds in the wrong order, or a tensor that cannot hold weights.

    Examples
    --------
    >>> w = uniform_(torch.empty(3, 5), -1, 1, seed=0)
    >>> bool((w.abs() < 1).all())
    True
    """
    draw = Constant(value=float(a)) if a == b else Uniform(low=float(a), high=float(b))
    return _draw_(tensor, draw, generator, seed, name)


def normal_(
    tensor: torch.Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    generator: torch.Generator | None = None,
    *,
    seed: int | None = None,
    name: str = "weight",
) -> torch.Tensor:
    """Fill with ``N(mean, std^2)``.

    Parameters
    ----------
    tensor
        Of any shape and floating-point dtype; changed in place.
    mean, std
        Of the values; a std of 0 gives a constant.
    generator, seed, name
        As in `uniform_`.

    Returns
    -------
    torch.Tensor
        The tensor itself.

    Raises
    ------
    InputError
        A negative std, or a tensor that cannot hold weights.

    Examples
    --------
    >>> bool(normal_(torch.empty(5), std=0.02, seed=0).abs().max() < 0.13)
    True
    """
    draw = Constant(value=float(mean)) if std == 0 else Normal(mean=float(mean), std=float(std))
    return _draw_(tensor, draw, generator, seed, name)


def trunc_normal_(
    tensor: torch.Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: torch.Generator | None = None,
    *,
    seed: int | None = None,
    name: str = "weight",
) -> torch.Tensor:
    """Fill with ``N(mean, std^2)`` given that the value lies in ``[a, b]``.

    As in PyTorch, `a` and `b` are absolute, and `mean` and `std` are those of the normal before the
    cut: with the defaults the values' own std is 0.88. `truncated_normal_` has the std asked for.
    Any bounds are exact, far tails and infinite ones included.

    Parameters
    ----------
    tensor
        Of any shape and floating-point dtype; changed in place.
    mean, std
        Of the normal before the cut.
    a, b
        Bounds in units of the weight.
    generator, seed, name
        As in `uniform_`.

    Returns
    -------
    torch.Tensor
        The tensor itself.

    Raises
    ------
    InputError
        A std that is not positive, bounds in the wrong order, or a tensor that cannot hold weights.

    Examples
    --------
    >>> bool(trunc_normal_(torch.empty(5), a=4, b=9, seed=0).min() >= 4)
    True
    """
    draw = moments.truncated_from_parent(float(mean), float(std), float(a), float(b))
    return _draw_(tensor, draw, generator, seed, name)


def constant_(tensor: torch.Tensor, val: float) -> torch.Tensor:
    """Fill with one value.

    Examples
    --------
    >>> constant_(torch.empty(2), 0.3).tolist()
    [0.30000001192092896, 0.30000001192092896]
    """
    with torch.no_grad():
        return tensor.fill_(val)


def ones_(tensor: torch.Tensor) -> torch.Tensor:
    """Fill with 1.

    Examples
    --------
    >>> ones_(torch.empty(2)).tolist()
    [1.0, 1.0]
    """
    return constant_(tensor, 1.0)


def zeros_(tensor: torch.Tensor) -> torch.Tensor:
    """Fill with 0.

    Examples
    --------
    >>> zeros_(torch.empty(2)).tolist()
    [0.0, 0.0]
    """
    with torch.no_grad():
        return tensor.zero_()


def eye_(tensor: torch.Tensor) -> torch.Tensor:
    """Fill a matrix with the identity: 1 on the main diagonal, 0 elsewhere.

    Raises
    ------
    InputError
        Not two dimensions.

    Examples
    --------
    >>> eye_(torch.empty(2, 3)).tolist()
    [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    """
    _dimensions(tensor, (2,), "The identity is a matrix")
    if tensor.is_meta:
        return tensor
    with torch.no_grad():
        tensor.zero_()
        tensor.diagonal().fill_(1)
    return tensor


def dirac_(tensor: torch.Tensor, groups: int = 1) -> torch.Tensor:
    """Fill a convolution's kernel so that it passes its input on: 1 at the centre of the kernel.

    Parameters
    ----------
    tensor
        Kernel of a 1-, 2- or 3-dimensional convolution, (out, in, ...).
    groups
        Groups of the convolution; each passes its own channels on.

    Raises
    ------
    InputError
        Not three to five dimensions, or outputs that do not divide into the groups.

    Examples
    --------
    >>> dirac_(torch.empty(2, 2, 3))[:, :, 1].tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    _dimensions(tensor, (3, 4, 5), "A convolution's kernel has them")
    if groups < 1 or tensor.shape[0] % groups:
        raise InputError(
            explain(
                "The outputs do not divide into the groups",
                received=f"{tensor.shape[0]} outputs, groups={groups}",
                rule="The first dimension is a multiple of groups",
            )
        )
    if tensor.is_meta:
        return tensor
    each = tensor.shape[0] // groups
    passed = min(each, tensor.shape[1])
    centre = tuple(size // 2 for size in tensor.shape[2:])
    with torch.no_grad():
        tensor.zero_()
        for group in range(groups):
            for channel in range(passed):
                tensor[(group * each + channel, channel, *centre)] = 1
    return tensor


def _dimensions(tensor: torch.Tensor, allowed: tuple[int, ...], rule: str) -> None:
    if tensor.ndim not in allowed:
        raise InputError(
            explain(
                f"Only tensors with {' or '.join(map(str, allowed))} dimensions are supported",
                received=f"shape {tuple(tensor.shape)}",
                rule=rule,
            )
        )


def _matrix(tensor: torch.Tensor) -> None:
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
    _matrix(tensor)
    kernel = math.prod(tensor.shape[2:])
    return tensor.shape[1] * kernel, tensor.shape[0] * kernel


def _glorot(tensor: torch.Tensor, gain: float) -> float:
    fan_in, fan_out = _fans(tensor)
    return gain * math.sqrt(2.0 / max(1, fan_in + fan_out))


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
    if 0 in tensor.shape:
        # PyTorch's words: code that filters this warning by its message goes on working.
        warnings.warn("Initializing zero-element tensors is a no-op", stacklevel=3)
        return None
    chosen = str(mode).lower()
    if chosen not in ("fan_in", "fan_out"):
        raise nearest(str(mode), ("fan_in", "fan_out"), kind="mode")
    fan = _fans(tensor)[chosen == "fan_out"]
    return calculate_gain(nonlinearity, a) / math.sqrt(fan)


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


def orthogonal_(
    tensor: torch.Tensor,
    gain: float = 1,
    generator: torch.Generator | None = None,
    *,
    seed: int | None = None,
    name: str = "weight",
) -> torch.Tensor:
    """Fill with a Haar-random semi-orthogonal matrix (first dimension x the rest) times `gain`.

    Parameters
    ----------
    tensor
        Two dimensions or more; 16-bit types too. Changed in place.
    gain
        Factor on the matrix.
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
    >>> w = orthogonal_(torch.empty(3, 5), seed=0)
    >>> bool(torch.allclose(w @ w.T, torch.eye(3), atol=1e-6))
    True

    References
    ----------
    A. M. Saxe et al., Exact solutions to the nonlinear dynamics of learning, 2014.
    """
    _matrix(tensor)
    if tensor.numel() == 0:
        return tensor
    rows, columns = tensor.shape[0], math.prod(tensor.shape[1:])
    draw = Orthogonal(gain=float(gain), std=abs(gain) / math.sqrt(max(rows, columns)))
    return _draw_(tensor, draw, generator, seed, name)


def sparse_(
    tensor: torch.Tensor,
    sparsity: float,
    std: float = 0.01,
    generator: torch.Generator | None = None,
    *,
    seed: int | None = None,
    name: str = "weight",
) -> torch.Tensor:
    """Fill with ``N(0, std^2)``, then set the same number of elements of each column to zero.

    ``ceil(sparsity * rows)`` rows, chosen at random for each column; values and places follow from the
    seed (PyTorch takes the places from its global generator, whatever generator is given).

    Parameters
    ----------
    tensor
        A matrix; changed in place.
    sparsity
        Share of each column that is zero, 0 to 1.
    std
        Of the other elements.
    generator, seed, name
        As in `uniform_`.

    Returns
    -------
    torch.Tensor
        The tensor itself.

    Raises
    ------
    InputError
        Not two dimensions, a share outside its range, or a tensor that cannot hold weights.

    Examples
    --------
    >>> (sparse_(torch.empty(10, 4), 0.3, seed=0) == 0).sum(0).tolist()
    [3, 3, 3, 3]

    References
    ----------
    J. Martens, Deep learning via Hessian-free optimization, 2010, section 5.
    """
    _dimensions(tensor, (2,), "Sparse initialisation is of matrices")
    if not 0 <= sparsity <= 1:
        raise InputError(explain("The sparsity is no share", received=sparsity, rule="0 <= sparsity <= 1"))
    check_writable(tensor, name)
    if tensor.is_meta or tensor.numel() == 0:
        return tensor
    chosen = draw_seed(seed, generator)
    normal_(tensor, 0.0, std, seed=chosen, name=name)
    shape = (tensor.shape[0], tensor.shape[1])
    keys = generate(
        Uniform(low=0.0, high=1.0), shape, seed=chosen, name=(name, "sparse rows"), dtype="float64"
    )
    rows = np.argsort(keys, axis=0, kind="stable")[: math.ceil(sparsity * shape[0])]
    with torch.no_grad():
        tensor.scatter_(0, torch.from_numpy(rows).to(tensor.device), 0.0)
    return tensor
