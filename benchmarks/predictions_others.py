"""Losses of many kinds, sets, flows and products, on which predictions are held against measurements."""

from __future__ import annotations

import math
from typing import Any

import torch
from predictions_networks import CLASSES, Made, Network, mlp
from torch import nn
from torch.nn import functional

__all__ = ["OTHERS"]

WIDTH = 128


def layers(come: int, go: int, depth: int = 3, kind: Any = nn.ReLU) -> nn.Sequential:
    """Hidden layers of 128 and an output."""
    hidden: list[nn.Module] = [nn.Linear(come, WIDTH), kind()]
    for _ in range(depth - 1):
        hidden += [nn.Linear(WIDTH, WIDTH), kind()]
    return nn.Sequential(*hidden, nn.Linear(WIDTH, go))


def regression() -> Made:
    """64 vectors, 4 targets."""
    return layers(32, 4), torch.randn(64, 32), 0.5 + 2.0 * torch.randn(64, 4)


def classes(model: nn.Module | None = None) -> Made:
    """64 vectors, 10 classes."""
    return model or layers(32, CLASSES), torch.randn(64, 32), torch.randint(0, CLASSES, (64,))


def gaussian_nll(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Mean and variance side by side."""
    mean, raw = output.chunk(2, -1)
    return functional.gaussian_nll_loss(mean, target, functional.softplus(raw) + 1e-3)


def distilled(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """KL divergence from a teacher's probabilities."""
    return functional.kl_div(output.log_softmax(-1), target, reduction="batchmean")


def distill() -> Made:
    """A teacher with logits of spread 2."""
    return layers(32, CLASSES), torch.randn(64, 32), (2.0 * torch.randn(64, CLASSES)).softmax(-1)


class Towers(nn.Module):
    """Two encoders on a sphere."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = layers(32, 64), layers(48, 64, kind=nn.GELU)

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """Cosines over the temperature."""
        x, y = functional.normalize(self.one(a), dim=-1), functional.normalize(self.two(b), dim=-1)
        return x @ y.T / 0.07


def contrast() -> Made:
    """Each to its own: CLIP's loss, one way."""
    return Towers(), {"a": torch.randn(64, 32), "b": torch.randn(64, 48)}, torch.arange(64)


def triplet(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Anchors, likes and unlikes side by side in the batch."""
    x = functional.normalize(output, dim=-1)
    a, b, c = x.chunk(3)
    return functional.triplet_margin_loss(a, b, c, margin=0.2) + 0.0 * target.sum()


def triplets() -> Made:
    """48 vectors, the second 16 of which resemble the first."""
    a = torch.randn(16, 32)
    return layers(32, 64), torch.cat([a, a + 0.3 * torch.randn(16, 32), torch.randn(16, 32)]), torch.zeros(1)


class Speech(nn.Module):
    """A convolution, an LSTM both ways, a head at every step."""

    def __init__(self) -> None:
        super().__init__()
        self.enter, self.steps = (
            nn.Conv1d(20, 64, 5, 2, 2),
            nn.LSTM(64, 64, bidirectional=True, batch_first=True),
        )
        self.head = nn.Linear(128, 28)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits."""
        out: torch.Tensor = self.head(self.steps(functional.relu(self.enter(x)).transpose(1, 2))[0])
        return out


def ctc(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Twelve letters in 32 steps."""
    logs = output.log_softmax(-1).transpose(0, 1)
    steps, letters = torch.full((len(target),), len(logs)), torch.full((len(target),), target.shape[1])
    return functional.ctc_loss(logs, target, steps, letters)


def speech() -> Made:
    """16 spectrograms."""
    return Speech(), torch.randn(16, 20, 64), torch.randint(1, 28, (16, 12))


class Variational(nn.Module):
    """An autoencoder with noise in the middle."""

    def __init__(self) -> None:
        super().__init__()
        self.down, self.up = layers(64, 32, 2), layers(16, 64, 2)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Image, mean and logarithm of the variance."""
        mean, log = self.down(x).chunk(2, -1)
        return self.up(mean + torch.randn_like(mean) * (0.5 * log).exp()), mean, log


def elbo(output: Any, target: torch.Tensor) -> torch.Tensor:
    """Squares and the divergence."""
    image, mean, log = output
    away = -0.5 * (1.0 + log - mean.square() - log.exp()).sum(-1).mean()
    return (image - target).square().sum(-1).mean() + away


def variational() -> Made:
    """64 vectors."""
    x = torch.randn(64, 64)
    return Variational(), x, x.clone()


class Coupling(nn.Module):
    """Half of the numbers scale and shift the other half."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.net = layers(width // 2, width, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """One step of a flow."""
        a, b = x.chunk(2, -1)
        scale, shift = self.net(a).chunk(2, -1)
        return torch.cat([b * torch.exp(torch.tanh(scale)) + shift, a], -1)


def flow() -> Made:
    """Six steps on 64 vectors."""
    x = torch.randn(64, 32)
    return nn.Sequential(*[Coupling(32) for _ in range(6)]), x, torch.zeros(64, 32)


def energy(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Of a standard normal law."""
    return 0.5 * (output - target).square().sum(-1).mean() + 0.5 * output.shape[-1] * math.log(2.0 * math.pi)


class Product(nn.Module):
    """``x + W (A x * B x)``, a product of two branches in every block."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.out = (nn.Linear(WIDTH, WIDTH) for _ in range(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """One block."""
        out: torch.Tensor = x + self.out(self.a(x) * self.b(x))
        return out


class Clicks(nn.Module):
    """Tables of categories, their products in pairs, an MLP (DLRM)."""

    def __init__(self) -> None:
        super().__init__()
        self.tables = nn.ModuleList(nn.Embedding(100, 16) for _ in range(6))
        self.bottom, self.top = layers(13, 16, 2), layers(16 + 21, 1, 2)

    def forward(self, numbers: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
        """Logits."""
        dense = self.bottom(numbers)
        every = torch.stack([dense, *(table(codes[:, k]) for k, table in enumerate(self.tables))], 1)
        products = every @ every.transpose(1, 2)
        rows, columns = torch.tril_indices(7, 7, -1)
        out: torch.Tensor = self.top(torch.cat([dense, products[:, rows, columns]], 1))
        return out.squeeze(-1)


def clicks() -> Made:
    """64 visits."""
    batch = {"numbers": torch.randn(64, 13), "codes": torch.randint(0, 100, (64, 6))}
    return Clicks(), batch, torch.randint(0, 2, (64,))


class Maxout(nn.Module):
    """The largest of three."""

    def __init__(self, come: int) -> None:
        super().__init__()
        self.all = nn.Linear(come, 3 * WIDTH)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """One layer."""
        return self.all(x).unflatten(-1, (-1, 3)).amax(-1)


def tower(block: Any) -> nn.Module:
    """Six blocks and a head."""
    return nn.Sequential(*[block() for _ in range(6)], nn.Linear(WIDTH, CLASSES))


class Sine(nn.Module):
    """``sin(30 x)``."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The sine."""
        return torch.sin(30.0 * x)


def siren() -> Made:
    """SIREN with its own init, on points of a square."""
    model = layers(2, 1, 4, Sine)
    linear = [m for m in model if isinstance(m, nn.Linear)]
    for k, m in enumerate(linear):
        bound = 1.0 / m.in_features if k == 0 else math.sqrt(6.0 / m.in_features) / 30.0
        nn.init.uniform_(m.weight, -bound, bound)
    return model, 2.0 * torch.rand(128, 2) - 1.0, torch.randn(128, 1)


class Waves(nn.Module):
    """Sines and cosines of doubling frequency (NeRF)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """60 features of 3 numbers."""
        angles = x.unsqueeze(-1) * math.pi * 2.0 ** torch.arange(10)
        return torch.cat([angles.sin(), angles.cos()], -1).flatten(1)


def field() -> Made:
    """128 points in a cube."""
    return nn.Sequential(Waves(), layers(60, 4, 6)), 2.0 * torch.rand(128, 3) - 1.0, torch.rand(128, 4)


def with_mean(share: float) -> Made:
    """Weights whose mean is this share of their standard deviation."""
    model = layers(WIDTH, CLASSES, 4)
    with torch.no_grad():
        for m in model:
            if isinstance(m, nn.Linear):
                m.weight.add_(share * m.weight.std())
    return classes_of(model)


def classes_of(model: nn.Module) -> Made:
    """64 vectors of 128."""
    return model, torch.randn(64, WIDTH), torch.randint(0, CLASSES, (64,))


def positive() -> Made:
    """Absolute values of normal weights, tanh."""
    model = layers(WIDTH, CLASSES, 3, nn.Tanh)
    with torch.no_grad():
        for m in model:
            if isinstance(m, nn.Linear):
                m.weight.abs_()
    return classes_of(model)


class Graphs(nn.Module):
    """Means over neighbours, three times."""

    def __init__(self) -> None:
        super().__init__()
        self.own = nn.ModuleList(nn.Linear(32 if k == 0 else WIDTH, WIDTH) for k in range(3))
        self.near = nn.ModuleList(nn.Linear(32 if k == 0 else WIDTH, WIDTH, bias=False) for k in range(3))
        self.head = nn.Linear(WIDTH, CLASSES)

    def forward(self, x: torch.Tensor, edges: torch.Tensor) -> torch.Tensor:
        """Logits of every node."""
        for own, near in zip(self.own, self.near, strict=True):
            x = functional.relu(own(x) + near(edges @ x / edges.sum(-1, keepdim=True)))
        out: torch.Tensor = self.head(x)
        return out


def graphs() -> Made:
    """8 graphs of 20 nodes."""
    edges = (torch.rand(8, 20, 20) < 0.2).float() + torch.eye(20)
    batch = {"x": torch.randn(8, 20, 32), "edges": edges.clamp(max=1.0)}
    return Graphs(), batch, torch.randint(0, CLASSES, (8, 20))


class Sets(nn.Module):
    """Elements on their own, their sum, an MLP."""

    def __init__(self) -> None:
        super().__init__()
        self.each, self.all = layers(8, WIDTH, 2), layers(WIDTH, CLASSES, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits."""
        out: torch.Tensor = self.all(self.each(x).sum(1))
        return out


class Hyper(nn.Module):
    """A network that makes another's weights."""

    def __init__(self) -> None:
        super().__init__()
        self.maker, self.enter, self.head = layers(16, 32 * 32, 2), nn.Linear(32, 32), nn.Linear(32, CLASSES)

    def forward(self, x: torch.Tensor, code: torch.Tensor) -> torch.Tensor:
        """Logits."""
        weight = self.maker(code).unflatten(-1, (32, 32)) / math.sqrt(32.0)
        hidden = torch.einsum("bij,bj->bi", weight, torch.tanh(self.enter(x)))
        out: torch.Tensor = self.head(torch.tanh(hidden))
        return out


def hyper() -> Made:
    """64 pairs."""
    batch = {"x": torch.randn(64, 32), "code": torch.randn(64, 16)}
    return Hyper(), batch, torch.randint(0, CLASSES, (64,))


def _net(make: Any, what: str, loss: Any = None, own: str = "PyTorch") -> Network:
    return Network(make=make, what=what, own=own, loss=loss)


WEIGHTS = torch.linspace(0.2, 2.0, CLASSES)

OTHERS: dict[str, Network] = {
    "squares": _net(regression, "4 targets of mean 0.5 and std 2"),
    "absolute": _net(regression, "the same targets", nn.L1Loss()),
    "Huber": _net(regression, "the same targets", nn.SmoothL1Loss()),
    "normal likelihood": _net(lambda: (layers(32, 8), *regression()[1:]), "mean and variance", gaussian_nll),
    "smoothing": _net(classes, "labels smoothed by 0.1", nn.CrossEntropyLoss(label_smoothing=0.1)),
    "class weights": _net(classes, "weights 0.2 to 2", nn.CrossEntropyLoss(weight=WEIGHTS)),
    "sum of losses": _net(classes, "reduction by a sum", nn.CrossEntropyLoss(reduction="sum")),
    "log softmax": _net(lambda: classes(nn.Sequential(layers(32, CLASSES), nn.LogSoftmax(-1))),
                        "negative log likelihood", nn.NLLLoss()),
    "divergence": _net(distill, "from a teacher", distilled),
    "two towers": _net(contrast, "cosines over 0.07"),
    "triplets": _net(triplets, "margin 0.2 on a sphere", triplet),
    "CTC": _net(speech, "12 letters in 32 steps", ctc),
    "variational": _net(variational, "autoencoder with noise", elbo),
    "flow": _net(flow, "6 couplings", energy),
    "products": _net(lambda: classes_of(tower(Product)),
                     "6 residual blocks with a product"),
    "clicks": _net(clicks, "6 tables, products in pairs"),
    "maxout": _net(lambda: classes_of(tower(lambda: Maxout(WIDTH))),
                   "6 layers of the largest of 3"),
    "SIREN": _net(siren, "4 layers of sines", own="SIREN"),
    "field": _net(field, "6 layers behind waves", nn.HuberLoss()),
    "weights with mean": _net(lambda: with_mean(0.2), "mean 0.2 std, 4 layers", own="shifted"),
    "weights with mean, tanh": _net(positive, "absolute values, 3 layers", own="positive"),
    "graphs": _net(graphs, "3 rounds of means over neighbours"),
    "sets": _net(lambda: (Sets(), torch.randn(32, 24, 8), torch.randint(0, CLASSES, (32,))), "sum over 24"),
    "hypernetwork": _net(hyper, "weights of 32 x 32 made by an MLP"),
    "sine": _net(lambda: mlp(Sine, 3), "3 layers of sin(30 x), PyTorch's init"),
}  # fmt: skip
