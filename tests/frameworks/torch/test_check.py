"""Verdicts on real networks: the sick ones by name, and none on the healthy."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

import fanin.torch
from fanin.records.finding import Severity
from fanin.reports.report import Report
from fanin.torch.check import check

transformers = pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def digits() -> tuple[torch.Tensor, torch.Tensor]:
    data, target = load_digits(return_X_y=True)
    x = torch.tensor(data[:256], dtype=torch.float32)
    return (x - x.mean()) / x.std(), torch.tensor(target[:256])


def mlp(
    depth: int = 30, width: int = 64, act: Callable[[], nn.Module] = nn.ReLU, *, norm: bool = False
) -> nn.Sequential:
    layers: list[nn.Module] = []
    size = 64
    for _ in range(depth):
        layers += [nn.Linear(size, width), *([nn.BatchNorm1d(width)] if norm else []), act()]
        size = width
    return nn.Sequential(*layers, nn.Linear(size, 10))


def alarms(report: Report) -> list[str]:
    return [f.code for f in report.findings if f.severity != Severity.INFO]


# ---------------------------------------------------------------- the flagship


@pytest.mark.parametrize("width", [64, 256])
def test_thirty_layers_with_torchs_default_on_digits(
    digits: tuple[torch.Tensor, torch.Tensor], width: int
) -> None:
    x, y = digits
    torch.manual_seed(0)
    model = mlp(30, width)
    report = check(model, x, target=y)
    assert alarms(report) == ["FAN102"]
    finding = report.findings[0]
    assert finding.severity == Severity.FAILURE
    figures = dict(finding.evidence)
    # sd of the mean factor over 29 layers is sqrt(5 / 64 / 29) = 5 %: 6.1 of them.
    assert figures["factor a layer"] == pytest.approx(1 / 6, rel=0.32)
    assert abs(figures["forward decades"]) < 3.0
    assert "framework's default law" in finding.cause
    assert "each multiplies the power by 1/6" in finding.cause
    assert "Multiply the std of 30 weights" in finding.fix
    assert figures["measured std / planned std"] == pytest.approx(6**-0.5, rel=0.01)
    assert "vanishing gradients" in report.verdict
    fanin.torch.init_(model, x)
    after = check(model, x, target=y)
    assert after.healthy, after


def test_the_fix_that_is_named_cures(digits: tuple[torch.Tensor, torch.Tensor]) -> None:
    x, y = digits
    torch.manual_seed(0)
    model = mlp(30, 128)
    finding = check(model, x, target=y).findings[0]
    factor = 1.0 / dict(finding.evidence)["measured std / planned std"]
    with torch.no_grad():
        for name in finding.where:
            model.get_parameter(name).mul_(factor)
    assert "FAN102" not in alarms(check(model, x, target=y))


# ---------------------------------------------------------------- other faults


def test_batch_norm_without_skips(digits: tuple[torch.Tensor, torch.Tensor]) -> None:
    x, y = digits
    torch.manual_seed(0)
    model = mlp(50, norm=True)
    for _ in range(2):
        report = check(model, x, target=y)
        assert alarms(report) == ["FAN102"]
        assert "No scale of the weights cures this" in report.findings[0].fix
        fanin.torch.init_(model, x)


def test_copied_layers_of_torchs_own_encoder() -> None:
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True, dropout=0.0)
    model = nn.TransformerEncoder(layer, 3, enable_nested_tensor=False)
    x = torch.randn(8, 10, 32)
    report = check(model, x)
    assert "FAN202" in alarms(report)
    fanin.torch.init_(model, x)
    assert alarms(check(model, x)) == []


def test_saturated_tanh(digits: tuple[torch.Tensor, torch.Tensor]) -> None:
    x, y = digits
    model = mlp(4, act=nn.Tanh)
    for layer in model[::2]:
        nn.init.normal_(layer.weight)
        nn.init.zeros_(layer.bias)
    assert alarms(check(model, x, target=y)) == ["FAN105"]


def test_constant_weights_in_one_finding(digits: tuple[torch.Tensor, torch.Tensor]) -> None:
    x, y = digits
    model = mlp(2)
    for layer in model[::2]:
        nn.init.constant_(layer.weight, 0.01)
        nn.init.zeros_(layer.bias)
    report = check(model, x, target=y)
    assert alarms(report) == ["FAN201"]
    assert report.findings[0].severity == Severity.FAILURE


def test_raw_pixels_show_in_the_first_loss(digits: tuple[torch.Tensor, torch.Tensor]) -> None:
    x, y = digits
    torch.manual_seed(0)
    model = mlp(3)
    fanin.torch.init_(model, x)
    report = check(model, 16 * x, target=y)
    assert alarms(report) == ["FAN401"]
    assert "high first loss (FAN301)" in report.findings[0].summary
    assert "Subtract each feature's mean" in report.findings[0].fix


def test_nan_in_the_batch_is_the_datas(digits: tuple[torch.Tensor, torch.Tensor]) -> None:
    x, y = digits
    broken = x.clone()
    broken[3, 5] = torch.nan
    report = check(mlp(3), broken, target=y)
    assert alarms(report) == ["FAN106"]
    assert "data, not the model" in report.findings[0].cause


def test_layers_that_are_never_called(digits: tuple[torch.Tensor, torch.Tensor]) -> None:
    x, y = digits
    model = mlp(2)
    model.forward = lambda x: nn.Sequential.forward(model[:5], x)  # type: ignore[method-assign, assignment]
    model.append(nn.Linear(3, 3))
    report = check(model, x, target=y)
    assert alarms(report) == ["FAN302"]
    assert report.findings[0].where == ("5.weight", "5.bias")


# ---------------------------------------------------------------- no false alarm


class Conv(nn.Module):
    def __init__(self, *, norm: bool) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for depth, (i, o) in enumerate([(3, 16), (16, 16), (16, 32), (32, 32)]):
            layers += [nn.Conv2d(i, o, 3, padding=1, stride=1 + depth % 2)]
            layers += [nn.BatchNorm2d(o)] if norm else []
            layers += [nn.ReLU(inplace=True)]
        self.body, self.head = nn.Sequential(*layers), nn.Linear(32, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.body(x).mean((2, 3)))


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table, self.core, self.head = nn.Embedding(50, 32), nn.LSTM(32, 32, 2), nn.Linear(32, 50)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.core(self.table(x))[0])


def tiny(name: str) -> tuple[nn.Module, dict[str, torch.Tensor]]:
    sizes = {
        "hidden_size": 64,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "intermediate_size": 128,
    }
    tokens = {"input_ids": torch.randint(0, 200, (4, 16))}
    images = {"pixel_values": torch.randn(8, 3, 32, 32)}
    match name:
        case "gpt2":
            config = transformers.GPT2Config(
                n_embd=64, n_layer=4, n_head=4, vocab_size=200, n_positions=32, bos_token_id=0, eos_token_id=0
            )
            return transformers.GPT2LMHeadModel(config), tokens
        case "llama":
            config = transformers.LlamaConfig(**sizes, vocab_size=200)
            return transformers.LlamaForCausalLM(config), tokens
        case "bert":
            config = transformers.BertConfig(**sizes, vocab_size=200)
            return transformers.BertForMaskedLM(config), tokens
        case "vit":
            config = transformers.ViTConfig(**sizes, image_size=32, patch_size=8, num_labels=10)
            return transformers.ViTForImageClassification(config), images
        case _:
            config = transformers.ResNetConfig(
                embedding_size=16, hidden_sizes=[16, 32, 64], depths=[2, 2, 2], layer_type="basic"
            )
            return transformers.ResNetForImageClassification(config), images


@pytest.mark.parametrize("name", ["gpt2", "llama", "bert", "vit", "resnet"])
def test_no_alarm_on_transformers_with_their_own_or_our_weights(name: str) -> None:
    torch.manual_seed(0)
    model, inputs = tiny(name)
    given = copy.deepcopy(inputs)
    report = check(model, inputs)
    assert alarms(report) == [], report
    fanin.torch.init_(model, inputs)
    report = check(model, inputs)
    assert report.findings == (), report
    assert all(torch.equal(inputs[key], given[key]) for key in given)


@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize(
    ("make", "inputs"),
    [
        (lambda: Conv(norm=False), (16, 3, 16, 16)),
        (lambda: Conv(norm=True), (16, 3, 16, 16)),
        (lambda: mlp(3), (64, 64)),
        (lambda: mlp(3, act=nn.Tanh), (64, 64)),
        (lambda: mlp(3, act=nn.Hardtanh), (64, 64)),
        (lambda: mlp(3, act=nn.GELU), (64, 64)),
        (lambda: mlp(5, norm=True), (64, 64)),
        (Recurrent, None),
    ],
)
def test_no_alarm_on_small_networks(
    own: bool, make: Callable[[], nn.Module], inputs: tuple[int, ...] | None
) -> None:
    for seed in range(3):
        torch.manual_seed(seed)
        model = make()
        x: Any = torch.randint(0, 50, (8, 12)) if inputs is None else torch.randn(inputs)
        if not own:
            fanin.torch.init_(model, x, seed=seed)
        target = torch.randint(0, 10, x.shape if inputs is None else x.shape[:1])
        report = check(model, x, target=target)
        assert alarms(report) == [], report


@pytest.mark.parametrize(("depth", "width"), [(2, 32), (10, 64), (30, 32), (60, 32), (60, 128)])
def test_no_alarm_on_deep_networks_that_fanin_initialised(
    digits: tuple[torch.Tensor, torch.Tensor], depth: int, width: int
) -> None:
    x, y = digits
    for seed in range(4):
        model = mlp(depth, width)
        fanin.torch.init_(model, x, seed=seed)
        report = check(model, x[:64], target=y[:64])
        assert alarms(report) == [], report


def test_the_report_knows_its_surroundings(digits: tuple[torch.Tensor, torch.Tensor]) -> None:
    x, y = digits
    environment = dict(check(mlp(2), x, target=y, seed=3).diagnosis.environment)
    assert environment["torch"] == torch.__version__
    assert environment["device"] == "cpu"
    assert environment["seed"] == "3"


class Tagger(nn.Module):
    """An embedding, a recurrence and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(100, 64)
        self.rnn = nn.LSTM(64, 128, 2, batch_first=True)
        self.head = nn.Linear(128, 20)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        states: torch.Tensor = self.rnn(self.table(x))[0]
        out: torch.Tensor = self.head(states[:, -1])
        return out


def test_defaults_of_tables_and_recurrences_are_known() -> None:
    """Each kind of layer has a default of its own: a model left as it is was not initialised in part."""
    torch.manual_seed(0)
    model, batch = Tagger(), torch.randint(0, 100, (8, 12))
    assert not {"FAN203", "FAN211"} & {f.code for f in check(model, batch).findings}
    with torch.no_grad():
        nn.init.normal_(model.table.weight, std=0.02)
    assert "FAN211" in {f.code for f in check(model, batch).findings}
