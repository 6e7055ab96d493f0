"""What stops a signal or a gradient dead: gates, norms, steps, statistics, dropout; on real networks."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

import fanin.torch  # noqa: E402
from fanin.records.finding import Finding  # noqa: E402


def findings(model: nn.Module, *inputs: Any, **how: Any) -> dict[str, Finding]:
    report = fanin.torch.check(model, *inputs, **how)
    return {f.code: f for f in report.findings if f.severity != "info"}


def batch(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def healthy(model: nn.Module, *inputs: Any) -> nn.Module:
    fanin.torch.init_(model, *inputs, seed=0)
    return model


CLASSES = torch.arange(64) % 10


class Sign(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.sign(x)


class Through(nn.Module):
    """The sign forward, a straight line backward."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + (torch.sign(x) - x).detach()


def stepped(step: nn.Module) -> nn.Module:
    return healthy(nn.Sequential(nn.Linear(32, 64), step, nn.Linear(64, 10)), batch(64, 32))


def test_a_function_of_steps_lets_no_gradient_through() -> None:
    found = findings(stepped(Sign()), batch(64, 32), target=CLASSES)
    assert found["FAN302"].name == "gradient stops"
    assert found["FAN302"].severity == "failure"
    assert "0.weight" in found["FAN302"].summary
    assert "2.weight" not in found["FAN302"].summary
    assert not findings(stepped(Through()), batch(64, 32), target=CLASSES)


def test_a_dead_last_activation_is_the_fault_and_its_bias_the_cause() -> None:
    model = healthy(nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 1), nn.ReLU()), batch(64, 32))
    target = batch(64, 1, seed=1).abs()
    assert "FAN104" not in findings(model, batch(64, 32), target=target)
    nn.init.constant_(model[2].bias, -15.0)
    found = findings(model, batch(64, 32), target=target)
    assert list(found) == ["FAN104"]
    assert found["FAN104"].where == ("2.bias",)
    assert "zero" in found["FAN104"].fix


@pytest.mark.parametrize("over", ["layer", "group"])
def test_a_norm_over_one_value_takes_all_away(over: str) -> None:
    class Net(nn.Module):
        def __init__(self, *, one: bool) -> None:
            super().__init__()
            self.norm: nn.Module = nn.LayerNorm(1 if one else 32)
            if over == "group":
                self.norm = nn.GroupNorm(32 if one else 4, 32)
            self.lift, self.head = nn.Linear(32, 32), nn.Linear(32, 10)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            h = self.lift(x)
            if isinstance(self.norm, nn.LayerNorm) and self.norm.weight.numel() == 1:
                h = self.norm(h.unsqueeze(-1)).squeeze(-1)
            else:
                h = self.norm(h)
            return self.head(torch.relu(h))

    x = batch(64, 32)
    found = findings(healthy(Net(one=True), x), x, target=CLASSES)
    assert list(found) == ["FAN110"]
    assert found["FAN110"].name == "norm over one value"
    assert found["FAN110"].severity == "failure"
    assert not findings(healthy(Net(one=False), x), x, target=CLASSES)


def test_statistics_of_other_data_are_told_in_eval_mode() -> None:
    def net(variance: float) -> nn.Module:
        torch.manual_seed(0)
        layers: list[nn.Module] = []
        for _ in range(4):
            layers += [nn.Linear(64, 64, bias=False), nn.BatchNorm1d(64), nn.ReLU()]
        model = healthy(nn.Sequential(*layers, nn.Linear(64, 10)), batch(256, 64))
        model(batch(256, 64))  # (statistics differ from (0, 1) from here on)
        for m in model:
            if isinstance(m, nn.BatchNorm1d):
                m.momentum = None
                m.reset_running_stats()
        model(batch(256, 64, seed=1))
        for m in model:
            if isinstance(m, nn.BatchNorm1d):
                m.running_var.mul_(variance)
        return model.eval()

    assert not findings(net(1.0), batch(64, 64), target=CLASSES)
    assert not findings(net(4.0), batch(64, 64), target=CLASSES)
    found = findings(net(1e-4), batch(64, 64), target=CLASSES)
    assert found["FAN110"].name == "foreign running statistics"
    assert found["FAN110"].where[0] == "1"
    assert "FAN301" not in found


@pytest.mark.parametrize(("bias", "sick"), [(-10.0, True), (10.0, False), (-5.0, False), (1.0, False)])
def test_gates_of_a_recurrence_that_start_shut(bias: float, sick: bool) -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn, self.head = nn.LSTM(8, 32, batch_first=True), nn.Linear(32, 10)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.rnn(x)[0][:, -1])

    x = batch(64, 8, 8)
    model = healthy(Net(), x)
    model.rnn.bias_hh_l0.data[32:64] = bias
    found = findings(model, x, target=CLASSES)
    assert bool(found) is sick
    if sick:
        assert found["FAN105"].name == "gates shut"
        assert found["FAN105"].where == ("rnn.bias_hh_l0",)


def test_a_gate_that_its_bias_holds_shut_is_the_bias_s_fault() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.value, self.gate, self.head = nn.Linear(32, 64), nn.Linear(32, 64), nn.Linear(64, 10)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(torch.tanh(self.value(x)) * torch.sigmoid(self.gate(x)))

    model = healthy(Net(), batch(64, 32))
    assert not findings(model, batch(64, 32), target=CLASSES)
    nn.init.constant_(model.gate.bias, -10.0)
    finding = findings(model, batch(64, 32), target=CLASSES)["FAN105"]
    assert finding.where == ("gate.bias",)
    assert "gate.bias" in finding.fix


@pytest.mark.parametrize("name", ["bias", "weight"])
def test_a_router_s_own_numbers_are_named(name: str) -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.router, self.head = nn.Linear(32, 4), nn.Linear(32, 10)
            self.experts = nn.ModuleList(nn.Linear(32, 32) for _ in range(4))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            share = functional.softmax(self.router(x), -1)
            mixed = torch.stack([torch.relu(expert(x)) for expert in self.experts], -1)
            return self.head((mixed * share.unsqueeze(1)).sum(-1))

    model = healthy(Net(), batch(64, 32))
    assert not findings(model, batch(64, 32), target=CLASSES)
    if name == "bias":
        model.router.bias.data[2] = 30.0
    else:
        model.router.weight.data *= 100.0
    finding = findings(model, batch(64, 32), target=CLASSES)["FAN111"]
    assert f"router.{name}" in finding.cause
    assert f"router.{name}" in finding.fix
    assert "key" not in finding.fix


@pytest.mark.parametrize("fused", [True, False])
def test_scores_of_queries_and_keys_are_a_product(fused: bool) -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.qkv, self.head = nn.Linear(32, 96), nn.Linear(32, 10)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            q, k, v = self.qkv(x).chunk(3, -1)
            if fused:
                return self.head(functional.scaled_dot_product_attention(q, k, v).mean(1))
            return self.head((torch.softmax(q @ k.transpose(-1, -2) / 32**0.5, -1) @ v).mean(1))

    x = batch(64, 8, 32)
    model = healthy(Net(), x)
    model.qkv.weight.data *= 8.0
    finding = findings(model, x, target=CLASSES)["FAN111"]
    assert "query's and the key's" in finding.fix
    assert "are the scores" not in finding.cause


@pytest.mark.parametrize(("p", "sick"), [(0.95, True), (0.8, False)])
def test_dropout_that_takes_nearly_all(p: float, sick: bool) -> None:
    model = healthy(
        nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Dropout(p), nn.Linear(64, 10)), batch(64, 32)
    )
    found = findings(model, batch(64, 32))
    assert ("FAN210" in found) is sick
    if sick:
        assert found["FAN210"].where == ("2",)
        assert "19 times" in found["FAN210"].summary
        assert not findings(model.eval(), batch(64, 32))


def test_a_likelihood_wants_the_logarithm_of_a_softmax() -> None:
    def ending(last: nn.Module) -> dict[str, Finding]:
        model = healthy(nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 10), last), batch(64, 32))
        return findings(model, batch(64, 32), target=CLASSES, loss=functional.nll_loss)

    assert "log_softmax" in ending(nn.Softmax(-1))["FAN307"].fix
    assert not ending(nn.LogSoftmax(-1))


def test_the_identity_has_no_common_mean() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.i, self.h, self.head = nn.Linear(4, 64), nn.Linear(64, 64, bias=False), nn.Linear(64, 10)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            state = torch.tanh(self.i(x[:, 0]))
            for t in range(1, x.shape[1]):
                state = torch.tanh(self.i(x[:, t]) + self.h(state))
            return self.head(state)

    x = batch(64, 6, 4)
    model = healthy(Net(), x)
    nn.init.eye_(model.h.weight)
    assert "FAN205" not in findings(model, x, target=CLASSES)
    model.h.weight.data += 0.05
    assert "FAN205" in findings(model, x, target=CLASSES)


def test_a_weight_that_a_loop_uses_counts_at_every_step() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.i, self.h, self.head = nn.Linear(4, 64), nn.Linear(64, 64), nn.Linear(64, 10)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            state = torch.tanh(self.i(x[:, 0]))
            for t in range(1, x.shape[1]):
                state = torch.tanh(self.i(x[:, t]) + self.h(state))
            return self.head(state)

    x = batch(64, 24, 4)
    model = healthy(Net(), x)
    nn.init.normal_(model.h.weight, std=0.02)
    found = findings(model, x, target=CLASSES)
    assert found["FAN102"].where == ("h.weight",)
    assert "h.weight" in found["FAN102"].fix


def test_the_scale_of_a_normalised_weight_is_its_size() -> None:
    layers: list[nn.Module] = []
    for _ in range(6):
        layers += [nn.utils.parametrizations.weight_norm(nn.Linear(64, 64)), nn.ReLU()]
    model = healthy(nn.Sequential(*layers, nn.Linear(64, 10)), batch(64, 64))
    assert not findings(model, batch(64, 64), target=CLASSES)
    for m in model[::2][:6]:
        m.parametrizations.weight.original0.data.mul_(0.05)
    finding = next(iter(findings(model, batch(64, 64), target=CLASSES).values()))
    assert finding.code in {"FAN101", "FAN102"}
    assert "original0" in finding.fix
    assert " by 20" in finding.fix


def test_what_sums_over_neighbours_is_not_blamed_on_the_branches() -> None:
    class Net(nn.Module):
        def __init__(self, *, mean: bool) -> None:
            super().__init__()
            self.layers, self.head = nn.ModuleList(nn.Linear(32, 32) for _ in range(4)), nn.Linear(32, 10)
            self.mean = mean

        def forward(self, x: torch.Tensor, edges: torch.Tensor) -> torch.Tensor:
            for layer in self.layers:
                sent = torch.zeros_like(x).index_add(0, edges[1], layer(x)[edges[0]])
                x = torch.relu(x + (sent / 50.0 if self.mean else sent))
            return self.head(x)

    edges = torch.randint(0, 64, (2, 64 * 50), generator=torch.Generator().manual_seed(0))
    x = batch(64, 32)
    finding = findings(healthy(Net(mean=False), x, edges), x, edges, target=CLASSES)["FAN101"]
    assert "stds of the weights are not" in finding.cause
    assert "FAN101" not in findings(healthy(Net(mean=True), x, edges), x, edges, target=CLASSES)


def test_units_that_are_equal_explain_a_norm_over_equal_values() -> None:
    x = batch(64, 32)
    model = healthy(nn.Sequential(nn.Linear(32, 64), nn.LayerNorm(64), nn.ReLU(), nn.Linear(64, 10)), x)
    nn.init.constant_(model[0].weight, 0.05)
    nn.init.zeros_(model[0].bias)
    assert list(findings(model, x, target=CLASSES)) == ["FAN201"]
