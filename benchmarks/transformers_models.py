"""Models of transformers in their own families, shrunken, with a batch that they take; offline.

A configuration is shrunken by setting every size that has a common name, in it and in the
configurations inside it. Where that contradicts itself, `TWEAKS` says what to set besides.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, AutoModel, PreTrainedConfig
from transformers.models.auto import modeling_auto

__all__ = ["IMAGE", "build", "config_of", "families", "group_of", "parts"]

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
    "image_size": 64,
    **dict.fromkeys(["layerdrop", "encoder_layerdrop", "decoder_layerdrop", "mask_time_prob"], 0.0),
    **dict.fromkeys(["mask_feature_prob", "drop_path_rate"], 0.0),
    **dict.fromkeys(["max_source_positions"], 64),
}
"""Sizes by name; only a configuration that has the name, as a number, gets the size."""

IMAGE = 2
"""The token that stands for an image; other tokens of a batch are larger."""
MROPE = (
    "glm4v",
    "glm_ocr_text",
    "glm_image_text",
    "glm46v",
    "glmga",
    "paddleocr_vl",
    "qwen2_5_omni",
    "qwen2_vl",
)
"""Text models whose rotary positions have three parts, by default for larger heads."""

TOKENS = ("pad_token_id", "bos_token_id", "eos_token_id", "decoder_start_token_id", "unk_token_id")


def config_of(kind: str) -> PreTrainedConfig:
    """A small configuration of a model type."""
    plain = AutoConfig.for_model(kind)
    tweak = TWEAKS.get(kind, {})
    config = type(plain)(**_shrunken(plain, tweak))
    for part in parts(config):
        _settle(part)
    return config


def _shrunken(config: PreTrainedConfig, tweak: Mapping[str, Any]) -> dict[str, Any]:
    """Keyword arguments of a smaller configuration of the same class, those inside it included."""
    sizes: dict[str, Any] = {}
    for name, size in SMALL.items():
        if name in tweak.get("keep", ()):
            continue
        here = getattr(config, name, None)
        if type(here) in (int, float) and here > size:
            sizes[name] = type(here)(size)
        elif name == "image_size" and isinstance(here, list | tuple) and len(here) == 2:
            sizes[name] = type(here)((size, size))
    for name in type(config).sub_configs:
        inner = getattr(config, name, None)
        if isinstance(inner, PreTrainedConfig):
            own = tweak.get(name, {})
            sizes[name] = type(inner)(**_shrunken(inner, own))
    inside = {name for name in tweak if name in type(config).sub_configs}
    return sizes | {name: value for name, value in tweak.items() if name not in inside | {"keep"}}


def parts(config: PreTrainedConfig) -> list[PreTrainedConfig]:
    """A configuration and all that are inside it."""
    inner = [getattr(config, name, None) for name in type(config).sub_configs]
    return [config, *(p for c in inner if isinstance(c, PreTrainedConfig) for p in parts(c))]


def _settle(config: PreTrainedConfig) -> None:
    """Special tokens inside the vocabulary, and attention by plain operators."""
    vocabulary = getattr(config, "vocab_size", None)
    for name in TOKENS:
        token = getattr(config, name, None)
        if isinstance(vocabulary, int) and isinstance(token, int) and token >= vocabulary:
            setattr(config, name, 1)
    for name in ("image_token_id", "image_token_index"):
        if isinstance(getattr(config, name, None), int):
            setattr(config, name, IMAGE)
    rope = getattr(config, "rope_parameters", None)
    if isinstance(rope, dict) and (rope.get("mrope_section") or config.model_type.startswith(MROPE)):
        head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        half = int(head * rope.get("partial_rotary_factor", 1.0)) // 2
        rope["mrope_section"] = [half - 2 * (half * 3 // 8), half * 3 // 8, half * 3 // 8]


def build(config: PreTrainedConfig) -> nn.Module:
    """The model with its own initialization; the head that its family has first, if any."""
    return AutoModel.from_config(config)


_WIDTHS = {"keep": ("hidden_size",)}
_FORECAST = {"prediction_length": 8, "context_length": 16, "lags_sequence": [1, 2], "num_time_features": 1}
_MLA = {"num_key_value_heads": 4}
_SWIN = {"keep": ("embed_dim", "hidden_size", "image_size"), "image_size": 224}
TWEAKS: Mapping[str, Mapping[str, Any]] = {
    **dict.fromkeys(
        "deepseek_v2 deepseek_v3 deepseek_v32 glm4_moe_lite glm_moe_dsa longcat_flash minicpm3 mistral4 axk1 "
        "axk2 kimi_linear esmc glm5_next_text youtu".split(),
        _MLA,
    ),
    **dict.fromkeys("swin swinv2 donut-swin maskformer-swin".split(), _SWIN),
    **dict.fromkeys(["convnext", "convnextv2"], _WIDTHS),
    "falcon_h1": {"num_hidden_layers": 2, "mamba_chunk_size": 16},
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1},
    "bamba": {"attn_layer_indices": [1], "mamba_n_heads": 4, "mamba_d_head": 32, "mamba_d_state": 16},
    "granitemoehybrid": {
        "layer_types": ["mamba", "attention", "mamba", "attention"],
        "mamba_n_heads": 4,
        "mamba_d_head": 32,
    },
    "zamba2": {
        "keep": ("num_hidden_layers", "num_key_value_heads"),
        "num_hidden_layers": 6,
        "layer_types": ["mamba", "hybrid", "mamba"] * 2,
        "num_key_value_heads": 4,
        "mamba_d_state": 16,
    },
    "mamba2": {"num_heads": 8, "head_dim": 16, "hidden_size": 64, "state_size": 16, "n_groups": 1},
    "gpt_neo": {"attention_types": [[["global", "local"], 2]], "num_layers": 4},
    "codegen": {"rotary_dim": 8},
    "gptj": {"rotary_dim": 8},
    "falcon": {"keep": ("head_dim",)},
    "speech_to_text": {"keep": ("max_source_positions",)},
    "reformer": {"axial_pos_embds_dim": (32, 32), "axial_pos_shape": (4, 4), "attn_layers": ["local", "lsh"]},
    "lilt": {"keep": ("hidden_size",), "hidden_size": 96},
    "layoutlmv3": {
        "keep": ("hidden_size",),
        "hidden_size": 64,
        "coordinate_size": 11,
        "shape_size": 10,
        "image_size": 64,
        "input_size": 64,
    },
    "funnel": {
        "keep": ("num_hidden_layers", "d_model"),
        "block_sizes": [2, 2],
        "d_model": 64,
        "d_head": 16,
        "d_inner": 128,
    },
    "prophetnet": {"keep": ("num_hidden_layers",), "num_encoder_layers": 2, "num_decoder_layers": 2},
    "perceiver": {"num_latents": 16, "d_latents": 64, "d_model": 64, "max_position_embeddings": 64},
    "patchtst": {"context_length": 64},
    "patchtsmixer": {"context_length": 64},
    **dict.fromkeys(
        "time_series_transformer autoformer informer".split(),
        _FORECAST,
    ),
    "xlstm": {"num_heads": 4},
    "nystromformer": {"num_landmarks": 8},
    "dots1": {"first_k_dense_replace": 1},
    "ministral": {"sliding_window": 8},
    "hunyuan_v1_dense": {"head_dim": 16},
    "hunyuan_v1_moe": {"head_dim": 16},
    "esm": {"vocab_size": 33, "pad_token_id": 1},
    "nemotron": {"head_dim": 16},
}


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
