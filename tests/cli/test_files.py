"""Files that cannot be written, or only in part: one line, and what was there is there still."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fanin.cli import checkpoint

SOURCE = """
import sys
from torch import nn


def wide():
    return nn.Sequential(nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 2))


def leaves():
    sys.exit(3)


def leaves_with_words():
    sys.exit("not today")


class Leaves(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x):
        sys.exit(0)
"""
COMMANDS = {
    "plan": ["plan", "wide.py:wide", "-i", "8x256", "--output"],
    "drawing": ["plan", "wide.py:wide", "-i", "8x256", "--graph"],
    "page": ["check", "wide.py:wide", "-i", "8x256", "--fail-on", "failure", "--html"],
    "audit": ["audit", "wide.py:wide", "-i", "8x256", "--fail-on", "failure", "-o"],
    "baseline": ["check", "wide.py:wide", "-i", "8x256", "--update-baseline", "--baseline"],
    "weights": ["init", "wide.py:wide", "-i", "8x256", "--force", "-o"],
}
NAMES = {"drawing": "out.txt", "page": "out.html", "weights": "out.safetensors"}
ROOM = 20
"""Bytes of a file that fit: fewer than any of these writes."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "wide.py").write_text(SOURCE, encoding="utf-8")
    (tmp_path / "full").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield tmp_path / "full"
    sys.modules.pop("wide", None)


@pytest.fixture
def little_room() -> Iterator[None]:
    """No file of this process may grow beyond a few bytes, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.usefixtures("little_room")
@pytest.mark.parametrize("what", COMMANDS)
@pytest.mark.parametrize("there", [False, True])
def test_no_room(what: str, there: bool, folder: Path, fanin: Callable[..., Any]) -> None:
    target = folder / NAMES.get(what, "out.json")
    if there:
        target.write_bytes(b"kept")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (ROOM, limits[1]))
    try:
        ended = fanin(*COMMANDS[what], target)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert ended.code == 2
    assert ended.out == ""
    assert ended.err.count("\n") == 1
    assert "cannot be written" in ended.err
    assert [(path.name, path.read_bytes()) for path in folder.iterdir()] == (
        [(target.name, b"kept")] if there else []
    )


@pytest.mark.parametrize("what", COMMANDS)
def test_with_room_all_is_written(what: str, folder: Path, fanin: Callable[..., Any]) -> None:
    target = folder / NAMES.get(what, "out.json")
    target.write_bytes(b"old")
    assert fanin(*COMMANDS[what], target).code == 0
    assert target.stat().st_size > ROOM


@pytest.mark.parametrize("when", ["save_file", "_sort_metadata", "_umask"])
def test_an_interrupt_leaves_what_was_there(
    when: str, folder: Path, fanin: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    target = folder / "out.safetensors"
    target.write_bytes(b"kept")

    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint, when, interrupted)
    ended = fanin(*COMMANDS["weights"], target)
    assert (ended.code, ended.out) == (130, "")
    assert [(path.name, path.read_bytes()) for path in folder.iterdir()] == [("out.safetensors", b"kept")]


def test_an_interrupt_between_the_two_names_waits(
    folder: Path, fanin: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    rename, seen = Path.rename, []

    def renamed(self: Path, target: Path) -> Path:
        done = rename(self, target)
        seen.append(target.name)
        if target.name == "out.safetensors":
            os.kill(os.getpid(), 2)
        return done

    monkeypatch.setattr(Path, "rename", renamed)
    before = signal.signal(2, signal.default_int_handler)
    try:
        assert fanin(*COMMANDS["weights"], folder / "out.safetensors").code == 130
    finally:
        signal.signal(2, before)
    assert seen == ["out.safetensors", "out.plan.json"]
    assert sorted(path.name for path in folder.iterdir()) == ["out.plan.json", "out.safetensors"]


def test_a_link_is_followed(folder: Path, fanin: Callable[..., Any]) -> None:
    there, link = folder / "there.json", folder / "link.json"
    link.symlink_to(there)
    assert fanin(*COMMANDS["plan"], link).code == 0
    assert link.is_symlink()
    assert there.read_text(encoding="utf-8").startswith("{")


def test_a_pipe_is_written_to_and_stays_one(folder: Path, fanin: Callable[..., Any]) -> None:
    pipe, heard = folder / "pipe", []
    os.mkfifo(pipe)
    listener = threading.Thread(target=lambda: heard.append(pipe.read_text(encoding="utf-8")))
    listener.start()
    assert fanin(*COMMANDS["plan"], pipe).code == 0
    listener.join(timeout=60)
    assert pipe.is_fifo()
    assert heard[0].startswith("{")


@pytest.mark.parametrize("name", ["pipe", "folder"])
def test_weights_go_to_files_only(name: str, folder: Path, fanin: Callable[..., Any]) -> None:
    place = folder / name
    if name == "pipe":
        os.mkfifo(place)
    else:
        place.mkdir()
    ended = fanin(*COMMANDS["weights"], place)
    assert ended.code == 2
    assert ended.err.count("\n") == 1
    assert place.is_fifo() or place.is_dir()


@pytest.mark.parametrize("target", ["leaves", "leaves_with_words", "Leaves"])
@pytest.mark.usefixtures("folder")
def test_code_that_ends_the_program_is_an_error(target: str, fanin: Callable[..., Any]) -> None:
    ended = fanin("plan", f"wide.py:{target}", "-i", "8x4")
    assert (ended.code, ended.out) == (2, "")
    assert "ended the program" in ended.err
    assert ended.err.count("\n") == 1


@pytest.mark.usefixtures("folder")
def test_a_learning_rate_is_a_number(fanin: Callable[..., Any]) -> None:
    ended = fanin("check", "wide.py:wide", "-i", "8x256", "--lr", "nan")
    assert ended.code == 2
    assert "no learning rate" in ended.err


@pytest.mark.slow
@pytest.mark.parametrize("after", [0.5, 1.5, 2.5, 3.5])
def test_control_c_at_any_time_leaves_both_files_or_neither(after: float, folder: Path) -> None:
    words = [sys.executable, "-m", "fanin", *COMMANDS["weights"], str(folder / "out.safetensors")]
    running = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        running.communicate(timeout=after)
    except subprocess.TimeoutExpired:
        running.send_signal(2)
        running.communicate(timeout=60)
    left = sorted(path.name for path in folder.iterdir())
    assert left in ([], ["out.plan.json", "out.safetensors"])
