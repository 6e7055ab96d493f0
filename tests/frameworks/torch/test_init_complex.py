"""Drop-ins on complex tensors: the bits of `fanin.sample`, whatever the tensor's memory says."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

import fanin
import fanin.torch as ft
from fanin.records.axes import as_axes
from fanin.records.draw import Draw, Normal, Uniform
from fanin.sampling.engine import generate
from fanin.torch import store, twin

LIMIT = float(stats.norm.isf(0.5e-9))
NAMES = {
    "kaiming_normal_": "he_normal",
    "kaiming_uniform_": "he_uniform",
    "xavier_normal_": "glorot_normal",
    "he_truncated_normal_": "he_truncated_normal",
    "orthogonal_": "orthogonal",
    "lecun_normal_": "lecun_normal",
}
DTYPES = [torch.complex64, torch.complex128]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NAMES)
def test_bits_are_those_of_sample(name: str, dtype: torch.dtype) -> None:
    want = fanin.sample(NAMES[name], (6, 5), seed=2, name="w", dtype=str(dtype)[6:])
    tensors = {
        "plain": torch.zeros(6, 5, dtype=dtype),
        "turned": torch.zeros(5, 6, dtype=dtype).T,
        "strided": torch.zeros(12, 15, dtype=dtype)[::2, ::3],
        "conjugated": torch.zeros(6, 5, dtype=dtype).conj(),
        "turned and conjugated": torch.zeros(5, 6, dtype=dtype).mH,
        "parameter": nn.Parameter(torch.zeros(6, 5, dtype=dtype)),
    }
    for label, tensor in tensors.items():
        assert getattr(ft, name)(tensor, seed=2, name="w") is tensor
        assert (tensor.detach().resolve_conj().numpy() == want).all(), label
    assert tensors["conjugated"].is_conj()


def test_a_negated_view_reads_the_numbers() -> None:
    part = torch.zeros(3, 4, dtype=torch.complex64).conj().imag
    assert part.is_neg()
    ft.normal_(part, seed=1)
    assert torch.equal(part, ft.normal_(torch.zeros(3, 4), seed=1))


def test_normal_has_the_variance_but_the_mean_is_real() -> None:
    count = 1 << 18
    z = ft.normal_(torch.zeros(count, dtype=torch.complex128), 0.5, 0.7, seed=1)
    for values, mean in ((z.real, 0.5), (z.imag, 0.0)):
        assert abs(float(values.mean()) - mean) < LIMIT * 0.7 / math.sqrt(2 * count)
        assert abs(float(values.var()) / (0.7**2 / 2) - 1.0) < LIMIT * math.sqrt(2 / count)


def test_uniform_keeps_its_variance() -> None:
    # torch.nn.init gives each component the whole interval: twice the variance.
    count = 1 << 18
    z = ft.uniform_(torch.zeros(count, dtype=torch.complex128), -1.0, 1.0, seed=1)
    power = z.abs().square()
    assert abs(float(power.mean()) - 1 / 3) < LIMIT * float(power.std()) / math.sqrt(count)


def test_orthogonal_is_unitary() -> None:
    w = ft.orthogonal_(torch.zeros(8, 20, dtype=torch.complex64), gain=2.0, seed=1)
    assert float((w @ w.mH - 4 * torch.eye(8)).abs().max()) < 4e-6


def test_structured_and_constant() -> None:
    weight = torch.zeros(10, 4, dtype=torch.complex64)
    assert ((ft.sparse_(weight, 0.3, seed=0) == 0).sum(0) == 3).all()
    assert (ft.constant_(weight, 0.5) == 0.5).all()
    assert (ft.ones_(weight) == 1).all()
    assert (ft.zeros_(weight) == 0).all()
    assert torch.equal(ft.eye_(weight[:3, :3].clone()), torch.eye(3, dtype=torch.complex64))
    assert ft.dirac_(torch.zeros(2, 2, 3, dtype=torch.complex64))[1, 1, 1] == 1
    meta = torch.empty(3, 3, dtype=torch.complex64, device="meta")
    assert ft.normal_(meta) is meta


@pytest.mark.parametrize("dtype", DTYPES)
def test_devices_without_a_kernel(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    filled: list[tuple[int, ...]] = []
    original = twin.draw_into

    def noted(logical: torch.Tensor, *rest: object) -> None:
        filled.append(tuple(logical.shape))
        original(logical, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(store, "_by_kernel", lambda _: False)
    monkeypatch.setattr(twin, "draw_into", noted)
    monkeypatch.setattr(twin, "_CHUNK", 100)
    draws: list[Draw] = [Normal(std=0.3), Uniform(low=-1.0, high=1.0), Normal(mean=0.2, std=0.3)]
    for draw in draws:
        for axes in (None, "in out"):
            roles = as_axes(axes, (30, 7))
            tensor = torch.zeros(30, 7, dtype=dtype)
            store.fill_(tensor, draw, seed=5, name="w", axes=roles)
            want = generate(draw, (30, 7), seed=5, name="w", axes=roles, dtype=str(dtype)[6:])
            assert np.array_equal(tensor.numpy(), want)
    # With a mean the components are no one real draw, so it is made on the host.
    assert filled == [(30, 7, 2), (7, 30, 2)] * 2


def test_a_complex_layer() -> None:
    layer = nn.Linear(256, 2048, dtype=torch.complex64)
    ft.lecun_normal_(layer.weight, seed=1)
    ft.zeros_(layer.bias)
    x = torch.randn(1, 256, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
    ratio = float(layer(x).detach().abs().square().mean() / x.abs().square().mean())
    # |y|^2 is exponential: its mean over the units has a relative variance of 1 / 2048.
    assert abs(ratio - 1.0) < LIMIT / math.sqrt(2048)
