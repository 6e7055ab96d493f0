"""The logical tensors behind a plan's line: a packed tensor is several, each with a stream of its own."""

from __future__ import annotations

from dataclasses import dataclass, replace

from fanin.errors import InputError, explain
from fanin.records.axes import Axes, Role
from fanin.records.draw import Draw
from fanin.records.plan import Entry

__all__ = ["Piece", "pieces"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """One logical tensor of a stored one.

    Parameters
    ----------
    name
        Of its random stream: that of the tensor, with the block's name behind it where it is packed.
    index
        Where it lies in the stored tensor, a slice a dimension.
    shape, axes
        Its own, as stored.
    draw
        What it is filled with.
    """

    name: str | tuple[str, ...]
    index: tuple[slice, ...]
    shape: tuple[int, ...]
    axes: Axes | None
    draw: Draw


def pieces(entry: Entry) -> tuple[Piece, ...]:
    """The logical tensors of a plan's line: one, or one for each block of a packed tensor.

    Block k of the tensor ``w`` has the stream name ``("w", "k")`` and counts its elements by itself, so
    its values are those of the block drawn alone: they depend neither on what it is packed with nor on
    how large that is. Stacked copies (axis role "batch") stay within one logical tensor: they come first
    in its order, so that a copy's numbers follow from its index, whatever their number.

    Parameters
    ----------
    entry
        A line that draws.

    Raises
    ------
    InputError
        A line that keeps its tensor, or blocks that do not fill the out dimension.

    Examples
    --------
    >>> from fanin.records.draw import Normal
    >>> from fanin.records.plan import Block, Status
    >>> parts = tuple(Block(name=str(k), start=2 * k, size=2, draw=Normal(std=0.5)) for k in range(2))
    >>> entry = Entry(
    ...     name="w",
    ...     shape=(4, 3),
    ...     dtype="float32",
    ...     status=Status.CLAIMED,
    ...     draw=Normal(std=0.5),
    ...     scheme="normal",
    ...     rule="mine",
    ...     reason="to show",
    ...     blocks=parts,
    ... )
    >>> [(piece.name, piece.shape) for piece in pieces(entry)]
    [(('w', '0'), (2, 3)), (('w', '1'), (2, 3))]
    """
    if entry.draw is None:
        raise InputError(
            explain(
                f"'{entry.name}' is not drawn",
                received=f"a line that keeps it: {entry.reason}",
                rule="Only lines with a draw have numbers",
            )
        )
    whole = tuple(slice(0, n) for n in entry.shape)
    if not entry.blocks:
        return (Piece(name=entry.name, index=whole, shape=entry.shape, axes=entry.axes, draw=entry.draw),)
    place = _packed_dimension(entry)
    axes = None if entry.axes is None else replace(entry.axes, groups=1)
    found = []
    for block in entry.blocks:
        index, shape = list(whole), list(entry.shape)
        index[place], shape[place] = slice(block.start, block.start + block.size), block.size
        found.append(
            Piece(
                name=(entry.name, block.name),
                index=tuple(index),
                shape=tuple(shape),
                axes=axes,
                draw=block.draw,
            )
        )
    return tuple(found)


def _packed_dimension(entry: Entry) -> int:
    """The out dimension, which the blocks have to fill without a gap."""
    roles = (Role.OUT,) if entry.axes is None else entry.axes.roles
    places = [place for place, role in enumerate(roles) if role == Role.OUT]
    fits = len(places) == 1 and len(roles) in (1, len(entry.shape))
    end = 0
    for block in entry.blocks:
        fits = fits and block.start == end and block.size > 0
        end += block.size
    names = [block.name for block in entry.blocks]
    if not fits or end != entry.shape[places[0]] or len(set(names)) < len(names):
        told = ", ".join(f"'{b.name}' from {b.start} with {b.size}" for b in entry.blocks)
        raise InputError(
            explain(
                f"The blocks of '{entry.name}' do not fill its out dimension",
                received=f"blocks {told} of shape {entry.shape}, axes '{entry.axes}'",
                rule="Blocks follow each other from 0 to the end of the one out dimension, each with a name",
                remedy="Plan the model again",
            )
        )
    return places[0]
