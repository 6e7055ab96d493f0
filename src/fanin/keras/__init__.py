"""fanin for Keras: every scheme as an `Initializer`, with the same bits on every backend.

>>> import fanin.keras
>>> init = fanin.keras.HeNormal(seed=0, name="fc1.weight")
>>> tuple(init((784, 256)).shape)
(784, 256)

Names are those of the schemes, as `HeNormal` and as `he_normal`; Keras finds them by string too,
as in ``Dense(64, kernel_initializer="fanin>he_normal")``, once this module is imported.
"""

from __future__ import annotations

from fanin.keras.base import SchemeInitializer
from fanin.keras.classes import classes
from fanin.keras.kernels import kernel_axes

__all__ = ["SchemeInitializer", "kernel_axes"]

# Registers them, so that strings and saved models find them.
classes()


def __getattr__(name: str) -> type[SchemeInitializer]:
    if name in classes():
        return classes()[name]
    raise AttributeError(f"module 'fanin.keras' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *classes()})
