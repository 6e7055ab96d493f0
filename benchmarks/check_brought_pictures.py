"""Detection, super-resolution and motion."""

from __future__ import annotations

import math
from typing import Any

import torch
from check_brought_data import Case, digits
from torch import nn
from torch.nn import functional

__all__ = ["KINDS"]


class Detector(nn.Module):
    """A small one-stage detector: towers shared over two levels, focal loss, a prior of 0.01."""

    def __init__(self, d: Any = 16) -> None:
        super().__init__()
        self.c1, self.c2 = nn.Conv2d(1, d, 3, 2, 1), nn.Conv2d(d, d, 3, 2, 1)
        self.tower = nn.Sequential(
            nn.Conv2d(d, d, 3, 1, 1),
            nn.GroupNorm(4, d),
            nn.ReLU(),
            nn.Conv2d(d, d, 3, 1, 1),
            nn.GroupNorm(4, d),
            nn.ReLU(),
        )
        self.cls, self.box = nn.Conv2d(d, 2, 3, 1, 1), nn.Conv2d(d, 4, 3, 1, 1)
        self.scales = nn.ParameterList([nn.Parameter(torch.ones(1)) for _ in range(2)])
        for m in (*self.tower, self.cls, self.box):
            if isinstance(m, nn.Conv2d):
                nn.init.normal_(m.weight, std=0.01)
                nn.init.zeros_(m.bias)
        nn.init.constant_(self.cls.bias, -math.log(0.99 / 0.01))

    def forward(self, x: Any) -> Any:
        a = functional.relu(self.c1(x))
        b = functional.relu(self.c2(a))
        cls, box = [], []
        for scale, f in zip(self.scales, (a, b), strict=True):
            h = self.tower(f)
            cls.append(self.cls(h).flatten(2))
            box.append(torch.exp(scale * self.box(h)).flatten(2))
        return {"cls": torch.cat(cls, 2), "box": torch.cat(box, 2)}


def focal_detector(seed: int) -> Case:
    torch.manual_seed(seed)

    def draw(g: torch.Generator) -> Any:
        x = 0.1 * torch.randn(8, 1, 16, 16, generator=g)
        hot, size = torch.zeros(8, 2, 80), torch.ones(8, 4, 80)
        for i in range(8):
            c, r, k = (int(v) for v in torch.randint(0, 6, (3,), generator=g))
            w = 3 + k % 2 * 2
            x[i, 0, r : r + w, c : c + w] += 1
            cell = ((r + w // 2) // 2) * 8 + (c + w // 2) // 2
            hot[i, k % 2, cell] = 1
            size[i, :, cell] = w / 2
        return (x,), (hot, size)

    def loss(out: Any, y: Any) -> Any:
        p, hot = out["cls"].sigmoid(), y[0]
        ce = functional.binary_cross_entropy_with_logits(out["cls"], hot, reduction="none")
        focal = (ce * (p - hot).abs() ** 2 * (0.25 * hot + 0.75 * (1 - hot))).sum() / hot.sum()
        at = hot.amax(1, keepdim=True)
        return focal + ((out["box"] - y[1]).abs() * at).sum() / (4 * at.sum())

    return Case(Detector(), draw, loss, 3e-3)


class SubPixel(nn.Module):
    """Super-resolution: tanh convolutions and a pixel shuffle."""

    def __init__(self, r: Any = 2) -> None:
        super().__init__()
        self.conv1, self.conv2, self.conv3 = (
            nn.Conv2d(1, 32, 5, 1, 2),
            nn.Conv2d(32, 32, 3, 1, 1),
            nn.Conv2d(32, r * r, 3, 1, 1),
        )
        self.shuffle = nn.PixelShuffle(r)
        for conv, gain in ((self.conv1, 5 / 3), (self.conv2, 5 / 3), (self.conv3, 1.0)):
            nn.init.orthogonal_(conv.weight, gain)

    def forward(self, x: Any) -> Any:
        return self.shuffle(self.conv3(torch.tanh(self.conv2(torch.tanh(self.conv1(x))))))


def pixel_shuffle(seed: int) -> Case:
    torch.manual_seed(seed)

    def draw(g: torch.Generator) -> Any:
        big, _ = digits(g, 16, size=16)
        return (functional.avg_pool2d(big, 2),), big

    return Case(SubPixel(), draw)


class Correlation(nn.Module):
    """Two frames, shared features, a cost volume over 9 displacements, a decoder for the flow."""

    def __init__(self, d: Any = 16) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, d, 3, 1, 1), nn.LeakyReLU(0.1), nn.Conv2d(d, d, 3, 1, 1), nn.LeakyReLU(0.1)
        )
        self.decoder = nn.Sequential(
            nn.Conv2d(9 + d, 32, 3, 1, 1), nn.LeakyReLU(0.1), nn.Conv2d(32, 2, 3, 1, 1)
        )
        for m in self.modules():
            if isinstance(m, nn.Conv2d):
                nn.init.kaiming_normal_(m.weight.data, mode="fan_in")
                nn.init.zeros_(m.bias.data)

    def forward(self, a: Any, b: Any) -> Any:
        fa, fb = self.features(a), self.features(b)
        padded = functional.pad(fb, (1, 1, 1, 1))
        h, w = fa.shape[-2:]
        cost = torch.cat(
            [
                (fa * padded[..., i : i + h, j : j + w]).mean(1, keepdim=True)
                for i in range(3)
                for j in range(3)
            ],
            1,
        )
        return self.decoder(torch.cat((functional.leaky_relu(cost, 0.1), fa), 1))


def flow_correlation(seed: int) -> Case:
    torch.manual_seed(seed)

    def draw(g: torch.Generator) -> Any:
        a = torch.randn(16, 1, 10, 10, generator=g)
        shift = torch.randint(-1, 2, (16, 2), generator=g)
        b = torch.stack([x.roll((int(s[0]), int(s[1])), (1, 2)) for x, s in zip(a, shift, strict=True)])
        return (a, b), shift.float()[:, :, None, None].expand(-1, -1, 10, 10).clone()

    return Case(Correlation(), draw, None, 3e-3)


KINDS = (focal_detector, pixel_shuffle, flow_correlation)
