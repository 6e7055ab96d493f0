"""Plans of whole models as users write them: tensors that look like something else than they are."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

import fanin.torch as ft
from fanin.records.draw import Normal
from fanin.records.plan import Status


class Policy(nn.Module):
    """An actor whose spread does not depend on the state, as PPO's usual code has it."""

    def __init__(self) -> None:
        super().__init__()
        self.mean = nn.Sequential(nn.Linear(17, 64), nn.Tanh(), nn.Linear(64, 6))
        self.log_std = nn.Parameter(torch.zeros(1, 6))

    def forward(self, state: torch.Tensor, action: torch.Tensor) -> torch.Tensor:
        mean = self.mean(state)
        spread = torch.distributions.Normal(mean, self.log_std.expand_as(mean).exp(), validate_args=False)
        return spread.log_prob(action).sum(1)


def test_the_log_of_a_spread_keeps_its_value() -> None:
    model = Policy()
    entry = ft.init_(model, torch.randn(8, 17), torch.randn(8, 6))["log_std"]
    assert entry.status == Status.KEPT
    assert entry.draw is None
    assert not model.log_std.any()


def test_a_row_added_to_outputs_is_no_position_and_one_before_a_weight_is() -> None:
    class Model(nn.Module):
        def __init__(self, last: nn.Module) -> None:
            super().__init__()
            self.first, self.row, self.last = nn.Linear(8, 8), nn.Parameter(torch.zeros(1, 8)), last

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.last(functional.softplus(self.first(x)) + self.row)

    x = torch.randn(4, 5, 8)
    assert ft.plan(Model(nn.Identity()), x)["row"].draw is None
    assert ft.plan(Model(nn.Linear(8, 3)), x)["row"].rule == "positions"


class Tabular(nn.Module):
    """Numerical features, each multiplied by a row of its own, as in FT-Transformer."""

    def __init__(self, after: nn.Module) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(10, 32).uniform_(-0.2, 0.2))
        self.after = after
        self.head = nn.Linear(32, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows = x.unsqueeze(-1) * self.weight
        return self.head(self.after(rows).mean(1))


class Sine(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.sin(x)


def test_a_row_for_each_feature_is_a_weight_of_one_input() -> None:
    model = Tabular(nn.LayerNorm(32))
    x = torch.randn(256, 10)
    entry = ft.init_(model, x)["weight"]
    assert (entry.rule, entry.draw) == ("spread", Normal(std=1.0))
    assert "over 32" in entry.reason


def test_frequencies_and_gates_are_not_spread() -> None:
    x = torch.randn(16, 10)
    assert ft.plan(Tabular(Sine()), x)["weight"].status == Status.KEPT

    class Gated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gate, self.head = nn.Parameter(torch.ones(10)), nn.Linear(10, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(x * self.gate)

    assert ft.plan(Gated(), x)["gate"].status == Status.KEPT


def test_a_scale_of_padded_chunks_is_not_spread() -> None:
    """Chunks are filled up with zeros, so that more numbers leave the product than what came in has."""

    class Chunks(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.enter, self.skip, self.out = nn.Linear(8, 32), nn.Parameter(torch.ones(8)), nn.Linear(32, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            heads = self.enter(x).unflatten(-1, (8, 4))
            padded = functional.pad(heads, (0, 0, 0, 0, 0, 48 - x.shape[1]))
            return self.out((padded * self.skip[:, None]).flatten(2))

    entry = ft.plan(Chunks(), torch.randn(3, 6, 8))["skip"]
    assert entry.rule == "constructor value"


class Scan(nn.Module):
    """A state that forgets at learned rates; its first turn multiplies zeros."""

    def __init__(self) -> None:
        super().__init__()
        self.step, self.enter, self.rates = nn.Linear(6, 6), nn.Linear(6, 6), nn.Parameter(torch.zeros(6, 4))
        self.out = nn.Linear(6, 6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        step, enter = functional.softplus(self.step(x)), self.enter(x)
        state = torch.zeros(x.shape[0], 6, 4)
        for turn in range(x.shape[1]):
            kept = torch.exp(step[:, turn, :, None] * -self.rates.exp())
            state = kept * state + enter[:, turn, :, None]
        return self.out(state.sum(-1))


def test_rates_are_told_by_what_most_of_their_uses_show() -> None:
    entry = ft.plan(Scan(), torch.randn(3, 5, 6))["rates"]
    assert entry.status == Status.KEPT
    assert "forgetting" in entry.reason


class Told(nn.Module):
    """A block that a condition shifts, scales and gates, as in DiT."""

    def __init__(self, *, plus: float = 1.0) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(32, elementwise_affine=False)
        self.work = nn.Sequential(nn.Linear(32, 64), nn.GELU(), nn.Linear(64, 32))
        self.tell = nn.Sequential(nn.SiLU(), nn.Linear(16, 96))
        self.enter, self.out, self.plus = nn.Linear(8, 32), nn.Linear(32, 4), plus

    def forward(self, x: torch.Tensor, told: torch.Tensor) -> torch.Tensor:
        x = self.enter(x)
        shift, scale, gate = self.tell(told).unsqueeze(1).chunk(3, dim=-1)
        x = x + gate * self.work(self.norm(x) * (self.plus + scale) + shift)
        return self.out(x)


def test_what_modulates_a_norm_starts_as_a_plain_norm() -> None:
    batch = torch.randn(6, 5, 8), torch.randn(6, 16)
    entry = ft.plan(Told(), *batch)["tell.1.weight"]
    assert (entry.rule, entry.scheme) == ("modulation", "zeros")
    assert "scale and shift and gate" in entry.reason
    # Without the 1 zeros would let nothing through.
    assert ft.plan(Told(plus=0.0), *batch)["tell.1.weight"].rule == "weight"


class Neighbours(nn.Module):
    """Two layers of averages over the neighbours that the data name."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(8, 16, bias=False), nn.Linear(16, 3, bias=False)

    def forward(self, x: torch.Tensor, near: torch.Tensor) -> torch.Tensor:
        return near @ self.last(torch.tanh(near @ self.first(x)))


def test_the_last_weight_before_an_average_or_a_density_is_the_head() -> None:
    plan = ft.plan(Neighbours(), torch.randn(9, 8), torch.rand(9, 9))
    assert plan["last.weight"].rule == "head"
    assert plan["first.weight"].rule == "weight"
    assert ft.plan(Policy(), torch.randn(8, 17), torch.randn(8, 6))["mean.2.weight"].rule == "head"


ROWS = 64


class Factorised(nn.Module):
    """Matrix factorisation: what a user gives an item, with a bias for each of both."""

    def __init__(self) -> None:
        super().__init__()
        self.users, self.items = nn.Embedding(200, ROWS), nn.Embedding(200, ROWS)
        self.mean = nn.Embedding(200, 1)

    def forward(self, user: torch.Tensor, item: torch.Tensor) -> torch.Tensor:
        return (self.users(user) * self.items(item)).sum(-1) + self.mean(user)[:, 0]


class Towers(nn.Module):
    """Two towers whose outputs are compared, as they are or as attention compares them."""

    def __init__(self, *, attends: bool = False) -> None:
        super().__init__()
        self.left = nn.Sequential(nn.Linear(20, 50), nn.ReLU(), nn.Linear(50, ROWS))
        self.right = nn.Sequential(nn.Linear(20, 50), nn.ReLU(), nn.Linear(50, ROWS))
        self.values, self.attends = nn.Linear(20, 8), attends

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        like = self.left(x) @ self.right(y).T / 2
        if not self.attends:
            return like
        return (like / ROWS**0.5).softmax(-1) @ self.values(y)


def first_outputs(model: nn.Module, *batch: torch.Tensor) -> float:
    """Root mean square of a model's outputs, initialised."""
    ft.init_(model, *batch, seed=3)
    with torch.no_grad():
        return float(model(*batch).square().mean().sqrt())


def test_outputs_that_are_products_of_two_signals_start_as_small_as_others() -> None:
    generator = torch.Generator().manual_seed(0)
    user, item = (torch.randint(0, 200, (4000,), generator=generator) for _ in range(2))
    model = Factorised()
    # Some thousand pairs of 200 rows each; the std of a row's mean square is sqrt(2 / 64). What rows of two
    # tables say together starts at a tenth of what weights say.
    assert abs(first_outputs(model, user, item) - 0.05) < 0.01
    assert not model.mean.weight.any()
    plan = ft.plan(model, user, item)
    assert "64 products" in plan["users.weight"].reason
    x, y = torch.randn(200, 20, generator=generator), torch.randn(200, 20, generator=generator)
    assert abs(first_outputs(Towers(), x, y) - 0.5) < 0.25


class Masks(nn.Module):
    """Queries of two layers are held against one map of features, which is read twice, as in MaskFormer."""

    def __init__(self, *, decodes: bool = False) -> None:
        super().__init__()
        self.map, self.query = nn.Conv2d(3, ROWS, 1), nn.Linear(20, 20)
        self.kernel, self.decodes, self.classes = nn.Linear(20, ROWS), decodes, nn.Conv2d(ROWS, 4, 1)

    def forward(self, image: torch.Tensor, query: torch.Tensor) -> tuple[torch.Tensor, ...]:
        places = self.map(image)
        second = torch.tanh(self.query(query))
        outputs = tuple(torch.einsum("bqc,bchw->bqhw", self.kernel(q), places) for q in (query, second))
        return (*outputs, self.classes(places)) if self.decodes else outputs


def test_masks_of_several_layers_share_what_the_outputs_ask_for() -> None:
    generator = torch.Generator().manual_seed(0)
    batch = (torch.randn(8, 3, 9, 9, generator=generator), torch.randn(8, 50, 20, generator=generator))
    for decodes in (False, True):
        model = Masks(decodes=decodes)
        plan = ft.init_(model, *batch, seed=3)
        with torch.no_grad():
            power = float(model(*batch)[0].square().mean())
        # Three weights make each place's power: its relative std is sqrt(2 / 3) at most.
        assert abs(power**0.5 - 0.5) < 0.25
        # A map that more than the masks read keeps its power.
        assert ("products" in plan["map.weight"].reason) is not decodes


def test_what_attention_compares_is_no_output() -> None:
    x, y = torch.randn(9, 20), torch.randn(9, 20)
    plan = ft.plan(Towers(attends=True), x, y)
    for name in ("left.2.weight", "right.2.weight", "values.weight"):
        assert "products" not in plan[name].reason


class Turned(nn.Module):
    """Attention without a scale whose queries and keys pass norms, and turn by places that the data name."""

    def __init__(self, heads: int = 2, width: int = 16) -> None:
        super().__init__()
        self.heads, self.width = heads, width
        self.qkv = nn.Linear(32, 3 * heads * width)
        self.query, self.key = nn.RMSNorm(width), nn.RMSNorm(width)
        self.out = nn.Linear(heads * width, 4)

    def turned(self, x: torch.Tensor, angles: torch.Tensor) -> torch.Tensor:
        left, right = x.chunk(2, dim=-1)
        return x * angles.cos() + torch.cat([-right, left], dim=-1) * angles.sin()

    def forward(self, x: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, self.width)).unbind(2)
        angles = places.float()[:, :, None, None] * torch.ones(self.width)
        q, k = self.turned(self.query(q), angles), self.turned(self.key(k), angles)
        weights = torch.einsum("bihd,bjhd->bhij", q, k).softmax(-1)
        return self.out(torch.einsum("bhij,bjhd->bihd", weights, v).flatten(2))


def test_scores_are_known_when_the_data_name_the_places() -> None:
    plan = ft.plan(Turned(), torch.randn(4, 9, 32), torch.arange(9).expand(4, 9))
    entry = plan["query.weight"]
    assert entry.draw is not None
    # Scores of queries and keys of power 1 have power 16: each side takes a half of its root.
    assert entry.draw.std == 0.0
    assert abs(entry.draw.mean - 0.5) < 1e-12
    assert "unscaled scores" in entry.reason


def test_a_norm_makes_up_for_what_a_gate_took() -> None:
    class Gated(nn.Module):
        def __init__(self, between: nn.Module) -> None:
            super().__init__()
            self.enter, self.between, self.out = nn.Linear(32, 128), between, nn.Linear(64, 64)
            self.head = nn.Linear(64, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(torch.tanh(self.out(self.between(functional.glu(self.enter(x))))))

    x = torch.randn(8, 32)
    assert ft.plan(Gated(nn.LayerNorm(64)), x)["out.weight"].gain == 1.0
    kept = ft.plan(Gated(nn.Identity()), x)["out.weight"].gain
    assert kept is not None
    assert kept > 1.5  # E sigmoid(z)^2 is 0.293
