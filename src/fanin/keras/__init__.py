"""fanin for Keras: plans for whole models, and every scheme as an `Initializer`, the same bits everywhere.

>>> import keras, numpy as np, fanin.keras
>>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(2, name="fc1")], name="net")
>>> plan = fanin.keras.init_(model, np.zeros((1, 8), "float32"), seed=1)  # on the JAX or PyTorch backend
>>> plan.entries[0].name
'net/fc1/kernel'

>>> init = fanin.keras.HeNormal(seed=0, name="fc1.weight")
>>> tuple(init((784, 256)).shape)
(784, 256)

Names are those of the schemes, as `HeNormal` and as `he_normal`; Keras finds them by string too,
as in ``Dense(64, kernel_initializer="fanin>he_normal")``, once this module is imported.
"""

from __future__ import annotations

from fanin.errors import missing

try:
    import keras  # noqa: F401 - to say in words that it, or its backend, is missing
except ModuleNotFoundError as error:
    backend = "" if error.name == "keras" else "Choose one that is: KERAS_BACKEND=jax or KERAS_BACKEND=torch"
    raise missing("fanin.keras", error, extra="keras", remedy=backend) from error

from fanin.keras.base import SchemeInitializer
from fanin.keras.check import check
from fanin.keras.classes import classes
from fanin.keras.kernels import kernel_axes
from fanin.keras.whole import apply_, init_, plan, read

__all__ = ["SchemeInitializer", "apply_", "check", "init_", "kernel_axes", "plan", "read"]

# Registers them, so that strings and saved models find them.
classes()


def __getattr__(name: str) -> type[SchemeInitializer]:
    if name in classes():
        return classes()[name]
    raise AttributeError(f"module 'fanin.keras' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *classes()})
