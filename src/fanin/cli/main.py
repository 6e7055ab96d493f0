"""``fanin``: one group of commands, and what their ends mean.

Exit codes: 0 clean; 1 findings at or above ``--fail-on``; 2 usage or input error; 101 a fault in
fanin; 130 interrupted; 141 the reader of a pipe has gone. Results go to stdout, all else to stderr.
"""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
from collections.abc import Sequence
from typing import TextIO

import click
from click.shell_completion import shell_complete

from fanin._version import __version__
from fanin.cli.commands.audit import audit
from fanin.cli.commands.bits import bits
from fanin.cli.commands.check import check
from fanin.cli.commands.compare import compare
from fanin.cli.commands.demo import demo
from fanin.cli.commands.explain import explain
from fanin.cli.commands.init import init
from fanin.cli.commands.list import list_
from fanin.cli.commands.plan import plan
from fanin.cli.commands.tune import tune
from fanin.errors import FaninError
from fanin.errors import explain as composed
from fanin.records.table import visible

__all__ = ["fanin", "main"]

_COMPLETE = "_FANIN_COMPLETE"
"""Set by a shell that completes words: ``eval "$(_FANIN_COMPLETE=bash_source fanin)"``."""

_EXTRAS = {
    "torch": "torch", "safetensors": "torch", "sklearn": "demo", "mlxtend": "demo", "rich": "report",
    "plotly": "report", "scipy": "experiments", "joblib": "experiments",
}  # fmt: skip
"""Which extra brings a library that is imported only where it is needed."""

_CLEAN, _USAGE, _FAULT, _INTERRUPTED, _NO_READER = 0, 2, 101, 130, 141


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, package_name="fanin", message="fanin %(version)s")
def fanin() -> None:
    """The right weights at step zero, the same everywhere, proved before training.

    TARGET names a model: module:callable, file.py:callable, or hf:CONFIG.json (a transformers
    configuration; random weights, nothing is downloaded).
    """


for _command in (plan, init, audit, check, compare, tune, demo, list_, explain, bits):
    fanin.add_command(_command)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit code; no error of a user shows a traceback."""
    with contextlib.ExitStack() as streams:
        # A shell may start a program with these closed (>&-), and Python then has None for them.
        if sys.stdout is None:
            streams.enter_context(contextlib.redirect_stdout(streams.enter_context(_nowhere())))
        if sys.stderr is None:
            streams.enter_context(contextlib.redirect_stderr(streams.enter_context(_nowhere())))
        return _run(arguments)


def _run(arguments: Sequence[str] | None) -> int:
    try:
        # Not fanin.main(): it turns a broken pipe into exit code 1 before it can be told apart.
        words = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
        if asked := os.environ.get(_COMPLETE):
            return shell_complete(fanin, {}, "fanin", _COMPLETE, asked)
        with fanin.make_context("fanin", words) as context:
            code = fanin.invoke(context)
        sys.stdout.flush()
    except click.exceptions.Exit as end:
        return end.exit_code
    except BrokenPipeError:
        _silence()
        return _NO_READER
    except (click.Abort, KeyboardInterrupt):
        return _INTERRUPTED
    except SystemExit as end:
        return _error(f"The model's own code ended the program. Received: sys.exit({end.code!r}).")
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else "fanin"
        return _error(f"{error.format_message()} (see {command} --help)")
    except click.ClickException as error:
        return _error(error.format_message())
    except FaninError as error:
        return _error(str(error), error)
    except ModuleNotFoundError as error:
        extra = _EXTRAS.get((error.name or "").partition(".")[0])
        if extra is None:
            return _fault(error)
        return _error(
            composed(
                "A library that this command needs is not installed",
                received=error.name,
                remedy=f"python -m pip install 'fanin[{extra}]'",
            ),
            error,
        )
    except OSError as error:
        # A disk that is full, a place that may not be written: no library call above turned it into words.
        _silence()
        return _error(composed("The system refused to read or write", received=str(error)), error)
    except Exception as error:  # noqa: BLE001 - the last line of defence, so that users see words
        return _fault(error)
    return code if isinstance(code, int) else _CLEAN


def _error(text: str, error: BaseException | None = None) -> int:
    """Say it in one line: tools read line by line, and a model's own message may have many."""
    _trace(error)
    click.echo(f"error: {visible(' '.join(text.split()))}", err=True)
    return _USAGE


def _fault(error: Exception) -> int:
    _trace(error)
    click.echo(
        f"internal error: {type(error).__name__}: {' '.join(str(error).split())}\n"
        "This is a fault in fanin, not in your model. Please report it with the command you ran, "
        f"your versions (fanin {__version__}, Python {sys.version.split()[0]}) and what "
        "FANIN_DEBUG=1 prints.",
        err=True,
    )
    return _FAULT


def _trace(error: BaseException | None) -> None:
    if error is not None and os.environ.get("FANIN_DEBUG") == "1":
        traceback.print_exception(error, file=sys.stderr)


def _nowhere() -> TextIO:
    return open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123 - os.devnull is a name, not a path to join


def _silence() -> None:
    """Point stdout at nothing, so that Python's own last flush meets no broken pipe."""
    # A stdout that is no file (a test's buffer) has no number and needs none.
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
