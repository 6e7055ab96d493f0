"""Fields, solvers and reinforcement learning, as their authors initialise them."""

from __future__ import annotations

import math

import numpy as np
import torch
from check_unseen_healthy_data import Batch, Case, digits, images
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["KINDS"]


def _field(s: int) -> tuple[Tensor, Tensor]:
    """Places of one digit's image and the ink there."""
    image = images(3, 1, 28, standard=False)[0][0, 0]
    at = torch.stack(
        torch.meshgrid(torch.linspace(-1, 1, 28), torch.linspace(-1, 1, 28), indexing="ij"), -1
    ).reshape(-1, 2)
    pick = torch.from_numpy(np.random.default_rng(s).integers(784, size=256))
    return at[pick], image.reshape(-1, 1)[pick]


def _places(s: int) -> Batch:
    at, ink = _field(s)
    return (at,), ink


class NeRF(nn.Module):
    """Positions in six octaves, eight layers with a skip, PyTorch's defaults, a sigmoid for colour."""

    def __init__(self, w: int = 64) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            [nn.Linear(26, w)] + [nn.Linear(w + 26 if i == 4 else w, w) for i in range(1, 8)]
        )
        self.out = nn.Linear(w, 1)

    def forward(self, x: Tensor) -> Tensor:
        e = torch.cat([x, *(f(2.0**k * math.pi * x) for k in range(6) for f in (torch.sin, torch.cos))], -1)
        h = e
        for i, layer in enumerate(self.layers):
            h = functional.relu(layer(torch.cat([e, h], -1) if i == 4 else h))
        return torch.sigmoid(self.out(h))


def nerf(_: int) -> Case:
    return Case(model=NeRF(), draw=_places, chance=float(_field(0)[1].var()), lr=1e-3)


class Sine(nn.Module):
    def __init__(self, i: int, o: int, *, first: bool) -> None:
        super().__init__()
        self.linear = nn.Linear(i, o)
        bound = 1 / i if first else math.sqrt(6 / i) / 30
        nn.init.uniform_(self.linear.weight, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        return torch.sin(30 * self.linear(x))


def siren(_: int) -> Case:
    last = nn.Linear(64, 1)
    nn.init.uniform_(last.weight, -math.sqrt(6 / 64) / 30, math.sqrt(6 / 64) / 30)
    model = nn.Sequential(Sine(2, 64, first=True), Sine(64, 64, first=False), Sine(64, 64, first=False), last)
    return Case(model=model, draw=_places, chance=float(_field(0)[1].var()), lr=3e-4)


def pinn(_: int) -> Case:
    """Solve u'' = -pi² sin(pi x), u(±1) = 0: tanh, Xavier's, double precision, a loss of derivatives."""
    layers: list[nn.Module] = []
    for i, o in ((1, 32), (32, 32), (32, 32)):
        layers += [nn.Linear(i, o), nn.Tanh()]
    model = nn.Sequential(*layers, nn.Linear(32, 1)).double()
    for m in model:
        if isinstance(m, nn.Linear):
            nn.init.xavier_normal_(m.weight)
            nn.init.zeros_(m.bias)

    class Residue(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = model

        def forward(self, x: Tensor) -> Tensor:
            x = x.detach().requires_grad_(True)
            u = self.net(x)
            du = torch.autograd.grad(u.sum(), x, create_graph=True)[0]
            ddu = torch.autograd.grad(du.sum(), x, create_graph=True)[0]
            ends = self.net(torch.tensor([[-1.0], [1.0]], dtype=torch.float64))
            return ((ddu + math.pi**2 * torch.sin(math.pi * x)) ** 2).mean() / math.pi**4 + (ends**2).mean()

    def draw(s: int) -> Batch:
        return (torch.from_numpy(np.random.default_rng(s).uniform(-1, 1, (64, 1))),), None

    return Case(model=Residue(), draw=draw, chance=0.5, lr=3e-3, steps=400)


def pinn_supervised(seed: int) -> Case:
    """Fit the same network in double precision to the solution."""
    case = pinn(seed)
    model = case.model.net

    def draw(s: int) -> Batch:
        x = torch.from_numpy(np.random.default_rng(s).uniform(-1, 1, (64, 1)))
        return (x,), torch.sin(math.pi * x)

    return Case(model=model, draw=draw, chance=0.5, lr=3e-3)  # type: ignore[arg-type]


class Nature(nn.Module):
    """DQN's network on four frames of bytes divided by 255; small frames, so smaller strides."""

    def __init__(self) -> None:
        super().__init__()
        self.network = nn.Sequential(
            nn.Conv2d(4, 32, 4, 2),
            nn.ReLU(),
            nn.Conv2d(32, 64, 4, 2),
            nn.ReLU(),
            nn.Conv2d(64, 64, 3, 1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(576, 128),
            nn.ReLU(),
            nn.Linear(128, 4),
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.network(x / 255.0)
        return out


def dqn(_: int) -> Case:
    """Take bytes, value the action that was taken: 1 where the digit's class modulo four is the action."""

    def draw(s: int) -> Batch:
        x, y = images(s, 32, 28, 4, standard=False)
        action = torch.from_numpy(np.random.default_rng(s).integers(4, size=32))
        return ((x * 255).to(torch.uint8),), torch.stack([action, (y % 4 == action).long()], 1)

    def td(q: Tensor, target: Tensor) -> Tensor:
        return functional.smooth_l1_loss(q.gather(1, target[:, :1]).squeeze(1), target[:, 1].float())

    return Case(model=Nature(), draw=draw, loss=td, chance=0.5 * 0.25 * 0.75, lr=5e-4, share=0.7, steps=400)


def _layer(i: int, o: int, std: float = math.sqrt(2)) -> nn.Linear:
    layer = nn.Linear(i, o)
    nn.init.orthogonal_(layer.weight, std)
    nn.init.zeros_(layer.bias)
    return layer


class PPO(nn.Module):
    """CleanRL's actor and critic: orthogonal, gains √2, 0.01 and 1, tanh; returns logits and value."""

    def __init__(self) -> None:
        super().__init__()
        self.critic = nn.Sequential(_layer(64, 64), nn.Tanh(), _layer(64, 64), nn.Tanh(), _layer(64, 1, 1.0))
        self.actor = nn.Sequential(_layer(64, 64), nn.Tanh(), _layer(64, 64), nn.Tanh(), _layer(64, 10, 0.01))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.actor(x), self.critic(x)


def ppo(_: int) -> Case:
    def draw(s: int) -> Batch:
        x, y = digits(s)
        return (x,), y

    def loss(out: tuple[Tensor, Tensor], y: Tensor) -> Tensor:
        logits, value = out
        entropy = -(functional.softmax(logits, -1) * functional.log_softmax(logits, -1)).sum(-1).mean()
        return (
            functional.cross_entropy(logits, y)
            + 0.5 * ((value.squeeze(1) - (y < 5).float()) ** 2).mean()
            - 0.01 * entropy
        )

    return Case(model=PPO(), draw=draw, loss=loss, chance=math.log(10) + 0.1, lr=2.5e-3)


class SAC(nn.Module):
    """Twin critics of state and action, and PyTorch's defaults; a dataclass-free tuple of two values."""

    def __init__(self) -> None:
        super().__init__()
        self.q1, self.q2 = (
            nn.Sequential(nn.Linear(74, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 1))
            for _ in range(2)
        )

    def forward(self, state: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
        x = torch.cat([state, action], 1)
        return self.q1(x), self.q2(x)


def sac_critic(_: int) -> Case:
    def draw(s: int) -> Batch:
        x, y = digits(s, 128)
        action = torch.rand(128, 10, generator=torch.Generator().manual_seed(s)) * 2 - 1
        return (x, action), action.gather(1, y[:, None])

    def loss(out: tuple[Tensor, Tensor], target: Tensor) -> Tensor:
        return functional.mse_loss(out[0], target) + functional.mse_loss(out[1], target)

    return Case(model=SAC(), draw=draw, loss=loss, chance=2 / 3, lr=1e-3, share=0.6)


KINDS = {f.__name__: f for f in (nerf, siren, pinn, pinn_supervised, dqn, ppo, sac_critic)}
