"""Small models of the transformers library, as it initialises them."""

from __future__ import annotations

import torch
import transformers
from check_unseen_healthy_data import Batch, Case, chars, images, unigram, vocabulary

__all__ = ["KINDS"]


def _hf(name: str, share: float = 0.9, lr: float = 2e-3, **config: object) -> object:
    """Make a causal or masked language model, on characters; it makes its own loss from labels."""

    def build(_: int) -> Case:
        made = getattr(transformers, name + "Config")(
            vocab_size=vocabulary(), pad_token_id=0, bos_token_id=1, eos_token_id=2, **config
        )
        kind = getattr(
            transformers,
            name + ("ForMaskedLM" if name in _MASKED else "LMHeadModel" if name == "GPT2" else "ForCausalLM"),
        )
        model = kind(made)

        def draw(s: int) -> Batch:
            x, _ = chars(s)
            if name not in _MASKED:
                return ({"input_ids": x, "labels": x},), None
            hide = torch.rand(x.shape, generator=torch.Generator().manual_seed(s)) < 0.15
            return ({"input_ids": x.masked_fill(hide, 0), "labels": x.masked_fill(~hide, -100)},), None

        return Case(model=model, draw=draw, chance=unigram(), share=share, lr=lr, clip=1.0)

    return build


_MASKED = ("Bert", "Albert", "Electra", "Deberta", "ModernBert")


_SMALL = {"hidden_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 128}


def _hf_image(name: str, **config: object) -> object:
    def build(_: int) -> Case:
        made = getattr(transformers, name + "Config")(num_labels=10, **config)
        model = getattr(transformers, name + "ForImageClassification")(made)

        def draw(s: int) -> Batch:
            x, y = images(s, 32, 16 if name in ("ViT", "Beit") else 32 if name != "ResNet" else 28, 3)
            return ({"pixel_values": x, "labels": y},), None

        return Case(model=model, draw=draw, lr=2e-3, share=0.7)

    return build


KINDS = {
    "hf_gpt2": _hf("GPT2", n_embd=64, n_layer=3, n_head=4, n_positions=64),
    "hf_bert": _hf("Bert", 0.97, max_position_embeddings=64, **_SMALL),
    "hf_albert": _hf("Albert", 0.97, max_position_embeddings=64, embedding_size=32, **_SMALL),
    "hf_modernbert": _hf("ModernBert", 0.97, max_position_embeddings=64, **_SMALL),
    "hf_gpt_neox": _hf("GPTNeoX", max_position_embeddings=64, **_SMALL),
    "hf_qwen3": _hf("Qwen3", max_position_embeddings=64, num_key_value_heads=2, head_dim=16, **_SMALL),
    "hf_mixtral": _hf(
        "Mixtral", max_position_embeddings=64, num_key_value_heads=2, num_local_experts=4, **_SMALL
    ),
    "hf_mamba": _hf("Mamba", hidden_size=64, num_hidden_layers=3, state_size=8),
    "hf_gemma2": _hf("Gemma2", max_position_embeddings=64, num_key_value_heads=2, head_dim=16, **_SMALL),
    "hf_vit": _hf_image("ViT", image_size=16, patch_size=4, **_SMALL),
    "hf_convnextv2": _hf_image(
        "ConvNextV2", depths=[1, 1, 1, 1], hidden_sizes=[16, 24, 32, 48], patch_size=2
    ),
    "hf_resnet": _hf_image(
        "ResNet", embedding_size=16, hidden_sizes=[16, 32, 48, 64], depths=[1, 1, 1, 1], layer_type="basic"
    ),
}
