"""Plan and initialise a whole Keras model, on the JAX backend; ``KERAS_BACKEND=torch`` gives the same bits.

Run it with ``python examples/keras_model.py``.
"""

from __future__ import annotations

import os

if os.environ.get("KERAS_BACKEND") not in ("jax", "torch"):
    os.environ["KERAS_BACKEND"] = "jax"

import keras
import numpy as np

import fanin.keras


def build() -> keras.Model:
    """A small network for images; its layers have names, so its weights have streams of their own."""
    image = keras.Input((16, 16, 3))
    x = keras.layers.Conv2D(8, 3, padding="same", activation="relu", name="stem")(image)
    h = keras.layers.Conv2D(8, 3, padding="same", use_bias=False, name="inner")(x)
    h = keras.layers.ReLU()(keras.layers.BatchNormalization(name="norm")(h))
    x = keras.layers.Add()([x, keras.layers.Conv2D(8, 3, padding="same", name="last")(h)])
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.ReLU()(x))
    return keras.Model(image, keras.layers.Dense(10, name="head")(x), name="net")


if __name__ == "__main__":
    model = build()
    plan = fanin.keras.init_(model, np.zeros((1, 16, 16, 3), "float32"), seed=0)
    print(plan)
    stem = keras.ops.convert_to_numpy(model.get_layer("stem").kernel.value)
    draw = plan["stem/kernel"].draw
    if draw is not None:
        twin = fanin.sample(draw, (8, 3, 3, 3), seed=0, name="stem/kernel")
        print(
            "equal to the numbers of the same name elsewhere:",
            bool((stem.transpose(3, 2, 0, 1) == twin).all()),
        )
