"""Unseen sick networks: models of transformers, from small configurations."""

from __future__ import annotations

from typing import Any

from check_blocks import Case
from check_unseen_parts import digits, keyed, text
from torch import nn
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    ConvNextConfig,
    ConvNextForImageClassification,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    ResNetConfig,
    ResNetForImageClassification,
    T5Config,
    T5ForConditionalGeneration,
)

__all__ = [
    "bert_range_1",
    "convnext_dead_branches",
    "gpt2_dropout_95",
    "llama_tied_std_1",
    "resnet_nan_weight",
    "t5_weights_times_10",
]


def _gpt2(**more: Any) -> Any:
    a, _, vocab = text()
    config = GPT2Config(
        vocab_size=vocab,
        n_positions=32,
        n_embd=64,
        n_layer=4,
        n_head=4,
        bos_token_id=0,
        eos_token_id=0,
        **more,
    )
    return GPT2LMHeadModel(config), {"input_ids": a, "labels": a}


def bert_range_1(*, sick: bool) -> Case:
    """Initializer_range 1.0 instead of 0.02: hard attention, saturated, logits large."""
    a, b, vocab = text()
    config = BertConfig(
        vocab_size=vocab,
        hidden_size=64,
        num_hidden_layers=4,
        num_attention_heads=4,
        intermediate_size=128,
        num_labels=vocab,
        initializer_range=1.0 if sick else 0.02,
        max_position_embeddings=32,
    )
    return keyed(BertForSequenceClassification(config), {"input_ids": a, "labels": b[:, -1]})


def gpt2_dropout_95(*, sick: bool) -> Case:
    """Dropout 0.95 everywhere."""
    p = 0.95 if sick else 0.1
    net, batch = _gpt2(resid_pdrop=p, embd_pdrop=p, attn_pdrop=p)
    return keyed(net.train(), batch)


def resnet_nan_weight(*, sick: bool) -> Case:
    """A NaN in one convolution (a damaged checkpoint)."""
    config = ResNetConfig(
        num_channels=1,
        embedding_size=16,
        hidden_sizes=[16, 32],
        depths=[2, 2],
        layer_type="basic",
        num_labels=10,
    )
    net = ResNetForImageClassification(config)
    if sick:
        next(p for n, p in net.named_parameters() if "stages.1" in n and p.ndim == 4).data[3, 2, 0, 0] = (
            float("nan")
        )
    x, y = digits((1, 8, 8))
    x = nn.functional.interpolate(x, scale_factor=4)
    return keyed(net, {"pixel_values": x, "labels": y})


def llama_tied_std_1(*, sick: bool) -> Case:
    """Weights of embedding and head left at torch.nn.Embedding's N(0, 1), tied: logits of std sqrt(d)."""
    a, _, vocab = text()
    config = LlamaConfig(
        vocab_size=vocab,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        tie_word_embeddings=True,
        bos_token_id=0,
        eos_token_id=0,
        pad_token_id=None,
    )
    net = LlamaForCausalLM(config)
    if sick:
        nn.init.normal_(net.model.embed_tokens.weight, std=2.0)
    return keyed(net, {"input_ids": a, "labels": a})


def convnext_dead_branches(*, sick: bool) -> Case:
    """Layer_scale_init_value 0 and depthwise kernels 0: branches dead in both factors."""
    config = ConvNextConfig(
        num_channels=1, patch_size=2, hidden_sizes=[16, 32], depths=[2, 2], num_stages=2, num_labels=10
    )
    net = ConvNextForImageClassification(config)
    if sick:
        for n, p in net.named_parameters():
            if "layer_scale" in n or ("pwconv2" in n):
                nn.init.zeros_(p)
    x, y = digits((1, 8, 8))
    return keyed(net, {"pixel_values": nn.functional.interpolate(x, scale_factor=4), "labels": y})


def t5_weights_times_10(*, sick: bool) -> Case:
    """T5's weights all times 10 (a scale of sqrt(d) taken twice): hard attention, large logits."""
    a, b, vocab = text()
    config = T5Config(
        vocab_size=vocab,
        d_model=64,
        d_kv=16,
        d_ff=128,
        num_layers=2,
        num_heads=4,
        decoder_start_token_id=0,
        pad_token_id=0,
    )
    net = T5ForConditionalGeneration(config)
    if sick:
        for p in net.parameters():
            if p.ndim == 2:
                p.data *= 10
    return keyed(net, {"input_ids": a, "labels": b[:, :16].contiguous()})
