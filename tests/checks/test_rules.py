"""Every rule on a sick and on a healthy network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fanin.checks import registry
from fanin.checks.rule import Outcome, Passed, Skipped
from fanin.records.finding import Finding, Severity
from fanin.records.graph import Branch, OpKind, Use, UseKind
from fanin.records.plan import Status
from fanin.records.trace import Trace

Build = Callable[..., Any]


def outcome(code: str, case: Any) -> Outcome:
    return registry.get(code).check(*case.records)


def found(code: str, case: Any) -> Finding:
    answer = outcome(code, case)
    assert isinstance(answer, Finding), answer
    assert answer.code == code
    assert answer.cause
    assert answer.fix
    assert answer.where
    return answer


def passed(code: str, case: Any) -> Passed:
    answer = outcome(code, case)
    assert isinstance(answer, Passed), answer
    return answer


def figure(finding: Finding, name: str) -> float:
    return dict(finding.evidence)[name]


def lecun(rng: np.random.Generator, out: int, fan_in: int) -> np.ndarray:
    return rng.standard_normal((out, fan_in)) / np.sqrt(fan_in)


def ones(rng: np.random.Generator, out: int, fan_in: int) -> np.ndarray:
    return rng.standard_normal((out, fan_in))


# ---------------------------------------------------------------- FAN101


def test_signal_halves_where_the_gain_of_relu_is_missing(network: Build) -> None:
    finding = found("FAN101", network(depth=30, width=128, draw=lecun).case())
    assert finding.severity == Severity.FAILURE
    assert finding.name == "vanishing signal"
    # The law is 1/2 a layer; the band of 29 layers of width 128 is 1.06, so 6.1 sd a layer are 22 %.
    assert figure(finding, "factor a layer") == pytest.approx(0.5, rel=0.22)
    assert "LeCun" in finding.cause
    assert "by 1.41" in finding.fix


def test_exploding_signal_names_the_only_layer_that_is_wrong(network: Build) -> None:
    def edit(weights: list[np.ndarray], _biases: list[np.ndarray]) -> None:
        weights[4] *= 100

    finding = found("FAN101", network(depth=10, edit=edit).case())
    assert finding.name == "exploding signal"
    assert finding.where == ("layers.4.weight",)


def test_residual_branches_without_norm_double_the_stream(network: Build) -> None:
    finding = found("FAN101", network(depth=20, residual=True).case())
    assert "residual branches" in finding.cause
    passed("FAN101", network(depth=20, residual=True, norm=True).case())


def test_a_stray_within_the_band_of_a_narrow_net_is_a_remark(network: Build) -> None:
    answers = [outcome("FAN101", network(depth=60, width=32, seed=seed).case()) for seed in range(12)]
    remarks = [a for a in answers if isinstance(a, Finding)]
    assert remarks
    assert all(a.severity == Severity.INFO and "finite width" in a.cause for a in remarks)


def test_signal_of_he_passes_and_a_short_chain_is_skipped(network: Build) -> None:
    passed("FAN101", network().case())
    assert isinstance(outcome("FAN101", network(depth=1).case()), Skipped)


def test_weights_of_zeros_end_the_signal(network: Build) -> None:
    def edit(weights: list[np.ndarray], _biases: list[np.ndarray]) -> None:
        weights[3][:] = 0

    finding = found("FAN101", network(edit=edit).case())
    assert "exactly zero" in finding.summary
    assert finding.where == ("layers.3.weight",)


# ---------------------------------------------------------------- FAN102


def test_torch_default_loses_a_factor_6_backward_and_nothing_forward(
    network: Build, default_init: dict[str, Any]
) -> None:
    case = network(depth=30, width=128, **default_init).case()
    finding = found("FAN102", case)
    assert finding.severity == Severity.FAILURE
    assert finding.name == "vanishing gradients"
    assert figure(finding, "factor a layer") == pytest.approx(1 / 6, rel=0.22)
    assert abs(figure(finding, "forward decades")) < 2.5
    assert "framework's default law" in finding.cause
    assert "each multiplies the power by 1/6" in finding.cause
    assert f"by {np.sqrt(6):.4g}"[:7] in finding.fix
    assert "×30" in finding.fix
    passed("FAN101", case)


def test_norms_without_skip_explode_and_no_weight_is_blamed(
    network: Build, default_init: dict[str, Any]
) -> None:
    for more in ({}, default_init):
        finding = found("FAN102", network(depth=50, norm=True, **more).case())
        assert finding.name == "exploding gradients"
        # pi / (pi - 1) for large batches.
        assert figure(finding, "factor a layer") == pytest.approx(np.pi / (np.pi - 1), rel=0.05)
        assert "No scale of the weights" in finding.fix
    passed("FAN102", network(depth=50, norm=True, residual=True).case())


def test_gradient_of_he_passes_also_where_widths_change_a_lot(network: Build) -> None:
    passed("FAN102", network(depth=20, width=256).case())

    def fan_out(rng: np.random.Generator, out: int, fan_in: int) -> np.ndarray:
        return rng.standard_normal((out, fan_in)) * np.sqrt(2.0 / out)

    passed("FAN102", network(depth=6, inputs=784, width=32, draw=fan_out).case())


def test_no_gradient_is_skipped_not_passed(network: Build) -> None:
    case = network().case()
    silent = tuple(replace(m, gradient_power=None) for m in case.trace.measurements)
    case.trace = replace(case.trace, measurements=silent)
    assert isinstance(outcome("FAN102", case), Skipped)


# ---------------------------------------------------------------- FAN103, FAN104, FAN105


def test_collapse_of_deep_he_is_a_remark_and_of_the_default_a_warning(
    network: Build, default_init: dict[str, Any]
) -> None:
    assert found("FAN103", network(depth=60, width=128).case()).severity == Severity.INFO
    assert found("FAN103", network(depth=30, **default_init).case()).severity == Severity.WARNING
    passed("FAN103", network(depth=5).case())
    passed("FAN103", network(depth=60, function="linear").case())


def test_equal_samples_say_nothing_about_collapse(network: Build) -> None:
    def same(rng: np.random.Generator, batch: int, inputs: int) -> np.ndarray:
        return np.repeat(rng.standard_normal((1, inputs)), batch, axis=0)

    assert isinstance(outcome("FAN103", network(data=same).case()), Skipped)


def test_dead_units_by_a_bias_fail_and_by_depth_pass(network: Build) -> None:
    def edit(_weights: list[np.ndarray], biases: list[np.ndarray]) -> None:
        biases[2][:] = -10

    finding = found("FAN104", network(depth=6, edit=edit).case())
    assert finding.severity == Severity.FAILURE
    assert figure(finding, "dead share") > 0.9
    deep = network(depth=60, width=256).case()
    dead = [m.dead for m in deep.trace.measurements if m.kind == OpKind.ACTIVATION]
    # Far above the limit of 20 % of other tools, and yet what depth alone brings.
    assert max(dead) > 0.3
    passed("FAN104", deep)


def test_some_dead_units_are_a_warning(network: Build) -> None:
    def edit(_weights: list[np.ndarray], biases: list[np.ndarray]) -> None:
        biases[0][:20] = -20

    finding = found("FAN104", network(depth=2, edit=edit).case())
    assert finding.severity == Severity.WARNING
    assert figure(finding, "dead share") == pytest.approx(20 / 64)


def test_saturation_of_large_weights_and_of_raw_inputs(network: Build) -> None:
    large = found("FAN105", network(function="tanh", draw=ones).case())
    assert large.severity == Severity.FAILURE
    assert "std 1 whatever the width" in large.cause

    def raw(rng: np.random.Generator, batch: int, inputs: int) -> np.ndarray:
        return rng.uniform(0, 16, (batch, inputs))

    assert (
        "inputs have a root mean square" in found("FAN105", network(function="tanh", data=raw).case()).cause
    )
    passed("FAN105", network(function="tanh").case())
    assert isinstance(outcome("FAN105", network().case()), Skipped)


# ---------------------------------------------------------------- FAN106


def test_what_is_not_finite_is_traced_to_its_first_place(network: Build) -> None:
    def edit(weights: list[np.ndarray], _biases: list[np.ndarray]) -> None:
        weights[3][0, 0] = np.nan

    assert found("FAN106", network(edit=edit).case()).where == ("layers.3.weight",)

    def broken(rng: np.random.Generator, batch: int, inputs: int) -> np.ndarray:
        x = rng.standard_normal((batch, inputs))
        x[0, 0] = np.nan
        return x

    assert "the data" in found("FAN106", network(data=broken).case()).cause
    case = network().case()
    node = case.trace.measurements[5].node
    case.trace = replace(
        case.trace,
        measurements=tuple(replace(m, finite=m.node < node) for m in case.trace.measurements),
    )
    assert found("FAN106", case).where == (case.trace.measurements[5].module,)
    # What stays inside is a mask; what a gradient shows is none.
    masked = tuple(replace(m, finite=m.node != node) for m in case.trace.measurements)
    case.trace = replace(case.trace, measurements=masked)
    assert "as masks do" in passed("FAN106", case).reason
    spoiled = tuple(replace(p, gradient_norm=float("nan")) for p in case.trace.parameters)
    case.trace = replace(case.trace, parameters=spoiled)
    found("FAN106", case)
    assert case.trace.loss is not None
    case = network().case()
    case.trace = replace(case.trace, loss=replace(case.trace.loss, value=float("nan")))
    assert "target" in found("FAN106", case).cause
    passed("FAN106", network().case())


# ---------------------------------------------------------------- FAN201, FAN202


def test_constant_weights_keep_units_equal_for_ever(network: Build) -> None:
    finding = found("FAN201", network(depth=3, draw=lambda _r, o, i: np.full((o, i), 0.1)).case())
    assert finding.severity == Severity.FAILURE
    assert "constant" in finding.cause


def test_equal_rows_that_the_next_layer_tells_apart_are_a_warning(network: Build) -> None:
    def edit(weights: list[np.ndarray], _biases: list[np.ndarray]) -> None:
        weights[1][5] = weights[1][4]

    finding = found("FAN201", network(edit=edit).case())
    assert finding.severity == Severity.WARNING
    assert figure(finding, "identical units") == 1


def test_equal_rows_with_different_biases_are_not_equal_units(
    network: Build, default_init: dict[str, Any]
) -> None:
    def edit(weights: list[np.ndarray], _biases: list[np.ndarray]) -> None:
        weights[1][5] = weights[1][4]

    passed("FAN201", network(edit=edit, bias=default_init["bias"]).case())


def test_zeros_are_meant_where_they_get_a_gradient(network: Build) -> None:
    zeros = lambda _r, o, i: np.zeros((o, i))  # noqa: E731
    passed("FAN201", network(head=zeros).case())
    blocked = found("FAN201", network(draw=zeros).case())
    assert blocked.severity == Severity.FAILURE
    assert "zero" in blocked.summary


def test_depthwise_kernels_may_be_equal(network: Build) -> None:
    case = network(depth=3, draw=lambda _r, o, i: np.full((o, i), 0.1)).case()
    parameters = tuple(
        replace(p, uses=tuple(replace(u, axes=u.axes and replace(u.axes, groups=8)) for u in p.uses))
        for p in case.graph.parameters
    )
    case.graph = replace(case.graph, parameters=parameters)
    assert isinstance(outcome("FAN201", case), Skipped)


def test_copied_layers(network: Build) -> None:
    def edit(weights: list[np.ndarray], _biases: list[np.ndarray]) -> None:
        weights[4][:] = weights[3]

    finding = found("FAN202", network(edit=edit).case())
    assert finding.where == ("layers.3.weight", "layers.4.weight")
    passed("FAN202", network().case())


def test_layers_that_the_plan_keeps_may_be_equal(network: Build) -> None:
    def edit(weights: list[np.ndarray], _biases: list[np.ndarray]) -> None:
        weights[4][:] = weights[3]

    case = network(edit=edit).case()
    kept = tuple(replace(e, draw=None, status=Status.KEPT) for e in case.plan.entries)
    case.plan = replace(case.plan, entries=kept)
    passed("FAN202", case)


# ---------------------------------------------------------------- FAN203, FAN204


def test_weights_of_another_scale_are_a_remark(network: Build, default_init: dict[str, Any]) -> None:
    finding = found("FAN203", network(depth=3, **default_init).case())
    assert finding.severity == Severity.INFO
    assert "framework's default law" in finding.cause
    passed("FAN203", network().case())


def test_norm_scales_drawn_like_weights(network: Build) -> None:
    case = network().case()

    def with_norm(trace: Trace, mean: float, std: float, offset: float = 0.0) -> Any:
        bias = case.graph.parameters[1]
        use = Use(node=bias.uses[0].node, kind=UseKind.NORM_SCALE, offset=offset)
        graph = replace(case.graph, parameters=(replace(bias, uses=(use,)), *case.graph.parameters[2:]))
        measured = tuple(
            replace(p, mean=mean, std=std) if p.name == bias.name else p for p in trace.parameters
        )
        return type(case)(graph=graph, plan=case.plan, trace=replace(trace, parameters=measured))

    found("FAN204", with_norm(case.trace, 0.001, 0.02))
    found("FAN204", with_norm(case.trace, -1.0, 0.02, offset=1.0))
    for mean, std, offset in ((1.0, 0.0, 0.0), (0.0, 0.0, 0.0), (0.0, 0.0, 1.0), (0.9, 0.2, 0.0)):
        passed("FAN204", with_norm(case.trace, mean, std, offset))
    assert isinstance(outcome("FAN204", case), Skipped)
    # Zeros are meant where a skip connection goes around them, not where nothing of the input is left.
    node = case.graph.parameters[1].uses[0].node
    still = tuple(replace(m, power=0.0) if m.node == node else m for m in case.trace.measurements)
    sick = with_norm(replace(case.trace, measurements=still), 0.0, 0.0)
    assert found("FAN204", sick).severity == Severity.FAILURE
    around = Branch(start=node - 1, join=node + 1, final=(), depth=1, normalised=True)
    sick.graph = replace(sick.graph, branches=(around,))
    passed("FAN204", sick)


# ---------------------------------------------------------------- FAN301, FAN302


def test_first_loss_of_a_loud_head_and_of_raw_inputs(network: Build) -> None:
    loud = found("FAN301", network(head=ones).case())
    assert loud.severity == Severity.WARNING
    assert loud.where == ("layers.10.weight",)
    gain_of_relu = lambda r, o, i: 1.5 * lecun(r, o, i)  # noqa: E731
    answers = [outcome("FAN301", network(head=gain_of_relu, seed=seed).case()) for seed in range(6)]
    assert {a.severity for a in answers if isinstance(a, Finding)} == {Severity.INFO}

    def raw(rng: np.random.Generator, batch: int, inputs: int) -> np.ndarray:
        return rng.uniform(0, 16, (batch, inputs))

    assert "inputs with a root mean square" in found("FAN301", network(data=raw, head=lecun).case()).cause
    passed("FAN301", network().case())
    passed("FAN301", network(head=lecun).case())


def test_a_low_first_loss_is_a_remark(network: Build) -> None:
    case = network().case()
    case.trace = replace(case.trace, loss=replace(case.trace.loss, value=0.3))
    assert found("FAN301", case).severity == Severity.INFO


def test_squares_and_unknown_losses(network: Build) -> None:
    case = network().case()
    base = replace(case.trace.loss, name="mean squared error", classes=None, expected=1.0, logit_std=None)
    case.trace = replace(case.trace, loss=replace(base, value=9.0))
    found("FAN301", case)
    case.trace = replace(case.trace, loss=replace(base, value=1.3))
    passed("FAN301", case)
    for loss in (None, replace(base, expected=None), replace(base, value=float("inf"))):
        case.trace = replace(case.trace, loss=loss)
        assert isinstance(outcome("FAN301", case), Skipped)


def test_untouched_parameters(network: Build, change: Callable[..., Trace]) -> None:
    case = network().case()
    passed("FAN302", case)
    case.trace = change(case.trace, "layers.2.bias", gradient_norm=None)
    finding = found("FAN302", case)
    assert finding.where == ("layers.2.bias",)
    assert "without effect" in finding.summary
    case.graph = replace(
        case.graph, parameters=tuple(replace(p, trainable=False) for p in case.graph.parameters)
    )
    assert isinstance(outcome("FAN302", case), Skipped)
