"""Healthy networks of many kinds: what a check must leave in peace."""

from __future__ import annotations

from collections.abc import Callable

import torch
from check_blocks import (
    ACTIVATIONS,
    BATCH,
    CLASSES,
    Case,
    Head,
    Language,
    PreResidual,
    Recurrent,
    Residual,
    done,
    encoder,
    mlp,
    start,
    targets,
)
from torch import nn

import fanin.torch

__all__ = ["HEALTHY"]


def any_mlp(seed: int) -> Case:
    """Any activation, depth 2 to 40."""
    rng = start(seed)
    name = rng.choice(list(ACTIVATIONS))
    depth = rng.randint(2, 40)
    model = mlp(depth, rng.choice((64, 128, 256)), ACTIVATIONS[name])
    return done(model, torch.randn(BATCH, 64), seed=seed)


def deep_mlp(seed: int) -> Case:
    """Depth 60 to 100."""
    rng = start(seed)
    model = mlp(
        rng.randint(60, 100), rng.choice((128, 256)), ACTIVATIONS[rng.choice(("relu", "leaky", "tanh"))]
    )
    return done(model, torch.randn(BATCH, 64), seed=seed)


def deep_smooth_mlp(seed: int) -> Case:
    """ELU, GELU, SiLU, Mish and hard swish, depth 17 to 60."""
    rng = start(seed)
    act = rng.choice((nn.ELU, nn.GELU, nn.SiLU, nn.Mish, nn.Hardswish))
    model = mlp(rng.randint(17, 60), rng.choice((64, 128, 256)), act)
    return done(model, torch.randn(BATCH, 64), seed=seed)


def he_by_hand(seed: int) -> Case:
    """He's law and zero biases by torch's own functions, depth 3 to 60."""
    rng = start(seed)
    model = mlp(rng.randint(3, 60), rng.choice((64, 128, 256)), nn.ReLU)
    for m in model:
        if isinstance(m, nn.Linear):
            rng.choice((nn.init.kaiming_normal_, nn.init.kaiming_uniform_))(m.weight, nonlinearity="relu")
            nn.init.zeros_(m.bias)
    nn.init.xavier_normal_(model[-1].weight)
    return Case(model=model, inputs=(torch.randn(BATCH, 64),), target=targets())


def normed_mlp(seed: int) -> Case:
    """LayerNorm before each activation, to depth 40; BatchNorm to depth 8."""
    rng = start(seed)
    batch = rng.random() < 0.4
    depth = rng.randint(2, 8) if batch else rng.randint(2, 40)
    model = mlp(depth, rng.choice((64, 128)), nn.ReLU, nn.BatchNorm1d if batch else nn.LayerNorm)
    return done(model, torch.randn(BATCH, 64), seed=seed)


def selu_mlp(seed: int) -> Case:
    """Self-normalising, depth 4 to 60."""
    rng = start(seed)
    return done(mlp(rng.randint(4, 60), rng.choice((128, 256)), nn.SELU), torch.randn(BATCH, 64), seed=seed)


def conv(seed: int) -> Case:
    """Plain convolutions, 2 to 20 of them."""
    rng = start(seed)
    c, act = rng.choice((16, 32)), ACTIVATIONS[rng.choice(("relu", "leaky", "tanh", "gelu"))]
    layers: list[nn.Module] = []
    for i in range(rng.randint(2, 20)):
        layers += [nn.Conv2d(3 if i == 0 else c, c, 3, padding=1), act()]
    return done(nn.Sequential(*layers, Head(c)), torch.randn(BATCH, 3, 10, 10), seed=seed)


def resnet(seed: int) -> Case:
    """With batch norms, 2 to 16 blocks; drawn by fanin or as torchvision draws it."""
    rng = start(seed)
    c, blocks = rng.choice((16, 32)), rng.randint(2, 16)
    model = nn.Sequential(nn.Conv2d(3, c, 3, padding=1, bias=False), nn.BatchNorm2d(c), nn.ReLU(),
                          *[Residual(c, norm=True) for _ in range(blocks)], Head(c))  # fmt: skip
    x = torch.randn(BATCH, 3, 8, 8)
    if rng.random() < 0.5:
        for m in model.modules():
            if isinstance(m, nn.Conv2d):
                nn.init.kaiming_normal_(m.weight, mode="fan_out", nonlinearity="relu")
        return Case(model=model, inputs=(x,), target=targets())
    return done(model, x, seed=seed)


def plain_resnet(seed: int) -> Case:
    """Without norms, 2 to 24 blocks, branches scaled by fanin's plan."""
    rng = start(seed)
    if rng.random() < 0.5:
        width = rng.choice((64, 128))
        model = nn.Sequential(nn.Linear(64, width), *[PreResidual(width) for _ in range(rng.randint(2, 50))],
                              nn.Linear(width, CLASSES))  # fmt: skip
        return done(model, torch.randn(BATCH, 64), seed=seed)
    c = rng.choice((16, 32))
    model = nn.Sequential(nn.Conv2d(3, c, 3, padding=1), nn.ReLU(),
                          *[Residual(c, norm=False) for _ in range(rng.randint(2, 16))], Head(c))  # fmt: skip
    return done(model, torch.randn(BATCH, 3, 8, 8), seed=seed)


def pre_norm(seed: int) -> Case:
    """Transformer encoder, 1 to 24 blocks."""
    rng = start(seed)
    model = encoder(rng, rng.choice((1, 2, 4, 8, 12, 24)), pre=True, dropout=rng.choice((0.0, 0.1)))
    return done(model, torch.randn(BATCH, 8, 16), seed=seed)


def post_norm(seed: int) -> Case:
    """Transformer encoder as in 2017, 1 to 12 blocks."""
    rng = start(seed)
    model = encoder(rng, rng.choice((1, 2, 4, 6, 12)), pre=False, dropout=rng.choice((0.0, 0.1)))
    return done(model, torch.randn(BATCH, 8, 16), seed=seed)


def language(seed: int) -> Case:
    """Causal, tied, drawn as GPT-2 is or by fanin, 2 to 12 blocks."""
    rng = start(seed)
    model = Language(rng.choice((32, 64)), rng.choice((2, 4, 12)))
    ids = torch.randint(200, (16, 16))
    if rng.random() < 0.5:
        fanin.torch.init_(model, ids, seed=seed)
    return Case(model=model, inputs=(ids,), target=torch.randint(200, (16, 16)))


def recurrent(seed: int) -> Case:
    """RNN, GRU or LSTM over 12 steps."""
    rng = start(seed)
    model = Recurrent(rng.choice((nn.RNN, nn.GRU, nn.LSTM)), rng.choice((32, 64)))
    return done(model, torch.randn(BATCH, 12, 16), seed=seed)


def shallow_default(seed: int) -> Case:
    """As torch makes it: two to four layers, which train."""
    rng = start(seed)
    model = mlp(rng.randint(1, 3), rng.choice((64, 128)), ACTIVATIONS[rng.choice(("relu", "gelu", "tanh"))])
    return Case(model=model, inputs=(torch.randn(BATCH, 64),), target=targets())


HEALTHY: dict[str, Callable[[int], Case]] = {
    f.__name__: f
    for f in (
        any_mlp, deep_mlp, deep_smooth_mlp, he_by_hand,
        normed_mlp, selu_mlp, conv, resnet, plain_resnet, pre_norm, post_norm,
        language, recurrent, shallow_default,
    )
}  # fmt: skip
