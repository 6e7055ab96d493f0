"""``fanin demo``, in its smallest form: every step runs, and every number is what ran."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sklearn")
pytest.importorskip("plotly")

SMALL = ("demo", "--layers", "20", "--width", "32", "--seeds", "2", "--epochs", "2")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_whole_way(fanin: Callable[..., Any], here: Path) -> None:
    ended = fanin(*SMALL)
    assert ended.code == 0, ended.err
    assert [line[0] for line in ended.out.splitlines() if re.match(r"\d  ", line)] == list("123456")
    assert "FAILURE  DeepReLU will not train as it is: vanishing gradients" in ended.out
    assert "HEALTHY  DeepReLU" in ended.out
    assert "layers.1-18.weight ×18" in ended.out
    assert ended.err.startswith("wrote fanin-demo.html")
    page = (here / "fanin-demo.html").read_text(encoding="utf-8")
    last = ended.out.splitlines()[-1]
    assert last in html.unescape(page)
    assert re.fullmatch(
        r"PyTorch's default ends at \d+\.\d % accuracy, fanin at \d+\.\d % \(guessing is \d+\.\d %\)\.", last
    ), last  # fmt: skip
    assert "--layers 20 --width 32 --seeds 2 --epochs 2" in page


def test_numbers_are_what_ran(fanin: Callable[..., Any], here: Path) -> None:
    # Another learning rate must give other numbers; the same settings the same ones.
    outs = [
        re.sub(r"\d+ s\.", "", fanin(*SMALL, "--seeds", "1", "--learning-rate", rate).out)
        for rate in ("0.002", "0.002", "0.02")
    ]
    tables = [out.partition("test accuracy")[2] for out in outs]
    assert tables[0] == tables[1]
    assert tables[0] != tables[2]
    assert (here / "fanin-demo.html").exists()


def test_an_older_page_is_replaced_with_notice(fanin: Callable[..., Any], here: Path) -> None:
    (here / "fanin-demo.html").write_text("old", encoding="utf-8")
    ended = fanin(*SMALL, "--seeds", "1", "--epochs", "1")
    assert ended.err.startswith("replaced fanin-demo.html")
    assert (here / "fanin-demo.html").stat().st_size > 10_000


def test_a_page_that_cannot_be_written_is_said_before_the_work(fanin: Callable[..., Any], here: Path) -> None:
    ended = fanin(*SMALL, "--html", str(here / "no" / "x.html"))
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("error: The demo's page cannot be written.")


@pytest.mark.usefixtures("here")
def test_a_package_that_is_missing_is_named(
    fanin: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "sklearn.datasets", None)
    ended = fanin(*SMALL)
    assert ended.code == 2
    assert ended.err == (
        "error: The data comes with scikit-learn, which is not installed. pip install 'fanin[demo]'.\n"
    )
