"""Auditing real models: what users lost in silence is found by one call."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
import transformers
from torch import nn

import fanin.torch
from fanin.errors import InputError, ModelError, UnknownNameError
from fanin.records.audit import Match
from fanin.records.finding import Severity


def gpt2() -> Any:
    torch.manual_seed(0)
    config = transformers.GPT2Config(
        n_layer=4, n_embd=64, n_head=4, vocab_size=300, n_positions=64, bos_token_id=0, eos_token_id=0
    )
    return transformers.GPT2LMHeadModel(config)


IDS = {"input_ids": torch.zeros(1, 8, dtype=torch.long)}


def test_gpt2_follows_its_convention() -> None:
    found = fanin.torch.audit(gpt2(), IDS, against="gpt2")
    assert found.agrees, str(found)
    assert found.verdict.startswith("GPT2LMHeadModel follows policy gpt2: ")


def test_models_of_transformers_need_no_batch() -> None:
    model = gpt2()
    assert fanin.torch.audit(model, against="gpt2") == fanin.torch.audit(model, IDS, against="gpt2")


def test_a_residual_scaling_that_stopped_applying_is_found() -> None:
    """What transformers 5.0 to 5.14 do: the name test of GPT-2's last projections never matches."""
    model = gpt2()
    for name, parameter in model.named_parameters():
        if name.endswith("c_proj.weight"):
            nn.init.normal_(parameter, std=0.02)
    found = fanin.torch.audit(model, IDS, against="gpt2")
    assert {line.name for line in found.faulty} == {
        n for n, _ in model.named_parameters() if "c_proj.weight" in n
    }
    assert all("the factor 1/√8" in line.finding for line in found.faulty)
    assert all(line.severity == Severity.WARNING for line in found.faulty)


def test_a_plan_that_was_carried_out_is_there_to_the_last_bit() -> None:
    model = gpt2()
    plan = fanin.torch.init_(model, IDS, seed=3)
    found = fanin.torch.audit(model, against=plan)
    random = [e.name for e in plan.entries if e.std]
    assert all(found[name].match == Match.EXACT for name in random)
    wrapped = nn.DataParallel(model)
    assert fanin.torch.audit(wrapped, against=plan).agrees


def test_weights_from_a_checkpoint_are_compared_too() -> None:
    model = gpt2()
    for parameter in model.parameters():
        parameter._is_hf_initialized = True
    found = fanin.torch.audit(model, IDS, against="gpt2")
    assert all(line.match != Match.KEPT for line in found.comparisons)


def test_layers_of_the_framework_are_told() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Embedding(50, 64), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64))
    batch = torch.zeros(1, 4, dtype=torch.long)
    found = fanin.torch.audit(model, batch, against="he")
    assert found["1.weight"].law.startswith("the framework's default law")
    assert fanin.torch.audit(model, batch, against="framework").agrees


@pytest.mark.parametrize("sizes", [{}, {"kdim": 48, "vdim": 80}])
def test_attention_of_the_framework_is_told(sizes: dict[str, int]) -> None:
    torch.manual_seed(0)
    layer = nn.MultiheadAttention(64, 4, batch_first=True, **sizes)
    batch = [torch.zeros(2, 3, sizes.get(name, 64)) for name in ("embed_dim", "kdim", "vdim")]
    found = fanin.torch.audit(layer, *batch, against="framework")
    assert found.agrees, str(found)
    assert not fanin.torch.audit(layer, *batch, against="glorot").agrees


def test_copies_of_one_layer_are_found() -> None:
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
    model = nn.TransformerEncoder(layer, 3, enable_nested_tensor=False)
    found = fanin.torch.audit(model, torch.zeros(1, 4, 16), against="framework")
    assert "identical" in found["layers.1.linear1.weight"].faults
    assert "identical" in found["layers.2.linear1.weight"].faults
    assert found["layers.0.linear1.weight"].faults == ()
    assert {fault for line in found.faulty for fault in line.faults} == {"identical"}
    plan = fanin.torch.init_(model, torch.zeros(1, 4, 16))
    assert fanin.torch.audit(model, against=plan).agrees


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_other_dtypes(dtype: torch.dtype) -> None:
    model = nn.Sequential(nn.Linear(32, 48), nn.ReLU(), nn.Linear(48, 8)).to(dtype)
    plan = fanin.torch.init_(model, torch.zeros(1, 32, dtype=dtype))
    found = fanin.torch.audit(model, against=plan)
    assert [line.match for line in found.comparisons].count(Match.EXACT) == 2
    with torch.no_grad():
        model[0].weight.mul_(1.5)
    assert fanin.torch.audit(model, against=plan)["0.weight"].faults == ("std",)


def test_scalars_and_empty_tensors() -> None:
    class Gated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear, self.gate = nn.Linear(8, 8), nn.Parameter(torch.tensor(0.5))
            self.none = nn.Parameter(torch.zeros(0, 8))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + self.gate * self.linear(x)

    model = Gated()
    plan = fanin.torch.plan(model, torch.zeros(2, 8)).override({"gate": fanin.constant(value=0.25)})
    fanin.torch.apply_(model, plan)
    found = fanin.torch.audit(model, against=plan)
    assert found.agrees, str(found)
    with torch.no_grad():
        model.gate.fill_(0.5)
    assert fanin.torch.audit(model, against=plan)["gate"].faults == ("value",)


def test_the_model_is_not_changed() -> None:
    model = gpt2()
    before = copy.deepcopy(model.state_dict())
    fanin.torch.audit(model, IDS, against="auto")
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_what_cannot_be_audited() -> None:
    model = nn.Linear(4, 4)
    with pytest.raises(InputError, match=r"nothing to compare.*Give a batch"):
        fanin.torch.audit(model)
    with pytest.raises(InputError, match="no model to audit"):
        fanin.torch.audit("model.pt")  # type: ignore[arg-type]
    with pytest.raises(UnknownNameError, match="he"):
        fanin.torch.audit(model, torch.zeros(1, 4), against="hee")
    plan = fanin.torch.plan(model, torch.zeros(1, 4))
    with pytest.raises(InputError, match="another shape"):
        fanin.torch.audit(nn.Linear(5, 4), against=plan)
    with pytest.raises(ModelError, match=r"on the meta device: weight, bias.*device='cpu'"):
        fanin.torch.audit(nn.Linear(4, 4, device="meta"), torch.zeros(1, 4))
