"""Attention, tables of tokens, adapters, routers, memory that nobody wrote."""

from __future__ import annotations

import copy
import math

import torch
from check_posted_parts import Made, chain, he, head, mlp, positions, tokens_ce, vectors
from torch import nn
from torch.nn import functional

__all__ = [
    "attention_bias_nan",
    "background_embedding_garbage",
    "ensemble_of_copies",
    "fully_masked_row",
    "lora_both_zero",
    "missing_keys_denormal",
    "positions_drowned_by_tokens",
    "router_top1_renormalised",
    "tied_table_std_one",
    "tokens_drowned_by_positions",
    "xavier_word_table",
]


class Attend(nn.Module):
    """One attention layer over (batch, time, d); `scaled` divides by √d."""

    def __init__(self, d: int, *, scaled: bool = True) -> None:
        super().__init__()
        self.q, self.k, self.v, self.o = (nn.Linear(d, d, bias=False) for _ in range(4))
        self.f = d**-0.5 if scaled else 1.0

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        s = self.q(x) @ self.k(x).transpose(-1, -2) * self.f
        if mask is not None:
            s = s.masked_fill(mask, float("-inf"))
        return self.o(s.softmax(-1) @ self.v(x))


class Block(nn.Module):
    def __init__(self, d: int, *, scaled: bool = True) -> None:
        super().__init__()
        self.n1, self.n2, self.att = nn.LayerNorm(d), nn.LayerNorm(d), Attend(d, scaled=scaled)
        self.up, self.down = nn.Linear(d, 2 * d), nn.Linear(2 * d, d)

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        x = x + self.att(self.n1(x), mask)
        return x + self.down(functional.gelu(self.up(self.n2(x))))


class Lm(nn.Module):
    """A small causal language model with learned positions."""

    def __init__(
        self,
        vocab: int = 64,
        d: int = 48,
        depth: int = 2,
        length: int = 16,
        *,
        scaled: bool = True,
        tied: bool = False,
    ) -> None:
        super().__init__()
        self.tok, self.pos = nn.Embedding(vocab, d), nn.Embedding(length, d)
        self.blocks = nn.ModuleList(Block(d, scaled=scaled) for _ in range(depth))
        self.norm, self.head = nn.LayerNorm(d), nn.Linear(d, vocab, bias=False)
        for m in self.modules():
            if isinstance(m, nn.Linear):
                nn.init.normal_(m.weight, std=0.7 / math.sqrt(m.in_features))
                if m.bias is not None:
                    nn.init.zeros_(m.bias)
        nn.init.normal_(self.tok.weight, std=0.1)
        nn.init.normal_(self.pos.weight, std=0.1)
        nn.init.normal_(self.head.weight, std=0.05)
        if tied:
            self.head.weight = self.tok.weight
        self.register_buffer("mask", torch.ones(length, length).triu(1).bool(), persistent=False)

    def forward(self, t: torch.Tensor) -> torch.Tensor:
        x = self.tok(t) + self.pos.weight
        for b in self.blocks:
            x = b(x, self.mask)
        return self.head(self.norm(x))


def tied_table_std_one(*, seed: int, sick: bool) -> Made:
    """N(0, 1) token table tied to the head: logits of std √d, a first loss far above ln V."""
    t, y = chain(seed)
    torch.manual_seed(seed)
    m = Lm(tied=True)
    if sick:
        nn.init.normal_(m.tok.weight)
    return m, (t,), y, tokens_ce


def tokens_drowned_by_positions(*, seed: int, sick: bool) -> Made:
    """Tokens N(0, 0.02²) beside sinusoids of power ½ without × √d: the tokens drown."""
    t, y = chain(seed)
    torch.manual_seed(seed)
    m = Lm()
    angle = torch.arange(16)[:, None] / 10000 ** (torch.arange(24) / 24)
    m.pos.weight.data = torch.cat([angle.sin(), angle.cos()], 1)
    m.pos.weight.requires_grad_(False)
    nn.init.normal_(m.tok.weight, std=0.02 if sick else 0.7)
    if sick:
        nn.init.normal_(m.tok.weight, std=0.002)
    return m, (t,), y, tokens_ce


def positions_drowned_by_tokens(*, seed: int, sick: bool) -> Made:
    """Table N(0, 1) multiplied by √d beside sinusoids: the places drown under the tokens."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tok, self.block, self.norm, self.out = (
                nn.Embedding(16, 64),
                Block(64),
                nn.LayerNorm(64),
                nn.Linear(64, 16),
            )
            angle = torch.arange(16)[:, None] / 10000 ** (torch.arange(32) / 32)
            self.register_buffer("pos", torch.cat([angle.sin(), angle.cos()], 1))
            nn.init.normal_(self.tok.weight, std=4.0 if sick else 0.7 / 8)
            self.cls = nn.Parameter(0.02 * torch.randn(64))

        def forward(self, t: torch.Tensor) -> torch.Tensor:
            x = self.norm(self.block(8.0 * self.tok(t) + self.pos))
            return self.out(x.mean(1))

    t, y = positions(seed)
    torch.manual_seed(seed)
    return Net(), (t,), y, None


def xavier_word_table(*, seed: int, sick: bool) -> Made:
    """Xavier over a table of 20 000 words: vectors of std 0.01 into an LSTM."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tok, self.rnn, self.out = (
                nn.Embedding(20000, 16),
                nn.LSTM(16, 32, batch_first=True),
                nn.Linear(32, 16),
            )
            if sick:
                nn.init.xavier_uniform_(self.tok.weight)

        def forward(self, t: torch.Tensor) -> torch.Tensor:
            return self.out(self.rnn(t if False else self.tok(t))[0][:, -1])

    t, y = positions(seed, length=6)
    torch.manual_seed(seed)
    return Net(), (t,), y, None


def lora_both_zero(*, seed: int, sick: bool) -> Made:
    """LoRA with A and B both zero: neither gets a gradient."""

    class Lora(nn.Module):
        def __init__(self, i: int, o: int) -> None:
            super().__init__()
            self.base = nn.Linear(i, o)
            he(self.base)
            self.base.requires_grad_(False)
            self.lora_A, self.lora_B = nn.Parameter(torch.zeros(4, i)), nn.Parameter(torch.zeros(o, 4))
            if not sick:
                nn.init.kaiming_uniform_(self.lora_A, a=math.sqrt(5))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.base(x) + x @ self.lora_A.T @ self.lora_B.T

    x, y = vectors(seed)
    torch.manual_seed(seed)
    return nn.Sequential(Lora(32, 64), nn.ReLU(), Lora(64, 64), nn.ReLU(), Lora(64, 10)), (x,), y, None


def router_top1_renormalised(*, seed: int, sick: bool) -> Made:
    """Top-1 gate renormalised to 1: the router gets no gradient."""

    class Moe(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.router = nn.Linear(64, 4, bias=False)
            self.experts = nn.ModuleList(
                nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64)) for _ in range(4)
            )

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            w, i = self.router(x).softmax(-1).topk(1, -1)
            if sick:
                w = w / (w.sum(-1, keepdim=True) + 1e-20)
            out = torch.stack([e(x) for e in self.experts], 1)
            return x + w * out.gather(1, i[:, :, None].expand(-1, -1, 64))[:, 0]

    x, y = vectors(seed)
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(32, 64), Moe(), nn.Linear(64, 10)), (x,), y, None


def ensemble_of_copies(*, seed: int, sick: bool) -> Made:
    """An ensemble made by deepcopy and averaged: its members stay the same for ever."""

    class Ens(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            one = he(mlp(2))
            self.members = nn.ModuleList(copy.deepcopy(one) if sick else he(mlp(2)) for _ in range(4))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.stack([m(x) for m in self.members]).mean(0)

    x, y = vectors(seed)
    torch.manual_seed(seed)
    return Ens(), (x,), y, None


def missing_keys_denormal(*, seed: int, sick: bool) -> Made:
    """Heads missing from the checkpoint left as allocated (1e-41): two layers of nothing in a row."""
    x, y = vectors(seed)
    torch.manual_seed(seed)
    m = he(mlp(3))
    head(m[-1])
    if sick:
        for p in (m[-3], m[-1]):
            p.weight.data.fill_(1e-41)
    return m, (x,), y, None


def attention_bias_nan(*, seed: int, sick: bool) -> Made:
    """Attention bias left as torch.empty: NaN in the first forward."""

    class Pool(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tok, self.rnn = nn.Embedding(16, 16), nn.GRU(16, 32, batch_first=True)
            self.w, self.u = nn.Parameter(0.1 * torch.randn(32, 32)), nn.Parameter(0.1 * torch.randn(32, 1))
            self.bias = nn.Parameter(torch.zeros(32))
            self.out = nn.Linear(32, 16)
            if sick:
                self.bias.data[::7] = float("nan")

        def forward(self, t: torch.Tensor) -> torch.Tensor:
            h = self.rnn(self.tok(t))[0]
            a = (torch.tanh(h @ self.w + self.bias) @ self.u).softmax(1)
            return self.out((a * h).sum(1))

    t, y = positions(seed)
    torch.manual_seed(seed)
    return Pool(), (t,), y, None


def background_embedding_garbage(*, seed: int, sick: bool) -> Made:
    """A background embedding left as torch.empty: a few numbers of 1e25."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.enc, self.classes = nn.Linear(32, 64), nn.Parameter(0.1 * torch.randn(9, 64))
            self.bg = nn.Parameter(0.1 * torch.randn(1, 64))
            if sick:
                self.bg.data[0, ::13] = 1.7e25

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            h = functional.relu(self.enc(x))
            return h @ torch.cat([self.classes, self.bg]).T

    x, y = vectors(seed)
    torch.manual_seed(seed)
    return Net(), (x,), y, None


def fully_masked_row(*, seed: int, sick: bool) -> Made:
    """A sample whose keys are all masked: softmax over nothing is NaN."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tok, self.att, self.out = nn.Embedding(16, 32), Attend(32), nn.Linear(32, 16)

        def forward(self, t: torch.Tensor) -> torch.Tensor:
            x = self.tok(t)
            pad = (t == 0)[:, None, :].expand(-1, t.shape[1], -1)
            return self.out((x + self.att(x, pad)).mean(1))

    t, y = positions(seed)
    t = t.clamp(min=1)
    t[:, 10:] = 0
    if sick:
        t[::9] = 0
    torch.manual_seed(seed)
    return Net(), (t,), y, None
