"""Unseen sick networks: recurrences and transformers by hand."""

# ruff: noqa: FBT001, FBT002 - networks are written as they are elsewhere

from __future__ import annotations

import math
from typing import Any

import torch
from check_blocks import Case
from check_unseen_parts import case, digits, lm_loss, mlp, text
from torch import nn
from torch.nn import functional

__all__ = [
    "all_tokens_padding",
    "encoder_without_sqrt_d",
    "gpt_positions_drown_tokens",
    "gpt_tied_std_1",
    "gru_recurrent_times_20",
    "irnn_identity_times_1_3",
    "lstm_forget_minus_10",
    "lstm_lm_gates_shut",
    "rnn_cell_recurrent_n001",
    "seq2seq_memory_detached",
    "transformer_no_norm_deep",
]


class _LanguageModel(nn.Module):
    def __init__(self, vocab: Any, cell: Any = nn.LSTM, width: Any = 64, layers: Any = 1) -> None:
        super().__init__()
        self.embed = nn.Embedding(vocab, width)
        self.rnn = cell(width, width, layers, batch_first=True)
        self.head = nn.Linear(width, vocab)

    def forward(self, ids: Any) -> Any:
        return self.head(self.rnn(self.embed(ids))[0])


def lstm_lm_gates_shut(*, sick: bool) -> Case:
    """All four gates' biases -10: the LSTM is shut, its output is 0."""
    a, b, vocab = text()
    net = _LanguageModel(vocab)
    if sick:
        for name, p in net.rnn.named_parameters():
            if "bias_hh" in name:
                nn.init.constant_(p, -10.0)
    return case(net, (a, b), n=32, loss=lm_loss)


class _LastStep(nn.Module):
    def __init__(self, cell: Any = nn.LSTM, inp: Any = 1, width: Any = 64) -> None:
        super().__init__()
        self.rnn = cell(inp, width, batch_first=True)
        self.head = nn.Linear(width, 10)

    def forward(self, x: Any) -> Any:
        return self.head(self.rnn(x)[0][:, -1])


def lstm_forget_minus_10(*, sick: bool) -> Case:
    """Forget gate's bias -10 (sign of the well-known +1 wrong, and large): no memory over 64 steps."""
    net = _LastStep()
    net.rnn.bias_hh_l0.data[64:128] = -10.0 if sick else 3.0
    return case(net, digits((64, 1)))


def gru_recurrent_times_20(*, sick: bool) -> Case:
    """Recurrent weights of a GRU times 20: chaotic, saturated."""
    net = _LastStep(nn.GRU, 8)
    if sick:
        net.rnn.weight_hh_l0.data *= 20
    return case(net, digits((8, 8)))


class _HandRNN(nn.Module):
    def __init__(self, act: Any, inp: Any = 1, width: Any = 64) -> None:
        super().__init__()
        self.x2h, self.h2h, self.head = nn.Linear(inp, width), nn.Linear(width, width), nn.Linear(width, 10)
        nn.init.normal_(self.x2h.weight, std=0.5)
        self.act = act

    def forward(self, x: Any) -> Any:
        h = x.new_zeros(len(x), self.h2h.in_features)
        for t in range(x.shape[1]):
            h = self.act(self.x2h(x[:, t]) + self.h2h(h))
        return self.head(h)


def irnn_identity_times_1_3(*, sick: bool) -> Case:
    """Recurrent matrix 1.3 times orthogonal over 64 steps of ReLU: exploding, 1.3^64 = 2e7."""
    net = _HandRNN(functional.relu)
    nn.init.eye_(net.h2h.weight)
    nn.init.normal_(net.x2h.weight, std=0.05)
    nn.init.zeros_(net.h2h.bias)
    nn.init.zeros_(net.x2h.bias)
    net.h2h.weight.data *= 1.3 if sick else 1.0
    return case(net, digits((64, 1)))


def rnn_cell_recurrent_n001(*, sick: bool) -> Case:
    """Recurrent std 0.01 in a loop of 64 steps: the gradient to early steps vanishes."""
    net = _HandRNN(torch.tanh)
    if sick:
        nn.init.normal_(net.h2h.weight, std=0.01)
    else:
        nn.init.orthogonal_(net.h2h.weight)
    nn.init.zeros_(net.h2h.bias)
    x, y = digits((64, 1))
    return case(net, (x, y))


class _Attention(nn.Module):
    def __init__(self, d: Any, heads: Any, scale: bool = True, causal: bool = False) -> None:
        super().__init__()
        self.q, self.k, self.v, self.o = (nn.Linear(d, d, bias=False) for _ in range(4))
        self.heads, self.scale, self.causal = heads, scale, causal

    def forward(self, x: Any, memory: Any = None) -> Any:
        m = x if memory is None else memory
        q, k, v = (
            w(z).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for w, z in ((self.q, x), (self.k, m), (self.v, m))
        )
        s = q @ k.transpose(-1, -2)
        if self.scale:
            s = s / math.sqrt(q.shape[-1])
        if self.causal:
            s = s.masked_fill(torch.ones(s.shape[-2:], dtype=torch.bool).triu(1), float("-inf"))
        return self.o((s.softmax(-1) @ v).transpose(1, 2).flatten(2))


class _Block(nn.Module):
    def __init__(
        self,
        d: Any = 64,
        heads: Any = 4,
        pre: bool = True,
        norm: Any = nn.LayerNorm,
        cross: bool = False,
        **how: Any,
    ) -> None:
        super().__init__()
        self.att, self.mlp = (
            _Attention(d, heads, **how),
            nn.Sequential(nn.Linear(d, 4 * d), nn.GELU(), nn.Linear(4 * d, d)),
        )
        self.cross = _Attention(d, heads) if cross else None
        self.n1, self.n2, self.n3 = norm(d), norm(d), norm(d) if cross else None
        self.pre = pre

    def forward(self, x: Any, memory: Any = None) -> Any:
        if not self.pre:
            x = self.n1(x + self.att(x))
            return self.n2(x + self.mlp(x))
        x = x + self.att(self.n1(x))
        if self.cross is not None:
            x = x + self.cross(self.n3(x), memory)
        return x + self.mlp(self.n2(x))


class _GPT(nn.Module):
    def __init__(
        self,
        vocab: Any,
        d: Any = 64,
        layers: Any = 4,
        std: Any = 0.02,
        tied: bool = True,
        final: bool = True,
        **how: Any,
    ) -> None:
        super().__init__()
        self.tok, self.pos = nn.Embedding(vocab, d), nn.Embedding(32, d)
        self.blocks = nn.ModuleList(_Block(d, causal=True, **how) for _ in range(layers))
        self.norm, self.head = nn.LayerNorm(d) if final else nn.Identity(), nn.Linear(d, vocab, bias=False)
        if tied:
            self.head.weight = self.tok.weight
        for m in self.modules():
            if isinstance(m, nn.Linear | nn.Embedding):
                nn.init.normal_(m.weight, std=std)

    def forward(self, ids: Any) -> Any:
        x = self.tok(ids) + self.pos(torch.arange(ids.shape[1]))
        for b in self.blocks:
            x = b(x)
        return self.head(self.norm(x))


def gpt_tied_std_1(*, sick: bool) -> Case:
    """Tied embedding left at N(0, 1): logits of std sqrt(d), first loss far above ln C."""
    a, b, vocab = text()
    net = _GPT(vocab, d=128)
    if sick:
        nn.init.normal_(net.tok.weight)
    return case(net, (a, b), n=32, loss=lm_loss)


def encoder_without_sqrt_d(*, sick: bool) -> Case:
    """No 1/sqrt(d), queries and keys of std 1 a unit in 64 numbers a head: attention is one-hot."""
    a, b, vocab = text()
    net = _GPT(vocab, d=128, layers=3, heads=2, tied=False, scale=not sick)
    for m in net.modules():
        if isinstance(m, _Attention):
            for w in (m.q, m.k, m.v, m.o):
                nn.init.xavier_normal_(w.weight, gain=1.5 if sick and w in (m.q, m.k) else 1.0)
    return case(net, (a, b), n=32, loss=lm_loss)


def transformer_no_norm_deep(*, sick: bool) -> Case:
    """24 transformer layers without norm and without scaled branches: exploding."""
    a, b, vocab = text()
    net = _GPT(vocab, layers=24, tied=False, norm=nn.Identity, final=False)
    nn.init.normal_(net.tok.weight, std=1)
    nn.init.normal_(net.pos.weight, std=1)
    for m in net.blocks.modules():
        if isinstance(m, nn.Linear):
            nn.init.kaiming_normal_(m.weight, nonlinearity="relu")
    if not sick:
        for m in net.blocks:
            m.att.o.weight.data /= 48**0.5
            m.mlp[-1].weight.data /= 48**0.5
    return case(net, (a, b), n=16, loss=lm_loss)


def gpt_positions_drown_tokens(*, sick: bool) -> Case:
    """Position embeddings of std 20 beside tokens of std 0.02: what the tokens say is drowned."""
    a, b, vocab = text()
    net = _GPT(vocab, tied=False)
    if sick:
        nn.init.normal_(net.pos.weight, std=20.0)
    return case(net, (a, b), n=32, loss=lm_loss)


class _Seq2Seq(nn.Module):
    def __init__(self, vocab: Any, sick: bool, d: Any = 64) -> None:
        super().__init__()
        self.tok, self.pos = nn.Embedding(vocab, d), nn.Parameter(torch.randn(32, d) * 0.02)
        nn.init.normal_(self.tok.weight, std=0.02)
        self.encoder = nn.ModuleList(_Block(d) for _ in range(2))
        self.decoder = nn.ModuleList(_Block(d, cross=True, causal=True) for _ in range(2))
        self.norm, self.head = nn.LayerNorm(d), nn.Linear(d, vocab)
        self.sick = sick

    def forward(self, src: Any, tgt: Any) -> Any:
        m = self.tok(src) + self.pos[: src.shape[1]]
        for b in self.encoder:
            m = b(m)
        if self.sick:
            m = m.detach()
        x = self.tok(tgt) + self.pos[: tgt.shape[1]]
        for b in self.decoder:
            x = b(x, m)
        return self.head(self.norm(x))


def seq2seq_memory_detached(*, sick: bool) -> Case:
    """The encoder's memory is detached: the encoder gets no gradient."""
    a, b, vocab = text()
    return case(_Seq2Seq(vocab, sick), (a, b[:, :16], b[:, 16:]), n=32, loss=lm_loss)


def all_tokens_padding(*, sick: bool) -> Case:
    """Every token is the padding token (tokenised wrongly): all embeddings 0."""

    class Bag(nn.Module):
        def __init__(self, vocab: Any) -> None:
            super().__init__()
            self.embed = nn.Embedding(vocab, 64, padding_idx=0)
            self.body = mlp([64, 64, vocab])

        def forward(self, ids: Any) -> Any:
            return self.body(self.embed(ids).mean(1))

    a, b, vocab = text()
    return case(Bag(vocab), (torch.zeros_like(a) if sick else a, b[:, -1]))
