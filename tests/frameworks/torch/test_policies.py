"""Modifiers on real models: blocks that start as the identity, and that train from there."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import fanin.torch as ft
from fanin.errors import InputError
from fanin.plans import policies
from fanin.records.draw import Constant

transformers = pytest.importorskip("transformers")
transformers.logging.set_verbosity_error()

IDS = torch.randint(3, 90, (2, 12), generator=torch.Generator().manual_seed(0))
TEXT = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "vocab_size": 100}


def gpt2() -> Any:
    config = transformers.GPT2Config(n_embd=32, n_layer=3, n_head=4, vocab_size=100, n_positions=32)
    return transformers.GPT2LMHeadModel(config).eval(), {"input_ids": IDS}


def llama() -> Any:
    config = transformers.LlamaConfig(**TEXT, intermediate_size=64)
    return transformers.LlamaForCausalLM(config).eval(), {"input_ids": IDS}


def resnet() -> Any:
    config = transformers.ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 16], depths=[2, 2], layer_type="bottleneck"
    )
    return transformers.ResNetForImageClassification(config), torch.randn(
        4, 3, 32, 32, generator=torch.Generator().manual_seed(0)
    )


def stream(model: Any, batch: Any) -> tuple[torch.Tensor, ...]:
    with torch.no_grad():
        found: tuple[torch.Tensor, ...] = model(**batch, output_hidden_states=True).hidden_states
    return found


@pytest.mark.parametrize("make", [gpt2, llama])
@pytest.mark.parametrize("base", ["auto", "he", "framework", "gpt2"])
def test_zero_out_makes_every_block_the_identity(make: Any, base: str) -> None:
    model, batch = make()
    ft.init_(model, batch, policy=f"{base}+zero-out")
    first, *others = stream(model, batch)[:-1]  # the last is behind the final norm
    assert all(torch.equal(first, other) for other in others)
    ft.init_(model, batch, policy=base)
    assert not torch.equal(first, stream(model, batch)[1])


def test_what_starts_at_zero_moves_at_the_first_step_and_the_rest_at_the_second() -> None:
    model, batch = gpt2()
    ft.init_(model, batch, policy="auto+zero-out")
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    moved: list[bool] = []
    for _ in range(2):
        before = model.transformer.h[1].mlp.c_fc.weight.detach().clone()
        optimiser.zero_grad()
        model(**batch, labels=IDS).loss.backward()
        optimiser.step()
        moved.append(not torch.equal(before, model.transformer.h[1].mlp.c_fc.weight))
        assert bool(model.transformer.h[1].mlp.c_proj.weight.any())
    assert moved == [False, True]


def test_zero_residual_norm_on_a_resnet() -> None:
    model, batch = resnet()
    plan = ft.init_(model.train(), batch, policy="he+zero-residual-norm")
    zeroed = [e.name for e in plan.entries if e.rule == "zero-residual-norm" and e.name.endswith("weight")]
    assert len(zeroed) == 4
    assert all(".layer.2." in name for name in zeroed)
    block = model.resnet.encoder.stages[0].layers[1]
    x = torch.rand(4, 8, 8, 8, generator=torch.Generator().manual_seed(1))
    assert torch.equal(block(x), x)


def test_each_modifier_says_where_the_other_belongs() -> None:
    model, batch = resnet()
    with pytest.raises(InputError, match="zero-residual-norm is for it"):
        ft.plan(model.train(), batch, policy="he+zero-out")
    words, ids = gpt2()
    with pytest.raises(InputError, match="6 of them: no norm between the last weight and the join"):
        ft.plan(words, ids, policy="he+zero-residual-norm")


def test_a_norm_behind_a_branch_that_adds_one_gets_minus_one() -> None:
    config = transformers.Gemma2Config(**TEXT, intermediate_size=64, head_dim=8, num_key_value_heads=2)
    model = transformers.Gemma2ForCausalLM(config).eval()
    plan = ft.init_(model, {"input_ids": IDS}, policy="auto+zero-residual-norm")
    assert plan["model.layers.0.post_attention_layernorm.weight"].draw == Constant(value=-1.0)
    first, *others = stream(model, {"input_ids": IDS})[:-1]
    assert all(torch.equal(first, other) for other in others)


def test_a_refused_policy_leaves_the_model_as_it_was() -> None:
    model, batch = gpt2()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    for policy in ("he+zero-residual-norm", "he+glorot", "zero-out", "nonsense"):
        with pytest.raises(InputError):
            ft.init_(model, batch, policy=policy)
    with pytest.raises(InputError, match="has no bias"):
        ft.init_(model, batch, class_prior=[1 / 100] * 100)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def test_a_policy_as_a_value() -> None:
    model, batch = llama()
    value = policies.get("he") + policies.modifier("zero-out")
    assert ft.plan(model, batch, policy=value) == ft.plan(model, batch, policy="he+zero-out")


class Bare(nn.Module):
    """A residual branch without a norm."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner, self.outer = nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = x + self.outer(torch.relu(self.inner(x)))
        return out


def change(policy: str, branches: int) -> float:
    """By how much a step of the branches' weights changes the output, for a small learning rate."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 64), *(Bare(64) for _ in range(branches)), nn.Linear(64, 4)).double()
    x = torch.randn(32, 8, dtype=torch.float64)
    plan = ft.init_(model, x, policy=policy)
    assert any(entry.rule == "fixup" for entry in plan.entries) == (policy == "auto")
    before = model(x)
    before[:, 0].mean().backward()
    rate = 1e-6
    with torch.no_grad():
        for block in list(model)[1:-1]:
            for parameter in block.parameters():
                parameter.sub_(rate * parameter.grad)  # type: ignore[operator]
        return float((model(x) - before).norm() / rate)


def test_a_step_changes_the_output_by_as_much_at_every_depth() -> None:
    """Fixup's claim: with its rule an update's effect does not grow with depth; with 1/sqrt(L) it does."""
    fixed, scaled = (change(policy, 64) / change(policy, 4) for policy in ("auto", "lecun+depth-scaled"))
    assert 0.5 < fixed < 2.0
    assert scaled > 4.0


def test_bare_branches_with_a_learned_gate_keep_it() -> None:
    class Gated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner, self.outer, self.gate = (
                nn.Linear(8, 8),
                nn.Linear(8, 8),
                nn.Parameter(torch.zeros(())),
            )

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            out: torch.Tensor = x + self.gate * self.outer(torch.relu(self.inner(x)))
            return out

    model = nn.Sequential(nn.Linear(8, 8), *(Gated() for _ in range(3)), nn.Linear(8, 2))
    plan = ft.plan(model, torch.zeros(2, 8))
    assert plan["1.gate"].draw is None
    assert all(entry.rule != "fixup" for entry in plan.entries)
    with pytest.raises(InputError, match="a gate of its own"):
        ft.plan(model, torch.zeros(2, 8), policy="auto+zero-out")


def test_post_norm_streams_are_not_bare() -> None:
    config = transformers.BertConfig(**TEXT, intermediate_size=64)
    plan = ft.plan(transformers.BertForMaskedLM(config).eval(), {"input_ids": IDS})
    assert all(entry.rule != "fixup" for entry in plan.entries)
    assert plan["bert.encoder.layer.0.output.dense.weight"].rule == "residual projection"
