"""Models as people have them: every tensor of every family has one true line in the plan."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

import fanin.torch as ft
from fanin.records.draw import Constant
from fanin.records.plan import Plan, Status
from fanin.torch.names import named_tensors

transformers = pytest.importorskip("transformers")
transformers.logging.set_verbosity_error()

IDS = torch.randint(3, 90, (2, 12), generator=torch.Generator().manual_seed(0))
WIDTH, LAYERS, HEADS, CLASSES = 48, 3, 4, 100
BODY = {"hidden_size": WIDTH, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS}
TEXT = BODY | {"intermediate_size": 96, "vocab_size": CLASSES}


def image(size: int) -> torch.Tensor:
    return torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0))


def bert() -> Any:
    return transformers.BertForMaskedLM(transformers.BertConfig(**TEXT)), {"input_ids": IDS}


def gpt2() -> Any:
    config = transformers.GPT2Config(n_embd=WIDTH, n_layer=LAYERS, n_head=HEADS, vocab_size=CLASSES)
    return transformers.GPT2LMHeadModel(config), {"input_ids": IDS}


def llama() -> Any:
    config = transformers.LlamaConfig(**TEXT, num_key_value_heads=2)
    return transformers.LlamaForCausalLM(config), {"input_ids": IDS}


def gemma() -> Any:
    config = transformers.GemmaConfig(**TEXT, num_key_value_heads=2, head_dim=12, pad_token_id=0)
    return transformers.GemmaForCausalLM(config), {"input_ids": IDS}


def t5() -> Any:
    config = transformers.T5Config(
        d_model=WIDTH, d_kv=12, d_ff=96, num_layers=LAYERS, num_heads=HEADS, vocab_size=CLASSES
    )
    model = transformers.T5ForConditionalGeneration(config)
    return model, {"input_ids": IDS, "decoder_input_ids": IDS}


def vit() -> Any:
    config = transformers.ViTConfig(**BODY, intermediate_size=96, image_size=32, patch_size=8)
    return transformers.ViTForImageClassification(config), {"pixel_values": image(32)}


def resnet() -> Any:
    config = transformers.ResNetConfig(embedding_size=16, hidden_sizes=[32, 64], depths=[2, 3])
    return transformers.ResNetForImageClassification(config), {"pixel_values": image(64)}


def swin() -> Any:
    config = transformers.SwinConfig(
        image_size=32, patch_size=2, embed_dim=24, depths=[2, 2], num_heads=[2, 4], window_size=4
    )
    return transformers.SwinForImageClassification(config), {"pixel_values": image(32)}


def convnext() -> Any:
    config = transformers.ConvNextConfig(hidden_sizes=[16, 32], depths=[2, 2], num_stages=2)
    return transformers.ConvNextForImageClassification(config), {"pixel_values": image(64)}


def whisper() -> Any:
    config = transformers.WhisperConfig(
        vocab_size=CLASSES,
        num_mel_bins=16,
        d_model=WIDTH,
        encoder_layers=LAYERS,
        decoder_layers=LAYERS,
        encoder_attention_heads=HEADS,
        decoder_attention_heads=HEADS,
        encoder_ffn_dim=96,
        decoder_ffn_dim=96,
        max_source_positions=20,
        max_target_positions=30,
        pad_token_id=0,
    )
    features = torch.randn(2, 16, 40, generator=torch.Generator().manual_seed(0))
    model = transformers.WhisperForConditionalGeneration(config)
    return model, {"input_features": features, "decoder_input_ids": IDS}


def mamba() -> Any:
    config = transformers.MambaConfig(
        hidden_size=WIDTH, num_hidden_layers=LAYERS, state_size=8, vocab_size=CLASSES
    )
    return transformers.MambaForCausalLM(config), {"input_ids": IDS}


FAMILIES: tuple[Callable[[], Any], ...] = (
    *(bert, gpt2, llama, gemma, t5, vit, resnet, swin, convnext, whisper, mamba),
)


@pytest.fixture(scope="module", params=FAMILIES, ids=lambda family: family.__name__)
def case(request: Any) -> tuple[str, Any, dict[str, torch.Tensor], Plan]:
    torch.manual_seed(0)
    model, inputs = request.param()
    model.eval()
    return request.param.__name__, model, inputs, ft.init_(model, inputs, seed=1)


def test_every_tensor_has_one_line(case: Any) -> None:
    _, model, _, made = case
    assert [e.name for e in made.entries] == [t.name for t in named_tensors(model)]
    assert made.unrecognised == ()
    assert all(e.reason and e.evidence for e in made.entries)
    trainable = [t.name for t in named_tensors(model) if t.tensor.requires_grad and t.tensor.ndim >= 2]
    kept = [name for name in trainable if made[name].status == Status.KEPT]
    assert all(name.endswith("A_log") for name in kept)


def test_values_have_the_std_that_the_plan_says(case: Any) -> None:
    """What silently went wrong in released libraries: a scaled std that was never applied."""
    _, model, _, made = case
    for tensor in named_tensors(model):
        draw = made[tensor.name].draw
        values = tensor.tensor.detach().double()
        if isinstance(draw, Constant):
            assert bool((values == draw.value).all()), tensor.name
        elif draw is not None:
            # The standard error of a normal sample's std is 1 / sqrt(2 n) of it; 7 of them.
            ratio = float((values**2).mean()) ** 0.5 / draw.std
            assert abs(ratio - 1) < 7 / math.sqrt(2 * values.numel()), tensor.name


def test_the_output_is_a_guess(case: Any) -> None:
    name, model, inputs, _ = case
    with torch.no_grad():
        logits = model(**inputs).logits
    assert bool(torch.isfinite(logits).all())
    # T5 divides what its tied head reads by sqrt(d); batch norms in eval mode do not normalise.
    assert (0.04 if name == "t5" else 0.05) < float(logits.std()) < (2.0 if name == "resnet" else 0.8)


def test_a_second_model_gets_the_same_numbers(case: Any) -> None:
    name, model, inputs, made = case
    torch.manual_seed(99)
    twin, _ = next(family for family in FAMILIES if family.__name__ == name)()
    again = ft.init_(twin.eval(), inputs, seed=1)
    assert not made.diff(again)
    for one, two in zip(named_tensors(model), named_tensors(twin), strict=True):
        if made[one.name].draw is not None:
            assert torch.equal(one.tensor, two.tensor), one.name


def entry(made: Plan, name: str) -> tuple[str, float | None]:
    found = made[name]
    return found.rule, found.gain


def plan_of(family: Callable[[], Any]) -> Plan:
    model, inputs = family()
    return ft.plan(model.eval(), inputs)


def test_depth_is_counted_in_each_family() -> None:
    down = 1 / math.sqrt(2 * LAYERS)
    assert entry(plan_of(gpt2), "transformer.h.1.attn.c_proj.weight") == (
        "residual projection",
        pytest.approx(down),
    )
    assert entry(plan_of(llama), "model.layers.1.self_attn.o_proj.weight")[1] == pytest.approx(down)
    made = plan_of(t5)
    assert entry(made, "encoder.block.1.layer.0.SelfAttention.o.weight")[1] == pytest.approx(down)
    assert entry(made, "decoder.block.1.layer.0.SelfAttention.o.weight")[1] == pytest.approx(
        1 / math.sqrt(3 * LAYERS)
    )
    # No division by the root of the width in the forward pass: scores of power d_kv, half for each side.
    for side in "qk":
        found = entry(made, f"encoder.block.1.layer.0.SelfAttention.{side}.weight")
        assert found == ("weight", pytest.approx(12**-0.25))
    assert entry(made, "encoder.block.1.layer.0.SelfAttention.v.weight") == ("weight", 1.0)


def test_particulars_of_families() -> None:
    assert plan_of(gemma)["model.norm.weight"].draw == Constant(value=0.0)
    assert plan_of(llama)["model.norm.weight"].draw == Constant(value=1.0)
    made = plan_of(mamba)
    assert made["backbone.layers.0.mixer.dt_proj.bias"].rule == "step size"
    assert made["backbone.layers.0.mixer.A_log"].status == Status.KEPT
    assert plan_of(whisper)["model.encoder.embed_positions.weight"].rule == "frozen"
    assert plan_of(bert)["cls.predictions.decoder.weight"].rule == "tied embedding"
    # (in, out) storage: GPT-2's Conv1D counts its fans by role.
    assert plan_of(gpt2)["transformer.h.0.mlp.c_fc.weight"].fan_in == WIDTH
    scaled = plan_of(convnext)["convnext.encoder.stages.0.layers.0.pwconv2.weight"]
    assert "scaled already" in scaled.reason
