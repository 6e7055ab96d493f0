"""Unseen sick networks of convolutions."""

# ruff: noqa: FBT001, FBT002 - networks are written as they are elsewhere

from __future__ import annotations

import itertools
from typing import Any

import torch
from check_blocks import Case
from check_unseen_parts import case, digits, he
from torch import nn
from torch.nn import functional

__all__ = [
    "autoencoder_relu_end",
    "cnn_constant",
    "conv3d_default_deep",
    "densenet_gamma_zero",
    "lenet_raw_pixels",
    "mobilenet_fan_out_groups",
    "resnet_eval_tiny_running_var",
    "unet_sigmoid_bcelogits",
    "vgg_negative_bias",
]

IMAGE = (1, 8, 8)


def conv_stack(widths: Any, norm: bool = False, pool: Any = (), act: Any = nn.ReLU, k: Any = 3) -> Any:
    layers = []
    for i, (a, b) in enumerate(itertools.pairwise(widths)):
        layers.append(nn.Conv2d(a, b, k, padding=k // 2))
        if norm:
            layers.append(nn.BatchNorm2d(b))
        layers.append(act())
        if i in pool:
            layers.append(nn.MaxPool2d(2))
    return layers


def lenet(c: Any = 16) -> Any:
    return nn.Sequential(
        *conv_stack([1, c, 2 * c, 2 * c], pool=(1,)),
        nn.Flatten(),
        nn.Linear(2 * c * 16, 64),
        nn.ReLU(),
        nn.Linear(64, 10),
    )


def cnn_constant(*, sick: bool) -> Case:
    """All weights the constant 0.02: all filters of a layer are one."""
    net = lenet()
    if sick:
        for p in net.parameters():
            nn.init.constant_(p, 0.02)
    return case(net, digits(IMAGE))


def lenet_raw_pixels(*, sick: bool) -> Case:
    """Pixels 0..255 into a network without normalisation: first loss of tens to hundreds."""
    return case(lenet(), digits(IMAGE, raw=sick))


def vgg_negative_bias(*, sick: bool) -> Case:
    """Biases of -1 in all convolutions: dead ReLUs."""
    net = nn.Sequential(
        *conv_stack([1, 32, 32, 64, 64, 64, 64], pool=(1, 3)),
        nn.Flatten(),
        nn.Linear(64 * 4, 64),
        nn.ReLU(),
        nn.Linear(64, 10),
    )
    he(net)
    if sick:
        for m in net.modules():
            if isinstance(m, nn.Conv2d):
                nn.init.constant_(m.bias, -1.0)
    return case(net, digits(IMAGE))


class _Basic(nn.Module):
    def __init__(self, c: Any) -> None:
        super().__init__()
        self.c1, self.b1 = nn.Conv2d(c, c, 3, padding=1, bias=False), nn.BatchNorm2d(c)
        self.c2, self.b2 = nn.Conv2d(c, c, 3, padding=1, bias=False), nn.BatchNorm2d(c)

    def forward(self, x: Any) -> Any:
        return functional.relu(x + self.b2(self.c2(functional.relu(self.b1(self.c1(x))))))


class _ResNet(nn.Module):
    def __init__(self, blocks: Any = 6, c: Any = 32) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, c, 3, padding=1, bias=False), nn.BatchNorm2d(c), nn.ReLU())
        self.blocks = nn.Sequential(*(_Basic(c) for _ in range(blocks)))
        self.head = nn.Linear(c, 10)

    def forward(self, x: Any) -> Any:
        return self.head(self.blocks(self.stem(x)).mean((2, 3)))


def resnet_eval_tiny_running_var(*, sick: bool) -> Case:
    """Eval mode with running variances of 1e-4 (momentum 1 on a blank batch): the signal explodes."""
    net = _ResNet()
    if sick:
        for m in net.modules():
            if isinstance(m, nn.BatchNorm2d):
                m.running_var.fill_(1e-4)
        net.eval()
    return case(net, digits(IMAGE))


class _DenseLayer(nn.Module):
    def __init__(self, c: Any, growth: Any) -> None:
        super().__init__()
        self.norm, self.conv = nn.BatchNorm2d(c), nn.Conv2d(c, growth, 3, padding=1, bias=False)

    def forward(self, x: Any) -> Any:
        return torch.cat([x, self.conv(functional.relu(self.norm(x)))], 1)


def densenet_gamma_zero(*, sick: bool) -> Case:
    """All gammas of DenseNet 0 (`zero_init` applied to each norm)."""
    net = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1, bias=False),
        *(_DenseLayer(16 + 12 * i, 12) for i in range(6)),
        nn.BatchNorm2d(88),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(88, 10),
    )
    if sick:
        for m in net.modules():
            if isinstance(m, nn.BatchNorm2d):
                nn.init.zeros_(m.weight)
    return case(net, digits(IMAGE))


def separable(a: Any, b: Any) -> Any:
    return [nn.Conv2d(a, a, 3, padding=1, groups=a), nn.ReLU(), nn.Conv2d(a, b, 1), nn.ReLU()]


def mobilenet_fan_out_groups(*, sick: bool) -> Case:
    """Depthwise convolutions by fan_out without the groups: std 5 times too small in 8 layers."""
    net = nn.Sequential(
        nn.Conv2d(1, 64, 3, padding=1),
        nn.ReLU(),
        *[m for _ in range(8) for m in separable(64, 64)],
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(64, 10),
    )
    he(net)
    if sick:
        for m in net:
            if isinstance(m, nn.Conv2d):
                nn.init.normal_(m.weight, std=(2 / (m.kernel_size[0] ** 2 * m.out_channels)) ** 0.5)
    return case(net, digits(IMAGE))


class _UNet(nn.Module):
    def __init__(self, sick: bool) -> None:
        super().__init__()
        self.d1 = nn.Sequential(*conv_stack([1, 16, 16], norm=True))
        self.d2 = nn.Sequential(nn.MaxPool2d(2), *conv_stack([16, 32, 32], norm=True))
        self.d3 = nn.Sequential(nn.MaxPool2d(2), *conv_stack([32, 64, 64], norm=True))
        self.u2, self.c2 = (
            nn.ConvTranspose2d(64, 32, 2, stride=2),
            nn.Sequential(*conv_stack([64, 32], norm=True)),
        )
        self.u1, self.c1 = (
            nn.ConvTranspose2d(32, 16, 2, stride=2),
            nn.Sequential(*conv_stack([32, 16], norm=True)),
        )
        self.out = nn.Conv2d(16, 1, 1)
        self.sick = sick

    def forward(self, x: Any) -> Any:
        a = self.d1(x)
        b = self.d2(a)
        c = self.c2(torch.cat([b, self.u2(self.d3(b))], 1))
        y = self.out(self.c1(torch.cat([a, self.u1(c)], 1)))
        return torch.sigmoid(y) if self.sick else y


def unet_sigmoid_bcelogits(*, sick: bool) -> Case:
    """Sigmoid before BCEWithLogitsLoss."""
    x, _ = digits(IMAGE)
    return case(
        _UNet(sick),
        (x + 0.3 * torch.randn_like(x), (x > 0.5).float()),
        n=16,
        loss=functional.binary_cross_entropy_with_logits,
    )


def conv3d_default_deep(*, sick: bool) -> Case:
    """16 3-d convolutions with the framework's default, ReLU between, no norm: vanishing."""
    layers = [nn.Conv3d(1, 16, 3, padding=1), nn.ReLU()]
    for _ in range(15):
        layers += [nn.Conv3d(16, 16, 3, padding=1), nn.ReLU()]
    net = nn.Sequential(*layers, nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(16, 10))
    if not sick:
        he(net)
    x, y = digits((1, 8, 8))
    return case(net, (x.unsqueeze(2).repeat(1, 1, 4, 1, 1), y), n=16)


def autoencoder_relu_end(*, sick: bool) -> Case:
    """The decoder ends in a ReLU, targets are standardised: dark pixels cannot be reached."""
    net = nn.Sequential(
        nn.Conv2d(1, 16, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.ConvTranspose2d(32, 16, 2, stride=2),
        nn.ReLU(),
        nn.ConvTranspose2d(16, 1, 2, stride=2),
    )
    if sick:
        net.append(nn.ReLU())
    x, _ = digits(IMAGE)
    return case(net, (x, x))
