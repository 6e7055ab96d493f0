"""Sick networks whose weights have a wrong scale: one layer, a fan, a gain, a branch, scores."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from check_blocks import BATCH, CLASSES, Case, Fault, Head, PreResidual, mlp, start, targets
from check_more_models import Attending, image_head
from torch import nn

import fanin.torch

__all__ = ["WRONG_SCALES", "case", "healthy", "linears"]


def case(model: nn.Module, *inputs: Any, **options: Any) -> Case:
    """A model with its batch; features and classes where none are given."""
    target = options.pop("target", None)
    return Case(model=model, inputs=inputs or (torch.randn(BATCH, 64),),
                target=targets() if target is None else target, options=options)  # fmt: skip


def linears(model: nn.Module) -> list[nn.Linear]:
    """All linear layers, in order."""
    """All linear layers, in order."""
    return [m for m in model.modules() if isinstance(m, nn.Linear)]


def healthy(
    seed: int, low: int, high: int, *, norm: Callable[[int], nn.Module] | None = None, act: Any = nn.ReLU
) -> tuple[Any, nn.Sequential]:
    """A source of shapes, and an MLP as fanin draws it."""
    """A source of shapes and an MLP as fanin draws it."""
    rng = start(seed)
    model = mlp(rng.randint(low, high), rng.choice((64, 128)), act, norm)
    fanin.torch.init_(model, torch.randn(BATCH, 64), seed=seed)
    return rng, model


def _middle(seed: int, factor: float, norm: Callable[[int], nn.Module] | None = None) -> Case:
    rng, model = healthy(seed, 5, 12, norm=norm)
    layers = linears(model)
    with torch.no_grad():
        layers[rng.randrange(1, len(layers) - 2)].weight.mul_(factor)
    return case(model)


def one_large(seed: int) -> Case:
    """One layer in the middle has 10 times its std."""
    return _middle(seed, 10.0)


def one_small(seed: int) -> Case:
    """One layer in the middle has a tenth of its std."""
    return _middle(seed, 0.1)


def one_large_normed(seed: int) -> Case:
    """The same before a LayerNorm, where only the layer's own learning rate feels it."""
    return _middle(seed, 10.0, nn.LayerNorm)


def one_tiny(seed: int) -> Case:
    """One layer in the middle has a thousandth of its std."""
    return _middle(seed, 1e-3)


def gain_twice(seed: int) -> Case:
    """The gain of ReLU multiplied in a second time."""
    _, model = healthy(seed, 16, 40)
    with torch.no_grad():
        for m in linears(model)[:-1]:
            m.weight.mul_(math.sqrt(2.0))
    return case(model)


def std_as_bound(seed: int) -> Case:
    """U(-std, std) where U(-sqrt(3) std, sqrt(3) std) was meant."""
    _, model = healthy(seed, 10, 40)
    for m in linears(model):
        bound = math.sqrt(2.0 / m.in_features)
        nn.init.uniform_(m.weight, -bound, bound)
    return case(model)


def groups_forgotten(seed: int) -> Case:
    """Grouped convolutions with a fan that counts all channels."""
    rng = start(seed)
    c, groups = 32, rng.choice((4, 8, 16))
    layers: list[nn.Module] = [nn.Conv2d(3, c, 3, padding=1), nn.ReLU()]
    for _ in range(rng.randint(8, 16)):
        layers += [nn.Conv2d(c, c, 3, padding=1, groups=groups), nn.ReLU()]
    model = nn.Sequential(*layers, image_head(c))
    x = torch.randn(BATCH, 3, 8, 8)
    fanin.torch.init_(model, x, seed=seed)
    for m in layers[2:]:
        if isinstance(m, nn.Conv2d):
            nn.init.normal_(m.weight, std=math.sqrt(2.0 / (c * 9)))
    return case(model, x)


def depthwise_fan_out(seed: int) -> Case:
    """The framework's fan_out of a depthwise convolution, which counts all channels, and no norm."""
    rng = start(seed)
    c = rng.choice((16, 32))
    layers: list[nn.Module] = [nn.Conv2d(3, c, 3, padding=1), nn.ReLU()]
    for _ in range(rng.randint(5, 10)):
        layers += [nn.Conv2d(c, c, 3, padding=1, groups=c), nn.Conv2d(c, c, 1), nn.ReLU()]
    model = nn.Sequential(*layers, image_head(c))
    x = torch.randn(BATCH, 3, 8, 8)
    fanin.torch.init_(model, x, seed=seed)
    for m in layers[2:]:
        if isinstance(m, nn.Conv2d):
            nn.init.kaiming_normal_(m.weight, mode="fan_out")
    return case(model, x)


def transposed_fan(seed: int) -> Case:
    """The framework's fan of a transposed convolution, which takes outputs for inputs at any stride."""
    rng = start(seed)
    c = rng.choice((16, 32))
    layers: list[nn.Module] = [nn.Unflatten(1, (c, 1)), nn.ReLU()]
    for _ in range(rng.randint(5, 6)):
        layers += [nn.ConvTranspose1d(c, c, 4, stride=4), nn.ReLU()]
    model = nn.Sequential(*layers, nn.Conv1d(c, 1, 1))
    x = torch.randn(16, c)
    fanin.torch.init_(model, x, seed=seed)
    for m in layers:
        if isinstance(m, nn.ConvTranspose1d):
            nn.init.kaiming_normal_(m.weight)
    return Case(model=model, inputs=(x,))


def doubled_branches(seed: int) -> Case:
    """Residual branches twice as large as they should be, without a norm."""
    rng = start(seed)
    c = rng.choice((64, 128))
    model = nn.Sequential(nn.Linear(64, c), *[PreResidual(c) for _ in range(rng.randint(6, 16))],
                          nn.Linear(c, CLASSES))  # fmt: skip
    for m in linears(model):
        nn.init.kaiming_normal_(m.weight)
        nn.init.zeros_(m.bias)
    with torch.no_grad():
        for block in model:
            if isinstance(block, PreResidual):
                block.down.weight.mul_(2.0)
    return case(model)


def unscaled_scores(seed: int) -> Case:
    """Scores without 1 / sqrt(d), heads of 16 to 64."""
    rng = start(seed)
    c, heads = rng.choice(((64, 4), (128, 4), (128, 2)))
    model = nn.Sequential(nn.Linear(16, c), *[Attending(c, heads, 1.0) for _ in range(rng.randint(1, 3))],
                          nn.LayerNorm(c), Head(c))  # fmt: skip
    for m in linears(model):
        nn.init.normal_(m.weight, std=m.in_features**-0.5)
    return case(model, torch.randn(BATCH, 8, 16))


WRONG_SCALES: dict[str, Fault] = {
    "one_large": Fault(make=one_large, codes=("FAN101", "FAN102", "FAN301"), cause="", remark=True),
    "one_small": Fault(make=one_small, codes=("FAN101", "FAN102", "FAN203"), cause="", remark=True),
    "one_large_normed": Fault(make=one_large_normed, codes=("FAN203",), cause="", remark=True),
    "one_tiny": Fault(make=one_tiny, codes=("FAN101", "FAN102"), cause="gain"),
    "gain_twice": Fault(make=gain_twice, codes=("FAN101", "FAN102", "FAN301"), cause="gain"),
    "std_as_bound": Fault(make=std_as_bound, codes=("FAN101", "FAN102"), cause="gain"),
    "groups_forgotten": Fault(make=groups_forgotten, codes=("FAN101", "FAN102"), cause="gain"),
    "depthwise_fan_out": Fault(make=depthwise_fan_out, codes=("FAN101", "FAN102"), cause="gain"),
    "transposed_fan": Fault(make=transposed_fan, codes=("FAN101", "FAN102"), cause="", remark=True),
    "doubled_branches": Fault(make=doubled_branches, codes=("FAN101", "FAN102", "FAN108"), cause="branches"),
    "unscaled_scores": Fault(make=unscaled_scores, codes=("FAN111",), cause=""),
}
