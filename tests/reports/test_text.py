"""The text report, line for line."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable
from dataclasses import replace

import pytest

from fanin.records.finding import Diagnosis, Finding, Severity
from fanin.reports.lines import to_ascii
from fanin.reports.terminal import brief, show
from fanin.reports.text import plain

SICK = """\
FAILURE  DeepNet will not train as it is: vanishing gradients.

✗ FAN201 vanishing gradients                                             failure
  The gradient's power falls to 0.17 of itself per layer over 30 layers: 1e-23
  of it arrives.
  cause    29 weights have std 1/sqrt(3 fan_in), the framework's default; ReLU
           needs sqrt(2/fan_in).
  fix      fanin.torch.init_(model, batch), or multiply the std of these weights
           by 2.45.
  where    layers.0-56.weight ×29
  figures  measured per layer 0.166, expected per layer 1, end to end 3.2e-24

Layers  power of the output, forward and backward; first→last of repeated blocks
layer            forward             backward              dead    cosine
layers.0-58 ×30  1→9e-4      █▁▁▁▁▁  2.7e-23→1     ▁▂▄▅▇█          0.1–0.97
layers.1-57 ×29  0.5→4.5e-4  █▁▁▁▁▁  2.7e-23→0.17  ▁▂▄▅▇█  0%–40%  0.2–0.97

Weights  standard deviation as it is, and as planned
parameter               is     planned  ratio  law
layers.0-58.weight ×30  0.072  0.18     0.41   he_normal
layers.0-58.bias ×30    0.072  0               zeros

Loss  cross entropy 2.310 (constant guess 2.303, 10 classes); logit std 0.08

Checks  2 passed, 1 found something, 1 not made
  FAN601 attention entropy: the model has no attention

Basis  32 samples (given batch); train mode; run on fake tensors; planned by
  policy auto, seed 0; fanin 0.1.0; torch 2.13.0; device cpu; seed 0

FAILURE  DeepNet will not train as it is: vanishing gradients."""


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


class Latin(io.TextIOWrapper):
    """A stream whose encoding has no arrows."""

    def __init__(self) -> None:
        super().__init__(io.BytesIO(), encoding="ascii")


def test_a_sick_network_in_full(sick: Diagnosis) -> None:
    assert plain(sick) == SICK


def test_a_healthy_network_says_what_was_checked(healthy: Diagnosis) -> None:
    first, *_, last = plain(healthy).splitlines()
    assert first == last == "HEALTHY  DeepNet is healthy at step zero: 2 checks passed, 1 not made."


def test_nothing_checked_is_not_healthy(healthy: Diagnosis) -> None:
    assert plain(replace(healthy, passed=())).startswith("UNCHECKED  DeepNet: nothing was checked")


@pytest.mark.parametrize("width", [60, 80, 100, 120])
@pytest.mark.parametrize("depth", [2, 30, 300])
def test_tables_stay_within_the_width(make: Callable[..., Diagnosis], width: int, depth: int) -> None:
    diagnosis = make(depth, prefix="a_rather_long_name.of_a_module.in_a_model")
    rows = [line for line in plain(diagnosis, width=width).splitlines() if line.startswith(("a_rather", "…"))]
    assert rows
    assert max(map(len, rows)) <= width


def test_many_layers_take_few_lines(make: Callable[..., Diagnosis]) -> None:
    assert len(plain(make(1000)).splitlines()) < 40


def test_few_layers_are_not_folded(make: Callable[..., Diagnosis]) -> None:
    text = plain(make(4))
    assert all(f"layers.{k} " in text for k in range(7))


def test_ascii_says_the_same(sick: Diagnosis) -> None:
    text = plain(sick, unicode=False)
    assert text.isascii()
    assert "layers.0-58 x30" in text
    assert to_ascii("日") == "?"


def test_the_worst_comes_first(sick: Diagnosis) -> None:
    remark = Finding(code="FAN901", name="remark", severity=Severity.INFO, summary="s", cause="c", fix="f")
    both = replace(sick, findings=(remark, *sick.findings))
    text = plain(both)
    assert text.index("FAN201") < text.index("FAN901")
    assert "vanishing gradients (and 1 further finding)." in " ".join(text.split())


def test_a_pipe_gets_no_colour(sick: Diagnosis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    stream = io.StringIO()
    show(sick, stream)
    assert stream.getvalue() == SICK + "\n"


def test_a_terminal_gets_colour_unless_it_says_no(sick: Diagnosis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    coloured = Terminal()
    show(sick, coloured)
    assert "\x1b[1;31mFAILURE" in coloured.getvalue()
    monkeypatch.setenv("NO_COLOR", "1")
    plain_stream = Terminal()
    show(sick, plain_stream)
    assert "\x1b" not in plain_stream.getvalue()


def test_without_rich_a_terminal_gets_plain_text(sick: Diagnosis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "rich.console", None)
    monkeypatch.delenv("NO_COLOR", raising=False)
    stream = Terminal()
    show(sick, stream)
    assert "FAN201" in stream.getvalue()
    assert "\x1b" not in stream.getvalue()


def test_a_poor_encoding_gets_ascii(sick: Diagnosis) -> None:
    stream = Latin()
    show(sick, stream)
    stream.seek(0)
    assert "layers.0-58 x30" in stream.read()


def test_brief_is_verdict_and_findings_behind_a_margin(sick: Diagnosis) -> None:
    stream = io.StringIO()
    brief(sick, stream, margin="   ")
    text = stream.getvalue()
    assert "FAN201" in text
    assert "Layers" not in text
    assert all(line.startswith("   ") for line in text.splitlines() if line)


def test_the_loss_stays_within_the_width(make: Callable[..., Diagnosis]) -> None:
    diagnosis = make(3)
    assert diagnosis.trace.loss is not None
    long = replace(diagnosis.trace.loss, value=1234.5678, expected=10.825, classes=50257, logit_std=0.123456)
    text = plain(replace(diagnosis, trace=replace(diagnosis.trace, loss=long)), width=60)
    assert max(map(len, text.splitlines())) <= 60


def test_wide_signs_take_two_columns(make: Callable[..., Diagnosis]) -> None:
    """Columns after a Chinese name stand where they stand after a Latin one."""
    text = plain(make(3, prefix="模型.层"), width=80)
    header, row = next(
        (line, below) for line, below in itertools.pairwise(text.splitlines()) if line.startswith("layer")
    )
    before = row[: row.index("linear")] if "linear" in row else row.split("  ")[0]
    assert "模型" in before
    column = header.index("forward")
    shown = "".join(sign + ("\0" if sign in "模型层" else "") for sign in row)
    assert shown[column - 1] == " "
    assert shown[column] != " "
    assert all(sum(2 if sign in "模型层" else 1 for sign in line) <= 80 for line in text.splitlines())


def test_ascii_stays_within_the_width(sick: Diagnosis) -> None:
    finding = replace(sick.findings[0], cause="std 1/√(3 fan_in), U(±1/√fan_in) " * 9)
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    show(replace(sick, findings=(finding,)), stream)
    stream.seek(0)
    written = stream.read()
    assert "sqrt(3 fan_in)" in written
    assert max(map(len, written.splitlines())) <= 80
