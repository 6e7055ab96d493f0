"""Models on the meta device become real ones, bit for bit those that were real from the start."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
import transformers
from torch import nn

import fanin
import fanin.torch
from fanin.errors import InputError
from fanin.records.draw import Normal
from fanin.torch import materialise as materialising

IDS = torch.zeros(1, 8, dtype=torch.long)
SMALL = {"vocab_size": 50, "bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0}


def gpt2() -> tuple[nn.Module, Any]:
    return transformers.GPT2LMHeadModel(transformers.GPT2Config(n_layer=2, n_embd=32, n_head=2, **SMALL)), {
        "input_ids": IDS
    }


def llama() -> tuple[nn.Module, Any]:
    sizes = {"num_hidden_layers": 2, "hidden_size": 32, "intermediate_size": 64}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2}
    return transformers.LlamaForCausalLM(transformers.LlamaConfig(**sizes, **heads, **SMALL)), {
        "input_ids": IDS
    }


def bert() -> tuple[nn.Module, Any]:
    sizes = {"num_hidden_layers": 2, "hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 4}
    return transformers.BertForMaskedLM(transformers.BertConfig(**sizes, **SMALL)), {"input_ids": IDS}


def t5() -> tuple[nn.Module, Any]:
    config = transformers.T5Config(num_layers=2, d_model=32, d_ff=64, num_heads=4, d_kv=8, **SMALL)
    return transformers.T5ForConditionalGeneration(config), {"input_ids": IDS, "decoder_input_ids": IDS}


def resnet() -> tuple[nn.Module, Any]:
    config = transformers.ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic"
    )
    return transformers.ResNetForImageClassification(config), {"pixel_values": torch.zeros(2, 3, 32, 32)}


def swin() -> tuple[nn.Module, Any]:
    config = transformers.SwinConfig(
        image_size=32, patch_size=4, embed_dim=16, depths=[1, 1], num_heads=[2, 2], window_size=4
    )
    return transformers.SwinForImageClassification(config), {"pixel_values": torch.zeros(1, 3, 32, 32)}


def recurrent() -> tuple[nn.Module, Any]:
    return nn.LSTM(6, 4, num_layers=2, bidirectional=True, batch_first=True), torch.zeros(2, 3, 6)


def normalised() -> tuple[nn.Module, Any]:
    plain = nn.Conv2d(3, 4, 3)
    made = nn.Sequential(nn.utils.parametrizations.weight_norm(plain), nn.BatchNorm2d(4), nn.PReLU())
    return made, torch.zeros(2, 3, 8, 8)


def state(model: nn.Module) -> dict[str, torch.Tensor]:
    return dict(model.named_parameters(remove_duplicate=False)) | dict(
        model.named_buffers(remove_duplicate=False)
    )


@pytest.mark.parametrize(
    "make", [gpt2, llama, bert, t5, resnet, swin, recurrent, normalised], ids=lambda f: f.__name__
)
def test_equal_to_a_model_that_was_never_on_meta(make: Callable[[], tuple[nn.Module, Any]]) -> None:
    torch.manual_seed(0)
    real, batch = make()
    with torch.device("meta"):
        model, _ = make()
    real.eval()
    model.eval()
    made = fanin.torch.init_(real, batch, seed=5)
    assert fanin.torch.init_(model, batch, seed=5, device="cpu").diff(made).changes == ()
    one, other = state(real), state(model)
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        assert torch.equal(tensor, other[name]), name
        assert other[name].requires_grad == tensor.requires_grad
        assert other[name].stride() == tensor.stride()
    arguments = ((), batch) if isinstance(batch, dict) else ((batch,), {})
    with torch.no_grad():
        outputs = [m(*arguments[0], **arguments[1]) for m in (real, model)]
    first = [o[0] if not isinstance(o, torch.Tensor) else o for o in outputs]
    assert torch.equal(first[0], first[1])


def test_ties_and_marks_stay() -> None:
    with torch.device("meta"):
        model, batch = gpt2()
    model.transformer.wpe.weight._no_weight_decay = True
    fanin.torch.init_(model, batch, device="cpu")
    assert model.lm_head.weight is model.transformer.wte.weight
    assert model.transformer.wpe.weight._no_weight_decay


def test_tensors_with_memory_stay_where_they_are() -> None:
    torch.manual_seed(0)
    whole = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    mixed = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2, device="meta"))
    there = mixed[0].weight
    batch = torch.zeros(1, 4)
    plan = fanin.torch.init_(whole, batch, seed=2)
    fanin.torch.apply_(mixed, plan, device="cpu")
    assert mixed[0].weight is there
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), mixed.parameters(), strict=True))


class Waves(nn.Module):
    """A table of positions that the constructor computes."""

    def __init__(self, width: int, length: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, width)
        step = torch.exp(torch.arange(0, width, 2) * (-math.log(1e4) / width))
        angles = torch.arange(length)[:, None] * step
        self.register_buffer("table", torch.cat([angles.sin(), angles.cos()], dim=1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(x + self.table[: x.shape[1]])


class Keeping(Waves):
    """The same, and it keeps the constructor's arguments."""

    def __init__(self, width: int, length: int) -> None:
        super().__init__(width, length)
        self.width, self.length = width, length


class Resetting(Waves):
    """The same, by PyTorch's contract."""

    def __init__(self, width: int, length: int) -> None:
        super().__init__(width, length)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        self.table.copy_(torch.ones_like(self.table))


class Doubling(Waves):
    """A reset that depends on what was there computes nothing."""

    def reset_parameters(self) -> None:
        self.table.mul_(2.0)


BATCH = torch.zeros(1, 3, 6)


@pytest.mark.parametrize("kind", [Keeping, Resetting])
def test_owners_that_can_say_their_buffers(kind: type[Waves]) -> None:
    real = kind(6, 10)
    with torch.device("meta"):
        model = kind(6, 10)
    fanin.torch.init_(real, BATCH)
    fanin.torch.init_(model, BATCH, device="cpu")
    assert torch.equal(model.table, real.table)


@pytest.mark.parametrize("kind", [Waves, Doubling])
def test_a_buffer_that_nobody_knows_is_refused_by_name(kind: type[Waves]) -> None:
    with torch.device("meta"):
        model = nn.Sequential(kind(6, 10))
    with pytest.raises(
        InputError, match=r"cannot be known. Received: '0.table'.*Pass values=.*reset_parameters"
    ):
        fanin.torch.init_(model, BATCH, device="cpu")
    assert all(tensor.is_meta for tensor in state(model).values())
    table = Waves(6, 10).table
    fanin.torch.init_(model, BATCH, device="cpu", values={"0.table": table})
    assert torch.equal(model[0].table, table)
    assert not any(tensor.is_meta for tensor in state(model).values())


def test_arguments_that_do_not_give_the_same_owner_are_no_answer() -> None:
    class Changed(Keeping):
        def __init__(self, width: int, length: int, scale: float = 1.0) -> None:
            super().__init__(width, length)
            self.table *= scale
            self.shown = f"scale {scale}"

    with torch.device("meta"):
        model = Changed(6, 10, scale=3.0)
    with pytest.raises(InputError, match="'table'"):
        fanin.torch.init_(model, BATCH, device="cpu")


def test_attributes_that_are_no_buffers() -> None:
    class Loose(nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.linear = nn.Linear(width, width)
            self.shift = torch.arange(width, dtype=torch.float32)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.linear(x) + self.shift

    with torch.device("meta"):
        model = Loose(6)
    with pytest.raises(InputError, match=r"'shift', which is neither a parameter nor a buffer.*buffer"):
        fanin.torch.init_(model, BATCH, device="cpu")
    assert model.linear.weight.is_meta
    model.width = 6
    real = Loose(6)
    real.width = 6
    fanin.torch.init_(real, BATCH)
    # The constructor does not set `width`, so what it gives is not this owner.
    with pytest.raises(InputError, match="'shift'"):
        fanin.torch.init_(model, BATCH, device="cpu")


def test_kept_parameters_get_their_constructors_values() -> None:
    with torch.device("meta"):
        model = nn.Sequential(nn.Linear(4, 4), nn.PReLU(), nn.Linear(4, 4))
    fanin.torch.init_(model, torch.zeros(1, 4), device="cpu")
    assert model[1].weight.tolist() == [0.25]


def test_random_states_are_untouched() -> None:
    torch.manual_seed(1)
    want = torch.rand(3)
    torch.manual_seed(1)
    with torch.device("meta"):
        model, batch = bert()
    fanin.torch.init_(model, batch, device="cpu")
    assert torch.equal(torch.rand(3), want)


def test_a_failure_leaves_everything_on_meta(monkeypatch: Any) -> None:
    with torch.device("meta"):
        model, batch = resnet()
    plan = fanin.torch.plan(model, batch)
    before = {name: id(tensor) for name, tensor in state(model).items()}

    def failing(*_: Any, **__: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(materialising, "commit", failing)
    with pytest.raises(MemoryError):
        fanin.torch.apply_(model, plan, device="cpu")
    monkeypatch.undo()
    bad = plan.override({"*.convolution.weight": Normal(std=math.inf)})
    with pytest.raises(InputError):
        fanin.torch.apply_(model, bad, device="cpu")
    assert {name: id(tensor) for name, tensor in state(model).items()} == before


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_dtypes(dtype: torch.dtype) -> None:
    real, batch = llama()
    with torch.device("meta"):
        model, _ = llama()
    real.to(dtype)
    model.to(dtype)
    fanin.torch.init_(real, batch)
    fanin.torch.init_(model, batch, device="cpu")
    drawn = {name for name, _ in real.named_parameters()}
    assert all(
        torch.equal(tensor, state(model)[name]) for name, tensor in state(real).items() if name in drawn
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({}, r"tensors without memory.*device='cpu'"),
        ({"device": "meta"}, "The meta device has no memory"),
        ({"device": "abacus"}, "There is no such device"),
        ({"values": {"weight": torch.zeros(4, 4)}}, "Values are given, but no device"),
        ({"device": "cpu", "values": {"weight": torch.zeros(4, 4)}}, r"values= is for tensors.*plan keeps"),
    ],
)
def test_what_is_refused(words: dict[str, Any], message: str) -> None:
    model = nn.Linear(4, 4, device="meta")
    with pytest.raises(InputError, match=message):
        fanin.torch.init_(model, torch.zeros(1, 4), **words)
    assert model.weight.is_meta


def test_a_value_of_another_shape() -> None:
    with torch.device("meta"):
        model = Waves(6, 10)
    with pytest.raises(InputError, match=r"'table' cannot be used. Received: shape \(2,\).*\(10, 6\)"):
        fanin.torch.init_(model, BATCH, device="cpu", values={"table": torch.zeros(2)})


def test_values_are_those_of_sample() -> None:
    model = nn.Linear(4, 6, bias=False, device="meta")
    plan = fanin.torch.init_(model, torch.zeros(1, 4), device="cpu", seed=9)
    draw = plan["weight"].draw
    assert draw is not None
    assert torch.equal(model.weight, torch.from_numpy(fanin.sample(draw, (6, 4), seed=9, name="weight")))
