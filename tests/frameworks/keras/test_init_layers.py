"""Keras initializers in Keras' layers: values that differ, fans from a kernel's meaning, saved models.

In this process on the NumPy backend; `test_backends` runs the same program on each backend.
"""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

import fanin
import fanin.keras
from elsewhere import python


def values(variable: Any) -> NDArray[Any]:
    """A variable's values."""
    return np.asarray(keras.ops.convert_to_numpy(variable.value))


def within(found: NDArray[Any], variance: float) -> None:
    """Raise unless a second moment is near `variance`.

    The band is 6.2 standard errors of a normal sample's second moment: a false alarm below 1e-9.
    """
    ratio = float(np.mean(np.square(found.astype(np.float64)))) / variance
    assert abs(ratio - 1) < 6.2 * (2 / found.size) ** 0.5, (found.shape, ratio)


def test_a_shared_instance_gives_layers_that_differ() -> None:
    he = fanin.keras.HeNormal(seed=0)
    model = keras.Sequential(
        [keras.Input((32,)), *(keras.layers.Dense(32, kernel_initializer=he) for _ in range(3))]
    )
    kernels = [values(layer.kernel) for layer in model.layers]
    for kernel in kernels:
        within(kernel, 2 / 32)
    assert (kernels[0] != kernels[1]).mean() > 0.99
    assert (kernels[1] != kernels[2]).mean() > 0.99
    # What it cures: Keras' own gives one kernel three times.
    theirs = keras.initializers.HeNormal(seed=0)
    np.testing.assert_array_equal(theirs((32, 32)), theirs((32, 32)))


def test_attention_has_three_kernels_and_their_fans() -> None:
    layer = keras.layers.MultiHeadAttention(4, 8, kernel_initializer=fanin.keras.HeNormal(seed=0))
    layer.build((None, 5, 32), (None, 5, 32))
    kernels = {w.path.split("/")[-2]: values(w) for w in layer.weights if w.name == "kernel"}
    assert {name: kernel.shape for name, kernel in kernels.items()} == {
        "query": (32, 4, 8), "key": (32, 4, 8), "value": (32, 4, 8), "attention_output": (4, 8, 32),
    }  # fmt: skip
    for kernel in kernels.values():
        within(kernel, 2 / 32)
    for one, other in (("query", "key"), ("query", "value"), ("key", "value")):
        assert (kernels[one] != kernels[other]).mean() > 0.99


def test_attention_inside_a_model_that_builds_it_late() -> None:
    class Model(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.attention = keras.layers.MultiHeadAttention(
                2, 8, kernel_initializer=fanin.keras.HeNormal(seed=0)
            )

        def call(self, x: Any) -> Any:
            return self.attention(x, x)

    model = Model()
    model(np.zeros((1, 5, 16), np.float32))
    kernels = [values(w) for w in model.weights if w.name == "kernel"][:3]
    assert (kernels[0] != kernels[1]).mean() > 0.99
    assert (kernels[1] != kernels[2]).mean() > 0.99


def test_einsum_of_stacked_experts() -> None:
    layer = keras.layers.EinsumDense(
        "ebc,ecd->ebd", output_shape=(None, 32), kernel_initializer=fanin.keras.HeNormal(axes="batch in out")
    )
    layer.build((8, None, 64))
    within(values(layer.kernel), 2 / 64)


def test_convolutions_by_their_meaning() -> None:
    he = fanin.keras.HeNormal(seed=0)
    plain = keras.layers.Conv2D(32, 3, kernel_initializer=he)
    plain.build((None, 8, 8, 16))
    within(values(plain.kernel), 2 / (9 * 16))
    depthwise = keras.layers.DepthwiseConv2D(
        3, depthwise_initializer=fanin.keras.HeNormal(axes="receptive receptive group out")
    )
    depthwise.build((None, 8, 8, 64))
    within(values(depthwise.kernel), 2 / 9)
    axes = fanin.Axes(roles=("receptive", "receptive", "out", "in"), stride=4, transposed=True)  # type: ignore[arg-type]
    transposed = keras.layers.Conv2DTranspose(
        16, 4, strides=2, kernel_initializer=fanin.keras.HeNormal(axes=axes)
    )
    transposed.build((None, 8, 8, 256))
    within(values(transposed.kernel), 2 / (256 * 16 / 4))


def test_recurrence_with_a_matrix_a_gate() -> None:
    layer = keras.layers.LSTM(
        16,
        kernel_initializer=fanin.keras.GlorotNormal(seed=0),
        recurrent_initializer=fanin.keras.Orthogonal(blocks=4, seed=0),
    )
    layer.build((None, 5, 16))
    recurrent = values(layer.cell.recurrent_kernel).astype(np.float64)
    for gate in np.split(recurrent, 4, axis=1):
        # 16 products of entries within 1e-6 of the exact ones, which are at most 1.
        np.testing.assert_allclose(gate.T @ gate, np.eye(16), atol=16 * 2 * 1e-6)


# Keras' own variables are older than NumPy 2's protocol.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_a_saved_model_builds_the_same_weights(tmp_path: Path) -> None:
    model = keras.Sequential(
        [
            keras.Input((24,)),
            keras.layers.Dense(16, kernel_initializer=fanin.keras.HeNormal("gelu", seed=4, name="fc1")),
            keras.layers.Dense(4, kernel_initializer="fanin>lecun_normal"),
        ]
    )
    again = keras.models.model_from_json(model.to_json())
    np.testing.assert_array_equal(values(again.layers[0].kernel), values(model.layers[0].kernel))
    assert type(again.layers[1].kernel_initializer) is fanin.keras.LecunNormal
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    for one, other in zip(loaded.weights, model.weights, strict=True):
        np.testing.assert_array_equal(values(one), values(other))


PROGRAM = """
import hashlib, json
import keras, numpy as np
import fanin.keras

def digest(variable):
    value = variable.value.detach() if hasattr(variable.value, "detach") else variable.value
    return hashlib.sha256(np.asarray(keras.ops.convert_to_numpy(value)).tobytes()).hexdigest()

source = keras.random.SeedGenerator(3)
he = fanin.keras.HeNormal(seed=0)
inputs = keras.Input((8, 8, 4))
x = keras.layers.Conv2D(16, 3, kernel_initializer=he, activation="relu")(inputs)
x = keras.layers.Reshape((36, 16))(x)
x = keras.layers.MultiHeadAttention(2, 8, kernel_initializer=fanin.keras.GlorotNormal(seed=1))(x, x)
x = keras.layers.LSTM(8, recurrent_initializer=fanin.keras.GlorotUniform(seed=source),
                      kernel_initializer=fanin.keras.TruncatedNormal(std=0.02, seed=source))(x)
x = keras.layers.Dense(16, kernel_initializer=he, dtype="bfloat16")(x)
outputs = keras.layers.Dense(3, kernel_initializer=fanin.keras.HeNormal(seed=5, name="head"))(x)
model = keras.Model(inputs, outputs)
result = model.predict(np.ones((2, 8, 8, 4), "float32"), verbose=0)
assert np.isfinite(np.asarray(result, "float32")).all()
trained = [v for v in model.trainable_variables if "bias" not in v.name and "gamma" not in v.name]
print(json.dumps([keras.backend.backend(), [digest(v) for v in trained]]))
"""


def run(backend: str, program: str, **more: str) -> Any:
    """What a program prints last, as JSON, on a backend."""
    return json.loads(python("-c", program, KERAS_BACKEND=backend, **more).splitlines()[-1])


def test_the_same_model_on_every_backend() -> None:
    backends = [b for b in ("numpy", "jax", "torch", "tensorflow") if importlib.util.find_spec(b)]
    told = dict(run(backend, PROGRAM) for backend in backends)
    assert set(told) >= {"numpy", "jax", "torch"}
    kernels = told["numpy"]
    assert len(kernels) == 1 + 4 + 2 + 2
    assert len(set(kernels)) == len(kernels)
    assert all(one == kernels for one in told.values()), told


SHARDED = """
import json
import jax, keras, numpy as np
import fanin, fanin.keras
from keras import distribution as kd

mesh = kd.DeviceMesh((4,), ["model"], kd.list_devices())
layout = kd.LayoutMap(mesh)
layout[".*kernel"] = (None, "model")
kd.set_distribution(kd.ModelParallel(layout_map=layout, batch_dim_name="model"))
shards = []
for init in (fanin.keras.HeNormal(seed=0, name="w"), fanin.keras.Zeros()):
    layer = keras.layers.Dense(16, kernel_initializer=init)
    layer.build((None, 24))
    shards.append(len({str(s.index) for s in layer.kernel.value.addressable_shards}))
    if init.scheme.name == "he_normal":
        expected = fanin.sample("he_normal", (16, 24), seed=0, name="w").T
        assert np.asarray(layer.kernel.value).tobytes() == np.ascontiguousarray(expected).tobytes()
print(json.dumps(shards))
"""


def test_sharded_over_jax_devices() -> None:
    flags = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=4"
    assert run("jax", SHARDED, XLA_FLAGS=flags, JAX_PLATFORMS="cpu") == [4, 4]


TRACED = """
import json
import jax, keras
import fanin.keras

init = fanin.keras.HeNormal(seed=keras.random.SeedGenerator(0))
inside = jax.jit(lambda: fanin.keras.HeNormal(seed=0)((4, 4)))
assert inside().shape == (4, 4)

def stateless(state):
    with keras.StatelessScope(state_mapping=[(init.seed.state, state)]):
        return init((4, 4))

try:
    jax.jit(stateless)(init.seed.state.value)
except Exception as error:
    print(json.dumps([type(error).__name__, str(error)]))
"""


def test_a_traced_seed_is_an_error() -> None:
    kind, text = run("jax", TRACED)
    assert kind == "InputError"
    assert "A SeedGenerator cannot be asked inside a compiled function" in text
