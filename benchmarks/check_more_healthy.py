"""Healthy networks of further kinds, with their makers' own weights or with fanin's."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import torch
from check_blocks import ACTIVATIONS, BATCH, CLASSES, Case, Head, mlp, start, targets
from check_more_images import MORE_IMAGES, made, small
from check_more_models import (
    Adapted,
    Attending,
    Coupling,
    Experts,
    Field,
    Graph,
    Mixer,
    Points,
    Ranking,
    Siamese,
    Temporal,
    Towers,
    Translator,
    Variational,
    Windows,
)
from torch import nn
from torch.nn import functional
from torch.nn.utils import parametrizations

import fanin.torch

__all__ = ["MORE_HEALTHY"]


def mixer(seed: int) -> Case:
    """MLP-Mixer."""
    rng = start(seed)
    c, depth = rng.choice((32, 64)), rng.randint(1, 8)
    blocks = [Mixer(16, c) for _ in range(depth)]
    model = nn.Sequential(nn.Linear(12, c), *blocks, nn.LayerNorm(c), Head(c))
    return made(rng, model, torch.randn(BATCH, 16, 12), seed=seed, target=targets())


class _Text(nn.Module):
    def __init__(self, c: int, blocks: list[nn.Module], words: int = 200) -> None:
        super().__init__()
        self.tokens, self.blocks = nn.Embedding(words, c), nn.Sequential(*blocks)
        self.norm, self.out = nn.LayerNorm(c), nn.Linear(c, words, bias=False)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.out(self.norm(self.blocks(self.tokens(ids))))


def llama(seed: int) -> Case:
    """RMS norms by hand, grouped queries, gated MLPs."""
    rng = start(seed)
    c = rng.choice((32, 64))
    model = small(_Text(c, [Attending(c) for _ in range(rng.choice((1, 2, 6, 12)))]))
    ids = torch.randint(200, (16, 16))
    return made(rng, model, ids, seed=seed, target=torch.randint(200, (16, 16)))


def experts(seed: int) -> Case:
    """A router and MLPs of which it chooses two."""
    rng = start(seed)
    c = rng.choice((32, 64))
    blocks: list[nn.Module] = []
    for _ in range(rng.choice((1, 2, 4))):
        blocks += [Attending(c), Experts(c, rng.choice((4, 8)))]
    ids = torch.randint(200, (16, 16))
    return made(rng, small(_Text(c, blocks)), ids, seed=seed, target=torch.randint(200, (16, 16)))


class _Picture(nn.Module):
    def __init__(self, c: int, depth: int) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, c, 2, stride=2)
        self.blocks = nn.Sequential(*[Windows(c, 4, 2 * (i % 2)) for i in range(depth)])
        self.norm, self.out = nn.LayerNorm(c), nn.Linear(c, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.blocks(self.patches(x).permute(0, 2, 3, 1))
        return self.out(self.norm(x).mean((1, 2)))


def windows(seed: int) -> Case:
    """Swin's shifted windows."""
    rng = start(seed)
    model = small(_Picture(rng.choice((32, 64)), rng.choice((2, 4, 8))))
    return made(rng, model, torch.randn(16, 3, 16, 16), seed=seed, target=torch.randint(CLASSES, (16,)))


def graph_net(seed: int) -> Case:
    """Graph convolutions over a random graph."""
    rng = start(seed)
    model = Graph(rng.choice((32, 64)), rng.randint(2, 4))
    edges = torch.randint(BATCH, (2, 6 * BATCH))
    return made(rng, model, torch.randn(BATCH, 16), edges, seed=seed, target=targets())


def _elbo(out: tuple[torch.Tensor, ...], x: torch.Tensor) -> torch.Tensor:
    made, mean, log_var = out
    return functional.mse_loss(made, x) - 0.5 * (1 + log_var - mean**2 - log_var.exp()).mean()


def variational(seed: int) -> Case:
    """A variational autoencoder with its own loss."""
    rng = start(seed)
    x = torch.randn(BATCH, 64)
    model = Variational(rng.choice((64, 128)), rng.choice((2, 8, 16)))
    return made(rng, model, x, seed=seed, target=x, loss=_elbo)


def autoencoder(seed: int) -> Case:
    """A narrow middle, squares as loss."""
    rng = start(seed)
    act, c = ACTIVATIONS[rng.choice(("relu", "gelu", "tanh"))], rng.choice((4, 8, 16))
    sizes = (64, 128, 64, c, 64, 128, 64)
    layers: list[nn.Module] = []
    for a, b in itertools.pairwise(sizes):
        layers += [nn.Linear(a, b), act()]
    x = torch.randn(BATCH, 64)
    return made(rng, nn.Sequential(*layers[:-1]), x, seed=seed, target=x)


def siamese(seed: int) -> Case:
    """One tower for two inputs."""
    rng = start(seed)
    c = rng.choice((32, 64))
    tower = nn.Sequential(nn.Linear(64, c), nn.ReLU(), nn.Linear(c, c), nn.ReLU(), nn.Linear(c, c))
    a, b = torch.randn(2, BATCH, 64)
    return made(rng, Siamese(tower, c), a, b, seed=seed, target=torch.randint(2, (BATCH,)))


class _Sequence(nn.Module):
    def __init__(self, c: int, kind: type[nn.Module], layers: int) -> None:
        super().__init__()
        self.words = nn.Embedding(100, c)
        self.cells = kind(c, c, layers, batch_first=True, bidirectional=True)
        self.out = nn.Linear(2 * c, CLASSES)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.out(self.cells(self.words(ids))[0].mean(1))


def bidirectional(seed: int) -> Case:
    """LSTM or GRU both ways over words, one or two layers."""
    rng = start(seed)
    model = _Sequence(rng.choice((32, 64)), rng.choice((nn.LSTM, nn.GRU)), rng.choice((1, 2)))
    return made(rng, model, torch.randint(100, (BATCH, 12)), seed=seed, target=targets())


def translator(seed: int) -> Case:
    """Recurrent encoder and decoder with additive attention."""
    rng = start(seed)
    a, b = torch.randint(100, (2, 32, 8))
    return made(
        rng, Translator(rng.choice((32, 64)), 100), a, b, seed=seed, target=torch.randint(100, (32, 8))
    )


def encoder_decoder(seed: int) -> Case:
    """The framework's own nn.Transformer between embeddings and a head."""
    rng = start(seed)

    class Whole(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            c = rng.choice((32, 64))
            self.words, self.places = nn.Embedding(100, c), nn.Embedding(16, c)
            self.body = nn.Transformer(
                c, 4, 2, 2, 2 * c, 0.1, batch_first=True, norm_first=rng.random() < 0.5
            )
            self.out = nn.Linear(c, 100)

        def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
            both = [self.words(x) + self.places(torch.arange(x.shape[1])) for x in (a, b)]
            mask = nn.Transformer.generate_square_subsequent_mask(b.shape[1])
            return self.out(self.body(*both, tgt_mask=mask, tgt_is_causal=True))

    a, b = torch.randint(100, (2, 16, 12))
    return made(rng, Whole(), a, b, seed=seed, target=torch.randint(100, (16, 12)))


def ranking(seed: int) -> Case:
    """DLRM: embedding bags and numbers, a click or none."""
    rng = start(seed)
    tables = rng.randint(3, 8)
    words = torch.randint(100, (BATCH, tables, 4))
    model = Ranking(rng.choice((8, 16)), tables)
    for table in model.tables:
        nn.init.uniform_(table.weight, -0.1, 0.1)
    click = torch.randint(2, (BATCH,)).float()
    return made(
        rng, model, torch.randn(BATCH, 8), words, seed=seed, target=click, loss=nn.BCEWithLogitsLoss()
    )


def field(seed: int) -> Case:
    """NeRF: colours and densities of places; its own weights are Glorot's, as its authors' are."""
    rng = start(seed)
    model, target = Field(rng.choice((64, 128))), torch.rand(256, 4)
    for m in model.modules():
        if isinstance(m, nn.Linear):
            nn.init.xavier_uniform_(m.weight)
            nn.init.zeros_(m.bias)
    return made(rng, model, torch.rand(256, 3) * 2 - 1, seed=seed, target=target)


class _Sine(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.sin(30.0 * x)


def siren(seed: int) -> Case:
    """Sines of frequency 30, as their authors draw them or by fanin."""
    rng = start(seed)
    c = rng.choice((64, 128))
    layers: list[nn.Module] = []
    for i in range(rng.randint(2, 5)):
        layers += [nn.Linear(2 if i == 0 else c, c), _Sine()]
    model = nn.Sequential(*layers, nn.Linear(c, 1))
    for i, m in enumerate(m for m in model if isinstance(m, nn.Linear)):
        bound = 1 / m.in_features if i == 0 else math.sqrt(6 / m.in_features) / 30
        nn.init.uniform_(m.weight, -bound, bound)
    x = torch.rand(256, 2) * 2 - 1
    return made(rng, model, x, seed=seed, target=torch.randn(256, 1))


def _likelihood(out: tuple[torch.Tensor, torch.Tensor], _: Any) -> torch.Tensor:
    z, volume = out
    return 0.5 * (z**2).sum(1).mean() - volume.mean()


def coupling(seed: int) -> Case:
    """A normalising flow of affine couplings."""
    rng = start(seed)
    model = Coupling(rng.choice((32, 64)), rng.randint(2, 8))
    for net in model.nets:
        nn.init.zeros_(net[-1].weight)
        nn.init.zeros_(net[-1].bias)
    return made(rng, model, torch.randn(BATCH, 64), seed=seed, own=0.7, target=targets(), loss=_likelihood)


def discriminator(seed: int) -> Case:
    """Spectral norms around strided convolutions."""
    rng = start(seed)
    c = rng.choice((8, 16))
    wrap = parametrizations.spectral_norm
    model = nn.Sequential(
        wrap(nn.Conv2d(3, c, 4, 2, 1)), nn.LeakyReLU(0.2),
        wrap(nn.Conv2d(c, 2 * c, 4, 2, 1)), nn.LeakyReLU(0.2),
        wrap(nn.Conv2d(2 * c, 4 * c, 4, 2, 1)), nn.LeakyReLU(0.2), nn.Flatten(), wrap(nn.Linear(16 * c, 1)),
    )  # fmt: skip
    real = torch.randint(2, (32, 1)).float()
    x = torch.randn(32, 3, 16, 16)
    return made(rng, model, x, seed=seed, target=real, loss=nn.BCEWithLogitsLoss())


def temporal(seed: int) -> Case:
    """Dilated causal convolutions, plain or with weight norms."""
    rng = start(seed)
    c = rng.choice((16, 32))
    wrap = parametrizations.weight_norm if rng.random() < 0.5 else nn.Identity()
    blocks = [Temporal(c, 2**i, wrap) for i in range(rng.randint(2, 5))]
    model = nn.Sequential(
        nn.Conv1d(4, c, 1), *blocks, nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(c, CLASSES)
    )
    return made(rng, model, torch.randn(BATCH, 4, 32), seed=seed, target=targets())


def normed_weights(seed: int) -> Case:
    """An MLP whose weights have a length apart."""
    rng = start(seed)
    model = mlp(rng.randint(2, 5), rng.choice((64, 128)), ACTIVATIONS[rng.choice(("relu", "tanh"))])
    for m in model:
        if isinstance(m, nn.Linear):
            parametrizations.weight_norm(m)
    return made(rng, model, torch.randn(BATCH, 64), seed=seed, target=targets())


def regression(seed: int) -> Case:
    """One number, scaled to mean 0 and variance 1."""
    rng = start(seed)
    c, layers = rng.choice((64, 128)), []
    for i in range(rng.randint(1, 4)):
        layers += [nn.Linear(64 if i == 0 else c, c), nn.ReLU()]
    return made(rng, nn.Sequential(*layers, nn.Linear(c, 1)), torch.randn(BATCH, 64), seed=seed,
                 target=torch.randn(BATCH, 1))  # fmt: skip


def _both(out: tuple[torch.Tensor, torch.Tensor], target: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    return functional.cross_entropy(out[0], target[0]) + functional.mse_loss(out[1], target[1])


def towers(seed: int) -> Case:
    """Classes and a number from one body."""
    rng = start(seed)
    c = rng.choice((64, 128))
    body = nn.Sequential(nn.Linear(64, c), nn.GELU(), nn.Linear(c, c), nn.GELU())
    both = (targets(), torch.randn(BATCH, 1))
    return made(rng, Towers(body, c), torch.randn(BATCH, 64), seed=seed, target=both, loss=_both)


class ActorCritic(nn.Module):
    """Policy and value of reinforcement learning, orthogonal with the gains that are usual there."""

    def __init__(self, c: int) -> None:
        super().__init__()
        self.actor = nn.Sequential(nn.Linear(16, c), nn.Tanh(), nn.Linear(c, c), nn.Tanh(), nn.Linear(c, 4))
        self.critic = nn.Sequential(nn.Linear(16, c), nn.Tanh(), nn.Linear(c, c), nn.Tanh(), nn.Linear(c, 1))
        for net, last in ((self.actor, 0.01), (self.critic, 1.0)):
            for i in (0, 2, 4):
                nn.init.orthogonal_(net[i].weight, last if i == 4 else math.sqrt(2.0))
                nn.init.zeros_(net[i].bias)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Run it."""
        return self.actor(x), self.critic(x)


def actor_critic(seed: int) -> Case:
    """Policy and value, orthogonal with the gains of reinforcement learning."""
    rng = start(seed)
    both = (torch.randint(4, (BATCH,)), torch.randn(BATCH, 1))
    model = ActorCritic(rng.choice((32, 64)))
    return Case(model=model, inputs=(torch.randn(BATCH, 16),), target=both, options={"loss": _both})


def adapted(seed: int) -> Case:
    """Frozen layers with low-rank additions that start at zero."""
    rng = start(seed)
    model = mlp(rng.randint(2, 5), rng.choice((64, 128)), nn.ReLU)
    x = torch.randn(BATCH, 64)
    fanin.torch.init_(model, x, seed=seed)
    for i, m in enumerate(model):
        if isinstance(m, nn.Linear) and i:
            model[i] = Adapted(m, rng.choice((2, 4, 8)))
    return Case(model=model, inputs=(x,), target=targets())


def points(seed: int) -> Case:
    """One MLP for every point, and the largest of all."""
    rng = start(seed)
    return made(rng, Points(rng.choice((16, 32))), torch.randn(BATCH, 3, 32), seed=seed, target=targets())


MORE_HEALTHY: dict[str, Callable[[int], Case]] = MORE_IMAGES | {
    f.__name__: f
    for f in (
        mixer, llama, experts, windows, graph_net, variational, autoencoder, siamese, bidirectional,
        translator, encoder_decoder, ranking, field, siren, coupling, discriminator, temporal,
        normed_weights, regression, towers, actor_critic, adapted, points,
    )
}  # fmt: skip
