"""The paired test: against SciPy, at its level, with its power."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from fanin.errors import InputError
from fanin.experiments.choice import chosen, factor_of, grid, rungs, survivors
from fanin.experiments.paired import contrasts, interval


def test_two_arms_as_scipy_has_them() -> None:
    draws = np.random.default_rng(1)
    a, b = draws.normal(size=(2, 7)).tolist()
    found = contrasts({"a": a, "b": b})[0]
    known = stats.ttest_rel(a, b)
    ends = known.confidence_interval(0.95)
    assert found.p == pytest.approx(known.pvalue)
    assert (found.low, found.high) == pytest.approx((ends.low, ends.high))
    assert found.mean == pytest.approx(float(np.mean(a) - np.mean(b)))


def test_holm_raises_p_in_order_and_never_lowers_it() -> None:
    draws = np.random.default_rng(2)
    scores = {
        name: draws.normal(loc=shift, size=6).tolist()
        for name, shift in zip("abcd", (0, 0, 1, 5), strict=True)
    }
    found = contrasts(scores)
    raw = [stats.ttest_rel(scores[one.first], scores[one.second]).pvalue for one in found]
    order = np.argsort(raw)
    expected = np.maximum.accumulate([min(1.0, (6 - rank) * raw[place]) for rank, place in enumerate(order)])
    assert [found[place].p for place in order] == pytest.approx(expected.tolist())
    assert all(one.shown == (one.p < 0.05) for one in found)


def test_the_level_over_all_pairs_of_a_study() -> None:
    # 400 studies of 4 equal arms and 5 seeds: at most 5 % show anything; 1e-9 on the binomial's upper side.
    draws = np.random.default_rng(3)
    wrong = 0
    for _ in range(400):
        noise = draws.normal(size=(4, 5))
        wrong += any(one.shown for one in contrasts(dict(zip("abcd", noise.tolist(), strict=True))))
    assert wrong <= stats.binom.isf(1e-9, 400, 0.05)


def test_the_detectable_difference_is_shown_four_times_in_five() -> None:
    # With the true spread known, the figure is the mean of the estimates: 10 seeds, 2,000 studies.
    draws = np.random.default_rng(4)
    size = (stats.t.ppf(0.975, 9) + stats.t.ppf(0.8, 9)) / math.sqrt(10)
    found = [
        contrasts({"a": (draws.normal(size=10) + size).tolist(), "b": [0.0] * 10})[0].shown
        for _ in range(2000)
    ]
    # Student's t in place of the noncentral t: the power is 0.8 to two hundredths for 9 degrees of freedom.
    assert np.mean(found) == pytest.approx(0.8, abs=0.02 + 6 * math.sqrt(0.16 / 2000))


def test_equal_differences_are_worth_no_more_than_a_test_sample_each() -> None:
    scores = {"a": [0.91, 0.92, 0.93], "b": [0.90, 0.91, 0.92]}
    assert contrasts(scores)[0].shown
    assert not contrasts(scores, grain=0.01)[0].shown
    assert contrasts({"a": [0.9] * 3, "b": [0.1] * 3}, grain=0.01)[0].shown
    assert contrasts({"a": [0.1] * 3, "b": [0.1] * 3})[0].p == 1.0


def test_one_seed_shows_nothing() -> None:
    found = contrasts({"a": [0.9], "b": [0.1]})[0]
    assert not found.shown
    assert found.p == 1.0
    assert math.isinf(found.detectable)
    assert interval([0.5])[1:] == (-math.inf, math.inf)


def test_arms_without_pairs() -> None:
    with pytest.raises(InputError, match="a: 2, b: 1"):
        contrasts({"a": [1.0, 2.0], "b": [1.0]})


def test_the_grid_of_factors() -> None:
    assert grid((0.25, 4.0), 9)[4] == 1.0
    assert 1.0 in grid((0.3, 5.0), 4)
    for ends, points in (((2.0, 4.0), 5), ((0.5, 0.9), 5), ((1.0, 1.0), 5), ((0.0, 2.0), 5), ((0.5, 2.0), 1)):
        with pytest.raises(InputError, match=r"around 1|no such points"):
            grid(ends, points)


def test_rounds_of_halving() -> None:
    assert rungs(300, 9) == (33, 100, 300)
    assert rungs(300, 3) == (100, 300)
    assert rungs(2, 9) == (2,)
    alive = survivors([factor_of(f, (abs(f - 2.0), abs(f - 2.0)), 1) for f in (0.5, 1.0, 1.9, 2.0, 2.2, 4.0)])
    assert alive == [1.0, 1.9, 2.0]


def test_the_choice_is_the_nearest_to_one_within_one_standard_error() -> None:
    curve = [
        factor_of(0.5, (0.9, 0.9), 9),
        factor_of(1.0, (0.62, 0.64), 9),
        factor_of(1.4, (0.58, 0.60), 9),
        factor_of(2.0, (0.50, 0.64), 9),
        factor_of(4.0, (0.1, math.inf), 9),
        factor_of(8.0, (0.1, 0.1), 3),
    ]
    # The best is 2 with 0.57 and an error of 0.07: 1 has 0.63 and is within it.
    assert chosen(curve) == (2.0, 1.0)
    sharp = [factor_of(1.0, (0.70, 0.71), 9), factor_of(2.0, (0.50, 0.52), 9)]
    assert chosen(sharp) == (2.0, 2.0)
    assert chosen([factor_of(2.0, (math.inf, 1.0), 9)]) == (1.0, 1.0)
