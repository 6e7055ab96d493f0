"""Images and sounds for models of transformers, in the forms in which their processors deliver them.

A form is what one kind of processor makes: whole images, images cut into patches, spectra, waves. It is
a mapping with every name under which a model may ask for a part of it; what a call does not take is left
out. Which form a model wants is found by trying.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

import torch
from transformers import PreTrainedConfig
from transformers_models import parts, value

__all__ = ["BATCH", "LENGTH", "Batch", "first", "images", "names_of", "required", "side", "sounds"]

BATCH, LENGTH = 4, 16
_GRID = 8
"""Patches along each side of an image that is cut before the model sees it."""
_TIME = 64
"""Spectra in a sound; a multiple of all that models stack or subsample by."""

Batch: TypeAlias = dict[str, Any]
Form: TypeAlias = Callable[[PreTrainedConfig, torch.Generator], Batch]


def first(config: PreTrainedConfig, *names: str, default: Any) -> Any:
    """A setting by any of its names, in the configuration or in one inside it."""
    for part in parts(config):
        for name in names:
            found = value(part, name)
            if isinstance(found, int | list | tuple) and not isinstance(found, bool):
                return found
    return default


def side(config: PreTrainedConfig) -> tuple[int, int]:
    """Height and width of the images."""
    found = first(config, "image_size", default=64)
    if isinstance(found, dict):
        found = [found["height"], found["width"]]
    return (found, found) if isinstance(found, int) else (int(found[0]), int(found[-1]))


def names_of(call: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    """The named parameters of a call."""
    skipped = ("kwargs", "args", "self", "_")
    return {n: p for n, p in inspect.signature(call).parameters.items() if n not in skipped}


def required(call: Callable[..., Any]) -> list[str]:
    """Those without a default."""
    return [name for name, p in names_of(call).items() if p.default is p.empty]


def _channels(config: PreTrainedConfig) -> int:
    return int(first(config, "num_channels", "in_channels", "in_chans", default=3))


def _patch(config: PreTrainedConfig) -> int:
    found = first(config, "patch_size", "spatial_patch_size", default=14)
    return int(found if isinstance(found, int) else found[0])


def _whole(config: PreTrainedConfig, generator: torch.Generator) -> Batch:
    """Images as they are."""
    pixels = torch.randn(BATCH, _channels(config), *side(config), generator=generator)
    return {
        **dict.fromkeys(["pixel_values", "pixel_values_images", "prompt_pixel_values"], pixels),
        "image_sizes": torch.tensor([side(config)] * BATCH),
    }


def _rows(config: PreTrainedConfig, generator: torch.Generator, depth: int = 0) -> Batch:
    """All patches of all images, one row each, with the grids that they came from."""
    depth = depth or int(first(config, "temporal_patch_size", default=1))
    size = _channels(config) * depth * _patch(config) ** 2
    rows = torch.randn(BATCH * _GRID**2, size, generator=generator)
    grid = torch.tensor([[1, _GRID, _GRID]] * BATCH)
    return {
        **dict.fromkeys(["pixel_values", "hidden_states"], rows),
        **dict.fromkeys(["image_grid_thw", "grid_thw", "image_grids", "patches_grid"], grid),
        "image_grid_hws": grid[:, 1:],
        **dict.fromkeys(["merge_sizes", "image_merge_sizes"], torch.ones(BATCH, dtype=torch.long)),
    }


def _small_images(config: PreTrainedConfig, generator: torch.Generator) -> Batch:
    """All patches of all images, each an image of its own, with the grids that they came from."""
    made = _rows(config, generator, depth=1)
    shape = (-1, _channels(config), _patch(config), _patch(config))
    for name in ("pixel_values", "hidden_states"):
        made[name] = made[name].reshape(shape)
    return made


def _merged(config: PreTrainedConfig, generator: torch.Generator) -> Batch:
    """All squares of patches that the model merges into one, channels last."""
    made = _rows(config, generator, depth=1)
    count = int(first(config, "spatial_merge_size", default=2))
    shape = (BATCH * (_GRID // count) ** 2, count * _patch(config), count * _patch(config), _channels(config))
    grid = torch.tensor([[1, _GRID // count, _GRID // count]] * BATCH)
    return made | {"pixel_values": torch.randn(*shape, generator=generator), "image_grid_thw": grid}


def _deep_rows(config: PreTrainedConfig, generator: torch.Generator) -> Batch:
    """The same for models whose patches span two frames by a default of their code."""
    return _rows(config, generator, depth=2)


def _embedded(config: PreTrainedConfig, generator: torch.Generator) -> Batch:
    """Patches that something else has embedded."""
    made = _rows(config, generator)
    made["hidden_states"] = torch.randn(
        BATCH * _GRID**2, int(first(config, "hidden_size", default=64)), generator=generator
    )
    return made


def _tiles(config: PreTrainedConfig, generator: torch.Generator) -> Batch:
    """A list of images for each text."""
    pixels = torch.randn(BATCH, 1, _channels(config), *side(config), generator=generator)
    return {
        "pixel_values": pixels,
        "image_sizes": torch.tensor([side(config)] * BATCH),
        "pixel_attention_mask": torch.ones(BATCH, 1, *side(config), dtype=torch.long),
        "num_local_patches": torch.zeros(BATCH, dtype=torch.long),
    }


def _pairs(config: PreTrainedConfig, generator: torch.Generator) -> Batch:
    """Two images to compare, or a whole image and a part of it."""
    pixels = torch.randn(BATCH, 2, _channels(config), *side(config), generator=generator)
    return {"pixel_values": pixels, "image_sizes": torch.tensor([side(config)] * BATCH)}


def _sequences(config: PreTrainedConfig, generator: torch.Generator) -> Batch:
    """Each image as a sequence of its patches, with their places."""
    size = _channels(config) * _patch(config) ** 2
    rows = torch.arange(_GRID).repeat_interleave(_GRID)
    places = torch.stack([rows, torch.arange(_GRID).repeat(_GRID)], dim=-1).expand(BATCH, -1, -1)
    return {
        "pixel_values": torch.randn(BATCH, _GRID**2, size, generator=generator),
        "pixel_attention_mask": torch.ones(BATCH, _GRID**2, dtype=torch.long),
        "spatial_shapes": torch.full((BATCH, 2), _GRID),
        **dict.fromkeys(["pixel_position_ids", "image_position_ids"], places),
    }


def _strip(config: PreTrainedConfig, generator: torch.Generator) -> Batch:
    """Patches of all images side by side in one image of one row, with the shapes that they came from."""
    size = _patch(config)
    return {
        "pixel_values": torch.randn(1, _channels(config), size, BATCH * _GRID**2 * size, generator=generator),
        "target_sizes": torch.full((BATCH, 2), _GRID),
    }


def _film(config: PreTrainedConfig, generator: torch.Generator) -> Batch:
    """Frames."""
    frames = int(first(config, "num_frames", "frames_per_clip", default=8))
    pixels = torch.randn(2, frames, _channels(config), *side(config), generator=generator)
    return dict.fromkeys(["pixel_values", "pixel_values_videos"], pixels)


def _bins(config: PreTrainedConfig) -> int:
    return int(
        first(
            config,
            *("num_mel_bins", "feature_size", "n_mels", "input_feat_per_channel", "feat_in", "num_mels"),
            *("feature_projection_input_dim", "input_feat_size", "input_dim", "mel_bins"),
            default=80,
        )
    )


def _masks(length: int) -> Batch:
    ones = torch.ones(BATCH, length, dtype=torch.long)
    names = ["input_features_mask", "feature_attention_mask", "audio_attention_mask", "padding_mask"]
    return {
        **dict.fromkeys(names, ones),
        "audio_mel_mask": torch.zeros(BATCH, length, dtype=torch.bool),
        "audio_feature_lengths": torch.full((BATCH,), length),
        "is_longer": torch.zeros(BATCH, 1, dtype=torch.bool),
    }


def _spectrogram(config: PreTrainedConfig, generator: torch.Generator) -> Batch:
    """Spectra, time last."""
    length = 2 * int(first(config, "max_source_positions", default=_TIME // 2))
    spectra = torch.randn(BATCH, _bins(config), length, generator=generator)
    return {**dict.fromkeys(["input_features", "input_values"], spectra), **_masks(length)}


def _frames(config: PreTrainedConfig, generator: torch.Generator) -> Batch:
    """Spectra in time order, features last."""
    spectra = torch.randn(BATCH, _TIME, _bins(config), generator=generator)
    names = ["input_features", "input_values", "audio_mel", "spectrogram"]
    return {**dict.fromkeys(names, spectra), **_masks(_TIME)}


def _wide_frames(config: PreTrainedConfig, generator: torch.Generator) -> Batch:
    """The same, two of them in each row."""
    spectra = torch.randn(BATCH, _TIME, 2 * _bins(config), generator=generator)
    return {**dict.fromkeys(["input_features", "input_values"], spectra), **_masks(_TIME)}


def _picture(config: PreTrainedConfig, generator: torch.Generator) -> Batch:
    """A spectrogram as an image of one channel."""
    size = int(first(config, "spec_size", default=64))
    bins = int(first(config, "num_mel_bins", default=64))
    length = size * size // bins
    return {"input_features": torch.randn(BATCH, 1, length, bins, generator=generator), **_masks(length)}


def _wave(_: PreTrainedConfig, generator: torch.Generator) -> Batch:
    """Waves."""
    return {
        "input_values": torch.randn(BATCH, 4000, generator=generator),
        "audio_values": torch.randn(BATCH, 4000, generator=generator),
        **_masks(4000),
    }


def _mono(_: PreTrainedConfig, generator: torch.Generator) -> Batch:
    """Waves with a channel."""
    wave = torch.randn(BATCH, 1, 7680, generator=generator)
    return {**dict.fromkeys(["input_values", "audio", "input_features"], wave), **_masks(7680)}


_IMAGES: tuple[Form, ...] = (
    *(_rows, _deep_rows, _small_images, _merged, _embedded),
    *(_sequences, _strip, _whole, _tiles, _pairs, _film),
)
_MARKS: Mapping[Form, tuple[str, ...]] = {
    **dict.fromkeys(
        (_rows, _deep_rows, _small_images, _merged, _embedded),
        ("image_grid_thw", "grid_thw", "image_grids", "patches_grid", "image_grid_hws"),
    ),
    _sequences: ("spatial_shapes", "pixel_position_ids", "image_position_ids"),
    _strip: ("target_sizes",),
}
"""Names without which a call does not mean a form."""
_SOUNDS: tuple[Form, ...] = (_spectrogram, _frames, _wide_frames, _picture, _wave, _mono)
_OF_IMAGES = ("pixel_values", "hidden_states", "pixel_values_videos", "pixel_values_images")
_OF_SOUNDS = ("input_features", "input_values", "audio_mel", "audio_values")


def images(config: PreTrainedConfig, call: Callable[..., Any]) -> Iterator[Batch]:
    """Images in every form that a call may mean; first those that have all that it can take."""
    yield from _forms(config, call, _IMAGES, _OF_IMAGES)


def sounds(config: PreTrainedConfig, call: Callable[..., Any]) -> Iterator[Batch]:
    """Sounds, likewise."""
    yield from _forms(config, call, _SOUNDS, _OF_SOUNDS)


def _forms(
    config: PreTrainedConfig, call: Callable[..., Any], forms: tuple[Form, ...], media: tuple[str, ...]
) -> Iterator[Batch]:
    names = names_of(call)
    for form in forms:
        generator = torch.Generator().manual_seed(0)
        made = {name: part for name, part in form(config, generator).items() if name in names}
        marked = form not in _MARKS or any(name in made for name in _MARKS[form])
        if marked and any(name in made for name in media):
            yield made
            # Masks that say that all is there can be left out, where a model wants them in another form.
            bare = {n: p for n, p in made.items() if "mask" not in n}
            if len(bare) < len(made):
                yield bare
