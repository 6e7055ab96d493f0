"""Random functions of a tree of arrays, from one seed, and the same functions in PyTorch: their twins."""

# ruff: noqa: ARG005 - steps are called alike, whether or not they need the library or the parameters
from __future__ import annotations

import math
import random
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
from torch import nn
from torch.nn import functional

BATCH, LENGTH, WORDS = 6, 5, 11

IN_JAX = SimpleNamespace(
    relu=jax.nn.relu, tanh=jnp.tanh, silu=jax.nn.silu, gelu=lambda x: jax.nn.gelu(x, approximate=False),
    leaky=lambda x: jax.nn.leaky_relu(x, 0.01), sigmoid=jax.nn.sigmoid, sqrt=jnp.sqrt,
    softmax=lambda x: jax.nn.softmax(x, axis=-1), einsum=jnp.einsum, lookup=lambda w, x: w[x],
    split=lambda x: jnp.split(x, 2, axis=-1), turn=lambda x: jnp.swapaxes(x, -1, -2),
    mean=lambda x: jnp.mean(x, axis=-1, keepdims=True), pool=lambda x: jnp.mean(x, axis=1),
    join=lambda a, b: jnp.concatenate((a, b), axis=-1),
)  # fmt: skip
IN_TORCH = SimpleNamespace(
    relu=torch.relu, tanh=torch.tanh, silu=functional.silu, gelu=functional.gelu,
    leaky=functional.leaky_relu, sigmoid=torch.sigmoid, sqrt=torch.sqrt,
    softmax=lambda x: torch.softmax(x, dim=-1), einsum=torch.einsum, lookup=lambda w, x: w[x],
    split=lambda x: torch.chunk(x, 2, dim=-1), turn=lambda x: x.transpose(-1, -2),
    mean=lambda x: x.mean(-1, keepdim=True), pool=lambda x: x.mean(1),
    join=lambda a, b: torch.cat((a, b), dim=-1),
)  # fmt: skip
ACTIVATIONS = ("relu", "tanh", "silu", "gelu", "leaky")

Step = Callable[[Any, dict[str, Any], Any], Any]


class Drawn:
    """A program: each step takes a library, the parameters and the value so far, and returns the next."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)  # noqa: S311 - no secret
        self.weights: dict[str, tuple[tuple[int, ...], float | None]] = {}
        self.steps: list[Step] = []
        self.first = 0
        """Size of an input: what the first step takes."""
        self.story: list[str] = []
        self.kind = self.random.choice(("vector", "sequence", "tokens"))
        self.size = self.random.choice((8, 12))
        if self.kind == "tokens":
            table = self.weight("table", WORDS, self.size)
            self.step("embedding", lambda m, p, x: m.lookup(p[table], x))
        kinds: list[Callable[[], None]] = [
            self.linear, self.linear, self.activation, self.norm, self.branch, self.branch, self.gate,
            self.heads, self.scale, self.concat,
        ]  # fmt: skip
        if self.kind != "vector":
            kinds.append(self.attention)
        for _ in range(self.random.randint(1, 5)):
            self.random.choice(kinds)()
        if self.kind == "sequence":
            self.step("pool", lambda m, p, x: m.pool(x))
        if self.kind == "tokens" and self.random.random() < 0.4:
            if self.size != self.weights["table"][0][1]:
                self.linear(self.weights["table"][0][1])
            self.norm()
            self.step("tied head", lambda m, p, x: x @ m.turn(p["table"]))
        else:
            self.linear(3)

    # ------------------------------------------------------------ what it is
    def batch(self) -> np.ndarray[Any, Any]:
        source = np.random.default_rng(0)
        if self.kind == "tokens":
            return source.integers(0, WORDS, (BATCH, LENGTH))
        sizes = (BATCH, self.first) if self.kind == "vector" else (BATCH, LENGTH, self.first)
        return source.standard_normal(sizes, dtype=np.float32)

    def run(self, library: Any, parameters: dict[str, Any], x: Any) -> Any:
        for step in self.steps:
            x = step(library, parameters, x)
        return x

    def apply(self, parameters: dict[str, Any], x: Any) -> Any:
        return self.run(IN_JAX, parameters, x)

    def tree(self) -> dict[str, np.ndarray[Any, Any]]:
        """Parameters as a constructor leaves them: random weights, scales of 1, biases of 0."""
        source = np.random.default_rng(1)
        return {
            name: np.float32(source.standard_normal(shape) * 0.1 if fill is None else np.full(shape, fill))
            for name, (shape, fill) in self.weights.items()
        }

    def twin(self) -> nn.Module:
        return _Twin(self)

    # ------------------------------------------------------------ how it grows
    def weight(self, name: str, *shape: int, fill: float | None = None) -> str:
        told = name if name not in self.weights else f"{name}_{len(self.weights)}"
        self.weights[told] = (shape, fill)
        return told

    def step(self, told: str, function: Step) -> None:
        self.first = self.first or self.size
        self.steps.append(function)
        self.story.append(f"{told} -> {self.size}")

    def linear(self, out: int | None = None, *, told: str = "linear") -> None:
        inner, self.first = self.size, self.first or self.size
        self.size = out or self.random.choice((8, 12, 16))
        w = self.weight("w", inner, self.size)
        if self.random.random() < 0.7:
            b = self.weight("b", self.size, fill=0.0)
            self.step(told, lambda m, p, x: x @ p[w] + p[b])
        else:
            self.step(told, lambda m, p, x: x @ p[w])

    def activation(self) -> None:
        name = self.random.choice(ACTIVATIONS)
        self.step(name, lambda m, p, x: getattr(m, name)(x))

    def norm(self) -> None:
        g = self.weight("g", self.size, fill=1.0)
        if self.random.random() < 0.5:
            self.step("rms norm", lambda m, p, x: x / m.sqrt(m.mean(x * x) + 1e-5) * p[g])
            return
        b = self.weight("shift", self.size, fill=0.0)

        def step(m: Any, p: dict[str, Any], x: Any) -> Any:
            x = x - m.mean(x)
            return x / m.sqrt(m.mean(x * x) + 1e-5) * p[g] + p[b]

        self.step("layer norm", step)

    def branch(self) -> None:
        """A residual branch of two layers."""
        size, hidden = self.size, self.random.choice((8, 16))
        self.first = self.first or size
        up, down = self.weight("up", size, hidden), self.weight("down", hidden, size)
        name = self.random.choice(ACTIVATIONS)
        self.step("residual", lambda m, p, x: x + getattr(m, name)(x @ p[up]) @ p[down])

    def gate(self) -> None:
        size = self.size
        up, down = self.weight("gate_up", size, 16), self.weight("gate_down", 8, size)

        def step(m: Any, p: dict[str, Any], x: Any) -> Any:
            a, b = m.split(x @ p[up])
            return (m.silu(a) * b) @ p[down]

        self.step("gate", step)

    def heads(self) -> None:
        size = self.size
        w, o = self.weight("to_heads", size, 2, 4), self.weight("from_heads", 2, 4, size)
        self.step(
            "einsum",
            lambda m, p, x: m.einsum("...hd,hdo->...o", m.relu(m.einsum("...i,ihd->...hd", x, p[w])), p[o]),
        )

    def scale(self) -> None:
        s = self.weight("s", self.size, fill=1.0)
        self.step("scale", lambda m, p, x: x * p[s])

    def concat(self) -> None:
        size = self.size
        a, b = self.weight("left", size, 8), self.weight("right", size, 8)
        self.step("concat", lambda m, p, x: m.join(m.tanh(x @ p[a]), m.relu(x @ p[b])))
        self.size = 16

    def attention(self) -> None:
        size = self.size
        q, k, v, o = (self.weight(name, size, size) for name in ("q", "k", "v", "o"))

        def step(m: Any, p: dict[str, Any], x: Any) -> Any:
            weights = m.softmax((x @ p[q]) @ m.turn(x @ p[k]) / math.sqrt(size))
            return x + (weights @ (x @ p[v])) @ p[o]

        self.step("attention", step)


class _Twin(nn.Module):
    def __init__(self, program: Drawn) -> None:
        super().__init__()
        self.program = program
        for name, value in program.tree().items():
            self.register_parameter(name, nn.Parameter(torch.from_numpy(value)))

    def forward(self, x: torch.Tensor) -> Any:
        return self.program.run(IN_TORCH, dict(self.named_parameters()), x)
