from __future__ import annotations

import math

import numpy as np
import pytest

from fanin.errors import InputError
from fanin.laws.recursion import initial_loss
from fanin.laws.softmax import attention_share, random_cross_entropy


@pytest.mark.parametrize(("classes", "std"), [(2, 3.0), (10, 1.0), (100, 5.0), (1000, 0.3)])
def test_cross_entropy_of_random_logits_against_simulation(classes: int, std: float) -> None:
    rng = np.random.default_rng(0)
    logits = std * rng.standard_normal((2_000_000 // classes, classes))
    top = logits.max(axis=1, keepdims=True)
    seen = np.log(np.exp(logits - top).sum(axis=1)) + top[:, 0]
    # 6.1 standard errors: false alarm 1e-9.
    limit = 6.1 * seen.std() / math.sqrt(len(seen))
    assert abs(random_cross_entropy(classes, std) - seen.mean()) < limit


def test_equal_logits_cost_the_logarithm_of_the_classes() -> None:
    for classes in (1, 2, 50_257):
        assert random_cross_entropy(classes, 0.0) == pytest.approx(math.log(classes), abs=1e-7)


def test_it_is_the_law_of_second_order_for_small_spreads_and_less_for_large_ones() -> None:
    assert random_cross_entropy(100, 0.1) == pytest.approx(initial_loss(100, 0.1), abs=1e-4)
    assert random_cross_entropy(100, 4.0) < initial_loss(100, 4.0) - 0.5


def test_large_spreads_cost_the_largest_logit() -> None:
    # For two logits E max = s / sqrt(pi).
    assert random_cross_entropy(2, 1e6) == pytest.approx(1e6 / math.sqrt(math.pi), rel=1e-3)
    assert random_cross_entropy(50, 30.1) == pytest.approx(random_cross_entropy(50, 29.9), rel=0.02)


@pytest.mark.parametrize("variance", [0.0, 0.3, 1.0, 1.9])
@pytest.mark.parametrize("causal", [False, True])
def test_share_of_a_softmax_against_brute_force(variance: float, causal: bool) -> None:
    rng = np.random.default_rng(1)
    keys, seen = 24, []
    for length in range(1, keys + 1) if causal else [keys] * keys:
        scores = math.sqrt(variance) * rng.standard_normal((4000, length))
        weights = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
        seen.append((weights**2).sum(axis=1).mean())
    share = attention_share(keys, score_variance=variance, causal=causal)
    # Of 96,000 sums of squares, each off by less than its mean, 6.1 standard errors are 2 % at most.
    assert share == pytest.approx(np.mean(seen), rel=1e-9 if variance == 0.0 else 0.02)
    assert attention_share(keys, score_variance=2.0, causal=causal) > share


def test_what_is_no_softmax_is_refused() -> None:
    with pytest.raises(InputError, match="no places or no variance"):
        attention_share(0)
    with pytest.raises(InputError, match="no class, or no spread"):
        random_cross_entropy(0, 1.0)
    with pytest.raises(InputError, match="no class, or no spread"):
        random_cross_entropy(10, math.inf)


def test_long_rows_are_interpolated() -> None:
    assert attention_share(1000, score_variance=1e-9, causal=True) == pytest.approx(
        attention_share(1000, causal=True), rel=0.01
    )
    assert attention_share(5, score_variance=1e6) == 1.0
