"""fanin for JAX: weights as traceable, shardable arrays, with the same bits as everywhere.

>>> import jax, fanin.jax
>>> weight = fanin.jax.sample("he_normal", (16, 8), seed=0, name="fc1.kernel", axes="out in")
>>> weight.shape, weight.dtype.name
((16, 8), 'float32')
"""

from __future__ import annotations

from fanin.jax.engine import sample

__all__ = ["sample"]
