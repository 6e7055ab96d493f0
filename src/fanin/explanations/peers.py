"""What other libraries draw under the same name for the same layer."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

from fanin.errors import InputError
from fanin.records.axes import Axes, Role
from fanin.records.draw import Constant, Draw, TruncatedNormal, Uniform
from fanin.records.explanation import Table
from fanin.schemes.base import Entry
from fanin.schemes.dialects.dialect import Dialect, dialects

__all__ = ["peers_table"]

_RELATIVE = 1e-6
"""Below that two figures are one law in other roundings."""

_WORDS = {
    "mean": ("mean",),
    "std": ("std", "stddev", "sigma"),
    "gain": ("gain",),
    "activation": ("nonlinearity",),
    "slope": ("a", "negative_slope"),
    "mode": ("mode",),
    "distribution": ("distribution",),
    "variance": ("scale",),
    "value": ("value", "val", "fill_value", "constant_"),
    "sparsity": ("sparsity",),
}
"""Our parameters, and what peers call them."""

_SAME = {
    "glorot": ("xavier",),
    "he": ("kaiming",),
    "truncated_normal": ("trunc_normal", "trunc_normal_tf"),
    "normal": ("random_normal",),
    "uniform": ("random_uniform",),
    "zeros": ("zero",),
    "ones": ("one",),
}

_OWN: Mapping[str, tuple[tuple[str, str, Mapping[str, Any]], ...]] = {
    "glorot_uniform": (("mxnet", "xavier", {}), ("tf1-contrib", "xavier_initializer", {"uniform": True})),
    "glorot_normal": (
        ("mxnet", "xavier", {"rnd_type": "gaussian"}),
        ("tf1-contrib", "xavier_initializer", {"uniform": False}),
        ("dl4j", "xavier", {}),
    ),
    "he_normal": (
        ("mxnet", "msraprelu", {}),
        ("tf1-contrib", "variance_scaling_initializer", {}),
        ("dl4j", "relu", {}),
    ),
    "he_uniform": (("dl4j", "relu_uniform", {}),),
}
"""Functions that users of a system take for the scheme, though they have other names."""

_STORED = frozenset({"jax"})
"""Systems whose transposed convolutions hold (in, out) where their others do."""


def peers_table(
    entry: Entry,
    name: str,
    shape: tuple[int, ...],
    axes: Axes | None,
    arguments: Mapping[str, Any],
    draw: Draw,
) -> tuple[Table, ...]:
    """A row for every library that has a function of this name: law, std and ends for this very weight.

    Parameters
    ----------
    entry, name
        The scheme, and the name that was asked for.
    shape, axes
        Of the weight as fanin is told of it; each library gets it as it stores such a layer's weight.
    arguments
        Of the scheme; a library gets those that it knows, under its own names, and keeps its other defaults.
    draw
        What fanin draws.

    Returns
    -------
    tuple of Table
        One table, or none where no library has such a name.
    """
    ours = ("fanin", entry.name, _kind(draw), f"{draw.std:.6g}", _end(draw))
    rows: list[tuple[str, ...]] = [ours]
    marked: list[tuple[int, int]] = []
    for peer, called, extra in _functions(entry, name):
        row, differs = _row(peer, called, extra, shape, axes, arguments, draw)
        if any(row[0] == known[0] and row[2:] == known[2:] for known in rows):
            continue  # another name of the same function
        marked += [(len(rows), column) for column in differs]
        rows.append(row)
    if len(rows) == 1:
        return ()
    return (
        Table(
            title="What the function of this name draws elsewhere, for the same weight",
            header=("library", "function", "distribution", "std", "largest possible"),
            rows=tuple(rows),
            marked=tuple(marked),
            note="Marked cells differ from fanin's; refused: it raises an error. Each library counts "
            "fans from the positions of its "
            "own layout, "
            "without groups, strides or transposition. Versions are in `fanin.dialect(NAME).source`.",
        ),
    )


def _functions(entry: Entry, name: str) -> Iterator[tuple[Dialect, str, Mapping[str, Any]]]:
    plain = entry.name.replace("_truncated", "") if entry.name != "truncated_normal" else entry.name
    names = {entry.name, plain, name, *entry.aliases}
    for ours, theirs in _SAME.items():
        if ours == plain:
            names |= set(theirs)
        elif plain.startswith(f"{ours}_"):
            names |= {plain.replace(ours, other, 1) for other in theirs}
    for dialect in dialects().values():
        found = [one for one in dialect.functions if one in names]
        yield from ((dialect, one, {}) for one in sorted(found, key=lambda one: (one != name, one)))
        yield from (
            (dialect, called, extra) for peer, called, extra in _OWN.get(plain, ()) if peer == dialect.name
        )


def _row(
    peer: Dialect,
    called: str,
    extra: Mapping[str, Any],
    shape: tuple[int, ...],
    axes: Axes | None,
    arguments: Mapping[str, Any],
    draw: Draw,
) -> tuple[tuple[str, ...], tuple[int, ...]]:
    given = _translated(peer, called, arguments) | dict(extra)
    said = ", ".join(f"{word}={value!r}" if not isinstance(value, float) else f"{word}={value:.6g}"
                     for word, value in given.items())  # fmt: skip
    head = (peer.name, f"{called}({said})")
    try:
        theirs = peer.get(called, **given).draw(_as_stored(peer, shape, axes))
    except InputError:
        return (*head, "refused", "", ""), (2,)
    cells = (_kind(theirs), f"{theirs.std:.6g}", _end(theirs))
    differs = [
        cells[0] != _kind(draw),
        abs(theirs.std - draw.std) > _RELATIVE * max(draw.std, theirs.std),
        _far(_reach(theirs), _reach(draw)),
    ]
    return (*head, *cells), tuple(column for column, other in enumerate(differs, 2) if other)


def _translated(peer: Dialect, called: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    taken = inspect.signature(peer.functions[called].make).parameters
    found: dict[str, Any] = {}
    for ours, value in arguments.items():
        words = [word for word in _WORDS.get(ours, ()) if word in taken]
        # `a` of a truncated normal is a bound, `scale` of most functions no variance.
        if (
            words
            and not (ours == "slope" and "std" in taken)
            and not (ours == "variance" and "mode" not in taken)
        ):
            found[words[0]] = value
    if "nonlinearity" in taken and "nonlinearity" not in found and "slope" not in arguments:
        found["nonlinearity"] = "relu"
    return found


def _as_stored(peer: Dialect, shape: tuple[int, ...], axes: Axes | None) -> tuple[int, ...]:
    """The shape in the peer's layout; a transposed convolution has in and out exchanged there."""
    if axes is None or {Role.BATCH, Role.GROUP} & set(axes.roles) or len(axes.roles) < 2:
        return shape
    if axes.roles.count(Role.OUT) != 1 or axes.roles.count(Role.IN) != 1:
        return shape
    pair = {Role.OUT: axes.size(shape, Role.OUT), Role.IN: axes.size(shape, Role.IN)}
    taps = iter([size for size, role in zip(shape, axes.roles, strict=True) if role == Role.RECEPTIVE])
    if axes.transposed and peer.name not in _STORED:
        pair = {Role.OUT: pair[Role.IN], Role.IN: pair[Role.OUT]}
    return tuple(pair[role] if role in pair else next(taps) for role in _positions(peer, len(shape)))


def _positions(peer: Dialect, rank: int) -> tuple[Role, ...]:
    layout = peer.layout
    inputs, outputs = layout.inputs[0], layout.outputs[0]
    if rank == 2 and layout.matrix is not None:
        inputs, outputs = layout.matrix
    roles = [Role.RECEPTIVE] * rank
    roles[inputs], roles[outputs] = Role.IN, Role.OUT
    return tuple(roles)


def _kind(draw: Draw) -> str:
    match draw:
        case TruncatedNormal():
            return f"normal cut at {draw.lower:.4g}, {draw.upper:.4g} σ"
        case Constant():
            return str(draw)
        case _:
            return type(draw).__name__.lower()


def _reach(draw: Draw) -> float | None:
    match draw:
        case Uniform():
            return max(abs(draw.low), abs(draw.high))
        case TruncatedNormal():
            return max(abs(draw.parent_mean + draw.parent_std * end) for end in (draw.lower, draw.upper))
        case Constant():
            return abs(draw.value)
        case _:
            return None


def _end(draw: Draw) -> str:
    reach = _reach(draw)
    return "none" if reach is None else f"{reach:.5g}"


def _far(theirs: float | None, ours: float | None) -> bool:
    if theirs is None or ours is None:
        return theirs is not ours
    return abs(theirs - ours) > _RELATIVE * max(theirs, ours)
