"""What some types of transformers need besides small sizes, to agree with themselves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from transformers import PreTrainedConfig, ResNetConfig, SwinConfig

__all__ = ["CLASSES", "IMAGE", "SOUND", "TWEAKS"]

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
    "vision_config": {"output_channels": 64, "num_pos_feats": 32},
    "prompt_encoder_config": {"image_embedding_size": 4},
}
_STAGES = ["stage1", "stage2", "stage3", "stage4"]


def _resnet(stages: Sequence[str]) -> Callable[[], PreTrainedConfig]:
    """A small backbone of transformers itself, where the usual one is another library's or large."""
    sizes = {"hidden_sizes": [32, 64, 96, 128], "depths": [1, 1, 1, 1], "embedding_size": 16}
    return lambda: ResNetConfig(**sizes, layer_type="basic", out_features=list(stages))


def _swin(stages: Sequence[str]) -> Callable[[], PreTrainedConfig]:
    """The same with windows of attention."""
    sizes = {"embed_dim": 24, "depths": [1, 1, 1, 1], "num_heads": [1, 2, 4, 8], "window_size": 4}
    return lambda: SwinConfig(**sizes, image_size=64, out_features=list(stages))


_DETR = {"backbone_config": _resnet(_STAGES)}
_TYPED_ROPE = {
    "rope_parameters": {
        "full_attention": {"rope_type": "default", "rope_theta": 10_000.0, "mrope_section": [2, 3, 3]}
    }
}
_NOTE = {"num_key_value_heads": 4, "head_dim": 32, "per_layer_config": {}}
_MUSE_SOUND = {"hidden_sizes": [16, 32, 48, 64], "out_hidden_size": 64}
_GROUNDED = {"backbone_config": _swin(_STAGES[1:]), "max_text_len": 16}
_TINY_IMAGE = {"keep": ("image_size",), "image_size": 56}
_TWO_HEADS = {"num_attention_heads": 2}
_NARROW = {"num_filters": 4}
_FINITE = {"quantization_dim": 128, "num_key_value_heads": 4}
_STEPS = {
    "block_configs": [
        [[3, 32, 32, 1, True]],
        [[3, 32, 64, 2, False], [3, 64, 64, 1, False]],
        [[3, 64, 96, 2, False], [3, 96, 96, 1, True]],
        [[3, 96, 128, 2, False], [3, 128, 128, 1, True]],
    ],
    "stem_channels": [3, 16, 32],
    "out_features": _STAGES,
}
_KERNELS = {"reduce_channel": [1, 1, 0], "return_channel": [1, 1, 0]} | {
    f"{way}_{ratio}ratio": [[high, wide], [1, 1], [high // 2, wide // 2]]
    for ratio, size in [("long", 7), ("mid", 5), ("short", 3)]
    for way, high, wide in [
        ("vertical_long_to_small_conv", size, 1),
        ("horizontal_small_to_long_conv", 1, size),
        ("symmetric_conv_long", size, size),
    ]
}
_LINEAR = {"num_key_value_heads": 4, "linear_head_dim": 16, "linear_num_heads": 4}
_SCALES = {"vision_config": {"fpn_hidden_size": 64, "backbone_feature_sizes": [[16, 16], [8, 8], [4, 4]]}}
_CHOICE = {"num_experts_per_tok": 2, "n_group": 1, "topk_group": 1}
_MLA = {"num_key_value_heads": 4}
_SWIN = {"keep": ("embed_dim", "hidden_size", "image_size"), "image_size": 224}
TWEAKS: Mapping[str, Mapping[str, Any]] = {
    **dict.fromkeys(
        "deepseek_v2 deepseek_v3 deepseek_v32 glm4_moe_lite glm_moe_dsa longcat_flash minicpm3 mistral4 axk1 "
        "axk2 kimi_linear esmc youtu".split(),
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
    "reformer": {
        "axial_pos_embds_dim": (32, 32),
        "axial_pos_shape": (4, 4),
        "attn_layers": ["local", "lsh"] * 2,
    },
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
    "align": {"keep": ("projection_dim",), "projection_dim": 160, "vision_config": {"hidden_dim": 640}},
    "sam": _SEGMENTS,
    "sam_hq": _SEGMENTS | {"mask_decoder_config": {"vit_dim": 64}},
    **dict.fromkeys(["sam3", "sam3_lite_text", "sam3_tracker"], _SCALES),
    "glm5_next_text": _LINEAR,
    "glm5_next": {"text_config": _LINEAR},
    "nemo_speechlm": {
        "audio_config": {"diarization_config": {"head_config": {"audio_hidden_size": 64}}},
    },
    "deepseek_ocr2": {"text_config": {"mlp_layer_types": ["dense", "sparse", "sparse", "sparse"]}},
    "dbrx": {"attn_config": {"rope_theta": 10_000.0, "kv_n_heads": 2, "clip_qkv": 8}},
    **dict.fromkeys(["qwen4_exp_text"], _INDEXED),
    "qwen4_exp": {"text_config": _INDEXED},
    "lfm2_moe": {"layer_types": ["conv", "full_attention", "conv", "full_attention"]},
    "longcat_flash": {"num_key_value_heads": 4, "qk_head_dim": 32, "head_dim": 16},
    "kyutai_speech_to_text": {"codebook_vocab_size": 50, "audio_pad_token_id": 2},
    "zamba": {"layers_block_type": ["mamba", "hybrid", "mamba", "hybrid"], "num_key_value_heads": 4},
    "chameleon": {"vocabulary_map": {"<image>": IMAGE}},
    "emu3": {
        "vocabulary_map": {"<image>": IMAGE},
        "vq_config": {"base_channels": 32, "keep": ("hidden_size", "embed_dim"), "hidden_size": 128},
    },
    "xlstm": {"num_heads": 4},
    "nystromformer": {"num_landmarks": 8},
    "dots1": {"first_k_dense_replace": 1, "n_routed_experts": 4, "n_shared_experts": 1, **_CHOICE},
    "ministral": {"sliding_window": 8},
    "hunyuan_v1_dense": {"head_dim": 16},
    "hunyuan_v1_moe": {"head_dim": 16},
    "esm": {"vocab_size": 33, "pad_token_id": 1},
    "nemotron": {"head_dim": 16},
    **dict.fromkeys("detr conditional_detr dab-detr deformable_detr table-transformer".split(), _DETR),
    "omdet-turbo": {
        "backbone_config": _swin(_STAGES[1:]),
        "vision_features_channels": [64, 64, 64],
        "encoder_in_channels": [48, 96, 192],
        "apply_layernorm_after_vision_backbone": False,
        "text_projection_in_dim": 64,
        "text_projection_out_dim": 128,
        "class_embed_dim": 128,
        "task_encoder_hidden_dim": 128,
        "decoder_hidden_dim": 64,
        "decoder_dim_feedforward": 128,
    },
    "blt": {"encoder_config": {"hidden_size_global": 64}, "decoder_config": {"hidden_size_global": 64}},
    "clap": {"audio_config": {"keep": ("hidden_size",), "hidden_size": 256, "patch_embeds_hidden_size": 32}},
    **dict.fromkeys(["grounding-dino", "mm-grounding-dino"], _GROUNDED),
    "oneformer": {"backbone_config": _swin(_STAGES)},
    "clvp": {
        "decoder_config": {"vocab_size": 200},
        "text_config": _TWO_HEADS,
        "speech_config": _TWO_HEADS,
    },
    "granite_speech5_encoder": {"num_key_value_heads": 4},
    "granite_speech5_ctc": {"encoder_config": {"num_key_value_heads": 4}},
    **dict.fromkeys(["neucodec", "xcodec2"], _FINITE),
    "sam2_vision_model": {"backbone_config": {"keep": ("hidden_size",)}},
    "pp_ocrv6_small_det": {
        "backbone_config": _STEPS,
        "layer_list_out_channels": [32, 64, 96, 128],
    },
    "pp_ocrv6_medium_det": {
        "backbone_config": _STEPS,
        "intraclass_block_config": _KERNELS,
        "scale_factor_list": [1, 2, 4, 8],
        "kernel_list": [3, 2, 2],
    },
    "vibevoice": {"audio_config": _NARROW, "semantic_model_config": _NARROW},
    "vibevoice_asr": {
        "acoustic_tokenizer_encoder_config": _NARROW,
        "semantic_tokenizer_encoder_config": _NARROW,
    },
    "cohere_compass_text": _TYPED_ROPE,
    "cohere_compass": {"text_config": _TYPED_ROPE, "vision_config": {"out_hidden_size": 64}},
    "diffusion_gemma": {
        "text_config": {"num_experts": 4, "top_k_experts": 2, "moe_intermediate_size": 32},
        "vision_config": {"pooling_kernel_size": 2},
    },
    "dots3_note_text": _NOTE,
    "dots3_note": {
        "text_config": _NOTE,
        "vision_config": {"adapter_in_dim": 64, "adapter_out_dim": 64},
        "audio_config": {"adapter_input_size": 64, "adapter_out_dim": 64},
    },
    "ernie4_5_vl_moe": {"text_config": {"keep": ("hidden_size",), "hidden_size": 48}},
    "florence2": {
        "vision_config": {
            "embed_dim": [16, 32, 64, 128],
            "num_heads": [1, 2, 4, 8],
            "num_groups": [1, 2, 4, 8],
            "window_size": 4,
        }
    },
    "gemma4_vision": {"pooling_kernel_size": 2},
    "granite4_vision": {"downsample_rate": "1/2", "deepstack_layer_map": [[1, 0], [3, 2]]},
    "inkling2": {"vision_config": {"text_hidden_size": 64, "projection_hidden_dim": 128}},
    "inkling2_vision": {"text_hidden_size": 64, "projection_hidden_dim": 128},
    "instructblipvideo": {"num_query_tokens": 8, "video_token_index": 5},
    "janus": {"vq_config": {"base_channels": 32, "latent_channels": 64}},
    "lw_detr": {"backbone_config": {"keep": ("num_hidden_layers",)}, "projector_scale_factors": [1.0]},
    "rf_detr": {"backbone_config": {"keep": ("num_hidden_layers", "image_size"), "image_size": 112}},
    "mimi_decoder": {"upsample_groups": 64},
    "pocket_tts_audio_tokenizer_decoder": {"upsample_groups": 64},
    "moonshine_streaming": {"num_key_value_heads": 4},
    "muse_spark": {"audio_config": _MUSE_SOUND},
    "muse_spark_audio": _MUSE_SOUND,
    "seggpt": {"image_size": (128, 64), "merge_index": 0, "intermediate_hidden_state_indices": (0, 1, 2, 3)},
    "step3p7": {"text_config": {"sliding_window": 8}},
    "swin2sr": {
        "keep": ("embed_dim", "hidden_size", "num_heads"),
        "embed_dim": 60,
        "depths": [2, 2],
        "num_heads": [2, 2],
    },
    "t5gemma2_encoder": {"text_config": {"dropout_rate": 0.0}},
    "tvp": {
        "max_img_size": 64,
        "num_frames": 8,
        "visual_prompt_size": 8,
        "backbone_config": _resnet(_STAGES[3:]),
    },
    "uvdoc": {"backbone_config": {"out_features": [f"stage{n}" for n in range(1, 7)]}},
    **dict.fromkeys(
        "vibevoice_acoustic_tokenizer vibevoice_acoustic_tokenizer_decoder "
        "vibevoice_acoustic_tokenizer_encoder".split(),
        _NARROW,
    ),
    "xmod": {"default_language": "en_XX"},
    "depth_pro": {
        "patch_size": 56,
        "intermediate_hook_ids": [3, 1],
        "image_model_config": _TINY_IMAGE,
        "patch_model_config": _TINY_IMAGE,
        "fov_model_config": _TINY_IMAGE,
    },
}
"""Settings by model type; `keep` names sizes that stay, and a function makes a configuration whole."""

CLASSES: Mapping[str, str] = {
    "evolla": "evolla.modeling_evolla.EvollaModel",
    "musicgen": "musicgen.modeling_musicgen.MusicgenForConditionalGeneration",
    "musicgen_melody": "musicgen_melody.modeling_musicgen_melody.MusicgenMelodyForConditionalGeneration",
    "voxtral_realtime_text": "voxtral_realtime.modeling_voxtral_realtime.VoxtralRealtimeTextModel",
}
"""Models that the automatic class of this version does not find or not build from their configuration."""
