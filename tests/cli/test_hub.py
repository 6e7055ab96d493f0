"""``hf:`` targets: random weights from a configuration, offline."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from fanin.cli import hub
from fanin.cli.targets import load
from fanin.errors import TargetError

pytest.importorskip("transformers")

SMALL: dict[str, dict[str, Any]] = {
    "gpt2": {
        "architectures": ["GPT2LMHeadModel"], "model_type": "gpt2",
        "n_layer": 2, "n_head": 2, "n_embd": 16, "vocab_size": 37, "n_positions": 32,
    },
    "bert": {
        "model_type": "bert", "num_hidden_layers": 1, "num_attention_heads": 2, "hidden_size": 16,
        "intermediate_size": 32, "vocab_size": 37,
    },
    "vit": {
        "architectures": ["ViTForImageClassification"], "model_type": "vit", "num_hidden_layers": 1,
        "num_attention_heads": 2, "hidden_size": 16, "intermediate_size": 32, "image_size": 16,
        "patch_size": 8,
    },
    "t5": {
        "architectures": ["T5ForConditionalGeneration"], "model_type": "t5", "num_layers": 1, "num_heads": 2,
        "d_model": 16, "d_ff": 32, "d_kv": 8, "vocab_size": 37,
    },
}  # fmt: skip


@pytest.fixture
def config(tmp_path: Path) -> Callable[[str], Path]:
    """A folder with the configuration of a small model."""

    def write(name: str) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps(SMALL[name]), encoding="utf-8")
        return folder

    return write


@pytest.mark.parametrize(
    ("name", "kind", "inputs"),
    [
        ("gpt2", "GPT2LMHeadModel", ["input_ids"]),
        ("bert", "BertModel", ["input_ids"]),
        ("vit", "ViTForImageClassification", ["pixel_values"]),
        ("t5", "T5ForConditionalGeneration", ["input_ids", "decoder_input_ids"]),
    ],
)
def test_the_configurations_class_with_its_own_inputs(
    config: Callable[[str], Path], name: str, kind: str, inputs: list[str]
) -> None:
    model = load(f"hf:{config(name)}", seed=0)
    assert type(model).__name__ == kind
    made = hub.default_inputs(model)
    assert made is not None
    assert list(made) == inputs
    with torch.no_grad():
        model(**made)


def test_a_file_does_as_well_as_its_folder(config: Callable[[str], Path]) -> None:
    assert type(load(f"hf:{config('gpt2') / 'config.json'}", seed=0)).__name__ == "GPT2LMHeadModel"


def test_a_plan_of_gpt2(config: Callable[[str], Path], fanin: Callable[..., Any]) -> None:
    ended = fanin("plan", f"hf:{config('gpt2')}")
    assert ended.code == 0, ended.err
    assert "transformer.wte.weight" in ended.out
    assert "transformer.h.0-1." in ended.out


@pytest.mark.parametrize(
    "content",
    ["{", '{"model_type": "nosuchtype"}', '{"architectures": ["pipeline"]}', "[]"],
)
def test_what_is_no_configuration(tmp_path: Path, content: str) -> None:
    (tmp_path / "config.json").write_text(content, encoding="utf-8")
    with pytest.raises(TargetError, match="No model can be built from"):
        load(f"hf:{tmp_path}", seed=0)


def test_code_from_elsewhere_is_never_run(tmp_path: Path) -> None:
    (tmp_path / "evil.py").write_text("raise SystemExit('ran')", encoding="utf-8")
    remote = {"model_type": "evil", "auto_map": {"AutoConfig": "evil.Config", "AutoModel": "evil.Model"}}
    (tmp_path / "config.json").write_text(json.dumps(remote), encoding="utf-8")
    with pytest.raises(TargetError, match="No model can be built from"):
        load(f"hf:{tmp_path}", seed=0)


def test_pickles_beside_a_configuration_are_not_opened(config: Callable[[str], Path]) -> None:
    folder = config("gpt2")
    (folder / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'exit 3'\ntR.")
    load(f"hf:{folder}", seed=0)


@pytest.mark.parametrize("name", list(SMALL))
def test_a_plan_needs_no_memory_and_is_the_same(config: Callable[[str], Path], name: str) -> None:
    from fanin.torch import plan

    target = f"hf:{config(name)}"
    light, heavy = (load(target, seed=0, meta=meta) for meta in (True, False))
    assert all(p.is_meta for p in light.parameters())
    plans = [plan(model, hub.default_inputs(model)) for model in (light, heavy)]
    assert plans[0].entries == plans[1].entries


MORE: dict[str, dict[str, Any]] = {
    # Several base models, none asked for by name.
    "funnel": {
        "model_type": "funnel", "block_sizes": [1, 1], "d_model": 32, "n_head": 2, "d_head": 16,
        "d_inner": 32, "vocab_size": 37,
    },
    "bros": {
        "model_type": "bros", "num_hidden_layers": 1, "num_attention_heads": 2, "hidden_size": 64,
        "intermediate_size": 32, "vocab_size": 37,
    },
    # Rows of patches and their grids.
    "glm_image_vision": {
        "model_type": "glm_image_vision", "hidden_size": 32, "intermediate_size": 32, "depth": 1,
        "num_heads": 2, "patch_size": 4,
    },
}  # fmt: skip


@pytest.mark.parametrize("name", list(MORE))
def test_inputs_of_many_kinds_are_made_up(tmp_path: Path, name: str) -> None:
    (tmp_path / "config.json").write_text(json.dumps(MORE[name]), encoding="utf-8")
    model = load(f"hf:{tmp_path}", seed=0)
    inputs = hub.default_inputs(model)
    assert inputs is not None
    model(**inputs)


def test_what_nobody_can_make_up_is_named(tmp_path: Path, fanin: Callable[..., Any]) -> None:
    series = {"model_type": "timesfm", "hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1}
    (tmp_path / "config.json").write_text(json.dumps(series), encoding="utf-8")
    ended = fanin("plan", f"hf:{tmp_path}")
    assert ended.code == 2
    assert "asks for freq, past_values_padding" in ended.err
    assert "--batch" in ended.err


def test_made_up_inputs_that_do_not_do_are_said_to_be_made_up(
    tmp_path: Path, fanin: Callable[..., Any]
) -> None:
    regions = {"model_type": "lxmert", "hidden_size": 32, "intermediate_size": 32, "num_attention_heads": 2}
    layers = {"l_layers": 1, "x_layers": 1, "r_layers": 1, "vocab_size": 37}
    (tmp_path / "config.json").write_text(json.dumps(regions | layers), encoding="utf-8")
    ended = fanin("plan", f"hf:{tmp_path}")
    assert ended.code == 2
    assert "made up from the configuration; give your own: --batch" in ended.err
