"""Random models: layers, streams that part and meet, weights that are shared, from one seed."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils import parametrizations

BATCH = 12
_ACTIVATIONS: tuple[Callable[[torch.Tensor], torch.Tensor], ...] = (
    torch.relu, torch.tanh, functional.gelu, functional.silu, functional.leaky_relu, functional.mish,
    lambda x: x * torch.sigmoid(1.702 * x), lambda x: torch.relu(x).square(), torch.sigmoid, functional.elu,
)  # fmt: skip


class Drawn(nn.Module):
    """A program of steps, each of which reads earlier values and appends one."""

    def __init__(self, seed: int, *, size: int = 8) -> None:
        super().__init__()
        self.random = random.Random(seed)  # noqa: S311 - no secret
        self.parts = nn.ModuleList()
        self.weights = nn.ParameterDict()
        self.steps: list[tuple[Callable[..., torch.Tensor], tuple[int, ...]]] = []
        self.shapes: list[tuple[int, ...]] = []
        self.story: list[str] = []
        self.kind = self.random.choice(("vector", "sequence", "tokens", "image"))
        self._begin()
        for _ in range(self.random.randint(1, size)):
            self._grow()
        self._end()

    def batch(self) -> torch.Tensor:
        source = torch.Generator().manual_seed(0)
        if self.kind == "tokens":
            return torch.randint(11, (BATCH, 7), generator=source)
        shape = {"vector": (16,), "sequence": (7, 16), "image": (4, 8, 8)}[self.kind]
        return torch.randn((BATCH, *shape), generator=source)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        values = [x]
        for function, inputs in self.steps:
            values.append(function(*(values[i] for i in inputs)))
        return values[-1]

    # ------------------------------------------------------------ building
    def _add(self, name: str, function: Callable[..., Any], *inputs: int) -> int:
        """Append a step; its shape is found by running it on ones."""
        given = [torch.ones(self.shapes[i]) if self.shapes[i] else self.batch() for i in inputs]
        modes = [(part, part.training) for part in self.modules()]
        with torch.no_grad():
            self.eval()
            shape = tuple(function(*given).shape)
        for part, mode in modes:
            part.training = mode
        self.steps.append((function, inputs))
        self.shapes.append(shape)
        self.story.append(f"{len(self.shapes) - 1}: {name}{inputs} -> {shape}")
        return len(self.shapes) - 1

    def _part(self, module: nn.Module) -> nn.Module:
        self.parts.append(module)
        return module

    def _weight(self, *shape: int, fill: float | None = None) -> Callable[[], torch.Tensor]:
        name = f"w{len(self.weights)}"
        self.weights[name] = nn.Parameter(
            torch.randn(shape) * 0.1 if fill is None else torch.full(shape, fill)
        )
        return lambda: self.weights[name]

    def _begin(self) -> None:
        self.shapes.append(() if self.kind == "tokens" else tuple(self.batch().shape))
        self.table: nn.Embedding | None = None
        if self.kind == "tokens":
            self.table = nn.Embedding(11, self.random.choice((8, 16)))
            at = self._add("embedding", self._part(self.table), 0)
            if self.random.random() < 0.5:
                place = self._weight(7, self.shapes[at][-1])
                self._add("positions", lambda x: x + place(), at)

    def _grow(self) -> None:
        at = len(self.shapes) - 1
        shape = self.shapes[at]
        if len(shape) == 4:
            choices = [
                self._convolution,
                self._normed,
                self._activation,
                self._branch,
                self._scale,
                self._pool,
            ]
        else:
            choices = [
                self._linear, self._linear, self._normed, self._activation, self._branch, self._scale,
                self._gate, self._einsum, self._concat, self._reused, self._low_rank, self._parametrised,
                self._skip,
            ]  # fmt: skip
            if len(shape) == 3:
                choices += [self._attention, self._recurrent, self._along, self._mean]
        self.random.choice(choices)(at)

    def _end(self) -> None:
        at = len(self.shapes) - 1
        if len(self.shapes[at]) == 4:
            at = self._add("pool", lambda x: x.mean((2, 3)), at)
        if self.table is not None and self.random.random() < 0.3:
            if self.shapes[at][-1] != self.table.embedding_dim:
                at = self._linear(at, self.table.embedding_dim)
            at = self._add("norm", self._part(nn.LayerNorm(self.shapes[at][-1])), at)
            table = self.table
            self._add("tied head", lambda x: functional.linear(x, table.weight), at)
        else:
            self._linear(at, 5)

    def _linear(self, at: int, out: int | None = None) -> int:
        out = out or self.random.choice((8, 16, 24))
        made = nn.Linear(self.shapes[at][-1], out, bias=self.random.random() < 0.8)
        return self._add("linear", self._part(made), at)

    def _parametrised(self, at: int) -> int:
        wrap = self.random.choice((parametrizations.weight_norm, parametrizations.spectral_norm))
        return self._add(wrap.__name__, self._part(wrap(nn.Linear(self.shapes[at][-1], 16))), at)

    def _low_rank(self, at: int) -> int:
        size = self.shapes[at][-1]
        down, up = self._weight(size, 4), self._weight(4, size)
        return self._add("low rank", lambda x: x @ down() @ up(), at)

    def _einsum(self, at: int) -> int:
        size = self.shapes[at][-1]
        weight = self._weight(size, 2, size // 2)
        return self._add("einsum", lambda x: torch.einsum("...i,ihd->...hd", x, weight()).flatten(-2), at)

    def _convolution(self, at: int) -> int:
        channels, side = self.shapes[at][1:3]
        kind = self.random.choice(("plain", "depthwise", "grouped", "strided", "transposed"))
        if kind == "transposed" and side <= 8:
            made: nn.Module = nn.ConvTranspose2d(channels, 8, 2, stride=2)
        elif kind == "strided" and side >= 4:
            made = nn.Conv2d(channels, 8, 3, stride=2, padding=1)
        elif kind in ("depthwise", "grouped"):
            groups = channels if kind == "depthwise" else 2
            made = nn.Conv2d(
                channels, 2 * channels if channels < 16 else channels, 3, padding=1, groups=groups
            )
        else:
            made = nn.Conv2d(channels, self.random.choice((4, 8)), 3, padding=1, bias=False)
        return self._add(kind, self._part(made), at)

    def _normed(self, at: int) -> int:
        shape = self.shapes[at]
        if len(shape) == 4:
            made = self.random.choice((nn.BatchNorm2d, lambda c: nn.GroupNorm(2, c)))(shape[1])
        elif len(shape) == 2:
            made = self.random.choice((nn.BatchNorm1d, nn.LayerNorm, nn.RMSNorm))(shape[-1])
        else:
            made = self.random.choice((nn.LayerNorm, nn.RMSNorm))(shape[-1])
        return self._add(type(made).__name__, self._part(made), at)

    def _activation(self, at: int) -> int:
        function = self.random.choice(_ACTIVATIONS)
        return self._add(f"activation {_ACTIVATIONS.index(function)}", function, at)

    def _branch(self, at: int) -> int:
        """A residual branch of one to three layers."""
        end = at
        for _ in range(self.random.randint(1, 3)):
            end = self._activation(end) if self.random.random() < 0.4 else self._layer(end)
        if self.shapes[end] != self.shapes[at]:
            end = self._fit(end, at)
        return self._add("residual", lambda x, y: x + y, at, end)

    def _layer(self, at: int) -> int:
        if len(self.shapes[at]) == 4:
            size = self.shapes[at][1]
            return self._add("conv", self._part(nn.Conv2d(size, size, 3, padding=1)), at)
        return self._linear(at)

    def _fit(self, at: int, like: int) -> int:
        if len(self.shapes[like]) == 4:
            return self._add("fit", self._part(nn.Conv2d(self.shapes[at][1], self.shapes[like][1], 1)), at)
        return self._linear(at, self.shapes[like][-1])

    def _skip(self, at: int) -> int:
        """From an older value of the same rank, through a projection of its own."""
        older = [i for i in range(1, at) if len(self.shapes[i]) == len(self.shapes[at])]
        if not older:
            return self._linear(at)
        side = self._fit(self.random.choice(older), at)
        return self._add("skip", lambda x, y: x + y, at, side)

    def _concat(self, at: int) -> int:
        older = [i for i in range(1, at) if self.shapes[i][:-1] == self.shapes[at][:-1]]
        if not older or self.shapes[at][-1] > 48:
            return self._linear(at)
        return self._add("concat", lambda x, y: torch.cat([x, y], -1), at, self.random.choice(older))

    def _reused(self, at: int) -> int:
        known = [m for m in self.parts if isinstance(m, nn.Linear) and m.in_features == self.shapes[at][-1]]
        if not known:
            return self._linear(at, self.shapes[at][-1])
        return self._add("reused", self.random.choice(known), at)

    def _gate(self, at: int) -> int:
        size = self.shapes[at][-1]
        if self.random.random() < 0.5:
            both = self._part(nn.Linear(size, 2 * size))
            return self._add("glu", lambda x: functional.glu(both(x), -1), at)
        value, gate = self._part(nn.Linear(size, size)), self._part(nn.Linear(size, size))
        return self._add("gate", lambda x: value(x) * functional.silu(gate(x)), at)

    def _scale(self, at: int) -> int:
        shape = self.shapes[at]
        wide = (shape[1], 1, 1) if len(shape) == 4 else (shape[-1],)
        scale = self._weight(*wide, fill=1.0)
        return self._add("scale", lambda x: x * scale(), at)

    def _pool(self, at: int) -> int:
        return self._add("max pool", lambda x: functional.max_pool2d(x, 2) if x.shape[-1] > 3 else x, at)

    def _attention(self, at: int) -> int:
        size = self.shapes[at][-1]
        if self.random.random() < 0.5:
            part = self._part(nn.MultiheadAttention(size, 2, batch_first=True))
            return self._add("attention", lambda x: x + part(x, x, x, need_weights=False)[0], at)
        packed, last = self._part(nn.Linear(size, 3 * size)), self._part(nn.Linear(size, size))

        def attend(x: torch.Tensor) -> torch.Tensor:
            q, k, v = (t.unflatten(-1, (2, -1)).transpose(1, 2) for t in packed(x).chunk(3, -1))
            mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
            out: torch.Tensor = x + last(mixed.transpose(1, 2).flatten(2))
            return out

        return self._add("packed attention", attend, at)

    def _recurrent(self, at: int) -> int:
        kind = self.random.choice((nn.LSTM, nn.GRU, nn.RNN))
        part = self._part(
            kind(self.shapes[at][-1], 8, batch_first=True, bidirectional=self.random.random() < 0.3)
        )
        return self._add(kind.__name__, lambda x: part(x)[0], at)

    def _along(self, at: int) -> int:
        size = self.shapes[at][-1]
        part = self._part(nn.Conv1d(size, size, 3, padding=2, groups=self.random.choice((1, size))))
        return self._add("conv1d", lambda x: part(x.transpose(1, 2))[..., : x.shape[1]].transpose(1, 2), at)

    def _mean(self, at: int) -> int:
        return self._add("mean", lambda x: x.mean(1), at)
