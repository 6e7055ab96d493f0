"""Runs on fake tensors in which values that follow from the inputs alone are known."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from fanin.torch.read import read

IDS = torch.tensor([[3, 1, 4, 0], [1, 5, 0, 0]])


class Reader(nn.Module):
    """Looks tokens up, and sends them where a function of the ids says."""

    def __init__(self, function: Callable[..., torch.Tensor]) -> None:
        super().__init__()
        self.table, self.layer = nn.Embedding(8, 6), nn.Linear(6, 2)
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))
        self.function = function

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.function(self, ids)


def masked(m: Reader, ids: torch.Tensor) -> torch.Tensor:
    mask = (ids != 0).long()
    return m.layer(m.table(ids)) if not bool(mask.all()) else m.table(ids)


def cut(m: Reader, ids: torch.Tensor) -> torch.Tensor:
    lengths = (ids != 0).sum(-1)
    x = m.table(ids)
    return torch.cat([m.layer(row[:n]) for row, n in zip(x, lengths.tolist(), strict=True)])


def chosen(m: Reader, ids: torch.Tensor) -> torch.Tensor:
    return m.layer(m.table(ids)[(ids > 2).nonzero(as_tuple=True)])


def grid(m: Reader, ids: torch.Tensor) -> torch.Tensor:
    counts = torch.arange(1, 4, device=ids.device)
    rows = torch.repeat_interleave(torch.arange(3), counts)
    return m.layer(m.table(rows)) + rows.shape[0]


def written(m: Reader, ids: torch.Tensor) -> torch.Tensor:
    mask = torch.zeros(2, 4)
    mask[:, 1] = 1.0
    return m.layer(m.table(ids)) if mask.sum() == 2 else m.table(ids)


def counted(m: Reader, ids: torch.Tensor) -> torch.Tensor:
    m.steps += 1
    return m.layer(m.table(ids)) if m.steps.item() == 1 else m.table(ids)


FUNCTIONS = [masked, cut, chosen, grid, written]


@pytest.mark.parametrize(
    ("function", "device"),
    # (A counter on the meta device has no value.)
    [*((f, "cpu") for f in [*FUNCTIONS, counted]), *((f, "meta") for f in FUNCTIONS)],
)
def test_control_flow_on_the_inputs_needs_no_weights(
    function: Callable[..., torch.Tensor], device: str
) -> None:
    with torch.device(device):
        model = Reader(function)
    graph = read(model, IDS)
    assert graph.engine == "fake tensors"
    assert [p.name for p in graph.parameters if p.uses and not p.buffer] == [
        "table.weight",
        "layer.weight",
        "layer.bias",
    ]
    assert device == "meta" or int(model.steps) == 0


def overwritten(m: Reader, ids: torch.Tensor) -> torch.Tensor:
    mask = torch.zeros(2, 4)
    view = mask[:, 1:]
    view.copy_(m.table(ids).sum(-1)[:, 1:])  # now it follows from a weight
    return m.layer(m.table(ids)) if mask.sum() == 2 else m.table(ids)


def looked_at(m: Reader, ids: torch.Tensor) -> torch.Tensor:
    return m.layer(m.table(ids)) if F.relu(m.table(ids)).sum() > -1 else m.table(ids)


@pytest.mark.parametrize("function", [overwritten, looked_at])
def test_what_follows_from_weights_is_not_known(function: Callable[..., torch.Tensor]) -> None:
    graph = read(Reader(function), IDS)
    assert graph.engine.startswith("real tensors (fake tensors could not run it: DataDependent")


def test_the_inputs_are_not_written_to() -> None:
    def function(m: Reader, ids: torch.Tensor) -> torch.Tensor:
        ids[ids == 0] = 7
        return m.layer(m.table(ids)) if int(ids.max()) == 7 else m.table(ids)

    ids = IDS.clone()
    assert read(Reader(function), ids).engine == "fake tensors"
    assert torch.equal(ids, IDS)
