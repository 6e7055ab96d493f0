"""Sequence models on which predictions are held against measurements: pooled, masked, routed, unrolled."""

from __future__ import annotations

from typing import Any

import torch
import transformers as hf
from predictions_networks import CLASSES, GPT2, LLAMA, SIZE, Made, Network, image, small
from torch import nn
from torch.nn import functional

__all__ = ["TOKENS"]

VOCABULARY, WIDTH, LENGTH = 500, 128, 32


class Attend(nn.Module):
    """Heads of attention by torch's fused operation; `linear` for kernels ``elu + 1`` in its place."""

    def __init__(self, width: int, heads: int = 4, *, causal: bool = False, linear: bool = False) -> None:
        super().__init__()
        self.q, self.k, self.v, self.out = (nn.Linear(width, width, bias=False) for _ in range(4))
        self.heads, self.causal, self.linear = heads, causal, linear

    def forward(self, x: torch.Tensor, memory: torch.Tensor | None = None) -> torch.Tensor:
        """From `memory`, or from itself."""
        memory = x if memory is None else memory
        q, k, v = (
            m(y).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for m, y in ((self.q, x), (self.k, memory), (self.v, memory))
        )
        if self.linear:
            q, k = functional.elu(q) + 1.0, functional.elu(k) + 1.0
            mixed = q @ (k.transpose(-1, -2) @ v) / (q @ k.sum(-2, keepdim=True).transpose(-1, -2))
        else:
            mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=self.causal)
        out: torch.Tensor = self.out(mixed.transpose(1, 2).flatten(2))
        return out


class Layer(nn.Module):
    """A pre-norm layer; branches are multiplied by `scale`."""

    def __init__(self, width: int = WIDTH, *, scale: float = 1.0, mix: Any = None, **options: Any) -> None:
        super().__init__()
        self.one, self.two = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attend = Attend(width, **options)
        self.mlp = mix or nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.scale = scale

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Attention, then the MLP."""
        x = x + self.scale * self.attend(self.one(x))
        out: torch.Tensor = x + self.scale * self.mlp(self.two(x))
        return out


class Tokens(nn.Module):
    """Tokens and places through layers; `read` says what the head sees: "all", "last", "mean", "first"."""

    def __init__(self, layers: list[nn.Module], read: str = "all", outputs: int = VOCABULARY) -> None:
        super().__init__()
        self.embed, self.place = nn.Embedding(VOCABULARY, WIDTH), nn.Embedding(LENGTH, WIDTH)
        self.layers, self.norm = nn.Sequential(*layers), nn.LayerNorm(WIDTH)
        self.head, self.read = nn.Linear(WIDTH, outputs), read

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Logits."""
        x = self.embed(ids) + self.place(torch.arange(ids.shape[1], device=ids.device))
        x = self.norm(self.layers(x))
        if self.read == "last":
            x = x[:, -1]
        elif self.read == "first":
            x = x[:, 0]
        elif self.read == "mean":
            x = x.mean(1)
        out: torch.Tensor = self.head(x)
        return out


def ids(batch: int = 8, length: int = LENGTH) -> torch.Tensor:
    """Random tokens."""
    return torch.randint(5, VOCABULARY, (batch, length))


def tokens(read: str, depth: int = 6, kept: float = 1.0, **options: Any) -> Made:
    """A transformer; `kept` is the share of labels that count."""
    outputs = VOCABULARY if read == "all" else CLASSES
    model = Tokens([Layer(**options) for _ in range(depth)], read, outputs)
    x = ids(16 if read != "all" else 8)
    target = torch.randint(0, outputs, tuple(x.shape) if read == "all" else (len(x),))
    if kept < 1.0:
        target = torch.where(torch.rand(x.shape) < kept, target, -100)
    return model, x, target


def masked() -> Made:
    """BERT with 15 % of its labels."""
    model, batch, target = small("bert", "MaskedLM", **SIZE)
    return model, batch, torch.where(torch.rand(8, LENGTH) < 0.15, target, -100)  # type: ignore[arg-type]


def classifier(kind: str, **sizes: Any) -> Made:
    """A classifier of the transformers library on 16 sequences."""
    config = hf.AutoConfig.for_model(kind, num_labels=CLASSES, **sizes)
    model = hf.AutoModelForSequenceClassification.from_config(config).eval()
    return model, {"input_ids": ids(16)}, torch.randint(0, CLASSES, (16,))


class Padded(nn.Module):
    """torch's encoder with padding hidden, and a mean over what is no padding."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(VOCABULARY, WIDTH, padding_idx=0)
        layer = nn.TransformerEncoderLayer(WIDTH, 4, 512, batch_first=True, norm_first=True, dropout=0.0)
        self.layers = nn.TransformerEncoder(layer, 4, enable_nested_tensor=False)
        self.head = nn.Linear(WIDTH, CLASSES)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Logits."""
        hidden = ids == 0
        x = self.layers(self.embed(ids), src_key_padding_mask=hidden)
        kept = (~hidden).unsqueeze(-1).to(x.dtype)
        out: torch.Tensor = self.head((x * kept).sum(1) / kept.sum(1))
        return out


def padded() -> Made:
    """Sequences of 12 to 32 tokens."""
    x = ids(16)
    lengths = torch.randint(12, LENGTH + 1, (16, 1))
    x = torch.where(torch.arange(LENGTH) < lengths, x, 0)
    return Padded(), x, torch.randint(0, CLASSES, (16,))


class Crossed(nn.Module):
    """torch's encoder and decoder with cross attention."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(VOCABULARY, WIDTH)
        self.both = nn.Transformer(WIDTH, 4, 3, 3, 512, dropout=0.0, batch_first=True)
        self.head = nn.Linear(WIDTH, VOCABULARY)

    def forward(self, source: torch.Tensor, given: torch.Tensor) -> torch.Tensor:
        """Logits."""
        mask = nn.Transformer.generate_square_subsequent_mask(given.shape[1])
        out: torch.Tensor = self.head(self.both(self.embed(source), self.embed(given), tgt_mask=mask))
        return out


class Pair(nn.Module):
    """A model of two inputs, called with one tuple's worth of keywords."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, source: torch.Tensor, given: torch.Tensor) -> torch.Tensor:
        """Both on."""
        out: torch.Tensor = self.model(source, given)
        return out


def crossed() -> Made:
    """8 sources of 32, 8 targets of 16."""
    batch = {"source": ids(8), "given": ids(8, 16)}
    return Pair(Crossed()), batch, torch.randint(0, VOCABULARY, (8, 16))


class Perceiver(nn.Module):
    """16 latents that look at 64 inputs, then at each other."""

    def __init__(self) -> None:
        super().__init__()
        self.latents = nn.Parameter(0.02 * torch.randn(16, WIDTH))
        self.enter, self.look = nn.Linear(24, WIDTH), Attend(WIDTH)
        self.norm, self.seen = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.layers, self.head = nn.Sequential(*[Layer() for _ in range(4)]), nn.Linear(WIDTH, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits."""
        z = self.latents.expand(len(x), -1, -1)
        z = z + self.look(self.norm(z), self.seen(self.enter(x)))
        out: torch.Tensor = self.head(self.layers(z).mean(1))
        return out


class Experts(nn.Module):
    """Each token by the two experts that a router prefers."""

    def __init__(self, width: int = WIDTH, count: int = 4) -> None:
        super().__init__()
        self.router = nn.Linear(width, count)
        self.experts = nn.ModuleList(
            nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))
            for _ in range(count)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The two outputs, weighed."""
        flat = x.flatten(0, -2)
        weight, which = torch.topk(self.router(flat).softmax(-1), 2)
        out = torch.zeros_like(flat)
        for k, expert in enumerate(self.experts):
            rows, slot = torch.where(which == k)
            out = out.index_add(0, rows, expert(flat[rows]) * weight[rows, slot].unsqueeze(-1))
        return out.view_as(x)


class Soft(nn.Module):
    """All experts, weighed by a softmax."""

    def __init__(self, width: int = WIDTH, count: int = 4) -> None:
        super().__init__()
        self.router, self.experts = nn.Linear(width, count), nn.Linear(width, count * width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """A mean of experts."""
        made = functional.gelu(self.experts(x)).unflatten(-1, (-1, x.shape[-1]))
        return (self.router(x).softmax(-1).unsqueeze(-1) * made).sum(-2)


class Scan(nn.Module):
    """``h = f h + (1 - f) z`` step by step, with gates and content of the input alone."""

    def __init__(self, width: int = WIDTH) -> None:
        super().__init__()
        self.gate, self.new, self.out = (nn.Linear(width, width) for _ in range(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Every state."""
        f, z = torch.sigmoid(self.gate(x)), torch.tanh(self.new(x))
        h, states = torch.zeros_like(x[:, 0]), []
        for t in range(x.shape[1]):
            h = f[:, t] * h + (1.0 - f[:, t]) * z[:, t]
            states.append(h)
        out: torch.Tensor = self.out(torch.stack(states, 1))
        return out


class Conformer(nn.Module):
    """Half an MLP, attention, a gated depthwise convolution with batch norm, half an MLP."""

    def __init__(self, width: int = WIDTH) -> None:
        super().__init__()
        self.mlps = nn.ModuleList(
            nn.Sequential(
                nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.SiLU(), nn.Linear(4 * width, width)
            )
            for _ in range(2)
        )
        self.one, self.attend = nn.LayerNorm(width), Attend(width)
        self.two, self.enter = nn.LayerNorm(width), nn.Conv1d(width, 2 * width, 1)
        self.deep, self.norm = nn.Conv1d(width, width, 7, padding=3, groups=width), nn.BatchNorm1d(width)
        self.leave, self.last = nn.Conv1d(width, width, 1), nn.LayerNorm(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """One block."""
        x = x + 0.5 * self.mlps[0](x)
        x = x + self.attend(self.one(x))
        y = functional.glu(self.enter(self.two(x).transpose(1, 2)), 1)
        x = x + self.leave(functional.silu(self.norm(self.deep(y)))).transpose(1, 2)
        out: torch.Tensor = self.last(x + 0.5 * self.mlps[1](x))
        return out


def plain(layers: list[nn.Module], read: str = "all") -> Made:
    """Any layers between embedding and head."""
    outputs = VOCABULARY if read == "all" else CLASSES
    shape = (8, LENGTH) if read == "all" else (8,)
    return Tokens(layers, read, outputs), ids(8), torch.randint(0, outputs, shape)


class Shared(nn.Module):
    """One layer, again and again."""

    def __init__(self, layer: nn.Module, times: int) -> None:
        super().__init__()
        self.layer, self.times = layer, times

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """All rounds."""
        for _ in range(self.times):
            x = self.layer(x)
        return x


class Cells(nn.Module):
    """LSTM cells written as a loop; the last state is read."""

    def __init__(self) -> None:
        super().__init__()
        self.cell, self.head = nn.LSTMCell(32, 96), nn.Linear(96, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits."""
        h = c = x.new_zeros(len(x), 96)
        for t in range(x.shape[1]):
            h, c = self.cell(x[:, t], (h, c))
        out: torch.Tensor = self.head(h)
        return out


class Pooled(nn.Module):
    """A recurrent layer of which the last step or the mean is read."""

    def __init__(self, kind: Any, *, last: bool, **options: Any) -> None:
        super().__init__()
        self.steps, self.last = kind(32, 96, batch_first=True, **options), last
        self.head = nn.Linear(96, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits."""
        y = self.steps(x)[0]
        out: torch.Tensor = self.head(y[:, -1] if self.last else y.mean(1))
        return out


def steps(model: nn.Module, length: int) -> Made:
    """32 sequences of 32 numbers."""
    return model, torch.randn(32, length, 32), torch.randint(0, CLASSES, (32,))


def _net(make: Any, what: str, own: str = "PyTorch") -> Network:
    return Network(make=make, what=what, own=own)


HF = "transformers"
ALBERT = SIZE | {"embedding_size": 64}
BLOOM = {"hidden_size": 128, "n_layer": 6, "n_head": 4, "vocab_size": 500}
DEBERTA = SIZE | {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "max_position_embeddings": 64}
GEMMA = LLAMA | {"num_hidden_layers": 4, "query_pre_attn_scalar": 32}
MIXTRAL = LLAMA | {"num_hidden_layers": 4, "num_local_experts": 4, "num_experts_per_tok": 2}
DEIT = {"architectures": ["DeiTForImageClassification"], "hidden_size": 128, "num_hidden_layers": 6,
        "num_attention_heads": 4, "intermediate_size": 512, "image_size": 64, "patch_size": 8,
        "hidden_dropout_prob": 0.0}  # fmt: skip
SWIN = {"image_size": 64, "patch_size": 4, "embed_dim": 48, "depths": [2, 2], "num_heads": [2, 4],
        "window_size": 4, "drop_path_rate": 0.0}  # fmt: skip

TOKENS: dict[str, Network] = {
    "last token": _net(lambda: tokens("last", causal=True), "6 causal layers, the last token is read"),
    "first token": _net(lambda: tokens("first"), "6 layers, the first token is read"),
    "mean of tokens": _net(lambda: tokens("mean"), "6 layers, mean over 32 tokens"),
    "few labels": _net(lambda: tokens("all", kept=0.15, causal=True), "6 causal layers, 15 % of labels"),
    "scaled branches": _net(lambda: tokens("all", 12, scale=0.25), "12 layers, branches times 1/4"),
    "linear attention": _net(lambda: tokens("all", 4, linear=True), "4 layers with elu + 1"),
    "shared depth": _net(lambda: plain([Shared(Layer(), 6)]), "one layer, 6 times"),
    "experts": _net(lambda: plain([Layer(mix=Experts()) for _ in range(4)]), "4 layers, 2 of 4 experts"),
    "soft experts": _net(lambda: plain([Layer(mix=Soft()) for _ in range(4)]), "4 layers, 4 experts weighed"),
    "scan": _net(lambda: plain([Layer(mix=Scan()) for _ in range(3)]), "3 layers with a gated scan"),
    "conformer": _net(lambda: plain([Conformer() for _ in range(3)]), "3 blocks"),
    "padded": _net(padded, "4 layers, padding hidden, mean of the rest"),
    "cross attention": _net(crossed, "3 + 3 layers of torch, norm last"),
    "perceiver": _net(lambda: (Perceiver(), torch.randn(16, 64, 24), torch.randint(0, CLASSES, (16,))),
                      "16 latents, 64 inputs"),
    "BERT, 15 %": _net(masked, "6 layers of 128, 15 % of labels", HF),
    "BERT classifier": _net(lambda: classifier("bert", **SIZE), "6 layers of 128, class token", HF),
    "GPT-2 classifier": _net(lambda: classifier("gpt2", **GPT2, pad_token_id=1), "6 layers, last token", HF),
    "ALBERT": _net(lambda: small("albert", "MaskedLM", **ALBERT), "one layer of 128, 6 times", HF),
    "BLOOM": _net(lambda: small("bloom", "CausalLM", **BLOOM), "6 layers of 128, ALiBi", HF),
    "DeBERTa": _net(lambda: small("deberta-v2", "MaskedLM", **DEBERTA), "6 layers of 128, relative", HF),
    "Mistral, window": _net(lambda: small("mistral", "CausalLM", **LLAMA, sliding_window=8),
                            "6 layers of 128, windows of 8", HF),
    "Gemma 2": _net(lambda: small("gemma2", "CausalLM", **GEMMA), "4 layers of 128", HF),
    "Mixtral": _net(lambda: small("mixtral", "CausalLM", **MIXTRAL), "4 layers, 2 of 4 experts", HF),
    "DeiT": _net(lambda: image("deit", **DEIT), "6 layers of 128, two tokens of its own", HF),
    "Swin": _net(lambda: image("swin", **SWIN), "2 + 2 layers, windows of 4 x 4", HF),
    "LSTM cells": _net(lambda: steps(Cells(), 16), "96 units, 16 steps by hand"),
    "LSTM, last of 64": _net(lambda: steps(Pooled(nn.LSTM, last=True), 64), "96 units"),
    "GRU, mean of 64": _net(lambda: steps(Pooled(nn.GRU, last=False), 64), "96 units"),
}  # fmt: skip
