"""Networks with gradients of their own, and generative ones."""

from __future__ import annotations

import math
from typing import Any

import torch
from check_brought_data import Case, digits
from torch import nn
from torch.nn import functional

__all__ = ["KINDS"]


def _digits(g: torch.Generator) -> Any:
    x, y = digits(g)
    return (x,), y


class Reverse(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Any, scale: Any) -> Any:
        ctx.scale = scale
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, grad: Any) -> Any:
        return -ctx.scale * grad, None


class Dann(nn.Module):
    """Features, a class head, and a domain head behind a reversed gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 16, 3), nn.BatchNorm2d(16), nn.MaxPool2d(2), nn.ReLU(), nn.Flatten()
        )
        self.classes = nn.Sequential(
            nn.Linear(144, 48), nn.BatchNorm1d(48), nn.ReLU(), nn.Linear(48, 10), nn.LogSoftmax(1)
        )
        self.domains = nn.Sequential(
            nn.Linear(144, 48), nn.BatchNorm1d(48), nn.ReLU(), nn.Linear(48, 2), nn.LogSoftmax(1)
        )

    def forward(self, x: Any, alpha: Any = 0.1) -> Any:
        h = self.features(x)
        return self.classes(h), self.domains(Reverse.apply(h, alpha))


def gradient_reversal(seed: int) -> Case:
    torch.manual_seed(seed)

    def draw(g: torch.Generator) -> Any:
        x, y = digits(g)
        d = torch.arange(len(x)) % 2
        return (x * (1 - 0.3 * d[:, None, None, None]),), (y, d)

    return Case(
        Dann(), draw, lambda out, y: functional.nll_loss(out[0], y[0]) + functional.nll_loss(out[1], y[1])
    )


class Quantised(nn.Module):
    """Fake quantisation of weights and activations, gradients straight through."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 16, 3, padding=1), nn.Conv2d(16, 32, 3, stride=2, padding=1)
        self.fc = nn.Linear(512, 10)

    @staticmethod
    def q(x: Any, bits: Any = 8) -> Any:
        top = x.detach().abs().amax().clamp(min=1e-8) / (2 ** (bits - 1) - 1)
        return x + (torch.round(x / top) * top - x).detach()

    def forward(self, x: Any) -> Any:
        x = self.q(
            functional.relu(
                functional.conv2d(self.q(x), self.q(self.conv1.weight), self.conv1.bias, padding=1)
            )
        )
        x = self.q(functional.relu(functional.conv2d(x, self.q(self.conv2.weight), self.conv2.bias, 2, 1)))
        return functional.linear(x.flatten(1), self.q(self.fc.weight), self.fc.bias)


def fake_quantised(seed: int) -> Case:
    torch.manual_seed(seed)
    return Case(Quantised(), _digits)


class Ste(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.save_for_backward(x)
        return x.sign()

    @staticmethod
    def backward(ctx: Any, grad: Any) -> Any:
        (x,) = ctx.saved_tensors
        return grad * (x.abs() <= 1)


class Binary(nn.Module):
    """Binary weights and activations with batch norm (BinaryConnect style), latent weights real."""

    def __init__(self, width: Any = 128) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            [
                nn.Linear(64, width, bias=False),
                nn.Linear(width, width, bias=False),
                nn.Linear(width, 10, bias=False),
            ]
        )
        self.norms = nn.ModuleList([nn.BatchNorm1d(width), nn.BatchNorm1d(width), nn.BatchNorm1d(10)])

    def forward(self, x: Any) -> Any:
        x = x.flatten(1)
        for i, (layer, norm) in enumerate(zip(self.layers, self.norms, strict=True)):
            x = norm(functional.linear(x, Ste.apply(layer.weight)))
            if i < 2:
                x = Ste.apply(functional.hardtanh(x))
        return x


def binary_straight_through(seed: int) -> Case:
    torch.manual_seed(seed)
    return Case(Binary(), _digits, None, 3e-3)


class GumbelVae(nn.Module):
    """Eight categorical latents of eight states, relaxed by Gumbel noise; returns the negative bound."""

    def __init__(self) -> None:
        super().__init__()
        self.enc = nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64))
        self.dec = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64))

    def forward(self, x: Any) -> Any:
        logits = self.enc(x).view(-1, 8, 8)
        z = functional.gumbel_softmax(logits, tau=1.0)
        q = logits.softmax(-1)
        kl = (q * (q.clamp(min=1e-9).log() + math.log(8))).sum((1, 2))
        return {"recon": self.dec(z.flatten(1)), "kl": kl}


def gumbel_discrete(seed: int) -> Case:
    torch.manual_seed(seed)

    def draw(g: torch.Generator) -> Any:
        x, _ = digits(g)
        return (x,), (x.flatten(1) + 1) / 2

    def loss(out: Any, y: Any) -> Any:
        return (
            functional.binary_cross_entropy_with_logits(out["recon"], y, reduction="none").sum(1).mean()
            + 0.1 * out["kl"].mean()
        )

    return Case(GumbelVae(), draw, loss, 3e-3)


class VectorQuantiser(nn.Module):
    """An autoencoder with a codebook uniform in 1/K, straight-through, commitment loss."""

    def __init__(self, codes: Any = 32, d: Any = 8) -> None:
        super().__init__()
        self.enc = nn.Sequential(nn.Conv2d(1, 16, 4, 2, 1), nn.ReLU(), nn.Conv2d(16, d, 1))
        self.codebook = nn.Embedding(codes, d)
        self.codebook.weight.data.uniform_(-1 / codes, 1 / codes)
        self.dec = nn.Sequential(nn.Conv2d(d, 16, 3, 1, 1), nn.ReLU(), nn.ConvTranspose2d(16, 1, 4, 2, 1))

    def forward(self, x: Any) -> Any:
        z = self.enc(x).permute(0, 2, 3, 1)
        flat = z.reshape(-1, z.shape[-1])
        index = torch.cdist(flat, self.codebook.weight).argmin(1)
        q = self.codebook(index).view_as(z)
        commit = functional.mse_loss(q.detach(), z) * 0.25 + functional.mse_loss(q, z.detach())
        q = z + (q - z).detach()
        return self.dec(q.permute(0, 3, 1, 2)), commit


def vector_quantiser(seed: int) -> Case:
    torch.manual_seed(seed)

    def draw(g: torch.Generator) -> Any:
        x, _ = digits(g)
        return (x,), x

    return Case(VectorQuantiser(), draw, lambda out, x: functional.mse_loss(out[0], x) + out[1], 3e-3)


class Coupling(nn.Module):
    def __init__(self, flip: Any, width: Any = 32) -> None:
        super().__init__()
        self.flip = flip
        self.net = nn.Sequential(
            nn.Linear(1, width), nn.LeakyReLU(), nn.Linear(width, width), nn.LeakyReLU(), nn.Linear(width, 2)
        )
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, x: Any) -> Any:
        a, b = x.chunk(2, 1)
        if self.flip:
            a, b = b, a
        s, t = self.net(a).chunk(2, 1)
        s = self.scale * torch.tanh(s)
        b = b * s.exp() + t
        return torch.cat((b, a) if self.flip else (a, b), 1), s.sum(1)


class RealNvp(nn.Module):
    def __init__(self, depth: Any = 6) -> None:
        super().__init__()
        self.layers = nn.ModuleList([Coupling(i % 2) for i in range(depth)])

    def forward(self, x: Any) -> Any:
        total = 0
        for layer in self.layers:
            x, logdet = layer(x)
            total = total + logdet
        return -(torch.distributions.Normal(0.0, 1.0).log_prob(x).sum(1) + total).mean()


def real_nvp_moons(seed: int) -> Case:
    torch.manual_seed(seed)

    def draw(g: torch.Generator) -> Any:
        half = torch.rand(128, generator=g) * math.pi
        which = torch.randint(2, (128,), generator=g).float()
        x = torch.stack((half.cos() * (1 - 2 * which) + which, half.sin() * (1 - 2 * which) + 0.5 * which), 1)
        return (1.5 * x + 0.1 * torch.randn(128, 2, generator=g),), torch.zeros(1)

    return Case(RealNvp(), draw, lambda out, _: out, 3e-3)


class FlowMatching(nn.Module):
    """A velocity network over (x, t): scale and shift by the embedded time, zero at the start."""

    def __init__(self, d: Any = 64, depth: Any = 3) -> None:
        super().__init__()
        self.d = d
        self.time = nn.Sequential(nn.Linear(d, d), nn.SiLU(), nn.Linear(d, d))
        self.inp = nn.Linear(64, d)
        self.blocks = nn.ModuleList(
            [
                nn.ModuleDict(
                    {
                        "norm": nn.LayerNorm(d, elementwise_affine=False),
                        "fc1": nn.Linear(d, 2 * d),
                        "fc2": nn.Linear(2 * d, d),
                        "ada": nn.Linear(d, 3 * d),
                    }
                )
                for _ in range(depth)
            ]
        )
        self.out = nn.Linear(d, 64)
        for block in self.blocks:
            nn.init.zeros_(block["ada"].weight)
            nn.init.zeros_(block["ada"].bias)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Any, t: Any) -> Any:
        freq = torch.exp(-math.log(1e4) * torch.arange(self.d // 2) / (self.d // 2))
        angle = 1000 * t[:, None] * freq
        c = self.time(torch.cat((angle.sin(), angle.cos()), 1))
        h = self.inp(x)
        for b in self.blocks:
            shift, scale, gate = b["ada"](functional.silu(c)).chunk(3, 1)
            h = h + gate * b["fc2"](functional.gelu(b["fc1"](b["norm"](h) * (1 + scale) + shift)))
        return self.out(h)


def flow_matching(seed: int) -> Case:
    torch.manual_seed(seed)

    def draw(g: torch.Generator) -> Any:
        x1 = digits(g, 64)[0].flatten(1)
        x0 = torch.randn(x1.shape, generator=g)
        t = torch.rand(64, generator=g)
        return (x0 + t[:, None] * (x1 - x0), t), x1 - x0

    return Case(FlowMatching(), draw, None, 2e-3)


KINDS = (
    gradient_reversal,
    fake_quantised,
    binary_straight_through,
    gumbel_discrete,
    vector_quantiser,
    real_nvp_moons,
    flow_matching,
)
