"""fanin for JAX: plans for whole models, and weights as shardable arrays, with the same bits as everywhere.

>>> import jax, jax.numpy as jnp, fanin.jax
>>> params = {"kernel": jnp.zeros((4, 2)), "bias": jnp.zeros(2)}
>>> new = fanin.jax.init(lambda p, x: x @ p["kernel"] + p["bias"], params, jnp.zeros((1, 4)), seed=1)
>>> new["bias"].tolist()
[0.0, 0.0]

>>> weight = fanin.jax.sample("he_normal", (16, 8), seed=0, name="fc1.kernel", axes="out in")
>>> weight.shape, weight.dtype.name
((16, 8), 'float32')
>>> init = fanin.jax.he_normal()  # every scheme has such a factory; layers take it for kernel_init=
>>> init(jax.random.key(0), (8, 16)).shape
(8, 16)
"""

from __future__ import annotations

from collections.abc import Callable

from fanin.errors import missing

try:
    import jax  # noqa: F401 - to say in words that it is missing
except ModuleNotFoundError as error:
    raise missing("fanin.jax", error, extra="jax") from error

from fanin.jax.check import check
from fanin.jax.engine import sample
from fanin.jax.initializers import Initializer, factory, initializer
from fanin.jax.read import read
from fanin.jax.whole import apply_plan, init, plan
from fanin.schemes import registry

__all__ = ["Initializer", "apply_plan", "check", "init", "initializer", "plan", "read", "sample"]


def __getattr__(name: str) -> Callable[..., Initializer]:
    if name in registry.entries() or name in registry.aliases():
        return factory(name)
    raise AttributeError(f"module 'fanin.jax' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *registry.entries(), *registry.aliases()})
