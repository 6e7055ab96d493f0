"""Complex weights: which schemes have a law for them, what it is, and what the peers draw instead."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from scipy import stats

import fanin
from fanin.errors import InputError
from fanin.laws.fans import fans
from fanin.records.draw import Formula, Normal
from fanin.schemes import registry

LIMIT = float(stats.norm.isf(0.5e-9))
SHAPE = (96, 64, 3, 3)


@pytest.mark.parametrize("name", registry.names())
def test_each_scheme_has_a_complex_law_or_says_so(name: str) -> None:
    entry = registry.entry(name)
    tried = 0
    for given in entry.examples:
        scheme = registry.get(name, **given)
        for shape in ((12, 8), (8, 8, 3, 3), (8, 8, 8), (16,)):
            try:
                real = fanin.sample(scheme, shape, seed=1, name="w")
            except InputError:
                continue  # no law for this shape
            tried += 1
            draw = scheme.draw(shape)
            if isinstance(draw, Formula):
                with pytest.raises(InputError, match=r"no complex law.*or use a scheme with a complex law"):
                    fanin.sample(scheme, shape, seed=1, name="w", dtype="complex64")
                continue
            weight = fanin.sample(scheme, shape, seed=1, name="w", dtype="complex64")
            assert weight.dtype == np.complex64
            assert weight.shape == shape
            if draw.std == 0.0 or not np.ptp(real):
                assert (weight == real).all()
            # Bounds of sampling only: a dozen units have a std within a third.
            assert np.sqrt(np.mean(np.abs(weight) ** 2)) == pytest.approx(
                math.hypot(draw.std, draw.mean), rel=0.35, abs=1e-6
            )
    assert tried


def variance(scheme: str, shape: tuple[int, ...]) -> float:
    """Check E|w|^2 of a scheme's complex draw against the variance of the real one, to a derived error."""
    draw = registry.get(scheme).draw(shape)
    weight = fanin.sample(scheme, shape, seed=2, name="w", dtype="complex64").astype(np.complex128)
    square = np.abs(weight) ** 2
    distance = (square.mean() - draw.std**2) / (square.std() / math.sqrt(square.size))
    assert abs(distance) < LIMIT
    return float(square.mean())


@pytest.mark.parametrize("scheme", ["he_normal", "he_uniform", "he_truncated_normal", "glorot_normal"])
def test_variance_is_that_of_the_real_weight(scheme: str) -> None:
    variance(scheme, SHAPE)


def test_a_complex_layer_keeps_the_power_of_its_input() -> None:
    # E|w|^2 = 1/n, whatever the input's law: here one that is far from circular.
    n, units, batch = 512, 4096, 4
    weight = fanin.sample("lecun_normal", (units, n), seed=3, name="w", dtype="complex64")
    x = np.random.default_rng(0).standard_normal((batch, n)) * (1 + 0.2j)
    for row in x:
        ratio = np.mean(np.abs(weight @ row) ** 2) / np.mean(np.abs(row) ** 2)
        # |y|^2 is exponential: relative variance 1 / units.
        assert abs(ratio - 1.0) < LIMIT / math.sqrt(units)


def test_crelu_needs_the_gain_of_relu() -> None:
    # ReLU on each component of a circular input passes half of the power, as for real numbers.
    z = fanin.sample(Normal(std=1.0), (1 << 20,), seed=1, name="z", dtype="complex128")
    passed = np.mean(np.maximum(z.real, 0.0) ** 2 + np.maximum(z.imag, 0.0) ** 2) / np.mean(np.abs(z) ** 2)
    assert abs(passed - 0.5) < LIMIT * math.sqrt(1.25 / 2**20)


def test_he_normal_is_the_rayleigh_law_of_deep_complex_networks() -> None:
    # Modulus Rayleigh with parameter sigma, phase uniform, and Var(W) = 2 sigma^2 = 2 / fan_in.
    weight = fanin.sample("he_normal", (400, 500), seed=1, name="w", dtype="complex64").ravel()
    sigma = math.sqrt(1.0 / fans((400, 500)).fan_in)
    assert stats.kstest(np.abs(weight), "rayleigh", args=(0.0, sigma)).pvalue > 1e-9
    assert stats.kstest(np.angle(weight), "uniform", args=(-math.pi, 2 * math.pi)).pvalue > 1e-9


def test_what_pytorch_draws() -> None:
    """Its normal splits the variance; its uniform does not, and its mean is on both components."""
    torch.manual_seed(0)
    count = 1 << 18
    normal = torch.nn.init.normal_(torch.empty(count, dtype=torch.complex128), mean=0.5, std=0.7)
    assert abs(float(normal.imag.mean()) - 0.5) < LIMIT * 0.5 / math.sqrt(count)
    assert abs(float(normal.imag.var()) / (0.7**2 / 2) - 1.0) < LIMIT * math.sqrt(2 / count)
    uniform = torch.nn.init.kaiming_uniform_(torch.empty(512, 512, dtype=torch.complex128)).abs().square()
    assert abs(float(uniform.mean()) * 512 - 4.0) < LIMIT * 4.0 / math.sqrt(count)
    for refused in (torch.nn.init.orthogonal_, torch.nn.init.trunc_normal_):
        with pytest.raises(NotImplementedError):
            refused(torch.empty(4, 4, dtype=torch.complex64))


def test_what_jax_draws() -> None:
    """Its uniform fills a disk and its truncated normal ends at a modulus; the variance is that of ours."""
    key, shape = jax.random.key(0), (512, 512)
    disk = np.asarray(jax.nn.initializers.he_uniform()(key, shape, jnp.complex64))
    edge = math.sqrt(2.0) * math.sqrt(2.0 / 512)
    assert np.abs(disk).max() < edge * (1 + 1e-6)
    # Uniform on the disk: |w|^2 is uniform, which no square has.
    assert stats.kstest((np.abs(disk.ravel()) / edge) ** 2, "uniform").pvalue > 1e-9
    ours = fanin.sample("he_uniform", shape, seed=0, name="w", dtype="complex64")
    assert stats.kstest((np.abs(ours.ravel()) / edge) ** 2, "uniform").pvalue < 1e-9
    cut = np.asarray(jax.nn.initializers.he_normal()(key, shape, jnp.complex64))
    tail = fanin.sample("he_truncated_normal", shape, seed=0, name="w", dtype="complex64")
    assert np.abs(cut).max() < np.abs(tail).max()


@pytest.mark.parametrize(
    ("name", "given", "text"),
    [
        ("jax:he_normal", {}, "cuts a complex normal by its modulus"),
        ("jax:glorot_uniform", {}, "on a disk"),
        ("torch:kaiming_uniform", {}, "twice the variance"),
        ("torch:orthogonal", {}, "no complex truncated or orthogonal"),
        ("torch:normal", {"mean": 0.5}, "or the mean"),
        ("keras:he_normal", {}, "No law of keras"),
    ],
)
def test_dialects_refuse_what_the_peer_draws_otherwise(name: str, given: dict[str, float], text: str) -> None:
    with pytest.raises(InputError, match=rf"'{name}' has another law.*{text}.*Use one of fanin's own"):
        fanin.sample(registry.get(name, **given), (8, 8), seed=0, name="w", dtype="complex64")


def test_dialects_draw_what_is_the_same() -> None:
    for name in ("torch:kaiming_normal_", "jax:normal", "torch:zeros_", "jax:orthogonal", "keras:ones"):
        assert fanin.sample(name, (8, 8), seed=0, name="w", dtype="complex64").dtype == np.complex64
