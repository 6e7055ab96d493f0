"""A model of transformers that runs: a configuration and a batch that fit each other, found by trying."""

from __future__ import annotations

import gc
import time
from dataclasses import dataclass

import torch
from torch import nn
from transformers import PreTrainedConfig
from transformers_batches import batches
from transformers_media import Batch
from transformers_models import WAYS, build, config_of

__all__ = ["Fit", "fit"]

LARGEST = 64_000_000
"""Parameters of the largest model that is built: 256 MB, and a few times that to measure it."""


_ENOUGH = 45.0
"""Seconds after which no further way of making a type small is tried."""


class TooLargeError(Exception):
    """A configuration of more parameters than are worth building."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """A model that runs on a batch, in training mode where it can, and how it was made small."""

    config: PreTrainedConfig
    model: nn.Module
    batch: Batch
    way: str


def fit(kind: str) -> Fit:
    """The smallest model of a type that runs, on the fullest batch that it takes.

    Raises
    ------
    LookupError
        Nothing that was tried runs; the first and the last reason are told.
    """
    reasons: list[str] = []
    tried: list[str] = []
    start = time.monotonic()
    for way in WAYS:
        if reasons and time.monotonic() - start > _ENOUGH:
            break
        try:
            config = config_of(kind, way)
            if (told := config.to_json_string(use_diff=False)) in tried:
                continue
            tried.append(told)
            return _fitted(kind, config, way)
        except TooLargeError as error:
            reasons.append(str(error))
            # What divides by less, or by nothing, makes no smaller model.
            if not way.startswith("small"):
                break
        except Exception as error:  # noqa: BLE001 - what a model that does not fit raises can be anything
            told = " ".join(str(error).split())[:160]
            reasons.append(f"{type(error).__name__}: {told}")
            if isinstance(error, ImportError):
                break
        gc.collect()
    raise LookupError("; at last ".join(dict.fromkeys([reasons[0], reasons[-1]])))


def _fitted(kind: str, config: PreTrainedConfig, way: str) -> Fit:
    torch.manual_seed(0)
    with torch.device("meta"):
        size = sum(p.numel() for p in build(config).parameters())
    if size > LARGEST:
        raise TooLargeError(f"{size / 1e6:.0f} million parameters after shrinking")
    model = build(config)
    reason: Exception = LookupError("nobody knows how to make a batch for it")
    for training in (True, False):
        model.train(training)
        for batch in batches(kind, config, model):
            try:
                model(**batch)
            except Exception as error:  # noqa: BLE001 - the next batch may do
                # The last word is that of the plainest batch.
                reason = error
            else:
                return Fit(config=config, model=model, batch=batch, way=way)
    raise reason
