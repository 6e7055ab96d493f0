"""What some types of transformers need besides small sizes, to agree with themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["IMAGE", "SOUND", "TWEAKS"]

IMAGE, SOUND = 3, 4
"""The tokens that stand for an image and for a sound; other tokens of a batch are larger."""

_WIDTHS = {"keep": ("hidden_size",)}
_FORECAST = {"prediction_length": 8, "context_length": 16, "lags_sequence": [1, 2], "num_time_features": 1}
_INDEXED = {
    "indexer_n_heads": 2,
    "indexer_kv_heads": 1,
    "indexer_head_dim": 16,
    "indexer_budget": 8,
    "indexer_compress_ratio": 4,
}
_SEGMENTS = {
    "vision_config": {"output_channels": 64},
    "prompt_encoder_config": {"image_embedding_size": 4},
}
_CHOICE = {"num_experts_per_tok": 2, "n_group": 1, "topk_group": 1}
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
        "block_repeats": [1, 1],
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
    "efficientnet": {"hidden_dim": 640},
    "align": {"vision_config": {"hidden_dim": 640}},
    **dict.fromkeys(["sam", "sam_hq"], _SEGMENTS),
    "seggpt": {"image_size": (128, 64), "merge_index": 0, "intermediate_hidden_state_indices": (0, 1, 2, 3)},
    "deepseek_ocr2": {"text_config": {"mlp_layer_types": ["dense", "sparse", "sparse", "sparse"]}},
    "dbrx": {"attn_config": {"rope_theta": 10_000.0, "kv_n_heads": 2, "clip_qkv": 8}},
    **dict.fromkeys(["qwen4_exp_text"], _INDEXED),
    "qwen4_exp": {"text_config": _INDEXED},
    "lfm2_moe": {"layer_types": ["conv", "full_attention", "conv", "full_attention"]},
    "granite4_vision": {"deepstack_layer_map": [[1, 0], [3, 2]]},
    "longcat_flash": {"num_key_value_heads": 4, "qk_head_dim": 32, "head_dim": 16},
    "kyutai_speech_to_text": {"codebook_vocab_size": 50, "audio_pad_token_id": 2},
    "zamba": {"layers_block_type": ["mamba", "hybrid", "mamba", "hybrid"], "num_key_value_heads": 4},
    **{key: {"vocabulary_map": {"<image>": IMAGE}} for key in ["chameleon", "emu3"]},
    "xlstm": {"num_heads": 4},
    "nystromformer": {"num_landmarks": 8},
    "dots1": {"first_k_dense_replace": 1, "n_routed_experts": 4, "n_shared_experts": 1, **_CHOICE},
    "ministral": {"sliding_window": 8},
    "hunyuan_v1_dense": {"head_dim": 16},
    "hunyuan_v1_moe": {"head_dim": 16},
    "esm": {"vocab_size": 33, "pad_token_id": 1},
    "nemotron": {"head_dim": 16},
}
