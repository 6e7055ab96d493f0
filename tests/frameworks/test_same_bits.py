"""One seed and one name: the same bits in NumPy, PyTorch, jitted JAX, and Keras on each backend.

Every front end draws in a layout of its own; the SHA-256 is that of the bytes in logical order, (out, in,
receptive ...).
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import fanin
import fanin.jax
import fanin.torch
from elsewhere import python

SEED, NAME = 20261122, "blocks.3.fc.weight"
DTYPES = ("float32", "bfloat16", "float16", "complex64")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A scheme by its name and parameters, and PyTorch's function for the same law."""

    scheme: str
    parameters: dict[str, Any]
    drop_in: Callable[..., torch.Tensor]
    arguments: dict[str, Any]


CASES = [
    Case(
        scheme="uniform",
        parameters={"low": -0.1, "high": 0.3},
        drop_in=fanin.torch.uniform_,
        arguments={"a": -0.1, "b": 0.3},
    ),
    Case(
        scheme="normal",
        parameters={"std": 0.02},
        drop_in=fanin.torch.normal_,
        arguments={"std": 0.02},
    ),
    Case(
        scheme="truncated_normal",
        parameters={"std": 0.02},
        drop_in=fanin.torch.truncated_normal_,
        arguments={"std": 0.02},
    ),
    Case(
        scheme="he_normal",
        parameters={},
        drop_in=fanin.torch.kaiming_normal_,
        arguments={},
    ),
    Case(
        scheme="he_uniform",
        parameters={},
        drop_in=fanin.torch.kaiming_uniform_,
        arguments={},
    ),
    Case(
        scheme="glorot_normal",
        parameters={},
        drop_in=fanin.torch.xavier_normal_,
        arguments={},
    ),
    Case(
        scheme="glorot_uniform",
        parameters={"gain": 2.0},
        drop_in=fanin.torch.xavier_uniform_,
        arguments={"gain": 2.0},
    ),
    Case(
        scheme="orthogonal",
        parameters={"gain": 1.5},
        drop_in=fanin.torch.orthogonal_,
        arguments={"gain": 1.5},
    ),
]
# Logical shape, (out, in, receptive ...), and the dimensions of other layouts in terms of it.
SHAPES = {"dense": (48, 33), "conv": (32, 7, 3, 5)}
LAYOUTS = {"dense": [(0, 1), (1, 0)], "conv": [(0, 1, 2, 3), (2, 3, 1, 0), (0, 2, 3, 1)]}
ROLES = {"dense": ("out", "in"), "conv": ("out", "in", "receptive", "receptive")}

KERAS = """
import hashlib, json, sys
import keras, numpy as np
import fanin.keras

seed, name, shapes, cases, dtypes = json.loads(sys.argv[1])
out = {"backend": keras.backend.backend(), "bits": {}}
for scheme, parameters in cases:
    for layer, shape in shapes.items():
        keras_shape = (*shape[2:], shape[1], shape[0])
        back = (len(shape) - 1, len(shape) - 2, *range(len(shape) - 2))
        for dtype in dtypes:
            init = getattr(fanin.keras, scheme)(**parameters, seed=seed, name=name)
            tensor = init(keras_shape, dtype=dtype)
            values = np.asarray(keras.ops.convert_to_numpy(tensor)).transpose(back)
            assert keras.backend.standardize_dtype(tensor.dtype) == dtype == values.dtype.name
            label = f"{scheme} {layer} {dtype}"
            out["bits"][label] = hashlib.sha256(values.tobytes()).hexdigest()
print(json.dumps(out))
"""


def sha(values: NDArray[Any]) -> str:
    """SHA-256 of the bytes in C order."""
    return hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()


def expected(case: Case, layer: str, dtype: str) -> NDArray[Any]:
    """What NumPy draws in logical order."""
    made = fanin.schemes.registry.get(case.scheme, **case.parameters)
    return fanin.sample(made, SHAPES[layer], seed=SEED, name=NAME, dtype=dtype)


def axes_of(layer: str, order: tuple[int, ...]) -> str:
    return " ".join(ROLES[layer][d] for d in order)


def stored(layer: str, order: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(SHAPES[layer][d] for d in order)


def by_numpy(case: Case, layer: str, order: tuple[int, ...], dtype: str) -> NDArray[Any]:
    made = fanin.schemes.registry.get(case.scheme, **case.parameters)
    axes = axes_of(layer, order)
    drawn = fanin.sample(made, stored(layer, order), seed=SEED, name=NAME, dtype=dtype, axes=axes)
    return drawn.transpose(np.argsort(order))


def by_torch(case: Case, layer: str, order: tuple[int, ...], dtype: str) -> NDArray[Any]:
    # The layout is that of the memory; PyTorch's shape is always (out, in, ...).
    memory = torch.empty(stored(layer, order), dtype=getattr(torch, dtype))
    view = memory.permute([int(d) for d in np.argsort(order)])
    case.drop_in(view, **case.arguments, seed=SEED, name=NAME)
    # NumPy knows no bfloat16; words of two bytes hold it.
    bits: NDArray[Any] = (memory.view(torch.int16) if dtype == "bfloat16" else memory).numpy()
    return bits.transpose(np.argsort(order))


def by_jitted_jax(case: Case, layer: str, order: tuple[int, ...], dtype: str) -> NDArray[Any]:
    factory = getattr(fanin.jax, case.scheme)
    init = factory(**case.parameters, axes=axes_of(layer, order), seed=SEED, name=NAME)
    drawn = jax.jit(lambda: init(None, stored(layer, order), jnp.dtype(dtype)))()
    return np.asarray(drawn).transpose(np.argsort(order))


FRONT_ENDS = {"numpy": by_numpy, "torch": by_torch, "jax": by_jitted_jax}


@pytest.mark.parametrize("front_end", FRONT_ENDS)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.scheme)
def test_bits(case: Case, front_end: str) -> None:
    for layer, orders in LAYOUTS.items():
        for dtype in DTYPES:
            wanted = sha(expected(case, layer, dtype))
            for order in orders:
                assert sha(FRONT_ENDS[front_end](case, layer, order, dtype)) == wanted, (layer, order, dtype)


@pytest.mark.parametrize("backend", ["numpy", "jax", "torch", "tensorflow"])
def test_bits_of_keras(backend: str) -> None:
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    cases = [(case.scheme, case.parameters) for case in CASES]
    given = json.dumps([SEED, NAME, SHAPES, cases, DTYPES])
    told = json.loads(python("-c", KERAS, given, KERAS_BACKEND=backend).splitlines()[-1])
    assert told["backend"] == backend
    labels = [(layer, dtype) for layer in SHAPES for dtype in DTYPES]
    wanted = {
        f"{case.scheme} {layer} {dtype}": sha(expected(case, layer, dtype))
        for case in CASES
        for layer, dtype in labels
    }
    assert told["bits"] == wanted


def test_a_changed_bit_would_be_seen() -> None:
    values = expected(CASES[0], "dense", "bfloat16")
    before = sha(values)
    values.view(np.uint16).flat[-1] ^= 1
    assert sha(values) != before
    assert sha(expected(CASES[0], "dense", "bfloat16").T) != before
