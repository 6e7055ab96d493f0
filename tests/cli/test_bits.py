"""``fanin bits``: the words of the streams, in each order, and a quiet end of pipes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from fanin.sampling.philox import words
from fanin.sampling.streams import stream_key


def start(*arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "fanin", "bits", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
    )


def told(*arguments: str) -> list[int]:
    out, err = start(*arguments).communicate(timeout=120)
    assert err == b""
    return np.frombuffer(out, "<u4").tolist()


def expected(seed: int, name: str, begin: int, end: int) -> list[int]:
    return words(stream_key(seed, name), begin, end).tolist()


def test_a_run_is_the_stream() -> None:
    assert told("--seed", "3", "--name", "w", "--count", "100001") == expected(3, "w", 0, 100001)


def test_names_take_turns() -> None:
    got = told("--name", "w", "--order", "names", "--streams", "3", "--each", "5", "--count", "40")
    turns = [expected(0, f"w.{k}", 5 * r, 5 * r + 5) for r in range(3) for k in range(3)]
    assert got == [word for turn in turns for word in turn][:40]


def test_seeds_take_turns() -> None:
    got = told("--seed", "7", "--name", "w", "--order", "seeds", "--streams", "2", "--count", "5")
    assert got == [expected(7 + k % 2, "w", k // 2, k // 2 + 1)[0] for k in range(5)]


def test_first_words_only() -> None:
    got = told("--name", "w", "--order", "first", "--count", "70000")
    assert len(got) == 70000
    for k in (0, 1, 65535, 65536, 69999):
        assert got[k] == expected(0, f"w.{k}", 0, 1)[0]


def test_columns() -> None:
    got = told("--name", "w", "--order", "columns", "--width", "3", "--count", "70000")
    whole = expected(0, "w", 0, 3 * 65536)
    assert got == (whole[0::3] + whole[1::3])[:70000]


def test_a_broken_pipe_is_quiet() -> None:
    process = start()
    assert process.stdout is not None
    assert process.stderr is not None
    assert len(process.stdout.read(1000)) == 1000
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait(timeout=60) == 141
    process.stderr.close()


def test_an_empty_count() -> None:
    assert told("--count", "0") == []


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--order", "seeds", "--seed", str(2**64 - 5)), "The seeds run out"),
        (("--seed", "-1"), "--seed"),
        (("--name", ""), "The name of a stream is no text"),
    ],
)
def test_errors(fanin: Callable[..., Any], arguments: tuple[str, ...], text: str) -> None:
    ended = fanin("bits", *arguments)
    assert ended.code == 2
    assert text in ended.err


def test_a_terminal_gets_no_raw_words(fanin: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    ended = fanin("bits")
    assert ended.code == 2
    assert "stdout is a terminal" in ended.err
