"""Transforms, gates, flows, likelihoods, and what has no derivative."""

from __future__ import annotations

import torch
from check_posted_parts import POOL, Fn, Made, he, head, images, mlp, pixels, regression, vectors
from torch import nn
from torch.nn import functional

__all__ = [
    "constant_column_standardised",
    "distance_of_equal_pair",
    "encoder_detached",
    "exp_units",
    "factorisation_machine_std_one",
    "flow_log_scales",
    "gaussian_log_std",
    "hard_gates_closed",
    "sign_units",
    "stn_theta_zero",
    "tnet_without_identity",
    "vae_log_variance",
]


def _cnn(ch: int = 3, act: type[nn.Module] = nn.ReLU, out: int = 10) -> nn.Module:
    return he(
        nn.Sequential(
            nn.Conv2d(ch, 16, 3, 2, 1),
            act(),
            nn.Conv2d(16, 32, 3, 2, 1),
            act(),
            nn.Flatten(),
            nn.Linear(512, out),
        )
    )


def encoder_detached(*, seed: int, sick: bool) -> Made:
    """Features taken out with detach before the head: the encoder learns nothing."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.enc, self.out = he(mlp(2, out=4)), head(nn.Linear(4, 10))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            h = self.enc(x)
            return self.out(h.detach() if sick else h)

    x, y = vectors(seed)
    torch.manual_seed(seed)
    return Net(), (x,), y, None


def sign_units(*, seed: int, sick: bool) -> Made:
    """Sign units without a straight-through gradient: what is before them learns nothing."""
    x, y = vectors(seed)
    torch.manual_seed(seed)
    m = he(
        nn.Sequential(
            nn.Linear(32, 32),
            Fn(torch.sign if sick else torch.tanh),
            nn.Linear(32, 32),
            Fn(torch.sign if sick else torch.tanh),
            nn.Linear(32, 10),
        ),
        gain=1.0,
    )
    return m, (x,), y, None


def tnet_without_identity(*, seed: int, sick: bool) -> Made:
    """A transform net that starts at 0 and not at the identity: the points are multiplied away."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.t = nn.Sequential(nn.Linear(3, 32), nn.ReLU())
            self.theta = nn.Linear(32, 9)
            self.a, self.b, self.out = nn.Linear(3, 64), nn.Linear(64, 64), nn.Linear(64, 4)
            he(self)
            nn.init.zeros_(self.theta.weight)
            if not sick:
                self.theta.bias.data = torch.eye(3).flatten()

        def forward(self, p: torch.Tensor) -> torch.Tensor:
            m = self.theta(self.t(p).amax(1)).view(-1, 3, 3)
            return self.out(functional.relu(self.b(functional.relu(self.a(p @ m)))).amax(1))

    g = torch.Generator().manual_seed(seed)
    y = torch.randint(0, 4, (POOL,), generator=g)
    p = torch.randn(POOL, 32, 3, generator=g) * (
        0.5 + torch.eye(4, 3)[y][:, None] + 0.5 * (y == 3)[:, None, None]
    )
    torch.manual_seed(seed)
    return Net(), (p,), y, None


def stn_theta_zero(*, seed: int, sick: bool) -> Made:
    """A spatial transformer whose θ starts at 0: it looks at the centre pixel everywhere."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.loc, self.theta, self.cnn = (
                nn.Sequential(nn.Flatten(), nn.Linear(256, 32), nn.ReLU()),
                nn.Linear(32, 6),
                _cnn(1),
            )
            nn.init.zeros_(self.theta.weight)
            self.theta.bias.data = torch.tensor([0.0] * 6 if sick else [1.0, 0, 0, 0, 1.0, 0])

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            g = functional.affine_grid(self.theta(self.loc(x)).view(-1, 2, 3), x.shape, align_corners=False)
            return self.cnn(functional.grid_sample(x, g, align_corners=False))

    x, y = images(seed, channels=1)
    torch.manual_seed(seed)
    return Net(), (x,), y, None


def hard_gates_closed(*, seed: int, sick: bool) -> Made:
    """Hard-sigmoid gates closed by a bias of −4: each gate is exactly 0 and stays so."""

    class Se(nn.Module):
        def __init__(self, c: int) -> None:
            super().__init__()
            self.conv, self.a, self.b = nn.Conv2d(c, c, 3, 1, 1), nn.Linear(c, 8), nn.Linear(8, c)
            he(self)
            nn.init.normal_(self.b.weight, std=0.05)
            nn.init.constant_(self.b.bias, -4.0 if sick else 1.0)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = functional.relu(self.conv(x))
            return (
                x * functional.hardsigmoid(self.b(functional.relu(self.a(x.mean((2, 3))))))[:, :, None, None]
            )

    x, y = images(seed)
    torch.manual_seed(seed)
    m = nn.Sequential(
        nn.Conv2d(3, 24, 3, 2, 1),
        nn.ReLU(),
        Se(24),
        nn.Conv2d(24, 24, 3, 2, 1),
        nn.ReLU(),
        Se(24),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(24, 10),
    )
    he(nn.ModuleList([m[0], m[3], m[8]]))
    return m, (x,), y, None


def flow_log_scales(*, seed: int, sick: bool) -> Made:
    """Affine couplings with exp of unit log scales, sixteen deep: e^16."""

    class Flow(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.nets = nn.ModuleList(
                he(nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 16))) for _ in range(16)
            )
            if not sick:
                for n in self.nets:
                    nn.init.zeros_(n[-1].weight)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            a, b = x.chunk(2, -1)
            log = 0.0
            for n in self.nets:
                s, t = n(a).chunk(2, -1)
                a, b, log = b * s.exp() + t, a, log + s.sum(-1)
            return torch.cat([a, b, torch.as_tensor(log)[:, None]], -1)

    x, _ = vectors(seed, 16)
    torch.manual_seed(seed)
    return Flow(), (x,), torch.zeros(POOL), lambda o, _t: (0.5 * o[:, :-1].pow(2).sum(-1) - o[:, -1]).mean()


def vae_log_variance(*, seed: int, sick: bool) -> Made:
    """Log-variance head on raw bytes, exponentiated without a bound."""

    class Vae(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.enc, self.mu, self.lv = nn.Linear(192, 64), nn.Linear(64, 8), nn.Linear(64, 8)
            self.dec = nn.Sequential(nn.Linear(8, 64), nn.ReLU(), nn.Linear(64, 192))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            h = functional.relu(self.enc(x.flatten(1)))
            mu, lv = self.mu(h), self.lv(h)
            z = mu + torch.exp(0.5 * lv) * torch.randn(mu.shape)
            return torch.cat([self.dec(z), mu, lv], -1)

    def elbo(o: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        r, mu, lv = o[:, :192], o[:, 192:200], o[:, 200:]
        return functional.mse_loss(r, t) + 0.5 * (lv.exp() + mu.pow(2) - 1 - lv).sum(-1).mean() / 192

    x, _ = pixels(seed, size=8)
    f = (lambda v: 8 * v) if sick else (lambda v: (v - 127) / 50)
    torch.manual_seed(seed)
    return Vae(), (f(x),), f(x).flatten(1), elbo


def factorisation_machine_std_one(*, seed: int, sick: bool) -> Made:
    """Factorisation machine with factors N(0, 1): the sum over pairs is of std √(nnk/2)."""

    class Fm(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.v, self.w = nn.Embedding(320, 16), nn.Embedding(320, 1)
            nn.init.normal_(self.v.weight, std=1.0 if sick else 0.05)
            nn.init.zeros_(self.w.weight)

        def forward(self, t: torch.Tensor) -> torch.Tensor:
            e = self.v(t)
            return 0.5 * (e.sum(1).pow(2) - e.pow(2).sum(1)).sum(-1) + self.w(t).sum((1, 2))

    g = torch.Generator().manual_seed(seed)
    t = torch.randint(0, 16, (POOL, 20), generator=g)
    y = ((t[:, 0] + t[:, 1]) % 2 == 0).float() * (t[:, 2] < 12)
    torch.manual_seed(seed)
    return Fm(), (t + 16 * torch.arange(20),), y, functional.binary_cross_entropy_with_logits


def gaussian_log_std(*, seed: int, sick: bool) -> Made:
    """Log standard deviation of a policy started at −6: the first likelihood is e¹² too sharp."""

    class Policy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net, self.log_std = (
                he(mlp(2, inp=16, out=1)),
                nn.Parameter(torch.full((1,), -6.0 if sick else 0.0)),
            )

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.cat([self.net(x), self.log_std.expand(len(x), 1)], -1)

    x, y = regression(seed)
    torch.manual_seed(seed)
    return (
        Policy(),
        (x,),
        y,
        lambda o, t: (0.5 * ((t[:, 0] - o[:, 0]) * torch.exp(-o[:, 1])) ** 2 + o[:, 1]).mean(),
    )


def exp_units(*, seed: int, sick: bool) -> Made:
    """Exponential units in three hidden layers: doubly exponential power."""
    x, y = vectors(seed)
    torch.manual_seed(seed)
    m = (
        he(mlp(3, act=lambda: Fn(torch.exp)), gain=1.0)
        if sick
        else he(mlp(3, act=lambda: Fn(torch.exp)), gain=0.2)
    )
    head(m[-1])
    return m, (x,), y, None


def constant_column_standardised(*, seed: int, sick: bool) -> Made:
    """A column that does not vary standardised inside the model: 0/0."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = he(mlp(2))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.net((x - x.mean(0)) / x.std(0))

    x, y = vectors(seed)
    if sick:
        x[:, 5] = 1.0
    torch.manual_seed(seed)
    return Net(), (x,), y, None


def distance_of_equal_pair(*, seed: int, sick: bool) -> Made:
    """Distance of a pair that is one and the same: the square root's gradient at 0 is infinite."""

    class Siamese(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = he(mlp(2, out=8))

        def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
            return ((self.net(a) - self.net(b)) ** 2).sum(-1).sqrt()

    x, _y = vectors(seed)
    z = x + 0.5 * torch.randn(x.shape, generator=torch.Generator().manual_seed(seed))
    if sick:
        z[::16] = x[::16]
    torch.manual_seed(seed)
    return Siamese(), (x, z), torch.zeros(POOL), lambda o, t: functional.mse_loss(o, t + 1)
