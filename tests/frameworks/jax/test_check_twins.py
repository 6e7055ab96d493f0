"""One model in Flax and in PyTorch: equal weights, an equal batch, an equal trace and equal findings."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import fanin.jax
import fanin.torch
from fanin.jax import session
from fanin.records.finding import Diagnosis
from fanin.records.trace import Measurement, Trace

# Test folders are no packages.
_SPEC = importlib.util.spec_from_file_location(
    "whole_twins_of_checks", Path(__file__).parents[1] / "test_whole_twins.py"
)
assert _SPEC is not None
assert _SPEC.loader is not None
twins = importlib.util.module_from_spec(_SPEC)
sys.modules["whole_twins_of_checks"] = twins
_SPEC.loader.exec_module(twins)

SEED = 5
# Each of some dozens of operations in a row rounds to 2^-24 of its output, in an order of its own; norms and
# softmax subtract what is common first, which leaves some ten times of that in the rest.
ROUNDING = 24 * 10 * 2.0**-24
# What is subtracted down to nothing (a key's bias in front of a softmax) is rounding alone.
NOTHING = 1e-7


def batch(case: str) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    rng = np.random.default_rng(0)
    if case == "transformer":
        ids = rng.integers(0, 20, (16, 6)).astype(np.int32)
        return ids, np.roll(ids, 1, axis=1)
    # (Of an odd size, "SAME" padding at stride 2 is PyTorch's padding of 1.)
    x = rng.standard_normal((64, 8) if case == "mlp" else (32, 15, 15, 3)).astype(np.float32)
    return x, np.arange(len(x)) % (4 if case == "mlp" else 10)


@pytest.fixture(scope="module", params=["mlp", "residual", "transformer"])
def pair(request: pytest.FixtureRequest) -> tuple[Diagnosis, Diagnosis, str]:
    """Both diagnoses, of the same random direction."""

    def direction(shape: tuple[int, ...], dtype: Any, _: Any) -> Any:
        return jnp.asarray(torch.randn(shape, generator=torch.Generator().manual_seed(0)).numpy(), dtype)

    case: str = request.param
    module, make, modules, *_ = twins.CASES[case]
    x, y = batch(case)
    theirs = torch.tensor(x.transpose(0, 3, 1, 2).copy() if x.ndim == 4 else x)

    def names(path: str) -> str:
        return str(twins.torch_name(path, modules))

    shapes = jax.eval_shape(module.init, jax.random.key(0), jnp.asarray(x))
    new = fanin.jax.init(module, shapes, jnp.asarray(x), seed=SEED, names=names)
    model = make()
    fanin.torch.init_(model, theirs, seed=SEED)
    if case == "mlp":
        model[4].eps = 1e-6  # Flax's
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "direction", direction)
        ours = fanin.jax.check(module, new, jnp.asarray(x), target=y, names=names)
    other = fanin.torch.check(model, theirs, target=torch.tensor(y))
    return ours.diagnosis, other.diagnosis, case


def near(a: float | None, b: float | None) -> bool:
    if a is None or b is None:
        return a is b
    return abs(a - b) <= ROUNDING * max(abs(a), abs(b)) + NOTHING


FIGURES = ("mean", "power", "gradient_power", "dead", "saturated", "zeros", "cosine", "unit_spread", "near")


def aligned(ours: Trace, theirs: Trace) -> list[tuple[Measurement, Measurement]]:
    """Nodes of the same kind and size, in their order; attention is one node there and four here."""
    found = []
    rest = list(ours.measurements)
    for b in theirs.measurements:
        place = next(
            k for k, a in enumerate(rest) if a.kind == b.kind and np.prod(a.shape) == np.prod(b.shape)
        )
        found.append((rest[place], b))
        rest = rest[place + 1 :]
    return found


def test_equal_models_have_equal_traces_and_findings(pair: tuple[Diagnosis, Diagnosis, str]) -> None:
    ours, theirs, case = pair
    a, b = ours.trace, theirs.trace
    nodes = aligned(a, b)
    assert len(nodes) == len(b.measurements)
    assert case == "transformer" or len(a.measurements) == len(b.measurements)
    for one, other in nodes:
        # The heads of an attention are units of their own here; there they are one row.
        apart = (one.units, one.samples) != (other.units, other.samples)
        for figure in FIGURES:
            if apart and figure in ("cosine", "unit_spread"):
                continue
            assert near(getattr(one, figure), getattr(other, figure)), (one.module, other.module, figure)
    assert a.loss is not None
    assert b.loss is not None
    for figure in ("value", "expected", "classes", "logit_std", "prior", "rarity"):
        assert near(getattr(a.loss, figure), getattr(b.loss, figure)), figure
    figures = ("mean", "std", "offset", "least_std", "largest_std", "constant", "duplicate", "repeated")
    for mine, other_input in zip(a.inputs, b.inputs, strict=True):
        for figure in ("features", "samples", *figures):
            assert near(getattr(mine, figure), getattr(other_input, figure)), figure
    # Layers have the same order, so that equal entropies are of the same attention.
    entropies = [[m.entropy for m in t.measurements if m.entropy is not None] for t in (a, b)]
    assert len(entropies[0]) == len(entropies[1]) == (2 if case == "transformer" else 0)
    for mine, sampled in zip(*entropies, strict=True):
        # There, four maps of six rows are looked at; a number between 0 and 1 with mean m has a variance of
        # m (1 - m) at the most, and 6.1 standard errors are missed once in 10^9.
        assert abs(mine - sampled) < 6.1 * (mine * (1.0 - mine) / 24) ** 0.5
    parameters = {p.name: p for p in b.parameters}
    assert {p.name for p in a.parameters} == set(parameters)
    for p in a.parameters:
        q = parameters[p.name]
        assert p.numel == q.numel
        for figure in ("mean", "std", "largest", "gradient_norm", "skewness", "kurtosis"):
            assert near(getattr(p, figure), getattr(q, figure)), (p.name, figure)
        assert (p.identical_units, p.identical_inputs) == (q.identical_units, q.identical_inputs)
    assert [(f.code, f.severity) for f in ours.findings] == [(f.code, f.severity) for f in theirs.findings]
    assert a.mode == b.mode
    assert a.batch == b.batch


def test_another_direction_would_be_seen(pair: tuple[Diagnosis, Diagnosis, str]) -> None:
    """The tolerance is smaller than what a wrong figure would be off by."""
    ours, theirs, _ = pair
    weights = [p.gradient_norm for p in theirs.trace.parameters if (p.gradient_norm or 0.0) > NOTHING]
    assert not all(near(w, None if w is None else 1.001 * w) for w in weights)
    powers = [m.gradient_power for m in ours.trace.measurements if m.gradient_power is not None]
    assert not near(powers[0], 1.001 * powers[0])
