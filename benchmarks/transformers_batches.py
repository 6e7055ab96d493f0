"""Batches for models of transformers, from the signatures of their methods or by their type."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

import torch
from torch import nn
from transformers import PreTrainedConfig
from transformers_media import BATCH, LENGTH, Batch, first, images, names_of, required, side, sounds
from transformers_models import IMAGE, SOUND, value

__all__ = ["batches"]

_TEXT = ("input_ids", "decoder_input_ids")
_COUNTED = re.compile(r"features:? *(\d+)")
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
    ids = _ids(config, generator)
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


def _ids(config: PreTrainedConfig, generator: torch.Generator) -> torch.Tensor:
    vocabulary = first(config, "vocab_size", default=100)
    return torch.randint(10, min(int(vocabulary), 500), (BATCH, LENGTH), generator=generator)


def _pixels(config: PreTrainedConfig, generator: torch.Generator) -> torch.Tensor:
    channels = first(config, "num_channels", "in_channels", "in_chans", default=3)
    return torch.randn(BATCH, int(channels), *side(config), generator=generator)


def _video(config: PreTrainedConfig, generator: torch.Generator) -> torch.Tensor:
    frames = first(config, "num_frames", "frames_per_clip", default=8)
    return torch.randn(2, frames, 3, *side(config), generator=generator)


def _wave(_: PreTrainedConfig, generator: torch.Generator) -> torch.Tensor:
    return torch.randn(BATCH, 4000, generator=generator)


def _mono(_: PreTrainedConfig, generator: torch.Generator) -> torch.Tensor:
    return torch.randn(BATCH, 1, 4000, generator=generator)


def _spectrogram(config: PreTrainedConfig, generator: torch.Generator) -> torch.Tensor:
    bins = first(config, "num_mel_bins", "feature_size", "n_mels", default=80)
    length = 2 * int(first(config, "max_source_positions", default=64))
    return torch.randn(BATCH, int(bins), length, generator=generator)


def _frames(config: PreTrainedConfig, generator: torch.Generator) -> torch.Tensor:
    """Spectra in time order, features last."""
    bins = first(config, "input_feat_per_channel", "feature_projection_input_dim", "num_mel_bins", default=80)
    return torch.randn(BATCH, 64, int(bins), generator=generator)


def _mask(_: PreTrainedConfig, __: torch.Generator) -> torch.Tensor:
    return torch.ones(BATCH, LENGTH, dtype=torch.long)


def _long_frames(config: PreTrainedConfig, generator: torch.Generator) -> torch.Tensor:
    return torch.randn(BATCH, config.max_length, config.num_mel_bins, generator=generator)


def _boxes_of(_: PreTrainedConfig, generator: torch.Generator) -> torch.Tensor:
    return torch.randint(0, 500, (BATCH, LENGTH, 4), generator=generator).sort(dim=-1).values


Maker: TypeAlias = Callable[[PreTrainedConfig, torch.Generator], torch.Tensor]
MAKERS: Mapping[str, Maker] = {
    "input_ids": _ids,
    "decoder_input_ids": _ids,
    "qformer_input_ids": _ids,
    "pixel_values": _pixels,
    "pixel_values_videos": _video,
    "input_values": _wave,
    "input_features": _spectrogram,
    "attention_mask": _mask,
    "bbox": _boxes_of,
}


def _many_images(config: PreTrainedConfig, generator: torch.Generator) -> dict[str, torch.Tensor]:
    """Text and images for models that compare them."""
    made = {"input_ids": _ids(config, generator), "pixel_values": _pixels(config, generator)}
    return {**made, "attention_mask": _mask(config, generator)}


def _series(config: PreTrainedConfig, generator: torch.Generator) -> dict[str, torch.Tensor]:
    """Past and future of a few channels."""
    length = int(first(config, "context_length", default=32))
    channels = int(first(config, "num_input_channels", default=1))
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
    return {"input_ids": _ids(config, generator), "bbox": _boxes_of(config, generator)}


def _decisions(config: PreTrainedConfig, generator: torch.Generator) -> dict[str, torch.Tensor]:
    return {
        "states": torch.randn(BATCH, LENGTH, config.state_dim, generator=generator),
        "actions": torch.randn(BATCH, LENGTH, config.act_dim, generator=generator),
        "returns_to_go": torch.randn(BATCH, LENGTH, 1, generator=generator),
        "timesteps": torch.arange(LENGTH).repeat(BATCH, 1),
        "attention_mask": _mask(config, generator),
    }


def _codes(config: PreTrainedConfig, generator: torch.Generator) -> dict[str, torch.Tensor]:
    """Text, and codes of a sound in several channels."""
    channels = config.decoder_config.num_channels
    codes = torch.randint(10, 500, (BATCH, LENGTH, channels), generator=generator)
    return {"input_ids": _ids(config, generator), "decoder_input_ids": codes}


def _queries(config: PreTrainedConfig, generator: torch.Generator) -> dict[str, torch.Tensor]:
    """Queries, and what they are asked of."""
    return {
        "query_embeds": torch.randn(BATCH, LENGTH, config.hidden_size, generator=generator),
        "encoder_hidden_states": torch.randn(
            BATCH, 2 * LENGTH, config.encoder_hidden_size, generator=generator
        ),
    }


def _regions(config: PreTrainedConfig, generator: torch.Generator) -> dict[str, torch.Tensor]:
    """Text, and features of regions of an image with their places."""
    return {
        "input_ids": _ids(config, generator),
        "visual_feats": torch.randn(BATCH, LENGTH, config.visual_feat_dim, generator=generator),
        "visual_pos": torch.rand(BATCH, LENGTH, config.visual_pos_dim, generator=generator),
    }


def _past(config: PreTrainedConfig, generator: torch.Generator) -> dict[str, torch.Tensor]:
    """A series cut into patches by the model, nothing of it missing, and its kind of frequency."""
    values = torch.randn(BATCH, 4 * config.patch_length, generator=generator)
    made = {"past_values": values, "past_values_padding": torch.zeros_like(values)}
    kinds = {"freq": torch.zeros(BATCH, 1, dtype=torch.long)} if config.model_type == "timesfm" else {}
    return made | kinds


def _lines(_: PreTrainedConfig, generator: torch.Generator) -> torch.Tensor:
    """Images of lines of writing."""
    return torch.randn(BATCH, 3, 96, 320, generator=generator)


def _channelled(config: PreTrainedConfig, generator: torch.Generator) -> torch.Tensor:
    """A token of text and one of each codebook of a sound at every step."""
    return torch.randint(10, 40, (BATCH, LENGTH, config.num_codebooks + 1), generator=generator)


def _prompted(config: PreTrainedConfig, generator: torch.Generator) -> dict[str, torch.Tensor]:
    """Images, and others with what was made of them."""
    pixels = [_pixels(config, generator) for _ in range(3)]
    return dict(zip(["pixel_values", "prompt_pixel_values", "prompt_masks"], pixels, strict=True))


def _noted(config: PreTrainedConfig, generator: torch.Generator) -> dict[str, torch.Tensor]:
    """Text with images that it looks at."""
    pixels = torch.randn(BATCH, 1, 3, *side(config.vision_config), generator=generator)
    mask = torch.ones(BATCH, LENGTH, 1, dtype=torch.long)
    ids = _ids(config, generator)
    return {
        "input_ids": ids,
        "pixel_values": pixels,
        "image_attention_mask": mask,
        "attention_mask": torch.ones_like(ids),
    }


def _film_and_text(config: PreTrainedConfig, generator: torch.Generator) -> dict[str, torch.Tensor]:
    """Text and frames for models that compare them."""
    frames = torch.randn(BATCH, 8, 3, *side(config), generator=generator)
    made = {"input_ids": _ids(config, generator), "pixel_values": frames}
    return made | {"attention_mask": _mask(config, generator)}


def _marked(config: PreTrainedConfig, generator: torch.Generator) -> dict[str, torch.Tensor]:
    """Text after an image whose place in it a mask tells."""
    count = config.latent_query_num
    ids = torch.cat([torch.full((BATCH, count), 5), _ids(config, generator)], dim=1)
    mask = torch.zeros_like(ids)
    mask[:, :count] = 1
    return {
        "input_ids": ids,
        "pixel_values": _pixels(config, generator),
        "image_embeds_position_mask": mask,
    }


def _page(config: PreTrainedConfig, generator: torch.Generator) -> dict[str, torch.Tensor]:
    """Words with their boxes, an image of their page, and words to be made of them."""
    boxes = torch.rand(BATCH, LENGTH, 4, generator=generator).sort(dim=-1).values
    return {
        "input_ids": _ids(config, generator),
        "bbox": boxes,
        "pixel_values": _pixels(config, generator),
        "decoder_input_ids": _ids(config, generator),
    }


def _many_patches(config: PreTrainedConfig, generator: torch.Generator) -> dict[str, torch.Tensor]:
    """Text and images as sequences of patches for models that compare them."""
    size = config.vision_config.num_channels * config.vision_config.patch_size**2
    return {
        "input_ids": _ids(config, generator),
        "pixel_values": torch.randn(BATCH, 16, size, generator=generator),
        "pixel_attention_mask": torch.ones(BATCH, 16, dtype=torch.long),
        "spatial_shapes": torch.full((BATCH, 2), 4),
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
    **dict.fromkeys("patchtst patchtsmixer".split(), _series),
    **dict.fromkeys("time_series_transformer autoformer informer".split(), _forecast),
    **dict.fromkeys("bros layoutlm lilt".split(), _boxes),
    "decision_transformer": _decisions,
    **dict.fromkeys("videomae vivit timesformer".split(), _only("pixel_values", _video)),
    **dict.fromkeys("dac encodec mimi mimi_encoder".split(), _only("input_values", _mono)),
    "audio-spectrogram-transformer": _only("input_values", _long_frames),
    "speecht5": _speech,
    "wav2vec2-bert": _only("input_features", _frames),
    "perceiver": _anything,
    "dia": _codes,
    "blip_2_qformer": _queries,
    "lxmert": _regions,
    **dict.fromkeys(["timesfm", "timesfm2_5"], _past),
    "seggpt": _prompted,
    **dict.fromkeys(["pp_ocrv5_mobile_rec", "pp_ocrv5_server_rec"], _only("pixel_values", _lines)),
    "kyutai_speech_to_text": _only("input_ids", _channelled),
    "idefics": _noted,
    **dict.fromkeys(["xclip", "tvp"], _film_and_text),
    "kosmos-2": _marked,
    "udop": _page,
    "siglip2": _many_patches,
}
