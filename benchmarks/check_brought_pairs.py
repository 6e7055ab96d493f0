"""Networks that compare, remember and route."""

from __future__ import annotations

import copy
from typing import Any

import torch
from check_brought_data import Case, digits
from torch import nn
from torch.nn import functional

__all__ = ["KINDS"]


class SimClr(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(1, 16, 3, 1, 1, bias=False),
            nn.BatchNorm2d(16),
            nn.ReLU(True),
            nn.Conv2d(16, 32, 3, 2, 1, bias=False),
            nn.BatchNorm2d(32),
            nn.ReLU(True),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )
        self.projector = nn.Sequential(
            nn.Linear(32, 32, bias=False),
            nn.BatchNorm1d(32),
            nn.ReLU(True),
            nn.Linear(32, 16, bias=False),
            nn.BatchNorm1d(16, affine=False),
        )

    def forward(self, a: Any, b: Any) -> Any:
        return functional.normalize(self.projector(self.encoder(torch.cat((a, b)))), dim=1)


def _contrast(z: Any, _: Any) -> Any:
    n = len(z) // 2
    scores = (z @ z.T / 0.2).masked_fill(torch.eye(2 * n, dtype=torch.bool), -1e9)
    return functional.cross_entropy(scores, torch.cat((torch.arange(n) + n, torch.arange(n))))


def contrastive_pairs(seed: int) -> Case:
    torch.manual_seed(seed)

    def draw(g: torch.Generator) -> Any:
        x, _ = digits(g, 32)
        noise = torch.randn(2, *x.shape, generator=g)
        return (x + 0.2 * noise[0], x.roll(1, 3) + 0.2 * noise[1]), torch.zeros(1)

    return Case(SimClr(), draw, _contrast, 3e-3)


class TeacherForcing(nn.Module):
    """A GRU encoder and an attending GRUCell decoder, stepped in a Python loop over the true letters."""

    def __init__(self, vocab: Any = 12, d: Any = 32) -> None:
        super().__init__()
        self.embed = nn.Embedding(vocab, d, padding_idx=0)
        self.encoder = nn.GRU(d, d, batch_first=True, bidirectional=True)
        self.bridge = nn.Linear(2 * d, d)
        self.cell = nn.GRUCell(d + 2 * d, d)
        self.energy, self.v = nn.Linear(3 * d, d), nn.Linear(d, 1, bias=False)
        self.out = nn.Linear(d, vocab)

    def forward(self, source: Any, target: Any) -> Any:
        memory, last = self.encoder(self.embed(source))
        h = torch.tanh(self.bridge(torch.cat((last[0], last[1]), 1)))
        token, logits = torch.ones_like(target[:, 0]), []
        for t in range(target.shape[1]):
            e = self.v(
                torch.tanh(self.energy(torch.cat((h[:, None].expand(-1, memory.shape[1], -1), memory), -1)))
            )
            context = (e.softmax(1) * memory).sum(1)
            h = self.cell(torch.cat((self.embed(token), context), 1), h)
            logits.append(self.out(h))
            token = target[:, t]
        return torch.stack(logits, 1)


def teacher_forcing(seed: int) -> Case:
    torch.manual_seed(seed)

    def draw(g: torch.Generator) -> Any:
        source = torch.randint(2, 12, (32, 6), generator=g)
        target = source.flip(1)
        return (source, target), target

    return Case(
        TeacherForcing(), draw, lambda out, y: functional.cross_entropy(out.flatten(0, 1), y.flatten()), 5e-3
    )


class Capsules(nn.Module):
    """Convolution, primary capsules, three rounds of routing by agreement; the lengths are the classes."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 32, 3)
        self.primary = nn.Conv2d(32, 32, 3, 2)
        self.W = nn.Parameter(0.1 * torch.randn(1, 16, 10, 8, 8))  # primaries, classes, out, in

    @staticmethod
    def squash(s: Any) -> Any:
        n = s.square().sum(-1, keepdim=True)
        return n / (1 + n) * s / (n.sqrt() + 1e-8)

    def forward(self, x: Any) -> Any:
        x = self.primary(functional.relu(self.conv(x)))
        u = self.squash(x.reshape(len(x), 4, 8, 4).transpose(2, 3).reshape(len(x), 16, 8))
        hat = (self.W @ u[:, :, None, :, None]).squeeze(-1)
        b = torch.zeros(len(x), 16, 10, 1)
        for turn in range(3):
            v = self.squash((b.softmax(2) * hat).sum(1))
            if turn < 2:
                b = b + (hat * v[:, None]).sum(-1, keepdim=True)
        return v.norm(dim=-1)


def _margin(lengths: Any, y: Any) -> Any:
    hot = functional.one_hot(y, 10)
    return (
        (
            hot * functional.relu(0.9 - lengths).square()
            + 0.5 * (1 - hot) * functional.relu(lengths - 0.1).square()
        )
        .sum(1)
        .mean()
    )


def capsule_routing(seed: int) -> Case:
    torch.manual_seed(seed)

    def draw(g: torch.Generator) -> Any:
        x, y = digits(g)
        return (x,), y

    return Case(Capsules(), draw, _margin, 3e-3)


class Byol(nn.Module):
    """An online network, a predictor, and a slow copy of the network inside that gets no gradient."""

    def __init__(self, d: Any = 32) -> None:
        super().__init__()
        self.online = nn.Sequential(
            nn.Flatten(), nn.Linear(64, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, d)
        )
        self.target = copy.deepcopy(self.online).requires_grad_(False)
        self.predictor = nn.Sequential(nn.Linear(d, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, d))

    def forward(self, a: Any, b: Any) -> Any:
        p = functional.normalize(self.predictor(self.online(a)), dim=-1)
        with torch.no_grad():
            z = functional.normalize(self.target(b), dim=-1)
        return 2 - 2 * (p * z).sum(-1)


def ema_teacher(seed: int) -> Case:
    torch.manual_seed(seed)

    def draw(g: torch.Generator) -> Any:
        x, _ = digits(g)
        return (x, x + 0.1 * torch.randn(x.shape, generator=g)), torch.zeros(1)

    return Case(Byol(), draw, lambda out, _: out.mean())


KINDS = (contrastive_pairs, teacher_forcing, capsule_routing, ema_teacher)
