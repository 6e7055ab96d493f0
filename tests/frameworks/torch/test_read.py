"""Reading small models: each thing that the computation says must be in the graph."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from fanin.errors import ModelError
from fanin.records.graph import Graph, OpKind, Parameter, Use, UseKind
from fanin.torch.read import graph_of, read
from fanin.torch.record import record

BATCH = torch.zeros(2, 8)
SEQUENCE = torch.zeros(2, 5, 8)


class From(nn.Module):
    """A model made of named parts and a function of them and the input."""

    def __init__(self, forward: Callable[..., torch.Tensor], **parts: nn.Module | nn.Parameter) -> None:
        super().__init__()
        for name, part in parts.items():
            setattr(self, name, part)
        self.function = forward

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        return self.function(self, *inputs)


def parameter(graph: Graph, name: str) -> Parameter:
    return next(p for p in graph.parameters if p.name == name)


def use(graph: Graph, name: str) -> Use:
    (only,) = parameter(graph, name).uses
    return only


def activation(graph: Graph, name: str) -> str | None:
    index = use(graph, name).activation
    return None if index is None else graph.activations[index].name


def axes(graph: Graph, name: str) -> str:
    return str(parameter(graph, name).uses[0].axes)


# ------------------------------------------------------------------ the task's first sentence
def test_thirty_layers_of_relu() -> None:
    layers = [m for _ in range(29) for m in (nn.Linear(8, 8), nn.ReLU())]
    graph = read(nn.Sequential(*layers, nn.Linear(8, 2)), BATCH)
    weights = [p for p in graph.parameters if p.name.endswith("weight")]
    assert len(weights) == 30
    assert [activation(graph, p.name) for p in weights] == ["relu"] * 29 + [None]
    assert [p.uses[0].head for p in weights] == [False] * 29 + [True]
    assert graph.path == tuple(node.id for node in graph.nodes if node.kind != OpKind.INPUT)
    assert len(graph.path) == 59


# ------------------------------------------------------------------ roles
def test_roles_come_from_the_contraction() -> None:
    def forward(m: From, x: torch.Tensor) -> torch.Tensor:
        q = torch.einsum("btd,dhk->bthk", x, m.q)
        x = x + torch.einsum("bthk,hkd->btd", q, m.o)
        y = x.reshape(1, -1, 8).expand(3, -1, -1)
        y = torch.bmm(torch.bmm(y, m.up).relu(), m.down).sum(0).view_as(x)
        z = torch.einsum("bthk,hkj->bthj", (x + y).unflatten(-1, (2, 4)), m.diagonal)
        return (z.flatten(-2) @ m.right) @ m.left.t()

    shapes = {
        "q": (8, 2, 4),
        "o": (2, 4, 8),
        "up": (3, 8, 16),
        "down": (3, 16, 8),
        "diagonal": (2, 4, 5),
        "right": (10, 7),
        "left": (1, 7),
    }
    graph = read(From(forward, **{k: nn.Parameter(torch.zeros(v)) for k, v in shapes.items()}), SEQUENCE)
    assert {name: axes(graph, name) for name in shapes} == {
        "q": "in out out",
        "o": "in in out",
        "up": "batch in out",
        "down": "batch in out",
        "diagonal": "batch in out",
        "right": "in out",
        "left": "out in",
    }


def test_roles_of_convolutions() -> None:
    model = nn.Sequential(
        nn.Conv2d(4, 8, 3, groups=2),
        nn.ConvTranspose2d(8, 6, 4, stride=(2, 3), groups=2),
        nn.Conv2d(6, 6, 3, groups=6),
        nn.Conv2d(6, 1, 1),
    )
    graph = read(model, torch.zeros(1, 4, 9, 9))
    assert [axes(graph, f"{i}.weight") for i in range(4)] == [
        "out in receptive receptive (groups=2)",
        "in out receptive receptive (groups=2, stride=6, transposed)",
        "out in receptive receptive (groups=6)",
        "out in receptive receptive",
    ]


def test_an_expert_that_is_picked_by_number_is_one_of_a_batch() -> None:
    def forward(m: From, x: torch.Tensor) -> torch.Tensor:
        rows = m.stacked[torch.tensor([0, 2])]
        return F.linear(x, m.stacked[1]) + torch.bmm(rows, x.unsqueeze(-1)).squeeze(-1)

    graph = read(From(forward, stacked=nn.Parameter(torch.zeros(3, 5, 8))), BATCH)
    assert [str(u.axes) for u in parameter(graph, "stacked").uses] == ["batch out in"] * 2


def test_block_diagonal_weights_are_groups() -> None:
    def forward(m: From, x: torch.Tensor) -> torch.Tensor:
        per_group = x.view(2, 2, 4).transpose(0, 1)
        return torch.bmm(per_group, m.w.view(2, 3, 4).transpose(1, 2))

    graph = read(From(forward, w=nn.Parameter(torch.zeros(6, 4))), BATCH)
    assert axes(graph, "w") == "out in (groups=2)"


def test_parametrised_weights_are_still_weights() -> None:
    parametrizations = nn.utils.parametrizations
    model = nn.Sequential(
        parametrizations.weight_norm(nn.Linear(8, 6)),
        parametrizations.spectral_norm(nn.Linear(6, 4)),
        parametrizations.orthogonal(nn.Linear(4, 4)),
    )
    graph = read(model, BATCH)
    stem = "parametrizations.weight.original"
    assert (use(graph, f"0.{stem}1").kind, axes(graph, f"0.{stem}1")) == (UseKind.WEIGHT, "out in")
    assert use(graph, f"0.{stem}0").kind == UseKind.SCALE
    assert (use(graph, f"1.{stem}").kind, axes(graph, f"1.{stem}")) == (UseKind.WEIGHT, "out in")


def test_weight_standardisation_keeps_the_roles() -> None:
    def forward(m: From, x: torch.Tensor) -> torch.Tensor:
        dims = (1, 2, 3)
        w = (m.w - m.w.mean(dims, keepdim=True)) / (m.w.std(dims, keepdim=True) + 1e-5)
        return F.conv2d(x, w).relu()

    graph = read(From(forward, w=nn.Parameter(torch.zeros(4, 3, 3, 3))), torch.zeros(1, 3, 8, 8))
    assert axes(graph, "w") == "out in receptive receptive"
    assert activation(graph, "w") == "relu"


def test_a_low_rank_update_is_two_weights() -> None:
    def forward(m: From, x: torch.Tensor) -> torch.Tensor:
        return F.linear(x, m.w + m.b @ m.a)

    parts = {"w": (6, 8), "a": (2, 8), "b": (6, 2)}
    graph = read(From(forward, **{k: nn.Parameter(torch.zeros(v)) for k, v in parts.items()}), BATCH)
    assert {name: axes(graph, name) for name in parts} == dict.fromkeys(parts, "out in")


# ------------------------------------------------------------------ activations
@pytest.mark.parametrize(
    ("function", "name"),
    [
        (torch.relu_, "relu"),
        (lambda x: torch.where(x > 0, x, torch.zeros_like(x)), "relu"),
        (lambda x: x.clamp(min=0) ** 2, "relu_squared"),
        (lambda x: 0.5 * x * (1 + torch.tanh(0.7978845608028654 * (x + 0.044715 * x**3))), "gelu_tanh"),
        (lambda x: x * 0.5 * (1 + torch.erf(x / 2**0.5)), "gelu"),
        (lambda x: x * torch.sigmoid(x), "silu"),
        (lambda x: x * torch.tanh(F.softplus(x)), "mish"),
        (lambda x: torch.maximum(x, torch.tensor(0.2) * x), "leaky_relu(0.2)"),
        (lambda x: F.relu(x.to(torch.float64)).to(x.dtype), "relu"),
        (lambda x: torch.cos(3 * x), "custom"),
    ],
)
def test_an_activation_is_known_by_its_values(
    function: Callable[[torch.Tensor], torch.Tensor], name: str
) -> None:
    def forward(m: From, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = m.b(function(m.a(x)))
        return out

    graph = read(From(forward, a=nn.Linear(8, 8), b=nn.Linear(8, 2)), BATCH)
    assert activation(graph, "a.weight") == name
    assert sum(node.kind == OpKind.ACTIVATION for node in graph.nodes) == 1


def test_a_scale_is_no_activation() -> None:
    graph = read(From(lambda m, x: 2 * m.a(x) - 1, a=nn.Linear(8, 8)), BATCH)
    assert graph.activations == ()


@pytest.mark.parametrize("slope", [0.25, 0.1])
def test_a_learnable_slope_is_taken_as_it_is(slope: float) -> None:
    def forward(m: From, x: torch.Tensor) -> torch.Tensor:
        y = m.b(m.prelu(m.a(x)))
        return F.relu(y) - m.slope * F.relu(-y)

    parts = {"a": nn.Linear(8, 8), "b": nn.Linear(8, 8), "prelu": nn.PReLU(init=slope)}
    graph = read(From(forward, **parts, slope=nn.Parameter(torch.tensor(slope))), BATCH)
    assert activation(graph, "a.weight") == activation(graph, "b.weight") == f"leaky_relu({slope})"
    assert use(graph, "prelu.weight").kind == use(graph, "slope").kind == UseKind.ACTIVATION_PARAMETER


def test_the_activation_is_looked_for_past_bias_dropout_and_norm() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5), nn.ReLU(inplace=True))
    graph = read(model, torch.zeros(2, 3, 8, 8))
    assert activation(graph, "0.weight") == "relu"
    assert use(graph, "0.weight").normalised
    assert use(graph, "1.weight").kind == UseKind.NORM_SCALE
    assert use(graph, "1.bias").kind == UseKind.NORM_SHIFT


# ------------------------------------------------------------------ gates
def test_a_packed_gate_has_blocks() -> None:
    def forward(m: From, x: torch.Tensor) -> torch.Tensor:
        a, b = m.both(x).chunk(2, -1)
        out: torch.Tensor = x + m.down(F.gelu(a) * b)
        return out

    graph = read(From(forward, both=nn.Linear(8, 32), down=nn.Linear(16, 8)), BATCH)
    both, down = use(graph, "both.weight"), use(graph, "down.weight")
    assert both.gated
    assert both.blocks == (16, 16)
    assert down.gate_activation is not None
    assert graph.activations[down.gate_activation].name == "gelu"
    assert not down.gated


def test_the_one_operator_gate() -> None:
    graph = read(nn.Sequential(nn.Linear(8, 16), nn.GLU(), nn.Linear(8, 2)), BATCH)
    assert use(graph, "0.weight").blocks == (8, 8)
    assert use(graph, "0.weight").gated
    index = use(graph, "2.weight").gate_activation
    assert index is not None
    assert graph.activations[index].name == "sigmoid"


def test_a_scale_for_each_channel_is_no_gate() -> None:
    def forward(m: From, x: torch.Tensor) -> torch.Tensor:
        x = m.conv(x).relu()
        scale = torch.sigmoid(m.excite(m.squeeze(x.mean((2, 3))).relu()))
        out: torch.Tensor = m.head((x * scale[:, :, None, None]).mean((2, 3)))
        return out

    parts = {"conv": nn.Conv2d(3, 8, 3), "squeeze": nn.Linear(8, 2), "excite": nn.Linear(2, 8)}
    graph = read(From(forward, **parts, head=nn.Linear(8, 2)), torch.zeros(1, 3, 8, 8))
    assert not any(u.gated for p in graph.parameters for u in p.uses)
    assert activation(graph, "excite.weight") == "sigmoid"


# ------------------------------------------------------------------ norms
def rms_norm(x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * w


def layer_norm(x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
    return w * (x - x.mean(-1, keepdim=True)) / (x.std(-1, keepdim=True) + 1e-6)


def halved(x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
    return (x - 0.5 * x.mean(-1, keepdim=True)) * w


@pytest.mark.parametrize(
    ("function", "offset", "kind"),
    [
        (rms_norm, 0.0, UseKind.NORM_SCALE),
        (lambda x, w: rms_norm(x, 1 + w), 1.0, UseKind.NORM_SCALE),
        (lambda x, w: rms_norm(x.double(), 1 + w.double()).float(), 1.0, UseKind.NORM_SCALE),
        (layer_norm, 0.0, UseKind.NORM_SCALE),
        (lambda x, w: F.normalize(x, dim=-1) * w, 0.0, UseKind.NORM_SCALE),
        (halved, 0.0, UseKind.SCALE),
    ],
)
def test_a_norm_is_known_by_its_invariance(
    function: Callable[[torch.Tensor, torch.Tensor], torch.Tensor], offset: float, kind: UseKind
) -> None:
    def forward(m: From, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = m.b(function(m.a(x), m.w))
        return out

    model = From(forward, a=nn.Linear(8, 8), b=nn.Linear(8, 2), w=nn.Parameter(torch.ones(8)))
    graph = read(model, SEQUENCE)
    assert (use(graph, "w").kind, use(graph, "w").offset) == (kind, offset)
    assert use(graph, "a.weight").normalised is (kind == UseKind.NORM_SCALE)
    assert sum(node.kind == OpKind.NORM for node in graph.nodes) == int(kind == UseKind.NORM_SCALE)


def test_a_hand_written_softmax_is_no_norm() -> None:
    def forward(m: From, x: torch.Tensor) -> torch.Tensor:
        y = m.a(x)
        e = torch.exp(y - y.amax(-1, keepdim=True))
        return e / e.sum(-1, keepdim=True)

    graph = read(From(forward, a=nn.Linear(8, 3)), BATCH)
    assert [n.kind for n in graph.nodes if n.kind in {OpKind.SOFTMAX, OpKind.NORM}] == [OpKind.SOFTMAX]
    assert use(graph, "a.weight").head


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
    [(nn.LSTM(8, 4), (4,) * 4), (nn.GRU(8, 4), (4,) * 3), (nn.RNN(8, 4, nonlinearity="relu"), ())],
    ids=["lstm", "gru", "rnn"],
)
def test_recurrent_layers(model: nn.Module, blocks: tuple[int, ...]) -> None:
    graph = read(model, SEQUENCE)
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


def test_control_flow_on_values_has_no_answer_on_meta() -> None:
    with torch.device("meta"):
        model = Branching()
    with pytest.raises(ModelError, match="build it on a real device"):
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
