# ruff: noqa: E501 - messages are compared whole
"""What the ends of a command mean, and that nobody sees a traceback who did not ask for one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from fanin._version import __version__
from fanin.cli import main as module

COMMAND = [sys.executable, "-m", "fanin"]


def test_help_names_every_command() -> None:
    done = CliRunner().invoke(module.fanin, ["--help"])
    assert done.exit_code == 0
    for name in ("plan", "init", "check", "demo", "list"):
        assert f"\n  {name}" in done.output


@pytest.mark.parametrize("name", ["plan", "init", "check", "demo", "list"])
def test_every_command_explains_itself(fanin: Callable[..., Any], name: str) -> None:
    ended = fanin(name, "--help")
    assert ended.code == 0
    assert ended.out.startswith(f"Usage: fanin {name}")


def test_version(fanin: Callable[..., Any]) -> None:
    assert fanin("--version").out == f"fanin {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("bogus",), "error: No such command 'bogus'. (see fanin --help)\n"),
        (("plan",), "error: Missing argument 'TARGET'. (see fanin plan --help)\n"),
        (("list", "--format", "xml"), "error: Invalid value for '--format': 'xml' is not one of 'text', 'json'. (see fanin list --help)\n"),
        (("plan", "x:y", "--seed", "-1"), "error: Invalid value for '--seed': -1 is not in the range 0<=x<=18446744073709551615. (see fanin plan --help)\n"),
        (("init", "x:y"), "error: Missing option '--output' / '-o'. (see fanin init --help)\n"),
    ],
)  # fmt: skip
def test_usage_errors_are_one_line(fanin: Callable[..., Any], arguments: tuple[str, ...], text: str) -> None:
    ended = fanin(*arguments)
    assert (ended.code, ended.out, ended.err) == (2, "", text)


def failing(error: BaseException) -> click.Command:
    """A command that ends in an error."""

    @click.command("fail")
    def fail() -> None:
        raise error

    return fail


def test_a_fault_of_our_own_says_so(fanin: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FANIN_DEBUG", raising=False)
    monkeypatch.setitem(module.fanin.commands, "fail", failing(ZeroDivisionError("of our\nown")))
    ended = fanin("fail")
    assert ended.code == 101
    assert ended.err.startswith("internal error: ZeroDivisionError: of our own\nThis is a fault in fanin")
    assert "Traceback" not in ended.err
    monkeypatch.setenv("FANIN_DEBUG", "1")
    assert "Traceback" in fanin("fail").err


def test_interruption_is_quiet(fanin: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(module.fanin.commands, "fail", failing(KeyboardInterrupt()))
    ended = fanin("fail")
    assert ended.code == 130
    assert "Traceback" not in ended.err


def test_python_dash_m(tmp_path: Path) -> None:
    done = subprocess.run(
        [*COMMAND, "list", "--format", "json"], capture_output=True, text=True, cwd=tmp_path, check=True
    )
    assert any(row["name"] == "he_normal" for row in json.loads(done.stdout))
    assert done.stderr == ""


def test_a_reader_that_leaves_is_no_error() -> None:
    # The pipe's reader closes before anything is written, as `head` does when it has seen enough.
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([*COMMAND, "list"], stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert done.returncode == 141
    assert done.stderr == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no device that is full")
@pytest.mark.parametrize(
    "words", [("list",), ("explain", "he_normal", "--shape", "8x4"), ("list", "--format", "json")]
)
def test_a_full_disk_is_no_fault_of_ours(words: tuple[str, ...]) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([*COMMAND, *words], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: The system refused to read or write.")
    assert "No space left" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_streams_that_are_closed_are_not_missed(closed: str) -> None:
    done = subprocess.run(
        ["/bin/sh", "-c", f'exec "$@" {closed}', "sh", *COMMAND, "list"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert ("he_normal" in done.stdout) == (not closed.startswith(">"))


def test_control_c_ends_quietly(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(
        "import pathlib, time\ndef make():\n    pathlib.Path('started').touch()\n    time.sleep(60)\n",
        encoding="utf-8",
    )
    process = subprocess.Popen(
        [*COMMAND, "plan", "slow.py:make", "-i", "2x2"],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not (tmp_path / "started").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err.strip()) == (130, "", "")


def test_help_loads_no_framework() -> None:
    program = (
        "import sys\nfrom fanin.cli.main import main\n"
        "for words in (['--help'], ['check', '--help'], ['list']):\n    main(words)\n"
        "print(sorted({'torch', 'plotly', 'rich', 'transformers', 'sklearn'} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr == "[]\n"


@pytest.mark.parametrize(("missing", "extra"), [("torch", "torch"), ("sklearn", "demo")])
def test_a_library_that_is_missing_is_named(
    fanin: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, missing: str, extra: str
) -> None:
    def absent(_context: Any) -> None:
        raise ModuleNotFoundError(f"No module named '{missing}'", name=f"{missing}.nn")

    monkeypatch.setattr(module.fanin.commands["list"], "invoke", absent)
    ended = fanin("list")
    assert ended.code == 2
    assert f"'fanin[{extra}]'" in ended.err


def test_another_missing_module_is_a_fault(
    fanin: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(_context: Any) -> None:
        raise ModuleNotFoundError("No module named 'fanin.nowhere'", name="fanin.nowhere")

    monkeypatch.setattr(module.fanin.commands["list"], "invoke", absent)
    assert fanin("list").code == 101


def test_no_words_show_the_help(fanin: Callable[..., Any]) -> None:
    ended = fanin()
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith("Usage: fanin")


def test_a_shell_completes_words(fanin: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_FANIN_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", "fanin ch")
    monkeypatch.setenv("COMP_CWORD", "1")
    assert fanin().out.split() == ["plain,check"]
