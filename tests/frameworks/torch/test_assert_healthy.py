"""The assertion and the pytest plugin: what they say, save, select, and do not import."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

import fanin.testing
from fanin.checks import baseline
from fanin.errors import InputError
from fanin.records.codec import from_json
from fanin.records.finding import Diagnosis
from fanin.torch import check, init_

ROOT = Path(__file__).resolve().parents[3]


def deep() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(*[m for _ in range(30) for m in (nn.Linear(32, 32), nn.ReLU())], nn.Linear(32, 4))


def test_a_healthy_model_returns_its_report_and_a_sick_one_says_why(tmp_path: Path) -> None:
    model, batch = deep(), torch.randn(32, 32)
    with pytest.raises(AssertionError, match=r"FAILURE .*vanishing gradients") as told:
        fanin.testing.assert_healthy(model, batch, report=tmp_path / "r.json")
    assert "fix " in str(told.value)
    assert from_json((tmp_path / "r.json").read_text(encoding="utf-8"), Diagnosis).findings
    init_(model, batch)
    assert fanin.testing.assert_healthy(model, (batch,), target=torch.arange(32) % 4).healthy


def test_what_counts_can_be_chosen(tmp_path: Path) -> None:
    model, batch = deep(), torch.randn(32, 32)
    assert fanin.testing.assert_healthy(model, batch, ignore=["FAN102"])
    assert fanin.testing.assert_healthy(model, batch, select=["FAN2"])
    file = baseline.write(tmp_path / "known.json", check(model, batch).diagnosis)
    assert fanin.testing.assert_healthy(model, batch, baseline=file).diagnosis.accepted
    with pytest.raises(InputError, match="no such severity"):
        fanin.testing.assert_healthy(model, batch, fail_on="error")


TEST = """
import pytest, torch
from torch import nn

def deep():
    torch.manual_seed(0)
    return nn.Sequential(*[m for _ in range(30) for m in (nn.Linear(32, 32), nn.ReLU())])

def test_sick(assert_healthy):
    assert_healthy(deep(), torch.randn(32, 32))

@pytest.mark.fanin(ignore=["FAN102"])
def test_marked(assert_healthy):
    assert_healthy(deep(), torch.randn(32, 32))

@pytest.mark.fanin(select="FAN2")
class TestMany:
    @pytest.mark.parametrize("name", ["a/b", "a_b"])
    def test_marked(self, assert_healthy, name):
        assert_healthy(deep(), torch.randn(32, 32))

    @pytest.mark.fanin(select="FAN1")
    def test_nearest_mark_counts(self, assert_healthy):
        with pytest.raises(AssertionError, match="vanishing"):
            assert_healthy(deep(), torch.randn(32, 32))
        assert_healthy(deep(), torch.randn(32, 32), select="FAN2")

@pytest.mark.fanin(limit=3)
def test_wrong_mark(assert_healthy):
    pass
"""


def run(place: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    paths = os.pathsep.join([str(ROOT / "src"), *(p for p in sys.path if p)])
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "fanin.pytest_plugin", "-p", "no:cacheprovider", *arguments],
        cwd=place, capture_output=True, text=True, check=False, timeout=300,
        env={**os.environ, "PYTHONPATH": paths, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
    )  # fmt: skip


def test_the_plugin_in_a_project(tmp_path: Path) -> None:
    (tmp_path / "test_models.py").write_text(TEST, encoding="utf-8")
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "models.py").write_text(TEST.partition("@pytest.mark.fanin")[0], encoding="utf-8")
    every = ("test_models.py", "test/models.py", "-p", "xdist.plugin", "-n", "2")
    done = run(tmp_path, "--strict-markers", "--import-mode=importlib", "--fanin-report=out", *every)
    assert "2 failed, 4 passed, 1 error" in done.stdout, done.stdout + done.stderr
    assert "vanishing gradients" in done.stdout
    assert "marker fanin takes select" in done.stdout
    pages = sorted(p.name for p in (tmp_path / "out").iterdir())
    # One for each test, two for the one that checks twice: no file is taken by two tests.
    assert len(pages) == 7
    assert sum(p.startswith("test_models.py_test_sick-") for p in pages) == 2
    assert sum("TestMany_test_marked_a_b-" in p for p in pages) == 2
    assert sorted(p.name for p in tmp_path.iterdir() if p.is_dir() and p.name[0] != "_") == ["out", "test"]


@pytest.mark.parametrize("folder", ["", "file/under"])
def test_a_folder_that_cannot_be_written_is_said_before_any_test_runs(tmp_path: Path, folder: str) -> None:
    (tmp_path / "test_models.py").write_text(TEST, encoding="utf-8")
    (tmp_path / "file").write_text("", encoding="utf-8")
    done = run(tmp_path, f"--fanin-report={folder}")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "names no folder that reports can be written to. Received: " in done.stderr
    assert "passed" not in done.stdout


def test_the_plugin_does_not_load_torch_at_the_start(tmp_path: Path) -> None:
    text = "import sys\ndef test_light():\n    assert 'torch' not in sys.modules\n"
    (tmp_path / "test_light.py").write_text(text, encoding="utf-8")
    done = run(tmp_path)
    assert "1 passed" in done.stdout, done.stdout + done.stderr
    heavy = text.replace("import sys\n", "import sys, torch\n")
    (tmp_path / "test_light.py").write_text(heavy, encoding="utf-8")
    assert "1 failed" in run(tmp_path).stdout
