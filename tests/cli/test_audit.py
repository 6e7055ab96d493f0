"""``fanin audit``: the comparison, its forms, and the exit code."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fanin.records.audit import Audit, Match

pytestmark = pytest.mark.usefixtures("nets")

LIVE = ("audit", "nets.py:deep", "-i", "2x64")


def test_the_models_own_weights_follow_the_framework(fanin: Callable[..., Any]) -> None:
    ended = fanin(*LIVE, "--against", "framework")
    assert ended.code == 0
    assert ended.out.startswith("AS DECLARED  Sequential follows policy framework: 62 tensors agree.")
    assert ended.err == ""


def test_they_do_not_follow_another_law(fanin: Callable[..., Any]) -> None:
    ended = fanin(*LIVE, "--against", "he")
    assert ended.code == 1
    assert ended.out.startswith("WARNING  Sequential does not follow policy he: ")
    assert "the framework's default law" in ended.out
    assert fanin(*LIVE, "--against", "he", "--fail-on", "failure").code == 0


def test_a_saved_plan_and_its_weights(fanin: Callable[..., Any]) -> None:
    assert fanin("init", "nets.py:deep", "-i", "2x64", "-o", "m.safetensors").code == 0
    ended = fanin("audit", "nets.py:deep", "--against", "m.plan.json", "--weights", "m.safetensors")
    assert ended.code == 0
    assert "31 of them to the last bit" in ended.out
    assert fanin("audit", "nets.py:deep", "--against", "m.plan.json").code == 1


def test_json_is_the_record_and_nothing_else(fanin: Callable[..., Any]) -> None:
    ended = fanin(*LIVE, "--against", "framework", "--format", "json")
    found = Audit.from_json(ended.out)
    assert all(line.match == Match.AGREES for line in found.comparisons)


def test_html_json_and_one_tensor(fanin: Callable[..., Any], tmp_path: Path) -> None:
    ended = fanin(
        *LIVE,
        "--against",
        "he",
        "--html",
        "a.html",
        "-o",
        "a.json",
        "--why",
        "0.weight",
        "--fail-on",
        "failure",
    )
    assert ended.code == 0
    assert ended.out.startswith("0.weight: differs (warning)\n")
    page = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert "does not follow policy he" in page
    assert "×30" in page
    assert not Audit.load(tmp_path / "a.json").agrees
    assert "a.html" in ended.err


def test_every_tensor_on_a_line_of_its_own(fanin: Callable[..., Any]) -> None:
    ended = fanin(*LIVE, "--against", "framework", "--unfold")
    assert ended.out.count("agrees") == 62


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--against", "hee"), "error: Unknown policy"),
        (("--against", "no.json"), "error: The file cannot be read"),
        (("--against", "he", "--weights", "nets.py"), "error: The weights cannot be read"),
    ],
)
def test_what_cannot_be_compared(fanin: Callable[..., Any], words: tuple[str, ...], said: str) -> None:
    ended = fanin(*LIVE, *words)
    assert ended.code == 2
    assert ended.err.startswith(said)


def test_weights_of_another_model(fanin: Callable[..., Any]) -> None:
    assert fanin("init", "nets.py:small", "-i", "2x4", "-o", "m.safetensors").code == 0
    ended = fanin(*LIVE, "--weights", "m.safetensors")
    assert ended.code == 2
    assert "do not fit the model at '0.weight'" in ended.err


def test_gpt2s_lost_residual_scaling_is_found_by_one_command(
    fanin: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """transformers 5.0 to 5.14 compared a whole path with the last part of one: nothing was scaled."""
    from torch import nn
    from transformers.models.gpt2 import modeling_gpt2 as gpt2
    from transformers.pytorch_utils import Conv1D

    sizes = '"n_layer": 3, "n_embd": 64, "n_head": 4, "vocab_size": 200, "n_positions": 32'
    ends = '"bos_token_id": 0, "eos_token_id": 0'
    (tmp_path / "config.json").write_text(
        f'{{"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], {sizes}, {ends}}}', encoding="utf-8"
    )
    command = ("audit", "hf:config.json", "--against", "gpt2")
    right = fanin(*command)
    assert right.code == 0, right.out
    assert "GPT2LMHeadModel follows policy gpt2" in right.out
    own = gpt2.GPT2PreTrainedModel._init_weights

    def as_it_was(self: Any, module: nn.Module) -> None:
        own(self, module)
        for part in module.modules():
            if isinstance(part, Conv1D):
                nn.init.normal_(part.weight, std=self.config.initializer_range)

    monkeypatch.setattr(gpt2.GPT2PreTrainedModel, "_init_weights", as_it_was)
    lost = fanin(*command)
    assert lost.code == 1
    assert "6 of 40 tensors are not as declared (6 std)" in " ".join(lost.out.split())
    assert "the factor 1/√6 for the end of a residual branch is not applied" in " ".join(lost.out.split())
