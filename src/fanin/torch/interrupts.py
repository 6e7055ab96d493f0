"""Interrupts during a recorded run wait for a place where they do no harm.

PyTorch asks Python for rules in places of its C++ that let no exception through: a handler that raises
just there ends the process. Between two operators it may.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["Interrupts", "deferred"]


class Interrupts:
    """Signals that came and wait.

    `waiting` is empty nearly always, which is all that has to be looked at between two operators.
    """

    def __init__(self) -> None:
        self.waiting: list[tuple[int, Any]] = []
        self.handlers: dict[int, Any] = {}

    def deliver(self) -> None:
        """Hand what came to its handler, which may raise."""
        while self.waiting:
            number, frame = self.waiting.pop(0)
            self.handlers[number](number, frame)

    def hold(self, number: int, frame: Any) -> None:
        """Let a signal wait; a second one is a wish to end at once."""
        self.waiting.append((number, frame))
        if len(self.waiting) > 1:
            self.deliver()


@contextmanager
def deferred() -> Iterator[Interrupts]:
    """Hold signals that Python code handles; whoever is in charge delivers them where it is safe.

    What still waits at the end is delivered then. Python runs handlers on its main thread alone, so
    elsewhere there is nothing to hold.

    Examples
    --------
    >>> with deferred() as interrupts:
    ...     interrupts.waiting
    []
    """
    found = Interrupts()
    if threading.current_thread() is not threading.main_thread():
        yield found
        return
    every = {number: signal.getsignal(number) for number in signal.valid_signals()}
    found.handlers = {int(number): handler for number, handler in every.items() if callable(handler)}
    try:
        for number in found.handlers:
            signal.signal(number, found.hold)
        yield found
    finally:
        for number, handler in found.handlers.items():
            signal.signal(number, handler)
        found.deliver()
