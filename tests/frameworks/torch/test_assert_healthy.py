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
    done = run(tmp_path, "--strict-markers", "--fanin-report=out")
    assert "1 failed, 1 passed, 1 error" in done.stdout, done.stdout + done.stderr
    assert "vanishing gradients" in done.stdout
    assert "marker fanin takes select" in done.stdout
    pages = sorted(p.name for p in (tmp_path / "out").iterdir())
    assert [p.partition(".")[0] for p in pages] == ["test_models"] * 2
    assert all("test_" in p for p in pages)


def test_the_plugin_does_not_load_torch_at_the_start(tmp_path: Path) -> None:
    text = "import sys\ndef test_light():\n    assert 'torch' not in sys.modules\n"
    (tmp_path / "test_light.py").write_text(text, encoding="utf-8")
    done = run(tmp_path)
    assert "1 passed" in done.stdout, done.stdout + done.stderr
    heavy = text.replace("import sys\n", "import sys, torch\n")
    (tmp_path / "test_light.py").write_text(heavy, encoding="utf-8")
    assert "1 failed" in run(tmp_path).stdout
