"""Sick networks, each with its fault: what a check must find, once and with its cause."""

from __future__ import annotations

import copy
import math
import random
from typing import Any

import torch
from check_blocks import (
    ACTIVATIONS,
    BATCH,
    CLASSES,
    Case,
    Fault,
    Head,
    Language,
    PreResidual,
    Unused,
    encoder,
    mlp,
    start,
    targets,
)
from torch import nn

import fanin.torch
from fanin.records.plan import Plan

__all__ = ["SICK"]


def _sick_mlp(
    seed: int, low: int, high: int, acts: tuple[str, ...] = ("relu",)
) -> tuple[random.Random, nn.Sequential]:
    rng = start(seed)
    return rng, mlp(rng.randint(low, high), rng.choice((64, 128)), ACTIVATIONS[rng.choice(acts)])


def _case(model: nn.Module, *inputs: Any, **options: Any) -> Case:
    return Case(model=model, inputs=inputs or (torch.randn(BATCH, 64),), target=targets(), options=options)


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
    rng = start(seed)
    model = mlp(rng.randint(30, 60), rng.choice((64, 128)), nn.ReLU, nn.BatchNorm1d)
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
    rng = start(seed)
    model = mlp(rng.randint(2, 8), rng.choice((64, 128)), rng.choice((nn.Tanh, nn.Sigmoid)))
    for m in _linears(model)[:-1]:
        nn.init.normal_(m.weight)
    nn.init.xavier_normal_(_linears(model)[-1].weight)
    return _case(model)


def collapsed(seed: int) -> Case:
    """He's law and ReLU, 60 to 100 layers."""
    rng = start(seed)
    model = mlp(rng.randint(60, 100), rng.choice((256, 512)), nn.ReLU)
    fanin.torch.init_(model, torch.randn(2, 64), seed=seed)
    return _case(model)


def deep_sigmoid(seed: int) -> Case:
    """An activation that takes the gradient."""
    rng = start(seed)
    model = mlp(rng.randint(12, 30), rng.choice((64, 128)), nn.Sigmoid)
    for m in _linears(model):
        nn.init.xavier_normal_(m.weight)
        nn.init.zeros_(m.bias)
    return _case(model)


def bare_residual(seed: int) -> Case:
    """Residual branches without norm and without scale."""
    rng = start(seed)
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
    rng = start(seed)
    layer = nn.TransformerEncoderLayer(32, 4, 64, 0.0, batch_first=True, norm_first=rng.random() < 0.5)
    model = nn.Sequential(
        nn.Linear(16, 32), *[copy.deepcopy(layer) for _ in range(rng.randint(2, 6))], Head(32)
    )
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
    rng = start(seed)
    model = encoder(rng, rng.choice((1, 2, 4)), pre=True)
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
    rng = start(seed)
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
    rng = start(seed)
    model = encoder(rng, rng.choice((12, 18, 24)), pre=False)
    for p in model.parameters():
        if p.ndim > 1:
            nn.init.xavier_uniform_(p)
    return _case(model, torch.randn(BATCH, 8, 16))


def dropped(seed: int) -> Case:
    """He's law behind dropout (tensorflow 28004)."""
    rng = start(seed)
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
    x = (
        torch.rand(BATCH, 64) * 255
        if rng.random() < 0.5
        else torch.randn(BATCH, 64) * torch.logspace(-2, 3, 64)
    )
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
    rng = start(seed)
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
    rng = start(seed)
    model = Language(64, rng.choice((1, 2, 4)))
    nn.init.normal_(model.places.weight)
    ids = torch.randint(200, (16, 16))
    return Case(model=model, inputs=(ids,), target=torch.randint(200, (16, 16)))


def unused(seed: int) -> Case:
    """Parameters that take no part."""
    rng = start(seed)
    model = Unused(call=rng.random() < 0.5)
    fanin.torch.init_(model, torch.randn(2, 64), seed=seed)
    return _case(model)


def half_precision(seed: int) -> Case:
    """A signal that falls below float16's normal numbers."""
    rng = start(seed)
    model = mlp(rng.randint(2, 4), 64, nn.ReLU)
    fanin.torch.init_(model, torch.randn(2, 64), seed=seed)
    with torch.no_grad():
        _linears(model)[0].weight.mul_(1e-5)
    return _case(model.half(), torch.randn(BATCH, 64).half())


def small_batch_norm(seed: int) -> Case:
    """Norms over the batch with a handful of samples, or in eval mode without statistics."""
    rng = start(seed)
    model = mlp(rng.randint(2, 6), 64, nn.ReLU, nn.BatchNorm1d)
    x = torch.randn(BATCH, 64)
    fanin.torch.init_(model, x, seed=seed)
    if rng.random() < 0.5:
        few = rng.choice((2, 4, 8))
        return Case(model=model, inputs=(x[:few],), target=targets()[:few])
    for m in _linears(model):
        nn.init.kaiming_uniform_(m.weight, a=math.sqrt(5))
    return _case(model.eval(), x)


SICK: dict[str, Fault] = {
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
}
