"""Initializers in JAX's own idiom: ``init(key, shape, dtype, out_sharding)``, one factory a scheme."""

from __future__ import annotations

import contextlib
import inspect
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec

from fanin.errors import InputError, explain
from fanin.jax.drawing import constant, drawn, laid_out
from fanin.jax.engine import dtype_word, sampled, traced
from fanin.jax.keys import stream_words
from fanin.records.axes import Axes, as_axes
from fanin.records.draw import Constant, Draw
from fanin.records.positions import Positions, axes_at
from fanin.schemes import registry
from fanin.schemes.base import Entry, Scheme
from fanin.schemes.fit import check_memory, check_rounding
from fanin.schemes.sample import draw_of, sizes_of

__all__ = ["Initializer", "factory", "initializer"]


@dataclass(frozen=True, slots=True)
class Initializer:
    """What to draw, and for which roles; called with a key it draws.

    Satisfies `jax.nn.initializers.Initializer`, so Flax and others take it for ``kernel_init=``. It is
    made by `initializer`, or by a factory such as ``fanin.jax.he_normal()``.

    Parameters
    ----------
    scheme
        What to draw.
    in_axis, out_axis, batch_axis
        Positions of the roles; all other dimensions are receptive.
    axes
        All roles at once, instead of positions.
    dtype
        Of the result where the call names none; None means JAX's default float.
    seed, name
        Both or neither; with them the key is not looked at.
    """

    scheme: Scheme | Draw
    _: KW_ONLY
    in_axis: int | tuple[int, ...] = -2
    out_axis: int | tuple[int, ...] = -1
    batch_axis: int | tuple[int, ...] = ()
    axes: Axes | str | None = None
    dtype: Any = None
    seed: int | None = None
    name: str | tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if (self.seed is None) != (self.name is None):
            raise InputError(
                explain(
                    "A stream needs both a seed and a name",
                    received=f"seed={self.seed!r}, name={self.name!r}",
                    rule="With both, the values are those of fanin.sample; with neither, the key decides",
                    remedy="Give both, or leave both out",
                )
            )
        if self.axes is not None and (self.in_axis, self.out_axis, self.batch_axis) != (-2, -1, ()):
            raise InputError(
                explain(
                    "Roles were given twice",
                    received=f"axes='{self.axes}' and in_axis={self.in_axis!r}, "
                    f"out_axis={self.out_axis!r}, batch_axis={self.batch_axis!r}",
                    rule="axes says the role of every dimension, positions say those of some",
                    remedy="Give one of them",
                )
            )

    def __call__(
        self,
        key: Any,
        shape: Sequence[int],
        dtype: Any = None,
        out_sharding: NamedSharding | PartitionSpec | None = None,
    ) -> jax.Array:
        """Draw a weight of this shape."""
        sizes = sizes_of(shape)
        kind = dtype if dtype is not None else self.dtype
        if kind is None:
            kind = jax.dtypes.canonicalize_dtype(float)
        sharding = _sharding(out_sharding)
        return laid_out(self._drawn(key, sizes, kind, sharding), sharding)

    def _drawn(
        self, key: Any, sizes: tuple[int, ...], kind: Any, sharding: NamedSharding | None
    ) -> jax.Array:
        roles = self.roles(sizes)
        if math.prod(sizes) == 0:
            return jnp.zeros(sizes, kind)
        word = dtype_word(kind)
        draw = draw_of(self.scheme, sizes, roles, word)
        # What a format does to a draw is known from both alone: under jit it is said once, at tracing.
        check_rounding(draw, word)
        if sharding is None and not traced(key):
            check_memory(sizes, jnp.dtype(kind).itemsize)
        if isinstance(draw, Constant):
            # Asks no key, as in JAX.
            return constant(draw, sizes, kind)
        if self.seed is None or self.name is None:
            return drawn(draw, stream_words(key), sizes, roles, kind, sharding)
        return sampled(draw, sizes, seed=self.seed, name=self.name, axes=roles, dtype=kind, sharding=sharding)

    def roles(self, shape: tuple[int, ...]) -> Axes | None:
        """Roles of a shape's dimensions."""
        if self.axes is not None:
            return as_axes(self.axes, shape)
        return axes_at(shape, self.in_axis, self.out_axis, self.batch_axis)


def initializer(
    scheme: Scheme | Draw | str,
    *,
    in_axis: Positions = -2,
    out_axis: Positions = -1,
    batch_axis: Positions = (),
    axes: Axes | str | Iterable[str] | None = None,
    dtype: Any = None,
    seed: int | None = None,
    name: str | tuple[str, ...] | None = None,
) -> Initializer:
    """Make ``init(key, shape, dtype=None, out_sharding=None)`` from any scheme.

    The values are a pure function of the key's data, or of seed and name, and of each element's index in
    the logical tensor; they do not depend on `jit`, `vmap`, devices or sharding, and a small dtype is the
    float32 values rounded once.

    Parameters
    ----------
    scheme
        A scheme, the name of one, or a draw.
    in_axis, out_axis, batch_axis
        Dimensions that a unit sums over, that hold units, that hold independent copies; all others are
        receptive. The default is JAX's layout ``(receptive ..., in, out)``.
    axes
        Roles of all dimensions instead, such as ``"receptive receptive out in"``, or `Axes` where there
        are groups or strides.
    dtype
        Of the result where the call names none.
    seed, name
        Both, and the values are those of `fanin.sample`, whatever the key.

    Returns
    -------
    Initializer
        To be called, or handed to a layer.

    Raises
    ------
    InputError
        An unknown scheme, or one of seed and name without the other.

    Examples
    --------
    >>> import jax, fanin
    >>> init = initializer(fanin.he_normal("gelu"))
    >>> init(jax.random.key(0), (784, 256)).shape
    (784, 256)
    >>> named = initializer("he_normal", seed=0, name="fc1.weight")
    >>> twin = fanin.sample("he_normal", (256, 784), seed=0, name="fc1.weight")
    >>> bool((named(None, (784, 256)).T == twin).all())
    True
    """
    return Initializer(
        registry.get(scheme) if isinstance(scheme, str) else scheme,
        in_axis=_plain(in_axis),
        out_axis=_plain(out_axis),
        batch_axis=_plain(batch_axis),
        axes=axes if axes is None or isinstance(axes, (Axes, str)) else " ".join(map(str, axes)),
        dtype=dtype,
        seed=seed,
        name=name,
    )


def factory(name: str) -> Callable[..., Initializer]:
    """The factory of one scheme: its own parameters, then the keywords of `initializer`.

    Parameters
    ----------
    name
        Name or alias of a scheme.

    Returns
    -------
    Callable
        A function that returns an `Initializer`.

    Raises
    ------
    UnknownNameError
        A name that no scheme has.

    Examples
    --------
    >>> factory("xavier_normal")(gain=2.0, out_axis=-1).scheme
    <glorot_normal: Var[w] = 4 / fan_avg, normal>
    """
    found = registry.entry(name)
    own = list(found.signature.parameters.values())
    how = [one for one in inspect.signature(initializer).parameters.values() if one.name != "scheme"]
    words = {one.name for one in how}

    def make(*args: Any, **given: Any) -> Initializer:
        keywords = {word: given.pop(word) for word in words & given.keys()}
        return initializer(registry.get(found.name, **_bound(found, args, given)), **keywords)

    make.__name__ = make.__qualname__ = name
    make.__module__ = "fanin.jax"
    make.__doc__ = (
        f"{found.summary}\n\nIts parameters are those of `fanin.{found.name}`, and those of `initializer`."
    )
    # What help() and editors show.
    make.__signature__ = inspect.Signature([*own, *how])  # type: ignore[attr-defined]
    return make


def _bound(found: Entry, args: tuple[Any, ...], given: dict[str, Any]) -> dict[str, Any]:
    """Positional parameters by name; what does not fit is left for the registry to refuse."""
    positional = [one.name for one in found.signature.parameters.values() if one.kind != one.KEYWORD_ONLY]
    if len(args) > len(positional):
        raise InputError(
            explain(
                f"{found.name} takes fewer positional parameters",
                received=f"{len(args)} of them",
                rule=f"Its own are ({', '.join(positional)}); all others are keywords",
            )
        )
    return dict(zip(positional, args, strict=False)) | given


def _plain(positions: Positions) -> int | tuple[int, ...]:
    return tuple(positions) if isinstance(positions, Sequence) else positions


def _sharding(wanted: NamedSharding | PartitionSpec | None) -> NamedSharding | None:
    """A partition as a sharding over the mesh in force."""
    if not isinstance(wanted, PartitionSpec):
        return wanted
    mesh = jax.sharding.get_abstract_mesh()
    if mesh.empty:
        raise InputError(
            explain(
                "A PartitionSpec needs a mesh",
                received=f"out_sharding={wanted}",
                remedy="Pass a NamedSharding, or call under jax.set_mesh(mesh)",
            )
        )
    with contextlib.suppress(ValueError):
        # Outside of jit the devices are known; inside, asking for them is an error.
        return NamedSharding(jax.sharding.get_mesh(), wanted)
    return NamedSharding(mesh, wanted)
