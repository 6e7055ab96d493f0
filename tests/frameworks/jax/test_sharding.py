"""No sharding changes a bit, and no device talks to another."""

from __future__ import annotations

import os

import pytest

from elsewhere import python

PROGRAM = """
import re, sys
import jax, numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P
import fanin, fanin.jax
from fanin.records.draw import Normal, TruncatedNormal

assert len(jax.devices()) == 8
DRAWS = {
    "normal": Normal(mean=0.1, std=1.0),
    "complex": Normal(mean=0.1, std=1.0),
    "truncated": TruncatedNormal(std=0.1, parent_mean=0.0, parent_std=0.1, lower=1.0, upper=1.01),
}
MESHES = [
    ((8,), P("x")), ((8,), P(None, "x")), ((2, 4), P("x", "y")), ((2, 4), P(None, ("y", "x"))),
    ((2, 4), P())]
TALK = re.compile(r"all-gather|all-reduce|all-to-all|collective-permute|reduce-scatter")
checked = 0
types = AxisType[sys.argv[1]]
for title, draw in DRAWS.items():
    dtype = "complex64" if title == "complex" else "float32"
    for shape, axes in (((24, 8), None), ((8, 16, 3), "in out receptive")):
        expected = fanin.sample(draw, shape, seed=0, name="w", axes=axes, dtype=dtype)
        for sizes, spec in MESHES:
            if title != "normal" and spec != P("x", "y"):
                continue
            mesh = jax.make_mesh(sizes, ("x", "y")[: len(sizes)], axis_types=(types,) * len(sizes))
            sharding = NamedSharding(mesh, spec)

            def told():
                return fanin.jax.sample(
                    draw, shape, seed=0, name="w", axes=axes, dtype=dtype, sharding=sharding
                )

            def untold():
                return fanin.jax.sample(draw, shape, seed=0, name="w", axes=axes, dtype=dtype)

            with jax.set_mesh(mesh):
                outer = jax.jit(untold, out_shardings=sharding)
                inner = jax.jit(told)
                for got in (told(), inner(), outer()):
                    assert got.sharding.is_equivalent_to(sharding, len(shape)), (spec, got.sharding)
                    assert np.asarray(got).tobytes() == expected.tobytes(), (title, shape, spec)
                    checked += 1
                for compiled in (outer, inner):
                    assert not TALK.search(compiled.lower().compile().as_text()), (shape, spec)
print(checked)
"""


@pytest.mark.parametrize("axis_types", ["Auto", "Explicit"])
def test_the_same_bits_on_any_mesh(axis_types: str) -> None:
    flags = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=8"
    told = python("-c", PROGRAM, axis_types, timeout=600, XLA_FLAGS=flags, JAX_PLATFORMS="cpu")
    assert int(told) == 3 * (2 * 5 + 2 * 2)
