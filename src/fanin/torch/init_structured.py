"""Drop-ins with a structure: constants, identities, orthogonal and sparse matrices."""

from __future__ import annotations

import math

import torch

from fanin.errors import InputError, explain
from fanin.records.axes import Axes, Role
from fanin.records.draw import Constant, Draw, Orthogonal, Sparse
from fanin.torch.arguments import check_tensor, number
from fanin.torch.init_fans import check_matrix
from fanin.torch.init_plain import draw_, draw_seed
from fanin.torch.operator import compilable
from fanin.torch.store import check_dense, check_writable, fill_, memoryless

__all__ = ["constant_", "dirac_", "eye_", "ones_", "orthogonal_", "sparse_", "zeros_"]

_COLUMNS = Axes(roles=(Role.IN, Role.OUT))


def constant_(tensor: torch.Tensor, val: float) -> torch.Tensor:
    """Fill with one value.

    Parameters
    ----------
    tensor
        Of any shape and dtype; changed in place.
    val
        The value.

    Returns
    -------
    torch.Tensor
        The tensor itself.

    Examples
    --------
    >>> constant_(torch.empty(2), 0.3).tolist()
    [0.30000001192092896, 0.30000001192092896]
    """
    check_tensor(tensor)
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
    check_tensor(tensor)
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
    if memoryless(tensor):
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
    if memoryless(tensor):
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
    check_tensor(tensor)
    if tensor.ndim not in allowed:
        raise InputError(
            explain(
                f"Only tensors with {' or '.join(map(str, allowed))} dimensions are supported",
                received=f"shape {tuple(tensor.shape)}",
                rule=rule,
            )
        )
    if not torch.compiler.is_compiling():
        # A compiler cannot look at a tensor's own memory, and PyTorch checks what it compiles.
        check_dense(tensor, "weight")


@compilable
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
    check_matrix(tensor)
    if tensor.numel() == 0:
        return tensor
    rows, columns = tensor.shape[0], math.prod(tensor.shape[1:])
    factor = number("gain", gain)
    draw = Orthogonal(gain=factor, std=abs(factor) / math.sqrt(max(rows, columns)))
    return draw_(tensor, draw, generator, seed, name)


@compilable
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
    number("std", std)
    if not 0 <= number("sparsity", sparsity) <= 1:
        raise InputError(explain("The sparsity is no share", received=sparsity, rule="0 <= sparsity <= 1"))
    check_writable(tensor, name)
    if memoryless(tensor) or tensor.numel() == 0:
        return tensor
    kept = tensor.shape[0] - math.ceil(sparsity * tensor.shape[0])
    draw: Draw = Constant(value=0.0)
    if kept and std:
        draw = Sparse(parent_std=float(std), kept=kept, std=std * math.sqrt(kept / tensor.shape[0]))
    # A column is what one unit of the draw is.
    return fill_(tensor, draw, seed=draw_seed(seed, generator), name=name, axes=_COLUMNS)
