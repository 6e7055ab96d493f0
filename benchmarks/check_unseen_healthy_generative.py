"""Generators, critics and autoencoders, as their authors initialise them."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from check_unseen_healthy_data import Batch, Case, images
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations

__all__ = ["KINDS"]


def _dcgan(model: nn.Module) -> nn.Module:
    for m in model.modules():
        if isinstance(m, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(m.weight, 0.0, 0.02)
        elif isinstance(m, nn.BatchNorm2d):
            nn.init.normal_(m.weight, 1.0, 0.02)
            nn.init.zeros_(m.bias)
    return model


def dcgan_generator(_: int) -> Case:
    """Trained as GLO does: a fixed code for each image, squared error."""
    g = nn.Sequential(
        nn.ConvTranspose2d(32, 64, 4, 1, 0, bias=False),
        nn.BatchNorm2d(64),
        nn.ReLU(True),
        nn.ConvTranspose2d(64, 32, 4, 2, 1, bias=False),
        nn.BatchNorm2d(32),
        nn.ReLU(True),
        nn.ConvTranspose2d(32, 1, 4, 2, 1, bias=False),
        nn.Tanh(),
    )

    def draw(_: int) -> Batch:
        x, _ = images(0, 32, 16, standard=False)
        z = torch.randn(32, 32, 1, 1, generator=torch.Generator().manual_seed(0))
        return (z,), x * 2 - 1

    target = draw(0)[1]
    return Case(model=_dcgan(g), draw=draw, chance=float(target.var()), lr=2e-3)


def _real_or_not(s: int, size: int = 16) -> Batch:
    """Digits against the same with their pixels' quarters shuffled: one or zero."""
    x, _ = images(s, 32, size, standard=False)
    h = size // 2
    fake = torch.cat(
        [
            torch.cat([x[16:, :, h:, h:], x[16:, :, h:, :h]], 3),
            torch.cat([x[16:, :, :h, h:], x[16:, :, :h, :h]], 3),
        ],
        2,
    )
    y = torch.cat([torch.ones(16), torch.zeros(16)])
    return (torch.cat([x[:16], fake]) * 2 - 1,), y


def dcgan_discriminator(_: int) -> Case:
    d = nn.Sequential(
        nn.Conv2d(1, 32, 4, 2, 1, bias=False),
        nn.LeakyReLU(0.2, True),
        nn.Conv2d(32, 64, 4, 2, 1, bias=False),
        nn.BatchNorm2d(64),
        nn.LeakyReLU(0.2, True),
        nn.Conv2d(64, 1, 4, 1, 0, bias=False),
        nn.Sigmoid(),
        nn.Flatten(0),
    )
    return Case(
        model=_dcgan(d), draw=_real_or_not, loss=functional.binary_cross_entropy, chance=math.log(2), lr=2e-4
    )


def wgan_critic(_: int) -> Case:
    """Train a critic on digits and shuffled ones; its squared outputs bound the loss by -1/4."""
    d = nn.Sequential(
        nn.Conv2d(1, 32, 4, 2, 1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(32, 64, 4, 2, 1),
        nn.LeakyReLU(0.2),
        nn.Flatten(),
        nn.Linear(1024, 1),
    )

    def critic(out: Tensor, y: Tensor) -> Tensor:
        sign = 1 - 2 * y
        return 0.25 + (sign * out[:, 0]).mean() + (out**2).mean()

    return Case(model=d, draw=_real_or_not, loss=critic, chance=0.25, lr=5e-4)


def sn_discriminator(_: int) -> Case:
    sn = parametrizations.spectral_norm
    d = nn.Sequential(
        sn(nn.Conv2d(1, 32, 4, 2, 1)),
        nn.LeakyReLU(0.1),
        sn(nn.Conv2d(32, 64, 4, 2, 1)),
        nn.LeakyReLU(0.1),
        nn.Flatten(),
        sn(nn.Linear(1024, 1)),
        nn.Flatten(0),
    )
    for m in d:
        if hasattr(m, "parametrizations"):
            nn.init.xavier_uniform_(m.parametrizations.weight.original, gain=math.sqrt(2))

    def hinge(out: Tensor, y: Tensor) -> Tensor:
        return functional.relu(1 - (2 * y - 1) * out).mean()

    return Case(model=d, draw=_real_or_not, loss=hinge, chance=1.0, lr=1e-3, share=0.8)


class VAE(nn.Module):
    """pytorch/examples: 400 and 20 units there, all defaults, Bernoulli pixels; returns a tuple."""

    def __init__(self, beta: float = 1.0) -> None:
        super().__init__()
        self.fc1, self.fc21, self.fc22 = nn.Linear(196, 100), nn.Linear(100, 10), nn.Linear(100, 10)
        self.fc3, self.fc4, self.beta = nn.Linear(10, 100), nn.Linear(100, 196), beta

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        h = functional.relu(self.fc1(x.flatten(1)))
        mu, logvar = self.fc21(h), self.fc22(h)
        z = mu + torch.randn_like(mu) * torch.exp(0.5 * logvar)
        return torch.sigmoid(self.fc4(functional.relu(self.fc3(z)))), mu, logvar


def _elbo(beta: float) -> Callable[..., Tensor]:
    def loss(out: tuple[Tensor, Tensor, Tensor], x: Tensor) -> Tensor:
        recon, mu, logvar = out
        bce = functional.binary_cross_entropy(recon, x.flatten(1), reduction="sum")
        kl = -0.5 * (1 + logvar - mu.pow(2) - logvar.exp()).sum()
        return bce + beta * kl

    return loss


def _same14(s: int) -> Batch:
    x, _ = images(s, 64, 14, standard=False)
    return (x,), x


def vae(_: int) -> Case:
    return Case(model=VAE(), draw=_same14, loss=_elbo(1.0), chance=64 * 196 * math.log(2))


class ConvVAE(nn.Module):
    """AntixK's beta-VAE, made small: strided convolutions with batch norm, and back; outputs by tanh."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(1, 16, 3, 2, 1),
            nn.BatchNorm2d(16),
            nn.LeakyReLU(),
            nn.Conv2d(16, 32, 3, 2, 1),
            nn.BatchNorm2d(32),
            nn.LeakyReLU(),
        )
        self.mu, self.var, self.into = nn.Linear(512, 16), nn.Linear(512, 16), nn.Linear(16, 512)
        self.decoder = nn.Sequential(
            nn.ConvTranspose2d(32, 16, 3, 2, 1, 1),
            nn.BatchNorm2d(16),
            nn.LeakyReLU(),
            nn.ConvTranspose2d(16, 16, 3, 2, 1, 1),
            nn.BatchNorm2d(16),
            nn.LeakyReLU(),
            nn.Conv2d(16, 1, 3, padding=1),
            nn.Tanh(),
        )

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        h = self.encoder(x).flatten(1)
        mu, logvar = self.mu(h), self.var(h)
        z = mu + torch.randn_like(mu) * torch.exp(0.5 * logvar)
        return {"recon": self.decoder(self.into(z).view(-1, 32, 4, 4)), "mu": mu, "logvar": logvar}


def beta_vae(_: int) -> Case:
    def draw(s: int) -> Batch:
        x, _ = images(s, 32, 16, standard=False)
        return (x * 2 - 1,), x * 2 - 1

    def loss(out: dict[str, Tensor], x: Tensor) -> Tensor:
        kl = -0.5 * (1 + out["logvar"] - out["mu"] ** 2 - out["logvar"].exp()).sum(1).mean()
        return functional.mse_loss(out["recon"], x) + 4 * 0.00025 * kl

    x = draw(0)[1]
    return Case(model=ConvVAE(), draw=draw, loss=loss, chance=float(x.var()), share=0.6)


class VQ(nn.Module):
    """VQ-VAE with a straight-through codebook U(±1/K); residual stack."""

    def __init__(self, k: int = 64, d: int = 16) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(1, 16, 4, 2, 1), nn.ReLU(), nn.Conv2d(16, 32, 4, 2, 1), nn.ReLU(), nn.Conv2d(32, d, 1)
        )
        self.codes = nn.Embedding(k, d)
        nn.init.uniform_(self.codes.weight, -1 / k, 1 / k)
        self.decoder = nn.Sequential(
            nn.Conv2d(d, 32, 3, 1, 1),
            nn.ReLU(),
            nn.ConvTranspose2d(32, 16, 4, 2, 1),
            nn.ReLU(),
            nn.ConvTranspose2d(16, 1, 4, 2, 1),
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        z = self.encoder(x).permute(0, 2, 3, 1)
        which = torch.cdist(z.reshape(-1, z.shape[-1]), self.codes.weight).argmin(1)
        q = self.codes(which).view_as(z)
        extra = functional.mse_loss(q.detach(), z) * 0.25 + functional.mse_loss(q, z.detach())
        return self.decoder((z + (q - z).detach()).permute(0, 3, 1, 2)), extra


def vq_vae(_: int) -> Case:
    def draw(s: int) -> Batch:
        x, _ = images(s, 32, 16)
        return (x,), x

    def loss(out: tuple[Tensor, Tensor], x: Tensor) -> Tensor:
        return functional.mse_loss(out[0], x) + out[1]

    return Case(model=VQ(), draw=draw, loss=loss, chance=1.0, share=0.8, lr=2e-3)


KINDS = {
    f.__name__: f
    for f in (dcgan_generator, dcgan_discriminator, wgan_critic, sn_discriminator, vae, beta_vae, vq_vae)
}
