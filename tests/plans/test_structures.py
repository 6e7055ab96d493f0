"""Parts of networks whose weights take their law from what the run does with what they make."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor, nn  # noqa: E402
from torch.nn import functional  # noqa: E402

import fanin.torch  # noqa: E402
from fanin.plans import plan  # noqa: E402
from fanin.plans.derivatives import derivative_nodes  # noqa: E402
from fanin.plans.facts import Facts  # noqa: E402
from fanin.records.axes import Axes, Role  # noqa: E402
from fanin.records.draw import Constant, Orthogonal  # noqa: E402
from fanin.records.graph import Use, UseKind  # noqa: E402


def std_of(made: Any, name: str) -> float:
    entry = made[name]
    assert entry.draw is not None
    return float(entry.draw.std)


class Flow(nn.Module):
    """Channels are mixed by a matrix whose determinant the density needs."""

    def __init__(self, width: int, *, counted: bool = True) -> None:
        super().__init__()
        self.turn, self.counted = nn.Parameter(torch.randn(width, width)), counted

    def forward(self, x: Tensor) -> Tensor:
        y = x @ self.turn
        # Halves of the output with parts of their own, as in a coupling: the map is one all the same.
        y = torch.cat([y[:, : len(self.turn) // 2].tanh(), y[:, len(self.turn) // 2 :]], 1)
        energy = 0.5 * (y * y).sum(1)
        return energy - torch.linalg.slogdet(self.turn)[1] if self.counted else energy


def test_a_map_whose_determinant_is_taken_is_orthogonal() -> None:
    x = torch.randn(16, 12)
    entry = fanin.torch.plan(Flow(12), x)["turn"]
    assert entry.rule == "determinant"
    assert not entry.blocks
    assert entry.draw == Orthogonal(gain=1.0, std=1.0 / math.sqrt(12))
    assert fanin.torch.plan(Flow(12, counted=False), x)["turn"].rule != "determinant"
    assert fanin.torch.plan(Flow(12), x, policy="lecun")["turn"].rule != "determinant"
    model = Flow(12)
    fanin.torch.init_(model, x, seed=0)
    # Its rounding is that of float32 products: 12 factors.
    assert abs(float(torch.linalg.slogdet(model.turn.detach())[1])) < 12 * 12 * torch.finfo(torch.float32).eps


class Block(nn.Module):
    """Fixup's: shifts of one number each, a multiplier behind the last weight, and no norm."""

    def __init__(self, *, shifted: bool = True, wide: bool = False) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(8, 8, bias=False), nn.Linear(8, 8, bias=False)
        self.scale = nn.Parameter(torch.ones(8 if wide else 1))
        self.before, self.after = nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))
        self.shifted = shifted

    def forward(self, x: Tensor) -> Tensor:
        out = self.last(functional.relu(self.first(x + self.before))) * self.scale
        return x + (out + self.after if self.shifted else out)


def blocks(count: int, **more: bool) -> nn.Module:
    return nn.Sequential(nn.Linear(8, 8), *(Block(**more) for _ in range(count)), nn.Linear(8, 3))


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_fixup_s_multipliers_stand_for_norms_and_start_at_one(device: str) -> None:
    with torch.device(device):
        model, x = blocks(5), torch.zeros(4, 8)
    made = fanin.torch.plan(model, x)
    assert made["2.last.weight"].draw == Constant(value=0.0)
    assert made["2.scale"].draw == Constant(value=1.0)
    assert std_of(made, "2.first.weight") == pytest.approx(math.sqrt(2 / 8) * 5**-0.5)
    # The stream starts as the stem's output, of power 1.
    assert std_of(made, "6.weight") == pytest.approx(0.5 / math.sqrt(8))


@pytest.mark.parametrize("more", [{"shifted": False}, {"wide": True}])
def test_a_scale_that_stands_alone_pays_for_depth_itself(more: dict[str, bool]) -> None:
    made = fanin.torch.plan(blocks(5, **more), torch.zeros(4, 8))
    assert std_of(made, "2.last.weight") > 0.0
    assert made["2.scale"].draw is None


def test_named_policies_leave_multipliers_alone() -> None:
    made = fanin.torch.plan(blocks(5), torch.zeros(4, 8), policy="he")
    assert made["2.scale"].draw is None
    assert std_of(made, "2.last.weight") > 0.0


def test_blocks_with_multipliers_train_from_zero() -> None:
    model = blocks(5)
    x = torch.randn(64, 8, generator=torch.Generator().manual_seed(0))
    fanin.torch.init_(model, x, seed=0)
    with torch.no_grad():
        stem = model[0](x)
        assert torch.equal(model[:6](x), stem)
    functional.cross_entropy(model(x), torch.arange(64) % 3).backward()
    assert float(model[2].last.weight.grad.abs().max()) > 0.0


class Summed(nn.Module):
    """Outputs are the sum of what several layers say, one of them about single rows of a table."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.body = nn.ModuleList(nn.Linear(8, 8) for _ in range(count))
        self.outs = nn.ModuleList(nn.Linear(8, 1) for _ in range(count))
        self.rows = nn.Embedding(10, 1)

    def forward(self, x: Tensor, ids: Tensor) -> Tensor:
        said = self.rows(ids).sum(1)
        for layer, out in zip(self.body, self.outs, strict=True):
            x = functional.relu(layer(x))
            said = said + out(x)
        return torch.sigmoid(said)


def test_summands_of_the_output_share_its_std() -> None:
    made = fanin.torch.plan(Summed(3), torch.randn(16, 8), torch.randint(0, 10, (16, 4)))
    for i in range(3):
        # Three layers and the table of single numbers, which starts at zero.
        assert std_of(made, f"outs.{i}.weight") == pytest.approx(0.5 / math.sqrt(8 * 4))
        assert "summands of the output" in made[f"outs.{i}.weight"].reason
    assert made["rows.weight"].draw == Constant(value=0.0)


def test_a_stream_s_branches_are_no_summands_of_the_output() -> None:
    class Backbone(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Linear(8, 8)
            self.norms = nn.ModuleList(nn.LayerNorm(8) for _ in range(4))
            self.layers = nn.ModuleList(nn.Linear(8, 8) for _ in range(4))

        def forward(self, x: Tensor) -> Tensor:
            x = self.stem(x)
            for norm, layer in zip(self.norms, self.layers, strict=True):
                x = x + layer(norm(x))
            return x

    made = fanin.torch.plan(Backbone(), torch.randn(16, 8))
    assert {made[f"layers.{i}.weight"].rule for i in range(4)} == {"residual projection"}


class Made(nn.Module):
    """A network that makes the matrix of a layer, with a matrix of its own beside."""

    def __init__(self, *, end: bool = False, own: bool = False) -> None:
        super().__init__()
        self.maker, self.first, self.head = nn.Linear(16, 32 * 64), nn.Linear(16, 64), nn.Linear(32, 3)
        self.own = nn.Parameter(torch.randn(32, 64)) if own else None
        self.end = end

    def forward(self, x: Tensor) -> Tensor:
        matrix = self.maker(x).view(-1, 32, 64)
        if self.own is not None:
            matrix = matrix + self.own
        out = torch.bmm(matrix, torch.tanh(self.first(x))[..., None]).squeeze(-1)
        return out if self.end else self.head(functional.relu(out))


@pytest.mark.parametrize(("end", "own"), [(False, False), (True, False), (False, True)])
def test_weights_that_make_weights_make_them_as_large_as_their_layer_needs(end: bool, own: bool) -> None:
    made = fanin.torch.plan(Made(end=end, own=own), torch.randn(8, 16))
    asked = (0.5 if end else math.sqrt(2.0)) / math.sqrt(64) / (math.sqrt(2.0) if own else 1.0)
    assert std_of(made, "maker.weight") == pytest.approx(asked / math.sqrt(16))
    if own:
        assert std_of(made, "own") == pytest.approx(asked)


def test_queries_keys_and_values_are_no_made_weights() -> None:
    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.q, self.k, self.v = (nn.Linear(16, 16) for _ in range(3))
            self.head = nn.Linear(16, 3)

        def forward(self, x: Tensor) -> Tensor:
            one = self.q(x[:, :1])
            scores = torch.softmax(one @ self.k(x).mT / 4.0, -1)
            return self.head((scores @ self.v(x)).squeeze(1))

    made = fanin.torch.plan(Attention(), torch.randn(8, 5, 16))
    assert {made[f"{name}.weight"].rule for name in "qkv"} == {"weight"}
    assert {std_of(made, f"{name}.weight") for name in "qkv"} == {0.25}


class Tables(nn.Module):
    """Rows of two tables meet: number by number, in a sum, or beside each other."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.users, self.items, self.how = nn.Embedding(20, 16), nn.Embedding(20, 16), how
        self.head = nn.Linear(32 if how == "beside" else 16, 1)

    def forward(self, user: Tensor, item: Tensor) -> Tensor:
        u, i = self.users(user), self.items(item)
        if self.how == "sum":
            return (u * i).sum(-1)
        if self.how == "heap":
            heap = torch.stack([u, i], 1)
            return (heap @ heap.mT).flatten(1).mean(1)
        return self.head(torch.cat([u, i], -1) if self.how == "beside" else u * i)


@pytest.mark.parametrize(
    ("how", "std"),
    [("number", 0.05**0.5), ("sum", (0.05 / 4) ** 0.5), ("heap", (0.05 / 4) ** 0.5), ("beside", 1.0)],
)
def test_rows_of_tables_that_meet_start_small(how: str, std: float) -> None:
    made = fanin.torch.plan(Tables(how), torch.arange(8), torch.arange(8))
    assert std_of(made, "users.weight") == std_of(made, "items.weight") == pytest.approx(std)


class Cells(nn.Module):
    """An LSTM cell, called at each step."""

    def __init__(self, *, bias: bool = True) -> None:
        super().__init__()
        self.cell = nn.LSTMCell(6, 8, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        state = None
        for step in x.unbind(1):
            state = self.cell(step, state)
        return state[0]


class ByHand(nn.Module):
    """The same written out, with one bias and the forget gate in the third place."""

    def __init__(self) -> None:
        super().__init__()
        self.cell, self.again = nn.Linear(6, 32), nn.Linear(8, 32, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        h = c = x.new_zeros(len(x), 8)
        for step in x.unbind(1):
            i, g, f, o = (self.cell(step) + self.again(h)).chunk(4, -1)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(c)
        return h


class AllAtOnce(ByHand):
    """The same, with what the inputs and the bias say computed for all steps before the first."""

    def forward(self, x: Tensor) -> Tensor:
        h = c = x.new_zeros(len(x), 8)
        for said in self.cell(x).unbind(1):
            i, g, f, o = (said + self.again(h)).chunk(4, -1)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(c)
        return h


class Whole(nn.Module):
    """A fused recurrence."""

    def __init__(self, kind: type[nn.RNNBase], **more: object) -> None:
        super().__init__()
        self.cell = kind(6, 8, batch_first=True, **more)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        return self.cell(x)[0][:, -1]


@pytest.mark.parametrize(
    ("model", "names", "gate"),
    [
        (Cells(), ("cell.bias_ih", "cell.bias_hh"), 1),
        (ByHand(), ("cell.bias",), 2),
        (AllAtOnce(), ("cell.bias",), 2),
        (Whole(nn.LSTM, num_layers=2, bidirectional=True), ("cell.bias_ih_l1", "cell.bias_hh_l1"), 1),
    ],
)
def test_the_forget_gate_of_an_lstm_starts_open(model: nn.Module, names: tuple[str, ...], gate: int) -> None:
    x = torch.randn(4, 5, 6)
    fanin.torch.init_(model, x, seed=0)
    biases = sum(dict(model.named_parameters())[name].detach() for name in names)
    wanted = torch.zeros(4, 8)
    wanted[gate] = 1.0
    assert torch.equal(biases.reshape(4, 8), wanted)


@pytest.mark.parametrize("model", [Whole(nn.GRU), Whole(nn.RNN)])
def test_biases_of_other_recurrences_stay_zero(model: nn.Module) -> None:
    made = fanin.torch.plan(model, torch.randn(4, 5, 6))
    assert all(entry.draw == Constant(value=0.0) for entry in made.entries if "bias" in entry.name)
    assert not any(entry.blocks for entry in made.entries if "bias" in entry.name)


def test_named_policies_leave_forget_gates_alone() -> None:
    made = fanin.torch.plan(Cells(), torch.randn(4, 5, 6), policy="he")
    assert made["cell.bias_ih"].draw == Constant(value=0.0)
    assert not made["cell.bias_ih"].blocks


class Solver(nn.Module):
    """The residual of an equation in the second derivative of a network of one input."""

    def __init__(self, activation: type[nn.Module] = nn.Tanh) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(1, 16), activation(), nn.Linear(16, 16), activation(), nn.Linear(16, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = x.requires_grad_()
        u = self.net(x)
        (slope,) = torch.autograd.grad(u.sum(), x, create_graph=True)
        (bend,) = torch.autograd.grad(slope.sum(), x, create_graph=True)
        return (bend + u).square().mean()


@pytest.mark.parametrize("activation", [nn.Tanh, nn.SiLU])
def test_weights_that_run_back_in_a_derivative_are_planned_as_they_run_forward(
    activation: type[nn.Module],
) -> None:
    model = Solver(activation)
    made, alone = fanin.torch.plan(model, torch.rand(8, 1)), fanin.torch.plan(model.net, torch.rand(8, 1))
    for name in ("0.weight", "2.weight"):
        assert made[f"net.{name}"].draw == alone[name].draw
        assert "strictest" not in made[f"net.{name}"].reason


def test_a_use_turned_round_behind_a_constant_is_no_layer(builder: Any) -> None:
    first = builder.weight(builder.node("input"), "w", (8, 2))
    builder.weight(builder.act(first, "tanh")[0], "last", (1, 8))
    back = builder.node("contraction", parameters=("last",))
    again = builder.node("contraction", builder.node("product", back, first), parameters=("w",))
    turned = Axes(roles=(Role.IN, Role.OUT))
    for place, node in ((0, again), (1, back)):
        old = builder.parameters[place]
        use = Use(node=node, kind=UseKind.WEIGHT, axes=turned)
        builder.parameters[place] = replace(old, uses=(*old.uses, use))
    graph = builder.build()
    assert derivative_nodes(Facts(graph=graph)) == {back, back + 1, again}
    entry = plan(graph)["w"]
    assert std_of(plan(graph), "w") == pytest.approx(1.0 / math.sqrt(2))
    assert any("derivative" in text for text in entry.evidence)
    # A named policy asks every use, as before.
    assert "strictest" in plan(graph, policy="he")["w"].reason


def test_a_decoder_that_shares_its_encoder_s_weight_is_no_derivative() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.randn(6, 24))

        def forward(self, x: Tensor) -> Tensor:
            return torch.tanh(x @ self.weight.T) @ self.weight

    assert "strictest" in fanin.torch.plan(Tied(), torch.randn(8, 24))["weight"].reason
