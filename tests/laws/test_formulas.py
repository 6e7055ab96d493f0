"""Values by formula: against the layers and the laws that they are made for."""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np
import pytest
import scipy.stats
import torch

import fanin
from fanin.errors import InputError, UnknownNameError
from fanin.laws.formulas import formula
from fanin.records.axes import Axes, Role
from fanin.records.codec import decode, digest, encode
from fanin.records.draw import Draw, Formula
from fanin.sampling.engine import fill, fill_slice
from fanin.schemes import registry

ALARM = 1e-9


@pytest.mark.parametrize("stride", [2, 3, 4])
@pytest.mark.parametrize("groups", [1, 2, 6])
def test_bilinear_enlarges_by_straight_lines(stride: int, groups: int) -> None:
    """A ramp through the layer is a finer ramp, on each channel by itself."""
    size = 2 * stride - stride % 2
    layer = torch.nn.ConvTranspose2d(
        6, 6, size, stride=stride, padding=stride // 2, groups=groups, bias=False
    )
    axes = Axes(
        roles=(Role.IN, Role.OUT, Role.RECEPTIVE, Role.RECEPTIVE),
        groups=groups,
        stride=stride**2,
        transposed=True,
    )
    weight = fanin.sample("bilinear", tuple(layer.weight.shape), seed=0, name="w", axes=axes)
    layer.weight.data.copy_(torch.from_numpy(weight))
    channel = torch.arange(6.0)[None, :, None, None]
    ramp = (1 + channel) * torch.arange(8.0)[:, None] + 10 * channel * torch.arange(8.0)
    out = layer(ramp).detach()
    assert out.shape[-2:] == (8 * stride, 8 * stride)
    peer = torch.nn.functional.interpolate(ramp, scale_factor=stride, mode="bilinear", align_corners=False)
    inside = slice(stride, -stride)  # at the rim a convolution meets zeros
    torch.testing.assert_close(out[..., inside, inside], peer[..., inside, inside], rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("side", ["real", "imag"])
@pytest.mark.parametrize("window", ["hann", "hamming", "none"])
def test_stft_is_numpys_transform(side: str, window: str) -> None:
    """A frame through the kernel is a part of its windowed Fourier transform."""
    kernel = fanin.sample(
        fanin.stft(side, window), (32, 1, 33), seed=0, name="w", axes="receptive in out", dtype="float64"
    )[:, 0]
    frame = np.random.default_rng(0).standard_normal(32)
    shape = {"hann": np.hanning, "hamming": np.hamming, "none": np.ones}[window](32)
    peer = np.fft.rfft(frame * shape, 64)
    np.testing.assert_allclose(frame @ kernel, peer.real if side == "real" else peer.imag, atol=1e-12)


@pytest.mark.parametrize("scaling", ["density", "spectrum"])
def test_stft_scales_the_window(scaling: str) -> None:
    plain = fanin.sample(fanin.stft(), (9, 16), seed=0, name="w", dtype="float64")
    scaled = fanin.sample(fanin.stft(scaling=scaling), (9, 16), seed=0, name="w", dtype="float64")
    h = np.hanning(16)
    np.testing.assert_allclose(
        scaled * (math.sqrt(h @ h) if scaling == "density" else h.sum()), plain, atol=1e-15
    )


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("side", ["real", "imag"])
@pytest.mark.parametrize("scaling", [None, "density", "spectrum"])
def test_stft_is_keras(monkeypatch: pytest.MonkeyPatch, side: str, scaling: str | None) -> None:
    if "keras" not in sys.modules:
        monkeypatch.setenv("KERAS_BACKEND", "jax")
    keras = pytest.importorskip("keras")
    peer = keras.initializers.STFT(side, window="hann", scaling=scaling, periodic=True)(
        (32, 1, 17), "float32"
    )
    scheme = fanin.stft(side, "hann", scaling or "none", periodic=True)
    ours = fanin.sample(scheme, (32, 1, 17), seed=0, name="w", axes="receptive in out")
    # Keras' angles, up to 31 pi, are rounded to float32 in two products.
    np.testing.assert_allclose(ours, keras.ops.convert_to_numpy(peer), atol=31 * np.pi * 2.0**-22)


def test_the_forget_gate_starts_open() -> None:
    """With no input and no weights a cell of 1 keeps sigmoid(1) of itself."""
    cell = torch.nn.LSTMCell(3, 5)
    for parameter in cell.parameters():
        torch.nn.init.zeros_(parameter)
    bias = fanin.sample("lstm_forget_bias", 20, seed=0, name="b")
    cell.bias_ih.data.copy_(torch.from_numpy(bias))
    _, kept = cell(torch.zeros(1, 3), (torch.zeros(1, 5), torch.ones(1, 5)))
    torch.testing.assert_close(kept, torch.full((1, 5), 1 / (1 + math.exp(-1))))


def test_chrono_remembers_for_log_uniform_times() -> None:
    bias = fanin.sample(fanin.chrono(784.0), 40_000, seed=1, name="b", dtype="float64").reshape(4, -1)
    np.testing.assert_array_equal(bias[0], -bias[1])
    assert not bias[2:].any()
    peer = scipy.stats.uniform(1.0, 782.0)
    assert scipy.stats.kstest(np.exp(bias[1]), peer.cdf).pvalue > ALARM


def test_mambas_steps_are_log_uniform() -> None:
    bias = fanin.sample("mamba_dt_bias", 20_000, seed=1, name="b", dtype="float64")
    steps = np.log1p(np.exp(bias))
    peer = scipy.stats.uniform(math.log(0.001), math.log(100.0))
    assert scipy.stats.kstest(np.log(steps), peer.cdf).pvalue > ALARM
    wrong = scipy.stats.uniform(math.log(0.002), math.log(50.0))
    assert scipy.stats.kstest(np.log(steps), wrong.cdf).pvalue < ALARM


def test_states() -> None:
    rows = fanin.sample("mamba_a_log", (3, 4), seed=0, name="a", dtype="float64")
    np.testing.assert_allclose(-np.exp(rows), fanin.sample("s4d_real", (3, 4), seed=0, name="a"))
    np.testing.assert_allclose(
        fanin.sample(fanin.s4d_lin(), (2, 4), seed=0, name="a")[1], np.pi * np.arange(4)
    )
    assert fanin.sample(fanin.s4d_lin("log_real"), 1, seed=0, name="a")[0] == np.float32(math.log(0.5))


def test_given_values_broadcast_from_the_last_dimension() -> None:
    values = np.arange(6.0).reshape(2, 3)
    scheme = fanin.given(values)
    np.testing.assert_array_equal(fanin.sample(scheme, (2, 3), seed=0, name="w"), values)
    np.testing.assert_array_equal(fanin.sample(scheme, (4, 2, 3), seed=0, name="w")[3], values)
    draw = scheme.draw((4, 2, 3))
    assert (draw.mean, draw.std) == (values.mean(), values.std())
    assert hash(scheme) == hash(fanin.given(values.tolist()))
    assert scheme != fanin.given(values + 1)


def test_poison_is_seen_at_once() -> None:
    layer = torch.nn.Linear(4, 4)
    layer.weight.data.copy_(torch.from_numpy(fanin.sample("poison", (4, 4), seed=0, name="w")))
    assert torch.isnan(layer(torch.ones(1, 4))).all()


@pytest.mark.parametrize("name", ["chrono", "bilinear", "given", "stft"])
def test_a_formula_travels_as_json(name: str) -> None:
    arguments = registry.entry(name).examples[0]
    draw = registry.get(name, **arguments).draw((8, 8))
    twin = decode(encode(draw), Draw)
    assert twin == draw
    assert digest(twin) == digest(draw)
    assert isinstance(draw, Formula)
    assert "\n" not in str(draw)


def test_a_part_is_the_part_of_the_whole() -> None:
    draw = fanin.chrono(50.0).draw((16, 6))
    whole, part = np.empty((16, 6), np.float32), np.empty((8, 3), np.float32)
    fill(whole, draw, seed=3, name="b")
    cut = (slice(2, 10), slice(1, 4))
    fill_slice(part, draw, shape=(16, 6), index=cut, seed=3, name="b")
    np.testing.assert_array_equal(part, whole[cut])
    twin = np.empty((6, 16), np.float32)
    fill(twin, draw, seed=3, name="b", axes=Axes(roles=(Role.IN, Role.OUT)))
    np.testing.assert_array_equal(twin.T, whole)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: fanin.given([1.0, math.nan]), "given needs an array of finite numbers"),
        (lambda: fanin.given("half"), "given needs an array of finite numbers. Received: str"),
        (lambda: fanin.given([1.0, 2.0]).draw((2, 3)), r"do not fit the shape.*\(2,\) for shape \(2, 3\)"),
        (lambda: fanin.lstm_forget_bias(math.inf), "forget gate's bias is not finite"),
        (lambda: fanin.lstm_forget_bias().draw((6,)), r"The units are not 4 equal blocks.*shape \(6,\)"),
        (lambda: fanin.chrono(8.0).draw((8, 2), "in in"), "with axes 'in in'"),
        (lambda: fanin.chrono(2.0), "more than two steps. Received: longest=2.0"),
        (lambda: fanin.s4d_real().draw(()), "A scalar has no states"),
        (lambda: fanin.s4d_lin("reel"), "Unknown part.*mean 'real'"),
        (lambda: fanin.mamba_dt_bias(0.0), "The step sizes hold no interval"),
        (lambda: fanin.stft("cos"), "Unknown side"),
        (lambda: fanin.stft(window="han"), "Unknown window.*mean 'hann'"),
        (lambda: fanin.stft().draw((9, 4, 4)), "one dimension of times and one of frequencies"),
        (lambda: fanin.bilinear().draw((3,)), "Fans need roles"),
        (lambda: fanin.lora_a("uniforn"), "Unknown distribution.*mean 'uniform'"),
        (lambda: fanin.small_normal(0.0), "small_normal needs a std"),
        (lambda: fanin.siren_hidden(0.0), "siren_hidden needs a gain"),
    ],
)
def test_bad_input(call: Any, text: str) -> None:
    with pytest.raises(InputError, match=text):
        call()


def test_unknown_formulas() -> None:
    with pytest.raises(UnknownNameError, match="Unknown formula"):
        formula("bilinaer", (2, 2))
    with pytest.raises(UnknownNameError, match="Unknown formula"):
        fill(np.empty((2, 2)), Formula(formula="x", mean=0.0, std=0.0), seed=0, name="w")
