"""Parts of a batch for a model of transformers, by the name under which a model asks for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

import torch
from transformers import PreTrainedConfig
from transformers_media import BATCH, LENGTH, first, side

__all__ = [
    "MAKERS",
    "Maker",
    "boxes_of",
    "film_of",
    "frames_of",
    "images_of",
    "long_frames_of",
    "mask_of",
    "mono_of",
    "spectra_of",
    "tokens_of",
    "wave_of",
]


def tokens_of(config: PreTrainedConfig, generator: torch.Generator) -> torch.Tensor:
    """Words, none of those that stand for something else."""
    vocabulary = first(config, "vocab_size", default=100)
    return torch.randint(10, min(int(vocabulary), 500), (BATCH, LENGTH), generator=generator)


def images_of(config: PreTrainedConfig, generator: torch.Generator) -> torch.Tensor:
    """Whole images."""
    channels = first(config, "num_channels", "in_channels", "in_chans", default=3)
    return torch.randn(BATCH, int(channels), *side(config), generator=generator)


def film_of(config: PreTrainedConfig, generator: torch.Generator) -> torch.Tensor:
    """Films of few frames."""
    frames = first(config, "num_frames", "frames_per_clip", default=8)
    return torch.randn(2, frames, 3, *side(config), generator=generator)


def wave_of(_: PreTrainedConfig, generator: torch.Generator) -> torch.Tensor:
    """Waves."""
    return torch.randn(BATCH, 4000, generator=generator)


def mono_of(_: PreTrainedConfig, generator: torch.Generator) -> torch.Tensor:
    """Waves with a channel."""
    return torch.randn(BATCH, 1, 4000, generator=generator)


def spectra_of(config: PreTrainedConfig, generator: torch.Generator) -> torch.Tensor:
    """Spectra, time last."""
    bins = first(config, "num_mel_bins", "feature_size", "n_mels", default=80)
    length = 2 * int(first(config, "max_source_positions", default=64))
    return torch.randn(BATCH, int(bins), length, generator=generator)


def frames_of(config: PreTrainedConfig, generator: torch.Generator) -> torch.Tensor:
    """Spectra in time order, features last."""
    bins = first(config, "input_feat_per_channel", "feature_projection_input_dim", "num_mel_bins", default=80)
    return torch.randn(BATCH, 64, int(bins), generator=generator)


def mask_of(_: PreTrainedConfig, __: torch.Generator) -> torch.Tensor:
    """A mask of words that are all there."""
    return torch.ones(BATCH, LENGTH, dtype=torch.long)


def long_frames_of(config: PreTrainedConfig, generator: torch.Generator) -> torch.Tensor:
    """As many spectra as the model knows places for."""
    return torch.randn(BATCH, config.max_length, config.num_mel_bins, generator=generator)


def boxes_of(_: PreTrainedConfig, generator: torch.Generator) -> torch.Tensor:
    """Boxes of words on a page."""
    return torch.randint(0, 500, (BATCH, LENGTH, 4), generator=generator).sort(dim=-1).values


Maker: TypeAlias = Callable[[PreTrainedConfig, torch.Generator], torch.Tensor]
MAKERS: Mapping[str, Maker] = {
    "input_ids": tokens_of,
    "decoder_input_ids": tokens_of,
    "qformer_input_ids": tokens_of,
    "pixel_values": images_of,
    "pixel_values_videos": film_of,
    "input_values": wave_of,
    "input_features": spectra_of,
    "attention_mask": mask_of,
    "bbox": boxes_of,
}
