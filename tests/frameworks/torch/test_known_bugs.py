"""Faults that real projects had, each found once and with its cause; and no alarm on healthy networks."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

import fanin.torch
from fanin.records.finding import Severity

FOLDER = Path(__file__).resolve().parents[3] / "benchmarks"


def _loaded(name: str) -> ModuleType:
    """A file of the calibration benchmark, under its own name: its neighbours import it by that."""
    path = FOLDER / f"{name}.py"
    if not path.exists():  # an unpacked sdist may leave the benchmarks out
        pytest.skip("no benchmarks here", allow_module_level=True)
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


_loaded("check_blocks")
HEALTHY = _loaded("check_healthy").HEALTHY
SICK = _loaded("check_sick").SICK


@pytest.mark.parametrize("name", sorted(SICK))
def test_a_fault_is_found_once_with_its_cause(name: str) -> None:
    fault = SICK[name]
    case = fault.make(3)
    report = fanin.torch.check(case.model, *case.inputs, target=case.target, **case.options)
    right = [f for f in report.findings if f.code in fault.codes]
    assert len(right) == 1, report.findings
    assert fault.cause in right[0].cause
    assert right[0].fix
    assert right[0].where
    if not fault.remark:
        assert right[0].severity != Severity.INFO
    others = [f for f in report.findings if f.severity != Severity.INFO and f not in right]
    assert others == []


@pytest.mark.parametrize("name", sorted(HEALTHY))
def test_a_healthy_network_is_left_in_peace(name: str) -> None:
    case = HEALTHY[name](1)
    report = fanin.torch.check(case.model, *case.inputs, target=case.target, **case.options)
    assert report.healthy, report.findings


def test_a_healthy_network_with_a_fault_put_in_is_not() -> None:
    case = HEALTHY["any_mlp"](1)
    with torch.no_grad():
        case.model[0].weight.fill_(0.1)
    assert not fanin.torch.check(case.model, *case.inputs).healthy
