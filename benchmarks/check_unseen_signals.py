"""Unseen sick networks: generators, gates over time, detectors, graphs, transcription."""

# ruff: noqa: FBT001 - networks are written as they are elsewhere

from __future__ import annotations

from typing import Any

import torch
from check_blocks import Case
from check_unseen_images import IMAGE, conv_stack
from check_unseen_parts import case, digits, lm_loss, made, text
from torch import nn
from torch.nn import functional

__all__ = [
    "ctc_too_few_frames",
    "discriminator_saturated",
    "gat_isolated_node",
    "generator_tanh_saturated",
    "gnn_sum_high_degree",
    "group_norm_after_pool",
    "tcn_weight_norm_small_g",
    "textcnn_equal_filters",
    "vae_logvar_head",
    "wavenet_gates_closed",
]


class _VAE(nn.Module):
    def __init__(self, std: Any) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(64, 128), nn.ReLU())
        self.mu, self.logvar = nn.Linear(128, 8), nn.Linear(128, 8)
        self.decoder = nn.Sequential(nn.Linear(8, 128), nn.ReLU(), nn.Linear(128, 64))
        if std:
            nn.init.normal_(self.logvar.weight, std=std)

    def forward(self, x: Any) -> Any:
        h = self.body(x)
        mu, logvar = self.mu(h), self.logvar(h)
        z = mu + torch.exp(0.5 * logvar) * torch.randn_like(mu)
        return self.decoder(z), mu, logvar


def _elbo(out: Any, target: Any) -> Any:
    y, mu, logvar = out
    kl = -0.5 * (1 + logvar - mu.square() - logvar.exp()).sum(1).mean()
    return functional.mse_loss(y, target) * 64 + kl


def vae_logvar_head(*, sick: bool) -> Case:
    """The log-variance head N(0, 2): its exp overflows, the first loss is astronomic."""
    x, _ = digits()
    return case(_VAE(2.0 if sick else 0.0), (x, x), loss=_elbo)


class _Generator(nn.Module):
    def __init__(self, std: Any) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.ConvTranspose2d(32, 64, 4),
            nn.ReLU(),
            nn.ConvTranspose2d(64, 32, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(32, 32, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(32, 1, 3, padding=1),
            nn.Tanh(),
        )
        for m in self.net:
            if isinstance(m, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.normal_(m.weight, std=std)
                nn.init.zeros_(m.bias)

    def forward(self, z: Any) -> Any:
        return self.net(z.view(len(z), -1, 1, 1))


def generator_tanh_saturated(*, sick: bool) -> Case:
    """N(0, 0.5) instead of N(0, 0.05) in a generator without norm: the tanh at its end is saturated."""
    x, _ = digits(IMAGE)
    x = x[:256].clamp(-0.9, 0.9)
    return case(_Generator(0.5 if sick else 0.06), (torch.randn(256, 32), x))


def discriminator_saturated(*, sick: bool) -> Case:
    """Weights times 10: the discriminator's sigmoid is saturated at the start, BCELoss is capped."""
    net = nn.Sequential(
        nn.Conv2d(1, 32, 4, stride=2, padding=1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(32, 64, 4, stride=2, padding=1),
        nn.LeakyReLU(0.2),
        nn.Flatten(),
        nn.Linear(256, 1),
        nn.Sigmoid(),
    )
    if sick:
        for m in net:
            if isinstance(m, nn.Conv2d | nn.Linear):
                m.weight.data *= 10
    x, _ = digits(IMAGE)
    x = torch.cat([x[:512], torch.randn(512, *IMAGE)])
    y = torch.cat([torch.ones(512, 1), torch.zeros(512, 1)])
    o = torch.randperm(1024)
    return case(net, (x[o], y[o]), loss=functional.binary_cross_entropy)


class _WaveNet(nn.Module):
    def __init__(self, bias: Any, c: Any = 32, vocab: Any = 50) -> None:
        super().__init__()
        self.embed = nn.Embedding(vocab, c)
        self.f = nn.ModuleList(nn.Conv1d(c, c, 2, dilation=2**i) for i in range(5))
        self.g = nn.ModuleList(nn.Conv1d(c, c, 2, dilation=2**i) for i in range(5))
        self.o = nn.ModuleList(nn.Conv1d(c, c, 1) for _ in range(5))
        self.head = nn.Sequential(nn.ReLU(), nn.Conv1d(c, c, 1), nn.ReLU(), nn.Conv1d(c, vocab, 1))
        for g in self.g:
            nn.init.constant_(g.bias, bias)

    def forward(self, ids: Any) -> Any:
        x = self.embed(ids).transpose(1, 2)
        skip = 0
        for f, g, o in zip(self.f, self.g, self.o, strict=True):
            p = functional.pad(x, (f.dilation[0], 0))
            h = o(torch.tanh(f(p)) * torch.sigmoid(g(p)))
            x, skip = x + h, skip + h
        return self.head(skip).transpose(1, 2)


def wavenet_gates_closed(*, sick: bool) -> Case:
    """Gates' bias -10 in _WaveNet: gates closed, what the model reads never comes to its output."""
    a, b, vocab = text()
    return case(_WaveNet(-10.0 if sick else 0.0, vocab=vocab), (a, b), n=32, loss=lm_loss)


def tcn_weight_norm_small_g(*, sick: bool) -> Case:
    """Weight_norm's g 0.01 in each layer of a TCN: the signal vanishes."""
    wn = nn.utils.parametrizations.weight_norm
    layers = [wn(nn.Conv1d(1, 32, 3, padding=1)), nn.ReLU()]
    for i in range(4):
        layers += [wn(nn.Conv1d(32, 32, 3, padding=2**i, dilation=2**i)), nn.ReLU()]
    net = nn.Sequential(*layers, nn.AdaptiveAvgPool1d(4), nn.Flatten(), nn.Linear(128, 10))
    for m in net:
        if isinstance(m, nn.Conv1d):
            m.parametrizations.weight.original0.data.fill_(0.01 if sick else 2**0.5)
    return case(net, digits((1, 64)))


def textcnn_equal_filters(*, sick: bool) -> Case:
    """All filters of a width are one (one row repeated): equal units."""

    class TextCNN(nn.Module):
        def __init__(self, vocab: Any) -> None:
            super().__init__()
            self.embed = nn.Embedding(vocab, 32)
            self.convs = nn.ModuleList(nn.Conv1d(32, 32, k) for k in (2, 3, 4))
            self.head = nn.Linear(96, vocab)

        def forward(self, ids: Any) -> Any:
            x = self.embed(ids).transpose(1, 2)
            return self.head(torch.cat([functional.relu(c(x)).amax(-1) for c in self.convs], 1))

    a, b, vocab = text()
    net = TextCNN(vocab)
    if sick:
        for c in net.convs:
            c.weight.data[:] = c.weight.data[:1].clone()
            c.bias.data[:] = 0.0
        net.head.weight.data[:] = net.head.weight.data[:, :1].clone() / 96**0.5
    return case(net, (a, b[:, -1]))


def group_norm_after_pool(*, sick: bool) -> Case:
    """GroupNorm with a group a channel behind global pooling: each group is one number, the input is lost."""
    net = nn.Sequential(
        *conv_stack([1, 32, 64], norm=True),
        nn.AdaptiveAvgPool2d(1),
        nn.GroupNorm(64 if sick else 4, 64),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(64, 10),
    )
    return case(net, digits(IMAGE))


class _MessagePassing(nn.Module):
    def __init__(self, mean: bool, c: Any = 32) -> None:
        super().__init__()
        self.stem = nn.Linear(16, c)
        self.layers = nn.ModuleList(nn.Linear(c, c) for _ in range(4))
        self.head = nn.Linear(c, 4)
        self.mean = mean

    def forward(self, x: Any, edges: Any) -> Any:
        h = functional.relu(self.stem(x))
        src, dst = edges
        for layer in self.layers:
            m = torch.zeros_like(h).index_add(0, dst, layer(h)[src])
            if self.mean:
                m = m / torch.zeros(len(h)).index_add(0, dst, torch.ones(len(dst))).clamp(min=1).unsqueeze(1)
            h = functional.relu(h + m)
        return self.head(h)


def gnn_sum_high_degree(*, sick: bool) -> Case:
    """Messages of 60 neighbours summed in 4 layers: activations and first loss explode."""
    n = 300
    y = torch.randint(0, 4, (n,))
    x = torch.randn(n, 16) + 0.5 * functional.one_hot(y, 16)
    src, dst = torch.randint(0, n, (n * 60,)), torch.randint(0, n, (n * 60,))
    keep = (y[src] == y[dst]) | (torch.rand(n * 60) < 0.5)
    return made(model=_MessagePassing(not sick), args=(x, torch.stack([src[keep], dst[keep]])), target=y)


class _DenseGAT(nn.Module):
    def __init__(self, scale: Any, c: Any = 32) -> None:
        super().__init__()
        self.w = nn.ModuleList([nn.Linear(16, c, bias=False), nn.Linear(c, c, bias=False)])
        self.a = nn.ParameterList(nn.Parameter(torch.randn(2 * c) * scale) for _ in range(2))
        self.head = nn.Linear(c, 4)

    def forward(self, x: Any, adj: Any) -> Any:
        for w, a in zip(self.w, self.a, strict=True):
            h = w(x)
            p, q = h @ a[:32], h @ a[32:]
            e = functional.leaky_relu(p.unsqueeze(1) + q.unsqueeze(0), 0.2).masked_fill(
                adj == 0, float("-inf")
            )
            x = functional.elu(torch.softmax(e, 1) @ h)
        return self.head(x)


def gat_isolated_node(*, sick: bool) -> Case:
    """A node without neighbours: softmax over a row of -inf is NaN, in the whole loss."""
    n = 100
    y = torch.randint(0, 4, (n,))
    x = torch.randn(n, 16) + 0.5 * functional.one_hot(y, 16)
    adj = ((torch.rand(n, n) < 0.1) | torch.eye(n, dtype=torch.bool)).float()
    if sick:
        adj[17] = 0
    return made(model=_DenseGAT(0.2), args=(x, adj), target=y)


class _CRNN(nn.Module):
    def __init__(self, stride: Any) -> None:
        super().__init__()
        self.conv = nn.Sequential(nn.Conv1d(8, 32, 3, padding=1, stride=stride), nn.ReLU())
        self.rnn = nn.GRU(32, 32, batch_first=True, bidirectional=True)
        self.head = nn.Linear(64, 11)

    def forward(self, x: Any) -> Any:
        return functional.log_softmax(self.head(self.rnn(self.conv(x).transpose(1, 2))[0]), -1)


def ctc_too_few_frames(*, sick: bool) -> Case:
    """CTC: fewer frames than labels (stride 8): the loss is Inf."""
    x, y = digits((8, 8))
    x = torch.cat([x[0:600:3], x[1:600:3], x[2:600:3]], 2)
    y = torch.stack([y[0:600:3], y[1:600:3], y[2:600:3]], 1) + 1

    def loss(out: Any, target: Any) -> Any:
        n, t = out.shape[:2]
        return functional.ctc_loss(out.transpose(0, 1), target, torch.full((n,), t), torch.full((n,), 3))

    return case(_CRNN(12 if sick else 1), (x, y), n=32, loss=loss)
