"""The moment at which a plan becomes numbers in a model: all of them, or none.

What can fail (checks, matrices, copies to other devices) is done before, or undone. What is drawn element by
element on the CPU goes straight into the tensors' own memory, with no second copy of the model.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray

from fanin.records.draw import Structured
from fanin.records.pieces import Piece, pieces
from fanin.records.plan import Entry
from fanin.sampling.many import ready
from fanin.torch.store import dtype_name, stored

__all__ = ["Job", "commit", "exchange", "held_signals", "staged_entry"]

_PART = 1 << 18
"""Elements that are exchanged at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A line of a plan and the tensor it is for."""

    entry: Entry
    tensor: torch.Tensor


def commit(jobs: Sequence[Job], seed: int, *, also: Sequence[tuple[torch.Tensor, torch.Tensor]] = ()) -> None:
    """Fill every job's tensor, or none.

    Signals are held until it is done: an interrupt comes before the first number or after the last.
    A draw into memory cannot fail once it is ready; the rest is staged and exchanged, and exchanged back
    if anything goes wrong.

    Parameters
    ----------
    jobs
        Checked lines: the tensors are writable, of the lines' shapes and dtypes.
    seed
        The plan's.
    also
        Pairs of a tensor and new values for it (buffers that follow from weights).

    Raises
    ------
    InputError
        A draw that cannot be made in a tensor's dtype; nothing is changed.
    """
    direct = [job for job in jobs if _in_place(job)]
    placed = {id(job) for job in direct}
    draw = _ready([(job.entry, stored(job.tensor), dtype_name(job.tensor)) for job in direct], seed)
    staged = [
        (job.tensor, staged_entry(job.entry, job.tensor.dtype, seed)) for job in jobs if id(job) not in placed
    ]
    with held_signals(), torch.no_grad():
        exchange([*staged, *also])
        draw()
        for job in direct:
            # NumPy wrote behind autograd's back: a graph that saved this tensor has to notice.
            torch.autograd.graph.increment_version(job.tensor)


def staged_entry(entry: Entry, dtype: torch.dtype, seed: int) -> torch.Tensor:
    """A line's values in a new CPU tensor of the given dtype."""
    values = torch.empty(entry.shape, dtype=dtype)
    _ready([(entry, stored(values), dtype_name(values))], seed)()
    return values


def _in_place(job: Job) -> bool:
    if not job.tensor.is_cpu or isinstance(job.entry.draw, Structured):
        return False
    return not any(isinstance(block.draw, Structured) for block in job.entry.blocks)


def _ready(lines: Sequence[tuple[Entry, NDArray[Any], str]], seed: int) -> Callable[[], None]:
    """Check every piece of all lines, and return what draws them into the memory beside them in one go."""
    found = [(memory, piece, dtype) for entry, memory, dtype in lines for piece in pieces(entry)]
    draw = ready(
        [_place(memory, piece) for memory, piece, _ in found],
        [piece.draw for _, piece, _ in found],
        seed=seed,
        names=[piece.name for _, piece, _ in found],
        axes=[piece.axes for _, piece, _ in found],
        dtypes=[dtype for _, _, dtype in found],
    )

    def run() -> None:
        draw()
        for entry, memory, _ in lines:
            if entry.zeroed is not None:
                memory[entry.zeroed] = 0

    return run


def _place(memory: NDArray[Any], piece: Piece) -> NDArray[Any]:
    if piece.shape == memory.shape:
        return memory
    found: NDArray[Any] = memory[piece.index]
    return found


@contextlib.contextmanager
def held_signals() -> Iterator[None]:
    """Let signals that Python code would handle wait until the end, then hand them on in their order.

    Python runs handlers on its main thread alone, so elsewhere there is nothing to hold.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    waiting: list[tuple[int, Any]] = []
    found = {number: signal.getsignal(number) for number in signal.valid_signals()}
    handlers = {number: handler for number, handler in found.items() if callable(handler)}
    try:
        for number in handlers:
            signal.signal(number, lambda number, frame: waiting.append((number, frame)))
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for caught, frame in waiting:
            handlers[signal.Signals(caught)](caught, frame)


def exchange(pairs: Sequence[tuple[torch.Tensor, torch.Tensor]]) -> None:
    """Exchange tensors with values, part by part; on any exception exchange back.

    The values' own memory keeps what the tensors held, so that undoing needs no memory besides.
    """
    done: list[tuple[torch.Tensor, torch.Tensor]] = []
    with torch.no_grad():
        try:
            for target, new in pairs:
                for place, source in _parts(target.detach(), new):
                    old = place.clone()
                    # Noted before it happens: whatever an interrupt leaves half done is undone too.
                    done.append((place, old))
                    place.copy_(source)
                    source.copy_(old)
                    done[-1] = (place, source)
        except BaseException:
            for place, old in done:
                place.copy_(old)
            raise


def _parts(target: torch.Tensor, values: torch.Tensor) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Views of the same parts of both, small enough for a cache where memory is in one piece."""
    if not (target.is_contiguous() and values.is_contiguous()):
        yield target, values
        return
    yield from zip(target.view(-1).split(_PART), values.view(-1).split(_PART), strict=True)
