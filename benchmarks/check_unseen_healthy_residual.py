"""Residual and inverted-residual convolutional networks, as their authors initialise them."""

from __future__ import annotations

import math

import torch
from check_unseen_healthy_data import Batch, Case, images
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["KINDS"]


def _case(model: nn.Module, *, size: int = 16, channels: int = 3, n: int = 32, **more: object) -> Case:
    def draw(seed: int) -> Batch:
        x, y = images(seed, n, size, channels)
        return (x,), y

    return Case(model=model, draw=draw, **more)  # type: ignore[arg-type]


def _fan_out(model: nn.Module, *, linear: float | None = None) -> nn.Module:
    """Torchvision's habit: convolutions He's by fan-out, norms one and zero, linear layers N(0, linear)."""
    for m in model.modules():
        if isinstance(m, nn.Conv2d):
            nn.init.kaiming_normal_(m.weight, mode="fan_out", nonlinearity="relu")
            if m.bias is not None:
                nn.init.zeros_(m.bias)
        elif isinstance(m, nn.Linear) and linear is not None:
            nn.init.normal_(m.weight, 0, linear)
            nn.init.zeros_(m.bias)
    return model


def conv(
    i: int, o: int, k: int = 3, s: int = 1, groups: int = 1, act: type[nn.Module] | None = nn.ReLU
) -> nn.Sequential:
    """Convolution, batch norm, activation."""
    body: list[nn.Module] = [nn.Conv2d(i, o, k, s, k // 2, groups=groups, bias=False), nn.BatchNorm2d(o)]
    return nn.Sequential(*body, *([act()] if act else []))


class Residual(nn.Module):
    """Body and shortcut, an activation after the sum where one is named."""

    def __init__(
        self, body: nn.Module, shortcut: nn.Module | None = None, act: nn.Module | None = None
    ) -> None:
        super().__init__()
        self.body, self.shortcut, self.act = body, shortcut or nn.Identity(), act or nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.act(self.body(x) + self.shortcut(x))
        return out


def _head(c: int, classes: int = 10) -> list[nn.Module]:
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(c, classes)]


def _basic(i: int, o: int, s: int) -> Residual:
    short = conv(i, o, 1, s, act=None) if s != 1 or i != o else None
    return Residual(nn.Sequential(conv(i, o, 3, s), conv(o, o, act=None)), short, nn.ReLU())


def resnet18_zero_gamma(_: int) -> Case:
    blocks = [
        _basic(16, 16, 1),
        _basic(16, 16, 1),
        _basic(16, 32, 2),
        _basic(32, 32, 1),
        _basic(32, 64, 2),
        _basic(64, 64, 1),
    ]
    model = _fan_out(nn.Sequential(conv(3, 16), *blocks, *_head(64)))
    for block in blocks:
        last = block.body[-1][-1]  # type: ignore[index]
        nn.init.zeros_(last.weight)
    return _case(model, lr=0.02, optimiser="sgd")


def resnext(_: int) -> Case:
    def bottleneck(i: int, o: int, s: int) -> Residual:
        w = o // 2
        body = nn.Sequential(conv(i, w, 1), conv(w, w, 3, s, 8), conv(w, o, 1, act=None))
        return Residual(body, conv(i, o, 1, s, act=None) if i != o else None, nn.ReLU())

    sizes = [(32, 64, 1), (64, 64, 1), (64, 128, 2), (128, 128, 1)]
    return _case(_fan_out(nn.Sequential(conv(3, 32), *(bottleneck(*s) for s in sizes), *_head(128))))


class PreAct(nn.Module):
    """Pre-activation block; a new width's shortcut takes the activated input (kuangliu)."""

    def __init__(self, i: int, o: int, s: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.bn1, self.bn2 = nn.BatchNorm2d(i), nn.BatchNorm2d(o)
        self.conv1, self.conv2 = nn.Conv2d(i, o, 3, s, 1, bias=False), nn.Conv2d(o, o, 3, 1, 1, bias=False)
        self.drop = nn.Dropout(dropout)
        self.shortcut = nn.Conv2d(i, o, 1, s, bias=False) if i != o or s != 1 else None

    def forward(self, x: Tensor) -> Tensor:
        h = functional.relu(self.bn1(x))
        short = x if self.shortcut is None else self.shortcut(h)
        out: Tensor = self.conv2(self.drop(functional.relu(self.bn2(self.conv1(h))))) + short
        return out


def preact_resnet(_: int) -> Case:
    blocks = [
        PreAct(16, 16, 1),
        PreAct(16, 16, 1),
        PreAct(16, 32, 2),
        PreAct(32, 32, 1),
        PreAct(32, 64, 2),
        PreAct(64, 64, 1),
    ]
    stem = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
    return _case(
        nn.Sequential(stem, *blocks, nn.BatchNorm2d(64), nn.ReLU(), *_head(64)), lr=0.02, optimiser="sgd"
    )


def wide_resnet(_: int) -> Case:
    blocks = [PreAct(16, 48, 1, 0.3), PreAct(48, 48, 1, 0.3), PreAct(48, 96, 2, 0.3), PreAct(96, 96, 1, 0.3)]
    stem = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
    model = nn.Sequential(stem, *blocks, nn.BatchNorm2d(96), nn.ReLU(), *_head(96))
    for m in model.modules():
        if isinstance(m, nn.Conv2d):
            nn.init.xavier_uniform_(m.weight, gain=math.sqrt(2))
    return _case(model, size=14, lr=0.02, optimiser="sgd")


class SE(nn.Module):
    """Squeeze and excitation."""

    def __init__(self, c: int, r: int, act: type[nn.Module], gate: type[nn.Module]) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(c, r, 1), act(), nn.Conv2d(r, c, 1), gate()
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x * self.body(x)
        return out


def _inverted(
    i: int, o: int, s: int, t: int, act: type[nn.Module], gate: type[nn.Module] | None
) -> nn.Module:
    e = i * t
    body = [conv(i, e, 1, act=act), conv(e, e, 3, s, e, act=act)]
    se = [SE(e, max(i // 4, 4), nn.SiLU if act is nn.SiLU else nn.ReLU, gate)] if gate else []
    whole = nn.Sequential(*body, *se, conv(e, o, 1, act=None))
    return Residual(whole) if s == 1 and i == o else whole


def _mobile(act: type[nn.Module], gate: type[nn.Module] | None, linear: float | None) -> nn.Module:
    sizes = [(16, 16, 1, 1), (16, 24, 2, 4), (24, 24, 1, 4), (24, 32, 2, 4), (32, 32, 1, 4)]
    blocks = [_inverted(*s, act, gate) for s in sizes]
    model = nn.Sequential(
        conv(3, 16, act=act),
        *blocks,
        conv(32, 128, 1, act=act),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Dropout(0.2),
        nn.Linear(128, 10),
    )
    return _fan_out(model, linear=linear)


def mobilenet_v2(_: int) -> Case:
    return _case(_mobile(nn.ReLU6, None, 0.01), lr=3e-3)


def mobilenet_v3(_: int) -> Case:
    return _case(_mobile(nn.Hardswish, nn.Hardsigmoid, 0.01), lr=3e-3)


def efficientnet(_: int) -> Case:
    model = _mobile(nn.SiLU, nn.Sigmoid, None)
    last = model[-1]  # type: ignore[index]
    nn.init.uniform_(last.weight, -1 / math.sqrt(10), 1 / math.sqrt(10))
    nn.init.zeros_(last.bias)
    return _case(model, lr=3e-3)


class Shuffle(nn.Module):
    """ShuffleNetV2's unit of stride one: half passes, half is worked on, channels are shuffled."""

    def __init__(self, c: int) -> None:
        super().__init__()
        h = c // 2
        self.body = nn.Sequential(conv(h, h, 1), conv(h, h, 3, 1, h, act=None), conv(h, h, 1))

    def forward(self, x: Tensor) -> Tensor:
        a, b = x.chunk(2, dim=1)
        y = torch.cat([a, self.body(b)], 1)
        n, c, h, w = y.shape
        return y.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)


def shufflenet(_: int) -> Case:
    model = nn.Sequential(
        conv(3, 32), Shuffle(32), Shuffle(32), conv(32, 64, 3, 2), Shuffle(64), Shuffle(64), *_head(64)
    )
    return _case(model, lr=3e-3)


KINDS = {
    f.__name__: f
    for f in (
        resnet18_zero_gamma,
        resnext,
        preact_resnet,
        wide_resnet,
        mobilenet_v2,
        mobilenet_v3,
        efficientnet,
        shufflenet,
    )
}
