"""What transformers' base class gives layers that it knows, and leaves to PyTorch, tensor by tensor."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import fanin.torch as ft

transformers = pytest.importorskip("transformers")
transformers.logging.set_verbosity_error()

WIDTH, HEADS, ROWS = 64, 4, 9


class Config(transformers.PretrainedConfig):
    """A configuration with the usual standard deviation."""

    model_type = "fanin_mixed"
    initializer_range = 0.02


class Mixed(transformers.PreTrainedModel):
    """An embedding, attention and recurrences of PyTorch, and a bare table of offsets."""

    config_class = Config

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.table = nn.Embedding(50, WIDTH)
        self.attention = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)
        self.offsets = nn.Parameter(torch.zeros(ROWS, WIDTH))
        self.gru = nn.GRU(WIDTH, WIDTH, batch_first=True)
        self.lstm = nn.LSTM(WIDTH, WIDTH, batch_first=True)
        self.head = nn.Linear(WIDTH, 10)
        self.post_init()

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.table(ids)
        x = x + self.attention(x, x, x)[0] + self.offsets[torch.arange(ids.shape[1]) % ROWS]
        return self.head(self.lstm(self.gru(x)[0])[0])


IDS = torch.randint(0, 50, (4, 12), generator=torch.Generator().manual_seed(0))


def test_the_base_class_of_transformers_is_reproduced_for_layers_of_pytorch() -> None:
    torch.manual_seed(0)
    audit = ft.audit(Mixed(Config()), IDS, against="hf-0.02")
    assert audit.agrees, audit.verdict


@pytest.mark.parametrize(
    "name", ["attention.in_proj_weight", "gru.weight_hh_l0", "gru.bias_ih_l0", "lstm.weight_ih_l0"]
)
def test_another_law_for_one_of_them_is_found(name: str) -> None:
    torch.manual_seed(0)
    model = Mixed(Config())
    with torch.no_grad():
        model.get_parameter(name).mul_(2.0)
    audit = ft.audit(model, IDS, against="hf-0.02")
    assert [line.name for line in audit.comparisons if line.severity is not None] == [name]


def test_a_bare_table_keeps_what_it_was_made_of() -> None:
    plan = ft.plan(Mixed(Config()), IDS, policy="hf-0.02")
    assert plan["offsets"].draw is None
    assert plan["table.weight"].draw is not None
