"""Plan, initialise and check a small PyTorch model: the shortest way through the library.

Run it with ``python examples/first.py``, or hand its model to the command line:
``fanin plan examples/first.py:model``.
"""

from __future__ import annotations

import torch
from torch import nn

import fanin.torch


def model() -> nn.Module:
    """Three layers, with an activation that no library has a name for."""

    class Bent(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.where(x > 0, x, 0.1 * torch.tanh(x))

    return nn.Sequential(nn.Linear(64, 256), Bent(), nn.Linear(256, 256), Bent(), nn.Linear(256, 10))


def main() -> None:
    """Show the plan, carry it out, and look for trouble."""
    net = model()
    batch = torch.randn(128, 64, generator=torch.Generator().manual_seed(0))
    plan = fanin.torch.plan(net, batch, seed=0)
    print(plan)
    fanin.torch.apply_(net, plan)
    print(fanin.torch.check(net, batch))


if __name__ == "__main__":
    main()
