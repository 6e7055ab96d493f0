"""Healthy networks of unusual settings and building styles, written before any rule was read.

Each learned a small real task with its own weights, well below chance in 250 steps, before it was counted as
healthy; even seeds keep these weights, odd ones get fanin's.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable

import torch
from check_blocks import Case
from check_brought_data import Case as Trained

import fanin.torch

__all__ = ["BROUGHT"]

_FILES = (
    "causal", "encoders", "senses", "functions", "pairs", "through", "losses", "pictures", "mixers",
    "streams", "odd",
)  # fmt: skip

_LEFT_OUT = {
    "opt_post_norm": "250 steps only reached the entropy of single letters",
    "survival_cox": "its loss hardly fell: what chance is was not clear",
    "nested_sets": "nested tensors are refused, in words",
    "t5_gated_untied": "a table of std 1 that is the head too: FAN209 is right",
    "funnel_masked": "weights of one sign, a table of std 1 that is the head too: FAN205, FAN209 are right",
    "gptj_from_embeds": "its table is never read: FAN302 is right",
    "xlnet_sequence": "parts that this batch does not call: FAN302 is right",
    "fnet_masked": "a pooler whose result is not used: FAN302 is right",
    "decision_transformer": "its table is never read: FAN302 is right",
    "fourier_operator": "complex weights of one sign: FAN205 is right",
}
"""Kinds that are not counted: what did not train, and what a finding says truly of it."""


def _case(make: Callable[[int], Trained], seed: int) -> Case:
    trained = make(seed)
    trained.model.train()
    inputs, target = trained.draw(torch.Generator().manual_seed(seed + 1000))
    if seed % 2:
        fanin.torch.init_(trained.model, *inputs, seed=seed)
    options = {} if trained.loss is None else {"loss": trained.loss}
    return Case(model=trained.model, inputs=inputs, target=target, options=options)


def _named(name: str, make: Callable[[int], Trained]) -> Callable[[int], Case]:
    def build(seed: int) -> Case:
        return _case(make, seed)

    build.__doc__ = f"A user's {name.replace('_', ' ')}: its own weights, or fanin's (odd seeds)"
    return build


BROUGHT = {
    f"brought_{make.__name__}": _named(make.__name__, make)
    for file in _FILES
    for make in importlib.import_module(f"check_brought_{file}").KINDS
    if make.__name__ not in _LEFT_OUT
}
"""Makers by name."""
