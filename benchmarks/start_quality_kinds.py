"""More kinds for the trial of starts: encoders with decoders of transformers, with tasks they can learn."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import transformers
from check_unseen_healthy_data import Batch, Case, chars, images, unigram, vocabulary

__all__ = ["MORE"]

_ROWS, _CLASSES = 28, 10


def _translated(name: str, **config: object) -> Callable[[int], Case]:
    """The decoder says what the encoder has read."""

    def build(_: int) -> Case:
        made = getattr(transformers, name + "Config")(
            vocab_size=vocabulary(),
            pad_token_id=0,
            bos_token_id=1,
            eos_token_id=2,
            decoder_start_token_id=0,
            **config,
        )
        model = getattr(transformers, name + "ForConditionalGeneration")(made)

        def draw(s: int) -> Batch:
            x, _ = chars(s, length=16)
            return ({"input_ids": x, "labels": x},), None

        return Case(model=model, draw=draw, chance=unigram(), lr=2e-3, clip=1.0)

    return build


def _whisper(_: int) -> Case:
    """Digits are sounds of 28 frequencies, and the words say which digit it is, three times."""
    made = transformers.WhisperConfig(
        vocab_size=3 * _CLASSES + 2,
        num_mel_bins=_ROWS,
        max_source_positions=_ROWS // 2,
        max_target_positions=8,
        d_model=64,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=128,
        decoder_ffn_dim=128,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=1,
        decoder_start_token_id=1,
        suppress_tokens=None,
        begin_suppress_tokens=None,
    )
    model = transformers.WhisperForConditionalGeneration(made)

    def draw(s: int) -> Batch:
        x, y = images(s, 32)
        labels = torch.stack([2 + y + turn * _CLASSES for turn in range(3)], dim=1)
        return ({"input_features": x[:, 0], "labels": labels},), None

    return Case(model=model, draw=draw, chance=math.log(_CLASSES) / 3, lr=1e-3, clip=1.0)


def _gemma4(_: int) -> Case:
    made = transformers.Gemma4TextConfig(
        vocab_size=vocabulary(),
        vocab_size_per_layer_input=vocabulary(),
        hidden_size=64,
        hidden_size_per_layer_input=16,
        intermediate_size=128,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
        global_head_dim=16,
        num_kv_shared_layers=0,
        max_position_embeddings=64,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )
    model = transformers.Gemma4ForCausalLM(made)

    def draw(s: int) -> Batch:
        x, _ = chars(s)
        return ({"input_ids": x, "labels": x},), None

    return Case(model=model, draw=draw, chance=unigram(), lr=2e-3, clip=1.0)


MORE: dict[str, Callable[[int], Case]] = {
    "hf_bart": _translated(
        "Bart",
        d_model=64,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=128,
        decoder_ffn_dim=128,
        max_position_embeddings=64,
        forced_eos_token_id=None,
    ),
    "hf_t5": _translated("T5", d_model=64, d_kv=16, d_ff=128, num_layers=2, num_heads=4),
    "hf_whisper": _whisper,
    "hf_gemma4_text": _gemma4,
}
