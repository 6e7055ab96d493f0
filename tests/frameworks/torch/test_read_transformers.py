"""Reading models of transformers from tiny configs, offline: every parameter must be understood."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch

from fanin.records.graph import Graph, OpKind, Use, UseKind
from fanin.torch.read import read

transformers = pytest.importorskip("transformers")

pytestmark = pytest.mark.filterwarnings("ignore")

IDS = torch.arange(12).view(2, 6) % 7
PIXELS = torch.zeros(2, 3, 32, 32)
TEXT = {"vocab_size": 50, "hidden_size": 16, "intermediate_size": 32}
HEADS = {"num_attention_heads": 4, "num_key_value_heads": 2}

Case = tuple[Callable[[], torch.nn.Module], Mapping[str, torch.Tensor]]


def case(model: str, config: str, inputs: Mapping[str, torch.Tensor], **settings: Any) -> Case:
    return lambda: getattr(transformers, model)(getattr(transformers, config)(**settings)), inputs


CASES: dict[str, Case] = {
    "bert": case(
        "BertForSequenceClassification",
        "BertConfig",
        {"input_ids": IDS, "attention_mask": torch.ones_like(IDS)},
        **TEXT,
        num_hidden_layers=2,
        num_attention_heads=2,
    ),
    "gpt2": case(
        "GPT2LMHeadModel", "GPT2Config", {"input_ids": IDS}, vocab_size=50, n_embd=16, n_layer=2, n_head=2
    ),
    "llama": case(
        "LlamaForCausalLM", "LlamaConfig", {"input_ids": IDS}, **TEXT, **HEADS, num_hidden_layers=2
    ),
    "gemma": case(
        "GemmaForCausalLM",
        "GemmaConfig",
        {"input_ids": IDS},
        **TEXT,
        **HEADS,
        num_hidden_layers=2,
        head_dim=8,
    ),
    "mixtral": case(
        "MixtralForCausalLM",
        "MixtralConfig",
        {"input_ids": IDS},
        **TEXT,
        **HEADS,
        num_hidden_layers=1,
        num_local_experts=4,
    ),
    "t5": case(
        "T5ForConditionalGeneration",
        "T5Config",
        {"input_ids": IDS, "decoder_input_ids": IDS},
        vocab_size=50,
        d_model=16,
        d_kv=8,
        d_ff=32,
        num_layers=2,
        num_heads=2,
    ),
    "vit": case(
        "ViTForImageClassification",
        "ViTConfig",
        {"pixel_values": PIXELS},
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=32,
        patch_size=8,
    ),
    "resnet": case(
        "ResNetForImageClassification",
        "ResNetConfig",
        {"pixel_values": PIXELS},
        embedding_size=8,
        hidden_sizes=[8, 16],
        depths=[2, 2],
    ),
    "swin": case(
        "SwinForImageClassification",
        "SwinConfig",
        {"pixel_values": PIXELS},
        image_size=32,
        patch_size=4,
        embed_dim=8,
        depths=[2, 2],
        num_heads=[2, 2],
        window_size=4,
    ),
    "whisper": case(
        "WhisperForConditionalGeneration",
        "WhisperConfig",
        {"input_features": torch.zeros(2, 8, 40), "decoder_input_ids": IDS},
        vocab_size=50,
        d_model=16,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        num_mel_bins=8,
        max_source_positions=20,
        max_target_positions=16,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=1,
    ),
    "mamba": case(
        "MambaForCausalLM",
        "MambaConfig",
        {"input_ids": IDS},
        vocab_size=50,
        hidden_size=16,
        state_size=4,
        num_hidden_layers=2,
    ),
}

BRANCHES = {
    "bert": 4,
    "gpt2": 4,
    "llama": 4,
    "gemma": 4,
    "mixtral": 2,
    "t5": 10,
    "vit": 4,
    "resnet": 4,
    "swin": 8,
    "whisper": 5,
    "mamba": 2,
}

_graphs: dict[str, Graph] = {}


def graph_of(name: str) -> Graph:
    if name not in _graphs:
        make, inputs = CASES[name]
        _graphs[name] = read(make(), dict(inputs))
    return _graphs[name]


def uses(graph: Graph, ending: str) -> list[Use]:
    found = [use for p in graph.parameters if p.name.endswith(ending) for use in p.uses]
    assert found, ending
    return found


@pytest.mark.parametrize("name", CASES)
def test_every_parameter_is_understood(name: str) -> None:
    graph = graph_of(name)
    assert graph.engine == "fake tensors"
    unexplained = [
        p.name for p in graph.parameters if not p.buffer and (not p.uses or p.uses[0].kind == UseKind.OTHER)
    ]
    assert unexplained == []
    # What is called a norm, a bias, an embedding by its authors is one by its computation.
    for p in graph.parameters:
        kinds = {use.kind for use in p.uses}
        if p.buffer:
            continue
        if "norm" in p.name.lower() or ".ln_" in p.name:
            assert kinds <= {UseKind.NORM_SCALE, UseKind.NORM_SHIFT}, p.name
        elif p.name.endswith(".bias") and "relative" not in p.name:
            assert kinds == {UseKind.BIAS}, p.name
        elif "embed" in p.name and p.name.endswith("s.weight"):
            assert UseKind.EMBEDDING in kinds, p.name


@pytest.mark.parametrize("name", CASES)
def test_branches_and_heads_are_counted(name: str) -> None:
    graph = graph_of(name)
    assert len(graph.branches) == BRANCHES[name]
    assert all(branch.final for branch in graph.branches)
    assert sum(use.head for p in graph.parameters for use in p.uses) == 1
    assert graph.path
    assert graph.path[-1] == graph.outputs[0]


@pytest.mark.parametrize(
    ("name", "layout"),
    [("gpt2", "in out"), ("bert", "out in"), ("llama", "out in"), ("mixtral", "batch out in")],
)
def test_layouts(name: str, layout: str) -> None:
    ending = {"gpt2": "c_fc.weight", "bert": "intermediate.dense.weight", "llama": "gate_proj.weight"}
    assert {str(use.axes) for use in uses(graph_of(name), ending.get(name, "experts.gate_up_proj"))} == {
        layout
    }


@pytest.mark.parametrize(
    ("name", "ending", "activation"),
    [
        ("bert", "intermediate.dense.weight", "gelu"),
        ("gpt2", "c_fc.weight", "gelu_tanh"),
        ("llama", "gate_proj.weight", "silu"),
        ("gemma", "gate_proj.weight", "gelu_tanh"),
        ("mixtral", "experts.gate_up_proj", "silu"),
        ("t5", "wi.weight", "relu"),
        ("vit", "fc1.weight", "gelu"),
        ("swin", "fc1.weight", "gelu"),
        ("whisper", "fc1.weight", "gelu"),
        ("mamba", "dt_proj.weight", "softplus"),
    ],
)
def test_activations(name: str, ending: str, activation: str) -> None:
    graph = graph_of(name)
    found = {use.activation for use in uses(graph, ending)}
    assert {None if index is None else graph.activations[index].name for index in found} == {activation}


def test_packed_blocks() -> None:
    assert {use.blocks for use in uses(graph_of("gpt2"), "c_attn.weight")} == {(16, 16, 16)}
    assert {use.blocks for use in uses(graph_of("mixtral"), "gate_up_proj")} == {(32, 32)}
    assert {use.blocks for use in uses(graph_of("llama"), "q_proj.weight")} == {()}
    assert {use.blocks for use in uses(graph_of("mamba"), "in_proj.weight")} == {(32, 32)}


def test_offsets_of_norm_scales() -> None:
    assert {use.offset for use in uses(graph_of("gemma"), "layernorm.weight")} == {1.0}
    assert {use.offset for use in uses(graph_of("llama"), "layernorm.weight")} == {0.0}


def test_gates_are_marked() -> None:
    for name in ("llama", "gemma"):
        graph = graph_of(name)
        assert all(
            use.gated for ending in ("gate_proj.weight", "up_proj.weight") for use in uses(graph, ending)
        )
        assert all(use.gate_activation is not None for use in uses(graph, "down_proj.weight"))


def test_a_tied_head_is_one_parameter() -> None:
    (table,) = (p for p in graph_of("gpt2").parameters if p.name == "transformer.wte.weight")
    assert table.aliases == ("lm_head.weight",)
    assert [use.kind for use in table.uses] == [UseKind.EMBEDDING, UseKind.WEIGHT]
    assert [use.head for use in table.uses] == [False, True]


def test_the_router_of_experts_is_not_a_branchs_end() -> None:
    graph = graph_of("mixtral")
    assert graph.branches[1].final == ("model.layers.0.mlp.experts.down_proj",)


def test_a_large_model_on_meta_costs_seconds_and_no_memory() -> None:
    settings = transformers.LlamaConfig(
        vocab_size=1000,
        hidden_size=4096,
        intermediate_size=14336,
        num_hidden_layers=100,
        num_attention_heads=32,
    )
    with torch.device("meta"):
        model = transformers.LlamaForCausalLM(settings)
    assert sum(p.numel() for p in model.parameters()) > 20e9
    start = time.perf_counter()
    graph = read(model, {"input_ids": torch.zeros(1, 16, dtype=torch.long)})
    # About 6 s on two slow cores; memory that was really allocated would be 80 GB.
    assert time.perf_counter() - start < 120
    assert len(graph.branches) == 200
    assert sum(node.kind == OpKind.NORM for node in graph.nodes) == 201
