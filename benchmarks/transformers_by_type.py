"""Batches for those models of transformers whose type alone says what they take."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TypeAlias

import torch
from transformers import PreTrainedConfig
from transformers_makers import (
    Maker,
    boxes_of,
    film_of,
    frames_of,
    images_of,
    long_frames_of,
    mask_of,
    mono_of,
    tokens_of,
)
from transformers_media import BATCH, LENGTH, Batch, first, side

__all__ = ["BATCHES"]

Form: TypeAlias = Callable[[PreTrainedConfig, torch.Generator], Batch]


def _many_images(config: PreTrainedConfig, generator: torch.Generator) -> dict[str, torch.Tensor]:
    """Text and images for models that compare them."""
    made = {"input_ids": tokens_of(config, generator), "pixel_values": images_of(config, generator)}
    return {**made, "attention_mask": mask_of(config, generator)}


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
    return {"input_ids": tokens_of(config, generator), "bbox": boxes_of(config, generator)}


def _decisions(config: PreTrainedConfig, generator: torch.Generator) -> dict[str, torch.Tensor]:
    return {
        "states": torch.randn(BATCH, LENGTH, config.state_dim, generator=generator),
        "actions": torch.randn(BATCH, LENGTH, config.act_dim, generator=generator),
        "returns_to_go": torch.randn(BATCH, LENGTH, 1, generator=generator),
        "timesteps": torch.arange(LENGTH).repeat(BATCH, 1),
        "attention_mask": mask_of(config, generator),
    }


def _codes(config: PreTrainedConfig, generator: torch.Generator) -> dict[str, torch.Tensor]:
    """Text, and codes of a sound in several channels."""
    channels = config.decoder_config.num_channels
    codes = torch.randint(10, 500, (BATCH, LENGTH, channels), generator=generator)
    return {"input_ids": tokens_of(config, generator), "decoder_input_ids": codes}


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
        "input_ids": tokens_of(config, generator),
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
    """Images, and others with what was made of them; the model sets one above the other."""
    height, width = side(config)
    pixels = [torch.randn(BATCH, 3, height // 2, width, generator=generator) for _ in range(3)]
    return dict(zip(["pixel_values", "prompt_pixel_values", "prompt_masks"], pixels, strict=True))


def _noted(config: PreTrainedConfig, generator: torch.Generator) -> dict[str, torch.Tensor]:
    """Text with images that it looks at."""
    pixels = torch.randn(BATCH, 1, 3, *side(config.vision_config), generator=generator)
    mask = torch.ones(BATCH, LENGTH, 1, dtype=torch.long)
    ids = tokens_of(config, generator)
    return {
        "input_ids": ids,
        "pixel_values": pixels,
        "image_attention_mask": mask,
        "attention_mask": torch.ones_like(ids),
    }


def _film_and_text(config: PreTrainedConfig, generator: torch.Generator) -> dict[str, torch.Tensor]:
    """Text and frames for models that compare them."""
    frames = torch.randn(BATCH, 8, 3, *side(config), generator=generator)
    made = {"input_ids": tokens_of(config, generator), "pixel_values": frames}
    return made | {"attention_mask": mask_of(config, generator)}


def _one_film(config: PreTrainedConfig, generator: torch.Generator) -> Batch:
    """The same, one of each: this code takes no more."""
    frames = torch.randn(1, config.num_frames, 3, *[config.max_img_size] * 2, generator=generator)
    ids = tokens_of(config, generator)[:1]
    return {"input_ids": ids, "pixel_values": frames, "attention_mask": torch.ones_like(ids)}


def _marked(config: PreTrainedConfig, generator: torch.Generator) -> dict[str, torch.Tensor]:
    """Text after an image whose place in it a mask tells."""
    count = config.latent_query_num
    ids = torch.cat([torch.full((BATCH, count), 5), tokens_of(config, generator)], dim=1)
    mask = torch.zeros_like(ids)
    mask[:, :count] = 1
    return {
        "input_ids": ids,
        "pixel_values": images_of(config, generator),
        "image_embeds_position_mask": mask,
    }


def _page(config: PreTrainedConfig, generator: torch.Generator) -> dict[str, torch.Tensor]:
    """Words with their boxes, an image of their page, and words to be made of them."""
    boxes = torch.rand(BATCH, LENGTH, 4, generator=generator).sort(dim=-1).values
    return {
        "input_ids": tokens_of(config, generator),
        "bbox": boxes,
        "pixel_values": images_of(config, generator),
        "decoder_input_ids": tokens_of(config, generator),
    }


def _many_patches(config: PreTrainedConfig, generator: torch.Generator) -> dict[str, torch.Tensor]:
    """Text and images as sequences of patches for models that compare them."""
    size = config.vision_config.num_channels * config.vision_config.patch_size**2
    return {
        "input_ids": tokens_of(config, generator),
        "pixel_values": torch.randn(BATCH, 16, size, generator=generator),
        "pixel_attention_mask": torch.ones(BATCH, 16, dtype=torch.long),
        "spatial_shapes": torch.full((BATCH, 2), 4),
    }


def _speech(_: PreTrainedConfig, generator: torch.Generator) -> dict[str, torch.Tensor]:
    values = [torch.randn(BATCH, 20, 64, generator=generator) for _ in range(2)]
    return {"input_values": values[0], "decoder_input_values": values[1]}


def _anything(config: PreTrainedConfig, generator: torch.Generator) -> dict[str, torch.Tensor]:
    return {"inputs": torch.randn(BATCH, LENGTH, config.d_model, generator=generator)}


def _without_cache(config: PreTrainedConfig, generator: torch.Generator) -> Batch:
    return {"input_ids": tokens_of(config, generator), "use_cache": False}


def _heard_as_picture(config: PreTrainedConfig, generator: torch.Generator) -> Batch:
    """Text, and sounds as images of one channel, for models that compare them."""
    made = {"input_ids": tokens_of(config, generator), "attention_mask": mask_of(config, generator)}
    bins = config.audio_config.num_mel_bins
    sounds = torch.randn(BATCH, 1, config.audio_config.spec_size**2 // bins, bins, generator=generator)
    return made | {"input_features": sounds, "is_longer": torch.zeros(BATCH, 1, dtype=torch.bool)}


def _text_and_spectra(_: PreTrainedConfig, generator: torch.Generator) -> Batch:
    spectra = torch.randn(BATCH, 80, 128, generator=generator)
    ids = torch.randint(10, 200, (BATCH, LENGTH), generator=generator)
    return {"input_ids": ids, "input_features": spectra}


def _stacked(names: tuple[str, ...], times: int) -> Form:
    """Spectra in time order, so many of them in a row, and a mask."""

    def made(config: PreTrainedConfig, generator: torch.Generator) -> Batch:
        bins = first(config, "num_mel_bins", default=80)
        count = first(config, "num_stacked_frames", default=times)
        spectra = torch.randn(BATCH, 4 * LENGTH, bins * count, generator=generator)
        masks = {name: torch.ones(BATCH, 4 * LENGTH, dtype=torch.long) for name in names}
        return {"input_features": spectra} | masks

    return made


def _windows(config: PreTrainedConfig, generator: torch.Generator) -> Batch:
    """Spectra, time last, as long as two windows of the model."""
    length = 4 * config.n_window
    spectra = torch.randn(BATCH, config.num_mel_bins, length, generator=generator)
    return {"input_features": spectra, "input_features_mask": torch.ones(BATCH, length, dtype=torch.long)}


def _channels_first(config: PreTrainedConfig, generator: torch.Generator) -> torch.Tensor:
    return torch.randn(BATCH, config.hidden_size, LENGTH, generator=generator)


def _embedded(config: PreTrainedConfig, generator: torch.Generator) -> torch.Tensor:
    return torch.randn(BATCH, LENGTH, config.hidden_size, generator=generator)


def _timed(config: PreTrainedConfig, generator: torch.Generator) -> Batch:
    """Text, and what stands for the time that has passed."""
    clock = torch.randn(1, 1, config.hidden_size, generator=generator)
    return {"input_ids": tokens_of(config, generator), "t_cond": clock}


def _waves_within(config: PreTrainedConfig, generator: torch.Generator) -> Batch:
    """Waves with a channel, under the name of what is inside a model."""
    return {"hidden_states": torch.randn(BATCH, config.channels, 6400, generator=generator)}


def _drafted(config: PreTrainedConfig, generator: torch.Generator) -> Batch:
    """What to denoise, and what another model made of the text before it."""
    seen = config.hidden_size * len(config.target_layer_ids)
    return {
        "noise_embeds": torch.randn(BATCH, config.block_size, config.hidden_size, generator=generator),
        "context_hidden_states": torch.randn(BATCH, LENGTH, seen, generator=generator),
    }


def _wave_and_spectra(config: PreTrainedConfig, generator: torch.Generator) -> Batch:
    """Waves, and what another front end makes of them: a row for every fifty milliseconds."""
    bins = config.semantic_model_config.feature_projection_input_dim
    wave = torch.randn(2, 1, 320 * LENGTH, generator=generator)
    return {"input_values": wave, "input_features": torch.randn(2, LENGTH, bins, generator=generator)}


def _long_wave(config: PreTrainedConfig, generator: torch.Generator) -> Batch:
    """Waves, as long as a few of the last stage's patches."""
    return {"input_values": torch.randn(BATCH, 8 * math.prod(config.patch_sizes), generator=generator)}


def _tasked(config: PreTrainedConfig, generator: torch.Generator) -> Batch:
    """Images, and words that say what to do with them."""
    task = torch.randint(10, 200, (2, config.task_seq_len), generator=generator)
    return {"pixel_values": torch.randn(2, 3, 64, 64, generator=generator), "task_inputs": task}


def _named_things(config: PreTrainedConfig, generator: torch.Generator) -> Batch:
    """Images, and words for what is looked for in them."""
    return {
        "pixel_values": images_of(config, generator),
        "input_ids": tokens_of(config, generator),
        "attention_mask": mask_of(config, generator),
    }


def _classes_and_task(_: PreTrainedConfig, generator: torch.Generator) -> Batch:
    """Images, names of classes for each, and a task in words."""
    classes = torch.randint(10, 200, (2 * BATCH, 4), generator=generator)
    return {
        "pixel_values": torch.randn(BATCH, 3, 64, 64, generator=generator),
        "classes_input_ids": classes,
        "classes_attention_mask": torch.ones_like(classes),
        "tasks_input_ids": torch.randint(10, 200, (BATCH, 8), generator=generator),
        "tasks_attention_mask": torch.ones(BATCH, 8, dtype=torch.long),
        "classes_structure": torch.full((BATCH,), 2),
    }


def _film_with_question(config: PreTrainedConfig, generator: torch.Generator) -> Batch:
    """Films of four frames, a question about each, and text after as many places as they take."""
    ids = torch.randint(10, 200, (2, LENGTH), generator=generator)
    places = torch.full((2, 4 * config.num_query_tokens), 5)
    pixels = torch.randn(2, 4, 3, *side(config), generator=generator)
    return {
        "pixel_values": pixels,
        "qformer_input_ids": ids,
        "input_ids": torch.cat([places, ids], dim=1),
    }


def _acted(config: PreTrainedConfig, generator: torch.Generator) -> Batch:
    """An image, text after as many places as it takes, and actions so far."""
    vision = config.vlm_config.vision_config
    count = (vision.image_size // vision.patch_size) ** 2
    ids = torch.randint(10, 200, (BATCH, LENGTH), generator=generator)
    width = config.dit_config.hidden_size
    return {
        "pixel_values": torch.randn(BATCH, 1, 3, *side(config.vlm_config), generator=generator),
        "pixel_attention_mask": torch.ones(BATCH, 1, dtype=torch.bool),
        "input_ids": torch.cat([torch.full((BATCH, count), 3), ids], dim=1),
        "action_embeds": torch.randn(BATCH, config.chunk_size, width, generator=generator),
    }


def _codes_first(config: PreTrainedConfig, generator: torch.Generator) -> Batch:
    """Text, and codes of a sound, a row for each codebook."""
    rows = BATCH * config.decoder.num_codebooks
    codes = torch.randint(10, 200, (rows, LENGTH), generator=generator)
    return {"input_ids": tokens_of(config.text_encoder, generator), "decoder_input_ids": codes}


def _proteins(config: PreTrainedConfig, generator: torch.Generator) -> Batch:
    """Text about proteins, and the proteins."""
    made = {"input_ids": tokens_of(config, generator), "attention_mask": mask_of(config, generator)}
    chain = torch.randint(10, 200, (BATCH, LENGTH), generator=generator)
    return made | {"protein_input_ids": chain, "protein_attention_mask": torch.ones_like(chain)}


def _scaled(config: PreTrainedConfig, generator: torch.Generator) -> Batch:
    """Images that are read at several scales, the smallest as large as a patch."""
    size = int(config.patch_size / min(config.scaled_images_ratios))
    return {"pixel_values": torch.randn(2, 3, size, size, generator=generator)}


def _only(name: str, maker: Maker) -> Callable[[PreTrainedConfig, torch.Generator], dict[str, torch.Tensor]]:
    return lambda config, generator: {name: maker(config, generator)}


BATCHES: Mapping[str, Form] = {
    **dict.fromkeys(
        "clip siglip align altclip chinese_clip clipseg metaclip_2 blip owlvit owlv2 groupvit bridgetower "
        "vilt vision-text-dual-encoder aimv2 flava layoutlmv3 git".split(),
        _many_images,
    ),
    **dict.fromkeys("patchtst patchtsmixer".split(), _series),
    **dict.fromkeys("time_series_transformer autoformer informer".split(), _forecast),
    **dict.fromkeys("bros layoutlm lilt".split(), _boxes),
    "decision_transformer": _decisions,
    **dict.fromkeys("videomae vivit timesformer".split(), _only("pixel_values", film_of)),
    **dict.fromkeys("dac encodec mimi mimi_encoder".split(), _only("input_values", mono_of)),
    "audio-spectrogram-transformer": _only("input_values", long_frames_of),
    "speecht5": _speech,
    "wav2vec2-bert": _only("input_features", frames_of),
    "perceiver": _anything,
    "dia": _codes,
    "blip_2_qformer": _queries,
    "lxmert": _regions,
    **dict.fromkeys(["timesfm", "timesfm2_5"], _past),
    "seggpt": _prompted,
    **dict.fromkeys(["pp_ocrv5_mobile_rec", "pp_ocrv5_server_rec"], _only("pixel_values", _lines)),
    "kyutai_speech_to_text": _only("input_ids", _channelled),
    "idefics": _noted,
    "xclip": _film_and_text,
    "tvp": _one_film,
    "kosmos-2": _marked,
    "udop": _page,
    "siglip2": _many_patches,
    "blt": _without_cache,
    "clap": _heard_as_picture,
    "clvp": _text_and_spectra,
    "fun_asr_nano_encoder": _stacked(("input_features_mask",), 7),
    **dict.fromkeys(["granite_speech5_ctc", "granite_speech5_encoder"], _stacked(("attention_mask",), 4)),
    "qwen3_asr_encoder": _windows,
    **dict.fromkeys(
        ["mimi_decoder", "pocket_tts_audio_tokenizer_decoder"], _only("latents", _channels_first)
    ),
    "nemotron3_5_transcribe_word_timestamp": _only("inputs_embeds", _embedded),
    "voxtral_realtime_text": _timed,
    "vibevoice_acoustic_tokenizer_encoder": _waves_within,
    "vibevoice_acoustic_tokenizer_decoder": _only("hidden_states", _channels_first),
    "muse_glimmer_assistant": _drafted,
    **dict.fromkeys(["neucodec", "xcodec2"], _wave_and_spectra),
    "muse_spark_audio": _long_wave,
    "oneformer": _tasked,
    **dict.fromkeys(["grounding-dino", "mm-grounding-dino"], _named_things),
    "omdet-turbo": _classes_and_task,
    "instructblipvideo": _film_with_question,
    "pi0": _acted,
    **dict.fromkeys(["musicgen", "musicgen_melody"], _codes_first),
    "evolla": _proteins,
    "depth_pro": _scaled,
}
