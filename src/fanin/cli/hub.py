"""A transformers configuration as a model with random weights, offline."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import json
import os
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from fanin.errors import InputError, TargetError, explain

__all__ = ["built", "configuration", "default_inputs", "load"]

_BATCH, _LENGTH = 2, 16
"""Sizes of inputs that nobody gave: small, and enough for statistics over positions."""

_SOUND, _FRAMES = 16_000, 1500
"""A second of sound at 16 kHz; positions that Whisper's encoder has, of two frames each."""


def load(place: str, *, meta: bool = False) -> nn.Module:
    """Build the model of a configuration file, or of a folder that holds ``config.json``.

    The class is the first of the configuration's ``architectures``, else ``AutoModel``'s choice.
    Code that a configuration names elsewhere is never run. On the meta device tensors have shapes but
    no memory, so a model of any size can be planned.

    Raises
    ------
    TargetError
        No such file, no configuration in it, or a model that cannot be built.
    """
    return built(configuration(place), place, meta=meta)


def configuration(place: str) -> Any:
    """Read a configuration file, or that of a folder that holds ``config.json``.

    Raises
    ------
    TargetError
        No such file, no configuration in it, or no transformers.
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
    transformers = _transformers()
    try:
        json.loads(path.read_text(encoding="utf-8"))
        return transformers.AutoConfig.from_pretrained(str(path), trust_remote_code=False)
    except Exception as error:
        raise _unbuilt(path, error) from error


def built(config: Any, place: str, *, meta: bool = False) -> nn.Module:
    """Build the model of a configuration that was read from a place.

    Raises
    ------
    TargetError
        It cannot be built.
    """
    transformers = _transformers()
    try:
        named = [getattr(transformers, name, None) for name in getattr(config, "architectures", None) or ()]
        models = (k for k in named if isinstance(k, type) and issubclass(k, transformers.PreTrainedModel))
        kind = next(models, None)
        with torch.device("meta") if meta else contextlib.nullcontext():
            auto = transformers.AutoModel
            # A type with several base models is chosen from by these names, which nobody may have given.
            config.architectures = config.architectures or []
            model = kind(config) if kind else auto.from_config(config, trust_remote_code=False)
    except Exception as error:
        raise _unbuilt(place, error) from error
    return cast("nn.Module", model)


def _transformers() -> Any:
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    try:
        return importlib.import_module("transformers")
    except ImportError:
        raise TargetError(
            explain(
                "An hf: TARGET needs transformers, which is not installed", remedy="pip install transformers"
            )
        ) from None


def _unbuilt(place: object, error: Exception) -> TargetError:
    return TargetError(
        explain(f"No model can be built from '{place}'", received=f"{type(error).__name__}: {error}")
    )


def default_inputs(model: nn.Module) -> dict[str, torch.Tensor] | None:
    """Inputs for a transformers model by its own account; None for any other model.

    Text gets ids, images and sounds get standard normal values, of the sizes that the configuration
    states; a model that has an encoder and a decoder gets ids for both, one that takes patches in rows
    their grids, one that takes boxes a box for every word.

    Raises
    ------
    InputError
        A model that cannot be called without something else.
    """
    config, name = getattr(model, "config", None), getattr(model, "main_input_name", None)
    if config is None or name is None:
        return None
    source = torch.Generator().manual_seed(0)
    text = config.get_text_config() if hasattr(config, "get_text_config") else config
    ids = torch.randint(int(getattr(text, "vocab_size", 2)), (_BATCH, _LENGTH), generator=source)
    inputs = {name: ids}
    if name == "pixel_values" or _sees_beside_reading(config):
        inputs["pixel_values"] = _images(getattr(config, "vision_config", config), source)
    elif name in {"input_values", "input_features"}:
        bins = getattr(config, "num_mel_bins", None) or 80
        shape = (
            (_SOUND,)
            if name == "input_values"
            else (bins, 2 * getattr(config, "max_source_positions", _FRAMES))
        )
        inputs[name] = torch.randn(_BATCH, *shape, generator=source)
    if getattr(config, "is_encoder_decoder", False):
        inputs["decoder_input_ids"] = ids
    needed, taken = _needed(model), inspect.signature(model.forward).parameters
    if needed & set(_GRIDS):
        inputs = _patches(config, needed, source)
    elif "input_ids" in needed or (name == "pixel_values" and "input_ids" in taken):
        inputs.setdefault("input_ids", ids)
    if "bbox" in taken:
        inputs["bbox"] = torch.randint(500, (*ids.shape, 4), generator=source).sort(dim=-1).values
    if missing := sorted(needed - inputs.keys()):
        raise InputError(
            explain(
                "The model needs more than its configuration tells",
                received=f"{type(model).__name__}.forward asks for {', '.join(missing)}",
                remedy="Give a function that makes a batch: --batch file.py:make_batch",
            )
        )
    return inputs


_GRIDS = ("grid_thw", "image_grid_thw")
"""Names under which models ask for the grids that rows of patches came from."""
_GRID = 8
"""Patches along each side of an image; a multiple of what models merge."""


def _needed(model: nn.Module) -> set[str]:
    """What the model cannot be called without."""
    found = inspect.signature(model.forward).parameters.values()
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return {p.name for p in found if p.default is p.empty and p.kind in named}


def _patches(config: Any, needed: set[str], source: torch.Generator) -> dict[str, torch.Tensor]:
    """All patches of all images, one row each, with the grids that they came from."""
    side = int(getattr(config, "patch_size", 14))
    channels = next(
        (getattr(config, n) for n in ("in_channels", "in_chans", "num_channels") if hasattr(config, n)), 3
    )
    row = int(channels) * int(getattr(config, "temporal_patch_size", 1)) * side**2
    rows = torch.randn(_BATCH * _GRID**2, row, generator=source)
    grids = torch.tensor([[1, _GRID, _GRID]] * _BATCH)
    made = {**dict.fromkeys(("pixel_values", "hidden_states"), rows), **dict.fromkeys(_GRIDS, grids)}
    return {name: part for name, part in made.items() if name in needed}


def _sees_beside_reading(config: Any) -> bool:
    """Whether text and images go in side by side (CLIP), not images at places within the text."""
    both = hasattr(config, "vision_config") and hasattr(config, "text_config")
    return both and not any(hasattr(config, word) for word in ("image_token_id", "image_token_index"))


def _images(config: Any, source: torch.Generator) -> torch.Tensor:
    size = _pair(getattr(config, "image_size", None) or 224)
    return torch.randn(_BATCH, getattr(config, "num_channels", 3), *size, generator=source)


def _pair(size: Any) -> tuple[int, int]:
    if isinstance(size, dict):
        return int(size["height"]), int(size["width"])
    if isinstance(size, list | tuple):
        return int(size[0]), int(size[1])
    return int(size), int(size)
