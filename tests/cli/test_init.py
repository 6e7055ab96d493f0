"""``fanin init``: both files or neither."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from fanin.cli.targets import load
from fanin.records.codec import digest
from fanin.records.plan import Plan
from fanin.torch import init_

pytestmark = pytest.mark.usefixtures("nets")


def names(folder: Path) -> set[str]:
    """Files that a command left, hidden ones too."""
    return {p.name for p in folder.iterdir()} - {"nets.py", "__pycache__"}


def test_the_file_holds_what_init_gives(fanin: Callable[..., Any], tmp_path: Path) -> None:
    ended = fanin("init", "nets.py:small", "-i", "16x4", "--seed", "5", "-o", "m.safetensors")
    assert ended.code == 0
    assert ended.out == "m.safetensors\nm.plan.json\n"
    assert names(tmp_path) == {"m.safetensors", "m.plan.json"}
    model = load("nets.py:small", seed=0)
    plan = init_(model, torch.zeros(16, 4), seed=5)
    stored = load_file("m.safetensors")
    assert set(stored) == set(model.state_dict())
    assert all(torch.equal(stored[name], tensor) for name, tensor in model.state_dict().items())
    assert Plan.load("m.plan.json").entries == plan.entries
    with safe_open("m.safetensors", "pt") as file:
        metadata = file.metadata()
    assert metadata["fanin.seed"] == "5"
    assert metadata["fanin.stream"] == str(plan.stream)
    assert metadata["fanin.plan.sha256"] == digest(Plan.load("m.plan.json"))
    assert metadata["format"] == "pt"


def test_ties_are_stored_once(fanin: Callable[..., Any]) -> None:
    assert fanin("init", "nets.py:Words", "-i", "2x5:int64", "-o", "w.safetensors").code == 0
    assert list(load_file("w.safetensors")) == ["embed.weight"]


def test_the_same_command_gives_the_same_bytes(fanin: Callable[..., Any], tmp_path: Path) -> None:
    for name in ("a", "b"):
        fanin("init", "nets.py:small", "-i", "16x4", "-o", f"{name}.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()


@pytest.mark.parametrize("there", ["m.safetensors", "m.plan.json"])
def test_what_exists_is_kept_without_force(fanin: Callable[..., Any], tmp_path: Path, there: str) -> None:
    (tmp_path / there).write_text("precious", encoding="utf-8")
    ended = fanin("init", "nets.py:small", "-i", "16x4", "-o", "m.safetensors")
    assert ended.code == 2
    assert ended.err == f"error: The output exists. Received: {there}. Choose another name, or use --force.\n"
    assert names(tmp_path) == {there}
    assert (tmp_path / there).read_text(encoding="utf-8") == "precious"
    assert fanin("init", "nets.py:small", "-i", "16x4", "-o", "m.safetensors", "--force").code == 0
    assert names(tmp_path) == {"m.safetensors", "m.plan.json"}


def test_a_folder_that_is_not_there(fanin: Callable[..., Any]) -> None:
    ended = fanin("init", "nets.py:small", "-i", "16x4", "-o", "no/m.safetensors")
    assert ended.code == 2
    assert (
        ended.err
        == "error: The output cannot be written. Received: no/m.safetensors (its folder is not there).\n"
    )


@pytest.mark.parametrize(("name", "told"), [("", "no name"), ("x" * 300, "cannot be written")])
def test_names_that_no_file_has(fanin: Callable[..., Any], tmp_path: Path, name: str, told: str) -> None:
    ended = fanin("init", "nets.py:small", "-i", "16x4", "-o", name)
    assert (ended.code, names(tmp_path)) == (2, set())
    assert told in ended.err


def damage(what: str, text: str) -> str:
    """A saved plan with one thing wrong."""
    plan = json.loads(text)
    first = plan["entries"][0]
    match what:
        case "half":
            return text[: len(text) // 2]
        case "another schema":
            plan["schema_version"] = 2
        case "seed":
            plan["seed"] = 10**30
        case "digits":
            return text.replace('"seed": 0', '"seed": ' + "9" * 10_000)
        case "NaN":
            first["draw"]["std"] = float("nan")
        case "shape":
            first["shape"] = [2**70, 4]
        case "twice":
            plan["entries"].append(first)
        case "another model":
            first["name"] = "encoder.weight"
        case "draw":
            first["draw"] = {}
    return json.dumps(plan)


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ("half", "not JSON"), ("another schema", "another schema version"), ("seed", "seed is outside"),
        ("digits", "not JSON"), ("NaN", "not finite"), ("shape", "another shape"), ("twice", "planned twice"),
        ("another model", "not in the model: encoder.weight"), ("draw", "one of Constant, Uniform"),
    ],
)  # fmt: skip
def test_plans_that_are_broken(fanin: Callable[..., Any], tmp_path: Path, what: str, told: str) -> None:
    assert fanin("plan", "nets.py:small", "-i", "16x4", "-o", "p.json").code == 0
    whole = (tmp_path / "p.json").read_text(encoding="utf-8")
    (tmp_path / "p.json").write_text(damage(what, whole), encoding="utf-8")
    ended = fanin("init", "nets.py:small", "--plan", "p.json", "-o", "m.safetensors")
    assert (ended.code, told in ended.err) == (2, True), ended.err
    assert names(tmp_path) == {"p.json"}
    (tmp_path / "p.json").write_text(damage("nothing", whole), encoding="utf-8")
    assert fanin("init", "nets.py:small", "--plan", "p.json", "-o", "m.safetensors").code == 0


def test_a_rename_that_fails_puts_everything_back(
    fanin: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "m.safetensors").write_text("precious", encoding="utf-8")
    rename = Path.rename

    def failing(self: Path, target: Path) -> Path:
        if Path(target).name == "m.plan.json":
            raise OSError(28, os.strerror(28))
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", failing)
    ended = fanin("init", "nets.py:small", "-i", "16x4", "-o", "m.safetensors", "--force")
    assert ended.code == 2
    assert "No space left" in ended.err
    assert names(tmp_path) == {"m.safetensors"}
    assert (tmp_path / "m.safetensors").read_text(encoding="utf-8") == "precious"


def test_json(fanin: Callable[..., Any]) -> None:
    ended = fanin("init", "nets.py:small", "-i", "16x4", "-o", "m.safetensors", "--format", "json")
    assert json.loads(ended.out) == {"weights": "m.safetensors", "plan": "m.plan.json"}
    assert "4 tensors" in ended.err


def test_a_configuration_is_initialised_without_the_models_own_draws(
    fanin: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The numbers are those of a model that had weights before; its own code draws none."""
    import torch
    import transformers

    import fanin.torch as front

    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "vocab_size": 50}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "pad_token_id": 0}
    config = transformers.LlamaConfig(**sizes, **heads, architectures=["LlamaForCausalLM"])
    config.save_pretrained(tmp_path / "llama")
    real = transformers.LlamaForCausalLM(config)
    front.init_(real, {"input_ids": torch.zeros(2, 16, dtype=torch.long)}, seed=7)

    normal = torch.Tensor.normal_

    def without_memory(self: torch.Tensor, *given: Any, **words: Any) -> torch.Tensor:
        if not self.is_meta:
            raise AssertionError("drawn in vain")
        return normal(self, *given, **words)

    monkeypatch.setattr(torch.Tensor, "normal_", without_memory)
    assert fanin("init", "hf:llama", "--seed", "7", "-o", "l.safetensors").code == 0
    stored = load_file("l.safetensors")
    for name, parameter in real.named_parameters():
        assert torch.equal(stored[name], parameter), name
