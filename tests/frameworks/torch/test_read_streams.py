"""Reading small models: streams, branches, ties, attention, recurrence, and the engines."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from fanin.errors import ModelError
from fanin.records.graph import OpKind, UseKind
from fanin.torch.read import graph_of, read
from fanin.torch.record import record
from torch_reading import BATCH, SEQUENCE, From, activation, parameter, use


# ------------------------------------------------------------------ streams
def test_a_downsampling_residual_block() -> None:
    def forward(m: From, x: torch.Tensor) -> torch.Tensor:
        x = m.stem(x)
        y = F.relu(m.n1(m.c1(x)), inplace=True)
        out: torch.Tensor = F.relu(m.n2(m.c2(y)) + m.short(x))
        return out

    model = From(
        forward,
        stem=nn.Conv2d(3, 4, 3, padding=1),
        c1=nn.Conv2d(4, 8, 3, stride=2, padding=1),
        n1=nn.BatchNorm2d(8),
        c2=nn.Conv2d(8, 8, 3, padding=1),
        n2=nn.BatchNorm2d(8),
        short=nn.Conv2d(4, 8, 1, stride=2),
    )
    graph = read(model, torch.zeros(2, 3, 8, 8))
    (branch,) = graph.branches
    assert (branch.final, branch.depth, branch.normalised) == (("c2.weight",), 2, True)
    assert use(graph, "c2.weight").branch == 0
    assert use(graph, "short.weight").branch is None


def test_a_scaled_branch_and_a_shifted_stream() -> None:
    def forward(m: From, x: torch.Tensor) -> torch.Tensor:
        x = torch.cat([m.token.expand(x.shape[0], -1, -1), x], 1) + m.places
        x = x + m.scale * m.b(m.a(x).relu())
        out: torch.Tensor = m.head(x[:, 0])
        return out

    model = From(
        forward,
        token=nn.Parameter(torch.zeros(1, 1, 8)),
        places=nn.Parameter(torch.zeros(1, 6, 8)),
        scale=nn.Parameter(torch.ones(8)),
        a=nn.Linear(8, 16),
        b=nn.Linear(16, 8),
        head=nn.Linear(8, 3),
    )
    graph = read(model, SEQUENCE)
    assert use(graph, "token").kind == use(graph, "places").kind == UseKind.SHIFT
    assert use(graph, "scale").kind == UseKind.SCALE
    assert [branch.final for branch in graph.branches] == [("b.weight",)]
    assert use(graph, "head.weight").head


def test_a_tie_is_one_parameter_with_two_uses() -> None:
    def forward(m: From, i: torch.Tensor) -> torch.Tensor:
        x = m.table(i) + m.places(torch.arange(i.shape[1]))
        x = x + m.layer(m.layer(x).relu())
        return F.log_softmax(m.head(x), -1)

    table = nn.Embedding(10, 8, padding_idx=0)
    head = nn.Linear(8, 10, bias=False)
    head.weight = table.weight
    model = From(forward, table=table, places=nn.Embedding(6, 8), layer=nn.Linear(8, 8), head=head)
    graph = read(model, torch.zeros(2, 6, dtype=torch.long))
    tied = parameter(graph, "table.weight")
    assert tied.aliases == ("head.weight",)
    assert tied.padding == 0
    assert [(u.kind, str(u.axes), u.head) for u in tied.uses] == [
        (UseKind.EMBEDDING, "in out", False),
        (UseKind.WEIGHT, "out in", True),
    ]
    reused = parameter(graph, "layer.weight").uses
    assert [u.activation for u in reused] == [0, None]
    # Tokens and positions are summed: that is no residual join.
    assert [branch.final for branch in graph.branches] == [("layer.weight",)]
    # A table that no input selects from is one of positions.
    assert graph.node(use(graph, "places.weight").node).inputs == ()


def test_a_parameter_that_takes_no_part_has_no_uses() -> None:
    graph = read(From(lambda m, x: m.a(x), a=nn.Linear(8, 8), idle=nn.Linear(3, 3)), BATCH)
    assert parameter(graph, "idle.weight").uses == ()
    assert graph.notes == ("took no part in this run: idle.weight, idle.bias",)


# ------------------------------------------------------------------ attention and recurrence
@pytest.mark.parametrize("training", [True, False])
def test_packed_attention(training: bool) -> None:
    graph = read(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).train(training), SEQUENCE)
    packed = use(graph, "self_attn.in_proj_weight")
    assert (packed.kind, str(packed.axes), packed.blocks) == (UseKind.WEIGHT, "out in", (8, 8, 8))
    assert use(graph, "self_attn.in_proj_bias").kind == UseKind.BIAS
    assert [b.final for b in graph.branches] == [("self_attn.out_proj.weight",), ("linear2.weight",)]
    assert activation(graph, "linear1.weight") == "relu"
    assert sum(node.kind == OpKind.ATTENTION for node in graph.nodes) == 1


def test_cross_attention_reads_slices_of_one_weight() -> None:
    memory = SEQUENCE[:, :3]
    graph = read(nn.MultiheadAttention(8, 2, batch_first=True), SEQUENCE, memory, memory)
    assert [u.blocks for u in parameter(graph, "in_proj_weight").uses] == [(8, 8, 8), (8, 8, 8)]


@pytest.mark.parametrize(
    ("model", "blocks"),
    [
        (nn.LSTM(8, 4), (4,) * 4),
        (nn.LSTM(8, 4).double(), (4,) * 4),  # torch unrolls this one
        (nn.GRU(8, 4), (4,) * 3),
        (nn.RNN(8, 4, nonlinearity="relu"), ()),
    ],
    ids=["lstm", "unrolled lstm", "gru", "rnn"],
)
def test_recurrent_layers(model: nn.Module, blocks: tuple[int, ...]) -> None:
    graph = read(model, SEQUENCE.to(next(model.parameters()).dtype))
    kinds = {p.name: {u.kind for u in p.uses} for p in graph.parameters}
    assert kinds == {
        "weight_ih_l0": {UseKind.RECURRENT_INPUT},
        "weight_hh_l0": {UseKind.RECURRENT_STATE},
        "bias_ih_l0": {UseKind.RECURRENT_BIAS},
        "bias_hh_l0": {UseKind.RECURRENT_BIAS},
    }
    weights = [parameter(graph, f"weight_{kind}_l0") for kind in ("ih", "hh")]
    assert [{u.blocks for u in p.uses} for p in weights] == [{blocks}, {blocks}]
    assert {str(u.axes) for p in weights for u in p.uses} == {"out in"}
    assert graph.branches == ()


@pytest.mark.parametrize(
    "cell", [nn.RNNCell(8, 4), nn.GRUCell(8, 4), nn.LSTMCell(8, 4)], ids=lambda c: type(c).__name__
)
def test_a_cell_in_a_loop(cell: nn.Module) -> None:
    def forward(m: From, x: torch.Tensor) -> torch.Tensor:
        state = None
        for t in range(x.shape[1]):
            state = m.cell(x[:, t], state)
        out: torch.Tensor = m.head(state[0] if isinstance(state, tuple) else state)
        return out

    graph = read(From(forward, cell=cell, head=nn.Linear(4, 2)), SEQUENCE)
    assert {u.kind for u in parameter(graph, "cell.weight_hh").uses} == {UseKind.RECURRENT_STATE}
    assert {u.kind for u in parameter(graph, "cell.weight_ih").uses} == {UseKind.RECURRENT_INPUT}
    assert graph.branches == ()
    assert use(graph, "head.weight").head


def test_a_layer_that_is_applied_again_is_not_recurrent() -> None:
    def forward(m: From, x: torch.Tensor) -> torch.Tensor:
        for _ in range(3):
            x = x + m.layer(x).relu()
        return x

    graph = read(From(forward, layer=nn.Linear(8, 8)), BATCH)
    assert {u.kind for u in parameter(graph, "layer.weight").uses} == {UseKind.WEIGHT}
    assert len(graph.branches) == 3


# ------------------------------------------------------------------ engines
class Branching(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(8, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.layer(x)
        return y * 2 if y.sum() > 1e9 else y


def test_control_flow_on_values_falls_back_to_real_tensors_and_says_why() -> None:
    graph = read(Branching(), BATCH)
    assert graph.engine.startswith(
        "real tensors (fake tensors could not run it: DataDependentOutputException"
    )
    assert use(graph, "layer.weight").head


class OneMode(nn.Module):
    """Reads `more` in one mode only, and can make that mode depend on values."""

    def __init__(self, *, train_reads_extra: bool, random_train: bool = False) -> None:
        super().__init__()
        self.layer, self.more = nn.Linear(8, 8), nn.Linear(8, 8)
        self.train_reads_extra, self.random_train = train_reads_extra, random_train

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training and self.random_train and torch.rand(()) > 2:
            return x
        y: torch.Tensor = self.layer(x)
        return self.more(y) if self.training == self.train_reads_extra else y


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("train_reads_extra", [True, False])
def test_what_one_mode_leaves_unread_the_other_may_read(training: bool, train_reads_extra: bool) -> None:
    model = OneMode(train_reads_extra=train_reads_extra).train(training)
    model.layer.eval()
    graph = read(model, BATCH)
    assert use(graph, "more.weight").head
    own, other = ("train", "eval") if training else ("eval", "train")
    told = f"fake tensors ({other} mode: the {own} mode leaves 2 parameters unread)"
    assert graph.engine == ("fake tensors" if training == train_reads_extra else told)
    assert (model.training, model.layer.training, model.more.training) == (training, False, training)


def test_a_training_mode_that_depends_on_values_is_read_in_the_other() -> None:
    graph = read(OneMode(train_reads_extra=False, random_train=True), BATCH)
    assert graph.engine.startswith("fake tensors (eval mode: fake tensors could not run it: DataDependent")
    assert use(graph, "more.weight").head


def test_control_flow_on_values_of_a_model_on_meta_runs_on_random_numbers() -> None:
    with torch.device("meta"):
        model = Branching()
    graph = read(model, BATCH)
    assert graph.engine.startswith("random tensors (fake tensors could not run it: DataDependent")
    assert use(graph, "layer.weight").head
    assert model.layer.weight.is_meta


def test_a_broken_model_on_meta_names_the_way_out() -> None:
    with torch.device("meta"):
        model = nn.Sequential(nn.Linear(8, 4), nn.Linear(5, 6))
    with pytest.raises(ModelError, match=r"cannot be multiplied.*Build it on a real device"):
        read(model, BATCH)


def test_a_broken_model_speaks_for_itself() -> None:
    with pytest.raises(ModelError, match=r"module '1'.*mat1 and mat2 shapes cannot be multiplied"):
        read(nn.Sequential(nn.Linear(8, 4), nn.Linear(5, 6)), BATCH)


def test_both_engines_give_one_graph() -> None:
    model = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    fake = read(model, SEQUENCE)
    real = graph_of(record(model, (SEQUENCE,), {}, engine="real"), model)
    assert (fake.nodes, fake.parameters, fake.branches, fake.path) == (
        real.nodes,
        real.parameters,
        real.branches,
        real.path,
    )


def test_a_norm_of_a_sum_over_streams_is_a_norm_and_a_mean_is_none() -> None:
    def forward(m: From, x: torch.Tensor) -> torch.Tensor:
        x = m.layer(x).unflatten(-1, (4, 8)).sum(-2)
        x = x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6)
        return m.head(x * m.scale).mean(1)

    parts = {"layer": nn.Linear(8, 32), "head": nn.Linear(8, 2), "scale": nn.Parameter(torch.ones(8))}
    graph = read(From(forward, **parts), SEQUENCE)
    assert use(graph, "scale").kind == UseKind.NORM_SCALE
    assert [node.kind for node in graph.nodes][-3:] == [OpKind.NORM, OpKind.CONTRACTION, OpKind.POOL]
