"""Convolutional networks of other kinds, with and without norms, as their authors initialise them."""

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


def _head(c: int, classes: int = 10) -> list[nn.Module]:
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(c, classes)]


class Dense(nn.Module):
    def __init__(self, i: int, growth: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.BatchNorm2d(i),
            nn.ReLU(),
            nn.Conv2d(i, 4 * growth, 1, bias=False),
            nn.BatchNorm2d(4 * growth),
            nn.ReLU(),
            nn.Conv2d(4 * growth, growth, 3, 1, 1, bias=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.body(x)], 1)


def densenet(_: int) -> Case:
    def transition(i: int) -> list[nn.Module]:
        return [nn.BatchNorm2d(i), nn.ReLU(), nn.Conv2d(i, i // 2, 1, bias=False), nn.AvgPool2d(2)]

    body = [Dense(16 + 8 * k, 8) for k in range(4)], [Dense(24 + 8 * k, 8) for k in range(4)]
    model = nn.Sequential(
        nn.Conv2d(3, 16, 3, 1, 1, bias=False),
        *body[0],
        *transition(48),
        *body[1],
        nn.BatchNorm2d(56),
        nn.ReLU(),
        *_head(56),
    )
    for m in model.modules():
        if isinstance(m, nn.Conv2d):
            nn.init.kaiming_normal_(m.weight)
        elif isinstance(m, nn.Linear):
            nn.init.zeros_(m.bias)
    return _case(model, lr=3e-3)


class Inception(nn.Module):
    def __init__(self, i: int) -> None:
        super().__init__()
        self.paths = nn.ModuleList(
            (
                conv(i, 16, 1),
                nn.Sequential(conv(i, 8, 1), conv(8, 16)),
                nn.Sequential(conv(i, 8, 1), conv(8, 16, 5)),
                nn.Sequential(nn.MaxPool2d(3, 1, 1), conv(i, 16, 1)),
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([p(x) for p in self.paths], 1)


def inception(_: int) -> Case:
    model = nn.Sequential(
        conv(3, 32),
        Inception(32),
        nn.MaxPool2d(2),
        Inception(64),
        Inception(64),
        nn.AdaptiveAvgPool2d(1),
        nn.Dropout2d(0.4),
        nn.Flatten(),
        nn.Linear(64, 10),
    )
    for m in model.modules():
        if isinstance(m, nn.Conv2d | nn.Linear):
            nn.init.trunc_normal_(
                m.weight, mean=0.0, std=0.1 if isinstance(m, nn.Linear) else 0.01, a=-2, b=2
            )
    return _case(model)


def vgg_bn(_: int) -> Case:
    body: list[nn.Module] = []
    for i, o in ((3, 16), (16, 32), (32, 64)):
        body += [
            nn.Conv2d(i, o, 3, 1, 1),
            nn.BatchNorm2d(o),
            nn.ReLU(True),
            nn.Conv2d(o, o, 3, 1, 1),
            nn.BatchNorm2d(o),
            nn.ReLU(True),
            nn.MaxPool2d(2),
        ]
    top = [
        nn.Flatten(),
        nn.Linear(256, 128),
        nn.ReLU(True),
        nn.Dropout(0.5),
        nn.Linear(128, 128),
        nn.ReLU(True),
        nn.Dropout(0.5),
        nn.Linear(128, 10),
    ]
    return _case(_fan_out(nn.Sequential(*body, *top), linear=0.01))


class Fire(nn.Module):
    def __init__(self, i: int, s: int, e: int) -> None:
        super().__init__()
        self.squeeze, self.e1, self.e3 = nn.Conv2d(i, s, 1), nn.Conv2d(s, e, 1), nn.Conv2d(s, e, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.squeeze(x))
        return torch.cat([functional.relu(self.e1(x)), functional.relu(self.e3(x))], 1)


def squeezenet(_: int) -> Case:
    last = nn.Conv2d(128, 10, 1)
    model = nn.Sequential(
        nn.Conv2d(3, 32, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        Fire(32, 8, 32),
        Fire(64, 8, 32),
        nn.MaxPool2d(2),
        Fire(64, 16, 64),
        nn.Dropout(0.5),
        last,
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )
    for m in model.modules():
        if isinstance(m, nn.Conv2d):
            nn.init.zeros_(m.bias) if m.bias is not None else None
            nn.init.normal_(m.weight, 0.0, 0.01) if m is last else nn.init.kaiming_uniform_(m.weight)
    return _case(model, size=28)


class WSConv(nn.Conv2d):
    """Scaled weight standardisation with a learnt gain (NFNet)."""

    def __init__(self, i: int, o: int, k: int, s: int = 1) -> None:
        super().__init__(i, o, k, s, k // 2)
        self.gain = nn.Parameter(torch.ones(o, 1, 1, 1))
        nn.init.kaiming_normal_(self.weight, nonlinearity="linear")
        nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        mean, var = self.weight.mean((1, 2, 3), keepdim=True), self.weight.var((1, 2, 3), keepdim=True)
        w = (self.weight - mean) * torch.rsqrt(var * self.weight[0].numel() + 1e-4) * self.gain
        return functional.conv2d(x, w, self.bias, self.stride, self.padding)


class NFBlock(nn.Module):
    """alpha times a body of the input over beta; the last gain (skipinit) begins at zero."""

    def __init__(self, i: int, o: int, s: int, beta: float) -> None:
        super().__init__()
        self.c1, self.c2 = WSConv(i, o // 2, 1), WSConv(o // 2, o // 2, 3, s)
        self.c3, self.beta = WSConv(o // 2, o, 1), beta
        self.short = WSConv(i, o, 1, s) if i != o else None
        self.skip_gain = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        h = functional.gelu(x) * 1.7015 / self.beta
        short = x if self.short is None else self.short(h)
        h = self.c3(functional.gelu(self.c2(functional.gelu(self.c1(h)) * 1.7015)) * 1.7015)
        out: Tensor = short + 0.2 * self.skip_gain * h
        return out


class Gelu17(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return functional.gelu(x) * 1.7015


def nfnet(_: int) -> Case:
    top = nn.Linear(128, 10)
    nn.init.normal_(top.weight, 0, 0.01)
    nn.init.zeros_(top.bias)
    model = nn.Sequential(
        WSConv(3, 32, 3),
        NFBlock(32, 64, 1, 1.0),
        NFBlock(64, 64, 1, 1.02),
        NFBlock(64, 128, 2, 1.04),
        NFBlock(128, 128, 1, 1.02),
        Gelu17(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        top,
    )
    return _case(model, lr=2e-3)


class FixupBlock(nn.Module):
    """Fixup: scalar biases and a scale instead of norms; the last convolution begins at zero."""

    def __init__(self, c: int, blocks: int) -> None:
        super().__init__()
        self.b1a, self.b1b, self.b2a, self.b2b = (nn.Parameter(torch.zeros(1)) for _ in range(4))
        self.scale = nn.Parameter(torch.ones(1))
        self.c1, self.c2 = nn.Conv2d(c, c, 3, 1, 1, bias=False), nn.Conv2d(c, c, 3, 1, 1, bias=False)
        nn.init.normal_(self.c1.weight, 0, math.sqrt(2 / (c * 9)) * blocks**-0.5)
        nn.init.zeros_(self.c2.weight)

    def forward(self, x: Tensor) -> Tensor:
        h = functional.relu(self.c1(x + self.b1a) + self.b1b)
        return functional.relu(self.c2(h + self.b2a) * self.scale + self.b2b + x)


def fixup(_: int) -> Case:
    stem, top = nn.Conv2d(3, 32, 3, 1, 1, bias=False), nn.Linear(32, 10)
    nn.init.normal_(stem.weight, 0, math.sqrt(2 / (9 * 32)))
    nn.init.zeros_(top.weight)
    nn.init.zeros_(top.bias)
    blocks = [FixupBlock(32, 6) for _ in range(6)]
    model = nn.Sequential(
        stem, nn.ReLU(), *blocks[:3], nn.MaxPool2d(2), *blocks[3:], nn.AdaptiveAvgPool2d(1), nn.Flatten(), top
    )
    return _case(model, lr=3e-3)


class ReZeroBlock(nn.Module):
    def __init__(self, c: int) -> None:
        super().__init__()
        self.c1, self.c2, self.alpha = (
            nn.Conv2d(c, c, 3, 1, 1),
            nn.Conv2d(c, c, 3, 1, 1),
            nn.Parameter(torch.zeros(1)),
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.alpha * self.c2(functional.relu(self.c1(functional.relu(x))))
        return out


def rezero_cnn(_: int) -> Case:
    blocks = [ReZeroBlock(24) for _ in range(8)]
    model = nn.Sequential(nn.Conv2d(3, 24, 3, 2, 1), *blocks, nn.ReLU(), *_head(24))
    return _case(model, lr=3e-3)


KINDS = {f.__name__: f for f in (densenet, inception, vgg_bn, squeezenet, nfnet, fixup, rezero_cnn)}
