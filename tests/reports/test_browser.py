"""The page in a real browser: it draws, says nothing on the console, and asks for nothing outside."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from fanin.records.finding import Diagnosis
from fanin.reports.html import page

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="no chromium on this machine"),
]


def browse(file: Path, *extra: str) -> tuple[str, list[str]]:
    """The document after its scripts ran, and what the console said."""
    assert BROWSER
    done = subprocess.run(
        [
            BROWSER, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
            "--hide-scrollbars", "--virtual-time-budget=10000", "--enable-logging=stderr",
            f"--user-data-dir={file.parent / 'profile'}", *extra, file.as_uri(),
        ],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


@pytest.mark.parametrize("depth", [3, 30, 1000])
def test_the_page_draws_in_silence(make: Callable[..., Diagnosis], tmp_path: Path, depth: int) -> None:
    file = tmp_path / "page.html"
    file.write_text(page(make(depth)), encoding="utf-8")
    document, console = browse(file, "--dump-dom")
    assert console == []
    assert 'data-drawn="2"' in document
    assert document.count('class="main-svg"') >= 2


def test_nasty_names_do_nothing(make: Callable[..., Diagnosis], tmp_path: Path) -> None:
    nasty = "</script><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
    file = tmp_path / "page.html"
    file.write_text(page(make(5, model=nasty, prefix=nasty)), encoding="utf-8")
    document, console = browse(file, "--dump-dom")
    assert console == []
    assert "<title>owned" not in document
    assert 'data-drawn="2"' in document


def test_a_request_and_a_script_would_be_noticed(healthy: Diagnosis, tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    smuggled = '<img src="https://outside.invalid/a.png"><script>document.title="owned"</script></main>'
    file.write_text(page(healthy).replace("</main>", smuggled, 1), encoding="utf-8")
    document, console = browse(file, "--dump-dom")
    assert sum("Content Security Policy" in line for line in console) >= 2
    assert "<title>owned" not in document


@pytest.mark.parametrize(("scheme", "dark"), [("light", False), ("dark", True)])
def test_a_screenshot_is_taken_in_both_schemes(
    sick: Diagnosis, tmp_path: Path, scheme: str, dark: bool
) -> None:
    file, picture = tmp_path / "page.html", tmp_path / f"{scheme}.png"
    file.write_text(page(sick), encoding="utf-8")
    extra = ["--blink-settings=preferredColorScheme=0"] if dark else []
    _, console = browse(file, f"--screenshot={picture}", "--window-size=1280,2400", *extra)
    assert console == []
    assert picture.stat().st_size > 50_000
