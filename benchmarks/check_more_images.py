"""Healthy networks for images, of further kinds, with their makers' own weights or with fanin's."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from check_blocks import BATCH, CLASSES, Case, start, targets
from check_more_models import Dense, Excited, Separable, UNet, convs, image_head
from torch import nn

import fanin.torch

__all__ = ["MORE_IMAGES", "he", "made", "small"]


def made(
    rng: random.Random, model: nn.Module, *inputs: Any, seed: int, own: float = 0.5, **options: Any
) -> Case:
    """With its own weights in a share of the seeds, else with fanin's."""
    target = options.pop("target", None)
    if rng.random() >= own:
        fanin.torch.init_(model, *inputs, seed=seed)
    return Case(model=model, inputs=inputs, target=target, options=options)


def he(model: nn.Module) -> nn.Module:
    """As torchvision draws its convolutional networks."""
    for m in model.modules():
        if isinstance(m, nn.Conv2d):
            nn.init.kaiming_normal_(m.weight, mode="fan_out", nonlinearity="relu")
            if m.bias is not None:
                nn.init.zeros_(m.bias)
        elif isinstance(m, nn.Linear):
            nn.init.normal_(m.weight, std=0.01)
            nn.init.zeros_(m.bias)
    return model


def small(model: nn.Module, std: float = 0.02) -> nn.Module:
    """As BERT, ViT and GPT are drawn: everything that multiplies with std 0.02."""
    for m in model.modules():
        if isinstance(m, nn.Linear | nn.Conv2d):
            nn.init.trunc_normal_(m.weight, std=std)
            if m.bias is not None:
                nn.init.zeros_(m.bias)
        elif isinstance(m, nn.Embedding):
            nn.init.normal_(m.weight, std=std)
    return model


def unet(seed: int) -> Case:
    """Down, up, and skips that are concatenated; a class for each pixel."""
    rng = start(seed)
    norm = rng.choice((None, nn.BatchNorm2d, partial(nn.GroupNorm, 4)))
    model = UNet(rng.choice((8, 16)), norm, CLASSES)
    target = torch.randint(CLASSES, (16, 16, 16))
    return made(
        rng, model, torch.randn(16, 3, 16, 16), seed=seed, own=0.5 * (norm is not None), target=target
    )


def diffusion(seed: int) -> Case:
    """A U-Net that is told the time and predicts noise."""
    rng = start(seed)
    model = UNet(rng.choice((8, 16)), partial(nn.GroupNorm, 4), 3, time=True)
    x, t = torch.randn(16, 3, 16, 16), torch.rand(16) * 1000
    return made(rng, model, x, t, seed=seed, target=torch.randn(16, 3, 16, 16))


def dense_net(seed: int) -> Case:
    """Every layer reads all before it."""
    rng = start(seed)
    model = he(Dense(rng.randint(3, 16), rng.choice((8, 12))))
    return made(rng, model, torch.randn(BATCH, 3, 8, 8), seed=seed, target=targets())


def excited(seed: int) -> Case:
    """Squeeze and excitation, with batch, group or instance norms."""
    rng = start(seed)
    c = rng.choice((16, 32))
    norm = rng.choice((nn.BatchNorm2d, partial(nn.GroupNorm, 4), partial(nn.InstanceNorm2d, affine=True)))
    blocks = [Excited(c, norm) for _ in range(rng.randint(2, 10))]
    model = he(nn.Sequential(nn.Conv2d(3, c, 3, padding=1), norm(c), nn.ReLU(), *blocks, image_head(c)))
    return made(rng, model, torch.randn(BATCH, 3, 8, 8), seed=seed, target=targets())


def separable(seed: int) -> Case:
    """Inverted residuals of depthwise and pointwise convolutions."""
    rng = start(seed)
    c = rng.choice((8, 16))
    blocks = [Separable(c, rng.choice((2, 4))) for _ in range(rng.randint(2, 12))]
    model = nn.Sequential(nn.Conv2d(3, c, 3, padding=1, bias=False), nn.BatchNorm2d(c), nn.ReLU6(), *blocks,
                          image_head(c))  # fmt: skip
    return made(rng, he(model), torch.randn(BATCH, 3, 8, 8), seed=seed, target=targets())


def default_convs(seed: int) -> Case:
    """A small network for digits with torch's own weights, and a VGG with batch norms."""
    rng = start(seed)
    if rng.random() < 0.5:
        model = nn.Sequential(convs(3, 16, 32), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(512, 64), nn.ReLU(),
                              nn.Linear(64, CLASSES))  # fmt: skip
        return Case(model=model, inputs=(torch.randn(BATCH, 3, 8, 8),), target=targets())
    c = rng.choice((16, 32))
    model = nn.Sequential(convs(3, *[c] * rng.randint(3, 8), norm=nn.BatchNorm2d), image_head(c))
    return Case(model=he(model), inputs=(torch.randn(BATCH, 3, 8, 8),), target=targets())


MORE_IMAGES: dict[str, Callable[[int], Case]] = {
    f.__name__: f for f in (unet, diffusion, dense_net, excited, separable, default_convs)
}
