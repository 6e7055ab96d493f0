"""Healthy networks as users of public code write and initialise them, written before any rule was read.

Each was trained with its own weights before it was counted as healthy (`train` in
check_unseen_healthy_data.py); even seeds keep these weights, odd ones get fanin's.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable

import torch
from check_blocks import Case
from check_unseen_healthy_data import Case as Trained

import fanin.torch

__all__ = ["FILES", "UNSEEN_HEALTHY"]

FILES = (
    "language", "mixers", "residual", "vision", "patches", "generative", "diffusion", "graphs", "fields",
    "tables", "layers", "speech", "metric", "library",
)  # fmt: skip

_LEFT_OUT = {
    "vq_vae": "its loss did not fall in 300 steps",
    "awd_lstm": "300 steps only reached the entropy of single characters",
    "hf_bert": "300 steps only reached the entropy of single characters",
    "hf_albert": "300 steps only reached the entropy of single characters",
    "tutorial": "nn.TransformerEncoder copies one layer: FAN202 is right",
    "regnet_tokens": "nn.TransformerEncoder copies one layer: FAN202 is right",
    "wavenet": "its last residual convolution has no effect: FAN302 is right",
    "nerf": "the framework's law costs it half of its progress: FAN102 is right",
    "lora": "it starts sure of other classes: FAN301 is right",
    "siamese_koch": "its biases of a half make the first ReLU linear: FAN107 is right",
}
"""Kinds of the trial that are not counted: what does not train, and what a finding says truly of it."""


def _case(make: Callable[[int], Trained], seed: int) -> Case:
    torch.manual_seed(seed)
    trained = make(seed)
    inputs, target = trained.draw(seed)
    if seed % 2:
        fanin.torch.init_(trained.model, *inputs, seed=seed)
    options = {} if trained.loss is None else {"loss": trained.loss}
    return Case(model=trained.model, inputs=inputs, target=target, options=options)


def _named(name: str, make: Callable[[int], Trained]) -> Callable[[int], Case]:
    def build(seed: int) -> Case:
        return _case(make, seed)

    build.__doc__ = f"Public code's {name.replace('_', ' ')}: its own weights, or fanin's (odd seeds)"
    return build


def _all() -> dict[str, Callable[[int], Case]]:
    found = {}
    for file in FILES:
        for name, make in importlib.import_module(f"check_unseen_healthy_{file}").KINDS.items():
            if name not in _LEFT_OUT:
                found[f"public_{name}"] = _named(name, make)
    return found


UNSEEN_HEALTHY: dict[str, Callable[[int], Case]] = _all()
