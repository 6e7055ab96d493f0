"""``fanin check --widths``: one TARGET at several widths."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fanin.cli.widths import parsed
from fanin.errors import InputError
from fanin.records.codec import from_json
from fanin.records.finding import Diagnosis

WIDE = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, width, depth=1):
        super().__init__()
        self.width = width
        self.first, self.inner = nn.Linear(8, width), nn.Linear(width, width)
        self.head = nn.Linear(width, 4)
        nn.init.normal_(self.head.weight, std=8 / width)

    def forward(self, x):
        return self.head(torch.relu(self.inner(torch.relu(self.first(x)))))


def make(width):
    return Net(width)


def mup(model):
    wide = [model.inner.weight, model.head.weight]
    rest = [p for p in model.parameters() if all(p is not w for w in wide)]
    return torch.optim.Adam([{"params": rest, "lr": 1e-3}, {"params": wide, "lr": 0.064 / model.width}])


def no_optimiser(model):
    return 3


def no_width():
    return Net(32)


def two(width, depth):
    return Net(width)


def picky(width):
    if width % 12:
        raise ValueError(f"width {width} must be divisible by 12 heads")
    return Net(width)


def same(width):
    return Net(32)


def number(width):
    return width


def big(width):
    return nn.Linear(8, width * 10**12)


ready = Net(32)


def batch():
    source = torch.Generator().manual_seed(0)
    return torch.randn(64, 8, generator=source), torch.arange(64) % 4


def inputs_alone():
    return torch.randn(64, 8)
"""


@pytest.fixture(autouse=True)
def wide(nets: str, tmp_path: Path) -> str:
    (tmp_path / "wide.py").write_text(WIDE, encoding="utf-8")
    return nets


def command(target: str = "wide.py:make", widths: str = "32,64,128", batch: str = "batch") -> tuple[str, ...]:
    return "check", target, "-b", f"wide.py:{batch}", "--widths", widths


def test_the_verdict_the_table_and_the_exit_code(fanin: Callable[..., Any], tmp_path: Path) -> None:
    ended = fanin(*command(), "--html", "w.html")
    assert ended.code == 1
    assert ended.err.startswith("widths 32, 64, 128: TARGET is called with each width\nwrote w.html (")
    assert "FAN504 sizes depend on the width" in ended.out
    assert "Widths  root mean square" in ended.out
    assert "head (output)  change" in ended.out
    assert max(map(len, ended.out.splitlines())) <= 80
    page = (tmp_path / "w.html").read_text(encoding="utf-8")
    assert "<h2>Several widths</h2>" in page
    assert "check_width(make, batch, target=target, widths=(32, 64, 128), seed=0)" in page
    assert "MAKE --batch FILE.py:BATCH --widths 32,64,128 --seed 0" in page


def test_an_optimiser_of_ones_own_settles_it(fanin: Callable[..., Any]) -> None:
    ended = fanin(*command(), "--optimizer", "wide.py:mup", "--select", "FAN504", "--steps", "2")
    assert ended.code == 0
    assert "2 steps of the given optimiser" in ended.out


def test_json_has_all_exponents_and_is_the_same_twice(fanin: Callable[..., Any]) -> None:
    options = ("--format", "json", "--optimizer", "sgd", "--lr", "0.01", "--draws", "2")
    first, second = (from_json(fanin(*command(), *options).out, Diagnosis) for _ in range(2))
    scaling = first.trace.scaling
    assert scaling is not None
    assert (scaling.widths, scaling.draws) == ((32, 64, 128), 2)
    assert scaling.optimizer == "SGD (learning rate 0.01)"
    assert scaling == second.trace.scaling
    assert first.trace.measurements == second.trace.measurements
    assert first.trace.source == "given by wide.py:batch"


def test_sarif_and_baselines_know_it(fanin: Callable[..., Any]) -> None:
    chosen = (*command(), "--select", "FAN504")
    log = json.loads(fanin(*chosen, "--format", "sarif").out)
    assert [r["ruleId"] for r in log["runs"][0]["results"]] == ["FAN504"]
    assert fanin(*chosen, "--baseline", "known.json", "--update-baseline").code == 0
    assert fanin(*chosen, "--baseline", "known.json").code == 0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "what is no width.*Received: ''"),
        ("64,many,256", "what is no width.*Received: 'many'.*commas"),
        ("64,128.5,256", "what is no width.*'128.5'"),
        ("-64,128,256", "what is no width.*'-64'"),
        ("64,,128", "what is no width"),
        ("0,64,128", "not in ascending order"),
        ("64", "so few --widths.*Received: 64"),
        ("64,128", "so few --widths.*Such as --widths 64,128,256"),
        ("128,64,256", "not in ascending order.*Received: 128,64,256"),
        ("64,64,128", "not in ascending order"),
        ("64,128,99999999999", "what is no width"),
    ],
)
def test_what_are_no_widths(text: str, words: str, fanin: Callable[..., Any]) -> None:
    with pytest.raises(InputError, match=words):
        parsed(text)
    ended = fanin(*command(widths=text))
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)


REFUSED = {
    "no width": (("wide.py:no_width",), r"takes no width. Received: no_width\(\)"),
    "two arguments": (("wide.py:two",), r"takes no width. Received: two\(width, depth\)"),
    "a model": (("wide.py:ready",), "makes no model of a width. Received: a Net"),
    "heads": (("wide.py:picky",), "when it is called with 32. Received: ValueError: width 32 must be"),
    "one size": (("wide.py:same",), r"same sizes at every width.*\(32, 64, 128\)"),
    "a number": (("wide.py:number",), "returns no model. Received: int"),
    "memory": (("wide.py:big",), "when it is called with 32.*memory"),
    "no target": (("wide.py:make", "32,64,128", "inputs_alone"), "no loss, so no step.*--batch function"),
    "nothing": (("wide.py:none",), "name in wide.py"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_checked_is_said_in_one_line(name: str, fanin: Callable[..., Any]) -> None:
    arguments, words = REFUSED[name]
    ended = fanin(*command(*arguments))
    assert (ended.code, ended.out) == (2, "")
    last = ended.err.splitlines()[-1]
    assert last.startswith("error: ")
    assert [line for line in ended.err.splitlines() if not line.startswith("widths ")] == [last]
    assert re.search(words, last), last


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--optimizer", "lion"), "no such optimiser. Received: 'lion'"),
        (("--optimizer", "wide.py:none"), "name in wide.py"),
        (("--optimizer", "wide.py:ready.width"), "names no function"),
        (("--optimizer", "wide.py:no_optimiser"), "There is no optimiser. Received: int"),
        (("--optimizer", "wide.py:mup", "--lr", "0.1"), "This optimiser cannot be used"),
        (("--init",), "leave --init"),
        (("--fix",), "leave --init"),
        (("--tier", "deep"), "leave --init"),
        (("--predict-only",), "leave --init"),
        (("--steps", "0"), "0 is not in the range"),
    ],
)
def test_options_that_do_not_go_together(
    options: tuple[str, ...], words: str, fanin: Callable[..., Any]
) -> None:
    ended = fanin(*command(), *options)
    assert (ended.code, ended.out) == (2, "")
    assert words in ended.err


@pytest.mark.parametrize("option", ["--optimizer=sgd", "--steps=2", "--draws=2"])
def test_options_of_several_widths_need_widths(option: str, fanin: Callable[..., Any]) -> None:
    ended = fanin("check", "nets.py:small", "-b", "nets.py:pair", option)
    assert (ended.code, ended.out) == (2, "")
    assert "use them with --widths" in ended.err


CONFIGURATIONS: dict[str, dict[str, Any]] = {
    "gpt2": {
        "architectures": ["GPT2LMHeadModel"], "model_type": "gpt2", "n_layer": 1, "n_head": 2, "n_embd": 32,
        "vocab_size": 37, "n_positions": 32, "bos_token_id": 0, "eos_token_id": 0,
    },
    "vit": {
        "architectures": ["ViTForImageClassification"], "model_type": "vit", "num_hidden_layers": 1,
        "num_attention_heads": 2, "hidden_size": 32, "intermediate_size": 48, "image_size": 16,
        "patch_size": 8,
    },
    "bert": {"model_type": "bert", "num_hidden_layers": 1, "hidden_size": 32, "num_attention_heads": 2},
    "clip": {"model_type": "clip"},
    "swin": {"model_type": "swin"},
}  # fmt: skip


def configuration(tmp_path: Path, name: str) -> str:
    (tmp_path / name).mkdir()
    (tmp_path / name / "config.json").write_text(json.dumps(CONFIGURATIONS[name]), encoding="utf-8")
    return f"hf:{name}"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("gpt2", "n_embd = width, n_head = width / 16; all other sizes stay"),
        (
            "vit",
            "intermediate_size = 3 width / 2, pooler_output_size = width, num_attention_heads = width / 16",
        ),
    ],
)
def test_a_configuration_says_which_sizes_go_with_the_width(
    name: str, said: str, fanin: Callable[..., Any], tmp_path: Path
) -> None:
    target = configuration(tmp_path, name)
    ended = fanin("check", target, "--widths", "16,32,64", "--draws", "1", "--steps", "1", "--format", "json")
    assert "widths 16, 32, 64: " in ended.err
    assert said in ended.err
    told = from_json(ended.out, Diagnosis)
    assert told.trace.scaling is not None
    assert told.trace.loss is not None
    sizes = {p.name: p.shape for p in told.graph.parameters}
    if name == "gpt2":
        assert sizes["transformer.h.0.mlp.c_fc.weight"] == (64, 256)
        assert sizes["transformer.wpe.weight"] == (32, 64)
    else:
        assert sizes["vit.layers.0.mlp.fc1.weight"] == (96, 64)


@pytest.mark.parametrize(
    ("name", "widths", "words"),
    [
        ("gpt2", "16,24,32", "no model of such a width. Received: width 24. Rule"),
        ("bert", "16,32,64", "no loss, so no step can be taken. Received: BertModel"),
        ("clip", "16,32,64", "do not follow from one width. Received: clip, with parts"),
        ("swin", "32,64,128", "do not follow from one width. Received: swin, with num_heads [3, 6, 12, 24]"),
    ],
)
def test_a_configuration_that_has_no_such_width(
    name: str, widths: str, words: str, fanin: Callable[..., Any], tmp_path: Path
) -> None:
    ended = fanin("check", configuration(tmp_path, name), "--widths", widths)
    assert (ended.code, ended.out) == (2, "")
    assert words.removesuffix(" Rule") in ended.err, ended.err
