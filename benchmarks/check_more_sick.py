"""Sick networks of further kinds: a loss that does not fit, a dead start, copies, tails, states."""

from __future__ import annotations

import math

import torch
from check_blocks import (
    BATCH,
    CLASSES,
    Case,
    Fault,
    Head,
    Language,
    PreResidual,
    encoder,
    mlp,
    start,
)
from check_more_models import Adapted, Attending, convs, image_head
from check_more_scales import WRONG_SCALES, case, healthy, linears
from torch import nn
from torch.nn import functional

import fanin.torch

__all__ = ["MORE_SICK"]


def softmax_twice(seed: int) -> Case:
    """A softmax at the end of the model, and the loss takes another."""
    _, model = healthy(seed, 1, 5)
    return case(nn.Sequential(model, nn.Softmax(dim=1)))


def sigmoid_twice(seed: int) -> Case:
    """A sigmoid at the end of the model, and a loss that takes logits."""
    rng = start(seed)
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1), nn.Sigmoid())
    x = torch.randn(BATCH, 64)
    fanin.torch.init_(model, x, seed=seed)
    del rng
    return case(model, x, target=torch.randint(2, (BATCH, 1)).float(), loss=nn.BCEWithLogitsLoss())


def relu_at_the_end(seed: int) -> Case:
    """A ReLU between the logits and the loss."""
    _, model = healthy(seed, 1, 5)
    return case(nn.Sequential(model, nn.ReLU()))


def raw_targets(seed: int) -> Case:
    """Targets in their own unit: house prices, years."""
    rng = start(seed)
    mean, std = rng.choice(((2e5, 8e4), (1990.0, 12.0), (0.0, 500.0)))
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1))
    x = torch.randn(BATCH, 64)
    fanin.torch.init_(model, x, seed=seed)
    return case(model, x, target=mean + std * torch.randn(BATCH, 1))


def tiny_embedding(seed: int) -> Case:
    """A table with Glorot's law, whose fan counts the vocabulary, without a norm behind it."""
    rng = start(seed)

    class Words(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words = nn.Embedding(20000, 64)
            self.body = mlp(rng.randint(2, 4), 64, nn.ReLU)

        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            return self.body(self.words(ids).mean(1))

    model, ids = Words(), torch.randint(20000, (BATCH, 8))
    fanin.torch.init_(model, ids, seed=seed)
    nn.init.xavier_uniform_(model.words.weight)
    return case(model, ids)


def tied_and_scaled(seed: int) -> Case:
    """A tied table of std 1 / sqrt(d), multiplied by sqrt(d) on the way in and out."""
    rng = start(seed)

    class Tied(Language):
        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            c = self.tokens.embedding_dim
            x = self.tokens(ids) * c**0.5
            for block in self.blocks:
                x = block(x)
            return self.head(self.norm(x)) * c**0.5

    model = Tied(64, rng.choice((1, 2, 4)))
    nn.init.normal_(model.tokens.weight, std=0.125)
    del model.places
    return case(model, torch.randint(200, (16, 16)), target=torch.randint(200, (16, 16)))


def huge_biases(seed: int) -> Case:
    """Biases drawn with std 10."""
    rng, model = healthy(seed, 3, 8)
    del rng
    for m in linears(model)[:-1]:
        nn.init.normal_(m.bias, std=10.0)
    return case(model)


def dead_start(seed: int) -> Case:
    """The branch's last weight and the scale behind it both start at zero."""
    rng = start(seed)

    class Gated(PreResidual):
        def __init__(self, c: int) -> None:
            super().__init__(c)
            self.scale = nn.Parameter(torch.zeros(c))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + self.scale * self.down(torch.relu(self.up(x)))

    model = nn.Sequential(
        nn.Linear(64, 64), *[Gated(64) for _ in range(rng.randint(2, 6))], nn.Linear(64, CLASSES)
    )
    fanin.torch.init_(model, torch.randn(BATCH, 64), seed=seed)
    for block in model:
        if isinstance(block, Gated):
            for p in (block.down.weight, block.down.bias, block.scale):
                nn.init.zeros_(p)
    return case(model)


def dead_adapter(seed: int) -> Case:
    """Both factors of a low-rank addition start at zero."""
    rng = start(seed)
    model = mlp(rng.randint(2, 4), 64, nn.ReLU)
    x = torch.randn(BATCH, 64)
    fanin.torch.init_(model, x, seed=seed)
    for i, m in enumerate(model):
        if isinstance(m, nn.Linear) and i:
            model[i] = Adapted(m, 4)
            nn.init.zeros_(model[i].down.weight)
    return case(model, x)


def zero_head(seed: int) -> Case:
    """Head and the layer before it both zero."""
    _, model = healthy(seed, 2, 5)
    for m in linears(model)[-2:]:
        nn.init.zeros_(m.weight)
        nn.init.zeros_(m.bias)
    return case(model)


def zero_scales(seed: int) -> Case:
    """Every norm's scale zero, also where no skip connection goes around it."""
    rng = start(seed)
    norm = rng.choice((nn.LayerNorm, nn.BatchNorm1d))
    _, model = healthy(seed, 2, 6, norm=norm)
    for m in model:
        if isinstance(m, norm):
            nn.init.zeros_(m.weight)
    return case(model)


def twin_heads(seed: int) -> Case:
    """All attention heads of a layer are copies of one."""
    rng = start(seed)
    c = 64
    model = nn.Sequential(nn.Linear(16, c), Attending(c), Attending(c), nn.LayerNorm(c), Head(c))
    x = torch.randn(BATCH, 8, 16)
    fanin.torch.init_(model, x, seed=seed)
    block = model[rng.choice((1, 2))]
    d = c // 4
    with torch.no_grad():
        for p, heads in ((block.q, 4), (block.k, 2), (block.v, 2)):
            p.weight.copy_(p.weight[:d].repeat(heads, 1))
        block.o.weight.copy_(block.o.weight[:, :d].repeat(1, 4))
    return case(model, x)


def offset_weights(seed: int) -> Case:
    """Weights with a mean of several times their std: normal_(weight, std) fills in the mean."""
    _, model = healthy(seed, 2, 6)
    for m in linears(model):
        nn.init.normal_(m.weight, 0.1, 0.02)
    return case(model)


def heavy_tails(seed: int) -> Case:
    """Cauchy's law scaled to the right interquartile range."""
    _, model = healthy(seed, 2, 6)
    with torch.no_grad():
        for m in linears(model)[:-1]:
            m.weight.cauchy_(0.0, math.sqrt(2.0 / m.in_features) * 0.67)
    return case(model)


def shifted(seed: int) -> Case:
    """As after a step with too large a learning rate: weights and biases pushed to one side."""
    rng, model = healthy(seed, 3, 6)
    layer = rng.choice(linears(model)[1:-1])
    with torch.no_grad():
        layer.weight.sub_(0.4)
        layer.bias.sub_(2.0)
    return case(model)


def deep_tanh_he(seed: int) -> Case:
    """Twice the variance that tanh bears, in a deep network."""
    _, model = healthy(seed, 10, 40, act=nn.Tanh)
    for m in linears(model)[:-1]:
        nn.init.normal_(m.weight, std=4.0 / math.sqrt(m.in_features))
    return case(model)


def siren_default(seed: int) -> Case:
    """Sines of frequency 30 with torch's own weights."""
    rng = start(seed)

    class Sine(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.sin(30.0 * x)

    layers: list[nn.Module] = []
    for i in range(rng.randint(3, 6)):
        layers += [nn.Linear(2 if i == 0 else 128, 128), Sine()]
    model = nn.Sequential(*layers, nn.Linear(128, 1))
    return case(model, torch.rand(256, 2) * 2 - 1, target=torch.randn(256, 1))


def loud_state(seed: int) -> Case:
    """A recurrent matrix of N(0, 1)."""
    rng = start(seed)

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cells, self.out = rng.choice((nn.RNN, nn.LSTM, nn.GRU))(16, 64, batch_first=True), nn.Linear(64, CLASSES)  # fmt: skip  # noqa: E501

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.out(self.cells(x)[0][:, -1])

    model, x = Net(), torch.randn(BATCH, 12, 16)
    fanin.torch.init_(model, x, seed=seed)
    nn.init.normal_(model.cells.weight_hh_l0)
    nn.init.normal_(model.cells.weight_ih_l0)
    return case(model, x)


def deep_vgg(seed: int) -> Case:
    """Convolutions without norm, with Glorot's law or std 0.01 (VGG could not be trained from it)."""
    rng = start(seed)
    model = nn.Sequential(convs(3, *[32] * rng.randint(10, 16)), image_head(32))
    for m in model.modules():
        if isinstance(m, nn.Conv2d):
            nn.init.normal_(m.weight, std=0.01)
            nn.init.zeros_(m.bias)
    return case(model, torch.randn(BATCH, 3, 8, 8))


def below_half(seed: int) -> Case:
    """Weights that float16 rounds to zero."""
    rng, model = healthy(seed, 2, 5)
    layer = rng.choice(linears(model)[:-1])
    with torch.no_grad():
        layer.weight.mul_(1e-8)
    return case(model.half(), torch.randn(BATCH, 64).half())


def nan_unread(seed: int) -> Case:
    """NaN in a layer that is not called."""
    rng, model = healthy(seed, 2, 5)
    del rng

    class Spare(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.spare = model, nn.Linear(8, 8)
            nn.init.constant_(self.spare.weight, math.nan)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.body(x)

    return case(Spare())


def cut(seed: int) -> Case:
    """A detach() in the middle."""
    rng, model = healthy(seed, 3, 6)

    class Cut(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            half = 2 * rng.randint(1, 2)
            self.first, self.rest = model[:half], model[half:]

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.rest(self.first(x).detach())

    return case(Cut())


def loud_ends(seed: int) -> Case:
    """A transformer whose blocks' output weights have N(0, 1)."""
    rng = start(seed)
    model = encoder(rng, rng.choice((2, 4)), pre=True)
    x = torch.randn(BATCH, 8, 16)
    fanin.torch.init_(model, x, seed=seed)
    for m in model.modules():
        if isinstance(m, nn.TransformerEncoderLayer):
            for layer in (m.self_attn.out_proj, m.linear2):
                nn.init.normal_(layer.weight)
    return case(model, x)


def unscaled_logits(seed: int) -> Case:
    """Cosine similarities times 100 as logits, as after training of CLIP."""
    rng = start(seed)

    class Similar(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.classes = (
                mlp(rng.randint(1, 3), 64, nn.ReLU),
                nn.Parameter(torch.randn(CLASSES, 10)),
            )

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return 100.0 * functional.normalize(self.body(x)) @ functional.normalize(self.classes).T

    return case(Similar())


MORE_SICK: dict[str, Fault] = WRONG_SCALES | {
    "softmax_twice": Fault(make=softmax_twice, codes=("FAN307",), cause="softmax"),
    "sigmoid_twice": Fault(make=sigmoid_twice, codes=("FAN307",), cause="sigmoid"),
    "relu_at_the_end": Fault(make=relu_at_the_end, codes=("FAN307",), cause="relu"),
    "raw_targets": Fault(make=raw_targets, codes=("FAN301", "FAN304", "FAN307"), cause="target"),
    "tiny_embedding": Fault(make=tiny_embedding, codes=("FAN209", "FAN101", "FAN203"), cause="", remark=True),
    "tied_and_scaled": Fault(make=tied_and_scaled, codes=("FAN209", "FAN301"), cause=""),
    "huge_biases": Fault(make=huge_biases, codes=("FAN208", "FAN101", "FAN103", "FAN301"), cause="bias"),
    "dead_start": Fault(make=dead_start, codes=("FAN201", "FAN302"), cause="zero"),
    "dead_adapter": Fault(make=dead_adapter, codes=("FAN201", "FAN302"), cause="zero"),
    "zero_head": Fault(make=zero_head, codes=("FAN201", "FAN302"), cause="zero"),
    "zero_scales": Fault(make=zero_scales, codes=("FAN204", "FAN101", "FAN201"), cause=""),
    "twin_heads": Fault(make=twin_heads, codes=("FAN201",), cause=""),
    "offset_weights": Fault(make=offset_weights, codes=("FAN205", "FAN201"), cause=""),
    "heavy_tails": Fault(make=heavy_tails, codes=("FAN206", "FAN205"), cause=""),
    "shifted": Fault(make=shifted, codes=("FAN104", "FAN205"), cause=""),
    "deep_tanh_he": Fault(make=deep_tanh_he, codes=("FAN105", "FAN102"), cause="gain"),
    "siren_default": Fault(make=siren_default, codes=("FAN101", "FAN102"), cause="default law"),
    "loud_state": Fault(make=loud_state, codes=("FAN105",), cause="std 1"),
    "deep_vgg": Fault(make=deep_vgg, codes=("FAN101", "FAN102"), cause="std 0.01"),
    "below_half": Fault(make=below_half, codes=("FAN112", "FAN201", "FAN101"), cause=""),
    "nan_unread": Fault(make=nan_unread, codes=("FAN106", "FAN302"), cause=""),
    "cut": Fault(make=cut, codes=("FAN302",), cause="detach"),
    "loud_ends": Fault(make=loud_ends, codes=("FAN101", "FAN203", "FAN108"), cause="std 1", remark=True),
    "unscaled_logits": Fault(make=unscaled_logits, codes=("FAN301",), cause=""),
}
