"""The check of Keras models: sick ones are told once, with their cause; healthy ones are left in peace.

Keras has one backend a process, so the models live in processes of their own.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from typing import Any

import keras
import numpy as np
import pytest

import fanin.keras
from fanin.errors import InputError

COMMON = """
import json, sys
import keras, numpy as np
import fanin.keras
from fanin.errors import FaninError

L = keras.layers
LOGITS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
SPARSE = "sparse_categorical_crossentropy"
rng = np.random.default_rng(0)
X, Y = rng.normal(size=(64, 20)).astype("float32"), rng.integers(0, 5, 64)
SIGNAL = rng.normal(size=(16, 6, 8)).astype("float32")
keras.utils.set_random_seed(0)

def dense(law="he_normal", act="relu", depth=4, last="softmax"):
    # (Each layer has an initializer of its own: a shared one draws the same numbers for all.)
    make = (lambda: law) if isinstance(law, str) else law
    layers = [L.Dense(48, act, kernel_initializer=make(), name=f"fc{k}") for k in range(depth)]
    return keras.Sequential([keras.Input((20,)), *layers, L.Dense(5, last, name="head")], name="net")

def std(size):
    return lambda: keras.initializers.RandomNormal(stddev=size, seed=int(rng.integers(1 << 30)))

def told(model, *inputs, after=False, **asked):
    before = [np.array(v.numpy()) for v in model.variables]
    try:
        report = fanin.keras.check(model, *inputs, **asked)
    except FaninError as error:
        return {"error": str(error)}
    same = all((a == v.numpy()).all() for a, v in zip(before, model.variables))
    d, loss = report.diagnosis, report.diagnosis.trace.loss
    law = None if d.prediction is None or d.prediction.loss is None else d.prediction.loss.value
    found = {
        "codes": [f.code for f in report.findings], "healthy": report.healthy, "same": same,
        "causes": {f.code: f.cause for f in report.findings},
        "where": {f.code: list(f.where) for f in report.findings},
        "loss": loss and [loss.name, loss.value, loss.expected, loss.takes, loss.strays], "law": law,
        "framework": d.graph.framework, "weights": [p.name for p in d.trace.parameters],
        "norms": [list(n.settings) for n in d.graph.nodes if n.kind.value == "norm"],
        "passed": dict(d.passed), "mode": d.trace.mode, "notes": list(d.trace.notes),
    }
    if after:
        fanin.keras.apply_(model, report.plan())
        found["after"] = [f.code for f in fanin.keras.check(model, *inputs, **asked).findings]
    return found

found = {}
"""

BOTH = """
found["healthy"] = told(dense(), X, target=Y, loss=SPARSE)
found["small"] = told(dense("zeros", last="softmax"), X, target=Y, loss=SPARSE, after=True)
found["twice"] = told(dense(), X, target=Y, loss=LOGITS)
found["undone"] = told(dense(last=None), X, target=Y, loss=SPARSE)
found["labels"] = told(dense(), X, target=Y + 1, loss=SPARSE)
"""

SICK = """
found["logits"] = told(dense(last=None), X, target=Y, loss=LOGITS)
found["ones"] = told(dense("ones"), X, target=Y, loss=SPARSE, after=True)
found["large"] = told(dense(std(1.0)), X, target=Y, loss=SPARSE, after=True)
found["shared"] = told(dense(lambda one=keras.initializers.HeNormal(seed=3): one), X, target=Y, loss=SPARSE)
found["deep"] = told(dense("glorot_uniform", depth=30), X, target=Y, loss=SPARSE, after=True)
found["saturated"] = told(dense(std(1.0), "tanh"), X, target=Y, loss=SPARSE, after=True)
cell = L.LSTM(24, recurrent_initializer=std(2.0)(), name="cell")
lstm = keras.Sequential([keras.Input((6, 8)), cell, L.Dense(5, "softmax")], name="net")
found["recurrent"] = told(lstm, SIGNAL, target=Y[:16], loss=SPARSE, after=True)
found["hot"] = told(dense(), X, target=np.eye(5, dtype="float32")[Y], loss="categorical_crossentropy")
found["default"] = told(dense(), X, target=Y)
found["default logits"] = told(dense(last=None), X, target=Y)
one = keras.Sequential([keras.Input((20,)), L.Dense(32, "relu"), L.Dense(1, "sigmoid")], name="one")
found["binary"] = told(one, X, target=(Y > 2).astype("float32"), loss="binary_crossentropy")
one.compile(loss=keras.losses.BinaryCrossentropy(from_logits=True))
found["compiled"] = told(one, X, target=(Y > 2).astype("float32"))
line = keras.Sequential([keras.Input((20,)), L.Dense(32, "relu"), L.Dense(1, "relu")], name="line")
found["reach"] = told(line, X, target=2.0 * X[:, :1], loss="mse")

a, b = keras.Input((20,), name="a"), keras.Input((7,), name="b", dtype="int32")
words = L.GlobalAveragePooling1D()(L.Embedding(11, 16, mask_zero=True)(b))
h = L.Dropout(0.3, seed=1)(L.Concatenate()([L.Dense(32, "relu")(a), words]))
two = keras.Model([a, b], {"cls": L.Dense(5, "softmax", name="cls")(h), "reg": L.Dense(1, name="reg")(h)})
batch = {"a": X, "b": rng.integers(0, 11, (64, 7))}
losses = {"cls": SPARSE, "reg": "mse"}
found["two"] = told(two, batch, target={"cls": Y, "reg": X[:, :1]}, loss=losses)

class Own(keras.Model):
    def __init__(self):
        super().__init__(name="own")
        self.first, self.norm, self.last = L.Dense(32, "gelu"), L.LayerNormalization(), L.Dense(5)
        self.dropout = L.Dropout(0.5)
    def call(self, x, training=False):
        return self.last(self.dropout(self.norm(self.first(x)), training=training))
own = Own()
own(X[:2])
named = lambda path: path.replace("/", ".")
found["own"] = told(own, X, target=Y, names=named, tier="deep")
own.first.trainable = False
found["frozen"] = told(own, X, target=Y, loss=lambda y_true, y_pred: keras.ops.mean(y_pred ** 2))
norm = [L.Dense(32), L.BatchNormalization(name="bn"), L.ReLU(), L.Dense(5, "softmax")]
norm[1].trainable = False
found["norm"] = told(keras.Sequential([keras.Input((20,)), *norm], name="net"), X, target=Y, loss=SPARSE)
keras.mixed_precision.set_global_policy("mixed_bfloat16")
found["mixed"] = told(dense(), X, target=Y, loss=SPARSE)
keras.mixed_precision.set_global_policy("float32")
found["shape"] = told(dense(), X[:, :5], target=Y)
found["nan"] = told(dense(), X * np.nan, target=Y)

import torch, fanin.torch
from torch import nn
image = keras.Input((10, 12, 3))
h = L.Conv2D(8, 3, padding="same", name="conv")(image)
h = L.ReLU()(L.BatchNormalization(name="norm", epsilon=1e-5)(h))
h = L.Dense(4, name="head")(L.GlobalAveragePooling2D()(L.Conv2D(6, 3, name="second", activation="relu")(h)))
twin = keras.Model(image, h, name="twin")
fanin.keras.init_(twin, np.zeros((2, 10, 12, 3), "float32"), seed=4)
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.second, self.head = nn.Conv2d(8, 6, 3), nn.Linear(6, 4)
    def forward(self, x):
        return self.head(self.second(self.norm(self.conv(x)).relu()).relu().mean((2, 3)))
net = Net()
ways = {4: (3, 2, 0, 1), 2: (1, 0), 1: (0,)}
ends = {"kernel": "weight", "bias": "bias", "gamma": "weight", "beta": "bias"}
for v in twin.trainable_variables:
    layer, _, end = v.path.partition("/")
    values = torch.from_numpy(v.numpy().transpose(ways[len(v.shape)]).copy())
    getattr(getattr(net, layer), ends[end]).data.copy_(values)
images, labels = rng.normal(size=(24, 10, 12, 3)).astype("float32"), rng.integers(0, 4, 24)
there = fanin.keras.check(twin, images, target=labels, loss=LOGITS).diagnosis
pixels = torch.from_numpy(images.transpose(0, 3, 1, 2).copy())
here = fanin.torch.check(net, pixels, target=torch.from_numpy(labels)).diagnosis
def figures(d):
    kinds = {n.id: n.kind.value for n in d.graph.nodes}
    chosen = ("convolution", "norm", "activation", "contraction")
    kept = [m for m in d.trace.measurements if kinds.get(m.node) in chosen]
    rows = [[kinds[m.node], m.units, m.samples, m.power, m.gradient_power, m.zeros] for m in kept]
    law = {p.node: p.power for p in d.prediction.nodes}
    sizes = sorted([p.numel, p.std, p.gradient_norm] for p in d.trace.parameters if p.gradient_norm)
    return {"rows": rows, "law": [law[m.node] for m in kept], "weights": sizes,
            "loss": [d.trace.loss.value, d.trace.loss.logit_std, d.trace.loss.prior],
            "codes": [f.code for f in d.findings]}
found["twins"] = {"keras": figures(there), "torch": figures(here)}
"""


def run(backend: str, body: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-c", COMMON + body + "\nprint(json.dumps(found))"],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
        env={
            **os.environ,
            "KERAS_BACKEND": backend,
            "OMP_NUM_THREADS": "1",
            "JAX_PLATFORMS": "cpu",
            "PYTHONPATH": os.pathsep.join(p for p in sys.path if p),
        },
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def in_torch() -> Any:
    return run("torch", BOTH + SICK)


@pytest.fixture(scope="module")
def in_jax() -> Any:
    return run("jax", BOTH)


@pytest.fixture(params=["torch", "jax"])
def both(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(f"in_{request.param}")


def test_a_backend_without_a_reader_is_refused() -> None:
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    with pytest.raises(InputError, match="KERAS_BACKEND=jax"):
        fanin.keras.check(model, np.zeros((4, 4), "float32"))


def test_bad_options() -> None:
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    x = np.zeros((4, 4), "float32")
    for options, text in (
        ({"tier": "slow"}, "no such tier"), ({"seed": -1}, "no such number"), ({"lr": 0}, "learning rate"),
        ({"plan": "plan"}, "no plan"), ({"select": [3]}, "holds no codes"), ({"select": "XYZ"}, "XYZ"),
    ):  # fmt: skip
        with pytest.raises(Exception, match=text):
            fanin.keras.check(model, x, **options)
    with pytest.raises(InputError, match="source of batches"):
        fanin.keras.check(model, iter([x]))


def test_probabilities_and_logits_are_both_healthy(both: Any) -> None:
    for name, takes in (("healthy", "probabilities"), ("logits", "logits")):
        if name not in both:  # (compiling takes JAX some seconds a model: it is shown fewer)
            continue
        case = both[name]
        assert case["healthy"], case
        assert case["same"], case
        assert case["loss"][2:4] == [math.log(5), takes]
        assert "FAN307" in case["passed"]
        # Logits of std 1 add half a nat to ln 5 by law; a draw of so few outputs may have twice that power.
        assert abs(case["law"] - case["loss"][1]) < 1.0
        assert case["mode"] == "train"
        assert case["framework"].startswith("keras ")


def test_zeros(both: Any) -> None:
    case = both["small"]
    assert case["codes"] == ["FAN201"], case
    assert case["after"] == [], case
    # The first loss of equal logits is ln C, and the law knows it; float32 rounds, Keras cuts off at 1e-7.
    assert case["loss"][1] == pytest.approx(math.log(5), abs=1e-5)
    assert case["law"] == pytest.approx(math.log(5), abs=1e-5)
    assert case["where"]["FAN201"][0] == "net/fc0/kernel"


def test_what_the_loss_takes(both: Any) -> None:
    assert both["twice"]["codes"] == ["FAN307"]
    assert "applied twice" in both["twice"]["causes"]["FAN307"]
    assert both["undone"]["codes"] == ["FAN307"]
    assert "logits" in both["undone"]["causes"]["FAN307"]
    assert both["undone"]["loss"][4] > 0.2
    assert "classes 1 to 5 for 5 outputs" in both["labels"]["error"]


@pytest.mark.parametrize(
    ("name", "code", "cause"),
    [
        ("ones", "FAN201", "constant"),
        ("large", "FAN101", "std 1 whatever the width"),
        ("deep", "FAN101", "the framework's default law, Glorot uniform"),
        ("saturated", "FAN105", "std 1 whatever the width"),
        ("recurrent", "FAN105", "net/cell/lstm_cell/recurrent_kernel"),
    ],
)
def test_sick_ones(in_torch: Any, name: str, code: str, cause: str) -> None:
    case = in_torch[name]
    graver = [c for c in case["codes"] if c != "FAN211"]  # (that some weights have the default is a remark)
    assert graver == [code], case
    assert cause in case["causes"][code], case
    assert "FAN103" not in case["after"] or name == "deep"  # 30 ReLU layers do make inputs alike
    assert set(case["after"]) <= {"FAN103"}


def test_one_initializer_for_several_layers(in_torch: Any) -> None:
    case = in_torch["shared"]
    assert case["codes"] == ["FAN202"]
    assert "one initializer" in case["causes"]["FAN202"]


def test_losses_by_name_and_by_target(in_torch: Any) -> None:
    for name in ("hot", "default"):
        assert in_torch[name]["healthy"], in_torch[name]
        assert in_torch[name]["loss"][3] == "probabilities", in_torch[name]
    assert in_torch["default logits"]["loss"][0] == "cross entropy"
    assert in_torch["binary"]["healthy"]
    assert in_torch["binary"]["loss"][2] == math.log(2)
    assert in_torch["compiled"]["codes"] == ["FAN307"]
    assert in_torch["reach"]["codes"] == ["FAN307"]
    assert "relu" in in_torch["reach"]["causes"]["FAN307"]


def test_shapes_of_models(in_torch: Any) -> None:
    assert in_torch["two"]["healthy"]
    assert "FAN307" not in in_torch["two"]["codes"]
    assert in_torch["two"]["same"], "states of seed generators are put back"
    assert "own.first.kernel" not in in_torch["own"]["weights"]  # (Keras names by its layers' names)
    assert all("/" not in name for name in in_torch["own"]["weights"])
    assert in_torch["own"]["healthy"]
    assert "FAN501" in in_torch["own"]["passed"]
    assert in_torch["frozen"]["same"]
    assert any("normalise nothing" in note and "bn" in note for note in in_torch["norm"]["notes"])
    assert in_torch["healthy"]["notes"] == []
    assert in_torch["mixed"]["healthy"]
    assert "expected axis -1" in in_torch["shape"]["error"]
    assert in_torch["nan"]["codes"] == ["FAN106"]


def test_twins(in_torch: Any) -> None:
    there, here = in_torch["twins"]["keras"], in_torch["twins"]["torch"]
    assert there["codes"] == here["codes"]
    assert [row[:3] for row in there["rows"]] == [row[:3] for row in here["rows"]]
    # Sums of float32 in another order: 2^-24 a rounding, square roots of some ten thousand terms, and a norm
    # that divides by a standard deviation.
    for a, b in zip(there["rows"], here["rows"], strict=True):
        assert a[3:] == pytest.approx(b[3:], rel=1e-4, abs=1e-9)
    assert there["loss"] == pytest.approx(here["loss"], rel=1e-4)
    for a, b in zip(there["weights"], here["weights"], strict=True):
        assert a[0] == b[0]
        assert a[1:] == pytest.approx(b[1:], rel=1e-3, abs=1e-6)
    # The laws start from the inputs' moments, whose likeness is estimated from a part of them.
    assert there["law"] == pytest.approx(here["law"], rel=0.02)
