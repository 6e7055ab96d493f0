"""Batches for models of transformers, from the signatures of their methods or by their type."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedConfig
from transformers_by_type import BATCHES
from transformers_makers import MAKERS, tokens_of
from transformers_media import BATCH, Batch, images, names_of, required, sounds
from transformers_models import IMAGE, SOUND, value

__all__ = ["batches"]

_TRIES = 40
"""Batches of one model that are tried, at the most."""


def batches(kind: str, config: PreTrainedConfig, model: nn.Module) -> Iterator[Batch]:
    """Batches that the model may take, those with the most in them first."""
    generator = torch.Generator().manual_seed(0)
    if kind in BATCHES:
        yield BATCHES[kind](config, generator)
        return
    yield from itertools.islice(_all(config, model), _TRIES)


def _all(config: PreTrainedConfig, model: nn.Module) -> Iterator[Batch]:
    generator = torch.Generator().manual_seed(0)
    wanted = names_of(model.forward)
    if "input_ids" in wanted:
        yield from _with_media(config, model, generator)
    plain = _plain(config, model, generator)
    if plain is not None:
        yield plain
    rest = _needed(config, model, generator)
    for made in [*images(config, model.forward), *sounds(config, model.forward)]:
        yield rest | made
    if plain is not None:
        known = {n: MAKERS[n](config, generator) for n in wanted if n in MAKERS and n not in plain}
        for name, part in known.items():
            yield plain | {name: part}
        yield plain | known


def _needed(config: PreTrainedConfig, model: nn.Module, generator: torch.Generator) -> Batch:
    """What a model has to have besides images and sounds, as far as anybody knows."""
    names = required(model.forward)
    if value(config, "is_encoder_decoder") and "decoder_input_ids" in names_of(model.forward):
        names.append("decoder_input_ids")
    return {name: MAKERS[name](config, generator) for name in names if name in MAKERS}


def _plain(config: PreTrainedConfig, model: nn.Module, generator: torch.Generator) -> Batch | None:
    """The model's main input and what it cannot do without; None if nobody knows how to make that."""
    main = model.main_input_name  # of models with two towers it is a list
    main = [main] if isinstance(main, str) and main in names_of(model.forward) else []
    names = dict.fromkeys([*main, *required(model.forward)])
    if any(name not in MAKERS for name in names):
        return None
    made = {name: MAKERS[name](config, generator) for name in names}
    return made | _needed(config, model, generator)


def _with_media(config: PreTrainedConfig, model: nn.Module, generator: torch.Generator) -> Iterator[Batch]:
    """Text that images and sounds go before, as many tokens as the model makes of them."""
    seen = _found(config, model, images, "vision_config", "get_image_features")
    heard = _found(config, model, sounds, "audio_config", "get_audio_features")
    ids = tokens_of(config, generator)
    wanted = names_of(model.forward)
    pairs = [(s, h) for s in [*seen, None] for h in [*heard, None] if s is not None or h is not None]
    for see, hear in pairs:
        places, kinds = [ids[:, :1]], [torch.zeros(BATCH, 1, dtype=torch.long)]
        made: Batch = {}
        for part, token, label in ((see, IMAGE, 1), (hear, SOUND, 3)):
            if part is not None:
                made |= {name: piece for name, piece in part[0].items() if name in wanted}
                places.append(torch.full((BATCH, part[1]), token))
                kinds.append(torch.full((BATCH, part[1]), label))
        made["input_ids"] = torch.cat([*places, ids], dim=1)
        kinds = torch.cat([*kinds, torch.zeros_like(ids)], dim=1)
        made |= _needed(config, model, generator) | made
        if "mm_token_type_ids" in wanted:
            made["mm_token_type_ids"] = kinds
        if "token_type_ids" in wanted and hasattr(model, "get_image_features"):
            yield made | {"token_type_ids": (kinds == 1).long()}
        yield made


def _found(
    config: PreTrainedConfig,
    model: nn.Module,
    forms: Callable[[PreTrainedConfig, Callable[..., Any]], Iterator[Batch]],
    tower: str,
    getter: str,
) -> list[tuple[Batch, int]]:
    """Images or sounds that the model makes features of, with the number of tokens that they take."""
    call = getattr(model, getter, None)
    inner = value(config, tower) or config
    found: list[tuple[Batch, int]] = []
    if call is None:
        return found
    for made in forms(inner, call):
        try:
            with torch.no_grad():
                count = _rows(call(**made))
        except Exception:  # noqa: BLE001, S112 - another form may do
            continue
        found.append((made, count // BATCH))
    return found[:2]


def _rows(found: Any) -> int:
    """The number of tokens in what a model made of images or sounds."""
    if not isinstance(found, torch.Tensor | list | tuple):
        pooled = getattr(found, "pooler_output", None)
        found = found.last_hidden_state if pooled is None else pooled
    if isinstance(found, torch.Tensor):
        return int(found.numel() // found.shape[-1])
    return sum(_rows(part) for part in found)
