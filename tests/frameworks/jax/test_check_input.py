"""What a check in JAX cannot use, it refuses in words."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fanin.jax
from fanin.errors import InputError, ModelError, UnknownNameError

X = np.random.default_rng(0).standard_normal((32, 8)).astype(np.float32)
Y = np.arange(32) % 4
P = {
    "a": np.random.default_rng(1).standard_normal((8, 16)).astype(np.float32) / 2,
    "b": np.random.default_rng(2).standard_normal((16, 4)).astype(np.float32) / 3,
}


def apply(p: Any, x: Any) -> Any:
    return jax.nn.relu(x @ p["a"]) @ p["b"]


def failing(_p: Any, _x: Any) -> Any:
    raise ValueError("boom")


@pytest.mark.parametrize(
    ("arguments", "options", "error", "words"),
    [
        ((failing, P, X), {}, ModelError, "boom"),
        ((lambda p, x: x * p["n"], {"n": jnp.arange(8)}, X), {}, ModelError, "parameters of int32"),
        ((apply, {}, X), {}, InputError, "no parameters"),
        ((apply, jax.eval_shape(lambda: P), X), {}, ModelError, "no values"),
        ((apply, P, jax.eval_shape(lambda: X)), {}, InputError, "batch has no values"),
        ((apply, P, X[:0]), {}, InputError, "empty"),
        ((lambda p, x: apply(p, x).argmax(-1), P, X), {}, ModelError, "int32"),
        ((apply, P, X), {"target": np.arange(30)}, InputError, r"shape \(30,\)"),
        ((apply, P, X), {"target": np.arange(32)}, InputError, "classes 0 to 31 for 4"),
        ((apply, P, X), {"target": X}, InputError, r"shape \(32, 8\)"),
        ((apply, P, X), {"target": "abc"}, InputError, "classes or numbers"),
        ((apply, P, X), {"target": Y, "loss": lambda o, _: o.sum(1)}, InputError, "Take its mean"),
        ((apply, P, X), {"target": Y, "loss": lambda *_: jnp.ones(())}, InputError, "not depend"),
        ((apply, P, X), {"target": Y, "loss": lambda o, _: float(o.sum())}, InputError, "traced by JAX"),
        ((apply, P, X), {"loss": dict}, InputError, "no function"),
        ((lambda p, x: apply(p, x)[:, 0], P, X), {"target": Y}, InputError, "apart"),
        ((apply, P, X), {"tier": "deep"}, InputError, "no deep tier"),
        ((apply, P, X), {"tier": "slow"}, InputError, "no such tier"),
        ((apply, P, X), {"plan": 3}, InputError, "no plan"),
        ((apply, P, X), {"lr": -1.0}, InputError, "learning rate"),
        ((apply, P, X), {"seed": 0.5}, InputError, "seed"),
        ((apply, P, X), {"select": "FAN9"}, UnknownNameError, "FAN9"),
    ],
)
def test_what_cannot_be_used_is_refused(
    arguments: tuple[Any, ...], options: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        fanin.jax.check(*arguments, **options)


def test_a_batch_with_a_nan_is_found() -> None:
    x = X.copy()
    x[3, 2] = np.nan
    report = fanin.jax.check(apply, P, x, target=Y)
    assert [f.code for f in report.findings] == ["FAN106"]
    assert not report.diagnosis.trace.inputs[0].finite


def test_where_there_is_no_way_back_the_way_forward_is_measured() -> None:
    def loop(p: Any, x: Any) -> Any:
        state = jax.lax.while_loop(lambda s: s[0] < 3, lambda s: (s[0] + 1, jnp.tanh(s[1] @ p["c"])), (0, x))
        return state[1] @ p["d"]

    rng = np.random.default_rng(0)
    params = {k: rng.standard_normal(s).astype(np.float32) / 3 for k, s in (("c", (8, 8)), ("d", (8, 4)))}
    trace = fanin.jax.check(loop, params, X, target=Y).diagnosis.trace
    assert any("no backward pass" in note for note in trace.notes)
    assert trace.loss is not None
    out = np.asarray(loop(params, X), np.float64)
    made = {m.node: m for m in trace.measurements}[trace.output or 0]
    assert made.power == pytest.approx(float(np.square(out).mean()), rel=1e-4)


def test_of_several_outputs_each_parameter_has_the_one_it_serves() -> None:
    params = {**P, "c": np.ones((8, 3), np.float32), "idle": np.ones(5, np.float32)}

    def both(p: Any, x: Any) -> Any:
        return {"aux": x @ p["c"], "logits": apply(p, x)}

    trace = fanin.jax.check(both, params, X).diagnosis.trace
    norms = {p.name: p.gradient_norm for p in trace.parameters}
    assert (norms["c"] or 0.0) > 0.0
    assert (norms["a"] or 0.0) > 0.0
    assert norms["idle"] is None
    # A loss of the main output leaves the other alone.
    with_loss = fanin.jax.check(both, params, X, target=Y).diagnosis.trace
    assert {p.name: p.gradient_norm for p in with_loss.parameters}["c"] is None


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_narrow_formats(dtype: Any) -> None:
    params = jax.tree.map(lambda a: jnp.asarray(a, dtype), P)
    trace = fanin.jax.check(apply, params, jnp.asarray(X, dtype), target=Y).diagnosis.trace
    out = np.asarray(apply(params, jnp.asarray(X, dtype))).astype(np.float64)
    made = {m.node: m for m in trace.measurements}[trace.output or 0]
    # (A compiler may keep more digits between two operations than the format has.)
    assert made.power == pytest.approx(float(np.square(out).mean()), rel=0.02)


def test_complex_numbers() -> None:
    rng = np.random.default_rng(0)
    weight = (rng.standard_normal((8, 16)) + 1j * rng.standard_normal((8, 16))).astype(np.complex64)
    _, trace = fanin.jax.probe.measure(lambda p, x: x @ p["w"], {"w": weight}, X)
    made = {m.node: m for m in trace.measurements}[trace.output or 0]
    assert made.power == pytest.approx(float(np.square(np.abs(X @ weight)).mean()), rel=1e-5)
    assert made.units == 16
