"""Rules that need more than a plain network: each on a sick and on a healthy trace."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fanin.checks import registry
from fanin.checks.rule import Outcome, Passed, Skipped
from fanin.records.finding import Finding, Severity
from fanin.records.graph import Graph, OpKind
from fanin.records.trace import DeepMeasurement, InputMeasurement, Trace

Build = Callable[..., Any]


def outcome(code: str, case: Any, trace: Trace | None = None, graph: Graph | None = None) -> Outcome:
    return registry.get(code).check(graph or case.graph, case.plan, trace or case.trace)


def found(answer: Outcome) -> Finding:
    assert isinstance(answer, Finding), answer
    assert answer.cause
    assert answer.fix
    assert answer.where
    return answer


def test_a_relu_behind_large_positive_biases_does_nothing(network: Build) -> None:
    sick = network(depth=3, bias=lambda _r, out, _i: np.full(out, 8.0)).case()
    finding = found(outcome("FAN107", sick))
    assert finding.name == "activations always on"
    assert finding.severity == Severity.WARNING
    assert isinstance(outcome("FAN107", network(depth=3).case()), Passed)
    assert isinstance(outcome("FAN107", network(depth=3, function="tanh").case()), Skipped)


def test_a_stream_that_doubles_is_told_from_one_that_adds_up(network: Build) -> None:
    sick = found(outcome("FAN108", network(depth=12, residual=True).case()))
    assert "exponentially" in sick.summary
    # 12 layers: the first has no join, so 11 branches end in an add.
    assert "by 0.302" in sick.fix
    assert isinstance(outcome("FAN108", network(depth=12, residual=True, norm=True).case()), Passed)
    assert isinstance(outcome("FAN108", network(depth=12).case()), Skipped)


def test_norms_without_skip_are_remarked_and_warned_about(network: Build) -> None:
    remark = found(outcome("FAN109", network(depth=14, norm=True).case()))
    warning = found(outcome("FAN109", network(depth=40, norm=True, batch=128).case()))
    assert (remark.severity, warning.severity) == (Severity.INFO, Severity.WARNING)
    # The limit of ReLU and large batches is pi / (pi - 1) = 1.467.
    assert dict(warning.evidence)["factor a layer"] == pytest.approx(1.44, abs=0.08)
    assert isinstance(outcome("FAN109", network(depth=14).case()), Skipped)
    case = network(depth=14, norm=True).case()
    assert isinstance(outcome("FAN109", case, replace(case.trace, mode="eval")), Skipped)


def test_biases_that_are_most_of_the_output(network: Build, default_init: dict[str, Any]) -> None:
    finding = found(outcome("FAN208", network(depth=10, **default_init).case()))
    assert finding.severity == Severity.INFO
    assert isinstance(outcome("FAN208", network(depth=10).case()), Passed)


def test_gradients_of_very_different_size(network: Build, default_init: dict[str, Any]) -> None:
    # Depth alone is no fault of the two weights; a weight that is too large behind a norm is.
    assert found(outcome("FAN303", network(depth=30, **default_init).case())).severity == Severity.INFO

    def edit(weights: list[np.ndarray], _biases: list[np.ndarray]) -> None:
        weights[3] *= 3e3

    sick = found(outcome("FAN303", network(depth=6, norm=True, edit=edit).case()))
    assert sick.severity == Severity.WARNING
    assert "layers.3.weight" in sick.cause
    assert isinstance(outcome("FAN303", network(depth=30, width=128).case()), Passed)


def test_an_output_far_from_its_targets(network: Build) -> None:
    case = network(depth=2).case()
    assert case.trace.loss
    far = replace(case.trace, loss=replace(case.trace.loss, classes=None, offset=5.0))
    near = replace(case.trace, loss=replace(case.trace.loss, classes=None, offset=0.3))
    rare = replace(case.trace, loss=replace(case.trace.loss, prior=0.4, rarity=9.0))
    even = replace(case.trace, loss=replace(case.trace.loss, prior=2.29, rarity=1.3))
    assert "5 standard deviations" in found(outcome("FAN304", case, far)).summary
    assert isinstance(outcome("FAN304", case, near), Passed)
    assert "1.9 nats" in found(outcome("FAN304", case, rare)).summary
    assert isinstance(outcome("FAN304", case, even), Passed)
    assert isinstance(outcome("FAN304", case, replace(case.trace, loss=None)), Skipped)


def test_a_first_step_that_replaces_the_weights(network: Build) -> None:
    case = network(depth=3).case()
    large, small, none = (replace(case.trace, lr=lr) for lr in (100.0, 1e-5, None))
    finding = found(outcome("FAN306", case, large))
    assert finding.severity == Severity.WARNING
    assert "learning rate of" in finding.fix
    assert isinstance(outcome("FAN306", case, small), Passed)
    assert isinstance(outcome("FAN306", case, none), Skipped)
    assert found(outcome("FAN306", case, replace(case.trace, lr=1e-12))).severity == Severity.INFO


def measured(**fields: Any) -> InputMeasurement:
    plain: dict[str, Any] = {
        "name": "the input", "features": 8, "samples": 64, "mean": 0.0, "std": 1.0, "offset": 0.2,
        "least_std": 0.9, "largest_std": 1.1,
    }  # fmt: skip
    return InputMeasurement(**{**plain, **fields})


@pytest.mark.parametrize(
    ("code", "fields", "severity"),
    [
        ("FAN401", {"mean": 128.0, "std": 70.0, "largest_std": 71.0, "least_std": 69.0}, Severity.WARNING),
        ("FAN401", {"std": 4.0, "largest_std": 9.0, "least_std": 0.01}, Severity.WARNING),
        ("FAN401", {"mean": 1.5, "std": 1.0}, Severity.INFO),
        ("FAN401", {"std": 0.2}, Severity.INFO),
        ("FAN401", {}, None),
        ("FAN402", {"repeated": 63}, Severity.WARNING),
        ("FAN402", {"repeated": 2}, Severity.INFO),
        ("FAN402", {}, None),
        ("FAN403", {"constant": 5}, Severity.INFO),
        ("FAN403", {"constant": 4}, None),
        ("FAN403", {"constant": 2, "duplicate": 3}, Severity.INFO),
        ("FAN403", {"constant": 2, "duplicate": 2}, None),
        ("FAN403", {}, None),
    ],
)
def test_inputs(network: Build, code: str, fields: dict[str, Any], severity: Severity | None) -> None:
    case = network(depth=2).case()
    answer = outcome(code, case, replace(case.trace, inputs=(measured(**fields),)))
    if severity is None:
        assert isinstance(answer, Passed), answer
    else:
        assert found(answer).severity == severity


def test_what_tells_samples_apart_in_one_input_is_enough(network: Build) -> None:
    case = network(depth=2).case()
    mask = measured(name="input 2", features=0, repeated=63)
    assert isinstance(outcome("FAN402", case, replace(case.trace, inputs=(measured(), mask))), Passed)
    one = replace(case.trace, batch=1, inputs=(measured(samples=1),))
    assert found(outcome("FAN402", case, one)).name == "batch of one"


@pytest.mark.parametrize(
    ("code", "sick", "healthy", "severity"),
    [
        ("FAN305", {"noise": 0.99}, {"noise": 0.4}, Severity.INFO),
        (
            "FAN501",
            {"stretch": 3.9, "mean_stretch": 1.0},
            {"stretch": 1.5, "mean_stretch": 1.0},
            Severity.INFO,
        ),
        ("FAN502", {"sharpness": 300.0}, {"sharpness": 3.0}, Severity.WARNING),
        ("FAN503", {"kernel_condition": 1e9}, {"kernel_condition": 100.0}, Severity.INFO),
    ],
)
def test_the_deep_tier(
    network: Build, code: str, sick: dict[str, float], healthy: dict[str, float], severity: Severity
) -> None:
    case = network(depth=2).case()
    for fields, right in ((sick, False), (healthy, True)):
        trace = replace(case.trace, lr=0.1, deep=DeepMeasurement(**fields, kernel_samples=16))
        answer = outcome(code, case, trace)
        if right:
            assert isinstance(answer, Passed)
        else:
            assert found(answer).severity == severity
    assert isinstance(outcome(code, case), Skipped)


def test_headroom_of_a_number_format(network: Build) -> None:
    case = network(depth=2).case()
    first, *rest = case.trace.measurements
    low = replace(case.trace, measurements=(replace(first, tiny=0.8), *rest))
    high = replace(case.trace, measurements=(replace(first, huge=0.01), *rest))
    assert found(outcome("FAN112", case, low)).severity == Severity.FAILURE
    assert found(outcome("FAN112", case, high)).name == "near overflow"
    assert isinstance(outcome("FAN112", case), Passed)


def test_attention_is_not_every_softmax(network: Build) -> None:
    case = network(depth=2).case()
    place = case.graph.nodes[2]
    graph = replace(
        case.graph,
        nodes=tuple(replace(n, kind=OpKind.SOFTMAX) if n.id == place.id else n for n in case.graph.nodes),
    )

    def trace(entropy: float, spread: float) -> Trace:
        edited = [
            replace(m, entropy=entropy, score_std=spread) if m.node == place.id else m
            for m in case.trace.measurements
        ]
        return replace(case.trace, measurements=tuple(edited))

    finding = found(outcome("FAN111", case, trace(0.1, 16.0), graph))
    assert "layers.0.weight by 0.0625" in finding.fix  # one layer's outputs are the scores: 1 / 16
    assert isinstance(outcome("FAN111", case, trace(0.9, 1.0), graph), Passed)
    # A softmax over few places is sharp by chance; its scores are not large.
    assert isinstance(outcome("FAN111", case, trace(0.4, 1.0), graph), Passed)
    last = replace(graph, outputs=(place.id,))
    assert isinstance(outcome("FAN111", case, trace(0.1, 16.0), last), Skipped)
