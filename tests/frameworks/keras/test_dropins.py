"""``fanin.keras.dropins`` in the place of ``keras.initializers``: names, parameters, configs, seeds, laws."""

from __future__ import annotations

import inspect
import json
import math
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import fanin
from fanin.keras import dropins

SHAPE = (3, 24, 16)
NAMES = sorted({kind.__name__ for kind in dropins.classes().values()})


def values(tensor: Any) -> np.ndarray[Any, Any]:
    return np.asarray(keras.ops.convert_to_numpy(tensor))


def test_every_public_name_is_there() -> None:
    theirs = {name for name in dir(keras.initializers) if not name.startswith("_")}
    lost = {name for name in theirs if name not in dir(dropins)}
    assert lost <= {"OrthogonalInitializer", "IdentityInitializer", "STFTInitializer"}, lost
    for name in theirs - lost:
        assert getattr(dropins, name) is not None


@pytest.mark.parametrize("name", NAMES)
def test_parameters_and_law(name: str) -> None:
    theirs, ours = getattr(keras.initializers, name), getattr(dropins, name)
    assert issubclass(ours, theirs)
    assert inspect.signature(ours) == inspect.signature(theirs)
    made, again = ours(seed=3), ours(seed=3)
    drawn = values(made(SHAPE))
    np.testing.assert_array_equal(drawn, values(made(SHAPE)))  # one seed, one tensor, as in Keras
    np.testing.assert_array_equal(drawn, values(again(SHAPE)))
    scheme = getattr(fanin.dialect("keras"), name)()
    label = (scheme.name, "x".join(map(str, SHAPE)))
    np.testing.assert_array_equal(drawn, fanin.sample(scheme, SHAPE, seed=3, name=label))
    assert (drawn != values(theirs(seed=3)(SHAPE))).mean() > 0.99  # or it would be Keras' own


@pytest.mark.parametrize("name", NAMES)
def test_configs(name: str) -> None:
    made = getattr(dropins, name)(seed=5)
    stored = json.loads(json.dumps(keras.initializers.serialize(made)))
    again = dropins.deserialize(stored)
    assert type(again) is type(made)
    assert again.get_config() == made.get_config() == getattr(keras.initializers, name)(seed=5).get_config()
    np.testing.assert_array_equal(values(again(SHAPE)), values(made(SHAPE)))
    taken = dropins.deserialize(json.loads(json.dumps(keras.initializers.serialize(
        getattr(keras.initializers, name)(seed=5)))))  # fmt: skip
    assert type(taken) is type(made)


def test_seeds() -> None:
    moving = dropins.HeNormal(seed=keras.random.SeedGenerator(1))
    assert (values(moving(SHAPE)) != values(moving(SHAPE))).any()
    free = dropins.HeNormal()
    np.testing.assert_array_equal(values(free(SHAPE)), values(free(SHAPE)))
    assert (values(free(SHAPE)) != values(dropins.HeNormal()(SHAPE))).any()
    with pytest.raises(ValueError, match="seed"):
        dropins.HeNormal(seed="one")


@pytest.mark.parametrize("parameters", [
    {"scale": 3.0, "mode": "fan_out", "distribution": "uniform"},
    {"input_axes": [0], "output_axes": [1, 2]},
    {"mode": "fan_avg", "distribution": "untruncated_normal", "input_axes": [0, 1], "output_axes": [2]},
])  # fmt: skip
def test_variance_scaling_has_the_std_of_keras(parameters: dict[str, Any]) -> None:
    shape = (32, 16, 64)
    made = values(dropins.VarianceScaling(**parameters, seed=0)(shape))
    theirs = values(keras.initializers.VarianceScaling(**parameters, seed=0)(shape))
    # Sample stds of 32,768 normals differ by sqrt(1/n) of themselves, relatively: six of those.
    assert abs(made.std() / theirs.std() - 1) < 6.2 / math.sqrt(made.size)


def test_names_are_found() -> None:
    assert type(dropins.get("glorot_normal")) is dropins.GlorotNormal
    assert type(dropins.get("OrthogonalInitializer")) is dropins.Orthogonal
    assert dropins.get(None) is None
    assert type(keras.initializers.get("glorot_normal")) is keras.initializers.GlorotNormal
    with pytest.raises(ValueError, match="typo"):
        dropins.get("typo")
    with pytest.raises(AttributeError, match="'HeNorml'"):
        _ = dropins.HeNorml


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras on NumPy 2
def test_layers_and_files(tmp_path: Path) -> None:
    model = keras.Sequential(
        [keras.Input((8,)), keras.layers.Dense(4, kernel_initializer=dropins.he_normal(seed=1))]
    )
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert type(again.layers[0].kernel_initializer) is dropins.HeNormal
    assert values(dropins.he_normal(seed=1)((8, 4))).std() > 0
    assert values(dropins.HeNormal(seed=1)((0, 4))).shape == (0, 4)


def test_what_the_law_refuses_keras_refuses() -> None:
    with pytest.raises(ValueError, match=r"two dimensions|two or more"):
        dropins.Orthogonal()((5,))
    with pytest.raises(ValueError, match="scale"):
        dropins.VarianceScaling(scale=-1.0)
