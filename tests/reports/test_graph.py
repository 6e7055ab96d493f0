"""Drawings of models: what is shown, what repeats, and what names may hold."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
import xml.etree.ElementTree as ET
from typing import Any

import pytest
import torch
from torch import nn

from fanin.plans import plan
from fanin.reports.graph_dot import dot
from fanin.reports.graph_picture import Picture, picture
from fanin.reports.graph_repeats import repeats
from fanin.reports.graph_text import text
from fanin.torch.read import read


class Block(nn.Module):
    """A pre-norm residual block; `odd` ones are wider inside."""

    def __init__(self, *, odd: bool = False) -> None:
        super().__init__()
        inner = 48 if odd else 32
        self.norm, self.up, self.down = nn.LayerNorm(16), nn.Linear(16, inner), nn.Linear(inner, 16)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = x + self.down(torch.relu(self.up(self.norm(x))))
        return out


class Net(nn.Module):
    """A stem, blocks, a head."""

    def __init__(self, *blocks: nn.Module) -> None:
        super().__init__()
        self.stem, self.blocks, self.head = nn.Linear(8, 16), nn.ModuleList(blocks), nn.Linear(16, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        out: torch.Tensor = self.head(x)
        return out


def drawn(model: nn.Module, **more: Any) -> tuple[Any, Any]:
    graph = read(model, torch.zeros(2, 8))
    return graph, plan(graph, **more)


def show(model: nn.Module, *, fold: bool = True) -> Picture:
    return picture(*drawn(model), fold=fold)


def test_blocks_that_repeat_are_drawn_once() -> None:
    seen = show(Net(*(Block() for _ in range(5))))
    (group,) = seen.groups
    assert group.title == "blocks.0-4 ×5"
    assert len(group.boxes) == 5
    assert [box.title for box in seen.boxes] == [
        "input",
        "linear",
        "norm",
        "linear",
        "relu",
        "linear",
        "+",
        "linear",
    ]
    assert [box.head for box in seen.boxes] == [False] * 7 + [True]


def test_what_differs_is_not_folded() -> None:
    seen = show(Net(Block(), Block(), Block(odd=True), Block(), Block(), Block()))
    assert [group.title for group in seen.groups] == ["blocks.0-1 ×2", "blocks.3-5 ×3"]
    assert len(seen.boxes) == 3 + 3 * 5


def test_blocks_with_another_plan_are_not_folded() -> None:
    """The same modules, with draws that depend on the layer."""
    model = Net(*(Block() for _ in range(4)))
    by_layer, alike = (picture(*drawn(model, policy=policy)).groups for policy in ("llama", "gpt2"))
    # Two branches are one layer of Llama's.
    assert [group.title for group in by_layer] == ["blocks.0-1 ×2", "blocks.2-3 ×2"]
    assert [group.title for group in alike] == ["blocks.0-3 ×4"]


def test_unfolded_every_box_is_there() -> None:
    seen = show(Net(*(Block() for _ in range(5))), fold=False)
    assert seen.groups == ()
    assert len(seen.boxes) == 3 + 5 * 5


def test_the_stream_passes_the_branch() -> None:
    seen = show(Net(Block(), Block(), Block()))
    title = {box.id: box.title for box in seen.boxes}
    stream = [(title[a.start], title[a.end]) for a in seen.arrows if a.skips]
    assert stream == [("linear", "+")]
    assert all(a.start < a.end for a in seen.arrows)
    assert [title[id] for id in seen.outputs] == ["linear"]


def test_a_shortcut_that_projects_is_the_stream() -> None:
    class Wider(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.up, self.down, self.short = nn.Linear(16, 32), nn.Linear(32, 16), nn.Linear(16, 16)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            out: torch.Tensor = self.short(x) + self.down(torch.relu(self.up(x)))
            return out

    seen = show(Net(Wider()))
    where = {box.id: box.where for box in seen.boxes}
    assert [where[a.start] for a in seen.arrows if a.skips] == ["blocks.0.short"]


def test_unrecognised_tensors_stand_out() -> None:
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Parameter(torch.zeros(16, 16))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.cdist(x, self.table)

    graph, made = drawn(Net(Odd()))
    assert made.unrecognised
    assert "(unrecognised)" in text(graph, made)
    assert "#b00020" in dot(graph, made)


def chain(word: str) -> list[tuple[int, ...]]:
    """Each reads the one before it."""
    return [(i - 1,) if i else () for i in range(len(word))]


def test_repeats_of_letters() -> None:
    def found(word: str) -> list[tuple[int, int, int]]:
        return [(r.start, r.period, r.count) for r in repeats(word, chain(word), [""] * len(word))]

    assert found(".abcabcabc") == [(1, 3, 3)]
    assert found(".xabababy") == [(2, 2, 3)]
    assert found(".aaaabcbcbc") == [(1, 1, 4), (5, 2, 3)]
    assert found(".abcdef") == []
    assert found(".") == found("") == []
    # The first reads nothing, and is another for that.
    assert found("aaaa") == [(1, 1, 3)]


def test_a_wire_that_does_not_repeat_breaks_a_repetition() -> None:
    word = ".abababab"
    plain = chain(word)
    shared = [(*reads, 0) if letter == "b" else reads for letter, reads in zip(word, plain, strict=True)]
    crossed = [(*reads, 3) if i == 6 else reads for i, reads in enumerate(plain)]
    assert [r.count for r in repeats(word, plain, [""] * 9)] == [4]
    assert [r.count for r in repeats(word, shared, [""] * 9)] == [4]
    assert max(r.count for r in repeats(word, crossed, [""] * 9)) < 4


def test_many_blocks_take_no_time() -> None:
    word = "." + "abcdefghij" * 300
    modules = ["", *(f"layers.{i // 10}" for i in range(3000))]
    began = time.process_time()
    (found,) = repeats(word, chain(word), modules)
    assert (found.count, found.title) == (300, "layers.0-299")
    assert time.process_time() - began < 5.0


def test_text_has_a_line_a_box() -> None:
    graph, made = drawn(Net(*(Block() for _ in range(3))))
    lines = text(graph, made).splitlines()
    assert len(lines) == 1 + 8 + 1 + 1
    assert "blocks.0-2 ×3:" in lines
    assert any("joins a branch" in line and "(2)" in line for line in lines)
    assert lines[-1] == made.summary()


NAMES = ['a"b', "a<b>&amp;c", "x\\", "ünïcode", "{};->", "<script>"]


@pytest.mark.parametrize("name", NAMES)
def test_names_cannot_break_out(name: str) -> None:
    model = nn.Sequential()
    model.add_module(name, nn.Linear(8, 4))
    graph, made = drawn(model)
    source = dot(graph, made)
    # Outside of quoted strings and of labels in angle brackets, only Graphviz's own words are left.
    bare = re.sub(r"<table.*?</table>|\"(\\.|[^\"\\])*\"", "", source, flags=re.DOTALL)
    assert "<b" not in bare
    assert "script" not in bare
    if (program := shutil.which("dot")) is not None:
        done = subprocess.run([program, "-Tsvg"], input=source.encode(), capture_output=True, check=True)
        words = " ".join(ET.fromstring(done.stdout).itertext())  # noqa: S314 - our own drawing
        assert name in words


def test_model_names_are_quoted() -> None:
    graph, made = drawn(nn.Sequential(nn.Linear(8, 4)))
    from dataclasses import replace

    assert dot(replace(graph, model='A"B\\'), made).startswith('digraph "A\\"B\\\\" {')
