"""The claims of the example scripts hold, in a size that takes seconds."""

from __future__ import annotations

import importlib
import math
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sklearn")

pytestmark = pytest.mark.slow

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "claims"


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Any]]:
    """Import a script as its folder's scripts import each other."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(FOLDER))
    yield importlib.import_module
    for name in set(sys.modules) - before:
        if Path(getattr(sys.modules[name], "__file__", None) or ".").parent == FOLDER:
            del sys.modules[name]


def test_thirty_layers_of_relu(example: Callable[[str], Any]) -> None:
    script = example("deep_relu")
    faded, stuck = script.measure("framework", seed=0, epochs=3)
    alive, learnt = script.measure("auto", seed=0, epochs=8)
    # Half of the power a layer is 2^-29; PyTorch's default, a third of LeCun's variance, 6^-29.
    assert faded < 1e-6 < alive
    assert stuck < 0.15
    assert learnt > 0.5


def test_selu_needs_lecun(example: Callable[[str], Any]) -> None:
    script = example("selu")
    hidden = {policy: script.measure(policy, seed=0, epochs=3) for policy in script.POLICIES}
    assert hidden["lecun"][0] == pytest.approx(1.0, abs=0.2)
    assert hidden["auto"][0] == pytest.approx(1.0, abs=0.2)
    assert hidden["he"][0] > 4.0
    assert hidden["framework"][0] < 0.3
    assert math.isnan(hidden["he"][1])
    assert hidden["framework"][1] < 0.2
    assert min(hidden["lecun"][1], hidden["auto"][1]) > 0.4


def test_orthogonal_products_keep_lengths(example: Callable[[str], Any]) -> None:
    script = example("deep_linear")
    shallow, deep = (script.best("orthogonal", depth, rates=(0.5, 1.0), most=60) for depth in (4, 64))
    assert deep < 3 * shallow
    gaussian = script.best("lecun", 16, rates=(0.2, 0.5, 1.0), most=60)
    assert gaussian > 2 * deep


def test_depth_is_paid_for_by_counting_branches(example: Callable[[str], Any]) -> None:
    script = example("residual_depth")
    (plain, _), (scaled, _), (zeroed, even) = (
        script.measure(policy, layers=48, width=64)
        for policy in ("lecun", "lecun+depth-scaled", "auto+zero-out")
    )
    assert plain > 5.0
    assert scaled == pytest.approx(1.2, abs=0.2)
    assert zeroed == pytest.approx(1.0, abs=1e-3)
    assert even == pytest.approx(1.0, rel=0.05)


def test_branches_without_norms(example: Callable[[str], Any]) -> None:
    script = example("no_norm")
    loud, lost = script.measure("he", rate=1e-3, epochs=1)
    assert loud > 1e20
    assert math.isnan(lost)
    assert script.measure("he+zero-out", rate=1e-3, epochs=1)[1] > 0.7
    assert script.measure("auto", rate=1e-1, epochs=2)[1] > 0.7
    assert math.isnan(script.measure("lecun+depth-scaled", rate=1e-1, epochs=1)[1])


def test_two_hundredths_are_not_for_every_width(example: Callable[[str], Any]) -> None:
    script = example("tiny_vit")
    fixed, fitted = (script.measure(policy, seed=0, epochs=4) for policy in ("hf-0.02", "auto"))
    assert fixed < fitted - 0.1


def test_a_script_that_diverges_says_nan(example: Callable[[str], Any]) -> None:
    training, script = example("training"), example("no_norm")
    model = training.initialised(script.network(branches=4), "lecun", 0)
    assert math.isnan(training.accuracy(model, training.digits(), rate=1e4, epochs=1, seed=0))
