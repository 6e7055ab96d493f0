"""Drop-ins that need no fans: uniform, normal, truncated normal; and where their seeds come from."""

from __future__ import annotations

import torch

from fanin.errors import InputError, explain
from fanin.laws import moments
from fanin.records.draw import Constant, Draw, Normal, Uniform
from fanin.sampling.recipe import recipe
from fanin.torch.arguments import check_tensor, number
from fanin.torch.operator import compilable
from fanin.torch.store import check_writable, fill_, memoryless

__all__ = ["draw_", "draw_seed", "normal_", "trunc_normal_", "uniform_"]


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


def draw_(
    tensor: torch.Tensor, draw: Draw, generator: torch.Generator | None, seed: int | None, name: str
) -> torch.Tensor:
    """Fill a tensor with a draw, whose seed is given or drawn; on the meta device nothing is drawn."""
    check_tensor(tensor)
    if seed is None or generator is not None:
        # A call that is refused takes no number from a generator.
        check_writable(tensor, name)
        if memoryless(tensor):
            return tensor
        if isinstance(draw, Uniform | Normal):
            recipe(draw, "float64")
        seed = draw_seed(seed, generator)
    return fill_(tensor, draw, seed=seed, name=name)


@compilable
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
    low, high = number("a", a), number("b", b)
    draw = Constant(value=low) if low == high else Uniform(low=low, high=high)
    return draw_(tensor, draw, generator, seed, name)


@compilable
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
    centre, spread = number("mean", mean), number("std", std)
    draw = Constant(value=centre) if spread == 0 else Normal(mean=centre, std=spread)
    return draw_(tensor, draw, generator, seed, name)


@compilable
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
    low, high = number("a", a, infinite=True), number("b", b, infinite=True)
    draw = moments.truncated_from_parent(number("mean", mean), number("std", std), low, high)
    return draw_(tensor, draw, generator, seed, name)
