"""Language models as their authors write and initialise them."""

from __future__ import annotations

import math
from typing import Any

import torch
from check_unseen_healthy_data import Batch, Case, chars, unigram, vocabulary
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["KINDS"]

D, LAYERS, HEADS = 64, 4, 4


def _lm(model: nn.Module, *, share: float = 0.9, lr: float = 1e-3, clip: float = 1.0, **more: Any) -> Case:
    return Case(model=model, draw=_rows, chance=unigram(), share=share, lr=lr, clip=clip, **more)


def _rows(seed: int) -> Batch:
    x, y = chars(seed)
    return (x,), y


class Causal(nn.Module):
    """Self-attention of the GPT family, one projection for queries, keys and values."""

    def __init__(self, d: int, heads: int, *, bias: bool = True, dropout: float = 0.0) -> None:
        super().__init__()
        self.c_attn, self.c_proj, self.heads = (
            nn.Linear(d, 3 * d, bias=bias),
            nn.Linear(d, d, bias=bias),
            heads,
        )
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        b, t, d = x.shape
        q, k, v = (s.reshape(b, t, self.heads, -1).transpose(1, 2) for s in self.c_attn(x).split(d, dim=2))
        a = (q @ k.transpose(-2, -1)) / math.sqrt(k.shape[-1])
        a = a.masked_fill(torch.ones(t, t, dtype=torch.bool).triu(1), float("-inf"))
        y = self.drop(functional.softmax(a, dim=-1)) @ v
        return self.drop(self.c_proj(y.transpose(1, 2).reshape(b, t, d)))


class GPTBlock(nn.Module):
    def __init__(self, d: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.ln_1, self.attn, self.ln_2 = nn.LayerNorm(d), Causal(d, heads, dropout=dropout), nn.LayerNorm(d)
        self.c_fc, self.c_proj, self.drop = nn.Linear(d, 4 * d), nn.Linear(4 * d, d), nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.ln_1(x))
        return x + self.drop(self.c_proj(functional.gelu(self.c_fc(self.ln_2(x)), approximate="tanh")))


class GPT(nn.Module):
    """nanoGPT (tied, returns logits and loss) or minGPT (untied, dropout)."""

    def __init__(self, *, tied: bool, dropout: float) -> None:
        super().__init__()
        v = vocabulary()
        self.wte, self.wpe, self.drop = nn.Embedding(v, D), nn.Embedding(64, D), nn.Dropout(dropout)
        self.h = nn.ModuleList(GPTBlock(D, HEADS, dropout) for _ in range(LAYERS))
        self.ln_f, self.lm_head = nn.LayerNorm(D), nn.Linear(D, v, bias=False)
        if tied:
            self.wte.weight = self.lm_head.weight
        self.apply(self._init)
        for name, p in self.named_parameters():
            if name.endswith("c_proj.weight"):
                nn.init.normal_(p, 0.0, 0.02 / math.sqrt(2 * LAYERS))

    def _init(self, module: nn.Module) -> None:
        if isinstance(module, nn.Linear | nn.Embedding):
            nn.init.normal_(module.weight, 0.0, 0.02)
        if isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)

    def forward(self, idx: Tensor, targets: Tensor | None = None) -> tuple[Tensor, Tensor] | Tensor:
        x = self.drop(self.wte(idx) + self.wpe(torch.arange(idx.shape[1])))
        for block in self.h:
            x = block(x)
        logits: Tensor = self.lm_head(self.ln_f(x))
        if targets is None:
            return logits
        return logits, functional.cross_entropy(logits.flatten(0, 1), targets.flatten())


def nanogpt(_: int) -> Case:
    def both(s: int) -> Batch:
        return chars(s), None

    return Case(
        model=GPT(tied=True, dropout=0.0), draw=both, chance=unigram(), share=0.9, clip=1.0, optimiser="adamw"
    )


def mingpt(_: int) -> Case:
    return _lm(GPT(tied=False, dropout=0.1))


class RMSNorm(nn.Module):
    def __init__(self, d: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(d))

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-5) * self.weight


def _rotary(x: Tensor) -> Tensor:
    t, d = x.shape[-2:]
    angle = torch.outer(torch.arange(t).float(), 1e4 ** (-torch.arange(0, d, 2).float() / d))
    a, b = x[..., ::2], x[..., 1::2]
    turned = torch.stack([a * angle.cos() - b * angle.sin(), a * angle.sin() + b * angle.cos()], dim=-1)
    return turned.flatten(-2)


class LlamaBlock(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.n1, self.n2 = RMSNorm(D), RMSNorm(D)
        self.wq, self.wo = nn.Linear(D, D, bias=False), nn.Linear(D, D, bias=False)
        self.wk, self.wv = nn.Linear(D, D // 2, bias=False), nn.Linear(D, D // 2, bias=False)
        self.w1, self.w3 = nn.Linear(D, 172, bias=False), nn.Linear(D, 172, bias=False)
        self.w2 = nn.Linear(172, D, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        b, t, _ = x.shape
        h = self.n1(x)
        q = self.wq(h).view(b, t, HEADS, -1).transpose(1, 2)
        k, v = (
            w(h).view(b, t, HEADS // 2, -1).transpose(1, 2).repeat_interleave(2, 1)
            for w in (self.wk, self.wv)
        )
        y = functional.scaled_dot_product_attention(_rotary(q), _rotary(k), v, is_causal=True)
        x = x + self.wo(y.transpose(1, 2).reshape(b, t, D))
        h = self.n2(x)
        return x + self.w2(functional.silu(self.w1(h)) * self.w3(h))


class Stack(nn.Module):
    """Embedding, blocks, a last norm, a head."""

    def __init__(
        self, blocks: list[nn.Module], norm: nn.Module, *, tied: bool = False, embed: nn.Module | None = None
    ) -> None:
        super().__init__()
        self.embed = embed or nn.Embedding(vocabulary(), D)
        self.blocks, self.norm = nn.ModuleList(blocks), norm
        self.head = nn.Linear(D, vocabulary(), bias=False)
        if tied:
            self.head.weight = self.embed.weight

    def forward(self, idx: Tensor) -> Tensor:
        x = self.embed(idx)
        for block in self.blocks:
            x = block(x)
        out: Tensor = self.head(self.norm(x))
        return out


def _normal(model: nn.Module, std: float = 0.02) -> nn.Module:
    for m in model.modules():
        if isinstance(m, nn.Linear | nn.Embedding):
            nn.init.normal_(m.weight, 0.0, std)
        if isinstance(m, nn.Linear) and m.bias is not None:
            nn.init.zeros_(m.bias)
    return model


def llama2c(_: int) -> Case:
    model = _normal(Stack([LlamaBlock() for _ in range(LAYERS)], RMSNorm(D), tied=True))
    for name, p in model.named_parameters():
        if name.endswith(("w3.weight", "wo.weight")):
            nn.init.normal_(p, 0.0, 0.02 / math.sqrt(2 * LAYERS))
    return _lm(model)


class Positions(nn.Module):
    """Sinusoids added to a scaled embedding, as PyTorch's tutorial and the Annotated Transformer write it."""

    def __init__(self, scale: float, dropout: float) -> None:
        super().__init__()
        self.table, self.scale, self.drop = nn.Embedding(vocabulary(), D), scale, nn.Dropout(dropout)
        at, div = (
            torch.arange(64).float()[:, None],
            torch.exp(torch.arange(0, D, 2).float() * (-math.log(1e4) / D)),
        )
        pe = torch.zeros(64, D)
        pe[:, 0::2], pe[:, 1::2] = torch.sin(at * div), torch.cos(at * div)
        self.register_buffer("pe", pe)

    def forward(self, idx: Tensor) -> Tensor:
        out: Tensor = self.drop(self.table(idx) * self.scale + self.pe[: idx.shape[1]])
        return out


class Tutorial(nn.Module):
    """PyTorch's word_language_model: post-norm encoder layers with a causal mask."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = Positions(math.sqrt(D), 0.2)
        layer = nn.TransformerEncoderLayer(D, HEADS, 4 * D, 0.2, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.decoder = nn.Linear(D, vocabulary())
        nn.init.uniform_(self.embed.table.weight, -0.1, 0.1)
        nn.init.zeros_(self.decoder.bias)
        nn.init.uniform_(self.decoder.weight, -0.1, 0.1)

    def forward(self, idx: Tensor) -> Tensor:
        mask = nn.Transformer.generate_square_subsequent_mask(idx.shape[1])
        return functional.log_softmax(self.decoder(self.encoder(self.embed(idx), mask=mask)), dim=-1)


def tutorial(_: int) -> Case:
    def nll(out: Tensor, y: Tensor) -> Tensor:
        return functional.nll_loss(out.flatten(0, 1), y.flatten())

    return _lm(Tutorial(), loss=nll)


class Annotated(nn.Module):
    """The Annotated Transformer: the line is read and foretold; every matrix is Xavier's."""

    def __init__(self) -> None:
        super().__init__()
        self.source, self.goal = Positions(math.sqrt(D), 0.1), Positions(math.sqrt(D), 0.1)
        self.body = nn.Transformer(D, HEADS, 2, 2, 2 * D, 0.1, batch_first=True, norm_first=True)
        self.generator = nn.Linear(D, vocabulary())
        for p in self.parameters():
            if p.dim() > 1:
                nn.init.xavier_uniform_(p)

    def forward(self, source: Tensor, goal: Tensor) -> Tensor:
        mask = nn.Transformer.generate_square_subsequent_mask(goal.shape[1])
        out: Tensor = self.generator(self.body(self.source(source), self.goal(goal), tgt_mask=mask))
        return out


def annotated(_: int) -> Case:
    def shifted(s: int) -> Batch:
        x, y = chars(s, length=16)
        return (x, x), y

    return Case(model=Annotated(), draw=shifted, chance=unigram(), share=0.9)


class MLM(nn.Module):
    """BERT-pytorch: PyTorch's defaults everywhere, token embeddings of variance one, sinusoids."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = Positions(1.0, 0.1)
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(D, HEADS, 4 * D, 0.1, "gelu", batch_first=True, norm_first=True)
            for _ in range(3)
        )
        self.out = nn.Linear(D, vocabulary())

    def forward(self, idx: Tensor) -> Tensor:
        x = self.embed(idx)
        for block in self.blocks:
            x = block(x)
        out: Tensor = self.out(x)
        return out


def bert_mlm(_: int) -> Case:
    def masked(s: int) -> Batch:
        x, _ = chars(s)
        g = torch.Generator().manual_seed(s)
        hide = torch.rand(x.shape, generator=g) < 0.15
        return (x.masked_fill(hide, 0),), x.masked_fill(~hide, -100)

    def ce(out: Tensor, y: Tensor) -> Tensor:
        return functional.cross_entropy(out.flatten(0, 1), y.flatten(), ignore_index=-100)

    return Case(model=MLM(), draw=masked, loss=ce, chance=unigram(), share=0.95, lr=2e-3, steps=400)


class Experts(nn.Module):
    """Two of four experts by a softmax router, as Mixtral."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Linear(D, 4, bias=False)
        self.experts = nn.ModuleList(
            nn.Sequential(nn.Linear(D, 2 * D), nn.GELU(), nn.Linear(2 * D, D)) for _ in range(4)
        )

    def forward(self, x: Tensor) -> Tensor:
        flat = x.reshape(-1, D)
        weight, which = functional.softmax(self.gate(flat), dim=-1).topk(2, dim=-1)
        weight = weight / weight.sum(-1, keepdim=True)
        out = torch.zeros_like(flat)
        for i, expert in enumerate(self.experts):
            row, slot = torch.where(which == i)
            out.index_add_(0, row, expert(flat[row]) * weight[row, slot, None])
        return out.view_as(x)


class Pair(nn.Module):
    """Pre-norm residual pair of a mixer over time and one over channels."""

    def __init__(self, time: nn.Module, channel: nn.Module) -> None:
        super().__init__()
        self.n1, self.n2, self.time, self.channel = nn.LayerNorm(D), nn.LayerNorm(D), time, channel

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.time(self.n1(x))
        out: Tensor = x + self.channel(self.n2(x))
        return out


def _mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(D, 4 * D), nn.GELU(), nn.Linear(4 * D, D))


def moe(_: int) -> Case:
    return _lm(_normal(Stack([Pair(Causal(D, HEADS), Experts()) for _ in range(3)], nn.LayerNorm(D))))


class LinearAttention(nn.Module):
    """Causal attention with features elu + 1 (Katharopoulos)."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v, self.o = (nn.Linear(D, D) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        b, t, _ = x.shape
        q, k, v = (w(x).view(b, t, HEADS, -1) for w in (self.q, self.k, self.v))
        q, k = functional.elu(q) + 1, functional.elu(k) + 1
        kv = torch.einsum("bthd,bthe->bthde", k, v).cumsum(1)
        z = 1 / (torch.einsum("bthd,bthd->bth", q, k.cumsum(1)) + 1e-6)
        y: Tensor = self.o(torch.einsum("bthd,bthde,bth->bthe", q, kv, z).reshape(b, t, D))
        return y


def linear_attention(_: int) -> Case:
    return _lm(
        Stack([Pair(LinearAttention(), _mlp()) for _ in range(3)], nn.LayerNorm(D), embed=Positions(1.0, 0.0))
    )


KINDS = {
    f.__name__: f for f in (nanogpt, mingpt, llama2c, tutorial, annotated, bert_mlm, moe, linear_attention)
}
