"""Subjects by the words of a question: ``why 6 and not 2``, ``xavier``, ``vanishing gradients``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from fanin.checks import registry as checks
from fanin.explanations import laws, topics
from fanin.plans import policies
from fanin.schemes import registry

__all__ = ["Hit", "search"]

_IDLE = frozenset(
    "a an and are as at be between by can come comes did do does fanin for from get has have how i in is it "
    "its like me mean means my no not of on one or should so some than that the their there they this to use "
    "used using was we what when where which who why will with would write you your".split()
)
"""Words that say nothing of the subject."""

_SAID = {
    "FAN101": "vanishing exploding signal activations explode vanish",
    "FAN102": "vanishing exploding gradients explode vanish",
    "FAN103": "rank collapse identical outputs",
    "FAN104": "dying relu dead neurons",
    "FAN105": "saturated tanh sigmoid saturation",
    "FAN106": "nan inf infinite overflow",
    "FAN201": "symmetry constant zeros identical neurons",
    "FAN301": "initial first loss too high",
}
"""What people call a fault, where its check is named after what it measures."""

_WORD = re.compile(r"\d+(?:\.\d+)?|[^\W\d_]+")
_PREFIX = 4
"""Letters from which a word finds longer ones: ``init`` finds ``initialise``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """A subject that `fanin explain` knows, its kind, and what it is in a sentence."""

    name: str
    kind: str
    what: str


def search(question: str) -> tuple[Hit, ...]:
    """Find the subjects that have every word of a question that matters; () if there is none.

    Parameters
    ----------
    question
        Words in any order; those of grammar do not count.

    Examples
    --------
    >>> [hit.name for hit in search("why 6 and not 2?")]
    ['six-and-two']
    """
    asked = [word for word in _words(question) if word not in _IDLE]
    if not asked:
        return ()
    return tuple(hit for hit, text in _subjects() if all(_holds(set(_words(text)), word) for word in asked))


def _words(text: str) -> list[str]:
    return [word.removesuffix("s") if len(word) >= _PREFIX else word for word in _WORD.findall(text.lower())]


def _holds(words: set[str], asked: str) -> bool:
    return asked in words or (len(asked) >= _PREFIX and any(word.startswith(asked) for word in words))


def _subjects() -> Iterator[tuple[Hit, str]]:
    """Every subject, with the text that is searched."""
    for room, kind in ((topics, "question"), (laws, "law")):
        for name, topic in room.catalogue().items():
            page = room.get(name)
            yield Hit(name=name, kind=kind, what=topic.question), f"{name} {topic.question} {page.law}"
    for name, entry in registry.entries().items():
        what = entry.factory.__doc__ or ""
        first = what.strip().split("\n")[0].replace("``", "")
        yield Hit(name=name, kind="scheme", what=first), f"{name} {' '.join(entry.aliases)} {first}"
    for rule in checks.rules():
        text = f"{rule.code} {rule.name} {rule.definition} {_SAID.get(rule.code, '')}"
        yield Hit(name=rule.code, kind="check", what=rule.name), text
    for name in policies.catalogue():
        summary = policies.catalogue()[name].summary
        yield Hit(name=name, kind="policy", what=summary), f"{name} {summary}"
