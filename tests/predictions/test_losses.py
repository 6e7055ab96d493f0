"""First losses of any function by trial, against those that were measured."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

import fanin.torch
from fanin.records.finding import Diagnosis, Severity

SIGMAS = 6.1
SEEDS = 4
WEIGHTS = torch.linspace(0.2, 2.0, 10)


def net(outputs: int) -> nn.Module:
    return nn.Sequential(
        nn.Linear(32, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, outputs)
    )


def likelihood(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    mean, raw = output.chunk(2, -1)
    return functional.gaussian_nll_loss(mean, target, functional.softplus(raw) + 1e-3)


def ctc(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    logs = output.unflatten(-1, (12, 7)).log_softmax(-1).transpose(0, 1)
    steps, letters = torch.full((len(target),), 12), torch.full((len(target),), target.shape[1])
    return functional.ctc_loss(logs, target, steps, letters)


def classes() -> torch.Tensor:
    return torch.randint(0, 10, (64,))


LOSSES: dict[str, tuple[int, Callable[[], torch.Tensor], Any]] = {
    "squares": (4, lambda: 0.5 + 2.0 * torch.randn(64, 4), None),
    "absolute": (4, lambda: torch.randn(64, 4), nn.L1Loss()),
    "Huber": (4, lambda: torch.randn(64, 4), nn.SmoothL1Loss()),
    "binary": (1, lambda: torch.randint(0, 2, (64, 1)).float(),
               nn.BCEWithLogitsLoss(pos_weight=torch.tensor(3.0))),
    "smoothing": (10, classes, nn.CrossEntropyLoss(label_smoothing=0.1)),
    "weights": (10, classes, nn.CrossEntropyLoss(weight=WEIGHTS)),
    "sum": (10, classes, nn.CrossEntropyLoss(reduction="sum")),
    "divergence": (10, lambda: torch.randn(64, 10).softmax(-1),
                   lambda y, t: functional.kl_div(y.log_softmax(-1), t, reduction="batchmean")),
    "likelihood": (8, lambda: torch.randn(64, 4), likelihood),
    "CTC": (84, lambda: torch.randint(1, 7, (64, 4)), ctc),
}  # fmt: skip


def checked(model: nn.Module, x: Any, target: Any, loss: Any) -> Diagnosis:
    options = {} if loss is None else {"loss": loss}
    return fanin.torch.check(model, x, target=target, tier="fast", **options).diagnosis


def compared(diagnosis: Diagnosis) -> tuple[float, float, float]:
    measured, law = diagnosis.trace.loss, diagnosis.prediction.loss if diagnosis.prediction else None
    assert measured is not None
    assert law is not None
    return measured.value, law.value, law.spread


@pytest.mark.parametrize("name", LOSSES)
def test_the_first_loss_is_foretold(name: str) -> None:
    outputs, target, loss = LOSSES[name]
    apart, spreads = [], []
    for seed in range(SEEDS):
        torch.manual_seed(seed)
        value, law, sd = compared(checked(net(outputs), torch.randn(64, 32), target(), loss))
        apart.append(value - law)
        spreads.append(sd)
        assert 0.0 < sd < 0.2 * max(abs(law), 0.5)
    # The law's own mean is of 16 draws; its deviation of as many is known to a fifth.
    error = 1.5 * max(spreads) * math.sqrt(1.0 / SEEDS + 1.0 / 16.0)
    assert abs(sum(apart) / SEEDS) < SIGMAS * error


def test_a_model_that_returns_several_tensors_keeps_their_order() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = nn.Linear(32, 8), nn.Linear(32, 8)

        def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"large": 10.0 * self.one(x), "small": torch.exp(0.1 * self.two(x))}

    def loss(output: dict[str, torch.Tensor], target: torch.Tensor) -> torch.Tensor:
        return output["large"].square().mean() + 1000.0 * output["small"].mean() + 0.0 * target.sum()

    torch.manual_seed(0)
    value, law, sd = compared(checked(Two(), torch.randn(64, 32), torch.zeros(1), loss))
    assert abs(value - law) < SIGMAS * math.hypot(sd, 0.25 * sd)
    assert value == pytest.approx(law, rel=0.05)  # 1033 or so; with both exchanged it would be 10,000


def test_a_summed_loss_is_no_high_one() -> None:
    torch.manual_seed(0)
    diagnosis = checked(net(10), torch.randn(64, 32), classes(), nn.CrossEntropyLoss(reduction="sum"))
    assert diagnosis.trace.loss is not None
    assert diagnosis.trace.loss.value > 100.0
    assert not [f for f in diagnosis.findings if f.code == "FAN301"]


def test_squares_above_those_of_a_constant_are_no_luck_because_they_are_foretold() -> None:
    torch.manual_seed(0)
    model = net(4)
    with torch.no_grad():
        model[-1].weight.mul_(12.0)  # type: ignore[operator, union-attr]
    x, target = torch.randn(64, 32), 0.1 * torch.randn(64, 4)
    diagnosis = fanin.torch.check(model, x, target=target, tier="fast", select=("FAN301",)).diagnosis
    _, law, _ = compared(diagnosis)
    assert law > 4.0 * 0.01  # foretold, and less than 3 above that of a constant: nats would be luck
    assert law < 3.0
    (found,) = diagnosis.findings
    assert found.severity == Severity.WARNING


class Labelled(nn.Module):
    """Returns a dictionary, with a loss of its own where labels are in the batch, as language models do."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.head = nn.Embedding(50, 32), nn.Linear(32, 50)

    def forward(self, ids: torch.Tensor, labels: torch.Tensor | None = None) -> dict[str, Any]:
        logits = self.head(self.table(ids))
        found = {"logits": logits, "cache": object()}
        if labels is None:
            return found
        return {"loss": functional.cross_entropy(logits.flatten(0, 1), labels.flatten()), **found}


def by_hand(output: dict[str, torch.Tensor], target: torch.Tensor) -> torch.Tensor:
    return functional.cross_entropy(output["logits"].flatten(0, 1), target.flatten())


def its_own(output: dict[str, torch.Tensor], _target: object) -> torch.Tensor:
    return output["loss"]


@pytest.mark.parametrize(
    ("loss", "labels"), [(by_hand, False), (by_hand, True), (its_own, True), (None, False), (None, True)]
)
def test_first_losses_of_outputs_with_names_are_predicted(labels: bool, loss: Any) -> None:
    torch.manual_seed(0)
    ids, target = torch.randint(0, 50, (8, 16)), torch.randint(0, 50, (8, 16))
    batch = {"ids": ids, "labels": target} if labels else {"ids": ids}
    found = checked(Labelled(), batch, None if labels and loss is not by_hand else target, loss)
    assert found.trace.loss is not None
    assert found.prediction is not None
    assert found.prediction.loss is not None
    # Of 800 weights of the head the luck is small beside ln 50; the spread says how small.
    room = SIGMAS * max(found.prediction.loss.spread, 0.02)
    assert found.prediction.loss.value == pytest.approx(found.trace.loss.value, abs=room)
    silent = pytest.approx(math.log(50), rel=1e-5) if loss is by_hand else None
    assert found.trace.loss.silent == silent
