"""``fanin bits``: raw words of the random streams, for batteries of statistical tests."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from fanin.errors import InputError, explain

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["bits"]

_ORDERS = ("run", "names", "seeds", "first", "columns")


@click.command(short_help="Raw random words on stdout, for external test batteries.")
@click.option("--seed", type=click.IntRange(0, (1 << 64) - 1), default=0, show_default=True)
@click.option("--name", default="weight", show_default=True, help="Name of the stream.")
@click.option(
    "--order",
    type=click.Choice(_ORDERS),
    default="run",
    show_default=True,
    help="run: one stream. names, seeds: many streams that take turns. first: the first words of ever new "
    "names. columns: one stream as a matrix, column by column.",
)
@click.option(
    "--streams",
    type=click.IntRange(1),
    default=1000,
    show_default=True,
    help="That take turns (names, seeds).",
)
@click.option(
    "--each", type=click.IntRange(1), default=1, show_default=True, help="Words of a stream at its turn."
)
@click.option(
    "--width", type=click.IntRange(1), default=4096, show_default=True, help="Columns of the matrix."
)
@click.option("--count", type=click.IntRange(0), help="Words to write; without end if left out.")
def bits(seed: int, name: str, order: str, streams: int, each: int, width: int, count: int | None) -> None:
    """Write the words of a random stream to stdout: 32 bits each, little-endian, nothing else.

    For example: fanin bits --seed 0 --name x | dieharder -a -g 200
    """
    if sys.stdout.isatty():
        raise InputError(
            explain(
                "Raw words are nothing to read",
                received="stdout is a terminal",
                remedy="Send them to a program or a file: fanin bits | dieharder -a -g 200",
            )
        )
    left = count
    for chunk in _chunks(seed, name, order, streams, each, width):
        part = chunk if left is None else chunk[:left]
        sys.stdout.buffer.write(part.astype("<u4", copy=False).tobytes())
        if left is not None:
            left -= part.size
            if left == 0:
                return


def _chunks(
    seed: int, name: str, order: str, streams: int, each: int, width: int
) -> Iterator[NDArray[np.uint32]]:
    # NumPy loads here, so that --help is quick.
    from fanin.sampling import orders  # noqa: PLC0415
    from fanin.sampling.streams import stream_key  # noqa: PLC0415

    match order:
        case "names":
            return orders.interleaved(orders.numbered(seed, name), streams, each)
        case "seeds":
            if seed + streams > 1 << 64:
                raise InputError(
                    explain(
                        "The seeds run out",
                        received=f"{streams} seeds from {seed}",
                        rule="A seed is less than 2**64",
                    )
                )
            return orders.interleaved(orders.seeded(seed, name), streams, each)
        case "first":
            return orders.interleaved(orders.numbered(seed, name), None, each)
        case "columns":
            return orders.columns(stream_key(seed, name), width)
        case _:
            return orders.run(stream_key(seed, name))
