"""Unusual heads and losses."""

from __future__ import annotations

from typing import Any

import torch
from check_brought_data import Case
from sklearn import datasets
from torch import nn
from torch.nn import functional

__all__ = ["KINDS"]

_TABLE = datasets.load_diabetes()


ROWS = torch.tensor(_TABLE.data * 442**0.5, dtype=torch.float32)


GOAL = torch.tensor((_TABLE.target - _TABLE.target.mean()) / _TABLE.target.std(), dtype=torch.float32)


def _rows(g: torch.Generator, n: Any = 64) -> Any:
    at = torch.randint(len(ROWS), (n,), generator=g)
    return ROWS[at], GOAL[at]


class Duelling(nn.Module):
    """A recurrent policy: orthogonal as PPO's baselines (gain sqrt 2, 0.01 for the policy, 1 for values)."""

    def __init__(self, d: Any = 32) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, d), nn.Tanh(), nn.Linear(d, d), nn.Tanh())
        self.gru = nn.GRU(d, d)
        self.pi, self.v = nn.Linear(d, 3), nn.Linear(d, 1)
        for layer in (self.body[0], self.body[2]):
            nn.init.orthogonal_(layer.weight, 2**0.5)
            nn.init.zeros_(layer.bias)
        for name, p in self.gru.named_parameters():
            nn.init.orthogonal_(p) if "weight" in name else nn.init.zeros_(p)
        for layer, gain in ((self.pi, 0.01), (self.v, 1.0)):
            nn.init.orthogonal_(layer.weight, gain)
            nn.init.zeros_(layer.bias)

    def forward(self, obs: Any, done: Any) -> Any:
        h, outs = torch.zeros(1, obs.shape[1], 32), []
        x = self.body(obs)
        for step, d in zip(x, done, strict=True):
            y, h = self.gru(step[None], h * (1 - d)[None, :, None])
            outs.append(y)
        y = torch.cat(outs)
        return torch.distributions.Categorical(logits=self.pi(y)), self.v(y).squeeze(-1)


def recurrent_policy(seed: int) -> Case:
    torch.manual_seed(seed)

    def draw(g: torch.Generator) -> Any:
        obs = torch.randn(8, 32, 4, generator=g)
        done = (torch.rand(8, 32, generator=g) < 0.1).float()
        best = obs[..., :3].argmax(-1)
        action = torch.randint(3, best.shape, generator=g)
        reward = (action == best).float() + 0.5 * obs[..., 3]
        return (obs, done), (action, reward)

    def loss(out: Any, y: Any) -> Any:
        dist, value = out
        action, reward = y
        weight = (reward - 0.33).detach()
        return (
            -(dist.log_prob(action) * weight).mean()
            + 0.5 * functional.mse_loss(value, reward)
            - 0.01 * dist.entropy().mean()
        )

    return Case(Duelling(), draw, loss, 3e-3)


class Quantiles(nn.Module):
    """Nine quantiles made increasing by a cumulated softplus."""

    def __init__(self, d: Any = 32) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(10, d), nn.ELU(), nn.Dropout(0.1), nn.Linear(d, d), nn.ELU())
        self.first, self.steps = nn.Linear(d, 1), nn.Linear(d, 8)

    def forward(self, x: Any) -> Any:
        h = self.body(x)
        low = self.first(h)
        return torch.cat((low, low + functional.softplus(self.steps(h)).cumsum(1)), 1)


def quantile_pinball(seed: int) -> Case:
    torch.manual_seed(seed)
    taus = torch.linspace(0.1, 0.9, 9)

    def draw(g: torch.Generator) -> Any:
        x, y = _rows(g)
        return (x,), y

    def loss(out: Any, y: Any) -> Any:
        e = y[:, None] - out
        return torch.maximum(taus * e, (taus - 1) * e).mean()

    return Case(Quantiles(), draw, loss, 5e-3)


def _cox(risk: Any, y: Any) -> Any:
    order = torch.argsort(y[0], descending=True)
    risk, event = risk.squeeze(-1)[order], y[1][order]
    return -((risk - torch.logcumsumexp(risk, 0)) * event).sum() / event.sum().clamp(min=1)


def survival_cox(seed: int) -> Case:
    torch.manual_seed(seed)
    model = nn.Sequential(
        nn.Linear(10, 32),
        nn.SELU(),
        nn.AlphaDropout(0.05),
        nn.Linear(32, 32),
        nn.SELU(),
        nn.Linear(32, 1, bias=False),
    )

    def draw(g: torch.Generator) -> Any:
        x, y = _rows(g, 48)
        time = torch.exp(-1.5 * y) * -torch.log(torch.rand(48, generator=g))
        censor = torch.rand(48, generator=g) < 0.8
        return (x,), (time, censor.float())

    return Case(model, draw, _cox, 2e-3)


class Ranker(nn.Module):
    """Bags of words (summed sparse embeddings with offsets) scored against each other."""

    def __init__(self, d: Any = 16) -> None:
        super().__init__()
        self.bag = nn.EmbeddingBag(64, d, mode="mean", sparse=True)
        self.score = nn.Sequential(nn.Linear(d, 32), nn.PReLU(), nn.Linear(32, 1))

    def forward(self, ids: Any, offsets: Any) -> Any:
        return self.score(self.bag(ids, offsets)).view(-1, 4)


def rank_bags(seed: int) -> Case:
    torch.manual_seed(seed)
    value = torch.randn(64, generator=torch.Generator().manual_seed(3))

    def draw(g: torch.Generator) -> Any:
        length = torch.randint(2, 6, (128,), generator=g)
        ids = torch.randint(64, (int(length.sum()),), generator=g)
        offsets = torch.cat((torch.zeros(1, dtype=torch.long), length.cumsum(0)[:-1]))
        owner = torch.repeat_interleave(torch.arange(128), length)
        goal = torch.zeros(128).index_add(0, owner, value[ids]) / length
        return (ids, offsets), (goal.view(-1, 4) * 4).softmax(1)

    return Case(Ranker(), draw, functional.cross_entropy, 1e-2)


class SpeechCtc(nn.Module):
    """Frames of changing length, packed for a bidirectional LSTM, log-softmax for CTC."""

    def __init__(self, d: Any = 24) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(8)
        self.lstm = nn.LSTM(8, d, num_layers=2, bidirectional=True, batch_first=True)
        self.fc = nn.Linear(2 * d, 5)

    def forward(self, x: Any, lengths: Any) -> Any:
        x = self.norm(x.transpose(1, 2)).transpose(1, 2)
        packed = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        y, _ = nn.utils.rnn.pad_packed_sequence(self.lstm(packed)[0], batch_first=True)
        return functional.log_softmax(self.fc(y), -1).transpose(0, 1)


def packed_ctc(seed: int) -> Case:
    torch.manual_seed(seed)
    sounds = torch.randn(4, 8, generator=torch.Generator().manual_seed(5))

    def draw(g: torch.Generator) -> Any:
        words = torch.randint(4, (16, 4), generator=g)
        x = sounds[words].repeat_interleave(3, 1) + 0.3 * torch.randn(16, 12, 8, generator=g)
        count = torch.randint(2, 5, (16,), generator=g)
        count[0] = 4
        return (x, 3 * count), (words + 1, count)

    def loss(out: Any, y: Any) -> Any:
        return functional.ctc_loss(out, y[0], 3 * y[1], y[1], zero_infinity=True)

    return Case(SpeechCtc(), draw, loss, 1e-2)


KINDS = (recurrent_policy, quantile_pinball, survival_cox, rank_bags, packed_ctc)
