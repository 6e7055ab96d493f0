"""Predictions against measurements: real networks, run once, compared at every node of their path."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import fanin.torch
from fanin.records.finding import Diagnosis, Severity
from fanin.records.prediction import Certainty

SIGMAS = 6.1  # of a normal law: false alarm 1e-9
OWN = 0.1  # what laws of infinite width may be off besides, in nats


def mlp(
    activation: Callable[[], nn.Module], depth: int, width: int = 128, *, norm: bool = False
) -> nn.Module:
    layers: list[nn.Module] = []
    for _ in range(depth):
        layers += [nn.Linear(width, width), *([nn.BatchNorm1d(width)] if norm else []), activation()]
    return nn.Sequential(*layers, nn.Linear(width, 10))


def convolutions(depth: int = 6) -> nn.Module:
    layers: list[nn.Module] = [nn.Conv2d(3, 32, 3, padding=1), nn.ReLU()]
    for k in range(depth):
        layers += [nn.Conv2d(32, 32, 3, padding=1, stride=2 if k == 2 else 1), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 10))


class Block(nn.Module):
    def __init__(self, come: int, go: int, stride: int) -> None:
        super().__init__()
        self.one = nn.Sequential(nn.Conv2d(come, go, 3, stride, 1, bias=False), nn.BatchNorm2d(go), nn.ReLU())
        self.two = nn.Sequential(nn.Conv2d(go, go, 3, 1, 1, bias=False), nn.BatchNorm2d(go))
        self.skip: nn.Module = nn.Identity()
        if come != go:
            self.skip = nn.Sequential(nn.Conv2d(come, go, 1, stride, bias=False), nn.BatchNorm2d(go))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.two(self.one(x)) + self.skip(x))


def resnet() -> nn.Module:
    stem = [nn.Conv2d(3, 32, 3, 1, 1, bias=False), nn.BatchNorm2d(32), nn.ReLU()]
    blocks = [Block(32, 32, 1), Block(32, 64, 2), Block(64, 64, 1)]
    return nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


class Encoder(nn.Module):
    def __init__(self, *, first: bool) -> None:
        super().__init__()
        self.embed = nn.Embedding(200, 64)
        layers = [
            nn.TransformerEncoderLayer(64, 4, 256, batch_first=True, norm_first=first) for _ in range(3)
        ]
        self.layers = nn.Sequential(*layers)
        self.head = nn.Linear(64, 200)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.layers(self.embed(x)))  # type: ignore[no-any-return]


class Recurrent(nn.Module):
    def __init__(self, kind: type[nn.RNNBase]) -> None:
        super().__init__()
        self.steps = kind(16, 64, batch_first=True)
        self.head = nn.Linear(64, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.steps(x)[0])  # type: ignore[no-any-return]


def gpt2(**options: Any) -> nn.Module:
    transformers = pytest.importorskip("transformers")
    shape = {"n_layer": 3, "n_head": 4, "n_embd": 128, "vocab_size": 500, "n_positions": 64, **options}
    config = transformers.GPT2Config(bos_token_id=0, eos_token_id=0, **shape)
    return transformers.GPT2LMHeadModel(config)  # type: ignore[no-any-return]


def flat() -> torch.Tensor:
    return torch.randn(64, 128)


def images() -> torch.Tensor:
    return torch.randn(32, 3, 16, 16)


def tokens() -> torch.Tensor:
    return torch.randint(0, 200, (8, 20))


def diagnosed(model: nn.Module, inputs: Any, **options: Any) -> Diagnosis:
    return fanin.torch.check(model, inputs, **options).diagnosis


def apart(diagnosis: Diagnosis, *, sure: bool) -> list[tuple[int, float, float]]:
    """Node, distance in nats less what chance and the laws' own error may be, forward and backward.

    Of exact predictions (`sure`), or of all but unknown ones.
    """
    prediction = diagnosis.prediction
    assert prediction is not None
    measured = {m.node: m for m in diagnosis.trace.measurements}
    wanted = {Certainty.EXACT} if sure else {Certainty.EXACT, Certainty.APPROXIMATE}
    found = []
    for p in prediction.nodes:
        m = measured.get(p.node)
        if m is None or p.node not in diagnosis.graph.path:
            continue
        ahead = back = 0.0
        if p.certainty in wanted and m.power > 0 and p.power > 0:
            ahead = max(0.0, abs(math.log(m.power / p.power) - p.shift) - SIGMAS * p.spread - OWN)
        if p.gradient_certainty in wanted and m.gradient_power and p.gradient_power:
            log = math.log(m.gradient_power / p.gradient_power) - p.gradient_shift
            # A random direction on ten outputs of 64 samples has a power of its own luck: sd sqrt(2 / 640).
            back = max(0.0, abs(log) - SIGMAS * (p.gradient_spread + 0.06) - OWN)
        found.append((p.node, ahead, back))
    assert found
    return found


EXACT: dict[str, tuple[Callable[[], nn.Module], Callable[[], torch.Tensor]]] = {
    "relu 50": (lambda: mlp(nn.ReLU, 50), flat),
    "tanh 50": (lambda: mlp(nn.Tanh, 50), flat),
    "gelu 20": (lambda: mlp(nn.GELU, 20), flat),
    "silu 10": (lambda: mlp(nn.SiLU, 10), flat),
    "leaky 20": (lambda: mlp(lambda: nn.LeakyReLU(0.3), 20), flat),
    "sigmoid 5": (lambda: mlp(nn.Sigmoid, 5), flat),
    "convolutions": (convolutions, images),
}


@pytest.mark.parametrize("planned", [False, True], ids=["default", "planned"])
@pytest.mark.parametrize("name", EXACT)
def test_where_laws_are_exact_a_measurement_is_within_chance(name: str, planned: bool) -> None:
    make, batch = EXACT[name]
    torch.manual_seed(1)
    model, x = make(), batch()
    if planned:
        fanin.torch.init_(model, x, seed=1)
    found = apart(diagnosed(model, x), sure=True)
    assert max(ahead for _, ahead, _ in found) == 0.0, found
    assert max(back for *_, back in found) == 0.0, found


NAMED: dict[str, tuple[Callable[[], nn.Module], Callable[[], Any], float, float]] = {
    # Factors that measured and predicted power may differ by: what the named simplifications cost here.
    "batch norm": (lambda: mlp(nn.ReLU, 10, norm=True), flat, 1.2, 2.0),
    "residual, batch norm": (resnet, images, 1.5, 2.0),
    "norm first": (lambda: Encoder(first=True), tokens, 1.3, 1.5),
    "norm last": (lambda: Encoder(first=False), tokens, 1.3, 2.0),
    "GPT-2": (gpt2, lambda: {"input_ids": torch.randint(0, 500, (4, 48))}, 1.3, 1.3),
    "LSTM": (lambda: Recurrent(nn.LSTM), lambda: torch.randn(32, 12, 16), 1.5, 1.5),
    "GRU": (lambda: Recurrent(nn.GRU), lambda: torch.randn(32, 12, 16), 1.5, 1.5),
    "RNN": (lambda: Recurrent(nn.RNN), lambda: torch.randn(32, 12, 16), 1.5, 1.5),
}


@pytest.mark.parametrize("name", NAMED)
def test_where_laws_are_simplified_a_measurement_is_near(name: str) -> None:
    make, batch, forward, backward = NAMED[name]
    torch.manual_seed(2)
    found = apart(diagnosed(make(), batch()), sure=False)
    assert max(ahead for _, ahead, _ in found) < math.log(forward), found
    assert max(back for *_, back in found) < math.log(backward), found


def test_a_lie_about_the_weights_shows() -> None:
    # The same test with predictions for weights that are 10 % larger in std: it must fail.
    torch.manual_seed(1)
    model, x = mlp(nn.ReLU, 50, 512), torch.randn(64, 512)
    fanin.torch.init_(model, x, seed=1)
    told = diagnosed(model, x)
    with torch.no_grad():
        for layer in model.children():
            if isinstance(layer, nn.Linear):
                layer.weight *= 1.1
    lie = diagnosed(model, x)
    mixed = Diagnosis(
        graph=told.graph, plan=told.plan, trace=told.trace, findings=(), prediction=lie.prediction
    )
    found = apart(mixed, sure=True)
    assert max(ahead for _, ahead, _ in found) > 1.0
    assert max(back for *_, back in found) > 1.0


def test_the_first_loss_of_gpt2_is_foretold() -> None:
    torch.manual_seed(0)
    model = gpt2(n_embd=256, vocab_size=5000).eval()
    tokens = torch.randint(0, 5000, (4, 48))
    diagnosis = diagnosed(model, {"input_ids": tokens}, target=torch.randint(0, 5000, (4, 48)))
    prediction, loss = diagnosis.prediction, diagnosis.trace.loss
    assert prediction is not None
    assert prediction.loss is not None
    assert loss is not None
    # ln V + 256 0.02^2 / 2: the last norm leaves variance 1, the tied table has std 0.02.
    assert prediction.loss.value == pytest.approx(math.log(5000) + 256 * 0.02**2 / 2, abs=2e-3)
    assert abs(loss.value - prediction.loss.value) < SIGMAS * prediction.loss.spread
    assert loss.logit_std == pytest.approx(prediction.loss.logit_std, rel=0.1)


def test_dead_and_saturated_shares_and_likeness_are_foretold() -> None:
    torch.manual_seed(3)
    model = mlp(nn.ReLU, 20, 256)
    x = torch.randn(128, 256)
    fanin.torch.init_(model, x)
    diagnosis = diagnosed(model, x)
    assert diagnosis.prediction is not None
    now = {p.node: p for p in diagnosis.prediction.nodes}
    dead = [(m.dead, now[m.node].dead) for m in diagnosis.trace.measurements if m.dead is not None]
    assert len(dead) == 20
    for seen, law in dead:
        assert law is not None
        # Binomial over 256 units, and what chance does to the likeness.
        assert abs(seen - law) < SIGMAS * math.sqrt(0.25 / 256)
    last = max(m.node for m in diagnosis.trace.measurements if m.kind == "activation")
    cosine = next(m.cosine for m in diagnosis.trace.measurements if m.node == last)
    assert now[last].cosine == pytest.approx(cosine, abs=0.03)
    tanh = nn.Sequential(nn.Linear(256, 256), nn.Tanh(), nn.Linear(256, 10))
    nn.init.normal_(tanh[0].weight, std=2.0 / 16)
    found = diagnosed(tanh, x)
    assert found.prediction is not None
    (share,) = [p.saturated for p in found.prediction.nodes if p.saturated is not None]
    (seen,) = [m.saturated for m in found.trace.measurements if m.saturated is not None]
    assert share == pytest.approx(math.erfc(math.atanh(0.97) / 2.0 / math.sqrt(2.0)), abs=0.02)
    assert seen == pytest.approx(share, abs=0.02)


def test_weights_that_copy_each_other_are_off_the_law() -> None:
    # W^T W has a mean squared eigenvalue of 2, where independent weights give 1: 2^8 in all.
    torch.manual_seed(0)
    layers = [nn.Linear(256, 256, bias=False) for _ in range(17)]
    for first, second in pairwise(layers[:16]):
        nn.init.normal_(first.weight, std=1 / 16)
        nn.init.normal_(second.weight, std=1 / 16)
    for k in range(0, 16, 2):
        layers[k + 1].weight.data = layers[k].weight.data.T.clone()
    model = nn.Sequential(
        *[m for layer in layers[:16] for m in (layer, nn.Hardtanh(-50.0, 50.0))], layers[16]
    )
    report = fanin.torch.check(model, torch.randn(64, 256))
    (finding,) = [f for f in report.findings if f.code == "FAN101"]
    assert finding.name == "signal off its law"
    assert finding.severity == Severity.INFO
    fanin.torch.init_(model, torch.randn(64, 256))
    assert "FAN101" not in {f.code for f in fanin.torch.check(model, torch.randn(64, 256)).findings}


def test_a_zero_head_is_passed_as_the_probe_passes_it() -> None:
    torch.manual_seed(0)
    model = mlp(nn.ReLU, 3)
    head = list(model.children())[-1]
    assert isinstance(head, nn.Linear)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    found = apart(diagnosed(model, flat()), sure=True)
    assert max(back for *_, back in found) == 0.0


class Odd(nn.Module):
    """With an operation that no law is known for."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(64, 64), nn.Linear(64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.two(torch.cumsum(self.one(x), dim=-1))  # type: ignore[no-any-return]


def test_an_operation_without_a_law_is_tried_alone() -> None:
    torch.manual_seed(0)
    diagnosis = diagnosed(Odd(), torch.randn(32, 64))
    assert diagnosis.prediction is not None
    assert {p.certainty for p in diagnosis.prediction.nodes} == {Certainty.EXACT, Certainty.APPROXIMATE}
    (reason,) = {r for p in diagnosis.prediction.nodes for r in p.reasons if "cumsum" in r}
    assert "one-layer Monte-Carlo" in reason
    last = diagnosis.prediction.nodes[-1]
    measured = next(m for m in diagnosis.trace.measurements if m.node == last.node)
    assert abs(math.log(measured.power / last.power) - last.shift) < SIGMAS * last.spread + OWN
    # Sums over 1 to 64 terms have a power of 32.5 terms, forward and back.
    first, summed = (
        p
        for p in diagnosis.prediction.nodes
        if p.op in ("aten.addmm.default", "aten.cumsum.default") and p is not last
    )
    assert summed.power / first.power == pytest.approx(32.5, rel=0.1)
    assert first.gradient_power is not None
    assert summed.gradient_power is not None
    assert first.gradient_power / summed.gradient_power == pytest.approx(32.5, rel=0.1)


def test_an_operation_that_cannot_be_tried_is_unknown_and_the_prediction_starts_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("fanin.torch.trials._LARGEST", 100)
    torch.manual_seed(0)
    diagnosis = diagnosed(Odd(), torch.randn(32, 64))
    assert diagnosis.prediction is not None
    assert Certainty.UNKNOWN in {p.certainty for p in diagnosis.prediction.nodes}
    reasons = {reason for p in diagnosis.prediction.nodes for reason in p.reasons}
    assert any("cumsum" in r and "too large to be tried alone (4,096 elements)" in r for r in reasons)
    last = diagnosis.prediction.nodes[-1]
    measured = next(m for m in diagnosis.trace.measurements if m.node == last.node)
    assert abs(math.log(measured.power / last.power) - last.shift) < SIGMAS * last.spread + OWN


@pytest.mark.parametrize("name", ["relu 50", "tanh 50", "gelu 20", "convolutions"])
def test_healthy_networks_raise_no_alarm(name: str) -> None:
    make, batch = EXACT[name]
    for seed in range(3):
        torch.manual_seed(seed)
        model, x = make(), batch()
        fanin.torch.init_(model, x, seed=seed)
        report = fanin.torch.check(model, x, target=torch.randint(0, 10, (len(x),)))
        assert report.healthy, report.findings


def test_a_prediction_needs_no_weights() -> None:
    with torch.device("meta"):
        model = mlp(nn.ReLU, 4)
        x = torch.randn(64, 128)
    found = fanin.torch.predict(model, x)
    assert found.basis == "the weights of policy auto"
    assert {p.certainty for p in found.nodes} == {Certainty.EXACT}
    assert found.loss is not None
    assert "first loss" in str(found)
    with pytest.raises(fanin.errors.InputError, match="cannot be predicted from"):
        fanin.torch.predict(model, x, policy=None)


def test_a_prediction_of_the_weights_as_they_are() -> None:
    torch.manual_seed(0)
    model, x = mlp(nn.ReLU, 10), flat()
    found = fanin.torch.predict(model, x, policy=None)
    diagnosis = diagnosed(model, x)
    assert diagnosis.prediction is not None
    law = {p.node: p.power for p in diagnosis.prediction.nodes}
    for p in found.nodes:
        assert p.power == pytest.approx(law[p.node], rel=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("planned", [False, True], ids=["default", "planned"])
@pytest.mark.parametrize(
    ("name", "draws"), [("relu", 24), ("tanh", 24), ("gelu", 24), ("silu", 24), ("conv", 24)]
)
def test_bands_are_as_wide_as_the_luck_of_many_draws(name: str, draws: int, planned: bool) -> None:
    functions = {"relu": nn.ReLU, "tanh": nn.Tanh, "gelu": nn.GELU, "silu": nn.SiLU}
    ahead, back = [], []
    for seed in range(draws):
        torch.manual_seed(seed)
        model: nn.Module = convolutions() if name == "conv" else mlp(functions[name], 10, 64)
        x = images() if name == "conv" else torch.randn(64, 64)
        if planned:
            fanin.torch.init_(model, x, seed=seed)
        diagnosis = diagnosed(model, x, tier="fast")
        assert diagnosis.prediction is not None
        now = {p.node: p for p in diagnosis.prediction.nodes}
        path = [
            i for i in diagnosis.graph.path if diagnosis.graph.node(i).kind in ("contraction", "convolution")
        ]
        seen = {m.node: m for m in diagnosis.trace.measurements}
        last, first = now[path[-2]], now[path[0]]
        ahead.append((math.log(seen[path[-2]].power / last.power) - last.shift) / last.spread)
        gradient = seen[path[0]].gradient_power
        assert gradient is not None
        assert first.gradient_power is not None
        back.append(
            (math.log(gradient / first.gradient_power) - first.gradient_shift) / first.gradient_spread
        )
    for z in (np.array(ahead), np.array(back)):
        # Bands may be twice too wide (the prediction is careful), and a third too narrow at most.
        assert 0.3 < z.std() < 1.5
        # Where the fixed point is unstable (GELU, SiLU that keep the signal) the mean wanders too.
        assert abs(z.mean()) < (2.5 if planned and name in ("gelu", "silu") else 1.5)
        assert np.abs(z).max() < SIGMAS
