"""Bad input at every door: the parameter, the value received, and nothing half filled."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fanin
from fanin.errors import InputError, UnknownNameError

torch = pytest.importorskip("torch")
jax = pytest.importorskip("jax")
pytest.importorskip("keras")

import fanin.jax  # noqa: E402 - only where the frameworks are there
import fanin.keras  # noqa: E402
import fanin.torch  # noqa: E402

KEY = jax.random.key(0)
KEPT = 7.0
HUGE = (10**6, 10**7)
THREE = fanin.Axes(roles=(fanin.Role.OUT, fanin.Role.IN), groups=3)


def tensor(*shape: int) -> Any:
    return torch.full(shape or (4, 4), KEPT)


IN_TORCH: dict[str, tuple[Callable[[Any], object], str]] = {
    "variance 0": (lambda w: fanin.torch.variance_scaling_(w, variance=0.0), r"variance=0\.0.*zeros\(\)"),
    "gain NaN": (lambda w: fanin.torch.xavier_normal_(w, gain=math.nan), "gain=nan"),
    "gain a word": (lambda w: fanin.torch.xavier_uniform_(w, gain="2"), "gain='2'"),
    "gain negative": (lambda w: fanin.torch.xavier_normal_(w, gain=-1), "must be positive"),
    "gain infinite": (lambda w: fanin.torch.orthogonal_(w, gain=math.inf), "gain=inf"),
    "gain a switch": (lambda w: fanin.torch.orthogonal_(w, gain=True), "gain=True"),
    "slope infinite": (lambda w: fanin.torch.kaiming_normal_(w, a=math.inf), "a=inf"),
    "slope a word": (lambda w: fanin.torch.kaiming_uniform_(w, a="0.1"), "a='0.1'"),
    "mode": (lambda w: fanin.torch.kaiming_normal_(w, mode="fan_inn"), "Did you mean 'fan_in'"),
    "nonlinearity": (lambda w: fanin.torch.kaiming_normal_(w, nonlinearity="rleu"), "Did you mean 'relu'"),
    "activation": (lambda w: fanin.torch.he_normal_(w, activation="gellu"), "Did you mean 'gelu'"),
    "bounds": (lambda w: fanin.torch.uniform_(w, 1.0, 0.0), "low=1.0, high=0.0"),
    "bound NaN": (lambda w: fanin.torch.uniform_(w, 0.0, math.nan), "b=nan"),
    "cut": (lambda w: fanin.torch.trunc_normal_(w, a=2.0, b=2.0), "Bounds hold no interval"),
    "cut a word": (lambda w: fanin.torch.trunc_normal_(w, a="-2"), "a='-2'"),
    "std negative": (lambda w: fanin.torch.normal_(w, std=-1.0), "must be positive"),
    "std a word": (lambda w: fanin.torch.normal_(w, std="1"), "std='1'"),
    "sparsity": (lambda w: fanin.torch.sparse_(w, 1.5), "no share.*1.5"),
    "roles that do not cover": (lambda w: fanin.torch.he_normal_(w, axes="out"), "exactly one role"),
    "no role": (lambda w: fanin.torch.he_normal_(w, axes="out inn"), "A word in axes is no role.*Roles are"),
    "groups": (lambda w: fanin.torch.he_normal_(w, axes=THREE), "Groups do not divide.*groups=3, out = 4"),
    "seed": (lambda w: fanin.torch.he_normal_(w, seed=-1), "seed is out of range"),
}


@pytest.mark.parametrize("case", IN_TORCH)
def test_pytorch(case: str) -> None:
    call, text = IN_TORCH[case]
    weight = tensor()
    state = torch.get_rng_state()
    with pytest.raises(InputError, match=text):
        call(weight)
    assert (weight == KEPT).all()
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("name", ["he_normal_", "glorot_uniform_", "kaiming_normal_", "xavier_uniform_"])
def test_vectors_in_pytorch(name: str) -> None:
    weight = tensor(5)
    with pytest.raises(InputError, match=r"fewer than (two|2) dimensions"):
        getattr(fanin.torch, name)(weight)
    assert (weight == KEPT).all()


@pytest.mark.parametrize(
    "name",
    ["normal_", "uniform_", "trunc_normal_", "xavier_normal_", "kaiming_uniform_", "orthogonal_", "eye_"],
)
def test_what_is_no_tensor(name: str) -> None:
    array = np.full((3, 4), KEPT)
    with pytest.raises(InputError, match=r"There is no tensor to fill\. Received: ndarray.*out=array"):
        getattr(fanin.torch, name)(array)
    assert (array == KEPT).all()


IN_JAX: dict[str, tuple[Callable[[], object], str]] = {
    "variance negative": (lambda: fanin.jax.variance_scaling(-1.0), "variance=-1.0"),
    "std a word": (lambda: fanin.jax.normal(std="1"), "std=1"),
    "distribution": (lambda: fanin.jax.variance_scaling(distribution="gauss"), "Unknown distribution"),
    "activation": (lambda: fanin.jax.he_normal("gellu"), "Did you mean 'gelu'"),
    "vector": (lambda: fanin.jax.he_normal()(KEY, (5,)), "Give roles, for example axes='in'"),
    "negative": (lambda: fanin.jax.he_normal()(KEY, (3, -4)), "none negative"),
    "axis": (lambda: fanin.jax.he_normal(in_axis=5)(KEY, (3, 4)), "in_axis=5"),
    "overlap": (lambda: fanin.jax.he_normal(in_axis=0, out_axis=0)(KEY, (3, 4)), "plays two roles"),
    "groups": (lambda: fanin.jax.he_normal(axes=THREE)(KEY, (4, 4)), "Groups do not divide"),
    "dtype": (lambda: fanin.jax.he_normal()(KEY, (3, 4), "floaty"), "This is no dtype.*'floaty'"),
    "whole numbers": (lambda: fanin.jax.he_normal()(KEY, (3, 4), "int32"), "cannot be drawn.*int32"),
    "key": (lambda: fanin.jax.he_normal()(3, (3, 4)), "needs one JAX key"),
    "memory": (lambda: fanin.jax.he_normal()(KEY, HUGE), "larger than this machine's memory"),
    "memory, named": (
        lambda: fanin.jax.he_normal(seed=0, name="w")(None, HUGE),
        "larger than this machine's memory",
    ),
    "memory, ones": (lambda: fanin.jax.ones()(KEY, HUGE), "larger than this machine's memory"),
}


@pytest.mark.parametrize("case", IN_JAX)
def test_jax(case: str) -> None:
    call, text = IN_JAX[case]
    with pytest.raises(InputError, match=text):
        call()


def test_shapes_without_memory_may_have_any_size() -> None:
    for init in (fanin.jax.he_normal(), fanin.jax.he_normal(seed=0, name="w")):
        told = jax.eval_shape(lambda key, init=init: init(key, HUGE), KEY)
        assert told.shape == HUGE


IN_KERAS: dict[str, tuple[Callable[[], object], str]] = {
    "variance 0": (lambda: fanin.keras.VarianceScaling(0.0), r"variance=0\.0.*zeros\(\)"),
    "std a word": (lambda: fanin.keras.Normal(std="1"), "std=1"),
    "mode": (lambda: fanin.keras.HeNormal(mode="fan_inn"), "Did you mean 'fan_in'"),
    "parameter": (lambda: fanin.keras.HeNormal(gain=2.0), r"do not fit he_normal.*gain=2\.0"),
    "vector": (lambda: fanin.keras.HeNormal()((5,)), "Give roles, for example axes='in'"),
    "overlap": (lambda: fanin.keras.HeNormal(input_axes=0, output_axes=0)((3, 4)), "plays two roles"),
    "groups": (lambda: fanin.keras.HeNormal(axes=THREE)((4, 4)), "Groups do not divide"),
    "whole numbers": (lambda: fanin.keras.HeNormal()((3, 4), "int32"), "cannot be drawn.*int32"),
    "memory": (lambda: fanin.keras.HeNormal()(HUGE), "larger than this machine's memory"),
    "cut": (lambda: fanin.keras.TruncatedNormal(std=1.0, lower=1.0, upper=1.0), "Bounds hold no interval"),
}


@pytest.mark.parametrize("case", IN_KERAS)
def test_keras(case: str) -> None:
    call, text = IN_KERAS[case]
    with pytest.raises(InputError, match=text):
        call()


IN_NUMPY: dict[str, tuple[Callable[[], object], str]] = {
    "shape a word": (lambda: fanin.sample("he_normal", "3x4", seed=0, name="w"), "sequence of whole numbers"),
    "name": (lambda: fanin.sample("he_normal", (3, 4), seed=0, name=None), "name"),  # type: ignore[arg-type]
    "seed": (lambda: fanin.sample("he_normal", (3, 4), seed=None, name="w"), "seed is out of range"),  # type: ignore[arg-type]
    "memory": (
        lambda: fanin.sample("he_normal", HUGE, seed=0, name="w"),
        "larger than this machine's memory",
    ),
    "scheme": (lambda: fanin.sample("he_norml", (3, 4), seed=0, name="w"), "Did you mean 'he_normal'"),
    "complex": (
        lambda: fanin.sample(fanin.lstm_forget_bias(), (8,), seed=0, name="w", dtype="complex64"),
        "has no complex law",
    ),
}


@pytest.mark.parametrize("case", IN_NUMPY)
def test_numpy(case: str) -> None:
    call, text = IN_NUMPY[case]
    with pytest.raises((InputError, UnknownNameError), match=text):
        call()


def test_an_output_is_untouched_by_what_is_refused() -> None:
    out = np.full((4, 4), KEPT, np.float32)
    for given in ({"axes": "out"}, {"seed": -1}, {"name": ""}, {"axes": THREE}):
        with pytest.raises(InputError):
            fanin.sample("he_normal", (4, 4), **({"seed": 0, "name": "w"} | given), out=out)
        assert (out == KEPT).all()
