"""Reading small models: each thing that the computation says must be in the graph."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from fanin.records.graph import OpKind, UseKind
from fanin.torch.read import read
from torch_reading import BATCH, SEQUENCE, From, activation, axes, parameter, use


# ------------------------------------------------------------------ chains
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


def test_an_activation_before_an_average_is_seen() -> None:
    graph = read(
        From(lambda m, x: m.b(m.a(x).relu().mean(1)), a=nn.Linear(8, 8), b=nn.Linear(8, 2)), SEQUENCE
    )
    assert activation(graph, "a.weight") == "relu"
    assert [n.kind for n in graph.nodes][2:4] == [OpKind.ACTIVATION, OpKind.POOL]


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
