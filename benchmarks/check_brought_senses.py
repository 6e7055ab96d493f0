"""Models of transformers for images, sound, series and decisions."""

from __future__ import annotations

from typing import Any

import torch
import transformers as t
from check_brought_data import LETTERS, Case, digits, text, waves

__all__ = ["KINDS"]

ENDS = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}


def _made(seed: int, cls: Any, config: Any, draw: Any, lr: Any = 1e-3, **how: Any) -> Any:
    torch.manual_seed(seed)
    return Case(cls(config) if not how else cls._from_config(config, **how), draw, None, lr)


def swinv2_digits(seed: int) -> Case:
    config = t.Swinv2Config(
        image_size=16,
        patch_size=2,
        num_channels=1,
        embed_dim=16,
        depths=[2, 2],
        num_heads=[2, 4],
        window_size=4,
        num_labels=10,
        drop_path_rate=0.1,
    )

    def draw(g: torch.Generator) -> Any:
        images, labels = digits(g, size=16)
        return ({"pixel_values": images, "labels": labels},), None

    return _made(seed, t.Swinv2ForImageClassification, config, draw)


def segformer_masks(seed: int) -> Case:
    config = t.SegformerConfig(
        num_channels=1,
        num_encoder_blocks=2,
        depths=[1, 1],
        sr_ratios=[2, 1],
        hidden_sizes=[16, 32],
        patch_sizes=[3, 3],
        strides=[2, 2],
        num_attention_heads=[1, 2],
        mlp_ratios=[2, 2],
        decoder_hidden_size=32,
        num_labels=3,
        classifier_dropout_prob=0.0,
    )

    def draw(g: torch.Generator) -> Any:
        images, _ = digits(g, 8, size=16)
        return (
            {"pixel_values": images, "labels": (images[:, 0] > -0.5).long() + (images[:, 0] > 0.3).long()},
        ), None

    return _made(seed, t.SegformerForSemanticSegmentation, config, draw, 3e-3)


def levit_digits(seed: int) -> Case:
    config = t.LevitConfig(
        image_size=32,
        num_channels=1,
        patch_size=16,
        hidden_sizes=[16, 24, 32],
        num_attention_heads=[2, 3, 4],
        depths=[1, 1, 1],
        key_dim=[8, 8, 8],
        drop_path_rate=0,
        num_labels=10,
        down_ops=[["Subsample", 8, 2, 4, 2, 2], ["Subsample", 8, 3, 4, 2, 2], [""]],
    )

    def draw(g: torch.Generator) -> Any:
        images, labels = digits(g, size=32)
        return ({"pixel_values": images, "labels": labels},), None

    return _made(seed, t.LevitForImageClassification, config, draw)


def wav2vec2_ctc(seed: int) -> Case:
    config = t.Wav2Vec2Config(
        vocab_size=8,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        conv_dim=[16, 16],
        conv_stride=[2, 2],
        conv_kernel=[4, 3],
        num_feat_extract_layers=2,
        conv_bias=True,
        feat_extract_norm="layer",
        do_stable_layer_norm=True,
        num_conv_pos_embeddings=8,
        num_conv_pos_embedding_groups=2,
        apply_spec_augment=False,
        ctc_loss_reduction="mean",
        ctc_zero_infinity=True,
        layerdrop=0.0,
        hidden_dropout=0.0,
        attention_dropout=0.0,
        feat_proj_dropout=0.0,
        final_dropout=0.0,
        activation_dropout=0.0,
    )

    def draw(g: torch.Generator) -> Any:
        wave, kind = waves(g, 16, 64)
        return ({"input_values": wave, "labels": torch.stack((kind + 1, kind + 3), 1)},), None

    return _made(seed, t.Wav2Vec2ForCTC, config, draw)


def ast_sound(seed: int) -> Case:
    config = t.ASTConfig(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        patch_size=8,
        frequency_stride=4,
        time_stride=4,
        max_length=32,
        num_mel_bins=16,
        num_labels=4,
        qkv_bias=False,
    )

    def draw(g: torch.Generator) -> Any:
        wave, kind = waves(g, 16, 124)
        power = torch.stft(wave, 30, 4, window=torch.hann_window(30), return_complex=True).abs()[:, :16, :32]
        return ({"input_values": torch.log(power + 0.1).transpose(1, 2), "labels": kind},), None

    return _made(seed, t.ASTForAudioClassification, config, draw)


def patchtst_forecast(seed: int) -> Case:
    config = t.PatchTSTConfig(
        num_input_channels=2,
        context_length=32,
        patch_length=8,
        patch_stride=4,
        prediction_length=8,
        d_model=32,
        num_attention_heads=4,
        num_hidden_layers=2,
        ffn_dim=64,
        attention_dropout=0.0,
        norm_type="layernorm",
        pre_norm=False,
        scaling="std",
        loss="mse",
    )

    def draw(g: torch.Generator) -> Any:
        wave, _ = waves(g, 32, 40)
        series = wave.reshape(16, 2, 40).transpose(1, 2)
        return ({"past_values": series[:, :32], "future_values": series[:, 32:]},), None

    return _made(seed, t.PatchTSTForPrediction, config, draw)


def student_t_series(seed: int) -> Case:
    config = t.TimeSeriesTransformerConfig(
        prediction_length=8,
        context_length=16,
        lags_sequence=[1, 2, 3],
        num_time_features=1,
        d_model=16,
        encoder_layers=2,
        decoder_layers=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        dropout=0.0,
        scaling="mean",
    )

    def draw(g: torch.Generator) -> Any:
        wave, _ = waves(g, 32, 27)
        time = (torch.arange(27) / 27).expand(32, 27)[..., None]
        return (
            {
                "past_values": wave[:, :19] + 3,
                "past_time_features": time[:, :19],
                "past_observed_mask": torch.ones(32, 19),
                "future_values": wave[:, 19:] + 3,
                "future_time_features": time[:, 19:],
            },
        ), None

    return _made(seed, t.TimeSeriesTransformerForPrediction, config, draw)


def clip_frozen_tower(seed: int) -> Case:
    words = {
        "vocab_size": LETTERS,
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 64,
        "max_position_embeddings": 8,
        "eos_token_id": 63,
        "pad_token_id": 0,
        "bos_token_id": 1,
    }
    pictures = {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 64,
        "image_size": 8,
        "patch_size": 2,
        "num_channels": 1,
    }
    config = t.CLIPConfig(text_config=words, vision_config=pictures, projection_dim=16)
    names = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
    ids = torch.tensor([[ord(c) - 96 for c in name] + [63] + [0] * (7 - len(name)) for name in names])

    def draw(g: torch.Generator) -> Any:
        images, labels = digits(g, 64)
        first = [int((labels == k).nonzero()[0]) for k in range(10) if (labels == k).any()]
        return ({"input_ids": ids[labels[first]], "pixel_values": images[first], "return_loss": True},), None

    case = _made(seed, t.CLIPModel, config, draw)
    case.model.vision_model.requires_grad_(False)
    return case


def yolos_boxes(seed: int) -> Case:
    config = t.YolosConfig(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        image_size=[16, 16],
        patch_size=4,
        num_channels=1,
        num_detection_tokens=4,
        num_labels=2,
    )

    def draw(g: torch.Generator) -> Any:
        images, labels = 0.05 * torch.randn(8, 1, 16, 16, generator=g), []
        for image in images:
            x, y = (int(v) for v in torch.randint(0, 10, (2,), generator=g))
            image[0, y : y + 6, x : x + 6] += 1
            labels.append(
                {
                    "class_labels": torch.tensor([0]),
                    "boxes": torch.tensor([[(x + 3) / 16, (y + 3) / 16, 6 / 16, 6 / 16]]),
                }
            )
        return ({"pixel_values": images, "labels": labels},), None

    return _made(seed, t.YolosForObjectDetection, config, draw)


def decision_transformer(seed: int) -> Case:
    config = t.DecisionTransformerConfig(
        state_dim=3,
        act_dim=2,
        hidden_size=32,
        n_layer=2,
        n_head=4,
        max_ep_len=32,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
    )

    def draw(g: torch.Generator) -> Any:
        states = torch.randn(16, 8, 3, generator=g)
        actions = torch.tanh(states[..., :2] - states[..., 2:])
        steps = torch.arange(8).expand(16, 8)
        togo = torch.rand(16, 8, 1, generator=g)
        return (
            {
                "states": states,
                "actions": actions,
                "rewards": togo,
                "returns_to_go": togo,
                "timesteps": steps,
                "attention_mask": torch.ones(16, 8),
            },
        ), actions

    case = _made(seed, t.DecisionTransformerModel, config, draw)
    return case._replace(loss=lambda out, actions: torch.nn.functional.mse_loss(out.action_preds, actions))


def perceiver_learned(seed: int) -> Case:
    config = t.PerceiverConfig(
        num_latents=8,
        d_latents=32,
        d_model=32,
        num_blocks=1,
        num_self_attends_per_block=2,
        num_self_attention_heads=4,
        num_cross_attention_heads=2,
        vocab_size=LETTERS + 1,
        max_position_embeddings=24,
        attention_probs_dropout_prob=0.0,
        num_labels=2,
        qk_channels=32,
        v_channels=32,
    )

    def draw(g: torch.Generator) -> Any:
        ids = text(g, 32, 24)
        return ({"inputs": ids, "labels": (ids > 45).float().mean(1).gt(0.33).long()},), None

    return _made(seed, t.PerceiverForSequenceClassification, config, draw)


def llama_prefix_cache(seed: int) -> Case:
    torch.manual_seed(seed)
    model = Prefixed(
        t.LlamaForCausalLM(
            t.LlamaConfig(
                vocab_size=LETTERS,
                hidden_size=32,
                intermediate_size=64,
                num_hidden_layers=2,
                num_attention_heads=4,
                num_key_value_heads=2,
                attention_bias=True,
                **ENDS,
            )
        )
    )

    def draw(g: torch.Generator) -> Any:
        ids = text(g)
        return (ids,), ids

    return Case(
        model,
        draw,
        lambda out, ids: torch.nn.functional.cross_entropy(out[:, :-1].flatten(0, 1), ids[:, 1:].flatten()),
        3e-3,
    )


class Prefixed(torch.nn.Module):
    """A language model behind learned keys and values (prefix tuning), handed over as a cache."""

    def __init__(self, inner: Any, length: Any = 4) -> None:
        super().__init__()
        self.inner = inner
        self.prefix = torch.nn.Parameter(0.1 * torch.randn(2, 2, 2, length, 8))  # layer, key or value, head

    def forward(self, ids: Any) -> Any:
        cache = t.DynamicCache()
        for layer, (key, value) in enumerate(self.prefix):
            cache.update(key.expand(len(ids), -1, -1, -1), value.expand(len(ids), -1, -1, -1), layer)
        seen = torch.ones(len(ids), self.prefix.shape[3] + ids.shape[1], dtype=torch.long)
        return self.inner(ids, attention_mask=seen, past_key_values=cache).logits


KINDS = (
    swinv2_digits,
    segformer_masks,
    levit_digits,
    wav2vec2_ctc,
    ast_sound,
    patchtst_forecast,
    student_t_series,
    clip_frozen_tower,
    yolos_boxes,
    decision_transformer,
    perceiver_learned,
    llama_prefix_cache,
)
