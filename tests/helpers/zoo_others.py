"""Small models that no rule was written for, by name: graphs, sets, functions, flows, wrappers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from zoo_parts import Forward, Made, Zoo, entry_of

__all__ = ["ZOO"]

ZOO: Zoo = {}
_entry = entry_of(ZOO)


@_entry
def _graph_network() -> Made:
    def forward(m: Any, x: torch.Tensor, edges: torch.Tensor) -> torch.Tensor:
        x = m.embed(x)
        source, target = edges
        for message, update in zip(m.messages, m.updates, strict=True):
            sent = F.relu(message(torch.cat([x[source], x[target]], -1)))
            total = torch.zeros_like(x).index_add(0, target, sent)
            count = torch.zeros(len(x), 1).index_add(0, target, torch.ones(len(target), 1)).clamp(min=1)
            x = x + update(torch.cat([x, total / count], -1))
        return m.head(x)

    layers = {
        "embed": nn.Linear(5, 32),
        "messages": nn.ModuleList(nn.Linear(64, 32) for _ in range(3)),
        "updates": nn.ModuleList(nn.Linear(64, 32) for _ in range(3)),
        "head": nn.Linear(32, 3),
    }
    return Forward(forward, **layers), (torch.randn(40, 5), torch.randint(0, 40, (2, 160)))


@_entry
def _graph_attention() -> Made:
    def forward(m: Any, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        for layer, left, right in zip(m.layers, m.left, m.right, strict=True):
            h = layer(x)
            scores = F.leaky_relu((h @ left)[:, None] + (h @ right)[None], 0.2).masked_fill(~mask, -1e9)
            x = F.elu(scores.softmax(-1) @ h)
        return m.head(x)

    layers = {
        "layers": nn.ModuleList([nn.Linear(8, 32), nn.Linear(32, 32)]),
        "left": nn.ParameterList(nn.Parameter(torch.randn(32) * 0.1) for _ in range(2)),
        "right": nn.ParameterList(nn.Parameter(torch.randn(32) * 0.1) for _ in range(2)),
        "head": nn.Linear(32, 4),
    }
    mask = (torch.rand(30, 30) < 0.3) | torch.eye(30, dtype=torch.bool)
    return Forward(forward, **layers), (torch.randn(30, 8), mask)


@_entry
def _vae() -> Made:
    def forward(m: Any, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        h = m.encoder(x)
        mean, log = m.mean(h), m.log(h)
        z = mean + torch.exp(0.5 * log) * torch.randn_like(mean)
        return torch.sigmoid(m.decoder(z)), mean, log

    layers = {
        "encoder": nn.Sequential(nn.Linear(30, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU()),
        "mean": nn.Linear(64, 8),
        "log": nn.Linear(64, 8),
        "decoder": nn.Sequential(nn.Linear(8, 64), nn.ReLU(), nn.Linear(64, 30)),
    }
    return Forward(forward, **layers), (torch.randn(16, 30),)


@_entry
def _flow() -> Made:
    class Coupling(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Sequential(nn.Linear(4, 32), nn.ReLU(), nn.Linear(32, 8))
            self.log_scale, self.shift = nn.Parameter(torch.zeros(8)), nn.Parameter(torch.zeros(8))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = (x + self.shift) * self.log_scale.exp()
            a, b = x.chunk(2, -1)
            log, shift = self.net(a).chunk(2, -1)
            return torch.cat([b * torch.tanh(log).exp() + shift, a], -1)

    return nn.Sequential(*[Coupling() for _ in range(4)]), (torch.randn(32, 8),)


@_entry
def _siren() -> Made:
    class Sine(nn.Module):
        def __init__(self, a: int, b: int, w: float) -> None:
            super().__init__()
            self.linear, self.w = nn.Linear(a, b), w

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.sin(self.w * self.linear(x))

    layers = [Sine(2, 64, 30.0), Sine(64, 64, 30.0), Sine(64, 64, 30.0), nn.Linear(64, 3)]
    return nn.Sequential(*layers), (torch.rand(128, 2) * 2 - 1,)


@_entry
def _nerf() -> Made:
    def forward(m: Any, x: torch.Tensor) -> torch.Tensor:
        waves = x[..., None] * m.frequencies
        x = torch.cat([x, waves.sin().flatten(1), waves.cos().flatten(1)], -1)
        h = x
        for i, layer in enumerate(m.layers):
            h = F.relu(layer(torch.cat([h, x], -1) if i == 2 else h))
        return torch.cat([torch.sigmoid(m.colour(h)), F.softplus(m.density(h))], -1)

    size = 3 + 3 * 2 * 4
    layers = {
        "layers": nn.ModuleList([nn.Linear(size, 64), nn.Linear(64, 64), nn.Linear(64 + size, 64)]),
        "colour": nn.Linear(64, 3),
        "density": nn.Linear(64, 1),
    }
    model = Forward(forward, **layers)
    model.register_buffer("frequencies", 2.0 ** torch.arange(4))
    return model, (torch.randn(64, 3),)


@_entry
def _deep_sets() -> Made:
    def forward(m: Any, x: torch.Tensor) -> torch.Tensor:
        return m.rho(m.phi(x).sum(1))

    layers = {
        "phi": nn.Sequential(nn.Linear(4, 32), nn.ReLU(), nn.Linear(32, 32)),
        "rho": nn.Sequential(nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 3)),
    }
    return Forward(forward, **layers), (torch.randn(16, 12, 4),)


@_entry
def _hypernetwork() -> Made:
    def forward(m: Any, x: torch.Tensor, task: torch.Tensor) -> torch.Tensor:
        made = m.hyper(m.task(task))
        weight, bias = made[:, : 32 * 8].view(-1, 32, 8), made[:, 32 * 8 :]
        return m.head(F.relu(torch.einsum("noi,ni->no", weight, x) / math.sqrt(8) + bias))

    layers = {
        "task": nn.Embedding(5, 16),
        "hyper": nn.Sequential(nn.Linear(16, 32), nn.Tanh(), nn.Linear(32, 32 * 9)),
        "head": nn.Linear(32, 2),
    }
    return Forward(forward, **layers), (torch.randn(16, 8), torch.randint(0, 5, (16,)))


@_entry
def _tied_autoencoder() -> Made:
    def forward(m: Any, x: torch.Tensor) -> torch.Tensor:
        h = torch.relu(m.first(x))
        h = torch.relu(m.second(h))
        h = torch.relu(F.linear(h, m.second.weight.t()))
        return F.linear(h, m.first.weight.t(), m.bias)

    model = Forward(forward, first=nn.Linear(30, 64), second=nn.Linear(64, 32))
    model.bias = nn.Parameter(torch.zeros(30))
    return model, (torch.randn(16, 30),)


@_entry
def _neural_ode() -> Made:
    def forward(m: Any, x: torch.Tensor) -> torch.Tensor:
        x = m.embed(x)
        for _ in range(8):
            x = x + 0.125 * m.field(x)
        return m.head(x)

    field = nn.Sequential(nn.Linear(32, 64), nn.Tanh(), nn.Linear(64, 32))
    return Forward(forward, embed=nn.Linear(4, 32), field=field, head=nn.Linear(32, 2)), (torch.randn(32, 4),)


@_entry
def _kan() -> Made:
    class Layer(nn.Module):
        def __init__(self, a: int, b: int) -> None:
            super().__init__()
            self.base = nn.Linear(a, b, bias=False)
            self.spline = nn.Parameter(0.1 * torch.randn(b, a, 8))
            self.register_buffer("grid", torch.linspace(-2, 2, 8))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            basis = torch.exp(-((x[..., None] - self.grid) * 2).square())
            return self.base(F.silu(x)) + torch.einsum("nig,oig->no", basis, self.spline)

    return nn.Sequential(Layer(4, 16), Layer(16, 16), Layer(16, 3)), (torch.randn(64, 4),)


@_entry
def _embedding_bag() -> Made:
    def forward(m: Any, ids: torch.Tensor, dense: torch.Tensor) -> torch.Tensor:
        hashed = [m.table((ids * prime) % 97) for prime in (31, 61)]
        bags = m.bag(ids)
        x = torch.cat([hashed[0].mean(1), hashed[1].mean(1), bags, m.dense(dense)], -1)
        return m.top(x)

    layers = {
        "table": nn.Embedding(97, 16),
        "bag": nn.EmbeddingBag(1000, 16, mode="mean"),
        "dense": nn.Linear(5, 16),
        "top": nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 1)),
    }
    return Forward(forward, **layers), (torch.randint(0, 1000, (16, 6)), torch.randn(16, 5))


@_entry
def _bilinear() -> Made:
    def forward(m: Any, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return m.head(torch.tanh(m.bilinear(m.left(a), m.right(b))))

    layers = {
        "left": nn.Linear(6, 16),
        "right": nn.Linear(7, 16),
        "bilinear": nn.Bilinear(16, 16, 32),
        "head": nn.Linear(32, 3),
    }
    return Forward(forward, **layers), (torch.randn(32, 6), torch.randn(32, 7))


@_entry
def _einsum_mixer() -> Made:
    class Mix(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w1 = nn.Parameter(torch.randn(4, 8, 16))
            self.w2 = nn.Parameter(torch.randn(4, 16, 10))
            self.b = nn.Parameter(torch.zeros(4, 16))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = x.unflatten(-1, (4, 8))
            h = torch.einsum("bhi,hio->bho", x, self.w1) + self.b
            return torch.einsum("bho,hok->bk", F.relu(h), self.w2)

    return Mix(), (torch.randn(32, 32),)


@_entry
def _fourier_operator() -> Made:
    class Layer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.randn(16, 16, 6, dtype=torch.cfloat) / 16)
            self.local = nn.Conv1d(16, 16, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            modes = torch.fft.rfft(x)
            out = torch.zeros_like(modes)
            out[..., :6] = torch.einsum("bim,iom->bom", modes[..., :6], self.weight)
            return F.gelu(torch.fft.irfft(out, n=x.shape[-1]) + self.local(x))

    return nn.Sequential(nn.Conv1d(1, 16, 1), Layer(), Layer(), nn.Conv1d(16, 1, 1)), (torch.randn(8, 1, 32),)


@_entry
def _highway() -> Made:
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.h, self.t = nn.Linear(32, 32), nn.Linear(32, 32)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            t = torch.sigmoid(self.t(x))
            return t * torch.relu(self.h(x)) + (1 - t) * x

    return nn.Sequential(nn.Linear(8, 32), *[Block() for _ in range(6)], nn.Linear(32, 3)), (
        torch.randn(32, 8),
    )


@_entry
def _maxout() -> Made:
    class Maxout(nn.Module):
        def __init__(self, a: int, b: int) -> None:
            super().__init__()
            self.linear = nn.Linear(a, 3 * b)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.linear(x).unflatten(-1, (-1, 3)).amax(-1)

    return nn.Sequential(Maxout(8, 32), Maxout(32, 32), nn.Linear(32, 3)), (torch.randn(32, 8),)


@_entry
def _siamese() -> Made:
    def forward(m: Any, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        a, b = F.normalize(m.tower(a), dim=-1), F.normalize(m.tower(b), dim=-1)
        return m.temperature.exp() * a @ b.t()

    tower = nn.Sequential(nn.Linear(10, 32), nn.ReLU(), nn.Linear(32, 16))
    model = Forward(forward, tower=tower)
    model.temperature = nn.Parameter(torch.tensor(2.66))
    return model, (torch.randn(16, 10), torch.randn(16, 10))


@dataclass
class _Outputs:
    classes: torch.Tensor
    boxes: torch.Tensor
    extra: dict[str, torch.Tensor]


@_entry
def _many_heads() -> Made:
    def forward(m: Any, x: torch.Tensor) -> _Outputs:
        h = m.body(x)
        return _Outputs(classes=m.classes(h), boxes=m.boxes(h).sigmoid(), extra={"mask": m.mask(h)})

    layers = {
        "body": nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU()),
        "classes": nn.Linear(32, 7),
        "boxes": nn.Linear(32, 4),
        "mask": nn.Linear(32, 16),
    }
    return Forward(forward, **layers), (torch.randn(16, 8),)


@_entry
def _functional_call() -> Made:
    def forward(m: Any, x: torch.Tensor) -> torch.Tensor:
        halved = {name: 0.5 * p for name, p in m.net.named_parameters()}
        return torch.func.functional_call(m.net, halved, (x,))

    net = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 2))
    return Forward(forward, net=net), (torch.randn(16, 8),)


@_entry
def _random_features() -> Made:
    def forward(m: Any, x: torch.Tensor) -> torch.Tensor:
        return m.head(torch.cos(x @ m.projection + m.phase) * math.sqrt(2 / 64))

    model = Forward(forward, head=nn.Linear(64, 2))
    model.register_buffer("projection", torch.randn(8, 64))
    model.register_buffer("phase", 2 * math.pi * torch.rand(64))
    return model, (torch.randn(32, 8),)


@_entry
def _scripted() -> Made:
    return torch.jit.script(nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 2))), (
        torch.randn(16, 8),
    )


@_entry
def _traced() -> Made:
    model = nn.Sequential(nn.Linear(8, 32), nn.GELU(), nn.Linear(32, 2))
    return torch.jit.trace(model, torch.randn(16, 8)), (torch.randn(16, 8),)


@_entry
def _fx_graph() -> Made:
    made = torch.fx.symbolic_trace(nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 2)))
    return made, (torch.randn(16, 8),)
