"""The pytest plugin: fixture `assert_healthy`, marker `fanin`, option ``--fanin-report``.

    @pytest.mark.fanin(ignore=["FAN103"])
    def test_my_model(assert_healthy):
        assert_healthy(make_model(), make_batch())

Torch is imported by the first test that uses the fixture, not at pytest's start.
"""

from __future__ import annotations

import hashlib
import importlib.util
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fanin import testing
from fanin.errors import explain

__all__ = ["assert_healthy", "pytest_addoption", "pytest_configure"]

_OPTIONS = ("select", "ignore", "fail_on", "baseline", "tier", "seed")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--fanin-report=DIR``."""
    parser.getgroup("fanin").addoption(
        "--fanin-report", metavar="DIR", default=None,
        help="Write the report of every model that assert_healthy checks into DIR, as HTML.",
    )  # fmt: skip


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known, and see that reports can be written before any test runs."""
    folder = config.getoption("--fanin-report", default=None)
    if folder is not None:
        _writable(folder)
    config.addinivalue_line(
        "markers",
        "fanin(select=(), ignore=(), fail_on='warning', baseline=None, tier='standard', seed=0): options of "
        "every assert_healthy of this test",
    )


@pytest.fixture
def assert_healthy(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """`fanin.testing.assert_healthy` with the options of the test's marker, its report saved if asked.

    Returns
    -------
    callable
        Of a model and a batch.
    """
    marked: dict[str, Any] = {}
    for marker in reversed(list(request.node.iter_markers("fanin"))):
        unknown = sorted(set(marker.kwargs) - set(_OPTIONS))
        if marker.args or unknown:
            raise pytest.UsageError(
                f"marker fanin takes {', '.join(_OPTIONS)} by keyword; received {unknown or marker.args}"
            )
        marked |= marker.kwargs
    folder = request.config.getoption("--fanin-report")
    calls = 0

    def checked(model: Any, batch: Any, **options: Any) -> Any:
        nonlocal calls
        __tracebackhide__ = True
        calls += 1
        if folder is not None and "report" not in options:
            options["report"] = _place(Path(folder), request.node.nodeid, calls)
        return testing.assert_healthy(model, batch, **{**marked, **options})

    return checked


def _writable(folder: str) -> None:
    """Make the folder of reports.

    Raises
    ------
    pytest.UsageError
        It is none, or nothing can be written there.
    """
    try:
        if not folder:
            raise NotADirectoryError("no name")
        Path(folder).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise pytest.UsageError(
            explain(
                "--fanin-report=DIR names no folder that reports can be written to",
                received=f"{folder!r}: {error.strerror or error}",
            )
        ) from error


def _place(folder: Path, test: str, call: int) -> Path:
    """A file of the test's name, and what tells alike names apart; HTML where plotly is installed."""
    folder.mkdir(parents=True, exist_ok=True)
    # ``test[a/b]`` and ``test[a_b]`` have one name as files; so have tests/a_b.py and tests/a/b.py.
    apart = hashlib.sha256(test.encode()).hexdigest()[:6]
    name = re.sub(r"[^\w.-]+", "_", test).strip("_.")[-120:]
    suffix = "html" if importlib.util.find_spec("plotly") else "json"
    return folder / f"{name}-{apart}{f'-{call}' if call > 1 else ''}.{suffix}"
