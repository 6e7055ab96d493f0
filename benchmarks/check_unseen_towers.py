"""Unseen sick networks: flows, experts, towers, actors, what cuts a gradient."""

# ruff: noqa: FBT001 - networks are written as they are elsewhere

from __future__ import annotations

import copy
from typing import Any

import torch
from check_blocks import Case
from check_unseen_parts import case, digits, he, mlp
from torch import nn
from torch.nn import functional

__all__ = [
    "critic_raw_returns",
    "data_trick",
    "half_overflow",
    "hypernet_head_randn",
    "layernorm_over_one",
    "matrix_factors_std1",
    "moe_cloned_experts",
    "moe_router_collapsed",
    "no_grad_in_forward",
    "ppo_actor_gain_100",
    "realnvp_scale_explodes",
    "siamese_sqrt_zero",
    "tower_never_called",
]


class _Coupling(nn.Module):
    def __init__(self, dim: Any) -> None:
        super().__init__()
        self.net = mlp([dim // 2, 64, 64, dim])

    def forward(self, x: Any) -> Any:
        a, b = x.chunk(2, -1)
        s, t = self.net(a).chunk(2, -1)
        return torch.cat([b * torch.exp(s) + t, a], -1), s.sum(-1)


class _RealNVP(nn.Module):
    def __init__(self, dim: Any = 16, steps: Any = 8) -> None:
        super().__init__()
        self.steps = nn.ModuleList(_Coupling(dim) for _ in range(steps))

    def forward(self, x: Any) -> Any:
        logdet = x.new_zeros(len(x))
        for step in self.steps:
            x, d = step(x)
            logdet = logdet + d
        return x, logdet


def _nll(out: Any, target: Any) -> Any:
    z, logdet = out
    return (0.5 * z.square().sum(-1) - logdet).mean() + 0.0 * target.sum()


def realnvp_scale_explodes(*, sick: bool) -> Case:
    """Log-scales of the coupling layers from N(0, 1) weights: exp explodes."""
    net = _RealNVP()
    for m in net.modules():
        if isinstance(m, nn.Linear):
            nn.init.normal_(m.weight, std=0.35 if sick else 0.01)
    x = digits()[0][:, 24:40]
    x = (x - x.mean(0)) / (x.std(0) + 0.1) + 0.1 * torch.randn_like(x)
    return case(net, (x, torch.zeros(len(x))), loss=_nll)


class _HyperNet(nn.Module):
    def __init__(self, right: bool) -> None:
        super().__init__()
        self.hyper = mlp([64, 64, 64 * 64 + 64 * 10], nn.Tanh)
        if right:
            nn.init.normal_(self.hyper[-1].weight, std=(2 / 64 / 64 / 0.3) ** 0.5)
        else:
            nn.init.normal_(self.hyper[-1].weight)
        nn.init.zeros_(self.hyper[-1].bias)

    def forward(self, x: Any) -> Any:
        w = self.hyper(x)
        a, b = w[:, : 64 * 64].view(-1, 64, 64), w[:, 64 * 64 :].view(-1, 64, 10)
        h = torch.relu(torch.bmm(x.unsqueeze(1), a))
        return torch.bmm(h, b).squeeze(1)


def hypernet_head_randn(*, sick: bool) -> Case:
    """A hypernetwork's last layer N(0, 1)."""
    return case(_HyperNet(not sick), digits())


class _MoE(nn.Module):
    def __init__(self, experts: Any = 8, width: Any = 64) -> None:
        super().__init__()
        self.stem = nn.Linear(64, width)
        self.router = nn.Linear(width, experts)
        self.experts = nn.ModuleList(mlp([width, 64, width]) for _ in range(experts))
        self.head = nn.Linear(width, 10)

    def forward(self, x: Any) -> Any:
        h = functional.relu(self.stem(x))
        gate = functional.softmax(self.router(h), -1)
        h = h + (torch.stack([e(h) for e in self.experts], -1) * gate.unsqueeze(1)).sum(-1)
        return self.head(h)


def moe_router_collapsed(*, sick: bool) -> Case:
    """Router's bias 30 for one expert: the other experts get no gradient."""
    net = _MoE()
    if sick:
        net.router.bias.data[3] = 30.0
    return case(net, digits())


def moe_cloned_experts(*, sick: bool) -> Case:
    """Experts are copies of one, router 0: they stay equal for ever."""
    net = _MoE()
    if sick:
        net.experts = nn.ModuleList(copy.deepcopy(net.experts[0]) for _ in range(8))
        nn.init.zeros_(net.router.weight)
        nn.init.zeros_(net.router.bias)
    return case(net, digits())


class _Factors(nn.Module):
    """Matrix factorisation with a sigmoid for clicks."""

    def __init__(self, std: Any, d: Any = 128) -> None:
        super().__init__()
        self.user = nn.Embedding(200, d)
        self.item = nn.Embedding(100, d)
        nn.init.normal_(self.user.weight, std=std)
        nn.init.normal_(self.item.weight, std=std)

    def forward(self, u: Any, i: Any) -> Any:
        return (self.user(u) * self.item(i)).sum(-1)


def matrix_factors_std1(*, sick: bool) -> Case:
    """Embeddings N(0, 1) of 128 numbers: their product has std 11, the first loss is large."""
    u, i = torch.randint(0, 200, (4096,)), torch.randint(0, 100, (4096,))
    y = ((u % 5) == (i % 5)).float()
    return case(
        _Factors(1.0 if sick else 0.1), (u, i, y), n=256, loss=functional.binary_cross_entropy_with_logits
    )


class _ActorCritic(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = mlp([8, 64, 64], nn.Tanh)
        self.pi = nn.Linear(64, 6)
        self.v = nn.Linear(64, 1)
        for m in self.modules():
            if isinstance(m, nn.Linear):
                nn.init.orthogonal_(m.weight, 2**0.5)
                nn.init.zeros_(m.bias)
        nn.init.orthogonal_(self.pi.weight, 0.01)
        nn.init.orthogonal_(self.v.weight, 1.0)

    def forward(self, s: Any) -> Any:
        h = torch.tanh(self.body(s))
        return self.pi(h), self.v(h)


def _a2c(out: Any, target: Any) -> Any:
    logits, value = out
    action, reward = target[:, 0].long(), target[:, 1]
    logp = functional.log_softmax(logits, -1)
    advantage = (reward - value.squeeze(-1)).detach()
    entropy = -(logp.exp() * logp).sum(-1).mean()
    picked = logp.gather(1, action.unsqueeze(1)).squeeze(1)
    return (
        -(picked * advantage).mean() + 0.5 * functional.mse_loss(value.squeeze(-1), reward) - 0.01 * entropy
    )


def ppo_actor_gain_100(*, sick: bool) -> Case:
    """The actor's last layer with gain 100 instead of 0.01: a deterministic policy before the first step."""
    net = _ActorCritic()
    if sick:
        nn.init.orthogonal_(net.pi.weight, 100.0)
    s = torch.randn(512, 8)
    best = s[:, :6].argmax(1)
    action = torch.randint(0, 6, (512,))
    target = torch.stack([action.float(), (action == best).float()], 1)
    return case(net, (s, target), n=128, loss=_a2c)


def critic_raw_returns(*, sick: bool) -> Case:
    """Returns of 10 000 and more as the critic's target: loss and gradients of 1e8."""
    s = torch.randn(512, 8)
    y = s[:, :1] * s[:, 1:2]
    k = 2e4 if sick else 1.0
    return case(mlp([8, 64, 64, 1]), (s, y * k), n=128)


class _Siamese(nn.Module):
    def __init__(self, eps: Any) -> None:
        super().__init__()
        self.net = he(mlp([64, 128, 32]))
        self.eps = eps

    def forward(self, a: Any, b: Any) -> Any:
        return ((self.net(a) - self.net(b)).square().sum(-1) + self.eps).sqrt()


def _contrastive(d: Any, same: Any) -> Any:
    return (same * d.square() + (1 - same) * functional.relu(2 - d).square()).mean()


def siamese_sqrt_zero(*, sick: bool) -> Case:
    """Sqrt at 0 for a pair of one image with itself: NaN gradients."""
    x, y = digits()
    other = torch.randperm(len(x))
    other[::7] = torch.arange(len(x))[::7]
    return case(_Siamese(0.0 if sick else 1e-6), (x, x[other], (y == y[other]).float()), loss=_contrastive)


def half_overflow(*, sick: bool) -> Case:
    """Half precision, weights N(0, 1): overflow to Inf."""
    net = he(mlp([64, 512, 512, 512, 512, 10]))
    if sick:
        for m in net:
            if isinstance(m, nn.Linear):
                nn.init.normal_(m.weight)
    x, y = digits()
    return case(net.half(), (x.half(), y))


class _TwoTower(nn.Module):
    """`deep` is built, and `wide` called twice."""

    def __init__(self, sick: bool) -> None:
        super().__init__()
        self.wide = mlp([64, 64, 32])
        self.deep = mlp([64, 64, 64, 32])
        self.head = nn.Linear(64, 10)
        self.sick = sick

    def forward(self, x: Any) -> Any:
        return self.head(torch.cat([self.wide(x), self.wide(x) if self.sick else self.deep(x)], -1))


def tower_never_called(*, sick: bool) -> Case:
    """The second tower is never called: its parameters get no gradient."""
    return case(_TwoTower(sick), digits())


class _Frozen(nn.Module):
    def __init__(self, sick: bool) -> None:
        super().__init__()
        self.body = mlp([64, 128, 128, 128])
        self.head = nn.Linear(128, 10)
        self.sick = sick

    def forward(self, x: Any) -> Any:
        if self.sick:
            with torch.no_grad():
                h = self.body(x)
        else:
            h = self.body(x)
        return self.head(functional.relu(h))


def no_grad_in_forward(*, sick: bool) -> Case:
    """Torch.no_grad around the body: it gets no gradient."""
    return case(_Frozen(sick), digits())


class _DataTrick(nn.Module):
    """Masks its hidden values through .data, as code for old PyTorch does."""

    def __init__(self, sick: bool) -> None:
        super().__init__()
        self.body = mlp([64, 128, 128])
        self.head = mlp([128, 64, 10])
        self.sick = sick

    def forward(self, x: Any) -> Any:
        h = functional.relu(self.body(x))
        if self.sick:
            h = h.data * (h.data > 0.05)
        return self.head(h)


def data_trick(*, sick: bool) -> Case:
    """.data in forward cuts the graph: the body gets no gradient."""
    return case(_DataTrick(sick), digits())


class _OneNorm(nn.Module):
    """A series of one number a step, normalised over that one number."""

    def __init__(self, sick: bool) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(1) if sick else nn.Identity()
        self.lift = nn.Linear(1, 32)
        self.body = mlp([64 * 32, 64, 10])

    def forward(self, x: Any) -> Any:
        return self.body(functional.gelu(self.lift(self.norm(x.unsqueeze(-1)))).flatten(1))


def layernorm_over_one(*, sick: bool) -> Case:
    """LayerNorm over a dimension of one: the input is lost."""
    return case(_OneNorm(sick), digits())
