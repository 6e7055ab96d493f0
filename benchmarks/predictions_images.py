"""Networks of maps on which predictions are held against measurements: gates, skips, pools, borders."""

from __future__ import annotations

from typing import Any

import torch
from predictions_networks import CLASSES, Made, Network, image
from torch import nn
from torch.nn import functional

__all__ = ["IMAGES"]


class Added(nn.Module):
    """``x + body(x)``."""

    def __init__(self, *body: nn.Module) -> None:
        super().__init__()
        self.body = nn.Sequential(*body)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The sum."""
        out: torch.Tensor = x + self.body(x)
        return out


class Joined(nn.Module):
    """Outputs of several ways, side by side; with `keep` the input too (dense blocks)."""

    def __init__(self, *ways: nn.Module, keep: bool = False) -> None:
        super().__init__()
        self.ways, self.keep = nn.ModuleList(ways), keep

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Joined along channels."""
        return torch.cat([*([x] if self.keep else []), *(way(x) for way in self.ways)], 1)


class Squeeze(nn.Module):
    """Channels weighed by a gate that sees the mean of each."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.down, self.up = nn.Conv2d(width, inner, 1), nn.Conv2d(inner, width, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The gate."""
        seen = functional.relu(self.down(x.mean((2, 3), keepdim=True)))
        return x * torch.sigmoid(self.up(seen))


def pixels(layers: list[nn.Module], width: int, side: int = 32, batch: int = 32) -> Made:
    """Layers on images, the mean of the last map, a head."""
    model = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, CLASSES))
    return model, torch.randn(batch, 3, side, side), torch.randint(0, CLASSES, (batch,))


def bn(come: int, go: int, kernel: int = 3, stride: int = 1, **options: Any) -> list[nn.Module]:
    """A convolution and its batch norm."""
    conv = nn.Conv2d(come, go, kernel, stride, kernel // 2, bias=False, **options)
    return [conv, nn.BatchNorm2d(go)]


def squeezed() -> Made:
    """Residual blocks with gates."""
    blocks = [Added(*bn(48, 48), nn.ReLU(), *bn(48, 48), Squeeze(48, 12)) for _ in range(4)]
    return pixels([*bn(3, 48, stride=2), nn.ReLU(), *blocks], 48)


def mobile() -> Made:
    """Inverted residuals with depthwise convolutions."""
    layers: list[nn.Module] = [*bn(3, 32, stride=2), nn.ReLU6()]
    for _ in range(4):
        deep = [*bn(32, 128, 1), nn.ReLU6(), *bn(128, 128, groups=128), nn.ReLU6(), *bn(128, 32, 1)]
        layers.append(Added(*deep))
    return pixels(layers, 32)


def depthwise() -> Made:
    """Depthwise and pointwise, without norms."""
    layers: list[nn.Module] = [nn.Conv2d(3, 64, 3, 2, 1), nn.ReLU()]
    for _ in range(4):
        layers += [nn.Conv2d(64, 64, 3, padding=1, groups=64), nn.Conv2d(64, 64, 1), nn.ReLU()]
    return pixels(layers, 64)


def dilated() -> Made:
    """Kernels as wide as the map."""
    layers: list[nn.Module] = [nn.Conv2d(3, 64, 3, padding=1), nn.ReLU()]
    for gap in (2, 4, 8, 8):
        layers += [nn.Conv2d(64, 64, 3, padding=gap, dilation=gap), nn.ReLU()]
    return pixels(layers, 64, side=16)


def vgg(pool: Any) -> Made:
    """Pairs of convolutions and a pool."""
    layers: list[nn.Module] = []
    for come, go in ((3, 32), (32, 64), (64, 128)):
        layers += [nn.Conv2d(come, go, 3, padding=1), nn.ReLU(), nn.Conv2d(go, go, 3, padding=1), nn.ReLU()]
        layers.append(pool(2))
    model = nn.Sequential(*layers, nn.Flatten(), nn.Linear(128 * 16, 128), nn.ReLU(), nn.Linear(128, CLASSES))
    return model, torch.randn(32, 3, 32, 32), torch.randint(0, CLASSES, (32,))


class Unet(nn.Module):
    """Down twice and up twice, with skips; a class a pixel."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.three = self.pair(3, 32), self.pair(32, 64), self.pair(64, 128)
        self.up2, self.up1 = nn.ConvTranspose2d(128, 64, 2, 2), nn.ConvTranspose2d(64, 32, 2, 2)
        self.back2, self.back1, self.head = self.pair(128, 64), self.pair(64, 32), nn.Conv2d(32, 5, 1)

    @staticmethod
    def pair(come: int, go: int) -> nn.Module:
        """Two convolutions with group norms."""
        halves = [(come, go), (go, go)]
        layers = [[nn.Conv2d(a, b, 3, padding=1), nn.GroupNorm(8, b), nn.SiLU()] for a, b in halves]
        return nn.Sequential(*layers[0], *layers[1])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits."""
        one = self.one(x)
        two = self.two(functional.max_pool2d(one, 2))
        deep = self.three(functional.max_pool2d(two, 2))
        two = self.back2(torch.cat([self.up2(deep), two], 1))
        out: torch.Tensor = self.head(self.back1(torch.cat([self.up1(two), one], 1)))
        return out


def decoder() -> Made:
    """Down by strides and up by nearest neighbours, to an image."""
    down = [nn.Conv2d(3, 32, 3, 2, 1), nn.GELU(), nn.Conv2d(32, 64, 3, 2, 1), nn.GELU()]
    up = [nn.Upsample(scale_factor=2), nn.Conv2d(64, 32, 3, padding=1), nn.GELU(),
          nn.Upsample(scale_factor=2, mode="bilinear"), nn.Conv2d(32, 3, 3, padding=1),
          nn.Sigmoid()]  # fmt: skip
    x = torch.rand(16, 3, 32, 32)
    return nn.Sequential(*down, *up), x, x.clone()


def shuffled() -> Made:
    """Twice the size by pixel shuffle."""
    blocks = [
        Added(nn.Conv2d(48, 48, 3, padding=1), nn.ReLU(), nn.Conv2d(48, 48, 3, padding=1)) for _ in range(4)
    ]
    end = [nn.Conv2d(48, 12, 3, padding=1), nn.PixelShuffle(2)]
    return (
        nn.Sequential(nn.Conv2d(3, 48, 3, padding=1), *blocks, *end),
        torch.randn(8, 3, 16, 16),
        torch.randn(8, 3, 32, 32),
    )


def grouped() -> Made:
    """Groups of two channels on maps of 2 x 2: eight numbers a norm."""
    layers: list[nn.Module] = [nn.Conv2d(3, 32, 4, 4), nn.GroupNorm(16, 32), nn.ReLU()]
    for _ in range(5):
        layers += [nn.Conv2d(32, 32, 3, padding=1), nn.GroupNorm(16, 32), nn.ReLU()]
    return pixels(layers, 32, side=8)


def dense() -> Made:
    """Three dense blocks of 4 layers."""
    layers: list[nn.Module] = [nn.Conv2d(3, 32, 3, padding=1, bias=False)]
    width = 32
    for block in range(3):
        for _ in range(4):
            body = nn.Sequential(
                nn.BatchNorm2d(width), nn.ReLU(), nn.Conv2d(width, 16, 3, padding=1, bias=False)
            )
            layers.append(Joined(body, keep=True))
            width += 16
        if block < 2:
            layers += [
                nn.BatchNorm2d(width),
                nn.ReLU(),
                nn.Conv2d(width, width // 2, 1, bias=False),
                nn.AvgPool2d(2),
            ]
            width //= 2
    return pixels([*layers, nn.BatchNorm2d(width), nn.ReLU()], width, batch=16)


def inception() -> Made:
    """Four ways side by side, three times."""
    layers: list[nn.Module] = [nn.Conv2d(3, 64, 3, 2, 1), nn.ReLU()]
    for _ in range(3):
        three = nn.Sequential(nn.Conv2d(64, 16, 1), nn.ReLU(), nn.Conv2d(16, 24, 3, padding=1))
        five = nn.Sequential(nn.Conv2d(64, 8, 1), nn.ReLU(), nn.Conv2d(8, 16, 5, padding=2))
        pooled = nn.Sequential(nn.MaxPool2d(3, 1, 1), nn.Conv2d(64, 8, 1))
        layers += [Joined(nn.Conv2d(64, 16, 1), three, five, pooled), nn.ReLU()]
    return pixels(layers, 64)


class Standard(nn.Conv2d):
    """A convolution with standardised weights and a gain."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """As NFNets have it."""
        mean, var = self.weight.mean((1, 2, 3), keepdim=True), self.weight.var((1, 2, 3), keepdim=True)
        terms = self.weight[0].numel()
        weight = (self.weight - mean) * torch.rsqrt(var * terms + 1e-4)
        return functional.conv2d(x, weight, self.bias, self.stride, self.padding)


class Free(nn.Module):
    """``x + alpha f(x / beta)`` without norms."""

    def __init__(self, width: int, beta: float) -> None:
        super().__init__()
        self.beta = beta
        self.one, self.two = Standard(width, width, 3, padding=1), Standard(width, width, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """One block."""
        y = 1.7139 * functional.relu(x / self.beta)
        out: torch.Tensor = x + 0.2 * self.two(1.7139 * functional.relu(self.one(y)))
        return out


def free() -> Made:
    """Eight such blocks."""
    blocks = [Free(64, (1.0 + 0.04 * k) ** 0.5) for k in range(8)]
    return pixels([Standard(3, 64, 3, 2, 1), *blocks, nn.ReLU()], 64)


def solid() -> Made:
    """Three dimensions."""
    layers: list[nn.Module] = []
    for come, go, stride in ((1, 16, 1), (16, 32, 2), (32, 32, 1), (32, 64, 2)):
        layers += [nn.Conv3d(come, go, 3, stride, 1), nn.BatchNorm3d(go), nn.ReLU()]
    model = nn.Sequential(*layers, nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(64, CLASSES))
    return model, torch.randn(8, 1, 8, 16, 16), torch.randint(0, CLASSES, (8,))


def critic() -> Made:
    """DCGAN's critic, with its own init."""
    layers: list[nn.Module] = [nn.Conv2d(3, 32, 4, 2, 1, bias=False), nn.LeakyReLU(0.2)]
    for width in (32, 64):
        layers += [
            nn.Conv2d(width, 2 * width, 4, 2, 1, bias=False),
            nn.BatchNorm2d(2 * width),
            nn.LeakyReLU(0.2),
        ]
    model = nn.Sequential(*layers, nn.Conv2d(128, 1, 4, 1, 0, bias=False), nn.Flatten())
    for m in model.modules():
        if isinstance(m, nn.Conv2d):
            nn.init.normal_(m.weight, 0.0, 0.02)
        if isinstance(m, nn.BatchNorm2d):
            nn.init.normal_(m.weight, 1.0, 0.02)
    return model, torch.randn(32, 3, 32, 32), torch.randint(0, 2, (32, 1)).float()


class Causal(nn.Module):
    """A residual block of causal dilated convolutions with weight norm."""

    def __init__(self, width: int, gap: int) -> None:
        super().__init__()
        self.gap = gap
        norm = nn.utils.parametrizations.weight_norm
        self.one, self.two = (norm(nn.Conv1d(width, width, 3, dilation=gap)) for _ in range(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Padded on the left."""
        y = functional.relu(self.one(functional.pad(x, (2 * self.gap, 0))))
        y = functional.relu(self.two(functional.pad(y, (2 * self.gap, 0))))
        return functional.relu(x + y)


class Last(nn.Module):
    """A head on the last step of a map."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.head = nn.Linear(width, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits."""
        out: torch.Tensor = self.head(x[:, :, -1])
        return out


def temporal() -> Made:
    """A TCN, of which the last step is read."""
    model = nn.Sequential(nn.Conv1d(8, 64, 1), *[Causal(64, 2**k) for k in range(4)], Last(64))
    return model, torch.randn(32, 8, 48), torch.randint(0, CLASSES, (32,))


class Mixer(nn.Module):
    """MLPs over places and over channels."""

    def __init__(self, places: int, width: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.across = nn.Sequential(nn.Linear(places, 2 * places), nn.GELU(), nn.Linear(2 * places, places))
        self.along = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """One layer."""
        x = x + self.across(self.norms[0](x).transpose(1, 2)).transpose(1, 2)
        out: torch.Tensor = x + self.along(self.norms[1](x))
        return out


class Patches(nn.Module):
    """Patches through mixers; the mean is read."""

    def __init__(self) -> None:
        super().__init__()
        self.enter, self.layers = nn.Conv2d(3, 96, 4, 4), nn.Sequential(*[Mixer(64, 96) for _ in range(4)])
        self.norm, self.head = nn.LayerNorm(96), nn.Linear(96, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits."""
        y = self.layers(self.enter(x).flatten(2).transpose(1, 2))
        out: torch.Tensor = self.head(self.norm(y).mean(1))
        return out


def mixer() -> Made:
    """16 images of 32 x 32."""
    return Patches(), torch.randn(16, 3, 32, 32), torch.randint(0, CLASSES, (16,))


def segment() -> Made:
    """8 images of 32 x 32, a class a pixel."""
    return Unet(), torch.randn(8, 3, 32, 32), torch.randint(0, 5, (8, 32, 32))


def _net(make: Any, what: str, own: str = "PyTorch", loss: Any = None) -> Network:
    return Network(make=make, what=what, own=own, loss=loss)


REGNET = {"depths": [1, 2, 2], "hidden_sizes": [32, 64, 128], "groups_width": 16, "embedding_size": 32}

IMAGES: dict[str, Network] = {
    "squeeze": _net(squeezed, "4 residual blocks of 48 with gates"),
    "mobile": _net(mobile, "4 inverted residuals, depthwise"),
    "depthwise": _net(depthwise, "4 depthwise and 4 pointwise of 64"),
    "dilated": _net(dilated, "kernels up to 17 on maps of 16"),
    "VGG, max": _net(lambda: vgg(nn.MaxPool2d), "6 convolutions, 3 pools"),
    "VGG, mean": _net(lambda: vgg(nn.AvgPool2d), "6 convolutions, 3 pools"),
    "U-Net": _net(segment, "3 levels, group norms"),
    "autoencoder": _net(decoder, "strides down, neighbours up"),
    "pixel shuffle": _net(shuffled, "4 residual blocks of 48, absolute error", loss=nn.L1Loss()),
    "small groups": _net(grouped, "5 group norms over 8 numbers"),
    "dense blocks": _net(dense, "3 blocks of 4"),
    "inception": _net(inception, "3 blocks of 4 ways"),
    "norm-free": _net(free, "8 blocks of 64, standardised weights"),
    "3-D": _net(solid, "4 convolutions"),
    "critic": _net(critic, "4 convolutions, N(0, 0.02)", "DCGAN",
                   nn.BCEWithLogitsLoss(pos_weight=torch.tensor([3.0]))),
    "TCN": _net(temporal, "4 blocks of 64, weight norm, last step"),
    "mixer": _net(mixer, "4 layers of 96, 64 patches"),
    "RegNet": _net(lambda: image("regnet", **REGNET), "5 blocks with gates", "transformers"),
}  # fmt: skip
