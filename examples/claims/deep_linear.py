"""Deep linear networks learn in a time that does not depend on depth, if their weights are orthogonal.

A. M. Saxe et al., Exact solutions to the nonlinear dynamics of learning in deep linear neural networks,
2014, section 3: scaled Gaussian matrices keep the mean power too, but their product does not keep lengths,
and the deeper the network the longer it takes. Here real digits (whitened) are turned by a matrix that
is to be learnt; counted are the steps until four fifths of the target's power are explained.
"""

from __future__ import annotations

import math

import torch
from torch import nn
from training import digits, full, initialised, show

WIDTH = 32
EXPLAINED = 0.8
DEPTHS = (4, 16, 64)


def task() -> tuple[torch.Tensor, torch.Tensor]:
    """The first principal components of the digits, whitened, and the same turned."""
    pixels = torch.from_numpy(digits().train).double()
    pixels = pixels - pixels.mean(0)
    left, _, _ = torch.linalg.svd(pixels, full_matrices=False)
    inputs = left[:, :WIDTH] * math.sqrt(len(pixels))
    generator = torch.Generator().manual_seed(0)
    turn, _ = torch.linalg.qr(torch.randn(WIDTH, WIDTH, generator=generator, dtype=torch.float64))
    return inputs.float(), (inputs @ turn).float()


def steps(policy: str, depth: int, *, rate: float, most: int, seed: int = 0) -> float:
    """Steps of gradient descent until so much is explained; infinite if never, or not a number."""
    inputs, targets = task()
    layers = [nn.Linear(WIDTH, WIDTH, bias=False) for _ in range(depth)]
    model = initialised(nn.Sequential(*layers), policy, seed, size=(2, WIDTH))
    # A step changes the product through every factor, so rates are shares of 1 / depth.
    optimiser = torch.optim.SGD(model.parameters(), lr=rate / depth)
    for step in range(most):
        loss = (model(inputs) - targets).square().mean()
        if not math.isfinite(loss.item()):
            return math.inf
        if loss.item() < 1.0 - EXPLAINED:
            return float(step)
        optimiser.zero_grad()
        (loss * WIDTH / 2.0).backward()
        optimiser.step()
    return math.inf


def best(policy: str, depth: int, *, rates: tuple[float, ...], most: int) -> float:
    """The fewest steps of all learning rates."""
    fewest = math.inf
    for rate in rates:
        fewest = min(fewest, steps(policy, depth, rate=rate, most=int(min(most, fewest))))
    return fewest


def main() -> None:
    """Print steps by depth for Gaussian and orthogonal weights."""
    whole = full(__doc__)
    rates, most = ((0.05, 0.2, 0.5, 1.0), 1000) if whole else ((0.5,), 40)
    depths = DEPTHS if whole else DEPTHS[:2]
    rows = []
    for policy in ("lecun", "orthogonal"):
        counts = [best(policy, depth, rates=rates, most=most) for depth in depths]
        rows.append((policy, *(f"{n:g}" if math.isfinite(n) else f"not in {most}" for n in counts)))
    show(("policy", *(f"steps at {depth} layers" for depth in depths)), rows)


if __name__ == "__main__":
    main()
