"""One model in PyTorch and in Flax: with equal names, equal weights, bit for bit."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import linen
from torch import nn

import fanin.jax
import fanin.torch

SEED = 5


class FlaxMLP(linen.Module):
    @linen.compact
    def __call__(self, x: Any) -> Any:
        x = linen.gelu(linen.Dense(32)(x), approximate=False)
        x = linen.silu(linen.Dense(32)(x))
        return linen.Dense(4)(linen.LayerNorm()(x))


def torch_mlp() -> nn.Module:
    return nn.Sequential(
        nn.Linear(8, 32), nn.GELU(), nn.Linear(32, 32), nn.SiLU(), nn.LayerNorm(32), nn.Linear(32, 4)
    )


MLP = {"Dense_0": "0", "Dense_1": "2", "LayerNorm_0": "4", "Dense_2": "5"}


class FlaxResidual(linen.Module):
    @linen.compact
    def __call__(self, x: Any, *, train: bool = True) -> Any:
        x = linen.relu(linen.Conv(8, (3, 3))(x))
        h = linen.BatchNorm(use_running_average=not train)(linen.Conv(8, (3, 3), use_bias=False)(x))
        h = linen.Conv(8, (3, 3), feature_group_count=8)(linen.relu(h))
        x = linen.max_pool(x + h, (2, 2), (2, 2))
        return linen.Dense(10)(linen.relu(linen.Conv(16, (3, 3), strides=2)(x)).mean((1, 2)))


class TorchResidual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.inner = nn.Conv2d(8, 8, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.depth = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.down = nn.Conv2d(8, 16, 3, stride=2, padding=1)
        self.head = nn.Linear(16, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.stem(x))
        x = nn.functional.max_pool2d(x + self.depth(torch.relu(self.norm(self.inner(x)))), 2)
        out: torch.Tensor = self.head(torch.relu(self.down(x)).mean((2, 3)))
        return out


RESIDUAL = {
    "Conv_0": "stem",
    "Conv_1": "inner",
    "BatchNorm_0": "norm",
    "Conv_2": "depth",
    "Conv_3": "down",
    "Dense_0": "head",
}


class FlaxTransformer(linen.Module):
    @linen.compact
    def __call__(self, ids: Any) -> Any:
        x = linen.Embed(20, 16)(ids)
        for _ in range(2):
            h = linen.LayerNorm(epsilon=1e-5)(x)
            x = x + linen.MultiHeadDotProductAttention(4)(h, h)
            h = linen.gelu(linen.Dense(64)(linen.LayerNorm(epsilon=1e-5)(x)), approximate=False)
            x = x + linen.Dense(16)(h)
        return linen.Dense(20)(linen.LayerNorm(epsilon=1e-5)(x))


class TorchBlock(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.n1, self.n2 = nn.LayerNorm(16), nn.LayerNorm(16)
        self.query, self.key, self.value, self.out = (nn.Linear(16, 16) for _ in range(4))
        self.up, self.down = nn.Linear(16, 64), nn.Linear(64, 16)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.n1(x)
        q, k, v = (f(h).unflatten(-1, (4, 4)).transpose(1, 2) for f in (self.query, self.key, self.value))
        h = nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        x = x + self.out(h)
        out: torch.Tensor = x + self.down(nn.functional.gelu(self.up(self.n2(x))))
        return out


class TorchTransformer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(20, 16)
        self.blocks = nn.ModuleList([TorchBlock(), TorchBlock()])
        self.norm, self.head = nn.LayerNorm(16), nn.Linear(16, 20)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.table(ids)
        for block in self.blocks:
            x = block(x)
        out: torch.Tensor = self.head(self.norm(x))
        return out


TRANSFORMER = {"Embed_0": "table", "LayerNorm_4": "norm", "Dense_4": "head"}
for number in range(2):
    TRANSFORMER |= {
        f"LayerNorm_{2 * number}": f"blocks.{number}.n1",
        f"LayerNorm_{2 * number + 1}": f"blocks.{number}.n2",
        f"Dense_{2 * number}": f"blocks.{number}.up",
        f"Dense_{2 * number + 1}": f"blocks.{number}.down",
    }
    TRANSFORMER |= {
        f"MultiHeadDotProductAttention_{number}.{part}": f"blocks.{number}.{part}"
        for part in ("query", "key", "value", "out")
    }

WORDS = {"kernel": "weight", "embedding": "weight", "scale": "weight", "bias": "bias"}


def torch_name(path: str, modules: dict[str, str]) -> str:
    module, _, last = path.rpartition(".")
    return f"{modules[module]}.{WORDS[last]}" if module in modules else path


def in_torch_layout(array: np.ndarray[Any, Any], name: str, shape: tuple[int, ...]) -> Any:
    """A Flax array as PyTorch stores the same connections."""
    if array.ndim == 4:
        return array.transpose(3, 2, 0, 1)
    if name.endswith("out.weight"):  # (heads, width, out)
        return array.reshape(-1, array.shape[-1]).T
    if array.ndim == 3:  # (in, heads, width)
        return array.reshape(array.shape[0], -1).T
    return (
        array.T
        if array.ndim == 2 and name.endswith("weight") and name != "table.weight"
        else array.reshape(shape)
    )


CASES = {
    "mlp": (FlaxMLP(), torch_mlp, MLP, jnp.zeros((2, 8)), torch.zeros(2, 8)),
    "residual": (
        FlaxResidual(),
        TorchResidual,
        RESIDUAL,
        jnp.zeros((2, 16, 16, 3)),
        torch.zeros(2, 3, 16, 16),
    ),
    "transformer": (
        FlaxTransformer(),
        TorchTransformer,
        TRANSFORMER,
        jnp.zeros((2, 6), jnp.int32),
        torch.zeros(2, 6, dtype=torch.long),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_equal_names_give_equal_weights(case: str) -> None:
    module, make, modules, ours, theirs = CASES[case]
    variables = jax.eval_shape(module.init, jax.random.key(0), ours)

    def names(path: str) -> str:
        return torch_name(path, modules)

    plan = fanin.jax.plan(module, variables, ours, seed=SEED, names=names)
    new = fanin.jax.init(module, variables, ours, seed=SEED, names=names)
    model = make()
    twin = fanin.torch.init_(model, theirs, seed=SEED)
    states = dict(model.named_parameters())
    leaves = dict(fanin.jax.leaves.leaf_names(new["params"]))
    assert {names(path) for path in leaves} == set(states)
    for path, leaf in leaves.items():
        name = names(path)
        expected = states[name].detach().numpy()
        got = in_torch_layout(np.asarray(leaf), name, expected.shape)
        assert (got == expected).all(), (name, plan[name].draw, twin[name].draw)
        assert plan[name].rule == twin[name].rule, name
    # Other names, other numbers: the comparison can fail.
    other = fanin.jax.init(module, variables, ours, seed=SEED)
    first = next(path for path, leaf in leaves.items() if np.ptp(np.asarray(leaf)) > 0)
    assert (
        np.asarray(leaves[first]) != np.asarray(dict(fanin.jax.leaves.leaf_names(other["params"]))[first])
    ).any()


class Deep(linen.Module):
    """Fifty layers of ReLU."""

    width: int = 256

    @linen.compact
    def __call__(self, x: Any) -> Any:
        for _ in range(50):
            x = linen.relu(linen.Dense(self.width)(x))
        return x


def test_fifty_layers_keep_power_where_the_default_loses_it() -> None:
    module = Deep()
    x = jnp.asarray(np.random.default_rng(0).standard_normal((64, 256)), jnp.float32)
    default = module.init(jax.random.key(0), x)
    new = fanin.jax.init(module, default, x)

    def powers(variables: Any) -> tuple[float, float]:
        out, back = jax.vjp(lambda given: module.apply(variables, given), x)
        noise = jnp.asarray(np.random.default_rng(1).standard_normal(out.shape), jnp.float32)
        return float(jnp.mean(out**2)), float(jnp.mean(back(noise)[0] ** 2))

    # Each layer halves what lecun_normal passes on: 2^-50 of it is left.
    assert all(power < 1e-12 for power in powers(default))
    # The last ReLU halves the power 2 of its input; ln of the power has sd sqrt(5 L / n) at the most.
    spread = (5 * 50 / 256) ** 0.5
    for power in powers(new):
        assert abs(np.log(power)) < 6.2 * spread + spread**2 / 2, power
