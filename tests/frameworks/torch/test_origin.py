"""Where a model's own code stands."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import nn

from fanin.records.finding import Origin
from fanin.torch import check, check_width

CODE = """from torch import nn


class Net(nn.Module):
    def __init__(self, width=4):
        super().__init__()
        self.layer = nn.Linear(4, width)
        self.head = nn.Linear(width, 2)

    def forward(self, x):
        return self.head(self.layer(x))


def make(width=4):
    return Net(width)
"""


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    (tmp_path / "nets").mkdir()
    (tmp_path / "nets" / "mine.py").write_text(CODE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    spec = importlib.util.spec_from_file_location("mine", tmp_path / "nets" / "mine.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_users_class_or_function(mine: ModuleType, tmp_path: Path) -> None:
    x = torch.randn(8, 4)
    inside = nn.Sequential(nn.Linear(4, 4), mine.Net())
    for model in (mine.Net(), inside):
        assert check(model, x).diagnosis.origin == Origin(uri="nets/mine.py", line=10)
    assert check(mine.make, x, draws=1).diagnosis.origin == Origin(uri="nets/mine.py", line=14)
    wide = check_width(mine.make, x, target=torch.arange(8) % 2, widths=(4, 8, 16), draws=1, steps=1)
    assert wide.diagnosis.origin == Origin(uri="nets/mine.py", line=14)
    log = json.loads(check(mine.Net(), x).save(tmp_path / "x.sarif").read_text(encoding="utf-8"))
    for result in log["runs"][0]["results"]:
        (location,) = result["locations"]
        assert location["physicalLocation"]["region"] == {"startLine": 10}


def test_a_librarys_classes_have_none(mine: ModuleType, tmp_path: Path) -> None:
    x = torch.randn(8, 4)
    assert check(nn.Sequential(nn.Linear(4, 2)), x).diagnosis.origin is None
    # Nor has code outside of the working directory, which is not what its user would mend.
    (tmp_path / "elsewhere").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path / "elsewhere")
        assert check(mine.Net(), x).diagnosis.origin is None
