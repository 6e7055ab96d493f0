"""Which loss of Keras' is meant, what it takes, and what a batch says of it; on no backend that trains."""

from __future__ import annotations

import functools
import math
from typing import Any

import keras
import numpy as np
import pytest

from fanin.errors import InputError
from fanin.keras.figures import check_classes, figures
from fanin.keras.kinds import Kind, kind_of, object_of
from fanin.keras.losses import Ending, told

L = keras.losses
OF_PROBABILITIES = "cross entropy of probabilities"
C = 5
SEED = 3


def asked(loss: Any, target: Any, ending: Ending | None = None) -> Any:
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(C)])
    return told(model, loss, target, lambda: ending or Ending(shape=(8, C), takes="logits"))


@pytest.mark.parametrize(
    ("loss", "family", "takes", "name", "plain"),
    [
        ("sparse_categorical_crossentropy", "sparse", "probabilities", OF_PROBABILITIES, False),
        (L.sparse_categorical_crossentropy, "sparse", "probabilities", OF_PROBABILITIES, False),
        (L.SparseCategoricalCrossentropy(from_logits=True), "sparse", "logits", "cross entropy", True),
        (L.CategoricalCrossentropy(from_logits=True), "categorical", "logits", "cross entropy", True),
        (
            functools.partial(L.categorical_crossentropy, from_logits=True, label_smoothing=0.1),
            "categorical", "logits", "cross entropy", False,
        ),
        (
            L.SparseCategoricalCrossentropy(from_logits=True, ignore_class=0),
            "sparse", "logits", "cross entropy", False,
        ),
        ("bce", "binary", "probabilities", "binary cross entropy of probabilities", False),
        (
            L.BinaryCrossentropy(from_logits=True),
            "binary", "logits", "binary cross entropy with logits", False,
        ),
        ("mse", "squares", "", "mean squared error", False),
        ("MeanSquaredError", "squares", "", "mean squared error", False),
        ("huber", "regression", "", "huber_loss", False),
        (L.BinaryFocalCrossentropy(from_logits=True), "", "logits", "binary_focal_crossentropy", False),
        ("kld", "", "probabilities", "kl_divergence", False),
        ("poisson", "", "", "poisson", False),
    ],
)  # fmt: skip
def test_kinds(loss: Any, family: str, takes: str, name: str, plain: bool) -> None:
    kind = kind_of(object_of(loss))
    assert (kind.family, kind.takes, kind.name, kind.plain) == (family, takes, name, plain)


def test_a_sum_has_no_start() -> None:
    kind = kind_of(L.SparseCategoricalCrossentropy(from_logits=True, reduction="sum"))
    assert kind.summed
    assert not kind.plain
    assert "expected" not in figures(kind, np.zeros((4, C)), np.zeros(4, int))


@pytest.mark.parametrize("loss", ["crossentropee", {"class_name": "Nothing", "config": {}}, 7])
def test_what_is_no_loss(loss: Any) -> None:
    with pytest.raises(InputError, match="Keras has no such loss"):
        object_of(loss)


def test_a_class_in_place_of_an_instance() -> None:
    with pytest.raises(InputError, match=r"loss=keras.losses.MeanSquaredError\(\)"):
        object_of(L.MeanSquaredError)


def test_figures_of_probabilities_are_those_of_logits() -> None:
    rng = np.random.default_rng(SEED)
    logits, target = rng.normal(size=(64, C)), rng.integers(0, C, 64)
    soft = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    known = figures(kind_of(object_of("sparse_categorical_crossentropy")), soft, target)
    beside = figures(kind_of(L.SparseCategoricalCrossentropy(from_logits=True)), logits, target)
    hot = figures(kind_of(object_of("categorical_crossentropy")), soft, np.eye(C)[target])
    assert known["expected"] == beside["expected"] == hot["expected"] == math.log(C)
    # A logarithm and an exponential in double precision: some 1e-16 each.
    assert known["logit_std"] == pytest.approx(beside["logit_std"], rel=1e-12)
    assert known["prior"] == pytest.approx(hot["prior"], rel=1e-12)
    assert known["strays"] == 0.0
    assert "strays" not in beside
    assert figures(kind_of(object_of("sparse_categorical_crossentropy")), logits, target)["strays"] > 0.2


def test_figures_of_squares() -> None:
    rng = np.random.default_rng(SEED)
    wanted = 3.0 + 2.0 * rng.normal(size=(64, 1))
    found = figures(kind_of(object_of("mse")), np.zeros((64, 1)), wanted[:, 0])
    assert found["expected"] == pytest.approx(float(wanted.var()))
    assert found["offset"] == pytest.approx(abs(float(wanted.mean())) / float(wanted.std()))
    assert found["low"] < 0.0 < found["high"]


def test_classes_that_are_not_there() -> None:
    kind = Kind(name="", family="sparse", takes="probabilities")
    check_classes(kind, (4, C), np.array([0, C - 1]))
    for odd in ([1, C], [-1, 0], [0.5, 1.0]):
        with pytest.raises(InputError, match="classes that the output does not have"):
            check_classes(kind, (4, C), np.array(odd))
    check_classes(Kind(name="", family="sparse", ignored=-1), (4, C), np.array([-1, 2]))


def test_the_order_of_arguments() -> None:
    def keras_like(y_true: Any, y_pred: Any) -> Any:
        return y_true - y_pred

    def ours(output: Any, target: Any) -> Any:
        return output - target

    for function, sign in ((keras_like, -1.0), (ours, 1.0)):
        made = asked(function, np.array(1.0))
        assert float(made(np.array(3.0), np.array(1.0))) == sign * 2.0
        assert made.kind.name == function.__name__


def test_the_compiled_loss_counts_unless_another_is_given() -> None:
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(C)])
    target, end = np.zeros(8, int), Ending(shape=(8, C), takes="logits")
    assert told(model, None, target, lambda: end).kind.takes == "logits"
    model.compile(loss="sparse_categorical_crossentropy")
    assert told(model, None, target, lambda: end).kind.takes == "probabilities"
    assert told(model, "mse", np.zeros((8, C)), lambda: end).kind.family == "squares"
    assert told(model, None, None, lambda: end) is None
    model.compile(loss=lambda truth, guess: truth - guess)
    assert float(told(model, None, np.array(1.0), lambda: end)(np.array(3.0), np.array(1.0))) == -2.0


@pytest.mark.parametrize(
    ("shape", "takes", "target", "family"),
    [
        ((8, C), "logits", np.zeros(8, int), "sparse"),
        ((8, C), "probabilities", np.zeros((8, 1), int), "sparse"),
        ((8, 1), "probabilities", np.zeros(8, int), "binary"),
        ((8, 1), "logits", np.zeros((8, 1), int), "binary"),
        ((8, 6, C), "logits", np.zeros((8, 6), int), "sparse"),
        ((8, 1), "logits", np.zeros((8, 1)), "squares"),
    ],
)
def test_what_a_target_says_by_itself(shape: tuple[int, ...], takes: str, target: Any, family: str) -> None:
    kind = asked(None, target, Ending(shape=shape, takes=takes)).kind
    assert kind.family == family
    assert kind.takes == ("" if family == "squares" else takes)


def test_several_outputs() -> None:
    x = keras.Input((3,))
    outs = {"a": keras.layers.Dense(C, "softmax", name="a")(x), "b": keras.layers.Dense(1, name="b")(x)}
    model = keras.Model(x, outs)
    soft, line = np.full((8, C), 1.0 / C), np.ones((8, 1))
    target = {"a": np.zeros(8, int), "b": np.zeros((8, 1))}
    losses = {"a": "sparse_categorical_crossentropy", "b": "mse"}
    made = told(model, losses, target, lambda: Ending(shape=(), takes=""))
    # float32, in which Keras computes: 2^-24 a rounding, some dozen of them.
    assert float(made({"a": soft, "b": line}, target)) == pytest.approx(math.log(C) + 1.0, rel=1e-6)
    assert "cross entropy" not in made.kind.name
    model.compile(loss=losses, loss_weights={"a": 2.0, "b": 0.5})
    made = told(model, None, target, lambda: Ending(shape=(), takes=""))
    assert float(made({"a": soft, "b": line}, target)) == pytest.approx(2.0 * math.log(C) + 0.5, rel=1e-6)
    with pytest.raises(InputError, match="Several targets need to be told"):
        told(keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)]), None, target, lambda: None)
    with pytest.raises(InputError, match="no target for the output 'b'"):
        told(model, losses, {"a": target["a"]}, lambda: None)
