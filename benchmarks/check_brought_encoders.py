"""Encoders and encoder-decoders of transformers, with heads of several sorts."""

from __future__ import annotations

from typing import Any

import torch
import transformers as t
from check_brought_data import LETTERS, Case, text

__all__ = ["KINDS"]

BERT = {
    "vocab_size": LETTERS + 1,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 64,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}


def _made(seed: int, cls: Any, config: Any, draw: Any, lr: Any = 1e-3, **how: Any) -> Any:
    torch.manual_seed(seed)
    return Case(cls(config) if not how else cls._from_config(config, **how), draw, None, lr)


def _reverse(g: torch.Generator) -> Any:
    ids = text(g, 16, 8)
    return ({"input_ids": ids, "labels": ids.flip(1)},), None


def t5_gated_untied(seed: int) -> Case:
    config = t.T5Config(
        vocab_size=LETTERS,
        d_model=32,
        d_kv=8,
        d_ff=64,
        num_layers=2,
        num_heads=4,
        feed_forward_proj="gated-silu",
        tie_word_embeddings=False,
        dropout_rate=0.0,
        decoder_start_token_id=0,
    )
    return _made(seed, t.T5ForConditionalGeneration, config, _reverse, 3e-3)


def pegasus_relu(seed: int) -> Case:
    config = t.PegasusConfig(
        vocab_size=LETTERS,
        d_model=32,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=64,
        decoder_ffn_dim=64,
        activation_function="relu",
        scale_embedding=True,
        dropout=0.0,
        max_position_embeddings=64,
        decoder_start_token_id=0,
        pad_token_id=0,
        eos_token_id=1,
    )
    return _made(seed, t.PegasusForConditionalGeneration, config, _reverse, 3e-3)


def deberta_v2_tokens(seed: int) -> Case:
    config = t.DebertaV2Config(
        **BERT,
        relative_attention=True,
        position_buckets=8,
        pos_att_type=["c2p", "p2c"],
        position_biased_input=False,
        norm_rel_ebd="layer_norm",
        share_att_key=True,
        conv_kernel_size=3,
        conv_act="gelu",
        num_labels=3,
    )

    def draw(g: torch.Generator) -> Any:
        ids = text(g)
        vowel = torch.isin(ids.roll(1, 1), torch.arange(30, 40)).long() + (ids > 40).long()
        return ({"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": vowel},), None

    return _made(seed, t.DebertaV2ForTokenClassification, config, draw)


def roberta_spans(seed: int) -> Case:
    config = t.RobertaConfig(**BERT, position_embedding_type="absolute", hidden_act="silu", pad_token_id=0)

    def draw(g: torch.Generator) -> Any:
        ids = text(g, 32, 16)
        ids[ids == 5] = 6
        start = torch.randint(0, 12, (32, 1), generator=g)
        end = start + torch.randint(1, 4, (32, 1), generator=g)
        ids.scatter_(1, start, 5).scatter_(1, end, 5)
        mask = torch.ones_like(ids)
        return (
            {
                "input_ids": ids,
                "attention_mask": mask,
                "start_positions": start[:, 0],
                "end_positions": end[:, 0],
            },
        ), None

    return _made(seed, t.RobertaForQuestionAnswering, config, draw)


def albert_choice(seed: int) -> Case:
    config = t.AlbertConfig(
        **BERT, embedding_size=16, inner_group_num=2, num_hidden_groups=1, classifier_dropout_prob=0.0
    )

    def draw(g: torch.Generator) -> Any:
        ids = text(g, 96, 12).reshape(32, 3, 12)
        ids[ids == 5] = 6
        label = torch.randint(0, 3, (32,), generator=g)
        ids[torch.arange(32), label, 4:8] = 5
        return ({"input_ids": ids, "labels": label},), None

    return _made(seed, t.AlbertForMultipleChoice, config, draw)


def xlnet_sequence(seed: int) -> Case:
    config = t.XLNetConfig(
        vocab_size=LETTERS,
        d_model=32,
        n_layer=2,
        n_head=4,
        d_inner=64,
        ff_activation="relu",
        untie_r=True,
        dropout=0.0,
        summary_last_dropout=0.0,
        num_labels=2,
    )

    def draw(g: torch.Generator) -> Any:
        ids = text(g, 32, 12)
        return ({"input_ids": ids, "labels": (ids == 1).any(1).long() * 0 + (ids[:, -1] > 35).long()},), None

    return _made(seed, t.XLNetForSequenceClassification, config, draw)


def _masked(g: torch.Generator) -> Any:
    ids = text(g)
    hidden = torch.rand(ids.shape, generator=g) < 0.2
    return ({"input_ids": ids.masked_fill(hidden, LETTERS), "labels": ids.masked_fill(~hidden, -100)},), None


def fnet_masked(seed: int) -> Case:
    config = t.FNetConfig(
        vocab_size=LETTERS + 1,
        hidden_size=32,
        num_hidden_layers=2,
        intermediate_size=64,
        max_position_embeddings=64,
        hidden_dropout_prob=0.0,
    )
    return _made(seed, t.FNetForMaskedLM, config, _masked, 3e-3)


def funnel_masked(seed: int) -> Case:
    config = t.FunnelConfig(
        vocab_size=LETTERS + 1,
        block_sizes=[1, 1],
        num_decoder_layers=1,
        d_model=32,
        n_head=4,
        d_head=8,
        d_inner=64,
        hidden_dropout=0.0,
        attention_dropout=0.0,
        activation_dropout=0.0,
    )
    return _made(seed, t.FunnelForMaskedLM, config, _masked, 3e-3)


KINDS = (
    t5_gated_untied,
    pegasus_relu,
    deberta_v2_tokens,
    roberta_spans,
    albert_choice,
    xlnet_sequence,
    fnet_masked,
    funnel_masked,
)
