"""Recurrences, state spaces, graphs and capsules."""

from __future__ import annotations

import math

import torch
from check_posted_parts import Made, he, head, memory, vectors
from torch import nn
from torch.nn import functional

__all__ = [
    "capsules_small_std",
    "graph_oversmoothed",
    "graph_sum_unnormalised",
    "linear_recurrence_unstable",
    "lstm_forget_wrong",
    "relu_rnn_over_one",
    "rnn_hidden_std_one",
]


def rnn_hidden_std_one(*, seed: int, sick: bool) -> Made:
    """Tanh RNN with hidden weights N(0, 1): saturated and chaotic from the first step."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn, self.out = nn.RNN(8, 64, batch_first=True), nn.Linear(64, 4)
            nn.init.orthogonal_(self.rnn.weight_hh_l0)
            if sick:
                nn.init.normal_(self.rnn.weight_hh_l0)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.out(self.rnn(x)[0][:, -1])

    x, y = memory(seed, 12)
    torch.manual_seed(seed)
    return Net(), (x,), y, None


def relu_rnn_over_one(*, seed: int, sick: bool) -> Made:
    """ReLU RNN started at 1.5 × identity: 1.5^T."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn, self.out = nn.RNN(8, 32, nonlinearity="relu", batch_first=True), nn.Linear(32, 4)
            nn.init.eye_(self.rnn.weight_hh_l0)
            nn.init.normal_(self.rnn.weight_ih_l0, std=0.02)
            nn.init.zeros_(self.rnn.bias_ih_l0)
            nn.init.zeros_(self.rnn.bias_hh_l0)
            if sick:
                self.rnn.weight_hh_l0.data *= 1.5

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.out(self.rnn(x)[0][:, -1])

    x, y = memory(seed, 50)
    torch.manual_seed(seed)
    return Net(), (x,), y, None


def lstm_forget_wrong(*, seed: int, sick: bool) -> Made:
    """Forget gates at −1 by a slice written into the wrong gate: memory of a few steps."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn, self.out = nn.LSTM(8, 32, batch_first=True), nn.Linear(32, 4)
            nn.init.zeros_(self.rnn.bias_ih_l0)
            nn.init.zeros_(self.rnn.bias_hh_l0)
            with torch.no_grad():
                self.rnn.bias_hh_l0[32:64] = -2.0 if sick else 4.0

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.out(self.rnn(x)[0][:, -1])

    x, y = memory(seed, 40)
    torch.manual_seed(seed)
    return Net(), (x,), y, None


def linear_recurrence_unstable(*, seed: int, sick: bool) -> Made:
    """Linear recurrence with a random matrix of spectral radius 1.5: 1.5^T."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.out = nn.Parameter(torch.empty(32, 32)), nn.Linear(8, 32), nn.Linear(32, 4)
            if sick:
                nn.init.normal_(self.a, std=1.5 / math.sqrt(32))
            else:
                nn.init.orthogonal_(self.a)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            h = torch.zeros(len(x), 32)
            for t in range(x.shape[1]):
                h = h @ self.a.T + self.b(x[:, t])
            return self.out(h)

    x, y = memory(seed, 40)
    torch.manual_seed(seed)
    return Net(), (x,), y, None


def _graph(seed: int, n: int = 256, degree: int = 12) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(seed + 6000)
    y = torch.randint(0, 4, (n,), generator=g)
    p = torch.where(y[:, None] == y[None], 2.2, 0.6) * degree / n
    a = (torch.rand(n, n, generator=g) < p).float()
    a = ((a + a.T) > 0).float()
    a.fill_diagonal_(1.0)
    return torch.randn(n, 16, generator=g) + torch.eye(4, 16)[y], a, y


class Gcn(nn.Module):
    def __init__(self, a: torch.Tensor, depth: int, skip: float = 0.0) -> None:
        super().__init__()
        self.register_buffer("a", a)
        self.inp, self.layers, self.out, self.skip = (
            nn.Linear(16, 32),
            nn.ModuleList(nn.Linear(32, 32) for _ in range(depth)),
            nn.Linear(32, 4),
            skip,
        )
        he(self)
        head(self.out)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = h0 = self.inp(x)
        for layer in self.layers:
            h = functional.relu(layer(self.a @ h)) + self.skip * h0
        return self.out(h)


def graph_sum_unnormalised(*, seed: int, sick: bool) -> Made:
    """Neighbours summed, not averaged, in six layers: power grows with the degree."""
    x, a, y = _graph(seed)
    torch.manual_seed(seed)
    d = a.sum(1)
    return Gcn(a if sick else a / torch.sqrt(d[:, None] * d[None]), 6, 0.0 if sick else 0.5), (x,), y, None


def graph_oversmoothed(*, seed: int, sick: bool) -> Made:
    """24 layers of neighbour means with nothing beside: every node says the same."""
    x, a, y = _graph(seed)
    torch.manual_seed(seed)
    return Gcn(a / a.sum(1, keepdim=True), 24 if sick else 2, 0.0), (x,), y, None


def capsules_small_std(*, seed: int, sick: bool) -> Made:
    """Capsule transformations N(0, 0.01²) under squash, whose output falls as the square."""

    class Caps(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Linear(32, 128)
            self.w = nn.Parameter(torch.randn(16, 10, 16, 8) * (0.01 if sick else 0.35))

        @staticmethod
        def squash(s: torch.Tensor) -> torch.Tensor:
            q = s.pow(2).sum(-1, keepdim=True)
            return q / (1 + q) * s / (q + 1e-9).sqrt()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            u = self.squash(self.a(x).view(-1, 16, 8))
            v = self.squash(torch.einsum("nkoi,bni->bko", self.w, u) / 4)
            return (v.pow(2).sum(-1) + 1e-9).sqrt()

    def margin(v: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        t = functional.one_hot(y, 10).float()
        return (
            (t * functional.relu(0.9 - v) ** 2 + 0.5 * (1 - t) * functional.relu(v - 0.1) ** 2).sum(1).mean()
        )

    x, y = vectors(seed)
    torch.manual_seed(seed)
    return Caps(), (x,), y, margin
