"""Networks whose state is known: healthy ones of many kinds, and sick ones with their cause.

Every network is made from a seed alone, which also chooses its width, depth and activation; so a row of the
calibration table can be made again from its name and seed.
"""

from __future__ import annotations

import copy
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

import fanin.torch
from fanin.records.plan import Plan

__all__ = ["HEALTHY", "SICK", "Case", "Fault"]

CLASSES = 10
BATCH = 64
ACTIVATIONS = {
    "relu": nn.ReLU, "leaky": lambda: nn.LeakyReLU(0.1), "tanh": nn.Tanh, "gelu": nn.GELU, "silu": nn.SiLU,
    "elu": nn.ELU,
}  # fmt: skip


@dataclass(kw_only=True)
class Case:
    """A model with its batch, as `fanin.torch.check` takes them."""

    model: nn.Module
    inputs: tuple[Any, ...]
    target: torch.Tensor | None = None
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What has to be found: its codes (any of them), and a word of the cause.

    `remark` says that the finding may be a remark: the fault costs speed or says how much figures mean.
    """

    make: Callable[[int], Case]
    codes: tuple[str, ...]
    cause: str
    remark: bool = False


def _start(seed: int) -> random.Random:
    torch.manual_seed(seed)
    return random.Random(seed)  # noqa: S311 - shapes of test networks


def _target() -> torch.Tensor:
    return torch.randint(CLASSES, (BATCH,))


def _mlp(depth: int, width: int, act: Callable[[], nn.Module], norm: Callable[[int], nn.Module] | None = None) -> nn.Sequential:
    layers: list[nn.Module] = []
    for i in range(depth):
        layers.append(nn.Linear(64 if i == 0 else width, width))
        layers += [norm(width)] if norm else []
        layers.append(act())
    return nn.Sequential(*layers, nn.Linear(width, CLASSES))


def _done(model: nn.Module, *inputs: Any, seed: int, **options: Any) -> Case:
    fanin.torch.init_(model, *inputs, seed=seed)
    return Case(model=model, inputs=inputs, target=_target(), options=options)


class Residual(nn.Module):
    """A convolutional block with a skip connection."""

    def __init__(self, channels: int, norm: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=not norm)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=not norm)
        self.norm1 = nn.BatchNorm2d(channels) if norm else nn.Identity()
        self.norm2 = nn.BatchNorm2d(channels) if norm else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(x + self.norm2(self.conv2(torch.relu(self.norm1(self.conv1(x))))))


class PreResidual(nn.Module):
    """An MLP branch whose sum is not passed through anything."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.down(torch.relu(self.up(x)))


class Head(nn.Module):
    """A mean over positions and a linear head."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.out = nn.Linear(width, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(x.mean(dim=1) if x.ndim == 3 else x.mean(dim=(2, 3)))


class Recurrent(nn.Module):
    """A recurrent layer and a head on its last state."""

    def __init__(self, kind: type[nn.Module], width: int) -> None:
        super().__init__()
        self.cells, self.out = kind(16, width, batch_first=True), nn.Linear(width, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(self.cells(x)[0][:, -1])


class Language(nn.Module):
    """A small causal transformer with tied embeddings, pre-norm, drawn as GPT-2 is."""

    def __init__(self, width: int = 64, depth: int = 4, vocabulary: int = 200, *, tie: bool = True) -> None:
        super().__init__()
        self.tokens, self.places = nn.Embedding(vocabulary, width), nn.Embedding(16, width)
        self.blocks = nn.ModuleList(Block(width) for _ in range(depth))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, vocabulary, bias=False)
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=0.02)
            if isinstance(module, nn.Linear) and module.bias is not None:
                nn.init.zeros_(module.bias)
        if tie:
            self.head.weight = self.tokens.weight

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.tokens(ids) + self.places(torch.arange(ids.shape[1]))
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


class Block(nn.Module):
    """Pre-norm attention and MLP."""

    def __init__(self, width: int, scale: float | None = None) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.join = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down, self.scale = nn.Linear(width, 4 * width), nn.Linear(4 * width, width), scale

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        b, t, d = x.shape
        q, k, v = (s.view(b, t, 4, d // 4).transpose(1, 2) for s in self.qkv(self.norm1(x)).chunk(3, dim=-1))
        mixed = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True, scale=self.scale)
        x = x + self.join(mixed.transpose(1, 2).reshape(b, t, d))
        return x + self.down(nn.functional.gelu(self.up(self.norm2(x))))


# ---------------------------------------------------------------- healthy


def mlp(seed: int) -> Case:
    """Any activation, depth 2 to 40 (ELU to 16: its power has no stable fixed point), width 64 to 256."""
    rng = _start(seed)
    name = rng.choice(list(ACTIVATIONS))
    depth = rng.randint(2, 16 if name == "elu" else 40)
    model = _mlp(depth, rng.choice((64, 128, 256)), ACTIVATIONS[name])
    return _done(model, torch.randn(BATCH, 64), seed=seed)


def deep_mlp(seed: int) -> Case:
    """Depth 60 to 100."""
    rng = _start(seed)
    model = _mlp(rng.randint(60, 100), rng.choice((128, 256)), ACTIVATIONS[rng.choice(("relu", "leaky", "tanh"))])
    return _done(model, torch.randn(BATCH, 64), seed=seed)


def he_by_hand(seed: int) -> Case:
    """He's law and zero biases by torch's own functions, depth 3 to 60."""
    rng = _start(seed)
    model = _mlp(rng.randint(3, 60), rng.choice((64, 128, 256)), nn.ReLU)
    for m in model:
        if isinstance(m, nn.Linear):
            rng.choice((nn.init.kaiming_normal_, nn.init.kaiming_uniform_))(m.weight, nonlinearity="relu")
            nn.init.zeros_(m.bias)
    nn.init.xavier_normal_(model[-1].weight)
    return Case(model=model, inputs=(torch.randn(BATCH, 64),), target=_target())


def normed_mlp(seed: int) -> Case:
    """LayerNorm before each activation, to depth 40; BatchNorm to depth 8."""
    rng = _start(seed)
    batch = rng.random() < 0.4
    depth = rng.randint(2, 8) if batch else rng.randint(2, 40)
    model = _mlp(depth, rng.choice((64, 128)), nn.ReLU, nn.BatchNorm1d if batch else nn.LayerNorm)
    return _done(model, torch.randn(BATCH, 64), seed=seed)


def selu_mlp(seed: int) -> Case:
    """Self-normalising, depth 4 to 60."""
    rng = _start(seed)
    return _done(_mlp(rng.randint(4, 60), rng.choice((128, 256)), nn.SELU), torch.randn(BATCH, 64), seed=seed)


def conv(seed: int) -> Case:
    """Plain convolutions, 2 to 20 of them."""
    rng = _start(seed)
    c, act = rng.choice((16, 32)), ACTIVATIONS[rng.choice(("relu", "leaky", "tanh", "gelu"))]
    layers: list[nn.Module] = []
    for i in range(rng.randint(2, 20)):
        layers += [nn.Conv2d(3 if i == 0 else c, c, 3, padding=1), act()]
    return _done(nn.Sequential(*layers, Head(c)), torch.randn(BATCH, 3, 10, 10), seed=seed)


def resnet(seed: int) -> Case:
    """With batch norms, 2 to 16 blocks; drawn by fanin or as torchvision draws it."""
    rng = _start(seed)
    c, blocks = rng.choice((16, 32)), rng.randint(2, 16)
    model = nn.Sequential(nn.Conv2d(3, c, 3, padding=1, bias=False), nn.BatchNorm2d(c), nn.ReLU(),
                          *[Residual(c, norm=True) for _ in range(blocks)], Head(c))  # fmt: skip
    x = torch.randn(BATCH, 3, 8, 8)
    if rng.random() < 0.5:
        for m in model.modules():
            if isinstance(m, nn.Conv2d):
                nn.init.kaiming_normal_(m.weight, mode="fan_out", nonlinearity="relu")
        return Case(model=model, inputs=(x,), target=_target())
    return _done(model, x, seed=seed)


def plain_resnet(seed: int) -> Case:
    """Without norms, 2 to 24 blocks, branches scaled by fanin's plan."""
    rng = _start(seed)
    if rng.random() < 0.5:
        width = rng.choice((64, 128))
        model = nn.Sequential(nn.Linear(64, width), *[PreResidual(width) for _ in range(rng.randint(2, 50))],
                              nn.Linear(width, CLASSES))  # fmt: skip
        return _done(model, torch.randn(BATCH, 64), seed=seed)
    c = rng.choice((16, 32))
    model = nn.Sequential(nn.Conv2d(3, c, 3, padding=1), nn.ReLU(),
                          *[Residual(c, norm=False) for _ in range(rng.randint(2, 16))], Head(c))  # fmt: skip
    return _done(model, torch.randn(BATCH, 3, 8, 8), seed=seed)


def _encoder(rng: random.Random, depth: int, *, pre: bool, dropout: float = 0.0) -> nn.Module:
    width = rng.choice((32, 64))
    blocks = [
        nn.TransformerEncoderLayer(width, 4, 2 * width, dropout, batch_first=True, norm_first=pre)
        for _ in range(depth)
    ]
    return nn.Sequential(nn.Linear(16, width), *blocks, *([nn.LayerNorm(width)] if pre else []), Head(width))


def pre_norm(seed: int) -> Case:
    """Transformer encoder, 1 to 24 blocks."""
    rng = _start(seed)
    model = _encoder(rng, rng.choice((1, 2, 4, 8, 12, 24)), pre=True, dropout=rng.choice((0.0, 0.1)))
    return _done(model, torch.randn(BATCH, 8, 16), seed=seed)


def post_norm(seed: int) -> Case:
    """Transformer encoder as in 2017, 1 to 12 blocks."""
    rng = _start(seed)
    model = _encoder(rng, rng.choice((1, 2, 4, 6, 12)), pre=False, dropout=rng.choice((0.0, 0.1)))
    return _done(model, torch.randn(BATCH, 8, 16), seed=seed)


def language(seed: int) -> Case:
    """Causal, tied, drawn as GPT-2 is or by fanin, 2 to 12 blocks."""
    rng = _start(seed)
    model = Language(rng.choice((32, 64)), rng.choice((2, 4, 12)))
    ids = torch.randint(200, (16, 16))
    if rng.random() < 0.5:
        fanin.torch.init_(model, ids, seed=seed)
    return Case(model=model, inputs=(ids,), target=torch.randint(200, (16, 16)))


def recurrent(seed: int) -> Case:
    """RNN, GRU or LSTM over 12 steps."""
    rng = _start(seed)
    model = Recurrent(rng.choice((nn.RNN, nn.GRU, nn.LSTM)), rng.choice((32, 64)))
    return _done(model, torch.randn(BATCH, 12, 16), seed=seed)


def shallow_default(seed: int) -> Case:
    """As torch makes it: two to four layers, which train."""
    rng = _start(seed)
    model = _mlp(rng.randint(1, 3), rng.choice((64, 128)), ACTIVATIONS[rng.choice(("relu", "gelu", "tanh"))])
    return Case(model=model, inputs=(torch.randn(BATCH, 64),), target=_target())


HEALTHY: dict[str, Callable[[int], Case]] = {
    f.__name__: f
    for f in (
        mlp, deep_mlp, he_by_hand, normed_mlp, selu_mlp, conv, resnet, plain_resnet, pre_norm, post_norm, language,
        recurrent, shallow_default,
    )
}  # fmt: skip


# ---------------------------------------------------------------- sick


def _sick_mlp(seed: int, low: int, high: int, acts: tuple[str, ...] = ("relu",)) -> tuple[random.Random, nn.Sequential]:
    rng = _start(seed)
    return rng, _mlp(rng.randint(low, high), rng.choice((64, 128)), ACTIVATIONS[rng.choice(acts)])


def _case(model: nn.Module, *inputs: Any, **options: Any) -> Case:
    return Case(model=model, inputs=inputs or (torch.randn(BATCH, 64),), target=_target(), options=options)


def _linears(model: nn.Module) -> list[nn.Linear]:
    return [m for m in model.modules() if isinstance(m, nn.Linear)]


def torch_default(seed: int) -> Case:
    """The framework's own law in a deep plain network."""
    return _case(_sick_mlp(seed, 20, 60)[1])


def xavier_relu(seed: int) -> Case:
    """Glorot's law where He's belongs."""
    _, model = _sick_mlp(seed, 30, 60)
    for m in _linears(model):
        nn.init.xavier_uniform_(m.weight)
        nn.init.zeros_(m.bias)
    return _case(model)


def batch_norm_stack(seed: int) -> Case:
    """Batch norms without skip connections."""
    rng = _start(seed)
    model = _mlp(rng.randint(30, 60), rng.choice((64, 128)), nn.ReLU, nn.BatchNorm1d)
    for m in _linears(model):
        nn.init.kaiming_normal_(m.weight)
    return _case(model)


def constant(seed: int) -> Case:
    """All weights equal."""
    rng, model = _sick_mlp(seed, 2, 6, ("relu", "tanh"))
    value = rng.choice((0.01, 0.05, 0.1))
    for m in _linears(model):
        nn.init.constant_(m.weight, value)
        nn.init.zeros_(m.bias)
    return _case(model)


def zeros(seed: int) -> Case:
    """All weights zero."""
    _, model = _sick_mlp(seed, 2, 6)
    for m in _linears(model):
        nn.init.zeros_(m.weight)
        nn.init.zeros_(m.bias)
    return _case(model)


def saturated(seed: int) -> Case:
    """N(0, 1) weights before tanh or sigmoid."""
    rng = _start(seed)
    model = _mlp(rng.randint(2, 8), rng.choice((64, 128)), rng.choice((nn.Tanh, nn.Sigmoid)))
    for m in _linears(model)[:-1]:
        nn.init.normal_(m.weight)
    nn.init.xavier_normal_(_linears(model)[-1].weight)
    return _case(model)


def collapsed(seed: int) -> Case:
    """He's law and ReLU, 60 to 100 layers."""
    rng = _start(seed)
    model = _mlp(rng.randint(60, 100), rng.choice((256, 512)), nn.ReLU)
    fanin.torch.init_(model, torch.randn(2, 64), seed=seed)
    return _case(model)


def deep_sigmoid(seed: int) -> Case:
    """An activation that takes the gradient."""
    rng = _start(seed)
    model = _mlp(rng.randint(12, 30), rng.choice((64, 128)), nn.Sigmoid)
    for m in _linears(model):
        nn.init.xavier_normal_(m.weight)
        nn.init.zeros_(m.bias)
    return _case(model)


def bare_residual(seed: int) -> Case:
    """Residual branches without norm and without scale."""
    rng = _start(seed)
    width = rng.choice((64, 128))
    model = nn.Sequential(nn.Linear(64, width), *[PreResidual(width) for _ in range(rng.randint(16, 40))],
                          nn.LayerNorm(width), nn.Linear(width, CLASSES))  # fmt: skip
    for m in _linears(model):
        nn.init.kaiming_normal_(m.weight)
        nn.init.zeros_(m.bias)
    nn.init.xavier_normal_(_linears(model)[-1].weight, gain=0.5)
    return _case(model)


def copied_layers(seed: int) -> Case:
    """nn.TransformerEncoder copies one layer (torch 72253, 86274)."""
    rng = _start(seed)
    layer = nn.TransformerEncoderLayer(32, 4, 64, 0.0, batch_first=True, norm_first=rng.random() < 0.5)
    model = nn.Sequential(nn.Linear(16, 32), *[copy.deepcopy(layer) for _ in range(rng.randint(2, 6))], Head(32))
    return _case(model, torch.randn(BATCH, 8, 16))


def outlier(seed: int) -> Case:
    """A sampler that fails at its end (torch 155588)."""
    rng, model = _sick_mlp(seed, 2, 6)
    fanin.torch.init_(model, torch.randn(2, 64), seed=seed)
    with torch.no_grad():
        weight = _linears(model)[rng.randrange(len(_linears(model)) - 1)].weight
        weight.view(-1)[rng.randrange(weight.numel())] = rng.choice((20.0, 50.0, 2000.0)) * weight.std()
    return _case(model)


def raw_qr(seed: int) -> Case:
    """Orthogonal weights without the correction of signs (tensorflow 9429)."""
    rng, model = _sick_mlp(seed, 3, 12)
    fanin.torch.init_(model, torch.randn(2, 64), seed=seed)
    with torch.no_grad():
        for m in _linears(model)[:-1]:
            out, into = m.weight.shape
            q = torch.linalg.qr(torch.randn(max(out, into), min(out, into)))[0]
            m.weight.copy_(math.sqrt(2.0) * (q if out >= into else q.T))
    del rng
    return _case(model)


def one_sided(seed: int) -> Case:
    """U(0, b) where U(-b, b) was meant."""
    _, model = _sick_mlp(seed, 2, 5, ("relu", "tanh"))
    with torch.no_grad():
        for m in _linears(model):
            m.weight.copy_(torch.rand_like(m.weight) * math.sqrt(3.0 / m.in_features))
            m.bias.zero_()
    return _case(model)


def norm_drawn(seed: int) -> Case:
    """LayerNorm scales drawn like weights (transformers 143)."""
    rng = _start(seed)
    model = _encoder(rng, rng.choice((1, 2, 4)), pre=True)
    x = torch.randn(BATCH, 8, 16)
    fanin.torch.init_(model, x, seed=seed)
    for m in model.modules():
        if isinstance(m, nn.LayerNorm):
            nn.init.normal_(m.weight, std=0.02)
    return _case(model, x)


def forgotten(seed: int) -> Case:
    """One layer initialised twice, another never (deeplearning-models 82)."""
    rng, model = _sick_mlp(seed, 3, 6)
    layers = _linears(model)
    left = rng.randrange(len(layers) - 1)
    for i, m in enumerate(layers):
        if i != left:
            nn.init.kaiming_normal_(m.weight)
            nn.init.zeros_(m.bias)
    nn.init.xavier_normal_(layers[-1].weight)
    return _case(model)


def tied_std_1(seed: int) -> Case:
    """A tied embedding with torch's std 1 (fastai 2090)."""
    rng = _start(seed)
    model = Language(rng.choice((32, 64)), rng.choice((1, 2, 4)))
    nn.init.normal_(model.tokens.weight)
    nn.init.normal_(model.places.weight)
    ids = torch.randint(200, (16, 16))
    target = torch.randint(200, (16, 16)) if rng.random() < 0.5 else None
    return Case(model=model, inputs=(ids,), target=target)


def wrong_declared(seed: int) -> Case:
    """The plan says one law, the weights have another (LBANN 316, transformers 37100)."""
    rng, model = _sick_mlp(seed, 2, 6)
    x = torch.randn(BATCH, 64)
    plan: Plan = fanin.torch.init_(model, x, seed=seed)
    with torch.no_grad():
        weight = _linears(model)[rng.randrange(len(_linears(model)) - 1)].weight
        std = float(weight.std())
        kind = rng.choice(("family", "half", "default"))
        if kind == "family":
            weight.copy_((torch.rand_like(weight) * 2 - 1) * std * math.sqrt(3.0))
        elif kind == "half":
            weight.copy_(torch.randn_like(weight) * std / math.sqrt(2.0))
        else:
            nn.init.kaiming_uniform_(weight, a=math.sqrt(5))
    return _case(model, x, plan=plan)


def post_norm_deep(seed: int) -> Case:
    """Post-norm with 12 blocks and more (torch 55270)."""
    rng = _start(seed)
    model = _encoder(rng, rng.choice((12, 18, 24)), pre=False)
    for p in model.parameters():
        if p.ndim > 1:
            nn.init.xavier_uniform_(p)
    return _case(model, torch.randn(BATCH, 8, 16))


def dropped(seed: int) -> Case:
    """He's law behind dropout (tensorflow 28004)."""
    rng = _start(seed)
    p, depth, width = rng.choice((0.4, 0.5)), rng.randint(6, 9), rng.choice((128, 256))
    layers: list[nn.Module] = []
    for i in range(depth):
        layers += [nn.Linear(64 if i == 0 else width, width), nn.ReLU(), nn.Dropout(p)]
    model = nn.Sequential(*layers, nn.Linear(width, CLASSES))
    for m in _linears(model)[:-1]:
        nn.init.kaiming_normal_(m.weight)
        nn.init.zeros_(m.bias)
    nn.init.xavier_normal_(_linears(model)[-1].weight, gain=0.1)
    return _case(model)


def nan_in_batch(seed: int) -> Case:
    """The data's fault."""
    rng, model = _sick_mlp(seed, 2, 6)
    fanin.torch.init_(model, torch.randn(2, 64), seed=seed)
    x = torch.randn(BATCH, 64)
    x[rng.randrange(BATCH), rng.randrange(64)] = rng.choice((math.nan, math.inf))
    return _case(model, x)


def empty_memory(seed: int) -> Case:
    """A parameter that nobody filled."""
    rng, model = _sick_mlp(seed, 2, 6)
    fanin.torch.init_(model, torch.randn(2, 64), seed=seed)
    with torch.no_grad():
        weight = rng.choice(_linears(model)).weight
        weight.view(-1)[rng.randrange(weight.numel())] = math.nan
    return _case(model)


def raw_inputs(seed: int) -> Case:
    """Bytes, or features of any unit."""
    rng, model = _sick_mlp(seed, 2, 5)
    x = torch.rand(BATCH, 64) * 255 if rng.random() < 0.5 else torch.randn(BATCH, 64) * torch.logspace(-2, 3, 64)
    fanin.torch.init_(model, x, seed=seed)
    return _case(model, x)


def equal_samples(seed: int) -> Case:
    """A constant batch."""
    rng, model = _sick_mlp(seed, 2, 6)
    fanin.torch.init_(model, torch.randn(2, 64), seed=seed)
    row = torch.ones(1, 64) if rng.random() < 0.5 else torch.randn(1, 64)
    return _case(model, row.repeat(BATCH, 1))


def dead(seed: int) -> Case:
    """Biases far below zero."""
    rng, model = _sick_mlp(seed, 2, 6)
    fanin.torch.init_(model, torch.randn(2, 64), seed=seed)
    nn.init.constant_(rng.choice(_linears(model)[:-1]).bias, -8.0)
    return _case(model)


def sharp_attention(seed: int) -> Case:
    """Scores without 1/sqrt(d), or queries and keys that are too large."""
    rng = _start(seed)
    model = Language(64, rng.choice((1, 2, 4)), tie=False)
    ids = torch.randint(200, (16, 16))
    fanin.torch.init_(model, ids, seed=seed)
    with torch.no_grad():
        for block in model.blocks:
            if rng.random() < 0.5:
                block.scale = 1.0
                block.qkv.weight[:128] *= 2.0
            else:
                block.qkv.weight[:128] *= 4.0
    return Case(model=model, inputs=(ids,), target=torch.randint(200, (16, 16)))


def loud_head(seed: int) -> Case:
    """Logits that are sure of themselves."""
    rng, model = _sick_mlp(seed, 2, 6)
    fanin.torch.init_(model, torch.randn(2, 64), seed=seed)
    nn.init.normal_(_linears(model)[-1].weight, std=rng.choice((1.0, 2.0)))
    return _case(model)


def embeddings_apart(seed: int) -> Case:
    """Token table with std 0.02, positions with std 1."""
    rng = _start(seed)
    model = Language(64, rng.choice((1, 2, 4)))
    nn.init.normal_(model.places.weight)
    ids = torch.randint(200, (16, 16))
    return Case(model=model, inputs=(ids,), target=torch.randint(200, (16, 16)))


class Unused(nn.Module):
    """A layer that is built and not called, or whose result is not used."""

    def __init__(self, *, call: bool) -> None:
        super().__init__()
        self.body, self.spare, self.call = _mlp(2, 64, nn.ReLU), nn.Linear(64, 64), call

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.call:
            self.spare(x)
        return self.body(x)


def unused(seed: int) -> Case:
    """Parameters that take no part."""
    rng = _start(seed)
    model = Unused(call=rng.random() < 0.5)
    fanin.torch.init_(model, torch.randn(2, 64), seed=seed)
    return _case(model)


def half_precision(seed: int) -> Case:
    """A signal that falls below float16's normal numbers."""
    rng = _start(seed)
    model = _mlp(rng.randint(2, 4), 64, nn.ReLU)
    fanin.torch.init_(model, torch.randn(2, 64), seed=seed)
    with torch.no_grad():
        _linears(model)[0].weight.mul_(1e-5)
    return _case(model.half(), torch.randn(BATCH, 64).half())


def small_batch_norm(seed: int) -> Case:
    """Norms over the batch with a handful of samples, or in eval mode without statistics."""
    rng = _start(seed)
    model = _mlp(rng.randint(2, 6), 64, nn.ReLU, nn.BatchNorm1d)
    x = torch.randn(BATCH, 64)
    fanin.torch.init_(model, x, seed=seed)
    if rng.random() < 0.5:
        few = rng.choice((2, 4, 8))
        return Case(model=model, inputs=(x[:few],), target=_target()[:few])
    for m in _linears(model):
        nn.init.kaiming_uniform_(m.weight, a=math.sqrt(5))
    return _case(model.eval(), x)


SICK: dict[str, Fault] = {
    name: fault
    for name, fault in {
        "torch_default": Fault(make=torch_default, codes=("FAN102",), cause="default law"),
        "xavier_relu": Fault(make=xavier_relu, codes=("FAN101", "FAN102"), cause="Glorot"),
        "batch_norm_stack": Fault(make=batch_norm_stack, codes=("FAN102",), cause="normalisation"),
        "constant": Fault(make=constant, codes=("FAN201",), cause="constant"),
        "zeros": Fault(make=zeros, codes=("FAN201",), cause="zeros"),
        "saturated": Fault(make=saturated, codes=("FAN105",), cause="std 1"),
        "collapsed": Fault(make=collapsed, codes=("FAN103",), cause="depth", remark=True),
        "deep_sigmoid": Fault(make=deep_sigmoid, codes=("FAN102",), cause=""),
        "bare_residual": Fault(make=bare_residual, codes=("FAN101",), cause="residual branches"),
        "copied_layers": Fault(make=copied_layers, codes=("FAN202",), cause="copied"),
        "outlier": Fault(make=outlier, codes=("FAN206",), cause="sampler"),
        "raw_qr": Fault(make=raw_qr, codes=("FAN207",), cause="reflections"),
        "one_sided": Fault(make=one_sided, codes=("FAN205",), cause="one sign"),
        "norm_drawn": Fault(make=norm_drawn, codes=("FAN204",), cause="norms"),
        "forgotten": Fault(make=forgotten, codes=("FAN211",), cause="reached some", remark=True),
        "tied_std_1": Fault(make=tied_std_1, codes=("FAN209",), cause="head too"),
        "wrong_declared": Fault(make=wrong_declared, codes=("FAN205",), cause="plan"),
        "post_norm_deep": Fault(make=post_norm_deep, codes=("FAN113",), cause="each norm", remark=True),
        "dropped": Fault(make=dropped, codes=("FAN210",), cause="dropout", remark=True),
        "nan_in_batch": Fault(make=nan_in_batch, codes=("FAN106",), cause="the data"),
        "empty_memory": Fault(make=empty_memory, codes=("FAN106",), cause="never initialised"),
        "raw_inputs": Fault(make=raw_inputs, codes=("FAN401",), cause="data"),
        "equal_samples": Fault(make=equal_samples, codes=("FAN402",), cause="the data"),
        "dead": Fault(make=dead, codes=("FAN104",), cause="biases"),
        "sharp_attention": Fault(make=sharp_attention, codes=("FAN111",), cause="queries"),
        "loud_head": Fault(make=loud_head, codes=("FAN301",), cause=""),
        "embeddings_apart": Fault(make=embeddings_apart, codes=("FAN209",), cause="apart"),
        "unused": Fault(make=unused, codes=("FAN302",), cause="not"),
        "half_precision": Fault(make=half_precision, codes=("FAN112",), cause="float16"),
        "small_batch_norm": Fault(make=small_batch_norm, codes=("FAN110",), cause="", remark=True),
    }.items()
}
