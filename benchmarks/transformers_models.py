"""Models of transformers in their own families, shrunken, with a batch that they take; offline.

A configuration is shrunken by setting every size that has a common name, in it and in the
configurations inside it. Where that contradicts itself, `TWEAKS` says what to set besides.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, TypeAlias

import torch
from torch import nn
from transformers import AutoConfig, AutoModel, PreTrainedConfig
from transformers.models.auto import modeling_auto
from transformers_tweaks import CLASSES, IMAGE, SOUND, TWEAKS

__all__ = ["IMAGE", "SOUND", "WAYS", "build", "config_of", "families", "group_of", "parts", "value"]

SMALL: Mapping[str, int | float] = {
    **dict.fromkeys(["hidden_size", "d_model", "n_embd", "embed_dim", "dim", "model_dim"], 64),
    **dict.fromkeys(["encoder_hidden_size", "decoder_hidden_size", "embedding_size", "projection_dim"], 64),
    **dict.fromkeys(["num_hidden_layers", "n_layer", "n_layers", "num_layers", "depth"], 4),
    **dict.fromkeys(["encoder_layers", "decoder_layers", "num_decoder_layers", "num_encoder_layers"], 3),
    **dict.fromkeys(["num_attention_heads", "n_head", "n_heads", "num_heads"], 4),
    **dict.fromkeys(["encoder_attention_heads", "decoder_attention_heads"], 4),
    "num_key_value_heads": 2,
    "head_dim": 16,
    "d_kv": 16,
    **dict.fromkeys(["intermediate_size", "ffn_dim", "d_ff", "n_inner", "ffn_hidden_size"], 128),
    **dict.fromkeys(["encoder_ffn_dim", "decoder_ffn_dim", "encoder_intermediate_size"], 128),
    **dict.fromkeys(["moe_intermediate_size", "expert_ffn_hidden_size"], 32),
    **dict.fromkeys(["num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts"], 4),
    **dict.fromkeys(["num_experts_per_tok", "moe_k", "moe_topk", "experts_per_token"], 2),
    **dict.fromkeys(["n_group", "topk_group"], 1),
    **dict.fromkeys(["qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim", "qk_head_dim"], 16),
    **dict.fromkeys(["q_lora_rank", "kv_lora_rank", "index_head_dim", "rotary_dim"], 16),
    "vocab_size": 500,
    "entity_vocab_size": 500,
    "encoder_hash_byte_group_vocab": 500,
    **dict.fromkeys(["vocab_size_per_layer_input", "codebook_size", "num_embeddings"], 512),
    "num_queries": 16,
    "width_coefficient": 0.5,
    "depth_coefficient": 0.5,
    "image_size": 64,
    **dict.fromkeys(["layerdrop", "encoder_layerdrop", "decoder_layerdrop", "mask_time_prob"], 0.0),
    **dict.fromkeys(["mask_feature_prob", "drop_path_rate"], 0.0),
    **dict.fromkeys(["max_source_positions"], 64),
}
"""Sizes by name; only a configuration that has the name, as a number, gets the size."""

_PLACES: Mapping[int, tuple[str, ...]] = {
    IMAGE: ("image_token_id", "image_token_index", "media_placeholder_token_id", "image_patch_id"),
    SOUND: ("audio_token_id", "audio_token_index", "audio_placeholder_token_id"),
    5: ("video_token_id", "video_token_index"),
    6: ("vision_start_token_id", "image_start_token_id"),
    7: ("vision_end_token_id", "image_end_token_id"),
}
"""Names of tokens that stand for something else than text."""
TOKENS = ("pad_token_id", "bos_token_id", "eos_token_id", "decoder_start_token_id", "unk_token_id")


def config_of(kind: str, way: str = "small") -> PreTrainedConfig:
    """A small configuration of a model type, shrunken in one of the `WAYS`."""
    plain = AutoConfig.for_model(kind)
    tweak = TWEAKS.get(kind, {}) if way.startswith("small") else {}
    config = _made(plain, tweak, WAYS[way])
    for part in parts(config):
        _settle(part)
    return config


def value(config: PreTrainedConfig, name: str) -> Any:
    """A setting, also where layers may have different ones; None if there is none."""
    try:
        return getattr(config, name, None)
    except RuntimeError:  # it differs by layer: the value of those without their own
        return vars(config).get(name)


def _made(
    plain: PreTrainedConfig, tweak: Mapping[str, Any], shrink: Shrink, *, inner: bool = False
) -> PreTrainedConfig:
    """A smaller configuration of the same class, those inside it included."""
    inside = {name for name in type(plain).sub_configs if isinstance(value(plain, name), PreTrainedConfig)}
    sizes = _own(plain) if inner else {}
    sizes |= {n: s for n, s in shrink(plain).items() if n not in tweak.get("keep", ())}
    whole = {n: tweak[n]() for n in inside if callable(tweak.get(n))}
    inside -= set(whole)
    sizes |= {n: _made(value(plain, n), tweak.get(n, {}), shrink, inner=True) for n in inside} | whole
    sizes |= {n: chosen for n, chosen in tweak.items() if n not in inside | set(whole) | {"keep"}}
    rope = _rope(plain, sizes)
    return type(plain)(**sizes, **({"rope_parameters": rope} if rope else {}))


def _own(config: PreTrainedConfig) -> dict[str, Any]:
    """What a configuration inside another one has otherwise than its class."""
    usual, mine = type(config)().to_dict(), config.to_dict()
    skipped = {
        "model_type",
        "transformers_version",
        "stage_names",
        "rope_parameters",
        *type(config).sub_configs,
    }
    return {n: v for n, v in mine.items() if n not in skipped and n in usual and v != usual[n]}


def _settable(config: PreTrainedConfig, name: str) -> bool:
    found = getattr(type(config), name, None)
    return not isinstance(found, property) or found.fset is not None


def _small(config: PreTrainedConfig) -> dict[str, Any]:
    """Every size that has a common name, at most the usual small one."""
    sizes: dict[str, Any] = {}
    for name, size in SMALL.items():
        here = value(config, name)
        if type(here) in (int, float) and here > size and _settable(config, name):
            sizes[name] = type(here)(size)
        elif name == "image_size" and isinstance(here, list | tuple) and len(here) == 2:
            sizes[name] = type(here)((size, size))
    for name, here in vars(config).items():
        token = name.endswith(("_token_id", "_token_index")) and name not in TOKENS
        if token and type(here) is int and here >= SMALL["vocab_size"]:
            sizes[name] = next((token for token, names in _PLACES.items() if name in names), 1)
    return sizes


def _small_alike(config: PreTrainedConfig) -> dict[str, Any]:
    """The same, with lists that have an item a layer cut so that every kind of layer is left."""
    sizes = _small(config)
    return sizes | _shorter(config, sizes)


def _small_filled(config: PreTrainedConfig) -> dict[str, Any]:
    """The same, with a key for every query, and a size for everything that has none."""
    open_ones = {name: size for name, size in SMALL.items() if name in vars(config)}
    sizes = _small_alike(config)
    sizes |= {name: size for name, size in open_ones.items() if value(config, name) is None}
    return sizes | ({"num_key_value_heads": 4} if "num_key_value_heads" in sizes else {})


def _shallow(config: PreTrainedConfig) -> dict[str, Any]:
    """Few layers, experts and tokens; all widths as they are."""
    sizes = {name: size for name, size in _small(config).items() if not _WIDTH.search(name)}
    kept = {n: s for n, s in sizes.items() if "heads" not in n and n not in ("n_head", "image_size")}
    return kept | _shorter(config, kept)


def _divided(factor: int) -> Shrink:
    """All widths divided by one number, so that those which must agree still do; few layers."""

    def shrink(config: PreTrainedConfig) -> dict[str, Any]:
        sizes = _shallow(config)
        for name, here in vars(config).items():
            wide = _WIDTH.search(name) and not _NO_WIDTH.search(name)
            numbers = here if isinstance(here, list | tuple) else [here]
            if not wide or not numbers or name in sizes or not _settable(config, name):
                continue
            if all(type(n) is int and n >= _NARROW * factor and n % factor == 0 for n in numbers):
                smaller = [n // factor for n in numbers]
                sizes[name] = type(here)(smaller) if isinstance(here, list | tuple) else smaller[0]
        return sizes

    return shrink


def _shorter(config: PreTrainedConfig, sizes: Mapping[str, Any]) -> dict[str, Any]:
    """Lists with an item a layer, and numbers of layers, for fewer layers than before."""
    names = [n for n in ("num_hidden_layers", "num_layers", "n_layer", "n_layers", "depth") if n in sizes]
    found: dict[str, Any] = {}
    for name in names:
        before, after = value(config, name), sizes[name]
        for other, here in vars(config).items():
            if not isinstance(here, list | tuple) or not here or not _settable(config, other):
                continue
            whole = all(type(n) is int for n in here)
            if len(here) == before:
                found[other] = type(here)(_kinds(list(here), after))
            elif whole and ("layer" in other or "ind" in other) and after <= max(here) <= before:
                moved = [min(n * after // before, after - 1) if n >= 0 else n for n in here]
                found[other] = type(here)(moved)
        for other, here in vars(config).items():
            if type(here) is int and "layer" in other and "feature" in other and here >= after:
                found[other] = after - 1
    return found


def _kinds(items: list[Any], count: int) -> list[Any]:
    """So many items, in their order: one of every kind, then the first ones."""
    firsts = {repr(item): place for place, item in reversed(list(enumerate(items)))}
    chosen = sorted(firsts.values())[:count]
    chosen += [place for place in range(len(items)) if place not in chosen][: count - len(chosen)]
    return [items[place] for place in sorted(chosen)]


def _rope(plain: PreTrainedConfig, sizes: Mapping[str, Any]) -> dict[str, Any] | None:
    """Rotary positions in three parts, for smaller heads."""
    rope = sizes.get("rope_parameters") or value(plain, "rope_parameters")
    if not isinstance(rope, dict):
        return None
    if "rope_theta" in rope and rope["rope_theta"] is None:
        rope = rope | {"rope_theta": 10_000.0}
    if not rope.get("mrope_section"):
        return rope if rope.get("rope_theta") else None
    width = sizes.get("hidden_size", value(plain, "hidden_size"))
    heads = sizes.get("num_attention_heads", value(plain, "num_attention_heads"))
    head = sizes.get("head_dim", value(plain, "head_dim")) or width // heads
    return rope | {"mrope_section": _thirds(int(head * rope.get("partial_rotary_factor", 1.0)) // 2)}


def _thirds(half: int) -> list[int]:
    """Parts of half a head for time, height and width."""
    return [half - 2 * (half * 3 // 8), half * 3 // 8, half * 3 // 8]


def parts(config: PreTrainedConfig) -> list[PreTrainedConfig]:
    """A configuration and all that are inside it."""
    inner = [value(config, name) for name in type(config).sub_configs]
    return [config, *(p for c in inner if isinstance(c, PreTrainedConfig) for p in parts(c))]


def _settle(config: PreTrainedConfig) -> None:
    """Special tokens inside the vocabulary, and attention by plain operators."""
    vocabulary = value(config, "vocab_size")
    for name in TOKENS:
        token = value(config, name)
        if isinstance(vocabulary, int) and isinstance(token, int) and token >= vocabulary:
            setattr(config, name, 1)
    for token, names in _PLACES.items():
        for name in names:
            if name in vars(config):
                setattr(config, name, token)
    rope = value(config, "rope_parameters")
    heads, width = value(config, "num_attention_heads"), value(config, "hidden_size")
    head = value(config, "head_dim") or _whole(width, heads)
    if isinstance(rope, dict) and "rope_theta" in rope and isinstance(head, int) and head:
        # Some code takes thirds of a large head where nothing is said.
        rope["mrope_section"] = _thirds(int(head * rope.get("partial_rotary_factor", 1.0)) // 2)


def _whole(width: Any, heads: Any) -> int:
    """The size of a head; 0 where stages have different ones."""
    return width // heads if type(width) is int and type(heads) is int and heads else 0


def build(config: PreTrainedConfig) -> nn.Module:
    """The model with its own initialization; the head that its family has first, if any."""
    # Where a type has several base models, this says that none was asked for by name.
    config.architectures = config.architectures or []
    if config.model_type in CLASSES:
        module, name = CLASSES[config.model_type].rsplit(".", 1)
        return getattr(import_module(f"transformers.models.{module}"), name)(config)
    return AutoModel.from_config(config)


Shrink: TypeAlias = Callable[[PreTrainedConfig], dict[str, Any]]

_WIDTH = re.compile(
    "hidden|embed|width|channel|dim|d_model|d_ff|ffn|d_kv|inner|intermediate|features|rank|filters|groups|d_state"
)
_NO_WIDTH = re.compile(
    "vocab|image|patch|kernel|window|max_|num_|_num|rate|prob|position|mel|heads|layer|stride"
)
_NARROW = 4
"""The smallest width that is left of one."""

WAYS: Mapping[str, Shrink] = {
    "small": _small_alike,
    "small, nothing left open": _small_filled,
    "small, own lists": _small,
    "a 64th": _divided(64),
    "a 16th": _divided(16),
    "an eighth": _divided(8),
    "a quarter": _divided(4),
    "a half": _divided(2),
    "shallow": _shallow,
    "as it is": lambda _: {},
}
"""How a configuration is made smaller, in the order in which it is tried."""


def families() -> list[str]:
    """Every model type with a base model."""
    return sorted(modeling_auto.MODEL_MAPPING_NAMES)


_RECURRENT = re.compile(
    "Mamba|Rwkv|RWKV|SSM|DeltaNet|DeltaAttention|LSTMBlock|RecurrentBlock|Lightning|ShortConv"
)
_EXPERTS = re.compile("Experts|MoE|Moe|SparseMLP")


def group_of(kind: str, config: PreTrainedConfig, model: nn.Module, batch: Mapping[str, torch.Tensor]) -> str:
    """The part of the table that a model belongs to, by what it takes and what it is made of."""
    parts = {type(module).__name__ for module in model.modules()}
    text = any("input_ids" in name for name in batch)
    seen = any(name in batch for name in ("pixel_values", "pixel_values_videos", "hidden_states"))
    heard = any(name in batch for name in ("input_values", "input_features"))
    if text and (seen or heard or _first_tower(config)) and kind not in ("whisper", "speech_to_text"):
        return "multimodal"
    if seen:
        return "vision"
    if heard:
        return "audio"
    if not text:
        return "series and other"
    if any(_RECURRENT.search(name) for name in parts):
        return "text, state space and linear attention"
    if getattr(config, "is_encoder_decoder", False):
        return "text, encoder-decoder"
    if any(_EXPERTS.search(name) for name in parts):
        return "text, mixture of experts"
    decodes = kind in modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
    both = kind in modeling_auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES
    return "text, decoder" if decodes and not both else "text, encoder"


def _first_tower(config: PreTrainedConfig) -> bool:
    return any(
        isinstance(getattr(config, n, None), PreTrainedConfig) for n in ("vision_config", "audio_config")
    )
