"""What a topic is: a question, or a law, with a function that computes its page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fanin.records.explanation import Explanation

__all__ = ["Topic"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """A question by a short name, and the function that computes its answer.

    Parameters
    ----------
    name, question
        ``six-and-two``, and the question in full.
    build
        From the topic and a depth to the explanation.
    kind
        ``"topic"``, or ``"law"`` for the pages of the laws themselves.
    """

    name: str
    question: str
    build: Callable[[Topic, int], Explanation]
    kind: str = "topic"

    def answer(self, law: str, **parts: Any) -> Explanation:
        """An explanation under this topic's question; `law` is the answer in a sentence."""
        return Explanation(title=self.question, kind=self.kind, law=law, **parts)
