"""Abstract parameters and inputs for the reader of jaxprs, and what a graph says of them."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen

from fanin.records.graph import Graph

__all__ = ["activation_names", "axes", "shapes", "struct"]


def shapes(module: linen.Module, *inputs: Any, **kwargs: Any) -> Any:
    """Variables of a linen module, without values."""
    keys = {"params": jax.random.key(0), "dropout": jax.random.key(1)}
    return jax.eval_shape(lambda: module.init(keys, *inputs, **kwargs))


def struct(*sizes: int) -> Any:
    return jax.ShapeDtypeStruct(sizes, jnp.float32)


def axes(graph: Graph) -> dict[str, str]:
    return {p.name: str(u.axes) for p in graph.parameters for u in p.uses[:1] if u.axes is not None}


def activation_names(graph: Graph) -> set[str]:
    return {activation.name for activation in graph.activations}
