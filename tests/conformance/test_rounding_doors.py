"""A format too coarse for a draw is said at every door, with one figure, about the line that called."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanin
from fanin.errors import InputError, PrecisionWarning
from fanin.records.draw import Normal
from fanin.schemes.fit import coarseness

torch = pytest.importorskip("torch")
jax = pytest.importorskip("jax")
pytest.importorskip("keras")

import fanin.jax  # noqa: E402 - only where the frameworks are there
import fanin.keras  # noqa: E402
import fanin.torch  # noqa: E402

SHAPE, NARROW = (16, 8), "float8_e4m3fn"
KEY = jax.random.key(0)


def _torch(std: float) -> Any:
    return fanin.torch.normal_(torch.empty(SHAPE, dtype=torch.float8_e4m3fn), std=std, seed=0)


def _torch_scheme(std: float) -> Any:
    return fanin.torch.small_normal_(torch.empty(SHAPE, dtype=torch.float8_e4m3fn), std=std, seed=0)


def _jax(std: float) -> Any:
    return fanin.jax.normal(std=std)(KEY, SHAPE, NARROW)


def _jax_named(std: float) -> Any:
    return fanin.jax.normal(std=std, seed=0, name="w")(None, SHAPE, NARROW)


def _jax_sample(std: float) -> Any:
    return fanin.jax.sample(Normal(std=std), SHAPE, seed=0, name="w", dtype=NARROW)


def _jitted(std: float) -> Any:
    return jax.jit(lambda key: fanin.jax.normal(std=std)(key, SHAPE, NARROW))(KEY)


def _vmapped(std: float) -> Any:
    return jax.vmap(lambda key: fanin.jax.normal(std=std)(key, SHAPE, NARROW))(jax.random.split(KEY, 2))


def _keras(std: float) -> Any:
    return fanin.keras.Normal(std=std, seed=0)(SHAPE, NARROW)


def _numpy(std: float) -> Any:
    return fanin.sample(fanin.normal(std=std), SHAPE, seed=0, name="w", dtype=NARROW)


DOORS = [_numpy, _torch, _torch_scheme, _jax, _jax_named, _jax_sample, _jitted, _vmapped, _keras]


@pytest.mark.parametrize("door", DOORS)
def test_every_door_says_the_same_figure_about_the_callers_line(door: Callable[[float], Any]) -> None:
    told = coarseness(Normal(std=0.005), NARROW)
    assert told == "15.49% of the weights become 0, the std becomes 0.005032"
    with pytest.warns(PrecisionWarning) as caught:
        door(0.005)
    (only,) = [one for one in caught if one.category is PrecisionWarning]
    assert told in str(only.message)
    assert Path(only.filename) == Path(__file__)


@pytest.mark.parametrize("door", DOORS)
def test_every_door_refuses_a_weight_of_nothing_but_zeros(door: Callable[[float], Any]) -> None:
    with pytest.raises(InputError, match=r"Every weight would be rounded to 0\. Received: N\(0, 5e-05²\)"):
        door(5e-5)


@pytest.mark.parametrize("door", DOORS)
def test_a_std_that_the_format_holds_is_no_matter(door: Callable[[float], Any]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        door(0.5)


def test_python_shows_it_once_for_each_line() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for _ in range(3):
            _torch(0.005)
    assert len(caught) == 1


def test_compiled_code_says_it_when_it_is_traced_and_not_again() -> None:
    init = jax.jit(lambda key: fanin.jax.normal(std=0.005)(key, SHAPE, NARROW))
    with pytest.warns(PrecisionWarning, match="is coarse"):
        first = init(KEY)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = init(KEY)
    np.testing.assert_array_equal(np.asarray(first).view(np.uint8), np.asarray(again).view(np.uint8))


def test_nothing_is_half_filled() -> None:
    kept = torch.full(SHAPE, 2.0).to(torch.float8_e4m3fn)
    with pytest.raises(InputError, match="would be rounded to 0"):
        fanin.torch.uniform_(kept, -1e-4, 1e-4, seed=0)
    assert (kept.float() == 2).all()


class TestPlans:
    """A model is told about once, and every tensor of its plan says what happens to it."""

    def plan(self, std: float) -> tuple[Any, Any]:
        model = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.Linear(16, 4)).half()
        made = fanin.torch.plan(model, torch.zeros(1, 8, dtype=torch.float16))
        return model, made.override({"*.weight": Normal(std=std)})

    def test_one_warning_for_all_tensors(self) -> None:
        model, plan = self.plan(5e-8)
        with pytest.warns(PrecisionWarning) as caught:
            fanin.torch.apply_(model, plan)
        (only,) = caught
        assert "float16 is coarse for '0.weight' and 1 more" in str(only.message)
        assert coarseness(Normal(std=5e-8), "float16") in str(only.message)
        assert Path(only.filename) == Path(__file__)

    def test_a_tensor_of_nothing_but_zeros_is_refused_by_name_before_anything_is_written(self) -> None:
        model, plan = self.plan(1e-10)
        before = [p.clone() for p in model.parameters()]
        with pytest.raises(InputError, match=r"Every weight of '0\.weight' would be rounded to 0"):
            fanin.torch.apply_(model, plan)
        assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))

    def test_the_plan_says_it_before(self) -> None:
        from dataclasses import replace

        from fanin.plans.planner import plan
        from fanin.torch.read import read

        # So many inputs that the std is near the smallest number of eight bits.
        graph = read(torch.nn.Linear(40_000, 4, bias=False), torch.zeros(1, 40_000))
        narrow = replace(graph, parameters=tuple(replace(p, dtype=NARROW) for p in graph.parameters))
        (entry,) = plan(narrow).entries
        assert entry.draw is not None
        told = coarseness(entry.draw, NARROW)
        assert told
        assert f"{NARROW} is coarse for this draw: {told}" in entry.evidence
        assert told in plan(narrow).why("weight")
        assert not any("coarse" in line for line in plan(graph).entries[0].evidence)


def test_explanations_say_it() -> None:
    told = fanin.explain("normal", std=0.005, shape=SHAPE, dtype=NARROW)
    assert any(coarseness(Normal(std=0.005), NARROW) in note for note in told.notes)
    nothing = fanin.explain("normal", std=5e-5, shape=SHAPE, dtype=NARROW)
    assert any("Every weight would be rounded to 0" in note for note in nothing.notes)
    assert not any("coarse" in note for note in fanin.explain("normal", std=0.02, dtype="bf16").notes)
