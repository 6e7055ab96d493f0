"""Conventions that are reproduced: their laws against the models of those who keep them."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any

import pytest
import torch
from torch import nn

import fanin.torch as ft
from fanin.laws import moments
from fanin.records.draw import Constant, Normal
from fanin.torch.names import named_tensors

transformers = pytest.importorskip("transformers")
transformers.logging.set_verbosity_error()

IDS = torch.randint(3, 90, (2, 12), generator=torch.Generator().manual_seed(0))
BODY = {"hidden_size": 64, "num_hidden_layers": 4, "num_attention_heads": 4}
TEXT = BODY | {"intermediate_size": 128, "vocab_size": 100}
FALSE_ALARM = 1e-9


def gpt2() -> Any:
    config = transformers.GPT2Config(n_embd=64, n_layer=4, n_head=4, vocab_size=100, n_positions=32)
    return transformers.GPT2LMHeadModel(config)


def agrees(model: nn.Module, plan: Any) -> None:
    """Each tensor's mean and std against the draw of its entry; z-scores of a test in each of two ways."""
    drawn = [e for e in plan.entries if e.draw is not None]
    assert drawn
    tensors = {found.name: found.tensor.detach().double() for found in named_tensors(model)}
    limit = NormalDist().inv_cdf(1 - FALSE_ALARM / (4 * len(drawn)))
    for entry in drawn:
        live = tensors[entry.name]
        if entry.zeroed is not None:
            live = torch.cat([live[: entry.zeroed], live[entry.zeroed + 1 :]])
        count, std = live.numel(), entry.draw.std
        if std == 0.0:
            assert bool((live == entry.draw.mean).all()), entry.name
            continue
        spread = math.sqrt((moments.kurtosis(entry.draw) - 1) / (4 * count))
        assert abs(float(live.mean()) - entry.draw.mean) < limit * std / math.sqrt(count), entry.name
        assert abs(float(live.std(correction=0)) / std - 1) < limit * spread + 1 / count, entry.name


def test_gpt2_is_what_transformers_draws() -> None:
    torch.manual_seed(0)
    model = gpt2()
    agrees(model, ft.plan(model.eval(), {"input_ids": IDS}, policy="gpt2"))


def test_a_lost_residual_factor_would_be_seen() -> None:
    """What transformers 5.0 to 5.14 did: 0.02 for the last weights of the branches too."""
    torch.manual_seed(0)
    model = gpt2()
    plan = ft.plan(model.eval(), {"input_ids": IDS}, policy="gpt2")
    nn.init.normal_(model.transformer.h[2].mlp.c_proj.weight, std=0.02)
    with pytest.raises(AssertionError, match=r"h\.2\.mlp\.c_proj"):
        agrees(model, plan)


@pytest.mark.parametrize("name", ["Bert", "ViT", "Llama"])
def test_the_base_class_of_transformers(name: str) -> None:
    torch.manual_seed(0)
    if name == "ViT":
        config = transformers.ViTConfig(**BODY, intermediate_size=128, image_size=16, patch_size=4)
        model, batch = transformers.ViTForImageClassification(config), torch.zeros(1, 3, 16, 16)
    else:
        config = getattr(transformers, f"{name}Config")(**TEXT)
        kind = {"Bert": "BertForMaskedLM", "Llama": "LlamaForCausalLM"}[name]
        model, batch = getattr(transformers, kind)(config), {"input_ids": IDS}
    agrees(model, ft.plan(model.eval(), batch, policy="hf-0.02"))


def test_llama_is_what_torchtitan_says() -> None:
    model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**TEXT))
    made = ft.plan(model.eval(), {"input_ids": IDS}, policy="llama")
    for layer in range(4):
        prefix, deep = f"model.layers.{layer}", 0.02 / math.sqrt(2 * (layer + 1))
        for weight in ("self_attn.o_proj", "mlp.down_proj", "mlp.up_proj"):
            assert made[f"{prefix}.{weight}.weight"].draw == Normal(std=pytest.approx(deep))
        for weight in ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "mlp.gate_proj"):
            assert made[f"{prefix}.{weight}.weight"].draw == Normal(std=0.02)
        assert made[f"{prefix}.input_layernorm.weight"].draw == Constant(value=1.0)
    assert made["model.embed_tokens.weight"].draw == Normal(std=1.0)
    # torch.nn.init.trunc_normal_ as torchtitan calls it.
    head = torch.empty(1000, 1000)
    nn.init.trunc_normal_(head, std=1 / 8, a=-3 / 8, b=3 / 8, generator=torch.Generator().manual_seed(0))
    draw = made["lm_head.weight"].draw
    assert draw is not None
    assert draw.std == pytest.approx(float(head.std()), rel=6 / math.sqrt(2e6))
    assert draw.std < 1 / 8


def test_timm() -> None:
    config = transformers.ViTConfig(**BODY, intermediate_size=128, image_size=16, patch_size=4)
    model = transformers.ViTForImageClassification(config)
    made = ft.plan(model.eval(), torch.zeros(1, 3, 16, 16), policy="timm-vit")
    conv = nn.Conv2d(3, 4096, 4)
    patches = "vit.embeddings.patch_embeddings.projection"
    weight, bias = made[f"{patches}.weight"].draw, made[f"{patches}.bias"].draw
    assert weight == bias
    assert weight is not None
    assert weight.std == pytest.approx(float(conv.weight.detach().std()), rel=0.02)
    assert made["vit.embeddings.cls_token"].draw == Normal(std=1e-6)
    assert made["vit.embeddings.position_embeddings"].draw == Normal(std=0.02)
    linear = [m for m in model.modules() if isinstance(m, nn.Linear)]
    names = {id(p): name for name, p in model.named_parameters()}
    for layer in linear:
        assert made[names[id(layer.weight)]].draw == Normal(std=0.02)
        assert made[names[id(layer.bias)]].draw == Constant(value=0.0)


def test_lstm_of_the_base_class() -> None:
    model = nn.LSTM(8, 16)
    made = ft.plan(model, torch.zeros(3, 2, 8), policy="hf-0.02")
    for name in ("weight_ih_l0", "weight_hh_l0"):
        tensor = getattr(model, name)
        bound = math.sqrt(6 / sum(tensor.shape))
        draw = made[name].draw
        assert draw is not None
        assert (draw.std, draw.mean) == (pytest.approx(bound / math.sqrt(3)), 0.0)
    assert made["bias_ih_l0"].draw == Constant(value=0.0)


def test_logits_of_t5_start_at_half() -> None:
    """The constant before a tied head is seen: logits of std 0.5, not 0.5 / sqrt(d)."""
    config = transformers.T5Config(
        vocab_size=400, d_model=64, d_kv=16, d_ff=128, num_layers=2, num_heads=4, dropout_rate=0.0
    )
    model = transformers.T5ForConditionalGeneration(config).eval()
    batch = {"input_ids": IDS, "decoder_input_ids": IDS}
    made = ft.init_(model, batch)
    with torch.no_grad():
        logits = model(**batch).logits
    assert "0.125 multiplies its input" in made.why("shared.weight")
    # 9600 logits of 24 places, which share 64 features: a std is known to 1 / sqrt(2 * 64) at worst.
    assert float(logits.std()) == pytest.approx(0.5, rel=3 / math.sqrt(128))
