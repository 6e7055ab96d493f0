"""Rules on real models of torch: numbers divided by themselves, losses that do not pair, tiny norm scales."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn import functional

import fanin.torch
from fanin.records.finding import Finding, Severity

BATCH = 64


def findings(model: nn.Module, *inputs: torch.Tensor, **options: object) -> dict[str, Finding]:
    report = fanin.torch.check(model, *inputs, **options)  # type: ignore[arg-type]
    return {f.code: f for f in report.findings}


def loud(found: dict[str, Finding]) -> list[str]:
    return [code for code, f in found.items() if f.severity != Severity.INFO]


def plain(end: nn.Module | None = None, outputs: int = 10) -> nn.Sequential:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, outputs))
    fanin.torch.init_(model, torch.randn(BATCH, 32), seed=1)
    return nn.Sequential(*model, *([end] if end else []))


def squares(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    return ((output - target) ** 2).mean()


def test_a_softmax_over_one_output_is_one() -> None:
    x, y = torch.randn(BATCH, 32), torch.randint(2, (BATCH, 1)).float()
    found = findings(plain(nn.Softmax(dim=1), outputs=1), x, target=y, loss=nn.MSELoss())
    assert loud(found) == ["FAN302"]
    assert "softmax over one" in found["FAN302"].cause
    assert found["FAN302"].severity == Severity.FAILURE
    assert loud(findings(plain(nn.Sigmoid(), outputs=1), x, target=y, loss=nn.MSELoss())) == []


class Routed(nn.Module):
    """Four experts, of which one is chosen; `weigh` makes its weight of what the router says."""

    def __init__(self, weigh: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.router = nn.Linear(64, 4, bias=False)
        self.experts = nn.ModuleList(nn.Linear(64, 64) for _ in range(4))
        self.weigh = weigh

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weight, chosen = self.router(x).softmax(-1).topk(1, -1)
        each = torch.stack([expert(x) for expert in self.experts], 1)
        return x + self.weigh(weight) * each.gather(1, chosen[:, :, None].expand(-1, -1, 64))[:, 0]


def test_one_weight_divided_by_its_own_sum_leaves_the_router_without_gradient() -> None:
    def routed(weigh: Callable[[torch.Tensor], torch.Tensor]) -> dict[str, Finding]:
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(32, 64), Routed(weigh), nn.Linear(64, 10))
        return findings(model, torch.randn(BATCH, 32), target=torch.randint(10, (BATCH,)))

    found = routed(lambda w: w / (w.sum(-1, keepdim=True) + 1e-20))
    assert loud(found) == ["FAN302"]
    assert "1.router.weight" in found["FAN302"].where
    assert loud(routed(lambda w: w)) == []
    # One in value, with the gradient of the logarithm: it is meant to be so.
    assert loud(routed(lambda w: w / w.detach())) == []


def test_attention_over_a_single_place_is_the_matter_of_the_batch() -> None:
    class Attend(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.query, self.key, self.value = (nn.Linear(32, 32) for _ in range(3))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            scores = self.query(x) @ self.key(x).transpose(1, 2) / 32**0.5
            seen: torch.Tensor = scores.softmax(-1) @ self.value(x)
            return x + seen

    torch.manual_seed(0)
    model = nn.Sequential(Attend(), nn.Flatten(), nn.Linear(32, 10))
    found = findings(model, torch.randn(BATCH, 1, 32), target=torch.randint(10, (BATCH,)))
    assert "FAN302" not in loud(found)


@pytest.mark.parametrize("loss", [squares, nn.MSELoss(), functional.l1_loss])
@pytest.mark.filterwarnings("ignore:Using a target size")
def test_a_loss_that_compares_each_output_with_every_target(loss: Callable[..., torch.Tensor]) -> None:
    x, y = torch.randn(BATCH, 32), torch.randn(BATCH)
    found = findings(plain(outputs=1), x, target=y, loss=loss)
    assert loud(found) == ["FAN307"]
    assert "broadcast" in found["FAN307"].summary
    assert loud(findings(plain(outputs=1), x, target=y[:, None], loss=loss)) == []


def test_a_loss_that_brings_both_to_one_shape_or_takes_no_target_is_left_in_peace() -> None:
    x, y = torch.randn(BATCH, 32), torch.randn(BATCH)
    fitting = lambda output, target: squares(output.squeeze(-1), target)  # noqa: E731
    alone = lambda output, _target: (output**2).mean()  # noqa: E731
    for loss in (fitting, alone):
        assert loud(findings(plain(outputs=1), x, target=y, loss=loss)) == []


@pytest.mark.parametrize(
    ("end", "word"), [(nn.Sigmoid(), "compete"), (None, "logits"), (nn.Softmax(1), "softmax")]
)
def test_the_negative_log_likelihood_takes_logarithms(end: nn.Module | None, word: str) -> None:
    x, y = torch.randn(BATCH, 32), torch.randint(10, (BATCH,))
    found = findings(plain(end), x, target=y, loss=functional.nll_loss)
    assert loud(found) == ["FAN307"]
    assert word in found["FAN307"].cause
    assert loud(findings(plain(nn.LogSoftmax(1)), x, target=y, loss=functional.nll_loss)) == []


def test_targets_out_of_reach_are_told_once() -> None:
    x, y = torch.randn(BATCH, 32), 50.0 + 15.0 * torch.randn(BATCH, 1)
    found = findings(plain(nn.Tanh(), outputs=1), x, target=y)
    assert loud(found) == ["FAN307"]
    assert "FAN301" in found["FAN307"].summary


def test_units_at_the_bound_of_an_output_that_does_not_fit_are_not_told_besides() -> None:
    model, x = plain(nn.ReLU(), outputs=40), torch.randn(BATCH, 32)
    with torch.no_grad():
        model[2].bias[:30] = -5.0  # type: ignore[operator]
    y = torch.randn(BATCH, 40)
    assert loud(findings(model, x, target=y)) == ["FAN307"]
    assert loud(findings(model, x, target=y.abs())) == ["FAN104"]


class Block(nn.Module):
    def __init__(self, skip: bool, std: float) -> None:
        super().__init__()
        self.weight, self.norm, self.skip = nn.Linear(64, 64, bias=False), nn.LayerNorm(64), skip
        nn.init.normal_(self.norm.weight, std=std)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        made = self.norm(self.weight(x))
        return x + made if self.skip else torch.relu(made)


def test_scales_around_zero_are_told_at_any_size_where_nothing_goes_around_them() -> None:
    x, y = torch.randn(BATCH, 64), torch.randint(10, (BATCH,))

    def stacked(skip: bool) -> list[str]:
        torch.manual_seed(0)
        model = nn.Sequential(*[Block(skip, 0.002) for _ in range(4)], nn.Linear(64, 10))
        return loud(findings(model, x, target=y))

    assert stacked(skip=False) == ["FAN204"]
    # A branch that started at zero and has made a step.
    assert "FAN204" not in stacked(skip=True)


@pytest.mark.parametrize(("deviations", "told"), [(600.0, True), (30.0, False)])
def test_a_mean_of_hundreds_of_deviations_leaves_nothing_to_tell_samples_apart(
    deviations: float, told: bool
) -> None:
    x = 2.0 + 2.0 / deviations * torch.randn(BATCH, 32)
    found = findings(plain(), x, target=torch.randint(10, (BATCH,)))
    assert ("FAN401" in loud(found)) == told


def test_an_end_that_lies_at_its_bound_as_a_whole_is_told_with_its_targets() -> None:
    model, x = plain(outputs=1), torch.randn(BATCH, 32)
    head = model[-1]
    assert isinstance(head, nn.Linear)
    with torch.no_grad():
        head.weight.mul_(0.1)
        head.bias.fill_(-0.8)
        assert bool((model(x) < 0.0).all())
    found = findings(nn.Sequential(*model, nn.ReLU()), x, target=torch.randn(BATCH, 1))
    assert loud(found) == ["FAN307"]
    assert found["FAN307"].severity == Severity.FAILURE


def test_a_loop_whose_weight_grows_the_state_is_to_blame_and_not_the_head() -> None:
    class Looped(nn.Module):
        def __init__(self, times: float) -> None:
            super().__init__()
            self.rnn: nn.RNN = nn.RNN(8, 32, nonlinearity="relu", batch_first=True)
            self.out = nn.Linear(32, 4)
            with torch.no_grad():
                next(p for n, p in self.rnn.named_parameters() if n == "weight_hh_l0").copy_(
                    times * torch.eye(32)
                )

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            made: torch.Tensor = self.out(self.rnn(x)[0][:, -1])
            return made

    torch.manual_seed(0)
    x, y = 0.3 * torch.randn(BATCH, 40, 8), torch.randint(4, (BATCH,))
    found = findings(Looped(1.5), x, target=y)["FAN301"]
    assert found.where == ("rnn.weight_hh_l0",)
    assert 0.6 < float(found.fix.split(" by ")[1].split()[0]) < 0.7
    assert "FAN301" not in loud(findings(Looped(1.0), x, target=y))


class Encoder(nn.Module):
    """Post-norm attention and MLPs over vectors, drawn by hand."""

    def __init__(self, times: float, sharp: float) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            nn.ModuleDict({k: nn.Linear(48, 48, bias=False) for k in ("q", "k", "v", "o", "up", "down")})
            for _ in range(6)
        )
        self.head = nn.Linear(48, 10)
        with torch.no_grad():
            for name, weight in self.blocks.named_parameters():
                nn.init.normal_(weight, std=times * 48**-0.5)
                if ".q." in name or ".k." in name:
                    weight.mul_(sharp)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for b in self.blocks:
            scores = b["q"](x) @ b["k"](x).transpose(1, 2) / 48**0.5  # type: ignore[index]
            x = functional.layer_norm(x + b["o"](scores.softmax(-1) @ b["v"](x)), (48,))  # type: ignore[index]
            x = functional.layer_norm(x + b["down"](torch.relu(b["up"](x))), (48,))  # type: ignore[index]
        made: torch.Tensor = self.head(x.mean(1))
        return made


@pytest.mark.parametrize(("times", "sharp", "many"), [(10.0, 1.0, True), (1.0, 4.0, False)])
def test_one_scale_for_all_weights_is_one_fault_of_all_weights(
    times: float, sharp: float, many: bool
) -> None:
    torch.manual_seed(0)
    found = findings(Encoder(times, sharp), torch.randn(16, 12, 48), target=torch.randint(10, (16,)))
    assert "FAN111" in loud(found)
    assert ("FAN102" not in loud(found)) or not many
    assert (len(found["FAN111"].where) > 30) == many


def test_numbers_of_memory_that_nobody_wrote_are_no_scale() -> None:
    model, x, y = plain(), torch.randn(BATCH, 32), torch.randint(10, (BATCH,))
    assert loud(findings(model, x, target=y)) == []
    with torch.no_grad():
        next(p for n, p in model.named_parameters() if n == "2.weight")[3, ::13] = 1.7e25
    found = findings(model, x, target=y)
    assert loud(found) == ["FAN106"]
    assert found["FAN106"].where == ("2.weight",)


@pytest.mark.parametrize(("start", "told"), [(-6.0, True), (-0.5, False)])
def test_a_parameter_that_is_returned_is_blamed_for_its_size(start: float, told: bool) -> None:
    class Policy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.mean = plain(outputs=1)
            self.log_std = nn.Parameter(torch.full((1,), start))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.cat([self.mean(x), self.log_std.expand(len(x), 1)], -1)

    def likelihood(out: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return (0.5 * ((target[:, 0] - out[:, 0]) * torch.exp(-out[:, 1])) ** 2 + out[:, 1]).mean()

    found = findings(Policy(), torch.randn(BATCH, 32), target=torch.randn(BATCH, 1), loss=likelihood)
    assert ("FAN301" in loud(found)) == told
    assert not told or found["FAN301"].where == ("log_std",)


@pytest.mark.parametrize(("std", "told"), [(0.002, True), (0.2, False)])
def test_tokens_that_drown_under_waves_of_places(std: float, told: bool) -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tokens, self.norm, self.out = nn.Embedding(32, 48), nn.LayerNorm(48), nn.Linear(48, 32)
            nn.init.normal_(self.tokens.weight, std=std)
            angle = torch.arange(16)[:, None] / 10000 ** (torch.arange(24) / 24)
            self.register_buffer("places", torch.cat([angle.sin(), angle.cos()], 1))

        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            made: torch.Tensor = self.out(self.norm(self.tokens(ids) + self.get_buffer("places")))
            return made

    torch.manual_seed(0)
    ids = torch.randint(32, (BATCH, 16))
    found = findings(Model(), ids, target=ids)
    assert ("FAN209" in loud(found)) == told
    assert not told or found["FAN209"].where == ("tokens.weight", "places")
