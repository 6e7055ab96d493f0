"""The verb compare: paired runs, the same bytes for any number of processes, and what may go wrong."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from fanin.errors import InputError, ModelError, OutputError, UnknownNameError
from fanin.experiments import compare
from fanin.experiments.data import Data
from fanin.experiments.fit import Training, fit
from fanin.experiments.parts import validated
from fanin.experiments.runner import Progress
from fanin.records.codec import from_json, to_json
from fanin.records.study import Study

Net = Callable[..., nn.Module]


def timeless(study: Study) -> Study:
    return replace(study, seconds=0.0)


@pytest.fixture(scope="module")
def small(net: Net, rings: Data) -> Study:
    """Two laws, two seeds, a few steps."""
    return compare(net, rings, variants=("he", "glorot"), seeds=2, steps=12, lr=0.1).study


def test_every_run_is_there_and_comes_back_from_json(small: Study) -> None:
    assert [arm.name for arm in small.arms] == ["he", "glorot"]
    for arm in small.arms:
        assert [curve.seed for curve in arm.curves] == [0, 1]
        for curve in arm.curves:
            assert curve.steps == tuple(range(1, 13))
            assert len(curve.validation) == len(curve.accuracy) == len(curve.loss) == 12
            assert curve.test_accuracy is not None
        assert arm.start is not None
        assert arm.start.predicted is not None
        assert arm.start.measured == pytest.approx(arm.start.predicted, rel=0.5)
        assert arm.mean == pytest.approx(math.fsum(arm.scores) / 2)
    assert len(small.contrasts) == 1
    from fanin.records.codec import to_json

    assert from_json(to_json(small), Study) == small


def test_the_law_is_all_that_differs(net: Net, rings: Data, small: Study) -> None:
    # The same law under two names: not a bit may differ.
    twice = compare(net, rings, variants={"a": "he", "b": "he_normal"}, seeds=2, steps=12, lr=0.1).study
    a, b = twice.arms
    assert a.curves == b.curves == small.arms[0].curves
    assert twice.contrasts[0].p == 1.0
    assert small.arms[0].curves != small.arms[1].curves


def test_any_number_of_processes_gives_the_same_bytes(net: Net, rings: Data, small: Study) -> None:
    again = compare(net, rings, variants=("he", "glorot"), seeds=2, steps=12, lr=0.1, jobs=2)
    assert timeless(again.study) == timeless(small)
    assert again.to_json().count("\n") == 0 or again.to_json()
    other = compare(net, rings, variants=("he", "glorot"), seeds=2, steps=12, lr=0.11).study
    assert other.arms[0].curves != small.arms[0].curves


def test_dropout_follows_the_seed_and_leaves_the_generator_alone(rings: Data) -> None:
    def noisy() -> nn.Module:
        return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, 3))

    torch.manual_seed(7)
    before = torch.random.get_rng_state()
    runs = [compare(noisy, rings, variants=("he", "lecun"), seeds=1, steps=5, checks=False) for _ in range(2)]
    assert torch.equal(before, torch.random.get_rng_state())
    assert timeless(runs[0].study) == timeless(runs[1].study)


def test_each_arm_gets_its_best_rate_by_validation_alone(net: Net, rings: Data) -> None:
    found = compare(
        net, rings, variants=("he", "he*0.3"), seeds=2, steps=15, lr=(0.001, 0.1), checks=False
    ).study
    for arm in found.arms:
        means = {rate.learning_rate: rate.loss for rate in arm.rates}
        assert set(means) == {0.001, 0.1}
        assert arm.curves[0].learning_rate == min(means, key=lambda rate: means[rate])
        taken = [curve.validation[-1] for curve in arm.curves]
        assert min(means.values()) == pytest.approx(math.fsum(taken) / 2)
    # The test labels play no part: shuffled ones give the same choice and the same curves.
    mixed = replace(rings, test_labels=np.roll(rings.test_labels, 1))
    other = compare(
        net, mixed, variants=("he", "he*0.3"), seeds=2, steps=15, lr=(0.001, 0.1), checks=False
    ).study
    assert [arm.rates for arm in other.arms] == [arm.rates for arm in found.arms]
    assert other.arms[0].scores != found.arms[0].scores
    assert any("end of the learning rates" in note for note in found.notes)


def test_a_difference_under_one_rate_comes_with_a_warning(net: Net, rings: Data) -> None:
    def hopeless(model: nn.Module) -> None:
        with torch.no_grad():
            for p in model.parameters():
                p.zero_()

    found = compare(
        net,
        rings,
        variants={"he": "he", "zeros": hopeless},
        seeds=6,
        steps=50,
        lr=0.1,
        score="loss",
        checks=False,
    )
    assert found.best == "he"
    assert found.study.contrasts[0].shown
    assert "is shown to be better than zeros" in found.verdict
    assert any("may be that of the rate" in note for note in found.study.notes)
    tuned = compare(
        net, rings, variants={"he": "he", "zeros": hopeless}, seeds=2, steps=50, lr=(0.05, 0.1),
        score="loss", checks=False,
    )  # fmt: skip
    assert not any("may be that of the rate" in note for note in tuned.study.notes)


def test_a_run_that_diverges_is_reported_and_counts_as_guessing(net: Net, rings: Data) -> None:
    found = compare(net, rings, variants=("he", "he*1e12"), seeds=2, steps=10, lr=0.1)
    broken = found.study.arms[1]
    assert all(curve.diverged is not None and curve.test_loss is None for curve in broken.curves)
    assert broken.scores == (rings.chance,) * 2
    assert any("he*1e12 diverged in 2 of 2 runs" in note for note in found.study.notes)
    assert "diverged" in str(found)
    assert found.best == "he"


def test_models_are_an_axis(rings: Data) -> None:
    def plain() -> nn.Module:
        return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3))

    def norms() -> nn.Module:
        return nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 3))

    found = compare({"plain": plain, "bn": norms}, rings, variants=("he", "glorot"), seeds=1, steps=5).study
    assert [arm.name for arm in found.arms] == ["plain/he", "plain/glorot", "bn/he", "bn/glorot"]
    assert {arm.model for arm in found.arms} == {"plain", "bn"}
    assert any("one seed shows no difference" in note for note in found.notes)


def test_going_on_with_a_study(net: Net, rings: Data, tmp_path: Path, small: Study) -> None:
    file = tmp_path / "study.jsonl"
    kept: list[str] = []

    def stop(now: Progress) -> None:
        kept.append(now.said)
        if now.done == 3:
            raise KeyboardInterrupt

    asked: dict[str, Any] = {"variants": ("he", "glorot"), "seeds": 2, "steps": 12, "lr": 0.1, "file": file}
    with pytest.raises(KeyboardInterrupt):
        compare(net, rings, **asked, told=stop)
    assert len(file.read_text().splitlines()) == 1 + 3
    with pytest.raises(OutputError, match="exists"):
        compare(net, rings, **asked)
    made: list[str] = []
    found = compare(net, rings, **asked, resume=True, told=lambda now: made.append(now.said))
    assert len(made) == 1
    assert made[0] not in kept
    assert timeless(found.study) == timeless(small)
    with pytest.raises(InputError, match="steps: 12 there, 13 here"):
        compare(net, rings, **{**asked, "steps": 13}, resume=True)
    with pytest.raises(InputError, match=r"model: .* there, .* here"):
        compare(lambda: net(depth=5), rings, **asked, resume=True)
    # More seeds are another matter: those that are there count.
    made.clear()
    compare(net, rings, **{**asked, "seeds": 3}, resume=True, told=lambda now: made.append(now.said))
    assert len(made) == 2


def test_a_budget_leaves_whole_seeds(net: Net, rings: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    from fanin.experiments import runner

    clock = [0.0]

    def ticking(now: Progress) -> None:
        clock[0] = float(now.made)

    monkeypatch.setattr(runner.time, "monotonic", lambda: clock[0])
    found = compare(
        net, rings, variants=("he", "glorot"), seeds=9, steps=2, budget=4.5, told=ticking, checks=False
    )
    assert [len(arm.curves) for arm in found.study.arms] == [2, 2]
    assert any("2 of 9 seeds are complete" in note for note in found.study.notes)
    clock[0] = 0.0
    with pytest.raises(InputError, match="before every arm had one run"):
        compare(
            net, rings, variants=("he", "glorot"), seeds=9, steps=2, budget=0.5, told=ticking, checks=False
        )


@pytest.mark.parametrize(
    ("settings", "error", "told"),
    [
        ({"variants": ("he", "glorott")}, UnknownNameError, "Did you mean 'glorot'"),
        ({"variants": ("he",)}, InputError, "nothing to compare"),
        ({"seeds": 0}, InputError, "seeds=0"),
        ({"variants": 5}, InputError, r"Write variants=\(5,\)"),
        ({"gains": 1.0}, InputError, r"Write gains=\(1.0,\)"),
        ({"gains": None}, InputError, "gains=None"),
        ({"steps": 2.5}, InputError, "steps=2.5"),
        ({"batch": True}, InputError, "batch=True"),
        ({"lr": [0.1, "x"]}, InputError, "learning rate"),
        ({"target": math.nan}, InputError, "target=nan"),
        ({"target": "low"}, InputError, "target='low'"),
        ({"file": 3}, InputError, "file=3"),
        ({"file": ""}, InputError, "file=''"),
        ({"told": 3}, InputError, "nobody to tell"),
        ({"steps": 0}, InputError, "steps is at least 1"),
        ({"batch": 0}, InputError, "batch is at least 1"),
        ({"lr": 0.0}, InputError, "learning rate"),
        ({"lr": ()}, InputError, "learning rate"),
        ({"lr": (0.1, math.nan)}, InputError, "learning rate"),
        ({"optimiser": "adamm"}, UnknownNameError, "Did you mean 'adam'"),
        ({"score": "acc"}, UnknownNameError, "accuracy"),
        ({"jobs": 0}, InputError, "jobs is at least 1"),
        ({"budget": 0}, InputError, "no time"),
        ({"resume": True}, InputError, "Name its file"),
        ({"gains": (0.0,)}, InputError, "positive and finite"),
        ({"variants": ("own", "he"), "gains": (2.0,)}, InputError, "no plan to multiply"),
        ({"variants": ("he", "he+zero-out")}, InputError, "zero-out"),
    ],
)
def test_settings_under_which_nothing_can_be_compared(
    net: Net, rings: Data, settings: dict[str, Any], error: type[Exception], told: str
) -> None:
    with pytest.raises(error, match=told):
        compare(net, rings, **settings)


def test_numbers_of_numpy_are_numbers(net: Net, rings: Data) -> None:
    settings: dict[str, Any] = {"variants": ("he", "lecun"), "checks": False}
    plain = compare(net, rings, seeds=1, steps=2, batch=8, lr=(0.1, 0.2), **settings)
    numpy = compare(
        net,
        rings,
        seeds=np.int64(1),
        steps=np.int32(2),
        batch=np.uint8(8),
        lr=np.array([0.1, 0.2]),
        **settings,
    )
    assert replace(numpy.study, seconds=0.0) == replace(plain.study, seconds=0.0)
    assert to_json(numpy.study)


def test_labels_beyond_the_model(net: Net, rings: Data) -> None:
    with pytest.raises(ModelError, match=r"labels 0 to 4.*at least 5 columns"):
        compare(net, replace(rings, classes=5))


def test_a_frozen_model_has_nothing_to_train(rings: Data) -> None:
    def frozen() -> nn.Module:
        return nn.Linear(8, 3).requires_grad_(requires_grad=False)

    with pytest.raises(ModelError, match="nothing to train"):
        compare(frozen, rings, variants=("own", "he"), steps=2)


def test_training_ends_where_the_loss_is_no_number(net: Net, rings: Data) -> None:
    made = fit(net(), validated(rings), Training(steps=50, batch=16, optimiser="sgd"), seed=0, rate=1e9)
    assert made.diverged is not None
    assert all(step <= made.diverged for step in made.steps)
    assert all(map(math.isfinite, made.validation))
