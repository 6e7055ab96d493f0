"""Local maps against another implementation: dks, by its own two-dimensional quadrature."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest

from fanin.laws.hermite import expand
from fanin.laws.quadrature import NODES
from fanin.laws.recursion import correlation_map

# Its quadrature asks for more digits than there are, and scipy says so.
pytestmark = pytest.mark.filterwarnings("ignore::scipy.integrate.IntegrationWarning")


@pytest.fixture(scope="module")
def peer() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("autograd")
        return pytest.importorskip("dks.base.activation_transform")


@pytest.mark.parametrize("c", [-0.5, 0.0, 0.5, 1.0])
def test_correlation_map_of_tanh(peer: Any, c: float) -> None:
    expected = peer._calc_c_map(np.tanh, c=c)
    found = expand(np.tanh(NODES))
    assert found.pair(c) / found.power == pytest.approx(expected, rel=1e-6, abs=1e-9)
    assert correlation_map(np.tanh(NODES), 1.0, c) == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_slopes_of_both_maps(peer: Any) -> None:
    found = expand(np.tanh(NODES))
    # Its derivative of the C map at 1 is chi / q, its derivative of the Q map at 1 is q times the growth.
    assert found.slope_power / found.power == pytest.approx(peer._calc_c_slope(np.tanh, c=1.0), rel=1e-6)
    assert found.growth * found.power == pytest.approx(peer._calc_q_slope_1(np.tanh), rel=1e-6)


@pytest.mark.parametrize("slope", [0.0, 0.1, 0.5])
def test_correlation_map_of_leaky_relu(peer: Any, slope: float) -> None:
    values = np.where(NODES > 0, NODES, slope * NODES)
    found = expand(values)
    for c in (-0.9, 0.0, 0.4, 0.95):
        assert found.pair(c) / found.power == pytest.approx(peer._leaky_relu_cmap(c, slope), abs=2e-5)


def test_the_oracle_can_disagree(peer: Any) -> None:
    found = expand(np.tanh(NODES), variance=4.0)
    assert not math.isclose(found.pair(0.5) / found.power, peer._calc_c_map(np.tanh, c=0.5), rel_tol=1e-3)
