"""Rules with and without what the laws predict."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fanin.checks.rules import fan101_forward_power as fan101
from fanin.checks.runner import run
from fanin.checks.stations import forward_drift, stations
from fanin.predictions import forecast
from fanin.records.finding import Severity
from fanin.records.prediction import Certainty

Build = Callable[..., Any]


def test_a_diagnosis_carries_both_predictions(network: Build) -> None:
    diagnosis = run(*network(depth=5).case().records)
    assert diagnosis.prediction is not None
    assert diagnosis.planned is not None
    assert diagnosis.prediction.basis == "the weights as they are"
    assert {p.certainty for p in diagnosis.prediction.nodes} == {Certainty.EXACT}
    assert diagnosis.prediction.loss is not None


def test_a_drift_is_known_by_its_law(network: Build, default_init: dict[str, Any]) -> None:
    case = network(depth=30, **default_init).case()
    foretold = forecast(*case.records)
    drift = forward_drift(stations(case.graph, case.trace, foretold))
    assert drift.exact
    assert drift.law is not None
    assert drift.planned == pytest.approx(0.0, abs=1e-6)
    assert drift.unexplained == 0.0
    assert abs(drift.log - drift.law - drift.expected) < 6 * drift.sd
    (finding,) = [f for f in run(*case.records).findings if f.code == "FAN102"]
    # Each of 29 layers takes 1/6 of the gradient's power.
    assert dict(finding.evidence)["decades by law"] == pytest.approx(-29 * math.log10(6), abs=0.5)


def test_without_laws_the_rules_fall_back(network: Build, default_init: dict[str, Any]) -> None:
    case = network(depth=30, **default_init).case()
    drift = forward_drift(stations(case.graph, case.trace))
    assert drift.law is None
    assert not drift.lucky(fan101.WARNING, fan101.LUCK)
    assert drift.unexplained == 0.0
    assert fan101.RULE.check(*case.records) is not None


def test_a_drift_that_laws_foresee_as_harmless_is_luck(network: Build) -> None:
    case = network(depth=30, width=32).case()
    drift = forward_drift(stations(case.graph, case.trace, forecast(*case.records)))
    far = replace(drift, log=-fan101.WARNING * 1.1, law=-fan101.WARNING * 0.9, expected=0.0, sd=2.0, z=-9.0)
    assert fan101.judged(far) == Severity.INFO
    assert fan101.judged(replace(far, law=-fan101.WARNING * 1.05)) == Severity.WARNING
    assert fan101.judged(replace(far, sd=0.1)) == Severity.WARNING
    assert fan101.judged(replace(far, law=None)) == Severity.WARNING
    # Smaller than what harms: remarked if it is no chance.
    small = replace(far, log=-0.8 * fan101.WARNING, planned=0.0)
    assert fan101.judged(replace(small, sd=0.1)) == Severity.INFO
    assert fan101.judged(small) is None


def test_what_the_variances_do_not_explain_is_remarked(network: Build) -> None:
    # Every second weight is the transpose of the one before: W^T W multiplies the power by 2, not by 1.
    def edit(weights: list[np.ndarray], _biases: list[np.ndarray]) -> None:
        for k in range(2, len(weights) - 1, 2):
            weights[k][:] = weights[k - 1].T

    case = network(depth=17, width=256, function="linear", batch=32, edit=edit).case()
    (finding,) = [f for f in run(*case.records).findings if f.code == "FAN101"]
    assert finding.name == "signal off its law"
    assert finding.severity == Severity.INFO
    figures = dict(finding.evidence)
    assert figures["decades"] > figures["decades by law"] + 1.0


def test_where_laws_break_down_the_rules_go_on(network: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    from fanin.checks import runner

    def broken(*_: object) -> None:
        raise ZeroDivisionError("no law")

    monkeypatch.setattr(runner, "forecast", broken)
    diagnosis = run(*network(depth=5).case().records)
    assert diagnosis.prediction is None
    assert "nothing was predicted: ZeroDivisionError: no law" in diagnosis.trace.notes
    assert diagnosis.passed
