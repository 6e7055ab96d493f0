"""What all initializers for Keras share: streams, roles, configs. Each scheme's class adds its name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Self

import keras
import numpy as np

from fanin.errors import InputError, explain
from fanin.keras.streams import Calls, Config, checked_seed, seed_of, stream_name
from fanin.records.axes import Axes, as_axes
from fanin.records.draw import Constant, Draw
from fanin.records.positions import Positions, axes_at
from fanin.sampling.engine import SERVED
from fanin.schemes import registry
from fanin.schemes.base import Entry, Scheme
from fanin.schemes.sample import draw_of, sample, sizes_of

__all__ = ["SchemeInitializer", "as_tensor"]


# EinsumDense and MultiHeadAttention tell the roles of their kernels to initializers of this class alone.
class SchemeInitializer(keras.initializers.VarianceScaling):  # type: ignore[misc]
    """A scheme as a Keras initializer: ``w[i] = f(seed, name, i)``, the same on every backend.

    The classes of `fanin.keras` are made from it, one a scheme: `HeNormal`, `Orthogonal`, ...

    Parameters
    ----------
    *args, **parameters
        Those of the scheme, as in ``fanin.he_normal(activation="gelu")``.
    seed
        A whole number, a `keras.random.SeedGenerator`, or None for a random one.
    name
        Of the weight: with it, the first call has the bits of ``fanin.sample(..., seed=seed, name=name)``.
    shared
        Whether every call of this instance gives the same values, as Keras' own initializers do.
        By default each call gives new ones.
    axes
        Roles of all dimensions, such as ``"batch in out"``, or `Axes` where there are groups or strides.
    input_axes, output_axes
        Positions of the roles instead, as in Keras; all other dimensions are receptive. The default is
        Keras' layout ``(receptive ..., in, out)``.
    """

    entry: ClassVar[Entry]

    def __init__(
        self,
        *args: Any,
        seed: Any = None,
        name: str | Sequence[str] | None = None,
        shared: bool = False,
        axes: Axes | Mapping[str, Any] | str | Iterable[str] | None = None,
        input_axes: Positions | None = None,
        output_axes: Positions | None = None,
        **parameters: Any,
    ) -> None:
        # Not super().__init__(): what it would set up is the scheme's business.
        self.parameters = _parameters(self.entry, args, parameters)
        self.scheme: Scheme = registry.get(self.entry.name, **self.parameters)
        self.seed = checked_seed(seed)
        self.name = name if name is None or isinstance(name, str) else tuple(name)
        self.shared = bool(shared)
        self.axes = _axes(axes)
        if self.axes is not None and (input_axes, output_axes) != (None, None):
            raise InputError(
                explain(
                    "Roles were given twice",
                    received=f"axes='{self.axes}' and input_axes={input_axes!r}, output_axes={output_axes!r}",
                    rule="axes says the role of every dimension, positions say those of some",
                    remedy="Give one of them",
                )
            )
        self._init_seed = seed
        self._positions = (input_axes, output_axes)
        self._calls = Calls()

    @property
    def input_axes(self) -> Any:
        """Positions that were given; not None where `axes` says all roles, so that no layer adds its own."""
        return () if self.axes is not None else self._positions[0]

    @property
    def output_axes(self) -> Any:
        """Positions that were given; not None where `axes` says all roles, so that no layer adds its own."""
        return () if self.axes is not None else self._positions[1]

    def __call__(
        self,
        shape: Sequence[int],
        dtype: Any = None,
        layout: Any = None,
        **kwargs: Any,  # noqa: ARG002 - what later versions of Keras may add
    ) -> Any:
        """Draw a weight of this shape, as a tensor of the backend."""
        sizes = sizes_of(shape)
        kind = keras.backend.standardize_dtype(dtype)
        roles = self.roles(sizes)
        draw = draw_of(self.scheme, sizes, roles, kind) if 0 not in sizes else Constant(value=0.0)
        if isinstance(draw, Constant) and kind not in SERVED:
            return _laid_out(keras.ops.full(sizes, _exact(draw.value, kind), dtype=kind), layout)
        call = 1 if self.shared or isinstance(draw, Constant) else self._calls.next()
        given = (self.name,) if isinstance(self.name, str) else self.name
        label = stream_name(given, self.scheme.name, sizes, call)
        seed = seed_of(self.seed)
        return as_tensor(draw, sizes, seed=seed, name=label, axes=roles, kind=kind, layout=layout)

    def roles(self, shape: tuple[int, ...]) -> Axes | None:
        """Roles of a shape's dimensions."""
        if self.axes is not None:
            return as_axes(self.axes, shape)
        given = zip(self._positions, (-2, -1), strict=True)
        in_axis, out_axis = (default if one is None else one for one, default in given)
        return axes_at(shape, in_axis, out_axis, labels=("input_axes", "output_axes", "batch_axis"))

    def get_config(self) -> dict[str, Any]:
        """What makes such an initializer again; a copy made from it in this process goes on counting."""
        seed = keras.saving.serialize_keras_object(self._init_seed)
        config = {key: _plain(value) for key, value in self.parameters.items()}
        config |= {
            "seed": seed,
            "name": list(self.name) if isinstance(self.name, tuple) else self.name,
            "shared": self.shared,
            "axes": _axes_config(self.axes),
            "input_axes": _listed(self._positions[0]),
            "output_axes": _listed(self._positions[1]),
        }
        return Config(config, self._calls)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Make an initializer from a config."""
        made = cls(**config)
        if isinstance(config, Config):
            made._calls = config.calls
        return made

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.scheme.law}>"


def as_tensor(
    draw: Draw,
    sizes: tuple[int, ...],
    *,
    seed: int,
    name: tuple[str, ...],
    axes: Axes | None,
    kind: str,
    layout: Any,
) -> Any:
    """A weight that is drawn on the host, as a tensor of the backend."""
    values = sample(draw, sizes, seed=seed, name=name, axes=axes, dtype=kind)
    if kind not in ("float64", "float32", "float16", "complex64", "complex128"):
        # Not every backend takes NumPy arrays of the narrow types; float32 holds their values.
        values = values.astype(np.float32)
    return _laid_out(keras.ops.convert_to_tensor(values, dtype=kind), layout)


def _parameters(entry: Entry, args: tuple[Any, ...], given: dict[str, Any]) -> dict[str, Any]:
    """The scheme's parameters by name; what does not fit is left for the registry to refuse."""
    positional = [one.name for one in entry.signature.parameters.values() if one.kind != one.KEYWORD_ONLY]
    if len(args) > len(positional):
        raise InputError(
            explain(
                f"{entry.name} takes fewer positional parameters",
                received=f"{len(args)} of them",
                rule=f"Its own are ({', '.join(positional)}); all others are keywords",
            )
        )
    named = dict(zip(positional, args, strict=False)) | given
    return {key: _live(value) for key, value in named.items()}


def _plain(value: Any) -> Any:
    """A parameter as JSON holds it; functions as Keras stores them."""
    return keras.saving.serialize_keras_object(value) if callable(value) else value


def _live(value: Any) -> Any:
    return keras.saving.deserialize_keras_object(value) if isinstance(value, Mapping) else value


def _axes(axes: Any) -> Axes | str | None:
    if isinstance(axes, Mapping):
        words, rest = axes["roles"], {key: axes[key] for key in axes if key != "roles"}
        parsed = as_axes(words, (1,) * len(words.split()))
        return Axes(roles=() if parsed is None else parsed.roles, **rest)
    return axes if axes is None or isinstance(axes, (Axes, str)) else " ".join(map(str, axes))


def _axes_config(axes: Axes | str | None) -> Any:
    if not isinstance(axes, Axes):
        return axes
    return {
        "roles": " ".join(axes.roles),
        "groups": axes.groups,
        "stride": axes.stride,
        "transposed": axes.transposed,
    }


def _listed(positions: Positions | None) -> Any:
    return list(positions) if isinstance(positions, Sequence) else positions


def _exact(value: float, kind: str) -> Any:
    """A constant in a dtype that no weight is drawn in."""
    held = np.asarray(value).astype(kind)
    if held != value:
        raise InputError(
            explain(
                "The dtype does not hold the constant",
                received=f"{value} as {kind}",
                rule="In a dtype that no weight is drawn in, a constant is held exactly",
                remedy="Use a floating-point dtype",
            )
        )
    return held.item()


def _laid_out(values: Any, layout: Any) -> Any:
    return values if layout is None else keras.distribution.distribute_tensor(values, layout)
