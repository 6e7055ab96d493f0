"""What the networks of the calibration are made of.

Every network is made from a seed alone, which also chooses its width, depth and activation; so a row
of the calibration table can be made again from its name and seed.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

import fanin.torch

__all__ = [
    "ACTIVATIONS", "BATCH", "CLASSES", "Block", "Case", "Fault", "Head", "Language", "PreResidual",
    "Recurrent", "Residual", "Unused", "done", "encoder", "mlp", "start", "targets",
]  # fmt: skip

CLASSES = 10
BATCH = 64
ACTIVATIONS = {
    "relu": nn.ReLU, "leaky": lambda: nn.LeakyReLU(0.1), "tanh": nn.Tanh, "gelu": nn.GELU, "silu": nn.SiLU,
    "elu": nn.ELU,
}  # fmt: skip


@dataclass(kw_only=True)
class Case:
    """A model with its batch, as `fanin.torch.check` takes them."""

    model: nn.Module
    inputs: tuple[Any, ...]
    target: Any = None
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What has to be found: its codes (any of them), and a word of the cause.

    `remark` says that the finding may be a remark: the fault costs speed or says how much figures mean.
    """

    make: Callable[[int], Case]
    codes: tuple[str, ...]
    cause: str
    remark: bool = False


def start(seed: int) -> random.Random:
    """Seed torch, and a source of shapes."""
    torch.manual_seed(seed)
    return random.Random(seed)  # noqa: S311 - shapes of test networks


def targets() -> torch.Tensor:
    """Random classes."""
    return torch.randint(CLASSES, (BATCH,))


def mlp(
    depth: int, width: int, act: Callable[[], nn.Module], norm: Callable[[int], nn.Module] | None = None
) -> nn.Sequential:
    """A plain network, with a norm before each activation if asked."""
    layers: list[nn.Module] = []
    for i in range(depth):
        layers.append(nn.Linear(64 if i == 0 else width, width))
        layers += [norm(width)] if norm else []
        layers.append(act())
    return nn.Sequential(*layers, nn.Linear(width, CLASSES))


def done(model: nn.Module, *inputs: Any, seed: int, **options: Any) -> Case:
    """The model as fanin initialises it, with its batch."""
    fanin.torch.init_(model, *inputs, seed=seed)
    return Case(model=model, inputs=inputs, target=targets(), options=options)


class Residual(nn.Module):
    """A convolutional block with a skip connection."""

    def __init__(self, channels: int, *, norm: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=not norm)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=not norm)
        self.norm1 = nn.BatchNorm2d(channels) if norm else nn.Identity()
        self.norm2 = nn.BatchNorm2d(channels) if norm else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Run it."""
        return torch.relu(x + self.norm2(self.conv2(torch.relu(self.norm1(self.conv1(x))))))


class PreResidual(nn.Module):
    """An MLP branch whose sum is not passed through anything."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Run it."""
        return x + self.down(torch.relu(self.up(x)))


class Head(nn.Module):
    """A mean over positions and a linear head."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.out = nn.Linear(width, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Run it."""
        return self.out(x.mean(dim=1) if x.ndim == 3 else x.mean(dim=(2, 3)))


class Recurrent(nn.Module):
    """A recurrent layer and a head on its last state."""

    def __init__(self, kind: type[nn.Module], width: int) -> None:
        super().__init__()
        self.cells, self.out = kind(16, width, batch_first=True), nn.Linear(width, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Run it."""
        return self.out(self.cells(x)[0][:, -1])


class Language(nn.Module):
    """A small causal transformer with tied embeddings, pre-norm, drawn as GPT-2 is."""

    def __init__(self, width: int = 64, depth: int = 4, vocabulary: int = 200, *, tie: bool = True) -> None:
        super().__init__()
        self.tokens, self.places = nn.Embedding(vocabulary, width), nn.Embedding(16, width)
        self.blocks = nn.ModuleList(Block(width) for _ in range(depth))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, vocabulary, bias=False)
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=0.02)
            if isinstance(module, nn.Linear) and module.bias is not None:
                nn.init.zeros_(module.bias)
        if tie:
            self.head.weight = self.tokens.weight

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Run it."""
        x = self.tokens(ids) + self.places(torch.arange(ids.shape[1]))
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


class Block(nn.Module):
    """Pre-norm attention and MLP."""

    def __init__(self, width: int, scale: float | None = None) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.join = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down, self.scale = nn.Linear(width, 4 * width), nn.Linear(4 * width, width), scale

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Run it."""
        b, t, d = x.shape
        q, k, v = (s.view(b, t, 4, d // 4).transpose(1, 2) for s in self.qkv(self.norm1(x)).chunk(3, dim=-1))
        mixed = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True, scale=self.scale)
        x = x + self.join(mixed.transpose(1, 2).reshape(b, t, d))
        return x + self.down(nn.functional.gelu(self.up(self.norm2(x))))


def encoder(rng: random.Random, depth: int, *, pre: bool, dropout: float = 0.0) -> nn.Module:
    """Transformer encoder layers of torch between a linear layer and a head."""
    width = rng.choice((32, 64))
    blocks = [
        nn.TransformerEncoderLayer(width, 4, 2 * width, dropout, batch_first=True, norm_first=pre)
        for _ in range(depth)
    ]
    return nn.Sequential(nn.Linear(16, width), *blocks, *([nn.LayerNorm(width)] if pre else []), Head(width))


class Unused(nn.Module):
    """A layer that is built and not called, or whose result is not used."""

    def __init__(self, *, call: bool) -> None:
        super().__init__()
        self.body, self.spare, self.call = mlp(2, 64, nn.ReLU), nn.Linear(64, 64), call

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Run it."""
        if self.call:
            self.spare(x)
        return self.body(x)
