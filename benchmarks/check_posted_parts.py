"""Small data that are drawn, and the parts that the networks of posted faults share."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = [
    "POOL", "Fn", "Made", "chain", "he", "head", "images", "memory", "mlp", "pixels", "positions",
    "regression", "tokens_ce", "vectors",
]  # fmt: skip

POOL = 128
Made = tuple[nn.Module, tuple[Any, ...], Any, Any]
"""A model, its inputs, its target, and its loss where it has one of its own."""


def vectors(seed: int, width: int = 32, classes: int = 10) -> tuple[Tensor, Tensor]:
    """Unit vectors, and the class that a drawn tanh network gives them."""
    g = torch.Generator().manual_seed(seed + 1000)
    x = torch.randn(POOL, width, generator=g)
    a = torch.randn(width, 32, generator=g) / math.sqrt(width)
    b = torch.randn(32, classes, generator=g)
    return x, (torch.tanh(2 * x @ a) @ b).argmax(1)


def regression(seed: int, width: int = 16) -> tuple[Tensor, Tensor]:
    """Unit vectors, and a standardised sum of sines of them."""
    g = torch.Generator().manual_seed(seed + 2000)
    x = torch.randn(POOL, width, generator=g)
    a = torch.randn(width, 16, generator=g) / math.sqrt(width)
    y = torch.sin(2 * x @ a) @ torch.randn(16, 1, generator=g)
    return x, (y - y.mean()) / y.std()


def images(seed: int, channels: int = 3, size: int = 16, classes: int = 10) -> tuple[Tensor, Tensor]:
    """A smooth picture a class, with noise, standardised."""
    g = torch.Generator().manual_seed(seed + 3000)
    base = functional.interpolate(
        torch.randn(classes, channels, 4, 4, generator=g), size=size, mode="bilinear"
    )
    y = torch.randint(0, classes, (POOL,), generator=g)
    x = base[y] + 0.7 * torch.randn(POOL, channels, size, size, generator=g)
    return (x - x.mean()) / x.std(), y


def pixels(seed: int, **kw: int) -> tuple[Tensor, Tensor]:
    """The same pictures as bytes 0..255, as floats."""
    x, y = images(seed, **kw)
    return (127 + 50 * x).round().clamp(0, 255), y


def chain(seed: int, vocab: int = 64, length: int = 16) -> tuple[Tensor, Tensor]:
    """Tokens whose successor is a table of the last two's sum, mostly; targets: the next tokens."""
    g = torch.Generator().manual_seed(seed + 4000)
    table = torch.randperm(vocab, generator=g)
    t = torch.randint(0, vocab, (POOL, length + 1), generator=g)
    for i in range(1, length + 1):
        keep = torch.rand(POOL, generator=g) < 0.9
        t[:, i] = torch.where(keep, table[t[:, i - 1]], t[:, i])
    return t[:, :-1].contiguous(), t[:, 1:].contiguous()


def positions(seed: int, vocab: int = 16, length: int = 16) -> tuple[Tensor, Tensor]:
    """Tokens; the class is the token that stands in one fixed place."""
    g = torch.Generator().manual_seed(seed + 4500)
    t = torch.randint(0, vocab, (POOL, length), generator=g)
    return t, t[:, 3].clone()


def memory(seed: int, length: int = 60, classes: int = 4, width: int = 8) -> tuple[Tensor, Tensor]:
    """Noise after a first vector that carries the class."""
    g = torch.Generator().manual_seed(seed + 5000)
    y = torch.randint(0, classes, (POOL,), generator=g)
    x = 0.3 * torch.randn(POOL, length, width, generator=g)
    x[:, 0] += 2.0 * torch.eye(classes, width)[y]
    return x, y


def tokens_ce(out: Tensor, target: Tensor) -> Tensor:
    """Cross entropy of every place."""
    return functional.cross_entropy(out.flatten(0, -2), target.flatten())


def he(model: nn.Module, gain: float = math.sqrt(2.0), *, biases: bool = True) -> nn.Module:
    """Normal weights of std gain/√fan_in, biases at zero; norms and embeddings stay."""
    for m in model.modules():
        if isinstance(m, (nn.Linear, nn.Conv1d, nn.Conv2d)):
            nn.init.normal_(m.weight, std=gain / math.sqrt(m.weight[0].numel()))
            if biases and m.bias is not None:
                nn.init.zeros_(m.bias)
    return model


def head(layer: nn.Linear) -> nn.Linear:
    """A last layer whose outputs have a power of a quarter."""
    nn.init.normal_(layer.weight, std=0.5 / math.sqrt(layer.in_features))
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def mlp(
    depth: int, width: int = 64, inp: int = 32, out: int = 10, act: type[nn.Module] = nn.ReLU
) -> nn.Sequential:
    """Layers of one width with an activation, and a linear end."""
    layers: list[nn.Module] = []
    for i in range(depth):
        layers += [nn.Linear(inp if i == 0 else width, width), act()]
    return nn.Sequential(*layers, nn.Linear(width, out))


class Fn(nn.Module):
    """A function as a module."""

    def __init__(self, f: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.f = f

    def forward(self, x: Tensor) -> Tensor:
        """Apply it."""
        return self.f(x)
