"""Look up a system, and make its initializers by the names that it gives them."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from types import MappingProxyType

import fanin.schemes.dialects.peers
from fanin.errors import InputError, UnknownNameError, explain, nearest
from fanin.schemes.dialects.law import Function, PeerScheme
from fanin.schemes.dialects.layout import Layout

__all__ = ["Dialect", "dialect", "dialects"]


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Dialect:
    """The initializers of one system, by its own names and with its own parameters.

    Parameters
    ----------
    name
        ``"torch"``, ``"keras"``, ...
    aliases
        Other systems with the same laws.
    source
        Which release or revision was read.
    layout
        How fans are counted where a function does not say otherwise.
    functions
        By name, in snake case; class names and PyTorch's trailing underscore are understood too.
    """

    name: str
    source: str
    layout: Layout
    functions: Mapping[str, Function]
    aliases: tuple[str, ...] = ()

    def names(self) -> tuple[str, ...]:
        """Names of all functions.

        Examples
        --------
        >>> "glorot_normal" in dialect("keras").names()
        True
        """
        return tuple(sorted(self.functions))

    def get(self, name: str, /, *values: object, **parameters: object) -> PeerScheme:
        """Make a scheme with the peer's law.

        Parameters
        ----------
        name
            ``"he_normal"``, ``"HeNormal"`` or ``"he_normal_"``.
        *values, **parameters
            Those of the peer's function that are part of the law.

        Raises
        ------
        UnknownNameError
            A name that the system has not; the message has the nearest.
        InputError
            Parameters that the function has not, or values out of range.
        """
        key = self.known(name)
        function = self.functions[key]
        signature = inspect.signature(function.make)
        try:
            signature.bind(*values, **parameters)
            made = function.make(*values, **parameters)
        except InputError:
            raise
        except (ArithmeticError, TypeError, ValueError) as error:
            # Parameters of other names, or words where the peer's law reckons with numbers.
            shown = [*map(repr, values), *(f"{word}={value!r}" for word, value in parameters.items())]
            raise InputError(
                explain(
                    f"Parameters do not fit {self.name}:{key}",
                    received=", ".join(shown) or "none",
                    rule=f"It is {key}{signature} ({error})",
                )
            ) from None
        rule, layout = made if isinstance(made, tuple) else (made, self.layout)
        return PeerScheme(
            name=f"{self.name}:{key}", rule=rule, layout=layout, note=function.note, references=(self.source,)
        )

    def known(self, name: str) -> str:
        """The system's own spelling of a function's name.

        Raises
        ------
        UnknownNameError
            A name that the system has not; the message has the nearest.
        """
        snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower().rstrip("_")
        for key in (name, snake, snake.replace("_", "")):
            if key in self.functions:
                return key
        raise nearest(name, self.functions, kind=f"initializer of {self.name}")

    def __getattr__(self, name: str) -> Callable[..., PeerScheme]:
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            self.known(name)
        except UnknownNameError as error:
            raise AttributeError(str(error)) from None
        return partial(self.get, name)

    def __dir__(self) -> list[str]:
        return sorted(
            {"aliases", "functions", "get", "known", "layout", "name", "names", "source", *self.functions}
        )

    def __repr__(self) -> str:
        return f"<dialect {self.name}: {len(self.functions)} initializers, from {self.source}>"


@lru_cache(maxsize=1)
def dialects() -> Mapping[str, Dialect]:
    """Every dialect by its own name, in alphabetical order.

    Examples
    --------
    >>> "keras" in dialects()
    True
    """
    package = fanin.schemes.dialects.peers
    files = [
        importlib.import_module(f"{package.__name__}.{m.name}")
        for m in pkgutil.iter_modules(package.__path__)
    ]
    found = {one.name: one for file in files for one in file.DIALECTS}
    return MappingProxyType(dict(sorted(found.items())))


def dialect(name: str) -> Dialect:
    """Initializers of another system: its names, its parameters, its exact laws.

    One name means different laws: ``he_normal`` is truncated in Keras and JAX, is not in PyTorch and has half
    the variance in MLX. A dialect's scheme draws what the peer draws, for the shape as the peer stores it,
    with the fans that the peer counts from positions alone, also where these are wrong (grouped,
    transposed and depthwise kernels). Rounding faults of a peer's 16-bit and 8-bit samplers are not copied.

    Parameters
    ----------
    name
        ``"torch"``, ``"keras"``, ``"jax"``, ``"tf1-contrib"``, ``"mxnet"``, ``"timm"``, ``"haiku"``, ...

    Returns
    -------
    Dialect
        Its attributes are functions that return schemes; `names()` lists them.

    Raises
    ------
    UnknownNameError
        A system that is not known; the message has the nearest.

    Examples
    --------
    >>> dialect("keras").he_normal()
    <keras:he_normal: Var[w] = 2 / fan_in, truncated normal>
    >>> dialect("torch").kaiming_uniform(a=5**0.5).draw((256, 784))
    Uniform(low=-0.03571428571428571, high=0.03571428571428571)
    """
    known = {alias: one for one in dialects().values() for alias in (one.name, *one.aliases)}
    if name not in known:
        raise nearest(str(name), known, kind="dialect")
    return known[name]
