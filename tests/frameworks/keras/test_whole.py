"""Plans for whole Keras models: the same on both backends that have a reader, and bits that fit PyTorch's.

Keras has one backend a process, so the models live in processes of their own.
"""

from __future__ import annotations

import json
from typing import Any

import keras
import numpy as np
import pytest

import fanin.keras
from elsewhere import python
from fanin.errors import InputError
from fanin.records.plan import Plan

PROGRAM = """
import hashlib, json, sys
import keras, numpy as np
import fanin, fanin.keras
from fanin.errors import InputError

L = keras.layers

def images():
    return keras.Sequential([
        keras.Input((8, 8, 3)),
        L.Conv2D(4, 3, activation="relu", name="conv"),
        L.BatchNormalization(name="norm"),
        L.Conv2DTranspose(5, 3, strides=2, name="up"),
        L.DepthwiseConv2D(3, name="depth"),
        L.SeparableConv2D(6, 3, activation="gelu", name="separable"),
        L.AveragePooling2D(2),
        L.GlobalAveragePooling2D(),
        L.Dropout(0.2),
        L.Dense(10, activation="softmax", name="head"),
    ], name="images")

def words():
    ids = keras.Input((7,), dtype="int32")
    x = L.Embedding(20, 8, name="table")(ids)
    x = L.LSTM(6, return_sequences=True, name="lstm")(x)
    x = L.GRU(8, return_sequences=True, name="gru")(x)
    h = L.LayerNormalization(name="norm")(x)
    x = L.Add()([x, L.MultiHeadAttention(2, 4, name="attention")(h, h)])
    return keras.Model(ids, L.Dense(5, name="head")(x), name="words")

def residual():
    image = keras.Input((16, 16, 3))
    x = L.Conv2D(8, 3, padding="same", name="stem")(image)
    for k in range(3):
        h = L.Conv2D(8, 3, padding="same", use_bias=False, name=f"a{k}")(x)
        h = L.ReLU()(L.BatchNormalization(name=f"n{k}")(h))
        x = L.Add()([x, L.Conv2D(8, 3, padding="same", name=f"b{k}")(h)])
    x = L.GlobalAveragePooling2D()(L.ReLU()(x))
    return keras.Model(image, L.Dense(4, name="head")(x), name="residual")

def pairs():
    a, b = keras.Input((4,), name="a"), keras.Input((3,), name="b")
    x = L.Concatenate()([L.Dense(8, activation="relu", name="left")(a), L.Dense(8, name="right")(b)])
    return keras.Model({"a": a, "b": b}, L.Dense(2, name="head")(x), name="pairs")

found = {}
for make, x in (
    (pairs, {"a": np.zeros((2, 4), "float32"), "b": np.zeros((2, 3), "float32")}),
    (images, np.zeros((2, 8, 8, 3), "float32")),
    (words, np.zeros((2, 7), "int32")),
    (residual, np.zeros((2, 16, 16, 3), "float32")),
):
    model = make()
    plan = fanin.keras.init_(model, x, seed=2)
    found[make.__name__] = {
        e.name: [str(e.axes), e.fan_in, e.fan_out, e.scheme, e.rule, e.status.value] for e in plan.entries
    }
    values = {v.path: keras.ops.convert_to_numpy(v.value) for v in model.variables}
    found[make.__name__ + " bits"] = {
        path: hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()
        for path, value in values.items() if "seed_generator" not in path
    }

model = residual()
x = np.zeros((2, 16, 16, 3), "float32")
plan = fanin.keras.plan(model, x, names={"stem/kernel": "c0.weight"}, seed=2)
fanin.keras.apply_(model, plan, names={"stem/kernel": "c0.weight"})
stem = keras.ops.convert_to_numpy(model.get_layer("stem").kernel.value)
std = plan["c0.weight"].draw.std
twin = fanin.sample(fanin.normal(std=std), (8, 3, 3, 3), seed=2, name="c0.weight")
assert (stem.transpose(3, 2, 0, 1) == twin).all()

# All or nothing: the fourth variable refuses, and the first three have what they had.
class Refuses(Exception):
    pass

before = [np.array(keras.ops.convert_to_numpy(v.value)) for v in model.variables]
variable = model.variables[3]
kind = type(variable)
assign = kind.assign
def refuse(self, value):
    if self is variable and not refuse.done:
        refuse.done = True
        raise Refuses
    return assign(self, value)
refuse.done = False
kind.assign = refuse
try:
    fanin.keras.init_(model, x, seed=9)
except Refuses:
    pass
else:
    raise AssertionError("it was not refused")
finally:
    kind.assign = assign
for old, v in zip(before, model.variables):
    assert (old == keras.ops.convert_to_numpy(v.value)).all(), v.path

model.get_layer("a0").trainable = False
assert fanin.keras.plan(model, x)["a0/kernel"].reason == "frozen"
try:
    fanin.keras.plan(keras.Sequential([L.Dense(3)]), x)
except InputError as error:
    assert "no variables yet" in str(error)
print(json.dumps(found))
"""


def told(backend: str) -> Any:
    lines = python("-c", PROGRAM, timeout=500, KERAS_BACKEND=backend, JAX_PLATFORMS="cpu").splitlines()
    return json.loads(lines[-1])


@pytest.fixture(scope="module")
def in_jax() -> Any:
    return told("jax")


def test_plans_and_bits_are_the_same_on_both_backends(in_jax: Any) -> None:
    assert told("torch") == in_jax


def test_roles_and_rules(in_jax: Any) -> None:
    words, residual = in_jax["words"], in_jax["residual"]
    # Keras puts the name of a Sequential before those of its layers.
    images = {name.removeprefix("images/"): line for name, line in in_jax["images"].items()}
    assert images["conv/kernel"][:3] == ["receptive receptive in out", 27.0, 36.0]
    assert images["up/kernel"][:3] == ["receptive receptive out in (stride=4, transposed)", 9.0, 45.0]
    assert images["depth/kernel"][1:3] == [9.0, 9.0]
    assert images["separable/depthwise_kernel"][1:3] == [9.0, 9.0]
    assert images["separable/pointwise_kernel"][1:3] == [5.0, 6.0]
    assert images["norm/gamma"][4] == "norm scale"
    assert images["norm/moving_mean"][5] == "kept"
    assert images["head/kernel"][4] == residual["head/kernel"][4] == "head"
    assert words["table/embeddings"][4] == "embedding"
    for cell, gates in (("lstm", 4), ("gru", 3)):
        assert words[f"{cell}/{cell}_cell/kernel"][0] == f"in out (groups={gates})"
        assert words[f"{cell}/{cell}_cell/kernel"][4] == "recurrent input"
        assert words[f"{cell}/{cell}_cell/recurrent_kernel"][4] == "recurrent state"
        bias = "constant by gate" if cell == "lstm" else "zeros"
        assert words[f"{cell}/{cell}_cell/bias"][3] == bias
    assert words["attention/query/kernel"][0] == "in out out"
    assert words["attention/query/bias"][3] == "zeros"
    assert residual["b2/kernel"][4] == "residual projection"
    assert all(line[5] != "unrecognised" for model in (images, words, residual) for line in model.values())


def test_a_backend_without_a_reader_is_refused() -> None:
    assert keras.backend.backend() == "numpy"
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="fc1")])
    with pytest.raises(InputError, match="read on two of its backends"):
        fanin.keras.plan(model, np.zeros((1, 4), "float32"))


def test_a_plan_is_carried_out_on_any_backend() -> None:
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="fc1")], name="net")
    with pytest.raises(InputError, match="no plan to carry out"):
        fanin.keras.apply_(model, "plan")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="There is no model"):
        fanin.keras.plan("model", np.zeros((1, 4), "float32"))


def test_names_that_are_none() -> None:
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, name="one")], name="net")
    plan = Plan(model="net", framework="keras", policy="auto", seed=0, stream=1, entries=())
    with pytest.raises(InputError, match=r"names= is not understood. Received: 3 \(int\)"):
        fanin.keras.apply_(model, plan, names=3)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"The paths are net/one/kernel, net/one/bias\."):
        fanin.keras.apply_(model, plan, names={"net/two/kernel": "w"})


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["VGG16", "ResNet50", "MobileNetV2", "EfficientNetB0", "DenseNet121", "ConvNeXtTiny"]
)
def test_applications(name: str) -> None:
    program = f"""
import json, keras, numpy as np, fanin.keras
model = keras.applications.{name}(weights=None, input_shape=(64, 64, 3))
plan = fanin.keras.plan(model, np.zeros((2, 64, 64, 3), "float32"))
print(json.dumps([[e.name, str(e.axes), e.fan_in, e.fan_out, e.rule, e.status.value] for e in plan.entries]))
"""
    found = []
    for backend in ("jax", "torch"):
        lines = python("-c", program, timeout=900, KERAS_BACKEND=backend).splitlines()
        found.append(json.loads(lines[-1]))
    assert found[0] == found[1]
    assert all(line[5] != "unrecognised" for line in found[0])
