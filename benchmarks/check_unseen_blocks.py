"""Unseen sick networks: mixers, scans, tables, patches, copies."""

from __future__ import annotations

import copy
from typing import Any

import torch
from check_blocks import Case
from check_unseen_parts import case, diabetes, digits, lm_loss, mlp, text
from check_unseen_tokens import _GPT, _Block, _LastStep
from torch import nn
from torch.nn import functional

__all__ = [
    "cloned_blocks",
    "ft_transformer_missing_value",
    "gmlp_gate_bias_100",
    "lstm_input_weights_times_30",
    "masked_row_nan",
    "mixer_both_zero",
    "post_ln_weights_times_10",
    "vit_constant_blocks",
    "vit_head_std_1",
    "vit_norm_gamma_zero",
]


class _Mixer(nn.Module):
    def __init__(self, tokens: Any = 16, d: Any = 32, layers: Any = 4) -> None:
        super().__init__()
        self.stem = nn.Linear(4, d)
        self.n1 = nn.ModuleList(nn.LayerNorm(d) for _ in range(layers))
        self.n2 = nn.ModuleList(nn.LayerNorm(d) for _ in range(layers))
        self.t = nn.ModuleList(mlp([tokens, 32, tokens], nn.GELU) for _ in range(layers))
        self.c = nn.ModuleList(mlp([d, 64, d], nn.GELU) for _ in range(layers))
        self.head = nn.Linear(d, 10)

    def forward(self, x: Any) -> Any:
        x = self.stem(x)
        for n1, t, n2, c in zip(self.n1, self.t, self.n2, self.c, strict=True):
            x = x + t(n1(x).transpose(1, 2)).transpose(1, 2)
            x = x + c(n2(x))
        return self.head(x.mean(1))


def mixer_both_zero(*, sick: bool) -> Case:
    """Both layers of every mixing MLP 0: the product of zeros never moves."""
    net = _Mixer()
    for m in [*net.t, *net.c]:
        nn.init.zeros_(m[2].weight)
        nn.init.zeros_(m[2].bias)
        if sick:
            nn.init.zeros_(m[0].weight)
            nn.init.zeros_(m[0].bias)
    return case(net, digits((16, 4)))


class _GMLP(nn.Module):
    def __init__(self, bias: Any, d: Any = 32, tokens: Any = 16, layers: Any = 3) -> None:
        super().__init__()
        self.stem = nn.Linear(4, d)
        self.norm = nn.ModuleList(nn.LayerNorm(d) for _ in range(layers))
        self.up = nn.ModuleList(nn.Linear(d, 4 * d) for _ in range(layers))
        self.space = nn.ModuleList(nn.Linear(tokens, tokens) for _ in range(layers))
        self.down = nn.ModuleList(nn.Linear(2 * d, d) for _ in range(layers))
        self.head = nn.Linear(d, 10)
        for s in self.space:
            nn.init.normal_(s.weight, std=0.01)
            nn.init.constant_(s.bias, bias)

    def forward(self, x: Any) -> Any:
        x = self.stem(x)
        for n, u, s, d in zip(self.norm, self.up, self.space, self.down, strict=True):
            a, b = functional.gelu(u(n(x))).chunk(2, -1)
            x = x + d(a * s(b.transpose(1, 2)).transpose(1, 2))
        return self.head(x.mean(1))


def gmlp_gate_bias_100(*, sick: bool) -> Case:
    """The spatial gates' bias 100 instead of 1: branches 100 times the stream, first loss large."""
    return case(_GMLP(100.0 if sick else 1.0), digits((16, 4)))


class _FTTransformer(nn.Module):
    def __init__(self, d: Any = 32) -> None:
        super().__init__()
        self.w, self.b = nn.Parameter(torch.randn(10, d) * d**-0.5), nn.Parameter(torch.zeros(10, d))
        self.cls = nn.Parameter(torch.randn(1, d) * d**-0.5)
        self.blocks = nn.ModuleList(_Block(d) for _ in range(2))
        self.norm, self.head = nn.LayerNorm(d), nn.Linear(d, 1)

    def forward(self, x: Any) -> Any:
        t = x.unsqueeze(-1) * self.w + self.b
        t = torch.cat([self.cls.expand(len(x), 1, -1), t], 1)
        for b in self.blocks:
            t = b(t)
        return self.head(self.norm(t[:, 0]))


def ft_transformer_missing_value(*, sick: bool) -> Case:
    """A missing value (NaN) in the table."""
    x, y = diabetes()
    if sick:
        x = x.clone()
        x[::10, 2] = float("nan")
    return case(_FTTransformer(), (x, y))


class _PostLN(nn.Module):
    def __init__(self, vocab: Any, layers: Any, d: Any = 64) -> None:
        super().__init__()
        self.embed, self.pos = nn.Embedding(vocab, d), nn.Parameter(torch.randn(32, d))
        self.blocks = nn.Sequential(*(_Block(d, pre=False) for _ in range(layers)))
        self.head = nn.Linear(d, vocab)

    def forward(self, ids: Any) -> Any:
        return self.head(self.blocks(self.embed(ids) + self.pos)[:, -1])


def post_ln_weights_times_10(*, sick: bool) -> Case:
    """Weights times 10 in post-LN."""
    a, b, vocab = text()
    net = _PostLN(vocab, 6)
    if sick:
        for m in net.blocks.modules():
            if isinstance(m, nn.Linear):
                m.weight.data *= 10
    return case(net, (a, b[:, -1]))


class _ViT(nn.Module):
    def __init__(self, d: Any = 64, layers: Any = 4) -> None:
        super().__init__()
        self.patch, self.cls = nn.Conv2d(1, d, 2, stride=2), nn.Parameter(torch.zeros(1, 1, d))
        self.pos = nn.Parameter(torch.randn(1, 17, d) * 0.02)
        self.blocks = nn.Sequential(*(_Block(d) for _ in range(layers)))
        self.norm, self.head = nn.LayerNorm(d), nn.Linear(d, 10)

    def forward(self, x: Any) -> Any:
        t = self.patch(x).flatten(2).transpose(1, 2)
        t = self.blocks(torch.cat([self.cls.expand(len(x), -1, -1), t], 1) + self.pos)
        return self.head(self.norm(t[:, 0]))


def vit_head_std_1(*, sick: bool) -> Case:
    """The head is N(0, 1) instead of N(0, 0.02): logits of std 8 at the start."""
    net = _ViT()
    nn.init.normal_(net.head.weight, std=1.5 if sick else 0.02)
    return case(net, digits((1, 8, 8)))


def vit_constant_blocks(*, sick: bool) -> Case:
    """All weights the same value 0.05 in attention and MLP: heads and units are equal."""
    net = _ViT()
    if sick:
        for m in net.blocks.modules():
            if isinstance(m, nn.Linear):
                nn.init.constant_(m.weight, 0.05)
                if m.bias is not None:
                    nn.init.zeros_(m.bias)
    return case(net, digits((1, 8, 8)))


def vit_norm_gamma_zero(*, sick: bool) -> Case:
    """Gammas of every norm 0 in a pre-LN _ViT, the last one too: the output is the head's bias."""
    net = _ViT()
    if sick:
        for m in net.modules():
            if isinstance(m, nn.LayerNorm):
                nn.init.zeros_(m.weight)
    return case(net, digits((1, 8, 8)))


def masked_row_nan(*, sick: bool) -> Case:
    """A key_padding_mask that masks every key of one row: NaN."""

    class Masked(nn.Module):
        def __init__(self, vocab: Any) -> None:
            super().__init__()
            self.embed, self.att, self.head = (
                nn.Embedding(vocab, 32),
                nn.MultiheadAttention(32, 4, batch_first=True),
                nn.Linear(32, vocab),
            )

        def forward(self, ids: Any, mask: Any) -> Any:
            x = self.embed(ids)
            return self.head(self.att(x, x, x, key_padding_mask=mask)[0].mean(1))

    a, b, vocab = text()
    mask = torch.zeros_like(a, dtype=torch.bool)
    mask[:, 24:] = True
    if sick:
        mask[5::16] = True
    return case(Masked(vocab), (a, mask, b[:, -1]))


def cloned_blocks(*, sick: bool) -> Case:
    """Six blocks are copies of one (deepcopy of a list item)."""
    a, b, vocab = text()
    net = _GPT(vocab, layers=6)
    if sick:
        net.blocks = nn.ModuleList(copy.deepcopy(net.blocks[0]) for _ in range(6))
    return case(net, (a, b), n=32, loss=lm_loss)


def lstm_input_weights_times_30(*, sick: bool) -> Case:
    """Input weights of an LSTM times 30: gates saturated from the first step."""
    net = _LastStep(nn.LSTM, 8)
    if sick:
        net.rnn.weight_ih_l0.data *= 30
    return case(net, digits((8, 8)))
