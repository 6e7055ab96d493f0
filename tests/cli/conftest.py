"""The command line as a user meets it: arguments in, exit code, stdout and stderr out."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from fanin.cli.main import main

NETS = """
import torch
from torch import nn

WIDTH = 8


def small():
    return nn.Sequential(nn.Linear(4, WIDTH), nn.ReLU(), nn.Linear(WIDTH, 2))


ready = small()


def deep():
    layers = [part for _ in range(30) for part in (nn.Linear(64, 64), nn.ReLU())]
    return nn.Sequential(*layers, nn.Linear(64, 10))


class Words(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(11, 6)
        self.head = nn.Linear(6, 11, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, input_ids, mask=None):
        return self.head(self.embed(input_ids))


class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(4, 3), nn.Linear(5, 3)

    def forward(self, x, y):
        return self.a(x) + self.b(y)


class Angry(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(4, 4)

    def forward(self, x):
        raise ValueError("not today")


def broken():
    raise RuntimeError("no GPU on a Sunday")


def number():
    return 7


def batch():
    return torch.randn(16, 4)


def pair():
    return torch.randn(16, 4), torch.arange(16) % 2


def two_inputs():
    return torch.randn(6, 4), torch.randn(6, 5)


def mapping():
    return {"input_ids": torch.arange(8).reshape(2, 4)}


def wide():
    return torch.randn(16, 5)


def bad_batch():
    raise KeyError("train")
"""


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def nets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A user's file of models, in the working directory."""
    (tmp_path / "nets.py").write_text(NETS, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield "nets.py"
    sys.modules.pop("nets", None)


@pytest.fixture
def fanin(capsys: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    """Run one command line."""

    def run(*arguments: str) -> Ended:
        capsys.readouterr()
        code = main([str(a) for a in arguments])
        return Ended(code, *capsys.readouterr())

    return run
