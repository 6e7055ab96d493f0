"""The verb tune: the curve, the choice, the plan, and that the test data take no part in it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import nn

from fanin.errors import InputError, UnknownNameError
from fanin.experiments import tune
from fanin.experiments.data import Data
from fanin.experiments.runner import Progress
from fanin.records.study import Study

Net = Callable[..., nn.Module]
SMALL: dict[str, Any] = {"policy": "lecun", "points": 3, "folds": 3, "steps": 20, "seeds": 2, "lr": 0.1}


@pytest.fixture(scope="module")
def deep(net: Net, rings: Data) -> Study:
    """Twelve layers that 1 / fan_in leaves without a signal."""
    return tune(
        lambda: net(12, 32), rings, policy="lecun*0.3", between=(1.0, 8.0), points=4, folds=3, steps=40,
        seeds=2, lr=0.02,
    ).study  # fmt: skip


def test_a_plan_that_is_far_too_small_is_enlarged(deep: Study) -> None:
    one = deep.tuned[0]
    assert [factor.factor for factor in one.factors] == [1.0, 2.0, 4.0, 8.0]
    # sqrt(2) / 0.3 = 4.7: nothing passes at 1, and at 8 it grows by (8 / 4.7)^2 a layer.
    assert one.chosen == 4.0
    assert one.tensors == 12
    assert all(len(factor.losses) == 3 for factor in one.factors)
    assert [arm.name for arm in deep.arms] == ["factor 1", "all*4"]
    assert deep.plan is not None
    assert deep.plan["0.weight"].std == pytest.approx(4.0 * 0.3 / math.sqrt(8))
    assert deep.plan["0.bias"].std == 0.0
    assert deep.plan["0.weight"].reason.endswith("times 4")


def test_the_mean_and_the_error_are_those_of_the_folds(deep: Study) -> None:
    for factor in deep.tuned[0].factors:
        if all(map(math.isfinite, factor.losses)):
            assert factor.mean == pytest.approx(float(np.mean(factor.losses)))
            assert factor.error == pytest.approx(float(np.std(factor.losses, ddof=1) / math.sqrt(3)))
        else:
            assert math.isinf(factor.mean)


def test_the_test_data_take_no_part_in_the_choice(net: Net, rings: Data) -> None:
    found = tune(net, rings, **SMALL).study
    spoilt = replace(rings, test=np.full_like(rings.test, 9.0), test_labels=np.roll(rings.test_labels, 1))
    other = tune(net, spoilt, **SMALL).study
    assert other.tuned == found.tuned
    assert other.plan == found.plan
    assert [arm.scores for arm in other.arms] != [arm.scores for arm in found.arms]


def test_any_number_of_processes_gives_the_same_study(net: Net, rings: Data) -> None:
    a, b = (tune(net, rings, **SMALL, jobs=jobs).study for jobs in (1, 2))
    assert replace(a, seconds=0.0) == replace(b, seconds=0.0)


def test_halving_gives_the_better_third_all_steps(net: Net, rings: Data) -> None:
    found = tune(net, rings, **{**SMALL, "points": 9, "steps": 36}, halving=True).study.tuned[0]
    steps = [factor.steps for factor in found.factors]
    assert set(steps) == {4, 12, 36}
    assert steps.count(4) >= 5
    whole = [factor for factor in found.factors if factor.steps == 36]
    assert 1.0 in [factor.factor for factor in whole]
    assert found.chosen in [factor.factor for factor in whole]


def test_groups_one_after_the_other(net: Net, rings: Data) -> None:
    made = tune(net, rings, **SMALL, groups=("body", "head"))
    assert [(one.group, one.tensors) for one in made.study.tuned] == [("body", 3), ("head", 1)]
    body, head = (one.chosen for one in made.study.tuned)
    plan = made.plan()
    assert plan["0.weight"].std == pytest.approx(body / math.sqrt(8))
    assert plan["6.weight"].std == pytest.approx(head / math.sqrt(16))


def test_a_plan_that_is_right_stays_as_it_is(rings: Data) -> None:
    # A linear model learns the same whatever its weights are: nothing speaks against 1.
    made = tune(
        lambda: nn.Linear(8, 3), rings, policy="lecun", points=3, between=(0.8, 1.25), folds=3, steps=60,
        seeds=2, lr=0.1,
    )  # fmt: skip
    assert made.study.tuned[0].chosen == 1.0
    assert len(made.study.arms) == 1
    assert "the plan stays as it is" in made.verdict


def test_an_interrupted_tuning_goes_on(net: Net, rings: Data, tmp_path: Path) -> None:
    file = tmp_path / "tune.jsonl"

    def stop(now: Progress) -> None:
        if now.made == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tune(net, rings, **SMALL, file=file, told=stop)
    made: list[str] = []
    found = tune(net, rings, **SMALL, file=file, resume=True, told=lambda now: made.append(now.said))
    assert len(file.read_text().splitlines()) == 1 + 4 + len(made)
    assert replace(found.study, seconds=0.0) == replace(tune(net, rings, **SMALL).study, seconds=0.0)


def test_time_that_is_up(net: Net, rings: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    from fanin.experiments import runner

    clock = [0.0]

    def ticking(now: Progress) -> None:
        clock[0] = float(now.made)

    monkeypatch.setattr(runner.time, "monotonic", lambda: clock[0])
    made = tune(net, rings, **SMALL, budget=6.5, told=ticking)
    assert len(made.study.tuned[0].factors[0].losses) == 2
    assert made.study.arms == ()
    assert "2 of 3 folds of all are complete" in made.study.notes[0]
    assert str(made)
    clock[0] = 0.0
    with pytest.raises(InputError, match="before two folds were complete"):
        tune(net, rings, **SMALL, budget=2.5, told=ticking)


@pytest.mark.parametrize(
    ("settings", "error", "told"),
    [
        ({"groups": ("heads",)}, UnknownNameError, "Did you mean 'head'"),
        ({"groups": ("branches",)}, InputError, "no random weight of the group 'branches'"),
        ({"groups": ()}, InputError, "nothing to do"),
        ({"groups": ("all", "head")}, InputError, "in two groups"),
        ({"between": (2.0, 4.0)}, InputError, "around 1"),
        ({"folds": 1}, InputError, "1 folds"),
        ({"folds": 2.5}, InputError, "folds=2.5"),
        ({"seeds": "2"}, InputError, "seeds='2'"),
        ({"lr": "fast"}, InputError, "lr='fast'"),
        ({"lr": (0.1, 0.2)}, InputError, "one learning rate"),
        ({"groups": "head"}, InputError, "given as a sequence"),
        ({"told": "me"}, InputError, "nobody to tell"),
        ({"folds": 200}, InputError, "200 folds"),
        ({"seeds": 0}, InputError, "seeds"),
        ({"policy": "own"}, InputError, "no plan"),
        ({"steps": 0}, InputError, "steps"),
        ({"lr": 0.0}, InputError, "learning rate"),
    ],
)
def test_settings_under_which_nothing_can_be_tuned(
    net: Net, rings: Data, settings: dict[str, Any], error: type[Exception], told: str
) -> None:
    with pytest.raises(error, match=told):
        tune(net, rings, **{**SMALL, **settings})
