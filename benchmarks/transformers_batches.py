"""Batches for models of transformers, from the signature of their ``forward`` or by their type."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import torch
from torch import nn
from transformers import PreTrainedConfig
from transformers_models import IMAGE, parts

__all__ = ["batch_of"]

BATCH, LENGTH = 4, 16


def batch_of(kind: str, config: PreTrainedConfig, model: nn.Module) -> dict[str, torch.Tensor]:
    """A batch that the model takes."""
    generator = torch.Generator().manual_seed(0)
    if kind in BATCHES:
        return BATCHES[kind](config, generator)
    wanted = inspect.signature(model.forward).parameters
    names = [model.main_input_name, *(n for n, p in wanted.items() if p.default is p.empty)]
    if getattr(config, "is_encoder_decoder", False) and "decoder_input_ids" in wanted:
        names.append("decoder_input_ids")
    made = {}
    for name in dict.fromkeys(names):
        if name in ("kwargs", "args", "self"):
            continue
        if name not in MAKERS:
            raise LookupError(f"nobody knows how to make {name!r} for {kind}")
        made[name] = MAKERS[name](config, generator)
    return made | _with_image(config, model, generator)


def _with_image(
    config: PreTrainedConfig, model: nn.Module, generator: torch.Generator
) -> dict[str, torch.Tensor]:
    """Text that an image goes before, as many tokens as the model makes of it; nothing if it takes none."""
    tokens = any(hasattr(config, name) for name in ("image_token_id", "image_token_index"))
    inner = getattr(config, "vision_config", None)
    if not tokens or inner is None or not hasattr(model, "get_image_features"):
        return {}
    pixels = _pixels(inner, generator)
    try:
        with torch.no_grad():
            found = model.get_image_features(pixel_values=pixels)
        found = getattr(found, "pooler_output", found)
        found = torch.cat([f.reshape(-1, f.shape[-1]) for f in found])
    except Exception:  # noqa: BLE001 - it wants more than the pixels: text alone, which the table says
        return {}
    ids = _ids(config, generator)
    places = torch.full((BATCH, found.shape[0] // BATCH), IMAGE)
    made = {"input_ids": torch.cat([places, ids], dim=1), "pixel_values": pixels}
    try:
        model(**made)
    except Exception:  # noqa: BLE001 - as above
        return {}
    return made


def _first(config: PreTrainedConfig, *names: str, default: int) -> Any:
    """A setting by any of its names, in the configuration or in one inside it."""
    for part in parts(config):
        for name in names:
            value = getattr(part, name, None)
            if isinstance(value, int | list | tuple) and value is not None and not isinstance(value, bool):
                return value
    return default


def _ids(config: PreTrainedConfig, generator: torch.Generator) -> torch.Tensor:
    vocabulary = _first(config, "vocab_size", default=100)
    return torch.randint(3, min(int(vocabulary), 500), (BATCH, LENGTH), generator=generator)


def _side(config: PreTrainedConfig) -> tuple[int, int]:
    side = _first(config, "image_size", default=64)
    return (side, side) if isinstance(side, int) else (int(side[0]), int(side[1]))


def _pixels(config: PreTrainedConfig, generator: torch.Generator) -> torch.Tensor:
    channels = _first(config, "num_channels", "in_channels", "in_chans", default=3)
    return torch.randn(BATCH, int(channels), *_side(config), generator=generator)


def _video(config: PreTrainedConfig, generator: torch.Generator) -> torch.Tensor:
    frames = _first(config, "num_frames", "frames_per_clip", default=8)
    return torch.randn(2, frames, 3, *_side(config), generator=generator)


def _wave(_: PreTrainedConfig, generator: torch.Generator) -> torch.Tensor:
    return torch.randn(BATCH, 4000, generator=generator)


def _mono(_: PreTrainedConfig, generator: torch.Generator) -> torch.Tensor:
    return torch.randn(BATCH, 1, 4000, generator=generator)


def _spectrogram(config: PreTrainedConfig, generator: torch.Generator) -> torch.Tensor:
    bins = _first(config, "num_mel_bins", "feature_size", "n_mels", default=80)
    length = 2 * int(_first(config, "max_source_positions", default=64))
    return torch.randn(BATCH, int(bins), length, generator=generator)


def _frames(config: PreTrainedConfig, generator: torch.Generator) -> torch.Tensor:
    """Spectra in time order, features last."""
    bins = _first(
        config, "input_feat_per_channel", "feature_projection_input_dim", "num_mel_bins", default=80
    )
    return torch.randn(BATCH, 64, int(bins), generator=generator)


def _mask(_: PreTrainedConfig, __: torch.Generator) -> torch.Tensor:
    return torch.ones(BATCH, LENGTH, dtype=torch.long)


def _long_frames(config: PreTrainedConfig, generator: torch.Generator) -> torch.Tensor:
    return torch.randn(BATCH, config.max_length, config.num_mel_bins, generator=generator)


Maker: TypeAlias = Callable[[PreTrainedConfig, torch.Generator], torch.Tensor]
MAKERS: Mapping[str, Maker] = {
    "input_ids": _ids,
    "decoder_input_ids": _ids,
    "pixel_values": _pixels,
    "pixel_values_videos": _video,
    "input_values": _wave,
    "input_features": _spectrogram,
    "attention_mask": _mask,
}


def _many_images(config: PreTrainedConfig, generator: torch.Generator) -> dict[str, torch.Tensor]:
    """Text and images for models that compare them."""
    made = {"input_ids": _ids(config, generator), "pixel_values": _pixels(config, generator)}
    return {**made, "attention_mask": _mask(config, generator)}


def _patches(config: PreTrainedConfig, generator: torch.Generator) -> dict[str, torch.Tensor]:
    """Images cut into patches, one row each, with the grid that they came from."""
    side, depth = _first(config, "patch_size", default=14), _first(config, "temporal_patch_size", default=1)
    channels = _first(config, "in_channels", "in_chans", "num_channels", default=3)
    rows = torch.randn(2 * 64, int(channels) * int(depth) * int(side) ** 2, generator=generator)
    return {"hidden_states": rows, "grid_thw": torch.tensor([[1, 8, 8]] * 2)}


def _series(config: PreTrainedConfig, generator: torch.Generator) -> dict[str, torch.Tensor]:
    """Past and future of a few channels."""
    length = int(_first(config, "context_length", default=32))
    channels = int(_first(config, "num_input_channels", default=1))
    return {"past_values": torch.randn(BATCH, length, channels, generator=generator)}


def _forecast(config: PreTrainedConfig, generator: torch.Generator) -> dict[str, torch.Tensor]:
    past = config.context_length + max(config.lags_sequence)
    features = config.num_time_features
    return {
        "past_values": torch.randn(BATCH, past, generator=generator),
        "past_time_features": torch.randn(BATCH, past, features, generator=generator),
        "past_observed_mask": torch.ones(BATCH, past),
        "future_values": torch.randn(BATCH, config.prediction_length, generator=generator),
        "future_time_features": torch.randn(BATCH, config.prediction_length, features, generator=generator),
    }


def _boxes(config: PreTrainedConfig, generator: torch.Generator) -> dict[str, torch.Tensor]:
    made = torch.randint(0, 500, (BATCH, LENGTH, 4), generator=generator).sort(dim=-1).values
    return {"input_ids": _ids(config, generator), "bbox": made}


def _decisions(config: PreTrainedConfig, generator: torch.Generator) -> dict[str, torch.Tensor]:
    return {
        "states": torch.randn(BATCH, LENGTH, config.state_dim, generator=generator),
        "actions": torch.randn(BATCH, LENGTH, config.act_dim, generator=generator),
        "returns_to_go": torch.randn(BATCH, LENGTH, 1, generator=generator),
        "timesteps": torch.arange(LENGTH).repeat(BATCH, 1),
        "attention_mask": _mask(config, generator),
    }


def _speech(_: PreTrainedConfig, generator: torch.Generator) -> dict[str, torch.Tensor]:
    values = [torch.randn(BATCH, 20, 64, generator=generator) for _ in range(2)]
    return {"input_values": values[0], "decoder_input_values": values[1]}


def _anything(config: PreTrainedConfig, generator: torch.Generator) -> dict[str, torch.Tensor]:
    return {"inputs": torch.randn(BATCH, LENGTH, config.d_model, generator=generator)}


def _only(name: str, maker: Maker) -> Callable[[PreTrainedConfig, torch.Generator], dict[str, torch.Tensor]]:
    return lambda config, generator: {name: maker(config, generator)}


BATCHES: Mapping[str, Callable[[PreTrainedConfig, torch.Generator], dict[str, torch.Tensor]]] = {
    **dict.fromkeys(
        "clip siglip align altclip chinese_clip clipseg metaclip_2 blip owlvit owlv2 groupvit bridgetower "
        "vilt vision-text-dual-encoder aimv2 flava layoutlmv3 git".split(),
        _many_images,
    ),
    **dict.fromkeys(
        "qwen2_5_vl_vision qwen3_vl_vision qwen3_vl_moe_vision qwen3_5_vision glm4v_vision glm4v_moe_vision "
        "glm_ocr_vision exaone4_5_vision qwen4_exp_vision qwen3_5_moe_vision".split(),
        _patches,
    ),
    **dict.fromkeys("patchtst patchtsmixer timesfm".split(), _series),
    **dict.fromkeys("time_series_transformer autoformer informer".split(), _forecast),
    **dict.fromkeys("bros layoutlm lilt".split(), _boxes),
    "decision_transformer": _decisions,
    **dict.fromkeys("videomae vivit timesformer".split(), _only("pixel_values", _video)),
    **dict.fromkeys("dac encodec mimi mimi_encoder".split(), _only("input_values", _mono)),
    "audio-spectrogram-transformer": _only("input_values", _long_frames),
    "speecht5": _speech,
    **dict.fromkeys(
        "speech_to_text wav2vec2-bert canary cohere_asr parakeet_ctc parakeet_encoder parakeet_rnnt "
        "parakeet_tdt nemotron_asr_streaming_encoder".split(),
        _only("input_features", _frames),
    ),
    "perceiver": _anything,
}
