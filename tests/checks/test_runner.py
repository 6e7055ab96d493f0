"""One finding a cause, and none for healthy networks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from fanin.checks import registry
from fanin.checks.runner import run
from fanin.errors import UnknownNameError
from fanin.records import codec
from fanin.records.finding import Diagnosis, Severity

Build = Callable[..., Any]


def alarms(diagnosis: Diagnosis) -> list[str]:
    return [f.code for f in diagnosis.findings if f.severity != Severity.INFO]


def test_registry_has_every_rule_with_words_and_no_circle() -> None:
    rules = registry.rules()
    codes = [rule.code for rule in rules]
    assert codes == sorted(set(codes))
    assert len(codes) >= 36
    for rule in rules:
        assert rule.name
        assert rule.definition
        assert rule.threshold
        assert rule.advice
        assert set(rule.symptom_of) <= set(codes)
        assert rule.code in str(rule)
    left = {rule.code: set(rule.symptom_of) for rule in rules}
    while left:
        free = {code for code, causes in left.items() if not causes & set(left)}
        assert free, f"these explain each other in a circle: {sorted(left)}"
        left = {code: causes for code, causes in left.items() if code not in free}


def test_get_knows_codes_in_either_case_and_suggests() -> None:
    assert registry.get("fan102").code == "FAN102"
    with pytest.raises(UnknownNameError, match="FAN10"):
        registry.get("FAN199")


def test_the_flagship_is_one_finding(network: Build, default_init: dict[str, Any]) -> None:
    diagnosis = run(*network(depth=30, width=128, **default_init).case().records)
    assert alarms(diagnosis) == ["FAN102"]
    assert len(diagnosis.findings) == 1
    assert "collapsed inputs (FAN103)" in diagnosis.findings[0].summary


def test_every_rule_answers_once(network: Build, default_init: dict[str, Any]) -> None:
    case = network(depth=5, **default_init).case()
    diagnosis = run(*case.records)
    answered = [code for code, _ in diagnosis.passed]
    answered += [s.code for s in diagnosis.skipped]
    answered += [f.code for f in diagnosis.findings]
    assert sorted(answered) == [rule.code for rule in registry.rules()]
    assert codec.from_json(codec.to_json(diagnosis), Diagnosis) == diagnosis


@pytest.mark.parametrize(
    ("expected", "arguments"),
    [
        ("FAN101", {"depth": 30, "draw": lambda r, o, i: r.standard_normal((o, i)) / np.sqrt(i)}),
        ("FAN101", {"depth": 6, "draw": lambda r, o, i: r.standard_normal((o, i))}),
        ("FAN105", {"depth": 6, "function": "tanh", "draw": lambda r, o, i: r.standard_normal((o, i))}),
        ("FAN102", {"depth": 50, "norm": True}),
        ("FAN201", {"depth": 4, "draw": lambda _r, o, i: np.full((o, i), 0.2)}),
        ("FAN104", {"depth": 6, "edit": lambda _w, b: b[2].__isub__(10)}),
    ],
)
def test_one_cause_is_one_alarm(network: Build, expected: str, arguments: dict[str, Any]) -> None:
    assert alarms(run(*network(**arguments).case().records)) == [expected]


def test_an_overflow_is_explained_by_the_growth_before_it(network: Build) -> None:
    case = network(depth=60, draw=lambda r, o, i: 1e6 * r.standard_normal((o, i)))
    with np.errstate(all="ignore"):
        records = case.case().records
    assert alarms(run(*records)) == ["FAN101"]


def test_two_faults_are_two_findings(network: Build, default_init: dict[str, Any]) -> None:
    def edit(weights: list[np.ndarray], _biases: list[np.ndarray]) -> None:
        weights[4][:] = weights[3]

    diagnosis = run(*network(depth=30, edit=edit, **default_init).case().records)
    assert alarms(diagnosis) == ["FAN102", "FAN202"]


@pytest.mark.parametrize("depth", [2, 10, 60])
@pytest.mark.parametrize("width", [32, 128])
@pytest.mark.parametrize("function", ["relu", "tanh"])
def test_no_alarm_on_healthy_networks(network: Build, depth: int, width: int, function: str) -> None:
    for seed in range(5):
        case = network(depth=depth, width=width, function=function, seed=seed).case()
        diagnosis = run(*case.records)
        assert alarms(diagnosis) == [], diagnosis.findings


@pytest.mark.parametrize("depth", [4, 30])
def test_no_alarm_on_healthy_residual_networks_with_norms(network: Build, depth: int) -> None:
    # The stream has no last norm here, so the head starts at zero.
    zeros = lambda _r, o, i: np.zeros((o, i))  # noqa: E731
    for seed in range(4):
        case = network(depth=depth, residual=True, norm=True, head=zeros, seed=seed).case()
        assert alarms(run(*case.records)) == []
