"""Places told apart: profiles of parts, class tokens, causal rows, quotients, log-softmax."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

import fanin.torch
from fanin.predictions.places import cut, fitting, part, put
from fanin.predictions.quotient import reciprocal
from fanin.predictions.signal import Signal

SIGMAS = 6.1
"""A false alarm in 1e9 for a normal error."""


def test_a_part_of_a_tensor_has_the_power_of_its_places() -> None:
    whole = Signal(power=2.0, near=0.5, profile=np.array([0.2, 0.6, 1.4, 1.8]), width=8.0)
    token = part(whole, cut((16, 4, 8), 2, (0, 0, 0, 0, 16, 1, 8), 16))
    assert token.power == pytest.approx(0.4)
    assert token.profile is None
    rest = part(whole, cut((16, 4, 8), 2, (0, 0, 1, 0, 16, 3, 8), 16))
    assert rest.power == pytest.approx(2.0 * (0.6 + 1.4 + 1.8) / 3.0)
    assert rest.profile is not None
    assert rest.profile.mean() == pytest.approx(1.0)


def test_rows_of_samples_and_places_are_picked_place_by_place() -> None:
    # 16 rows of (16 * 4, 8), from row 3 on: place 3 of every sample.
    assert cut((64, 8), 1, (0, 3, 0, 16, 8), 16) == ((4, 3, 4),)
    assert cut((64, 8), 1, (0, 0, 4, 64, 4), 16) == ()  # units only
    assert cut((64, 8), 1, (0, 0, 0, 7, 8), 16) is None  # rows that fit no sample


def test_a_gradient_of_a_part_lies_at_its_places() -> None:
    share = put(None, ((4, 1, 3),))
    assert share is not None
    np.testing.assert_allclose(share, [0.0, 0.5, 0.5, 0.0])
    share = put(np.array([0.25, 0.75]), ((4, 1, 3),))
    assert share is not None
    np.testing.assert_allclose(share, [0.0, 0.25, 0.75, 0.0])


def test_a_profile_is_dropped_where_a_tensor_has_no_such_places() -> None:
    profile = np.array([0.5, 1.5])
    assert fitting(profile, (16, 2, 8), 2, 16) is profile
    assert fitting(profile, (32, 8), 1, 16) is profile
    assert fitting(profile, (16, 8), 1, 16) is None  # places are gone
    assert fitting(profile, (16, 8, 3), 1, 16) is None


class Token(nn.Module):
    """A small token of its own before patches; the head reads it alone."""

    def __init__(self, width: int = 256) -> None:
        super().__init__()
        self.token = nn.Parameter(0.1 * torch.randn(1, 1, width))
        self.enter, self.mix = nn.Linear(width, width), nn.Linear(width, width)
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 32)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.cat([self.token.expand(len(x), -1, -1), 3.0 * self.enter(x)], 1)
        x = x + torch.tanh(self.mix(x))
        return self.head(self.norm(x)[:, 0])  # type: ignore[no-any-return]


def test_the_gradient_of_a_token_that_alone_is_read_is_foretold() -> None:
    logs, spreads = [], []
    for seed in range(8):
        torch.manual_seed(seed)
        diagnosis = fanin.torch.check(Token(), torch.randn(16, 12, 256), tier="fast").diagnosis
        assert diagnosis.prediction is not None
        joined = next(m for m in diagnosis.trace.measurements if "cat" in m.op)
        law = diagnosis.prediction.at(joined.node)
        assert law is not None
        assert law.gradient_power
        assert joined.gradient_power
        logs.append(math.log(joined.gradient_power / law.gradient_power))
        spreads.append(law.gradient_spread)
    # Were all places alike, the norm would divide the token's gradient by the patches' power: by 60 too much.
    assert abs(float(np.mean(logs))) < SIGMAS * max(spreads) / math.sqrt(len(logs))
    assert max(spreads) < 0.5


class Chosen(nn.Module):
    """One place of many is what is returned."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(64, 128), nn.Linear(128, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.two(torch.tanh(self.one(x)))[torch.arange(len(x)), -1]  # type: ignore[no-any-return]


def test_the_direction_meets_no_more_than_is_returned() -> None:
    torch.manual_seed(0)
    diagnosis = fanin.torch.check(Chosen(), torch.randn(32, 12, 64), tier="fast").diagnosis
    assert diagnosis.prediction is not None
    first = next(m for m in diagnosis.trace.measurements if m.module == "one")
    law = diagnosis.prediction.at(first.node)
    assert law is not None
    assert law.gradient_power
    assert first.gradient_power
    assert abs(math.log(first.gradient_power / law.gradient_power)) < 0.3  # 12 places of which 1 is returned
    assert law.gradient_spread > 0.5  # whose power is not known


def test_the_last_row_of_causal_attention_hands_its_gradient_to_all_places() -> None:
    class Causal(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.v, self.out = nn.Linear(256, 256, bias=False), nn.Linear(256, 256, bias=False)
            self.head = nn.Linear(256, 64)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            v = self.v(x)
            even = 0.0 * v
            mixed = nn.functional.scaled_dot_product_attention(even, even, v, is_causal=True)
            return self.head(self.out(mixed)[:, -1])  # type: ignore[no-any-return]

    torch.manual_seed(0)
    diagnosis = fanin.torch.check(Causal(), torch.randn(32, 16, 256), tier="fast").diagnosis
    assert diagnosis.prediction is not None
    value = next(m for m in diagnosis.trace.measurements if m.module == "v")
    law = diagnosis.prediction.at(value.node)
    assert law is not None
    assert law.gradient_power
    assert value.gradient_power
    # A mean over 16 places leaves each a 256th: of the mean row it would leave H_16 / 16, 3.4 times as much.
    assert abs(math.log(value.gradient_power / law.gradient_power)) < 0.3


def test_a_quotient_of_positive_divisors() -> None:
    generator = np.random.default_rng(0)
    e = 0.2  # of a log-normal law, for which the formula is exact
    sd = math.sqrt(math.log(1.0 + e))
    draws = 400_000
    b = 3.0 * np.exp(sd * generator.standard_normal(draws) - 0.5 * sd * sd)
    law = reciprocal(Signal(mean=3.0, power=9.0 * (1.0 + e)))
    assert law is not None
    for seen, by_law in ((1.0 / b, law.mean), (1.0 / b**2, law.power)):
        assert abs(seen.mean() - by_law) < SIGMAS * seen.std() / math.sqrt(draws)


def test_a_divisor_that_may_be_0_has_no_law() -> None:
    assert reciprocal(Signal(mean=0.0, power=1.0)) is None
    assert reciprocal(Signal(mean=1.0, power=2.0)) is None


def test_a_mean_over_neighbours_is_foretold() -> None:
    class Neighbours(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.head = nn.Linear(64, 256), nn.Linear(256, 10)

        def forward(self, x: torch.Tensor, edges: torch.Tensor) -> torch.Tensor:
            return self.head(edges @ self.one(x) / edges.sum(-1, keepdim=True))  # type: ignore[no-any-return]

    torch.manual_seed(0)
    edges = (torch.rand(8, 40, 40) < 0.4).float()
    batch = {"x": torch.randn(8, 40, 64), "edges": edges}
    diagnosis = fanin.torch.check(Neighbours(), batch, tier="fast").diagnosis
    assert diagnosis.prediction is not None
    mean = next(m for m in diagnosis.trace.measurements if ".div" in m.op)
    law = diagnosis.prediction.at(mean.node)
    assert law is not None
    assert abs(math.log(mean.power / law.power)) < 0.2
    assert law.certainty != "exact"


def test_log_softmax_is_no_softmax() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 512), nn.Tanh(), nn.Linear(512, 100), nn.LogSoftmax(-1))
    diagnosis = fanin.torch.check(model, torch.randn(256, 64), tier="fast").diagnosis
    assert diagnosis.prediction is not None
    last = diagnosis.trace.measurements[-1]
    law = diagnosis.prediction.at(last.node)
    assert law is not None
    assert abs(math.log(last.power / law.power)) < 0.02
    assert abs(last.mean - law.mean) < 0.05
    before = diagnosis.trace.measurements[-2]
    back = diagnosis.prediction.at(before.node)
    assert back is not None
    assert back.gradient_power
    assert before.gradient_power
    assert (
        abs(math.log(before.gradient_power / back.gradient_power)) < SIGMAS * math.sqrt(2.0 / 25_600) + 0.01
    )


def test_a_sum_over_places_of_rows_that_a_layer_split_goes_over_places() -> None:
    torch.manual_seed(0)

    class Sets(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two, self.head = nn.Linear(8, 256), nn.Linear(256, 256), nn.Linear(256, 10)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.two(torch.relu(self.one(x))).sum(1))  # type: ignore[no-any-return]

    diagnosis = fanin.torch.check(Sets(), torch.randn(64, 24, 8), tier="fast").diagnosis
    assert diagnosis.prediction is not None
    total = next(m for m in diagnosis.trace.measurements if ".sum" in m.op)
    law = diagnosis.prediction.at(total.node)
    assert law is not None
    # What places share adds up 24 times over: taken for a sum over units it would be 14 times less.
    assert abs(math.log(total.power / law.power)) < SIGMAS * math.hypot(law.spread, 0.05)
    assert law.spread < 0.2


def test_a_norm_by_hand_to_the_length_1() -> None:
    class Sphere(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one = nn.Linear(32, 64)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return nn.functional.normalize(self.one(x), dim=-1)

    torch.manual_seed(0)
    diagnosis = fanin.torch.check(Sphere(), torch.randn(64, 32), tier="fast").diagnosis
    assert diagnosis.prediction is not None
    law = diagnosis.prediction.nodes[-1]
    assert law.power == pytest.approx(1.0 / 64.0, rel=0.05)


def test_the_gradient_of_a_gate_over_places_adds_up_as_its_partner_does() -> None:
    class Gated(nn.Module):
        """A gate per channel from the mean of the map, and what it multiplies (squeeze and excitation)."""

        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm = nn.Conv2d(8, 128, 3, padding=1), nn.BatchNorm2d(128)
            self.gate, self.head = nn.Conv2d(128, 128, 1), nn.Linear(128, 32)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.norm(self.conv(x))
            gated = y * torch.sigmoid(self.gate(y.mean((2, 3), keepdim=True)))
            return self.head(gated.mean((2, 3)))  # type: ignore[no-any-return]

    torch.manual_seed(0)
    diagnosis = fanin.torch.check(Gated(), torch.randn(16, 8, 12, 12), tier="fast").diagnosis
    assert diagnosis.prediction is not None
    gate = next(m for m in diagnosis.trace.measurements if "sigmoid" in m.op)
    law = diagnosis.prediction.at(gate.node)
    assert law is not None
    assert law.gradient_power
    assert gate.gradient_power
    # Gradients of a mean's places are alike, what they are multiplied by is not: 144 times less.
    assert abs(math.log(gate.gradient_power / law.gradient_power)) < 0.7
