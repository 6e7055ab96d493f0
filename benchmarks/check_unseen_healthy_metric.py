"""Detection, metric learning and capsules, as their authors initialise them."""

from __future__ import annotations

import math

import torch
from check_unseen_healthy_data import Batch, Case, images
from check_unseen_healthy_patches import Tokens
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["KINDS"]


def _scene(s: int) -> tuple[Tensor, Tensor]:
    """Put a digit somewhere in an empty field; give its cell of 16 and its class."""
    x, y = images(s, 16, 12, standard=False)
    g = torch.Generator().manual_seed(s)
    at = torch.randint(0, 4, (16, 2), generator=g)
    scene = torch.zeros(16, 1, 36, 36)
    for i in range(16):
        scene[i, :, at[i, 0] * 8 : at[i, 0] * 8 + 12, at[i, 1] * 8 : at[i, 1] * 8 + 12] = x[i]
    return scene[:, :, 2:34, 2:34], torch.stack([at[:, 0] * 4 + at[:, 1], y], 1)


def _focal(logits: Tensor, y: Tensor) -> Tensor:
    goal = torch.zeros(len(y), 10, 16)
    goal[torch.arange(len(y)), y[:, 1], y[:, 0]] = 1.0
    z = logits.flatten(2)
    p, ce = torch.sigmoid(z), functional.binary_cross_entropy_with_logits(z, goal, reduction="none")
    alpha = 0.25 * goal + 0.75 * (1 - goal)
    return (alpha * (1 - (p * goal + (1 - p) * (1 - goal))) ** 2 * ce).sum() / len(y)


def retina_head(_: int) -> Case:
    """Build RetinaNet's class head on a backbone: convolutions N(0, 0.01), prior 0.01, focal loss."""
    backbone = nn.Sequential(
        nn.Conv2d(1, 16, 3, 2, 1, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, 2, 1, bias=False),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.Conv2d(32, 64, 3, 2, 1, bias=False),
        nn.BatchNorm2d(64),
        nn.ReLU(),
    )
    head = nn.Sequential(
        nn.Conv2d(64, 64, 3, 1, 1),
        nn.ReLU(),
        nn.Conv2d(64, 64, 3, 1, 1),
        nn.ReLU(),
        nn.Conv2d(64, 10, 3, 1, 1),
    )
    for m in head:
        if isinstance(m, nn.Conv2d):
            nn.init.normal_(m.weight, std=0.01)
            nn.init.zeros_(m.bias)  # type: ignore[arg-type]
    nn.init.constant_(head[-1].bias, -math.log(99))  # type: ignore[arg-type]

    def draw(s: int) -> Batch:
        x, y = _scene(s)
        return (x,), y

    return Case(
        model=nn.Sequential(backbone, head),
        draw=draw,
        loss=_focal,
        chance=1.15,
        lr=2e-3,
        share=0.7,
        steps=400,
    )


class Yolo(nn.Module):
    """Strided convolutions with SiLU and a head of objectness and classes with YOLOv5's priors."""

    def __init__(self) -> None:
        super().__init__()

        def cbs(i: int, o: int, s: int) -> nn.Sequential:
            return nn.Sequential(
                nn.Conv2d(i, o, 3, s, 1, bias=False), nn.BatchNorm2d(o, eps=1e-3, momentum=0.03), nn.SiLU()
            )

        self.body = nn.Sequential(cbs(1, 16, 2), cbs(16, 32, 2), cbs(32, 32, 1), cbs(32, 64, 2))
        self.head = nn.Conv2d(64, 11, 1)
        self.head.bias.data[0] = math.log(1 / 15)
        self.head.bias.data[1:] = math.log(0.6 / (10 - 0.99))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.body(x)).flatten(2)
        return out


def yolo(_: int) -> Case:
    def draw(s: int) -> Batch:
        x, y = _scene(s)
        return (x,), y

    def loss(out: Tensor, y: Tensor) -> Tensor:
        n = torch.arange(len(y))
        seen = torch.zeros(len(y), 16)
        seen[n, y[:, 0]] = 1.0
        classes = functional.binary_cross_entropy_with_logits(
            out[n, 1:, y[:, 0]], functional.one_hot(y[:, 1], 10).float()
        )
        return functional.binary_cross_entropy_with_logits(out[:, 0], seen) + classes

    return Case(model=Yolo(), draw=draw, loss=loss, chance=0.234 + 0.325, lr=2e-3, share=0.8)


class Siamese(nn.Module):
    """Koch's: one body for two digits, |difference|, one unit; N(0, 0.01), N(0, 0.2), biases near 0.5."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 16, 5),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(512, 64),
            nn.Sigmoid(),
        )
        self.out = nn.Linear(64, 1)
        for m in self.modules():
            if isinstance(m, nn.Conv2d | nn.Linear):
                nn.init.normal_(m.weight, 0, 0.2 if isinstance(m, nn.Linear) else 0.01)
                nn.init.normal_(m.bias, 0.5, 0.01)  # type: ignore[arg-type]

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        out: Tensor = self.out((self.body(a) - self.body(b)).abs())
        return out.squeeze(1)


def _twos(s: int) -> Batch:
    x, y = images(s, 64, 16)
    order = torch.argsort(y, stable=True)
    a = torch.cat([order[0::2], torch.arange(32)])
    b = torch.cat([order[1::2], torch.arange(32, 64)])
    return (x[a], x[b]), (y[a] == y[b]).float()


def siamese_koch(_: int) -> Case:
    return Case(
        model=Siamese(),
        draw=_twos,
        loss=functional.binary_cross_entropy_with_logits,
        chance=math.log(2),
        lr=1e-3,
        share=0.8,
        steps=400,
    )


class Contrast(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(1, 16, 3, 2, 1, bias=False),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.Conv2d(16, 32, 3, 2, 1, bias=False),
            nn.BatchNorm2d(32),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(2),
            nn.Flatten(),
        )
        self.projector = nn.Sequential(nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 32))

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return functional.normalize(self.projector(self.encoder(torch.cat([a, b]))), dim=1)


def simclr(_: int) -> Case:
    def draw(s: int) -> Batch:
        x, _ = images(s, 32, 16)
        g = torch.Generator().manual_seed(s)
        return (x + 0.2 * torch.randn(x.shape, generator=g), torch.roll(x, (1, -1), (2, 3))), torch.zeros(1)

    def nt_xent(z: Tensor, _: Tensor) -> Tensor:
        n = len(z) // 2
        like = (z @ z.T / 0.5).masked_fill(torch.eye(2 * n, dtype=torch.bool), -1e9)
        return functional.cross_entropy(like, torch.arange(2 * n).roll(n))

    return Case(model=Contrast(), draw=draw, loss=nt_xent, chance=math.log(63), lr=1e-3, share=0.7)


class Caps(nn.Module):
    """Capsules with three rounds of routing, their matrices 0.1 randn; margin loss on lengths."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.primary = nn.Conv2d(1, 32, 5), nn.Conv2d(32, 32, 5, 2)
        self.w = nn.Parameter(0.1 * torch.randn(10, 64, 8, 8))

    @staticmethod
    def _squash(s: Tensor) -> Tensor:
        n = (s**2).sum(-1, keepdim=True)
        return n / (1 + n) * s / torch.sqrt(n + 1e-9)

    def forward(self, x: Tensor) -> Tensor:
        u = self.primary(functional.relu(self.conv(x)))
        u = self._squash(u.reshape(len(x), 8, -1).transpose(1, 2))
        votes = torch.einsum("bid,cide->bcie", u, self.w)
        logits = torch.zeros(*votes.shape[:3], 1)
        v = votes[:, :, 0]
        for _ in range(3):
            v = self._squash((logits.softmax(1) * votes).sum(2))
            logits = logits + (votes * v[:, :, None]).sum(-1, keepdim=True)
        return (v**2).sum(-1).add(1e-9).sqrt()


def capsules(_: int) -> Case:
    def draw(s: int) -> Batch:
        x, y = images(s, 32, 16, standard=False)
        return (x,), y

    def margin(v: Tensor, y: Tensor) -> Tensor:
        t = functional.one_hot(y, 10).float()
        return (
            (t * functional.relu(0.9 - v) ** 2 + 0.5 * (1 - t) * functional.relu(v - 0.1) ** 2).sum(1).mean()
        )

    return Case(model=Caps(), draw=draw, loss=margin, chance=0.6, lr=2e-3, share=0.6)


def regnet_tokens(_: int) -> Case:
    """Post-norm encoder of PyTorch's defaults over patches, GELU; torch's own layers."""
    layer = nn.TransformerEncoderLayer(64, 4, 128, 0.1, "gelu", batch_first=True)

    def draw(s: int) -> Batch:
        x, y = images(s, 32, 16, 3)
        return (x,), y

    return Case(
        model=Tokens([nn.TransformerEncoder(layer, 3, enable_nested_tensor=False)]), draw=draw, lr=1e-3
    )


KINDS = {f.__name__: f for f in (retina_head, yolo, siamese_koch, simclr, capsules, regnet_tokens)}
