"""The Jacobian of one sample, and the tangent kernel of a few."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from fanin.errors import InputError, explain
from fanin.torch.statistics import flat

__all__ = ["kernel_condition", "stretch"]

_OUTPUTS = 16
_SAMPLES = 16
_NUMBERS = 2_000_000
"""Parameters that a tangent kernel is computed from, at most: evenly spaced ones of each tensor."""


def stretch(
    output: torch.Tensor, start: torch.Tensor, generator: torch.Generator
) -> tuple[float, float | None]:
    """Largest and root mean square singular value of the first sample's Jacobian.

    Of all outputs where there are at most 16, else of 16 random ones: then the largest is a lower bound.

    Parameters
    ----------
    output, start
        Of the run, with their history.
    generator
        Chooses the outputs.
    """
    rows = output[0].numel() if output.ndim else 1
    chosen = torch.randperm(rows, generator=generator)[:_OUTPUTS].tolist()
    table = []
    for place in chosen:
        direction = torch.zeros_like(output)
        direction[0 if output.ndim else ...].reshape(-1)[place] = 1.0
        (gradient,) = torch.autograd.grad(
            [output], [start], [direction], retain_graph=True, allow_unused=True
        )
        if gradient is None:
            raise InputError(explain("No gradient arrives at the first layer"))
        row = (gradient[0] if gradient.ndim else gradient).detach()
        row = torch.view_as_real(row.resolve_conj()) if row.is_complex() else row
        table.append(row.reshape(-1).double())
    values = torch.linalg.svdvals(torch.stack(table))
    return float(values[0]), math.sqrt(float(values.square().sum()) / len(chosen))


def kernel_condition(
    output: torch.Tensor, parameters: Sequence[torch.Tensor], generator: torch.Generator
) -> tuple[float, int]:
    """Condition number of the tangent kernel ``K_ij = <d f(x_i), d f(x_j)>`` of at most 16 samples.

    f is a random direction of the output, the same for all samples; parameters beyond two million are
    sampled.

    Parameters
    ----------
    output
        Of the run, with its history; samples lie along the first dimension.
    parameters
        That the kernel is over.
    generator
        Of the direction.
    """
    count = min(_SAMPLES, len(output)) if output.ndim else 0
    if count < 2:
        raise InputError(explain("A tangent kernel needs two samples", received=f"{count}"))
    r = torch.randn(output.shape[1:], generator=generator).to(output)
    step = max(1, sum(p.numel() for p in parameters) // _NUMBERS)
    rows = []
    for sample in range(count):
        direction = torch.zeros_like(output)
        direction[sample] = r
        gradients = torch.autograd.grad(
            [output], list(parameters), [direction], retain_graph=True, allow_unused=True
        )
        rows.append(torch.cat([flat(g.detach())[::step].double() for g in gradients if g is not None]))
    table = torch.stack(rows)
    values = torch.linalg.eigvalsh(table @ table.T)
    low, high = float(values[0]), float(values[-1])
    return (high / low if low > 0.0 else math.inf), count
