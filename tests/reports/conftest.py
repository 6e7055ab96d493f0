# ruff: noqa: E501
"""Diagnoses made by hand: the reports' only input, so no framework takes part in these tests."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from fanin.laws.quadrature import NODES
from fanin.records.axes import Axes, Role
from fanin.records.draw import Constant, Normal
from fanin.records.finding import Diagnosis, Finding, Severity, SkippedCheck
from fanin.records.graph import Activation, Graph, Node, OpKind, Parameter, Use, UseKind
from fanin.records.plan import Entry, Plan, Status
from fanin.records.trace import LossMeasurement, Measurement, ParameterMeasurement, Trace

MATRIX = Axes(roles=(Role.OUT, Role.IN))


def plan_entries(names: list[str], width: int) -> tuple[Entry, ...]:
    """A weight and a bias for every layer name."""
    entries: list[Entry] = []
    for name in names:
        entries += [
            Entry(
                name=f"{name}.weight",
                shape=(width, width),
                dtype="float32",
                axes=MATRIX,
                fan_in=float(width),
                fan_out=float(width),
                gain=math.sqrt(2.0),
                status=Status.CLAIMED,
                draw=Normal(std=math.sqrt(2.0 / width)),
                scheme="he_normal",
                rule="contraction",
                reason="feeds relu",
                references=("He et al. 2015, arXiv:1502.01852, eq. 10",),
            ),
            Entry(
                name=f"{name}.bias",
                shape=(width,),
                dtype="float32",
                status=Status.CLAIMED,
                draw=Constant(value=0.0),
                scheme="zeros",
                rule="bias",
                reason="bias",
            ),
        ]
    return tuple(entries)


def chain_diagnosis(
    depth: int = 30,
    *,
    width: int = 64,
    per_layer: float = 1.0 / 6.0,
    findings: tuple[Finding, ...] = (),
    model: str = "DeepNet",
    prefix: str = "layers",
    engine: str = "fake tensors",
) -> Diagnosis:
    """A chain of `depth` linear layers with ReLUs, whose gradient falls by `per_layer` a layer."""
    names = [f"{prefix}.{2 * k}" for k in range(depth)]
    nodes, measured = (
        [Node(id=0, kind=OpKind.INPUT, op="input", inputs=(), module="", shape=(32, width), dtype="float32")],
        [],
    )
    for k, name in enumerate(names):
        linear, relu = 2 * k + 1, 2 * k + 2
        nodes.append(
            Node(
                id=linear, kind=OpKind.CONTRACTION, op="linear", inputs=(linear - 1,),
                parameters=(f"{name}.weight", f"{name}.bias"), module=name, shape=(32, width), dtype="float32",
            )
        )  # fmt: skip
        fade = per_layer ** (depth - 1 - k)
        power = max(per_layer**k, 9e-4) if per_layer < 1 else 1.0
        measured.append(
            Measurement(
                node=linear, kind=OpKind.CONTRACTION, op="linear", module=name, shape=(32, width), units=width,
                samples=32, mean=0.01, power=power, gradient_power=fade, cosine=1.0 - 0.9 / (k + 1), unit_spread=0.4,
            )
        )  # fmt: skip
        if k == depth - 1:
            continue
        nodes.append(
            Node(
                id=relu, kind=OpKind.ACTIVATION, op="relu", inputs=(linear,), module=f"{prefix}.{2 * k + 1}",
                shape=(32, width), dtype="float32", activation=0,
            )
        )  # fmt: skip
        measured.append(
            Measurement(
                node=relu, kind=OpKind.ACTIVATION, op="relu", module=f"{prefix}.{2 * k + 1}", shape=(32, width),
                units=width, samples=32, mean=0.3, power=0.5 * power, gradient_power=fade, dead=0.43 * k / depth,
                zeros=0.5, cosine=1.0 - 0.8 / (k + 1),
            )
        )  # fmt: skip
    parameters = tuple(
        Parameter(
            name=f"{name}.weight", shape=(width, width), dtype="float32", owner=name,
            uses=(Use(node=2 * k + 1, kind=UseKind.WEIGHT, axes=MATRIX, activation=0),),
        )
        for k, name in enumerate(names)
    )  # fmt: skip
    healthy = per_layer == 1.0
    std = math.sqrt(2.0 / width) if healthy else math.sqrt(1.0 / (3.0 * width))
    weights = [
        ParameterMeasurement(
            name=name, numel=numel, mean=0.0, std=actual, largest=3 * actual, finite=True, gradient_norm=0.1
        )
        for layer in names
        for name, numel, actual in (
            (f"{layer}.weight", width * width, std),
            (f"{layer}.bias", width, 0.0 if healthy else std),
        )
    ]
    return Diagnosis(
        graph=Graph(
            model=model, framework="torch", engine=engine, nodes=tuple(nodes), outputs=(nodes[-1].id,),
            path=tuple(n.id for n in nodes[1:]), parameters=parameters,
            activations=(Activation(name="relu", values=tuple(float(x) for x in np.maximum(NODES, 0.0))),), branches=(),
        ),
        plan=Plan(
            model=model, framework="torch", policy="auto", seed=0, stream=1, entries=plan_entries(names, width)
        ),
        trace=Trace(
            batch=32, source="given batch", mode="train", measurements=tuple(measured), parameters=tuple(weights),
            loss=LossMeasurement(name="cross entropy", value=2.31, expected=math.log(10), classes=10, logit_std=0.08),
        ),
        findings=findings,
        skipped=(SkippedCheck(code="FAN601", name="attention entropy", reason="the model has no attention"),),
        passed=(("FAN101", "finite values"), ("FAN301", "dead units")),
        environment=(("fanin", "0.1.0"), ("torch", "2.13.0"), ("device", "cpu"), ("seed", "0")),
    )  # fmt: skip


def vanishing(names: tuple[str, ...]) -> Finding:
    """What a framework's default does to a deep ReLU chain."""
    return Finding(
        code="FAN201",
        name="vanishing gradients",
        severity=Severity.FAILURE,
        summary="The gradient's power falls to 0.17 of itself per layer over 30 layers: 1e-23 of it arrives.",
        cause="29 weights have std 1/sqrt(3 fan_in), the framework's default; ReLU needs sqrt(2/fan_in).",
        fix="fanin.torch.init_(model, batch), or multiply the std of these weights by 2.45.",
        where=names,
        evidence=(("measured per layer", 0.166), ("expected per layer", 1.0), ("end to end", 3.2e-24)),
    )


@pytest.fixture(scope="session")
def make() -> Callable[..., Diagnosis]:
    """The maker of chains."""
    return chain_diagnosis


@pytest.fixture(scope="session")
def sick() -> Diagnosis:
    """A deep chain that its framework left with vanishing gradients."""
    where = tuple(f"layers.{2 * k}.weight" for k in range(29))
    return chain_diagnosis(findings=(vanishing(where),))


@pytest.fixture(scope="session")
def healthy() -> Diagnosis:
    """The same chain as it should be."""
    return chain_diagnosis(per_layer=1.0)
