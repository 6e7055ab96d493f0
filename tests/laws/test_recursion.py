from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import multivariate_normal

from fanin.errors import InputError
from fanin.laws import band, recursion
from fanin.laws.quadrature import NODES

Array = NDArray[np.float64]


def relu(z: Array) -> Array:
    return np.maximum(z, 0.0)


RELU = relu(NODES)
TANH = np.tanh(NODES)


def test_he_keeps_and_the_torch_default_loses_a_factor_of_6() -> None:
    assert recursion.forward_map(RELU, 2.7, weight_variance=2 / 50, fan_in=50) == pytest.approx(2.7)
    for q in (0.01, 1.0, 30.0):
        factor = recursion.backward_map(RELU, q, weight_variance=1 / (3 * 50), fan=50)
        assert factor == pytest.approx(1 / 6, rel=1e-6)
    # The bias draws U(±1/sqrt(n)) hold the signal at 2/5 of the layer's 1/n: the floor of the flat forward.
    q, n = 1.0, 256
    for _ in range(30):
        q = recursion.forward_map(RELU, q, weight_variance=1 / (3 * n), fan_in=n, bias_variance=1 / (3 * n))
    assert q == pytest.approx(1 / (3 * n) / (1 - 1 / 6), rel=1e-6)


def test_maps_of_tanh_against_simulation() -> None:
    rng = np.random.default_rng(1)
    z = rng.standard_normal(400_000) * math.sqrt(1.7)
    second, slope = np.tanh(z) ** 2, (1 - np.tanh(z) ** 2) ** 2
    # 6.1 standard errors: false alarm 1e-9.
    for predicted, seen in (
        (recursion.forward_map(TANH, 1.7, weight_variance=0.5, fan_in=2), second),
        (recursion.backward_map(TANH, 1.7, weight_variance=0.5, fan=2), slope),
    ):
        assert abs(predicted - seen.mean()) < 6.1 * seen.std() / math.sqrt(len(z))


@pytest.mark.parametrize("c", [-0.9, 0.0, 0.3, 0.95, 0.9999])
def test_correlation_map_of_relu_is_the_arc_cosine_kernel(c: float) -> None:
    exact = (math.sqrt(1 - c * c) + (math.pi - math.acos(c)) * c) / math.pi
    assert recursion.correlation_map(RELU, 1.0, c) == pytest.approx(exact, abs=1e-8)


def test_correlation_map_has_its_fixed_point_at_1_and_bias_pulls_towards_it() -> None:
    assert recursion.correlation_map(TANH, 1.0, 1.0) == 1.0
    without = recursion.correlation_map(TANH, 1.0, 0.2)
    assert recursion.correlation_map(TANH, 1.0, 0.2, bias_variance=0.5) > without


@pytest.mark.parametrize(("c", "samples", "exact"), [(0.0, 6, 2**-6), (0.5, 256, 1 / 257), (1.0, 9, 0.5)])
def test_dead_share_where_it_is_known(c: float, samples: int, exact: float) -> None:
    assert recursion.dead_share(c, samples) == pytest.approx(exact, rel=1e-6)


@pytest.mark.parametrize("c", [0.2, 0.7, 0.93, 0.999])
def test_dead_share_of_three_samples_is_the_orthant_probability(c: float) -> None:
    # P(all three of equal correlation c are negative) = 1/8 + 3 asin(c) / (4 pi).
    assert recursion.dead_share(c, 3) == pytest.approx(1 / 8 + 3 * math.asin(c) / (4 * math.pi), rel=1e-6)


def test_dead_share_of_five_samples_against_scipy() -> None:
    covariance = 0.6 * np.ones((5, 5)) + 0.4 * np.eye(5)
    exact = multivariate_normal(cov=covariance, maxpts=2_000_000, abseps=1e-8).cdf(np.zeros(5))
    assert recursion.dead_share(0.6, 5) == pytest.approx(exact, abs=1e-5)


def test_saturated_share_is_a_gaussian_tail() -> None:
    rng = np.random.default_rng(2)
    z = 2 * rng.standard_normal(200_000)
    predicted = recursion.saturated_share(math.atanh(0.97), 4.0)
    error = math.sqrt(predicted * (1 - predicted) / len(z))
    assert abs((np.abs(np.tanh(z)) > 0.97).mean() - predicted) < 6.1 * error


@pytest.mark.parametrize(("classes", "s"), [(2, 0.5), (10, 1.0), (1000, 0.8)])
def test_initial_loss_against_simulation(classes: int, s: float) -> None:
    rng = np.random.default_rng(3)
    logits = s * rng.standard_normal((4000, classes))
    losses = np.log(np.exp(logits).sum(axis=1)) - logits[:, 0]
    predicted = recursion.initial_loss(classes, s)
    # 0.03 is the law's own error at s <= 1.
    assert abs(losses.mean() - predicted) < 0.03 + 6.1 * losses.std() / math.sqrt(len(losses))
    assert recursion.initial_loss(classes) == pytest.approx(math.log(classes))


def test_layer_variance_of_relu_and_the_identity() -> None:
    assert band.layer_variance(RELU, 3.0) == pytest.approx(band.RELU, rel=1e-6)
    assert band.layer_variance(NODES, 0.2) == pytest.approx(band.LINEAR, rel=1e-6)
    assert band.layer_variance(TANH) < band.LINEAR


@pytest.mark.parametrize(("f", "layers"), [(relu, 6), (np.array, 6), (np.tanh, 1)])
def test_band_against_simulated_networks(f: Callable[[Array], Array], layers: int) -> None:
    # tanh does not keep a scale, so its law is tried on one layer.
    n, draws = 64, 1500
    values = f(NODES)
    second = recursion.forward_map(values, 1.0, weight_variance=1.0, fan_in=1)
    rng = np.random.default_rng(4)
    h = rng.standard_normal((draws, n))
    h *= math.sqrt(n * second) / np.linalg.norm(h, axis=1, keepdims=True)
    for _ in range(layers):
        w = rng.standard_normal((draws, n, n)) / math.sqrt(n * second)
        h = f(np.einsum("dij,dj->di", w, h))
    logs = np.log((h**2).mean(axis=1) / second)
    mean, sd = band.log_power_band([(band.layer_variance(values), n)] * layers)
    # The sd of an sd is sd / sqrt(2 draws): 6.1 of them, and 12 % for what the law leaves out (order c / n).
    assert abs(logs.std() / sd - 1) < 6.1 / math.sqrt(2 * draws) + 0.12
    assert abs(logs.mean() - mean) < 6.1 * sd / math.sqrt(draws) + 0.12 * sd


def test_z_score_counts_from_the_mean_of_the_logarithm() -> None:
    layers = [(band.RELU, 32.0)] * 60
    mean, sd = band.log_power_band(layers)
    assert band.z_score(mean, layers) == 0.0
    assert band.z_score(mean - 3 * sd, layers) == pytest.approx(-3.0)
    assert band.z_score(-1.0, []) == -math.inf


def test_refusals() -> None:
    for call in (
        lambda: recursion.forward_map(RELU, 1.0, weight_variance=-1.0, fan_in=2),
        lambda: recursion.dead_share(0.5, 0),
        lambda: recursion.initial_loss(0),
        lambda: band.log_power_band([(5.0, 0.0)]),
        lambda: band.layer_variance(np.zeros_like(NODES)),
    ):
        with pytest.raises(InputError):
            call()
