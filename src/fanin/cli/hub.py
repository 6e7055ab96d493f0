"""A transformers configuration as a model with random weights, offline."""

from __future__ import annotations

import importlib
import json
import os
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from fanin.errors import TargetError, explain

__all__ = ["default_inputs", "load"]

_BATCH, _LENGTH = 2, 16
"""Sizes of inputs that nobody gave: small, and enough for statistics over positions."""


def load(place: str) -> nn.Module:
    """Build the model of a configuration file, or of a folder that holds ``config.json``.

    The class is the first of the configuration's ``architectures``, else ``AutoModel``'s choice.
    Code that a configuration names elsewhere is never run.

    Raises
    ------
    TargetError
        No such file, no configuration in it, or a model that cannot be built.
    """
    path = Path(place)
    path = path / "config.json" if path.is_dir() else path
    if not path.is_file():
        raise TargetError(
            explain(
                "An hf: TARGET names no configuration on this machine",
                received=repr(place),
                rule="It is hf: and a config.json, or a folder that holds one; nothing is downloaded",
            )
        )
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    try:
        transformers: Any = importlib.import_module("transformers")
    except ImportError:
        raise TargetError(
            explain(
                "An hf: TARGET needs transformers, which is not installed", remedy="pip install transformers"
            )
        ) from None
    try:
        json.loads(path.read_text(encoding="utf-8"))
        config = transformers.AutoConfig.from_pretrained(str(path), trust_remote_code=False)
        named = [getattr(transformers, name, None) for name in getattr(config, "architectures", None) or ()]
        models = (k for k in named if isinstance(k, type) and issubclass(k, transformers.PreTrainedModel))
        kind = next(models, None)
        model = kind(config) if kind else transformers.AutoModel.from_config(config, trust_remote_code=False)
    except Exception as error:
        raise TargetError(
            explain(f"No model can be built from '{path}'", received=f"{type(error).__name__}: {error}")
        ) from error
    return cast("nn.Module", model)


def default_inputs(model: nn.Module) -> dict[str, torch.Tensor] | None:
    """Inputs for a transformers model by its own account; None for any other model.

    Text gets ids, images and sounds get standard normal values, of the sizes that the configuration
    states; a model that has an encoder and a decoder gets ids for both.
    """
    config, name = getattr(model, "config", None), getattr(model, "main_input_name", None)
    if config is None or name is None:
        return None
    source = torch.Generator().manual_seed(0)
    if name == "pixel_values":
        vision = getattr(config, "vision_config", config)
        size = _pair(getattr(vision, "image_size", None) or 224)
        channels = getattr(vision, "num_channels", 3)
        return {name: torch.randn(_BATCH, channels, *size, generator=source)}
    if name in {"input_values", "input_features"}:
        bins = getattr(config, "num_mel_bins", None)
        shape = (_BATCH, 16_000) if name == "input_values" else (_BATCH, bins or 80, 3000)
        return {name: torch.randn(*shape, generator=source)}
    text = config.get_text_config() if hasattr(config, "get_text_config") else config
    ids = torch.randint(int(getattr(text, "vocab_size", 2)), (_BATCH, _LENGTH), generator=source)
    extra = {"decoder_input_ids": ids} if getattr(config, "is_encoder_decoder", False) else {}
    return {name: ids, **extra}


def _pair(size: Any) -> tuple[int, int]:
    if isinstance(size, dict):
        return int(size["height"]), int(size["width"])
    if isinstance(size, list | tuple):
        return int(size[0]), int(size[1])
    return int(size), int(size)
